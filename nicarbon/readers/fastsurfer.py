"""What FastSurfer's modules say of themselves while they run: parts and programs.

The networks' logs have no clock, and the banners of recon-surf have none either; so what
counts is when each line was read. Within recon-surf, recon-all prints its own markers, and
``fs_time`` a line for each program; see :mod:`nicarbon.readers.recon_all`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ..entry import Command, Part
from ..stage import Stage
from . import recon_all

__all__ = ['Line', 'commands', 'failure', 'parts', 'turns']

_CALL = re.compile(r'^recon-all ')
_RECON_ALL_ENDS = re.compile(r'^recon-all \S.* (?:finished without error|exited with ERRORS) at')
_PLANE_ENDS = re.compile(r'\w+ inference on .* finished in')
_COMPLAINT = re.compile(r'^\[?(?:ERROR|CRITICAL)\b|^[\w.]*(?:Error|Exception)\b|^\S+: error: ')
_STATUS = re.compile(r'^recon-all .* exited with ERRORS|^Command (?:exited|terminated) ')

CALLERS = re.compile(r'(?:^|/)(?:recon-all|.*\.cmdf|.*\.sh)$')
"""Programs that run others, each of which is timed on its own."""


class Line(NamedTuple):
    """One line of output.

    Parameters
    ----------
    moment : float
        When it was read, in seconds of the host's monotonic clock.
    text : str
    """

    moment: float
    text: str


def parts(lines: Iterable[Line], rows: Sequence[Stage], end: float) -> list[Part]:
    """Parts that a module began, by the markers in its output.

    Parameters
    ----------
    lines : iterable of Line
    rows : sequence of Stage
        Its parts, with the regular expressions of their markers.
    end : float
        When it ended, by the same clock.

    Returns
    -------
    list of Part
        Named by the keys of ``rows``, and in order; a part lasts until the next one begins
        or its own end is told. After a stage of recon-all, the part that called it goes on.

    Examples
    --------
    >>> from nicarbon.stage import parts as rows
    >>> lines = [Line(1.0, '[INFO: inference.py:  432]: Run coronal prediction'),
    ...          Line(9.0, '[INFO: …]: Coronal inference on T1.nii.gz finished in 8.0 seconds')]
    >>> parts(lines, rows('fastsurfer', 'asegdkt'), 12.0)
    [Part(name='asegdkt.coronal', start=1.0, seconds=8.0)]
    """
    patterns = [(re.compile(marker), row) for row in rows for marker in row.markers]
    turns = [*_turns(lines, patterns), ('', end)]
    return [
        Part(name, start, max(0.0, stop - start))
        for (name, start), (_, stop) in itertools.pairwise(turns)
        if name and stop > start
    ]


def _turns(
    lines: Iterable[Line], patterns: Sequence[tuple[re.Pattern[str], Stage]]
) -> Iterator[tuple[str, float]]:
    """What begins when; an empty name is the module itself."""
    outer, called = '', None
    for moment, text in lines:
        row = next((row for pattern, row in patterns if pattern.search(text)), None)
        if row is not None and text.startswith('#@#'):
            # Of recon-all: what it takes to start is its first stage's.
            yield row.key, moment if called is None else called
            called = None
        elif row is not None:
            outer, called = row.key, None
            yield outer, moment
        elif _RECON_ALL_ENDS.search(text):
            called = None
            yield outer, moment
        elif _PLANE_ENDS.search(text):
            yield '', moment
        elif _CALL.search(text):
            called = moment


def turns(rows: Sequence[Stage]) -> Callable[[str], bool]:
    """Of a line: whether a part may begin or end with it.

    Parameters
    ----------
    rows : sequence of Stage
        Parts of a module.

    Returns
    -------
    callable

    Examples
    --------
    >>> from nicarbon.stage import parts as rows
    >>> turns(rows('fastsurfer', 'asegdkt'))('[INFO: run_prediction.py:  400]: Run axial prediction')
    True
    """
    own = (re.compile(marker) for row in rows for marker in row.markers)
    patterns = [*own, _CALL, _RECON_ALL_ENDS, _PLANE_ENDS] if rows else []
    return lambda text: any(pattern.search(text) for pattern in patterns)


def commands(lines: Iterable[Line]) -> list[Command]:
    """Programs that recon-surf ran, in order of their start.

    Parameters
    ----------
    lines : iterable of Line

    Returns
    -------
    list of Command
        Without those that only run others, whose time would count twice.

    Examples
    --------
    >>> told = '@#@FSTIME  2023:08:18:12:10:08 mri_cc N 3 e 46.10 S 0.13 U 45.95 P 99% M 110356'
    >>> commands([Line(100.0, told)])[0].start
    53.9
    """
    found = [
        # Each is told of as it ends; its own clock has whole seconds.
        one._replace(start=moment - one.seconds)
        for moment, text in lines
        if '@#@FSTIME' in text
        for one in recon_all.commands(text)
        if not CALLERS.search(one.name)
    ]
    return sorted(found, key=lambda one: one.start)


def failure(lines: Sequence[Line]) -> str:
    """Why a module failed, in one line.

    Parameters
    ----------
    lines : sequence of Line

    Returns
    -------
    str
        Its last complaint, or what was said of the program that failed; empty where there
        is neither.

    Examples
    --------
    >>> failure([Line(1.0, '[ERROR: run_prediction.py:  430]: T1 image not found'), Line(2.0, '')])
    'T1 image not found'
    """
    for pattern in (_COMPLAINT, _STATUS):
        for _, text in reversed(lines):
            if pattern.search(text):
                return re.sub(r'^\[\w+: [^]]*\]: ', '', text.strip())
    return ''
