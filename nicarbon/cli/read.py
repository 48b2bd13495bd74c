"""``nicarbon read``: ledger entries from what other programs left behind."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TextIO

from ..errors import InputError, OutputError, StorageError, UsageError
from ..hardware import Stated
from ..quantity import energy
from ..readers import Reader, Source
from ..readers.all import READERS
from ..readers.walk import sources
from .choice import Parser
from .gather import pool
from .imported import NAME, Outcome, read_once
from .screen import Progress

__all__ = ['command', 'parser']

CHUNK = 16
"""Sources that a process takes at a time."""

MANY_BYTES = 50_000_000
"""Of files to read: more than that is worth starting processes for."""

MOST_LINES = 20
"""Warnings that are printed; all are in ``source.json`` of each."""


def parser() -> Parser:
    """The parser of ``nicarbon read``."""
    known = '; '.join(f'{reader.name}: {reader.what}' for reader in READERS)
    asked = Parser(
        prog='nicarbon read',
        description='Make a ledger of what other programs left behind, and print what it came '
        'to. Nothing that is read is executed or changed. What has not changed since is not '
        'read again, so that this may be cut off and goes on where it was.',
        epilog=f'What is recognised: {known}.',
    )
    asked.add_argument(
        'paths', nargs='+', type=Path, metavar='PATH', help='folders, which are searched, or files'
    )
    asked.add_argument(
        '-o',
        '--out-dir',
        type=Path,
        required=True,
        metavar='OUT_DIR',
        help='the ledger goes to OUT_DIR/logs; "nicarbon account OUT_DIR" writes tables and pages',
    )
    asked.add_argument(
        '--cpu',
        default='',
        metavar='MODEL',
        help='CPU of the machines, such as "Intel Xeon Gold 6148", where logs do not say it; '
        'without it, power is assumed per core, within a factor of three',
    )
    asked.add_argument(
        '--sockets', type=int, default=1, metavar='N', help='CPUs of a machine (default: 1)'
    )
    asked.add_argument(
        '--cores',
        type=int,
        metavar='N',
        help='hardware threads of a machine, where logs do not say it (default: the cores of '
        'that CPU)',
    )
    asked.add_argument(
        '--tdp',
        type=float,
        metavar='WATTS',
        help='thermal design power of one CPU that is in no table',
    )
    asked.add_argument(
        '--idle-watts',
        type=float,
        metavar='WATTS',
        help='what all CPUs of a machine draw at rest, if it was measured',
    )
    return asked


def command(argv: Sequence[str], readers: Sequence[Reader] = READERS) -> int:
    """Read.

    Parameters
    ----------
    argv : sequence of str
    readers : sequence of Reader

    Returns
    -------
    int
        0; 1 if something that was recognised could not be read.
    """
    asked = parser().parse_args(argv)
    stated = _stated(asked)
    for path in asked.paths:
        if not path.exists():
            raise InputError(f'{path}: no such file or folder')
    found = sources(asked.paths, readers)
    if not found:
        names = ', '.join(reader.name for reader in readers)
        raise InputError(
            f'{" ".join(map(str, asked.paths))}: nothing that is recognised ({names}); '
            'nicarbon read --help says what each is'
        )
    _prepare(asked.out_dir)
    tally = _Tally()
    try:
        for outcome in _read_all(found, readers, asked.out_dir, stated):
            tally.add(outcome)
    except OSError as error:
        raise StorageError(
            f'{asked.out_dir}/logs cannot be written: {error.strerror}; what was read so far is '
            'there, and the same command goes on from it'
        ) from None
    _tell(tally, asked.out_dir)
    return 1 if tally.failed else 0


def _stated(asked: argparse.Namespace) -> Stated:
    for name in ('sockets', 'cores', 'tdp', 'idle_watts'):
        value = getattr(asked, name)
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f'--{name.replace("_", "-")} {value:g}: give a number above 0')
    return Stated(asked.cpu, asked.sockets, asked.cores, asked.tdp, asked.idle_watts)


def _prepare(out_dir: Path) -> None:
    try:
        (out_dir / 'logs').mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f'--out-dir {out_dir} cannot be written: {error.strerror}') from None


_Task = tuple[Sequence[tuple[Reader, Source]], Path, Stated]


def _read_all(
    found: Sequence[Source], readers: Sequence[Reader], out_dir: Path, stated: Stated
) -> Iterator[Outcome]:
    """Read them, by several processes if that is much to do."""
    progress = Progress(sys.stderr, 'sources', 'read')
    size = sum(_size(path) for one in found for path in one.files)
    by_name = {reader.name: reader for reader in readers}
    several = ((by_name[one.reader], one) for one in found)
    tasks = ((chunk, out_dir, stated) for chunk in iter(lambda: list(islice(several, CHUNK)), []))
    done = 0
    with pool() if size > MANY_BYTES and len(found) > CHUNK else nullcontext() as many:
        for chunk in many.map(_read_some, tasks) if many else map(_read_some, tasks):
            yield from chunk
            done += len(chunk)
            progress(done, len(found))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_some(task: _Task) -> list[Outcome]:
    some, out_dir, stated = task
    return [read_once(reader, source, out_dir, stated) for reader, source in some]


class _Tally:
    """What all sources came to."""

    def __init__(self) -> None:
        self.states: Counter[tuple[str, str]] = Counter()
        self.entries: Counter[str] = Counter()
        self.cpu_seconds: Counter[str] = Counter()
        self.joules = self.low = self.high = 0.0
        self.warnings: list[str] = []
        self.compared: list[str] = []

    def add(self, one: Outcome) -> None:
        self.states[one.reader, one.state] += 1
        self.entries[one.reader] += one.entries
        self.cpu_seconds[one.reader] += one.cpu_seconds  # type: ignore[assignment]
        self.joules += one.joules
        self.low += one.low
        self.high += one.high
        self.warnings += one.warnings
        if one.compared:
            self.compared.append(one.compared)

    @property
    def failed(self) -> int:
        return sum(count for (_, state), count in self.states.items() if state == 'failed')


def _tell(tally: _Tally, out_dir: Path) -> None:
    for line in tally.warnings[:MOST_LINES]:
        _say(line, sys.stderr)
    if len(tally.warnings) > MOST_LINES:
        more = len(tally.warnings) - MOST_LINES
        _say(
            f'… and {more:,} more lines of this kind, in {out_dir}/logs/read-*/{NAME}', sys.stderr
        )
    for line in tally.compared[:MOST_LINES]:
        _say(line)
    if len(tally.compared) > MOST_LINES:
        _say(f'… and {len(tally.compared) - MOST_LINES:,} more, in {out_dir}/logs/read-*/{NAME}')
    for reader in sorted(tally.entries):
        counts = [
            f'{count:,} {state}'
            for state in ('read', 'unchanged', 'failed')
            if (count := tally.states[reader, state])
        ]
        hours = tally.cpu_seconds[reader] / 3600
        _say(
            f'{reader}: {", ".join(counts)}; {tally.entries[reader]:,} entries, {hours:,.2f} CPU hours'
        )
    if tally.joules:
        _say(f'Energy: {energy(tally.joules)} ({energy(tally.low)} to {energy(tally.high)})')
    _say(f'Ledger: {out_dir}/logs; tables and pages: nicarbon account {out_dir}')


def _say(line: str, stream: TextIO | None = None) -> None:
    print(line, file=stream or sys.stdout)
