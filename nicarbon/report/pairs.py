"""Pipelines side by side, paired by the session that each of them processed.

What both used was seen by the same meters on the same scans, so that their ratio is known
better than either: errors that they have in common are not in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..quantity import ENERGY
from ..stage import Stage
from ..summary import Line, Summary, summarise
from .numbers import Number, Spread, busy_seconds, duration, label, scale, spread_of

__all__ = ['PairRow', 'PairTable', 'pair_tables', 'wall']

NAMES = {
    'structural': 'structural',
    'freesurfer': 'FreeSurfer',
    'fastsurfer': 'FastSurfer',
}

MOST_ROWS = 50
"""Sessions that are listed; the ratios are of all."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """One session, processed by both."""

    name: str
    first_wall: str
    first_energy: Number
    second_wall: str
    second_energy: Number
    ratio: str


@dataclass(frozen=True, slots=True)
class PairTable:
    """Two pipelines; ``sentence`` says what one uses of the other.

    ``sessions`` are all that are compared, as each of the two processed them.
    """

    first: str
    second: str
    unit: str
    sentence: str
    rows: tuple[PairRow, ...]
    left_out: int
    sessions: tuple[tuple[Summary, Summary], ...]


def pair_tables(dataset: Summary, pipeline: Sequence[Stage]) -> list[PairTable]:
    """A table for each two pipelines that processed the same sessions from start to end.

    Parameters
    ----------
    dataset : Summary
    pipeline : sequence of Stage
        Stages of all pipelines of which any ran.

    Returns
    -------
    list of PairTable
        Empty where no session was processed by two of them.
    """
    tools = {stage.key: stage.tool for stage in pipeline}
    groups: dict[str, dict[tuple[str, str], list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in dataset.lines:
        entry = line.share.entry
        if entry.stage in tools and entry.subject:
            groups[tools[entry.stage]][entry.subject, entry.session].append(line)
    whole = {tool: _complete(groups[tool], dataset) for tool in NAMES if tool in groups}
    tables = []
    for first, second in combinations(whole, 2):
        both = sorted(whole[first].keys() & whole[second].keys())
        if both:
            pairs = [(whole[first][key], whole[second][key]) for key in both]
            tables.append(_table(first, second, pairs))
    return tables


def _complete(
    groups: Mapping[tuple[str, str], list[Line]], dataset: Summary
) -> dict[tuple[str, str], Summary]:
    grid, pue = dataset.footprint.intensity, dataset.footprint.pue
    found = {
        (subject, session): summarise(
            (line.share for line in lines), grid, pue, subject=subject, session=session
        )
        for (subject, session), lines in groups.items()
    }
    return {key: one for key, one in found.items() if one.complete and one.footprint.joules}


def _table(first: str, second: str, pairs: Sequence[tuple[Summary, Summary]]) -> PairTable:
    joules = [one.footprint.joules for pair in pairs for one in pair]
    unit = scale(joules, ENERGY)
    ratios = [b.footprint.joules / a.footprint.joules for a, b in pairs]
    times = [wall(b) / wall(a) for a, b in pairs]
    rows = [
        PairRow(
            label(a),
            duration(wall(a)),
            unit.energy(a.footprint),
            duration(wall(b)),
            unit.energy(b.footprint),
            f'{ratio:.2g}',
        )
        for (a, b), ratio in zip(pairs, ratios, strict=True)
    ]
    names = NAMES[first], NAMES[second]
    sentence = (
        f'{names[1]} used {_ratio(spread_of(ratios))} the energy of {names[0]}, in '
        f'{_ratio(spread_of(times))} the time.'
    )
    listed = tuple(rows[:MOST_ROWS])
    return PairTable(
        *names, unit.unit, sentence, listed, len(rows) - len(listed), sessions=tuple(pairs)
    )


def wall(one: Summary) -> float:
    """Seconds in which at least one of its stages ran.

    Parameters
    ----------
    one : Summary

    Returns
    -------
    float
    """
    return busy_seconds(line.share.entry for line in one.lines)


def _ratio(spread: Spread | None) -> str:
    if spread is None or spread.count == 1:
        return f'{spread.median:.2g} times' if spread else 'an unknown part'
    return (
        f'{spread.median:.2g} times (median of {spread.count} sessions, {spread.name} '
        f'{spread.low:.2g}–{spread.high:.2g})'
    )
