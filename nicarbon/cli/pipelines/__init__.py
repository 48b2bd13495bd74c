"""The pipelines that a participant run can take: what each needs, and what it runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from ...bids import Session
from ...errors import UsageError
from ...stage import Stage
from ..counted import Counted
from ..options import FASTSURFER, FREESURFER, SURFERS, Options

__all__ = ['Pipeline', 'choose']


class Pipeline(Protocol):
    """One way from T1w images to results."""

    @property
    def tool(self) -> str:
        """Name of its stage table."""
        ...

    @property
    def preload(self) -> str:
        """Module that workers have imported before they are forked."""
        ...

    @property
    def free_bytes(self) -> int:
        """Space that the work folder must have before anything is run."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages that it may run, in order."""
        ...

    def sessions(self, bids_dir: Path, sessions: Sequence[Session]) -> Sequence[Session]:
        """The same sessions, with all that it wants to know of them."""
        ...

    def stages_of(self, session: Session) -> tuple[Stage, ...]:
        """Stages that it runs for a session, in order."""
        ...

    def steps(self, session: Session) -> int:
        """Nodes of a session that are stages, or hold some."""
        ...

    def require(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> None:
        """Refuse, before any work starts, what is known to stop it."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Variables for the workers."""
        ...

    def workflow(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> Any:
        """The Nipype workflow of these sessions."""
        ...

    def stale(self, out_dir: Path, base: Path, sessions: Sequence[Session]) -> Iterable[Path]:
        """Working folders to be removed: what they have made is gone."""
        ...

    def reused(self, out_dir: Path, sessions: Sequence[Session]) -> Mapping[Session, float]:
        """Sessions that are finished and taken as they are, and when they were made."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Packages and programs that it uses."""
        ...

    def programs(self) -> Mapping[str, str]:
        """Programs that make its derivatives, beside nicarbon."""
        ...

    def networks(self, sessions: Sequence[Session]) -> Counted | None:
        """What its networks are made of; None where it has none, or they cannot be counted."""
        ...


def choose(options: Options, environ: Mapping[str, str] = os.environ) -> Pipeline:
    """The pipeline that is asked for.

    Parameters
    ----------
    options : Options
        With ``auto``, FastSurfer where its folder is named, FreeSurfer where
        ``FREESURFER_HOME`` is set, the embedded one elsewhere.
    environ : mapping

    Returns
    -------
    Pipeline

    Raises
    ------
    NicarbonError
        When it is not on this machine.
    """
    name = options.pipeline if options.pipeline != 'auto' else _found(options, environ)
    _refuse(options, name)
    if name == 'fastsurfer':
        from .fastsurfer import FastSurferPipeline

        return FastSurferPipeline.of(options, environ)
    if name == 'freesurfer':
        from .freesurfer import FreeSurferPipeline

        return FreeSurferPipeline.of(options, environ)
    from .structural import StructuralPipeline

    return StructuralPipeline(options)


def _found(options: Options, environ: Mapping[str, str]) -> str:
    """The best of what is there."""
    if options.fastsurfer_home or environ.get('FASTSURFER_HOME'):
        return 'fastsurfer'
    return 'freesurfer' if environ.get('FREESURFER_HOME') else 'structural'


OPTIONS = {
    'freesurfer': {SURFERS, FREESURFER},
    'fastsurfer': {SURFERS, FASTSURFER},
}
"""Groups of options that not all pipelines have."""


def _refuse(options: Options, pipeline: str) -> None:
    """Options that have no meaning here would be ignored in silence."""
    others = set[str]().union(*OPTIONS.values()) - OPTIONS.get(pipeline, set())
    for each in fields(Options):
        group = each.metadata['group']
        if group in others and getattr(options, each.name) != each.default:
            raise UsageError(
                f'{each.metadata["names"][0]} is for --pipeline '
                f'{" and ".join(name for name in OPTIONS if group in OPTIONS[name])}, '
                f'not for {pipeline}'
            )
