"""All readers, in the order in which they are asked."""

from __future__ import annotations

from . import Reader

__all__ = ['READERS']

READERS: tuple[Reader, ...] = ()
"""Who closes a folder comes before who would take a part of it for something else."""
