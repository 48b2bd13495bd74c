"""How to see energy: one port, the meters behind it, and doubles for tests.

A meter is a counter of joules that only grows. It is read at both ends of a
window; what it says of the host is split afterwards (:mod:`nicarbon.share`).

==========  =============================================================
``model``   the load model: power from how busy the host's CPUs are
==========  =============================================================
"""

from __future__ import annotations

from typing import Protocol

from ..host import Host
from ..ledger import Reading

__all__ = ['Absent', 'Fake', 'Meter', 'find']


class Meter(Protocol):
    """A counter of joules of one component."""

    component: str
    """``cpu``, ``dram``, ``gpu:<uuid>``, …"""

    def joules(self, monotonic: float, busy_cpu_seconds: float | None) -> float | None:
        """Joules since some fixed moment.

        Parameters
        ----------
        monotonic : float
            The moment of reading, in seconds of the host's monotonic clock.
        busy_cpu_seconds : float or None
            Busy CPU seconds of the host since boot, read at that moment; None
            when they could not be read.

        Returns
        -------
        float or None
            None when the counter could not be read: never 0.
        """
        ...

    def reading(self, joules: float | None) -> Reading:
        """Label what was seen over a window with how it was seen."""
        ...


class Absent:
    """The missing counter is a kind of counter: it has seen nothing.

    Examples
    --------
    >>> Absent('dram').joules(0.0, 0.0) is None
    True
    """

    def __init__(self, component: str) -> None:
        self.component = component

    def joules(self, monotonic: float, busy_cpu_seconds: float | None) -> float | None:  # noqa: ARG002
        """Nothing."""
        return None

    def reading(self, joules: float | None) -> Reading:  # noqa: ARG002
        """A reading that says: not seen."""
        return Reading(self.component, None, None, 'absent', 'assumed', 'host', 1.0)


class Fake:
    """A double for tests: a counter that grows by a known number of watts.

    Parameters
    ----------
    watts, idle_watts : float
        Power in watts, and the part of it that is idle power.
    component : str
    """

    def __init__(self, watts: float, idle_watts: float = 0.0, component: str = 'cpu') -> None:
        self.component = component
        self._watts = watts
        self._idle_watts = idle_watts

    def joules(self, monotonic: float, busy_cpu_seconds: float | None) -> float | None:  # noqa: ARG002
        """Watts times the clock."""
        return self._watts * monotonic

    def reading(self, joules: float | None) -> Reading:
        """A reading that says that it is a fake."""
        return Reading(self.component, joules, self._idle_watts, 'fake', 'assumed', 'host', 1.0)


def find(host: Host) -> tuple[Meter, ...]:
    """The meters to use on a host, at most one per component.

    Parameters
    ----------
    host : Host

    Returns
    -------
    tuple of Meter
    """
    from .model import LoadModel

    return (LoadModel(host),)
