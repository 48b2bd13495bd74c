"""What FastSurfer's modules say of themselves while they run: parts and programs.

The networks' logs have no clock, and the banners of recon-surf have none either; so what
counts is when each line was read. Within recon-surf, recon-all prints its own markers, and
``fs_time`` a line for each program; see :mod:`nicarbon.readers.freesurfer.output`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ...entry import Command, Part
from ...stage import Stage
from ..freesurfer import output as recon_all

__all__ = ['Line', 'Turns', 'commands', 'failure', 'parts']

_CALL = re.compile(r'^recon-all ')
_RECON_ALL_ENDS = re.compile(r'^recon-all \S.* (?:finished without error|exited with ERRORS) at')
_PLANE_ENDS = re.compile(r'[Ii]nference on .* finished in')
_COMPLAINT = re.compile(r'^\[?(?:ERROR|CRITICAL)\b|^[\w.]*(?:Error|Exception)\b|^\S+: error: ')
_STATUS = re.compile(r'^recon-all .* exited with ERRORS|^Command (?:exited|terminated) ')

_IGNORED = 'Exception ignored in'

BETWEEN_SECONDS = 0.1
"""What passes between two parts, if it is no longer than that, belongs to the first."""


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


class Turns:
    """Which part of a module begins when, found line by line.

    Parameters
    ----------
    rows : sequence of Stage
        Its parts, with the regular expressions of their markers.
    """

    def __init__(self, rows: Sequence[Stage]) -> None:
        self._patterns = [(re.compile(marker), row) for row in rows for marker in row.markers]
        self._found: list[tuple[str, float]] = []
        self._outer, self._called = '', -1.0

    def read(self, line: Line) -> bool:
        """Read the next line.

        Parameters
        ----------
        line : Line

        Returns
        -------
        bool
            Whether something begins or ends with it.
        """
        moment, text = line
        row = next((row for pattern, row in self._patterns if pattern.search(text)), None)
        if row is not None and text.startswith('#@#'):
            # Of recon-all: what it takes to start is its first stage's.
            self._begin(row.key, moment if self._called < 0 else self._called)
        elif row is not None:
            self._outer = row.key
            self._begin(row.key, moment)
        elif _RECON_ALL_ENDS.search(text):
            self._begin(self._outer, moment)
        elif _PLANE_ENDS.search(text):
            self._begin('', moment)
        elif _CALL.search(text):
            self._called = moment
        else:
            return False
        return True

    def _begin(self, name: str, moment: float) -> None:
        """An empty name is the module itself."""
        self._found.append((name, moment))
        self._called = -1.0

    def parts(self, end: float) -> list[Part]:
        """Parts that were begun.

        Parameters
        ----------
        end : float
            When the module ended, by the clock of the lines.

        Returns
        -------
        list of Part
            Named by the keys of the rows, and in order; a part lasts until the next one
            begins or its own end is told. After a stage of recon-all, the part that
            called it goes on.
        """
        turns = [
            (name, start)
            for (name, start), (_, stop) in itertools.pairwise([*self._found, ('', end)])
            if name or stop - start >= BETWEEN_SECONDS
        ]
        return [
            Part(name, start, stop - start)
            for (name, start), (_, stop) in itertools.pairwise([*turns, ('', end)])
            if name and stop > start
        ]


def parts(lines: Iterable[Line], rows: Sequence[Stage], end: float) -> list[Part]:
    """Parts that a module began, by the markers in its output.

    Parameters
    ----------
    lines : iterable of Line
    rows : sequence of Stage
    end : float
        When it ended, by the same clock.

    Returns
    -------
    list of Part
        See :meth:`Turns.parts`.

    Examples
    --------
    >>> from nicarbon.stage import parts as rows
    >>> lines = [Line(1.0, '[INFO: inference.py:  432]: Run coronal prediction'),
    ...          Line(9.0, '[INFO: …]: Coronal inference on T1.nii.gz finished in 8.0 seconds')]
    >>> parts(lines, rows('fastsurfer', 'asegdkt'), 12.0)
    [Part(name='asegdkt.coronal', start=1.0, seconds=8.0)]
    """
    turns = Turns(rows)
    for line in lines:
        turns.read(line)
    return turns.parts(end)


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
        if not recon_all.CALLERS.search(one.name)
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
    heard = list(_heard(lines))
    for pattern in (_COMPLAINT, _STATUS):
        for text in reversed(heard):
            if pattern.search(text):
                return re.sub(r'^\[\w+: [^]]*\]: ', '', text.strip())
    return ''


def _heard(lines: Iterable[Line]) -> Iterator[str]:
    """What a module said, without what Python itself passed over as it ended."""
    ignored = False
    for _, text in lines:
        if text.startswith(_IGNORED):
            ignored = True
        elif ignored:
            # The last line of a traceback names the exception.
            ignored = not _COMPLAINT.search(text)
        else:
            yield text
