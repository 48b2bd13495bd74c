"""What Nipype's main process wrote of many nodes: its callback's log, its resource monitor.

The callback writes a line whenever a node has ended, also one that was found cached, with
the times of when it ran. The monitor writes at the end of a workflow what it sampled of all
nodes, again also of cached ones. Neither tells folders, and what either says of CPU time is
known to be wrong: it looks at children that it has just met.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ReaderError
from .. import text_of
from .report import EARLIEST, LATEST, Run, moment, seconds_of

__all__ = ['Called', 'Sampled', 'callback', 'monitor', 'place_of']

LONG_MONITOR = 64_000_000
"""Bytes: a week of one node at 1 Hz has that."""

SILENT_SECONDS = 60.0
"""A node that nobody sampled for so long had ended, and was run again."""

MANY_CORES = 10_000

_NUMBERED = re.compile(r'_(.*?)(\d+)$')


class Called(NamedTuple):
    """A run, as the callback's log tells.

    Parameters
    ----------
    name : str
        Of the node, without its workflows.
    identity : str
        With what tells it from others of its name.
    run : Run
    """

    name: str
    identity: str
    run: Run


class Sampled(NamedTuple):
    """A run, as the resource monitor tells.

    Parameters
    ----------
    place : tuple
        See :func:`place_of`.
    run : Run
    """

    place: tuple[str, str, int]
    run: Run


def callback(path: Path) -> tuple[list[Called], int]:
    """Read the log of ``nipype.utils.profiler.log_nodes_cb``.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of Called
        Each run once, however often it was found cached.
    int
        Lines that cannot be read.

    Raises
    ------
    ReaderError
        When it has no line of a node.
    OSError
    """
    found: dict[tuple[str, float], Called] = {}
    lines = [line for line in text_of(path).splitlines() if line.strip()]
    broken = 0
    for line in lines:
        one = _called(line)
        if one is None:
            broken += 1
        elif one.run.began is not None:
            found.setdefault((one.identity, one.run.began), one)
    if lines and broken == len(lines):
        raise ReaderError(f'{path} has no line of a callback of Nipype')
    return list(found.values()), broken


def _called(line: str) -> Called | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get('name'), str):
        return None
    began, seconds = moment(told.get('start')), seconds_of(told.get('duration'))
    cores = told.get('num_threads')
    if not isinstance(cores, int) or not 0 < cores < MANY_CORES:
        cores = 0
    run = Run(seconds or 0.0, began if seconds is not None else None, cores=int(cores))
    identity = told.get('id')
    return Called(told['name'], identity if isinstance(identity, str) else told['name'], run)


def monitor(path: Path) -> list[Sampled]:
    """Read a ``resource_monitor.json``.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of Sampled

    Raises
    ------
    ReaderError
        When it is none.
    OSError
    """
    if path.stat().st_size > LONG_MONITOR:
        raise ReaderError(f'{path} is longer than {LONG_MONITOR:,} bytes: left alone')
    try:
        told = json.loads(text_of(path))
        rows = list(_rows(told))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise ReaderError(f'{path} is no resource monitor of Nipype: {error}') from None
    rows.sort()
    return [
        Sampled((name, params, leaf), Run(stop - start, start, interface=interface))
        for (name, params, leaf, interface), group in itertools.groupby(rows, lambda row: row[:4])
        for start, stop in _bursts([row[4] for row in group])
    ]


def _rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str, int, str, float]]:
    names = ('name', 'params', 'mapnode', 'interface', 'time')
    for name, params, leaf, interface, time in zip(*(told[key] for key in names), strict=True):
        if not EARLIEST < time < LATEST:
            raise ValueError(f'time is {time}')
        yield str(name), str(params), int(leaf), str(interface), float(time)


def _bursts(times: list[float]) -> Iterator[tuple[float, float]]:
    """Stretches in which a node was sampled; those of a cached node are told again."""
    known = sorted(set(times))
    ends = [i for i, (a, b) in enumerate(itertools.pairwise(known), 1) if b - a > SILENT_SECONDS]
    for first, last in itertools.pairwise([0, *ends, len(known)]):
        yield known[first], known[last - 1]


def place_of(base: Path, folder: Path) -> tuple[str, str, int] | None:
    """How the resource monitor calls the node of a folder.

    Parameters
    ----------
    base : pathlib.Path
        In which the workflow's folder lies.
    folder : pathlib.Path

    Returns
    -------
    tuple of (str, str, int) or None
        Its full name, what its iterables were, and its number in its MapNode; None for a
        folder elsewhere.

    Examples
    --------
    >>> place_of(Path('w'), Path('w/top_wf/sub_wf/_subject_id_01/each/mapflow/_each2'))
    ('top_wf.sub_wf.each', '_subject_id_01', 2)
    """
    if not folder.is_relative_to(base):
        return None
    parts = list(folder.relative_to(base).parts)
    leaf = 0
    if parts[-2:-1] == ['mapflow'] and (found := _NUMBERED.fullmatch(parts[-1])):
        leaf, parts = int(found[2][:9]), parts[:-2]
    names = '.'.join(part for part in parts if not part.startswith('_'))
    return names, '_'.join(part for part in parts if part.startswith('_')), leaf
