"""Stages added up by subject, session or dataset: what is shown.

Pure values between the accounting and the writing: tables, sidecars and pages
are all made of these. :mod:`nicarbon.cohort` makes the same of many stages in columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .account import PUE, Footprint, Intensity, Sums
from .entry import Entry, Tier
from .line import Line, line
from .phases import Phases, phases
from .series import busy_seconds
from .share import POLICIES, Policy, Share
from .sights import Sight, merged, sight
from .spread import Spread, spread_of

__all__ = [
    'LOST',
    'Dataset',
    'Ended',
    'Failure',
    'Kind',
    'Line',
    'Summary',
    'kinds',
    'of_lines',
    'summarise',
]

LOST = frozenset({'failed', 'killed'})
"""Outcomes whose energy came to nothing."""


class Ended(NamedTuple):
    """The stages of a set that ran to their end.

    Parameters
    ----------
    seconds : float
        Wall time, added up.
    gpu_seconds : float
        For which GPUs were held.
    gpu_joules : float
        Of all components while one was.
    """

    seconds: float = 0.0
    gpu_seconds: float = 0.0
    gpu_joules: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a set of stages used together.

    Parameters
    ----------
    subject, session : str
        BIDS labels; empty where the set spans several.
    footprint : Footprint
        All that was spent: stages that ran, failed or were killed.
    lost : Footprint
        The part of it that failed or was killed.
    policies : dict of {str : float}
        Joules by attribution policy.
    components : dict of {str : float}
        Joules by component under the ``reserved`` policy.
    tiers : dict of {str : float}
        Fraction of the joules by the tier of their component.
    outcomes : dict of {str : int}
        Number of stages by outcome.
    unseen : int
        Stages that ran and that no meter saw.
    complete : bool
        Whether each stage ran to its end and was seen, at once or in the end. Only then do
        the joules of two subjects compare: a stage that was cached or lost on the way costs
        less than its like elsewhere.
    seconds, cpu_seconds : float
        Wall and CPU time of the stages, added up.
    busy_seconds : float
        Wall time in which at least one of them ran.
    ended : Ended
        What ran to its end.
    stages : frozenset of str
        What was run, by key.
    phases : Phases or None
        With a GPU held, and without; None where no GPU was seen.
    sights : tuple of Sight
        How components were seen.
    factors : dict of {str : float}
        Multiplicative uncertainty of each component at 95 %, the mean over the stages.
    lines : tuple of Line
        The stages one by one, in order of start; empty where they are too many to keep.
    """

    subject: str
    session: str
    footprint: Footprint
    lost: Footprint
    policies: dict[Policy, float]
    components: dict[str, float]
    tiers: dict[Tier, float]
    outcomes: dict[str, int]
    unseen: int
    complete: bool
    seconds: float
    cpu_seconds: float
    busy_seconds: float
    ended: Ended = Ended()
    stages: frozenset[str] = frozenset()
    phases: Phases | None = None
    sights: tuple[Sight, ...] = ()
    factors: dict[str, float] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()

    @property
    def count(self) -> int:
        """Stages, cached ones included."""
        return sum(self.outcomes.values())

    @property
    def ran(self) -> int:
        """Stages that were run, to whatever end."""
        return self.count - self.outcomes.get('cached', 0)

    @property
    def seen(self) -> bool:
        """Whether there is a number at all: some stage was seen, or none was run."""
        return bool(self.tiers) or not self.unseen


