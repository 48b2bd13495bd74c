"""What surrounds the numbers on a page: who asked for them, how, and on what."""

from __future__ import annotations

from dataclasses import dataclass

from ..entry import Entry
from ..host import Host
from ..share import Balance

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
    tool : str
        Stage table that the methods text is made of.
    versions : tuple of (str, str)
        Name and version of each package that did the work.
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
    tool: str = 'structural'
    versions: tuple[tuple[str, str], ...] = ()
