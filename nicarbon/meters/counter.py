"""Counters of energy that only grow, and the meter that follows some of them.

A counter is shared by all meters of a process, so that one that stands still is known
to all of them; what it showed last is kept by each meter on its own.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Iterable, Sequence

from ..entry import Reading
from ..errors import warn_once
from ..kernel import number
from . import Moment, Seen

__all__ = ['FROZEN_SECONDS', 'Counter', 'CounterMeter', 'FileCounter', 'counted', 'moving']

FROZEN_SECONDS = 0.1
"""A counter that did not move for so long stands still: real ones are renewed every
millisecond, and no processor at rest uses less than a count in a hundred of them."""

SLACK_SECONDS = 0.1
"""How far apart a counter and the clock may be read."""


def counted(before: float, now: float, span: float | None, most: float) -> float | None:
    """How much a counter counted between two looks.

    Parameters
    ----------
    before, now : float
        What it showed.
    span : float or None
        Where it starts anew; None for one that never does.
    most : float
        More than it can have counted in that time.

    Returns
    -------
    float or None
        None when it was reset, or may have started anew more than once.

    Examples
    --------
    >>> counted(900, 950, 1000, 200), counted(900, 30, 1000, 200)
    (50, 130)
    >>> counted(900, 0, 1000, 50), counted(900, 950, 1000, 2000) is None
    (None, True)
    """
    delta = now - before
    if delta < 0:
        if span is None:
            return None
        delta += span
    if not 0 <= delta <= most:
        return None
    if span is not None and delta + span <= most:
        return None
    return delta


class Counter(abc.ABC):
    """A count of microjoules.

    Parameters
    ----------
    path : str
        Where it is.
    span : float or None
        Microjoules after which it starts anew; None for one that never does.
    max_watts : float
        More than it can see.
    """

    patience = FROZEN_SECONDS

    def __init__(self, path: str, span: float | None, max_watts: float) -> None:
        self.path, self.span, self.max_watts = path, span, max_watts
        self._shown: float | None = None
        self._moved = 0.0

    def read(self, now: float) -> float | None:
        """What it shows, in microjoules; None when it cannot be read.

        Parameters
        ----------
        now : float
            Seconds of the host's monotonic clock.

        Returns
        -------
        float or None
        """
        try:
            shown = self._fetch()
        except (OSError, ValueError):
            shown = None
        if shown != self._shown:
            self._shown, self._moved = shown, now
        return shown

    def frozen(self, now: float) -> bool:
        """Whether it has shown the same for too long."""
        return now - self._moved > self.patience

    def most(self, seconds: float) -> float:
        """Microjoules that it cannot have counted in so many seconds."""
        return self.max_watts * (seconds + SLACK_SECONDS) * 1e6

    @abc.abstractmethod
    def _fetch(self) -> float | None:
        """What it shows, in microjoules."""


class FileCounter(Counter):
    """A counter in a file, opened anew each time: that takes microseconds, and leaves
    nothing that threads and forked processes would have to share.

    A count of 0 is no count: virtual machines show it where there is nothing.
    """

    def _fetch(self) -> float | None:
        return number(self.path) or None


class CounterMeter:
    """The sum of some counters; nothing when one of them is not seen.

    Parameters
    ----------
    reading : Reading
    counters : sequence of Counter
    """

    def __init__(self, reading: Reading, counters: Sequence[Counter]) -> None:
        self.reading = reading
        self._counters = tuple(counters)
        self._last: tuple[float, list[float | None]] | None = None

    def look(self, moment: Moment) -> Seen:
        """Joules of all counters since the look before."""
        now = moment.monotonic
        shown = [counter.read(now) for counter in self._counters]
        last, self._last = self._last, (now, shown)
        if last is None:
            return Seen()
        total = 0.0
        for counter, before, after in zip(self._counters, last[1], shown, strict=True):
            if before is None or after is None:
                return Seen()
            part = counted(before, after, counter.span, counter.most(now - last[0]))
            if part is None:
                self._warn(counter, 'was reset, or may have wrapped more than once')
                return Seen()
            if part == 0 and counter.frozen(now):
                self._warn(counter, 'stands still')
                return Seen()
            total += part
        return Seen(total / 1e6)

    def _warn(self, counter: Counter, what: str) -> None:
        told = f'{counter.path} {what}'
        warn_once(told, f'{told}: there is a gap in the energy of {self.reading.component}')


def moving(
    counters: Iterable[Counter],
    sleep: Callable[[float], object],
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Whether all counters count.

    Parameters
    ----------
    counters : iterable of Counter
    sleep : callable
        Waits between two looks; real counters move within two milliseconds.
    clock : callable

    Returns
    -------
    bool
    """
    step = 0.002
    still = {counter: counter.read(clock()) for counter in counters}
    if None in still.values():
        return False
    for _ in range(round(1.5 * FROZEN_SECONDS / step)):
        if not still:
            break
        sleep(step)
        still = {c: shown for c, shown in still.items() if c.read(clock()) == shown}
    return not still
