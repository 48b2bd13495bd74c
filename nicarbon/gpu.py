"""What of a stage fell in the time in which it held a GPU, and what did not.

A pipeline "on the GPU" keeps it for a small part of its time: the networks run there, all
the rest on CPUs. Only the time in which a GPU was held counts as GPU time, and of those
who hold one at the same time each has its part, so that it never adds up to more than the
GPU was there for.

Joules of a GPU fall in that time by their nature; those of the other components as far as
their windows do. What is known of either rests on windows of a few seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .charge import Charge, Stake, is_gpu

__all__ = ['Held', 'HeldTally', 'together']


@dataclass(frozen=True, slots=True)
class Held:
    """The part of a stage in which it held a GPU.

    Parameters
    ----------
    seconds : float
        Wall time in which it held one or more.
    gpu_seconds : float
        The same for each GPU, added up; where several stages held one at once, this
        one's part of that time.
    components : dict of {str : float}
        Joules of that time by component, under the ``reserved`` policy.
    open_seconds, open_joules : float
        By how much the wall time, and the joules but those of GPUs, may be more or less: of a
        window at one of whose ends it was held, nobody knows for how long.
    """

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    components: Mapping[str, float] = field(default_factory=dict)
    open_seconds: float = 0.0
    open_joules: float = 0.0

    @property
    def joules(self) -> float:
        """All components together."""
        return sum(self.components.values())


def together(parts: Iterable[Held | None]) -> Held | None:
    """Add them up.

    Parameters
    ----------
    parts : iterable of (Held or None)
        None where it is not known whether a GPU was held.

    Returns
    -------
    Held or None
        None if none of them is known.

    Examples
    --------
    >>> both = together([Held(10.0, 10.0, {'cpu': 50.0}), None, Held(5.0, 2.5, {'cpu': 20.0}, 1.0)])
    >>> both.seconds, both.gpu_seconds, both.components, both.open_seconds
    (15.0, 12.5, {'cpu': 70.0}, 1.0)
    >>> together([None]) is None
    True
    """
    known = [part for part in parts if part is not None]
    components: Counter[str] = Counter()
    for part in known:
        components.update(part.components)
    if not known:
        return None
    return Held(
        sum(part.seconds for part in known),
        sum(part.gpu_seconds for part in known),
        dict(components),
        sum(part.open_seconds for part in known),
        sum(part.open_joules for part in known),
    )


class HeldTally:
    """The same, added up window by window."""

    __slots__ = ('components', 'gpu_seconds', 'known', 'open_joules', 'open_seconds', 'seconds')

    def __init__(self) -> None:
        self.known = False
        self.seconds = self.gpu_seconds = self.open_seconds = self.open_joules = 0.0
        self.components: dict[str, float] = {}

    def begin(self, one: Stake) -> None:
        """A window begins in which a node had this stake."""
        part = _fraction(one)
        self.seconds += part * one.seconds
        self.open_seconds += min(part, 1 - part) * one.seconds

    def hold(self, one: Stake, component: str, seconds: float) -> None:
        """For how long a GPU was its own there, if anybody could tell."""
        use = one.uses.get(component)
        if use is not None and (use.own_seconds is not None or use.held_seconds):
            self.known = True
            self.gpu_seconds += seconds

    def add(self, component: str, charged: Charge, one: Stake) -> None:
        """What it is charged of one component there."""
        part = 1.0 if is_gpu(component) else _fraction(one)
        if part:
            joules = charged.idle + charged.dynamic
            self.components[component] = self.components.get(component, 0.0) + joules * part
            self.open_joules += joules * min(part, 1 - part)

    @property
    def held(self) -> Held | None:
        """None where no GPU was seen, so that nobody knows whether one was held."""
        if not self.known:
            return None
        return Held(
            self.seconds,
            self.gpu_seconds,
            dict(self.components),
            self.open_seconds,
            self.open_joules,
        )


def _fraction(one: Stake) -> float:
    """The part of its time in which it held a GPU: of several, the one held longest."""
    held = (use.held_seconds for component, use in one.uses.items() if is_gpu(component))
    return min(1.0, max(held, default=0.0) / one.seconds) if one.seconds else 0.0
