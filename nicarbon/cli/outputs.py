"""Write all tables, sidecars and pages of an output folder from its ledgers.

Used after a run, by ``group`` and by ``account``: what a run measured is only
read here, so that everything can be made again under other assumptions.
"""

from __future__ import annotations

import errno
import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import __version__, bids, sidecar
from ..account import PUE
from ..complexity import Network
from ..entity import label
from ..errors import InputError, OutputError, StorageError
from ..report import figures
from ..report.methods import citations, methods
from ..report.pages import Context, Option, group_page, subject_page
from ..report.references import bibtex
from ..scenario import ELSEWHERE
from ..stage import Stage
from ..summary import Summary, summarise
from .choice import Chosen
from .counted import of_stages
from .facts import Facts, over, people, read, summaries
from .options import Options

__all__ = ['Written', 'scaffold', 'write']


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, and what all of it adds up to.

    Parameters
    ----------
    paths : tuple of pathlib.Path
    dataset : Summary
    pipeline : tuple of Stage
        Stages of the pipelines that ran.
    """

    paths: tuple[Path, ...]
    dataset: Summary
    pipeline: tuple[Stage, ...] = ()

    @property
    def pages(self) -> tuple[Path, ...]:
        """The pages among them."""
        return tuple(path for path in self.paths if path.suffix == '.html')


def write(
    out_dir: Path,
    chosen: Chosen,
    *,
    group: bool,
    subjects: Iterable[str] | None = None,
) -> Written:
    """Write tables, sidecars and pages.

    Parameters
    ----------
    out_dir : pathlib.Path
    chosen : Chosen
        Grid and PUE to account with, and the options that pages show.
    group : bool
        Whether to write the group's files too.
    subjects : iterable of str, optional
        Labels to write files for; all by default.

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
    facts = read(out_dir)
    if subjects is None and not facts.sharing.shares:
        raise InputError(
            f'{out_dir}: no carbon-aware node was run; make nodes aware with '
            'nicarbon.carbon_aware before the workflow runs'
        )
    intensity = over(facts.runs, chosen.options.grid)
    given = chosen.options.pue
    pue = PUE(1.0, 'unset') if given is None else PUE(given)
    by_session = list(summaries(facts.sharing.shares, intensity, pue))
    dataset = summarise(facts.sharing.shares, intensity, pue)
    wanted = None if subjects is None else set(subjects)
    context = _context(facts, chosen)
    files: dict[Path, str] = {}
    for subject, sessions in _by_subject(by_session).items():
        if wanted is None or subject in wanted:
            files |= _subject_files(facts, subject, sessions, context)
    if group:
        persons = list(people(facts.sharing.shares, intensity, pue))
        files |= _group_files(dataset, persons, context)
    files |= _citation(dataset, context)
    paths = [out_dir / name for name in files]
    if not chosen.options.dry_run:
        if not (out_dir / 'dataset_description.json').exists():
            scaffold(out_dir)
        for path, text in zip(paths, files.values(), strict=True):
            _save(path, text)
    return Written(tuple(paths), dataset, context.pipeline)


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


def _by_subject(summaries: Iterable[Summary]) -> dict[str, list[Summary]]:
    grouped: dict[str, list[Summary]] = defaultdict(list)
    for summary in summaries:
        if summary.subject:
            # A ledger is somebody's file, and its labels become paths here.
            if summary.session:
                label(summary.session, 'ses')
            grouped[label(summary.subject, 'sub')].append(summary)
    return grouped


def _context(facts: Facts, chosen: Chosen) -> Context:
    crashes = tuple(
        (path.name, path.read_text('utf-8', errors='replace'))
        for path in sorted(facts.out_dir.glob('logs/*/crash-*.txt'))
    )
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
        hosts=facts.hosts,
        runs=facts.runs,
        balances=facts.sharing.balances,
        warnings=facts.warnings,
        crashes=crashes,
        pipeline=facts.pipeline,
        versions=facts.versions,
        elsewhere=tuple(over(facts.runs, zone) for zone in ELSEWHERE),
    )


def command() -> str:
    """The command line, as it could be pasted."""
    return shlex.join(['nicarbon', *sys.argv[1:]])


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ' '.join(map(str, value)) or 'all'
    return 'not set' if value is None else str(value)


