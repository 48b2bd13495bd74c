"""Values → one self-contained HTML page: nothing is loaded, from anywhere.

A content security policy in the page forbids it to load or run anything but
its own style sheet and its own script, by their hashes: whatever a label, a
path or an error message holds stays text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..complexity import Network
from ..entry import Entry
from ..share import Share
from ..summary import Summary, summarise
from . import figures as draw
from .balances import BalanceView, balance_view
from .cards import assumptions, cards, components
from .context import Context, Option
from .elsewhere import elsewhere
from .figures.axes import QUANTITIES, Quantity
from .figures.svg import clean
from .gpus import gpu_table
from .methods import citations, methods
from .networks import networks_table
from .numbers import label, spread_of, unusual, was_seen
from .pairs import pair_tables
from .programs import programs_table
from .references import bibtex
from .tables import kinds_table, policies, stage_table, subjects_table
from .words import headline, lost_sentence

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ['Context', 'Option', 'group_page', 'subject_page']

MOST_DRAWN = 6
"""Runs shown in full on one page, with timeline and balance: those that used the most."""

MOST_EMBEDDED = 100_000
"""Characters of tables that are embedded; beyond, the page links to the files beside it."""


def subject_page(
    summaries: Sequence[Summary],
    figures: Mapping[str, str],
    context: Context,
    networks: Sequence[Sequence[Network]] = (),
) -> str:
    """Write the page of one subject.

    Parameters
    ----------
    summaries : sequence of Summary
        One per session of the subject.
    figures : mapping of {str : str}
        Pictures as SVG text, by title.
    context : Context
    networks : sequence of sequence of Network
        Those that ran, counted, for each of the summaries.

    Returns
    -------
    str
        HTML.
    """
    subject = summaries[0].subject if summaries else ''
    who = f'sub-{subject}' if subject else 'the subject'
    shares = [line.share for summary in summaries for line in summary.lines]
    total = _whole(summaries, shares, subject)
    runs = [run for run in context.runs if any(_of_run(run, one.entry) for one in shares)]
    titles = context.titles
    return _render(
        'subject.html',
        context,
        heading=who,
        total=total,
        sentence=headline(total, who) if total else f'Nothing is known of {who}.',
        cards=cards(total) if total else [],
        components=components(total, runs) if total else [],
        assumptions=assumptions(total) if total else [],
        sessions=[
            (
                label(one),
                stage_table(one, titles),
                _either(draw.stages, one, titles),
                programs_table(one, titles),
            )
            for one in summaries
        ],
        gpus=gpu_table(total, titles) if total else None,
        networks=[
            (label(one), networks_table(counted, one, titles))
            for one, counted in zip(summaries, networks, strict=False)
            if counted
        ],
        elsewhere=elsewhere(total, context.elsewhere) if total else [],
        policies=policies(total) if total and was_seen(total) else [],
        balances=_balances(context, runs, subject),
        timelines=_timelines(runs, shares, titles, subject),
        pictures=[(title, _picture(svg)) for title, svg in figures.items()],
        methods=methods(total, context) if total else '',
        bibtex=bibtex(citations(total, context)) if total else '',
    )


def group_page(
    dataset: Summary,
    subjects: Sequence[Summary],
    links: Mapping[str, str],
    context: Context,
    *,
    tables: Mapping[str, str],
) -> str:
    """Write the page of a dataset.

    Parameters
    ----------
    dataset : Summary
        All stages of all subjects.
    subjects : sequence of Summary
        One per subject, or per session.
    links : mapping of {str : str}
        Subject label to the address of its page, relative to this one.
    context : Context
    tables : mapping of {str : str}
        Files to offer for download: name and content.

    Returns
    -------
    str
        HTML.
    """
    shares = [line.share for line in dataset.lines]
    titles = context.titles
    spread = spread_of([one.footprint.joules for one in subjects if one.complete])
    count = len({one.subject for one in subjects})
    # Nodes of somebody's own workflow may belong to nobody.
    many, what = (count, 'participant') if count else (len(dataset.lines), 'stage')
    who = f'{many} {what}{"" if many == 1 else "s"}'
    far = unusual(subjects)
    return _render(
        'group.html',
        context,
        heading=who,
        total=dataset,
        sentence=headline(dataset, who, spread),
        cards=cards(dataset, spread),
        components=components(dataset, context.runs),
        assumptions=assumptions(dataset),
        kinds=kinds_table(dataset, list(titles), titles),
        bars=_either(draw.totals, dataset, list(titles), titles),
        dots=_either(draw.by_subject, subjects, links),
        subjects=subjects_table(subjects, links),
        unusual=None if far is None else [(label(o), links.get(o.subject, '')) for o in far],
        gpus=gpu_table(dataset, titles),
        pairs=[(one, draw.paired(one)) for one in pair_tables(dataset, context.pipeline)],
        lost=lost_sentence(dataset),
        failures=_failures(dataset, titles),
        cached=dataset.outcomes.get('cached', 0),
        elsewhere=elsewhere(dataset, context.elsewhere),
        policies=policies(dataset) if was_seen(dataset) else [],
        balances=_balances(context, context.runs),
        timelines=_timelines(context.runs, shares, titles),
        downloads=_downloads(tables),
        methods=methods(dataset, context),
        bibtex=bibtex(citations(dataset, context)),
    )


def _either(figure: Callable[..., str], *values: object) -> list[tuple[Quantity, str]]:
    """The same figure of joules and of grams: the reader chooses."""
    return [(quantity, figure(*values, quantity=quantity)) for quantity in QUANTITIES]


def _failures(dataset: Summary, titles: Mapping[str, str]) -> list[tuple[str, str, str, Entry]]:
    """Subject, session, stage and entry of what failed or was killed."""
    entries = [line.share.entry for line in dataset.lines]
    return [
        (one.subject, one.session, titles.get(one.stage, one.stage or one.node), one)
        for one in entries
        if one.outcome in {'failed', 'killed'}
    ]


def _whole(summaries: Sequence[Summary], shares: Iterable[Share], subject: str) -> Summary | None:
    """All sessions together; the assumptions are those of the first."""
    if len(summaries) <= 1:
        return summaries[0] if summaries else None
    footprint = summaries[0].footprint
    return summarise(shares, footprint.intensity, footprint.pue, subject=subject)


def _of_run(run: Entry, entry: Entry) -> bool:
    """Whether an entry took time on the timeline of a run."""
    here = (entry.run_id, entry.host, entry.boot_id) == (run.run_id, run.host, run.boot_id)
    return here and bool(entry.windows)


def _balances(context: Context, runs: Sequence[Entry], subject: str = '') -> list[BalanceView]:
    by_place = {(run.run_id, run.host): run for run in runs}
    return [
        balance_view(balance, by_place.get((balance.run_id, balance.host)), subject)
        for balance in sorted(context.balances, key=lambda one: -one.host_joules)
        if not subject or subject in balance.by_subject
    ]


def _timelines(
    runs: Sequence[Entry], shares: Sequence[Share], titles: Mapping[str, str], subject: str = ''
) -> list[tuple[Entry, str]]:
    largest = sorted(runs, key=lambda run: -sum(r.joules or 0.0 for r in run.readings))
    drawn = sorted(largest[:MOST_DRAWN], key=lambda run: run.started)
    return [(run, draw.timeline(run, shares, subject=subject, titles=titles)) for run in drawn]


def _picture(svg: str) -> str:
    """An SVG as the source of an image: nothing inside it can run."""
    return 'data:image/svg+xml,' + quote(svg, safe="/:;=,+()!*@$?&' \t")


def _downloads(tables: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name, address and size; large files are linked rather than embedded."""
    small = sum(map(len, tables.values())) <= MOST_EMBEDDED
    rows = []
    for name, text in tables.items():
        raw = text.encode()
        kind = 'application/json' if name.endswith('.json') else 'text/tab-separated-values'
        embedded = f'data:{kind};charset=utf-8;base64,{base64.b64encode(raw).decode()}'
        rows.append((name, embedded if small else quote(name), f'{len(raw) / 1000:.1f} kB'))
    return rows


def _render(template: str, context: Context, **values: object) -> str:
    environment = _environment()
    style, script = (environment.get_template(name).render() for name in ('style.css', 'page.js'))
    return environment.get_template(template).render(
        context=context,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        most_drawn=MOST_DRAWN,
        **values,
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f'sha256-{base64.b64encode(digest).decode()}'


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader('nicarbon.report'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
