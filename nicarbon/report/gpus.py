"""Rows of the table that tells the time on a GPU from the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..phases import Phases, phases
from ..quantity import ENERGY
from ..summary import Line, Summary
from .numbers import Number, Scale, duration, in_order, percent, scale

__all__ = ['GpuRow', 'GpuTable', 'gpu_table']


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

    ``held`` says for how long GPUs were held, of those who shared one each its part, and
    ``gpu_days`` the same in days; ``time_part`` and ``energy_part`` are parts of all stages.
    """

    unit: str
    rows: tuple[GpuRow, ...]
    total: GpuRow
    held: str
    gpu_days: str
    time_part: str
    energy_part: str


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
    rest = phases(others)
    if rest is not None:
        rows.append(_row('stages without a GPU', rest, unit))
    seconds = whole.gpu.seconds + whole.cpu.seconds
    return GpuTable(
        unit.unit,
        tuple(rows),
        _row('All stages', whole, unit),
        duration(whole.gpu_seconds),
        f'{whole.gpu_days:.2g}',
        percent(whole.gpu.seconds / seconds),
        percent(_energy_part(whole)),
    )


def _energy_part(whole: Phases) -> float:
    joules = whole.gpu.footprint.joules + whole.cpu.footprint.joules
    return whole.gpu.footprint.joules / joules if joules else 0.0


def _row(title: str, apart: Phases, unit: Scale) -> GpuRow:
    return GpuRow(
        title,
        duration(apart.gpu.seconds),
        unit.energy(apart.gpu.footprint),
        duration(apart.cpu.seconds),
        unit.energy(apart.cpu.footprint),
    )
