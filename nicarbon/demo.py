"""Two heads to try nicarbon on: a BIDS dataset made from nilearn's template.

The wheel of nilearn carries the ICBM 2009a average (see
:mod:`nicarbon.anatomy.template`) without skull, so that the brain is real (an
average of 152 adults) and what lies around it is a *model*: cerebrospinal
fluid, skull, marrow, scalp, eyes and a face, in shells round the brain mask
with the grey values of a T1-weighted scan. ``sub-01`` is that head with a
little noise; ``sub-02`` is the same head moved, scaled, bent, unevenly lit and
noisier, all by values stated in :data:`HEADS`, so that masks and tissue maps
can be carried along as ground truth.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

__all__ = ['HEADS', 'Head', 'Recipe', 'heads', 'write_dataset']

Array = npt.NDArray[np.float32]

#: Shells of the modelled head: outer edge, as the distance from the smoothed
#: outline of the brain in mm, and T1w grey value where white matter is 0.87.
#: Thicknesses are those of an adult: about 2 mm fluid, 6 mm skull with 2 mm
#: marrow, 5 mm scalp (Colin27 measured along the parietal bone).
SHELLS = ((2.0, 0.18), (4.0, 0.06), (6.0, 0.42), (8.0, 0.06), (13.0, 0.85))
#: Radius in mm of the closing that bridges sulci before the shells are laid.
CLOSING_MM = 12
#: Eyes: centres in mm, MNI space (x mirrored); radius 12 mm as in adults.
EYES = ((-32.0, 62.0, -38.0), (32.0, 62.0, -38.0))


@dataclass(frozen=True)
class Recipe:
    """What is done to the template head, in the order of the fields.

    A voxel at ``x`` (scanner mm) shows the template at ``A x + u(A x)``, with
    ``A`` the rotation, scaling and translation below and ``u`` a sum of sine
    waves of random direction and phase.

    Attributes
    ----------
    label : str
        BIDS subject label, without ``sub-``.
    rotation_deg : tuple of float
        About the x, y and z axis, in that order.
    scaling : tuple of float
        Along x, y and z, applied before the rotation.
    translation_mm : tuple of float
        Last.
    waves : int
        How many sine waves bend the head, an axis.
    amplitude_mm, wavelength_mm : float
        Of each wave. The map stays one-to-one while
        ``2 pi * amplitude * waves / wavelength`` is below 1.
    bias : float
        Peak of the log of the receive field.
    noise : float
        Standard deviation of either channel before the magnitude, white matter 0.87.
    seed : int
        Of directions, phases and noise.
    """

    label: str
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scaling: tuple[float, float, float] = (1.0, 1.0, 1.0)
    translation_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    waves: int = 0
    amplitude_mm: float = 1.5
    wavelength_mm: float = 60.0
    bias: float = 0.0
    noise: float = 0.01
    seed: int = 152


HEADS = (
    Recipe('01'),
    Recipe(
        '02',
        rotation_deg=(9.0, -5.0, 7.0),
        scaling=(1.05, 0.95, 1.03),
        translation_mm=(4.0, -6.0, 5.0),
        waves=3,
        bias=0.25,
        noise=0.025,
        seed=2009,
    ),
)


@dataclass(frozen=True)
class Head:
    """One demo head with the truth about it, all on one grid.

    Attributes
    ----------
    label : str
    recipe : Recipe
    image : nibabel.Nifti1Image
        int16 T1-weighted volume.
    truth : dict
        ``brain``, ``gm``, ``wm``, ``csf``: the template's mask and probabilities
        (float32) carried through the recipe.
    """

    label: str
    recipe: Recipe
    image: nib.Nifti1Image
    truth: dict[str, nib.Nifti1Image] = field(repr=False)


def heads(voxel_size_mm: int = 1) -> Iterator[Head]:
    """Make the demo heads, one at a time.

    Parameters
    ----------
    voxel_size_mm : int
        Whole millimetres; 2 is quick.

    Yields
    ------
    Head
    """
    import nibabel as nib
    from scipy import ndimage

    from .anatomy import template

    source = template.load(voxel_size_mm)
    affine = source.t1w.affine
    maps = {
        name: getattr(source, name).get_fdata(dtype=np.float32)
        for name in ('brain', 'gm', 'wm', 'csf')
    }
    head = _head(source.t1w.get_fdata(dtype=np.float32), maps['brain'] > 0, affine)
    for recipe in HEADS:
        where = _voxels(recipe, affine, head.shape)
        image, *truth = (
            ndimage.map_coordinates(data, where, order=order, output=np.float32, mode='nearest')
            for data, order in [(head, 3), *((data, 1) for data in maps.values())]
        )
        data = _scan(image, recipe, affine)
        yield Head(
            recipe.label,
            recipe,
            nib.Nifti1Image(data, affine),
            {name: nib.Nifti1Image(data, affine) for name, data in zip(maps, truth, strict=True)},
        )


def _head(t1w: Array, brain: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64]) -> Array:
    """Lay fluid, skull, marrow and scalp round the brain, and a face before it."""
    from scipy import ndimage

    size = float(affine[0, 0])
    x, y, z = (_axis(affine, axis, brain.shape) for axis in range(3))
    outer = ndimage.distance_transform_edt(~brain, sampling=size) <= CLOSING_MM
    hull = ndimage.distance_transform_edt(outer, sampling=size) - CLOSING_MM > 0
    gap = ndimage.distance_transform_edt(~(hull | brain), sampling=size)
    # Skull thickness varies smoothly by a few tenths over the head.
    gap = gap * (1 + 0.2 * np.sin(x / 23) * np.cos(y / 31) * np.sin(z / 27))
    model = np.zeros(brain.shape, np.float32)
    face = ((x / 62) ** 2 + ((y - 40) / 58) ** 2 + ((z + 62) / 45) ** 2) < 1
    model[face] = 0.45
    for outer_mm, grey in reversed(SHELLS):
        model[gap <= outer_mm] = grey
    for cx, cy, cz in EYES:
        ball = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)
        model[(ball < 17) & (gap > SHELLS[-2][0])] = 0.8
        model[(ball < 12) & (gap > SHELLS[-2][0])] = 0.15
    blurred = ndimage.gaussian_filter(model, 0.7 / size)
    return np.where(brain, t1w, blurred).astype(np.float32)


def _axis(
    affine: npt.NDArray[np.float64], axis: int, shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Millimetres along one axis of an unrotated grid, shaped to broadcast."""
    values = affine[axis, axis] * np.arange(shape[axis]) + affine[axis, 3]
    return values.astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])


