"""Intensity non-uniformity: N4 on a coarse grid, applied on the fine one."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import nibabel as nib

__all__ = ['correct']

#: The field is estimated on voxels of at least this size; it has no finer detail.
#: At 4 mm it costs twice as much and differs by noise (docs/structural.md).
COARSE_MM = 5.0
#: Iterations at each of four levels of the B-spline mesh, ITK's default.
ITERATIONS = (50, 50, 50, 50)


def correct(image: nib.Nifti1Image, threads: int = 1) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Estimate the bias field and divide by it.

    N4 (Tustison et al. 2010, doi:10.1109/TMI.2010.2046908) by SimpleITK.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        A conformed head.
    threads : int
        Threads that SimpleITK may use.

    Returns
    -------
    corrected : nibabel.Nifti1Image
        Float32, not negative: the darkest percentile is the new zero, because
        the field multiplies signal and not an offset.
    field : nibabel.Nifti1Image
        Float32, around 1, such that ``corrected * field + offset`` is the input.
    """
    import nibabel as nib
    import SimpleITK as sitk

    from .itk import to_itk
    from .threads import limit

    data = image.get_fdata(dtype=np.float32)
    data = np.clip(data - np.percentile(data, 1), 0, None)
    data /= np.percentile(data, 99)
    with limit(threads):
        full = to_itk(nib.Nifti1Image(data, image.affine))
        factor = ceil(COARSE_MM / full.GetSpacing()[0] - 0.01)
        small = sitk.Shrink(full, [factor] * 3)
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetMaximumNumberOfIterations(ITERATIONS)
        n4.Execute(small, sitk.OtsuThreshold(small, 0, 1, 200))
        log_field = n4.GetLogBiasFieldAsImage(full)
    field = np.exp(sitk.GetArrayFromImage(log_field).T)
    return (
        nib.Nifti1Image(data / field, image.affine, image.header),
        nib.Nifti1Image(field, image.affine, image.header),
    )
