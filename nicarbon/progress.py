"""How far recon-all got with a subject, and how to go on with it safely.

recon-all leaves a file in the subject's ``touch`` folder when most of its stages are
through. What it lacks for a run that may be killed at any moment is noted there too:

``nicarbon.<stage>.begun``
    The stage was begun, and did not end.
``nicarbon.<stage>.touch``
    It is through; of stages for which recon-all touches no file of its own.
``nicarbon.input.touch``
    nicarbon imported the subject, from these images and with these modifiers.
``nicarbon.kept.<file>``
    A file that the stage which goes on writes anew, as it was.

An import that has not ended is noted beside the subject's folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError, StageError
from .stage import Stage

__all__ = ['IMPORTS', 'begin', 'begin_import', 'check', 'end', 'end_import', 'fail']
__all__ += ['fail_import', 'finished', 'is_complete', 'is_ours', 'keeping', 'made_at', 'note']
__all__ += ['CLOCK_SECONDS', 'put_back', 'since', 'working']

CLOCK_SECONDS = 2.0
"""File systems keep times that coarsely (FAT), so what is so much too old may be new."""

IMPORTS = frozenset({'input', 't2-input', 'flair-input', 'asegdkt', 'copy-input'})
"""Stages that read images from elsewhere."""

FAILED = 'failed'
"""What the mark of an import says that ended by itself, and not well."""

MODIFIERS = frozenset({'-3T', '-cm', '-hires'})
"""Flags that every call of a subject must be given alike."""


def finished(stage: Stage, folder: Path) -> bool:
    """Whether a stage is through with a subject, and nothing that it needs has changed since.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.

    Returns
    -------
    bool
        True when all that it makes is there, the file that is touched when it is through
        too, and nothing that it needs is newer. Where nicarbon did not import the
        subject, a stage without such a file is through when what it makes is there.
    """
    made = [folder / stage.path(name) for name in stage.makes]
    if _begun(stage, folder).exists() or not all(path.exists() for path in made):
        return False
    touched = _touched(stage, folder)
    if not touched.exists():
        by_others = any(folder.glob('touch/*.touch')) and not is_ours(folder)
        if stage.touch or not made or not by_others:
            return False
        touched = min(made, key=lambda path: path.stat().st_mtime)
    needed = [folder / stage.path(name) for name in stage.needs]
    through = touched.stat().st_mtime
    return all(path.exists() and path.stat().st_mtime <= through for path in needed)


def made_at(stage: Stage, folder: Path) -> float:
    """When a finished stage was through, in seconds since 1970.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.

    Returns
    -------
    float
        0 for a stage that makes nothing.
    """
    return (folder / stage.path(stage.makes[0])).stat().st_mtime if stage.makes else 0.0


@contextmanager
def working(stage: Stage, folder: Path, told: str, *, imports: bool = False) -> Iterator[None]:
    """Note that a stage begins, and that it ended or failed.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.
    told : str
        What :func:`note` says of it.
    imports : bool
        Whether it makes the subject's folder.
    """
    begin_import(folder) if imports else begin(stage, folder)
    try:
        yield
    except StageError:
        _importing(folder).write_text(FAILED, 'utf-8') if imports else fail(stage, folder)
        raise
    if imports:
        end_import(folder, told)
    else:
        end(stage, folder, told)


def begin(stage: Stage, folder: Path) -> None:
    """Note that a stage begins; what it left half-made the last time is put aside.

    recon-all takes what is newer than its sources for done, be it cut off in the middle.
    It goes to the subject's ``trash``, recon-all's own folder for that.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.
    """
    mark = _begun(stage, folder)
    if mark.exists():
        _put_aside(stage, folder, mark.stat().st_mtime)
    elif folder.exists():
        mark.parent.mkdir(exist_ok=True)
        if stage.program and _touched(stage, folder).exists():
            # It is to be made again. recon-surf.sh refuses a subject that has some of it.
            _put_aside(stage, folder, 0.0)
        mark.touch()


def fail(stage: Stage, folder: Path) -> None:
    """Note that a stage ended by itself, and not well; what somebody mends now is kept.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.
    """
    mark = _begun(stage, folder)
    if mark.exists():
        since, touched = mark.stat().st_mtime, _touched(stage, folder)
        # Of several stages in one call, some were through before one failed.
        if not touched.exists() or touched.stat().st_mtime < since:
            _put_aside(stage, folder, since)
        mark.unlink()


def _put_aside(stage: Stage, folder: Path, since: float) -> None:
    """What is older was there before: somebody's edits, perhaps."""
    trash = folder / 'trash'
    trash.mkdir(exist_ok=True)
    for path in (folder / stage.path(name) for name in (*stage.makes, *stage.leaves)):
        if path.is_symlink() or (path.exists() and path.stat().st_mtime >= since):
            path.replace(trash / path.name)


