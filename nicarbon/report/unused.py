"""What was reserved and not used → a sentence and the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..account import Footprint
from ..quantity import CARBON, ENERGY, carbon, energy
from ..waste import Memory, Unused, Waste
from .numbers import Scale, duration, percent, scale
from .tables import Cell

__all__ = ['UnusedRow', 'UnusedTable', 'unused_table']

MOST_ROWS = 8
"""Stages that are listed: those that were charged the most for what they did not use."""


@dataclass(frozen=True, slots=True)
class UnusedRow:
    """One stage, all of its runs that came to their end."""

    title: str
    count: int
    reserved: str
    used: str
    part: str
    cell: Cell
    memory: str


@dataclass(frozen=True, slots=True)
class UnusedTable:
    """Stages that did not use what they reserved, in common units.

    ``left_out`` did not fit; ``with_memory`` says whether any of all reserved memory.
    """

    sentence: str
    memory: str
    energy_unit: str
    carbon_unit: str
    rows: tuple[UnusedRow, ...]
    left_out: int
    with_memory: bool


def unused_table(waste: Waste, total: Footprint, titles: Mapping[str, str]) -> UnusedTable | None:
    """What stages reserved and did not use.

    Parameters
    ----------
    waste : Waste
    total : Footprint
        Of the dataset.
    titles : mapping of {str : str}
        What people call the stages.

    Returns
    -------
    UnusedTable or None
        None where no stage that came to its end reserved anything.
    """
    if not waste.total.count:
        return None
    listed = [one for one in waste.kinds if one.unused > 0]
    idle = [one.idle for one in listed if one.idle]
    joules = scale([one.joules for one in idle], ENERGY)
    grams = scale([one.grams for one in idle], CARBON)
    rows = tuple(
        _row(one, titles.get(one.stage, one.stage or 'unnamed'), joules, grams)
        for one in listed[:MOST_ROWS]
    )
    return UnusedTable(
        _sentence(waste.total, total),
        _of_memory(waste.total),
        joules.unit,
        grams.unit,
        rows,
        len(listed) - len(rows),
        waste.total.memory.count > 0,
    )


def _row(one: Unused, title: str, joules: Scale, grams: Scale) -> UnusedRow:
    idle = one.idle
    cell = Cell(
        joules.energy(idle) if idle else None,
        grams.number(idle.grams, idle.low, idle.high) if idle else None,
    )
    return UnusedRow(
        title,
        one.count,
        duration(one.reserved),
        duration(one.used),
        percent(one.unused / one.reserved),
        cell,
        _peak(one.memory),
    )


def _sentence(one: Unused, total: Footprint) -> str:
    text = (
        f'Of {duration(one.reserved)} of cores reserved (cores times wall clock), '
        f'{percent(one.used / one.reserved)} were used.'
    )
    if one.beyond > 0.01 * one.used:
        text += f' Some used {duration(one.beyond)} more than they had reserved.'
    if one.idle is None:
        return f'{text} What idle energy was charged for the others was not seen.'
    if not one.idle.joules:
        return f'{text} No idle energy was charged for cores that were not used.'
    idle = one.idle
    joules = energy(idle.joules, idle.joules_low, idle.joules_high)
    # With a grid of no emissions, nothing is emitted.
    grams = f', and so {carbon(idle.grams, idle.low, idle.high)}' if idle.grams else ''
    whole = f', {percent(idle.joules / total.joules)} of all' if total.joules else ''
    text += f' For the others {joules} of idle energy{whole}{grams} were charged.'
    if one.seen < one.count:
        text += f' That is of {one.seen} of {one.count} stages: of the others it was not seen.'
    return text


def _of_memory(one: Unused) -> str:
    memory = one.memory
    if not memory.count:
        return 'No stage reserved memory.'
    if not memory.known:
        return (
            f'How much of their memory stages used is not known: {memory.count} reserved some, '
            'none of them told its peak.'
        )
    return (
        f'Of memory, {_gb_hours(memory.reserved)} were reserved, and '
        f'{percent(memory.unused / memory.reserved)} of it was never in use, at the least: so '
        f'much is known of {memory.known} of {memory.count} stages that reserved some, by the '
        'peaks of their programs.'
    )


def _peak(memory: Memory) -> str:
    if not memory.count:
        return 'none reserved'
    if not memory.known:
        return 'not seen'
    known = '' if memory.known == memory.count else f' (n = {memory.known})'
    return f'{percent(memory.peak / memory.reserved)}{known}'


def _gb_hours(gb_seconds: float) -> str:
    return f'{gb_seconds / 3600:.3g} GB·h'
