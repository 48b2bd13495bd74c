"""Windows of several entries, cut and laid over each other.

Pure functions of entries; what is charged to whom is :mod:`nicarbon.share`'s.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import get_args

from .entry import Entry, Reading, Tier, Use, Window
from .series import piece, spells, within

__all__ = ['clusters', 'leftover', 'together', 'weaker']


def leftover(node: Entry, spans: Iterable[tuple[float, float]]) -> Entry:
    """What of a node is on no timeline (a worker outlives a killed program).

    Parameters
    ----------
    node : Entry
    spans : iterable of (float, float)
        Where timelines of its host begin and end; none overlaps another.

    Returns
    -------
    Entry
        The node, with the windows outside all of them.
    """
    windows: list[Window] = []
    before = -math.inf
    for start, stop in (*sorted(spans), (math.inf, math.inf)):
        windows += within(node, before, start).windows
        before = stop
    return node._replace(windows=tuple(windows))


def clusters(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Entries that ran on the same machine at the same time, gathered.

    Parameters
    ----------
    entries : iterable of Entry
        With windows.

    Yields
    ------
    list of Entry
        Any two of them overlap, or are joined by others that do.
    """
    places: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        places[entry.place].append(entry)
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

    Where several saw the same stretch, the mean of those is taken whose tier is the strongest: a
    container that sees no counter does not spoil what its neighbour measures.

    Parameters
    ----------
    nodes : sequence of Entry
        Of one machine and boot, at least one.

    Returns
    -------
    Entry
        A single node is its own timeline.
    """
    if len(nodes) == 1:
        return nodes[0]
    told = [reading for node in nodes for reading in node.readings if reading.scope == 'host']
    # Of each component the first, in case that nobody saw any of it.
    first = {reading.component: reading for reading in reversed(told)}
    names = list(dict.fromkeys(reading.component for reading in told))
    readings: dict[str, Reading] = {}
    edges = _edges(nodes)
    waiting = sorted(nodes, key=lambda node: node.windows[0].start, reverse=True)
    windows = []
    active: list[Entry] = []
    for start, stop in pairwise(edges):
        active = [node for node in active if node.windows[-1].stop > start]
        while waiting and waiting[-1].windows[0].start <= start:
            active.append(waiting.pop())
        seen = [(pieces, node) for node in active if (pieces := _pieces(node, start, stop))]
        if seen:
            window, by = _mean(start, stop, seen, names)
            windows.append(window)
            for reading in by:
                before = readings.get(reading.component, reading)
                readings[reading.component] = weaker(before, reading)
    merged = tuple(readings.get(name, first[name]) for name in names)
    return nodes[0]._replace(readings=merged, windows=tuple(windows))


_TIERS: tuple[Tier, ...] = get_args(Tier)


def weaker(a: Reading, b: Reading) -> Reading:
    """What is said of a component that was seen in two ways.

    Parameters
    ----------
    a, b : Reading

    Returns
    -------
    Reading
        The first, with what is worse of both.
    """
    if a is b:
        return a
    tier = max(a.tier, b.tier, key=_TIERS.index)
    idle = b.idle_watts if a.idle_watts is None else a.idle_watts
    u_rel, idle_u_rel = max(a.u_rel, b.u_rel), max(a.idle_u_rel, b.idle_u_rel)
    return a._replace(tier=tier, u_rel=u_rel, idle_watts=idle, idle_u_rel=idle_u_rel)


def _edges(nodes: Sequence[Entry]) -> list[float]:
    """Where nodes begin and end, and the windows of one of them at any time."""
    edges: set[float] = set()
    covered = -math.inf
    # Of a sub-stage that others interrupted, each spell.
    series = (spell for node in nodes for spell in spells(node))
    for windows in sorted(series, key=lambda each: each[0].start):
        stop = windows[-1].stop
        edges |= {windows[0].start, stop}
        if stop > covered:
            edges |= {window.start for window in windows if window.start > covered}
            covered = stop
    return sorted(edges)


def _pieces(node: Entry, start: float, stop: float) -> list[Window]:
    """What of a node's windows falls between two moments."""
    first = bisect_right(node.windows, start, key=lambda window: window.start) - 1
    pieces = []
    for window in islice(node.windows, max(0, first), None):
        if window.start >= stop:
            break
        part = piece(window, max(window.start, start), min(window.stop, stop))
        if part is not None:
            pieces.append(part)
    return pieces


_Seen = tuple[float, float, Reading]
"""Joules of a component, in how many seconds of a stretch, and how they were seen."""


def _mean(
    start: float, stop: float, seen: Sequence[tuple[list[Window], Entry]], names: Sequence[str]
) -> tuple[Window, list[Reading]]:
    """What several entries saw of the host in the same stretch of time, and by which readings."""
    joules: dict[str, list[_Seen]] = defaultdict(list)
    uses: dict[str, list[Use]] = defaultdict(list)
    busy: list[float] = []
    for pieces, node in seen:
        known = [one.host_cpu_seconds for one in pieces if one.host_cpu_seconds is not None]
        busy += [sum(known)] if len(known) == len(pieces) else []
        for index, reading in enumerate(node.readings):
            if reading.scope == 'host':
                joules[reading.component] += _seen(pieces, index, reading)
                told = [piece.uses[index] for piece in pieces if piece.uses]
                uses[reading.component] += [_sum(told)] if any(told) else []
    kept = [_best(joules[name]) for name in names]
    told_ = [(_average([one[0] for one in best]), best[0][1] if best else 0.0) for best in kept]
    partly = any(covered < 0.999 * (stop - start) for value, covered in told_ if value is not None)
    window = Window(
        start,
        stop - start,
        sum(piece.cpu_seconds for pieces, _ in seen for piece in pieces),
        _average(busy),
        tuple(value for value, _ in told_),
        tuple(_mean_use(uses[name]) for name in names) if any(uses.values()) else (),
        tuple(min(covered, stop - start) for _, covered in told_) if partly else (),
    )
    return window, [reading for best in kept for _, _, reading in best]


def _seen(pieces: Sequence[Window], index: int, reading: Reading) -> list[_Seen]:
    """Joules that one entry saw, and in how many seconds; nothing if it saw none."""
    known = [(one.joules[index] or 0.0, one.seen(index)) for one in pieces]
    covered = sum(seconds for _, seconds in known)
    return [(sum(joules for joules, _ in known), covered, reading)] if covered else []


def _best(values: Sequence[_Seen]) -> list[_Seen]:
    """Those of the strongest tier who saw the most of a stretch, which is that of the first."""
    rank = min((_TIERS.index(reading.tier) for *_, reading in values), default=0)
    values = [one for one in values if _TIERS.index(one[2].tier) == rank]
    most = max((covered for _, covered, _ in values), default=0.0)
    kept = [one for one in values if one[1] >= 0.999 * most]
    return sorted(kept, key=lambda one: -one[1])


def _sum(uses: Sequence[Use | None]) -> Use:
    told = [use for use in uses if use is not None]
    hosts = sum(use.host_seconds for use in told)
    return Use(None, hosts, 0.0, sum(use.holders_seconds for use in told))


def _average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _mean_use(uses: Sequence[Use]) -> Use | None:
    if not uses:
        return None
    hosts = sum(use.host_seconds for use in uses) / len(uses)
    holders = sum(use.holders_seconds for use in uses) / len(uses)
    return Use(None, hosts, 0.0, holders)