@contextmanager
def keeping(paths: Iterable[Path], folder: Path) -> Iterator[None]:
    """Put files back that a stage needs and writes anew, though they do not change.

    Otherwise they would be newer than all that was made of them, which then would have to
    be made again; and half of them if the stage is cut off: see :func:`put_back`.

    Parameters
    ----------
    paths : iterable of pathlib.Path
        In the subject's folder ``mri``.
    folder : pathlib.Path
        The subject's.
    """
    for path in filter(Path.exists, paths):
        draft = folder / 'touch' / f'.{path.name}.draft'
        shutil.copy2(path, draft)
        draft.replace(_kept(path.name, folder))
    try:
        yield
    finally:
        put_back(folder)


def put_back(folder: Path) -> None:
    """Put files back that a stage which was cut off may have left half-written.

    Parameters
    ----------
    folder : pathlib.Path
        The subject's.
    """
    prefix = _kept('', folder).name
    for path in folder.glob(f'touch/{prefix}*'):
        path.replace(folder / 'mri' / path.name.removeprefix(prefix))


def _kept(name: str, folder: Path) -> Path:
    return folder / 'touch' / f'nicarbon.kept.{name}'


def end(stage: Stage, folder: Path, told: str = '') -> None:
    """Note that a stage is through.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.
    told : str
        What :func:`note` says of an import.
    """
    if not stage.touch:
        _touched(stage, folder).write_text(told, 'utf-8')
    _begun(stage, folder).unlink(missing_ok=True)


def fail_import(folder: Path, told: str) -> None:
    """Note that a call that was to import a subject ended by itself, and not well.

    Parameters
    ----------
    folder : pathlib.Path
        The subject's.
    told : str
        What :func:`note` says of it.
    """
    if (folder / 'mri' / 'orig.mgz').exists():
        end_import(folder, told)


def begin_import(folder: Path) -> None:
    """Make room for a subject: recon-all imports nothing into a folder that is there.

    Parameters
    ----------
    folder : pathlib.Path
        The subject's.

    Raises
    ------
    InputError
        When it is there, and is not what an import of ours left that was cut off.
    """
    mark = _importing(folder)
    if folder.exists() and is_ours(folder):
        raise InputError(
            f'{folder} lacks what its import made, or has it from other images: move that '
            'folder away, and it is processed anew'
        )
    if folder.exists() and not mark.exists():
        raise InputError(
            f'{folder} is there, and nicarbon did not begin it: finish it with what began it, '
            'or move that folder away'
        )
    if folder.exists() and _mended(folder, mark):
        raise InputError(
            f'{folder} was changed after nicarbon failed to import it: move that folder away, or '
            f'remove {mark} and finish it with what changed it'
        )
    mark.touch()
    if folder.exists():
        shutil.rmtree(folder)
    mark.write_text('', 'utf-8')


def _mended(folder: Path, mark: Path) -> bool:
    """Whether somebody went on with it after an import that failed."""
    if mark.read_text('utf-8') != FAILED:
        return False
    since = mark.stat().st_mtime + CLOCK_SECONDS
    return any(path.lstat().st_mtime > since for path in folder.rglob('*'))


