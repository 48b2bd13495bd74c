"""The cost of one scan, projected to all that an experiment runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..account import PUE, Footprint, Intensity, account, total
from ..quantity import JOULES_PER_KWH
from .cost import ScanCost
from .factors import Factors

__all__ = ['AVERAGE_PUE', 'ELSEWHERE', 'U_TRAINING', 'Estimate', 'estimate', 'project', 'under']

SECONDS_PER_DAY = 86_400.0

ELSEWHERE = ('CA-QC', 'FR', 'GB', 'US', 'IN', 'world')
"""Zones under which the same joules are shown: clean ones, and such that are not."""

AVERAGE_PUE = 1.58
"""Of data centres (Uptime Institute's survey of 2023)."""

U_TRAINING = 2.0
"""Factor within which a stated energy of training is thought to lie (judgement): as published
joules of a scan, it comes without word of how it was seen."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What many scans would take.

    Parameters
    ----------
    cost : ScanCost
    scans : float
        Runs included that failed, were repeated, belong to another configuration or were
        trials.
    footprint : Footprint
        Of all of them, and of training.
    days : float
        Days of one job at a time, GPU or not; of training nothing is known.
    gpu_days : float
        Days for which a GPU would be held.
    training_kwh : float or None
        The part of the IT energy that is training's; None where it is not known and not in it.
    jobs : int
        Scans side by side, in what is said of a day.
    """

    cost: ScanCost
    scans: float
    footprint: Footprint
    days: float
    gpu_days: float
    training_kwh: float | None = None
    jobs: int = 1

    @property
    def cpu_days(self) -> float:
        """Days in which no GPU is held."""
        return self.days - self.gpu_days

    @property
    def wall_days(self) -> float:
        """Days after which all is done."""
        return self.days / self.jobs

    @property
    def scans_per_day(self) -> float | None:
        """What the jobs get done in a day; None where nobody knows how long one takes."""
        return SECONDS_PER_DAY / self.cost.seconds * self.jobs if self.cost.seconds else None

    @property
    def per_day(self) -> Footprint | None:
        """What the jobs use in a day, training apart; None where nobody knows how long one takes."""
        scans = self.scans_per_day
        if scans is None:
            return None
        whole = self.footprint
        return account(self.cost.joules * scans, self.cost.u_rel, whole.intensity, whole.pue)

    @property
    def kwh_per_day(self) -> float | None:
        """The same in kWh, facility included."""
        return None if self.per_day is None else self.per_day.kwh


def estimate(
    cost: ScanCost, scans: float, intensity: Intensity, pue: PUE, **more: Any
) -> Estimate:
    """Project the cost of one scan.

    Parameters
    ----------
    cost : ScanCost
    scans : float
    intensity : Intensity
    pue : PUE
    **more
        Further :class:`Factors`: ``configurations``, ``lost``, …

    Returns
    -------
    Estimate

    Raises
    ------
    UsageError
        When one of them makes no sense.

    Examples
    --------
    As published, and with the facility at 1.2 instead of the tracker's 1.58:

    >>> from nicarbon.scenario import published
    >>> quebec = Intensity(30.0, 30.0, 30.0, 'given', '', '', 'average', 'the publication')
    >>> freesurfer = published('freesurfer', 'cpu')
    >>> as_printed = estimate(freesurfer.cost, 10_000, quebec, PUE(1.58))
    >>> round(as_printed.footprint.kwh), round(as_printed.days), int(as_printed.footprint.grams / 1e3)
    (1085, 3471, 32)
    >>> round(estimate(freesurfer.cost, 10_000, quebec, PUE(1.2)).footprint.grams / 1e3, 1)
    24.7

    Of the days "on a GPU", the GPU was held for six:

    >>> gpu = estimate(published('fastsurfer', 'gpu').cost, 10_000, quebec, PUE(1.58))
    >>> round(gpu.days), round(gpu.gpu_days, 2), round(gpu.cpu_days)
    (671, 6.25, 665)
    """
    return project(Factors(cost, scans, intensity, pue, **more))


def project(factors: Factors) -> Estimate:
    """What the factors make together.

    Parameters
    ----------
    factors : Factors

    Returns
    -------
    Estimate
    """
    cost, runs = factors.cost, factors.runs
    parts = [(cost.joules * runs, cost.u_rel)]
    if factors.training_kwh:
        parts.append((factors.training_kwh * JOULES_PER_KWH, U_TRAINING))
    return Estimate(
        cost,
        runs,
        total(parts, factors.intensity, factors.pue),
        cost.seconds * runs / SECONDS_PER_DAY,
        cost.gpu_seconds * runs / SECONDS_PER_DAY,
        factors.training_kwh,
        factors.jobs,
    )


def under(footprint: Footprint, intensity: Intensity) -> Footprint:
    """The same joules under another grid.

    Parameters
    ----------
    footprint : Footprint
    intensity : Intensity

    Returns
    -------
    Footprint
    """
    u_rel = footprint.joules_high / footprint.joules if footprint.joules else 1.0
    return account(footprint.joules, u_rel, intensity, footprint.pue, policy=footprint.policy)
