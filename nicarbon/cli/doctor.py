"""What ``nicarbon doctor`` says of a diagnosis: in 80 columns, and as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from ..container import is_nameless
from ..doctor import Counter, Diagnosis, examine
from ..surroundings import Clock, Load
from .choice import Parser

__all__ = ['doctor', 'parser', 'words']

WIDTH = 79
LABEL = 13

_STATES = {
    'used': 'a run here uses it',
    'available': 'could be read, but another is better',
    'denied': 'is there, but may not be read',
    'absent': 'is not there',
    'frozen': 'is there, but does not count',
    'covered': 'is part of another one that is used',
}


def parser() -> argparse.ArgumentParser:
    """The parser of ``nicarbon doctor``."""
    asked = Parser(
        prog='nicarbon doctor',
        description='Say what this machine can measure, how well, and what would mend the rest. '
        'Nothing is changed.',
    )
    asked.add_argument('--json', action='store_true', help='print one JSON object, for programs')
    return asked


def doctor(argv: Sequence[str]) -> int:
    """Examine this machine, and print what was found.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        0, whatever was found.
    """
    given = parser().parse_args(argv)
    found = diagnose()
    text = json.dumps(asdict(found), indent=2) if given.json else '\n'.join(words(found))
    _write(text + '\n')
    return 0


def _write(text: str) -> None:
    """Print, also to a reader that has gone."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def diagnose() -> Diagnosis:
    """Examine this machine, with all that there is to examine it with."""
    from .. import host, meters
    from ..meters import survey

    places = host.calibration_folders()
    return examine(
        lambda: host.calibrated(host.probe(), places),
        survey.survey,
        meters.find,
        calibrations=places,
        folders={
            'facts of this machine, kept between runs': _cache(),
            'calibration, for this user': places[0],
            'calibration, for everybody here': places[-1],
            'work folder and output, here': Path.cwd(),
        },
        environ=os.environ,
    )


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path('nicarbon') / 'hosts'


def words(found: Diagnosis) -> Iterator[str]:
    """Lines for people, 80 columns at most.

    Parameters
    ----------
    found : Diagnosis

    Yields
    ------
    str
    """
    where = f' on {found.machine.name}' if found.machine else ''
    yield f'nicarbon {found.nicarbon}{where}'
    yield from _section('Machine', _machine(found))
    yield from _section('Counters of energy', _counters(found.counters))
    yield from _section('A run here would use', _run(found))
    yield from _section('CPU seconds of a node', _cpu_seconds(found))
    yield from _section('Now', _now(found.load, found.clock))
    folders = ((each.purpose, each.path, each.writable) for each in found.folders)
    yield from _section(
        'Folders',
        (
            line
            for purpose, path, writable in folders
            for line in _wrapped(
                f'  {"" if writable else "not "}writable'.ljust(2 + LABEL), f'{path}: {purpose}'
            )
        ),
    )
    if found.problems:
        lines = (line for problem in found.problems for line in _wrapped('  ', problem))
        yield from _section('Could not be found out', lines)


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield ''
    yield title
    yield from lines


def _machine(found: Diagnosis) -> Iterator[str]:
    machine = found.machine
    if machine is None:
        return
    cores = _count(machine.cores, 'core')
    if machine.usable_cores < machine.cores:
        cores += f', {machine.usable_cores} of them for this process'
    family = f' ({machine.family})' if machine.family else ''
    sockets = _count(machine.sockets, 'socket')
    yield from _field('CPU', f'{machine.cpu}{family}, {cores}, {sockets}')
    memory = f'{machine.memory_gb:g} GB'
    if machine.usable_memory_gb < machine.memory_gb:
        memory += f', {machine.usable_memory_gb:g} of them for this process'
    yield from _field('memory', memory)
    inside = ["a virtual machine: the counters are the host's below"] if machine.virtual else []
    if machine.container:
        inside.append(f'a container ({machine.container})')
        if is_nameless(machine.name):
            inside[-1] += (
                f'; {machine.name} is its name alone, "--uts host" gives it the machine\'s'
            )
    yield from _field('inside', ', and '.join(inside) or 'neither virtual machine nor container')
    gpus = ', '.join(f'{gpu.name} at {gpu.address}' for gpu in machine.gpus)
    yield from _field('GPUs', gpus or 'none to be seen')
    yield from _field('kernel', machine.kernel)


