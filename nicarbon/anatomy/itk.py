"""NIfTI images in ITK and back: world axes LPS instead of RAS, arrays transposed.

SimpleITK carries direction cosines, so only grids without shear pass;
:func:`nicarbon.anatomy.conform.conform` makes such a grid of any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

__all__ = ['LPS', 'from_itk', 'itk_affine', 'itk_field', 'to_itk']

#: RAS millimetres to LPS millimetres, and back: it is its own inverse.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def to_itk(image: nib.Nifti1Image, dtype: npt.DTypeLike = np.float32) -> Any:
    """Convert a 3-D NIfTI image.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        3-D, without shear.
    dtype : dtype
        Of the voxels.

    Returns
    -------
    SimpleITK.Image
        The same voxels at the same places.
    """
    import SimpleITK as sitk
    from nibabel.affines import voxel_sizes

    out = sitk.GetImageFromArray(np.asarray(image.dataobj, dtype=dtype).T)
    affine = LPS @ np.asarray(image.affine, dtype=float)
    zooms = voxel_sizes(affine)
    out.SetSpacing(zooms.tolist())
    out.SetOrigin(affine[:3, 3].tolist())
    out.SetDirection((affine[:3, :3] / zooms).ravel().tolist())
    return out


def from_itk(image: Any, dtype: npt.DTypeLike = np.float32) -> nib.Nifti1Image:
    """Convert a 3-D scalar SimpleITK image; the inverse of :func:`to_itk`."""
    import nibabel as nib
    import SimpleITK as sitk

    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    data = np.ascontiguousarray(sitk.GetArrayFromImage(image).T, dtype=dtype)
    out = nib.Nifti1Image(data, LPS @ affine)
    out.header.set_xyzt_units('mm')
    return out


def itk_affine(matrix: npt.ArrayLike) -> Any:
    """Turn a 4 x 4 matrix on RAS millimetres into a SimpleITK.AffineTransform."""
    import SimpleITK as sitk

    lps = LPS @ np.asarray(matrix, dtype=float) @ LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    return transform


def itk_field(field: nib.Nifti1Image) -> Any:
    """Turn a 5-D field on LPS millimetres into a SimpleITK.DisplacementFieldTransform."""
    import nibabel as nib
    import SimpleITK as sitk

    data = np.asarray(field.dataobj, dtype=np.float64)[:, :, :, 0]
    vectors = sitk.GetImageFromArray(data.transpose(2, 1, 0, 3), isVector=True)
    grid = nib.Nifti1Image(np.broadcast_to(np.uint8(0), data.shape[:3]), field.affine)
    vectors.CopyInformation(to_itk(grid, np.uint8))
    return sitk.DisplacementFieldTransform(vectors)
