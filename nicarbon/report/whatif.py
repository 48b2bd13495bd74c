"""How the total of a dataset moves with each of its factors, and what a day of one job takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..account import Intensity
from ..quantity import carbon, energy
from ..scenario import Factors, ScanCost, Swing, by_processor, project, swings
from ..stage import TOOL_NAMES
from ..summary import Dataset, Summary
from .figures.tornado import Bar, tornado
from .numbers import Number, carbon_number, energy_number, was_seen

__all__ = ['DayRow', 'MovedRow', 'WhatIf', 'what_if']


@dataclass(frozen=True, slots=True)
class MovedRow:
    """One factor: its two values, and the total at both."""

    name: str
    low: str
    high: str
    times: str
    carbon: str
    energy: str
    reason: str


@dataclass(frozen=True, slots=True)
class DayRow:
    """One pipeline on one kind of processor: a scan, and a day of one job at a time."""

    name: str
    scan: Number
    scan_unit: str
    scans: str
    energy: Number
    energy_unit: str
    carbon: Number
    carbon_unit: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What the section shows; ``day`` is empty where no session ran from start to end.

    ``pipeline`` names whose day it is.
    """

    figure: str
    rows: tuple[MovedRow, ...]
    day: str = ''
    days: tuple[DayRow, ...] = ()
    pipeline: str = ''


def what_if(dataset: Dataset, grids: Sequence[Intensity]) -> WhatIf | None:
    """Move each factor of a dataset's total, everything else as it was.

    Parameters
    ----------
    dataset : Dataset
    grids : sequence of Intensity
        Others to show.

    Returns
    -------
    WhatIf or None
        None where nothing was seen, or all of it was lost.
    """
    total, costs = dataset.total, _costs(dataset.pipelines)
    base = _factors(total, dataset.scans or 1, costs)
    if base is None:
        return None
    # Pipelines side by side are parts of one total, and none of them is instead of another.
    alike = costs if len({one.pipeline for one in costs}) == 1 else ()
    moved = swings(base, costs=alike, grids=grids)
    figure = tornado(_bars(moved), total.footprint, 'How the total moves with each factor')
    drawn, days = '', [row for cost in costs if (row := _day_row(cost, base))]
    if days:
        one = Factors(costs[0], 1, base.intensity, base.pue)
        daily, day = swings(one, costs=costs, grids=grids, per='day'), project(one).per_day
        title = f'How a day of one job of {costs[0].name} moves with each factor'
        drawn = tornado(_bars(daily), day, title) if day is not None else ''
    return WhatIf(figure, _rows(moved), drawn, tuple(days), costs[0].name if days else '')


def _factors(total: Summary, scans: int, costs: Sequence[ScanCost]) -> Factors | None:
    """A dataset as scans of a mean cost, and the part of the energy that was lost."""
    footprint, lost = total.footprint, total.lost.joules
    spent = footprint.joules - lost
    if not was_seen(total) or spent <= 0:
        return None
    devices = {one.device for one in costs}
    mean = ScanCost(
        'as it is',
        total.ended.seconds / scans,
        0.0,
        spent / scans,
        0.0,
        footprint.joules_high / footprint.joules,
        'own ledger: mean of all scans',
        costs[0].pipeline if costs else '',
        devices.pop() if len(devices) == 1 else '',
    )
    return Factors(mean, scans, footprint.intensity, footprint.pue, lost=lost / footprint.joules)


def _costs(pipelines: Mapping[str, Sequence[Summary]]) -> tuple[ScanCost, ...]:
    """Medians of the sessions that ran from start to end; the pipeline that used most is first."""
    used = {tool: sum(one.footprint.joules for one in own) for tool, own in pipelines.items()}
    found: list[ScanCost] = []
    for tool in sorted(used, key=lambda name: -used[name]):
        found += by_processor(TOOL_NAMES.get(tool, tool), pipelines[tool])
    return tuple(found)


def _bars(moved: Iterable[Swing]) -> list[Bar]:
    return [
        Bar(
            one.name,
            one.low.total.grams,
            one.high.total.grams,
            one.low.label,
            one.high.label,
        )
        for one in moved
    ]


def _rows(moved: Iterable[Swing]) -> tuple[MovedRow, ...]:
    return tuple(
        MovedRow(
            one.name,
            one.low.label,
            one.high.label,
            '–' if math.isinf(one.times) else f'{one.times:.2g}',
            _ends(carbon(one.low.total.grams), carbon(one.high.total.grams)),
            _ends(*(energy(end.total.kwh * 3.6e6) for end in (one.low, one.high))),
            one.reason,
        )
        for one in moved
    )


def _ends(low: str, high: str) -> str:
    """Two numbers, or one where the factor does not move it."""
    return (low if low == high else f'{low} to {high}').replace('CO2e', '')


def _day_row(cost: ScanCost, base: Factors) -> DayRow | None:
    found = project(Factors(cost, 1, base.intensity, base.pue))
    day, scans = found.per_day, found.scans_per_day
    if day is None or scans is None:
        return None
    return DayRow(
        cost.name,
        *energy_number(found.footprint),
        f'{scans:,.0f}' if scans >= 1000 else f'{scans:.3g}',
        *energy_number(day),
        *carbon_number(day),
    )
