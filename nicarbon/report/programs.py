"""Shares → the table of what each stage ran, programs of one name together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..programs import Calls, Spent, by_name, rest, spent
from ..quantity import ENERGY
from ..share import Share
from ..summary import Summary
from .numbers import Number, Scale, duration, in_order, scale

__all__ = ['ProgramsTable', 'programs_table']


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """All calls of one program within one stage, the stage itself, or its rest."""

    name: str
    calls: str
    wall: str
    cpu: str
    memory: str
    energy: Number | None


@dataclass(frozen=True, slots=True)
class StagePrograms:
    """What one stage ran: its programs, and the rest of it."""

    whole: ProgramRow
    programs: tuple[ProgramRow, ...]
    rest: ProgramRow


@dataclass(frozen=True, slots=True)
class ProgramsTable:
    """Stages in the order of the pipeline, in one unit."""

    energy_unit: str
    stages: tuple[StagePrograms, ...]
    calls: int


def programs_table(summary: Summary, titles: Mapping[str, str]) -> ProgramsTable | None:
    """One group of rows per stage that told what it ran.

    Parameters
    ----------
    summary : Summary
    titles : mapping of {str : str}
        What people call the stages, in order.

    Returns
    -------
    ProgramsTable or None
        None when no stage told.
    """
    shares = [line.share for line in in_order(summary.lines, titles) if line.share.entry.commands]
    if not shares:
        return None
    called = [(share, spent(share)) for share in shares]
    joules = [one.joules for _, commands in called for one in commands if one.joules is not None]
    unit = scale(joules, ENERGY)
    stages = tuple(_stage(share, commands, titles, unit) for share, commands in called)
    return ProgramsTable(unit.unit, stages, sum(len(commands) for _, commands in called))


def _stage(
    share: Share, commands: Sequence[Spent], titles: Mapping[str, str], unit: Scale
) -> StagePrograms:
    entry = share.entry
    joules = share.joules['reserved'] if share.tier else None
    title = titles.get(entry.stage, entry.stage or entry.node)
    whole = Calls(title, len(commands), entry.seconds, entry.cpu_seconds, None, joules)
    left = rest(share, commands)._replace(name='the rest of it')
    programs = tuple(_row(calls, share.u_rel, unit) for calls in by_name(commands))
    return StagePrograms(_row(whole, share.u_rel, unit), programs, _row(left, share.u_rel, unit))


def _row(calls: Calls, u_rel: float, unit: Scale) -> ProgramRow:
    peak, joules = calls.peak_memory_gb, calls.joules
    return ProgramRow(
        calls.name,
        str(calls.calls or ''),
        duration(calls.seconds),
        duration(calls.cpu_seconds),
        '' if peak is None else f'{peak:.2g}',
        None if joules is None else unit.number(joules, joules / u_rel, joules * u_rel),
    )
