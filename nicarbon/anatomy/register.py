"""Affine and non-linear registration to the template.

Every map points from the *fixed* grid into the *moving* image, as
:mod:`nicarbon.anatomy.transforms` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

    from .template import Template

__all__ = ['Warp', 'affine', 'rigid', 'warp']

Matrix = npt.NDArray[np.float64]

#: How far round the template's brain the affine metric looks: far enough to see
#: the dark ring of fluid and skull, not so far as to see the scalp.
MARGIN_MM = 6.0
#: Height of the part of the head that holds the brain; its centroid is the first guess.
CROWN_MM = 130.0
#: Poses tried: pitch, roll and yaw in degrees; offset from the guess in mm; size
#: of the subject's brain in units of the template's. The optimiser does the rest.
ANGLES_DEG = (-24.0, 0.0, 24.0)
OFFSETS_MM = (-20.0, 0.0, 20.0)
SIZES = (0.85, 1.0)
#: So many of the best poses are optimised before one is chosen.
FINALISTS = 3
#: Iterations of SyN at 8, 4 and 2 mm; more gain nothing (docs/structural.md).
ITERATIONS = (10, 10, 5)


@dataclass(frozen=True)
class Warp:
    """A deformation and its inverse, the affine part included.

    Attributes
    ----------
    forward : nibabel.Nifti1Image
        Field on a 2 mm template grid: brings a subject's image to the template
        (``from-T1w_to-MNI152NLin2009aSym_mode-image_xfm``).
    inverse : nibabel.Nifti1Image
        Field on a 2 mm subject grid: brings template maps to the subject.
    """

    forward: nib.Nifti1Image
    inverse: nib.Nifti1Image


def rigid(fixed: nib.Nifti1Image, moving: nib.Nifti1Image, threads: int = 1) -> Matrix:
    """Align two images of one head, 6 degrees of freedom.

    Parameters
    ----------
    fixed, moving : nibabel.Nifti1Image
        Conformed heads, roughly in one pose.
    threads : int
        Threads that SimpleITK may use.

    Returns
    -------
    ndarray
        4 x 4, fixed to moving, RAS mm.
    """
    import SimpleITK as sitk

    from .itk import to_itk
    from .threads import limit

    with limit(threads):
        a, b = to_itk(fixed), to_itk(moving)
        start = sitk.CenteredTransformInitializer(
            a, b, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
        )
        method = _method(4, 2)
        method.SetInitialTransform(start, inPlace=True)
        method.Execute(a, b)
        return _matrix(start)


def affine(image: nib.Nifti1Image, template: Template, threads: int = 1) -> Matrix:
    """Align a head to the template's brain, 12 degrees of freedom.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        A bias-corrected head.
    template : Template
        At 2 mm.
    threads : int
        Threads that SimpleITK may use.

    Returns
    -------
    ndarray
        4 x 4, template to subject, RAS mm.

    Notes
    -----
    Mattes mutual information (doi:10.1109/TMI.2003.809072) inside the dilated
    brain mask of the template, so that scalp and neck do not count. The start
    is the best of a grid of poses, put in place by the top of the head.
    """
    import SimpleITK as sitk

    from .itk import to_itk
    from .threads import limit

    with limit(threads):
        fixed, moving = to_itk(template.t1w), to_itk(image)
        size = fixed.GetSpacing()[0]
        mask = sitk.BinaryDilate(to_itk(template.brain, np.uint8), [round(MARGIN_MM / size)] * 3)
        best = _first_pose(_coarse(fixed, 8), _coarse(moving, 4), mask)
        for voxel_mm, smooth_mm in ((8, 4), (4, 2)):
            method = _method(max(1, round(voxel_mm / size)), smooth_mm)
            method.SetMetricFixedMask(mask)
            method.SetInitialTransform(best, inPlace=True)
            method.Execute(fixed, _coarse(moving, 2))
        return _matrix(best)


def _first_pose(fixed: Any, moving: Any, mask: Any) -> Any:
    """Best affine at 8 mm of a grid of poses: pitch and place first, then all angles."""
    import SimpleITK as sitk

    mask = sitk.Resample(mask, fixed, sitk.Transform(), sitk.sitkNearestNeighbor)
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(mask)
    centre = np.array(shape.GetCentroid(1))
    guess = _crown(moving) - centre

    def tried(poses: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        method = _method(1, 0)
        method.SetMetricFixedMask(mask)

        def score(pose: tuple[Any, ...]) -> float:
            method.SetInitialTransform(_pose(centre, guess, *pose))
            return float(method.MetricEvaluate(fixed, moving))

        return sorted(poses, key=score)[:FINALISTS]

    pitches = product(ANGLES_DEG, (0.0,), (0.0,))
    places = tried(product(pitches, product(OFFSETS_MM, repeat=3), SIZES))
    turned = tried(
        (angles, offset, size)
        for angles in product(ANGLES_DEG, repeat=3)
        for _, offset, size in places
    )
    finalists = []
    for pose in turned:
        method, transform = _method(1, 0), _pose(centre, guess, *pose)
        method.SetMetricFixedMask(mask)
        method.SetInitialTransform(transform, inPlace=True)
        method.Execute(fixed, moving)
        finalists.append((method.GetMetricValue(), transform))
    return min(finalists, key=itemgetter(0))[1]


def _pose(
    centre: Matrix, guess: Matrix, angles: Sequence[float], offset: Sequence[float], size: float
) -> Any:
    """Affine of ITK: turn and scale about the template's centre, then move."""
    import SimpleITK as sitk

    turn = sitk.Euler3DTransform()
    turn.SetRotation(*np.radians(angles).tolist())
    out = sitk.AffineTransform(3)
    out.SetCenter(centre.tolist())
    out.SetMatrix([value * size for value in turn.GetMatrix()])
    out.SetTranslation((guess + offset).tolist())
    return out


