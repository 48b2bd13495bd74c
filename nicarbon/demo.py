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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

__all__ = ['HEADS', 'Head', 'Recipe', 'heads', 'is_demo', 'matrix', 'write_dataset']

Array = npt.NDArray[Any]

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
    """One demo head.

    Attributes
    ----------
    recipe : Recipe
        What was done to the template.
    image : nibabel.Nifti1Image
        int16 T1-weighted volume.
    """

    recipe: Recipe
    image: nib.Nifti1Image

    @property
    def label(self) -> str:
        """BIDS subject label."""
        return self.recipe.label

    def truth(self) -> dict[str, nib.Nifti1Image]:
        """Carry the template's maps through the recipe.

        Returns
        -------
        dict of str to nibabel.Nifti1Image
            ``brain``, ``gm``, ``wm``, ``csf``: float32 from 0 to 1 on the grid of the image.
        """
        import nibabel as nib

        from .anatomy import template

        affine = self.image.affine
        source = template.load(round(float(affine[0, 0])))
        where = _voxels(self.recipe, affine, self.image.shape)
        return {
            name: nib.Nifti1Image(
                _carried(getattr(source, name).get_fdata(dtype=np.float32), where, 1), affine
            )
            for name in ('brain', 'gm', 'wm', 'csf')
        }


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

    from .anatomy import template

    source = template.load(voxel_size_mm)
    affine = source.t1w.affine
    model = _head(source.t1w.get_fdata(dtype=np.float32), source.brain.get_fdata() > 0, affine)
    for recipe in HEADS:
        image = _carried(model, _voxels(recipe, affine, model.shape), 3)
        yield Head(recipe, nib.Nifti1Image(_scan(image, recipe, affine), affine))


def is_demo(folder: str | Path) -> bool:
    """Whether a folder holds the demo's own dataset, which may be written again."""
    try:
        text = Path(folder, 'dataset_description.json').read_text('utf-8')
    except OSError:
        return False
    return str(_DESCRIPTION['Name']) in text


def write_dataset(folder: str | Path, voxel_size_mm: int = 1) -> Path:
    """Write the demo heads as a BIDS dataset.

    Parameters
    ----------
    folder : path
        Made where it does not exist; files of the same names are replaced, by the
        same bytes.
    voxel_size_mm : int
        Whole millimetres.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    import nibabel as nib

    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    _write_json(root / 'dataset_description.json', _DESCRIPTION)
    (root / 'README').write_text(_README, encoding='utf-8')
    people = [f'sub-{recipe.label}\t{what}' for recipe, what in zip(HEADS, _WHAT, strict=True)]
    table = '\n'.join(['participant_id\tdescription', *people, ''])
    (root / 'participants.tsv').write_text(table, encoding='utf-8')
    _write_json(root / 'participants.json', _COLUMNS)
    for head in heads(voxel_size_mm):
        stem = root / f'sub-{head.label}' / 'anat' / f'sub-{head.label}_T1w'
        stem.parent.mkdir(parents=True, exist_ok=True)
        head.image.header.set_xyzt_units('mm', 'sec')
        plain = nib.Nifti1Image.to_bytes(head.image)
        # No time stamp and no name in the gzip header: the same bytes every time.
        stem.with_suffix('.nii.gz').write_bytes(gzip.compress(plain, compresslevel=3, mtime=0))
        _write_json(stem.with_suffix('.json'), {**_SIDECAR, 'Recipe': asdict(head.recipe)})
    return root


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


_WHAT = (
    'ICBM 2009a average brain in a modelled head',
    'the head of sub-01, moved, scaled, bent, unevenly lit and noisier',
)
_COLUMNS = {
    'participant_id': {'Description': 'Label of the head'},
    'description': {'Description': 'What the head was made of'},
}
_REFERENCES = [
    'https://doi.org/10.1016/j.neuroimage.2010.07.033',
    'https://doi.org/10.1016/S1053-8119(09)70884-5',
    'https://nist.mni.mcgill.ca/icbm-152-nonlinear-atlases-2009/',
]
_DESCRIPTION = {
    'Name': 'nicarbon demo: two heads made from the ICBM 2009a average',
    'BIDSVersion': '1.10.0',
    'DatasetType': 'raw',
    'License': 'ICBM 152: copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, '
    'Montreal Neurological Institute, McGill University; free to use, copy, modify and '
    'distribute provided that the copyright notice appears in all copies',
    'Authors': ['Vladimir Fonov', 'Alan C. Evans', 'D. Louis Collins'],
    'Acknowledgements': 'The brain comes with nilearn; the head round it is a model by nicarbon',
    'HowToAcknowledge': 'Cite Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033',
    'ReferencesAndLinks': _REFERENCES,
    'GeneratedBy': [{'Name': 'nicarbon', 'Description': 'nicarbon demo'}],
    'SourceDatasets': [{'URL': _REFERENCES[-1]}],
}
_SIDECAR = {
    'Modality': 'MR',
    'ImageComments': 'Not a scan: an average brain in a modelled head; see README',
}
_README = """\
Two T1-weighted heads to try nicarbon on
========================================

