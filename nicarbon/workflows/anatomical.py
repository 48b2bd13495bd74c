"""What all anatomical workflows share: the fields of their ends, and names."""

from __future__ import annotations

import re

from .. import bids

__all__ = ['INPUTS', 'OUTPUTS', 'workflow_name']

INPUTS = ('t1w', 't2w', 'flair', 'subject_id', 'subjects_dir')
"""Fields of every anatomical workflow's ``inputnode``, after sMRIPrep's. ``t1w`` is a list
of files; what a pipeline has no use for it does not look at."""

OUTPUTS = (
    't1w_preproc',
    't1w_mask',
    't1w_dseg',
    't1w_tpms',
    'anat2std_xfm',
    'std2anat_xfm',
    'surfaces',
    'morphometry',
)
"""Fields of every anatomical workflow's ``outputnode``, after sMRIPrep's names. What a
pipeline does not make stays undefined."""


def workflow_name(session: bids.Session) -> str:
    """Name of a session's workflow, which also names its working folder.

    Examples
    --------
    >>> workflow_name(bids.Session('01', '2', ()))
    'sub_01_ses_2_wf'
    """
    return re.sub(r'\W', '_', f'{session.name}_wf')
