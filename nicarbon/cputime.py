"""Exact CPU seconds of a process tree, whatever its children do.

Sampling loses short children (a one-second scan sees none of twenty that live
0.2 s). What the kernel adds up does not: ``RUSAGE_SELF`` and
``RUSAGE_CHILDREN`` count every child that was waited for, and
``PR_SET_CHILD_SUBREAPER`` brings orphans home, so that they can be
seen. What nobody has waited for yet, living or dead, is added from ``/proc``
(its own CPU time and that of the children it waited for), and the running
maximum of the sum is kept, so that a child that vanished between two looks is
not lost again.

Nothing is ever reaped here: a child may belong to someone who will ask for its
exit code. What an orphan used is read from its remains.
"""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

__all__ = ['TreeClock', 'is_running', 'process_start']

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37  # linux/prctl.h
_TICK = os.sysconf('SC_CLK_TCK')


class TreeClock:
    """CPU seconds of this process and all its descendants, from now on.

    Examples
    --------
    >>> clock = TreeClock()
    >>> before = clock.seconds()
    >>> _ = sum(range(300_000))
    >>> clock.seconds() > before
    True
    """

    def __init__(self) -> None:
        self._was_subreaper = _subreaper(True)
        self._start = _waited() + sum(_live_seconds(pid) for pid in _children(os.getpid()))
        self._most = 0.0

    def seconds(self) -> float:
        """CPU seconds since the start; never falls."""
        used = _waited() - self._start
        for pid in _children(os.getpid()):
            used += _live_seconds(pid)
        self._most = max(self._most, used)
        return self._most

    def finish(self) -> float:
        """CPU seconds in the end; orphans are somebody else's again.

        Call it when the measured work has returned.
        """
        seconds = self.seconds()
        _subreaper(self._was_subreaper)
        return seconds


def process_start(pid: int) -> str:
    """Start of a process in clock ticks since boot: with the pid, its identity.

    Parameters
    ----------
    pid : int

    Returns
    -------
    str
        Empty when there is no such process.
    """
    fields = _stat(pid)
    return fields[19] if fields else ''


def is_running(pid: int, start: str) -> bool:
    """Whether the process that started at that tick is still there.

    Examples
    --------
    >>> is_running(os.getpid(), process_start(os.getpid()))
    True
    >>> is_running(os.getpid(), '1')
    False
    """
    return bool(start) and process_start(pid) == start and _state(pid) != 'Z'


def _subreaper(wanted: bool) -> bool:  # noqa: FBT001 - prctl's own argument
    """Whether orphaned descendants become our children, not init's; return what was."""
    before = ctypes.c_int(0)
    try:
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)
    except (OSError, AttributeError):  # not Linux
        pass
    return bool(before.value)


def _waited() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _live_seconds(pid: int) -> float:
    """CPU seconds of a living process, the children it waited for, and its living ones."""
    fields = _stat(pid)
    if not fields:
        return 0.0
    own = sum(int(ticks) for ticks in fields[11:15]) / _TICK
    return own + sum(_live_seconds(child) for child in _children(pid))


def _children(pid: int) -> set[int]:
    """Children of all threads of a process."""
    found: set[int] = set()
    try:
        for thread in os.listdir(f'/proc/{pid}/task'):
            text = Path(f'/proc/{pid}/task/{thread}/children').read_text()
            found.update(int(child) for child in text.split())
    except OSError:
        pass  # The process ended while we looked.
    return found


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ''


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the state on (the name before may hold spaces)."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return []
