"""Windows of several entries, cut and laid over each other.

Pure functions of entries; what is charged to whom is :mod:`nicarbon.share`'s.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from .entry import Entry, Reading, Use, Window

__all__ = ['clusters', 'leftover', 'together', 'within']


def within(entry: Entry, start: float, stop: float) -> Entry:
    """An entry whose windows are cut to a stretch of time.

    Parameters
    ----------
    entry : Entry
    start, stop : float
        Seconds of the host's monotonic clock.

    Returns
    -------
    Entry
        Without windows when none falls there; totals stay those of the whole.
    """
    cut = (_cut(w, max(w.start, start), min(w.stop, stop)) for w in entry.windows)
    return replace(entry, windows=tuple(window for window in cut if window is not None))


def leftover(node: Entry, run: Entry) -> Entry:
    """What of a node is outside the timeline of its run (a worker outlives a killed program).

    Parameters
    ----------
    node, run : Entry

    Returns
    -------
    Entry
        The node, with the windows before and after the run.
    """
    begin, end = (run.windows[0].start, run.windows[-1].stop) if run.windows else (math.inf,) * 2
    before, after = within(node, -math.inf, begin), within(node, end, math.inf)
    return replace(node, windows=before.windows + after.windows)


def clusters(nodes: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Nodes that ran on the same host at the same time, gathered.

    Parameters
    ----------
    nodes : iterable of Entry
        With windows.

    Yields
    ------
    list of Entry
        Any two of them overlap, or are joined by others that do.
    """
    places: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for node in nodes:
        places[node.host, node.boot_id].append(node)
    for group in places.values():
        cluster: list[Entry] = []
        end = -math.inf
        for node in sorted(group, key=lambda each: each.windows[0].start):
            if cluster and node.windows[0].start >= end:
                yield cluster
                cluster, end = [], -math.inf
            cluster.append(node)
            end = max(end, node.windows[-1].stop)
        yield cluster


def together(nodes: Sequence[Entry]) -> Entry:
    """One timeline of the host from what several nodes saw of it.

    Where several saw the same stretch, their mean is taken.

    Parameters
    ----------
    nodes : sequence of Entry
        Of one host and boot, at least one.

    Returns
    -------
    Entry
        A single node is its own timeline.
    """
    if len(nodes) == 1:
        return nodes[0]
    readings: dict[str, Reading] = {}
    for node in nodes:
        for reading in node.readings:
            if reading.scope == 'host':
                readings.setdefault(reading.component, reading)
    pieces = [(window, node) for node in nodes for window in node.windows]
    pieces.sort(key=lambda piece: piece[0].start, reverse=True)
    windows = []
    active: list[tuple[Window, Entry]] = []
    for start, stop in pairwise(sorted({at for w, _ in pieces for at in (w.start, w.stop)})):
        active = [piece for piece in active if piece[0].stop > start]
        while pieces and pieces[-1][0].start <= start:
            active.append(pieces.pop())
        cut = [(_cut(window, start, stop), node) for window, node in active]
        seen = [(window, node) for window, node in cut if window is not None]
        if seen:
            windows.append(_mean(seen, list(readings)))
    return replace(nodes[0], readings=tuple(readings.values()), windows=tuple(windows))


def _cut(window: Window, start: float, stop: float) -> Window | None:
    """The part of a window between two moments, rates even; None if next to nothing."""
    if stop - start < 1e-6:
        return None
    part = (stop - start) / window.seconds
    return Window(
        start,
        stop - start,
        window.cpu_seconds * part,
        None if window.host_cpu_seconds is None else window.host_cpu_seconds * part,
        tuple(None if joules is None else joules * part for joules in window.joules),
        tuple(use and _part_of(use, part) for use in window.uses),
    )


def _part_of(use: Use, part: float) -> Use:
    return Use(
        None if use.own_seconds is None else use.own_seconds * part,
        use.host_seconds * part,
        use.held_seconds * part,
        use.holders_seconds * part,
    )


def _mean(seen: Sequence[tuple[Window, Entry]], components: Sequence[str]) -> Window:
    """What several entries saw of the host in the same stretch of time."""
    joules: dict[str, list[float]] = defaultdict(list)
    uses: dict[str, list[Use]] = defaultdict(list)
    for window, node in seen:
        for index, reading in enumerate(node.readings):
            value, use = window.joules[index], window.uses[index] if window.uses else None
            if reading.scope == 'host' and value is not None:
                joules[reading.component].append(value)
            if use is not None:
                uses[reading.component].append(use)
    first = seen[0][0]
    return Window(
        first.start,
        first.seconds,
        sum(window.cpu_seconds for window, _ in seen),
        _average([w.host_cpu_seconds for w, _ in seen if w.host_cpu_seconds is not None]),
        tuple(_average(joules[name]) for name in components),
        tuple(_mean_use(uses[name]) for name in components) if uses else (),
    )


def _average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _mean_use(uses: Sequence[Use]) -> Use | None:
    if not uses:
        return None
    hosts = sum(use.host_seconds for use in uses) / len(uses)
    holders = sum(use.holders_seconds for use in uses) / len(uses)
    return Use(None, hosts, 0.0, holders)
