"""FastSurfer, module by module."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ... import fastsurfer, freesurfer, progress
from ...bids import Session, with_second
from ...errors import InputError, UnavailableError, UsageError
from ...fastsurfer import GROUPS, FastSurfer, Torch
from ...freesurfer import FreeSurfer
from ...stage import Stage, stages
from ..counted import Counted, count
from ..options import Options
from .places import require_idle, require_places

__all__ = ['FastSurferPipeline']


@dataclass(frozen=True, slots=True)
class FastSurferPipeline:
    """The pipeline with the options of a run.

    Parameters
    ----------
    options : Options
    fastsurfer : FastSurfer
    freesurfer : FreeSurfer or None
        None where none is needed.
    torch : Torch
        What the Python that runs it has.
    environ : mapping
    """

    options: Options
    fastsurfer: FastSurfer
    freesurfer: FreeSurfer | None
    torch: Torch
    environ: Mapping[str, str]
    tool: str = 'fastsurfer'
    preload: str = 'nicarbon.workflows.fastsurfer'
    free_bytes: int = 1_000_000_000
    """What a subject leaves, in its folder and the work folder."""

    @classmethod
    def of(cls, options: Options, environ: Mapping[str, str] = os.environ) -> FastSurferPipeline:
        """Look for FastSurfer, its Python, and FreeSurfer where surfaces are wanted.

        Raises
        ------
        UnavailableError
            When one of them is not there, or of a version that does not go with it.
        UsageError
            When a stage is asked for that there is not.
        """
        options = replace(options, fastsurfer_python=_absolute(options.fastsurfer_python))
        home = options.fastsurfer_home
        named = {} if home is None else {'FASTSURFER_HOME': str(home.resolve())}
        found = fastsurfer.find({**environ, **named})
        wanted = _wanted(options, found)
        of_surfaces = _freesurfer(found, environ) if _needs_freesurfer(wanted) else None
        torch = fastsurfer.probe(found, options.fastsurfer_python, environ)
        fastsurfer.device_of(options.device, torch)
        return cls(options, found, of_surfaces, torch, environ)

    @property
    def names(self) -> tuple[str, ...]:
        """Stages and groups of stages that are asked for."""
        return _names(self.options)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those that are asked for."""
        return fastsurfer.selected(self.fastsurfer.minor, self.names)

    @property
    def device(self) -> str:
        """Where the networks run."""
        return fastsurfer.device_of(self.options.device, self.torch)

    @property
    def viewagg_device(self) -> str:
        """Where their views are aggregated; ``auto`` is FastSurfer's own choice."""
        asked = self.options.viewagg_device
        return asked if asked == 'auto' else fastsurfer.device_of(asked, self.torch)

    def sessions(self, bids_dir: Path, sessions: Sequence[Session]) -> Sequence[Session]:
        """With the field strength."""
        return with_second(bids_dir, sessions)

    def stages_of(self, session: Session) -> tuple[Stage, ...]:  # noqa: ARG002
        """The same for all."""
        return self.stages

    def steps(self, session: Session) -> int:
        """One for each module."""
        return len(self.stages_of(session))

    def subjects_dir(self, out_dir: Path) -> Path:
        """Where subjects are, and go."""
        given = self.options.fs_subjects_dir
        return out_dir / 'fastsurfer' if given is None else given.resolve()

    def require(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> None:
        """Refuse what is known to stop the modules."""
        folder = self.subjects_dir(out_dir)
        require_places(folder, bids_dir, out_dir)
        names = [session.name for session in sessions]
        allow_root = self.options.allow_root
        fastsurfer.require(self.fastsurfer, folder, names, self.stages, allow_root=allow_root)
        if self.freesurfer is not None:
            licence = self.options.fs_license_file
            own = freesurfer.environment(self.freesurfer, None, self.environ)
            environ = {**self.environ, **own}
            # The stage removes what a recon-all left that was killed with it.
            freesurfer.require(self.freesurfer, folder, names, licence, environ, stale_flags=True)
        for session in sessions:
            _require_one(session)
            self._require_inputs(folder / session.name)
        require_idle({Path(stage.program).name for stage in self.stages}, folder, names)

    def _require_inputs(self, folder: Path) -> None:
        """What stages need that are not run before them must be there."""
        made: set[str] = set()
        for stage in self.stages:
            for name in stage.needs:
                path = stage.path(name)
                if path not in made and not (folder / path).exists():
                    raise UsageError(
                        f'--stages: {stage.key} needs {folder / path}, which is not there: '
                        'run the stages before it first'
                    )
            made |= {stage.path(name) for name in stage.makes}

    def environment(self) -> Mapping[str, str]:
        """Where FastSurfer is, and FreeSurfer's own variables."""
        own = {'FASTSURFER_HOME': str(self.fastsurfer.home)}
        if self.freesurfer is None:
            return own
        licence = self.options.fs_license_file
        resolved = None if licence is None else licence.resolve()
        return {**freesurfer.environment(self.freesurfer, resolved, self.environ), **own}

    def workflow(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> Any:  # noqa: ARG002
        """The Nipype workflow of these sessions."""
        from ...workflows.fastsurfer import Settings, init_fastsurfer_dataset_wf

        subjects_dir = self.subjects_dir(out_dir)
        subjects_dir.mkdir(parents=True, exist_ok=True)
        options = self.options
        settings = Settings(
            device=self.device,
            viewagg_device=self.viewagg_device,
            batch_size=options.batch_size,
            python=options.fastsurfer_python,
            omp_nthreads=options.omp_nthreads,
            allow_root=options.allow_root,
        )
        with_strength = [
            (session, settings._replace(three_tesla=self._at_3t(session))) for session in sessions
        ]
        return init_fastsurfer_dataset_wf(
            with_strength,
            version=self.fastsurfer.minor,
            subjects_dir=subjects_dir,
            names=self.names,
        )

    def _at_3t(self, session: Session) -> bool:
        return self.options.three_tesla or freesurfer.is_3t(session.tesla)

    def stale(self, out_dir: Path, base: Path, sessions: Sequence[Session]) -> list[Path]:
        """Those of subjects whose folder is gone."""
        from ...workflows.anatomical import workflow_name

        folder = self.subjects_dir(out_dir)
        gone = [session for session in sessions if not (folder / session.name).exists()]
        return [base / workflow_name(session) for session in gone]

    def reused(self, out_dir: Path, sessions: Sequence[Session]) -> Mapping[Session, float]:
        """Those that FastSurfer has finished without nicarbon."""
        made = {
            session: [
                self.subjects_dir(out_dir) / session.name / stage.path(name)
                for stage in self.stages
                for name in stage.makes
            ]
            for session in sessions
        }
        return {
            session: max(path.stat().st_mtime for path in paths)
            for session, paths in made.items()
            if all(path.exists() for path in paths)
            and not progress.is_ours(self.subjects_dir(out_dir) / session.name)
        }

    def versions(self) -> Mapping[str, str]:
        """Those of FastSurfer, of PyTorch, and of FreeSurfer where it is used."""
        return {**self.programs(), 'PyTorch': self.torch.version, 'device': self.device}

    def programs(self) -> Mapping[str, str]:
        """FastSurfer, and FreeSurfer where it is used."""
        used = {} if self.freesurfer is None else {'FreeSurfer': self.freesurfer.version}
        return {'FastSurfer': self.fastsurfer.version, **used}

    def networks(self, sessions: Sequence[Session]) -> Counted | None:
        """Those of its modules, for the images of these sessions."""
        names = [stage.name for stage in self.stages if stage.name in fastsurfer.CHECKPOINTS]
        return count(
            shlex.split(self.options.fastsurfer_python),
            self.fastsurfer.home,
            {**self.environ, **fastsurfer.environment(self.fastsurfer, self.environ)},
            names,
            sessions,
        )


def _absolute(command: str) -> str:
    """The same Python, whatever folder it is called in."""
    try:
        program, *words = shlex.split(command)
    except ValueError:
        return command  # The probe says that it cannot be run.
    if os.sep in program:
        program = str(Path(program).absolute())
    return shlex.join([program, *words])


def _names(options: Options) -> tuple[str, ...]:
    if options.stages and options.seg_only:
        raise UsageError('--seg-only and --stages both say what to run: give one of them')
    return options.stages or (GROUPS[:1] if options.seg_only else GROUPS)


def _wanted(options: Options, found: FastSurfer) -> tuple[Stage, ...]:
    """Stages that are asked for; refuse what is no stage of this version."""
    names = _names(options)
    whole = stages('fastsurfer', found.minor)
    known = {*GROUPS, *(stage.name for stage in whole)}
    for name in names:
        if name not in known:
            raise UsageError(
                f'--stages {name}: FastSurfer {found.version} has no such stage; it has '
                f'{", ".join((*GROUPS, *(stage.name for stage in whole)))}'
            )
    return fastsurfer.selected(found.minor, names)


def _needs_freesurfer(wanted: Sequence[Stage]) -> bool:
    return any(stage.group != 'seg' for stage in wanted)


def _freesurfer(found: FastSurfer, environ: Mapping[str, str]) -> FreeSurfer:
    """The FreeSurfer that surfaces are made with."""
    if not environ.get('FREESURFER_HOME'):
        raise UnavailableError(
            'surfaces need FreeSurfer, and FREESURFER_HOME is not set: install it and source '
            'its SetUpFreeSurfer.sh, or take --seg-only'
        )
    with_it = freesurfer.find(environ)
    fastsurfer.require_freesurfer(found, with_it)
    return with_it


def _require_one(session: Session) -> None:
    """FastSurfer does not average images, and nobody but the user can choose one."""
    if len(session.t1w) > 1:
        names = ', '.join(path.name for path in session.t1w)
        raise InputError(
            f'{session.name} has {len(session.t1w)} T1w images ({names}) and FastSurfer takes '
            'one: choose with --bids-filter-file'
        )
    for path in session.t1w:
        if ' ' in str(path):
            raise UsageError(f'{path}: recon-surf.sh cannot take a path with blanks')
