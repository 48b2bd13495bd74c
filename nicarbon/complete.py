"""A timeline completed by what nodes saw: a GPU that the program does not, a gap, and when.

Pure functions of entries. What is taken over is the mean of those who saw it, so that no
joule is counted as often as there were nodes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from .entry import Entry, Reading, Use, Window
from .series import piece
from .timeline import clusters, together, weaker

__all__ = ['completed', 'refined']

_MOMENT = 1e-6
"""Seconds; what is shorter stays with its neighbour."""


def completed(timeline: Entry, nodes: Sequence[Entry]) -> Entry:
    """A timeline with what it lacks and nodes have.

    Parameters
    ----------
    timeline : Entry
    nodes : sequence of Entry
        With windows, on the same host.

    Returns
    -------
    Entry
        Its windows are cut where what nodes saw of it begins or ends. The timeline itself
        if it lacks nothing that a node knows.
    """
    told = _told(nodes)
    own = {reading.component for reading in timeline.readings}
    new = [reading for name, reading in told.items() if name not in own]
    wide = [_wider(window, len(new)) for window in timeline.windows]
    readings = [*timeline.readings, *new]
    known = [reading.component in told for reading in readings]
    lacks = [_lacks(window, known) for window in wide]
    if not any(lacks):
        return timeline
    gaps = {
        reading.component
        for index, reading in enumerate(readings)
        if known[index] and any(window.joules[index] is None for window in wide)
    }
    series = _series(nodes, [reading.component for reading in readings])
    windows: list[Window] = []
    for window, lacking in zip(wide, lacks, strict=True):
        windows += _filled(window, series) if lacking else [window]
    return timeline._replace(
        readings=tuple(
            weaker(one, told[one.component]) if one.component in gaps else one for one in readings
        ),
        windows=tuple(windows),
    )


def refined(runs: Sequence[Entry], nodes: Sequence[Entry]) -> list[Entry]:
    """Runs as fine as what nodes saw of the host in their time.

    The series of a long run is merged until its windows are minutes, and none of them ends
    where a node or a part of it does. What the nodes saw inside a window says when in it
    joules and CPU seconds were used; how many there were stays what the run says.

    Parameters
    ----------
    runs : sequence of Entry
    nodes : sequence of Entry
        With windows, on the same host.

    Returns
    -------
    list of Entry
        Their windows are cut where those of nodes begin or end; sums over each of their own
        windows stay what they were.
    """
    if not nodes:
        return list(runs)
    # Runs of one host mostly see the same components: what nodes saw is laid together once.
    seen: dict[tuple[str, ...], list[Window]] = {}
    fine = []
    for run in runs:
        names = tuple(reading.component for reading in run.readings)
        if names not in seen:
            seen[names] = _series(nodes, names)
        windows: list[Window] = []
        for window in run.windows:
            windows += _told_apart(window, _parts(window, seen[names]))
        fine.append(run._replace(windows=tuple(windows)))
    return fine


def _told_apart(window: Window, parts: Sequence[tuple[Window, Window | None]]) -> list[Window]:
    """Its parts, with the joules that others say were used in each."""
    if len(parts) == 1:
        return [window]
    pieces = [part for part, _ in parts]
    told = [None if other is None else _piece_of(part, other) for part, other in parts]
    joules = [
        _spread(
            [None if one is None else one.joules[index] for one in told],
            [part.seconds for part in pieces],
            value,
        )
        for index, value in enumerate(window.joules)
    ]
    busy = _spread(
        [None if one is None else one.host_cpu_seconds for one in told],
        [part.seconds for part in pieces],
        window.host_cpu_seconds,
    )
    own = _spread(
        [None if one is None else one.cpu_seconds for one in told],
        [part.seconds for part in pieces],
        window.cpu_seconds,
    )
    uses = [_told_uses(told, pieces, index) for index in range(len(window.uses))]
    return [
        part._replace(
            cpu_seconds=own[number] or 0.0,
            host_cpu_seconds=busy[number],
            joules=tuple(values[number] for values in joules),
            uses=tuple(values[number] for values in uses),
        )
        for number, part in enumerate(pieces)
    ]


def _piece_of(part: Window, other: Window) -> Window:
    """What falls of another window, whose rates are even, in the time of a part of it."""
    return piece(other, other.start, other.start + part.seconds) or other


def _spread(
    told: Sequence[float | None], seconds: Sequence[float], whole: float | None
) -> Sequence[float | None]:
    """A value over parts, as was told of some of them; the rest by time. Its sum stays."""
    if whole is None:
        return [None] * len(told)
    known = sum(value for value in told if value is not None)
    blank = sum(s for s, value in zip(seconds, told, strict=True) if value is None)
    left = max(0.0, whole - known) if blank else 0.0
    scale = (whole - left) / known if known else 0.0
    if not known and not blank:
        # Nothing was seen by them of what was there: by time.
        return [whole * s / sum(seconds) for s in seconds]
    return [
        left * s / blank if value is None else value * scale
        for s, value in zip(seconds, told, strict=True)
    ]


def _told_uses(
    told: Sequence[Window | None], pieces: Sequence[Window], index: int
) -> Sequence[Use | None]:
    """What everybody used and held of a component, as those saw it who share it.

    It is no sum to be kept, as joules are: both look at other moments, and who is alone with
    a GPU must not find a part of it missing.
    """
    uses = []
    for part, one in zip(pieces, told, strict=True):
        own, theirs = part.uses[index], one.uses[index] if one is not None and one.uses else None
        if own is not None and theirs is not None:
            own = own._replace(
                host_seconds=theirs.host_seconds, holders_seconds=theirs.holders_seconds
            )
        uses.append(own)
    return uses


def _told(nodes: Sequence[Entry]) -> dict[str, Reading]:
    """Components of the host that some node saw at some time."""
    told: dict[str, Reading] = {}
    for node in nodes:
        for index, reading in enumerate(node.readings):
            if reading.scope == 'host' and any(w.joules[index] is not None for w in node.windows):
                told[reading.component] = weaker(told.get(reading.component, reading), reading)
    return told


def _wider(window: Window, count: int) -> Window:
    """With room for further readings."""
    if not count:
        return window
    none = (None,) * count
    return window._replace(
        joules=(*window.joules, *none),
        uses=(*window.uses, *none) if window.uses else (),
        covered=(*window.covered, *[0.0] * count) if window.covered else (),
    )


def _lacks(window: Window, known: Sequence[bool]) -> bool:
    unseen = (joules is None and told for joules, told in zip(window.joules, known, strict=True))
    return window.host_cpu_seconds is None or any(unseen)


def _series(nodes: Sequence[Entry], names: Sequence[str]) -> list[Window]:
    """What nodes saw together, one value for each name."""
    views = sorted((together(group) for group in clusters(nodes)), key=_start)
    series = []
    for view in views:
        order = {
            reading.component: index
            for index, reading in enumerate(view.readings)
            if reading.scope == 'host'
        }
        at = [order.get(name) for name in names]
        series += [_ordered(window, at) for window in view.windows]
    return series


def _start(entry: Entry) -> float:
    return entry.windows[0].start


def _ordered(window: Window, at: Sequence[int | None]) -> Window:
    uses = window.uses or (None,) * len(window.joules)
    return window._replace(
        joules=tuple(None if i is None else window.joules[i] for i in at),
        uses=tuple(None if i is None else uses[i] for i in at),
        covered=tuple(0.0 if i is None else window.seen(i) for i in at),
    )


def _filled(window: Window, series: Sequence[Window]) -> Iterator[Window]:
    """A window in pieces, each with what was seen in it by others."""
    for part, other in _parts(window, series):
        yield part if other is None else _with(part, other, part.seconds / other.seconds)


def _parts(window: Window, series: Sequence[Window]) -> list[tuple[Window, Window | None]]:
    """A window cut where those of a series begin or end, each part with the one beside it."""
    first = bisect_right(series, window.start, key=lambda one: one.start) - 1
    beside = []
    for one in islice(series, max(0, first), None):
        if one.start >= window.stop:
            break
        beside.append(one)
    inside = {edge for one in beside for edge in (one.start, one.stop)}
    edges = [window.start]
    for edge in sorted(inside):
        if edges[-1] + _MOMENT < edge < window.stop - _MOMENT:
            edges.append(edge)
    parts = []
    for start, stop in pairwise([*edges, window.stop]):
        middle = (start + stop) / 2
        others = (one for one in beside if one.start <= middle < one.stop)
        parts.append((piece(window, start, stop) or window, next(others, None)))
    return parts


def _with(window: Window, other: Window, part: float) -> Window:
    """A window with what it lacks of another, of which it takes a part."""
    lacking = [
        mine is None and theirs is not None
        for mine, theirs in zip(window.joules, other.joules, strict=True)
    ]
    scaled = piece(other, other.start, other.start + part * other.seconds) or other
    uses = window.uses or (None,) * len(window.joules)
    covered = tuple(scaled.seen(i) if lacks else window.seen(i) for i, lacks in enumerate(lacking))
    whole = all(
        seconds >= (1 - 1e-9) * window.seconds
        for seconds, lacks in zip(covered, lacking, strict=True)
        if lacks
    )
    busy = window.host_cpu_seconds
    return window._replace(
        host_cpu_seconds=scaled.host_cpu_seconds if busy is None else busy,
        joules=tuple(
            scaled.joules[i] if lacks else window.joules[i] for i, lacks in enumerate(lacking)
        ),
        uses=tuple(scaled.uses[i] if lacks else uses[i] for i, lacks in enumerate(lacking))
        if window.uses or any(scaled.uses)
        else (),
        covered=() if whole and not window.covered else covered,
    )
