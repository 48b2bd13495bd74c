"""What was spent and need not have been, as facts of a ledger.

Cores and memory that were reserved and not used, attempts that failed and were made again,
stages that ran with several numbers of cores, pipelines that ran with a GPU and without. Pure
values; :mod:`nicarbon.findings` and :mod:`nicarbon.devices` make them.

Of the energy of a stage, idle power is charged by what it reserved (policy ``reserved``, see
:mod:`nicarbon.charge`). What is called unused here is of stages that ran to their end only: what
failed or was killed is lost with all that it had, and told elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .account import Footprint
from .spread import Spread

__all__ = ['GRAIN', 'Both', 'Memory', 'Processed', 'Repeats', 'Speed', 'Tried', 'Unused', 'Waste']

GRAIN = 0.05
"""Cores by which a stage may use more than a whole number and still fit in it: what clocks and
the watching itself add to its CPU time (judgement)."""

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory reserved, and the most that was seen in use.

    Parameters
    ----------
    known : int
        Stages that reserved some and told a peak, the largest resident set of any one of their
        programs: the other numbers are of these alone.
    count : int
        Stages that reserved some.
    reserved, peak : float
        GB times seconds: reserved, and as if the peak, or all that was reserved if it was more,
        had been in use all the time.
    """

    known: int
    count: int
    reserved: float
    peak: float

    @property
    def unused(self) -> float:
        """GB times seconds that were never in use, at the least."""
        return self.reserved - self.peak


@dataclass(frozen=True, slots=True)
class Unused:
    """What stages reserved and did not use; reserved = used + unused.

    Parameters
    ----------
    stage : str
        Its key; empty for all together.
    count : int
        Stages that ran to their end and reserved cores.
    reserved : float
        Core-seconds: cores reserved times wall time.
    used : float
        CPU seconds, up to those reserved.
    beyond : float
        CPU seconds beyond those.
    cores : int
        The most cores that any of them had use for, on the mean of its time, in whole ones; 0
        for all together.
    seen : int
        Stages of which idle energy was seen.
    idle : Footprint or None
        Idle energy that was charged for cores reserved and not used: of processors, of the rest
        of the machine, and of memory where none was reserved, which follows the cores then. None
        where none was seen. Idle energy of GPUs follows who holds them, and is not in it.
    spare : Footprint or None
        The part of it that whole cores would have freed which no run of the stage had use for.
    memory : Memory
    """

    stage: str
    count: int
    reserved: float
    used: float
    beyond: float
    cores: int
    seen: int
    idle: Footprint | None
    spare: Footprint | None
    memory: Memory

    @property
    def unused(self) -> float:
        """Core-seconds reserved and not used."""
        return self.reserved - self.used


@dataclass(frozen=True, slots=True)
class Waste:
    """What was reserved and not used, in all and by stage.

    Parameters
    ----------
    total : Unused
    kinds : tuple of Unused
        By stage; those that were charged the most idle energy first.
    """

    total: Unused
    kinds: tuple[Unused, ...]


@dataclass(frozen=True, slots=True)
class Repeats:
    """Attempts that failed or were killed, after which the same was tried again.

    Parameters
    ----------
    count : int
        Attempts that failed.
    works : int
        Pieces of work (subject, session, stage and node) of which they are.
    unseen : int
        Of the attempts, those of which no energy was seen.
    footprint : Footprint
        Of the attempts that were seen: a part of what is lost.
    error : str
        What the most of them said; empty where they said nothing.
    said : int
        How many said so, numbers in it aside.
    """

    count: int
    works: int
    unseen: int
    footprint: Footprint
    error: str
    said: int


@dataclass(frozen=True, slots=True)
class Tried:
    """Runs of a stage with one number of cores.

    Parameters
    ----------
    cores : float
        Reserved.
    count : int
        Runs.
    joules, seconds : float
        Medians.
    """

    cores: float
    count: int
    joules: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Speed:
    """A stage that ran with several numbers of cores on the same machine.

    Parameters
    ----------
    stage : str
    best : Tried
        With the number of cores that took the least energy.
    others : tuple of Tried
        With other numbers, fewest cores first.
    saved : Footprint
        What those would have used less with ``best``: their joules times what medians differ
        by, and between quartiles at either end.
    """

    stage: str
    best: Tried
    others: tuple[Tried, ...]
    saved: Footprint


@dataclass(frozen=True, slots=True)
class Processed:
    """Sessions that a pipeline took from start to end in one run, on one kind of processor.

    Parameters
    ----------
    device : {'cpu', 'gpu'}
        Whether a GPU was held in them at any time.
    joules : Spread
        Of a session.
    seconds : float
        Of the stages of a session, added up: the median.
    of_gpus : float
        The part of all their joules that is of GPUs, from 0 to 1.
    u_rel : float
        Multiplicative uncertainty of their joules at 95 %, by the meters.
    unseen : int
        Of the sessions without one, those of which a stage that holds one elsewhere was where
        no meter saw any: that none was held there, nobody saw.
    footprint : Footprint
        Of all of them.
    """

    device: Literal['cpu', 'gpu']
    joules: Spread
    seconds: float
    of_gpus: float
    u_rel: float
    unseen: int
    footprint: Footprint

    @property
    def joules_per_day(self) -> float:
        """Of such sessions one after another, all day, in J."""
        return self.joules.median / self.seconds * SECONDS_PER_DAY if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Both:
    """A pipeline that ran with a GPU and without: the same stages, seen by like meters.

    Parameters
    ----------
    tool : str
    cpu, gpu : Processed
    same_machine : bool
        Whether all of them were on the same one. What meters err by in common is then in no ratio.
    u_gpu : float
        Multiplicative uncertainty of the joules of GPUs at 95 %.
    """

    tool: str
    cpu: Processed
    gpu: Processed
    same_machine: bool
    u_gpu: float
