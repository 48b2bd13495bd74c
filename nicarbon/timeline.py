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
                before = readings.get(reading.component, reading)
                readings[reading.component] = weaker(before, reading)
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
            windows.append(_mean(start, stop, seen, list(readings)))
    return nodes[0]._replace(readings=tuple(readings.values()), windows=tuple(windows))


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


def _mean(
    start: float, stop: float, seen: Sequence[tuple[list[Window], Entry]], names: Sequence[str]
) -> Window:
    """What several entries saw of the host in the same stretch of time."""
    joules: dict[str, list[tuple[float, float]]] = defaultdict(list)
    uses: dict[str, list[Use]] = defaultdict(list)
    busy: list[float] = []
    for pieces, node in seen:
        known = [one.host_cpu_seconds for one in pieces if one.host_cpu_seconds is not None]
        busy += [sum(known)] if len(known) == len(pieces) else []
        for index, reading in enumerate(node.readings):
            if reading.scope == 'host':
                joules[reading.component] += _seen(pieces, index)
                told = [piece.uses[index] for piece in pieces if piece.uses]
                uses[reading.component] += [_sum(told)] if any(told) else []
    told_ = [_best(joules[name]) for name in names]
    partly = any(covered < 0.999 * (stop - start) for value, covered in told_ if value is not None)
    return Window(
        start,
        stop - start,
        sum(piece.cpu_seconds for pieces, _ in seen for piece in pieces),
        _average(busy),
        tuple(value for value, _ in told_),
        tuple(_mean_use(uses[name]) for name in names) if any(uses.values()) else (),
        tuple(min(covered, stop - start) for _, covered in told_) if partly else (),
    )


def _seen(pieces: Sequence[Window], index: int) -> list[tuple[float, float]]:
    """Joules that one entry saw, and in how many seconds; nothing if it saw none."""
    known = [(one.joules[index] or 0.0, one.seen(index)) for one in pieces]
    covered = sum(seconds for _, seconds in known)
    return [(sum(joules for joules, _ in known), covered)] if covered else []


def _best(values: Sequence[tuple[float, float]]) -> tuple[float | None, float]:
    """The mean of those who saw the most of a stretch."""
    most = max((covered for _, covered in values), default=0.0)
    kept = [joules for joules, covered in values if covered >= 0.999 * most]
    return _average(kept), most


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
