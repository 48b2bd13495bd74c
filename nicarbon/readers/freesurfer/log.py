"""A log of recon-all that has been: its calls, and what ran in each, stage by stage.

Calls follow one another in one log, and may run at once, line between line. A stage begins
with a marker, see :mod:`nicarbon.readers.freesurfer.output`; what a call does before its first marker
is ``input`` where it is work, and else a part of its first stage. Programs that recon-all timed
tell CPU seconds; others may tell them themselves (``mri_ca_register utimesec 15795.93``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...errors import ReaderError
from ..dates import Zones, dated, seconds_of
from .calls import Call, Turn, begin_turn, header, key_of, plain, went_on
from .lines import rusage, sums, timed
from .output import CALLERS, failure

__all__ = ['Log', 'read_log']

MOST_EVENTS = 50_000
"""More lines of recon-all's own than that are in no log."""

MOST_AT_ONCE = 4
"""Calls that may run at once on one subject, of those that have told no end."""

SAME_SECONDS = 3.0
"""Whole-second clocks, and what a shell needs between two programs."""

TOOK_SECONDS = 15.0
"""A program says for how long it ran: its stage ran longer by no more than that."""

_HEADER = 6000
_BETWEEN = 4000
_LINE = 600

_UTC = re.compile(r'TimeStamp: (\d{4})/(\d\d)/(\d\d)-(\d\d):(\d\d):(\d\d)-GMT')
_SIDE = re.compile(r'\b[lr]h\b')
_MACHINE = re.compile(r'\n(?:Linux|Darwin) (\S{1,80}) ')


class Log(NamedTuple):
    """What is in a log.

    Parameters
    ----------
    calls : tuple of Call
        In order of their beginnings.
    unknown : tuple of str
        Time zones of which it is not known what they are: their clocks are taken as UTC.
    torn : int
        Lines of timed programs that cannot be read.
    """

    calls: tuple[Call, ...]
    unknown: tuple[str, ...]
    torn: int


def read_log(text: str) -> Log:
    r"""Calls of recon-all in a log, or in its list of commands or its status file.

    Parameters
    ----------
    text : str

    Returns
    -------
    Log

    Raises
    ------
    ReaderError
        When this is no log.

    Examples
    --------
    >>> text = '''Fri Jun  7 09:46:37 CEST 2024
    ... #@# Smooth1 lh Fri Jun  7 09:46:41 CEST 2024
    ... @#@FSTIME  2024:06:07:09:46:41 mris_smooth N 7 e 2.10 S 0.13 U 1.95 P 99% M 110356
    ... recon-all -s bert finished without error at Fri Jun  7 09:46:44 CEST 2024
    ... '''
    >>> call, = read_log(text).calls
    >>> call.stop - call.started, [(turn.key, turn.timed[0].name) for turn in call.turns[1:]]
    (7.0, [('smooth1_lh', 'mris_smooth')])
    """
    events = sorted(_events(text))
    found = _Calls(text)
    first = events[0][0] if events and events[0][1] is _Calls.begin else len(text)
    if events and text[:first].strip('#-\\n \r\n'):
        found.begin(0)
    for at, what in events:
        what(found, at)
    calls = tuple(call for call in found.calls if call.turns)
    return Log(calls, tuple(found.zones.unknown), found.torn)


def _events(text: str) -> Iterator[tuple[int, Callable[[_Calls, int], None]]]:
    """Where something is told, and who reads it."""
    count = 0
    for needle, what in _NEEDLES:
        at = text.find(needle)
        while at >= 0:
            count += 1
            if count > MOST_EVENTS:
                raise ReaderError(f'more than {MOST_EVENTS:,} lines of recon-all: this is no log')
            yield at, what
            at = text.find(needle, at + len(needle))


