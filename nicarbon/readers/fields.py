"""Values of files that anybody may have written: a number, a moment, whose they are."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

__all__ = ['moment', 'number', 'subject_of']

LAST_MOMENT = 4e9
"""Seconds since 1970: no log is of the year 2096."""

_ENTITY = re.compile(r'(?:^|(?<=[/_]))(sub|ses)-([0-9A-Za-z]+)')


def number(value: object, most: float = 1e15) -> float | None:
    """A number that counts something.

    Parameters
    ----------
    value : object
        As it was read; text is taken as a number too.
    most : float
        What is more is none.

    Returns
    -------
    float or None
        From 0 to ``most``; None for all else.

    Examples
    --------
    >>> number('1.5'), number(2), number(-1.0), number('nan'), number(True), number(10**400)
    (1.5, 2.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found <= most else None


def moment(text: str) -> float | None:
    """Seconds since 1970 of a date and time, local where it names no offset.

    Parameters
    ----------
    text : str
        ISO 8601, also with a space in it.

    Returns
    -------
    float or None
        None for what is none.

    Examples
    --------
    >>> moment('2024-01-01T00:00:00+00:00'), moment('soon')
    (1704067200.0, None)
    """
    try:
        return number(datetime.fromisoformat(text.strip()).timestamp(), LAST_MOMENT) or None
    except (ValueError, OverflowError, OSError):
        return None


def subject_of(path: Path) -> tuple[str, str]:
    """Subject and session of a file, by the folders that it lies in and its own name.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    subject, session : str
        Empty where no part of its path is that of a BIDS dataset.

    Examples
    --------
    >>> subject_of(Path('out/sub-01/ses-2/data.json')), subject_of(Path('out/data.json'))
    (('01', '2'), ('', ''))
    """
    found = dict(_ENTITY.findall('/'.join(path.parts)))
    subject = found.get('sub', '')
    return subject, found.get('ses', '') if subject else ''
