"""Where under some paths there is something to read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import Folder, Reader, Source

__all__ = ['sources']


def sources(paths: Iterable[Path], readers: Sequence[Reader]) -> list[Source]:
    """Find what readers can read; nothing is opened.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        Folders, which are searched, links and all, or files.
    readers : sequence of Reader
        Asked in this order: what one of them closes is not shown to the next.

    Returns
    -------
    list of Source
        In order of their paths, each once; files of one reader and path, wherever they are,
        together. A folder that cannot be listed is as if it were empty.
    """
    found: dict[tuple[str, Path], Source] = {}
    ahead = [(path, path) for path in paths]
    seen: set[tuple[int, int]] = set()
    while ahead:
        path, root = ahead.pop()
        try:
            folder = _listed(path, root)
            place = os.stat(path)
        except OSError:
            continue
        # Links may lead round in circles, and one PATH may lie in another.
        if (place.st_dev, place.st_ino) in seen:
            continue
        seen.add((place.st_dev, place.st_ino))
        told = _told(folder, readers)
        for one in told:
            _add(found, one)
        if not any(one.closed for one in told):
            ahead += [(folder.path / name, root) for name in folder.folders]
    return sorted(found.values(), key=lambda one: (str(one.path), one.reader))


def _listed(path: Path, root: Path) -> Folder:
    """What is in a folder; a file is alone in its own."""
    if not path.is_dir():
        return Folder(path.parent, root, frozenset(), frozenset([path.name]))
    folders: set[str] = set()
    files: set[str] = set()
    with os.scandir(path) as found:
        for one in found:
            (folders if one.is_dir() else files).add(one.name)
    return Folder(path, root, frozenset(folders), frozenset(files))


def _told(folder: Folder, readers: Sequence[Reader]) -> list[Source]:
    told: list[Source] = []
    for reader in readers:
        told += reader.find(folder)
        if any(one.closed for one in told):
            break
    return told


def _add(found: dict[tuple[str, Path], Source], one: Source) -> None:
    key = one.reader, one.path
    before = found[key].files if key in found else ()
    found[key] = one._replace(files=tuple(dict.fromkeys((*before, *one.files))))
