"""``nicarbon estimate``: what many scans would take, from one's own ledger or as published."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..account import PUE, Intensity
from ..errors import InputError, UsageError
from ..grids import parse
from ..report.numbers import percent
from ..scenario import (
    ELSEWHERE,
    NUMBERS,
    Dataset,
    Estimate,
    Factors,
    Published,
    ScanCost,
    by_processor,
    dataset,
    device,
    estimate,
    project,
    published_costs,
    still,
    swings,
)
from ..summary import Summary
from .choice import Parser, choose, flags
from .projected import Moved, lines, record
from .screen import Progress

__all__ = ['command', 'parser']


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
    asked.add_argument('--device', choices=('cpu', 'gpu'), help='which processor; all by default')
    _factors(asked)
    asked.add_argument('--json', action='store_true', help='print JSON')
    flags(asked, 'grid', 'pue')
    return asked


def _factors(asked: Parser) -> None:
    """Flags of what is neither scan nor grid."""
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
    asked.add_argument(
        '--trial-runs',
        type=float,
        default=0.0,
        metavar='N',
        help='runs of one scan that were made while the experiment was developed (0)',
    )
    asked.add_argument(
        '--training-kwh',
        type=float,
        metavar='KWH',
        help='IT energy that training took (not known, and not counted)',
    )
    asked.add_argument(
        '--jobs', type=int, default=1, metavar='N', help='scans processed side by side (1)'
    )
    asked.add_argument(
        '--range',
        action='append',
        default=[],
        dest='ranges',
        metavar='FACTOR=LOW:HIGH',
        help='how far a factor may move, such as configurations=1:50 or grid=FR:PL; may be repeated',
    )


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
    asked = {name: given.pop(name) for name in (*_OWN, *_MORE, 'ranges', 'json')}
    options = choose(given).options
    grid = _intensity(options.grid)
    pue = PUE(1.0, 'unset') if options.pue is None else PUE(options.pue)
    scans, known = _scans(asked)
    more = {name: asked[name] for name in _MORE}
    costs, others = _costs(asked, grid)
    ranges, between = _ranges(asked['ranges'])
    found = [
        _moved(Factors(cost, scans, grid, pue, **more), others, ranges, between) for cost in costs
    ]
    if asked['json']:
        print(json.dumps(record(found, known), indent=2))  # noqa: T201
        return 0
    as_printed = list(_as_printed(asked, scans)) if asked['origin'] == 'published' else []
    for line in lines(found, as_printed, known, _elsewhere()):
        print(line)  # noqa: T201
    return 0


_OWN = ('scans', 'dataset', 'sessions', 'origin', 'pipeline', 'device')
_MORE = ('configurations', 'lost', 'trial_runs', 'training_kwh', 'jobs')
"""Flags that are factors by the same name."""


def _moved(
    base: Factors,
    costs: Sequence[ScanCost],
    ranges: dict[str, tuple[float, float]],
    between: tuple[Intensity, Intensity] | None,
) -> Moved:
    """What one cost makes, and how that moves."""
    whole, day = (
        swings(base, costs=costs, grids=_elsewhere(), ranges=ranges, between=between, per=per)
        for per in ('experiment', 'day')
    )
    return Moved(base, project(base), whole, day, still(base, whole))


def _ranges(
    texts: Sequence[str],
) -> tuple[dict[str, tuple[float, float]], tuple[Intensity, Intensity] | None]:
    """Factors that somebody gave a range, and the two grids."""
    numbers: dict[str, tuple[float, float]] = {}
    between = None
    for text in texts:
        name, _, bounds = text.partition('=')
        key, (low, colon, high) = name.strip().replace('-', '_'), bounds.partition(':')
        if not colon or key not in {*NUMBERS, 'grid'}:
            known = ', '.join(one.replace('_', '-') for one in (*NUMBERS, 'grid'))
            raise UsageError(f'--range {text}: give FACTOR=LOW:HIGH; factors are {known}')
        if key == 'grid':
            between = _intensity(low), _intensity(high)
            continue
        try:
            numbers[key] = float(low), float(high)
        except ValueError:
            raise UsageError(f'--range {text}: LOW and HIGH are numbers') from None
        if not numbers[key][0] <= numbers[key][1]:
            raise UsageError(f'--range {text}: LOW is above HIGH')
    return numbers, between


def _elsewhere() -> list[Intensity]:
    return [_intensity(zone) for zone in ELSEWHERE]


def _intensity(text: str | None) -> Intensity:
    return parse(text).whole()


def _scans(asked: dict[str, Any]) -> tuple[float, Dataset | None]:
    if (asked['scans'] is None) == (asked['dataset'] is None):
        raise UsageError('give either --scans N or --dataset NAME')
    if asked['scans'] is not None:
        return asked['scans'], None
    known = dataset(asked['dataset'])
    return known.participants * asked['sessions'], known


def _costs(asked: dict[str, Any], grid: Intensity) -> tuple[list[ScanCost], list[ScanCost]]:
    """Those that were asked for, and all that are known in the same way."""
    published = asked['origin'] == 'published'
    known = (
        [one.cost for one in published_costs()]
        if published
        else list(_own(Path(asked['origin']), grid))
    )
    wanted = [one for one in known if _is_wanted(one, asked)]
    if not wanted and published:
        raise UsageError(
            f'nobody published a cost of {asked["pipeline"]} on {asked["device"] or "any device"}: '
            'leave out --pipeline or --device, or give an OUT_DIR with --from'
        )
    if not wanted:
        by = f' by {asked["pipeline"]}' if asked['pipeline'] else ''
        by += f' on a {asked["device"].upper()}' if asked['device'] else ''
        raise InputError(
            f'{asked["origin"]}: no session was processed from start to end{by}, so that nobody '
            'knows what one costs'
        )
    return wanted, known


def _is_wanted(one: ScanCost | Published, asked: dict[str, Any]) -> bool:
    return asked['pipeline'] in {None, one.pipeline} and asked['device'] in {None, one.device}


def _own(out_dir: Path, grid: Intensity) -> Iterator[ScanCost]:
    """What a scan costs by a ledger: of each pipeline, and each kind of processor."""
    from ..grids.constant import Constant
    from .architecture import of_runs
    from .assumed import Assumed
    from .facts import known_pipeline
    from .gather import load, survey

    if not out_dir.is_dir():
        raise InputError(f'--from {out_dir}: no such folder; give an OUT_DIR, or published')
    found = survey(out_dir, tell=Progress(sys.stderr))
    gathered = load(found, Assumed(Constant(grid.g_per_kwh), PUE(1.0, 'unset')))
    pipeline = known_pipeline(gathered.cohort.stages, gathered.versions)
    for tool, sessions in gathered.cohort.by_tool(pipeline, nobody=True).items():
        for cost in by_processor(tool or 'other nodes', sessions):
            alike = {
                (one.subject, one.session)
                for one in sessions
                if one.complete and device(one) == cost.device
            }
            source = f'{cost.source}{_lost(sessions)}'
            yield replace(cost, architecture=of_runs(found, tool, alike), source=source)


def _lost(sessions: Sequence[Summary]) -> str:
    """What a ledger knows of one factor that the cost of a scan leaves out."""
    lost = sum(one.lost.joules for one in sessions)
    part = lost / sum(one.footprint.joules for one in sessions) if lost else 0.0
    return f'; {percent(part)} of its energy was lost (--lost {part:.2g})' if lost else ''


def _as_printed(asked: dict[str, Any], scans: float) -> Iterator[tuple[Published, Estimate]]:
    """The published projections themselves, under what they hold."""
    for one in published_costs():
        if not _is_wanted(one, asked):
            continue
        g = one.g_per_kwh
        grid = Intensity(g, g, g, 'given', '', '', 'average', one.source)
        yield one, estimate(one.cost, scans, grid, PUE(one.pue))
