"""What came of all runs: a row for each tracker, whatever became of it.

A figure that was not told is None, which is no zero. Means are over the runs in which a
figure was told, with the standard deviation of single runs where there is more than one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..account import PUE, Footprint, Intensity, account
from . import Scope
from .race import Found, Run

__all__ = ['COLUMNS', 'Figure', 'Row', 'Truth', 'rows_of', 'tsv', 'values']

NOTHING = 'nothing seen: it found no counter that it can read'


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over runs.

    Parameters
    ----------
    mean : float
    sd : float or None
        Standard deviation of single runs; None of one run.
    count : int
        Runs.
    """

    mean: float
    sd: float | None = None
    count: int = 1

    @classmethod
    def of(cls, values: Iterable[object]) -> Figure | None:
        """Of what was told; None where nothing was.

        Examples
        --------
        >>> Figure.of([1.0, None, 3.0])
        Figure(mean=2.0, sd=1.4142135623730951, count=2)
        >>> Figure.of([None, float('nan'), 'garbage', True]) is None
        True
        """
        known = [value for value in map(_number, values) if value is not None]
        if not known:
            return None
        sd = statistics.stdev(known) if len(known) > 1 else None
        return cls(statistics.fmean(known), sd, len(known))


def _number(value: object) -> float | None:
    """What is a number and finite; whatever else a tracker tells is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the host's counters say.

    Parameters
    ----------
    between : callable
        Joules between two moments of the monotonic clock; None where they saw nothing.
    components : frozenset of str
        What they count: ``cpu``, ``dram``, ``gpu``.
    """

    between: Callable[[float, float], float | None]
    components: frozenset[str] = frozenset()

    def counted(self, found: Found) -> float | None:
        """Joules in the window of a tracker."""
        return self.between(found.begin, found.end) if found.end else None

    def ratio(self, found: Found) -> float | None:
        """What a tracker told over what was counted, of the same components."""
        counted, parts = self.counted(found), found.answer.get('parts')
        joules = _number(found.answer.get('joules'))
        if isinstance(parts, dict) and parts:
            known = {str(name).partition(':')[0] for name in parts} & self.components
            each = [_number(parts[name]) for name in parts if str(name).partition(':')[0] in known]
            joules = sum(part for part in each if part is not None) if each else None
        return joules / counted if joules is not None and counted else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; the words of its columns are in :data:`COLUMNS`."""

    name: str
    version: str = ''
    scope: Scope = 'machine'
    beside: str = 'beside'
    energy: Figure | None = None
    pue: Figure | None = None
    it_energy: Figure | None = None
    u_rel: float | None = None
    carbon: Figure | None = None
    intensity: Figure | None = None
    cpu_time: Figure | None = None
    own_cpu_time: Figure | None = None
    startup: Figure | None = None
    startup_cpu_time: Figure | None = None
    window: Figure | None = None
    counted: Figure | None = None
    ratio: Figure | None = None
    same: Footprint | None = None
    why: str = ''
    failed: bool = False
    remark: str = ''
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Whether it told an energy, told none, or could not run."""
        if self.it_energy is not None:
            return 'seen'
        return 'failed' if self.failed else 'not seen'


COLUMNS: dict[str, tuple[str, str]] = {
    'tracker': ('Who measured; "counter" is what the counters and the kernel of the host say', ''),
    'version': ('Of its package', ''),
    'state': ('seen, not seen (it ran and told no energy: that is not 0), or failed', ''),
    'scope': (
        (
            'Whose energy it tells: of all that the machine does, of a tree of processes by its '
            'share, or of CMD'
        ),
        '',
    ),
    'arrangement': (
        'Where CMD ran: beside it, around it (nicarbon), or inside it, in a run of its own',
        '',
    ),
    'runs': ('Runs that its energy is the mean of', ''),
    'energy': ('Energy as it tells it, its own PUE included', 'J'),
    'energy_sd': ('Standard deviation of single runs', 'J'),
    'pue': ('PUE that it assumes', ''),
    'it_energy': ('Energy without that PUE: what was measured', 'J'),
    'it_energy_sd': ('Standard deviation of single runs', 'J'),
    'it_energy_low': ('Lower bound of it_energy at 95 %, of those who tell one', 'J'),
    'it_energy_high': ('Upper bound of it_energy at 95 %, of those who tell one', 'J'),
    'carbon': ('Mass of CO2 equivalent as it tells it', 'g'),
    'carbon_sd': ('Standard deviation of single runs', 'g'),
    'intensity': ('Carbon intensity of electricity that it assumes', 'g/kWh'),
    'cpu_time': ('CPU time that it says was used in its scope', 's'),
    'cpu_time_sd': ('Standard deviation of single runs', 's'),
    'own_cpu_time': ('CPU time of the tracker itself, from its start to its end', 's'),
    'own_cpu_time_sd': ('Standard deviation of single runs', 's'),
    'startup': ('Wall time from the start of its process until it measures', 's'),
    'startup_cpu_time': ('CPU time of the tracker until it measures', 's'),
    'window': ('Wall time between its start and its stop; CMD ran within', 's'),
    'counter_energy': ('What the counters of the host say of that window', 'J'),
    'ratio': (
        'it_energy over counter_energy; of the components alone that the counters count',
        '',
    ),
    'same_energy': ('it_energy under one PUE, that of the sidecar', 'J'),
    'same_carbon': ('The same under one grid, that of the sidecar', 'g'),
    'same_carbon_low': ('Lower bound of same_carbon at 95 %', 'g'),
    'same_carbon_high': ('Upper bound of same_carbon at 95 %', 'g'),
    'why': ('Why it told nothing, or what went wrong', ''),
    'remark': ('What it reads, and what it cannot do', ''),
}
"""Columns of ``compare.tsv``, in order: description and units."""


