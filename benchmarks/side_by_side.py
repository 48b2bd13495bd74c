"""Tasks side by side under one counter: who is charged what, and does it add up?

Run as a program (``side_by_side.py SECONDS CGROUP TOOL...``) in a mount namespace of its own, it
measures, and prints the tables' cells as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cgroup
import rivals
from counter import Counter, busy_seconds
from report import Row, Table
from rivals import NICARBON, TOOLS, RunError, Tool

CASES: dict[str, list[list[str]]] = {
    'burn alone': [['burn']],
    'two burns': [['burn'], ['burn']],
    'burn beside sleep': [['burn'], ['sleep']],
    'the same, threads': [['burn', 'sleep']],
}
"""Tasks of each process; a task is a thread with its own tracker."""

SHOWN = tuple(tool.name for tool in TOOLS if tool.name != 'codecarbon task')


def compared(folder: Path, seconds: float, names: Sequence[str] = SHOWN) -> Table:
    """The table; where no counter can be simulated, its rows say why."""
    user = [] if os.geteuid() == 0 else ['--map-root-user']
    namespace = ['unshare', '--mount', '--propagation', 'private', *user]
    command = [*namespace, sys.executable, __file__, str(seconds)]
    table = Table(
        'Side by side: what is charged, over what the host used',
        ('', 'reads the counter', *CASES, 'what the sleeper got, % of the burner'),
        note=f'One simulated counter of a package under all tools, moved by the busy time of the '
        f'host. *burn*: {seconds:g} s of CPU; *sleep*: as long, doing nothing. Each task in a '
        'tracked process of its own (last case: in threads of one). Joules of the CPU that all '
        'trackers together charge, over what the counter says for the same time; 1 is right, or '
        'below where a tool leaves aside what nobody used. Memory is left out (and the factor '
        'for data centres of carbontracker, which measures in steps of a second). nicarbon: '
        'nodes of one workflow under MultiProc, by the policy `reserved`; what it charges to '
        'nobody is in the second row.',
    )
    with tempfile.TemporaryFile('w+', dir=folder) as errors, cgroup.cgroup() as group:
        try:
            done = subprocess.run(
                [*command, str(group or ''), *names],
                check=False,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            answer = rivals.parse(done.stdout)
        except (OSError, RunError) as error:
            errors.seek(0)
            why = (errors.read().strip().splitlines() or [str(error)])[-1]
            blank = [''] * (len(CASES) + 1)
            for name in names:
                table.rows.append(Row([name, f'no counter can be simulated: {why}', *blank]))
            return table
    if answer['others'] is not None:
        table.note += (
            f' Other programs kept {answer["others"]:.2f} cores busy meanwhile: their joules '
        )
        table.note += 'are nobody’s, and those of whoever charges the whole machine.'
    for line in answer['rows']:
        table.rows.append(Row(line['cells']))
        for name, value, most, least in line.get('floors', ()):
            table.floor(name, value, most, least=least)
    return table


def measure(seconds: float, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of tools."""
    counter = Counter()
    rows = []
    for tool in TOOLS:
        if tool.name not in names:
            continue
        rows += (
            _nicarbon(counter, seconds) if tool is NICARBON else [_rival(tool, counter, seconds)]
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _rival(tool: Tool, counter: Counter, seconds: float) -> dict[str, Any]:
    cells, sleeper = [], '–'
    for name, processes in CASES.items():
        try:
            tasks = _together(tool, processes, seconds)
        except RunError as error:
            cells.append(str(error))
            continue
        joules = [task.get('cpu_joules') for task in tasks]
        if None in joules:
            cells.append('nothing')
            continue
        begin, end = min(t['begin'] for t in tasks), max(t['end'] for t in tasks)
        cells.append(f'{sum(joules) / counter.between(begin, end):.2f}')
        if name == 'burn beside sleep' and joules[0]:
            sleeper = f'{100 * joules[1] / joules[0]:.0f}'
    reads = 'no: its own model' if tool.name == 'eco2ai' else 'yes'
    return {'cells': [tool.name, reads, *cells, sleeper]}


def _together(tool: Tool, processes: list[list[str]], seconds: float) -> list[dict[str, Any]]:
    """Workers that are ready before any of them goes."""
    requests = [{'do': 'tasks', 'tasks': tasks, 'seconds': seconds} for tasks in processes]
    with tempfile.TemporaryDirectory() as folder:
        pipe = subprocess.PIPE
        workers = [
            subprocess.Popen(
                rivals.command(tool, request),
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
                env=rivals.environment(Path(folder)),
            )
            for request in requests
        ]
        for worker in workers:
            while (line := worker.stdout.readline()) and line != 'READY\n':
                pass
        answers = []
        for worker in workers:
            worker.stdin.write('go\n')
            worker.stdin.flush()
        for worker in workers:
            out, errors = worker.communicate(timeout=300)
            if worker.returncode:
                raise RunError(f'fails: {(errors.strip().splitlines() or ["?"])[-1][:120]}')
            answers += rivals.parse(out)['tasks']
    return answers


def _nicarbon(counter: Counter, seconds: float) -> list[dict[str, Any]]:
    charged_cells, whole_cells, sleeper, method, floors = [], [], '–', '', []
    for name, processes in CASES.items():
        tasks = [task for process in processes for task in process]
        threads = len(processes) < len(tasks)
        with tempfile.TemporaryDirectory() as folder:
            words = [','.join(tasks), str(seconds), str(int(threads)), folder]
            program = str(rivals.HERE / 'nodes.py')
            done = subprocess.run(
                [sys.executable, program, *words], check=False, capture_output=True, text=True
            )
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ['?'])[-1][:120]
            charged_cells.append(f'fails: {why}')
            whole_cells.append('')
            continue
        answer = rivals.parse(done.stdout)
        host = counter.between(answer['begin'], answer['end'])
        charged = sum(answer['charged'])
        method = answer['method']
        charged_cells.append(f'{charged / host:.3f}')
        whole_cells.append(f'{(charged + answer["rest"]) / host:.4f}')
        floors += [
            (f'{name}: all that is charged or not, over the host', (charged + answer['rest']) / host, 1.001, 0.999),
            (f'{name}: charged, over the host', charged / host, 1.0, None),
        ]  # fmt: skip
        if name == 'burn beside sleep':
            sleeper = f'{100 * answer["charged"][1] / answer["charged"][0]:.1f}'
    reads = 'yes' if method.startswith('rapl') else f'no: {method}'
    return [
        {'cells': ['nicarbon', reads, *charged_cells, sleeper], 'floors': floors},
        {'cells': ['with overhead and unattributed', reads, *whole_cells, '–']},
    ]


if __name__ == '__main__':
    length, where, *tools = sys.argv[1:]
    if where:
        cgroup.join(where)
    wall, whole = time.monotonic(), busy_seconds()
    found = measure(float(length), tools)
    wall, whole = time.monotonic() - wall, busy_seconds() - whole
    rest = (whole - cgroup.cpu_seconds(where)) / wall if where else None
    print('RESULT', json.dumps({'rows': found, 'others': rest}))
