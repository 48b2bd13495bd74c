"""A timeline completed by what nodes saw: a GPU that the program does not, a gap, and when.

Pure functions of entries. What is taken over is the mean of those who saw it, so that no
joule is counted as often as there were nodes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, pairwise

from .charge import is_gpu
from .entry import Entry, Reading, Window
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
        With windows, on the same machine.

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
    where a part of a node does. Windows of nodes that lie within one of the run say what was
    used in their time; the rest of it has the rest, so that sums stay what they were.

    Parameters
    ----------
    runs : sequence of Entry
    nodes : sequence of Entry
        With windows, on the same machine.

    Returns
    -------
    list of Entry
        Their windows are cut where windows of nodes within them begin or end.
    """
    known = sorted(((w, node) for node in nodes for w in node.windows), key=_begins)
    return [run._replace(windows=tuple(_finer(run, known))) for run in runs] if known else [*runs]


_Known = tuple[Window, Entry]
"""A window of a node, and the node."""


def _begins(known: _Known) -> float:
    return known[0].start


def _finer(run: Entry, known: Sequence[_Known]) -> Iterator[Window]:
    """The windows of a run, cut by what is known within them."""
    active: list[_Known] = []
    following = iter(known)
    waiting = next(following, None)
    for window in run.windows:
        active = [one for one in active if one[0].stop > window.start + _MOMENT]
        while waiting is not None and waiting[0].start < window.stop - _MOMENT:
            if waiting[0].stop > window.start + _MOMENT:
                active.append(waiting)
            waiting = next(following, None)
        yield from _cut_by(window, run, active)


def _cut_by(window: Window, run: Entry, beside: Sequence[_Known]) -> list[Window]:
    """A window in pieces: the windows of nodes that lie in it, as many as do not overlap."""
    chosen: list[_Known] = []
    reached = window.start - _MOMENT
    for known in sorted(beside, key=lambda each: each[0].stop):
        if known[0].start >= reached and known[0].stop <= window.stop + _MOMENT:
            chosen.append(known)
            reached = known[0].stop - _MOMENT
    if not chosen or (len(chosen) == 1 and chosen[0][0].seconds > window.seconds - 2 * _MOMENT):
        return [window]
    pieces: list[tuple[Window, _Known | None]] = []
    edge = window.start
    for one in chosen:
        # What is between two of them for no more than a moment is the latter's.
        if one[0].start - edge > _MOMENT:
            pieces.append((piece(window, edge, one[0].start) or window, None))
            edge = one[0].start
        stop = window.stop if window.stop - one[0].stop <= _MOMENT else one[0].stop
        part = piece(window, edge, stop)
        if part is not None:
            pieces.append((part, one))
            edge = stop
    if window.stop - edge > _MOMENT:
        pieces.append((piece(window, edge, window.stop) or window, None))
    return _shared_out(window, run, pieces, beside)


def _shared_out(
    window: Window,
    run: Entry,
    pieces: Sequence[tuple[Window, _Known | None]],
    beside: Sequence[_Known],
) -> list[Window]:
    """Pieces of a window with what is known of each; the others have the rest, by time."""
    seconds = [part.seconds for part, _ in pieces]
    used = [_used(part, beside) for part, _ in pieces]
    busy = _spread(
        [None if one is None else one[0].host_cpu_seconds for _, one in pieces],
        window.host_cpu_seconds,
        lambda left, blank: _over([used[i] for i in blank], [seconds[i] for i in blank], left),
    )
    own = [_used(part, beside, run.run_id) for part, _ in pieces]
    # The program itself ran when the host was busier than nodes made it.
    room = [max(0.0, (all_ or 0.0) - some) for all_, some in zip(busy, used, strict=True)]
    program = max(0.0, window.cpu_seconds - sum(own))
    cpu = _over(own, room if sum(room) > program else seconds, window.cpu_seconds)

    def rest(reading: Reading, left: float, blank: Sequence[int]) -> Sequence[float]:
        """Idle by time, what is above it by what was busy."""
        idle = [(reading.idle_watts or 0.0) * seconds[i] for i in blank]
        load = [busy[i] or 0.0 for i in blank]
        if sum(idle) > left or not sum(load) or is_gpu(reading.component):
            return _over([0.0] * len(blank), [seconds[i] for i in blank], left)
        above = left - sum(idle)
        return [i + above * share / sum(load) for i, share in zip(idle, load, strict=True)]

    joules = [
        _spread(
            [_joules_of(one, reading) for _, one in pieces],
            window.joules[index],
            partial(rest, reading),
        )
        for index, reading in enumerate(run.readings)
    ]
    return [
        part._replace(
            cpu_seconds=cpu[number],
            host_cpu_seconds=busy[number],
            joules=tuple(values[number] for values in joules),
        )
        for number, (part, _) in enumerate(pieces)
    ]


def _used(part: Window, beside: Sequence[_Known], run_id: str | None = None) -> float:
    """CPU seconds of nodes in a stretch of time; of those of one run, if it is named."""
    return sum(
        one.cpu_seconds * _common(part, one) / one.seconds
        for one, node in beside
        if one.seconds and run_id in {None, node.run_id}
    )


def _common(a: Window, b: Window) -> float:
    return max(0.0, min(a.stop, b.stop) - max(a.start, b.start))


def _joules_of(one: _Known | None, reading: Reading) -> float | None:
    """What a node saw of a component of the host in one window; None if it saw nothing."""
    if one is None or reading.scope != 'host':
        return None
    window, node = one
    for index, theirs in enumerate(node.readings):
        if (theirs.component, theirs.scope) == (reading.component, 'host'):
            seen = window.joules[index]
            return seen if seen is None or window.seen(index) > 0.999 * window.seconds else None
    return None


def _over(known: Sequence[float], weights: Sequence[float], whole: float) -> Sequence[float]:
    """A sum over parts of which this much is known; what is more, by their weights."""
    total = sum(known)
    if total > whole:
        return [value * whole / total for value in known]
    return [
        value + (whole - total) * weight / sum(weights)
        for value, weight in zip(known, weights, strict=True)
    ]


def _spread(
    told: Sequence[float | None],
    whole: float | None,
    rest: Callable[[float, Sequence[int]], Sequence[float]],
) -> list[float | None]:
    """A sum over parts, as was told of some of them; ``rest`` says how the others have the rest."""
    if whole is None:
        return [None] * len(told)
    blank = [index for index, value in enumerate(told) if value is None]
    known = sum(value for value in told if value is not None)
    left = max(0.0, whole - known) if blank else 0.0
    # Counters that were read at other moments may say more than there was.
    scale = (whole - left) / known if known else 0.0
    values = [None if value is None else value * scale for value in told]
    for index, value in zip(blank, rest(left, blank) if blank else (), strict=True):
        values[index] = value
    return values


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
