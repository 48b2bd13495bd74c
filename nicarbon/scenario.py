"""What if: other scans, another grid, another facility, from one's own ledger or as published.

Pure functions of the cost of one scan. What a projection rests on is named in it: joules and
seconds of a scan, how far they can be trusted, and who says so.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import median
from typing import Any

from .account import PUE, Footprint, Intensity, account
from .errors import UsageError
from .phases import phases
from .quantity import JOULES_PER_KWH
from .summary import Summary

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    'AVERAGE_PUE',
    'ELSEWHERE',
    'U_PUBLISHED',
    'Dataset',
    'Estimate',
    'Published',
    'ScanCost',
    'dataset',
    'datasets',
    'estimate',
    'of_ledger',
    'published',
    'published_costs',
    'under',
]

SECONDS_PER_DAY = 86_400.0
JOULES_PER_WH = JOULES_PER_KWH / 1000

ELSEWHERE = ('CA-QC', 'FR', 'GB', 'US', 'IN', 'world')
"""Zones under which the same joules are shown: clean ones, and such that are not."""

AVERAGE_PUE = 1.58
"""Of data centres (Uptime Institute's survey of 2023)."""

U_PUBLISHED = 2.0
"""Factor within which the published joules of a scan are thought to lie (judgement): the PUE in
them is 1.58 or 1.2 (a factor of 1.32), and their attribution moves with the load of the node
(up to 8.5 between an idle and a full one), of which nothing is known."""


@dataclass(frozen=True, slots=True)
class ScanCost:
    """What one scan takes.

    Parameters
    ----------
    name : str
        Such as ``FreeSurfer``.
    seconds : float
        Wall time of its job.
    gpu_seconds : float
        Part of it in which a GPU is held.
    joules : float
        IT energy.
    gpu_joules : float
        Part of it that is used while a GPU is held, all components.
    u_rel : float
        Multiplicative uncertainty of the joules at 95 %.
    source : str
    """

    name: str
    seconds: float
    gpu_seconds: float
    joules: float
    gpu_joules: float
    u_rel: float
    source: str


@dataclass(frozen=True, slots=True)
class Published:
    """A published cost, as printed, with what it holds.

    Parameters
    ----------
    name, pipeline, device : str
    hours, hours_sd : float
        Wall time of a scan, mean and standard deviation over scans.
    facility_wh, facility_wh_sd : float
        Energy in Wh, facility included.
    grams, grams_sd : float
        Of CO2 equivalent.
    pue, g_per_kwh : float
        Contained in them.
    gpu_seconds, gpu_facility_wh : float
        Part of it in which the GPU was held.
    scans : int
    projected_days, projected_kg : float
        The published projection of 10,000 scans.
    source, caveat : str
    """

    name: str
    pipeline: str
    device: str
    hours: float
    hours_sd: float
    facility_wh: float
    facility_wh_sd: float
    grams: float
    grams_sd: float
    pue: float
    g_per_kwh: float
    scans: int
    projected_days: float
    projected_kg: float
    source: str
    caveat: str
    gpu_seconds: float = 0.0
    gpu_facility_wh: float = 0.0

    @property
    def cost(self) -> ScanCost:
        """IT energy: what was printed, less the facility that it holds."""
        return ScanCost(
            self.name,
            self.hours * 3600,
            self.gpu_seconds,
            self.facility_wh * JOULES_PER_WH / self.pue,
            self.gpu_facility_wh * JOULES_PER_WH / self.pue,
            U_PUBLISHED,
            f'published: {self.source}',
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """How large a dataset is.

    Parameters
    ----------
    name, title : str
    participants : int
        Not scans.
    source : str
    """

    name: str
    title: str
    participants: int
    source: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What many scans would take.

    Parameters
    ----------
    cost : ScanCost
    scans : float
        Runs included that failed, were repeated or belong to another configuration.
    footprint : Footprint
        Of all of them.
    days : float
        Days of one job at a time, GPU or not.
    gpu_days : float
        Days for which a GPU would be held.
    """

    cost: ScanCost
    scans: float
    footprint: Footprint
    days: float
    gpu_days: float

    @property
    def cpu_days(self) -> float:
        """Days in which no GPU is held."""
        return self.days - self.gpu_days

    @property
    def scans_per_day(self) -> float:
        """What one job at a time gets done in a day."""
        return SECONDS_PER_DAY / self.cost.seconds

    @property
    def kwh_per_day(self) -> float:
        """What one job at a time uses in a day, facility included."""
        return self.footprint.kwh / self.days if self.days else 0.0


def estimate(
    cost: ScanCost,
    scans: float,
    intensity: Intensity,
    pue: PUE,
    *,
    configurations: int = 1,
    lost: float = 0.0,
) -> Estimate:
    """Project the cost of one scan.

    Parameters
    ----------
    cost : ScanCost
    scans : float
    intensity : Intensity
    pue : PUE
    configurations : int
        Ways in which each scan is processed (a multiverse analysis has several).
    lost : float
        Fraction of all runs that fails or is repeated, 0 to below 1.

    Returns
    -------
    Estimate

    Raises
    ------
    UsageError
        When there is less than one scan or configuration, or no end of them, or everything is
        lost.

    Examples
    --------
    As published, and with the facility at 1.2 instead of the tracker's 1.58:

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
    if not (1 <= scans < math.inf and configurations >= 1):
        raise UsageError(
            f'{scans:g} scans, {configurations} configurations: an estimate needs one scan and one '
            'configuration at least, and a finite number of them'
        )
    if not 0 <= lost < 1:
        raise UsageError(f'--lost {lost:g}: a fraction of the runs, from 0 to below 1')
    runs = scans * configurations / (1 - lost)
    return Estimate(
        cost,
        runs,
        account(cost.joules * runs, cost.u_rel, intensity, pue),
        cost.seconds * runs / SECONDS_PER_DAY,
        cost.gpu_seconds * runs / SECONDS_PER_DAY,
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


def of_ledger(name: str, sessions: Iterable[Summary]) -> ScanCost | None:
    """The median cost of a scan in one's own ledger.

    Parameters
    ----------
    name : str
        What to call it.
    sessions : iterable of Summary
        One per session; those count whose every stage ran to its end and was seen.

    Returns
    -------
    ScanCost or None
        None where no session does. The factor is that of the sessions' joules, wider by
        how far they lie apart.
    """
    whole = [one for one in sessions if one.footprint.joules and one.complete]
    if not whole:
        return None
    # What was lost on the way is no part of what a scan costs: ``lost`` says how much that is.
    ran = [[line for line in one.lines if line.share.entry.outcome == 'ran'] for one in whole]
    apart = [phases(lines) for lines in ran]
    return ScanCost(
        name,
        median(sum(line.share.entry.seconds for line in lines) for lines in ran),
        median(each.gpu_seconds if each else 0.0 for each in apart),
        median(one.footprint.joules - one.lost.joules for one in whole),
        median(each.gpu.footprint.joules if each else 0.0 for each in apart),
        max(one.footprint.joules_high / one.footprint.joules for one in whole),
        f'own ledger: median of {len(whole)} scan{"s" if len(whole) != 1 else ""}',
    )


def published(pipeline: str, device: str = 'cpu') -> Published:
    """The published cost of a pipeline.

    Parameters
    ----------
    pipeline : {'freesurfer', 'fastsurfer'}
    device : {'cpu', 'gpu'}

    Returns
    -------
    Published

    Raises
    ------
    UsageError
        When nobody published it.

    Examples
    --------
    >>> published('fastsurfer', 'gpu').facility_wh
    26.7
    >>> published('freesurfer', 'gpu')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: no published cost of freesurfer on gpu: there is freesurfer on cpu, fastsurfer on cpu, fastsurfer on gpu
    """
    rows = published_costs()
    for row in rows:
        if (row.pipeline, row.device) == (pipeline, device):
            return row
    known = ', '.join(f'{row.pipeline} on {row.device}' for row in rows)
    raise UsageError(f'no published cost of {pipeline} on {device}: there is {known}')


def dataset(name: str) -> Dataset:
    """A dataset by its name, whatever its case.

    Parameters
    ----------
    name : str

    Returns
    -------
    Dataset

    Raises
    ------
    UsageError
        When it is not known.

    Examples
    --------
    >>> dataset('ukb').participants
    100000
    """
    for one in datasets():
        if one.name.lower() == name.lower():
            return one
    known = ', '.join(one.name for one in datasets())
    raise UsageError(f'--dataset {name} is not known: give --scans, or one of {known}')


@cache
def datasets() -> tuple[Dataset, ...]:
    """All datasets of the table, largest first.

    Returns
    -------
    tuple of Dataset
    """
    return tuple(Dataset(**row) for row in _table()['dataset'])


@cache
def published_costs() -> tuple[Published, ...]:
    """All published costs of the table.

    Returns
    -------
    tuple of Published
    """
    return tuple(Published(**row) for row in _table()['cost'])


@cache
def _table() -> dict[str, Any]:
    text = (files('nicarbon') / 'data' / 'references.toml').read_text('utf-8')
    return tomllib.loads(text)
