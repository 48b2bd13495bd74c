"""``nicarbon advise``: what would have cost less, by what an output folder holds."""

from __future__ import annotations

import json
import logging
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..advice import Advised, Known, advise
from ..devices import devices
from ..errors import InputError
from ..findings import busy_seconds, repeats, speeds, waste
from ..grids import parse
from ..report.helps import Helps, helps
from ..report.unused import unused_table
from ..scenario import ELSEWHERE
from ..stage import Stage
from ..summary import Dataset
from .assumed import Assumed, over
from .choice import Parser, choose, flags
from .earlier import last_options
from .facts import known_pipeline
from .gather import Gathered, load, survey
from .screen import Progress
from .survey import there

__all__ = ['command', 'known_of', 'parser']

WIDTH, INDENT = 100, ' ' * 3
"""Of text on a terminal, in characters, and what stands left of what belongs to a headline."""

SCHEMA_VERSION = 1
"""Of ``--json``: raised whenever a key changes its name or meaning."""

_log = logging.getLogger('nicarbon')


def parser() -> Parser:
    """The parser of ``nicarbon advise``."""
    asked = Parser(
        prog='nicarbon advise',
        description='Say what would have cost less, by what OUT_DIR holds: at most five pieces of '
        'advice, each with its interval, what it assumes and what it was computed from. Nothing '
        'is run. Options that are not given are those of the last run.',
    )
    asked.add_argument('out_dir', type=Path, metavar='OUT_DIR', help='output of an earlier run')
    asked.add_argument('--json', action='store_true', help='print JSON')
    flags(asked, 'grid', 'pue', 'config_file')
    return asked


def command(argv: Sequence[str]) -> int:
    """Advise, and show.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        0, also where there is nothing to advise.
    """
    given = vars(parser().parse_args(argv))
    out_dir, as_json = given.pop('out_dir'), given.pop('json')
    there(out_dir)
    options = choose(given, earlier=last_options(out_dir, 'grid', 'pue')).options
    assumed = Assumed.of(options)
    gathered = load(survey(out_dir, tell=Progress(sys.stderr)), assumed)
    for warning in gathered.warnings:
        _log.warning('%s', warning)
    if gathered.cohort.table.is_empty():
        raise InputError(f'{out_dir}: no carbon-aware node was run, so that nothing is known')
    pipeline = known_pipeline(gathered.cohort.stages, gathered.versions)
    told = known_of(gathered, gathered.cohort.dataset(pipeline), pipeline, assumed)
    advised = advise(told)
    if as_json:
        print(json.dumps(_record(told, advised), indent=2))  # noqa: T201
        return 0
    for line in _lines(told, helps(advised)):
        print(line)  # noqa: T201
    return 0


def known_of(
    gathered: Gathered, dataset: Dataset, pipeline: Sequence[Stage], assumed: Assumed
) -> Known:
    """All that advice is computed from.

    Parameters
    ----------
    gathered : Gathered
    dataset : Dataset
        Of the same.
    pipeline : sequence of Stage
    assumed : Assumed

    Returns
    -------
    Known
    """
    cohort = gathered.cohort
    seconds = busy_seconds(cohort)
    return Known(
        dataset,
        waste(cohort),
        repeats(cohort),
        speeds(cohort),
        pipeline,
        tuple(over(gathered.runs, parse(zone)) for zone in ELSEWHERE),
        assumed.cleanest(seconds),
        seconds / 3600,
        devices(cohort, pipeline),
    )


def _lines(told: Known, found: Helps | None) -> Iterator[str]:
    """What is shown on a terminal."""
    unused = unused_table(told.waste, told.total, {one.key: one.label for one in told.pipeline})
    if unused is not None:
        yield from textwrap.wrap(f'{unused.sentence} {unused.memory}', WIDTH)
        yield ''
    if found is None:
        yield 'No energy was seen, or none that emitted anything: there is nothing to save.'
        return
    yield from textwrap.wrap(found.sentence, WIDTH)
    for number, one in enumerate(found.rows, 1):
        yield ''
        yield from textwrap.wrap(f'{number}. {one.headline}', WIDTH, subsequent_indent=INDENT)
        yield from _below(f'{one.saved} ({one.standing})')
        yield from _below(f'If: {one.assumption}')
        for text in one.basis:
            yield from _below(f'From: {text}')
    if found.notes:
        yield ''
    for note in found.notes:
        yield from textwrap.wrap(note, WIDTH)


def _below(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=INDENT, subsequent_indent=2 * INDENT)


def _record(told: Known, advised: Advised) -> dict[str, Any]:
    return {'schema_version': SCHEMA_VERSION, **asdict(advised), 'waste': asdict(told.waste)}
