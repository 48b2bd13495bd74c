"""Calls of recon-all, and the turns of their stages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from ...stage import stages, versions
from ..dates import Moment, dated
from .lines import Ran
from .output import markers

__all__ = ['VERSION', 'Call', 'Turn', 'begin_turn', 'header', 'key_of', 'plain', 'went_on']

VERSION = re.compile(r'(?<![\d.])v?(\d{1,2}\.\d{1,2}(?:\.\d{1,2})?)(?![\d.])')
_THREADS = re.compile(r' -(?:threads|openmp|nthreads) +(\d{1,4})(?!\d)')
_HOST = re.compile(r'^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$')

MOST_ARGUMENTS = 2000
"""Characters of a call's arguments that are looked at."""

_SECOND = 'Refine Pial Surfs w/ T2/FLAIR'
"""The title of two stages: the call says which of both."""

_ALIASES = {
    'BA Labels': 'BA_exvivo Labels',
    'Ex-vivo Entorhinal Cortex Label': 'BA_exvivo Labels',
    'AParc-to-ASeg': 'AParc-to-ASeg aparc',
}
"""What 5.3 calls stages that later versions call otherwise."""


@dataclass(slots=True)
class Turn:
    """A stage's turn in a call: from its marker to the next one.

    Parameters
    ----------
    key : str
        Of the stage; empty before the first.
    start : float
        Seconds since 1970, UTC.
    timed, told : list of Ran
        Programs that recon-all timed, and those that told their CPU seconds themselves.
    hemis : list of str
        Of each of ``timed``, the hemisphere that it was about, if that is plain.
    failed : str
        Why it was all made again in the same call; empty when it was not.
    attempt : int
        Tells it from turns of the same stage that were made again.
    """

    key: str
    start: float
    timed: list[Ran] = field(default_factory=list)
    told: list[Ran] = field(default_factory=list)
    hemis: list[str] = field(default_factory=list)
    failed: str = ''
    attempt: int = 0


@dataclass(slots=True)
class Call:
    """One call of recon-all.

    Parameters
    ----------
    at : int
        Where in the log it begins.
    started : float or None
        Seconds since 1970, UTC.
    zone : str
        Time zone of its clock.
    host, version, subject, arguments : str
        Empty where they are not told.
    turns : list of Turn
    stop : float or None
        When it ended; None where the log tells no end.
    error : str or None
        Why it failed; None when it did not.
    last : float
        The last moment of which it told.
    timed : bool
        Whether recon-all timed its programs.
    marks : dict of {str : tuple of int}
        Of each marker, which turn began with it, and where in the log it is.
    had : set of str
        Keys of stages that it began.
    """

    at: int
    started: float | None = None
    zone: str = ''
    host: str = ''
    version: str = ''
    subject: str = ''
    arguments: str = ''
    turns: list[Turn] = field(default_factory=list)
    stop: float | None = None
    error: str | None = None
    last: float = -math.inf
    timed: bool = False
    marks: dict[str, tuple[int, int]] = field(default_factory=dict)
    had: set[str] = field(default_factory=set)

    @property
    def parallel(self) -> bool:
        """Whether both hemispheres run at once."""
        return ' -parallel' in self.arguments

    @property
    def threads(self) -> int:
        """Cores that it was told to use; with ``-parallel``, recon-all itself says 4."""
        found = _THREADS.search(self.arguments)
        return max(1, int(found[1])) if found else 4 if self.parallel else 1

    @property
    def table(self) -> str:
        """The version of the stage table that is nearest to its own."""
        return _table(self.version)


@lru_cache(maxsize=64)
def _table(version: str) -> str:
    major = int(version.partition('.')[0] or 7)
    return min(versions('freesurfer'), key=lambda one: abs(int(one) - major))


@cache
def _names(table: str) -> Mapping[str, tuple[str, ...]]:
    """Markers of a version, and the keys of stages that print them: whose title it is last."""
    names: dict[str, tuple[str, ...]] = {}
    for marker, key in markers(stages('freesurfer', table)):
        names[marker] = (*(one for one in names.get(marker, ()) if one != key), key)
    for old, new in _ALIASES.items():
        for hemi in ('', ' lh', ' rh'):
            if new + hemi in names:
                names.setdefault(old + hemi, names[new + hemi])
    return names


