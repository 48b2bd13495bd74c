"""What FreeSurfer's recon-all says of itself while it runs: commands and markers.

Every program that it runs is timed by ``fs_time``, whose line is ::

    @#@FSTIME  2023:08:18:12:10:08 mri_convert N 3 e 6.10 S 0.13 U 5.95 P 99% M 110356 …

with the start in local time, ``e`` wall, ``S`` system and ``U`` user seconds and ``M``
the largest resident set in KiB. Every stage begins with a marker, ``#@# Name hemisphere
date``, whose date is that of ``date`` in the process' own locale and time zone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence

from ...entry import Command, Part
from ...stage import HEMIS, Stage

__all__ = ['CALLERS', 'KIB_PER_GB', 'commands', 'failure', 'markers', 'parts']

_COMMAND = re.compile(
    r'@#@FSTIME\s+(\d+:\d+:\d+:\d+:\d+:\d+)\s+(\S+)\s+N\s+\d+'
    r'\s+e\s+([\d.,]+)\s+S\s+([\d.,]+)\s+U\s+([\d.,]+)\s+P\s+\S+\s+M\s+(\d+)'
)
_MARKER = re.compile(
    r'#@# +(\S.*?) +(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\w{3} +\d+ +\d\d:\d\d:\d\d) \S+ (\d{4})'
)
_COMPLAINT = re.compile(
    r'^\s*(?:\S+: )?error\b.*|: (?:No such file|Permission denied)', re.IGNORECASE
)

LAST_LINES = 100
"""Complaints before that belong to programs that went on."""

KIB_PER_GB = 1e9 / 1024

CALLERS = re.compile(r'(?:^|/)(?:recon-all|.*\.cmdf|.*\.sh)$')
"""Programs that run others, each of which is timed on its own."""


def commands(text: str, offset: float = 0.0) -> list[Command]:
    """Programs that recon-all ran, in order of their lines.

    Parameters
    ----------
    text : str
        What it printed, or its log.
    offset : float
        Seconds to add to those since 1970 for the clock that is wanted.

    Returns
    -------
    list of Command

    Examples
    --------
    >>> line = '@#@FSTIME  2023:08:18:12:10:08 mri_convert N 3 e 6.10 S 0.13 U 5.95 P 99% M 110356'
    >>> one, = commands(line)
    >>> one.name, one.seconds, round(one.cpu_seconds, 2), round(one.peak_memory_gb, 3)
    ('mri_convert', 6.1, 6.08, 0.113)
    >>> commands('nothing of the kind')
    []
    """
    found: list[Command] = []
    for began, name, wall, system, user, kib in _COMMAND.findall(text):
        start = _local(began, '%Y:%m:%d:%H:%M:%S') + offset
        start = _after(start, found[-1].start if found else start)
        if found and 0 <= found[-1].start + found[-1].seconds - start < 1:
            # The clock of these lines has whole seconds: one follows the other.
            start = found[-1].start + found[-1].seconds
        used = _number(wall), _number(user), _number(system)
        found.append(Command(name, start, *used, int(kib) / KIB_PER_GB))
    return found


def parts(
    text: str, stages: Sequence[Stage], offset: float = 0.0, end: float | None = None
) -> list[Part]:
    """Stages that recon-all began, by its markers.

    Parameters
    ----------
    text : str
        What it printed under the C locale and in this process' time zone, or its log.
    stages : sequence of Stage
    offset : float
        Seconds to add to those since 1970 for the clock that is wanted.
    end : float, optional
        When recon-all ended, by that clock; the last stage has no length without it.

    Returns
    -------
    list of Part
        Named by the keys of their stages; a stage lasts until the next one begins. What no stage has as a marker belongs to the
        stage before it.

    Examples
    --------
    >>> from nicarbon.stage import stages
    >>> lines = '#@# Smooth1 lh Fri Jun  7 09:46:41 CEST 2024  #@# CA Reg Fri Jun  7 09:46:43 CEST 2024'
    >>> [(part.name, part.seconds) for part in parts(lines, stages('freesurfer', 7))]
    [('smooth1_lh', 2.0), ('careg', 0.0)]
    """
    begun: list[tuple[str, float]] = []
    names = dict(markers(stages))
    for marker, moment, year in _MARKER.findall(text):
        key = names.get(' '.join(marker.split()))
        if key is not None and (not begun or begun[-1][0] != key):
            start = _local(f'{moment} {year}', '%b %d %H:%M:%S %Y') + offset
            begun.append((key, _after(start, begun[-1][1] if begun else start)))
    ends = [start for _, start in begun[1:]] + [start for _, start in begun[-1:]]
    if end is not None and ends:
        ends[-1] = end
    return [
        Part(key, start, max(0.0, end - start))
        for (key, start), end in zip(begun, ends, strict=True)
    ]


def failure(text: str) -> str:
    r"""Why recon-all failed, in one line: its last complaint and its last program.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Empty where it says nothing.

    Examples
    --------
    >>> failure('ERROR: cannot find sub-01\nrecon-all -s sub-01 exited with ERRORS at …')
    'ERROR: cannot find sub-01'
    """
    told = [line.strip() for line in text.splitlines()[-LAST_LINES:] if _COMPLAINT.search(line)]
    ran = [name for _, name, *_ in _COMMAND.findall(text)]
    words = [*told[-1:], f'after {ran[-1]}' if ran else '']
    return ' '.join(word for word in words if word)


def markers(stages: Sequence[Stage]) -> Iterator[tuple[str, str]]:
    """What the log prints, and the key of the stage: of several, the last one's.

    A stage's own title comes after all markers that others print too.

    Parameters
    ----------
    stages : sequence of Stage

    Yields
    ------
    marker, key : str
    """
    told = [(marker, stage) for stage in stages for marker in stage.markers]
    for marker, stage in (*told, *((stage.title, stage) for stage in stages)):
        for hemi in [stage.hemi] if stage.hemi else ['', *HEMIS]:
            yield f'{marker} {hemi}'.rstrip(), stage.key


def _local(moment: str, form: str) -> float:
    """Seconds since 1970 of a local time."""
    return time.mktime(time.strptime(' '.join(moment.split()), form))


def _after(start: float, before: float) -> float:
    """In the night when summer time ends, clocks show one hour twice."""
    return start + 3600 if -3600 <= start - before < -1 else start


def _number(text: str) -> float:
    """Some locales print a comma."""
    return float(text.replace(',', '.'))
