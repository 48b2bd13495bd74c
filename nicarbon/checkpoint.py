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
from typing import NamedTuple

from .entry import Entry, Window
from .ledger import ENDED, to_line, window_line

__all__ = ['Checkpoint', 'tidy']


class Checkpoint:
    """The checkpoint of one entry.

    Parameters
    ----------
    folder : path
        Ledger folder, made when it is not there.
    process : str
        The process that it is for.

    Raises
    ------
    OSError
        When it cannot be written; so do all methods.
    """

    def __init__(self, folder: Path | str, process: str) -> None:
        self._key = os.getpid(), str(folder)
        self._file = _take(self._key, process)
        self._size = 0

    @property
    def path(self) -> str:
        """The file."""
        return self._file.path

    def begin(self, entry: Entry) -> None:
        """Say what runs, as soon as it is worth while."""
        if not self._size:
            self._write(to_line(entry) + '\n', at=0)

    def extend(self, window: Window) -> None:
        """Add a window."""
        self._write(window_line(window) + '\n', at=self._size)

    def rewrite(self, entry: Entry, *, ended: bool = False) -> None:
        """Write it anew, with other windows than before, or where it has vanished.

        A new file takes the place of the old one, so that there is a whole one always.

        Parameters
        ----------
        entry : Entry
        ended : bool
            The work has ended as the entry says, which its ledger could not be told.
        """
        lines = [to_line(entry._replace(windows=())), *map(window_line, entry.windows)]
        lines += [ENDED] if ended else []
        os.makedirs(self._key[1], exist_ok=True)
        old, size = self._file, self._size
        self._file = _File.open(f'{self.path}.draft', os.O_TRUNC)
        try:
            self._write('\n'.join(lines) + '\n', at=0)
            os.replace(self.path, old.path)
        except OSError:
            # The old one holds all that it did, and goes on.
            os.close(self._file.handle)
            self._file, self._size = old, size
            raise
        self._file = self._file._replace(path=old.path)
        if old.is_open:
            os.close(old.handle)

    def close(self) -> None:
        """Its entry has ended and is in the ledger: nothing of it is needed."""
        if self._file.is_open:
            if self._size:
                os.ftruncate(self._file.handle, 0)
            _free.setdefault(self._key, []).append(self._file)

    def _write(self, text: str, at: int) -> None:
        if not (self._file.is_open and self._file.has_name):
            raise FileNotFoundError(errno.ENOENT, 'the checkpoint was taken away', self.path)
        data = text.encode()
        written = os.pwrite(self._file.handle, data, at)
        self._size = at + written
        if written < len(data):
            raise OSError(errno.ENOSPC, 'the checkpoint was cut short', self.path)


class _File(NamedTuple):
    """An open file, and what it is: a program may close descriptors that are not its own,
    and the next file that it opens then has the same number.
    """

    path: str
    handle: int
    device: int
    inode: int

    @classmethod
    def open(cls, path: str, flags: int = 0) -> _File:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o644)
        status = os.fstat(handle)
        return cls(path, handle, status.st_dev, status.st_ino)

    @property
    def is_open(self) -> bool:
        """Whether the number is still that of this file."""
        try:
            status = os.fstat(self.handle)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (self.device, self.inode)

    @property
    def has_name(self) -> bool:
        """Whether nobody has removed it."""
        return os.fstat(self.handle).st_nlink > 0


_Key = tuple[int, str]
_free: dict[_Key, list[_File]] = {}
"""Files that no entry needs any more, by process and folder."""
_numbers = itertools.count(1)


def tidy(folder: Path | str) -> None:
    """Remove checkpoints that hold nothing; whoever still uses one makes it anew."""
    for file in _free.pop((os.getpid(), str(folder)), []):
        if file.is_open:
            os.close(file.handle)
    with contextlib.suppress(OSError):
        for path in Path(folder).glob('*.part'):
            if path.stat().st_size == 0:
                path.unlink()


def _take(key: _Key, process: str) -> _File:
    """A file for one checkpoint: one that is free, or else a new one."""
    free = _free.get(key, [])
    while free:
        file = free.pop()
        if file.is_open and file.has_name:
            return file
        if file.is_open:
            os.close(file.handle)
    path = os.path.join(key[1], f'{process}-{next(_numbers)}.part')
    try:
        return _File.open(path)
    except FileNotFoundError:
        os.makedirs(key[1], exist_ok=True)
        return _File.open(path)
