"""pybids' index of some images alone, in the time that takes whatever the dataset's size.

pybids lists a folder and then looks at each entry of it; with 50,000 subjects that takes ten
seconds before the first is looked into. Here it is shown the subjects that are wanted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from bids.layout import BIDSLayout, BIDSLayoutIndexer

__all__ = ['layout']


def layout(
    root: Path,
    subjects: Collection[str],
    session_labels: Collection[str],
    suffixes: str,
    *,
    metadata: bool = False,
) -> BIDSLayout:
    """An index of some images, and of what JSON files say of them if that is wanted.

    Parameters
    ----------
    root : pathlib.Path
    subjects : collection of str
        Labels, which have a folder.
    session_labels : collection of str
        All sessions when empty.
    suffixes : str
        Alternatives of a regular expression, such as ``T1w|T2w``.
    metadata : bool

    Returns
    -------
    bids.layout.BIDSLayout
    """
    subject = '|'.join(map(re.escape, sorted(subjects)))
    session = '|'.join(map(re.escape, sorted(session_labels))) or r'[^/]+'
    files = rf'[^/]*({suffixes})\.({"json|" if metadata else ""}nii(\.gz)?)'
    way = rf'sub-({subject})(/ses-({session}))?(/anat)?(/{files})?'
    elsewhere = re.compile(rf'^/(?!({way}|{files}|dataset_description\.json)$)')
    indexer = _Indexer(validate=False, index_metadata=metadata, ignore=[elsewhere])
    indexer.folders = [f'sub-{name}' for name in sorted(subjects)]
    return BIDSLayout(root, validate=False, indexer=indexer)


class _Indexer(BIDSLayoutIndexer):  # type: ignore[misc]
    """Walks into some folders of the root only.

    Where a pybids does not walk by this method, it finds the same, and takes its time.
    """

    folders: list[str]

    def _index_dir(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        if path == self._layout._root:  # noqa: SLF001 - its own indexer does so
            path = _Root(path, self.folders)
        return super()._index_dir(path, *args, **kwargs)


class _Root:
    """The root as pybids lists it, with few folders."""

    def __init__(self, path: Any, folders: list[str]) -> None:
        self._path, self._folders = path, folders
        self.path, self.fs = path.path, self

    def walk(self, path: str) -> Iterator[tuple[str, list[str], list[str]]]:
        # Names alone: nothing is asked of 50,000 folders that a shared file system would
        # have to answer one by one.
        names = [name for name in os.listdir(path) if not name.startswith('sub-')]
        files = [name for name in names if os.path.isfile(os.path.join(path, name))]  # noqa: PTH113
        yield path, list(self._folders), files

    def __truediv__(self, name: str) -> Any:
        return self._path / name