def _crown(head: Any) -> Matrix:
    """Centroid of the upper part of a head, LPS mm."""
    import SimpleITK as sitk

    bright = sitk.GetArrayFromImage(sitk.OtsuThreshold(head, 0, 1, 128))
    steps = np.reshape(head.GetDirection(), (3, 3)) * head.GetSpacing()
    points = np.argwhere(bright)[:, ::-1] @ steps.T + head.GetOrigin()
    height = points[:, 2]
    centroid: Matrix = points[height > np.percentile(height, 99.9) - CROWN_MM].mean(axis=0)
    return centroid


def _coarse(image: Any, voxel_mm: float) -> Any:
    """Blur and shrink to about a voxel size."""
    import SimpleITK as sitk

    factor = max(1, round(voxel_mm / image.GetSpacing()[0]))
    blurred = sitk.SmoothingRecursiveGaussian(image, voxel_mm / 2) if factor > 1 else image
    return sitk.Shrink(blurred, [factor] * 3)


def warp(image: nib.Nifti1Image, matrix: Matrix, template: Template, threads: int = 1) -> Warp:
    """Align a head to the template non-linearly, brain to brain.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        A bias-corrected head.
    matrix : ndarray
        Its affine, as :func:`affine` gives it.
    template : Template
        At 2 mm.
    threads : int
        Threads that SimpleITK and DIPY may use.

    Returns
    -------
    Warp

    Notes
    -----
    Symmetric diffeomorphic registration with local cross-correlation (SyN, Avants
    et al. 2008, doi:10.1016/j.media.2007.06.004) by DIPY at 2 mm, after the skull
    was taken off by :func:`nicarbon.anatomy.brain.strip`.
    """
    import nibabel as nib

    from .brain import strip
    from .conform import regrid
    from .threads import limit
    from .transforms import composite, resample

    head = resample(image, template.t1w, matrix, threads=threads).get_fdata(dtype=np.float32)
    white = np.median(head[template.wm.get_fdata() > 0.9])
    with limit(threads):
        moving = np.where(strip(head, template), np.clip(head / white, 0, 1.2), 0)
        there, back = _syn(template.t1w.get_fdata(), moving)
    base, eye = template.t1w, np.eye(4)
    size = float(base.header.get_zooms()[0])
    grid, shape = regrid(image.affine, image.shape, size)
    coarse = nib.Nifti1Image(np.broadcast_to(np.uint8(0), shape), grid)
    return Warp(
        forward=composite(base, eye, there * size, base.affine, matrix),
        inverse=composite(coarse, np.linalg.inv(matrix), back * size, base.affine, eye),
    )


def _syn(fixed: npt.NDArray[Any], moving: npt.NDArray[Any]) -> tuple[Any, Any]:
    """Displacements in voxels: fixed to moving, and moving to fixed."""
    from dipy.align.imwarp import SymmetricDiffeomorphicRegistration
    from dipy.align.metrics import CCMetric

    metric = CCMetric(3, sigma_diff=2.0, radius=2)
    method = SymmetricDiffeomorphicRegistration(metric, level_iters=list(ITERATIONS))
    method.verbosity = 0
    mapping = method.optimize(fixed.astype(np.float32), moving.astype(np.float32))
    return mapping.get_forward_field(), mapping.get_backward_field()


def _method(shrink: int, smooth_mm: float) -> Any:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([shrink])
    method.SetSmoothingSigmasPerLevel([smooth_mm])
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 60)
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _matrix(transform: Any) -> Matrix:
    """4 x 4 on RAS mm of an ITK matrix-offset transform."""
    from .itk import LPS

    lps = np.eye(4)
    lps[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    centre = np.array(transform.GetCenter())
    lps[:3, 3] = transform.GetTranslation() + centre - lps[:3, :3] @ centre
    return np.asarray(LPS @ lps @ LPS)
