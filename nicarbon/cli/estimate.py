"""``nicarbon estimate``: what many scans would take, from one's own ledger or as published."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..account import PUE, Footprint, Intensity
from ..errors import InputError, UsageError
from ..grids import parse
from ..quantity import carbon, energy
from ..scenario import (
    ELSEWHERE,
    Dataset,
    Estimate,
    Published,
    ScanCost,
    dataset,
    estimate,
    of_ledger,
    published_costs,
    under,
)
from .choice import Parser, choose, flags

__all__ = ['command', 'parser']

WIDTH, INDENT = 110, ' ' * 24
"""Of text on a terminal, in characters, and what stands left of what belongs to a row."""

SCHEMA_VERSION = 1
"""Of ``--json``: raised whenever a key changes its name or meaning."""


def parser() -> Parser:
    """The parser of ``nicarbon estimate``."""
    asked = Parser(
        prog='nicarbon estimate',
        description='Say what many scans would take: days, days on a GPU, energy and carbon; '
        'and the same joules under other grids. Nothing is run.',
    )
    asked.add_argument('--scans', type=float, metavar='N', help='how many scans')
    asked.add_argument(
        '--dataset', metavar='NAME', help='or as many as a dataset has participants: UKB, ABCD, …'
    )
    asked.add_argument(
        '--sessions', type=float, default=1.0, metavar='N', help='scans of each participant (1)'
    )
    asked.add_argument(
        '--from',
        dest='origin',
        default='published',
        metavar='OUT_DIR|published',
        help='what a scan costs: by the ledger of an OUT_DIR, or as published (default)',
    )
    asked.add_argument(
        '--pipeline', choices=('structural', 'freesurfer', 'fastsurfer'), help='all by default'
    )
    asked.add_argument(
        '--device', choices=('cpu', 'gpu'), help='of published costs; all by default'
    )
    asked.add_argument(
        '--configurations',
        type=int,
        default=1,
        metavar='N',
        help='ways in which each scan is processed, as in a multiverse analysis (1)',
    )
    asked.add_argument(
        '--lost',
        type=float,
        default=0.0,
        metavar='FRACTION',
        help='part of all runs that fails or is repeated (0)',
    )
    asked.add_argument('--json', action='store_true', help='print JSON')
    flags(asked, 'grid', 'pue')
    return asked


def command(argv: Sequence[str]) -> int:
    """Estimate, and show.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        0; what cannot be estimated is an error.
    """
    given = vars(parser().parse_args(argv))
    asked = {name: given.pop(name) for name in (*_OWN, 'json')}
    options = choose(given).options
    grid = _intensity(options.grid)
    pue = PUE(1.0, 'unset') if options.pue is None else PUE(options.pue)
    scans, known = _scans(asked)
    more = {name: asked[name] for name in ('configurations', 'lost')}
    costs = list(_costs(asked, grid))
    found = [estimate(cost, scans, grid, pue, **more) for cost in costs]
    as_printed = list(_as_printed(asked, scans)) if asked['origin'] == 'published' else []
    if asked['json']:
        print(json.dumps(_record(found, known), indent=2))  # noqa: T201
        return 0
    for line in _lines(found, as_printed, known):
        print(line)  # noqa: T201
    return 0


_OWN = ('scans', 'dataset', 'sessions', 'origin', 'pipeline', 'device', 'configurations', 'lost')


def _intensity(text: str | None) -> Intensity:
    return parse(text).whole()


def _scans(asked: dict[str, Any]) -> tuple[float, Dataset | None]:
    if (asked['scans'] is None) == (asked['dataset'] is None):
        raise UsageError('give either --scans N or --dataset NAME')
    if asked['scans'] is not None:
        return asked['scans'], None
    known = dataset(asked['dataset'])
    return known.participants * asked['sessions'], known


def _published(asked: dict[str, Any]) -> list[Published]:
    return [
        one
        for one in published_costs()
        if asked['pipeline'] in {None, one.pipeline} and asked['device'] in {None, one.device}
    ]


def _costs(asked: dict[str, Any], grid: Intensity) -> Iterator[ScanCost]:
    """Of each pipeline that is asked for."""
    if asked['origin'] == 'published':
        rows = _published(asked)
        if not rows:
            raise UsageError(
                f'nobody published a cost of {asked["pipeline"]} on {asked["device"] or "any device"}: '
                'leave out --pipeline or --device, or give an OUT_DIR with --from'
            )
        yield from (one.cost for one in rows)
        return
    yield from _own(Path(asked['origin']), asked, grid)


def _own(out_dir: Path, asked: dict[str, Any], grid: Intensity) -> Iterator[ScanCost]:
    from ..summary import summarise
    from .facts import by_session, read
    from .survey import runs

    if not out_dir.is_dir():
        raise InputError(f'--from {out_dir}: no such folder; give an OUT_DIR, or published')
    if asked['device'] is not None:
        raise UsageError('--device is for published costs: a ledger knows which devices were used')
    found = False
    for tool, shares in read(out_dir, runs(out_dir)).by_tool().items():
        sessions = (summarise(own, grid, PUE(1.0, 'unset')) for own in by_session(shares).values())
        cost = of_ledger(tool or 'other nodes', sessions)
        if cost is not None and asked['pipeline'] in {None, tool}:
            found = True
            yield cost
    if not found:
        raise InputError(
            f'{out_dir}: no session was processed from start to end'
            + (f' by {asked["pipeline"]}' if asked['pipeline'] else '')
            + ', so that nobody knows what one costs'
        )


def _as_printed(asked: dict[str, Any], scans: float) -> Iterator[tuple[Published, Estimate]]:
    """The published projections themselves, under what they hold."""
    for one in _published(asked):
        g = one.g_per_kwh
        grid = Intensity(g, g, g, 'given', '', '', 'average', one.source)
        yield one, estimate(one.cost, scans, grid, PUE(one.pue))


def _lines(
    found: Sequence[Estimate],
    as_printed: Sequence[tuple[Published, Estimate]],
    known: Dataset | None,
) -> Iterator[str]:
    """What is shown on a terminal."""
    first = found[0]
    grid, pue = first.footprint.intensity, first.footprint.pue
    what = (
        f' ({known.title}: {known.participants:,} participants, {known.source})' if known else ''
    )
    yield f'{first.scans:,.0f} runs{what}'
    facility = 'not counted' if pue.origin == 'unset' else f'{pue.value:g}'
    yield (
        f'Grid: {grid.zone}, {grid.g_per_kwh:.3g} g/kWh ({grid.low:.3g} to {grid.high:.3g}), '
        f'{grid.source}. Facility (PUE): {facility}.'
    )
    yield ''
    head = f'{"":<24}{"a scan":>10}{"":>9}{"days":>9}{"on a GPU":>10}  {"energy":<26}CO2e'
    yield head
    yield from map(_row, found)
    yield ''
    yield 'One job at a time, in a day: ' + '; '.join(
        f'{one.cost.name} {one.scans_per_day:.3g} scans, {one.kwh_per_day:.3g} kWh'
        for one in found
    )
    yield ''
    yield from _elsewhere(found)
    if as_printed:
        yield ''
        yield from _printed(as_printed)
    yield ''
    sources = dict.fromkeys(one.cost.source for one in found)
    for source in sources:
        names = ', '.join(one.cost.name for one in found if one.cost.source == source)
        yield from textwrap.wrap(f'{names}: {source}', WIDTH)


def _row(one: Estimate) -> str:
    cost = one.cost
    on_gpu = f'{one.gpu_days:.3g}' if one.gpu_days else '–'
    return (
        f'{cost.name:<24}{cost.seconds / 3600:>8.3g} h{energy(cost.joules):>9}{one.days:>9,.0f}'
        f'{on_gpu:>10}  {_energy(one.footprint):<26}{_carbon(one.footprint)}'
    )


def _energy(one: Footprint) -> str:
    """With the facility, as carbon is."""
    low, high = one.kwh_bounds
    return energy(one.kwh * 3.6e6, low * 3.6e6, high * 3.6e6)


def _carbon(one: Footprint) -> str:
    return carbon(one.grams, one.low, one.high)


def _elsewhere(found: Sequence[Estimate]) -> Iterator[str]:
    """The same joules under other grids."""
    yield 'The same joules elsewhere (g/kWh, yearly averages):'
    yield f'{"":<24}' + ''.join(f'{one.cost.name:<26}' for one in found).rstrip()
    for zone in ELSEWHERE:
        grid = _intensity(zone)
        shown = (_carbon(under(one.footprint, grid)) for one in found)
        head = f'{zone} {grid.g_per_kwh:.0f}'
        yield f'{head:<24}' + ''.join(f'{text:<26}' for text in shown).rstrip()


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


def _record(found: Sequence[Estimate], known: Dataset | None) -> dict[str, Any]:
    return {
        'schema_version': SCHEMA_VERSION,
        'dataset': None if known is None else asdict(known),
        'estimates': [
            {
                **asdict(one),
                'cpu_days': one.cpu_days,
                'scans_per_day': one.scans_per_day,
                'kwh_per_day': one.kwh_per_day,
            }
            for one in found
        ],
    }
