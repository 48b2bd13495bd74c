"""The embedded structural T1w workflow, of pip-installable parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nipype import Workflow
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline.engine import Node

from .. import bids
from ..aware import CarbonNode
from ..interfaces import structural as stage
from ..interfaces.derivatives import SaveDerivatives, derivatives
from ..stage import find_stage
from .anatomical import INPUTS, OUTPUTS, workflow_name

__all__ = ['init_structural_dataset_wf', 'init_structural_wf', 'unsaved']


_INTERFACES: dict[str, Callable[[], Any]] = {
    'conform': stage.Conform,
    'n4': stage.N4,
    'affine': stage.Affine,
    'nonlinear': stage.NonLinear,
    'brain_extraction': stage.BrainExtraction,
    'tissue_segmentation': stage.TissueSegmentation,
    'surface': stage.Surface,
    'morphometry': stage.Morphometry,
}
_WARP = [('forward', 'forward'), ('inverse', 'inverse')]
_LINKS: tuple[tuple[str, str, list[tuple[str, str]]], ...] = (
    ('inputnode', 'conform', [('t1w', 'in_files')]),
    ('conform', 'n4', [('out_file', 'in_file')]),
    ('n4', 'affine', [('out_file', 'in_file')]),
    ('n4', 'nonlinear', [('out_file', 'in_file')]),
    ('affine', 'nonlinear', [('matrix', 'matrix')]),
    ('n4', 'brain_extraction', [('out_file', 'in_file')]),
    ('nonlinear', 'brain_extraction', _WARP),
    ('n4', 'tissue_segmentation', [('out_file', 'in_file')]),
    ('brain_extraction', 'tissue_segmentation', [('out_file', 'mask')]),
    ('nonlinear', 'tissue_segmentation', _WARP),
    ('tissue_segmentation', 'surface', [('tpms', 'tpms')]),
    ('nonlinear', 'surface', _WARP),
    ('n4', 'morphometry', [('out_file', 'in_file')]),
    ('brain_extraction', 'morphometry', [('out_file', 'mask')]),
    ('tissue_segmentation', 'morphometry', [('dseg', 'dseg'), ('tpms', 'tpms')]),
    ('surface', 'morphometry', [('surfaces', 'surfaces')]),
    ('n4', 'outputnode', [('out_file', 't1w_preproc')]),
    ('brain_extraction', 'outputnode', [('out_file', 't1w_mask')]),
    ('tissue_segmentation', 'outputnode', [('dseg', 't1w_dseg'), ('tpms', 't1w_tpms')]),
    ('nonlinear', 'outputnode', [('forward', 'anat2std_xfm'), ('inverse', 'std2anat_xfm')]),
    ('surface', 'outputnode', [('surfaces', 'surfaces')]),
    ('morphometry', 'outputnode', [('out_file', 'morphometry')]),
)
"""From which stage to which, and what: names of outputs and inputs."""


def init_structural_wf(
    *,
    subject: str,
    session: str = '',
    omp_nthreads: int = 1,
    name: str = 'structural_wf',
) -> Workflow:
    """From T1w images of one session to tissues, a surface and volumes.

    Parameters
    ----------
    subject, session : str
        BIDS labels, for the ledger.
    omp_nthreads : int
        Cores for one stage.
    name : str

    Returns
    -------
    nipype.Workflow
        Fields of ``inputnode``: :data:`~nicarbon.workflows.anatomical.INPUTS`; of
        ``outputnode``: :data:`~nicarbon.workflows.anatomical.OUTPUTS`.
    """
    workflow = Workflow(name=name)
    workflow.__desc__ = __doc__

    def node(interface: Any, stage_name: str) -> CarbonNode:
        interface.inputs.num_threads = omp_nthreads
        return CarbonNode(
            interface,
            name=stage_name,
            subject=subject,
            session=session,
            stage=stage_name,
            mem_gb=find_stage('structural', stage_name).memory_gb,
        )

    nodes = {key: node(interface(), key) for key, interface in _INTERFACES.items()} | {
        'inputnode': Node(IdentityInterface(fields=list(INPUTS)), name='inputnode'),
        'outputnode': Node(IdentityInterface(fields=list(OUTPUTS)), name='outputnode'),
    }
    workflow.connect([(nodes[one], nodes[other], fields) for one, other, fields in _LINKS])
    return workflow


def init_structural_dataset_wf(
    sessions: Sequence[bids.Session], *, bids_dir: Path, out_dir: Path, omp_nthreads: int = 1
) -> Workflow:
    """One structural workflow per session, with its derivatives saved.

    Parameters
    ----------
    sessions : sequence of Session
    bids_dir, out_dir : pathlib.Path
        The raw dataset, and where BIDS derivatives go.
    omp_nthreads : int
        Cores for one stage.

    Returns
    -------
    nipype.Workflow
    """
    dataset = Workflow(name='nicarbon_structural_wf')
    for session in sessions:
        one = init_structural_wf(
            subject=session.subject,
            session=session.session,
            omp_nthreads=omp_nthreads,
            name=workflow_name(session),
        )
        one.inputs.inputnode.t1w = [str(path) for path in session.t1w]
        save = CarbonNode(
            SaveDerivatives(
                out_dir=str(out_dir),
                subject=session.subject,
                session=session.session,
                sources=[bids.uri(bids_dir, path) for path in session.t1w],
            ),
            name='derivatives',
            subject=session.subject,
            session=session.session,
            stage='derivatives',
            mem_gb=find_stage('structural', 'derivatives').memory_gb,
        )
        one.connect(one.get_node('outputnode'), 't1w_preproc', save, 't1w_preproc')
        for field in OUTPUTS[1:]:
            one.connect(one.get_node('outputnode'), field, save, field)
        dataset.add_nodes([one])
    return dataset


def unsaved(sessions: Sequence[bids.Session], out_dir: Path, base_dir: Path) -> list[Path]:
    """Working folders of ``derivatives`` nodes whose outputs are gone.

    A finished node is not run again, even if somebody has emptied the output
    folder since; without its working folder it is.

    Parameters
    ----------
    sessions : sequence of Session
    out_dir, base_dir : pathlib.Path
        Output folder, and working folder of the whole workflow.

    Returns
    -------
    list of pathlib.Path
    """
    return [
        base_dir / workflow_name(session) / 'derivatives'
        for session in sessions
        if not all(
            (out_dir / name).exists() for name in derivatives(session.subject, session.session)
        )
    ]
