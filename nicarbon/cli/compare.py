"""``nicarbon compare``: the other trackers on the same run of a program."""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import command as programs
from .. import host, meters
from ..account import Intensity
from ..errors import InputError, NicarbonError, StageError, UnavailableError, UsageError
from ..host import online_cores
from ..rivals import RIVALS, Rival, environments, named
from ..rivals.race import How, Run, Seat, run_beside, run_inside
from ..rivals.signals import Signals
from ..rivals.truth import HostCounter
from .assumed import Assumed
from .choice import Parser, choose, flags
from .compared import Comparison, write
from .execute import writable

__all__ = ['Interpreter', 'command', 'compare', 'parser']

Interpreter = Callable[[Rival], Path]
"""Tells the Python of a tracker's environment; raises when there is none."""


def parser() -> Parser:
    """The parser of ``nicarbon compare``."""
    made = Parser(
        prog='nicarbon compare',
        usage='nicarbon compare [options] -- CMD [ARG ...]',
        description='Run a program once, with nicarbon around it and other trackers beside it, '
        'each in a process and a virtual environment of its own, all reading the same counters, '
        'and say in one table what each tells and what each costs; then the same joules under '
        'one grid and PUE, so that what differs is the measuring. A tracker that cannot run '
        'here has a row that says why.',
        epilog='exit code: 0; 1 if CMD fails, whose exit code is reported; 130 and 143 after '
        'Ctrl-C and SIGTERM, which CMD gets too.',
    )
    made.add_argument(
        'words', nargs=argparse.REMAINDER, metavar='CMD', help='the program and its arguments'
    )
    names = ','.join(rival.name for rival in RIVALS)
    made.add_argument(
        '--with',
        dest='rivals',
        default=names,
        metavar='NAMES',
        help=f'trackers, by commas (default: {names}). impact-tracker follows its own children '
        'alone: for it CMD is run once more, if it can measure here',
    )
    made.add_argument(
        '-o',
        '--out-dir',
        type=Path,
        default=Path('compare'),
        metavar='OUT_DIR',
        help='gets compare.tsv, compare.json and compare.html (default: compare)',
    )
    _how(made)
    flags(made, 'grid', 'pue', 'config_file')
    return made


