"""What was found of a way to see energy, and the meter that would use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ..entry import Tier
from . import Meter

__all__ = ['Candidate', 'Finding', 'State', 'absent', 'denied', 'frozen']

State = Literal['used', 'available', 'denied', 'absent', 'frozen', 'covered']


class Finding(NamedTuple):
    """One way to see one component of this machine.

    Parameters
    ----------
    component : str
        ``cpu``, ``dram``, ``node``, ``gpu:<uuid>``, …
    method : str
        As in :class:`~nicarbon.entry.Reading`.
    state : {'used', 'available', 'denied', 'absent', 'frozen', 'covered'}
        ``available``: it works, and a better one is used. ``covered``: it works, but its
        energy is in that of another component. ``frozen``: it is there, and stands still.
    path : str
        Where it was looked for.
    tier : {'measured', 'modelled', 'assumed'}
    u_rel : float
        Multiplicative uncertainty at 95 %.
    why : str
        One line that says why it is in this state.
    mend : str
        Command or option that would make it work; empty where nothing would, or where
        nothing is to be mended.
    """

    component: str
    method: str
    state: State
    path: str
    tier: Tier
    u_rel: float
    why: str
    mend: str = ''


class Candidate(NamedTuple):
    """A finding, and how to make its meter.

    Parameters
    ----------
    finding : Finding
        Its state is ``available`` until all are known.
    make : callable or None
        Returns a new meter; None where there is nothing to be read.
    covers : frozenset of str
        Other components whose energy it holds too.
    """

    finding: Finding
    make: Callable[[], Meter] | None = None
    covers: frozenset[str] = frozenset()


def absent(
    component: str, method: str, path: object, why: str, mend: str = '', state: State = 'absent'
) -> Candidate:
    """There is nothing to be read."""
    return Candidate(Finding(component, method, state, str(path), 'assumed', 1.0, why, mend))


def denied(component: str, method: str, path: object, why: str, mend: str) -> Candidate:
    """It is there, and may not be read."""
    return absent(component, method, path, why, mend, 'denied')


def frozen(component: str, method: str, path: object) -> Candidate:
    """It is there, and does not count."""
    why = 'the counter stands still, as virtual machines show it: it is no counter'
    return absent(component, method, path, why, state='frozen')
