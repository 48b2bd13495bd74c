"""Save what a workflow made under BIDS names, with sidecars, and draw it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    OutputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from .. import bids
from ..aware import carbon_aware

__all__ = ['SaveDerivatives', 'derivatives']

SPACE = 'MNI152NLin2009aSym'
"""Name of the template's space, by the BIDS specification."""

ENDINGS: dict[str, tuple[str, ...]] = {
    't1w_preproc': ('desc-preproc_T1w.nii.gz',),
    't1w_mask': ('desc-brain_mask.nii.gz',),
    't1w_dseg': ('dseg.nii.gz',),
    't1w_tpms': tuple(f'label-{tissue}_probseg.nii.gz' for tissue in ('GM', 'WM', 'CSF')),
    'anat2std_xfm': (f'from-T1w_to-{SPACE}_mode-image_xfm.nii.gz',),
    'std2anat_xfm': (f'from-{SPACE}_to-T1w_mode-image_xfm.nii.gz',),
    'surfaces': ('hemi-L_white.surf.gii', 'hemi-R_white.surf.gii'),
    'morphometry': ('desc-morphometry_stats.tsv',),
}
"""How the files of each output field end, after the entities of the session."""

ABOUT: dict[str, dict[str, Any]] = {
    't1w_preproc': {'Description': 'Conformed and bias-corrected T1w', 'SkullStripped': False},
    't1w_mask': {'Type': 'Brain', 'Description': 'Brain mask'},
    't1w_dseg': {
        'Description': 'Tissue labels',
        'LabelMap': {'GM': 1, 'WM': 2, 'CSF': 3},
        'Manual': False,
    },
    't1w_tpms': {'Description': 'Tissue probability', 'Manual': False},
    'anat2std_xfm': {'Description': 'ITK displacement field, affine included (LPS mm)'},
    'std2anat_xfm': {'Description': 'ITK displacement field, affine included (LPS mm)'},
    'surfaces': {'Description': 'Border of grey and white matter, scanner RAS mm'},
    'morphometry': {
        'name': {'Description': 'Measure'},
        'value': {'Description': 'Its value, in the unit of the same row'},
        'unit': {'Description': 'Unit'},
        'description': {'Description': 'What was measured'},
    },
}
"""Sidecars, beside the sources."""


def derivatives(subject: str, session: str) -> list[Path]:
    """Files that a finished session has, relative to the output folder."""
    return [
        bids.derivative_path(subject, session, ending)
        for endings in ENDINGS.values()
        for ending in endings
    ] + [bids.figure_path(subject, session, 'tissue', 'T1w')]


class _Inputs(BaseInterfaceInputSpec):  # type: ignore[misc]
    out_dir = traits.Str(mandatory=True, desc='output folder')
    subject = traits.Str(mandatory=True)
    session = traits.Str()
    sources = traits.List(traits.Str, desc='BIDS URIs of the raw images')
    t1w_preproc = File(exists=True, mandatory=True)
    t1w_mask = File(exists=True, mandatory=True)
    t1w_dseg = File(exists=True, mandatory=True)
    t1w_tpms = InputMultiObject(File(exists=True), mandatory=True)
    anat2std_xfm = File(exists=True, mandatory=True)
    std2anat_xfm = File(exists=True, mandatory=True)
    surfaces = InputMultiObject(File(exists=True), mandatory=True)
    morphometry = File(exists=True, mandatory=True)


class _Outputs(TraitedSpec):  # type: ignore[misc]
    saved = OutputMultiObject(File(exists=True), desc='files written')


@carbon_aware
class SaveDerivatives(SimpleInterface):  # type: ignore[misc]
    """Copy the outputs of an anatomical workflow to their BIDS names, and draw the brain."""

    input_spec = _Inputs
    output_spec = _Outputs

    def _run_interface(self, runtime: Any) -> Any:
        saved = []
        for field, endings in ENDINGS.items():
            made = getattr(self.inputs, field)
            for path, ending in zip(
                [made] if isinstance(made, str) else made, endings, strict=True
            ):
                target = self._target(bids.derivative_path, ending)
                _copy(Path(path), target)
                sidecar = ABOUT[field] if field == 'morphometry' else self._about(field)
                stem = target.name.split('.', 1)[0]
                target.with_name(f'{stem}.json').write_text(json.dumps(sidecar, indent=2) + '\n')
                saved.append(str(target))
        saved.append(str(self._draw()))
        self._results['saved'] = saved
        return runtime

    def _target(self, name: Callable[..., Path], *parts: str) -> Path:
        relative = name(self.inputs.subject, self.inputs.session or '', *parts)
        target = Path(self.inputs.out_dir) / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _about(self, field: str) -> dict[str, Any]:
        about = {**ABOUT[field], 'Sources': list(self.inputs.sources)}
        if field in {'t1w_mask', 't1w_dseg', 't1w_tpms', 'surfaces'}:
            inputs = self.inputs
            reference = bids.derivative_path(
                inputs.subject, inputs.session or '', ENDINGS['t1w_preproc'][0]
            )
            about['SpatialReference'] = f'bids::{reference.as_posix()}'
        elif field == 't1w_preproc':
            about['SpatialReference'] = 'orig'
        return about

    def _draw(self) -> Path:
        from ..report.figures import mosaic

        target = self._target(bids.figure_path, 'tissue', 'T1w')
        inputs = self.inputs
        target.write_text(mosaic(inputs.t1w_preproc, inputs.t1w_mask, inputs.t1w_dseg), 'utf-8')
        return target


def _copy(source: Path, target: Path) -> None:
    """Copy a file whole or not at all."""
    draft = target.with_name(f'.{target.name}')
    shutil.copyfile(source, draft)
    draft.replace(target)
