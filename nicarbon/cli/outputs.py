"""Write all tables, sidecars and pages of an output folder from its ledgers.

Used after a run, by ``group`` and by ``account``: what a run measured is only
read here, so that everything can be made again under other assumptions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from .. import bids
from ..advice import Known
from ..columns import tsv
from ..errors import InputError
from ..exports import MOST_TASKS, all_of
from ..report.methods import citations, methods
from ..report.pages import MOST_EMBEDDED, Context, Download, group_page, largest
from ..report.references import bibtex
from ..sidecar import COLUMNS
from ..stage import Stage
from ..summary import Kind, Summary, kinds, summarise
from .advise import known_of
from .assumed import Assumed
from .choice import Chosen
from .contexts import of_all, of_facts
from .export import about
from .facts import known_pipeline, read
from .gather import Gathered, Survey, load, survey, tables
from .remake import Remake, mark, mark_alone, remade, unmark
from .saving import draft, save_all, scaffold
from .screen import Progress
from .subjects import as_json, check_labels, sidecar_of, subject_files

if TYPE_CHECKING:
    from polars import DataFrame

__all__ = ['Written', 'write', 'write_group']


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


def write(out_dir: Path, chosen: Chosen, subjects: Iterable[str], *, alone: str = '') -> Written:
    """Write tables, sidecars and pages of some subjects, from the ledgers of their runs.

    Parameters
    ----------
    out_dir : pathlib.Path
    chosen : Chosen
        Grid and PUE to account with, and the options that pages show.
    subjects : iterable of str
        Labels.
    alone : str
        The one run to look at, where subjects have no other and ``group`` comes later: each of
        thousands of jobs would else look at what all the others have written.

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
    names = (alone,) if alone else ()
    found = survey(out_dir, keep=not dry_run, tell=Progress(sys.stderr), names=names)
    own = {name for name, about in found.about.items() if about.subjects & wanted}
    beside = {name for cluster in found.clusters if own.intersection(cluster) for name in cluster}
    facts, assumed = read(out_dir, beside), Assumed.of(chosen.options)
    context = of_facts(facts, chosen, assumed)
    made = subject_files(facts, wanted, context, assumed)
    shares = [one for one in facts.sharing.shares if one.entry.subject in wanted]
    total = summarise(shares, assumed.over(facts.entries), assumed.pue, at=assumed.at)
    everybody = {subject for about in found.about.values() for subject in about.subjects}
    # Jobs side by side each know a part; the text is of all, or better than none.
    if (everybody <= wanted and not alone) or not (out_dir / 'logs' / 'CITATION.md').exists():
        made |= _citation(total, context)
    if not dry_run:
        unmark(out_dir, chosen)
        if alone:
            mark_alone(out_dir, alone)
        save_all(out_dir, made)
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
        check_labels(gathered.cohort)
        if gathered.cohort.table.is_empty():
            raise InputError(
                f'{out_dir}: no carbon-aware node was run; make nodes aware with '
                'nicarbon.carbon_aware before the workflow runs'
            )
    pipeline = known_pipeline(gathered.cohort.stages, gathered.versions)
    dataset = gathered.cohort.dataset(pipeline)
    context = of_all(out_dir, gathered, pipeline, chosen, assumed)
    made = _citation(dataset.total, context)
    paths: list[Path] = []
    if group:
        exported = _exported(found, gathered, assumed)
        told = known_of(gathered, dataset, pipeline, assumed)
        made |= exported | _group_files(found, gathered, told, context, exported)
        paths.append(out_dir / 'group_carbon.tsv')
    if not dry_run:
        if not (out_dir / 'dataset_description.json').exists():
            scaffold(out_dir)
        save_all(out_dir, made)
    # The dataset's page comes first: those of very many subjects take their time.
    paths += [*(out_dir / name for name in made), *sorted(remade(found, chosen, remake))]
    if not dry_run:
        mark(out_dir, chosen)
    return Written(tuple(paths), dataset.total, dataset.kinds, pipeline)


@contextmanager
def _table(out_dir: Path) -> Iterator[TextIO]:
    """The group's table, written as its rows are read."""
    with draft(out_dir / 'group_carbon.tsv') as table:
        table.write('\t'.join(COLUMNS) + '\n')
        yield table


def _append(table: TextIO, rows: DataFrame) -> None:
    table.write(tsv(rows))


def _exported(found: Survey, gathered: Gathered, assumed: Assumed) -> dict[Path, str]:
    """The same in formats of others, while it is not too much for them."""
    if gathered.cohort.table.height > MOST_TASKS:
        return {}
    rows = (row for part in tables(found, assumed) for row in part.iter_rows(named=True))
    texts = all_of(rows, about(gathered))
    return {Path(name): text for name, text in texts.items()}


def _group_files(
    found: Survey,
    gathered: Gathered,
    told: Known,
    context: Context,
    exported: Mapping[Path, str],
) -> dict[Path, str]:
    dataset = told.dataset
    description = as_json(sidecar_of(dataset.total, context, []))
    links = {one.subject: bids.page_path(one.subject).as_posix() for one in dataset.people}
    offered = {
        'group_carbon.tsv': _download(found.out_dir / 'group_carbon.tsv'),
        'group_carbon.json': Download.of(description),
    } | {path.name: Download.of(text) for path, text in exported.items()}
    drawn = largest(context.runs)
    names = {gathered.folders[run.run_id, run.host] for run in drawn}
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
