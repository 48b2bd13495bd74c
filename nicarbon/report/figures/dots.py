"""Who used it: one dot per subject, largest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...quantity import ENERGY
from ...spread import Spread, spread_of
from ...summary import Summary
from ..numbers import (
    FENCE_LEAST,
    Scale,
    is_known,
    label,
    scale,
    unusual,
)
from .svg import FAULT, INK, MUTED, RULE, Canvas, shorten, ticks

__all__ = ['by_subject']

LEFT, RIGHT, TOP = 182, 700, 34
"""Edges of the plot, in CSS pixels; the same as those of the bars above it."""

HIGHEST = 640
"""Rows get thinner rather than let the figure grow beyond this, in CSS pixels."""

DOT = '#0072b2'


def by_subject(summaries: Sequence[Summary], links: Mapping[str, str] | None = None) -> str:
    """Draw the energy of each subject with its interval, and the median of all.

    Parameters
    ----------
    summaries : sequence of Summary
    links : mapping of {str : str}, optional
        Subject label to the address of its page.

    Returns
    -------
    str
        SVG. Subjects that were not seen are counted in words, not drawn at zero.
    """
    seen = sorted(
        (summary for summary in summaries if is_known(summary)),
        key=lambda summary: (-summary.footprint.joules, label(summary)),
    )
    spread = spread_of([one.footprint.joules for one in seen if one.complete])
    far = unusual(summaries)
    unit = scale([summary.footprint.joules for summary in seen], ENERGY)
    high = max((summary.footprint.joules_high for summary in seen), default=0.0) or unit.size
    row = min(20.0, HIGHEST / max(len(seen), 1))
    bottom = TOP + row * max(len(seen), 1)
    canvas = Canvas(
        bottom + 52, 'Energy by subject', _describe(summaries, seen, spread, unit), role='group'
    )
    _axis(canvas, unit, high, bottom)
    if spread is not None:
        _median(canvas, spread, unit, high, bottom)
    plot = _Plot(unit, (RIGHT - LEFT) / high, row, {label(summary) for summary in far or ()})
    _intervals(canvas, plot, seen)
    radius = min(4.0, max(1.6, row / 2.6))
    canvas.open('g', stroke_width=1.4, fill=DOT, stroke=DOT)
    for index, summary in enumerate(seen):
        link = (links or {}).get(summary.subject, '')
        _dot(canvas, plot, summary, link, plot.y(index), radius)
    canvas.close()
    for index, summary in enumerate(seen):
        _words(canvas, plot, summary, plot.y(index))
    count = spread.count if spread else 0
    canvas.add('text', _verdict(count, far), x=LEFT, y=bottom + 42, fill=MUTED)
    return canvas.text()


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where things go: pixels per joule, pixels per subject, and who is unusual."""

    unit: Scale
    per_joule: float
    row: float
    marked: set[str]

    def x(self, joules: float) -> float:
        return LEFT + joules * self.per_joule

    def y(self, index: int) -> float:
        return TOP + self.row * (index + 0.5)

    def colour(self, summary: Summary) -> str:
        return FAULT if label(summary) in self.marked else DOT

    def value(self, summary: Summary) -> str:
        footprint = summary.footprint
        number = self.unit.energy(footprint)
        interval = f' ({number.interval})' if number.interval else ''
        return f'{number.text} {self.unit.unit}{interval}'


def _describe(
    summaries: Sequence[Summary], seen: Sequence[Summary], spread: Spread | None, unit: Scale
) -> str:
    missing = len(summaries) - len(seen)
    words = f'{len(seen)} subjects'
    if spread is not None:
        number = unit.number(spread.median, spread.low, spread.high)
        words += f', median {number.text} {unit.unit}'
        words += f' ({spread.name} {number.interval})' if number.interval else ''
    return f'{words}; {missing} not seen.'


def _verdict(count: int, far: Sequence[Summary] | None) -> str:
    if far is None:
        return f'Unusual cannot be told from {count} complete: {FENCE_LEAST} are needed.'
    if not far:
        return 'None of the complete lies beyond 1.5 interquartile ranges of the quartiles.'
    return f'{len(far)} of the complete beyond 1.5 interquartile ranges of the quartiles.'


def _axis(canvas: Canvas, unit: Scale, high: float, bottom: float) -> None:
    for tick in ticks(high / unit.size):
        x = LEFT + (RIGHT - LEFT) * tick * unit.size / high
        canvas.add('path', d=f'M{x:.1f} {TOP}V{bottom + 4:.1f}', stroke=RULE)
        canvas.add('text', f'{tick:g}', x=x, y=bottom + 18, fill=MUTED, text_anchor='middle')
    canvas.add('text', f'energy ({unit.unit})', x=RIGHT + 12, y=bottom + 18, fill=MUTED)


def _median(canvas: Canvas, spread: Spread, unit: Scale, high: float, bottom: float) -> None:
    per_joule = (RIGHT - LEFT) / high
    x = LEFT + spread.median * per_joule
    canvas.add(
        'rect', x=LEFT + spread.low * per_joule, y=TOP,
        width=(spread.high - spread.low) * per_joule, height=bottom - TOP,
        fill=INK, fill_opacity=0.06,
    )  # fmt: skip
    canvas.add('path', d=f'M{x:.1f} {TOP - 6}V{bottom:.1f}', stroke=INK, stroke_dasharray='4 3')
    number = unit.number(spread.median, spread.low, spread.high)
    words = f'median {number.text} {unit.unit}'
    if number.interval:
        words += f' ({spread.name} {number.interval})'
    near_right = x > (LEFT + RIGHT) / 2 + 150
    canvas.add(
        'text', words, x=x, y=TOP - 12, text_anchor='end' if near_right else 'start', fill=INK
    )


def _intervals(canvas: Canvas, plot: _Plot, seen: Sequence[Summary]) -> None:
    paths = {DOT: '', FAULT: ''}
    for index, summary in enumerate(seen):
        footprint = summary.footprint
        left, right = plot.x(footprint.joules_low), plot.x(footprint.joules_high)
        paths[plot.colour(summary)] += f'M{left:.1f} {plot.y(index):.1f}H{right:.1f}'
    for colour, path in paths.items():
        if path:
            width = min(1.0, plot.row / 3)
            canvas.add('path', d=path, stroke=colour, stroke_width=width, stroke_opacity=0.45)


def _dot(
    canvas: Canvas, plot: _Plot, summary: Summary, link: str, y: float, radius: float
) -> None:
    if link:
        canvas.open('a', href=link)
    outcomes = ', '.join(f'{count} {name}' for name, count in sorted(summary.outcomes.items()))
    marked = FAULT if plot.colour(summary) == FAULT else None
    canvas.add(
        'circle', cx=plot.x(summary.footprint.joules), cy=y, r=radius, stroke=marked,
        fill=marked if summary.complete else '#fff',
        tip=f'{label(summary)}: {plot.value(summary)}; {outcomes}',
    )  # fmt: skip
    if link:
        canvas.close()


def _words(canvas: Canvas, plot: _Plot, summary: Summary, y: float) -> None:
    """Name and value beside each dot; of the unusual alone where rows are too thin."""
    marked = plot.colour(summary) == FAULT
    name = shorten(label(summary), 25)
    if plot.row >= 11:
        canvas.add('text', name, x=LEFT - 12, y=y + 4, text_anchor='end')
        canvas.add(
            'text', plot.value(summary), x=RIGHT + 12, y=y + 4, fill=FAULT if marked else None
        )
    elif marked:
        x = plot.x(summary.footprint.joules_high)
        canvas.add('text', name, x=x + 6, y=y + 4, fill=FAULT)
