"""Series of windows, and the entries that hold them: summed, merged, cut out.

Everything here is a pure function; what a counter saw is kept, whatever is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from .entry import Entry, Reading, Use, Window

__all__ = [
    'MAX_WINDOWS',
    'busy_seconds',
    'merge_pairs',
    'part_of',
    'piece',
    'spells',
    'summed',
    'utc',
    'within',
]

MAX_WINDOWS = 512
"""Windows kept per entry; a longer series is merged pairwise, so that eight
hours cost kilobytes."""

GAP_SECONDS = 1e-3
"""Windows that follow each other leave less than that between them."""


def spells(entry: Entry) -> list[tuple[Window, ...]]:
    """Windows of an entry, those without a gap between them together.

    Parameters
    ----------
    entry : Entry

    Returns
    -------
    list of tuple of Window
        One, unless it is a sub-stage that others interrupted.
    """
    found: list[list[Window]] = []
    for window in entry.windows:
        if found and window.start - found[-1][-1].stop < GAP_SECONDS:
            found[-1].append(window)
        else:
            found.append([window])
    return [tuple(spell) for spell in found]


def busy_seconds(entries: Iterable[Entry]) -> float:
    """Wall time in which at least one of some entries ran.

    Parameters
    ----------
    entries : iterable of Entry

    Returns
    -------
    float
        Seconds. Clocks of different hosts or boots do not compare: their
        times add up.
    """
    spans = sorted(
        (entry.place, spell[0].start, spell[-1].stop)
        for entry in entries
        for spell in spells(entry)
    )
    total, place, reached = 0.0, '', 0.0
    for where, start, stop in spans:
        if where != place:
            place, reached = where, start
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def utc(entry: Entry, moment: float) -> str:
    """When a moment of an entry was.

    Parameters
    ----------
    entry : Entry
        With windows.
    moment : float
        Seconds of the host's monotonic clock.

    Returns
    -------
    str
        UTC, ISO 8601.
    """
    later = datetime.fromisoformat(entry.started) + timedelta(
        seconds=moment - entry.windows[0].start
    )
    return later.isoformat(timespec='milliseconds')


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
    cuts = (piece(w, max(w.start, start), min(w.stop, stop)) for w in entry.windows)
    return entry._replace(windows=tuple(window for window in cuts if window is not None))


def piece(window: Window, start: float, stop: float) -> Window | None:
    """The part of a window between two moments, rates even; None if next to nothing.

    Parameters
    ----------
    window : Window
    start, stop : float
        Seconds of the host's monotonic clock, within the window.

    Returns
    -------
    Window or None
    """
    if stop - start < 1e-6:
        return None
    part = (stop - start) / window.seconds
    return Window(
        start,
        stop - start,
        window.cpu_seconds * part,
        None if window.host_cpu_seconds is None else window.host_cpu_seconds * part,
        tuple(None if joules is None else joules * part for joules in window.joules),
        tuple(use and part_of(use, part) for use in window.uses),
        tuple(seconds * part for seconds in window.covered),
    )


def part_of(use: Use, part: float) -> Use:
    """A part of what was used, rates even.

    Parameters
    ----------
    use : Use
    part : float
        Of its time.

    Returns
    -------
    Use
    """
    return Use(
        None if use.own_seconds is None else use.own_seconds * part,
        use.host_seconds * part,
        use.held_seconds * part,
        use.holders_seconds * part,
    )


def merge_pairs(
    windows: Iterable[Window], edges: Collection[float] = frozenset()
) -> tuple[Window, ...]:
    """Shorten a series of windows by merging neighbours; sums stay what they were.

    Short ones are merged first, so that the series is as fine at its beginning as at its
    end. Windows in which not the same was seen, and those on two sides of an edge, are merged
    only where that leaves more than three quarters of them; what was merged says for how long
    each counter was seen.

    Parameters
    ----------
    windows : iterable of Window
        In order of time.
    edges : collection of float
        Starts of windows at which the work turned to something else.

    Returns
    -------
    tuple of Window
        At most three quarters as many, and one.

    Examples
    --------
    >>> a, b = Window(0., 1., .5, .6, (3.,)), Window(1., 1., .25, .4, (2.,))
    >>> (merged,) = merge_pairs([a, b])
    >>> merged.seconds, merged.cpu_seconds, merged.host_cpu_seconds, merged.joules
    (2.0, 0.75, 1.0, (5.0,))
    """
    series = list(windows)
    mean = sum(window.seconds for window in series) / max(1, len(series))
    merged = series
    for alike in (_all_alike, _work_alike, _any):
        for longest in (1.5 * mean, 3 * mean, 6 * mean):
            merged = _merge_alike(series, alike, longest, edges)
            if len(merged) <= 3 / 4 * len(series):
                return tuple(merged)
    for longest in (1.5 * mean, 3 * mean, 6 * mean, math.inf):
        merged = _merge_alike(series, _any, longest, ())
        if len(merged) <= 3 / 4 * len(series):
            break
    return tuple(merged)


def _merge_alike(
    series: list[Window],
    alike: Callable[[Window, Window], bool],
    longest: float,
    edges: Collection[float],
) -> list[Window]:
    """Neighbours in pairs, where they are alike, short, and on one side of every edge."""
    merged: list[Window] = []
    waiting: Window | None = None
    for window in series:
        if (
            waiting is not None
            and waiting.seconds + window.seconds <= longest
            and window.start not in edges
            and alike(waiting, window)
        ):
            merged.append(_merge(waiting, window))
            waiting = None
        else:
            merged += [] if waiting is None else [waiting]
            waiting = window
    return merged if waiting is None else [*merged, waiting]


def _all_alike(a: Window, b: Window) -> bool:
    """Whether the same is known of both, so that nothing is lost when they are merged."""
    return _same_gaps(a, b) and bool(a.covered) == bool(b.covered) and _work_alike(a, b)


def _same_gaps(a: Window, b: Window) -> bool:
    return all((x is None) == (y is None) for x, y in zip(a.joules, b.joules, strict=True))


def _work_alike(a: Window, b: Window) -> bool:
    """Whether the same is known of the work: joules can say for how long they were seen."""
    if (a.host_cpu_seconds is None) != (b.host_cpu_seconds is None):
        return False
    pairs = zip(_uses(a), _uses(b), a.joules, b.joules, strict=True)
    return all(x is None or y is None or _known(one) == _known(two) for one, two, x, y in pairs)


def _known(use: Use | None) -> tuple[bool, bool]:
    return use is not None, use is not None and use.own_seconds is not None


def _any(a: Window, b: Window) -> bool:  # noqa: ARG001
    return True


def _merge(a: Window, b: Window) -> Window:
    indices = range(len(a.joules))
    partly = a.covered or b.covered or not _same_gaps(a, b)
    return Window(
        a.start,
        b.stop - a.start,
        a.cpu_seconds + b.cpu_seconds,
        _plus(a.host_cpu_seconds, b.host_cpu_seconds),
        tuple(_either(x, y) for x, y in zip(a.joules, b.joules, strict=True)),
        tuple(_plus_use(a, b, i) for i in indices) if a.uses or b.uses else (),
        tuple(a.seen(i) + b.seen(i) for i in indices) if partly else (),
    )


def _either(a: float | None, b: float | None) -> float | None:
    """The sum of what was seen."""
    return b if a is None else a if b is None else a + b


def _uses(window: Window) -> tuple[Use | None, ...]:
    return window.uses or (None,) * len(window.joules)


def _plus_use(first: Window, second: Window, index: int) -> Use | None:
    a, b = _uses(first)[index], _uses(second)[index]
    # Where no joules were seen there is nothing to split, so that no use is missed.
    if first.joules[index] is None and second.joules[index] is not None:
        return b
    if second.joules[index] is None and first.joules[index] is not None:
        return a
    if a is None or b is None:
        return None
    return Use(
        _plus(a.own_seconds, b.own_seconds),
        a.host_seconds + b.host_seconds,
        a.held_seconds + b.held_seconds,
        a.holders_seconds + b.holders_seconds,
    )


def summed(entry: Entry, windows: tuple[Window, ...], **changes: Any) -> Entry:
    """An entry with these windows, and the totals that follow from them.

    Parameters
    ----------
    entry : Entry
    windows : tuple of Window
    **changes
        Other fields of the entry.

    Returns
    -------
    Entry
        A reading's joules are those of the windows in which its counter was seen, and
        its coverage says what part of the time that was. None if it never was.
    """
    # Every node does this when it ends: loops take half the time of sums of generators.
    seconds = cpu_seconds = busy = 0.0
    known = bool(windows)
    for window in windows:
        seconds += window.seconds
        cpu_seconds += window.cpu_seconds
        if window.host_cpu_seconds is None:
            known = False
        else:
            busy += window.host_cpu_seconds
    return entry._replace(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        host_cpu_seconds=busy if known else None,
        readings=tuple(
            _summed_reading(reading, index, windows, seconds)
            for index, reading in enumerate(entry.readings)
        ),
        windows=windows,
        **changes,
    )


def _summed_reading(
    reading: Reading, index: int, windows: tuple[Window, ...], seconds: float
) -> Reading:
    total: float | None = None
    covered = 0.0
    for window in windows:
        joules = window.joules[index]
        if joules is not None:
            total = joules if total is None else total + joules
            covered += window.seen(index)
    coverage = min(1.0, covered / seconds) if seconds else 0.0
    return reading._replace(joules=total, coverage=coverage)


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
