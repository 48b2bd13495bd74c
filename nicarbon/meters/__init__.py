"""How to see energy: one port, the meters behind it, and doubles for tests.

A meter watches one component of the host. Each look tells the joules since the
look before; what it says of the host is split afterwards (:mod:`nicarbon.share`).
One piece of work has meters of its own, since a counter that wraps is followed
from look to look.

===========  ============================================================
``rapl``     CPU and memory: counters of Intel and AMD, by powercap
``perf``     the same counters, by performance events
``hwmon``    CPU: counters and gauges of other kinds; what the node uses
``nvml``     graphics processors of NVIDIA
``model``    the load model: power from how busy the host's CPUs are
``dram``     memory by its size
``survey``   all of them, and which is the best
===========  ============================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from ..entry import Reading, Use
from ..host import Host

__all__ = ['Absent', 'Fake', 'Meter', 'Moment', 'Seen', 'Steady', 'find', 'integral']


class Moment(NamedTuple):
    """When a meter is looked at, and what other clocks say then.

    Parameters
    ----------
    monotonic : float
        Seconds of the host's monotonic clock.
    busy_cpu_seconds : float or None
        Busy CPU seconds of the host since boot; None when they could not be read.
    pids : callable
        Returns the processes of the work that is watched, as a frozenset; those that
        ended since the look before are among them.
    """

    monotonic: float
    busy_cpu_seconds: float | None = None
    pids: Callable[[], frozenset[int]] = frozenset


class Seen(NamedTuple):
    """What a meter saw since the look before.

    Parameters
    ----------
    joules : float or None
        Never negative. None when it could not be seen: on the first look, when the
        counter is gone, frozen, was reset, or may have wrapped more than once.
    use : Use or None
        How much of the component was used; None where that follows CPU seconds.
    """

    joules: float | None = None
    use: Use | None = None


class Meter(Protocol):
    """A counter of joules of one component of the host."""

    @property
    def reading(self) -> Reading:
        """What is seen, how, and how well; its ``joules`` are None."""
        ...

    def look(self, moment: Moment) -> Seen:
        """What was used since the look before.

        Parameters
        ----------
        moment : Moment
            Never before the last one.

        Returns
        -------
        Seen
            Nothing on the first look.
        """
        ...


class Absent:
    """The missing counter is a kind of counter: it has seen nothing.

    Examples
    --------
    >>> Absent('dram').look(Moment(0.0)).joules is None
    True
    """

    def __init__(self, component: str) -> None:
        self.reading = Reading(component, None, None, 'absent', 'assumed', 'host', 1.0)

    def look(self, moment: Moment) -> Seen:  # noqa: ARG002
        """Nothing."""
        return Seen()


class Steady:
    """Power that does not change; who inherits this says how much."""

    _watts: float
    _last: float | None = None

    def look(self, moment: Moment) -> Seen:
        """Watts times the clock."""
        last, self._last = self._last, moment.monotonic
        return Seen() if last is None else Seen(self._watts * (moment.monotonic - last))


class Fake(Steady):
    """A double for tests: a counter that grows by a known number of watts.

    Parameters
    ----------
    watts, idle_watts : float
        Power in watts, and the part of it that is idle power.
    component : str

    Examples
    --------
    >>> meter = Fake(watts=10.0)
    >>> meter.look(Moment(0.0)), meter.look(Moment(2.5))
    (Seen(joules=None, use=None), Seen(joules=25.0, use=None))
    """

    def __init__(self, watts: float, idle_watts: float = 0.0, component: str = 'cpu') -> None:
        self.reading = Reading(component, None, idle_watts, 'fake', 'assumed', 'host', 1.0)
        self._watts = watts


def integral(points: Iterable[tuple[float, float]]) -> float:
    """Joules by power that is known at some moments, with straight lines in between.

    Parameters
    ----------
    points : iterable of (float, float)
        Seconds and watts, in order of time.

    Returns
    -------
    float

    Examples
    --------
    >>> integral([(0.0, 10.0), (2.0, 30.0), (3.0, 30.0)])
    70.0
    """
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


def find(host: Host, *, sysfs: Path | str = '/sys') -> tuple[Meter, ...]:
    """The meters to use on a host, at most one per component.

    What there is to be read is looked for once in a process.

    Parameters
    ----------
    host : Host
    sysfs : path
        Where the kernel shows its counters.

    Returns
    -------
    tuple of Meter
        New ones on every call: one set for each piece of work. To be looked at in this
        order: the last may tell what the node used beside the others.
    """
    from .survey import found, nvidia

    return found(host, str(sysfs)).meters(nvidia())
