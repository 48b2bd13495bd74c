"""Pipelines side by side, paired by the session that each of them processed.

What both used was seen by the same meters on the same scans, so that their ratio is known
better than either: errors that they have in common are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ..quantity import ENERGY
from ..spread import Spread, spread_of
from ..stage import TOOL_NAMES
from ..summary import Summary
from .numbers import Number, duration, label, scale

__all__ = ['PairRow', 'PairTable', 'pair_tables']

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


def pair_tables(pipelines: Mapping[str, Sequence[Summary]]) -> list[PairTable]:
    """A table for each two pipelines that processed the same sessions from start to end.

    Parameters
    ----------
    pipelines : mapping of {str : sequence of Summary}
        By tool its stages, one per session.

    Returns
    -------
    list of PairTable
        Empty where no session was processed by two of them.
    """
    whole = {
        tool: {
            (one.subject, one.session): one
            for one in pipelines[tool]
            if one.complete and one.footprint.joules
        }
        for tool in TOOL_NAMES
        if tool in pipelines
    }
    tables = []
    for first, second in combinations(whole, 2):
        both = sorted(whole[first].keys() & whole[second].keys())
        if both:
            pairs = [(whole[first][key], whole[second][key]) for key in both]
            tables.append(_table(first, second, pairs))
    return tables


def _table(first: str, second: str, pairs: Sequence[tuple[Summary, Summary]]) -> PairTable:
    joules = [one.footprint.joules for pair in pairs for one in pair]
    unit = scale(joules, ENERGY)
    ratios = [b.footprint.joules / a.footprint.joules for a, b in pairs]
    times = [b.busy_seconds / a.busy_seconds for a, b in pairs]
    rows = [
        PairRow(
            label(a),
            duration(a.busy_seconds),
            unit.energy(a.footprint),
            duration(b.busy_seconds),
            unit.energy(b.footprint),
            f'{ratio:.2g}',
        )
        for (a, b), ratio in zip(pairs, ratios, strict=True)
    ]
    names = TOOL_NAMES[first], TOOL_NAMES[second]
    sentence = (
        f'{names[1]} used {_ratio(spread_of(ratios))} the energy of {names[0]}, in '
        f'{_ratio(spread_of(times))} the time.'
    )
    listed = tuple(rows[:MOST_ROWS])
    return PairTable(
        *names, unit.unit, sentence, listed, len(rows) - len(listed), sessions=tuple(pairs)
    )


def _ratio(spread: Spread | None) -> str:
    if spread is None or spread.count == 1:
        return f'{spread.median:.2g} times' if spread else 'an unknown part'
    return (
        f'{spread.median:.2g} times (median of {spread.count} sessions, {spread.name} '
        f'{spread.low:.2g}–{spread.high:.2g})'
    )
