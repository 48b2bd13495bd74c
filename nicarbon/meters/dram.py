"""Memory by its size, where neither a counter nor a meter of the node sees it.

0.35 W/GB of all that is installed, at rest and at work alike. Boavizta says 0.284,
Green Algorithms 0.3725 and Cloud Carbon Footprint 0.392 W/GB; 30 % around the middle
holds all three.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ..entry import Reading
from ..host import Host
from . import Steady
from .finding import Candidate, Finding

__all__ = ['U_DRAM', 'WATTS_PER_GB', 'DramModel', 'candidates', 'idle_watts']

METHOD = 'model:dram-size'

WATTS_PER_GB = 0.35
U_DRAM = 1.3


def idle_watts(host: Host) -> float:
    """What memory draws when nothing runs: calibrated, or by its size."""
    if host.dram_idle_watts is not None:
        return host.dram_idle_watts
    return WATTS_PER_GB * host.installed_gb


class DramModel(Steady):
    """Power by its size, or as it was calibrated, at all times.

    Parameters
    ----------
    host : Host

    Examples
    --------
    >>> host = Host('h', 'X', 2, 1, 10.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.5)
    >>> from nicarbon.meters import Moment
    >>> meter = DramModel(host)
    >>> meter.look(Moment(0.0)), meter.look(Moment(2.0)).joules
    (Seen(joules=None, use=None), 7.0)
    """

    def __init__(self, host: Host) -> None:
        self._watts = idle_watts(host)
        self.reading = Reading(
            'dram', None, self._watts, METHOD, 'modelled', 'host', U_DRAM, idle_u_rel=U_DRAM
        )


def candidates(host: Host) -> Iterable[Candidate]:
    """Always possible.

    Parameters
    ----------
    host : Host

    Yields
    ------
    Candidate
    """
    why = f'{WATTS_PER_GB:g} W/GB of {host.memory_gb:g} GB'
    finding = Finding('dram', METHOD, 'available', '', 'modelled', U_DRAM, why)
    yield Candidate(finding, partial(DramModel, host))
