"""The FreeSurfer of this machine, and how far it got with a subject.

Everything that can be known to stop recon-all is found out before any work starts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from .errors import BusyError, InputError, UnavailableError, UsageError
from .stage import Stage, stages, versions

__all__ = ['DIRECTIVES', 'FreeSurfer', 'Second', 'begin', 'end', 'environment', 'find']
__all__ += ['finished', 'is_complete', 'is_ours', 'require', 'selected', 'vacate']

LONGEST_PATH = 185
"""Characters of a subject's folder: FastSurfer refuses longer ones, since programs of
FreeSurfer cut them off (recon-surf.sh, 2.3)."""

PROGRAMS = {'tcsh': 'tcsh', 'bc': 'bc'}
"""What the recon-all script needs of the system, and the packages that bring it."""

_VERSION = re.compile(r'(?<![\d.])v?(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])')


Second = Literal['', 'T2', 'FLAIR']
"""The image that refines the pial surfaces, beside the T1w."""

DIRECTIVES = ('autorecon1', 'autorecon2', 'autorecon3')


class FreeSurfer(NamedTuple):
    """One installation.

    Parameters
    ----------
    home : pathlib.Path
        ``FREESURFER_HOME``.
    version : str
        Such as ``7.4.1``.
    """

    home: Path
    version: str

    @property
    def major(self) -> int:
        """Major version: the one that the stage table is chosen by."""
        return int(self.version.partition('.')[0])


def selected(
    version: int, names: Collection[str] = ('all',), second: Second = ''
) -> tuple[Stage, ...]:
    """Stages to run, in order.

    Parameters
    ----------
    version : int
        Major version.
    names : collection of str
        Stages by name or key, directives (``autorecon1``), or ``all``.
    second : {'', 'T2', 'FLAIR'}
        The second image that refines the pial surfaces.

    Returns
    -------
    tuple of Stage

    Examples
    --------
    >>> [stage.key for stage in selected(7, ['tal-check', 'smooth1_lh'])]
    ['tal-check', 'smooth1_lh']
    """
    unused = {'t2-input', 'flair-input', 'T2pial', 'FLAIRpial'}
    unused -= {f'{second.lower()}-input', f'{second}pial'} if second else set()
    wanted = {'all', *DIRECTIVES} if 'all' in names else set(names)
    return tuple(
        stage
        for stage in stages('freesurfer', version)
        if stage.name not in unused and wanted & {stage.name, stage.key, stage.group}
    )


def find(environ: Mapping[str, str] = os.environ) -> FreeSurfer:
    """The installation that the environment names.

    Parameters
    ----------
    environ : mapping

    Returns
    -------
    FreeSurfer

    Raises
    ------
    UnavailableError
        When there is none, or its version is not known.

    Examples
    --------
    >>> find({})
    Traceback (most recent call last):
    ...
    nicarbon.errors.UnavailableError: FREESURFER_HOME is not set: install FreeSurfer and source its SetUpFreeSurfer.sh, or take --pipeline structural
    """
    home = environ.get('FREESURFER_HOME')
    if not home:
        raise UnavailableError(
            'FREESURFER_HOME is not set: install FreeSurfer and source its SetUpFreeSurfer.sh, '
            'or take --pipeline structural'
        )
    script = Path(home, 'bin', 'recon-all')
    if not os.access(script, os.X_OK):
        raise UnavailableError(
            f'FREESURFER_HOME={home} holds no FreeSurfer: {script} is not a program'
        )
    return FreeSurfer(Path(home), _version(Path(home)))


def _version(home: Path) -> str:
    stamp = home / 'build-stamp.txt'
    try:
        text = stamp.read_text('utf-8', errors='replace').strip()
    except OSError as error:
        raise UnavailableError(f'{stamp} cannot be read: {error.strerror}') from None
    found = _VERSION.search(text)
    known = versions('freesurfer')
    if found is None or int(found[1]) not in known:
        numbers = ', '.join(f'{number}.x' for number in known)
        raise UnavailableError(
            f'{stamp} names the version {text!r}, whose stages are not known: use one of {numbers}'
        )
    return '.'.join(part for part in found.groups() if part)


def environment(
    freesurfer: FreeSurfer,
    licence: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Variables that its programs need, beside those that are set.

    Parameters
    ----------
    freesurfer : FreeSurfer
    licence : pathlib.Path, optional
        Licence file.
    environ : mapping

    Returns
    -------
    dict of {str : str}
        What its own set-up script sets, where that was not sourced.

    Raises
    ------
    UnavailableError
        When the script fails.
    """
    given = {} if licence is None else {'FS_LICENSE': str(licence)}
    if str(freesurfer.home / 'bin') in environ.get('PATH', '').split(os.pathsep):
        return given
    script = freesurfer.home / 'SetUpFreeSurfer.sh'
    done = subprocess.run(
        ['bash', '-c', '. "$1" >/dev/null 2>&1; env -0', 'bash', script],  # noqa: S607
        env={**environ, 'FREESURFER_HOME': str(freesurfer.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = (pair.partition('=') for pair in done.stdout.split('\0') if pair)
    now = {name: value for name, _, value in pairs if environ.get(name) != value}
    if str(freesurfer.home / 'bin') not in now.get('PATH', '').split(os.pathsep):
        raise UnavailableError(f'{script} does not put recon-all on PATH: source it yourself')
    return {name: value for name, value in now.items() if name not in {'_', 'SHLVL'}} | given


def require(
    freesurfer: FreeSurfer,
    subjects_dir: Path,
    subjects: Iterable[str],
    licence: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Refuse what is known to stop recon-all.

    Parameters
    ----------
    freesurfer : FreeSurfer
    subjects_dir : pathlib.Path
    subjects : iterable of str
        Names of folders in it.
    licence : pathlib.Path, optional
    environ : mapping

    Raises
    ------
    UnavailableError
        When the licence or a program is missing.
    InputError
        When the licence file that was named is not there.
    UsageError
        When a path is too long, or has blanks.
    BusyError
        When recon-all is at work on a subject, or says so.
    """
    _require_script(freesurfer.home / 'bin' / 'recon-all')
    _require_licence(freesurfer, licence, environ)
    missing = [name for name in PROGRAMS if shutil.which(name, path=environ.get('PATH')) is None]
    if missing:
        packages = ' '.join(PROGRAMS[name] for name in missing)
        raise UnavailableError(
            f'recon-all needs {" and ".join(missing)}: apt-get install {packages}'
        )
    for subject in subjects:
        _require_folder(subjects_dir / subject)


def _require_script(script: Path) -> None:
    """A state of 8.1 replaces nu.mgz in every call that is not to make it."""
    text = script.read_text('utf-8', errors='replace')
    if 'ln -sf orig.mgz nu.mgz' in text and 'SkipNuIntensityCor' not in text:
        raise UnavailableError(
            f'{script} would replace nu.mgz by orig.mgz in every stage after '
            'nuintensitycor (a fault of FreeSurfer 8.1): use 8.0 or 8.2'
        )


def _require_licence(
    freesurfer: FreeSurfer, licence: Path | None, environ: Mapping[str, str]
) -> None:
    if licence is not None:
        if not licence.is_file():
            raise InputError(f'--fs-license-file {licence}: no such file')
        return
    named = environ.get('FS_LICENSE')
    places = [Path(named)] if named else []
    places += [freesurfer.home / 'license.txt', freesurfer.home / '.license']
    if not any(place.is_file() for place in places):
        raise UnavailableError(
            f'FreeSurfer has no licence ({", ".join(map(str, places))}): get one free of charge '
            'at https://surfer.nmr.mgh.harvard.edu/registration.html and give --fs-license-file'
        )


def _require_folder(folder: Path) -> None:
    if len(str(folder)) > LONGEST_PATH:
        raise UsageError(
            f'{folder}: {len(str(folder))} characters are more than the {LONGEST_PATH} that all '
            'programs of FreeSurfer can take: choose a shorter OUT_DIR or --fs-subjects-dir'
        )
    if re.search(r'\s', str(folder)):
        raise UsageError(
            f'{str(folder)!r} has a blank, which recon-all cannot take: '
            'choose another OUT_DIR or --fs-subjects-dir'
        )
    for flag in sorted(folder.glob('scripts/IsRunning.*')):
        raise BusyError(_running(flag))


def _running(flag: Path) -> str:
    """What a file says that recon-all leaves while it runs, and what to do."""
    text = flag.read_text('utf-8', errors='replace')
    said = dict(re.findall(r'^(\w+)\s+(\S.*?)\s*$', text, re.MULTILINE))
    who = f'process {said.get("PROCESSID", "?")} on {said.get("HOST", "?")}'
    here = said.get('HOST', '').partition('.')[0] == os.uname().nodename.partition('.')[0]
    gone = here and not Path('/proc', said.get('PROCESSID', '?')).exists()
    what = (
        'it runs no more: remove that file'
        if gone
        else 'wait for it, or remove that file if it runs no more'
    )
    return f'{flag} says that recon-all is at work since {said.get("DATE", "?")} ({who}): {what}'


def finished(stage: Stage, folder: Path, images: Sequence[str] = ()) -> bool:
    """Whether a stage is through with a subject, and nothing that it needs has changed since.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.
    images : sequence of str
        Files from elsewhere that it needs too.

    Returns
    -------
    bool
        True when all that it makes is there, the file that is touched when it is through
        too, and nothing that it needs is newer. Of a stage for which recon-all touches no
        file of its own, nicarbon does (:func:`end`); where it was not at work, what the
        stage makes has to do.
    """
    made = [folder / stage.path(name) for name in stage.makes]
    if _begun(stage, folder).exists() or not all(path.exists() for path in made):
        return False
    touched = _touch_file(stage, folder)
    if not touched.exists():
        by_others = any(folder.glob('touch/*.touch')) and not is_ours(folder)
        if stage.touch or not made or not by_others:
            return False
        touched = min(made, key=lambda path: path.stat().st_mtime)
    needed = [folder / stage.path(name) for name in stage.needs] + list(map(Path, images))
    through = touched.stat().st_mtime
    return all(path.exists() and path.stat().st_mtime <= through for path in needed)


def begin(stage: Stage, folder: Path) -> None:
    """Note that a stage begins; what it left half-made the last time is removed.

    recon-all takes what is newer than its sources for done, be it cut off in the middle.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.
    """
    mark = _begun(stage, folder)
    if mark.exists():
        since = mark.stat().st_mtime
        for path in (folder / stage.path(name) for name in stage.makes):
            # What is older was there before: somebody's edits, perhaps.
            if path.is_symlink() or (path.exists() and path.stat().st_mtime >= since):
                path.unlink()
    if folder.exists():
        mark.parent.mkdir(exist_ok=True)
        mark.touch()


def end(stage: Stage, folder: Path) -> None:
    """Note that a stage is through.

    Parameters
    ----------
    stage : Stage
    folder : pathlib.Path
        The subject's.
    """
    if not stage.touch:
        _touch_file(stage, folder).touch()
    _begun(stage, folder).unlink(missing_ok=True)


def _begun(stage: Stage, folder: Path) -> Path:
    return folder / 'touch' / f'nicarbon.{stage.key}.begun'


def _touch_file(stage: Stage, folder: Path) -> Path:
    return folder / 'touch' / f'{stage.touch or f"nicarbon.{stage.key}"}.touch'


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
    """Whether nicarbon was at work on a subject, and may go on with it."""
    return any(folder.glob('touch/nicarbon.*'))


def vacate(folder: Path, images: Sequence[str] = ()) -> None:
    """Remove a subject whose import was begun, and which holds nothing else.

    Parameters
    ----------
    folder : pathlib.Path
    images : sequence of str
        What is to be imported.

    Raises
    ------
    InputError
        When it holds more: that is somebody's work.
    """
    if not folder.exists():
        return
    volumes = [path for path in folder.glob('mri/**/*') if path.is_file()]
    others = [path for path in volumes if path.parent.name != 'orig']
    if others or any(folder.glob('surf/*')):
        why = (
            f'{images[0]} has changed since it was imported into {folder}'
            if images and is_ours(folder)
            else f'{folder} holds a subject that is not finished, and that nicarbon did not begin'
        )
        raise InputError(f'{why}: move that folder away, and it is processed anew')
    shutil.rmtree(folder)
