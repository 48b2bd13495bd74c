"""What surrounds the numbers on a page: who asked for them, how, and on what."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ..account import Intensity
from ..entry import Entry
from ..host import Host
from ..share import Balance
from ..stage import Stage, stages

__all__ = ['Context', 'Option']


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table of options.

    Parameters
    ----------
    name, value : str
        As the user would write them.
    origin : str
        ``flag``, ``config file``, ``environment`` or ``default``.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Context:
    """Everything on a page that is not a summary.

    Parameters
    ----------
    title : str
        Name of the dataset.
    version : str
        Version of nicarbon.
    command : str
        Command line.
    created : str
        UTC, ISO 8601.
    options : tuple of Option
    hosts : tuple of Host
    runs : tuple of Entry
        Entries of the kind ``run``.
    balances : tuple of Balance
        One per run.
    warnings : tuple of str
    crashes : tuple of (str, str)
        Title and text of each crash file.
    pipeline : tuple of Stage
        What stages are called, in which order they are shown, and what the methods text
        says of them; by default that of the structural pipeline.
    versions : tuple of (str, str)
        Name and version of each package that did the work.
    drawn : tuple of Entry
        The runs that are drawn over time, with their windows, where ``runs`` have none.
    more_crashes : int
        Crash files that are not in ``crashes``.
    elsewhere : tuple of Intensity
        Other grids under which the same joules are shown.
    steps : tuple of (datetime, datetime, float)
        What the grid emitted over time, if that is known: start and stop, aware, and grams
        of CO2e per kWh between them, in order of time. Drawn below the power.
    """

    title: str
    version: str
    command: str
    created: str
    options: tuple[Option, ...] = ()
    hosts: tuple[Host, ...] = ()
    runs: tuple[Entry, ...] = ()
    balances: tuple[Balance, ...] = ()
    warnings: tuple[str, ...] = ()
    crashes: tuple[tuple[str, str], ...] = ()
    pipeline: tuple[Stage, ...] = field(default_factory=lambda: stages('structural'))
    versions: tuple[tuple[str, str], ...] = ()
    elsewhere: tuple[Intensity, ...] = ()
    drawn: tuple[Entry, ...] = ()
    more_crashes: int = 0
    steps: tuple[tuple[datetime, datetime, float], ...] = ()

    @property
    def titles(self) -> dict[str, str]:
        """What people call the stages, by what entries call them, in order."""
        return {stage.key: stage.label for stage in self.pipeline}
