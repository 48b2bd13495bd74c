"""Series of windows, and the entries that hold them: summed, merged, cut.

Everything here is a pure function; what a counter saw is kept, whatever is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from .entry import Entry, Part, Use, Window

__all__ = ['MAX_WINDOWS', 'cut', 'leaves', 'merge_pairs', 'summed', 'within']

MAX_WINDOWS = 512
"""Windows kept per entry; a longer series is merged pairwise, so that eight
hours cost kilobytes."""


def leaves(entries: Iterable[Entry]) -> list[Entry]:
    """Entries of which none holds the work of another, runs aside.

    Parameters
    ----------
    entries : iterable of Entry

    Returns
    -------
    list of Entry
        A command whose run has nodes is left out; any other is a node.
    """
    entries = list(entries)
    with_nodes = {entry.run_id for entry in entries if entry.kind == 'node'}
    return [
        replace(entry, kind='node') if entry.kind == 'command' else entry
        for entry in entries
        if entry.kind != 'command' or entry.run_id not in with_nodes
    ]


def cut(entry: Entry) -> list[Entry]:
    """An entry as one for each of its sub-stages; what is in none keeps the entry's stage.

    Parameters
    ----------
    entry : Entry

    Returns
    -------
    list of Entry
        In order of time. Windows add up to those of the entry. The entry itself if it
        has no parts.
    """
    if not entry.parts or not entry.windows:
        return [entry]
    pieces, before = [], entry.windows[0].start
    for part in (*entry.parts, Part(entry.stage, entry.windows[-1].stop, math.inf)):
        pieces.append((entry.stage, before, part.start))
        pieces.append((part.name, part.start, part.start + part.seconds))
        before = part.start + part.seconds
    cuts = ((name, tuple(within(entry.windows, start, stop))) for name, start, stop in pieces)
    return [
        replace(
            summed(entry, windows),
            entry_id=f'{entry.entry_id}.{number}',
            stage=name,
            parts=(),
        )
        for number, (name, windows) in enumerate(cuts)
        if windows
    ]


def within(windows: Iterable[Window], start: float, stop: float) -> Iterator[Window]:
    """The parts of windows between two moments, rates even within each.

    Parameters
    ----------
    windows : iterable of Window
    start, stop : float
        Seconds of the host's monotonic clock.

    Yields
    ------
    Window
    """
    for window in windows:
        begin, end = max(window.start, start), min(window.stop, stop)
        if end - begin >= 1e-6:
            yield _scaled(window, begin, end)


def _scaled(window: Window, start: float, stop: float) -> Window:
    part = (stop - start) / window.seconds

    def of(value: float | None) -> float | None:
        return None if value is None else value * part

    return Window(
        start,
        stop - start,
        window.cpu_seconds * part,
        of(window.host_cpu_seconds),
        tuple(map(of, window.joules)),
        tuple(
            use
            and Use(
                of(use.own_seconds),
                use.host_seconds * part,
                use.held_seconds * part,
                use.holders_seconds * part,
            )
            for use in window.uses
        ),
    )


def merge_pairs(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Halve a series of windows by merging neighbours; sums stay what they were.

    What was not seen in one half is not seen in the whole.

    Parameters
    ----------
    windows : iterable of Window
        In order of time.

    Returns
    -------
    tuple of Window

    Examples
    --------
    >>> a, b = Window(0., 1., .5, .6, (3.,)), Window(1., 1., .25, .4, (2.,))
    >>> (merged,) = merge_pairs([a, b])
    >>> merged.seconds, merged.cpu_seconds, merged.host_cpu_seconds, merged.joules
    (2.0, 0.75, 1.0, (5.0,))
    """
    series = list(windows)
    merged = [_merge(a, b) for a, b in zip(series[::2], series[1::2], strict=False)]
    return tuple(merged + series[len(merged) * 2 :])


def _merge(a: Window, b: Window) -> Window:
    return Window(
        a.start,
        b.stop - a.start,
        a.cpu_seconds + b.cpu_seconds,
        _plus(a.host_cpu_seconds, b.host_cpu_seconds),
        tuple(_plus(x, y) for x, y in zip(a.joules, b.joules, strict=True)),
        tuple(_plus_use(x, y) for x, y in zip(a.uses, b.uses, strict=True)),
    )


def _plus_use(a: Use | None, b: Use | None) -> Use | None:
    if a is None or b is None:
        return None
    return Use(
        _plus(a.own_seconds, b.own_seconds),
        a.host_seconds + b.host_seconds,
        a.held_seconds + b.held_seconds,
        a.holders_seconds + b.holders_seconds,
    )


def summed(entry: Entry, windows: tuple[Window, ...]) -> Entry:
    """An entry with these windows, and the totals that follow from them.

    Parameters
    ----------
    entry : Entry
    windows : tuple of Window

    Returns
    -------
    Entry
        A reading's joules are those of the windows in which its counter was seen, and
        its coverage says what part of the time that was. None if it never was.
    """
    seconds = sum(window.seconds for window in windows)
    busy = [w.host_cpu_seconds for w in windows if w.host_cpu_seconds is not None]
    readings = []
    for index, reading in enumerate(entry.readings):
        seen = [(w.joules[index], w.seconds) for w in windows if w.joules[index] is not None]
        covered = sum(length for _, length in seen)
        readings.append(
            replace(
                reading,
                joules=sum(joules or 0.0 for joules, _ in seen) if seen else None,
                coverage=min(1.0, covered / seconds) if seconds and seen else 1.0,
            )
        )
    return replace(
        entry,
        seconds=seconds,
        cpu_seconds=sum(window.cpu_seconds for window in windows),
        host_cpu_seconds=sum(busy) if len(busy) == len(windows) and windows else None,
        readings=tuple(readings),
        windows=windows,
    )


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b
