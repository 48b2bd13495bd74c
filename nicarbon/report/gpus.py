"""Rows of the table that tells the time on a GPU from the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..phases import Phases, phases
from ..quantity import ENERGY
from ..summary import Line, Summary
from .numbers import Number, Scale, duration, in_order, percent, scale

__all__ = ['GpuRow', 'GpuTable', 'gpu_table', 'held_sentence']

LEAST_DAYS = 0.01
"""GPU-days below which only the time is said."""


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One stage, or all of them: wall time and energy with a GPU held, and without."""

    title: str
    gpu_time: str
    gpu_energy: Number
    cpu_time: str
    cpu_energy: Number


@dataclass(frozen=True, slots=True)
class GpuTable:
    """Stages in the order of the pipeline; those that held no GPU are one row.

    ``sentence`` says for how long GPUs were held.
    """

    unit: str
    rows: tuple[GpuRow, ...]
    total: GpuRow
    sentence: str


def gpu_table(summary: Summary, titles: Mapping[str, str]) -> GpuTable | None:
    """One row per kind of stage that held a GPU.

    Parameters
    ----------
    summary : Summary
    titles : mapping of {str : str}
        What people call the stages, in order.

    Returns
    -------
    GpuTable or None
        None where no stage held one.
    """
    whole = phases(summary.lines)
    if whole is None or not whole.gpu.seconds:
        return None
    groups: dict[str, list[Line]] = {}
    for line in in_order(summary.lines, titles):
        groups.setdefault(line.share.entry.stage, []).append(line)
    apart = {name: phases(lines) for name, lines in groups.items()}
    held = {name: one for name, one in apart.items() if one is not None and one.gpu.seconds}
    others = [line for name, lines in groups.items() if name not in held for line in lines]
    unit = scale([whole.gpu.footprint.joules, whole.cpu.footprint.joules], ENERGY)
    rows = [_row(titles.get(name, name or 'unnamed'), one, unit) for name, one in held.items()]
    rest = phases(others, elsewhere=True)
    if rest is not None:
        rows.append(_row('stages without a GPU', rest, unit))
    return GpuTable(unit.unit, tuple(rows), _row('All stages', whole, unit), held_sentence(whole))


def held_sentence(whole: Phases | None) -> str:
    """For how long GPUs were held, and what that is of all stages.

    Parameters
    ----------
    whole : Phases or None

    Returns
    -------
    str
        Empty where no GPU was held.
    """
    if whole is None or not whole.gpu.seconds:
        return ''
    days = f' ({whole.gpu_days:.3g} GPU-days)' if whole.gpu_days >= LEAST_DAYS else ''
    part = whole.open_seconds * whole.gpu_seconds / whole.gpu.seconds
    known = f' (± {duration(part)})' if part else ''
    seconds = whole.gpu.seconds + whole.cpu.seconds
    joules = whole.gpu.footprint.joules + whole.cpu.footprint.joules
    energy = percent(whole.gpu.footprint.joules / joules) if joules else 'none'
    return (
        f'GPUs were held for {duration(whole.gpu_seconds)}{known}{days} in all. Stages held one for '
        f'{percent(whole.gpu.seconds / seconds)} of their time, and used {energy} of their '
        'energy in it.'
    )


def _row(title: str, apart: Phases, unit: Scale) -> GpuRow:
    return GpuRow(
        title,
        duration(apart.gpu.seconds),
        unit.energy(apart.gpu.footprint),
        duration(apart.cpu.seconds),
        unit.energy(apart.cpu.footprint),
    )
