"""How components were seen: many readings as one line for each way of seeing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .entry import Reading, Tier

__all__ = ['Sight', 'merged', 'sight']


class Sight(NamedTuple):
    """All readings of one component by one method.

    Parameters
    ----------
    component, method : str
        As in :class:`nicarbon.entry.Reading`.
    tier : {'measured', 'modelled', 'assumed'}
    u_rel : float
        The widest multiplicative uncertainty at 95 %.
    coverage : float
        The least part of the time in which it was seen.
    idle_u_rel : float
        The widest uncertainty of an idle power that was not counted; 1 where none matters.
    readings, blind : int
        How many there are, and how many of them saw nothing.
    """

    component: str
    method: str
    tier: Tier
    u_rel: float = 1.0
    coverage: float = 1.0
    idle_u_rel: float = 1.0
    readings: int = 0
    blind: int = 0

    @property
    def seen(self) -> bool:
        """Whether any of them saw something."""
        return self.readings > self.blind


def sight(reading: Reading) -> Sight:
    """One reading as such a line.

    Parameters
    ----------
    reading : Reading

    Returns
    -------
    Sight

    Examples
    --------
    >>> sight(Reading('cpu', None, None, 'rapl', 'measured', 'host', 1.08))
    Sight(component='cpu', method='rapl', tier='measured', u_rel=1.0, coverage=1.0, idle_u_rel=1.0, readings=1, blind=1)
    """
    what = reading.component, reading.method, reading.tier
    if reading.joules is None:
        return Sight(*what, readings=1, blind=1)
    # What a model says of a host at rest is in its own factor.
    counted = reading.tier == 'measured' and bool(reading.idle_watts)
    idle = reading.idle_u_rel if counted else 1.0
    return Sight(*what, reading.u_rel, reading.coverage, idle, 1)


def merged(sights: Iterable[Sight]) -> tuple[Sight, ...]:
    """Lines of one component, method and tier as one.

    Parameters
    ----------
    sights : iterable of Sight

    Returns
    -------
    tuple of Sight
        In order of first appearance.

    Examples
    --------
    >>> a = Sight('cpu', 'rapl', 'measured', 1.08, 1.0, 1.0, 3)
    >>> merged([a, a._replace(coverage=0.5, readings=1)])[0][3:]
    (1.08, 0.5, 1.0, 4, 0)
    """
    found: dict[tuple[str, str, str], Sight] = {}
    for one in sights:
        key = one[:3]
        other = found.get(key)
        found[key] = one if other is None else _both(one, other)
    return tuple(found.values())


def _both(a: Sight, b: Sight) -> Sight:
    return a._replace(
        u_rel=max(a.u_rel, b.u_rel),
        coverage=min(a.coverage, b.coverage),
        idle_u_rel=max(a.idle_u_rel, b.idle_u_rel),
        readings=a.readings + b.readings,
        blind=a.blind + b.blind,
    )
