"""What surrounds the numbers on pages: options, machines, runs, and what went wrong."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import __version__
from ..grids import parse
from ..report.pages import Context, Option, largest
from ..scenario import ELSEWHERE
from ..stage import Stage
from .assumed import Assumed, over
from .choice import Chosen
from .facts import Facts
from .gather import Gathered
from .options import Options

__all__ = ['command', 'of_all', 'of_facts']

CRASHES = 20
"""Crash reports that a page shows."""


def of_facts(facts: Facts, chosen: Chosen, assumed: Assumed) -> Context:
    """Of pages of subjects, from the ledgers of their runs."""
    return _context(
        chosen,
        assumed,
        hosts=facts.hosts,
        runs=facts.runs,
        balances=facts.sharing.balances,
        warnings=facts.warnings,
        crashes=_read_crashes(
            path
            for name in facts.folders
            for path in sorted(facts.out_dir.glob(f'logs/{name}/crash-*.txt'))
        ),
        pipeline=facts.pipeline,
        versions=facts.versions,
    )


def of_all(
    out_dir: Path,
    gathered: Gathered,
    pipeline: tuple[Stage, ...],
    chosen: Chosen,
    assumed: Assumed,
) -> Context:
    """Of the page of a dataset, from all digests."""
    crashes = sorted(out_dir.glob('logs/*/crash-*.txt'))
    return _context(
        chosen,
        assumed,
        hosts=gathered.hosts,
        runs=gathered.runs,
        balances=gathered.balances,
        warnings=gathered.warnings,
        crashes=_read_crashes(crashes[:CRASHES]),
        more_crashes=max(0, len(crashes) - CRASHES),
        pipeline=pipeline,
        versions=tuple(gathered.versions.items()),
    )


def _read_crashes(paths: Iterable[Path]) -> tuple[tuple[str, str], ...]:
    return tuple((path.name, path.read_text('utf-8', errors='replace')) for path in paths)


def _context(chosen: Chosen, assumed: Assumed, **known: Any) -> Context:
    options = tuple(
        Option(each.name, _shown(getattr(chosen.options, each.name)), chosen.origins[each.name])
        for each in fields(Options)
    )
    return Context(
        title='nicarbon',
        version=__version__,
        command=command(),
        created=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        options=options,
        elsewhere=tuple(over(known['runs'], parse(zone)) for zone in ELSEWHERE),
        steps=assumed.steps(largest(known['runs'])),
        **known,
    )


def command() -> str:
    """The command line, as it could be pasted."""
    return shlex.join(['nicarbon', *sys.argv[1:]])


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ' '.join(map(str, value)) or 'all'
    return 'not set' if value is None else str(value)
