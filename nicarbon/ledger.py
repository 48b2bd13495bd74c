"""Facts on disk: what every node used, and how that was seen.

A ledger is a folder of JSON-lines files, one per process that ran nodes
(``<host>-<pid>-<start>.jsonl``). Each :class:`Entry` is appended by one
``write``, so that any number of processes and hosts may share the folder
without a lock. An entry that is still running leaves a checkpoint
(``<entry_id>.part``), replaced atomically at every window: if the process is
killed, the checkpoint is read back as an entry with the outcome ``killed``.

Nothing here knows of grams: a ledger holds joules, seconds and names.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from .errors import LedgerError

__all__ = [
    'MAX_WINDOWS',
    'SCHEMA_VERSION',
    'Entry',
    'Reading',
    'Window',
    'append',
    'checkpoint',
    'discard_checkpoint',
    'folders',
    'merge_pairs',
    'read',
]

SCHEMA_VERSION = 1
"""Version of the lines on disk; raised whenever a field changes its meaning."""

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
    """

    component: str
    joules: float | None
    idle_watts: float | None
    method: str
    tier: Tier
    scope: Scope
    u_rel: float


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

    @property
    def stop(self) -> float:
        """End in seconds of the host's monotonic clock."""
        return self.start + self.seconds


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
    >>> merge_pairs([a, b])
    (Window(start=0.0, seconds=2.0, cpu_seconds=0.75, host_cpu_seconds=1.0, joules=(5.0,)),)
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
    )


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def append(folder: Path | str, entry: Entry) -> Path:
    """Add one line to this process' file in a ledger folder.

    Parameters
    ----------
    folder : path
        Made when it is not there.
    entry : Entry

    Returns
    -------
    pathlib.Path
        The file written to.

    Raises
    ------
    OSError
        When the folder cannot be written. Metering code catches it: a full
        disk must not break the science.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{entry.entry_id.rpartition("-")[0]}.jsonl'
    line = (_to_line(entry) + '\n').encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(handle, line)
        if written < len(line):
            # A torn line (disk full) is ended, so that the next one stands alone.
            os.write(handle, b'\n')
            raise OSError(28, 'the ledger line was cut short', str(path))
    finally:
        os.close(handle)
    return path


def checkpoint(folder: Path | str, entry: Entry) -> None:
    """Keep what a running entry has used so far; replaced atomically each time."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f'.{entry.entry_id}.draft'
    draft.write_text(_to_line(entry))
    draft.replace(folder / f'{entry.entry_id}.part')


def discard_checkpoint(folder: Path | str, entry: Entry) -> None:
    """Remove the checkpoint of an entry that has ended."""
    (Path(folder) / f'{entry.entry_id}.part').unlink(missing_ok=True)


def folders(out_dir: Path | str) -> list[Path]:
    """Ledger folders of all runs under an output folder, oldest first."""
    return sorted(path for path in Path(out_dir).glob('logs/*/ledger') if path.is_dir())


def read(
    *ledgers: Path | str, running: Callable[[Entry, float], bool] = lambda _entry, _age: False
) -> tuple[list[Entry], list[str]]:
    """Read ledger folders.

    Parameters
    ----------
    *ledgers : path
        Ledger folders.
    running : callable, optional
        Tells of a checkpoint's entry and age in seconds whether its process
        still runs, in which case it is left out. By default none does.

    Returns
    -------
    entries : list of Entry
        Each once, in order of start. Checkpoints of processes that are gone
        come back with the outcome ``killed``.
    warnings : list of str
        One line for each torn line that was passed over.

    Raises
    ------
    LedgerError
        When a line has a schema version that this version does not know.
    """
    entries: dict[str, Entry] = {}
    warnings: list[str] = []
    for folder in ledgers:
        for path in sorted(Path(folder).glob('*.jsonl')):
            for entry in _lines(path, warnings):
                entries[entry.entry_id] = entry
        for path in sorted(Path(folder).glob('*.part')):
            age = time.time() - path.stat().st_mtime
            for entry in _lines(path, warnings):
                if entry.entry_id not in entries and not running(entry, age):
                    entries[entry.entry_id] = replace(entry, outcome='killed')
    return sorted(entries.values(), key=lambda entry: (entry.started, entry.entry_id)), warnings


def _lines(path: Path, warnings: list[str]) -> Iterator[Entry]:
    for number, line in enumerate(path.read_text(errors='replace').splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield _from_line(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.append(f'{path}: line {number} was passed over, torn or wrong: {error}')


def _to_line(entry: Entry) -> str:
    # Not asdict: it copies deeply, at ten times the cost of all the rest.
    record: dict[str, Any] = {'v': SCHEMA_VERSION, **_plain(entry)}
    record['readings'] = [_plain(reading) for reading in entry.readings]
    record['windows'] = [
        [w.start, w.seconds, w.cpu_seconds, w.host_cpu_seconds, w.joules] for w in entry.windows
    ]
    return json.dumps(record, separators=(',', ':'))


def _plain(record: Entry | Reading) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _from_line(line: str) -> Entry:
    record = json.loads(line)
    if not isinstance(record, dict):
        raise TypeError('not a record')
    version = record.pop('v')
    if version != SCHEMA_VERSION:
        msg = (
            f'the ledger has schema version {version}, this nicarbon reads {SCHEMA_VERSION}: '
            'use the nicarbon that wrote it, or a newer one'
        )
        raise LedgerError(msg)
    record['readings'] = tuple(Reading(**reading) for reading in record['readings'])
    record['windows'] = tuple(_window(*values) for values in record['windows'])
    known = {field.name for field in fields(Entry)}
    entry = Entry(**{key: value for key, value in record.items() if key in known})
    _check(entry)
    return entry


_WORDS = {
    'kind': get_args(Kind),
    'outcome': get_args(Outcome),
    'tier': get_args(Tier),
    'scope': get_args(Scope),
}
_MAY_BE_NONE = {'joules', 'idle_watts', 'host_cpu_seconds', 'reserved_memory_gb'}


def _check(entry: Entry) -> None:
    """Refuse values that no clock or counter shows: a ledger is somebody's file."""
    records: tuple[Entry | Reading | Window, ...] = (entry, *entry.readings, *entry.windows)
    for record in records:
        for field in fields(record):
            _check_field(field.name, str(field.type), getattr(record, field.name))
    if any(len(window.joules) != len(entry.readings) for window in entry.windows):
        raise ValueError('its windows do not have one value per reading')
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


def _window(
    start: float, seconds: float, cpu: float, host_cpu: float | None, joules: list[float | None]
) -> Window:
    for value in joules:
        _check_field('joules', 'float | None', value)
    return Window(start, seconds, cpu, host_cpu, tuple(joules))