def matrix(recipe: Recipe) -> npt.NDArray[np.float64]:
    """Affine part of a recipe: 4 x 4, from scanner to template millimetres."""
    from scipy.spatial.transform import Rotation

    linear = Rotation.from_euler('xyz', recipe.rotation_deg, degrees=True).as_matrix()
    out = np.eye(4)
    out[:3, :3] = linear * recipe.scaling
    out[:3, 3] = recipe.translation_mm
    return out


def _voxels(
    recipe: Recipe, affine: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Where each voxel looks in the template's grid: 3 x shape, in voxels."""
    linear = matrix(recipe) @ affine
    i, j, k = np.ogrid[tuple(slice(0, size) for size in shape)]
    points = np.stack(
        [(row[0] * i + row[1] * j + row[2] * k + row[3]).astype(np.float32) for row in linear[:3]]
    )
    rng = np.random.default_rng(recipe.seed)
    bend = np.zeros_like(points)
    for _ in range(recipe.waves):
        for axis in range(3):
            direction = rng.normal(size=3)
            direction *= 2 * np.pi / recipe.wavelength_mm / np.linalg.norm(direction)
            phase = np.tensordot(direction.astype(np.float32), points, 1)
            bend[axis] += recipe.amplitude_mm * np.sin(phase + np.float32(rng.uniform(0, 6.28)))
    back = np.linalg.inv(affine)
    points += bend
    return np.stack(
        [
            (row[0] * points[0] + row[1] * points[1] + row[2] * points[2] + row[3])
            for row in back[:3]
        ]
    ).astype(np.float32)


def _scan(image: Array, recipe: Recipe, affine: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """Receive field, then complex Gaussian noise and magnitude (Rician)."""
    x, y, z = (_axis(affine, axis, image.shape) for axis in range(3))
    lit = image * np.exp(recipe.bias * (np.sin(x / 60) + np.cos(y / 70) - np.sin(z / 50)) / 2)
    rng = np.random.default_rng(recipe.seed + 1)
    real, imaginary = rng.normal(0, recipe.noise, (2, *image.shape)).astype(np.float32)
    return np.round(1000 * np.hypot(lit + real, imaginary)).astype(np.int16)
