"""The facts of one piece of work: readings, windows, parts, and the entry that holds them.

Nothing here knows of grams: an entry holds joules, seconds and names.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal, get_args

__all__ = ['Entry', 'Kind', 'Outcome', 'Part', 'Reading', 'Scope', 'Tier', 'Use', 'Window']
__all__ += ['MAX_WINDOWS', 'check', 'merge_pairs', 'summed']

MAX_WINDOWS = 512
"""Windows kept per entry; a longer series is merged pairwise, so that eight
hours cost kilobytes."""

Tier = Literal['measured', 'modelled', 'assumed']
Scope = Literal['host', 'own']
Outcome = Literal['ran', 'failed', 'killed', 'cached']
Kind = Literal['node', 'run']


@dataclass(frozen=True, slots=True)
class Reading:
    """What one meter saw of one component, over the time of an entry.

    Parameters
    ----------
    component : str
        ``cpu``, ``dram``, ``gpu:<uuid>``, …
    joules : float or None
        Energy in joules; None when the counter could not be read (never 0).
    idle_watts : float or None
        Power in watts that the component draws when nothing runs on it.
    method : str
        How it was seen, such as ``model:tdp-linear``.
    tier : {'measured', 'modelled', 'assumed'}
        How far it can be trusted.
    scope : {'host', 'own'}
        Whether the joules are those of the whole host or of this entry alone.
    u_rel : float
        Multiplicative uncertainty at 95 %: the truth lies between
        ``joules / u_rel`` and ``joules * u_rel``. Never below 1.
    coverage : float
        Part of the time in which the counter was seen: below 1 after a gap (a
        counter that wrapped more than once, was reset, or could not be read).
    """

    component: str
    joules: float | None
    idle_watts: float | None
    method: str
    tier: Tier
    scope: Scope
    u_rel: float
    coverage: float = 1.0


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a component that does not follow CPU time was used, and by whom.

    A GPU's energy follows its streaming multiprocessors (SM), and its idle power those
    who hold it.

    Parameters
    ----------
    own_seconds : float or None
        Seconds of full use by this entry; None when that could not be seen.
    host_seconds : float
        Seconds of full use by everybody.
    held_seconds : float
        Process-seconds for which this entry held the component.
    holders_seconds : float
        The same for everybody.
    """

    own_seconds: float | None
    host_seconds: float
    held_seconds: float
    holders_seconds: float


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of an entry's time, in which rates are taken as even.

    Parameters
    ----------
    start : float
        Start in seconds of the host's monotonic clock (one clock for all
        processes of a host until it is rebooted).
    seconds : float
        Length in seconds.
    cpu_seconds : float
        CPU seconds of the entry's own process tree.
    host_cpu_seconds : float or None
        Busy CPU seconds of the whole host; None when they could not be read.
    joules : tuple of (float or None)
        One value per reading of the entry, in the same order.
    uses : tuple of (Use or None)
        For each reading how much of its component was used; None where that
        follows CPU seconds. Empty when all do.

    Examples
    --------
    >>> Window(100.0, 2.0, 1.5, 1.9, (24.0,)).stop
    102.0
    """

    start: float
    seconds: float
    cpu_seconds: float
    host_cpu_seconds: float | None
    joules: tuple[float | None, ...]
    uses: tuple[Use | None, ...] = ()

    @property
    def stop(self) -> float:
        """End in seconds of the host's monotonic clock."""
        return self.start + self.seconds


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an entry's time with a name: a sub-stage, or a binary that it ran.

    Parts never add to a total: the joules that they show are those of the entry.

    Parameters
    ----------
    name : str
    start : float
        Start in seconds of the host's monotonic clock.
    seconds : float
        Wall time.
    """

    name: str
    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger: one node run once, or the run as a whole.

    Parameters
    ----------
    entry_id : str
        ``<host>-<pid>-<start of the process>-<number>``: unique, and names
        the file that it is appended to.
    kind : {'node', 'run'}
        A leaf that did work, or the program that ran the nodes: its
        windows are the timeline of the host, its CPU seconds hold those of
        all its nodes.
    run_id, subject, session, stage, node, interface, host : str
        What ran, for whom, where. Empty when it does not apply.
    boot_id : str
        Boot of the host that the monotonic clock belongs to.
    pid : int
        Process that ran it.
    started : str
        UTC, ISO 8601.
    seconds : float
        Wall time by the monotonic clock.
    cpu_seconds : float
        CPU seconds of its own process tree.
    host_cpu_seconds : float or None
        Busy CPU seconds of the host in that time.
    host_cores : int
        Logical cores of the host.
    reserved_cores : float
        Cores that were kept for it, whether it used them or not.
    reserved_memory_gb : float or None
        Memory kept for it, in GB.
    readings : tuple of Reading
        What each meter saw.
    windows : tuple of Window
        The same, resolved in time.
    outcome : {'ran', 'failed', 'killed', 'cached'}
        How it ended.
    error : str
        One line that says why it failed.
    host_memory_gb : float or None
        Memory of the host, in GB.
    suspended_seconds : float
        Time that the host slept meanwhile; it is no part of ``seconds``.
    parts : tuple of Part
        Sub-stages, in order of time.
    """

    entry_id: str
    kind: Kind
    run_id: str
    subject: str
    session: str
    stage: str
    node: str
    interface: str
    host: str
    boot_id: str
    pid: int
    started: str
    seconds: float
    cpu_seconds: float
    host_cpu_seconds: float | None
    host_cores: int
    reserved_cores: float
    reserved_memory_gb: float | None
    readings: tuple[Reading, ...]
    windows: tuple[Window, ...]
    outcome: Outcome
    error: str = ''
    host_memory_gb: float | None = None
    suspended_seconds: float = 0.0
    parts: tuple[Part, ...] = ()

    @property
    def start(self) -> float | None:
        """Start in seconds of the host's monotonic clock; None without windows."""
        return self.windows[0].start if self.windows else None


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
        tuple(_plus_use(x, y) for x, y in zip(_uses(a), _uses(b), strict=True))
        if a.uses or b.uses
        else (),
    )


