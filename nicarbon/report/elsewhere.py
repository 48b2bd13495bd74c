"""The same joules under other grids, and in other facilities: what a page can say of what if."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..account import PUE, Footprint, Intensity
from ..scenario import AVERAGE_PUE, under
from ..summary import Summary
from .methods import intensity_text
from .numbers import Number, carbon_number, was_seen

__all__ = ['ElsewhereRow', 'elsewhere']


@dataclass(frozen=True, slots=True)
class ElsewhereRow:
    """One other grid or facility."""

    name: str
    grid: str
    carbon: Number
    unit: str


def elsewhere(total: Summary, grids: Iterable[Intensity]) -> list[ElsewhereRow]:
    """What the joules would have emitted under other assumptions.

    Parameters
    ----------
    total : Summary
    grids : iterable of Intensity
        Those to show, besides its own.

    Returns
    -------
    list of ElsewhereRow
        Empty where nothing was seen.
    """
    if not was_seen(total):
        return []
    own = total.footprint
    rows = [_row('as above', own)]
    rows += [
        _row(_name(grid), under(own, grid)) for grid in grids if grid.zone != own.intensity.zone
    ]
    if own.pue.value != AVERAGE_PUE:
        facility = replace(own, pue=PUE(AVERAGE_PUE))
        name = f'the same grid, in an average data centre (PUE {AVERAGE_PUE:g})'
        rows.append(_row(name, under(facility, own.intensity)))
    return rows


def _name(grid: Intensity) -> str:
    return 'world average' if grid.zone == 'world' else grid.zone


def _row(name: str, footprint: Footprint) -> ElsewhereRow:
    return ElsewhereRow(name, intensity_text(footprint.intensity), *carbon_number(footprint))
