"""Files of an output folder: written whole or not at all, and why not in one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from .. import __version__, bids, files
from ..errors import OutputError, StorageError

__all__ = ['draft', 'save', 'save_all', 'scaffold']


def save_all(out_dir: Path, made: Mapping[Path, str]) -> None:
    """Write files, by path within an output folder.

    Raises
    ------
    OutputError, StorageError
        When one cannot be written.
    """
    for name, text in made.items():
        save(out_dir / name, text)


def save(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        files.save(path, text)
    except OSError as error:
        raise _cannot(path, error) from None


def _cannot(path: Path, error: OSError) -> OutputError | StorageError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
        return StorageError(
            f'{path} cannot be written: {error.strerror}; what was measured is in the '
            "ledger: make room, then run 'nicarbon account' on the output folder"
        )
    return OutputError(f'{path} cannot be written: {error.strerror}')


@contextmanager
def draft(path: Path) -> Iterator[TextIO]:
    """Open a file that is written bit by bit: whole in the end, or as it was.

    Parameters
    ----------
    path : pathlib.Path

    Yields
    ------
    text file
    """
    part = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        with part.open('w', encoding='utf-8') as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise _cannot(path, error) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def scaffold(
    out_dir: Path,
    source: Path | None = None,
    programs: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the files that make a folder a BIDS derivative.

    Parameters
    ----------
    out_dir : pathlib.Path
    source : pathlib.Path, optional
        The raw dataset.
    programs : mapping of {str : str}
        Further programs that make the derivatives, and their versions.
    """
    description = bids.dataset_description(__version__, source, programs)
    save(out_dir / 'dataset_description.json', json.dumps(description, indent=2) + '\n')
    save(out_dir / '.bidsignore', bids.IGNORE)
    save(out_dir / 'README.md', bids.README)
