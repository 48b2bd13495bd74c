"""Files of our own: written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ['save', 'save_json', 'writable']


def save_json(path: Path, content: Mapping[str, Any], *, mode: int | None = None) -> None:
    """Write a file, and the folders above it; nobody ever reads half of it.

    Parameters
    ----------
    path : pathlib.Path
    content : mapping
    mode : int, optional
        Its permissions; by default what the process gives to new files.

    Raises
    ------
    OSError
        When it cannot be written; the file is as it was before.
    """
    save(path, json.dumps(content, indent=2) + '\n', mode=mode)


def save(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write a file, and the folders above it; nobody ever reads half of it.

    Parameters
    ----------
    path : pathlib.Path
    text : str
    mode : int, optional
        Its permissions; by default what the process gives to new files.

    Raises
    ------
    OSError
        When it cannot be written; the file is as it was before.
    """
    # Many hosts may write to one folder.
    draft = path.with_name(f'.{path.name}.{os.uname().nodename}.{os.getpid()}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, 'utf-8', errors='replace')
        if mode is not None:
            draft.chmod(mode)
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def writable(folder: Path) -> bool:
    """Whether a folder, or the nearest one above that exists, may be written to."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