def rows_of(
    runs: Sequence[Run],
    about: Mapping[str, Row],
    truth: Truth,
    intensity: Intensity,
    pue: PUE,
) -> list[Row]:
    """A row for each tracker, from what it said in all runs that count.

    Parameters
    ----------
    runs : sequence of Run
    about : mapping of {str : Row}
        What is known of each before it ran; a row for every tracker that was asked for.
    truth : Truth
    intensity : Intensity
    pue : PUE
        What all are accounted with in the end.

    Returns
    -------
    list of Row
        In the order of ``about``.
    """
    said: dict[str, list[Found]] = {name: [] for name in about}
    for run in runs:
        for found in run.found:
            if found.name in said:
                said[found.name].append(found)
    return [_row(row, said[name], truth, intensity, pue) for name, row in about.items()]


def _row(about: Row, said: Sequence[Found], truth: Truth, intensity: Intensity, pue: PUE) -> Row:
    told = [found.answer for found in said]
    it_energy = Figure.of(answer.get('joules') for answer in told)
    why = next((found.why for found in said if found.why), '')
    failed = sum(bool(found.why) for found in said)
    if failed and failed < len(said):
        why = f'{why} ({failed} of {len(said)} runs)'
    notes = dict.fromkeys(str(answer['note']) for answer in told if answer.get('note'))
    if it_energy and it_energy.count < len(said) and not failed:
        notes[f'told an energy in {it_energy.count} of {len(said)} runs'] = None
    known: dict[str, Any] = {each.name: getattr(about, each.name) for each in fields(Row)}
    known |= {
        'version': next((found.version for found in said if found.version), ''),
        'energy': Figure.of(answer.get('told_joules') for answer in told),
        'it_energy': it_energy,
        'pue': Figure.of(answer.get('pue') for answer in told),
        'carbon': Figure.of(answer.get('grams') for answer in told),
        'intensity': Figure.of(answer.get('g_per_kwh') for answer in told),
        'cpu_time': Figure.of(answer.get('cpu_seconds') for answer in told),
        'own_cpu_time': Figure.of(found.own_cpu_seconds for found in said),
        'startup': Figure.of(found.startup for found in said if not found.why),
        'startup_cpu_time': Figure.of(found.startup_cpu_seconds for found in said),
        'window': Figure.of(found.end - found.begin if found.end else None for found in said),
        'counted': Figure.of(map(truth.counted, said)),
        'ratio': Figure.of(map(truth.ratio, said)),
        'u_rel': next((answer['u_rel'] for answer in told if answer.get('u_rel')), about.u_rel),
        'failed': bool(why) or about.failed,
        'why': '; '.join(filter(None, [why, *notes]))
        or ('' if it_energy else about.why or NOTHING),
        'parts': _parts(told),
    }
    if it_energy is not None:
        known['same'] = account(it_energy.mean, known['u_rel'] or 1.0, intensity, pue)
    return Row(**known)


def _parts(told: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean joules by component, as far as it tells them apart."""
    parts = [answer['parts'] for answer in told if isinstance(answer.get('parts'), dict)]
    means = {name: Figure.of(each.get(name) for each in parts) for each in parts for name in each}
    return {name: figure.mean for name, figure in means.items() if figure is not None}


def values(row: Row) -> dict[str, str | float | int | None]:
    """A row as :data:`COLUMNS` has it; what is not known is None.

    Parameters
    ----------
    row : Row

    Returns
    -------
    dict
    """
    same, energy = row.same, row.it_energy
    bounds = (same.joules_low, same.joules_high) if same and row.u_rel else (None, None)
    return {
        'tracker': row.name,
        'version': row.version or None,
        'state': row.state,
        'scope': row.scope,
        'arrangement': row.beside,
        'runs': energy.count if energy else 0,
        **_two('energy', row.energy),
        'pue': _mean(row.pue),
        **_two('it_energy', energy),
        'it_energy_low': bounds[0],
        'it_energy_high': bounds[1],
        **_two('carbon', row.carbon),
        'intensity': _mean(row.intensity),
        **_two('cpu_time', row.cpu_time),
        **_two('own_cpu_time', row.own_cpu_time),
        'startup': _mean(row.startup),
        'startup_cpu_time': _mean(row.startup_cpu_time),
        'window': _mean(row.window),
        'counter_energy': _mean(row.counted),
        'ratio': _mean(row.ratio),
        'same_energy': same.joules * same.pue.value if same else None,
        'same_carbon': same.grams if same else None,
        'same_carbon_low': same.low if same else None,
        'same_carbon_high': same.high if same else None,
        'why': row.why or None,
        'remark': row.remark or None,
    }


def _mean(figure: Figure | None) -> float | None:
    return figure.mean if figure else None


def _two(name: str, figure: Figure | None) -> dict[str, float | None]:
    return {name: _mean(figure), f'{name}_sd': figure.sd if figure else None}


def tsv(rows: Iterable[Row]) -> str:
    """The table as tab-separated text with a header; ``n/a`` is not known.

    Parameters
    ----------
    rows : iterable of Row

    Returns
    -------
    str
    """
    lines = ['\t'.join(COLUMNS)]
    for row in rows:
        told = values(row)
        lines.append('\t'.join(_cell(told[name]) for name in COLUMNS))
    return '\n'.join(lines) + '\n'


def _cell(value: str | float | None) -> str:
    if value is None:
        return 'n/a'
    return ' '.join(value.split()) if isinstance(value, str) else f'{value:.6g}'