def _counters(counters: Sequence[Counter] | None) -> Iterator[str]:
    if not counters:
        yield '  none known'
        return
    yield f'    {"method":<19}{"state":<11}{"tier":<10}{"95 %":<9}read by'
    for component in dict.fromkeys(each.component for each in counters):
        yield f'  {component}'
        for each in counters:
            if each.component == component:
                yield from _one_counter(each)
    states = {each.state for each in counters}
    for state, meaning in _STATES.items():
        if state in states:
            yield f'  {state}: {meaning}'


def _one_counter(counter: Counter) -> Iterator[str]:
    seen = counter.state in {'used', 'available', 'covered'}
    interval, tier = (_factor(counter.u_rel), counter.tier) if seen else ('–', '–')
    yield (
        f'    {counter.method:<19}{counter.state:<11}{tier:<10}{interval:<9}'
        f'{counter.readers or ""}'
    ).rstrip()
    access = f' ({counter.mode} {counter.owner})' if counter.mode else ''
    path = f'{counter.path}{access}' if counter.path else ''
    for label, text in (('file', path), ('why', counter.why), ('mend', counter.mend)):
        if text:
            yield from _wrapped(f'{"":8}{label:<6}', text)


def _run(found: Diagnosis) -> Iterator[str]:
    for each in found.run or ():
        yield from _field(each.component, f'{each.method}, {each.tier}, {_factor(each.u_rel)}')
    if found.run is not None and {each.component for each in found.run} <= {'cpu'}:
        yield from _field('the rest', 'not seen: memory, GPUs, disks, fans, power supplies')
    power = found.power
    if power is not None:
        idle, peak = (_watts(watts) for watts in (power.idle_watts, power.peak_watts))
        yield from _field('CPU power', f'idle {idle}, all cores busy {peak} ({power.tier})')
        yield from _field('', f'from {power.source}')
    saved = found.calibration
    if saved is None:
        text = 'none of this machine; `nicarbon calibrate` makes one where a counter is'
    else:
        text = saved.path if saved.in_use else f'{saved.path}: not of this CPU, or unreadable'
    yield from _field('calibration', text)


def _cpu_seconds(found: Diagnosis) -> Iterator[str]:
    counted = found.cpu_seconds
    if counted is None:
        return
    text = 'what the kernel adds up (rusage) and the living tree of processes'
    if counted.adopts_orphans:
        text += '; orphans come home (sub-reaper)'
    yield from _field('method', text)
    yield from _field('ticks', f'{1000 * counted.tick_seconds:g} ms for living processes')
    if not counted.lists_children:
        yield from _field('missing', '/proc/<pid>/task/<tid>/children (CONFIG_PROC_CHILDREN)')
    if counted.cgroup_version is None:
        text = 'none'
    elif counted.cgroup_counter is None:
        text = f'version {counted.cgroup_version}, CPU time not shown'
    else:
        may = 'could' if counted.cgroup_may_be_divided else 'may not'
        text = f'version {counted.cgroup_version}, {counted.cgroup_counter}; {may} be divided'
    yield from _field('cgroup', f'{text} (not needed)')


def _now(load: Load | None, clock: Clock | None) -> Iterator[str]:
    if load is not None and load.busy_cores is not None:
        quiet = 'at rest' if load.quiet else f'busy (at rest is {load.quiet_cores:g} or less)'
        yield from _field('load', f'{load.busy_cores:.2f} cores kept busy by others: {quiet}')
    if clock is not None:
        known = {True: 'set by a server', False: 'not set by a server', None: 'state unknown'}
        text = f'{clock.utc}, {known[clock.synchronised]}'
        if clock.source:
            text += f', source {clock.source}'
        if clock.suspended_seconds:
            text += f', suspended for {clock.suspended_seconds:g} s since boot'
        yield from _field('clock', text)


def _field(label: str, text: str) -> Iterator[str]:
    yield from _wrapped(f'  {label:<{LABEL}}', text)


def _wrapped(first: str, text: str) -> Iterator[str]:
    """Lines of a text beside its label; commands and paths are never cut."""
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=' ' * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def _count(number: int, what: str) -> str:
    return f'{number} {what}{"s" if number != 1 else ""}'


def _factor(u_rel: float) -> str:
    return f'×/÷ {u_rel:.3g}'


def _watts(watts: float | None) -> str:
    return 'unknown' if watts is None else f'{watts:.3g} W'
