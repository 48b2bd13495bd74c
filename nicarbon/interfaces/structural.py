"""The stages of the structural T1w pipeline as Nipype interfaces.

Each reads images, calls one function of :mod:`nicarbon.anatomy` and writes what
comes out into its working folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    OutputMultiObject,
    SimpleInterface,
    TraitedSpec,
    traits,
)

from ..aware import carbon_aware
from ..errors import ImageError

__all__ = [
    'N4',
    'Affine',
    'BrainExtraction',
    'Conform',
    'Morphometry',
    'NonLinear',
    'Surface',
    'TissueSegmentation',
]


class _Threads(BaseInterfaceInputSpec):  # type: ignore[misc]
    num_threads = traits.Range(low=1, value=1, usedefault=True, nohash=True, desc='cores to use')


def _load(path: str) -> nib.Nifti1Image:
    """Read an image whole, so that a truncated file is found here."""
    try:
        image = nib.load(path)
        image.get_fdata(dtype='float32', caching='fill')
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        msg = f'{path} cannot be read as an image (truncated or not NIfTI?): {reason}'
        raise ImageError(msg) from None
    return image


def _save(runtime: Any, name: str, image: Any) -> str:
    path = Path(runtime.cwd) / name
    if isinstance(image, nib.Nifti1Image):
        image.header.set_xyzt_units('mm', 'sec')
    nib.save(image, path)
    return str(path)


class _ConformInputs(_Threads):
    in_files = InputMultiObject(
        File(exists=True), mandatory=True, desc='T1w images of one session, one or more'
    )


class _ImageOutputs(TraitedSpec):  # type: ignore[misc]
    out_file = File(exists=True, desc='the image made')


class _HeadInputs(_Threads):
    in_file = File(exists=True, mandatory=True, desc='T1w head')


@carbon_aware
class Conform(SimpleInterface):  # type: ignore[misc]
    """Reorient and resample; align and average the runs of a session."""

    input_spec = _ConformInputs
    output_spec = _ImageOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import conform

        images = [_conformed(path) for path in self.inputs.in_files]
        average = conform.average(images, self.inputs.num_threads)
        self._results['out_file'] = _save(runtime, 'conform.nii.gz', average)
        return runtime


def _conformed(path: str) -> nib.Nifti1Image:
    """Conform one image; an error names its file."""
    from ..anatomy.conform import conform

    image = _load(path)
    try:
        return conform(image)
    except ImageError as error:
        raise ImageError(f'{path}: {error}') from None


@carbon_aware
class N4(SimpleInterface):  # type: ignore[misc]
    """Correct the intensity non-uniformity."""

    input_spec = _HeadInputs
    output_spec = _ImageOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import bias

        corrected, _ = bias.correct(_load(self.inputs.in_file), self.inputs.num_threads)
        self._results['out_file'] = _save(runtime, 'preproc.nii.gz', corrected)
        return runtime


class _AffineOutputs(TraitedSpec):  # type: ignore[misc]
    matrix = File(exists=True, desc='4 x 4, template to subject, RAS mm, plain text')


@carbon_aware
class Affine(SimpleInterface):  # type: ignore[misc]
    """Align a head to the template, 12 degrees of freedom."""

    input_spec = _HeadInputs
    output_spec = _AffineOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import register, template

        head = _load(self.inputs.in_file)
        matrix = register.affine(head, template.load(2), self.inputs.num_threads)
        path = Path(runtime.cwd) / 'affine.txt'
        np.savetxt(path, matrix, fmt='%.17g')
        self._results['matrix'] = str(path)
        return runtime


class _NonLinearInputs(_HeadInputs):
    matrix = File(exists=True, mandatory=True, desc='of the affine stage')


class _WarpOutputs(TraitedSpec):  # type: ignore[misc]
    forward = File(exists=True, desc='T1w to template, ITK displacement field')
    inverse = File(exists=True, desc='template to T1w, ITK displacement field')


@carbon_aware
class NonLinear(SimpleInterface):  # type: ignore[misc]
    """Align a head to the template, diffeomorphically."""

    input_spec = _NonLinearInputs
    output_spec = _WarpOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import register, template

        matrix = np.loadtxt(self.inputs.matrix)
        warp = register.warp(
            _load(self.inputs.in_file), matrix, template.load(2), self.inputs.num_threads
        )
        self._results['forward'] = _save(runtime, 'forward.nii.gz', warp.forward)
        self._results['inverse'] = _save(runtime, 'inverse.nii.gz', warp.inverse)
        return runtime


class _WarpedInputs(_HeadInputs):
    forward = File(exists=True, mandatory=True, desc='T1w to template')
    inverse = File(exists=True, mandatory=True, desc='template to T1w')


def _warp(inputs: Any) -> Any:
    from ..anatomy.register import Warp

    return Warp(_load(inputs.forward), _load(inputs.inverse))


@carbon_aware
class BrainExtraction(SimpleInterface):  # type: ignore[misc]
    """Find the brain: the template's mask, refined on the image."""

    input_spec = _WarpedInputs
    output_spec = _ImageOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import brain, template

        head = _load(self.inputs.in_file)
        mask = brain.extract(head, _warp(self.inputs), template.load(1), self.inputs.num_threads)
        self._results['out_file'] = _save(runtime, 'mask.nii.gz', mask)
        return runtime


