"""What the host's own counters say of any time while they are watched."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from types import TracebackType

from ..meters import Meter, Moment

__all__ = ['HostCounter', 'Series']

STEP_SECONDS = 0.2
"""Between two looks: one takes well below a millisecond, and counters that do not move for 0.1 s
count as standing still."""


class Series:
    """A count of joules, known at some moments, with straight lines in between.

    Parameters
    ----------
    begin : float
        The first moment, in seconds.

    Examples
    --------
    >>> series = Series(0.0)
    >>> series.add(1.0, 10.0), series.add(2.0, 30.0)
    (None, None)
    >>> series.between(0.5, 1.5), series.between(0.5, 2.5)
    (20.0, None)
    >>> series.add(3.0, None), series.add(4.0, 5.0)
    (None, None)
    >>> series.between(1.0, 2.0), series.between(1.0, 4.0), series.between(3.0, 4.0)
    (30.0, None, 5.0)
    """

    def __init__(self, begin: float) -> None:
        self._seconds, self._joules, self._gaps = [begin], [0.0], [0]

    def add(self, moment: float, joules: float | None) -> None:
        """So many joules since the moment before; None where they were not seen."""
        self._joules.append(self._joules[-1] + (joules or 0.0))
        self._gaps.append(self._gaps[-1] + (joules is None))
        self._seconds.append(moment)

    def between(self, begin: float, end: float) -> float | None:
        """Joules between two moments; None where not all of that time was seen."""
        if not self._seconds[0] <= begin <= end <= self._seconds[-1]:
            return None
        (first, low), (last, high) = self._at(begin), self._at(end)
        after = min(last + 1, len(self._gaps) - 1) if self._seconds[last] < end else last
        return high - low if self._gaps[after] == self._gaps[first] else None

    def _at(self, moment: float) -> tuple[int, float]:
        """The sample at or before a moment, and the count at that moment."""
        place = bisect_right(self._seconds, moment) - 1
        if place + 1 == len(self._seconds):
            return place, self._joules[place]
        span = self._seconds[place + 1] - self._seconds[place]
        part = (moment - self._seconds[place]) / span if span else 0.0
        step = self._joules[place + 1] - self._joules[place]
        return place, self._joules[place] + part * step


class HostCounter:
    """The counters of this host, looked at five times a second inside the ``with`` block.

    Parameters
    ----------
    meters : sequence of Meter
        Those that count are taken, those that model are left.
    clock : callable
        Seconds of the host's monotonic clock.

    Attributes
    ----------
    readings : tuple of Reading
        What is counted.
    """

    def __init__(
        self, meters: Sequence[Meter], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._meters = [meter for meter in meters if meter.reading.tier == 'measured']
        self.readings = tuple(meter.reading for meter in self._meters)
        self._clock, self._stop = clock, threading.Event()
        self._series = Series(clock())

    def __enter__(self) -> HostCounter:
        self._series = Series(self._look()[0])
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> float | None:
        """Joules of all counters between two moments; None where one of them saw nothing."""
        return self._series.between(begin, end) if self._meters else None

    def _follow(self) -> None:
        last = False
        while not last:
            last = self._stop.wait(STEP_SECONDS)
            self._series.add(*self._look())

    def _look(self) -> tuple[float, float | None]:
        now = self._clock()
        seen = [meter.look(Moment(now)).joules for meter in self._meters]
        whole = [joules for joules in seen if joules is not None]
        return now, sum(whole) if len(whole) == len(seen) else None
