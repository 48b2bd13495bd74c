"""Write all tables, sidecars and pages of an output folder from its ledgers.

Used after a run, by ``group`` and by ``account``: what a run measured is only
read here, so that everything can be made again under other assumptions.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TextIO

from .. import __version__, bids, files
from ..advice import Known
from ..columns import tsv
from ..errors import InputError, OutputError, StorageError
from ..exports import MOST_TASKS, all_of
from ..grids import parse
from ..report.methods import citations, methods
from ..report.pages import MOST_EMBEDDED, Context, Download, Option, group_page, largest
from ..report.references import bibtex
from ..scenario import ELSEWHERE
from ..sidecar import COLUMNS
from ..stage import Stage
from ..summary import Kind, Summary, kinds, summarise
from .advise import known_of
from .assumed import Assumed, over
from .choice import Chosen
from .export import about
from .facts import Facts, known_pipeline, read
from .gather import Gathered, Survey, load, pool, survey, tables
from .options import Options
from .screen import Progress
from .subjects import as_json, sidecar_of, subject_files

if TYPE_CHECKING:
    from polars import DataFrame

__all__ = ['Written', 'scaffold', 'write', 'write_group']

MARK = 'accounted.json'
"""In ``logs``: with what the subjects' pages were made."""

SOME = 8
"""Groups of subjects whose files are written: more are worth starting processes for."""

CRASHES = 20
"""Crash reports that a page shows."""

Remake = Literal['all', 'stale']


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and what all of it adds up to.

    Parameters
    ----------
    paths : tuple of pathlib.Path
    total : Summary
    kinds : sequence of Kind
        The same by stage.
    pipeline : tuple of Stage
        Stages of the pipelines that ran.
    """

    paths: tuple[Path, ...]
    total: Summary
    kinds: Sequence[Kind]
    pipeline: tuple[Stage, ...] = ()

    @property
    def pages(self) -> tuple[Path, ...]:
        """The pages among them."""
        return tuple(path for path in self.paths if path.suffix == '.html')


def write(out_dir: Path, chosen: Chosen, subjects: Iterable[str]) -> Written:
    """Write tables, sidecars and pages of some subjects, from the ledgers of their runs.

    Parameters
    ----------
    out_dir : pathlib.Path
    chosen : Chosen
        Grid and PUE to account with, and the options that pages show.
    subjects : iterable of str
        Labels.

    Returns
    -------
    Written

    Raises
    ------
    InputError
        When there is no ledger.
    OutputError
        When the folder cannot be written.
    """
    dry_run, wanted = chosen.options.dry_run, set(subjects)
    found = survey(out_dir, keep=not dry_run, tell=Progress(sys.stderr))
    own = {name for name, about in found.about.items() if about.subjects & wanted}
    beside = {name for cluster in found.clusters if own.intersection(cluster) for name in cluster}
    facts, assumed = read(out_dir, beside), Assumed.of(chosen.options)
    context = _of_facts(facts, chosen, assumed)
    made = subject_files(facts, wanted, context, assumed)
    shares = [one for one in facts.sharing.shares if one.entry.subject in wanted]
    total = summarise(shares, assumed.over(facts.entries), assumed.pue, at=assumed.at)
    made |= _citation(total, context)
    if not dry_run:
        _save_all(out_dir, made)
        _mark(out_dir, chosen)
    paths = tuple(out_dir / name for name in made)
    return Written(paths, total, kinds(total, context.titles), context.pipeline)


def write_group(out_dir: Path, chosen: Chosen, *, group: bool, remake: Remake) -> Written:
    """Write the files of the dataset, and those of subjects.

    Parameters
    ----------
    out_dir : pathlib.Path
    chosen : Chosen
        As for :func:`write`.
    group : bool
        Whether to write those of the dataset.
    remake : {'all', 'stale'}
        Whose files to write besides: of all subjects, or of those that have none, or such as
        are older than what is known now, or were made with other assumptions.

    Returns
    -------
    Written

    Raises
    ------
    InputError
        When there is no ledger, or nothing in it.
    OutputError
        When the folder cannot be written.
    """
    dry_run = chosen.options.dry_run
    found = survey(out_dir, keep=not dry_run, tell=Progress(sys.stderr))
    assumed = Assumed.of(chosen.options)
    with _table(out_dir) if group and not dry_run else nullcontext() as table:
        gathered = load(found, assumed, each=None if table is None else partial(_append, table))
        if gathered.cohort.table.is_empty():
            raise InputError(
                f'{out_dir}: no carbon-aware node was run; make nodes aware with '
                'nicarbon.carbon_aware before the workflow runs'
            )
    pipeline = known_pipeline(gathered.cohort.stages, gathered.versions)
    dataset = gathered.cohort.dataset(pipeline)
    context = _of_all(out_dir, gathered, pipeline, chosen, assumed)
    paths = list(_subjects(found, chosen, remake))
    made = _citation(dataset.total, context)
    if group:
        exported = _exported(found, gathered, assumed)
        told = known_of(gathered, dataset, pipeline, assumed)
        made |= exported | _group_files(found, told, context, exported)
        paths.append(out_dir / 'group_carbon.tsv')
    if not dry_run:
        if not (out_dir / 'dataset_description.json').exists():
            scaffold(out_dir)
        _save_all(out_dir, made)
        _mark(out_dir, chosen)
    return Written(
        (*paths, *(out_dir / name for name in made)), dataset.total, dataset.kinds, pipeline
    )


@contextmanager
def _table(out_dir: Path) -> Iterator[TextIO]:
    """The group's table, written row by row: whole in the end, or as it was."""
    path = out_dir / 'group_carbon.tsv'
    draft = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        with draft.open('w', encoding='utf-8') as table:
            table.write('\t'.join(COLUMNS) + '\n')
            yield table
        draft.replace(path)
    except OSError as error:
        raise _cannot(path, error) from None
    finally:
        draft.unlink(missing_ok=True)


