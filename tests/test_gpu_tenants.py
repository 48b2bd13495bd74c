"""Processes that share one GPU, or leave it alone, are charged what they used and held of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from machines import GPUS, gpu_driver, namespaces, with_gpus

from nicarbon import ledger
from nicarbon.entry import Entry
from nicarbon.nesting import leaves
from nicarbon.share import Share, Sharing, share

IDLE_WATTS, PERCENT_WATTS = 50.0, 2.0


def side_by_side(folder: Path, *tasks: str) -> tuple[dict[str, Share], Sharing, list[Entry]]:
    with gpu_driver(folder / 'state') as state:
        words = ('exec', '-o', folder / 'out', '--', sys.executable, GPUS / 'tenants.py')
        command = with_gpus(state, *words, folder / 'work', *tasks)
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    entries = leaves(ledger.read(*ledger.folders(folder / 'out'))[0])
    sharing = share(entries)
    return {one.entry.stage: one for one in sharing.shares}, sharing, entries


def gpu_joules(one: Share) -> float:
    return sum(joules for name, joules in one.components.items() if name.startswith('gpu'))


@namespaces
@pytest.mark.slow
def test_three_hold_one_gpu_one_of_them_idle_and_a_fourth_does_not(tmp_path: Path) -> None:
    shares, sharing, entries = side_by_side(
        tmp_path, 'use:60:6', 'use:20:6', 'use:0:6', 'burn:0:2'
    )
    (balance,) = sharing.balances
    parts = balance.nodes_joules, balance.overhead_joules, balance.unattributed_joules
    assert sum(parts) == pytest.approx(balance.host_joules, rel=1e-6)
    assert min(parts) >= -1e-6
    busy, less, holder, burner = (shares[name] for name in ('use0', 'use1', 'use2', 'burn3'))
    # Three quarters of what is above idle, and one; the price of idling in equal parts.
    assert gpu_joules(busy) == pytest.approx(6 * (60 * PERCENT_WATTS + IDLE_WATTS / 3), rel=0.1)
    assert gpu_joules(less) == pytest.approx(6 * (20 * PERCENT_WATTS + IDLE_WATTS / 3), rel=0.15)
    assert gpu_joules(holder) == pytest.approx(6 * IDLE_WATTS / 3, rel=0.15)
    assert gpu_joules(burner) == 0
    assert burner.held is not None
    assert burner.held.seconds == burner.held.gpu_seconds == burner.held.joules == 0
    held = [one.held for one in (busy, less, holder)]
    assert [each.seconds for each in held] == pytest.approx([6.0] * 3, rel=0.1)
    # Six seconds of one GPU are no eighteen: each has a third of them.
    assert sum(each.gpu_seconds for each in held) == pytest.approx(6.0, rel=0.1)
    for one in (busy, less, holder):
        assert gpu_joules(one) < one.held.joules <= one.joules['reserved'] * (1 + 1e-9)
    (run,) = (one for one in entries if one.kind == 'run')
    whole = next(r.joules for r in run.readings if r.component.startswith('gpu'))
    assert whole == pytest.approx(run.seconds * IDLE_WATTS + 6 * 80 * PERCENT_WATTS, rel=0.05)


@namespaces
@pytest.mark.slow
def test_where_nobody_asked_for_a_gpu_its_idling_is_nobodys(tmp_path: Path) -> None:
    shares, sharing, entries = side_by_side(tmp_path, 'burn:0:2', 'burn:0:2')
    assert [gpu_joules(one) for one in shares.values()] == [0, 0]
    assert all(one.held.joules == 0 for one in shares.values())
    (balance,) = sharing.balances
    (run,) = (one for one in entries if one.kind == 'run')
    idle = next(r.joules for r in run.readings if r.component.startswith('gpu'))
    assert idle == pytest.approx(IDLE_WATTS * run.seconds, rel=0.05)
    assert balance.unattributed_joules >= idle - 1e-6
