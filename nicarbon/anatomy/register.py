"""Affine and non-linear registration to the template, with results others can read.

Every map here points the way resampling needs it: from a point of the *fixed*
grid to the point of the *moving* image that belongs there. An affine is a
4 x 4 matrix on RAS millimetres; a deformation is a displacement field in the
convention of ITK, ANTs and fMRIPrep (5-D NIfTI, intent VECTOR, LPS
millimetres), composite, so that one file says it all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import nibabel as nib

    from .template import Template

__all__ = ['Warp', 'affine', 'itk_text', 'resample', 'rigid', 'warp']

Matrix = npt.NDArray[np.float64]


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
        best = _best_pose(fixed, moving, mask)
        for shrink, smooth in ((4, 2), (2, 1)):
            method = _method(shrink, smooth)
            method.SetMetricFixedMask(mask)
            method.SetInitialTransform(best, inPlace=True)
            method.Execute(fixed, moving)
        return _matrix(best)


#: How far round the template's brain the affine metric looks: far enough to see
#: the dark ring of fluid and skull, not so far as to see the scalp.
MARGIN_MM = 6.0
#: Degrees tried about each axis for the first pose; the optimiser does the rest.
POSES_DEG = (-24.0, 0.0, 24.0)
#: Offsets in mm tried along each axis round the guess.
OFFSETS_MM = (-20.0, 0.0, 20.0)


def _best_pose(fixed: Any, moving: Any, mask: Any) -> Any:
    import itertools

    import SimpleITK as sitk

    centre = np.array(_centroid(mask))
    guess = _brain_guess(moving) - centre
    method = _method(1, 0)
    coarse = [sitk.Shrink(sitk.DiscreteGaussian(im, 9.0), [k] * 3)
              for im, k in ((fixed, round(8/fixed.GetSpacing()[0])), (moving, max(1, round(4 / moving.GetSpacing()[0]))))]
    small_mask = sitk.Resample(mask, coarse[0], sitk.Transform(), sitk.sitkNearestNeighbor)
    method.SetMetricFixedMask(small_mask)
    scored = []
    def score(angles, shift):
        transform = sitk.Euler3DTransform(centre.tolist(), *np.radians(angles).tolist(), (guess + shift).tolist())
        method.SetInitialTransform(transform)
        return method.MetricEvaluate(*coarse)
    for shift in itertools.product(OFFSETS_MM, repeat=3):
      for angles in itertools.product(POSES_DEG, (0.,), (0.,)):
        scored.append((score(angles, np.array(shift)), angles, shift))
    scored.sort(key=lambda s: s[0])
    _, _, shift = scored[0]
    cand = []
    for ang in itertools.product(POSES_DEG, repeat=3):
        for _, _, shift in scored[:3]:
            cand.append((score(ang, np.array(shift)), ang, shift))
    cand.sort(key=lambda s: s[0])
    finals = []
    for _, ang, shift in cand[:3]:
        euler = sitk.Euler3DTransform(centre.tolist(), *np.radians(ang).tolist(), (guess + np.array(shift)).tolist())
        start = sitk.AffineTransform(3)
        start.SetCenter(centre.tolist()); start.SetMatrix(euler.GetMatrix()); start.SetTranslation(euler.GetTranslation())
        m = _method(1, 0)
        m.SetMetricFixedMask(small_mask)
        m.SetInitialTransform(start, inPlace=True)
        m.Execute(*coarse)
        finals.append((m.GetMetricValue(), start))
    return min(finals, key=lambda s: s[0])[1]


def _centroid(mask: Any) -> list[float]:
    import SimpleITK as sitk

    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(mask)
    return list(shape.GetCentroid(1))


def _brain_guess(moving: Any) -> npt.NDArray[np.float64]:
    """Centroid of the upper 130 mm of the head, LPS mm."""
    import SimpleITK as sitk

    head = sitk.OtsuThreshold(moving, 0, 1, 128)
    points = np.argwhere(sitk.GetArrayViewFromImage(head))[:, ::-1]
    d = np.reshape(moving.GetDirection(), (3, 3)) * moving.GetSpacing()
    xyz = points @ d.T + moving.GetOrigin()
    top = np.percentile(xyz[:, 2], 99.9)
    return np.asarray(xyz[xyz[:, 2] > top - 130].mean(axis=0))


def _method(shrink: int, smooth_mm: float) -> Any:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([shrink])
    method.SetSmoothingSigmasPerLevel([smooth_mm])
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 60, relaxationFactor=0.5, gradientMagnitudeTolerance=1e-6)
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
