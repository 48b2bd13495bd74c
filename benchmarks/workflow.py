"""A Nipype workflow of many short commands, metered and not, in turns.

``workflow.py NODES METERED FOLDER [CGROUP]`` runs one of them, and tells as JSON its
wall seconds and, by the control group that it joins, the CPU seconds of all its
processes.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cgroup
from report import Row, Table

PROCESSES = 2


def run(nodes: int, folder: Path, group: str, *, metered: bool) -> dict[str, float]:
    """Run the workflow in this process and its workers."""
    if group:
        cgroup.join(group)
    from nipype import Node, Workflow, config, logging
    from nipype.interfaces.base import CommandLine

    from nicarbon import recording
    from nicarbon.aware import CarbonNode
    from nicarbon.host import busy_seconds

    # Nipype's main loop looks for finished nodes every two seconds by default.
    config.set('execution', 'poll_sleep_duration', '0.01')
    config.set('execution', 'stop_on_first_crash', 'true')
    config.set('monitoring', 'enabled', 'false')
    for name in ('workflow', 'utils', 'interface'):
        logging.getLogger(f'nipype.{name}').setLevel('ERROR')
    kind = CarbonNode if metered else Node
    workflow = Workflow('bench', base_dir=str(folder))
    workflow.add_nodes([kind(CommandLine('/bin/true'), name=f'n{i}') for i in range(nodes)])
    with recording(folder) if metered else contextlib.nullcontext():
        before, host = cgroup.cpu_seconds(group) if group else 0.0, busy_seconds() or 0.0
        begin = time.perf_counter()
        workflow.run('MultiProc', plugin_args={'n_procs': PROCESSES, 'memory_gb': 8})
        wall = time.perf_counter() - begin
        host = (busy_seconds() or 0.0) - host
        cpu = cgroup.cpu_seconds(group) - before if group else 0.0
    others = (host - cpu) / wall if group else 0.0
    return {'wall': wall, 'cpu': cpu, 'others': others}


def ratios(nodes: int, repeats: int, watch_ms: float) -> Table:
    """Metered over not, pair by pair; the order within a pair changes."""
    found: list[tuple[dict[str, float], dict[str, float]]] = []
    for number in range(repeats):
        order = (False, True) if number % 2 == 0 else (True, False)
        pair = {metered: _fresh(nodes, metered=metered) for metered in order}
        found.append((pair[False], pair[True]))
        print(f'  workflow, pair {number + 1} of {repeats}: {pair}', flush=True)
    others = statistics.mean(each['others'] for pair in found for each in pair)
    bare_ms = statistics.median(bare['wall'] for bare, _ in found) / nodes * PROCESSES * 1e3
    table = Table(
        f'{nodes} nodes of `/bin/true` under MultiProc, {PROCESSES} processes',
        ('', 'not metered', 'metered', 'ratio (median)', 'ratios of the pairs'),
        note=f'{repeats} pairs, A/B and B/A in turns, each in fresh processes. Other programs kept '
        f'{others:.2f} cores busy meanwhile: with more than a few hundredths, ratios of wall time '
        'say little, and the last row most.',
    )
    for name, key in (('wall time, s', 'wall'), ('CPU time of all processes, s', 'cpu')):
        pairs = [(bare[key], metered[key]) for bare, metered in found]
        if not all(bare for bare, _ in pairs):
            continue
        quotients = [metered / bare for bare, metered in pairs]
        spread = ', '.join(f'{quotient:.3f}' for quotient in quotients)
        median = statistics.median(quotients)
        bare, metered = (statistics.median(column) for column in zip(*pairs, strict=True))
        row = Row((name, f'{bare:.1f}', f'{metered:.1f}', f'{median:.4f}', spread))
        table.rows.append(row)
        table.floor(f'{name.partition(",")[0]} of the workflow, ratio', median, 1.01)
    share = 1 + watch_ms / bare_ms
    table.rows.append(
        Row(
            (
                'one warm watch in one node, ms',
                f'{bare_ms:.1f}',
                f'{bare_ms + watch_ms:.1f}',
                f'{share:.4f}',
                'computed, free of noise',
            )
        )
    )
    table.floor('a warm watch in a node, ratio', share, 1.01)
    return table


def _fresh(nodes: int, *, metered: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, cgroup.cgroup() as group:
        words = [str(nodes), str(int(metered)), folder, str(group or '')]
        done = subprocess.run(
            [sys.executable, __file__, *words], check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == '__main__':
    count, flag, where, *rest = sys.argv[1:]
    print(json.dumps(run(int(count), Path(where), rest[0] if rest else '', metered=flag == '1')))
