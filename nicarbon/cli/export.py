"""``nicarbon export``: what a folder holds, in a format of others."""

from __future__ import annotations

import errno
import io
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from .. import __version__
from ..errors import OutputError, StorageError
from ..exports import FILES, About, Row, start
from .assumed import Assumed
from .choice import Chosen, Parser, choose, flags
from .earlier import last_options
from .facts import known_pipeline
from .gather import Gathered, load, survey, tables
from .survey import there

__all__ = ['about', 'command', 'parser']

_log = logging.getLogger('nicarbon')


def parser() -> Parser:
    """The parser of ``nicarbon export``."""
    asked = Parser(
        prog='nicarbon export',
        description='Write what OUT_DIR holds in a format of others. Nothing is run. Options '
        'that are not given are those of the last run.',
    )
    asked.add_argument('out_dir', type=Path, metavar='OUT_DIR', help='output of an earlier run')
    asked.add_argument(
        '--format',
        required=True,
        choices=tuple(FILES),
        help="a report of BoAmps (JSON), CodeCarbon's emissions.csv, or a workflow of WfCommons "
        '(WfFormat, JSON)',
    )
    asked.add_argument(
        '-o',
        '--output',
        type=Path,
        metavar='FILE',
        help='where to write it; standard output by default',
    )
    flags(asked, 'grid', 'pue', 'config_file')
    return asked


def command(argv: Sequence[str]) -> int:
    """Export.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        0; what cannot be exported is an error.
    """
    given = vars(parser().parse_args(argv))
    out_dir, name, output = (given.pop(key) for key in ('out_dir', 'format', 'output'))
    there(out_dir)
    rows, told = _known(out_dir, choose(given, earlier=last_options(out_dir, 'grid', 'pue')))
    export = start(name, told)
    for row in rows:
        export.add(row)
    _write(export.text(), output)
    return 0


def _known(out_dir: Path, chosen: Chosen) -> tuple[Iterable[Row], About]:
    """Rows of a folder, and what is known of all of them."""
    found, assumed = survey(out_dir), Assumed.of(chosen.options)
    gathered = load(found, assumed)
    for warning in gathered.warnings:
        _log.warning('%s', warning)
    rows = (row for part in tables(found, assumed) for row in part.iter_rows(named=True))
    return rows, about(gathered)


def about(gathered: Gathered) -> About:
    """What exports say besides rows.

    Parameters
    ----------
    gathered : Gathered

    Returns
    -------
    About
    """
    cohort = gathered.cohort
    meters: dict[str, dict[str, None]] = defaultdict(dict)
    for sight in cohort.sights:
        if sight.seen:
            meters[sight.component.partition(':')[0]].setdefault(sight.method)
    return About(
        intensity=cohort.intensity,
        pue=cohort.pue,
        hosts=gathered.hosts,
        stages=known_pipeline(cohort.stages, gathered.versions),
        versions=tuple(gathered.versions.items()),
        meters={kind: tuple(methods) for kind, methods in meters.items()},
        version=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec='seconds'),
    )


def _write(text: str, output: Path | None) -> None:
    """To a file, whole or not at all, or to standard output; UTF-8, whatever the locale."""
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding='utf-8')
        sys.stdout.write(text)
        return
    # What is no file of its own (a pipe, a link) is written to, not replaced.
    there = output.is_symlink() or (output.exists() and not output.is_file())
    draft = output if there else output.with_name(f'.{output.name}.draft')
    try:
        draft.write_text(text, 'utf-8')
        draft.replace(output)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}
        kind = StorageError if full else OutputError
        raise kind(f'-o {output} cannot be written: {error.strerror}') from None
