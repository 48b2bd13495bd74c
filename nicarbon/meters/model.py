"""The load model: CPU energy from how busy the host was, where no counter is.

    P = P_idle + (P_peak - P_idle) · u,    u = busy CPU seconds / (cores · seconds)

Both powers are the host's (:mod:`nicarbon.host`). Linear in time and in CPU seconds, so
that its integral is a counter: windows of any length add up to the same joules.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ..entry import Reading
from ..host import U_IDLE_CALIBRATED, Host
from . import Moment, Seen
from .finding import Candidate, Finding

__all__ = ['LoadModel', 'candidates']


def idle_u_rel(host: Host) -> float:
    """Multiplicative uncertainty of a CPU's idle power, as that of what it comes from."""
    return U_IDLE_CALIBRATED if host.power_method == 'model:calibrated' else host.u_rel


class LoadModel:
    """A counter that a host's clock and its busy CPU seconds move.

    Parameters
    ----------
    host : Host

    Examples
    --------
    >>> host = Host('h', 'X', 2, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.5)
    >>> meter = LoadModel(host)
    >>> meter.look(Moment(0.0, 0.0)).joules is None
    True
    >>> meter.look(Moment(10.0, 20.0)).joules
    820.0
    >>> meter.look(Moment(20.0, None)).joules is None
    True
    """

    def __init__(self, host: Host) -> None:
        self.reading = Reading(
            'cpu', None, host.idle_watts, host.power_method, host.tier, 'host', host.u_rel,
            idle_u_rel=idle_u_rel(host),
        )  # fmt: skip
        self._idle_watts, self._busy_watts = host.idle_watts, host.watts_per_busy_core
        self._last: float | None = None

    def look(self, moment: Moment) -> Seen:
        """Joules of all CPUs of the host since the look before."""
        last, self._last = self._last, self._joules(moment)
        if last is None or self._last is None:
            return Seen()
        return Seen(max(0.0, self._last - last))

    def _joules(self, moment: Moment) -> float | None:
        """Since the clock and the count of busy seconds began."""
        if moment.busy_cpu_seconds is None:
            return None
        busy = moment.busy_cpu_seconds * self._busy_watts
        return moment.monotonic * self._idle_watts + busy


def candidates(host: Host) -> Iterable[Candidate]:
    """Always possible.

    Parameters
    ----------
    host : Host

    Yields
    ------
    Candidate
    """
    finding = Finding(
        'cpu', host.power_method, 'available', '', host.tier, host.u_rel, host.power_source
    )
    yield Candidate(finding, partial(LoadModel, host))
