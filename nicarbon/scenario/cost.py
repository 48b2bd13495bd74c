"""What one scan takes: of one's own ledger, or of somebody who published it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median

from ..summary import Summary

__all__ = ['Architecture', 'ScanCost', 'by_processor', 'device', 'of_ledger']

GIGA = 1e9
"""MACs in a GMAC."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the networks of a pipeline are made of: counted, never measured.

    Parameters
    ----------
    name : str
    parameters, macs : int
        Of what ``per`` names.
    per : str
        ``scan``, or ``slice of one plane``.
    source : str
        Who counted.
    joules : float or None
        IT energy of the stages that these networks are of, for as many MACs; None where they
        were not told apart.
    u_rel : float
        Multiplicative uncertainty of these joules at 95 %.
    """

    name: str
    parameters: int
    macs: int
    per: str
    source: str
    joules: float | None = None
    u_rel: float = 1.0

    @property
    def joules_per_gmac(self) -> float | None:
        """What a GMAC took: of these networks on that processor, and of no other."""
        return self.joules / (self.macs / GIGA) if self.joules and self.macs else None


@dataclass(frozen=True, slots=True)
class ScanCost:
    """What one scan takes.

    Parameters
    ----------
    name : str
        Such as ``FreeSurfer``.
    seconds : float
        Wall time of its job.
    gpu_seconds : float
        Part of it in which a GPU is held.
    joules : float
        IT energy.
    gpu_joules : float
        Part of it that is used while a GPU is held, all components.
    u_rel : float
        Multiplicative uncertainty of the joules at 95 %.
    source : str
    pipeline, device : str
        Such as ``fastsurfer`` and ``gpu``; empty where it is not one of them.
    architecture : Architecture or None
        None where there are no networks, or nobody counted them.
    """

    name: str
    seconds: float
    gpu_seconds: float
    joules: float
    gpu_joules: float
    u_rel: float
    source: str
    pipeline: str = ''
    device: str = ''
    architecture: Architecture | None = None


def of_ledger(name: str, sessions: Iterable[Summary]) -> ScanCost | None:
    """The median cost of a scan in one's own ledger.

    Parameters
    ----------
    name : str
        What to call it.
    sessions : iterable of Summary
        One per session; those count whose every stage ran to its end and was seen.

    Returns
    -------
    ScanCost or None
        None where no session does. The factor is the largest of the sessions' joules: how far
        sessions lie apart is not in it.
    """
    whole = [one for one in sessions if one.footprint.joules and one.complete]
    if not whole:
        return None
    # What was lost on the way is no part of what a scan costs: ``lost`` says how much that is.
    ended = [one.ended for one in whole]
    held = median(one.gpu_seconds for one in ended)
    return ScanCost(
        name,
        median(one.seconds for one in ended),
        held,
        median(one.footprint.joules - one.lost.joules for one in whole),
        median(one.gpu_joules for one in ended),
        max(one.footprint.joules_high / one.footprint.joules for one in whole),
        f'own ledger: median of {len(whole)} scan{"s" if len(whole) != 1 else ""}',
        name,
        'gpu' if held else 'cpu',
    )


def by_processor(name: str, sessions: Iterable[Summary]) -> tuple[ScanCost, ...]:
    """Median costs of a scan, of sessions that held a GPU apart from those that did not.

    Parameters
    ----------
    name : str
        Of the pipeline.
    sessions : iterable of Summary
        As :func:`of_ledger` takes them.

    Returns
    -------
    tuple of ScanCost
        Empty where no session ran to its end and was seen.
    """
    groups: dict[str, list[Summary]] = {'cpu': [], 'gpu': []}
    for one in sessions:
        groups[device(one)].append(one)
    found = [of_ledger(name, group) for group in groups.values()]
    costs = [cost for cost in found if cost is not None]
    if len(costs) < 2:
        return tuple(costs)
    words = {'cpu': 'on a CPU', 'gpu': 'on a GPU'}
    return tuple(replace(cost, name=f'{name} {words[cost.device]}') for cost in costs)


def device(session: Summary) -> str:
    """Whether a session held a GPU.

    Parameters
    ----------
    session : Summary

    Returns
    -------
    str
        ``gpu`` or ``cpu``.
    """
    return 'gpu' if session.ended.gpu_seconds else 'cpu'
