"""A stand-in for FastSurfer, whose networks take minutes and gigabytes.

``install`` lays out a FASTSURFER_HOME whose modules take the arguments of the real ones and
leave their files, logs, exit codes and errors; no image is looked at, and what they write
are a few bytes of text, or of gzip.

True of it, as of the real one
    Names of programs and files; which arguments each version knows (argparse's error and
    exit code 2 for others); what is printed, on which stream and into which log, in which
    order; the order of the three planes; threads, of networks and statistics all hardware
    threads where no flag says otherwise; weights that must be there; root that is refused;
    HypVINN, and FastSurferVINN without memory, which end well after an error;
    recon-surf.sh, which refuses a subject that it has begun before, or another FreeSurfer,
    prints a banner for each step, times programs by ``fs_time`` and calls recon-all for
    some, for the volume with its lock.

True of it alone
    What every module and plane costs is known. It burns CPU until its own clock says that
    it has had it, so it holds on a busy machine; what each used is written to
    ``truth.jsonl``. Its PyTorch is a file that says which GPUs there are. With a device
    of CUDA, networks hold a board of the driver in ``gpu_machine``, from start to end, if
    it is there.

Not true of it
    No process opens a real GPU. recon-surf.sh is Python; its recon-all is the stand-in of
    FreeSurfer, and so are FreeSurfer's programs, whose arguments are not the real ones.
    ``--fsaparc``, ``--fstess``, ``--fsqsphere`` and submillimetre images are refused.

The programs are in the folder of the same name, beside this file; they share the burning
with the stand-in of FreeSurfer. They know nothing of pytest or nicarbon.

Examples
--------
::

    env = install(tmp_path / 'fastsurfer')
    env |= work(tmp_path, {'asegdkt.coronal': {'cpu_seconds': 2.0, 'threads': 2}})
    truth(tmp_path)[-1]['cpu_seconds']
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).with_suffix('')
"""What the installed programs import."""

SHARED = PROGRAMS.with_name('freesurfer_stand_in')
"""Where the burning is."""

BOARDS = PROGRAMS.with_name('gpu_machine')
"""Whose boards networks hold."""

MODULES = {
    'asegdkt': 'FastSurferCNN/run_prediction.py',
    'asegdkt-stats': 'FastSurferCNN/segstats.py',
    'biasfield': 'recon_surf/N4_bias_correct.py',
    'cereb': 'CerebNet/run_prediction.py',
    'hypothal': 'HypVINN/run_prediction.py',
}

SCRIPTS = {'tal_reg': 'recon_surf/talairach-reg.sh', 'recon-surf': 'recon_surf/recon-surf.sh'}

WEIGHTS = {
    'FastSurferCNN': 'aparc_vinn_{}_v2.0.0.pkl',
    'CerebNet': 'CerebNet_{}_v1.0.0.pkl',
    'HypVINN': 'HypVINN_{}_v1.1.0.pkl',
}

PLANES = ('coronal', 'sagittal', 'axial')

TORCH = """\
__version__ = '0.0+stand.in'


class cuda:
    @staticmethod
    def is_available():
        return bool({gpus!r})

    @staticmethod
    def device_count():
        return len({gpus!r})

    @staticmethod
    def get_device_name(number):
        return {gpus!r}[number]
"""


def install(
    home: Path,
    version: str = '2.3.0',
    *,
    weights: bool = True,
    torch: bool = True,
    gpus: tuple[str, ...] = (),
) -> dict[str, str]:
    """Lay out a FASTSURFER_HOME.

    Parameters
    ----------
    home : Path
        Made where it is not there.
    version : str
        What its pyproject.toml says.
    weights : bool
        Whether its networks have their weights.
    torch : bool
        Whether its Python has PyTorch.
    gpus : tuple of str
        Names of the GPUs that its PyTorch sees.

    Returns
    -------
    dict
        FASTSURFER_HOME, for the environment.
    """
    for name, path in (*MODULES.items(), *SCRIPTS.items()):
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        module = 'recon_surf' if name == 'recon-surf' else 'module'
        file.write_text(
            f'#!{sys.executable} -IS\n'
            f'import sys\nsys.path[:0] = {list(map(str, (PROGRAMS, SHARED, BOARDS)))!r}\n'
            f'import {module}\n{module}.main({name!r}, {str(home)!r})\n',
            'utf-8',
        )
        file.chmod(0o755)
    for name, form in WEIGHTS.items():
        _write_weights(home, name, form, weights)
    (home / 'FastSurferCNN/config/FreeSurferColorLUT.txt').write_text('0 Unknown 0 0 0 0\n')
    (home / 'pyproject.toml').write_text(
        f"[project]\nname = 'fastsurfer'\nversion = '{version}'\n"
    )
    if torch:
        (home / 'torch.py').write_text(TORCH.format(gpus=list(gpus)))
    else:
        (home / 'torch.py').write_text('raise ImportError("No module named \'torch\'")\n')
    return {'FASTSURFER_HOME': str(home)}


def _write_weights(home: Path, name: str, form: str, there: bool) -> None:
    folder = home / name / 'config'
    folder.mkdir(parents=True, exist_ok=True)
    (home / 'checkpoints').mkdir(exist_ok=True)
    lines = ['url:', '- "https://example.org/records/0/files"', '', 'checkpoint:']
    for plane in PLANES:
        path = f'checkpoints/{form.format(plane)}'
        lines.append(f'  {plane}: "{path}"')
        if there:
            (home / path).write_text('weights of the stand-in\n')
    (folder / 'checkpoint_paths.yaml').write_text('\n'.join(lines) + '\n')


def work(
    truth_folder: Path | None = None,
    parts: Mapping[str, Mapping[str, Any]] | None = None,
    **default: Any,
) -> dict[str, str]:
    """What the modules shall cost, and where they go wrong: add it to the environment.

    Parameters
    ----------
    truth_folder : Path, optional
        Where ``truth.jsonl`` is written.
    parts : mapping, optional
        By name of a module (``biasfield``), of a plane (``asegdkt.axial``) or of a step of
        recon-surf (``recon-surf.orig``). Of each: ``cpu_seconds``; ``threads`` to burn in,
        at most those that the module was given; ``fails`` (an exit code), of planes after
        their work; ``hangs`` (a file to make) when half of it is done; ``gpu_seconds`` on
        ``gpu_percent`` of the board that it holds. Of HypVINN ``loses``,
        and of planes ``memory``, an error after which it ends well and leaves nothing; of
        ``asegdkt`` itself ``small``, a segmentation of which it only warns.
    **default : float or int
        The same, of those that are not named.

    Returns
    -------
    dict
    """
    said: dict[str, Any] = {'parts': parts or {}, 'default': default}
    if truth_folder is not None:
        said['truth'] = str(truth_folder)
    return {'FASTSURFER_STAND_IN': json.dumps(said)}


def truth(folder: Path) -> list[dict[str, Any]]:
    """What was used, of every module that ended: in ``parts`` that of its parts."""
    file = folder / 'truth.jsonl'
    lines = file.read_text('utf-8').splitlines() if file.exists() else []
    return [line for line in map(json.loads, lines) if line['kind'] == 'module']


def call(
    env: Mapping[str, str], name: str, *words: object, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a module of an installation to its end, by its name in ``MODULES`` or ``SCRIPTS``."""
    program = Path(env['FASTSURFER_HOME'], {**MODULES, **SCRIPTS}[name])
    return subprocess.run(
        [program, *map(str, words)],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
