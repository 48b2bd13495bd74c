"""The facts of one piece of work: readings, windows, parts, and the entry that holds them.

Nothing here knows of grams: an entry holds joules, seconds and names.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

__all__ = ['Command', 'Entry', 'Kind', 'Outcome', 'Part', 'Reading', 'Scope', 'Tier', 'Use']
__all__ += ['Window', 'check', 'check_values']


Tier = Literal['measured', 'modelled', 'assumed']
Scope = Literal['host', 'own']
Outcome = Literal['ran', 'failed', 'killed', 'cached']
Kind = Literal['node', 'run', 'command']


class Reading(NamedTuple):
    """What one meter saw of one component, over the time of an entry.

    Parameters
    ----------
    component : str
        ``cpu``, ``dram``, ``gpu:<uuid>``, …
    joules : float or None
        Energy in joules; None when the counter could not be read (never 0).
    idle_watts : float or None
        Power in watts that the component draws when nothing runs on it; of its joules alone
        where the scope is ``own``.
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
        counter that wrapped more than once, was reset, or could not be read), 0 if it
        never was.
    idle_u_rel : float
        Multiplicative uncertainty of ``idle_watts`` at 95 %. Never below 1.
    """

    component: str
    joules: float | None
    idle_watts: float | None
    method: str
    tier: Tier
    scope: Scope
    u_rel: float
    coverage: float = 1.0
    idle_u_rel: float = 1.0


class Use(NamedTuple):
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


class Window(NamedTuple):
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
    covered : tuple of float
        For each reading the seconds in which it was seen, where windows with gaps had to
        be merged. Empty when what was seen at all was seen throughout.

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
    covered: tuple[float, ...] = ()

    def seen(self, index: int) -> float:
        """Seconds in which a reading was seen."""
        if self.joules[index] is None:
            return 0.0
        return self.covered[index] if self.covered else self.seconds

    @property
    def stop(self) -> float:
        """End in seconds of the host's monotonic clock."""
        return self.start + self.seconds


class Part(NamedTuple):
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


class Command(NamedTuple):
    """A program that an entry ran, as the program that ran it says.

    Commands never add to a total: what they used is in their entry.

    Parameters
    ----------
    name : str
    start : float
        Start in seconds of the host's monotonic clock.
    seconds : float
        Wall time.
    user_seconds, system_seconds : float
        CPU time.
    peak_memory_gb : float or None
        Largest resident set, in GB.
    """

    name: str
    start: float
    seconds: float
    user_seconds: float
    system_seconds: float
    peak_memory_gb: float | None = None

    @property
    def cpu_seconds(self) -> float:
        """CPU time, in seconds."""
        return self.user_seconds + self.system_seconds


class Entry(NamedTuple):
    """One line of the ledger: one node run once, or the run as a whole.

    Parameters
    ----------
    entry_id : str
        ``<host>-<pid>-<start of the process>-<number>``: unique, and names
        the file that it is appended to.
    kind : {'node', 'run', 'command'}
        A leaf that did work; or the program that ran the nodes: its windows are the
        timeline of the host, its CPU seconds hold those of all its nodes; or a command
        that is a leaf only if it recorded no nodes of its own.
    run_id, subject, session, stage, node, interface, host : str
        What ran, for whom, where. Empty when it does not apply. The ``node`` of a run is
        the run inside which it was started, where that is known.
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
    commands : tuple of Command
        Programs that it ran, in order of time.
    job : str
        Of the batch system, such as ``slurm:123_4``; empty outside any.
    job_cores : int or None
        Cores of this host that were kept for the job; None where it is not said.
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
    commands: tuple[Command, ...] = ()
    job: str = ''
    job_cores: int | None = None

    @property
    def start(self) -> float | None:
        """Start in seconds of the host's monotonic clock; None without windows."""
        return self.windows[0].start if self.windows else None

    @property
    def place(self) -> str:
        """Whose clock and energy it saw: one kernel's, whatever its containers call themselves.

        Where the boot is not known, the host's name.
        """
        return self.boot_id or self.host


_WORDS = {
    'kind': get_args(Kind),
    'outcome': get_args(Outcome),
    'tier': get_args(Tier),
    'scope': get_args(Scope),
}
_TEXTS = {*_WORDS, 'boot_id', 'component', 'entry_id', 'error', 'host', 'interface', 'job'}
_TEXTS |= {'method', 'name', 'node', 'run_id', 'session', 'stage', 'started', 'subject'}
_MAY_BE_NONE = {
    'host_cpu_seconds',
    'host_memory_gb',
    'idle_watts',
    'job_cores',
    'joules',
    'own_seconds',
    'peak_memory_gb',
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
    records: list[Any] = [
        entry,
        *entry.readings,
        *entry.windows,
        *uses,
        *entry.parts,
        *entry.commands,
    ]
    for record in records:
        check_values(record)
    for window in entry.windows:
        _check_window(window, len(entry.readings))
    bounds = (min(reading.u_rel, reading.idle_u_rel) for reading in entry.readings)
    if entry.host_cores < 1 or any(bound < 1 for bound in bounds):
        raise ValueError('less than one core, or an uncertainty below 1')
    datetime.fromisoformat(entry.started)
    if len(entry.entry_id.rsplit('-', 3)) != 4:
        raise ValueError('its id is not <host>-<pid>-<start>-<number>')


def check_values(record: Entry | Reading | Window | Use | Part | Command) -> None:
    """Refuse values of one record that no clock or counter shows.

    Parameters
    ----------
    record : Entry, Reading, Window, Use, Part or Command
        What it holds in tuples is not looked at.

    Raises
    ------
    ValueError, TypeError
        Names the field.

    Examples
    --------
    >>> check_values(Command('mri_convert', 10.0, 2.0, 1.5, -0.1))
    Traceback (most recent call last):
    ...
    ValueError: system_seconds is -0.1
    """
    for name, value in zip(record._fields, record, strict=True):
        if not isinstance(value, tuple):
            _check_field(name, value)


def _check_window(window: Window, readings: int) -> None:
    for name in ('joules', 'uses', 'covered'):
        values = getattr(window, name)
        if len(values) != readings and (values or name == 'joules'):
            raise ValueError(f'its windows do not have one value of {name} per reading')
    for name in ('joules', 'covered'):
        for value in getattr(window, name):
            _check_field(name, value)


def _check_field(name: str, value: Any) -> None:
    if name in _WORDS and value not in _WORDS[name]:
        raise ValueError(f'{name} is {value!r}')
    if name in _TEXTS:
        if not isinstance(value, str):
            raise TypeError(f'{name} is not text')
    elif value is None and name in _MAY_BE_NONE:
        pass
    # A negative idle power, time or energy is no reading.
    elif isinstance(value, bool) or not (math.isfinite(value) and value >= 0):
        raise ValueError(f'{name} is {value!r}')
