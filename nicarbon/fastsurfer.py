"""The FastSurfer of this machine, and which stages it runs.

Everything that can be known to stop its modules is found out before any work starts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .errors import UnavailableError, UsageError
from .freesurfer import LONGEST_PATH, FreeSurfer
from .stage import Stage, stages, versions
from .torch_probe import Torch, ask, device_of

__all__ = ['GROUPS', 'FastSurfer', 'Torch', 'device_of', 'environment', 'find', 'probe']
__all__ += ['require', 'require_freesurfer', 'selected', 'takes_allow_root', 'threads']

GROUPS = ('seg', 'surf')
"""What run_fastsurfer.sh tells apart by ``--seg_only`` and ``--surf_only``."""

FREESURFER_VERSIONS = {'2.3': '7.4.1', '2.4': '7.4.1', '2.6': '8.2.0'}
"""The FreeSurfer that recon-surf.sh of a version goes with (``FS_VERSION_SUPPORT``)."""

CHECKPOINTS = {
    'asegdkt': 'FastSurferCNN/config/checkpoint_paths.yaml',
    'cereb': 'CerebNet/config/checkpoint_paths.yaml',
    'hypothal': 'HypVINN/config/checkpoint_paths.yaml',
    'cc': 'CorpusCallosum/config/checkpoint_paths.yaml',
}
"""Files that name the weights of a module's networks."""

DEFECTS = {
    'recon_surf/recon-surf.sh': (
        re.compile(r'\A(?![\s\S]*\bwm_file=)[\s\S]*\$wm_file\b'),
        '$wm_file is never set, and no white surface is made',
    ),
    'recon_surf/talairach-reg.sh': (
        re.compile(r'softlink_or_copy -'),
        'softlink_or_copy is given an option, and talairach.lta becomes a log',
    ),
}
"""What is wrong with scripts of some development versions, and how it is seen in their text."""

_VERSION = re.compile(r"""^version\s*=\s*['"](\d+)\.(\d+)([^'"]*)['"]""", re.MULTILINE)
_PYTHON = re.compile(r"""^requires-python\s*=\s*['"]>=\s*(\d+)\.(\d+)""", re.MULTILINE)
_WEIGHTS = re.compile(r'checkpoints/[\w.-]+\.pkl')


class FastSurfer(NamedTuple):
    """One installation.

    Parameters
    ----------
    home : pathlib.Path
        ``FASTSURFER_HOME``.
    version : str
        Such as ``2.3.0``.
    """

    home: Path
    version: str

    @property
    def minor(self) -> str:
        """Version that the stage table is chosen by, such as ``2.3``."""
        return '.'.join(self.version.split('.')[:2])


def selected(version: str, names: Collection[str] = GROUPS) -> tuple[Stage, ...]:
    """Stages to run, in order.

    Parameters
    ----------
    version : str
        Such as ``2.3``.
    names : collection of str
        Stages by name; ``seg`` and ``surf`` for what run_fastsurfer.sh runs by default of
        either.

    Returns
    -------
    tuple of Stage

    Examples
    --------
    >>> [stage.name for stage in selected('2.3', ['biasfield', 'surf'])]
    ['biasfield', 'recon-surf']
    """
    wanted = set(names)
    return tuple(
        stage for stage in stages('fastsurfer', version) if wanted & {stage.name, stage.group}
    )


def find(environ: Mapping[str, str] = os.environ) -> FastSurfer:
    """The installation that the environment names.

    Parameters
    ----------
    environ : mapping

    Returns
    -------
    FastSurfer

    Raises
    ------
    UnavailableError
        When there is none, or its version is not known.

    Examples
    --------
    >>> find({})
    Traceback (most recent call last):
    ...
    nicarbon.errors.UnavailableError: FASTSURFER_HOME is not set: name the folder of FastSurfer with it, or with --fastsurfer-home
    """
    named = environ.get('FASTSURFER_HOME')
    if not named:
        raise UnavailableError(
            'FASTSURFER_HOME is not set: name the folder of FastSurfer with it, or with '
            '--fastsurfer-home'
        )
    home = Path(named).resolve()
    if not (home / 'FastSurferCNN' / 'run_prediction.py').is_file():
        raise UnavailableError(
            f'FASTSURFER_HOME={home} holds no FastSurfer: it has no '
            'FastSurferCNN/run_prediction.py'
        )
    return FastSurfer(home, _version(home))


