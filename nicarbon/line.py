"""One stage that was run once, with what it is charged and what that emitted."""

from __future__ import annotations

from dataclasses import dataclass

from .account import PUE, Footprint, Intensity, account
from .share import Share

__all__ = ['Line', 'line']


@dataclass(frozen=True, slots=True)
class Line:
    """One stage that was run once: its share of energy, and what that emitted.

    Parameters
    ----------
    share : Share
    footprint : Footprint or None
        None when no meter saw anything: not seen is not zero. A cached stage
        has a footprint of zero.
    """

    share: Share
    footprint: Footprint | None

    @property
    def spent(self) -> bool:
        """Whether it ran, and a meter saw what that took."""
        return self.share.tier is not None


def line(share: Share, intensity: Intensity, pue: PUE) -> Line:
    """Account for a share.

    Parameters
    ----------
    share : Share
    intensity : Intensity
    pue : PUE

    Returns
    -------
    Line
    """
    if share.tier is None and share.entry.outcome != 'cached':
        return Line(share, None)
    return Line(share, account(share.joules['reserved'], share.u_rel, intensity, pue))
