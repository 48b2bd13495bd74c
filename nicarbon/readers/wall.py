"""Energy of work of which only wall time and threads are told."""

from __future__ import annotations

import math

from ..entry import Reading
from ..host import Host
from . import Hardware, modelled

__all__ = ['assumed', 'busy_cores', 'machine', 'u_of_threads']

U_ONE_THREAD = 2.0
"""Of one thread: it may wait for files half of its time, or start others unasked."""

U_ENDS = 1.4
"""Beyond one thread and all of them, between which the truth is: they may wait too."""


def busy_cores(threads: float) -> float:
    """How many cores a program kept busy that was given so many threads.

    Parameters
    ----------
    threads : float

    Returns
    -------
    float
        The geometric mean of one and all of them: perhaps only one did the work, perhaps all
        did, and nobody says.

    Examples
    --------
    >>> busy_cores(1.0), busy_cores(4.0)
    (1.0, 2.0)
    """
    return math.sqrt(threads)


def u_of_threads(threads: float) -> float:
    """How far CPU seconds may be from wall time times :func:`busy_cores`, at 95 %.

    Parameters
    ----------
    threads : float
        That a program was given.

    Returns
    -------
    float
        Multiplicative: reaches from one thread to all of them, and a little beyond.

    Examples
    --------
    >>> u_of_threads(1.0), round(u_of_threads(16.0), 1)
    (2.0, 5.6)
    """
    return max(U_ONE_THREAD, U_ENDS * math.sqrt(threads))


def machine(hardware: Hardware, name: str, threads: int) -> Host:
    """A machine of which nobody says what it is has what was used of it, at least.

    Parameters
    ----------
    hardware : Hardware
    name : str
    threads : int
        The most that something on it was given.

    Returns
    -------
    Host
    """
    host = hardware.host(name)
    if host.tier == 'assumed' and host.cores == 1 < threads:
        return hardware.host(name, cores=threads)
    return host


def assumed(host: Host, seconds: float, threads: float, cores: float) -> Reading:
    """Energy of work of which only wall time and threads are told.

    Parameters
    ----------
    host : Host
    seconds : float
        Wall time.
    threads : float
        That it was given, and that may have worked at once.
    cores : float
        That were kept.

    Returns
    -------
    Reading
        ``assumed``, by a method that ends in ``-by-threads``.

    Examples
    --------
    >>> host = Host('h', 'X', 4, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.0)
    >>> one = assumed(host, 10.0, 4.0, 2.0)
    >>> one.joules, one.method, one.tier, round(one.u_rel, 3)
    (410.0, 'model:ccf-by-threads', 'assumed', 2.8)
    """
    u_use = u_of_threads(threads)
    one = modelled(
        host, seconds * busy_cores(threads), seconds, cores, u_use=u_use, tier='assumed'
    )
    return one._replace(method=f'{one.method}-by-threads')
