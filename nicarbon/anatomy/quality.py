"""How well two masks agree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ['dice', 'surface_distance']


def dice(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Overlap of two masks (Dice 1945, doi:10.2307/1932409).

    Parameters
    ----------
    a, b : array_like
        Of one shape; what is not 0 belongs to the mask.

    Returns
    -------
    float
        Between 0 (disjoint) and 1 (equal, two empty masks too).

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> dice([1, 1, 0], [1, 0, 0])
    0.6666666666666666
    >>> dice([1, 1, 0], [1, 0])
    Traceback (most recent call last):
    ...
    ValueError: masks of shapes (3,) and (2,) cannot be compared; bring them to one grid
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(
            f'masks of shapes {first.shape} and {second.shape} cannot be compared;'
            ' bring them to one grid'
        )
    size = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / size if size else 1.0


def surface_distance(
    a: npt.ArrayLike, b: npt.ArrayLike, voxel_size_mm: float = 1.0, percentile: float = 95.0
) -> float:
    """Symmetric distance between the borders of two masks, a percentile of it (HD95).

    Parameters
    ----------
    a, b : array_like
        3-D masks of one shape, neither empty.
    voxel_size_mm : float
        Edge of the isotropic voxels.
    percentile : float
        100 gives the Hausdorff distance.

    Returns
    -------
    float
        Millimetres.

    Examples
    --------
    >>> cube = np.pad(np.ones((3, 3, 3)), 3)
    >>> surface_distance(cube, np.roll(cube, 2, axis=0), percentile=100)
    2.0
    """
    from scipy import ndimage

    masks = [np.asarray(mask, dtype=bool) for mask in (a, b)]
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
    gaps = [ndimage.distance_transform_edt(~edge) for edge in edges]
    both = np.concatenate([gaps[0][edges[1]], gaps[1][edges[0]]])
    return float(np.percentile(both, percentile)) * voxel_size_mm
