"""All readers, in the order in which they are asked."""

from __future__ import annotations

from . import Reader
from .carbontracker import CarbonTracker
from .codecarbon import CodeCarbon
from .fastsurfer import FastSurfer
from .freesurfer import FreeSurfer
from .impact_tracker import ImpactTracker
from .nipype import Nipype

__all__ = ['READERS']

READERS: tuple[Reader, ...] = (
    FastSurfer(),
    FreeSurfer(),
    Nipype(),
    ImpactTracker(),
    CodeCarbon(),
    CarbonTracker(),
)
"""Who closes a folder comes before who would take a part of it for something else."""
