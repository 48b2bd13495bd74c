"""Which subjects and sessions a BIDS dataset has, by its folders alone."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from .entity import is_label

__all__ = ['sessions_of', 'subjects']


def subjects(root: Path, wanted: Collection[str] = ()) -> set[str]:
    """Labels of the subjects that have a folder.

    Parameters
    ----------
    root : pathlib.Path
    wanted : collection of str
        Look for these alone, which takes the same time in a dataset of any size; for all
        when empty.

    Returns
    -------
    set of str
    """
    if wanted:
        return {name for name in wanted if (root / f'sub-{name}').is_dir()}
    return _labels(root, 'sub-')


def sessions_of(root: Path, subject: str) -> set[str]:
    """Labels of the sessions of a subject; empty where it has none.

    Parameters
    ----------
    root : pathlib.Path
    subject : str

    Returns
    -------
    set of str
    """
    return _labels(root / f'sub-{subject}', 'ses-')


def _labels(folder: Path, prefix: str) -> set[str]:
    with os.scandir(folder) as found:
        names = {
            one.name.removeprefix(prefix)
            for one in found
            if one.name.startswith(prefix) and one.is_dir()
        }
    return {name for name in names if is_label(name)}
