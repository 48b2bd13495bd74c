"""Small files of the kernel: what they show, and nothing where they are not there."""

from __future__ import annotations

import os

__all__ = ['number', 'text']


def text(path: str | os.PathLike[str], size: int = -1) -> str:
    """What a file shows, without blanks around it.

    Parameters
    ----------
    path : path
    size : int
        Read no more bytes than this: what the kernel writes anew for every reader takes
        long on large machines. All of it by default.

    Returns
    -------
    str
        Empty when it cannot be read.

    Examples
    --------
    >>> text('/proc/no such file')
    ''
    """
    try:
        # Without a buffer: what is read is no more than what is asked for.
        with open(path, 'rb', buffering=0) as file:
            return (file.read(size) or b'').decode('utf-8', 'replace').strip()
    except (OSError, ValueError):
        return ''


def number(path: str | os.PathLike[str]) -> float | None:
    """The number that a file shows.

    Parameters
    ----------
    path : path

    Returns
    -------
    float or None
        None when it cannot be read, or shows none.

    Examples
    --------
    >>> number('/proc/no such file') is None
    True
    """
    try:
        return float(text(path, 64))
    except ValueError:
        return None