def _uses(window: Window) -> tuple[Use | None, ...]:
    return window.uses or (None,) * len(window.joules)


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


_WORDS = {
    'kind': get_args(Kind),
    'outcome': get_args(Outcome),
    'tier': get_args(Tier),
    'scope': get_args(Scope),
}
_MAY_BE_NONE = {
    'host_cpu_seconds',
    'host_memory_gb',
    'idle_watts',
    'joules',
    'own_seconds',
    'reserved_memory_gb',
}


def check(entry: Entry) -> None:
    """Refuse values that no clock or counter shows: a ledger is somebody's file.

    Parameters
    ----------
    entry : Entry

    Raises
    ------
    ValueError, TypeError
        Names the field.
    """
    uses = [use for window in entry.windows for use in window.uses if use is not None]
    records: list[Any] = [entry, *entry.readings, *entry.windows, *uses, *entry.parts]
    for record in records:
        for field in fields(record):
            _check_field(field.name, str(field.type), getattr(record, field.name))
    if any(len(window.joules) != len(entry.readings) for window in entry.windows):
        raise ValueError('its windows do not have one value per reading')
    if any(window.uses and len(window.uses) != len(entry.readings) for window in entry.windows):
        raise ValueError('its windows do not have one use per reading')
    for window in entry.windows:
        for value in window.joules:
            _check_field('joules', 'float | None', value)
    if entry.host_cores < 1 or any(reading.u_rel < 1 for reading in entry.readings):
        raise ValueError('less than one core, or an uncertainty below 1')
    datetime.fromisoformat(entry.started)
    if len(entry.entry_id.rsplit('-', 3)) != 4:
        raise ValueError('its id is not <host>-<pid>-<start>-<number>')


def _check_field(name: str, kind: str, value: Any) -> None:
    if name in _WORDS and value not in _WORDS[name]:
        raise ValueError(f'{name} is {value!r}')
    if kind == 'str' and not isinstance(value, str):
        raise TypeError(f'{name} is not text')
    if kind.startswith(('float', 'int')):
        if value is None and name in _MAY_BE_NONE:
            return
        # A negative idle power, time or energy is no reading.
        if isinstance(value, bool) or not (math.isfinite(value) and value >= 0):
            raise ValueError(f'{name} is {value!r}')