def _subject_files(
    facts: Facts, subject: str, sessions: list[Summary], context: Context
) -> dict[Path, str]:
    runs = {line.share.entry.run_id for summary in sessions for line in summary.lines}
    context = _only(context, runs, subject)
    pictures = {}
    for path in sorted(facts.out_dir.glob(f'sub-{subject}/figures/*_desc-tissue_T1w.svg')):
        pictures[path.stem] = path.read_text('utf-8')
    networks = [of_stages(facts.out_dir, summary) for summary in sessions]
    page = subject_page(sessions, pictures, context, networks)
    files = {bids.page_path(subject): page}
    for summary, counted in zip(sessions, networks, strict=True):
        files |= _drawings(summary, context)
        table = bids.table_path(subject, summary.session)
        files[table] = sidecar.tsv([sidecar.row(line) for line in summary.lines])
        sources = _sources(facts.out_dir, summary)
        files[table.with_suffix('.json')] = _json(_sidecar(summary, context, sources, counted))
        files |= _command_files(summary)
    return files


def _command_files(summary: Summary) -> dict[Path, str]:
    """The programs that the stages ran, if any told."""
    rows = [row for line in summary.lines for row in sidecar.command_rows(line)]
    if not rows:
        return {}
    table = bids.commands_path(summary.subject, summary.session)
    description = sidecar.command_sidecar(__version__)
    return {
        table: sidecar.tsv(rows, list(sidecar.COMMAND_COLUMNS)),
        table.with_suffix('.json'): _json(description),
    }


def _drawings(summary: Summary, context: Context) -> dict[Path, str]:
    """Figures as files of their own, for papers and slides."""
    drawn = {'stages': figures.stages(summary, context.titles)}
    if context.runs:
        shares = [line.share for line in summary.lines]
        drawn['timeline'] = figures.timeline(
            context.runs[-1], shares, subject=summary.subject, titles=context.titles
        )
    return {
        bids.figure_path(summary.subject, summary.session, name, 'carbon'): text
        for name, text in drawn.items()
    }


def _only(context: Context, runs: set[str], subject: str) -> Context:
    """What concerns some runs and one subject."""
    return replace(
        context,
        runs=tuple(run for run in context.runs if run.run_id in runs),
        balances=tuple(balance for balance in context.balances if balance.run_id in runs),
        crashes=tuple(crash for crash in context.crashes if f'sub_{subject}_' in crash[1]),
    )


def _sources(out_dir: Path, summary: Summary) -> list[str]:
    """BIDS URIs of the images, as the derivatives' own sidecars name them."""
    name = bids.derivative_path(summary.subject, summary.session, 'desc-preproc_T1w.json')
    try:
        return list(json.loads((out_dir / name).read_text('utf-8'))['Sources'])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _sidecar(
    summary: Summary, context: Context, sources: list[str], networks: Iterable[Network] = ()
) -> dict[str, Any]:
    return sidecar.sidecar(
        summary,
        version=context.version,
        command=context.command,
        balances=context.balances,
        runs=context.runs,
        hosts=context.hosts,
        sources=sources,
        networks=networks,
    )


def _group_files(dataset: Summary, people: list[Summary], context: Context) -> dict[Path, str]:
    table = sidecar.tsv([sidecar.row(line) for line in dataset.lines])
    description = _json(_sidecar(dataset, context, []))
    links = {one.subject: bids.page_path(one.subject).as_posix() for one in people}
    tables = {'group_carbon.tsv': table, 'group_carbon.json': description}
    page = group_page(dataset, people, links, context, tables=tables)
    names = {**tables, 'group_carbon.html': page}
    return {Path(name): text for name, text in names.items()}


def _citation(dataset: Summary, context: Context) -> dict[Path, str]:
    """The methods paragraph and its references, ready to paste."""
    return {
        Path('logs', 'CITATION.md'): methods(dataset, context),
        Path('logs', 'CITATION.bib'): bibtex(citations(dataset, context)),
    }


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + '\n'


def _save(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f'.{path.name}.draft')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, 'utf-8')
        draft.replace(path)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
            raise StorageError(
                f'{path} cannot be written: {error.strerror}; what was measured is in the '
                "ledger: make room, then run 'nicarbon account' on the output folder"
            ) from None
        raise OutputError(f'{path} cannot be written: {error.strerror}') from None