@dataclass(frozen=True, slots=True)
class Kind:
    """All runs of one stage, over all subjects.

    Parameters
    ----------
    stage : str
        Its key.
    total : Summary
    typical : Spread or None
        Joules of those that ran to their end and were seen; None where there is none.
    """

    stage: str
    total: Summary
    typical: Spread | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A stage that failed or was killed.

    Parameters
    ----------
    subject, session, stage, node, outcome, host, run_id, error : str
    """

    subject: str
    session: str
    stage: str
    node: str
    outcome: str
    host: str
    run_id: str
    error: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """All that was spent on a dataset, added up in the ways that its report needs.

    Parameters
    ----------
    total : Summary
    people : sequence of Summary
        One per subject, all sessions together.
    kinds : sequence of Kind
        One per stage, in pipeline order.
    pipelines : mapping of {str : sequence of Summary}
        By tool its stages, one per session.
    failures : sequence of Failure
        The first of them.
    scans : int
        Sessions of which any stage ran to its end.
    """

    total: Summary
    people: Sequence[Summary] = ()
    kinds: Sequence[Kind] = ()
    pipelines: Mapping[str, Sequence[Summary]] = field(default_factory=dict)
    failures: Sequence[Failure] = ()
    scans: int = 0


def summarise(
    shares: Iterable[Share],
    intensity: Intensity,
    pue: PUE,
    *,
    subject: str = '',
    session: str = '',
    at: Callable[[Entry], Intensity] | None = None,
) -> Summary:
    """Add up shares, and account for them.

    Parameters
    ----------
    shares : iterable of Share
    intensity : Intensity
        Of the grid in all of the time.
    pue : PUE
    subject, session : str
        Labels to put on the result.
    at : callable, optional
        Tells of an entry what the grid emitted in its time; by default what it did in all.

    Returns
    -------
    Summary
    """
    lines = [line(one, at(one.entry) if at else intensity, pue) for one in shares]
    return of_lines(lines, intensity, pue, subject=subject, session=session)


def of_lines(
    lines: Iterable[Line],
    intensity: Intensity,
    pue: PUE,
    *,
    subject: str = '',
    session: str = '',
) -> Summary:
    """Add up what is accounted for already.

    Parameters
    ----------
    lines : iterable of Line
    intensity, pue, subject, session
        As in :func:`summarise`.

    Returns
    -------
    Summary
    """
    lines = tuple(lines)
    entries = [one.share.entry for one in lines]
    spent = [one for one in lines if one.spent]
    joules = sum(one.share.joules['reserved'] for one in spent)
    components, tiers, factors = _parts([one.share for one in spent])
    return Summary(
        subject=subject,
        session=session,
        footprint=_sums(spent).footprint(intensity, pue),
        lost=_sums(one for one in spent if one.share.entry.outcome in LOST).footprint(
            intensity, pue
        ),
        policies={policy: sum(one.share.joules[policy] for one in spent) for policy in POLICIES},
        components=components,
        tiers={
            tier: part / joules if joules else 0.0
            for tier, part in tiers.items()
            if part or not joules
        },
        outcomes=dict(Counter(entry.outcome for entry in entries)),
        unseen=sum(one.footprint is None for one in lines),
        complete=_complete(lines),
        seconds=sum(entry.seconds for entry in entries),
        cpu_seconds=sum(entry.cpu_seconds for entry in entries),
        busy_seconds=busy_seconds(entries),
        ended=_ended(lines),
        stages=frozenset(entry.stage for entry in entries),
        phases=phases(lines),
        sights=merged(sight(reading) for entry in entries for reading in entry.readings),
        factors=factors,
        lines=lines,
    )


def _sums(lines: Iterable[Line]) -> Sums:
    sums = Sums()
    for one in lines:
        if one.footprint is not None:
            sums.add(one.share.joules['reserved'], one.share.u_rel, one.footprint.intensity)
    return sums


def _parts(
    shares: Sequence[Share],
) -> tuple[dict[str, float], dict[Tier, float], dict[str, float]]:
    """Joules by component and by tier, and the mean factor of each component."""
    components: dict[str, float] = {}
    tiers: dict[Tier, float] = {}
    weighted: dict[str, float] = {}
    for share in shares:
        for name, joules in share.components.items():
            components[name] = components.get(name, 0.0) + joules
            weighted[name] = weighted.get(name, 0.0) + joules * share.u_rels.get(name, 1.0)
        for name, tier in share.tiers.items():
            tiers[tier] = tiers.get(tier, 0.0) + share.components[name]
    factors = {name: weighted[name] / joules for name, joules in components.items() if joules}
    return components, tiers, factors


def _ended(lines: Sequence[Line]) -> Ended:
    ran = [one for one in lines if one.share.entry.outcome == 'ran']
    apart = phases(ran)
    return Ended(
        sum(one.share.entry.seconds for one in ran),
        apart.gpu_seconds if apart else 0.0,
        apart.gpu.footprint.joules if apart else 0.0,
    )


def _complete(lines: Sequence[Line]) -> bool:
    stages = {one.share.entry.stage for one in lines}
    ended = {
        one.share.entry.stage
        for one in lines
        if one.share.entry.outcome == 'ran' and one.footprint is not None
    }
    return bool(stages) and stages == ended


def kinds(total: Summary, order: Iterable[str]) -> list[Kind]:
    """One for each stage of a summary that has its lines.

    Parameters
    ----------
    total : Summary
    order : iterable of str
        Stages in pipeline order; others follow as they started.

    Returns
    -------
    list of Kind
    """
    grouped: dict[str, list[Line]] = {stage: [] for stage in order}
    for one in total.lines:
        grouped.setdefault(one.share.entry.stage, []).append(one)
    grid, pue = total.footprint.intensity, total.footprint.pue
    return [
        Kind(stage, of_lines(lines, grid, pue), spread_of(_well(lines)))
        for stage, lines in grouped.items()
        if lines
    ]


def _well(lines: Iterable[Line]) -> list[float]:
    """Joules of the stages that ran to their end and were seen."""
    return [
        one.share.joules['reserved']
        for one in lines
        if one.spent and one.share.entry.outcome == 'ran'
    ]
