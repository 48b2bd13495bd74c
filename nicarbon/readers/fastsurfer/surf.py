"""What is in a ``recon-surf.log``: programs with their CPU seconds, and parts.

Banners have no clock; programs and the stages of recon-all within have one. What ran for both
hemispheres at once was logged one after the other, so only programs tell when that was.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...entry import Command, Part
from ...stage import parts as rows_of
from ..dates import Zones, dated, seconds_of
from ..freesurfer import output as recon_all
from . import output as fastsurfer
from .output import Line
from .seg import LONGEST_LINE

__all__ = ['Surfaces', 'spread', 'surfaces']

LONGEST_SECONDS = 30 * 86400.0

ASLEEP_SECONDS = 600.0
"""A program that did nothing for less than that may have waited for a disk or a core."""

NOTHING = 1e-6
"""Cores: what is left where rates were added and taken away."""

_THREADS = re.compile(r'\s--threads[ =](\d{1,4})(?!\S)')
_UNAME = re.compile(r'^(?:Linux|Darwin) (\S+) ', re.MULTILINE)
_BUILD = re.compile(r'^freesurfer-\S*?-(\d+\.\d+\.\d+)', re.MULTILINE)
_STAMP = re.compile(r'@#@FSTIME\s+(\d{4}):(\d\d):(\d\d):(\d\d):(\d\d):(\d\d)')
_ENDED = re.compile(r'^Ended   at (.*)$', re.MULTILINE)
_THROUGH = re.compile(r'^recon-surf\.sh .* finished without error at', re.MULTILINE)
_MARK = re.compile(r'^(?:#@# |Ended   at |recon-all .* (?:error|ERRORS) at ).*\d\d:\d\d:\d\d')
"""Lines that end in a date. What both hemispheres print is no later for that."""


class Surfaces(NamedTuple):
    """A run of recon-surf.

    Parameters
    ----------
    began, seconds : float
        Seconds since 1970, and wall time.
    commands : tuple of Command
    parts : tuple of Part
    threads : int
        That it was given.
    both : bool
        Whether both hemispheres were worked on at once.
    ended : bool
        Whether it says that it is through.
    error : str
        Why it failed; empty where it did not, or did not say.
    host, freesurfer : str
        Name of the machine and version; empty where neither is told.
    """

    began: float
    seconds: float
    commands: tuple[Command, ...]
    parts: tuple[Part, ...]
    threads: int
    both: bool
    ended: bool
    error: str
    host: str
    freesurfer: str

    @property
    def cores(self) -> int:
        """That were kept for it."""
        return self.threads * (2 if self.both else 1)


def surfaces(text: str, zones: Zones) -> Surfaces | None:
    """Read a log of recon-surf.

    Parameters
    ----------
    text : str
    zones : Zones

    Returns
    -------
    Surfaces or None
        None where it does not tell when anything ran.
    """
    lines = [line[:LONGEST_LINE] for line in text.splitlines()]
    head = '\n'.join(lines[:30])
    shown = next((found[1] for line in lines[:5] if (found := dated(line))), None)
    begun = None if shown is None else zones.utc(shown)
    # Programs are told by the same clock, without its zone.
    zone = shown.zone if shown is not None else ''
    ahead = zones.ahead(zone) if '@#@FSTIME' in text else 0.0
    told, commands = _moments(lines, begun, ahead, zones)
    known = [line.moment for line in told if line.moment > 0]
    starts = [*(() if begun is None else (begun,)), *(one.start for one in commands)]
    if not starts or not known:
        return None
    began = min(starts)
    ends = [zones.utc(found[1]) for line in _ENDED.findall(text) if (found := dated(line))]
    ended = max([*ends[-1:], *known, *(one.start + one.seconds for one in commands)])
    if not 0 <= ended - began < LONGEST_SECONDS:
        return None
    both = 'in PARALLEL' in text
    rows = [row for row in rows_of('fastsurfer', 'recon-surf') if not (both and row.hemi)]
    through = _THROUGH.search(text) is not None
    threads = [int(found) for found in _THREADS.findall(head)]
    name, build = _UNAME.search(head), _BUILD.search(head)
    return Surfaces(
        began,
        ended - began,
        tuple(sorted(commands, key=lambda one: one.start)),
        tuple(fastsurfer.parts(_in_order(told, began), rows, ended)),
        max(1, *threads[:1], 1),
        both,
        through,
        '' if through else fastsurfer.failure(told)[:300],
        name[1] if name else '',
        build[1] if build else '',
    )


def _moments(
    lines: Sequence[str], begun: float | None, ahead: float, zones: Zones
) -> tuple[list[Line], list[Command]]:
    """Lines with when they were written, as far as they or those before tell; programs."""
    now = begun or 0.0
    told: list[Line] = []
    commands: list[Command] = []
    for line in lines:
        if '@#@FSTIME ' in line:
            one = _command(line, ahead)
            if one is not None:
                now = one.start + one.seconds
                if not recon_all.CALLERS.search(one.name):
                    commands.append(one)
        elif _MARK.match(line):
            shown = dated(line)
            now = now if shown is None else zones.utc(shown[1])
        told.append(Line(now, line))
    return told, commands


def _command(line: str, ahead: float) -> Command | None:
    try:
        one = next(iter(recon_all.commands(line)), None)
    except (ValueError, OverflowError):  # A clock that shows no time.
        return None
    found = _STAMP.search(line)
    if one is None or found is None:
        return None
    start = seconds_of(*found.groups())
    sane = max(one.seconds, one.cpu_seconds / 10_000) < LONGEST_SECONDS
    return one._replace(start=start - ahead) if start is not None and sane else None


def _in_order(told: Sequence[Line], began: float) -> Iterator[Line]:
    latest = began
    for line in told:
        latest = max(latest, line.moment)
        yield Line(latest, line.text)


def spread(one: Surfaces) -> list[tuple[float, float, float]]:
    """CPU seconds over time: between any two moments at which a program or a part begins or ends.

    Parameters
    ----------
    one : Surfaces

    Returns
    -------
    list of (float, float, float)
        Start, seconds and CPU seconds, whose sum is that of all programs; without the time
        in which the machine slept.
    """
    stop = one.began + one.seconds
    if stop == one.began:
        return [(one.began, 0.0, sum(c.cpu_seconds for c in one.commands))]
    quiet = [_asleep(c) for c in one.commands]
    ends = [c.start + max(c.seconds - s, 0.001) for c, s in zip(one.commands, quiet, strict=True)]
    slept = [(end, end + s) for end, s in zip(ends, quiet, strict=True) if s]
    spans = [(c.start, end, c.cpu_seconds) for c, end in zip(one.commands, ends, strict=True)]
    spans = [(min(max(a, one.began), stop), min(max(b, one.began), stop), c) for a, b, c in spans]
    edges = {one.began, stop, *(a for a, _, _ in spans), *(b for _, b, _ in spans)}
    edges |= {min(max(part.start, one.began), stop) for part in one.parts}
    edges |= {min(wakes, stop) for _, wakes in slept}
    steps = sorted(edges)
    index = {edge: number for number, edge in enumerate(steps)}
    # Changes of the rate at each edge, so that it takes one pass however many overlap.
    change = [0.0] * len(steps)
    at_once = [0.0] * len(steps)
    for a, b, cpu in spans:
        if b > a:
            change[index[a]] += cpu / (b - a)
            change[index[b]] -= cpu / (b - a)
        else:
            at_once[max(0, index[a] - 1)] += cpu
    rate, found = 0.0, []
    for number, (a, b) in enumerate(itertools.pairwise(steps)):
        rate += change[number]
        cpu = max(0.0, rate * (b - a)) + at_once[number]
        if cpu > NOTHING * (b - a) or not any(start <= a and b <= end for start, end in slept):
            found.append((a, b - a, cpu))
    return found


def _asleep(one: Command) -> float:
    """Seconds in which a program did nothing, for too long to have waited for a disk."""
    idle = one.seconds - one.cpu_seconds
    return idle if idle >= ASLEEP_SECONDS and 9 * one.cpu_seconds < idle else 0.0
