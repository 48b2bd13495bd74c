"""Rows of the table that tells the time on a GPU from the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..phases import Phase, Phases
from ..quantity import ENERGY
from ..summary import Kind, Summary
from .numbers import Number, Scale, duration, percent, scale

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


def gpu_table(
    total: Summary, kinds: Collection[Kind], titles: Mapping[str, str]
) -> GpuTable | None:
    """One row per kind of stage that held a GPU.

    Parameters
    ----------
    total : Summary
    kinds : collection of Kind
        All of it by stage, in pipeline order.
    titles : mapping of {str : str}
        What people call the stages.

    Returns
    -------
    GpuTable or None
        None where no stage held one.
    """
    whole = total.phases
    if whole is None or not whole.gpu.seconds:
        return None
    apart = ((kind.stage, kind.total.phases) for kind in kinds)
    held = {stage: one for stage, one in apart if one is not None and one.gpu.seconds}
    unit = scale([whole.gpu.footprint.joules, whole.cpu.footprint.joules], ENERGY)
    rows = [_row(titles.get(name, name or 'unnamed'), one, unit) for name, one in held.items()]
    if any(kind.total.tiers for kind in kinds if kind.stage not in held):
        rows.append(_rest(whole, list(held.values()), unit))
    return GpuTable(unit.unit, tuple(rows), _row('All stages', whole, unit), held_sentence(whole))


def _rest(whole: Phases, held: Sequence[Phases], unit: Scale) -> GpuRow:
    """What no stage had that held a GPU: seconds, joules and bounds add up."""
    gpu, cpu = ([getattr(one, part) for one in held] for part in ('gpu', 'cpu'))
    return GpuRow(
        'stages without a GPU',
        *_left(whole.gpu, gpu, unit),
        *_left(whole.cpu, cpu, unit),
    )


def _left(whole: Phase, held: Sequence[Phase], unit: Scale) -> tuple[str, Number]:
    seconds = whole.seconds - sum(one.seconds for one in held)
    joules = [
        getattr(whole.footprint, name) - sum(getattr(one.footprint, name) for one in held)
        for name in ('joules', 'joules_low', 'joules_high')
    ]
    # What rounding leaves of a difference is nothing.
    kept = [0.0 if abs(each) < 1e-9 * whole.footprint.joules_high else each for each in joules]
    return duration(max(0.0, seconds)), unit.number(*kept)


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
