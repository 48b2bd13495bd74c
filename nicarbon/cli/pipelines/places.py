"""Where subjects may go, and whether somebody is at work on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

from ...errors import BusyError, UsageError

__all__ = ['require_idle', 'require_places']


def require_places(folder: Path, bids_dir: Path, out_dir: Path) -> None:
    """Refuse a subjects folder among the images, or among nicarbon's own outputs.

    Parameters
    ----------
    folder, bids_dir, out_dir : pathlib.Path

    Raises
    ------
    UsageError
    """
    if bids_dir == folder or bids_dir in folder.parents:
        raise UsageError(f'--fs-subjects-dir {folder} is inside BIDS_DIR: it is written to')
    if folder == out_dir:
        raise UsageError(
            f'--fs-subjects-dir {folder} is OUT_DIR, which has folders of these names: '
            'choose one of its own, such as OUT_DIR/freesurfer'
        )


def require_idle(programs: Collection[str], folder: Path, names: Sequence[str]) -> None:
    """Refuse subjects on which a run that was killed has left a program at work.

    Parameters
    ----------
    programs : collection of str
        File names.
    folder : pathlib.Path
        That of the subjects.
    names : sequence of str
        Subjects.

    Raises
    ------
    BusyError
    """
    import psutil

    for process in psutil.process_iter(['cmdline']):
        words = process.info['cmdline'] or []
        program = next((word for word in words if Path(word).name in programs), None)
        if program is None:
            continue
        for name in names:
            if _is_of(words, folder, name):
                raise BusyError(
                    f'{Path(program).name} (process {process.pid}) is at work on '
                    f'{folder / name}: wait for it, or end it with kill {process.pid}'
                )


def _is_of(words: Sequence[str], folder: Path, name: str) -> bool:
    """Whether a command line names a subject, by flags or by a file of it."""
    pairs = set(pairwise(words))
    for subject, place in (('-s', '-sd'), ('--sid', '--sd')):
        if {(subject, name), (place, str(folder))} <= pairs:
            return True
    return any(word.startswith(f'{folder / name}/') for word in words)
