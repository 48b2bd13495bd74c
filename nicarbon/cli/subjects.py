"""The files of subjects: tables, sidecars, pages and figures, from the ledgers of their runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import __version__, bids, sidecar
from ..cohort import Cohort
from ..complexity import Network
from ..entity import label
from ..report import figures
from ..report.pages import Context, subject_page
from ..summary import Summary, summarise
from .assumed import Assumed
from .counted import of_stages
from .facts import Facts, by_session

__all__ = ['as_json', 'check_labels', 'sidecar_of', 'subject_files', 'summaries']


def summaries(facts: Facts, assumed: Assumed) -> dict[str, list[Summary]]:
    """What every session used, by subject, in order of label.

    Parameters
    ----------
    facts : Facts
    assumed : Assumed

    Returns
    -------
    dict of {str : list of Summary}

    Raises
    ------
    InputError
        When a label is none that BIDS knows.
    """
    intensity = assumed.over(facts.entries)
    grouped: dict[str, list[Summary]] = defaultdict(list)
    for (subject, session), own in by_session(facts.sharing.shares).items():
        if not subject:
            continue
        # A ledger is somebody's file, and its labels become paths here.
        if session:
            label(session, 'ses')
        one = summarise(
            own, intensity, assumed.pue, subject=subject, session=session, at=assumed.at
        )
        grouped[label(subject, 'sub')].append(one)
    return dict(grouped)


def check_labels(cohort: Cohort) -> None:
    """Refuse labels that BIDS does not know: they become paths.

    Raises
    ------
    InputError
        Names the first.
    """
    for name, key in (('subject', 'sub'), ('session', 'ses')):
        for value in cohort.table[name].unique().sort().to_list():
            if value:
                label(value, key)


def subject_files(
    facts: Facts, subjects: Collection[str] | None, context: Context, assumed: Assumed
) -> dict[Path, str]:
    """Text of all files of subjects, by path within the output folder.

    Parameters
    ----------
    facts : Facts
    subjects : collection of str or None
        Labels; None for all.
    context : Context
    assumed : Assumed

    Returns
    -------
    dict of {pathlib.Path : str}
    """
    files: dict[Path, str] = {}
    for subject, sessions in summaries(facts, assumed).items():
        if subjects is None or subject in subjects:
            files |= _files(facts, subject, sessions, context)
    return files


def _files(
    facts: Facts, subject: str, sessions: list[Summary], context: Context
) -> dict[Path, str]:
    runs = {line.share.entry.run_id for summary in sessions for line in summary.lines}
    context = _only(context, runs, subject)
    pictures = {}
    for path in sorted(facts.out_dir.glob(f'sub-{subject}/figures/*_desc-tissue_T1w.svg')):
        pictures[path.stem] = path.read_text('utf-8')
    networks = [of_stages(facts.out_dir, summary) for summary in sessions]
    files: dict[Path, str] = {}
    for summary, counted in zip(sessions, networks, strict=True):
        files |= _drawings(summary, context)
        table = bids.table_path(subject, summary.session)
        files[table] = sidecar.tsv([sidecar.row(line) for line in summary.lines])
        sources = _sources(facts.out_dir, summary)
        files[table.with_suffix('.json')] = as_json(sidecar_of(summary, context, sources, counted))
        files |= _command_files(summary)
    # Last, so that a page tells that everything it links to is there.
    files[bids.page_path(subject)] = subject_page(sessions, pictures, context, networks)
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
        table.with_suffix('.json'): as_json(description),
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


def sidecar_of(
    summary: Summary, context: Context, sources: list[str], networks: Iterable[Network] = ()
) -> dict[str, Any]:
    """Content of the JSON file beside a table."""
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


def as_json(content: Mapping[str, Any]) -> str:
    """JSON for people to read too."""
    return json.dumps(content, indent=2, ensure_ascii=False) + '\n'
