"""One component in one window: what each node is charged of it.

Whatever the component, a node's part follows from three fractions, and from the
joules of the window, ΔE, of which P_idle·Δt at most are idle:

=============  ==========================================================
``reserved``   idle · held + (ΔE − idle) · used
``dynamic``    (ΔE − idle) · used
``active``     ΔE · used
``exclusive``  ΔE · overlap
=============  ==========================================================

What is held and used depends on the component:

=============  =============================  =============================
component      held                           used
=============  =============================  =============================
``cpu``        cores reserved (or its job's)  CPU seconds
``rest``       cores reserved (or its job's)  CPU seconds
``dram``       memory reserved (or cores)     CPU seconds
``gpu:…``      processes that hold it         seconds of its multiprocessors
=============  =============================  =============================

Neither the parts held nor the parts used ever sum to more than one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .entry import Entry, Reading, Use, Window

__all__ = ['Charge', 'Stake', 'charge', 'held', 'holds', 'is_gpu', 'stake']

INSTANT_SECONDS = 1e-6
"""What is shorter is the rounding of clocks: who is there for no longer is not there."""


@dataclass(frozen=True, slots=True)
class Stake:
    """What one node used and held within one window of a timeline.

    Parameters
    ----------
    node : Entry
    seconds : float
        For which it ran.
    cpu_seconds : float
    uses : dict of {str : Use}
        By component, where that does not follow CPU seconds.
    own : dict of {str : float}
        Joules by component that are known to be its own.
    held : frozenset of str
        Components that it was ever seen to hold or use.
    """

    node: Entry
    seconds: float
    cpu_seconds: float
    held: frozenset[str] = frozenset()
    uses: dict[str, Use] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Charge:
    """Joules of one component that a node is charged in one window.

    ``low`` and ``high`` are what would come to idle + dynamic if idle power were at either
    end of its interval.
    """

    idle: float
    dynamic: float
    active: float
    exclusive: float
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class _Part:
    """Fractions of a window: held, used, and of its time."""

    held: float
    used: float
    overlap: float


def stake(
    node: Entry, window: Window, series: Iterable[Window], held: frozenset[str] = frozenset()
) -> Stake | None:
    """What falls within a window of a timeline; rates are even in a node's windows.

    Parameters
    ----------
    node : Entry
    window : Window
        Of the timeline.
    series : iterable of Window
        Those of the node that may fall there, in order.
    held : frozenset of str
        See :func:`held`.

    Returns
    -------
    Stake or None
        None if nothing does.
    """
    uses: dict[str, Use] = {}
    joules: dict[str, float] = {}
    seconds = cpu_seconds = 0.0
    for own in series:
        if own.start >= window.stop:
            break
        common = min(own.stop, window.stop) - max(own.start, window.start)
        if common > INSTANT_SECONDS:
            part = common / own.seconds
            seconds += common
            cpu_seconds += own.cpu_seconds * part
            _add_readings(node, own, part, uses, joules)
    return Stake(node, seconds, cpu_seconds, held, uses, joules) if seconds else None


def _add_readings(
    node: Entry, own: Window, part: float, uses: dict[str, Use], joules: dict[str, float]
) -> None:
    for index, reading in enumerate(node.readings):
        name, value = reading.component, own.joules[index]
        use = own.uses[index] if own.uses else None
        if reading.scope == 'own' and value is not None:
            joules[name] = joules.get(name, 0.0) + value * part
        elif use is not None:
            before = uses.get(name, Use(None, 0.0, 0.0, 0.0))
            uses[name] = Use(
                _known(before.own_seconds, use.own_seconds, part),
                before.host_seconds + use.host_seconds * part,
                before.held_seconds + use.held_seconds * part,
                before.holders_seconds + use.holders_seconds * part,
            )


def _known(before: float | None, seconds: float | None, part: float) -> float | None:
    """What was seen of it: a stretch that was not seen adds nothing."""
    return before if seconds is None else (before or 0.0) + seconds * part


def held(node: Entry) -> frozenset[str]:
    """Components that a node was ever seen to hold or use, of those that are held.

    Parameters
    ----------
    node : Entry

    Returns
    -------
    frozenset of str
    """
    return frozenset(
        reading.component
        for window in node.windows
        for reading, use in zip(node.readings, window.uses, strict=False)
        if use is not None and (use.held_seconds or use.own_seconds)
    )


def is_gpu(component: str) -> bool:
    """Whether a component is a GPU, whose energy does not follow CPU time.

    Parameters
    ----------
    component : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_gpu('gpu:GPU-3f2a'), is_gpu('cpu')
    (True, False)
    """
    return component.partition(':')[0] == 'gpu'


def charge(
    timeline: Entry,
    window: Window,
    index: int,
    stakes: Sequence[Stake],
    overhead_seconds: float,
) -> tuple[list[Charge | None], float]:
    """Split the joules of one reading of a timeline in one window.

    Parameters
    ----------
    timeline : Entry
    window : Window
        One of its windows.
    index : int
        Of the reading, which is of the whole host.
    stakes : sequence of Stake
        None of them with joules of its own of this component.
    overhead_seconds : float
        For which the program that ran the nodes used the component.

    Returns
    -------
    list of (Charge or None)
        In the order of the stakes; None where a node's part is not known.
    overhead : float
        Joules.
    """
    reading, joules = timeline.readings[index], window.joules[index] or 0.0
    use = window.uses[index] if window.uses else None
    if use is None and is_gpu(reading.component):
        return [None] * len(stakes), 0.0
    if use is None:
        parts, overhead = _by_cpu(timeline, window, reading, stakes, overhead_seconds)
    else:
        parts, overhead = _by_use(window, index, reading.component, stakes, overhead_seconds)
    seconds = window.seen(index)
    idle = min(joules, (reading.idle_watts or 0.0) * seconds)
    if use is not None and not (use.host_seconds or overhead or any(p and p.used for p in parts)):
        idle = joules  # Nobody computes: all of it is the price of being held.
    span = (idle / u, min(joules, idle * u)) if (u := _idle_factor(reading)) > 1 else (idle, idle)
    charges = [None if part is None else _charge(part, idle, joules, span) for part in parts]
    return charges, (joules - idle) * overhead


def _idle_factor(reading: Reading) -> float:
    """How far idle power moves joules between nodes.

    Only where they are counted: in a model, idle and the rest are each within its own
    factor, and so are their parts.
    """
    return reading.idle_u_rel if reading.tier == 'measured' else 1.0


def _charge(part: _Part, idle: float, joules: float, span: tuple[float, float]) -> Charge:
    low, high = sorted(least * part.held + (joules - least) * part.used for least in span)
    return Charge(
        idle * part.held,
        (joules - idle) * part.used,
        joules * part.used,
        joules * part.overlap,
        low,
        high,
    )


def _by_cpu(
    timeline: Entry,
    window: Window,
    reading: Reading,
    stakes: Sequence[Stake],
    overhead_seconds: float,
) -> tuple[list[_Part | None], float]:
    # Clocks of different grain (10 ms on the host, 1 µs in the process) must not
    # make the parts exceed the whole; nor may more be reserved than there is.
    used = sum(one.cpu_seconds for one in stakes) + overhead_seconds
    # Where the host's CPU seconds are not known, nobody's part of them is.
    busy = math.inf if window.host_cpu_seconds is None else max(window.host_cpu_seconds, used)
    reserved = _kept(timeline, window, reading.component, stakes)
    whole = max(1.0, sum(reserved))
    parts: list[_Part | None] = [
        _Part(kept / whole, one.cpu_seconds / busy if busy else 0.0, one.seconds / window.seconds)
        for kept, one in zip(reserved, stakes, strict=True)
    ]
    return parts, overhead_seconds / busy if busy else 0.0


def _kept(timeline: Entry, window: Window, component: str, stakes: Sequence[Stake]) -> list[float]:
    """The fraction of the host that was kept for each node.

    A job of a batch system keeps its cores from others whether its nodes reserve them or
    not, so that its nodes bear all of them, each by what it reserves.
    """
    overlaps = [one.seconds / window.seconds for one in stakes]
    cores: dict[str, float] = {}
    for one, overlap in zip(stakes, overlaps, strict=True):
        mine = one.node.reserved_cores * overlap
        cores[one.node.job] = cores.get(one.node.job, 0.0) + mine
    kept = []
    for one, overlap in zip(stakes, overlaps, strict=True):
        node, memory = one.node, one.node.host_memory_gb or timeline.host_memory_gb
        mine, whole = node.reserved_cores * overlap, cores[node.job]
        if component == 'dram' and memory and node.reserved_memory_gb is not None:
            kept.append(node.reserved_memory_gb / memory * overlap)
        elif node.job_cores and whole > 0:
            kept.append(mine / whole * max(whole, node.job_cores) / timeline.host_cores)
        else:
            kept.append(mine / timeline.host_cores)
    return kept


def holds(window: Window, index: int, component: str, stakes: Sequence[Stake]) -> list[float]:
    """What part of a component each node holds in a window, where that does not follow CPUs.

    Parameters
    ----------
    window : Window
        Of the timeline.
    index : int
        Of the reading.
    component : str
    stakes : sequence of Stake

    Returns
    -------
    list of float
        Fractions of the window, in the order of the stakes; together one at most. Known also
        where it is not told who used the component.
    """
    use = window.uses[index] if window.uses else None
    held = [one.uses[component].held_seconds if component in one.uses else 0.0 for one in stakes]
    # It is held for the whole window, or by nobody for a part of it.
    whole = max(use.holders_seconds if use else 0.0, sum(held), window.seen(index))
    return [seconds / whole if whole else 0.0 for seconds in held]


def _by_use(
    window: Window,
    index: int,
    component: str,
    stakes: Sequence[Stake],
    overhead_seconds: float,
) -> tuple[list[_Part | None], float]:
    use = window.uses[index] or Use(None, 0.0, 0.0, 0.0)
    uses = [one.uses.get(component) for one in stakes]
    used = sum(one.own_seconds or 0.0 for one in uses if one) + overhead_seconds
    busy = max(use.host_seconds, used)
    parts: list[_Part | None] = []
    for own, one, hold in zip(uses, stakes, holds(window, index, component, stakes), strict=True):
        # Half a price is no price: without its use, what it holds is not charged either.
        if own is None or own.own_seconds is None:
            parts.append(None)
            continue
        overlap = one.seconds / window.seconds if component in one.held else 0.0
        fraction = own.own_seconds / busy if busy else 0.0
        parts.append(_Part(hold, fraction, overlap))
    return parts, overhead_seconds / busy if busy else 0.0
