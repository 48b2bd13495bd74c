"""How far values lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ['Spread', 'spread_of']


@dataclass(frozen=True, slots=True)
class Spread:
    """How far some values lie apart.

    Parameters
    ----------
    median, low, high : float
        In whatever unit the values have.
    name : str
        What low and high are: ``IQR`` from four values on, else ``range``.
    count : int
        Values.
    """

    median: float
    low: float
    high: float
    name: str
    count: int


def spread_of(values: Sequence[float]) -> Spread | None:
    """Median and interquartile range of some values; None if there are none.

    Parameters
    ----------
    values : sequence of float

    Returns
    -------
    Spread or None

    Examples
    --------
    >>> spread_of([1.0, 2.0, 3.0, 4.0, 5.0])
    Spread(median=3.0, low=2.0, high=4.0, name='IQR', count=5)
    >>> spread_of([1.0, 3.0])
    Spread(median=2.0, low=1.0, high=3.0, name='range', count=2)
    """
    if not values:
        return None
    if len(values) < 4:
        return Spread(statistics.median(values), min(values), max(values), 'range', len(values))
    low, median, high = statistics.quantiles(values, n=4, method='inclusive')
    return Spread(median, low, high, 'IQR', len(values))
