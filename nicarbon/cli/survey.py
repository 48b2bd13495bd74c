"""Which ledgers an output folder has, and which of their digests are good."""

from __future__ import annotations

import contextlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__
from ..digest import DIGEST_VERSION, Span, key_of
from ..errors import InputError

__all__ = ['GIVE', 'NAME', 'Files', 'Known', 'clusters', 'files_of', 'is_good', 'known', 'runs']
__all__ += ['is_there', 'there']

NAME = 'shares.tsv'
"""Of a digest, in ``logs/<run_id>``."""

GIVE = 'give the OUT_DIR of a participant run, of recording or of exec'
"""What to do where there is nothing to read."""

Files = Mapping[str, tuple[int, ...]]
"""Names of ledger files, how large they are, and when they changed."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the head of a digest says, without its rows.

    ``links`` are the ids of its runs, and inside which run each was started.
    """

    key: str
    spans: tuple[Span, ...]
    subjects: frozenset[str]
    links: tuple[tuple[str, str], ...] = ()

    @property
    def places(self) -> tuple[Span, ...]:
        """Its spans, and one for each run that it is or was started inside: these meet there,
        also where one was killed before anybody saw when it was.
        """
        names = {name for link in self.links for name in link if name}
        return (*self.spans, *((name, 0.0, 1.0) for name in sorted(names)))


def there(out_dir: Path) -> None:
    """Refuse an output folder that does not exist.

    Parameters
    ----------
    out_dir : pathlib.Path

    Raises
    ------
    InputError

    Examples
    --------
    >>> there(Path('/'))
    >>> there(Path('nowhere'))
    Traceback (most recent call last):
    ...
    nicarbon.errors.InputError: nowhere: no such folder; give the OUT_DIR of a participant run, of recording or of exec
    """
    if not out_dir.is_dir():
        raise InputError(f'{out_dir}: no such folder; {GIVE}')


def runs(out_dir: Path) -> list[str]:
    """Names of folders with a ledger, oldest first."""
    try:
        with os.scandir(out_dir / 'logs') as found:
            names = sorted(one.name for one in found)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if is_there(out_dir, name)]


def is_there(out_dir: Path, name: str) -> bool:
    """Whether a run has a ledger."""
    return os.path.isdir(f'{out_dir}/logs/{name}/ledger')  # noqa: PTH112


def files_of(out_dir: Path, name: str) -> Files:
    """The ledger files of a run."""
    found: dict[str, tuple[int, ...]] = {}
    with os.scandir(f'{out_dir}/logs/{name}/ledger') as entries:
        for one in entries:
            if one.name.endswith(('.jsonl', '.part')):
                # A checkpoint goes when its work has ended.
                with contextlib.suppress(FileNotFoundError):
                    about = one.stat()
                    found[one.name] = about.st_size, about.st_mtime_ns
    return found


def known(out_dir: Path, name: str, files: Files) -> Known | None:
    """What the digest of a run says, if it was made of these files by this nicarbon."""
    try:
        with open(f'{out_dir}/logs/{name}/{NAME}', encoding='utf-8') as digest:
            head: dict[str, Any] = json.loads(digest.readline())
        same = {file: tuple(size) for file, size in head['files'].items()} == files
        if (head['v'], head['nicarbon']) != (DIGEST_VERSION, __version__) or not same:
            return None
        spans = tuple((place, start, stop) for place, start, stop in head['spans'])
        links = tuple((run_id, node) for run_id, node in head['links'])
        return Known(head['key'], spans, frozenset(head['subjects']), links)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # Whatever is wrong with it, it is made again.


def clusters(
    spans: Mapping[str, Iterable[Span]],
) -> list[tuple[str, ...]]:
    """Runs that were on the same machine at the same time, gathered.

    Parameters
    ----------
    spans : mapping of {str : iterable of Span}
        By run when it was where.

    Returns
    -------
    list of tuple of str
        Every run once; any two of a tuple overlap, or are joined by others that do.

    Examples
    --------
    >>> clusters({'a': [('b', 0, 2)], 'b': [('b', 1, 3)], 'c': [('b', 3, 4)]})
    [('a', 'b'), ('c',)]
    """
    root = {name: name for name in spans}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = name = root[root[name]]
        return name

    places: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for name, own in spans.items():
        for place, start, stop in own:
            places[place].append((start, stop, name))
    for times in places.values():
        times.sort()
        _, end, first = times[0]
        for start, stop, name in times[1:]:
            if start < end:
                root[find(name)] = find(first)
            if stop > end or start >= end:
                end, first = max(end, stop), name
    found: dict[str, list[str]] = defaultdict(list)
    for name in spans:
        found[find(name)].append(name)
    return [tuple(sorted(names)) for names in found.values()]


def is_good(
    cluster: Iterable[str], about: Mapping[str, Known], files: Mapping[str, Files]
) -> bool:
    """Whether the digests of runs that overlap were made of what is there now."""
    names = list(cluster)
    key = key_of({name: files[name] for name in names})
    return all(about[name].key == key for name in names)
