"""What trackers told of the same run → its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..account import PUE, Intensity
from ..quantity import CARBON, ENERGY, with_interval
from ..rivals.rows import Figure, Row
from . import figures as draw
from .context import Context
from .figures.told import Mark
from .numbers import Scale, scale
from .pages import Download, downloads, render
from .words import grid_name, pue_name

__all__ = ['Compared', 'Line', 'compared_page', 'lines']


@dataclass(frozen=True, slots=True)
class Compared:
    """All that the page says.

    Parameters
    ----------
    rows : sequence of Row
    program : str
        The command line that was run.
    sentence : str
        What comes first.
    facts : sequence of (str, str)
        How it was run.
    intensity : Intensity
    pue : PUE
        The one grid and PUE.
    truth : float or None
        What the counters of the host counted while it ran, in joules.
    """

    rows: Sequence[Row]
    program: str
    sentence: str
    facts: Sequence[tuple[str, str]]
    intensity: Intensity
    pue: PUE
    truth: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it is printed; what was not told is empty."""

    name: str
    version: str
    scope: str
    energy: str
    it_energy: str
    runs: str
    carbon: str
    intensity: str
    pue: str
    cpu_time: str
    own_cpu_time: str
    startup: str
    window: str
    counted: str
    ratio: str
    same_carbon: str
    state: str
    why: str
    remark: str


def lines(rows: Sequence[Row]) -> list[Line]:
    """Rows as they are printed, on a page and on a terminal.

    Parameters
    ----------
    rows : sequence of Row

    Returns
    -------
    list of Line
    """
    joules = scale([row.it_energy.mean for row in rows if row.it_energy], ENERGY)
    grams = scale([row.same.grams for row in rows if row.same], CARBON)
    return [_line(row, joules, grams) for row in rows]


def _line(row: Row, joules: Scale, grams: Scale) -> Line:
    same = row.same
    if same and row.u_rel:
        it_energy = _shown(joules, same.joules, same.joules_low, same.joules_high)
    else:
        it_energy = _with_sd(row.it_energy, joules)
    return Line(
        row.name,
        row.version,
        {'machine': 'machine', 'tree': 'tree of processes', 'CMD': 'CMD'}[row.scope],
        _with_sd(row.energy, joules),
        it_energy,
        str(row.it_energy.count) if row.it_energy else '',
        _with_sd(row.carbon, grams),
        f'{row.intensity.mean:.4g}' if row.intensity else '',
        f'{row.pue.mean:g}' if row.pue else '',
        _seconds(row.cpu_time),
        _seconds(row.own_cpu_time),
        _seconds(row.startup),
        _seconds(row.window),
        _with_sd(row.counted, joules),
        f'{row.ratio.mean:.3f}' if row.ratio else '',
        _shown(grams, same.grams, same.low, same.high) if same else '',
        row.state,
        row.why,
        row.remark,
    )


def _shown(unit: Scale, value: float, low: float | None = None, high: float | None = None) -> str:
    """All of a column in one unit."""
    return with_interval(value, low, high, ((unit.size, unit.unit),))


def _with_sd(figure: Figure | None, unit: Scale) -> str:
    """A mean, and how far single runs lie from it."""
    if figure is None:
        return ''
    words = _shown(unit, figure.mean)
    if figure.sd is None or figure.mean <= 0:
        return words
    return f'{words} (SD {100 * figure.sd / figure.mean:.2g} %)'


def _seconds(figure: Figure | None) -> str:
    return '' if figure is None else f'{figure.mean:.3g}'


def compared_page(told: Compared, context: Context, tables: Mapping[str, Download]) -> str:
    """Write the page of a comparison.

    Parameters
    ----------
    told : Compared
    context : Context
    tables : mapping of {str : Download}
        Files to offer, by name.

    Returns
    -------
    str
        HTML.
    """
    measured = [row for row in told.rows if row.name != 'counter']
    return render(
        'compare.html',
        context,
        heading='Trackers on the same run',
        sentence=told.sentence,
        told=told,
        lines=lines(told.rows),
        energy=draw.told(
            [_energy_mark(row) for row in measured],
            'Energy by tracker, without the PUE that each assumes',
            truth=told.truth,
        ),
        grams=draw.told(
            [_carbon_mark(row) for row in measured],
            'CO2e by tracker: as each tells it, and under one grid and PUE',
            quantity='carbon',
        ),
        same=_same(told),
        downloads=downloads(tables),
    )


def _same(told: Compared) -> str:
    grid = told.intensity
    return f'{grid.g_per_kwh:.4g} g/kWh ({grid_name(grid)}), PUE {pue_name(told.pue)}'


def _missing(row: Row) -> str:
    return 'failed' if row.state == 'failed' else 'not seen'


def _energy_mark(row: Row) -> Mark:
    own = row.name.startswith('nicarbon')
    if row.it_energy is None:
        return Mark(row.name, None, own=own, missing=_missing(row))
    low, high = _ends(row)
    return Mark(row.name, row.it_energy.mean, low, high, own=own)


def _ends(row: Row) -> tuple[float | None, float | None]:
    """Its interval, else what single runs differ by, else nothing."""
    if row.same and row.u_rel:
        return row.same.joules_low, row.same.joules_high
    mean, sd = (row.it_energy.mean, row.it_energy.sd) if row.it_energy else (0.0, None)
    return (mean - sd, mean + sd) if sd is not None and sd < mean else (None, None)


def _carbon_mark(row: Row) -> Mark:
    own = row.name.startswith('nicarbon')
    if row.same is None:
        return Mark(row.name, None, own=own, missing=_missing(row))
    return Mark(row.name, row.same.grams, before=row.carbon.mean if row.carbon else None, own=own)
