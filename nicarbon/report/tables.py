"""Values → the rows of tables: all is printed here, templates only lay it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..account import Footprint, account
from ..quantity import CARBON, ENERGY
from ..share import POLICIES
from ..summary import Kind, Line, Summary
from .numbers import (
    Number,
    Scale,
    carbon_number,
    duration,
    energy_number,
    factor,
    in_order,
    is_known,
    label,
    overall,
    scale,
    unusual,
    was_seen,
)
from .words import POLICIES as POLICY_WORDS
from .words import seen_as

__all__ = [
    'Cell',
    'KindsTable',
    'PolicyRow',
    'StageTable',
    'SubjectsTable',
    'kinds_table',
    'policies',
    'stage_table',
    'subjects_table',
]


@dataclass(frozen=True, slots=True)
class Cell:
    """Two columns, value and interval, in the units that the table's head names."""

    energy: Number | None
    carbon: Number | None


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage that was run once."""

    title: str
    outcome: str
    wall: Number | None
    cpu: Number | None
    cores: str
    cell: Cell
    tier: str
    error: str


@dataclass(frozen=True, slots=True)
class StageTable:
    """Stages in the order of the pipeline, in common units."""

    energy_unit: str
    carbon_unit: str
    rows: tuple[StageRow, ...]
    total: StageRow


def _cell(footprint: Footprint | None, energy: Scale, grams: Scale) -> Cell:
    if footprint is None:
        return Cell(None, None)
    return Cell(
        energy.energy(footprint),
        grams.number(footprint.grams, footprint.low, footprint.high),
    )


def _time(seconds: float) -> Number:
    return Number(duration(seconds), '', seconds)


def stage_table(summary: Summary, titles: Mapping[str, str]) -> StageTable:
    """One row per stage, in the order of the pipeline, and their sum.

    Parameters
    ----------
    summary : Summary
    titles : mapping of {str : str}
        What people call the stages, in order; others follow as they started.

    Returns
    -------
    StageTable
    """
    seen = [line.footprint for line in summary.lines if line.footprint is not None]
    energy = scale([footprint.joules for footprint in seen], ENERGY)
    grams = scale([footprint.grams for footprint in seen], CARBON)
    lines = in_order(summary.lines, titles)
    rows = tuple(_stage_row(line, titles, energy, grams) for line in lines)
    last = StageRow(
        title='All stages',
        outcome='',
        wall=_time(summary.seconds),
        cpu=_time(summary.cpu_seconds),
        cores='',
        cell=_cell(summary.footprint if is_known(summary) else None, energy, grams),
        tier=seen_as(overall(summary)),
        error='',
    )
    return StageTable(energy.unit, grams.unit, rows, last)


def _stage_row(line: Line, titles: Mapping[str, str], energy: Scale, grams: Scale) -> StageRow:
    entry = line.share.entry
    cached = entry.outcome == 'cached'
    return StageRow(
        title=titles.get(entry.stage, entry.stage or entry.node or 'unnamed'),
        outcome=entry.outcome,
        wall=None if cached else _time(entry.seconds),
        cpu=None if cached else _time(entry.cpu_seconds),
        cores='' if cached else f'{entry.reserved_cores:g}',
        cell=_cell(line.footprint, energy, grams),
        tier=seen_as('cached' if cached else line.share.tier),
        error=entry.error,
    )


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The same joules, attributed in another way."""

    name: str
    energy: str
    energy_interval: str
    carbon: str
    carbon_interval: str
    words: str


