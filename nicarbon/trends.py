"""What grew: participants of datasets, papers in a year, arithmetic of a scan in networks.

Facts with their sources, and the assumptions that carry them over to joules, kept apart:
participants are not scans, and a paper that cites a pipeline is not a run of it. What follows
in kWh and tonnes is :mod:`nicarbon.scenario`'s to say.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from .complexity import Compared, networks
from .errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ['Assumption', 'Cohort', 'Planar', 'Series', 'Source']
__all__ += ['assumption', 'citing', 'cohorts', 'planar', 'series']


@dataclass(frozen=True, slots=True)
class Source:
    """Who says so.

    Parameters
    ----------
    cite : str
        Paper, DOI or page.
    caveat : str
        What its numbers do not say.
    """

    cite: str
    caveat: str


@dataclass(frozen=True, slots=True)
class Cohort:
    """How many participants a dataset had in a year.

    Parameters
    ----------
    name : str
    participants : int
        Not scans: many have several, and some of a planned number have none.
    year : int
        In which there were that many.
    source : Source
    kind : {'single', 'consortium'}
        A consortium pools datasets; its groups share participants.
    since : int
        Year of the paper that describes it; 0 where that is ``year``.
    within : str
        Dataset that holds these participants too.
    paper : str
        What the source says describes it.
    """

    name: str
    participants: int
    year: int
    source: Source
    kind: str = 'single'
    since: int = 0
    within: str = ''
    paper: str = ''

    @property
    def growing(self) -> bool:
        """Whether people were still being scanned when it was counted."""
        return self.since not in {0, self.year}


@dataclass(frozen=True, slots=True)
class Series:
    """Papers of a kind, in each year: not in all years up to it.

    Parameters
    ----------
    name : str
    title : str
        What these papers do.
    counts : tuple of (int, int)
        Year, and papers in it.
    open : tuple of int
        Years that were not over when they were counted.
    source : Source
    """

    name: str
    title: str
    counts: tuple[tuple[int, int], ...]
    open: tuple[int, ...]
    source: Source

    @property
    def whole(self) -> tuple[tuple[int, int], ...]:
        """Counts of the years that were over."""
        return tuple((year, papers) for year, papers in self.counts if year not in self.open)


@dataclass(frozen=True, slots=True)
class Planar:
    """A network that sees a scan slice by slice, in three planes.

    Parameters
    ----------
    title : str
    network : nicarbon.complexity.Compared
        Of the axial and coronal plane.
    sagittal_parameters, sagittal_macs : int
        Of the sagittal plane, which has other classes; MACs of one slice.
    slices : int
        In each plane.
    source : Source
    """

    title: str
    network: Compared
    sagittal_parameters: int
    sagittal_macs: int
    slices: int
    source: Source

    @property
    def parameters(self) -> int:
        """Of the three planes together."""
        return 2 * self.network.parameters + self.sagittal_parameters

    @property
    def macs_per_scan(self) -> int:
        """MACs of all slices in all planes."""
        return self.slices * (2 * (self.network.macs or 0) + self.sagittal_macs)


@dataclass(frozen=True, slots=True)
class Assumption:
    """A number that nobody counted, with the range that it is shown for.

    Parameters
    ----------
    name, title : str
    low, middle, high : float
        What is assumed. No interval: none of the three is more likely than another.
    source : Source
        Where the range is from.
    """

    name: str
    title: str
    low: float
    middle: float
    high: float
    source: Source


@cache
def cohorts() -> tuple[Cohort, ...]:
    """Participants of datasets, as tabled.

    Returns
    -------
    tuple of Cohort
        A dataset has a row for each year of which it is known.

    Examples
    --------
    >>> [(one.year, one.participants) for one in cohorts() if one.name == 'UKB']
    [(2016, 5000), (2021, 43000), (2025, 100000)]
    >>> next(one.growing for one in cohorts() if one.name == 'ABCD')
    True
    """
    return tuple(Cohort(**_with_source(row)) for row in _table()['cohort'])


def series(name: str) -> Series:
    """Papers of a kind by year.

    Parameters
    ----------
    name : {'dale', 'fischl', 'learning'}
        Those that cite the one or the other first paper on FreeSurfer, and those on MRI of
        the brain with machine learning.

    Returns
    -------
    Series

    Raises
    ------
    UsageError
        When the table has no such series.

    Examples
    --------
    >>> series('dale').whole[-1]
    (2020, 586)
    >>> series('fastsurfer')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: no series "fastsurfer": there is dale, fischl, learning
    """
    row = _row('series', name)
    counts = tuple((year, papers) for year, papers in row.pop('counts'))
    return Series(**row | {'counts': counts, 'open': tuple(row['open'])})


def citing(year: int) -> tuple[int, int]:
    """Fewest and most papers that can have cited FreeSurfer in a year.

    Parameters
    ----------
    year : int

    Returns
    -------
    fewest : int
        Those of the more cited of its two first papers, if all that cite the other cite it too.
    most : int
        Those of both papers added up, if none cites both.

    Raises
    ------
    UsageError
        When nobody counted that year.

    Examples
    --------
    >>> citing(2020)
    (586, 901)
    >>> citing(1990)
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: citations of FreeSurfer in 1990 are not known: 1999 to 2021 are
    """
    both = [dict(series(name).counts) for name in ('dale', 'fischl')]
    if any(year not in counts for counts in both):
        known = f'{min(both[0])} to {max(both[0])}'
        raise UsageError(f'citations of FreeSurfer in {year} are not known: {known} are')
    found = [counts[year] for counts in both]
    return max(found), sum(found)


@cache
def planar() -> tuple[Planar, ...]:
    """Networks of which is known what they take for a whole scan.

    Returns
    -------
    tuple of Planar

    Examples
    --------
    >>> [(one.title, one.macs_per_scan // 10**9) for one in planar()][1]
    ('FastSurferVINN (v2)', 34948)
    """
    known = {one.name: one for one in networks()}
    rows = (_with_source(row) for row in _table()['planar'])
    return tuple(Planar(**row | {'network': known[row['network']]}) for row in rows)


def assumption(name: str) -> Assumption:
    """What is assumed, and shown to be.

    Parameters
    ----------
    name : {'scans_per_paper', 'scans_per_participant'}

    Returns
    -------
    Assumption

    Raises
    ------
    UsageError
        When the table has no such assumption.

    Examples
    --------
    >>> scans = assumption('scans_per_paper')
    >>> scans.low, scans.middle, scans.high
    (10, 100, 1000)
    """
    return Assumption(**_row('assumption', name))


def _row(kind: str, name: str) -> dict[str, Any]:
    rows = {row['name']: row for row in _table()[kind]}
    if name not in rows:
        raise UsageError(f'no {kind} "{name}": there is {", ".join(rows)}')
    return _with_source(rows[name])


def _with_source(row: dict[str, Any]) -> dict[str, Any]:
    return row | {'source': Source(**_table()['source'][row['source']])}


@cache
def _table() -> dict[str, Any]:
    text = (files('nicarbon') / 'data' / 'trends.toml').read_text('utf-8')
    return tomllib.loads(text)
