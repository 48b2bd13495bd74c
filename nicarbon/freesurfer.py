"""The FreeSurfer of this machine, and which stages it runs.

Everything that can be known to stop recon-all is found out before any work starts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from .cputime import is_running, process_start
from .errors import BusyError, InputError, UnavailableError, UsageError
from .stage import Stage, stages, versions

__all__ = ['DIRECTIVES', 'LONGEST_PATH', 'FreeSurfer', 'Second', 'environment', 'find', 'is_3t']
__all__ += ['remove_stale_flags', 'require', 'selected']

LONGEST_PATH = 185
"""Characters of a subject's folder: FastSurfer refuses longer ones, since programs of
FreeSurfer cut them off (recon-surf.sh, 2.3)."""

TESLA = (2.5, 3.5)
"""Field strengths for which recon-all has an atlas of its own (``-3T``)."""

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


def is_3t(tesla: float | None) -> bool:
    """Whether images are of the field strength that has a Talairach atlas of its own.

    Parameters
    ----------
    tesla : float or None
        None where it is not known.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_3t(2.89), is_3t(1.5), is_3t(None)
    (True, False, False)
    """
    return tesla is not None and TESLA[0] <= tesla <= TESLA[1]


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
    home = str(Path(home).resolve())
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
    if found is None or found[1] not in known:
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
    given = {'FREESURFER_HOME': str(freesurfer.home)}
    given |= {} if licence is None else {'FS_LICENSE': str(licence)}
    if str(freesurfer.home / 'bin') in environ.get('PATH', '').split(os.pathsep):
        return given
    script = freesurfer.home / 'SetUpFreeSurfer.sh'
    done = subprocess.run(
        ['bash', '-c', '. "$1" >/dev/null 2>&1; env -0', 'bash', script],  # noqa: S607
        env={**environ, 'FREESURFER_HOME': str(freesurfer.home)},
        capture_output=True,
        check=False,
    )
    pairs = (pair.partition('=') for pair in os.fsdecode(done.stdout).split('\0') if pair)
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
    *,
    stale_flags: bool = False,
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
    stale_flags : bool
        Whether a recon-all that was killed on this host may have left a flag that it is at
        work: see :func:`remove_stale_flags`.

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
        _require_folder(subjects_dir / subject, stale_flags)


def remove_stale_flags(folder: Path) -> None:
    """Remove what a recon-all that was killed on this host has left: that it is at work.

    Parameters
    ----------
    folder : pathlib.Path
        The subject's.
    """
    for flag in folder.glob('scripts/IsRunning.*'):
        if _is_gone(_said(flag)):
            flag.unlink()


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
    if named and not Path(named).is_file():
        # Its programs look nowhere else then.
        raise UnavailableError(
            f'FS_LICENSE={named}: no such file; name the licence of FreeSurfer there, or give '
            '--fs-license-file'
        )
    places = [Path(named)] if named else []
    places += [freesurfer.home / 'license.txt', freesurfer.home / '.license']
    if not any(place.is_file() for place in places):
        raise UnavailableError(
            f'FreeSurfer has no licence ({", ".join(map(str, places))}): get one free of charge '
            'at https://surfer.nmr.mgh.harvard.edu/registration.html and give --fs-license-file'
        )


def _require_folder(folder: Path, stale_flags: bool) -> None:  # noqa: FBT001
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
        if not (stale_flags and _is_gone(_said(flag))):
            raise BusyError(_running(flag))


def _said(flag: Path) -> dict[str, str]:
    text = flag.read_text('utf-8', errors='replace')
    return dict(re.findall(r'^(\w+)\s+(\S.*?)\s*$', text, re.MULTILINE))


def _is_gone(said: Mapping[str, str]) -> bool:
    """Whether the process ran on this host, and does no more."""
    here = said.get('HOST', '').partition('.')[0] == os.uname().nodename.partition('.')[0]
    number = said.get('PROCESSID', '')
    # A zombie, which nobody has waited for, runs no more.
    # A flag without a number is being written.
    return here and number.isdigit() and not is_running(int(number), process_start(int(number)))


def _running(flag: Path) -> str:
    """What a file says that recon-all leaves while it runs, and what to do."""
    said = _said(flag)
    who = f'process {said.get("PROCESSID", "?")} on {said.get("HOST", "?")}'
    what = (
        'it runs no more: remove that file'
        if _is_gone(said)
        else 'wait for it, or remove that file if it runs no more'
    )
    return f'{flag} says that recon-all is at work since {said.get("DATE", "?")} ({who}): {what}'
