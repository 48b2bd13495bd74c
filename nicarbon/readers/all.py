"""All readers, in the order in which they are asked."""

from __future__ import annotations

from . import Reader
from .freesurfer import FreeSurfer

__all__ = ['READERS']

READERS: tuple[Reader, ...] = (FreeSurfer(),)
"""Who closes a folder comes before who would take a part of it for something else."""
