"""Which entry holds another's work, and which entries lie on a run's timeline.

Pure functions of entries.
"""

from __future__ import annotations

from collections.abc import Iterable

from .entry import Entry

__all__ = ['SLACK', 'encloses', 'is_on', 'leaves']

SLACK = 0.1
"""CPU seconds by which clocks of different grain may disagree."""


def leaves(entries: Iterable[Entry]) -> list[Entry]:
    """Entries of which none holds the work of another, runs aside.

    Parameters
    ----------
    entries : iterable of Entry

    Returns
    -------
    list of Entry
        A command is left out if its run has nodes, or if a run that is known to have been
        started inside it has; any other is a node.
    """
    entries = list(entries)
    with_nodes = {entry.run_id for entry in entries if entry.kind == 'node'}
    with_nodes |= _around(entries, with_nodes)
    return [
        entry._replace(kind='node') if entry.kind == 'command' else entry
        for entry in entries
        if entry.kind != 'command' or entry.run_id not in with_nodes
    ]


def _around(entries: Iterable[Entry], with_nodes: set[str]) -> set[str]:
    """Runs of commands with a run inside that has nodes."""
    kept = list(entries)
    commands = {entry.run_id for entry in kept if entry.kind == 'command'} - with_nodes
    runs = [entry for entry in kept if entry.kind == 'run' and entry.windows]
    outer = [run for run in runs if run.run_id in commands]
    inner = [run for run in runs if run.run_id in with_nodes]
    return {a.run_id for a in outer if any(encloses(a, b) for b in inner)}


def encloses(outer: Entry, inner: Entry) -> bool:
    """Whether one run must have been started inside another, whose CPU seconds hold its own.

    One that names the other as its ``node`` was, and so were two runs of one process, or
    two that together show more CPU seconds than the host was busy, if one spans the other.
    Where other programs keep the host busy that cannot be known, and the answer is no.

    Parameters
    ----------
    outer, inner : Entry

    Returns
    -------
    bool
    """
    if outer.run_id == inner.run_id or outer.place != inner.place:
        return False
    if inner.node and inner.node == outer.run_id:
        return True
    if outer.host != inner.host:
        return False  # Two containers: what each takes for the host's seconds may be its own.
    start, stop = inner.windows[0].start, inner.windows[-1].stop
    if outer.windows[0].start > start or outer.windows[-1].stop < stop:
        return False
    if _process(outer) == _process(inner):
        return True
    busy = [window.host_cpu_seconds for window in inner.windows]
    # Only windows that lie inside: what is cut off others may have been used at any time.
    held = [one for one in outer.windows if start <= one.start and one.stop <= stop]
    used = sum(window.cpu_seconds for window in held)
    own = sum(window.cpu_seconds for window in inner.windows)
    known = [seconds for seconds in busy if seconds is not None]
    return len(known) == len(busy) and used + own > 1.2 * sum(known) + SLACK


def _process(run: Entry) -> str:
    """Host, number and start of a process."""
    return run.entry_id.rpartition('-')[0]


def is_on(entry: Entry, run: Entry) -> bool:
    """Whether an entry took time on the timeline of the run that it is of.

    Parameters
    ----------
    entry, run : Entry

    Returns
    -------
    bool
    """
    return (entry.run_id, entry.place) == (run.run_id, run.place) and bool(entry.windows)