def key_of(call: Call, title: str) -> str:
    """The stage that a marker is of.

    Parameters
    ----------
    call : Call
    title : str
        Of the marker.

    Returns
    -------
    str
        Its key; empty where there is none. What several stages print is of the one that goes
        on, or of the last that the call ran.
    """
    keys = _names(call.table).get(title, ())
    if len(keys) < 2:
        return next(iter(keys), '')
    now = call.turns[-1].key if call.turns else ''
    if now in keys:
        return now
    told = [key for key in keys if f' -{key} ' in call.arguments and title == _SECOND]
    return [*keys, *told, *(key for key in keys if key in call.had)][-1]


def header(region: str, call: Call) -> Moment | None:
    """What a call tells of itself before it works.

    Parameters
    ----------
    region : str
    call : Call
        Learns what it is told.

    Returns
    -------
    Moment
        When it began; None where that is not told.
    """
    shown: Moment | None = None
    for number, line in enumerate(region.replace('\\n', '\n').split('\n')[:80]):
        if line.startswith('#@# ') or (number and 'invocation of recon-all' in line):
            break
        if shown is None:
            told = dated(line)
            if told is not None and (not told[0] or told[0].endswith('invocation of recon-all')):
                shown = told[1]
        elif not call.arguments and line.startswith('-'):
            call.arguments = f' {line.strip()[:MOST_ARGUMENTS]} '
        elif not call.arguments and 'recon-all -' in line:
            told_so = line.partition('recon-all -')[2].strip()
            call.arguments = f' -{told_so[:MOST_ARGUMENTS]} '
        if line.startswith('subjid '):
            call.subject = plain(line[len('subjid ') :], 64)
        elif line.startswith(('Linux ', 'Darwin ')):
            name = line.split()[1:2]
            call.host = name[0] if name and _HOST.match(name[0]) else ''
        elif line.startswith('build-stamp.txt: '):
            found = VERSION.search(line)
            call.version = found[1] if found else ''
    return shown


def begin_turn(call: Call, title: str, key: str, moment: float, at: int, text: str) -> None:
    """Begin the turn of a stage; a marker that comes again may mean that all was in vain.

    Parameters
    ----------
    call : Call
    title : str
        Of the marker.
    key : str
        Of the stage; a marker without one belongs to the stage before it.
    moment : float
    at : int
        Where in the text it is.
    text : str
    """
    turns = call.turns
    if not key and turns and turns[-1].key:
        return
    key = key or _word(title)
    before = call.marks.get(title)
    call.marks[title] = len(turns), at
    if before is not None:
        failed = text.find('***FAILED***', before[1], at)
        if failed >= 0:
            begin = text.rfind('\n', before[1], failed) + 1
            why = plain(text[max(begin, failed - 200) : min(at, failed + 12)])
            for turn in turns[before[0] :]:
                turn.failed, turn.attempt = why, len(turns)
            call.marks = {title: (len(turns), at)}
    elif turns and turns[-1].key == key:
        call.marks[title] = len(turns) - 1, at
        return
    call.had.add(key)
    turns.append(Turn(key, moment))


def went_on(call: Call, moment: float) -> None:
    """In the night when summer time begins, programs seem to start an hour late.

    Parameters
    ----------
    call : Call
    moment : float
        At which all that it ran had ended.
    """
    timed = call.turns[-1].timed if call.turns else []
    for index, ran in enumerate(timed):
        if ran.start is not None and 3540 <= ran.start + (ran.seconds or 0.0) - moment <= 3600:
            timed[index] = ran._replace(start=ran.start - 3600)


def plain(text: str, most: int = 200) -> str:
    r"""Words of somebody's file, on one line and without what a terminal would do.

    Parameters
    ----------
    text : str
    most : int
        Characters.

    Returns
    -------
    str

    Examples
    --------
    >>> plain('ERROR:\tno\x1b[31m such file')
    'ERROR: no [31m such file'
    """
    return ' '.join(''.join(one if one.isprintable() else ' ' for one in text).split())[:most]


def _word(title: str) -> str:
    """Recon-all's own word, where no table has a stage for it."""
    return re.sub('[^0-9A-Za-z]+', '-', title).strip('-').lower()[:40] or 'other'
