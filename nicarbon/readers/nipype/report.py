"""What a node of Nipype wrote of itself: its ``report.rst`` and its ``result_*.pklz``.

A report is written before a node runs, and again when it is through; so one of a node that
failed or was killed has no section on its run. A result also tells of a node that failed. That
of a MapNode has all its leaves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ReaderError
from . import pickled

__all__ = [
    'EARLIEST',
    'LATEST',
    'Report',
    'Run',
    'moment',
    'report',
    'results',
    'seconds_of',
    'stated_threads',
]

LONG_REPORT = 8_000_000
"""Bytes: what a program printed comes after all that counts but its environment."""

LONG_VALUE = 4000
"""Characters of a command line or an input that are kept."""

TEN_YEARS = 10 * 365.25 * 86400

EARLIEST, LATEST = 631152000.0, 4102444800.0
"""1990 and 2100, in seconds since 1970: no node of Nipype ran before, and none will after."""

_ITEM = re.compile(r'\* (\S+) : (.*)', re.DOTALL)
_UNDERLINE = re.compile(r'([=~-])\1*$')
_FLAG = re.compile(
    r'(?:^|\s)(?:--?(?:n|num[-_]?|number[-_]?of[-_]?)?[-_]?threads?|-openmp)[ =](\d{1,4})(?!\S)',
    re.IGNORECASE,
)
_INPUTS = ('num_threads', 'nthreads', 'n_threads', 'openmp', 'threads', 'n_procs', 'num_cores')
_WHOSE = ('subject_id', 'subjects_dir')
_SECTIONS = ('Original Inputs', 'Execution Inputs', 'Runtime info', 'Environment')


class Run(NamedTuple):
    """One run of a node, as far as it is told.

    Parameters
    ----------
    seconds : float
        Wall time.
    began : float or None
        Seconds since 1970; None where it is not told.
    host, interface, command, error : str
    threads : int
        That it may use at once, by its command line, its inputs or its environment.
    cores : int
        That were kept for it; 0 where nobody says so.
    place : str
        Folder in which it ran, on the machine where it ran.
    version : str
        Of the package that ran, where the interface tells it.
    """

    seconds: float
    began: float | None = None
    host: str = ''
    interface: str = ''
    command: str = ''
    error: str = ''
    threads: int = 1
    cores: int = 0
    place: str = ''
    version: str = ''


class Report(NamedTuple):
    """A ``report.rst``.

    Parameters
    ----------
    identity : str
        That the callback calls the node.
    run : Run or None
        None where it does not tell how long it ran.
    leaves : bool
        Whether the node is a MapNode, whose leaves have reports of their own.
    inputs : mapping of {str : str}
        That tell threads, or whose it is.
    """

    identity: str
    run: Run | None
    leaves: bool
    inputs: Mapping[str, str]


def report(path: Path) -> Report:
    """Read a report.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    Report

    Raises
    ------
    ReaderError
        When it is none.
    OSError
    """
    with path.open('rb') as file:
        lines = file.read(LONG_REPORT).decode('utf-8', 'replace').split('\n')
    head = '\n'.join(lines[:12])
    hierarchy, identity = _told(head, 'Hierarchy'), _told(head, 'Exec ID')
    if not lines[0].startswith('Node: ') or not hierarchy:
        raise ReaderError(f'{path} is no report of a node')
    sections, leaves = _sections(lines)
    inputs = sections.get('Execution Inputs', sections.get('Original Inputs', {}))
    # Of "wf (node (ants)" the package; of a node outside it, the name alone.
    package = lines[0][len('Node: ') :].rpartition('(')[2].strip(' )')
    package = '' if package == hierarchy.rpartition('.')[2] else package
    ran = sections.get('Runtime info', {})
    seconds = seconds_of(ran.get('duration'))
    run = None
    if seconds is not None:
        environment = {**sections.get('Environment', {}), **_dict_of(inputs.get('environ', ''))}
        command = ran.get('cmdline', '')
        threads = stated_threads(command, inputs, environment)
        place = ran.get('working_dir', '')
        host = ran.get('hostname', '')
        shown = command[:LONG_VALUE]
        run = Run(seconds, None, host, package, shown, threads=threads, place=place)
    # Scripts and lists of files are inputs too: nobody keeps those of all nodes.
    kept = {name: inputs[name][:LONG_VALUE] for name in (*_INPUTS, *_WHOSE) if name in inputs}
    return Report(identity, run, leaves, kept)


def _told(head: str, name: str) -> str:
    found = re.search(rf'^ {name} : (.*)$', head, re.MULTILINE)
    return found[1].strip() if found else ''


def _sections(lines: list[str]) -> tuple[dict[str, dict[str, str]], bool]:
    """Items of the first section of each title that counts; whether there are subnodes."""
    found: dict[str, dict[str, list[str]]] = {}
    leaves, into, last = False, None, ''
    for line, following in zip(lines, [*lines[1:], ''], strict=True):
        if _UNDERLINE.match(following) and len(following) == len(line):
            leaves = leaves or (line == 'Subnode reports' and 'Runtime info' not in found)
            into, last = None, ''
            if line in _SECTIONS and line not in found:
                into = found[line] = {}
        elif into is not None and (item := _ITEM.match(line)):
            last = item[1]
            into[last] = [item[2]]
        elif into is not None and last and line:
            into[last].append(line)  # A value of several lines.
    whole = {
        title: {name: '\n'.join(value) for name, value in items.items()}
        for title, items in found.items()
    }
    return whole, leaves


def _dict_of(text: str) -> dict[str, str]:
    """What a report shows of a dict of texts."""
    return dict(re.findall(r"'(\w+)': '([^']*)'", text))


def results(path: Path) -> tuple[list[Run], bool]:
    """Runs that a result tells of: one, or those of all leaves of a MapNode.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of Run
        Without what was not run to an end.
    bool
        Whether the node is a MapNode.

    Raises
    ------
    ReaderError
    OSError
    """
    found = pickled.state(pickled.load(path))
    if 'runtime' not in found:
        raise ReaderError(f'{path} is no result of a node')
    kind = found.get('interface')
    name = kind.name if isinstance(kind, pickled.Made) else ''
    told = found['runtime']
    many = told if isinstance(told, list) else [told]
    runs = (_run(pickled.state(one), name) for one in many)
    return [run for run in runs if run is not None], isinstance(told, list)


def _run(told: Mapping[Any, Any], interface: str) -> Run | None:
    began, ended = moment(told.get('startTime')), moment(told.get('endTime'))
    seconds = seconds_of(told.get('duration'))
    if seconds is None and began is not None and ended is not None and ended >= began:
        seconds = seconds_of(ended - began)
    if seconds is None:
        return None
    command = _text(told.get('cmdline'))
    environment = told.get('environ')
    given = environment if isinstance(environment, dict) else {}
    return Run(
        seconds,
        began,
        _text(told.get('hostname')),
        interface or _text(told.get('interface')),
        command[:LONG_VALUE],
        _text(told.get('traceback')).strip().rpartition('\n')[2][:300],
        stated_threads(command, {}, given),
        0,
        _text(told.get('cwd')),
        _text(told.get('version')),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ''


def stated_threads(command: str, inputs: Mapping[str, str], environment: Mapping[Any, Any]) -> int:
    """Threads that a program may use at once, by what it was told.

    Parameters
    ----------
    command : str
        Command line; empty of what runs within Python.
    inputs, environment : mapping

    Returns
    -------
    int
        1 where nothing says otherwise.

    Examples
    --------
    >>> stated_threads('recon-all -openmp 8 -s bert', {}, {'OMP_NUM_THREADS': '1'})
    8
    >>> stated_threads('N4', {'num_threads': '<undefined>'}, {'OMP_NUM_THREADS': '4'})
    4
    >>> stated_threads('', {}, {'OMP_NUM_THREADS': '4'})
    1
    """
    told: Iterator[Any] = iter(
        [
            *_FLAG.findall(command)[-1:],
            *(inputs.get(name) for name in _INPUTS),
            # Nothing tells whether Python uses them.
            *(environment.get(name) for name in _VARIABLES if command),
        ]
    )
    known = (int(one) for one in told if isinstance(one, str) and re.fullmatch('[0-9]{1,4}', one))
    return next((number for number in known if number > 0), 1)


_VARIABLES = ('ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS', 'OMP_NUM_THREADS')


def seconds_of(value: Any) -> float | None:
    """Seconds that a run can have lasted, of a number or a text; else None.

    Parameters
    ----------
    value : object

    Returns
    -------
    float or None

    Examples
    --------
    >>> seconds_of('0.081'), seconds_of('nan'), seconds_of(-1), seconds_of(None)
    (0.081, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds < TEN_YEARS else None


def moment(value: Any) -> float | None:
    """Seconds since 1970 of a time in ISO 8601, in UTC where it has no zone; else None.

    Parameters
    ----------
    value : object

    Returns
    -------
    float or None

    Examples
    --------
    >>> moment('2026-11-26T01:47:05+00:00'), moment('2026-11-26T01:47:05'), moment('soon')
    (1795657625.0, 1795657625.0, None)
    """
    if not isinstance(value, str):
        return None
    try:
        told = datetime.fromisoformat(value)
        told = told if told.tzinfo else told.replace(tzinfo=timezone.utc)
        seconds = told.timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if EARLIEST < seconds < LATEST else None
