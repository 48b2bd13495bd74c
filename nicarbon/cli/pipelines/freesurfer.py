"""FreeSurfer's recon-all, stage by stage."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import freesurfer, progress
from ...bids import Session, with_second
from ...errors import UsageError
from ...freesurfer import DIRECTIVES, FreeSurfer, Second
from ...stage import Stage, stages
from ..options import Options
from .places import require_idle, require_places

__all__ = ['FreeSurferPipeline']

SUBMILLIMETRE = 0.99
"""Largest voxel edge, in mm, of images that are conformed to their own size, not to 1 mm
(``-cm``)."""


@dataclass(frozen=True, slots=True)
class FreeSurferPipeline:
    """The pipeline with the options of a run.

    Parameters
    ----------
    options : Options
    freesurfer : FreeSurfer
    environ : mapping
    """

    options: Options
    freesurfer: FreeSurfer
    environ: Mapping[str, str]
    tool: str = 'freesurfer'
    preload: str = 'nicarbon.workflows.freesurfer'
    free_bytes: int = 1_000_000_000
    """What a subject leaves, in its folder and the work folder."""

    @classmethod
    def of(cls, options: Options, environ: Mapping[str, str] = os.environ) -> FreeSurferPipeline:
        """Look for FreeSurfer.

        Raises
        ------
        UnavailableError
            When it is not there, or of an unknown version.
        UsageError
            When a stage is asked for that it does not have.
        """
        made = cls(options, freesurfer.find(environ), environ)
        made._check_stages()
        return made

    def _check_stages(self) -> None:
        """Refuse what is no stage of this version, and single ones in calls of many."""
        whole = self.stages
        known = {'all', *DIRECTIVES, *(stage.name for stage in whole)}
        known |= {stage.key for stage in whole}
        for name in self.options.stages:
            if name not in known:
                names = dict.fromkeys(stage.name for stage in whole)
                raise UsageError(
                    f'--stages {name}: FreeSurfer {self.freesurfer.version} has no such stage; '
                    f'it has all, {", ".join((*DIRECTIVES, *names))}'
                )
            if self.options.granularity == 'directive' and name not in {'all', *DIRECTIVES}:
                raise UsageError(
                    f'--stages {name}: with --granularity directive only '
                    f'{", ".join(DIRECTIVES)} can be chosen'
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Stages and directives that are asked for."""
        return self.options.stages or ('all',)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages of the version."""
        return stages(self.tool, self.freesurfer.major)

    def sessions(self, bids_dir: Path, sessions: Sequence[Session]) -> Sequence[Session]:
        """With their T2w and FLAIR images, and the field strength."""
        return with_second(bids_dir, sessions)

    def stages_of(self, session: Session) -> tuple[Stage, ...]:
        """Those that are asked for, and those of its second image."""
        return freesurfer.selected(self.freesurfer.major, self.names, _second(session))

    def steps(self, session: Session) -> int:
        """One for each stage, or for each directive."""
        ran = self.stages_of(session)
        directives = {stage.group for stage in ran}
        return len(directives if self.options.granularity == 'directive' else ran)

    def subjects_dir(self, out_dir: Path) -> Path:
        """Where subjects are, and go."""
        given = self.options.fs_subjects_dir
        return out_dir / 'freesurfer' if given is None else given.resolve()

    def require(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> None:
        """Refuse what is known to stop recon-all."""
        licence = self.options.fs_license_file
        folder = self.subjects_dir(out_dir)
        require_places(folder, bids_dir, out_dir)
        environ = {**self.environ, **freesurfer.environment(self.freesurfer, None, self.environ)}
        names = [session.name for session in sessions]
        freesurfer.require(self.freesurfer, folder, names, licence, environ)
        for session in sessions:
            for path in (*session.t1w, *session.t2w, *session.flair):
                if ' ' in str(path):
                    raise UsageError(f'{path}: recon-all cannot take a path with blanks')
            self._require_inputs(session, folder / session.name)
        require_idle(['recon-all'], folder, names)

    def _require_inputs(self, session: Session, folder: Path) -> None:
        """What stages need that are not run before them must be there."""
        made: set[str] = set()
        for stage in self.stages_of(session):
            for name in stage.needs:
                path = stage.path(name)
                if path not in made and not (folder / path).exists() and stage.name != 'input':
                    raise UsageError(
                        f'--stages: {stage.key} needs {folder / path}, which is not there: '
                        'run the stages before it first'
                    )
            made |= {stage.path(name) for name in stage.makes}

    def environment(self) -> Mapping[str, str]:
        """FreeSurfer's own variables, and the licence."""
        licence = self.options.fs_license_file
        resolved = None if licence is None else licence.resolve()
        return freesurfer.environment(self.freesurfer, resolved, self.environ)

    def workflow(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> Any:  # noqa: ARG002
        """The Nipype workflow of these sessions."""
        from ...workflows.freesurfer import Recon, init_freesurfer_dataset_wf

        subjects_dir = self.subjects_dir(out_dir)
        subjects_dir.mkdir(parents=True, exist_ok=True)
        recons = [Recon(session, _second(session), self._flags(session)) for session in sessions]
        return init_freesurfer_dataset_wf(
            recons,
            version=self.freesurfer.major,
            subjects_dir=subjects_dir,
            names=self.names,
            granularity='directive' if self.options.granularity == 'directive' else 'stage',
            omp_nthreads=self.options.omp_nthreads,
        )

    def _flags(self, session: Session) -> tuple[str, ...]:
        """What the images say of how they must be treated, unless the options say it."""
        wanted = {
            '-3T': self.options.three_tesla or freesurfer.is_3t(session.tesla),
            '-cm': not self.options.no_submm_recon and _largest_voxel(session) <= SUBMILLIMETRE,
        }
        return tuple(flag for flag, yes in wanted.items() if yes)

    def stale(self, out_dir: Path, base: Path, sessions: Sequence[Session]) -> list[Path]:
        """Those of subjects whose folder is gone."""
        from ...workflows.anatomical import workflow_name

        folder = self.subjects_dir(out_dir)
        gone = [session for session in sessions if not (folder / session.name).exists()]
        return [base / workflow_name(session) for session in gone]

    def reused(self, out_dir: Path, sessions: Sequence[Session]) -> Mapping[Session, float]:
        """Those that recon-all has finished without nicarbon."""
        folder = self.subjects_dir(out_dir)
        return {
            session: (folder / session.name / 'scripts' / 'recon-all.done').stat().st_mtime
            for session in sessions
            if progress.is_complete(folder / session.name)
            and not progress.is_ours(folder / session.name)
        }

    def versions(self) -> Mapping[str, str]:
        """That of FreeSurfer."""
        return self.programs()

    def programs(self) -> Mapping[str, str]:
        """FreeSurfer."""
        return {'FreeSurfer': self.freesurfer.version}

    def networks(self, sessions: Sequence[Session]) -> None:
        """None that is known."""


def _second(session: Session) -> Second:
    """The image that refines the pial surfaces: a T2w, or else a FLAIR."""
    return 'T2' if session.t2w else 'FLAIR' if session.flair else ''


def _largest_voxel(session: Session) -> float:
    """Longest edge of all voxels, in mm; what cannot be read is found out by recon-all."""
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        return max(max(map(float, nib.load(path).header.get_zooms()[:3])) for path in session.t1w)
    except (ImageFileError, HeaderDataError, OSError, ValueError, EOFError, zlib.error):
        return 1.0
