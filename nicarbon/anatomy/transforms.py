"""Resample by a transform, compose transforms, and write them as others read them.

Every transform points the way resampling needs it: from a point of the grid
wanted to the point of the image given. An affine is a 4 x 4 matrix on RAS
millimetres; a deformation is a displacement field in the convention of ITK,
ANTs and fMRIPrep: a 5-D NIfTI image, intent VECTOR, LPS millimetres.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

__all__ = ['composite', 'itk_text', 'mapped', 'resample']

Array = npt.NDArray[Any]
Matrix = npt.NDArray[np.floating[Any]]


def resample(
    moving: nib.Nifti1Image,
    grid: nib.Nifti1Image,
    transform: Matrix | nib.Nifti1Image,
    order: int = 1,
    threads: int = 1,
) -> nib.Nifti1Image:
    """Bring an image to a grid.

    Parameters
    ----------
    moving : nibabel.Nifti1Image
        3-D.
    grid : nibabel.Nifti1Image
        Gives shape and affine of the result.
    transform : ndarray or nibabel.Nifti1Image
        From points of `grid` to points of `moving`: 4 x 4 matrix or field.
    order : int
        0 nearest neighbour (labels), 1 linear, 3 cubic B-spline.
    threads : int
        Threads that SimpleITK may use.

    Returns
    -------
    nibabel.Nifti1Image
        Float32; 0 where `moving` does not reach.
    """
    import SimpleITK as sitk

    from .itk import from_itk, itk_affine, itk_field, to_itk
    from .threads import limit

    itk = itk_affine(transform) if isinstance(transform, np.ndarray) else itk_field(transform)
    interpolator = {0: sitk.sitkNearestNeighbor, 1: sitk.sitkLinear, 3: sitk.sitkBSpline}[order]
    with limit(threads):
        return from_itk(sitk.Resample(to_itk(moving), to_itk(grid), itk, interpolator, 0.0))


def itk_text(matrix: Matrix) -> str:
    """Write an affine as ITK, ANTs and fMRIPrep do.

    Examples
    --------
    >>> print(itk_text(np.eye(4)))
    #Insight Transform File V1.0
    #Transform 0
    Transform: AffineTransform_double_3_3
    Parameters: 1 0 0 0 1 0 0 0 1 0 0 0
    FixedParameters: 0 0 0
    <BLANKLINE>
    """
    from .itk import LPS

    lps = LPS @ matrix @ LPS
    numbers = ' '.join(f'{value:.17g}' for value in [*lps[:3, :3].ravel(), *lps[:3, 3]])
    return (
        '#Insight Transform File V1.0\n#Transform 0\n'
        f'Transform: AffineTransform_double_3_3\nParameters: {numbers}\n'
        'FixedParameters: 0 0 0\n'
    )


def composite(
    grid: nib.Nifti1Image,
    before: Matrix,
    field: Array,
    field_affine: Matrix,
    after: Matrix,
) -> nib.Nifti1Image:
    """Put an affine, a deformation and another affine into one displacement field.

    Parameters
    ----------
    grid : nibabel.Nifti1Image
        Gives shape and affine of the result.
    before, after : ndarray
        4 x 4, RAS mm, applied before and after the deformation.
    field : ndarray
        Displacements in RAS mm, shape x 3; 0 outside of its grid.
    field_affine : ndarray
        Where the voxels of `field` are.

    Returns
    -------
    nibabel.Nifti1Image
        ``after(y + field(y)) - x`` with ``y = before(x)``, for each voxel ``x``.
    """
    import nibabel as nib
    from scipy import ndimage

    index = np.ogrid[tuple(slice(0, size) for size in grid.shape)]
    start = mapped(grid.affine, index)
    middle = mapped(before @ grid.affine, index)
    where = mapped(np.linalg.inv(field_affine) @ before @ grid.affine, index)
    for axis in range(3):
        middle[axis] += ndimage.map_coordinates(field[..., axis], where, order=1)
    shift = mapped(after, middle) - start
    shift[:2] *= -1
    image = nib.Nifti1Image(
        np.moveaxis(shift, 0, -1)[:, :, :, None].astype(np.float32), grid.affine
    )
    image.header.set_intent('vector')
    image.header.set_xyzt_units('mm')
    return image


def mapped(matrix: Array, parts: Iterable[Array]) -> Array:
    """Apply a 4 x 4 matrix to coordinates given axis by axis.

    Examples
    --------
    >>> mapped(np.diag([2, 3, 4, 1]), [np.ones(1), np.ones(1), np.ones(1)]).ravel()
    array([2., 3., 4.])
    """
    x, y, z = parts
    rows = np.asarray(matrix, dtype=float)[:3].tolist()
    return np.stack([a * x + b * y + c * z + d for a, b, c, d in rows])
