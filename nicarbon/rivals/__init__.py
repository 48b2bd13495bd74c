"""The other trackers, on the same run of the same program: one port, one module for each.

====================  ===================================================================
``codecarbon``        the machine; without a counter by a model of its load
``carbontracker``     the machine; without a counter half of a thermal design power
``impact_tracker``    experiment-impact-tracker: a tree of processes, its share of what is active
``eco2ai``            load times a thermal design power
``zeus``              counters at the begin and the end
====================  ===================================================================

These five are read twice: here for what is known of each, and by ``beside``, which runs in
the environment of the tracker and knows nothing of nicarbon. So they import their tracker
where they use it, and else Python's own library.

``environments`` makes these environments, ``held`` is a process that holds a tracker,
``around`` is nicarbon's own, ``race`` is one run of a program beside them, and ``rows`` what
came of all runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Literal

from ..errors import UsageError
from . import carbontracker, codecarbon, eco2ai, impact_tracker, zeus

__all__ = ['RIVALS', 'Rival', 'Scope', 'named', 'pins']

Scope = Literal['machine', 'tree', 'CMD']


@dataclass(frozen=True, slots=True)
class Rival:
    """Another tracker, and how it is used here.

    Parameters
    ----------
    name : str
        As ``--with`` takes it.
    program : pathlib.Path
        The module with its class ``Tracker``: ``start()``, and ``stop()``, which tells what it
        found.
    pins : pathlib.Path
        Requirements of its environment, as pip reads them.
    scope : {'machine', 'tree', 'CMD'}
        Whose energy it tells: that of all that the machine does, of a tree of processes by its
        share, or of the program that is run.
    inside : bool
        Whether it follows its own children alone, so that the program must be one of them.
    slow_start : bool
        Whether its ``start()`` takes a second or so: it is begun before those of the others.
    asks_network : bool
        Whether it asks a server on the internet where this machine is.
    reads, cannot : str
        What it reads, and what it cannot do.
    """

    name: str
    program: Path
    pins: Path
    scope: Scope = 'machine'
    inside: bool = False
    slow_start: bool = False
    asks_network: bool = False
    reads: str = ''
    cannot: str = ''


def pins(name: str) -> Path:
    """The file that pins what the environment of a tracker holds."""
    return Path(str(files('nicarbon') / 'data' / 'rivals' / f'{name}.txt'))


def _rival(module: ModuleType) -> Rival:
    program = Path(str(module.__file__))
    return Rival(
        module.NAME,
        program,
        pins(program.stem),
        module.SCOPE,
        module.INSIDE,
        module.SLOW_START,
        module.ASKS_NETWORK,
        module.READS,
        module.CANNOT,
    )


RIVALS = tuple(map(_rival, (codecarbon, carbontracker, impact_tracker, eco2ai, zeus)))
"""In the order of the table."""


def named(words: Iterable[str]) -> tuple[Rival, ...]:
    """Trackers by name, each once, in the order of the table.

    Parameters
    ----------
    words : iterable of str

    Returns
    -------
    tuple of Rival

    Raises
    ------
    UsageError
        For a name that no tracker has.

    Examples
    --------
    >>> [rival.name for rival in named(['zeus', 'codecarbon', 'zeus'])]
    ['codecarbon', 'zeus']
    >>> named(['scaphandre'])
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: --with scaphandre: no such tracker; there are codecarbon, ...
    """
    wanted = list(words)
    known = {rival.name: rival for rival in RIVALS}
    unknown = [word for word in wanted if word not in known]
    if unknown or not wanted:
        what = ','.join(unknown) or "''"
        raise UsageError(f'--with {what}: no such tracker; there are {", ".join(known)}')
    return tuple(rival for name, rival in known.items() if name in wanted)
