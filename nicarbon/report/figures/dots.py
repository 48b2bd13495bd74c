"""Who used it: one dot per subject, largest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...spread import Spread, spread_of
from ...summary import Summary
from ..numbers import (
    FENCE_LEAST,
    Scale,
    is_known,
    label,
    unusual,
)
from .axes import LEFT, RIGHT, Measure, Quantity, axis, measure
from .svg import FAULT, INK, MUTED, Canvas, shorten

__all__ = ['by_subject']

TOP = 34
"""Upper edge of the plot, in CSS pixels."""

HIGHEST = 640
"""Rows get thinner rather than let the figure grow beyond this, in CSS pixels."""

MOST_MARKED = 300
"""Subjects whose dots have tips and links; where there are more, the unusual and incomplete."""

MOST_DRAWN = 1200
"""Subjects that are drawn: where there are more, every so many by rank, as a line would be."""

DOT = '#0072b2'


def by_subject(
    summaries: Sequence[Summary],
    links: Mapping[str, str] | None = None,
    *,
    quantity: Quantity = 'energy',
) -> str:
    """Draw what each subject used or emitted with its interval, and the median of all.

    Parameters
    ----------
    summaries : sequence of Summary
    links : mapping of {str : str}, optional
        Subject label to the address of its page.
    quantity : {'energy', 'carbon'}
        Joules, or grams of CO2 equivalent. Who is unusual is so by energy in either.

    Returns
    -------
    str
        SVG. Subjects that were not seen are counted in words, not drawn at zero.
    """
    kind = measure(quantity)
    seen = sorted(
        (summary for summary in summaries if is_known(summary)),
        key=lambda summary: (-kind.of(summary.footprint)[0], label(summary)),
    )
    values = [kind.of(summary.footprint) for summary in seen]
    spread = spread_of(
        [value for one, (value, _, _) in zip(seen, values, strict=True) if one.complete]
    )
    far = unusual(summaries)
    unit = kind.scale(value for value, _, _ in values)
    high = max((top for _, _, top in values), default=0.0) or unit.size
    row = min(20.0, HIGHEST / max(len(seen), 1))
    bottom = TOP + row * max(len(seen), 1)
    words = _describe(summaries, seen, spread, unit)
    canvas = Canvas(bottom + 52, f'{kind.title} by subject', words, role='group')
    axis(canvas, kind.label(unit), high / unit.size, TOP, bottom)
    if spread is not None:
        _median(canvas, spread, unit, high, bottom)
    marked = {label(summary) for summary in far or ()}
    plot = _Plot(kind, unit, (RIGHT - LEFT) / high, row, marked)
    own = _own(plot, seen)
    drawn = _drawn(len(seen), own)
    _intervals(canvas, plot, seen, drawn)
    radius = min(4.0, max(1.6, row / 2.6))
    plain = set(drawn) - own
    _specks(canvas, plot, seen, plain, radius)
    _dots(canvas, plot, seen, own, links or {}, radius)
    for index in drawn:
        _words(canvas, plot, seen[index], plot.y(index))
    count = spread.count if spread else 0
    words = _verdict(count, far)
    if len(drawn) < len(seen):
        words += f' Drawn: {len(drawn):,} of {len(seen):,}, evenly by rank.'
    canvas.add('text', words, x=LEFT, y=bottom + 42, fill=MUTED)
    return canvas.text()


def _dots(
    canvas: Canvas,
    plot: _Plot,
    seen: Sequence[Summary],
    own: Iterable[int],
    links: Mapping[str, str],
    radius: float,
) -> None:
    canvas.open('g', stroke_width=1.4, fill=DOT, stroke=DOT)
    for index in sorted(own):
        _dot(canvas, plot, seen[index], links.get(seen[index].subject, ''), plot.y(index), radius)
    canvas.close()


@dataclass(frozen=True, slots=True)
class _Plot:
    """Where things go: pixels per joule or gram, pixels per subject, and who is unusual."""

    kind: Measure
    unit: Scale
    per_one: float
    row: float
    marked: set[str]

    def x(self, value: float) -> float:
        return LEFT + value * self.per_one

    def edges(self, summary: Summary) -> tuple[float, float, float]:
        """Where its dot lies, and the ends of its interval."""
        value, low, high = self.kind.of(summary.footprint)
        return self.x(value), self.x(low), self.x(high)

    def y(self, index: int) -> float:
        return TOP + self.row * (index + 0.5)

    def colour(self, summary: Summary) -> str:
        return FAULT if label(summary) in self.marked else DOT

    def value(self, summary: Summary) -> str:
        number = self.unit.number(*self.kind.of(summary.footprint))
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


def _median(canvas: Canvas, spread: Spread, unit: Scale, high: float, bottom: float) -> None:
    per_one = (RIGHT - LEFT) / high
    x = LEFT + spread.median * per_one
    canvas.add(
        'rect', x=LEFT + spread.low * per_one, y=TOP,
        width=(spread.high - spread.low) * per_one, height=bottom - TOP,
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


def _intervals(canvas: Canvas, plot: _Plot, seen: Sequence[Summary], drawn: Sequence[int]) -> None:
    paths = {DOT: '', FAULT: ''}
    for index in drawn:
        _, left, right = plot.edges(seen[index])
        paths[plot.colour(seen[index])] += f'M{left:.1f} {plot.y(index):.1f}H{right:.1f}'
    for colour, path in paths.items():
        if path:
            width = max(0.2, min(1.0, plot.row / 3))
            canvas.add('path', d=path, stroke=colour, stroke_width=width, stroke_opacity=0.45)


def _own(plot: _Plot, seen: Sequence[Summary]) -> set[int]:
    """Places of those that are worth a mark of their own where subjects are very many."""
    if len(seen) <= MOST_MARKED:
        return set(range(len(seen)))
    far = [index for index, one in enumerate(seen) if plot.colour(one) == FAULT]
    lacking = [index for index, one in enumerate(seen) if not one.complete]
    return set(list(dict.fromkeys([*far, *lacking]))[:MOST_MARKED])


def _drawn(count: int, own: set[int]) -> list[int]:
    """Places that are drawn: all, or some at even distances and those worth a mark."""
    step = -(-count // MOST_DRAWN) if count > MOST_DRAWN else 1
    return sorted(own | set(range(0, count, step)))


def _specks(
    canvas: Canvas, plot: _Plot, seen: Sequence[Summary], places: set[int], radius: float
) -> None:
    """Dots without tip and link, all in one path."""
    if places:
        path = ''.join(
            f'M{plot.edges(seen[index])[0]:.1f} {plot.y(index):.1f}h0' for index in sorted(places)
        )
        canvas.add('path', d=path, stroke=DOT, stroke_width=2 * radius, stroke_linecap='round')


def _dot(
    canvas: Canvas, plot: _Plot, summary: Summary, link: str, y: float, radius: float
) -> None:
    if link:
        canvas.open('a', href=link)
    outcomes = ', '.join(f'{count} {name}' for name, count in sorted(summary.outcomes.items()))
    marked = FAULT if plot.colour(summary) == FAULT else None
    canvas.add(
        'circle', cx=plot.edges(summary)[0], cy=y, r=radius, stroke=marked,
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
        _, _, x = plot.edges(summary)
        canvas.add('text', name, x=x + 6, y=y + 4, fill=FAULT)
