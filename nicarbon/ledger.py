"""Facts on disk: what every node used, and how that was seen.

A ledger is a folder of JSON-lines files, one per process that ran nodes
(``<host>-<pid>-<start>.jsonl``). Each :class:`~nicarbon.entry.Entry` is appended
by one ``write``, so that any number of processes and hosts may share the folder
without a lock. An entry that is still running has a checkpoint (a file
``*.part``, see :mod:`nicarbon.checkpoint`): if its process is killed, that is
read back as an entry with the outcome ``killed``.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .entry import Command, Entry, Part, Reading, Use, Window, check
from .errors import LedgerError
from .series import summed

__all__ = [
    'SCHEMA_VERSION',
    'append',
    'folders',
    'from_line',
    'read',
    'to_line',
    'window_line',
]

SCHEMA_VERSION = 4
"""Version of the lines on disk; raised whenever a field changes its meaning or
may be new. All earlier versions are read."""

ENDED = '"ended"'
"""Last line of a checkpoint whose entry could not be added to the ledger."""


def append(folder: Path | str, entry: Entry) -> str:
    """Add one line to this process' file in a ledger folder.

    Parameters
    ----------
    folder : path
        Made when it is not there.
    entry : Entry

    Returns
    -------
    str
        The file written to.

    Raises
    ------
    OSError
        When the folder cannot be written. Metering code catches it: a full
        disk must not break the science.
    """
    path = os.path.join(folder, f'{entry.entry_id.rpartition("-")[0]}.jsonl')
    _write(path, to_line(entry) + '\n', os.O_APPEND | os.O_CREAT)
    return path


def _write(path: Path | str, text: str, flags: int) -> None:
    """Write by one call, so that no other writer's line can come between."""
    try:
        handle = os.open(path, os.O_WRONLY | flags, 0o644)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        data = text.encode()
        if os.write(handle, data) < len(data):
            # A torn line (disk full) is ended, so that the next one stands alone.
            os.write(handle, b'\n')
            raise OSError(errno.ENOSPC, 'the ledger line was cut short', str(path))
    finally:
        os.close(handle)


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
            part = _checkpoint(path, warnings)
            if part and part[0].entry_id not in entries and not running(*part):
                entries[part[0].entry_id] = part[0]
    return sorted(entries.values(), key=lambda entry: (entry.started, entry.entry_id)), warnings


def _lines(path: Path, warnings: list[str]) -> Iterator[Entry]:
    for number, line in enumerate(path.read_text(errors='replace').splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield from_line(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            warnings.append(f'{path}: line {number} was passed over, torn or wrong: {error}')


def _checkpoint(path: Path, warnings: list[str]) -> tuple[Entry, float] | None:
    """A checkpoint's entry, and its age in seconds; None if it ended meanwhile or is torn."""
    try:
        age = time.time() - path.stat().st_mtime
        first, *lines = path.read_text(errors='replace').splitlines() or ['']
    except FileNotFoundError:
        return None
    if not first:
        return None
    try:
        entry = from_line(first)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.append(f'{path}: line 1 was passed over, torn or wrong: {error}')
        return None
    if lines and lines[-1] == ENDED:
        lines.pop()  # Its outcome is known, although the ledger could not be told.
    else:
        entry = entry._replace(outcome='killed')
    whole = entry._replace(windows=(*entry.windows, *_whole_windows(lines)))
    try:
        check(whole)
    except (ValueError, TypeError) as error:
        warnings.append(f'{path}: was passed over, torn or wrong: {error}')
        return None
    return (summed(whole, whole.windows) if lines else whole), age


def _whole_windows(lines: Sequence[str]) -> Iterator[Window]:
    """Up to the first line that is torn: the process may have been killed in mid-write."""
    for line in lines:
        try:
            yield _window(*json.loads(line))
        except (ValueError, TypeError):
            return


def to_line(entry: Entry) -> str:
    """An entry as it is written, without the end of the line."""
    record: dict[str, Any] = {'v': SCHEMA_VERSION, **entry._asdict()}
    record['readings'] = [reading._asdict() for reading in entry.readings]
    record['windows'] = [_plain(window) for window in entry.windows]
    return _json(record)


_json = json.JSONEncoder(separators=(',', ':'), check_circular=False).encode


def window_line(window: Window) -> str:
    """A window as a checkpoint holds it, without the end of the line."""
    return _json(_plain(window))


def _plain(w: Window) -> list[Any]:
    values: list[Any] = [w.start, w.seconds, w.cpu_seconds, w.host_cpu_seconds, w.joules]
    if any(w.uses) or w.covered:
        values.append([use and _plain_use(use) for use in w.uses])
    if w.covered:
        values.append(w.covered)
    return values


def _plain_use(use: Use) -> list[float | None]:
    return [use.own_seconds, use.host_seconds, use.held_seconds, use.holders_seconds]


def from_line(line: str) -> Entry:
    """An entry as it was written.

    Parameters
    ----------
    line : str

    Returns
    -------
    Entry

    Raises
    ------
    LedgerError
        When its schema version is not known.
    ValueError, KeyError, TypeError, AttributeError
        When it is torn or wrong.
    """
    record = json.loads(line)
    if not isinstance(record, dict):
        raise TypeError('not a record')
    version = record.pop('v')
    if version not in range(1, SCHEMA_VERSION + 1):
        msg = (
            f'the ledger has schema version {version}, this nicarbon reads up to '
            f'{SCHEMA_VERSION}: use the nicarbon that wrote it, or a newer one'
        )
        raise LedgerError(msg)
    record['readings'] = tuple(Reading(**reading) for reading in record['readings'])
    record['windows'] = tuple(_window(*values) for values in record['windows'])
    record['parts'] = tuple(Part(*values) for values in record.get('parts', ()))
    record['commands'] = tuple(Command(*values) for values in record.get('commands', ()))
    entry = Entry(**{key: value for key, value in record.items() if key in Entry._fields})
    check(entry)
    return entry


def _window(
    start: float,
    seconds: float,
    cpu_seconds: float,
    host_cpu_seconds: float | None,
    joules: list[float | None],
    uses: list[list[float] | None] | None = None,
    covered: Sequence[float] = (),
) -> Window:
    read = tuple(None if use is None else Use(*use) for use in uses or ())
    told = tuple(joules), read, tuple(covered)
    return Window(start, seconds, cpu_seconds, host_cpu_seconds, *told)