def _version(home: Path) -> str:
    stamp = home / 'pyproject.toml'
    try:
        text = stamp.read_text('utf-8', errors='replace')
    except OSError as error:
        raise UnavailableError(f'{stamp} cannot be read: {error.strerror}') from None
    found, known = _VERSION.search(text), versions('fastsurfer')
    if found is None or f'{found[1]}.{found[2]}' not in known:
        told = found[0] if found else 'no version'
        numbers = ', '.join(f'{number}.x' for number in known)
        raise UnavailableError(
            f'{stamp} says {told}, whose stages are not known: use FastSurfer {numbers}'
        )
    return f'{found[1]}.{found[2]}{found[3]}'


def environment(fastsurfer: FastSurfer, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables that its modules need, beside those that are set.

    Parameters
    ----------
    fastsurfer : FastSurfer
    environ : mapping

    Returns
    -------
    dict of {str : str}
    """
    path = [str(fastsurfer.home), *environ.get('PYTHONPATH', '').split(os.pathsep)]
    return {
        'FASTSURFER_HOME': str(fastsurfer.home),
        # As run_fastsurfer.sh does; its modules import each other by it.
        'PYTHONPATH': os.pathsep.join(dict.fromkeys(part for part in path if part)),
        'PYTHONUNBUFFERED': '1',
    }


def takes_allow_root(fastsurfer: FastSurfer) -> bool:
    """Whether its modules refuse root themselves, and so have a flag for it.

    Since 2.3.1, only run_fastsurfer.sh does.

    Parameters
    ----------
    fastsurfer : FastSurfer

    Returns
    -------
    bool

    Examples
    --------
    >>> [takes_allow_root(FastSurfer(Path('/f'), version)) for version in ('2.3.0', '2.3.1')]
    [True, False]
    """
    return fastsurfer.version in {'2.3.0', '2.4.0-dev'}


def threads(number: int) -> dict[str, str]:
    """Variables that keep a module to so many threads.

    Not all of them are told by a flag: without these, FastSurferVINN of 2.3 takes every
    hardware thread.

    Parameters
    ----------
    number : int

    Returns
    -------
    dict of {str : str}

    Examples
    --------
    >>> threads(2)['OMP_NUM_THREADS']
    '2'
    """
    names = (
        'OMP_NUM_THREADS',
        'MKL_NUM_THREADS',
        'OPENBLAS_NUM_THREADS',
        'NUMEXPR_NUM_THREADS',
        'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS',
    )
    return dict.fromkeys(names, str(number))


def probe(fastsurfer: FastSurfer, python: str, environ: Mapping[str, str] = os.environ) -> Torch:
    """Ask the Python that is to run FastSurfer what it has.

    Parameters
    ----------
    fastsurfer : FastSurfer
    python : str
        Command, such as ``python3.10 -s``.
    environ : mapping

    Returns
    -------
    Torch

    Raises
    ------
    UnavailableError
        When there is no such Python, it has no PyTorch, or this FastSurfer needs a newer one.
    """
    found = ask(python, {**environ, **environment(fastsurfer, environ)})
    text = (fastsurfer.home / 'pyproject.toml').read_text('utf-8', errors='replace')
    least = _PYTHON.search(text)
    if least and tuple(map(int, found.python.split('.')[:2])) < tuple(map(int, least.groups())):
        raise UnavailableError(
            f'FastSurfer {fastsurfer.version} needs Python {least[1]}.{least[2]}, and {python} '
            f'is {found.python}: name another one with --fastsurfer-python'
        )
    return found


def require(
    fastsurfer: FastSurfer,
    subjects_dir: Path,
    subjects: Iterable[str],
    wanted: Collection[Stage],
    *,
    allow_root: bool = False,
) -> None:
    """Refuse what is known to stop the modules.

    Parameters
    ----------
    fastsurfer : FastSurfer
    subjects_dir : pathlib.Path
    subjects : iterable of str
        Names of folders in it.
    wanted : collection of Stage
    allow_root : bool
        Whether they may be run as root.

    Raises
    ------
    UnavailableError
        When weights are missing, or a script is known not to work.
    UsageError
        When a path is too long or has blanks, or root may not run them.
    """
    if os.geteuid() == 0 and not allow_root:
        raise UsageError(
            'FastSurfer does not run as root, whose files nobody else can change: run as '
            'another user (docker run --user $(id -u):$(id -g)), or give --allow-root'
        )
    for stage in wanted:
        program = fastsurfer.home / stage.program
        if not program.is_file():
            raise UnavailableError(f'FASTSURFER_HOME={fastsurfer.home} has no {stage.program}')
        _require_sound(fastsurfer, stage)
        _require_weights(fastsurfer, stage)
    for subject in subjects:
        _require_folder(subjects_dir / subject)


def _require_sound(fastsurfer: FastSurfer, stage: Stage) -> None:
    """Some development versions never worked; recon-surf calls the script of ``tal_reg``."""
    called = [stage.program]
    called += ['recon_surf/talairach-reg.sh'] if stage.name == 'recon-surf' else []
    for name in called:
        pattern, told = DEFECTS.get(name, (None, ''))
        path = fastsurfer.home / name
        if (
            pattern
            and path.is_file()
            and pattern.search(path.read_text('utf-8', errors='replace'))
        ):
            raise UnavailableError(
                f'{path} does not work ({told}), like that of 2.4.0-dev: take a release of '
                'FastSurfer, or --seg-only'
            )


def _require_weights(fastsurfer: FastSurfer, stage: Stage) -> None:
    """Modules would try to download what is missing, without a word of how large it is."""
    if stage.name not in CHECKPOINTS:
        return
    missing = [path for path in weights(fastsurfer, stage) if not path.is_file()]
    if missing:
        raise UnavailableError(
            f'{stage.title} has no weights ({missing[0]}): fetch them with '
            f'{fastsurfer.home}/FastSurferCNN/download_checkpoints.py --all'
        )


def weights(fastsurfer: FastSurfer, stage: Stage) -> list[Path]:
    """Weights of a module's networks.

    Parameters
    ----------
    fastsurfer : FastSurfer
    stage : Stage

    Returns
    -------
    list of pathlib.Path
        Whether they are there or not; empty where the module has no networks.

    Raises
    ------
    UnavailableError
        When the file that names them cannot be read.
    """
    if stage.name not in CHECKPOINTS:
        return []
    path = fastsurfer.home / CHECKPOINTS[stage.name]
    try:
        text = path.read_text('utf-8')
    except OSError as error:
        raise UnavailableError(f'{path} cannot be read: {error.strerror}') from None
    return [fastsurfer.home / name for name in dict.fromkeys(_WEIGHTS.findall(text))]


def _require_folder(folder: Path) -> None:
    if len(str(folder)) > LONGEST_PATH:
        raise UsageError(
            f'{folder}: {len(str(folder))} characters are more than the {LONGEST_PATH} that '
            'recon-surf.sh takes: choose a shorter OUT_DIR or --fs-subjects-dir'
        )
    if re.search(r'\s', str(folder)):
        raise UsageError(
            f'{str(folder)!r} has a blank, which recon-surf.sh cannot take: '
            'choose another OUT_DIR or --fs-subjects-dir'
        )


def require_freesurfer(fastsurfer: FastSurfer, freesurfer: FreeSurfer) -> None:
    """Refuse a FreeSurfer that recon-surf.sh refuses.

    Parameters
    ----------
    fastsurfer : FastSurfer
    freesurfer : FreeSurfer

    Raises
    ------
    UnavailableError
    InputError

    Examples
    --------
    >>> require_freesurfer(FastSurfer(Path('/fs'), '2.3.0'), FreeSurfer(Path('/f'), '6.0.1'))
    Traceback (most recent call last):
    ...
    nicarbon.errors.UnavailableError: recon-surf of FastSurfer 2.3.0 needs FreeSurfer 7.4.1, and FREESURFER_HOME=/f is 6.0.1: name that one, or take --seg-only
    """
    wanted = FREESURFER_VERSIONS[fastsurfer.minor]
    if freesurfer.version != wanted:
        raise UnavailableError(
            f'recon-surf of FastSurfer {fastsurfer.version} needs FreeSurfer {wanted}, and '
            f'FREESURFER_HOME={freesurfer.home} is {freesurfer.version}: name that one, or '
            'take --seg-only'
        )
