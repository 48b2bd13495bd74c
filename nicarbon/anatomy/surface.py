"""The border between grey and white matter, as one mesh a hemisphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

    from .register import Warp
    from .template import Template

__all__ = ['HEMISPHERES', 'Mesh', 'area', 'boundary', 'to_gifti']

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: BIDS entity value: GIFTI's name of the structure.
HEMISPHERES = {'L': 'CortexLeft', 'R': 'CortexRight'}
#: Blur of the white matter before the mesh, mm: below half a gyral blade.
BLUR_MM = 0.6
#: Taubin 1995 (doi:10.1145/218380.218473): shrink, then grow a little more, so
#: that the volume stays; pass band 0.1 as recommended there.
SHRINK, GROW, ROUNDS = 0.5, -0.5263, 10


@dataclass(frozen=True)
class Mesh:
    """A closed triangle mesh.

    Attributes
    ----------
    vertices : ndarray
        n x 3, float32, scanner RAS mm.
    faces : ndarray
        m x 3, int32, counter-clockwise seen from outside.
    """

    vertices: Array
    faces: npt.NDArray[np.int32]


def boundary(
    wm: nib.Nifti1Image, warp: Warp, template: Template, threads: int = 1
) -> dict[str, Mesh]:
    """Mesh the grey/white border of both cerebral hemispheres.

    Parameters
    ----------
    wm : nibabel.Nifti1Image
        White matter probability.
    warp : Warp
        The subject's registration; it carries the mid-plane, the cut through
        the midbrain and the region of ventricles and deep nuclei.
    template : Template
        At 2 mm.
    threads : int
        Threads that SimpleITK may use.

    Returns
    -------
    dict of str to Mesh
        Keys ``L`` and ``R``.

    Notes
    -----
    As in FreeSurfer's ``wm.mgz`` and ``filled.mgz``, ventricles and deep nuclei
    are filled and brainstem and cerebellum are cut off. The topology is not
    corrected: a mesh may have handles.

    Raises
    ------
    nicarbon.errors.ImageError
        If a hemisphere has no white matter.
    """
    import nibabel as nib
    from scipy import ndimage

    from .transforms import resample

    size = float(wm.header.get_zooms()[0])
    parts = {
        name: resample(
            nib.Nifti1Image(part, template.t1w.affine), wm, warp.inverse, threads=threads
        ).get_fdata(dtype=np.float32)
        for name, part in _regions(template).items()
    }
    filled = np.maximum(wm.get_fdata(dtype=np.float32), parts.pop('deep'))
    filled *= 1 - parts.pop('cut')
    solid = ndimage.gaussian_filter(filled, BLUR_MM / size)
    return {hemi: _mesh(solid * (side > 0.5), wm.affine, hemi) for hemi, side in parts.items()}


def _regions(template: Template) -> dict[str, Array]:
    """Left and right half, deep region and midbrain cut, on the template's grid."""
    from scipy import ndimage

    x, y, z = np.meshgrid(
        *(
            step * np.arange(n) + start
            for step, n, start in zip(
                np.diag(template.t1w.affine),
                template.t1w.shape,
                template.t1w.affine[:3, 3],
                strict=False,
            )
        ),
        indexing='ij',
        sparse=True,
    )
    # Thalamus, striatum, pallidum and the ventricles between them.
    nuclei = (x / 32) ** 2 + ((y + 8) / 34) ** 2 + ((z - 6) / 19) ** 2 < 1
    horns = (np.abs(x) > 4) & (np.abs(x) < 34) & (y > -58) & (y < 34) & (z > -4) & (z < 28)
    fluid = (template.csf.get_fdata() > 0.5) & horns
    deep = ndimage.binary_closing(nuclei | ndimage.binary_dilation(fluid, iterations=2))
    cut = (np.abs(x) < 20) & (y > -46) & (y < -4) & (z > -24) & (z < -16)
    whole = {'L': x < 0, 'R': x > 0, 'deep': deep, 'cut': cut}
    return {
        k: np.broadcast_to(part, template.t1w.shape).astype(np.float32)
        for k, part in whole.items()
    }


def _mesh(solid: Array, affine: npt.NDArray[np.float64], hemi: str) -> Mesh:
    """Marching cubes of the largest piece above one half, smoothed."""
    from nibabel.affines import apply_affine
    from skimage.measure import marching_cubes

    from ..errors import ImageError
    from .brain import box, fill, largest

    inside = solid > 0.5
    if not inside.any():
        raise ImageError(f'hemisphere {hemi} has no white matter; look at the brain mask')
    piece = largest(inside)
    frame = box(piece, margin=2)
    closed = fill(piece[frame])
    # Outside of the piece stays below the level, cavities rise above it.
    level = np.where(closed & ~piece[frame], 1, np.where(closed, solid[frame], 0))
    near = np.where(inside[frame] & ~piece[frame], 0, np.minimum(solid[frame], 0.5))
    volume = np.pad(np.where(closed, level, near), 1)
    corner = np.array([part.start - 1 for part in frame])
    points, faces, *_ = marching_cubes(volume, 0.5, allow_degenerate=False)
    points = _taubin(points.astype(np.float64), faces)
    return Mesh(
        apply_affine(affine, points + corner).astype(np.float32),
        faces[:, ::-1].astype(np.int32),
    )


def _taubin(points: npt.NDArray[np.float64], faces: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Low-pass the vertices by Taubin's lambda-mu scheme."""
    from scipy import sparse

    count = len(points)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ones = np.ones(2 * len(ends))
    both = (np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]]))
    links = sparse.csr_matrix((ones, both), shape=(count, count))
    mean = sparse.diags(1 / np.maximum(links.sum(axis=1).A1, 1)) @ links
    for _ in range(ROUNDS):
        for step in (SHRINK, GROW):
            points = points + step * (mean @ points - points)
    return points


def area(mesh: Mesh) -> float:
    """Surface area in mm2.

    Examples
    --------
    >>> corner = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0]], dtype=np.float32)
    >>> area(Mesh(corner, np.array([[0, 1, 2]], dtype=np.int32)))
    2.0
    """
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def to_gifti(mesh: Mesh, hemi: str) -> nib.GiftiImage:
    """Wrap a mesh for a ``_white.surf.gii`` file.

    Parameters
    ----------
    mesh : Mesh
    hemi : {'L', 'R'}

    Returns
    -------
    nibabel.GiftiImage
        Points in scanner RAS mm, triangles, anatomical structure metadata.
    """
    from nibabel import gifti

    space = gifti.GiftiCoordSystem(
        dataspace='NIFTI_XFORM_SCANNER_ANAT', xformspace='NIFTI_XFORM_SCANNER_ANAT'
    )
    about = {
        'AnatomicalStructurePrimary': HEMISPHERES[hemi],
        'AnatomicalStructureSecondary': 'GrayWhite',
        'GeometricType': 'Anatomical',
    }
    points = gifti.GiftiDataArray(
        mesh.vertices,
        intent='NIFTI_INTENT_POINTSET',
        coordsys=space,
        datatype='NIFTI_TYPE_FLOAT32',
        meta=gifti.GiftiMetaData(about),
    )
    triangles = gifti.GiftiDataArray(
        mesh.faces,
        intent='NIFTI_INTENT_TRIANGLE',
        datatype='NIFTI_TYPE_INT32',
        coordsys=None,
        meta=gifti.GiftiMetaData({'TopologicalType': 'Closed'}),
    )
    return gifti.GiftiImage(darrays=[points, triangles])
