"""Exact CPU seconds of a process tree, whatever its children do.

Sampling loses short children (a one-second scan sees none of twenty that live
0.2 s). What the kernel adds up does not: ``RUSAGE_SELF`` and
``RUSAGE_CHILDREN`` count every child that was waited for, and
``PR_SET_CHILD_SUBREAPER`` brings orphans home, so that they can be seen. What
nobody has waited for yet, living or dead, is added from ``/proc`` (its own CPU
time and that of the children it waited for). A process that vanished although
its parent's count did not grow (the parent ignores SIGCHLD, so that the kernel
throws the count away) is kept as it was last seen; such a tree is looked at
often.

No child that code of this process may have started is reaped: somebody may ask for its
exit code. What it used is read from its remains. Orphans that were seen below another
process before they came home are nobody's, and are taken away in the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import resource
import signal
import threading
from typing import NamedTuple

from .kernel import text

__all__ = ['TreeClock', 'adopts_orphans', 'is_running', 'process_start']

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37  # linux/prctl.h
_TICK = os.sysconf('SC_CLK_TCK')
_SIGCHLD_BIT = 1 << (signal.SIGCHLD - 1)

_Key = tuple[int, str]
"""A process: its pid, and its start in ticks since boot."""


class _Process(NamedTuple):
    """A descendant as it was last seen."""

    parent: _Key
    own: float
    waited: float
    forgetful: bool
    """Whether it ignores SIGCHLD: what its children used is lost when they end."""


class TreeClock:
    """CPU seconds of this process and all its descendants, from now on.

    Parameters
    ----------
    adopt : bool
        Whether children that this process has already count from now on (a run's
        workers), or belong to somebody else (to a node, they do).

    Examples
    --------
    >>> clock = TreeClock()
    >>> before = clock.seconds()
    >>> _ = sum(range(300_000))
    >>> clock.finish() > before
    True
    """

    def __init__(self, *, adopt: bool = False) -> None:
        self._reaper = _Subreaper.hold()
        self._me: _Key = (os.getpid(), '')
        self._tree = _descendants(self._me)
        self._adopts = adopt
        self._foreign = set() if adopt else set(self._tree)
        self._orphans: set[_Key] = set()
        self._stirred = False
        own, self._waited = _rusage()
        self._start = own + self._waited + self._living()
        self._lost = self._most = 0.0

    @property
    def restless(self) -> bool:
        """Whether something would be lost between two rare looks.

        What children of a process that forgets them used, or how much of what is waited
        for was a stranger's.
        """
        forgetful = _forgetful() or any(each.forgetful for each in self._tree.values())
        return forgetful or self._stirred

    def pids(self) -> frozenset[int]:
        """Processes that were there at the last look, this one among them."""
        mine = (pid for pid, start in self._tree if (pid, start) not in self._foreign)
        return frozenset([self._me[0], *mine])

    def seconds(self) -> float:
        """CPU seconds since the start; never falls."""
        before, waited = self._tree, self._waited
        # In this order: a child that is waited for in between is in neither, and the
        # running maximum bridges that; the other way round it would be in both for good.
        own, self._waited = _rusage()
        self._tree = _descendants(self._me)
        self._sort_out(before)
        if before:
            self._lost += self._vanished(before, self._waited - waited)
        used = own + self._waited + self._living() + self._lost - self._start
        self._most = max(self._most, used)
        return self._most

    def finish(self) -> float:
        """CPU seconds in the end; orphans are somebody else's again.

        Call it when the measured work has returned.
        """
        seconds = self.seconds()
        _bury(self._orphans & set(self._tree))
        self._reaper.release()
        return seconds

    def _sort_out(self, before: dict[_Key, _Process]) -> None:
        """Who came home as an orphan, and what strangers started."""
        for key, each in self._tree.items():
            if key in before and each.parent == self._me != before[key].parent:
                self._orphans.add(key)
            # Parents come before their children in the tree.
            if each.parent in self._foreign:
                self._foreign.add(key)
        both = self._foreign & set(before) & set(self._tree)
        self._stirred = any(before[key].own < self._tree[key].own for key in both)

    def _living(self) -> float:
        """CPU seconds of all descendants that count."""
        return sum(
            each.own + each.waited for key, each in self._tree.items() if key not in self._foreign
        )

    def _vanished(self, before: dict[_Key, _Process], grown: float) -> float:
        """What must be added for those that ended since, and taken off.

        Children of a process that ignores SIGCHLD are in nobody's count. When a stranger
        that is our own child ended, our count has grown by all that it ever used.
        """
        seconds = 0.0
        for key, each in before.items():
            if key in self._tree:
                continue
            if key in self._foreign:
                if each.parent == self._me:
                    seconds -= min(grown, each.own + each.waited)
            elif process_start(key[0]) == key[1]:
                self._tree[key] = each  # It was overlooked: such lists are not reliable.
            elif before[each.parent].forgetful if each.parent in before else _forgetful():
                seconds += each.own + each.waited
        return seconds


def _bury(orphans: set[_Key]) -> None:
    """Take away the remains of orphans, which nobody else will ask for.

    They were seen below another process before they came home, so that no code of this
    process started them; what they used is then in the count of those waited for.
    """
    for pid, _ in orphans:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)


class _Subreaper:
    """Orphaned descendants become our children, not init's, while anybody holds this."""

    _holders = 0
    _before = False
    _pid = 0
    _lock = threading.Lock()

    @classmethod
    def hold(cls) -> type[_Subreaper]:
        """Begin, or join those who hold it."""
        with cls._lock:
            if cls._pid != os.getpid():
                cls._pid, cls._holders = os.getpid(), 0  # Forked: the flag is not inherited.
            if cls._holders == 0:
                cls._before = _subreaper(True)
            cls._holders += 1
        return cls

    @classmethod
    def release(cls) -> None:
        """The last one restores what was."""
        with cls._lock:
            cls._holders -= 1
            if cls._holders == 0 and not cls._before:
                _set_subreaper(False)


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
    fields = _stat(pid)
    return bool(start) and bool(fields) and fields[19] == start and fields[0] != 'Z'


