"""Grams: a view of joules under named assumptions.

    grams = kWh · PUE · intensity

A footprint carries the assumptions that it rests on, and an interval that
combines the uncertainties of its factors in log space (independent errors at
95 %), as in the error propagation of products. Nothing here is stored without
them, and nothing here measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from .entry import Tier
from .errors import UsageError
from .quantity import JOULES_PER_KWH, combine

__all__ = ['PUE', 'Footprint', 'Intensity', 'Sums', 'account', 'combine', 'total']


MAX_PUE = 5.0
"""Beyond any facility ever reported; ``--pue 12`` means 1.2."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """What the electricity grid emitted per unit of energy, and who says so.

    Parameters
    ----------
    g_per_kwh, low, high : float
        Grams of CO2 equivalent per kWh, with a 95 % interval.
    zone : str
        ISO 3166 code (``FR``, ``CA-QC``), ``world``, or ``given``.
    start, stop : str
        Period that the value describes, ISO 8601; empty when it has none.
    kind : str
        ``average`` or ``marginal``, with ``lifecycle`` or ``direct`` where known.
    source : str
        Who says so.
    tier : {'measured', 'modelled', 'assumed'}
        ``assumed`` when nobody chose it.
    """

    g_per_kwh: float
    low: float
    high: float
    zone: str
    start: str
    stop: str
    kind: str
    source: str
    tier: Tier = 'modelled'


@dataclass(frozen=True, slots=True)
class PUE:
    """Power usage effectiveness: facility energy over IT energy, at least 1.

    Parameters
    ----------
    value : float
        1.0 with ``origin='unset'`` means: IT energy only.
    origin : {'given', 'unset'}
        Whether somebody said so.

    Raises
    ------
    UsageError
        If it is below 1, which no facility can reach, or so high that a decimal
        point is missing.

    Notes
    -----
    A PUE that a site states is taken as known within a factor of 1.1 [1]_.

    References
    ----------
    .. [1] ISO/IEC 30134-2:2016, *Power usage effectiveness (PUE)*; yearly
       averages by category of measurement vary by about that much.

    Examples
    --------
    >>> PUE(1.2).value
    1.2
    >>> PUE(-1.0)
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: --pue -1: a PUE is 1 or more, and 5 at most (1.58 is ...)
    """

    value: float = 1.0
    origin: Literal['given', 'unset'] = 'given'

    def __post_init__(self) -> None:
        if not 1 <= self.value <= MAX_PUE:
            msg = (
                f'--pue {self.value:g}: a PUE is 1 or more, and {MAX_PUE:g} at most '
                '(1.58 is an average data centre)'
            )
            raise UsageError(msg)

    @property
    def u_rel(self) -> float:
        """Multiplicative uncertainty at 95 %; none where no facility is counted."""
        return 1.1 if self.origin == 'given' and self.value > 1 else 1.0


@dataclass(frozen=True, slots=True)
class Footprint:
    """Energy and carbon of one entry, or of many, with the assumptions made.

    Parameters
    ----------
    joules, joules_low, joules_high : float
        IT energy in joules, with a 95 % interval.
    kwh : float
        Facility energy in kWh: IT energy times PUE.
    grams, low, high : float
        Grams of CO2 equivalent, with a 95 % interval.
    intensity : Intensity
    pue : PUE
    policy : str
        How the joules were attributed.
    """

    joules: float
    joules_low: float
    joules_high: float
    kwh: float
    grams: float
    low: float
    high: float
    intensity: Intensity
    pue: PUE
    policy: str

    @property
    def kwh_bounds(self) -> tuple[float, float]:
        """95 % interval of the facility energy, in kWh."""
        if not self.joules:
            return 0.0, 0.0
        down = combine(_ratio(self.joules, self.joules_low), self.pue.u_rel)
        up = combine(_ratio(self.joules_high, self.joules), self.pue.u_rel)
        return self.kwh / down, self.kwh * up


def account(
    joules: float,
    u_rel: float,
    intensity: Intensity,
    pue: PUE,
    *,
    policy: str = 'reserved',
) -> Footprint:
    """Energy and carbon of some joules.

    Parameters
    ----------
    joules : float
        IT energy in joules.
    u_rel : float
        Its multiplicative uncertainty at 95 %.
    intensity : Intensity
    pue : PUE
    policy : str
        How the joules were attributed; carried along.

    Returns
    -------
    Footprint

    Examples
    --------
    The published FreeSurfer row: 68.7 Wh of IT energy at PUE 1.58 and 30 g/kWh.

    >>> quebec = Intensity(30.0, 30.0, 30.0, 'given', '', '', 'average', 'the command line')
    >>> footprint = account(68.7 * 3600, 1.0, quebec, PUE(1.58))
    >>> round(footprint.grams, 2), round(footprint.kwh, 4)
    (3.26, 0.1085)
    """
    kwh = joules / JOULES_PER_KWH * pue.value
    grams = kwh * intensity.g_per_kwh
    down = combine(u_rel, pue.u_rel, _ratio(intensity.g_per_kwh, intensity.low))
    up = combine(u_rel, pue.u_rel, _ratio(intensity.high, intensity.g_per_kwh))
    return Footprint(
        joules,
        joules / u_rel,
        joules * u_rel,
        kwh,
        grams,
        grams / down,
        grams * up,
        intensity,
        pue,
        policy,
    )


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else 1.0


def total(
    joules: Iterable[tuple[float, float]],
    intensity: Intensity,
    pue: PUE,
    *,
    policy: str = 'reserved',
) -> Footprint:
    """Energy and carbon of many entries together.

    Parameters
    ----------
    joules : iterable of (float, float)
        Joules and multiplicative uncertainty of each. Their errors are taken
        as common (one model, one host), so the bounds add up and nothing
        averages out.
    intensity : Intensity
    pue : PUE
    policy : str

    Returns
    -------
    Footprint

    Examples
    --------
    >>> grid = Intensity(100.0, 50.0, 200.0, 'XX', '', '', 'average', 'example')
    >>> both = total([(3.6e6, 2.0), (3.6e6, 2.0)], grid, PUE())
    >>> both.kwh, both.grams, both.joules_low
    (2.0, 200.0, 3600000.0)
    """
    sums = Sums()
    for value, u_rel in joules:
        sums.add(value, u_rel, intensity)
    return sums.footprint(intensity, pue, policy=policy)


@dataclass(slots=True)
class Sums:
    """What a footprint of many entries is made of: plain sums, in whatever order.

    Parameters
    ----------
    joules, low, high : float
        Joules, and both ends of their intervals.
    weighted, weighted_low, weighted_high : float
        Joules times what the grid emitted in their time, in g/kWh, and both ends of that.
    """

    joules: float = 0.0
    low: float = 0.0
    high: float = 0.0
    weighted: float = 0.0
    weighted_low: float = 0.0
    weighted_high: float = 0.0

    def add(self, joules: float, u_rel: float, intensity: Intensity) -> None:
        """Add an entry.

        Parameters
        ----------
        joules, u_rel : float
            Joules and their multiplicative uncertainty.
        intensity : Intensity
            In its time.
        """
        self.joules += joules
        self.low += joules / u_rel
        self.high += joules * u_rel
        self.weighted += joules * intensity.g_per_kwh
        self.weighted_low += joules * intensity.low
        self.weighted_high += joules * intensity.high

    def footprint(self, intensity: Intensity, pue: PUE, *, policy: str = 'reserved') -> Footprint:
        """The sum as a footprint.

        Parameters
        ----------
        intensity : Intensity
            Of the grid in all of the time: where that of the entries was another, the mean of
            theirs takes its place, weighted by their joules.
        pue : PUE
        policy : str

        Returns
        -------
        Footprint
        """
        grid, mid = self._mean(intensity), self.joules
        # Where uncertainties differ, the bounds of the sum lie unevenly round it.
        up = account(mid, _ratio(self.high, mid), grid, pue, policy=policy)
        down = account(mid, _ratio(mid, self.low), grid, pue, policy=policy)
        return replace(up, joules_low=down.joules_low, low=down.low)

    def _mean(self, whole: Intensity) -> Intensity:
        if not self.joules:
            return whole
        mean, low, high = (
            value / self.joules for value in (self.weighted, self.weighted_low, self.weighted_high)
        )
        if math.isclose(mean, whole.g_per_kwh, rel_tol=1e-9):
            return whole
        return replace(whole, g_per_kwh=mean, low=low, high=high)