def _append(table: TextIO, rows: DataFrame) -> None:
    table.write(tsv(rows))


def _subjects(found: Survey, chosen: Chosen, remake: Remake) -> Iterator[Path]:
    """Write files of subjects; yields their paths."""
    todo = _everybody(found)
    if remake == 'stale' and _marked(found.out_dir) == _assumptions(chosen):
        todo = _stale(found, todo)
    tasks = [(found.out_dir, chosen, *each) for each in _together(found, todo)]
    tell = Progress(sys.stderr, 'subjects', 'files written')
    done = 0
    with pool() if len(tasks) > SOME else nullcontext() as many:
        for paths, (_, _, subjects, _) in zip(
            many.map(_write_some, tasks) if many else map(_write_some, tasks), tasks, strict=True
        ):
            done += len(subjects)
            tell(done, len(todo))
            yield from paths


def _everybody(found: Survey) -> dict[str, list[str]]:
    """The runs of each subject."""
    runs: dict[str, list[str]] = defaultdict(list)
    for name, known in found.about.items():
        for subject in known.subjects:
            runs[subject].append(name)
    return runs


def _stale(found: Survey, runs: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Subjects whose page is not there, or older than what is known of one of their runs."""

    def changed(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    known = {name: changed(found.path(name)) or float('inf') for name in found.about}
    return {
        subject: own
        for subject, own in runs.items()
        if changed(found.out_dir / bids.page_path(subject)) < max(known[name] for name in own)
    }


def _together(
    found: Survey, todo: Mapping[str, list[str]]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Subjects, and the runs that they are known from, such that no run is read twice."""
    beside = {name: cluster for cluster in found.clusters for name in cluster}
    of_run: dict[str, set[str]] = defaultdict(set)
    for subject, own in todo.items():
        for name in own:
            of_run[name].add(subject)
    left = dict(todo)
    while left:
        subjects: set[str] = set()
        names: set[str] = set()
        waiting = [next(iter(left))]
        while waiting:
            subject = waiting.pop()
            if left.pop(subject, None) is None:
                continue
            subjects.add(subject)
            for name in {each for own in todo[subject] for each in beside[own]} - names:
                names.add(name)
                waiting += of_run[name] - subjects
        yield frozenset(subjects), frozenset(names)


def _write_some(task: tuple[Path, Chosen, frozenset[str], frozenset[str]]) -> list[Path]:
    out_dir, chosen, subjects, names = task
    facts, assumed = read(out_dir, names), Assumed.of(chosen.options)
    made = subject_files(facts, subjects, _of_facts(facts, chosen, assumed), assumed)
    if not chosen.options.dry_run:
        _save_all(out_dir, made)
    return [out_dir / name for name in made]


def _assumptions(chosen: Chosen) -> dict[str, Any]:
    options = chosen.options
    return {'nicarbon': __version__, 'grid': options.grid, 'pue': options.pue}


def _marked(out_dir: Path) -> dict[str, Any] | None:
    """With what the subjects' pages were made; None where nobody says."""
    try:
        marked = json.loads((out_dir / 'logs' / MARK).read_text('utf-8'))
    except (OSError, ValueError):
        return None
    return marked if isinstance(marked, dict) else None


def _mark(out_dir: Path, chosen: Chosen) -> None:
    _save(out_dir / 'logs' / MARK, as_json(_assumptions(chosen)))


def scaffold(
    out_dir: Path,
    source: Path | None = None,
    programs: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write the files that make a folder a BIDS derivative.

    Parameters
    ----------
    out_dir : pathlib.Path
    source : pathlib.Path, optional
        The raw dataset.
    programs : mapping of {str : str}
        Further programs that make the derivatives, and their versions.
    """
    description = bids.dataset_description(__version__, source, programs)
    _save(out_dir / 'dataset_description.json', json.dumps(description, indent=2) + '\n')
    _save(out_dir / '.bidsignore', bids.IGNORE)
    _save(out_dir / 'README.md', bids.README)


def _of_facts(facts: Facts, chosen: Chosen, assumed: Assumed) -> Context:
    runs = sorted({entry.run_id for entry in facts.entries})
    return _context(
        chosen,
        assumed,
        hosts=facts.hosts,
        runs=facts.runs,
        balances=facts.sharing.balances,
        warnings=facts.warnings,
        crashes=_read_crashes(
            path for run in runs for path in sorted(facts.out_dir.glob(f'logs/{run}/crash-*.txt'))
        ),
        pipeline=facts.pipeline,
        versions=facts.versions,
    )


def _of_all(
    out_dir: Path,
    gathered: Gathered,
    pipeline: tuple[Stage, ...],
    chosen: Chosen,
    assumed: Assumed,
) -> Context:
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


def _exported(found: Survey, gathered: Gathered, assumed: Assumed) -> dict[Path, str]:
    """The same in formats of others, while it is not too much for them."""
    if gathered.cohort.table.height > MOST_TASKS:
        return {}
    rows = (row for part in tables(found, assumed) for row in part.iter_rows(named=True))
    texts = all_of(rows, about(gathered))
    return {Path(name): text for name, text in texts.items()}


def _group_files(
    found: Survey, told: Known, context: Context, exported: Mapping[Path, str]
) -> dict[Path, str]:
    dataset = told.dataset
    description = as_json(sidecar_of(dataset.total, context, []))
    links = {one.subject: bids.page_path(one.subject).as_posix() for one in dataset.people}
    offered = {
        'group_carbon.tsv': _download(found.out_dir / 'group_carbon.tsv'),
        'group_carbon.json': Download.of(description),
    } | {path.name: Download.of(text) for path, text in exported.items()}
    drawn = largest(context.runs)
    names = {run.run_id for run in drawn}
    beside = {
        name for cluster in found.clusters if names.intersection(cluster) for name in cluster
    }
    facts = read(found.out_dir, beside)
    whole = {(run.run_id, run.host, run.boot_id): run for run in facts.runs}
    context = replace(
        context,
        drawn=tuple(
            whole[key] for run in drawn if (key := (run.run_id, run.host, run.boot_id)) in whole
        ),
    )
    shares = facts.sharing.shares
    page = group_page(dataset, links, context, shares=shares, tables=offered, known=told)
    return {Path('group_carbon.json'): description, Path('group_carbon.html'): page}


def _download(path: Path) -> Download:
    """A file beside the page; its text if it is small."""
    try:
        size = path.stat().st_size
        return Download(size, path.read_text('utf-8') if size <= MOST_EMBEDDED else None)
    except OSError:
        return Download(0)


def _citation(total: Summary, context: Context) -> dict[Path, str]:
    """The methods paragraph and its references, ready to paste."""
    return {
        Path('logs', 'CITATION.md'): methods(total, context),
        Path('logs', 'CITATION.bib'): bibtex(citations(total, context)),
    }


def _save_all(out_dir: Path, made: Mapping[Path, str]) -> None:
    for name, text in made.items():
        _save(out_dir / name, text)


def _save(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        files.save(path, text)
    except OSError as error:
        raise _cannot(path, error) from None


def _cannot(path: Path, error: OSError) -> OutputError | StorageError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
        return StorageError(
            f'{path} cannot be written: {error.strerror}; what was measured is in the '
            "ledger: make room, then run 'nicarbon account' on the output folder"
        )
    return OutputError(f'{path} cannot be written: {error.strerror}')