class _TissueInputs(_WarpedInputs):
    mask = File(exists=True, mandatory=True, desc='brain mask')


class _TissueOutputs(TraitedSpec):  # type: ignore[misc]
    dseg = File(exists=True, desc='1 grey matter, 2 white matter, 3 CSF')
    tpms = OutputMultiObject(File(exists=True), desc='probabilities of GM, WM and CSF')


@carbon_aware
class TissueSegmentation(SimpleInterface):  # type: ignore[misc]
    """Segment grey matter, white matter and cerebrospinal fluid."""

    input_spec = _TissueInputs
    output_spec = _TissueOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import template, tissue

        maps = tissue.segment(
            _load(self.inputs.in_file),
            _load(self.inputs.mask),
            _warp(self.inputs),
            template.load(1),
            self.inputs.num_threads,
        )
        self._results['dseg'] = _save(runtime, 'dseg.nii.gz', maps.dseg)
        self._results['tpms'] = [
            _save(runtime, f'{name}.nii.gz', getattr(maps, name)) for name in ('gm', 'wm', 'csf')
        ]
        return runtime


class _SurfaceInputs(_Threads):
    tpms = InputMultiObject(File(exists=True), mandatory=True, desc='GM, WM and CSF')
    forward = File(exists=True, mandatory=True, desc='T1w to template')
    inverse = File(exists=True, mandatory=True, desc='template to T1w')


class _SurfaceOutputs(TraitedSpec):  # type: ignore[misc]
    surfaces = OutputMultiObject(File(exists=True), desc='left and right, GIFTI')


@carbon_aware
class Surface(SimpleInterface):  # type: ignore[misc]
    """Mesh the border of grey and white matter in each hemisphere."""

    input_spec = _SurfaceInputs
    output_spec = _SurfaceOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import surface, template

        meshes = surface.boundary(
            _load(self.inputs.tpms[1]),
            _warp(self.inputs),
            template.load(2),
            self.inputs.num_threads,
        )
        self._results['surfaces'] = [
            _save(runtime, f'hemi-{hemi}_white.surf.gii', surface.to_gifti(mesh, hemi))
            for hemi, mesh in meshes.items()
        ]
        return runtime


class _MorphometryInputs(_HeadInputs):
    mask = File(exists=True, mandatory=True, desc='brain mask')
    dseg = File(exists=True, mandatory=True, desc='tissue labels')
    tpms = InputMultiObject(File(exists=True), mandatory=True, desc='GM, WM and CSF')
    surfaces = InputMultiObject(File(exists=True), mandatory=True, desc='left and right')


class _MorphometryOutputs(TraitedSpec):  # type: ignore[misc]
    out_file = File(exists=True, desc='table of measures')


@carbon_aware
class Morphometry(SimpleInterface):  # type: ignore[misc]
    """Measure volumes, areas and contrasts."""

    input_spec = _MorphometryInputs
    output_spec = _MorphometryOutputs

    def _run_interface(self, runtime: Any) -> Any:
        from ..anatomy import morphometry
        from ..anatomy.surface import HEMISPHERES, Mesh
        from ..anatomy.tissue import Tissue

        inputs = self.inputs
        tissue = Tissue(*(_load(path) for path in [inputs.dseg, *inputs.tpms]))
        meshes = {
            hemi: Mesh(*(array.data for array in nib.load(path).darrays))
            for hemi, path in zip(HEMISPHERES, inputs.surfaces, strict=True)
        }
        rows = morphometry.measure(_load(inputs.in_file), _load(inputs.mask), tissue, meshes)
        path = Path(runtime.cwd) / 'morphometry.tsv'
        lines = [
            f'{row.name}\t{row.value:.6g}\t{row.unit or "n/a"}\t{row.description}' for row in rows
        ]
        path.write_text('\n'.join(['name\tvalue\tunit\tdescription', *lines, '']))
        self._results['out_file'] = str(path)
        return runtime
