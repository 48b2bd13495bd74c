"""Lines of a log of recon-all in which a program's times stand.

Three kinds are known: what recon-all's own ``fs_time`` prints, ``mri_ca_register utimesec
15795.93`` and its kin by programs themselves, and ``registration took 121 minutes and 14
seconds.``
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from ..dates import seconds_of
from .output import KIB_PER_GB

__all__ = ['Ran', 'rusage', 'sums', 'timed']

_TIMED = re.compile(
    r'@#@FSTIME +(\d{4}):(\d\d?):(\d\d?):(\d\d?):(\d\d?):(\d\d?) +(\S{1,200}) +N +\d{1,9}'
    # Without what follows them, its numbers may be torn.
    r' +e +([\d.,]{1,20}) +S +([\d.,]{1,20}) +U +([\d.,]{1,20}) +P '
    r'(?:\S{1,20} +M +(\d{1,15})(?: +F +\d{1,15} +R +\d{1,15} +W +\d{1,15}'
    r' +c +(\d{1,15}) +w +(\d{1,15}))?)?'
)
_TOOK = re.compile(
    r'took (?:(\d{1,4}) hours?, )?(\d{1,6}(?:\.\d{1,4})?) minutes?(?: and (\d{1,2}) seconds)?'
)
_RUNTIME = re.compile(r'FSRUNTIME@ \S{1,80}(?: [lr]h)? +(\d{1,6}\.\d{1,6}) hours')
_RUSAGE = re.compile(
    r'(\S{1,80}) utimesec +(\d{1,12}\.\d{1,9})\s+\1 stimesec +(\d{1,12}\.\d{1,9})'
    r'(?:\s+\1 ru_maxrss +(\d{1,15}))?'
)
_SWITCHES = re.compile(r' ru_n(?:iv|v)csw +(\d{1,15})')


class Ran(NamedTuple):
    """A program that ran to its end, and what it used.

    Parameters
    ----------
    name : str
    start : float or None
        Seconds since 1970, UTC; None where it is not told.
    seconds : float or None
        Wall time; None where it is not told.
    user_seconds, system_seconds : float
    peak_memory_gb : float or None
    switches : int or None
        How often it gave up its core, or lost it.
    """

    name: str
    start: float | None
    seconds: float | None
    user_seconds: float
    system_seconds: float
    peak_memory_gb: float | None
    switches: int | None

    @property
    def cpu_seconds(self) -> float:
        """CPU time, in seconds."""
        return self.user_seconds + self.system_seconds


def rusage(text: str, at: int) -> Ran | None:
    r"""A program that tells itself what it used.

    Parameters
    ----------
    text : str
    at : int
        Where in it there is the program's ``utimesec``.

    Returns
    -------
    Ran
        None when it cannot be read.

    Examples
    --------
    >>> lines = 'X utimesec    9.5\nX stimesec    0.5\nFSRUNTIME@ X  0.0025 hours 8 threads'
    >>> ran = rusage(lines, 2)
    >>> ran.cpu_seconds, ran.seconds
    (10.0, 9.0)
    """
    begin = text.rfind('\n', max(0, at - 100), at) + 1
    found = _RUSAGE.match(text, begin)
    if found is None:
        return None
    after = text[begin : begin + 1200]
    switches = [int(each) for each in _SWITCHES.findall(after)]
    walls = [*_walls(text[max(0, begin - 200) : begin]), *_walls(after)]
    return Ran(
        found[1],
        None,
        next(iter(walls), None),
        float(found[2]),
        float(found[3]),
        int(found[4]) / KIB_PER_GB if found[4] else None,
        sum(switches[:2]) if switches else None,
    )


def timed(text: str, at: int) -> tuple[float, Ran] | None:
    """A line of fs_time.

    Parameters
    ----------
    text : str
    at : int
        Where in it the line begins.

    Returns
    -------
    float, Ran
        When the program started by its clock, and the program; None when it cannot be read.

    Examples
    --------
    >>> line = '@#@FSTIME  2023:08:18:12:10:08 mri_cc N 3 e 6,10 S 0,13 U 5,95 P 99% M 110356'
    >>> shown, ran = timed(line, 0)
    >>> shown, ran.name, ran.seconds, ran.cpu_seconds
    (1692360608.0, 'mri_cc', 6.1, 6.08)
    >>> timed(line[:60], 0)
    """
    found = _TIMED.match(text, at)
    if found is None:
        return None
    year, month, day, hour, minute, second, name, wall, system, user, peak, *two = found.groups()
    shown = seconds_of(year, month, day, hour, minute, second)
    try:
        used = float(wall), float(user), float(system)
    except ValueError:
        # Some locales print a comma.
        used = _number(wall), _number(user), _number(system)
    if shown is None or not max(used) < 1e12:
        return None
    memory = int(peak) / KIB_PER_GB if peak else None
    switches = int(two[0]) + int(two[1]) if two[1] else None
    return shown, Ran(name, None, *used, memory, switches)


def _number(text: str) -> float:
    """Infinite where it is none."""
    try:
        return float(text.replace(',', '.'))
    except ValueError:
        return math.inf


def _walls(region: str) -> Iterator[float]:
    """In order of their lines."""
    told = [(found.start(), 3600 * float(found[1])) for found in _RUNTIME.finditer(region)]
    for found in _TOOK.finditer(region):
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        told.append((found.start(), 3600 * hours + 60 * minutes + seconds))
    return (seconds for _, seconds in sorted(told))


def sums(region: str) -> list[float]:
    r"""For how long programs say that they ran.

    Parameters
    ----------
    region : str

    Returns
    -------
    list of float
        In seconds, from the last one back: each, and what it took with those after it.

    Examples
    --------
    >>> sums('labeling took 24 minutes and 5 seconds.\nsegmentation took 1.2 minutes')
    [72.0, 1445.0, 1517.0]
    """
    found: list[float] = []
    whole = 0.0
    for took in [*_walls(region)][:-9:-1]:
        whole += took
        found += [took] if took == whole else [took, whole]
    return found
