"""The template: nilearn's copy of the ICBM 2009a non-linear symmetric average.

nilearn's wheel ships the T1-weighted average **without its skull** and the grey
and white matter probability maps, at 1 mm, in less than 6 MB; no network is
needed. The same data as ``MNI152NLin2009aSym`` in the BIDS list of spaces. The
brain mask is nilearn's own: what is brighter than a fifth of the maximum.

Source: Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033, and Fonov et al.
2009, doi:10.1016/S1053-8119(09)70884-5. Licence, as given by its authors at
https://nist.mni.mcgill.ca/icbm-152-nonlinear-atlases-2009/: copyright (C) 1993-2009
Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute,
McGill University; permission to use, copy, modify, and distribute for any purpose
and without fee, provided that the copyright notice appears in all copies.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ImageError

if TYPE_CHECKING:
    import nibabel as nib

__all__ = ['SPACE', 'Template', 'load']

#: The name of the space in the BIDS specification.
SPACE = 'MNI152NLin2009aSym'
#: The brain mask is the T1w average above this share of its maximum, the
#: default of ``nilearn.datasets.load_mni152_brain_mask``.
BRAIN_LEVEL = 0.2


@dataclass(frozen=True)
class Template:
    """One grid's worth of the template; all images share shape and affine.

    Attributes
    ----------
    t1w : nibabel.Nifti1Image
        Float32, 0 to 1, 0 outside the brain.
    brain : nibabel.Nifti1Image
        uint8 mask.
    gm, wm, csf : nibabel.Nifti1Image
        Float32 probabilities; in the brain they sum to 1. CSF is what grey and
        white matter leave of the mask.
    """

    t1w: nib.Nifti1Image
    brain: nib.Nifti1Image
    gm: nib.Nifti1Image
    wm: nib.Nifti1Image
    csf: nib.Nifti1Image


def load(voxel_size_mm: int = 1) -> Template:
    """Read the template, averaged over blocks where a coarser one is asked for.

    Parameters
    ----------
    voxel_size_mm : int
        Whole millimetres; cubes of as many 1 mm voxels become one.

    Returns
    -------
    Template

    Raises
    ------
    nicarbon.errors.ImageError
        If nilearn or its data files are missing.

    Examples
    --------
    >>> load(4).brain.shape
    (49, 58, 47)
    """
    import nibabel as nib
    from nibabel.affines import from_matvec

    maps = {name: _read(name) for name in ('t1', 'gm', 'wm')}
    affine = maps['t1'].affine
    t1w, gm, wm = (np.asarray(image.dataobj, dtype=np.float32) for image in maps.values())
    brain = t1w > BRAIN_LEVEL * t1w.max()
    csf = np.where(brain, 255 - gm - wm, 0)
    arrays = [_blocks(data / 255, voxel_size_mm) for data in (t1w, gm * brain, wm * brain, csf)]
    mask = _blocks(brain.astype(np.float32), voxel_size_mm) >= 0.5
    # A block's centre lies half a block minus half a voxel from its first voxel.
    scaled = affine @ from_matvec(np.eye(3) * voxel_size_mm, np.full(3, (voxel_size_mm - 1) / 2))
    t1w_image, *tissue = (nib.Nifti1Image(array, scaled) for array in arrays)
    return Template(t1w_image, nib.Nifti1Image(mask.astype(np.uint8), scaled), *tissue)


def _read(name: str) -> nib.Nifti1Image:
    import nibabel as nib

    spec = find_spec('nilearn')
    if spec is None or not spec.submodule_search_locations:
        raise ImageError('the template needs nilearn; install it: pip install nilearn')
    folder = Path(spec.submodule_search_locations[0], 'datasets', 'data')
    path = folder / f'mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz'
    if not path.is_file():
        raise ImageError(f'{path} is missing; reinstall nilearn (0.8.1 to 0.14 carry it)')
    return nib.Nifti1Image.from_filename(path)


def _blocks(data: np.ndarray, edge: int) -> np.ndarray:
    whole = tuple(slice(size // edge * edge) for size in data.shape)
    shape = [n for size in data.shape for n in (size // edge, edge)]
    means: np.ndarray = data[whole].reshape(shape).mean(axis=(1, 3, 5))
    return means.astype(np.float32)
