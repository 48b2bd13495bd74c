"""FreeSurfer's recon-all as a graph: every stage and hemisphere a node of its own.

Edges are files: what a stage needs, by the stage table, comes from the last stage before
it that makes it. Besides, the stages of the volume keep recon-all's own order, and so do
those of each hemisphere; the two hemispheres and the volume go side by side.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nipype import Workflow

from .. import bids
from ..aware import CarbonNode
from ..freesurfer import DIRECTIVES, Second, selected
from ..interfaces import freesurfer as interface
from ..stage import Stage
from .anatomical import workflow_name
from .graph import StageGraph

__all__ = ['Granularity', 'Recon', 'init_freesurfer_dataset_wf', 'init_freesurfer_wf']

Granularity = Literal['stage', 'directive']

MADE = {
    't1w_preproc': 'mri/T1.mgz',
    't1w_mask': 'mri/brainmask.mgz',
    't1w_dseg': 'mri/aseg.mgz',
    'anat2std_xfm': 'mri/transforms/talairach.xfm',
    'morphometry': 'stats/aseg.stats',
}
"""What of FreeSurfer's goes to which field of the ``outputnode``; its standard space is
MNI305, and the transformation to it affine."""

SURFACES = ('surf/lh.white', 'surf/rh.white')

IN_TURN = {'balabels'}
"""Stages whose two hemispheres write the same files (colour tables of the whole subject),
and which recon-all therefore never runs side by side."""

IMAGES = {
    'input': {'t1w': 'T1_files'},
    't2-input': {'t2w': 'T2_file'},
    'flair-input': {'flair': 'FLAIR_file'},
}
"""Images that stages import: fields of the ``inputnode``, and their own."""


def init_freesurfer_wf(
    *,
    subject: str,
    version: int,
    session: str = '',
    names: Collection[str] = ('all',),
    second: Second = '',
    flags: Sequence[str] = (),
    granularity: Granularity = 'stage',
    omp_nthreads: int = 1,
    name: str = 'freesurfer_wf',
) -> Workflow:
    """From T1w images of one session to a FreeSurfer subject.

    Parameters
    ----------
    subject, session : str
        BIDS labels, for the ledger; ``sub-01_ses-1`` is the subject's folder.
    version : int
        Major version of FreeSurfer.
    names : collection of str
        Stages or directives to run; all by default.
    second : {'', 'T2', 'FLAIR'}
        The second image that refines the pial surfaces.
    flags : sequence of str
        For every call: ``-3T``, ``-cm``.
    granularity : {'stage', 'directive'}
        A call of recon-all for each stage and hemisphere, or one for each of autorecon1,
        2 and 3, whose energy is cut into stages by the markers of the log.
    omp_nthreads : int
        Threads of stages that use them.
    name : str

    Returns
    -------
    nipype.Workflow
        Fields of ``inputnode``: :data:`~nicarbon.workflows.anatomical.INPUTS`; of
        ``outputnode``: :data:`~nicarbon.workflows.anatomical.OUTPUTS`, ``subject_id`` and
        ``subjects_dir``.
    """
    graph = StageGraph(name, bids.prefix(subject, session), MADE, SURFACES, IMAGES)
    graph.workflow.__desc__ = __doc__
    maker = _Maker(subject, session, list(flags), omp_nthreads)
    chosen = selected(version, names, second)
    if granularity == 'stage':
        for stage in chosen:
            graph.add(stage, maker.node(stage), after='lh' if _in_turn(stage) else None)
    else:
        for directive in DIRECTIVES:
            own = [stage for stage in chosen if stage.group == directive]
            if own:
                graph.add_many(maker.directive(directive, own, second), own)
    graph.finish()
    return graph.workflow


def _in_turn(stage: Stage) -> bool:
    return stage.name in IN_TURN and stage.hemi == 'rh'


class _Maker(NamedTuple):
    """Makes nodes with what all have in common."""

    subject: str
    session: str
    flags: list[str]
    omp_nthreads: int

    def node(self, stage: Stage) -> CarbonNode:
        made = interface.of_stage(stage.name)()
        if stage.hemi:
            made.inputs.hemi = stage.hemi
        threads = self.omp_nthreads if stage.threads else 1
        return self._node(made, stage.key, threads, stage.memory_gb)

    def directive(self, directive: str, own: Sequence[Stage], second: Second) -> CarbonNode:
        made = interface.Directive(directive=directive)
        if second and directive == 'autorecon3':
            self = self._replace(flags=[*self.flags, f'-{second}pial'])  # noqa: PLW0642
        most = max(stage.memory_gb for stage in own)
        return self._node(made, directive, self.omp_nthreads, most)

    def _node(self, made: Any, key: str, threads: int, memory_gb: float) -> CarbonNode:
        made.inputs.num_threads = threads
        if self.flags:
            made.inputs.flags = self.flags
        return CarbonNode(
            made,
            name=re.sub(r'\W', '_', key),
            subject=self.subject,
            session=self.session,
            stage=key,
            n_procs=threads,
            mem_gb=memory_gb,
        )


class Recon(NamedTuple):
    """What is to be done with one session.

    Parameters
    ----------
    session : bids.Session
    second : {'', 'T2', 'FLAIR'}
    flags : tuple of str
    """

    session: bids.Session
    second: Second = ''
    flags: tuple[str, ...] = ()


def init_freesurfer_dataset_wf(
    recons: Sequence[Recon],
    *,
    version: int,
    subjects_dir: Path,
    names: Collection[str] = ('all',),
    granularity: Granularity = 'stage',
    omp_nthreads: int = 1,
) -> Workflow:
    """One FreeSurfer workflow per session.

    Parameters
    ----------
    recons : sequence of Recon
    version : int
        Major version of FreeSurfer.
    subjects_dir : pathlib.Path
        Where the subjects go.
    names : collection of str
        Stages or directives to run; all by default.
    granularity : {'stage', 'directive'}
    omp_nthreads : int

    Returns
    -------
    nipype.Workflow
    """
    dataset = Workflow(name='nicarbon_freesurfer_wf')
    for session, second, flags in recons:
        one = init_freesurfer_wf(
            subject=session.subject,
            session=session.session,
            version=version,
            names=names,
            second=second,
            flags=flags,
            granularity=granularity,
            omp_nthreads=omp_nthreads,
            name=workflow_name(session),
        )
        one.inputs.inputnode.t1w = [str(path) for path in session.t1w]
        one.inputs.inputnode.subjects_dir = str(subjects_dir)
        if second == 'T2':
            one.inputs.inputnode.t2w = str(session.t2w[0])
        elif second == 'FLAIR':
            one.inputs.inputnode.flair = str(session.flair[0])
        dataset.add_nodes([one])
    return dataset
