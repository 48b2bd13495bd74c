"""What came of it: slices of the head, with the outlines of brain and tissues."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ImageError
from .svg import WIDTH, Canvas

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Volume = npt.NDArray[np.float32]
    Affine = npt.NDArray[np.float64]

__all__ = ['mosaic']

GREY_MATTER, WHITE_MATTER = 1, 2
"""Labels of a BIDS ``dseg`` without a look-up table of its own."""

SLICES = 7
MAX_BYTES = 250_000

MARGIN_MM = {0: (12.0, 12.0), 1: (12.0, 12.0), 2: (28.0, 18.0)}
"""What is kept of the head below and above the brain along x, y and z, in mm."""

PLANES = (('axial', 2, (0, 1)), ('coronal', 1, (0, 2)), ('sagittal', 0, (1, 2)))
"""Name, the axis that the plane cuts, and the axes that run right and up."""

OUTLINES = (
    ('brain mask', '#e69f00', 1.1),
    ('grey matter', '#56b4e9', 0.7),
    ('white matter', '#d55e00', 0.7),
)
"""Outer edges drawn, in colours of Okabe and Ito that show on grey."""

QUALITIES = ((78, 0.35), (65, 0.5), (50, 0.8), (35, 1.2), (20, 2.0))
"""WebP quality and tolerance of the outlines in voxels, best first: the first
pair that keeps the figure below ``MAX_BYTES`` is used."""


@dataclass(frozen=True, slots=True)
class _Head:
    """Volumes in RAS order, cropped alike."""

    image: Volume
    outlines: tuple[Volume, ...]
    affine: Affine
    zooms: tuple[float, float, float]
    brain: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Tile:
    """One slice: where it goes on the figure, what it shows, at what coordinate."""

    plane: str
    axis: int
    index: int
    x: float
    y: float
    width: float
    height: float


def mosaic(t1w_path: Path | str, mask_path: Path | str, dseg_path: Path | str) -> str:
    """Draw a T1w image in three planes with the outlines of brain, grey and white matter.

    Parameters
    ----------
    t1w_path, mask_path, dseg_path : path
        NIfTI images on one grid; the segmentation labels grey matter 1 and
        white matter 2.

    Returns
    -------
    str
        SVG below 250 kB, pictures inside; neurological orientation (left is left).

    Raises
    ------
    ImageError
        When the grids differ, or the mask is empty.
    """
    head = _load(Path(t1w_path), Path(mask_path), Path(dseg_path))
    for quality, tolerance in QUALITIES:
        text = _draw(head, quality, tolerance)
        if len(text.encode()) < MAX_BYTES:
            break
    return text


def _load(t1w_path: Path, mask_path: Path, dseg_path: Path) -> _Head:
    import nibabel as nib
    import numpy as np

    volumes: list[Any] = []
    for path in (t1w_path, mask_path, dseg_path):
        volume = nib.as_closest_canonical(nib.load(path))
        if volumes and (
            volume.shape[:3] != volumes[0].shape[:3]
            or not np.allclose(volume.affine, volumes[0].affine, atol=1e-2)
        ):
            raise ImageError(f'{path}: not on the grid of {t1w_path}; resample it first')
        volumes.append(volume)
    image = np.asarray(volumes[0].dataobj, dtype=np.float32)
    mask = np.asarray(volumes[1].dataobj) > 0.5
    dseg = np.asarray(volumes[2].dataobj)
    if not mask.any():
        raise ImageError(f'{mask_path}: the brain mask is empty')
    zooms = tuple(float(zoom) for zoom in volumes[0].header.get_zooms()[:3])
    crop, brain = _boxes(mask, zooms)
    affine = volumes[0].affine.copy()
    affine[:3, 3] = volumes[0].affine @ [*(part.start for part in crop), 1] @ np.eye(4)[:, :3]
    white = dseg == WHITE_MATTER
    outlines = (mask, white | (dseg == GREY_MATTER), white)
    return _Head(
        _grey(image[crop], mask[crop]),
        tuple(outline[crop].astype(np.float32) for outline in outlines),
        affine,
        (zooms[0], zooms[1], zooms[2]),
        brain,
    )


def _boxes(
    mask: Any, zooms: tuple[float, ...]
) -> tuple[tuple[slice, ...], tuple[tuple[int, int], ...]]:
    """Box to keep, with the scalp round the brain; extent of the brain within it."""
    import numpy as np

    crop, brain = [], []
    for axis, zoom in enumerate(zooms):
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        below, above = (round(margin / zoom) for margin in MARGIN_MM[axis])
        start = max(0, int(inside[0]) - below)
        crop.append(slice(start, min(mask.shape[axis], int(inside[-1]) + above + 1)))
        brain.append((int(inside[0]) - start, int(inside[-1]) - start))
    return tuple(crop), tuple(brain)


def _grey(image: Volume, mask: Any) -> Volume:
    """Grey values from 0 to 255: black is the background, white the brightest of the brain."""
    import numpy as np

    image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
    high = float(np.percentile(image[mask], 99.5))
    # The noise of the air is not worth its bytes.
    low = min(float(np.percentile(image, 25)), 0.15 * high)
    scaled = (image - low) * (250.0 / max(high - low, 1e-6))
    grey: Volume = np.clip(scaled, 0, 255).astype(np.float32)
    return grey


def _tiles(head: _Head) -> tuple[list[_Tile], float, float]:
    """Lay out the slices: equal millimetres everywhere; also scale and height."""
    extent = [size * zoom for size, zoom in zip(head.image.shape, head.zooms, strict=True)]
    gap, left = 4.0, 8.0
    cell = (WIDTH - 2 * left - gap * (SLICES - 1)) / SLICES
    per_mm = cell / max(extent[0], extent[1])
    tiles, y = [], 30.0
    for plane, axis, (right, up) in PLANES:
        first, last = head.brain[axis]
        width, height = extent[right] * per_mm, extent[up] * per_mm
        for number in range(SLICES):
            # The outermost slices lie an eighth of the brain inside its edge.
            index = round(first + (last - first) * (0.125 + 0.75 * number / (SLICES - 1)))
            x = left + number * (cell + gap) + (cell - width) / 2
            tiles.append(_Tile(plane, axis, index, x, y, width, height))
        y += height + 22
    return tiles, per_mm, y + 4


def _draw(head: _Head, quality: int, tolerance: float) -> str:
    tiles, _, height = _tiles(head)
    title = 'T1-weighted image with the outlines of brain, grey and white matter'
    words = (
        'Seven axial, seven coronal and seven sagittal slices; the left of the picture is the '
        'left of the head; in the sagittal slices the face is on the right.'
    )
    canvas = Canvas(height, title, words)
    canvas.add('rect', width=WIDTH, height=height, fill='#000')
    _legend(canvas)
    for tile in tiles:
        _picture(canvas, head, tile, quality)
    for (name, colour, width), volume in zip(OUTLINES, head.outlines, strict=True):
        canvas.open('g', fill='none', stroke=colour, stroke_width=width, aria_label=name)
        for tile in tiles:
            _outline(canvas, volume, tile, width, tolerance)
        canvas.close()
    for tile in tiles:
        _caption(canvas, head, tile)
    return canvas.text()


def _plane(volume: Volume, tile: _Tile) -> Volume:
    """A slice as a picture: rows from the top down."""
    import numpy as np

    picture: Volume = np.moveaxis(volume, tile.axis, 0)[tile.index].T[::-1]
    return picture


def _picture(canvas: Canvas, head: _Head, tile: _Tile, quality: int) -> None:
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(_plane(head.image, tile).astype(np.uint8), mode='L')
    raw = io.BytesIO()
    picture.save(raw, 'WEBP', quality=quality, method=6)
    canvas.add(
        'image', x=tile.x, y=tile.y, width=tile.width, height=tile.height,
        preserveAspectRatio='none',
        href='data:image/webp;base64,' + base64.b64encode(raw.getvalue()).decode(),
    )  # fmt: skip


def _outline(canvas: Canvas, volume: Volume, tile: _Tile, width: float, tolerance: float) -> None:
    picture = _plane(volume, tile)
    rows, columns = picture.shape
    # Tenths of a voxel keep the numbers short.
    steps = ''.join(_path(line) for line in _lines(picture, tolerance))
    if steps:
        transform = (
            f'translate({tile.x:.2f} {tile.y:.2f}) '
            f'scale({tile.width / columns / 10:.5f} {tile.height / rows / 10:.5f})'
        )
        canvas.add(
            'path', d=steps, transform=transform, vector_effect='non-scaling-stroke',
            stroke_width=width,
        )  # fmt: skip


def _lines(picture: Volume, tolerance: float) -> Iterator[Any]:
    import numpy as np
    from scipy.ndimage import gaussian_filter
    from skimage.measure import approximate_polygon, find_contours

    if not picture.any():
        return
    # A voxel edge is no anatomy: smooth by half a voxel, and leave specks out.
    for line in find_contours(gaussian_filter(np.pad(picture, 1), 0.55), 0.5):
        if len(line) >= 12:
            yield approximate_polygon(line - 0.5, tolerance)


def _path(line: Any) -> str:
    import numpy as np

    points = np.round(line[:, ::-1] * 10).astype(int)
    steps = np.diff(points, axis=0)
    body = ' '.join(f'{dx} {dy}' for dx, dy in steps.tolist())
    return f'M{points[0, 0]} {points[0, 1]}l{body}'.replace(' -', '-')


def _legend(canvas: Canvas) -> None:
    x = 12.0
    for name, colour, width in OUTLINES:
        canvas.add('path', d=f'M{x} 14h16', stroke=colour, stroke_width=2 * width)
        canvas.add('text', name, x=x + 22, y=18, fill='#d9dde1', font_size=11.5)
        x += 46 + 6.4 * len(name)
    words = 'L is the left of the head; coordinates in mm'
    canvas.add(
        'text', words, x=WIDTH - 12, y=18, text_anchor='end', fill='#aab1b8', font_size=11.5
    )


def _caption(canvas: Canvas, head: _Head, tile: _Tile) -> None:
    """Coordinate and sides below each slice."""
    middle = [(first + last) / 2 for first, last in head.brain]
    middle[tile.axis] = tile.index
    value = float((head.affine @ [*middle, 1.0])[tile.axis])
    canvas.add(
        'text', f'{"xyz"[tile.axis]} = {value:.0f}'.replace('-', '−'), fill='#d9dde1', font_size=11,
        x=tile.x + tile.width / 2, y=tile.y + tile.height + 13, text_anchor='middle',
    )  # fmt: skip
    sides = ('P', 'A') if tile.plane == 'sagittal' else ('L', 'R')
    for side, shift in zip(sides, (-34, 34), strict=True):
        canvas.add(
            'text', side, x=tile.x + tile.width / 2 + shift, y=tile.y + tile.height + 13,
            text_anchor='middle', fill='#aab1b8', font_size=11,
        )  # fmt: skip
