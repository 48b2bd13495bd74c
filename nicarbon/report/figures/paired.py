"""Which pipeline used more: for each session a line from the one to the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ...quantity import ENERGY
from ...summary import Summary
from ..numbers import Scale, label, scale
from ..pairs import PairTable
from .axes import measure
from .svg import INK, MUTED, RULE, Canvas, shorten

__all__ = ['paired']

TOP, ROW, HIGHEST = 52, 22.0, 640
"""Upper edge, height of a row, and what rows without names stay below, in CSS pixels."""

MOST_NAMED, MOST_DRAWN = 60, 300
"""Sessions that have a name and tips; sessions that have a line."""

GAP = 22
"""From the right edge of a plot to the ratios beside it, in CSS pixels."""

MOST_TICKS = 7
"""Beyond, their numbers run into each other."""

TIME = ((3600.0, 'h'), (60.0, 'min'), (1.0, 's'))
"""Units of wall clock: size in seconds and name, largest first."""

COLOURS = '#0072b2', '#00805c'
"""Okabe and Ito's blue, and their green darkened to a contrast of 4.9:1 on white."""

_Pair = tuple[Summary, Summary]
_Value = tuple[float, float, float]


def paired(table: PairTable) -> str:
    """Draw energy and wall clock of each session under two pipelines.

    Parameters
    ----------
    table : PairTable

    Returns
    -------
    str
        SVG, its axes logarithmic: equal ratios are equally long. Beyond 60 sessions
        lines are thin and without names, beyond 300 some are left out, which is said.
    """
    sessions = sorted(table.sessions, key=lambda pair: (-pair[0].footprint.joules, label(pair[0])))
    drawn = _evenly(sessions, MOST_DRAWN)
    names = [label(one) for one, _ in drawn]
    row = _row(len(drawn))
    bottom = TOP + row * len(drawn)
    title = f'{table.first} and {table.second}, session by session'
    canvas = Canvas(bottom + 28, title, table.sentence)
    _legend(canvas, table, len(drawn), len(sessions))
    for panel in _panels(drawn, sessions):
        _axis(canvas, panel, bottom)
        _lines(canvas, panel, row)
        if len(drawn) <= MOST_NAMED:
            _marks(canvas, panel, table, names)
        else:
            _specks(canvas, panel, row)
    for index, name in enumerate(names if len(drawn) <= MOST_NAMED else ()):
        y = TOP + row * (index + 0.5) + 4
        canvas.add('text', shorten(name, 21), x=150, y=y, text_anchor='end')
    return canvas.text()


def _row(count: int) -> float:
    """Rows get thinner rather than let the figure grow, as long as names can be read."""
    return min(ROW, max(HIGHEST / count, 13.0 if count <= MOST_NAMED else 0.0))


def _evenly(sessions: Sequence[_Pair], most: int) -> Sequence[_Pair]:
    """At most so many of them, the first and the last among them."""
    if len(sessions) <= most:
        return sessions
    step = (len(sessions) - 1) / (most - 1)
    return [sessions[round(index * step)] for index in range(most)]


@dataclass(frozen=True, slots=True)
class _Panel:
    """One quantity: its unit, its edges in CSS pixels and in that unit, and what is in it.

    The first and the second of each session are value, low and high in joules or seconds.
    """

    name: str
    unit: Scale
    edges: tuple[float, float]
    ends: tuple[float, float]
    first: Sequence[_Value]
    second: Sequence[_Value]
    median: float

    @property
    def right(self) -> float:
        return self.edges[1]

    def x(self, value: float) -> float:
        """Where a value in joules or seconds lies."""
        (left, right), (low, high) = self.edges, map(math.log, self.ends)
        return left + (right - left) * (math.log(value / self.unit.size) - low) / (high - low)

    def words(self, value: _Value) -> str:
        number = self.unit.number(*value)
        interval = f' ({number.interval})' if number.interval else ''
        return f'{number.text} {self.unit.unit}{interval}'


def _panels(drawn: Sequence[_Pair], sessions: Sequence[_Pair]) -> list[_Panel]:
    """Energy at the left, wall clock at the right; the medians are of all sessions."""
    seen = [measure('energy').of(one.footprint) for pair in drawn for one in pair]
    ratios = [b.footprint.joules / a.footprint.joules for a, b in sessions]
    times = [(one.busy_seconds,) * 3 for pair in drawn for one in pair]
    paces = [b.busy_seconds / a.busy_seconds for a, b in sessions]
    return [
        _panel('energy', (162, 440), ENERGY, seen, ratios),
        _panel('wall clock', (590, 796), TIME, times, paces),
    ]


def _panel(
    name: str,
    edges: tuple[float, float],
    units: tuple[tuple[float, str], ...],
    values: Sequence[_Value],
    ratios: Sequence[float],
) -> _Panel:
    unit = scale([value for value, _, _ in values], units)
    low = min(low for _, low, _ in values) / unit.size
    high = max(high for _, _, high in values) / unit.size
    ends = _round(low, up=False), _round(high, up=True)
    return _Panel(name, unit, edges, ends, values[::2], values[1::2], median(ratios))


