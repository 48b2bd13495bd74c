"""What can go wrong, and the exit code that says so.

::

    NicarbonError                1   some participant or report failed
    ├── UsageError              64   options that contradict each other or make no sense
    │   └── GridError           64   a zone, or a trace, that tells no intensity
    ├── InputError              66   an input that is not there or cannot be read
    │   ├── BIDSError           16   the folder is not a BIDS dataset
    │   ├── LevelError          17   an analysis level other than participant and group
    │   ├── SelectionError      18   the filters select nothing
    │   ├── ImageError          65   an image that cannot be a T1-weighted head
    │   └── ReaderError         65   what another program left behind, and cannot be read
    ├── LedgerError             65   a ledger that this version cannot read
    ├── UnavailableError        69   what this command needs is not on this machine
    │   └── MissingExtraError   69   a package that this command needs is not installed
    ├── StageError               1   a program that a stage runs has failed
    ├── BusyError               75   the machine is too busy to be measured: try again later
    ├── OutputError             73   an output that cannot be created
    └── StorageError            74   reading or writing failed half-way (disk full, say)

Exit code 2 is argparse's own (an option it does not know); 130 and 143 are
those of a run that Ctrl-C or SIGTERM ended. Numbers from 64 on are those of
BSD's ``sysexits.h``; 16 to 18 are those of the BIDS execution draft.

Every message is one line that names what, where and how to mend it.
"""

from __future__ import annotations

import logging

__all__ = [
    'BIDSError',
    'BusyError',
    'GridError',
    'ImageError',
    'InputError',
    'LedgerError',
    'LevelError',
    'MissingExtraError',
    'NicarbonError',
    'OutputError',
    'ReaderError',
    'SelectionError',
    'StageError',
    'StorageError',
    'UnavailableError',
    'UsageError',
    'warn_once',
]

_warned: set[str] = set()


def warn_once(topic: str, text: str) -> None:
    """Log a warning, the first time in this process that there is one of its topic.

    Parameters
    ----------
    topic : str
        What must not be said twice, however often it happens.
    text : str
    """
    if topic not in _warned:
        _warned.add(topic)
        logging.getLogger('nicarbon').warning('%s', text)


class NicarbonError(Exception):
    """The root of all errors that nicarbon raises on purpose.

    Examples
    --------
    >>> ImageError('sub-01_T1w.nii.gz is truncated').exit_code
    65
    """

    exit_code: int = 1


class UsageError(NicarbonError):
    """Raised when options contradict each other or have values that make no sense."""

    exit_code = 64


class GridError(UsageError):
    """Raised when no intensity can be told.

    For a zone that is in no table (lists the nearest names), a trace that cannot be read
    (names the line), or a time that a trace does not cover (names what it covers).
    """


class InputError(NicarbonError):
    """Raised when an input is not there or cannot be read."""

    exit_code = 66


class BIDSError(InputError):
    """Raised when the input folder is not a BIDS dataset."""

    exit_code = 16


class LevelError(InputError):
    """Raised when the analysis level is neither ``participant`` nor ``group``."""

    exit_code = 17


class SelectionError(InputError):
    """Raised when labels and filters leave nothing to process."""

    exit_code = 18


class ImageError(InputError):
    """Raised when an image cannot be read, or cannot be one T1-weighted head."""

    exit_code = 65


class ReaderError(InputError):
    """What another program left behind, and cannot be read."""

    exit_code = 65


class LedgerError(NicarbonError):
    """Raised when a ledger was written by a version that this one does not know."""

    exit_code = 65


class UnavailableError(NicarbonError):
    """Raised when this machine lacks what a command needs, such as an energy counter."""

    exit_code = 69


class MissingExtraError(UnavailableError):
    """Raised when an optional package is needed; names the extra to install."""


class StageError(NicarbonError):
    """Raised when a program that a stage runs has failed; names its log."""


class BusyError(NicarbonError):
    """Raised when other programs disturb a measurement of the idle machine."""

    exit_code = 75


class OutputError(NicarbonError):
    """Raised when the output folder cannot be created or must not be written to."""

    exit_code = 73


class StorageError(NicarbonError):
    """Raised when reading or writing failed half-way, as on a full disk."""

    exit_code = 74
