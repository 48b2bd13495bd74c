"""The same task alone, beside a sleeper and beside burners, under one moving counter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from machines import namespaces, on_machine, powercap

from nicarbon import ledger
from nicarbon.nesting import leaves
from nicarbon.share import Sharing, share

PROGRAM = Path(__file__).with_name('tenants.py')
WATTS = ('--watts-idle', 40, '--watts-busy', 160)


def side_by_side(folder: Path, tree: Path, *tasks: str) -> tuple[dict, Sharing]:
    out = folder / '-'.join(task.partition(':')[0] for task in tasks)
    words = ('exec', '-o', out, '--', sys.executable, PROGRAM, out / 'work', *tasks)
    done = subprocess.run(on_machine(tree, *words), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    entries = leaves(ledger.read(*ledger.folders(out))[0])
    sharing = share(entries)
    assert len(sharing.balances) == 1
    return {one.entry.stage: one for one in sharing.shares}, sharing


@namespaces
@pytest.mark.slow
def test_whoever_sleeps_beside_it_a_task_costs_the_same(tmp_path: Path) -> None:
    with powercap(tmp_path / 'tree', *WATTS) as tree:
        cases = {
            tasks: side_by_side(tmp_path, tree, *tasks)
            for tasks in [
                ('burn:3',),
                ('burn:3', 'sleep:3'),
                ('burn:3', 'burn:3'),
                ('burn:3', 'burn:3', 'burn:3'),
            ]
        }
    costs = []
    for tasks, (shares, sharing) in cases.items():
        (balance,) = sharing.balances
        parts = balance.nodes_joules, balance.overhead_joules, balance.unattributed_joules
        assert sum(parts) == pytest.approx(balance.host_joules, rel=1e-3)
        assert min(parts) >= 0
        assert balance.nodes_joules <= balance.host_joules
        assert len(shares) == len(tasks)
        assert {reading.method for one in shares.values() for reading in one.entry.readings} == {
            'rapl:powercap'
        }
        costs += [
            one.joules['dynamic'] / one.entry.cpu_seconds
            for name, one in shares.items()
            if name.startswith('burn')
        ]
    # This counter is linear in the load, so that a CPU second costs what it costs.
    assert max(costs) < 1.25 * min(costs)
    sleeper = cases['burn:3', 'sleep:3'][0]['sleep1']
    idle = sum(r.idle_watts for r in sleeper.entry.readings if r.idle_watts is not None)
    assert sleeper.joules['dynamic'] < 0.1 * costs[0] * 3
    assert sleeper.joules['reserved'] - sleeper.joules['dynamic'] <= idle * sleeper.entry.seconds
