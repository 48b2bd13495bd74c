"""Numbers about one brain: volumes, areas, intensities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import nibabel as nib

    from .surface import Mesh
    from .tissue import Tissue

__all__ = ['Row', 'measure']

NAMES = {'gm': 'grey matter', 'wm': 'white matter', 'csf': 'cerebrospinal fluid'}


class Row(NamedTuple):
    """One line of the statistics table."""

    name: str
    value: float
    unit: str
    description: str


def measure(
    image: nib.Nifti1Image,
    brain: nib.Nifti1Image,
    tissue: Tissue,
    meshes: Mapping[str, Mesh] | None = None,
) -> list[Row]:
    """Summarise a segmented brain.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        The bias-corrected head, for intensities.
    brain : nibabel.Nifti1Image
        Its mask.
    tissue : Tissue
    meshes : mapping of str to Mesh, optional
        Grey/white border by hemisphere.

    Returns
    -------
    list of Row
        Volumes in mm3 counted by label (``*_label``) and by summed probability,
        areas in mm2, intensities in units of the mean of white matter.
    """
    from .surface import area

    voxel = float(np.abs(np.linalg.det(brain.affine[:3, :3])))
    mask = np.asarray(brain.dataobj) > 0
    rows = [Row('brain_volume', voxel * int(mask.sum()), 'mm3', 'voxels of the brain mask')]
    rows += _volumes(tissue, voxel)
    for hemi, mesh in (meshes or {}).items():
        side = {'L': 'left', 'R': 'right'}[hemi]
        rows.append(
            Row(
                f'{side}_white_area',
                area(mesh),
                'mm2',
                f'area of the grey/white border, {side} hemisphere',
            )
        )
    return rows + _intensities(image, tissue)


def _volumes(tissue: Tissue, voxel: float) -> list[Row]:
    from .tissue import LABELS

    labels = np.asarray(tissue.dseg.dataobj)
    rows = []
    for name, label in LABELS.items():
        total = float(np.asarray(getattr(tissue, name).dataobj).sum(dtype=np.float64))
        rows += [
            Row(f'{name}_volume', voxel * total, 'mm3', f'summed probability of {NAMES[name]}'),
            Row(
                f'{name}_volume_label',
                voxel * int((labels == label).sum()),
                'mm3',
                f'voxels labelled {NAMES[name]}',
            ),
        ]
    return rows


def _intensities(image: nib.Nifti1Image, tissue: Tissue) -> list[Row]:
    from .tissue import LABELS

    data = image.get_fdata(dtype=np.float32)
    labels = np.asarray(tissue.dseg.dataobj)
    mean, spread = {}, {}
    for name, label in LABELS.items():
        values = data[labels == label].astype(float)
        mean[name] = float(values.mean()) if values.size else float('nan')
        spread[name] = float(values.std()) if values.size else float('nan')
    unit = mean['wm']
    rows = [
        Row(
            f'{name}_mean',
            mean[name] / unit,
            '1',
            f'mean intensity of {NAMES[name]}, white matter = 1',
        )
        for name in ('gm', 'csf')
    ]
    noise = np.hypot(spread['gm'], spread['wm'])
    return [
        *rows,
        Row(
            'wm_snr',
            mean['wm'] / spread['wm'],
            '1',
            'mean over standard deviation of white matter',
        ),
        Row(
            'gm_wm_cnr',
            abs(mean['wm'] - mean['gm']) / noise,
            '1',
            'contrast of grey to white matter over their pooled standard deviation',
        ),
    ]
