"""What ``nicarbon estimate`` shows: text for a terminal, and the record that is its JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..account import Footprint, Intensity
from ..quantity import carbon, energy
from ..report.figures.svg import shorten
from ..report.numbers import Scale
from ..scenario import Dataset, End, Estimate, Factors, Published, Swing, under

__all__ = ['Moved', 'lines', 'record']

WIDTH, INDENT = 110, ' ' * 24
"""Of text on a terminal, in characters, and what stands left of what belongs to a row."""

SCHEMA_VERSION = 2
"""Of ``--json``: raised whenever a key changes its name or meaning."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One projection, and how it moves.

    Parameters
    ----------
    base : Factors
    estimate : Estimate
    whole, day : tuple of Swing
        Of the experiment, and of a day.
    still : dict of {str : str}
        Why other factors do not move it, by what they are called.
    """

    base: Factors
    estimate: Estimate
    whole: tuple[Swing, ...]
    day: tuple[Swing, ...]
    still: dict[str, str]


def lines(
    moved: Sequence[Moved],
    as_printed: Sequence[tuple[Published, Estimate]],
    known: Dataset | None,
    grids: Sequence[Intensity],
) -> Iterator[str]:
    """What is shown on a terminal.

    Parameters
    ----------
    moved : sequence of Moved
    as_printed : sequence of (Published, Estimate)
        The published projections themselves.
    known : Dataset or None
        Whose scans these are.
    grids : sequence of Intensity
        Others to show.

    Yields
    ------
    str
    """
    found = [one.estimate for one in moved]
    yield from _assumed(moved[0], known)
    yield ''
    yield f'{"":<24}{"a scan":>10}{"":>9}{"days":>9}{"on a GPU":>10}  {"energy":<26}CO2e'
    yield from map(_row, found)
    yield ''
    yield from _days(found)
    yield ''
    yield from _elsewhere(found, grids)
    yield ''
    yield 'How the total moves, one factor at a time; each end is known no better than the total:'
    for one in moved:
        yield from _swings(one)
        yield ''
    yield from _still(moved)
    if as_printed:
        yield from _printed(as_printed)
        yield ''
    yield from _networks(found)
    for source in dict.fromkeys(one.cost.source for one in found):
        names = ', '.join(one.cost.name for one in found if one.cost.source == source)
        yield from textwrap.wrap(f'{names}: {source}', WIDTH)


def _assumed(one: Moved, known: Dataset | None) -> Iterator[str]:
    base, grid, pue = one.base, one.base.intensity, one.base.pue
    what = (
        f' ({known.title}: {known.participants:,} participants, {known.source})' if known else ''
    )
    yield f'{base.runs:,.0f} runs{what}'
    parts = [f'{base.scans:,.12g} scans']
    parts += [f'{base.configurations:g} configurations of each'] if base.configurations > 1 else []
    parts += [f'{100 * base.lost:.3g} % of runs lost'] if base.lost else []
    parts += [f'{base.trial_runs:,.12g} trial runs'] if base.trial_runs else []
    parts += [f'{base.training_kwh:,.4g} kWh of training'] if base.training_kwh else []
    if len(parts) > 1:
        yield f'Made of: {", ".join(parts)}.'
    facility = 'not counted' if pue.origin == 'unset' else f'{pue.value:g}'
    yield (
        f'Grid: {grid.zone}, {grid.g_per_kwh:.3g} g/kWh ({grid.low:.3g} to {grid.high:.3g}), '
        f'{grid.source}. Facility (PUE): {facility}.'
    )


def _row(one: Estimate) -> str:
    cost = one.cost
    on_gpu = f'{one.gpu_days:.3g}' if one.gpu_days else '–'
    return (
        f'{cost.name:<24}{cost.seconds / 3600:>8.3g} h{energy(cost.joules):>9}{one.days:>9,.0f}'
        f'{on_gpu:>10}  {_energy(one.footprint):<26}{_carbon(one.footprint)}'
    )


def _days(found: Sequence[Estimate]) -> Iterator[str]:
    """What one machine does and spends in a day."""
    jobs = found[0].jobs
    head = 'One job at a time,' if jobs == 1 else f'{jobs} jobs side by side,'
    yield f'{head:<24}{"scans":>10}{"":>9}{"all done":>9}'
    yield f'{"in a day":<24}{"in a day":>10}{"":>9}{"(days)":>9}{"":>10}  {"energy":<26}CO2e'
    for one in found:
        day, scans = one.per_day, one.scans_per_day
        if day is None or scans is None:
            yield f'{one.cost.name:<24}nobody knows how long a scan takes'
            continue
        yield (
            f'{one.cost.name:<24}{_count(scans):>10}{"":>9}{one.wall_days:>9,.0f}{"":>10}  '
            f'{_energy(day):<26}{_carbon(day)}'
        )


def _count(scans: float) -> str:
    return f'{scans:,.0f}' if scans >= 1000 else f'{scans:.3g}'


def _energy(one: Footprint) -> str:
    """With the facility, as carbon is."""
    low, high = one.kwh_bounds
    return energy(one.kwh * 3.6e6, low * 3.6e6, high * 3.6e6)


def _carbon(one: Footprint) -> str:
    return carbon(one.grams, one.low, one.high)


def _elsewhere(found: Sequence[Estimate], grids: Sequence[Intensity]) -> Iterator[str]:
    """The same joules under other grids."""
    yield 'The same joules elsewhere (g/kWh, yearly averages):'
    yield f'{"":<24}' + ''.join(f'{one.cost.name:<26}' for one in found).rstrip()
    for grid in grids:
        shown = (_carbon(under(one.footprint, grid)) for one in found)
        head = f'{grid.zone} {grid.g_per_kwh:.0f}'
        yield f'{head:<24}' + ''.join(f'{text:<26}' for text in shown).rstrip()


def _swings(one: Moved) -> Iterator[str]:
    """The farthest first."""
    yield f'{one.estimate.cost.name:<22}{"from":<20}{"to":<20}{"times":>6}{"CO2e":>20}{"CO2e a day":>20}'
    days = {swing.key: swing for swing in one.day}
    for swing in one.whole:
        day = _ends(days[swing.key].like(swing)) if swing.key in days else ''
        yield (
            f'{swing.name:<22}{shorten(swing.low.label, 19):<20}{shorten(swing.high.label, 19):<20}{_times(swing):>6}'
            f'{_ends(swing.like(swing)):>20}{day:>20}'
        ).rstrip()


def _times(swing: Swing) -> str:
    """Of nothing there are no times."""
    return '–' if math.isinf(swing.times) else f'{swing.times:.3g}'


def _ends(ends: tuple[End, End]) -> str:
    return ' to '.join(carbon(end.total.grams) for end in ends).replace('CO2e', '')


def _still(moved: Sequence[Moved]) -> Iterator[str]:
    """Factors that move none of them, and why."""
    common = set.intersection(*(set(one.still.items()) for one in moved))
    ordered = [pair for pair in moved[0].still.items() if pair in common]
    if ordered:
        text = '; '.join(f'{name} ({why})' for name, why in ordered)
        yield from textwrap.wrap(f'Not moved: {text}. Ranges are yours with --range.', WIDTH)
        yield ''


def _printed(rows: Sequence[tuple[Published, Estimate]]) -> Iterator[str]:
    """What was published, and how it reads on a closer look."""
    yield 'As published (what they hold: PUE 1.58, 30 g/kWh), and read again:'
    for one, as_printed in rows:
        footprint = as_printed.footprint
        yield (
            f'{one.name:<24}{one.facility_wh:g} Wh (SD {one.facility_wh_sd:g}), {one.grams:g} g '
            f'(SD {one.grams_sd:g}), n = {one.scans}: {as_printed.days:,.0f} days, '
            f'{footprint.kwh:,.0f} kWh, {footprint.grams / 1000:,.1f} kg'
        )
        if as_printed.gpu_days:
            yield (
                f'{"":<24}of these days a GPU is held for {as_printed.gpu_days:.3g}, '
                f'CPUs alone for {as_printed.cpu_days:,.0f}'
            )
        yield from textwrap.wrap(
            one.caveat, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT
        )


def _networks(found: Sequence[Estimate]) -> Iterator[str]:
    """What the networks are made of: counts beside joules."""
    for made in dict.fromkeys(one.cost.architecture for one in found):
        if made is None:
            continue
        names = ', '.join(one.cost.name for one in found if one.cost.architecture == made)
        text = (
            f'{names}: networks of {made.parameters:,} parameters, {made.macs / 1e9:,.4g} GMAC '
            f'per {made.per}'
        )
        rate = made.joules_per_gmac
        if rate is not None:
            shown = Scale(1.0, 'J/GMAC').number(rate, rate / made.u_rel, rate * made.u_rel)
            interval = f' ({shown.interval})' if shown.interval else ''
            text += f', {shown.text} J/GMAC{interval} on this processor'
        yield from textwrap.wrap(f'{text}: {made.name}; {made.source}', WIDTH)


def record(moved: Sequence[Moved], known: Dataset | None) -> dict[str, Any]:
    """The same as it is printed with ``--json``.

    Parameters
    ----------
    moved : sequence of Moved
    known : Dataset or None

    Returns
    -------
    dict
    """
    return {
        'schema_version': SCHEMA_VERSION,
        'dataset': None if known is None else asdict(known),
        'factors': _factors(moved[0].base),
        'estimates': [_estimate(one) for one in moved],
    }


def _factors(base: Factors) -> dict[str, Any]:
    """What all estimates have in common; grid and facility are in their footprints."""
    names = ('scans', 'configurations', 'lost', 'trial_runs', 'training_kwh', 'jobs')
    return {name: getattr(base, name) for name in names}


def _estimate(one: Moved) -> dict[str, Any]:
    found = one.estimate
    made, day = found.cost.architecture, found.per_day
    return {
        **asdict(found),
        'cpu_days': found.cpu_days,
        'wall_days': found.wall_days,
        'scans_per_day': found.scans_per_day,
        'kwh_per_day': found.kwh_per_day,
        'per_day': None if day is None else _total(day),
        'joules_per_gmac': None if made is None else made.joules_per_gmac,
        'swings': {'experiment': [*map(_swing, one.whole)], 'day': [*map(_swing, one.day)]},
        'not_moved': one.still,
    }


def _swing(one: Swing) -> dict[str, Any]:
    ends = {'low': one.low, 'high': one.high}
    shown = {name: {'label': end.label, **_total(end.total)} for name, end in ends.items()}
    return {'factor': one.key, 'name': one.name, 'reason': one.reason, **shown}


def _total(one: Footprint) -> dict[str, float]:
    """Energy with the facility, and carbon, with their intervals."""
    low, high = one.kwh_bounds
    return {
        'kwh': one.kwh,
        'kwh_low': low,
        'kwh_high': high,
        'grams': one.grams,
        'grams_low': one.low,
        'grams_high': one.high,
    }
