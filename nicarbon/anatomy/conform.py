"""Bring T1-weighted images to one kind of grid, and several runs to one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import ImageError

if TYPE_CHECKING:
    import nibabel as nib

__all__ = ['average', 'conform', 'regrid']

#: No grid is made finer than this: the parts downstream are built for 1 mm.
FINEST_MM = 1.0
#: Fewer slices than this along any axis cannot show a head.
MIN_SLICES = 3
#: Voxel sizes that differ by less than this are taken as equal.
TOLERANCE_MM = 1e-3


def conform(image: nib.Nifti1Image, voxel_size_mm: float | None = None) -> nib.Nifti1Image:
    """Resample to RAS axes and cubic voxels; keep the field of view.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        One T1-weighted volume in any orientation; shear is undone, an oblique
        rotation is kept.
    voxel_size_mm : float, optional
        Edge of the voxels; by default the finest edge of the input, but not
        below 1 mm. A grid that is right already is only reordered.

    Returns
    -------
    nibabel.Nifti1Image
        Float32, finite (what is not becomes 0).

    Raises
    ------
    nicarbon.errors.ImageError
        If this cannot be one head: 4-D, too thin, empty, constant.

    Examples
    --------
    >>> import nibabel as nib
    >>> ramp = np.arange(1000.0).reshape(10, 10, 10)
    >>> conform(nib.Nifti1Image(ramp, np.diag([-2, 2, 4, 1]))).shape
    (10, 10, 20)
    >>> conform(nib.Nifti1Image(0 * ramp, np.eye(4)))
    Traceback (most recent call last):
    ...
    nicarbon.errors.ImageError: the image is constant (0); give one with a head in it
    """
    import nibabel as nib
    from nibabel.affines import voxel_sizes
    from scipy import ndimage

    data = _volume(image)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(data, image.affine))
    zooms = voxel_sizes(canonical.affine)
    size = max(FINEST_MM, float(zooms.min())) if voxel_size_mm is None else voxel_size_mm
    affine, shape = regrid(canonical.affine, canonical.shape, size)
    data = canonical.get_fdata(dtype=np.float32)
    if not np.allclose(affine, canonical.affine, atol=TOLERANCE_MM):
        # A Gaussian of half the coarsening keeps what the new grid cannot show from aliasing.
        sigma = np.sqrt(np.clip((size / zooms) ** 2 - 1, 0, None)) / 2
        low, high = data.min(), data.max()
        data = ndimage.affine_transform(
            ndimage.gaussian_filter(data, sigma),
            np.linalg.inv(canonical.affine) @ affine,
            output_shape=shape,
            order=3,
            mode='grid-constant',
        ).clip(low, high)
    out = nib.Nifti1Image(data, affine)
    out.header.set_xyzt_units('mm')
    return out


def average(images: Sequence[nib.Nifti1Image], threads: int = 1) -> nib.Nifti1Image:
    """Mean of several runs of one head, each moved rigidly onto the first.

    Parameters
    ----------
    images : sequence of nibabel.Nifti1Image
        Conformed images; the first gives the grid.
    threads : int
        Threads that SimpleITK may use.

    Returns
    -------
    nibabel.Nifti1Image
        On the grid of the first image, which alone is returned untouched.

    Raises
    ------
    nicarbon.errors.ImageError
        If there is no image.
    """
    import nibabel as nib

    from .register import rigid
    from .transforms import resample

    if not images:
        raise ImageError('no image to average; give at least one run')
    first, *others = images
    total = first.get_fdata(dtype=np.float32)
    for other in others:
        moved = resample(other, first, rigid(first, other, threads), threads=threads)
        total = total + moved.get_fdata(dtype=np.float32)
    return nib.Nifti1Image(total / len(images), first.affine, first.header)


def _volume(image: nib.Nifti1Image) -> npt.NDArray[np.float32]:
    """Return the finite 3-D voxels, or say why there are none."""
    data = np.asarray(image.dataobj, dtype=np.float32)
    if data.ndim > 3 and data.shape[3:] != (1,) * (data.ndim - 3):
        raise ImageError(f'the image has {data.ndim} dimensions {data.shape}; give one 3-D volume')
    data = data.reshape(data.shape[:3])
    if data.ndim < 3 or min(data.shape) < MIN_SLICES:
        raise ImageError(
            f'the image has shape {data.shape}; give at least {MIN_SLICES} slices along each axis'
        )
    if not np.linalg.det(image.affine[:3, :3]):
        raise ImageError('the affine of the image is singular; mend its sform or qform')
    finite = np.isfinite(data)
    if not finite.any():
        raise ImageError('the image has no finite voxel; give one with a head in it')
    data = np.where(finite, data, 0)
    if data.min() == data.max():
        raise ImageError(f'the image is constant ({data.min():g}); give one with a head in it')
    return data


def regrid(
    affine: npt.NDArray[np.float64], shape: Sequence[int], size: float
) -> tuple[npt.NDArray[np.float64], tuple[int, ...]]:
    """Cubic voxels over the same field of view: nearest rotation, same centre."""
    from nibabel.affines import apply_affine, from_matvec, voxel_sizes

    zooms = voxel_sizes(affine)
    left, _, right = np.linalg.svd(affine[:3, :3] / zooms)
    counts = np.maximum(np.round(zooms * shape / size - TOLERANCE_MM), 1)
    linear = left @ right * size
    centre = apply_affine(affine, (np.asarray(shape) - 1) / 2)
    start = centre - linear @ ((counts - 1) / 2)
    return from_matvec(linear, start), tuple(int(n) for n in counts)