def _how(made: Parser) -> None:
    """Options that say how CMD is run, and trackers."""
    made.add_argument(
        '--repeats',
        type=int,
        default=1,
        metavar='N',
        help='runs of CMD, in random order, after one that is not counted (default: one run)',
    )
    made.add_argument(
        '--seed', type=int, default=0, metavar='N', help='of the random order (default: 0)'
    )
    made.add_argument(
        '--cores',
        type=float,
        default=1.0,
        metavar='N',
        help='cores that are kept for CMD, as in nicarbon exec (default: 1)',
    )
    made.add_argument(
        '--envs',
        type=Path,
        metavar='DIR',
        help='virtual environments of the trackers, made by pip when they are first asked for '
        "(default: in the user's cache folder)",
    )
    made.add_argument(
        '--patience',
        type=float,
        default=60.0,
        metavar='SECONDS',
        help='that a tracker may take to start, and to stop (default: 60)',
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be compared, and how often.

    Parameters
    ----------
    program : tuple of str
        CMD and its arguments.
    rivals : tuple of Rival
    out_dir : pathlib.Path
    assumed : Assumed
        The one grid and PUE.
    repeats, seed : int
    cores : float
        That are kept for CMD.
    patience : float
        In seconds.
    """

    program: tuple[str, ...]
    rivals: tuple[Rival, ...]
    out_dir: Path
    assumed: Assumed
    repeats: int = 1
    seed: int = 0
    cores: float = 1.0
    patience: float = 60.0

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise UsageError(f'--repeats {self.repeats}: a number of 1 or more')
        if not 0 <= self.cores <= online_cores():
            raise UsageError(f'--cores {self.cores:g}: this machine has {online_cores()}')
        if not self.patience > 0:
            raise UsageError(f'--patience {self.patience:g}: more than 0 seconds')
        if shutil.which(self.program[0]) is None:
            raise InputError(f'{self.program[0]}: no such program')


def command(argv: Sequence[str]) -> int:
    """Run ``nicarbon compare``.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    NicarbonError
        When the program fails, after all has been written; or before it is run.
    """
    asked = parser()
    given = vars(asked.parse_args(argv))
    words = given['words'][1:] if given['words'][:1] == ['--'] else given['words']
    if not words:
        asked.error('no program: nicarbon compare [options] -- CMD [ARG ...]')
    chosen = choose(
        {name: given[name] for name in ('grid', 'pue', 'config_file') if name in given}
    )
    wanted = Asked(
        tuple(words),
        named(word.strip() for word in given['rivals'].split(',') if word.strip()),
        given['out_dir'],
        Assumed.from_now_on(chosen.options),
        given['repeats'],
        given['seed'],
        given['cores'],
        given['patience'],
    )
    return compare(wanted, partial(_interpreter, given['envs'] or _cache()))


def compare(asked: Asked, interpreter: Interpreter) -> int:
    """Run the program beside trackers, and write what came of it.

    Parameters
    ----------
    asked : Asked
    interpreter : callable

    Returns
    -------
    int
        0; 128 and the number of the signal after one that asked for an end.

    Raises
    ------
    StageError
        When the program failed; all has been written.
    """
    out_dir = writable(asked.out_dir)
    seats = [_seat(rival, interpreter) for rival in asked.rivals]
    for seat in seats:
        if seat.why:
            _say(f'{seat.rival.name}: {seat.why}')
    machine = host.cached()
    signals = Signals()
    with (
        programs.blocked_signals() as mask,
        signals.taken(),
        HostCounter(meters.find(machine)) as counter,
    ):
        logs = out_dir / 'logs'
        how = How(
            logs, dict(os.environ), mask, signals, asked.cores, _country(asked), asked.patience
        )
        runs = _runs(asked, seats, how)
    told = Comparison(asked.program, seats, runs, counter, machine, asked.assumed, asked.seed)
    write(told, out_dir)
    if signals.caught:
        return 128 + signals.caught
    failed = [_ended(run, asked) for run in runs if run.code != 0 and (run.why or not run.inside)]
    failed += [_ended(run, asked) for run in runs if run.inside and run.code]
    if failed:
        raise StageError(f'{failed[0]}; what was measured is in {out_dir}')
    return 0


def _runs(asked: Asked, seats: Sequence[Seat], how: How) -> list[Run]:
    """All runs that count, in random order; what fails or is interrupted is the last."""
    order = random.Random(asked.seed)  # noqa: S311 - no secret: the same seed, the same order
    beside = [seat for seat in seats if not seat.rival.inside]
    inside = [seat for seat in seats if seat.rival.inside]
    every: list[Seat | None] = [None, *inside]
    plan: list[Seat | None] = [None] * (asked.repeats > 1)
    for _ in range(asked.repeats):
        plan += order.sample(every, len(every)) if asked.repeats > 1 else every
    _say(_plan(asked, inside))
    runs: list[Run] = []
    for number, seat in enumerate(plan):
        part = How(**{**_fields(how), 'folder': how.folder / f'run-{number + 1}'})
        if seat is None:
            run = run_beside(asked.program, beside, part, order)
        else:
            run = run_inside(asked.program, seat, part)
        warm_up = asked.repeats > 1 and number == 0
        if not warm_up or run.code != 0:
            runs.append(run)
        if how.signals.caught or (run.code != 0 and (run.code is not None or not run.inside)):
            break
    return runs


def _fields(how: How) -> dict[str, Any]:
    return {name: getattr(how, name) for name in How.__slots__}


def _plan(asked: Asked, inside: Sequence[Seat]) -> str:
    times = asked.repeats
    words = f'{shlex.join(asked.program)}: {times} run{"s" if times > 1 else ""} beside trackers'
    for seat in inside:
        if seat.python is not None:
            words += f', {times} more inside {seat.rival.name} if that can measure here'
    return words + (', after one to warm up' if times > 1 else '')


def _seat(rival: Rival, interpreter: Interpreter) -> Seat:
    try:
        return Seat(rival, interpreter(rival))
    except (NicarbonError, OSError) as error:
        return Seat(rival, None, ' '.join(str(error).split()))


def _interpreter(folder: Path, rival: Rival) -> Path:
    try:
        return environments.interpreter(folder.absolute() / rival.pins.stem, rival.pins, _say)
    except OSError as error:
        raise UnavailableError(f'not installed: {error}') from None


def _cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path('nicarbon') / 'rivals'


def _country(asked: Asked) -> Mapping[str, str]:
    """The country of the grid, as the trackers take it; nothing where none is named."""
    zone = _zone(asked.assumed.grid.whole())
    if not zone:
        return {}
    import pycountry

    known = pycountry.countries.get(alpha_2=zone)
    return {'country2': zone, 'country3': known.alpha_3} if known else {}


def _zone(intensity: Intensity) -> str:
    """Two letters; empty for the world, and for a number.

    Examples
    --------
    >>> from ..grids import parse
    >>> [_zone(parse(text).whole()) for text in ('CA-QC', 'SE3', '30', 'world')]
    ['CA', 'SE', '', '']
    """
    zone = intensity.zone
    return '' if zone in {'world', 'given'} else zone[:2].upper()


def _ended(run: Run, asked: Asked) -> str:
    name = Path(asked.program[0]).name
    if run.code is None:
        return f'{name} was not run: {run.why}'
    how = f'exit code {run.code}' if run.code > 0 else f'signal {-run.code}'
    return f'{name} ended with {how}'


def _say(line: str) -> None:
    print(f'nicarbon: {line}', file=sys.stderr, flush=True)  # noqa: T201