def adopts_orphans() -> bool:
    """Whether this system lets a process be the parent of its orphaned descendants."""
    return _libc() is not None


@functools.cache
def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
        libc.prctl  # noqa: B018 - not there on other systems than Linux
    except (OSError, AttributeError):
        return None
    return libc


def _subreaper(wanted: bool) -> bool:  # noqa: FBT001 - prctl's own argument
    """Whether orphaned descendants become our children, not init's; return what was."""
    libc = _libc()
    if libc is None:
        return True
    before = ctypes.c_int(0)
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    if bool(before.value) != wanted:
        _set_subreaper(wanted)
    return bool(before.value)


def _set_subreaper(wanted: bool) -> None:  # noqa: FBT001 - prctl's own argument
    libc = _libc()
    if libc is not None:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def _rusage() -> tuple[float, float]:
    """CPU seconds of this process, and of the children that it waited for."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def _forgetful() -> bool:
    """Whether this process itself ignores SIGCHLD."""
    return signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN


def _has_children() -> bool:
    """Whether this process has any child, by one system call that reaps nothing."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descendants(root: _Key) -> dict[_Key, _Process]:
    """All processes below this one, living or not yet waited for."""
    found: dict[_Key, _Process] = {}
    ahead = [(root, pid) for pid in _children(root[0])] if _has_children() else []
    while ahead:
        parent, pid = ahead.pop()
        fields = _stat(pid)
        if not fields:
            continue
        key = (pid, fields[19])
        below = _children(pid)
        ahead.extend((key, child) for child in below)
        user, system, waited_user, waited_system = (int(ticks) for ticks in fields[11:15])
        found[key] = _Process(
            parent,
            (user + system) / _TICK,
            (waited_user + waited_system) / _TICK,
            bool(below) and _ignores_sigchld(pid),
        )
    return found


def _ignores_sigchld(pid: int) -> bool:
    status = text(f'/proc/{pid}/status')
    mask = status.partition('SigIgn:')[2].partition('\n')[0].strip()
    return bool(int(mask or '0', 16) & _SIGCHLD_BIT)


def _children(pid: int) -> set[int]:
    """Children of all threads of a process."""
    found: set[int] = set()
    try:
        threads = os.listdir(f'/proc/{pid}/task')
    except OSError:
        return found  # The process ended while we looked.
    for thread in threads:
        found.update(map(int, text(f'/proc/{pid}/task/{thread}/children').split()))
    return found


def _stat(pid: int) -> list[str]:
    """Fields of ``/proc/<pid>/stat`` from the state on (the name before may hold spaces)."""
    return text(f'/proc/{pid}/stat', 1024).rpartition(')')[2].split()
