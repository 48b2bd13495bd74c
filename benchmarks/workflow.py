"""A Nipype workflow of many short commands, metered and not, in turns.

``workflow.py NODES METERED FOLDER [CGROUP]`` runs one of them, and tells as JSON its
wall seconds, by the control group that it joins the CPU seconds of all its processes,
and what metering used in the workers.
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
    import probe
    from nipype import Node, Workflow, config, logging
    from nipype.interfaces.base import CommandLine

    from nicarbon import recording
    from nicarbon.host import busy_seconds

    # Nipype's main loop looks for finished nodes every two seconds by default.
    config.set('execution', 'poll_sleep_duration', '0.01')
    config.set('execution', 'stop_on_first_crash', 'true')
    config.set('monitoring', 'enabled', 'false')
    for name in ('workflow', 'utils', 'interface'):
        logging.getLogger(f'nipype.{name}').setLevel('ERROR')
    kind = probe.ProbedNode if metered else Node
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
    metering = probe.seconds_per_node(folder)
    return {'wall': wall, 'cpu': cpu, 'others': others, 'metering': metering}


def ratios(nodes: int, repeats: int) -> Table:
    """Metered over not, pair by pair; the order within a pair changes."""
    found: list[tuple[dict[str, float], dict[str, float]]] = []
    for number in range(repeats):
        order = (False, True) if number % 2 == 0 else (True, False)
        pair = {metered: _fresh(nodes, metered=metered) for metered in order}
        found.append((pair[False], pair[True]))
        print(f'  workflow, pair {number + 1} of {repeats}: {pair}', flush=True)
    others = statistics.mean(each['others'] for pair in found for each in pair)
    table = Table(
        f'{nodes} nodes of `/bin/true` under MultiProc, {PROCESSES} processes',
        ('', 'not metered', 'metered', 'ratio (median)', 'ratios of the pairs', 'noise'),
        note=f'{repeats} pairs, A/B and B/A in turns, each in fresh processes. Other programs kept '
        f'{others:.2f} cores busy meanwhile. *noise*: the longest unmetered run over the shortest; '
        'ratios that differ from 1 by less say nothing. The last row counts, in the workers, the '
        'CPU time that a metered node took beside its work (sampling included), against all that '
        'the unmetered run took.',
    )
    for name, key in (('wall time, s', 'wall'), ('CPU time of all processes, s', 'cpu')):
        pairs = [(bare[key], metered[key]) for bare, metered in found]
        if not all(bare for bare, _ in pairs):
            continue
        quotients = [metered / bare for bare, metered in pairs]
        spread = ', '.join(f'{quotient:.3f}' for quotient in quotients)
        median = statistics.median(quotients)
        bare, metered = (statistics.median(column) for column in zip(*pairs, strict=True))
        runs = [bare for bare, _ in pairs]
        noise = f'×{max(runs) / min(runs):.3f}'
        figures = (f'{bare:.1f}', f'{metered:.1f}', f'{median:.4f}', spread, noise)
        table.rows.append(Row((name, *figures)))
    _metering(table, found, nodes)
    return table


def _metering(
    table: Table, found: list[tuple[dict[str, float], dict[str, float]]], nodes: int
) -> None:
    """What metering used of its own, over what the workflow uses without it."""
    cost = statistics.mean(metered['metering'] for _, metered in found)
    # Without a control group, of the wall time of both processes.
    whole = statistics.median(bare['cpu'] or bare['wall'] * PROCESSES for bare, _ in found) / nodes
    share = 1 + cost / whole
    figures = (f'{whole * 1e3:.1f}', f'{(whole + cost) * 1e3:.1f}', f'{share:.4f}', 'counted', '')
    table.rows.append(Row(('CPU time of a node, ms', *figures)))
    table.floor('metering, share of a node of /bin/true', share, 1.01)


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