def since(stage: Stage, folder: Path) -> float:
    """When a stage that goes on began, by the clock of the subject's file system.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.

    Returns
    -------
    float
        Seconds since 1970; 0 where it left no mark.
    """
    marks = (_begun(stage, folder), _importing(folder))
    return max((mark.stat().st_mtime for mark in marks if mark.exists()), default=0.0)


def end_import(folder: Path, told: str) -> None:
    """Note that a subject is imported.

    Parameters
    ----------
    folder : pathlib.Path
        The subject's.
    told : str
        What :func:`note` says of it.
    """
    _imported(folder).parent.mkdir(exist_ok=True)
    _imported(folder).write_text(told, 'utf-8')
    _importing(folder).unlink(missing_ok=True)


def note(images: Iterable[str], flags: Iterable[str]) -> str:
    """Tell images apart by what they hold, whatever their time, and how they are treated.

    Parameters
    ----------
    images : iterable of str
        Files.
    flags : iterable of str
        All that are given to recon-all.

    Returns
    -------
    str
        JSON.
    """
    told = {
        'images': [[Path(image).name, _digest(image)] for image in images],
        'modifiers': sorted(MODIFIERS.intersection(flags)),
    }
    return json.dumps(told)


def check(stage: Stage, folder: Path, told: str) -> None:
    """Refuse to go on with a subject that was begun in another way.

    Parameters
    ----------
    stage : Stage
        Of an import, its images are compared; of all, the modifiers.
    folder : pathlib.Path
        The subject's.
    told : str
        What :func:`note` says of it now.

    Raises
    ------
    InputError
        When images or modifiers are others than those that nicarbon imported it with.
    """
    now, first = json.loads(told), _told(_imported(folder))
    again = 'move that folder away, and it is processed anew'
    if first and now['modifiers'] != first['modifiers']:
        was, is_ = (' '.join(each['modifiers']) or 'none' for each in (first, now))
        raise InputError(f'{folder} was begun with the flags {was}, not {is_}: {again}')
    before = _told(_touched(stage, folder)) if stage.name in IMPORTS else {}
    if before and _contents(now) != _contents(before):
        names = ', '.join(name for name, _ in before['images'])
        raise InputError(f'{folder} was begun with other images ({names}): {again}')


def is_complete(folder: Path) -> bool:
    """Whether recon-all is through with a subject: reuse it as it is.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    bool
        As recon-all says: it has left a record of its end and none of an error, and what
        the last stages make is there.
    """
    last = ('stats/aseg.stats', 'mri/wmparc.mgz', 'surf/lh.pial', 'surf/rh.pial')
    return (
        all((folder / name).exists() for name in ('scripts/recon-all.done', *last))
        and not (folder / 'scripts/recon-all.error').exists()
        and not any(folder.glob('scripts/IsRunning.*'))
    )


def is_ours(folder: Path) -> bool:
    """Whether nicarbon imported a subject.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    bool
    """
    return _imported(folder).exists()


def _begun(stage: Stage, folder: Path) -> Path:
    return folder / 'touch' / f'nicarbon.{stage.key}.begun'


def _touched(stage: Stage, folder: Path) -> Path:
    return folder / 'touch' / f'{stage.touch or f"nicarbon.{stage.key}"}.touch'


def _imported(folder: Path) -> Path:
    return folder / 'touch' / 'nicarbon.input.touch'


def _importing(folder: Path) -> Path:
    return folder.parent / f'.nicarbon-{folder.name}.importing'


def _told(path: Path) -> dict[str, Any]:
    """What a note says; nothing when there is none that can be read."""
    try:
        told = json.loads(path.read_text('utf-8'))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) and {'images', 'modifiers'} <= set(told) else {}


def _contents(told: dict[str, Any]) -> list[str]:
    return sorted(digest for _, digest in told['images'])


def _digest(path: str) -> str:
    with open(path, 'rb') as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
