"""``nicarbon benchmark``: whole pipelines again and again, and the table that papers print."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import OutputError, UsageError
from ..files import save, save_json
from ..repeats import repeated
from ..report.benchmark import Cell, latex, markdown, tsv
from ..scenario import published
from ..summary import Summary, summarise
from .assumed import Assumed
from .choice import Parser, choose, flags
from .commands import apart
from .facts import by_session, read
from .survey import runs

__all__ = ['command', 'parser']

PIPELINES = ('structural', 'freesurfer', 'fastsurfer')

ON_A_GPU = frozenset({'fastsurfer'})
"""Pipelines of which any stage can use a GPU."""

SECONDS_PER_HOUR = 3600.0
JOULES_PER_WH = 3600.0


def parser() -> Parser:
    """The parser of ``nicarbon benchmark``."""
    asked = Parser(
        prog='nicarbon benchmark',
        usage='nicarbon benchmark [options] BIDS_DIR OUT_DIR [-- OPTION ...]',
        description='Run whole pipelines on all subjects, several times and in random order, '
        'and print runtime, energy and carbon as mean (SD) beside what was published. Each '
        'repetition is an output folder of its own; one that has ended is not run again.',
        epilog='What follows "--" goes to each participant run as it is, such as '
        '"-- --omp-nthreads 4 --fs-license-file FILE". Exit code: 0; 1 if some run failed.',
    )
    asked.add_argument('bids_dir', type=Path, metavar='BIDS_DIR', help='the dataset')
    asked.add_argument('out_dir', type=Path, metavar='OUT_DIR', help='where everything goes')
    asked.add_argument('words', nargs='*', metavar='OPTION', help='for each participant run')
    asked.add_argument(
        '--pipelines',
        type=_several(*PIPELINES),
        default=('freesurfer', 'fastsurfer'),
        metavar='NAME,…',
        help=f'of {", ".join(PIPELINES)} (default: freesurfer,fastsurfer)',
    )
    asked.add_argument(
        '--devices',
        type=_several('cpu', 'gpu'),
        default=('cpu',),
        metavar='DEVICE,…',
        help='cpu, gpu or both: where the networks run (default: cpu)',
    )
    asked.add_argument(
        '--repeats', type=int, default=1, metavar='N', help='runs of each subject (default: 1)'
    )
    asked.add_argument(
        '--seed', type=int, default=0, metavar='N', help='of the order of all runs (default: 0)'
    )
    flags(asked, 'grid', 'pue')
    return asked


def _several(*known: str) -> Callable[[str], tuple[str, ...]]:
    """What argparse makes of words with commas between them."""

    def words(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(word.strip() for word in text.split(',')))
        for word in found:
            if word not in known:
                raise argparse.ArgumentTypeError(f'{word!r} is none of {", ".join(known)}')
        return found

    return words


@dataclass(frozen=True, slots=True)
class _Run:
    """One repetition of one pipeline on one device."""

    pipeline: str
    device: str
    number: int

    def folder(self, out_dir: Path) -> Path:
        return out_dir / f'{self.pipeline}-{self.device}' / f'repeat-{self.number}'


def command(argv: Sequence[str]) -> int:
    """Run what has not been run yet, and print the table.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        0; 1 if some run failed.
    """
    own, _, words = _split(argv)
    given = vars(parser().parse_args(own))
    bids_dir, out_dir = given.pop('bids_dir'), given.pop('out_dir')
    repeats, seed = given.pop('repeats'), given.pop('seed')
    pipelines, devices = given.pop('pipelines'), given.pop('devices')
    if given.pop('words'):
        raise UsageError('options of the participant runs come after --, as in -- --nprocs 4')
    if repeats < 1:
        raise UsageError(f'--repeats {repeats}: give 1 or more')
    apart(bids_dir, out_dir)
    assumed = Assumed.of(choose(given).options)
    plan = _plan(pipelines, devices, repeats)
    codes = {
        one: _run(one, bids_dir, out_dir, words, f'{number} of {len(plan)}')
        for number, one in enumerate(_mixed(plan, seed), 1)
    }
    _write([_cell(one, plan, out_dir, assumed) for one in _kinds(plan)], out_dir, assumed, repeats)
    return 1 if any(codes.values()) else 0


def _split(argv: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Own words, and those that follow ``--``."""
    words = list(argv)
    if '--' not in words:
        return words, '', []
    at = words.index('--')
    return words[:at], '--', words[at + 1 :]


def _plan(pipelines: Iterable[str], devices: Sequence[str], repeats: int) -> list[_Run]:
    kinds = [
        (pipeline, device)
        for pipeline in pipelines
        for device in devices
        if device == 'cpu' or pipeline in ON_A_GPU
    ]
    if not kinds:
        raise UsageError(
            f'--devices gpu: only {", ".join(sorted(ON_A_GPU))} can use one; add cpu, or that '
            'pipeline'
        )
    return [_Run(*kind, number) for kind in kinds for number in range(1, repeats + 1)]


def _kinds(plan: Iterable[_Run]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((one.pipeline, one.device) for one in plan))


def _mixed(plan: Sequence[_Run], seed: int) -> list[_Run]:
    """In random order: a machine that warms up, or others that come and go, favour nobody."""
    return random.Random(seed).sample(plan, len(plan))  # noqa: S311


