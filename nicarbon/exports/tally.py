"""Rows, added up as they pass by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ..host import Host
from .about import Cell, Row, utc

__all__ = ['Runs', 'Tally', 'number']

SUMMED = (
    'energy', 'energy_low', 'energy_high', 'energy_cpu', 'energy_dram', 'energy_gpu',
    'energy_rest', 'carbon', 'carbon_low', 'carbon_high',
)  # fmt: skip
"""Columns that are added up, each over the rows in which it was seen."""


@dataclass(slots=True)
class Tally:
    """Sums of some rows, without the rows. Cached stages are counted, and add nothing.

    Attributes
    ----------
    outcomes : collections.Counter
        Rows by outcome.
    unseen : int
        Rows of work whose energy no meter saw.
    tiers : set of str
    first, last : datetime.datetime or None
        When the first row began, and the last one ended.
    sums : dict of {str : float}
        By column, in its unit, over the rows that have it; a column that none has is absent.
    busy, possible : float
        CPU seconds of the hosts meanwhile: those that were busy, and all that there were.
    loads : bool
        Whether all rows have told these.

    Examples
    --------
    >>> both = Tally()
    >>> both.add({'outcome': 'ran', 'energy': 7.2e6, 'carbon': None})
    >>> both.add({'outcome': 'failed', 'energy': None})
    >>> both.sum('energy'), both.sum('carbon'), both.unseen
    (7200000.0, None, 1)
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    unseen: int = 0
    tiers: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None
    sums: dict[str, float] = field(default_factory=dict)
    busy: float = 0.0
    possible: float = 0.0
    loads: bool = True

    def add(self, row: Row, cores: int | None = None) -> None:
        """Take one row.

        Parameters
        ----------
        row : mapping
        cores : int, optional
            Logical cores of its host, where they are known.
        """
        outcome = str(row['outcome'])
        self.outcomes[outcome] += 1
        if outcome == 'cached':
            return  # Its zero is no sum where nothing else was seen.
        for name in SUMMED:
            value = number(row.get(name))
            if value is not None:
                self.sums[name] = self.sums.get(name, 0.0) + value
        if row.get('tier'):
            self.tiers.add(str(row['tier']))
        self.unseen += row.get('energy') is None
        self._time(row)
        self._load(row, cores)

    def _time(self, row: Row) -> None:
        if row.get('started'):
            start = utc(str(row['started']))
            stop = start + timedelta(seconds=number(row.get('duration')) or 0.0)
            self.first = min(self.first or start, start)
            self.last = max(self.last or stop, stop)

    def _load(self, row: Row, cores: int | None) -> None:
        busy, seconds = number(row.get('host_cpu_time')), number(row.get('duration'))
        if busy is None or seconds is None or cores is None:
            self.loads = False
        else:
            self.busy += busy
            self.possible += cores * seconds

    def take(self, other: Tally) -> None:
        """Take all rows of another tally."""
        self.outcomes += other.outcomes
        self.unseen += other.unseen
        self.tiers |= other.tiers
        firsts, lasts = (self.first, other.first), (self.last, other.last)
        self.first = min(filter(None, firsts), default=None)
        self.last = max(filter(None, lasts), default=None)
        for name, value in other.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.busy += other.busy
        self.possible += other.possible
        self.loads = self.loads and other.loads

    def sum(self, name: str) -> float | None:
        """Sum of a column, in its unit, over the rows that have it; None where none has."""
        return self.sums.get(name)

    @property
    def executed(self) -> int:
        """Number of rows that stand for work: they ran, failed or were killed."""
        return self.outcomes.total() - self.outcomes['cached']

    @property
    def seconds(self) -> float | None:
        """Time from the first start to the last end, in seconds."""
        if self.first is None or self.last is None:
            return None
        return (self.last - self.first).total_seconds()

    @property
    def load(self) -> float | None:
        """Busy part of the host's cores, mean over the time of the rows; None if any lacks it."""
        if not self.loads or not self.possible:
            return None
        # Ticks of the kernel's clock are coarser than short stages.
        return min(1.0, self.busy / self.possible)

    @property
    def tier(self) -> str | None:
        """The weakest of all tiers; None where nothing was seen."""
        known = (tier for tier in ('assumed', 'modelled', 'measured') if tier in self.tiers)
        return next(known, None)


class Runs:
    """A tally for each run on each host.

    Parameters
    ----------
    hosts : iterable of Host
        As far as they are known.
    """

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._cores = {host.name: host.cores for host in hosts}
        self._tallies: dict[tuple[str, str], Tally] = {}

    def add(self, row: Row) -> None:
        """Take one row."""
        run, host = str(row['run_id']), str(row['host'])
        tally = self._tallies.setdefault((run, host), Tally())
        tally.add(row, self._cores.get(host))

    def __iter__(self) -> Iterator[tuple[str, str, Tally]]:
        """Run, host and tally, in order of the first row of each."""
        return ((run, host, tally) for (run, host), tally in self._tallies.items())

    @property
    def whole(self) -> Tally:
        """All of them together."""
        whole = Tally()
        for tally in self._tallies.values():
            whole.take(tally)
        return whole


def number(cell: Cell) -> float | None:
    """A cell as a number; None where it was not seen.

    Parameters
    ----------
    cell : str, float, int or None

    Returns
    -------
    float or None

    Examples
    --------
    >>> number(3), number(None)
    (3.0, None)
    """
    return None if cell is None else float(cell)
