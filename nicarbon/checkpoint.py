"""What running work has used so far, on disk: it is there when the process is killed.

A checkpoint is a file of the ledger folder: a line that says what runs, and one more
line for every window. A process uses the same file for one piece of work after
another, because making and removing one costs more than all the rest of watching.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from pathlib import Path

from .entry import Entry, Window
from .ledger import to_line, window_line

__all__ = ['Checkpoint', 'tidy']


class Checkpoint:
    """The checkpoint of one entry.

    Parameters
    ----------
    folder : path
        Ledger folder, made when it is not there.
    entry : Entry
        Without windows.

    Raises
    ------
    OSError
        When it cannot be written; so do all methods.
    """

    def __init__(self, folder: Path | str, entry: Entry) -> None:
        self._key = os.getpid(), str(folder)
        self._handle, self._path = _open(self._key, entry.entry_id.rpartition('-')[0])
        self._write(to_line(entry) + '\n', at=0)

    def extend(self, window: Window) -> None:
        """Add a window."""
        self._write(window_line(window) + '\n', at=self._size)

    def rewrite(self, entry: Entry) -> None:
        """Write it anew, with other windows than before, or where it has vanished.

        A new file takes the place of the old one, so that there is a whole one always.
        """
        lines = [to_line(entry._replace(windows=())), *map(window_line, entry.windows)]
        draft = f'{self._path}.draft'
        os.makedirs(self._key[1], exist_ok=True)
        os.close(self._handle)
        self._handle = os.open(draft, _FLAGS | os.O_TRUNC, 0o644)
        self._write('\n'.join(lines) + '\n', at=0)
        os.replace(draft, self._path)

    def close(self) -> None:
        """Its entry has ended and is in the ledger: nothing of it is needed."""
        os.ftruncate(self._handle, 0)
        _free.setdefault(self._key, []).append((self._handle, self._path))

    def _write(self, text: str, at: int) -> None:
        data = text.encode()
        if not os.fstat(self._handle).st_nlink:
            raise FileNotFoundError(errno.ENOENT, 'somebody removed the checkpoint', self._path)
        written = os.pwrite(self._handle, data, at)
        self._size = at + written
        if written < len(data):
            raise OSError(errno.ENOSPC, 'the checkpoint was cut short', self._path)


def tidy(folder: Path | str) -> None:
    """Remove checkpoints that hold nothing; whoever still uses one makes it anew."""
    with contextlib.suppress(OSError):
        for path in Path(folder).glob('*.part'):
            if path.stat().st_size == 0:
                path.unlink()


_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC

_Key = tuple[int, str]
_free: dict[_Key, list[tuple[int, str]]] = {}
"""Open files that no entry needs any more, by process and folder."""
_numbers = itertools.count(1)


def _open(key: _Key, process: str) -> tuple[int, str]:
    """A file for one checkpoint: one that is free, or else a new one."""
    free = _free.get(key, [])
    while free:
        handle, path = free.pop()
        if os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)
    path = os.path.join(key[1], f'{process}-{next(_numbers)}.part')
    try:
        return os.open(path, _FLAGS, 0o644), path
    except FileNotFoundError:
        os.makedirs(key[1], exist_ok=True)
        return os.open(path, _FLAGS, 0o644), path
