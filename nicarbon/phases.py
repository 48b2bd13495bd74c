"""The same joules and seconds, told apart by whether a GPU was held.

Pure: what stages were charged in, and both parts with their grams out. "GPU-days" are those
of the first part alone; see :mod:`nicarbon.gpu`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .account import Footprint, Sums, combine
from .gpu import Held, together
from .line import Line
from .share import Share
from .split import FARTHEST, mean

__all__ = ['SECONDS_PER_DAY', 'Phase', 'Phases', 'apart', 'phases']

SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of the work of stages.

    Parameters
    ----------
    seconds : float
        Wall time of the stages in it, added up.
    footprint : Footprint
        Of all components in that time.
    """

    seconds: float
    footprint: Footprint


@dataclass(frozen=True, slots=True)
class Phases:
    """Both parts; together they are the stages.

    Parameters
    ----------
    gpu : Phase
        The time in which a stage held a GPU.
    cpu : Phase
        All other time.
    gpu_seconds : float
        Time for which GPUs were held, added up over GPUs; of those who held one at once
        each has its part.
    open_seconds : float
        Wall time that may be of either part.
    """

    gpu: Phase
    cpu: Phase
    gpu_seconds: float
    open_seconds: float = 0.0

    @property
    def gpu_days(self) -> float:
        """Days for which one GPU would have been held."""
        return self.gpu_seconds / SECONDS_PER_DAY


def phases(lines: Iterable[Line], *, elsewhere: bool = False) -> Phases | None:
    """Tell the part in which a GPU was held from the rest.

    Parameters
    ----------
    lines : iterable of Line
        Those of which nothing was seen are passed over.
    elsewhere : bool
        Whether a GPU was seen by others that these are shown beside.

    Returns
    -------
    Phases or None
        None where no GPU was seen. Stages on machines without one, beside others that had
        one, have all of their time in the second part.

    Examples
    --------
    >>> phases([]) is None
    True
    """
    seen = [line for line in lines if line.footprint is not None and line.share.tier is not None]
    held = together(line.share.held for line in seen) or (Held() if elsewhere else None)
    if held is None or not seen or seen[0].footprint is None:
        return None
    whole, pue = seen[0].footprint.intensity, seen[0].footprint.pue
    with_gpu, without = Sums(), Sums()
    for line in seen:
        grid = line.footprint.intensity if line.footprint else whole
        (joules, u_rel), (rest, u_rest) = apart(line.share)
        with_gpu.add(joules, u_rel, grid)
        without.add(rest, u_rest, grid)
    seconds = sum(line.share.entry.seconds for line in seen)
    return Phases(
        Phase(held.seconds, with_gpu.footprint(whole, pue)),
        Phase(max(0.0, seconds - held.seconds), without.footprint(whole, pue)),
        held.gpu_seconds,
        held.open_seconds,
    )


def apart(share: Share) -> tuple[tuple[float, float], tuple[float, float]]:
    """Joules of a stage while it held a GPU, and of all other time.

    Parameters
    ----------
    share : Share

    Returns
    -------
    tuple of (float, float)
        For either part joules, and their multiplicative uncertainty.
    """
    held = (share.held or Held()).components
    rest = {name: max(0.0, j - held.get(name, 0.0)) for name, j in share.components.items()}
    return _pair(share, held), _pair(share, rest)


def _pair(share: Share, components: Mapping[str, float]) -> tuple[float, float]:
    known = {name: share.u_rels.get(name, share.u_rel) for name in components}
    joules, either = sum(components.values()), share.held.open_joules if share.held else 0.0
    # It may lack as much as it may have too much, down to a tenth.
    reach = joules / max(joules - either, joules / FARTHEST) if joules else 1.0
    return joules, combine(mean(known, components), reach)
