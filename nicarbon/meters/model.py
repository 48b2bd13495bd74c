"""The load model: CPU energy from how busy the host was, where no counter is.

    P = TDP · (0.12 + 0.70 · u),    u = busy CPU seconds / (cores · seconds)

Linear in time and in CPU seconds, so that its integral is a counter: windows of
any length add up to the same joules.
"""

from __future__ import annotations

from ..host import Host
from ..ledger import Reading

__all__ = ['LoadModel']


class LoadModel:
    """A counter that a host's clock and its busy CPU seconds move.

    Parameters
    ----------
    host : Host

    Examples
    --------
    >>> host = Host('h', 'X', 2, 1, 8.0, False, 100.0, 'example', 'modelled', 2.0)
    >>> meter = LoadModel(host)
    >>> meter.joules(10.0, 20.0) - meter.joules(0.0, 0.0)
    820.0
    >>> meter.joules(10.0, None) is None
    True
    """

    component = 'cpu'

    def __init__(self, host: Host) -> None:
        self._host = host

    def joules(self, monotonic: float, busy_cpu_seconds: float | None) -> float | None:
        """Joules of all CPUs of the host since its clock began."""
        if busy_cpu_seconds is None:
            return None
        busy = busy_cpu_seconds * self._host.watts_per_busy_core
        return monotonic * self._host.idle_watts + busy

    def reading(self, joules: float | None) -> Reading:
        """What the model saw, with the tier and the interval of the host's TDP."""
        host = self._host
        return Reading(
            self.component,
            joules,
            host.idle_watts,
            'model:tdp-linear',
            host.tier,
            'host',
            host.u_rel,
        )
