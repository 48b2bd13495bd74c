"""What a grid emitted hour by hour: the values of a file, each for its own time.

A value holds from its moment until the next one, and the last of all for one step more. A
mean over any period weighs each value with the time for which it held, to the microsecond.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..account import Intensity
from ..errors import GridError

if TYPE_CHECKING:
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

__all__ = ['U_FORECAST', 'U_MARGINAL', 'U_STEP', 'Step', 'Trace', 'held']

U_STEP = 1.2
"""A published value of the right zone and hour: a factor of 1.2 at 95 %, as for a yearly
average of the right zone. A judgement: factors per kind of plant, imports, and what had to be
estimated lie behind it, and are the same in all hours. So nothing averages out over many."""

U_FORECAST = 1.35
"""A forecast of the same. Those of Great Britain miss by about 10 % on average (N. Powell,
Carbon Intensity Forecast Tracking), which is a factor of 1.25 at 95 %, on top of 1.2."""

U_MARGINAL = 1.5
"""What one kWh more would have emitted is seen by nobody, only modelled: a judgement."""

MOST_HELD = 3
"""Median steps for which a value holds while there is no other. Where there is none for longer
it holds for one, and the rest is a gap: whoever asks for a time in it gets no number."""


class Step(NamedTuple):
    """A stretch of time with one intensity.

    Parameters
    ----------
    start, stop : datetime.datetime
        Aware, UTC.
    g_per_kwh : float
        Grams of CO2 equivalent per kWh.
    """

    start: datetime
    stop: datetime
    g_per_kwh: float


def held(moments: Sequence[tuple[datetime, float]]) -> list[Step]:
    """Steps of values that were noted at moments.

    Parameters
    ----------
    moments : sequence of (datetime.datetime, float)
        In order of time, two at least.

    Returns
    -------
    list of Step
        Side by side but for gaps.

    Examples
    --------
    >>> def at(hour):
    ...     return datetime(2024, 1, 1, hour, tzinfo=timezone.utc)
    >>> steps = held([(at(0), 30.0), (at(1), 40.0), (at(2), 50.0), (at(9), 60.0)])
    >>> [(step.start.hour, step.stop.hour, step.g_per_kwh) for step in steps]
    [(0, 1, 30.0), (1, 2, 40.0), (2, 3, 50.0), (9, 10, 60.0)]
    """
    spans = sorted(after - before for (before, _), (after, _) in pairwise(moments))
    usual = spans[len(spans) // 2]
    steps = []
    for (start, value), (after, _) in pairwise(moments):
        stop = after if after - start <= MOST_HELD * usual else start + usual
        steps.append(Step(start, stop, value))
    start, value = moments[-1]
    return [*steps, Step(start, start + usual, value)]


class Trace:
    """Intensity of one zone over time.

    Parameters
    ----------
    steps : sequence of Step
        In order of time, none over another, one at least.
    name : str
        What messages call it: the name of its file.
    zone, kind, source : str
        As of :class:`nicarbon.account.Intensity`.
    u_rel : float
        Multiplicative uncertainty of each value at 95 %.

    Examples
    --------
    >>> def at(hour, minute=0):
    ...     return datetime(2024, 1, 1, hour, minute, tzinfo=timezone.utc)
    >>> steps = [Step(at(0), at(1), 30.0), Step(at(1), at(2), 60.0)]
    >>> trace = Trace(steps, 'FR.csv', 'FR', 'average, lifecycle', 'FR.csv')
    >>> trace.over(at(0, 30), at(2)).g_per_kwh, trace.over(at(1), at(1)).g_per_kwh
    (50.0, 60.0)
    >>> trace.over(at(1), at(3))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    nicarbon.errors.GridError: --grid FR.csv: it covers 2024-01-01T00:00:00Z to 2024-01-01T02...
    """

    def __init__(
        self,
        steps: Sequence[Step],
        name: str,
        zone: str,
        kind: str,
        source: str,
        *,
        u_rel: float = U_STEP,
    ) -> None:
        self.name, self.zone, self.kind, self.source = name, zone, kind, source
        self.u_rel = u_rel
        self._steps = tuple(steps)
        self._starts = np.array([step.start.timestamp() for step in steps])
        self._stops = np.array([step.stop.timestamp() for step in steps])
        self._values = np.array([step.g_per_kwh for step in steps], dtype=float)
        gaps = self._starts[1:] > self._stops[:-1]
        #: Number of gaps before each step: two moments with the same number have none between.
        self._gaps = np.concatenate([[0], np.cumsum(gaps)])
        lengths = self._stops - self._starts
        #: Grams per kWh times seconds, summed over all steps before each.
        self._sums = np.concatenate([[0.0], np.cumsum(self._values * lengths)])
        self._seconds = float(lengths.sum())

    @property
    def start(self) -> datetime:
        """First moment that it covers, UTC."""
        return self._steps[0].start

    @property
    def stop(self) -> datetime:
        """Moment at which it ends, UTC."""
        return self._steps[-1].stop

    def over(self, start: datetime, stop: datetime) -> Intensity:
        """Mean over a period, each value weighted with the time for which it held.

        Parameters
        ----------
        start, stop : datetime.datetime
            Aware. The same moment twice gives the value that held there.

        Returns
        -------
        Intensity
            Of ``start`` to ``stop``.

        Raises
        ------
        GridError
            Where the trace has no values for a part of the period.
        """
        return self._intensity(self._mean(start.timestamp(), stop.timestamp()), start, stop)

    def whole(self) -> Intensity:
        """Mean over all that the trace covers."""
        return self._intensity(float(self._sums[-1] / self._seconds), self.start, self.stop)

    def cleanest(self, seconds: float) -> Intensity:
        """Mean over the cleanest steps that together last so long, wherever they lie.

        Parameters
        ----------
        seconds : float
            Above 0. Of more than it covers, the mean is that over all.

        Returns
        -------
        Intensity
            Of no time that begins and ends.
        """
        order = np.argsort(self._values, kind='stable')
        lengths = (self._stops - self._starts)[order]
        before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
        taken = np.clip(seconds - before, 0.0, lengths)
        g = float((self._values[order] * taken).sum() / taken.sum())
        return self._intensity(g, self.start, self.stop)

    def means(self, starts: Numbers, stops: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """The same as :meth:`over` for many periods at once.

        Parameters
        ----------
        starts, stops : numpy.ndarray
            POSIX seconds.

        Returns
        -------
        tuple of numpy.ndarray
            Grams per kWh, and their lower and upper bounds at 95 %.

        Raises
        ------
        GridError
            Where the trace has no values for a part of any period.
        """
        g = self._means(np.asarray(starts, dtype=float), np.asarray(stops, dtype=float))
        return g, g / self.u_rel, g * self.u_rel

    def steps(self, start: datetime, stop: datetime) -> tuple[Step, ...]:
        """What held between two moments, for whoever draws it.

        Parameters
        ----------
        start, stop : datetime.datetime
            Aware.

        Returns
        -------
        tuple of Step
            Cut to the period. Where the trace has no values there is no step.
        """
        start, stop = start.astimezone(timezone.utc), stop.astimezone(timezone.utc)
        first = int(np.searchsorted(self._stops, start.timestamp(), 'right'))
        last = int(np.searchsorted(self._starts, stop.timestamp(), 'left'))
        return tuple(
            Step(max(step.start, start), min(step.stop, stop), step.g_per_kwh)
            for step in self._steps[first:last]
        )

    def _mean(self, start: float, stop: float) -> float:
        """One of :meth:`_means`, without what arrays cost."""
        first = bisect_right(self._starts, start) - 1
        last = max(bisect_left(self._starts, stop) - 1, first)
        if (
            first < 0
            or not start <= stop <= self._stops[last]
            or start > self._stops[first]
            or self._gaps[first] != self._gaps[last]
        ):
            raise self._unknown(start, stop)
        if first == last:
            return float(self._values[first])
        ends = self._values[first] * (self._stops[first] - start)
        ends += self._values[last] * (stop - self._starts[last])
        return float((self._sums[last] - self._sums[first + 1] + ends) / (stop - start))

    def _means(self, starts: Numbers, stops: Numbers) -> Numbers:
        first = np.searchsorted(self._starts, starts, 'right') - 1
        # What ends where a step begins has nothing of that step.
        last = np.maximum(np.searchsorted(self._starts, stops, 'left') - 1, first)
        known = (first >= 0) & (starts <= stops) & (stops <= self._stops[last])
        known &= (starts <= self._stops[first]) & (self._gaps[first] == self._gaps[last])
        if not known.all():
            where = int(np.argmin(known))
            raise self._unknown(float(starts.flat[where]), float(stops.flat[where]))
        # Between the first step and the last, which are cut. Where they are one, it is that.
        inner = self._sums[last] - self._sums[np.minimum(first + 1, last)]
        ends = self._values[first] * (self._stops[first] - starts)
        ends += self._values[last] * (stops - self._starts[last])
        seconds = stops - starts
        one = first == last
        mean = (inner + ends) / np.where(one, 1.0, seconds)
        return np.where(one, self._values[first], mean)

    def _intensity(self, g_per_kwh: float, start: datetime, stop: datetime) -> Intensity:
        return Intensity(
            g_per_kwh,
            g_per_kwh / self.u_rel,
            g_per_kwh * self.u_rel,
            self.zone,
            _iso(start),
            _iso(stop),
            self.kind,
            self.source,
        )

    def _unknown(self, start: float, stop: float) -> GridError:
        """What to say of a period that is not covered."""
        asked = f'{_iso(_utc(start))} to {_iso(_utc(stop))}'
        if stop < start:
            return GridError(f'--grid {self.name}: {asked} ends before it starts')
        if start < self._starts[0] or stop > self._stops[-1]:
            return GridError(
                f'--grid {self.name}: it covers {_iso(self.start)} to {_iso(self.stop)}, '
                f'not {asked}; give a trace of that time, or a zone'
            )
        gap = next(
            f'{_iso(before.stop)} to {_iso(after.start)}'
            for before, after in pairwise(self._steps)
            if before.stop < after.start and after.start.timestamp() > start
        )
        return GridError(
            f'--grid {self.name}: it has no values from {gap}, within {asked}; '
            'give a trace that has, or a zone'
        )


def _utc(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)


def _iso(moment: datetime) -> str:
    utc = moment.astimezone(timezone.utc)
    return f'{utc.replace(microsecond=0, tzinfo=None).isoformat()}Z'
