"""Brain extraction: what the template expects, settled by what the image shows.

The same rule is used twice. On the affinely aligned 2 mm grid (:func:`strip`)
it takes the skull off before the non-linear registration, with wide limits;
on the subject's own grid (:func:`extract`), with the template's mask carried by
the warp, it follows the border of the cortex within narrow limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

    from .register import Warp
    from .template import Template

__all__ = ['Limits', 'box', 'extract', 'fill', 'largest', 'signed_distance', 'strip']

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """How far the rule may move from the expected mask, in mm.

    Attributes
    ----------
    core : float
        What is this deep inside the expected mask is brain whatever it looks like.
    cut : float
        Radius of the erosion that parts the brain from dura, vessels and nerves.
    seed, reach : float
        How far outside the expected mask the eroded core, and the brain grown
        back from it, may lie.
    close : float
        Radius of the closing that bridges sulci.
    """

    core: float
    cut: float
    seed: float
    reach: float
    close: float


#: An affine alignment leaves errors of about 5 mm at the border of the brain.
WIDE = Limits(core=8.0, cut=2.0, seed=4.0, reach=8.0, close=10.0)
#: A warp leaves about 2 mm; nothing outside is a seed, or sinuses would be.
NARROW = Limits(core=4.0, cut=2.0, seed=-1.0, reach=2.0, close=6.0)
#: Brighter than this, in units of white matter, is fat or flowing blood.
FAT = 1.35


def strip(image: Array, template: Template) -> Mask:
    """Take the skull off a head on the template's grid.

    Parameters
    ----------
    image : ndarray
        A bias-corrected head, resampled by its affine to the grid of `template`.
    template : Template

    Returns
    -------
    ndarray of bool
        A mask within a few millimetres of the brain's border.
    """
    maps = [np.asarray(part.dataobj) for part in (template.csf, template.gm, template.wm)]
    size = float(template.brain.header.get_zooms()[0])
    return _follow(image, np.asarray(template.brain.dataobj) > 0, maps, size, WIDE)


def extract(
    image: nib.Nifti1Image, warp: Warp, template: Template, threads: int = 1
) -> nib.Nifti1Image:
    """Find the brain of a subject.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        A bias-corrected head.
    warp : Warp
        Its registration with the template.
    template : Template
        At 1 mm.
    threads : int
        Threads that SimpleITK may use.

    Returns
    -------
    nibabel.Nifti1Image
        uint8 mask on the grid of `image`.
    """
    import nibabel as nib
    from scipy import ndimage

    from .threads import limit
    from .transforms import resample

    expected, *maps = (
        resample(part, image, warp.inverse, threads=threads).get_fdata(dtype=np.float32)
        for part in (template.brain, template.csf, template.gm, template.wm)
    )
    size = float(image.header.get_zooms()[0])
    frame = box(expected > 0.5, margin=round(10 / size))
    # Noise of single voxels must not pit the border: half a millimetre of blur.
    data = ndimage.gaussian_filter(image.get_fdata(dtype=np.float32)[frame], 0.5 / size)
    mask = np.zeros(image.shape, np.uint8)
    parts = [part[frame] for part in maps]
    with limit(threads):
        mask[frame] = _follow(data, expected[frame] > 0.5, parts, size, NARROW)
    return nib.Nifti1Image(mask, image.affine)


def _follow(data: Array, expected: Mask, maps: list[Array], size: float, limits: Limits) -> Mask:
    """Follow the border between brain and fluid near the expected mask."""
    csf, gm, wm = (np.median(data[part > 0.8 * part.max()]) for part in maps)
    tissue = (data > (csf + gm) / 2) & (data < FAT * wm)
    away = signed_distance(expected, size)
    voxels = round(limits.cut / size)
    core = largest(_morph('BinaryErode', tissue, voxels) & (away < limits.seed))
    # One voxel more than was cut, so that the grey rim of mixed voxels comes along.
    brain = _morph('BinaryDilate', core, voxels + 1) & tissue & (away < limits.reach)
    brain |= away < -limits.core
    return fill(_morph('BinaryMorphologicalClosing', brain, round(limits.close / size)))


def signed_distance(mask: Mask, size: float) -> Array:
    """Signed distance in mm from the border of a mask, positive outside."""
    import SimpleITK as sitk

    distance = sitk.SignedMaurerDistanceMap(
        sitk.GetImageFromArray(mask.astype(np.uint8)), squaredDistance=False
    )
    out: Array = sitk.GetArrayFromImage(distance) * np.float32(size)
    return out


def _morph(name: str, mask: Mask, voxels: int) -> Mask:
    """Run a morphological filter of ITK with a ball."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    out: Mask = sitk.GetArrayFromImage(getattr(sitk, name)(image, [voxels] * 3)) > 0
    return out


def largest(mask: Mask) -> Mask:
    """Keep the largest face-connected piece."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept: Mask = labels == sizes.argmax()
    return kept


def box(mask: Mask, margin: int) -> tuple[slice, ...]:
    """Slices of the smallest box round a mask, with a margin inside the grid."""
    where = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    return tuple(
        slice(max(0, int(index[0]) - margin), int(index[-1]) + margin + 1) for index in where
    )


def fill(mask: Mask) -> Mask:
    """Fill the cavities of a mask."""
    from scipy import ndimage

    out: Mask = ndimage.binary_fill_holes(mask)
    return out