Nobody was scanned for this dataset. The brain is the ICBM 2009a non-linear
symmetric average of 152 adults (Fonov et al. 2009, 2011) as nilearn ships it,
without skull; fluid, skull, scalp, eyes and face are a model laid round it.

sub-01 is that head with a little noise. sub-02 is the same head rotated,
translated, scaled, bent by a smooth deformation, lit unevenly and noisier. The
numbers are under "Recipe" in each sidecar; nicarbon.demo.Recipe explains them.
The heads derive from the template that nicarbon registers to, so they are easy:
use them to try the software, not to judge a method.

Licence of the average: copyright (C) 1993-2009 Louis Collins, McConnell Brain
Imaging Centre, Montreal Neurological Institute, McGill University. Permission
to use, copy, modify, and distribute for any purpose and without fee is granted,
provided that this copyright notice appears in all copies.
"""


def _carried(data: Array, where: Array | None, order: int) -> Array:
    """Sample a map at voxel coordinates; None leaves it where it is."""
    from scipy import ndimage

    if where is None:
        return data
    out: Array = ndimage.map_coordinates(data, where, np.float32, order, mode='nearest')
    return out


def _head(t1w: Array, brain: Array, affine: Array) -> Array:
    """Lay fluid, skull, marrow and scalp round the brain, and a face before it."""
    from scipy import ndimage

    from .anatomy.brain import signed_distance

    size = float(affine[0, 0])
    x, y, z = (_axis(affine, axis, brain.shape) for axis in range(3))
    shut = signed_distance(signed_distance(brain, size) > CLOSING_MM, size) > CLOSING_MM
    gap = signed_distance(shut | brain, size)
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
    out: Array = np.where(brain, t1w, blurred).astype(np.float32)
    return out


def _axis(affine: Array, axis: int, shape: tuple[int, ...]) -> Array:
    """Millimetres along one axis of an unrotated grid, shaped to broadcast."""
    values: Array = affine[axis, axis] * np.arange(shape[axis]) + affine[axis, 3]
    return values.astype(np.float32).reshape([-1 if k == axis else 1 for k in range(3)])


def matrix(recipe: Recipe) -> Array:
    """Affine part of a recipe: 4 x 4, from scanner to template millimetres."""
    from scipy.spatial.transform import Rotation

    linear = Rotation.from_euler('xyz', recipe.rotation_deg, degrees=True).as_matrix()
    out = np.eye(4)
    out[:3, :3] = linear * recipe.scaling
    out[:3, 3] = recipe.translation_mm
    return out


def _voxels(recipe: Recipe, affine: Array, shape: tuple[int, ...]) -> Array | None:
    """Where each voxel looks in the template's grid: 3 x shape, in voxels; None: at itself."""
    from .anatomy.transforms import mapped

    linear = matrix(recipe)
    if not recipe.waves and np.array_equal(linear, np.eye(4)):
        return None
    index = np.ogrid[tuple(slice(0, size) for size in shape)]
    points = mapped(linear @ affine, index).astype(np.float32)
    rng = np.random.default_rng(recipe.seed)
    bend = np.zeros_like(points)
    for _ in range(recipe.waves):
        for axis in range(3):
            direction = rng.normal(size=3)
            direction *= 2 * np.pi / recipe.wavelength_mm / np.linalg.norm(direction)
            phase = np.tensordot(direction.astype(np.float32), points, 1)
            phase += np.float32(rng.uniform(0, 2 * np.pi))
            bend[axis] += recipe.amplitude_mm * np.sin(phase)
    return mapped(np.linalg.inv(affine), list(points + bend))


def _scan(image: Array, recipe: Recipe, affine: Array) -> Array:
    """Receive field, then complex Gaussian noise and magnitude (Rician)."""
    x, y, z = (_axis(affine, axis, image.shape) for axis in range(3))
    lit = image * np.exp(recipe.bias * (np.sin(x / 60) + np.cos(y / 70) - np.sin(z / 50)) / 2)
    rng = np.random.default_rng(recipe.seed + 1)
    real, imaginary = recipe.noise * rng.standard_normal((2, *image.shape), dtype=np.float32)
    out: Array = np.round(1000 * np.hypot(lit + real, imaginary)).astype(np.int16)
    return out