def _run(one: _Run, bids_dir: Path, out_dir: Path, words: Sequence[str], which: str) -> int:
    """Run it unless it has ended before; its exit code."""
    folder = one.folder(out_dir)
    ended = folder.with_suffix('.json')
    if (code := _code(ended)) is not None:
        return code
    work = folder.with_suffix('.work')
    line = f'{which}: {one.pipeline} on {one.device}, repetition {one.number}'
    print(line, flush=True)  # noqa: T201
    asked = [str(bids_dir), str(folder), 'participant', '--pipeline', one.pipeline]
    asked += ['-w', str(work), *words]
    if one.pipeline in ON_A_GPU:
        asked += ['--device', 'cuda' if one.device == 'gpu' else 'cpu']
    try:
        _set_aside(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A work folder would give results away for nothing.
        shutil.rmtree(work, ignore_errors=True)
        with folder.with_suffix('.log').open('w', encoding='utf-8') as log:
            code = subprocess.call(
                [sys.executable, '-m', 'nicarbon', *asked], stdout=log, stderr=log
            )
    except OSError as error:
        raise OutputError(f'{folder.parent} cannot be written: {error.strerror}') from None
    if code:
        print(f'{line} ended with {code}: {_last(folder.with_suffix(".log"))}', file=sys.stderr)  # noqa: T201
    if code in {130, 143}:
        raise KeyboardInterrupt
    shutil.rmtree(work, ignore_errors=True)
    # What was refused before it began is run when it is mended.
    if code in {0, 1}:
        save_json(ended, {'exit_code': code, 'words': asked})
    return code


def _code(path: Path) -> int | None:
    """How a run ended; None if it has not."""
    try:
        return int(json.loads(path.read_text('utf-8'))['exit_code'])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _set_aside(folder: Path) -> None:
    """What was cut off is kept, and no part of the table."""
    number = 1
    while folder.exists():
        aside = folder.with_name(f'cut-off-{folder.name}-{number}')
        if not aside.exists():
            folder.rename(aside)
        number += 1


def _last(log: Path) -> str:
    lines = [line.strip() for line in log.read_text('utf-8', 'replace').splitlines()]
    return next((line for line in reversed(lines) if line), 'it said nothing')


def _cell(kind: tuple[str, str], plan: Iterable[_Run], out_dir: Path, assumed: Assumed) -> Cell:
    pipeline, device = kind
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    factors: dict[str, list[float]] = defaultdict(list)
    failed = 0
    for one in plan:
        if (one.pipeline, one.device) == kind:
            for summary in _sessions(one.folder(out_dir), assumed):
                if not (summary.complete and summary.footprint.joules):
                    failed += 1
                    continue
                name = f'{summary.subject}/{summary.session}'
                for quantity, (value, factor) in _values(summary).items():
                    values[quantity][name].append(value)
                    factors[quantity].append(factor)
    found = {name: repeated(own) for name, own in values.items()}
    told = published(pipeline, device) if (pipeline, device) in _PUBLISHED else None
    return Cell(
        pipeline,
        device,
        {name: one for name, one in found.items() if one is not None},
        {name: max(own) for name, own in factors.items()},
        told,
        failed,
    )


_PUBLISHED = {('freesurfer', 'cpu'), ('fastsurfer', 'cpu'), ('fastsurfer', 'gpu')}


def _sessions(folder: Path, assumed: Assumed) -> Iterator[Summary]:
    """What each session of a repetition came to; none where it left nothing."""
    names = runs(folder)
    if not names:
        return
    facts = read(folder, names)
    for (subject, session), shares in by_session(facts.sharing.shares).items():
        if subject:
            intensity = assumed.over(one.entry for one in shares)
            yield summarise(
                shares, intensity, assumed.pue, subject=subject, session=session, at=assumed.at
            )


def _values(one: Summary) -> dict[str, tuple[float, float]]:
    """Each quantity, and its factor at 95 %."""
    spent = one.footprint
    _, high = spent.kwh_bounds
    return {
        'hours': (one.busy_seconds / SECONDS_PER_HOUR, 1.0),
        'wh': (spent.kwh * 1000, high / spent.kwh),
        'grams': (spent.grams, spent.high / spent.grams),
    }


def _write(cells: Sequence[Cell], out_dir: Path, assumed: Assumed, repeats: int) -> None:
    notes = _notes(cells, assumed, repeats)
    table = markdown(cells, notes)
    for name, text in (
        ('benchmark.md', table),
        ('benchmark.tsv', tsv(cells)),
        ('benchmark.tex', latex(cells, notes)),
    ):
        try:
            save(out_dir / name, text)
        except OSError as error:
            raise OutputError(f'{out_dir / name} cannot be written: {error.strerror}') from None
    print(table, end='')  # noqa: T201
    print(f'\nTables: {out_dir}/benchmark.md, .tsv and .tex')  # noqa: T201


def _notes(cells: Iterable[Cell], assumed: Assumed, repeats: int) -> list[str]:
    grid, pue = assumed.over(()), assumed.pue
    zone = f'{grid.zone}, assumed' if grid.tier == 'assumed' else grid.zone
    facility = f'PUE {pue.value:g}' if pue.origin == 'given' else 'IT energy only, no PUE'
    own = f'Mean (SD of one run of one subject), {repeats} repetition(s) of each.'
    own += f' Grid: {grid.g_per_kwh:.3g} gCO2e/kWh ({zone}); {facility}.'
    notes = [f'{own} Runtime is the time in which any stage ran.']
    told = [cell.published for cell in cells if cell.published]
    if told:
        holds = f'PUE {told[0].pue:g} and {told[0].g_per_kwh:g} gCO2e/kWh'
        notes.append(f'Published: {told[0].source}; they hold {holds}. {told[0].caveat}')
    failed = sum(cell.failed for cell in cells)
    if failed:
        notes.append(f'{failed} run(s) of a session are left out: a stage failed or was not seen.')
    return notes
