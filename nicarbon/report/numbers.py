"""Numbers as pages and figures show them: with a unit, an interval and a tier."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from ..account import Footprint
from ..entry import Tier
from ..quantity import CARBON, ENERGY, with_interval
from ..spread import spread_of
from ..summary import Line, Summary

__all__ = [
    'FENCE_LEAST',
    'TIERS',
    'Number',
    'Scale',
    'carbon_number',
    'duration',
    'energy_number',
    'factor',
    'in_order',
    'is_known',
    'label',
    'overall',
    'percent',
    'scale',
    'unusual',
    'was_seen',
]


TIERS = get_args(Tier)
"""Strongest first."""

FENCE_LEAST = 8
"""Subjects below which no quartile is steady enough to call one unusual."""


@dataclass(frozen=True, slots=True)
class Number:
    """A printed number: value and unit, and apart from them the interval.

    Parameters
    ----------
    text, interval : str
        ``110`` and ``54–220``; the interval is empty where there is none.
    raw : float
        Unrounded, for sorting.
    """

    text: str
    interval: str
    raw: float


@dataclass(frozen=True, slots=True)
class Scale:
    """One unit for a whole column or axis.

    Parameters
    ----------
    size : float
        Of the unit, in joules or grams.
    unit : str
    """

    size: float
    unit: str

    def number(self, value: float, low: float, high: float) -> Number:
        """Round to the interval, in this unit.

        Parameters
        ----------
        value, low, high : float
            In joules or grams.

        Returns
        -------
        Number

        Examples
        --------
        >>> Scale(1.0, 'J').number(108.5, 54.2, 217.0)
        Number(text='110', interval='54–220', raw=108.5)
        """
        if value == 0:
            return Number('0', '', 0.0)
        units = ((self.size, self.unit),)
        text, _, interval = with_interval(value, low, high, units).partition(f' {self.unit}')
        return Number(text, interval.strip(' ()'), value)

    def energy(self, footprint: Footprint) -> Number:
        """The joules of a footprint, in this unit."""
        return self.number(footprint.joules, footprint.joules_low, footprint.joules_high)


def scale(values: Iterable[float], units: tuple[tuple[float, str], ...]) -> Scale:
    """The unit in which the middle one of some values is printed best.

    Parameters
    ----------
    values : iterable of float
        In joules or grams.
    units : tuple of (float, str)
        Largest first.

    Returns
    -------
    Scale

    Examples
    --------
    >>> scale([0.0, 20.0, 30.0, 8000.0], ENERGY)
    Scale(size=1.0, unit='J')
    """
    seen = [value for value in values if value > 0]
    middle = statistics.median(seen) if seen else 1.0
    return Scale(*next(((size, unit) for size, unit in units if middle >= size), units[-1]))


def energy_number(footprint: Footprint) -> tuple[Number, str]:
    """Energy of a footprint in the unit that suits it, and that unit."""
    unit = scale([footprint.joules], ENERGY)
    return unit.energy(footprint), unit.unit


def carbon_number(footprint: Footprint) -> tuple[Number, str]:
    """Mass of CO2 equivalent of a footprint in the unit that suits it, and that unit."""
    unit = scale([footprint.grams], CARBON)
    return unit.number(footprint.grams, footprint.low, footprint.high), unit.unit


def factor(footprint: Footprint) -> float:
    """Multiplicative uncertainty of a footprint's joules at 95 %."""
    return footprint.joules_high / footprint.joules if footprint.joules else 1.0


def in_order(lines: Iterable[Line], order: Iterable[str]) -> list[Line]:
    """Lines in the order of the pipeline; other stages follow as they started.

    Parameters
    ----------
    lines : iterable of Line
        In order of start.
    order : iterable of str
        Stages as entries call them.

    Returns
    -------
    list of Line
    """
    places = {stage: place for place, stage in enumerate(order)}
    return sorted(lines, key=lambda line: places.get(line.share.entry.stage, len(places)))


def label(summary: Summary) -> str:
    """Who a summary is about, as BIDS writes it.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    str
        ``sub-01_ses-1``, or ``dataset``.
    """
    parts = [('sub', summary.subject), ('ses', summary.session)]
    return '_'.join(f'{key}-{value}' for key, value in parts if value) or 'dataset'


def percent(fraction: float) -> str:
    """Print a fraction; what is not all is never rounded to all.

    Parameters
    ----------
    fraction : float

    Returns
    -------
    str

    Examples
    --------
    >>> percent(0.5), percent(0.9996), percent(0.0004), percent(1.0)
    ('50 %', '99.9 %', '0.1 %', '100 %')
    """
    shown = round(100 * fraction, 6)  # A sum of parts may fall short of 1 by its last bit.
    if 0 < shown < 1 or 99 < shown < 100:
        return f'{min(max(shown, 0.1), 99.9):.1f} %'
    return f'{shown:.0f} %'


def duration(seconds: float) -> str:
    """Print a time span.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str

    Examples
    --------
    >>> duration(0.43), duration(12.34), duration(252), duration(11_220)
    ('0.43 s', '12.3 s', '4 min 12 s', '3 h 07 min')
    """
    if seconds < 100:
        return f'{seconds:.{2 if seconds < 10 else 1}f} s'
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f'{minutes} min {rest:02d} s'
    hours, minutes = divmod(round(seconds / 60), 60)
    return f'{hours} h {minutes:02d} min'


def unusual(summaries: Sequence[Summary]) -> list[Summary] | None:
    """Complete subjects beyond 1.5 interquartile ranges from the quartiles (Tukey's fences).

    Parameters
    ----------
    summaries : sequence of Summary

    Returns
    -------
    list of Summary or None
        None when there are too few to tell.
    """
    whole = [summary for summary in summaries if summary.complete]
    spread = spread_of([summary.footprint.joules for summary in whole])
    if spread is None or spread.count < FENCE_LEAST:
        return None
    reach = 1.5 * (spread.high - spread.low)
    return [
        summary
        for summary in whole
        if not spread.low - reach <= summary.footprint.joules <= spread.high + reach
    ]


def is_known(summary: Summary) -> bool:
    """Whether its joules mean anything: a sum over nothing seen is not zero.

    What came from the cache is known to have spent nothing.
    """
    return was_seen(summary) or (bool(summary.count) and not summary.unseen)


def overall(summary: Summary) -> str | None:
    """The weakest tier in a summary; ``cached`` when nothing was spent, None when not seen."""
    if summary.tiers:
        return max(summary.tiers, key=TIERS.index)
    return 'cached' if is_known(summary) else None


def was_seen(summary: Summary) -> bool:
    """Whether a meter saw any of it: a sum over nothing is not zero."""
    return bool(summary.tiers)
