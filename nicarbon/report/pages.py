"""Values → one self-contained HTML page: nothing is loaded, from anywhere.

A content security policy in the page forbids it to load or run anything but
its own style sheet and its own script, by their hashes: whatever a label, a
path or an error message holds stays text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..advice import Known, advise
from ..complexity import Network
from ..entry import Entry
from ..nesting import is_on
from ..share import Share
from ..sights import Sight, sight
from ..spread import spread_of
from ..summary import LOST, Dataset, Summary, kinds, of_lines
from . import figures as draw
from .balances import BalanceView, balance_view
from .cards import assumptions, cards, components
from .context import Context, Option
from .elsewhere import elsewhere
from .figures.axes import QUANTITIES, Quantity
from .figures.svg import clean
from .gpus import gpu_table
from .helps import helps
from .methods import citations, methods
from .networks import networks_table
from .numbers import label, unusual, was_seen
from .pairs import pair_tables
from .programs import programs_table
from .references import bibtex
from .tables import kinds_table, policies, stage_table, subjects_table
from .unused import unused_table
from .whatif import what_if
from .words import headline, lost_sentence, repeated_sentence

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ['MOST_EMBEDDED', 'Context', 'Download', 'Option', 'downloads', 'group_page', 'largest']
__all__ += ['render', 'subject_page']

MOST_DRAWN = 6
"""Runs shown in full on one page, with timeline and balance: those that used the most."""

MOST_EMBEDDED = 1_000_000
"""Bytes of tables that are embedded; beyond, the page links to the files beside it."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a page offers.

    Parameters
    ----------
    size : int
        In bytes.
    text : str or None
        Its content; None if it is too large to be part of a page.
    """

    size: int
    text: str | None = None

    @classmethod
    def of(cls, text: str) -> Download:
        """One whose content is at hand."""
        return cls(len(text.encode()), text)


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
    total = _whole(summaries, subject)
    runs = [run for run in context.runs if any(is_on(one.entry, run) for one in shares)]
    titles = context.titles
    return render(
        'subject.html',
        context,
        heading=who,
        total=total,
        sentence=headline(total, who) if total else f'Nothing is known of {who}.',
        cards=cards(total) if total else [],
        components=components(total, _sights(runs)) if total else [],
        assumptions=assumptions(total) if total else [],
        sessions=[_session(one, titles) for one in summaries],
        gpus=gpu_table(total, kinds(total, titles), titles) if total else None,
        networks=[
            (label(one), networks_table(counted, one, titles))
            for one, counted in zip(summaries, networks, strict=False)
            if counted
        ],
        elsewhere=elsewhere(total, context.elsewhere) if total else [],
        whatif=None,
        policies=policies(total) if total and was_seen(total) else [],
        balances=_balances(context, runs, subject),
        timelines=_timelines(context, runs, shares, subject),
        pictures=[(title, _picture(svg)) for title, svg in figures.items()],
        methods=methods(total, context) if total else '',
        bibtex=bibtex(citations(total, context)) if total else '',
    )


def group_page(
    dataset: Dataset,
    links: Mapping[str, str],
    context: Context,
    *,
    shares: Sequence[Share] = (),
    tables: Mapping[str, Download],
    known: Known | None = None,
) -> str:
    """Write the page of a dataset.

    Parameters
    ----------
    dataset : Dataset
        All stages of all subjects, added up.
    links : mapping of {str : str}
        Subject label to the address of its page, relative to this one.
    context : Context
    shares : sequence of Share
        Of the runs that are drawn over time; those of others may be there.
    tables : mapping of {str : Download}
        Files to offer, by name.
    known : Known, optional
        What was reserved and not used, and what advice is computed from.

    Returns
    -------
    str
        HTML.
    """
    total, people, titles = dataset.total, dataset.people, context.titles
    spread = spread_of([one.footprint.joules for one in people if one.complete])
    # Nodes of somebody's own workflow may belong to nobody.
    many, what = (len(people), 'participant') if people else (total.count, 'stage')
    who = f'{many} {what}{"" if many == 1 else "s"}'
    far = unusual(people)
    return render(
        'group.html',
        context,
        heading=who,
        total=total,
        sentence=headline(total, who, spread),
        cards=cards(total, spread),
        components=components(total),
        assumptions=assumptions(total),
        kinds=kinds_table(dataset.kinds, titles),
        bars=_either(draw.totals, dataset.kinds, titles),
        dots=_either(draw.by_subject, people, links),
        subjects=subjects_table(people, links),
        unusual=None if far is None else [(label(o), links.get(o.subject, '')) for o in far],
        gpus=gpu_table(total, dataset.kinds, titles),
        pairs=[(one, draw.paired(one)) for one in pair_tables(dataset.pipelines)],
        **_lost(dataset, known, titles),
        unused=unused_table(known.waste, total.footprint, titles) if known else None,
        helps=helps(advise(known)) if known else None,
        elsewhere=elsewhere(total, context.elsewhere),
        whatif=what_if(dataset, context.elsewhere),
        policies=policies(total) if was_seen(total) else [],
        balances=_balances(context, context.runs),
        timelines=_timelines(context, context.drawn or context.runs, shares),
        downloads=downloads(tables),
        methods=methods(total, context),
        bibtex=bibtex(citations(total, context)),
    )


def _session(one: Summary, titles: Mapping[str, str]) -> tuple[object, ...]:
    """Its name, its stages in a table and drawn, and the programs that they ran."""
    bars = _either(draw.stages, one, titles)
    return label(one), stage_table(one, titles), bars, programs_table(one, titles)


def _lost(dataset: Dataset, known: Known | None, titles: Mapping[str, str]) -> dict[str, object]:
    """What came to nothing, and what was spared."""
    outcomes = dataset.total.outcomes
    return {
        'lost': lost_sentence(dataset.total),
        'repeated': repeated_sentence(known.repeats) if known else '',
        'failures': [
            (one, titles.get(one.stage, one.stage or one.node)) for one in dataset.failures
        ],
        'failed': sum(outcomes.get(outcome, 0) for outcome in LOST),
        'cached': outcomes.get('cached', 0),
    }


def _either(figure: Callable[..., str], *values: object) -> list[tuple[Quantity, str]]:
    """The same figure of joules and of grams: the reader chooses."""
    return [(quantity, figure(*values, quantity=quantity)) for quantity in QUANTITIES]


def _whole(summaries: Sequence[Summary], subject: str) -> Summary | None:
    """All sessions together; the assumptions are those of the first."""
    if len(summaries) <= 1:
        return summaries[0] if summaries else None
    footprint = summaries[0].footprint
    lines = [line for summary in summaries for line in summary.lines]
    return of_lines(lines, footprint.intensity, footprint.pue, subject=subject)


def _sights(runs: Iterable[Entry]) -> list[Sight]:
    return [sight(reading) for run in runs for reading in run.readings]


def _balances(context: Context, runs: Sequence[Entry], subject: str = '') -> list[BalanceView]:
    by_place = {(run.run_id, run.host): run for run in runs}
    return [
        balance_view(balance, by_place.get((balance.run_id, balance.host)), subject)
        for balance in sorted(context.balances, key=lambda one: -one.host_joules)
        if not subject or subject in balance.by_subject
    ]


def largest(runs: Iterable[Entry]) -> list[Entry]:
    """The runs that are shown over time: those that used the most, in order of start.

    Parameters
    ----------
    runs : iterable of Entry

    Returns
    -------
    list of Entry
    """
    used = sorted(runs, key=lambda run: -sum(r.joules or 0.0 for r in run.readings))
    return sorted(used[:MOST_DRAWN], key=lambda run: run.started)


def _timelines(
    context: Context, runs: Sequence[Entry], shares: Sequence[Share], subject: str = ''
) -> list[tuple[Entry, str]]:
    picture = partial(
        draw.timeline, shares=shares, subject=subject, titles=context.titles, steps=context.steps
    )
    return [(run, picture(run)) for run in largest(runs)]


def _picture(svg: str) -> str:
    """An SVG as the source of an image: nothing inside it can run."""
    return 'data:image/svg+xml,' + quote(svg, safe="/:;=,+()!*@$?&' \t")


def downloads(tables: Mapping[str, Download]) -> list[tuple[str, str, str]]:
    """Name, address and size of files; large ones are linked rather than embedded."""
    rows = []
    left = MOST_EMBEDDED
    for name, file in tables.items():
        address = quote(name)
        if file.text is not None and file.size <= left:
            left -= file.size
            coded = base64.b64encode(file.text.encode()).decode()
            address = f'data:{_KINDS.get(name.rpartition(".")[2], "text/plain")};charset=utf-8;base64,{coded}'
        rows.append((name, address, _size(file.size)))
    return rows


_KINDS = {'json': 'application/json', 'tsv': 'text/tab-separated-values', 'csv': 'text/csv'}


def _size(count: int) -> str:
    return f'{count / 1e6:.1f} MB' if count >= 1e6 else f'{count / 1e3:.1f} kB'


def render(template: str, context: Context, **values: object) -> str:
    """A page of a template, with the style and the script that all pages have."""
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
