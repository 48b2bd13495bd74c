"""How much of the CPU time of a process tree each tool sees."""

from __future__ import annotations

from pathlib import Path

import cgroup
import loads
import rivals
from report import Row, Table
from rivals import NICARBON, TOOLS, RunError, Tool

SHOWN = ('nicarbon', 'codecarbon process', 'codecarbon machine', 'carbontracker', 'eco2ai', 'zeus')
FORGETFUL = 'parent ignores SIGCHLD'
"""The kernel throws its children's count away: they are seen in glances only."""

KNOWN_SECONDS = {
    'in process': 4.0,
    'one long child': 4.0,
    '3 × 1.5 s': 4.5,
    '20 × 0.2 s': 4.0,
    'orphan': 3.0,
    'setsid orphan': 3.0,
    FORGETFUL: 4.0,
    'threads': 4.0,
    'child that execs': 3.0,
}


def seen(ledger: Path, *, quick: bool) -> Table:
    """Per cent of the CPU time by the kernel's own count."""
    with cgroup.cgroup() as group:
        truth = (
            'the kernel counted for a control group' if group else 'the loads were told to burn'
        )
    tools = [tool for tool in TOOLS if tool.name in SHOWN]
    table = Table(
        'CPU time that is seen, % of the true',
        ('', 'CPU s', *(tool.name for tool in tools)),
        note=f'True is what {truth}. nicarbon tells CPU seconds. The others tell none: theirs is '
        'energy (of the CPU, without memory) per true CPU second, relative to the same in the '
        'tracked process itself. Every tool at its default interval; loads last about 4 s. '
        'carbontracker charges half of the thermal design power while it runs, whoever works; '
        'codecarbon in machine mode the load of the machine at its two or three looks; eco2ai what '
        '`top` says at one look; zeus has nothing to say without a counter.',
    )
    names = list(loads.LOADS)
    if quick:
        tools_run = [NICARBON]
        table.note += ' Quick: nicarbon only.'
    else:
        tools_run = tools
    for name in names:
        table.rows.append(Row([name, *_row(name, tools, tools_run, ledger, table)]))
        print(f'  CPU time: {table.rows[-1].cells}', flush=True)
    return table


_reference: dict[str, float] = {}
_silent: set[str] = set()
"""Tools that had nothing to say: they are not asked again."""


def _row(
    name: str, tools: list[Tool], tools_run: list[Tool], ledger: Path, table: Table
) -> list[str]:
    cells = ['–']
    for tool in tools:
        if tool not in tools_run:
            cells.append('–')
            continue
        if tool.name in _silent:
            cells.append('nothing')
            continue
        try:
            truth, share = _share(tool, name, ledger)
        except RunError as error:
            cells.append(str(error))
            continue
        cells.append('nothing' if share is None else f'{100 * share:.1f}')
        if share is None:
            _silent.add(tool.name)
        if tool is NICARBON and share is not None:
            cells[0] = f'{truth:.2f}'
            least = 95 if name == FORGETFUL else 99
            table.floor(f'CPU time seen: {name}', 100 * share, 101, '%', least=least)
    return cells


def _share(tool: Tool, name: str, ledger: Path) -> tuple[float, float | None]:
    """True CPU seconds, and the share of them that a tool saw."""
    with cgroup.cgroup() as group:
        answer = rivals.ask(tool, ledger, do='cpu_time', load=name, cgroup=str(group or ''))
    truth = answer['truth'] or KNOWN_SECONDS.get(name)
    if not truth:
        raise RunError('no truth: no control group')
    if 'cpu_seconds' in answer:
        return truth, answer['cpu_seconds'] / truth
    if answer.get('cpu_joules') is None:
        return truth, None
    watts = answer['cpu_joules'] / truth
    reference = _reference.setdefault(tool.name, watts)
    if not reference:
        raise RunError(f'{answer["cpu_joules"]:.0f} J, nothing to compare with')
    return truth, watts / reference
