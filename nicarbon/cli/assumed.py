"""From joules to grams: what was asked for, ready to be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from ..account import PUE, Intensity
from ..entry import Entry
from ..errors import UsageError
from ..grids import Grid, parse
from ..grids.trace import Step, Trace
from .options import Options

if TYPE_CHECKING:
    from ..columns import Means

__all__ = ['Assumed', 'over']


@dataclass(frozen=True, slots=True)
class Assumed:
    """The grid and the facility that joules are accounted with.

    Parameters
    ----------
    grid : Grid
    pue : PUE
    """

    grid: Grid
    pue: PUE

    @classmethod
    def of(cls, options: Options) -> Assumed:
        """As the options say.

        Raises
        ------
        GridError
            When no table knows the zone.
        UsageError
            When the PUE is none.
        """
        given = options.pue
        return cls(parse(options.grid), PUE(1.0, 'unset') if given is None else PUE(given))

    @classmethod
    def from_now_on(cls, options: Options) -> Assumed:
        """The same for a run that is about to start.

        Raises
        ------
        UsageError
            When a trace ends before: what is measured now could not be accounted for.
        """
        found = cls.of(options)
        if isinstance(found.grid, Trace) and found.grid.stop < datetime.now(timezone.utc):
            raise UsageError(
                f'--grid {options.grid} ends on {found.grid.stop:%Y-%m-%d %H:%M} UTC, before this '
                "run: leave it out now, and give it to 'nicarbon account OUT_DIR --grid "
                "TRACE.csv' when it covers the run"
            )
        return found

    def over(self, entries: Iterable[Entry]) -> Intensity:
        """What the grid emitted in the time of some entries."""
        return over(entries, self.grid)

    @property
    def at(self) -> Callable[[Entry], Intensity] | None:
        """Tells it of an entry; None where the grid is the same at all times."""
        return None if self.means is None else lambda entry: over([entry], self.grid)

    def steps(self, runs: Iterable[Entry]) -> tuple[Step, ...]:
        """What the grid emitted while runs lasted, step by step; none where it is the same."""
        found: dict[Step, None] = {}
        if isinstance(self.grid, Trace):
            for run in runs:
                found |= dict.fromkeys(self.grid.steps(*_period([run])))
        return tuple(sorted(found))

    def cleanest(self, seconds: float) -> Intensity | None:
        """What its cleanest hours emit that last so long; None where no hour is known."""
        if isinstance(self.grid, Trace) and seconds > 0:
            return self.grid.cleanest(seconds)
        return None

    @property
    def means(self) -> Means | None:
        """Tells it of many at once; None where the grid is the same at all times."""
        return self.grid.means if isinstance(self.grid, Trace) else None


def over(entries: Iterable[Entry], grid: Grid) -> Intensity:
    """Intensity of a grid from the first start of entries to their last end.

    Parameters
    ----------
    entries : iterable of Entry
        Without any, the present counts.
    grid : Grid

    Returns
    -------
    Intensity
    """
    return grid.over(*_period(entries))


def _period(entries: Iterable[Entry]) -> tuple[datetime, datetime]:
    """From the first start to the last end."""
    starts, stops = [], []
    for entry in entries:
        started = datetime.fromisoformat(entry.started)
        if started.tzinfo is None:
            started = started.replace(tzinfo=timezone.utc)
        starts.append(started)
        stops.append(started + timedelta(seconds=entry.seconds + entry.suspended_seconds))
    now = datetime.now(timezone.utc)
    return min(starts, default=now), max(stops, default=now)