class _Calls:
    """Calls as they are found, line by line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.zones = Zones()
        self.calls: list[Call] = []
        self.torn = 0
        self._live: list[Call] = []
        self._before = 0

    def _line(self, at: int) -> str:
        end = self.text.find('\n', at, at + _LINE)
        return self.text[at : at + _LINE if end < 0 else end]

    def begin(self, at: int) -> None:
        """A call begins."""
        call = Call(at)
        shown = header(self.text[at : at + _HEADER], call)
        if shown is not None:
            stamp = self.text.find('TimeStamp: ', at, at + 4 * _HEADER)
            found = _UTC.match(self.text, stamp) if stamp >= 0 else None
            utc = seconds_of(*found.groups()) if found else None
            if utc is not None:
                self.zones.learn(shown, utc)
            call.zone = shown.zone
            call.started = call.last = self.zones.utc(shown)
            call.turns.append(Turn('', call.started))
        self.calls.append(call)
        self._live = [*self._live[1 - MOST_AT_ONCE :], call]

    def mark(self, at: int) -> None:
        """A stage begins."""
        told = dated(self._line(at + len('#@# ')))
        if told is None or not told[0] or not self._live:
            return
        title, shown = ' '.join(told[0].split()), told[1]
        moment = self.zones.utc(shown)
        call = self._marked_by(moment, at)
        key = key_of(call, title)
        call.zone = shown.zone
        self._before = at
        went_on(call, moment)
        begin_turn(call, title, key, moment, at, self.text)
        call.last = moment

    def _marked_by(self, moment: float, at: int) -> Call:
        """Whose marker this is, if several calls are at work: who was waiting that long."""
        newest = self._live[-1]
        if len(self._live) == 1:
            return newest
        region = self.text[max(self._before, at - _BETWEEN) : at]
        for took in sums(region):
            fit = [one for one in self._live if abs(moment - one.last - took) <= TOOK_SECONDS]
            if len(fit) == 1:
                return fit[0]
        return self._next_at(moment)

    def _next_at(self, moment: float) -> Call:
        """Who was through at that moment; else the last that began."""
        near = [one for one in self._live if abs(moment - one.last) <= SAME_SECONDS]
        return near[0] if len(near) == 1 else self._live[-1]

    def ran(self, at: int) -> None:
        """A program that recon-all timed has ended."""
        if not self._live:
            return
        found = timed(self.text, at)
        if found is None:
            self.torn += 1
            return
        shown, ran = found
        if CALLERS.search(ran.name):
            return
        zone = self._live[-1].zone
        start = shown - self.zones.ahead(zone) if zone else shown
        call = self._live[0] if len(self._live) == 1 else self._next_at(start)
        if -3605 <= start - call.last < -60:
            # In the night when summer time ends, clocks show one hour twice.
            start += 3600
        if not call.turns:
            call.turns.append(Turn('', start))
        turn = call.turns[-1]
        turn.hemis.append(_hemi(self.text, self._before, at) if call.parallel else '')
        call.timed = True
        turn.timed.append(ran._replace(start=start))
        call.last = max(call.last, start + (ran.seconds or 0.0))
        self._before = at

    def used(self, at: int) -> None:
        """A program tells what it used."""
        ran = rusage(self.text, at)
        if ran is None or not self._live or CALLERS.search(ran.name):
            return
        call = self._live[0] if len(self._live) == 1 else self._fitting(at)
        if call.turns:
            call.turns[-1].told.append(ran)

    def _fitting(self, at: int) -> Call:
        """Whose next marker says that it waited for this program: known by that marker."""
        after = self.text.find('#@# ', at)
        told = dated(self._line(after + 4)) if after >= 0 else None
        if told is None:
            return self._live[-1]
        region = self.text[max(0, at - 200) : min(after, at + _BETWEEN)]
        moment = self.zones.utc(told[1])
        for took in sums(region):
            fit = [one for one in self._live if abs(moment - one.last - took) <= TOOK_SECONDS]
            if len(fit) == 1:
                return fit[0]
        return self._live[-1]

    def end(self, at: int) -> None:
        """A call ends as it should."""
        self._end(at, failed=False)

    def fail(self, at: int) -> None:
        """A call ends by an error."""
        self._end(at, failed=True)

    def _end(self, at: int, *, failed: bool) -> None:
        begin = self.text.rfind('\n', max(0, at - _LINE), at) + 1
        told = dated(self._line(at))
        if told is None or not self._live or not self.text.startswith('recon-all ', begin):
            return
        moment = self.zones.utc(told[1])
        call = self._ended(begin)
        call.stop = max(moment, call.last) if moment - call.last > -3600 else moment
        if failed:
            call.error = plain(failure(self.text[max(call.at, begin - 20 * _LINE) : begin]))
        self._live.remove(call)

    def _ended(self, at: int) -> Call:
        """Which one ends: it says when it started, or where it failed."""
        machine = _MACHINE.findall(self.text, max(0, at - _LINE), at)
        here = [one for one in self._live if one.host and one.host in machine[-1:]]
        if len(here) == 1:
            return here[0]
        started = self.text.rfind('Started at ', max(0, at - _LINE), at)
        told = dated(self._line(started)) if started >= 0 else None
        if told is not None:
            moment = self.zones.utc(told[1])
            for one in reversed(self._live):
                if one.started is not None and abs(one.started - moment) <= TOOK_SECONDS:
                    return one
        return self._live[-1]


_NEEDLES: tuple[tuple[str, Callable[[_Calls, int], None]], ...] = (
    ('invocation of recon-all', _Calls.begin),
    ('#@# ', _Calls.mark),
    ('@#@FSTIME ', _Calls.ran),
    (' utimesec ', _Calls.used),
    (' finished without error at ', _Calls.end),
    (' exited with ERRORS at ', _Calls.fail),
)


def _hemi(text: str, begin: int, end: int) -> str:
    """The hemisphere that a program was about, by what it printed last."""
    told = _SIDE.findall(text, max(begin, end - 20 * _BETWEEN), end)
    return told[-1] if told else ''
