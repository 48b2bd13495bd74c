"""What the programs that ran the nodes used themselves, run by run.

Pure functions of entries and of what falls into each window of a timeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .charge import Stake
from .entry import Entry
from .nesting import SLACK, encloses

__all__ = ['descendants', 'nested', 'overheads']


def nested(runs: Iterable[Entry]) -> dict[str, set[str]]:
    """Runs that are known to have been started inside others, by the outer's name.

    Parameters
    ----------
    runs : iterable of Entry
        With windows, of one machine and boot.

    Returns
    -------
    dict of {str : set of str}
        Those directly inside: what is inside one of these is not told again.
    """
    runs = list(runs)
    inside = {
        outer.run_id: {inner.run_id for inner in runs if encloses(outer, inner)} for outer in runs
    }
    return {
        outer: {name for name in names if not any(name in inside[other] for other in names)}
        for outer, names in inside.items()
    }


def descendants(
    runs: Sequence[Sequence[Stake]], nodes: Sequence[Sequence[Stake]]
) -> list[list[Stake]]:
    """Nodes whose processes may be those of their run's program, per window.

    One of another job or under another name of the machine (a container) was started by a batch
    system or an engine, and one that used more CPU seconds than the run shows in the same windows
    by something else: the run's seconds do not hold its own.

    Parameters
    ----------
    runs, nodes : sequence of sequences of Stake
        Those in each window.

    Returns
    -------
    list of list of Stake
    """
    own: dict[str, float] = {}
    most: dict[str, float] = {}
    places = {one.node.run_id: (one.node.host, one.node.job) for beside in runs for one in beside}
    elsewhere = {
        one.node.entry_id
        for inside in nodes
        for one in inside
        if (here := (one.node.host, one.node.job)) != places.get(one.node.run_id, here)
    }
    for beside, inside in zip(runs, nodes, strict=True):
        whole = {one.node.run_id: one.cpu_seconds for one in beside}
        for one in inside:
            if one.node.run_id in whole:
                name = one.node.entry_id
                own[name] = own.get(name, 0.0) + one.cpu_seconds
                most[name] = most.get(name, 0.0) + whole[one.node.run_id]
    apart = {name for name, seconds in own.items() if seconds > 1.2 * most[name] + SLACK}
    apart |= elsewhere
    return [[one for one in inside if one.node.entry_id not in apart] for inside in nodes]


def overheads(
    timeline: Entry,
    index: int,
    runs: Sequence[Sequence[Stake]],
    nodes: Sequence[Sequence[Stake]],
    inner: Mapping[str, set[str]],
) -> list[dict[str, float]]:
    """Seconds for which the programs themselves used a component, per window and run.

    A run's seconds hold those of its nodes and of the runs inside it. Node windows do not
    end where the run's do, so the difference in a single window may come out below zero;
    the total is exact, and is laid over the windows where it is positive.

    Parameters
    ----------
    timeline : Entry
    index : int
        Of its reading.
    runs, nodes : sequence of sequences of Stake
        Those in each window.
    inner : mapping of {str : set of str}
        See :func:`nested`.

    Returns
    -------
    list of dict
        One for each window.
    """
    used = [_used(timeline, index, number, inside) for number, inside in enumerate(nodes)]
    whole = [_used(timeline, index, number, beside) for number, beside in enumerate(runs)]
    seconds: list[dict[str, float]] = [{} for _ in nodes]
    for run in dict.fromkeys(one.node.run_id for beside in runs for one in beside):
        apart = inner.get(run, ())
        left = [
            (theirs[run] - own.get(run, 0.0) - sum(theirs.get(name, 0.0) for name in apart))
            if run in theirs
            else 0.0
            for theirs, own in zip(whole, used, strict=True)
        ]
        above = sum(value for value in left if value > 0)
        scale = max(0.0, sum(left)) / above if above else 0.0
        for window, value in zip(seconds, left, strict=True):
            if value > 0 and scale:
                window[run] = scale * value
    return seconds


def _used(timeline: Entry, index: int, number: int, stakes: Iterable[Stake]) -> dict[str, float]:
    """Seconds in one window, by run."""
    window, name = timeline.windows[number], timeline.readings[index].component
    use = window.uses[index] if window.uses else None
    used: dict[str, float] = {}
    for one in stakes:
        seconds = one.cpu_seconds
        if use is not None:
            seconds = (one.uses[name].own_seconds or 0.0) if name in one.uses else 0.0
        used[one.node.run_id] = used.get(one.node.run_id, 0.0) + seconds
    return used
