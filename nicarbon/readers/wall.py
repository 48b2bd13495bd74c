"""Energy of work of which only wall time and threads are told."""

from __future__ import annotations

from ..entry import Reading
from ..host import Host
from . import Hardware, modelled

__all__ = ['U_ONE_THREAD', 'assumed', 'machine', 'u_of_threads']

U_ONE_THREAD = 2.0
"""Of one thread: it may wait for files half of its time, or start others unasked."""


def u_of_threads(threads: float) -> float:
    """How far CPU seconds may be from wall time times threads, at 95 %.

    Parameters
    ----------
    threads : float
        That a program was given.

    Returns
    -------
    float
        Multiplicative: of many threads, perhaps only one did the work.

    Examples
    --------
    >>> u_of_threads(1.0), u_of_threads(8.0)
    (2.0, 8.0)
    """
    return max(U_ONE_THREAD, threads)


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
    """Energy as if all threads had worked all the time.

    Parameters
    ----------
    host : Host
    seconds : float
        Wall time.
    threads : float
        That may have worked at once.
    cores : float
        That were kept.

    Returns
    -------
    Reading
        ``assumed``, by a method that ends in ``-by-threads``.

    Examples
    --------
    >>> host = Host('h', 'X', 4, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.0)
    >>> one = assumed(host, 10.0, 2.0, 2.0)
    >>> one.joules, one.method, one.tier, round(one.u_rel, 3)
    (410.0, 'model:ccf-by-threads', 'assumed', 2.0)
    """
    u_use = u_of_threads(threads)
    one = modelled(host, seconds * threads, seconds, cores, u_use=u_use, tier='assumed')
    return one._replace(method=f'{one.method}-by-threads')