def policies(summary: Summary) -> list[PolicyRow]:
    """The totals of the four attribution policies.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    list of PolicyRow
    """
    u_rel = factor(summary.footprint)
    rows = []
    for policy in POLICIES:
        intensity, pue = summary.footprint.intensity, summary.footprint.pue
        one = account(summary.policies[policy], u_rel, intensity, pue, policy=policy)
        (joules, unit), (grams, gram_unit) = energy_number(one), carbon_number(one)
        rows.append(
            PolicyRow(
                policy,
                f'{joules.text} {unit}',
                joules.interval,
                f'{grams.text} {gram_unit}',
                grams.interval,
                POLICY_WORDS[policy],
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class KindRow:
    """All runs of one stage, over all subjects."""

    title: str
    counts: str
    wall: Number
    cell: Cell
    median: Number | None
    spread: str


@dataclass(frozen=True, slots=True)
class KindsTable:
    """Stages over all subjects, in common units."""

    energy_unit: str
    carbon_unit: str
    median_unit: str
    rows: tuple[KindRow, ...]


def kinds_table(kinds: Sequence[Kind], titles: Mapping[str, str]) -> KindsTable:
    """One row per kind of stage: its total, and its median over those that ended well.

    Parameters
    ----------
    kinds : sequence of Kind
        In pipeline order.
    titles : mapping of {str : str}

    Returns
    -------
    KindsTable
    """
    seen = [kind.total.footprint for kind in kinds if was_seen(kind.total)]
    energy = scale([one.joules for one in seen], ENERGY)
    grams = scale([one.grams for one in seen], CARBON)
    middle = scale([kind.typical.median for kind in kinds if kind.typical], ENERGY)
    rows = []
    for kind in kinds:
        spread, total = kind.typical, kind.total
        rows.append(
            KindRow(
                titles.get(kind.stage, kind.stage or 'unnamed'),
                _counts(total.outcomes),
                _time(total.seconds),
                _cell(total.footprint if was_seen(total) else None, energy, grams),
                middle.number(spread.median, spread.low, spread.high) if spread else None,
                spread.name if spread else '',
            )
        )
    return KindsTable(energy.unit, grams.unit, middle.unit, tuple(rows))


def _counts(outcomes: Mapping[str, int]) -> str:
    """Outcomes in words: ``38 ran, 1 failed, 1 cached``."""
    order = ('ran', 'failed', 'killed', 'cached')
    return ', '.join(f'{outcomes[name]} {name}' for name in order if outcomes.get(name))


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """One subject, or one session of one."""

    label: str
    link: str
    counts: str
    wall: Number
    cpu: Number
    cell: Cell
    lost: Number | None
    tier: str
    unusual: bool


@dataclass(frozen=True, slots=True)
class SubjectsTable:
    """Subjects in order of label, in common units; ``left_out`` did not fit."""

    energy_unit: str
    carbon_unit: str
    rows: tuple[SubjectRow, ...]
    left_out: int


MOST_ROWS = 200
"""Rows of the table of subjects: more are read in the TSV."""


def subjects_table(subjects: Sequence[Summary], links: Mapping[str, str]) -> SubjectsTable:
    """One row per subject; beyond 200, those that used the most.

    Parameters
    ----------
    subjects : sequence of Summary
    links : mapping of {str : str}
        Subject label to the address of its page.

    Returns
    -------
    SubjectsTable
    """
    seen = [summary.footprint for summary in subjects if was_seen(summary)]
    energy = scale([footprint.joules for footprint in seen], ENERGY)
    grams = scale([footprint.grams for footprint in seen], CARBON)
    far = {label(summary) for summary in unusual(subjects) or ()}
    kept = sorted(subjects, key=lambda one: -one.footprint.joules)[:MOST_ROWS]
    rows = tuple(
        _subject_row(summary, links.get(summary.subject, ''), far, energy, grams)
        for summary in sorted(kept, key=label)
    )
    return SubjectsTable(energy.unit, grams.unit, rows, len(subjects) - len(rows))


def _subject_row(
    summary: Summary, link: str, far: set[str], energy: Scale, grams: Scale
) -> SubjectRow:
    lost, wall, cpu = summary.lost, summary.busy_seconds, summary.cpu_seconds
    return SubjectRow(
        label(summary),
        link,
        _counts(summary.outcomes) + (f', {summary.unseen} not seen' if summary.unseen else ''),
        _time(wall),
        _time(cpu),
        _cell(summary.footprint if is_known(summary) else None, energy, grams),
        energy.energy(lost) if lost.joules else None,
        seen_as(overall(summary)),
        label(summary) in far,
    )
