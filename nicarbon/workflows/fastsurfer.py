"""FastSurfer as a graph: every module a node of its own, segmentation before surfaces.

The modules keep the order of ``run_fastsurfer.sh``, which runs them one after another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from nipype import Workflow

from .. import bids
from ..aware import CarbonNode
from ..fastsurfer import GROUPS, selected
from ..interfaces import fastsurfer as interface
from ..stage import Stage
from .anatomical import workflow_name
from .graph import StageGraph

__all__ = ['Settings', 'init_fastsurfer_dataset_wf', 'init_fastsurfer_wf']

MADE = {
    't1w_preproc': 'mri/orig_nu.mgz',
    't1w_mask': 'mri/mask.mgz',
    't1w_dseg': 'mri/aparc.DKTatlas+aseg.deep.mgz',
    'anat2std_xfm': 'mri/transforms/talairach.xfm',
}
"""What of FastSurfer's goes to which field of the ``outputnode``; its standard space is
MNI305, and the transformation to it affine."""

STATISTICS = (
    'stats/aseg+DKT.VINN.withCC.stats',
    'stats/aseg+DKT.VINN.stats',
    'stats/aseg+DKT.stats',
)
"""What there is of these goes to the field ``morphometry``, the first before the others."""

SURFACES = ('surf/lh.white', 'surf/rh.white')


class Settings(NamedTuple):
    """How the modules are run.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``: where the networks run.
    viewagg_device : str
        Where the views of the three planes are aggregated.
    batch_size : int
        Slices at once.
    python : str
        Command of the Python that has what FastSurfer needs.
    omp_nthreads : int
        Threads of each module.
    three_tesla : bool
        The Talairach atlas of 3 T.
    allow_root : bool
        Run as root.
    """

    device: str = 'auto'
    viewagg_device: str = 'auto'
    batch_size: int = 1
    python: str = 'python3'
    omp_nthreads: int = 1
    three_tesla: bool = False
    allow_root: bool = False


def init_fastsurfer_wf(
    *,
    subject: str,
    version: str,
    session: str = '',
    names: Collection[str] = GROUPS,
    settings: Settings = Settings(),  # noqa: B008 - it is frozen
    name: str = 'fastsurfer_wf',
) -> Workflow:
    """From a T1w image of one session to a FastSurfer subject.

    Parameters
    ----------
    subject, session : str
        BIDS labels, for the ledger; ``sub-01_ses-1`` is the subject's folder.
    version : str
        Of FastSurfer, such as ``2.3``.
    names : collection of str
        Modules to run, ``seg`` for segmentation alone, or ``seg`` and ``surf``.
    settings : Settings
    name : str

    Returns
    -------
    nipype.Workflow
        Fields of ``inputnode``: :data:`~nicarbon.workflows.anatomical.INPUTS`, of whose
        T1w images there may be one; of ``outputnode``:
        :data:`~nicarbon.workflows.anatomical.OUTPUTS`, ``subject_id`` and
        ``subjects_dir``.
    """
    prefix = bids.prefix(subject, session)
    image = {('t1w', _only): 'T1_file'}
    chosen = selected(version, names)
    images = {stage.name: image for stage in chosen if '{T1_file}' in stage.arguments}
    graph = StageGraph(name, prefix, _wanted(chosen), SURFACES, images)
    graph.workflow.__desc__ = __doc__
    for stage in chosen:
        node = _node(stage, subject, session, settings)
        if 'etiv' in node.inputs.copyable_trait_names():
            node.inputs.etiv = any(other.name == 'tal_reg' for other in chosen)
        graph.add(stage, node)
    graph.finish()
    return graph.workflow


def _wanted(chosen: Sequence[Stage]) -> dict[str, str]:
    """Fields of the outputnode, and files for them; versions call the statistics differently."""
    made = {stage.path(name) for stage in chosen for name in stage.makes}
    statistics = next((path for path in STATISTICS if path in made), None)
    return MADE if statistics is None else {**MADE, 'morphometry': statistics}


def _only(images):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """FastSurfer takes one image. Nipype runs this function's text, where no type is known."""
    return images if isinstance(images, str) else images[0]


def _node(stage: Stage, subject: str, session: str, settings: Settings) -> CarbonNode:
    made = interface.of_stage(stage.name)()
    threads = settings.omp_nthreads if stage.threads else 1
    given = {
        **settings._asdict(),
        'num_threads': threads,
        'flags': ['--3T'] if settings.three_tesla else [],
    }
    known = made.inputs.copyable_trait_names()
    made.inputs.trait_set(**{field: value for field, value in given.items() if field in known})
    return CarbonNode(
        made,
        name=re.sub(r'\W', '_', stage.key),
        subject=subject,
        session=session,
        stage=stage.key,
        n_procs=threads,
        mem_gb=stage.memory_gb,
    )


def init_fastsurfer_dataset_wf(
    sessions: Sequence[tuple[bids.Session, Settings]],
    *,
    version: str,
    subjects_dir: Path,
    names: Collection[str] = GROUPS,
) -> Workflow:
    """One FastSurfer workflow per session.

    Parameters
    ----------
    sessions : sequence of (bids.Session, Settings)
    version : str
        Of FastSurfer, such as ``2.3``.
    subjects_dir : pathlib.Path
        Where the subjects go.
    names : collection of str
        Modules to run, or groups of them.

    Returns
    -------
    nipype.Workflow
    """
    dataset = Workflow(name='nicarbon_fastsurfer_wf')
    for session, settings in sessions:
        one = init_fastsurfer_wf(
            subject=session.subject,
            session=session.session,
            version=version,
            names=names,
            settings=settings,
            name=workflow_name(session),
        )
        one.inputs.inputnode.t1w = [str(path) for path in session.t1w]
        one.inputs.inputnode.subjects_dir = str(subjects_dir)
        dataset.add_nodes([one])
    return dataset
