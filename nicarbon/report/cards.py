"""What stands first on a page: four numbers, and how they were seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..entry import Entry, Reading
from ..quantity import ENERGY, energy
from ..summary import Summary
from .components import component_name, component_order
from .methods import intensity_text
from .numbers import (
    TIERS,
    Number,
    Spread,
    busy_seconds,
    carbon_number,
    duration,
    energy_number,
    is_known,
    percent,
    scale,
)
from .words import pue_name, seen_as

__all__ = ['Card', 'ComponentRow', 'assumptions', 'cards', 'components']


@dataclass(frozen=True, slots=True)
class Card:
    """One of the four numbers at the head of a page."""

    name: str
    value: str
    interval: str
    note: str


def cards(total: Summary, spread: Spread | None = None) -> list[Card]:
    """The four numbers that a reader looks for first.

    Parameters
    ----------
    total : Summary
    spread : Spread, optional
        Over participants; takes the place of the time.

    Returns
    -------
    list of Card
    """
    footprint, entries = total.footprint, [line.share.entry for line in total.lines]
    seen = is_known(total)
    spent = _card('Energy', energy_number(footprint), seen, _energy_note(total))
    grid = f'{intensity_text(footprint.intensity)}, {footprint.intensity.tier}'
    grams = _card('Carbon', carbon_number(footprint), seen, grid)
    wall = duration(busy_seconds(entries))
    cpu = duration(sum(entry.cpu_seconds for entry in entries))
    time = Card('Time', wall, f'{cpu} of CPU time', 'wall clock while a stage ran; both measured')
    cover = Card('How it was seen', *_coverage(total))
    if spread is None:
        return [spent, grams, time, cover]
    # Three digits at most: people may lie closer together than each of them is known.
    between = f'{energy(spread.low)}–{energy(spread.high)}'
    each = Card(
        'Per participant',
        energy(spread.median),
        f'{spread.name} {between}' if spread.high > spread.low else '',
        f'median of {spread.count} whose every stage ran, each known no better than the total; '
        f'{wall} of wall clock and {cpu} of CPU time in all',
    )
    return [spent, grams, each, cover]


def _card(name: str, number: tuple[Number, str], seen: bool, note: str) -> Card:  # noqa: FBT001
    if not seen:
        return Card(name, 'not seen', '', note)
    value, unit = number
    return Card(name, f'{value.text} {unit}', value.interval, note)


def _energy_note(total: Summary) -> str:
    if not total.lost.joules:
        return 'IT energy of the stages, reserved policy'
    number, unit = energy_number(total.lost)
    interval = f' ({number.interval})' if number.interval else ''
    return f'of which {number.text} {unit}{interval} failed or was killed'


def _coverage(total: Summary) -> tuple[str, str, str]:
    parts = [f'{percent(total.tiers[t])} {seen_as(t)}' for t in TIERS if t in total.tiers]  # type: ignore[index]
    ran = sum(line.share.entry.outcome != 'cached' for line in total.lines)
    seen = ran - total.unseen
    note = f'energy known for {seen} of {ran} stages'
    cached = total.outcomes.get('cached', 0)
    nothing = ('none', '', 'nothing new was spent') if is_known(total) else ('not seen', '', '')
    first, _, name = parts[0].rpartition(' ') if parts else nothing
    none = ['none metered'] if parts and 'measured' not in total.tiers else []
    note += f', {cached} taken from the cache' if cached else ''
    return first, ', '.join([*filter(None, [name]), *parts[1:], *none]), note


@dataclass(frozen=True, slots=True)
class ComponentRow:
    """How one component of the machine was seen."""

    name: str
    tier: str
    method: str
    known: str
    energy: str
    interval: str


_NAMES = {
    'cpu': 'Processor (CPU)',
    'dram': 'Memory (DRAM)',
    'gpu': 'Graphics (GPU)',
    'rest': 'Rest of the machine (disks, fans, power supply)',
}

NOBODY = 'neither meter nor model'
"""Who saw what is not seen."""


def components(total: Summary, runs: Iterable[Entry] = ()) -> list[ComponentRow]:
    """How every component was seen, those that were not seen included.

    Parameters
    ----------
    total : Summary
    runs : iterable of Entry
        Their readings count too.

    Returns
    -------
    list of ComponentRow
    """
    readings: dict[str, list[Reading]] = defaultdict(list)
    for entry in [*(line.share.entry for line in total.lines), *runs]:
        for reading in entry.readings:
            readings[reading.component].append(reading)
    kinds = {name.partition(':')[0] for name in readings}
    order = [*readings, *(name for name in _NAMES if name not in kinds)]
    order.sort(key=component_order)
    return [_component(name, readings.get(name, []), total) for name in order]


def _component(name: str, readings: Sequence[Reading], total: Summary) -> ComponentRow:
    title = _NAMES.get(name) or component_name(name).replace('GPU', 'Graphics (GPU)', 1)
    seen = [reading for reading in readings if reading.joules is not None]
    if not seen:
        return ComponentRow(title, 'not seen', NOBODY, '', '', '')
    worst = max(seen, key=lambda reading: (TIERS.index(reading.tier), reading.u_rel))
    methods = ', '.join(dict.fromkeys(reading.method for reading in seen))
    if len(seen) < len(readings):
        methods += f'; not seen in {len(readings) - len(seen)} of {len(readings)} readings'
    least = min(reading.coverage for reading in seen)
    if least < 0.9995:
        methods += f'; with gaps, in one stage {percent(1 - least)} of its time (not filled in)'
    joules = total.components.get(name, 0.0)
    unit = scale([joules], ENERGY)
    # That of the shares: gaps and idle power make it wider than the counter's own.
    u_rel = max(worst.u_rel, _mean_factor(name, total))
    number = unit.number(joules, joules / u_rel, joules * u_rel)
    known = f'within a factor of {u_rel:.3g}' if u_rel > 1 else 'no uncertainty stated'
    return ComponentRow(
        title, seen_as(worst.tier), methods, known, f'{number.text} {unit.unit}', number.interval
    )


def _mean_factor(name: str, total: Summary) -> float:
    """The factor of a component, weighted by the joules of the stages."""
    shares = [line.share for line in total.lines if line.share.components.get(name)]
    joules = sum(share.components[name] for share in shares)
    weighted = sum(share.components[name] * share.u_rels.get(name, 1.0) for share in shares)
    return weighted / joules if joules else 1.0


def assumptions(total: Summary) -> list[tuple[str, str, str]]:
    """What joules were turned into grams with: name, value, tier.

    Parameters
    ----------
    total : Summary

    Returns
    -------
    list of (str, str, str)
    """
    grid, pue = total.footprint.intensity, total.footprint.pue
    period = f', {grid.start} to {grid.stop}' if grid.start else ''
    zone = {'given': 'as given', 'world': 'world average'}.get(grid.zone, f'zone {grid.zone}')
    tier = 'assumed' if grid.tier == 'assumed' else seen_as(grid.tier)
    return [
        ('Grid', f'{intensity_text(grid)}, {zone}: {grid.kind}{period}. {grid.source}', tier),
        ('Facility (PUE)', pue_name(pue), 'given' if pue.origin == 'given' else 'not counted'),
        ('Making the hardware', 'not counted (no data on embodied carbon)', 'not counted'),
    ]