def _axis(canvas: Canvas, panel: _Panel, bottom: float) -> None:
    for tick in _ticks(*panel.ends):
        x = panel.x(tick * panel.unit.size)
        canvas.add('path', d=f'M{x:.1f} {TOP}V{bottom + 4:.1f}', stroke=RULE)
        canvas.add('text', f'{tick:g}', x=x, y=bottom + 18, fill=MUTED, text_anchor='middle')
    words = f'{panel.name} ({panel.unit.unit})'
    canvas.add('text', words, x=panel.edges[0], y=TOP - 12, font_weight=600)
    canvas.add('text', 'ratio', x=panel.right + GAP, y=TOP - 12, fill=MUTED)
    words = f'median {panel.median:.2g}'
    canvas.add('text', words, x=panel.right + GAP, y=bottom + 18, font_weight=600)


def _round(value: float, *, up: bool) -> float:
    """The next of 1, 2, 5, 10 … below or above."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = [power * factor for factor in (0.5, 1, 2, 5, 10, 20)]
    return min(s for s in steps if s > value) if up else max(s for s in steps if s < value)


def _ticks(low: float, high: float) -> list[float]:
    """Round values from one to another: 1, 2, 5 …, or powers of ten where those are many.

    Examples
    --------
    >>> _ticks(2.0, 20.0)
    [2.0, 5.0, 10.0, 20.0]
    >>> _ticks(0.5, 2000.0)
    [1.0, 10.0, 100.0, 1000.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [10.0**power * factor for power in powers for factor in factors]
        # What is to be the first or the last tick may have lost its last bit.
        shown = [tick for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(shown) <= MOST_TICKS:
            break
    return shown


def _legend(canvas: Canvas, table: PairTable, drawn: int, count: int) -> None:
    x = 162.0
    for name, colour, shape in zip(
        (table.first, table.second), COLOURS, (_dot, _square), strict=True
    ):
        shape(canvas, x + 5, 11, colour, '')
        canvas.add('text', name, x=x + 15, y=15, fill=MUTED, font_size=11.5)
        x += 32 + 6.4 * len(name)
    canvas.add('path', d=f'M{x:.1f} 11h22m-22 -3v6m22 -6v6', stroke=INK, stroke_opacity=0.5)
    words = '95 % interval' if drawn == count else f'95 % interval; {drawn} of {count} sessions'
    canvas.add('text', words, x=x + 28, y=15, fill=MUTED, font_size=11.5)


def _lines(canvas: Canvas, panel: _Panel, row: float) -> None:
    """All joins in one path, and all intervals of a pipeline in another."""
    for side, values in enumerate((panel.first, panel.second)):
        path = ''
        for index, (_, low, high) in enumerate(values):
            # Those of the two pipelines lie beside each other.
            y = TOP + row * (index + 0.5) + (2 * side - 1) * min(3.0, row / 5)
            if high > low:
                path += f'M{panel.x(low):.1f} {y:.1f}H{panel.x(high):.1f}'
        if path:
            width = min(1.2, row / 3)
            canvas.add('path', d=path, stroke=COLOURS[side], stroke_width=width, opacity=0.5)
    joins = ''.join(
        f'M{panel.x(a):.1f} {TOP + row * (index + 0.5):.1f}H{panel.x(b):.1f}'
        for index, ((a, _, _), (b, _, _)) in enumerate(zip(panel.first, panel.second, strict=True))
    )
    canvas.add('path', d=joins, stroke=MUTED, stroke_width=min(2.0, row / 8))


def _specks(canvas: Canvas, panel: _Panel, row: float) -> None:
    """Marks of those that are too many for names and tips: a path for each pipeline."""
    for side, values in enumerate((panel.first, panel.second)):
        path = ''.join(
            f'M{panel.x(value):.1f} {TOP + row * (index + 0.5):.1f}h0'
            for index, (value, _, _) in enumerate(values)
        )
        canvas.add(
            'path', d=path, stroke=COLOURS[side], stroke_width=max(2.5, 0.6 * row),
            stroke_linecap=('round', 'square')[side],
        )  # fmt: skip


def _marks(canvas: Canvas, panel: _Panel, table: PairTable, names: Sequence[str]) -> None:
    """A dot and a square in each row, with tips, and the ratio beside them."""
    row = _row(len(names))
    for index, (name, *both) in enumerate(zip(names, panel.first, panel.second, strict=True)):
        y = TOP + row * (index + 0.5)
        for side, (shape, value) in enumerate(zip((_dot, _square), both, strict=True)):
            tip = f'{name}, {(table.first, table.second)[side]}: {panel.words(value)}'
            shape(canvas, panel.x(value[0]), y, COLOURS[side], tip)
        ratio = both[1][0] / both[0][0]
        canvas.add('text', f'{ratio:.2g}', x=panel.right + GAP, y=y + 4)


def _dot(canvas: Canvas, x: float, y: float, colour: str, tip: str) -> None:
    canvas.add('circle', cx=x, cy=y, r=4.5, fill=colour, stroke='#fff', tip=tip)


def _square(canvas: Canvas, x: float, y: float, colour: str, tip: str) -> None:
    canvas.add('rect', x=x - 4, y=y - 4, width=8, height=8, fill=colour, stroke='#fff', tip=tip)
