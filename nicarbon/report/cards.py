"""What stands first on a page: four numbers, and how they were seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..quantity import ENERGY, energy
from ..sights import Sight, merged
from ..spread import Spread
from ..summary import Summary
from .components import component_name, component_order
from .methods import intensity_text
from .numbers import (
    TIERS,
    Number,
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
    footprint = total.footprint
    seen = is_known(total)
    spent = _card('Energy', energy_number(footprint), seen, _energy_note(total))
    grid = f'{intensity_text(footprint.intensity)}, {footprint.intensity.tier}'
    grams = _card('Carbon', carbon_number(footprint), seen, grid)
    wall = duration(total.busy_seconds)
    cpu = duration(total.cpu_seconds)
    # Logs of others may tell wall time alone.
    follows = any('-by-' in one.method for one in total.sights)
    told = 'CPU time follows from it, in part' if follows else 'both measured'
    time = Card('Time', wall, f'{cpu} of CPU time', f'wall clock while a stage ran; {told}')
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
    ran, seen = total.ran, total.ran - total.unseen
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


def components(total: Summary, more: Iterable[Sight] = ()) -> list[ComponentRow]:
    """How every component was seen, those that were not seen included.

    Parameters
    ----------
    total : Summary
    more : iterable of Sight
        Of the runs: they count too.

    Returns
    -------
    list of ComponentRow
    """
    sights: dict[str, list[Sight]] = defaultdict(list)
    for one in merged([*total.sights, *more]):
        sights[one.component].append(one)
    kinds = {name.partition(':')[0] for name in sights}
    order = [*sights, *(name for name in _NAMES if name not in kinds)]
    order.sort(key=component_order)
    return [_component(name, sights.get(name, []), total) for name in order]


def _component(name: str, sights: Sequence[Sight], total: Summary) -> ComponentRow:
    title = _NAMES.get(name) or component_name(name).replace('GPU', 'Graphics (GPU)', 1)
    seen = [one for one in sights if one.seen]
    if not seen:
        return ComponentRow(title, 'not seen', NOBODY, '', '', '')
    worst = max(seen, key=lambda one: (TIERS.index(one.tier), one.u_rel))
    methods = ', '.join(dict.fromkeys(one.method for one in seen))
    blind, readings = (sum(getattr(one, what) for one in sights) for what in ('blind', 'readings'))
    if blind:
        methods += f'; not seen in {blind} of {readings} readings'
    least = min(one.coverage for one in seen)
    if least < 0.9995:
        methods += f'; with gaps, in one stage {percent(1 - least)} of its time (not filled in)'
    joules = total.components.get(name, 0.0)
    unit = scale([joules], ENERGY)
    # The mean of the shares': gaps and idle power make it wider than the counter's own, and what
    # was seen in several ways is known as well as its parts are together.
    u_rel = total.factors.get(name, worst.u_rel)
    number = unit.number(joules, joules / u_rel, joules * u_rel)
    known = f'within a factor of {u_rel:.3g}' if u_rel > 1 else 'no uncertainty stated'
    return ComponentRow(
        title, seen_as(worst.tier), methods, known, f'{number.text} {unit.unit}', number.interval
    )


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
