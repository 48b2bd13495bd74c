"""The values that advice is made of, and what is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..account import Footprint, Intensity, Sums
from ..stage import Stage
from ..summary import Dataset
from ..waste import Both, Repeats, Speed, Waste

__all__ = ['Advice', 'Advised', 'Known', 'Saved', 'Standing', 'between', 'cleanest', 'counted']
__all__ += ['part_of', 'together']

Standing = Literal['measured', 'at most', 'question', 'published']


@dataclass(frozen=True, slots=True)
class Saved:
    """What would have been saved, with 95 % intervals.

    Parameters
    ----------
    joules, joules_low, joules_high : float
        IT energy; 0 where the same energy would have emitted less.
    grams, low, high : float
        Grams of CO2 equivalent.
    """

    joules: float
    joules_low: float
    joules_high: float
    grams: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that would have cost less.

    Parameters
    ----------
    kind : str
        ``cores``, ``device``, ``pipeline``, ``repeat``, ``hour``, ``grid``, ``reserve``,
        ``skip`` or ``published``.
    headline : str
        What to do, or to ask.
    saved : Saved
        Never more than all that was spent; from 0 unless it was measured here.
    assumption : str
        Under what that holds.
    basis : tuple of str
        What it was computed from.
    standing : {'measured', 'at most', 'question', 'published'}
        How well it is known.
    """

    kind: str
    headline: str
    saved: Saved
    assumption: str
    basis: tuple[str, ...]
    standing: Standing


@dataclass(frozen=True, slots=True)
class Known:
    """All that advice is computed from.

    Parameters
    ----------
    dataset : Dataset
    waste : Waste
    repeats : Repeats
    speeds : sequence of Speed
    pipeline : sequence of Stage
        Of all pipelines of which any ran.
    elsewhere : sequence of Intensity
        Other grids to think of.
    cleanest : Intensity or None
        Mean of the cleanest hours that the same work needs; None where no hour is known.
    hours : float
        How many.
    devices : sequence of Both
        Pipelines that ran with a GPU and without.
    """

    dataset: Dataset
    waste: Waste
    repeats: Repeats
    speeds: Sequence[Speed] = ()
    pipeline: Sequence[Stage] = ()
    elsewhere: Sequence[Intensity] = ()
    cleanest: Intensity | None = None
    hours: float = 0.0
    devices: Sequence[Both] = ()

    @property
    def total(self) -> Footprint:
        """All that was spent."""
        return self.dataset.total.footprint

    def title(self, stage: str) -> str:
        """What people call a stage."""
        titles = {one.key: one.label for one in self.pipeline}
        return titles.get(stage, stage or 'unnamed')


@dataclass(frozen=True, slots=True)
class Advised:
    """Advice, and what there was to say besides.

    Parameters
    ----------
    total : Footprint
        Of which it would save a part.
    advice : tuple of Advice
        The first :data:`nicarbon.advice.MOST`.
    threshold : float
        Grams below which nothing is said.
    notes : tuple of str
        What would have to be known to say more.
    """

    total: Footprint
    advice: tuple[Advice, ...] = ()
    threshold: float = 0.0
    notes: tuple[str, ...] = ()


def part_of(part: Footprint, total: Footprint, *, certain: bool) -> Saved:
    """Of a part that would not have been spent; no more than there was.

    Parameters
    ----------
    part, total : Footprint
    certain : bool
        Whether it would have been saved; else maybe nothing would.

    Returns
    -------
    Saved
    """
    return Saved(
        min(part.joules, total.joules),
        min(part.joules_low, total.joules_low) if certain else 0.0,
        min(part.joules_high, total.joules_high),
        min(part.grams, total.grams),
        min(part.low, total.low) if certain else 0.0,
        min(part.high, total.high),
    )


def between(whole: Footprint, part: float, low: float, high: float) -> Footprint:
    """A part of what was spent.

    Parameters
    ----------
    whole : Footprint
    part, low, high : float
        From 0 to 1, and its bounds, which err apart from those of the whole.

    Returns
    -------
    Footprint
    """
    ends = whole.joules_low * low, whole.joules_high * high
    grams = whole.grams * part, whole.low * low, whole.high * high
    kwh = whole.kwh * part
    return replace(
        whole, joules=whole.joules * part, joules_low=ends[0], joules_high=ends[1], kwh=kwh,
        grams=grams[0], low=grams[1], high=grams[2],
    )  # fmt: skip


def together(parts: Iterable[Footprint]) -> Footprint:
    """Footprints under the same PUE added up: their errors are common, and so bounds add.

    Parameters
    ----------
    parts : iterable of Footprint
        One at least.

    Returns
    -------
    Footprint
    """
    parts = list(parts)
    sums = Sums()
    for one in parts:
        grid = one.intensity
        sums.joules += one.joules
        sums.low += one.joules_low
        sums.high += one.joules_high
        sums.weighted += one.joules * grid.g_per_kwh
        sums.weighted_low += one.joules * grid.low
        sums.weighted_high += one.joules * grid.high
    return sums.footprint(parts[0].intensity, parts[0].pue, policy=parts[0].policy)


def cleanest(known: Known) -> Intensity | None:
    """The cleanest of other grids; None without any.

    Parameters
    ----------
    known : Known

    Returns
    -------
    Intensity or None
    """
    return min(known.elsewhere, key=lambda one: one.g_per_kwh, default=None)


def counted(count: float, what: str) -> str:
    """A number of things, in words.

    Parameters
    ----------
    count : float
    what : str

    Returns
    -------
    str

    Examples
    --------
    >>> counted(1, 'core'), counted(2, 'core')
    ('1 core', '2 cores')
    """
    return f'{count:g} {what}{"" if count == 1 else "s"}'
