"""What others published of the cost of a scan, and how large datasets are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ..complexity import networks
from ..errors import UsageError
from ..quantity import JOULES_PER_KWH
from .cost import Architecture, ScanCost

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    'U_PUBLISHED',
    'Dataset',
    'Published',
    'dataset',
    'datasets',
    'published',
    'published_costs',
]

JOULES_PER_WH = JOULES_PER_KWH / 1000

U_PUBLISHED = 2.0
"""Factor within which the published joules of a scan are thought to lie (judgement): the PUE in
them is 1.58 or 1.2 (a factor of 1.32), and their attribution moves with the load of the node
(up to 8.5 between an idle and a full one), of which nothing is known."""


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
    network : str
        Row of the table of networks that its networks are; empty where it has none.
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
    network: str = ''

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
            self.pipeline,
            self.device,
            _architecture(self.network),
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


def _architecture(name: str) -> Architecture | None:
    for one in networks():
        if one.name == name and one.macs is not None:
            return Architecture(
                one.name, one.parameters, one.macs, 'slice of one plane', one.source
            )
    return None


@cache
def _table() -> dict[str, Any]:
    text = (files('nicarbon') / 'data' / 'references.toml').read_text('utf-8')
    return tomllib.loads(text)
