"""A stand-in for FreeSurfer, whose programs need a licence and cannot be had for tests.

``install`` lays out a FREESURFER_HOME whose ``recon-all`` takes the calls of the real one
and leaves its files, logs, markers, locks and errors; no image is looked at, and what it
writes are a few bytes of text, or of gzip.

True of it, as of the real one
    The order of stages whatever the order of arguments; what drags in what; markers and
    which books they go into; a process for each program, one after another, beneath
    ``recon-all``; output written in place; touch files; times as ``fs_time`` measures and
    cuts them; the maps of white and pial at every call; what is skipped because it is
    newer than what it is made from; the wording of errors, and exit codes.

True of it alone
    What every stage costs is known. Programs burn CPU until their own clock says that
    they have had it, so it holds on a busy machine; what the whole tree of a call used
    is written to ``truth.jsonl``.

Not true of it
    ``recon-all`` is Python, not tcsh, and calls no helpers (``date``, ``awk``, some seventy
    ``-all-info``) but ``tee``; ``fs_time`` is not a process of its own. Arguments of
    programs are those of the table, not the real ones, and all run in the folder ``mri``.
    Of version 8, what networks do in which call is the table's word for it.
    ``-parallel``, ``-long``, ``-base`` and parts of groups (``-autorecon2-cp``) are refused.

The programs are in the folder of the same name, beside this file. They import little and
know nothing of pytest or nicarbon: the stage table is handed to them by ``install``.

Examples
--------
::

    env = install(tmp_path / 'freesurfer')
    env |= work(tmp_path, {'smooth1': {'cpu_seconds': 0.4, 'threads': 2}})
    done = call(env, '-s', 'bert', '-i', image, '-autorecon1')
    truth(tmp_path)[-1]['cpu_seconds']
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nicarbon.stage import Stage, stages, variants, versions

PROGRAMS = Path(__file__).with_suffix('')
"""What the installed programs import."""

STAMPS = {
    '6.0.1': 'freesurfer-Linux-centos6_x86_64-stable-pub-v6.0.1-f53a55a',
    '7.4.1': 'freesurfer-linux-ubuntu22_x86_64-7.4.1-20230614-7eb8460',
    '8.0.0': 'freesurfer-linux-ubuntu22_x86_64-8.0.0-20250218-0000000',
}
"""Contents of build-stamp.txt; of 8.0.0 only the form is known."""

LICENCE = 'stand-in@example.org\n00000\n *AAAAAAAAAAAA\n AAAAAAAAAAAAA\n'

EXTRA = ('fsr-getxopts', 'mri_info', 'mris_place_surface', 'vertexvol')
"""Programs that no stage may name, but people and the maps call."""


def install(
    home: Path,
    version: str = '7.4.1',
    *,
    licensed: bool = True,
    startup_seconds: float = 0.0,
    startup_cpu_seconds: float = 0.0,
) -> dict[str, str]:
    """Lay out a FREESURFER_HOME.

    Parameters
    ----------
    home : Path
        Made where it is not there.
    version : str
        One of ``STAMPS``.
    licensed : bool
        Whether there is a licence, without which no program but ``recon-all`` works.
    startup_seconds, startup_cpu_seconds : float
        How long ``recon-all`` sleeps, and what it burns, before its first stage; the real
        one takes 2 to 9 seconds.

    Returns
    -------
    dict
        The environment to call it in: ours, with FREESURFER_HOME, PATH and SUBJECTS_DIR.
    """
    major = int(version.partition('.')[0])
    table = [_row(stage) for stage in _known(major)]
    for folder in ('bin', 'etc', 'average', 'subjects/fsaverage/surf', 'subjects/fsaverage/label'):
        (home / folder).mkdir(parents=True, exist_ok=True)
    _write_programs(home / 'bin', {name for row in table for name in row['binaries']})
    about = {
        'version': version,
        'major': major,
        'recon': _recon_version(version),
        'startup_seconds': startup_seconds,
        'startup_cpu_seconds': startup_cpu_seconds,
        'stages': table,
        'halves': sorted(_halves()),
    }
    (home / 'stand_in.json').write_text(json.dumps(about), 'utf-8')
    (home / 'build-stamp.txt').write_text(STAMPS[version] + '\n', 'utf-8')
    (home / 'sources.csh').write_text('# read by recon-all\n', 'utf-8')
    for hemi in ('lh', 'rh'):
        for name in (f'surf/{hemi}.sphere.reg', f'label/{hemi}.BA1_exvivo.label'):
            (home / 'subjects/fsaverage' / name).write_text('of the stand-in\n', 'utf-8')
    if licensed:
        (home / 'license.txt').write_text(LICENCE, 'utf-8')
    _write_system(home)
    return _environment(home)


def work(
    truth_folder: Path | None = None,
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    **default: Any,
) -> dict[str, str]:
    """What the stages shall cost, and where they go wrong: add it to the environment.

    Parameters
    ----------
    truth_folder : Path, optional
        Where ``truth.jsonl`` is written.
    stages : mapping, optional
        By key (``smooth1_lh``) or name (``smooth1``); ``maps`` and ``maps_lh`` are the six
        maps of a hemisphere, which cost nothing by default. Of each:
        ``cpu_seconds``, burned by its programs together, in equal shares (a program that
        does nothing takes about 0.015);
        ``threads`` to burn in, at most those of ``-threads`` or ``-itkthreads``;
        ``memory_mb`` that each program touches;
        ``fails`` (an exit code), ``dies`` (a signal) or ``hangs`` (true, or a file to make),
        which befalls its last program when half of its work is done and half of its output
        written.
    **default : float or int
        The same, of stages that are not named.

    Returns
    -------
    dict
    """
    said = {'stages': stages or {}, 'default': default}
    if truth_folder is not None:
        said['truth'] = str(truth_folder)
    return {'FREESURFER_STAND_IN': json.dumps(said)}


def truth(folder: Path) -> list[dict[str, Any]]:
    """What was used: of every stage that ended, and of every call (``kind``).

    ``cpu_seconds`` is that of ``recon-all`` and all below it, ``programs_cpu_seconds`` that
    of the programs which ``fs_time`` measures. A call that was killed is not there, nor
    the stage it was in.
    """
    file = folder / 'truth.jsonl'
    lines = file.read_text('utf-8').splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def call(
    env: Mapping[str, str], *words: str | Path, program: str = 'recon-all', timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run ``recon-all``, or another program of an installation, to its end."""
    return subprocess.run(
        [Path(env['FREESURFER_HOME']) / 'bin' / program, *words],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def _known(major: int) -> Iterator[Stage]:
    """Stages in order, those that another drags in behind it."""
    ordered = stages('freesurfer', major)
    seen = {stage.name for stage in ordered}
    for stage in ordered:
        yield stage
        for name in stage.also:
            if name not in seen:
                seen.add(name)
                yield variants('freesurfer', name)[-1]


def _row(stage: Stage) -> dict[str, Any]:
    return {
        'key': stage.key,
        'name': stage.name,
        'hemi': stage.hemi,
        'flag': stage.flag,
        'group': stage.group,
        'needs': [stage.path(name) for name in stage.needs],
        'makes': [stage.path(name) for name in stage.makes],
        'touch': stage.touch,
        'also': stage.also,
        'markers': stage.markers or (stage.title,),
        'binaries': stage.binaries,
        'threads': stage.threads,
    }


def _halves() -> set[str]:
    """Markers of a hemisphere, be it that some version's row is one for both."""
    known = {
        stage for version in versions('freesurfer') for stage in stages('freesurfer', version)
    }
    halves = {
        marker for stage in known if stage.hemi for marker in stage.markers or (stage.title,)
    }
    return halves | {'MMPialSurf', 'Surf Volume'}


def _recon_version(version: str) -> str:
    if version.startswith('6'):
        return '$Id: recon-all,v 1.580.2.16 2017/01/18 14:11:24 zkaufman Exp $'
    return f'{version} ({STAMPS[version]})'


def _write_programs(folder: Path, names: set[str]) -> None:
    for name in {'recon-all', *names, *EXTRA}:
        module = 'recon_all' if name == 'recon-all' else 'program'
        file = folder / name
        file.write_text(
            f'#!{sys.executable} -IS\n'
            f'import sys\nsys.path.insert(0, {str(PROGRAMS)!r})\n'
            f'import {module}\n{module}.main()\n',
            'utf-8',
        )
        file.chmod(0o755)


def _write_system(home: Path) -> None:
    """The set-up script, and what the real recon-all needs of the system."""
    for name in ('tcsh', 'bc'):
        file = home / 'bin' / name
        file.write_text('#!/bin/sh\nexit 1\n', 'utf-8')
        file.chmod(0o755)
    (home / 'SetUpFreeSurfer.sh').write_text(
        'export PATH="$FREESURFER_HOME/bin:$PATH" FSFAST_HOME="$FREESURFER_HOME/fsfast"\n', 'utf-8'
    )


def _environment(home: Path) -> dict[str, str]:
    gone = ('FS_LICENSE', 'FS_OMP_NUM_THREADS', 'FREESURFER_STAND_IN')
    ours = {name: value for name, value in os.environ.items() if name not in gone}
    return ours | {
        'FREESURFER_HOME': str(home),
        'FREESURFER': str(home),
        'PATH': f'{home / "bin"}:{ours.get("PATH", os.defpath)}',
        'SUBJECTS_DIR': str(home / 'subjects'),
    }
