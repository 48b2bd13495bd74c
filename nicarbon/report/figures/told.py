"""What each tracker told of the same run: a dot for each, and a line where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...quantity import with_interval
from .axes import Quantity, Span, measure
from .svg import INK, MUTED, Canvas, shorten

__all__ = ['Mark', 'told']

LEFT, RIGHT, TOP, ROW = 190, 690, 40, 26
"""Edges of the plot and height of a row, in CSS pixels; labels stand outside of both edges."""

DOT, OWN = '#59616a', '#0072b2'
"""Of the others, and of nicarbon."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One row.

    Parameters
    ----------
    name : str
    value : float or None
        In joules or grams; None where nothing was told, which is said and not drawn.
    low, high : float or None
        Ends of a bar around it: an interval, or what runs differ by.
    before : float or None
        Another value of the same row, drawn hollow.
    own : bool
        Whether it is nicarbon's.
    missing : str
        What stands in its place where nothing was told.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    before: float | None = None
    own: bool = False
    missing: str = 'not seen'

    @property
    def values(self) -> list[float]:
        """All that is drawn of it."""
        every = (self.value, self.low, self.high, self.before)
        return [value for value in every if value is not None]


def told(
    marks: Sequence[Mark],
    title: str,
    *,
    truth: float | None = None,
    quantity: Quantity = 'energy',
) -> str:
    """Draw what trackers told.

    Parameters
    ----------
    marks : sequence of Mark
        In order.
    title : str
    truth : float, optional
        What a counter counted, drawn as a line.
    quantity : {'energy', 'carbon'}

    Returns
    -------
    str
        SVG, its axis logarithmic: equal ratios are equally long.
    """
    kind = measure(quantity)
    known = [value for mark in marks for value in mark.values]
    known += [] if truth is None else [truth]
    span = _room(Span.of(known or [1.0], kind.units, (LEFT, RIGHT)))
    bottom = TOP + ROW * max(len(marks), 1)
    words = '; '.join(f'{mark.name}: {_words(mark, span)}' for mark in marks) or 'nobody'
    counted = '' if truth is None else f' Counter: {_number(span, truth)}.'
    canvas = Canvas(bottom + 34, title, f'{words}.{counted}')
    span.draw(canvas, TOP, bottom)
    if truth is not None:
        x = span.x(truth)
        canvas.add('path', d=f'M{x:.1f} {TOP - 6}V{bottom}', stroke=INK, stroke_width=1.4)
        canvas.add(
            'text', f'the host’s counters: {_number(span, truth)}', x=x, y=TOP - 14,
            text_anchor='end' if x > (LEFT + RIGHT) / 2 else 'start',
        )  # fmt: skip
    for index, mark in enumerate(marks):
        _row(canvas, mark, span, TOP + ROW * (index + 0.5))
    return canvas.text()


def _room(span: Span) -> Span:
    """Room for a dot at both edges."""
    if not span.is_log:
        return span
    room = (span.high / span.low) ** 0.03
    return Span(span.unit, span.low / room, span.high * room, span.edges, is_log=True)


def _row(canvas: Canvas, mark: Mark, span: Span, y: float) -> None:
    colour, words = OWN if mark.own else DOT, _words(mark, span)
    canvas.add('text', shorten(mark.name, 26), x=LEFT - 14, y=y + 4, text_anchor='end')
    canvas.add(
        'text', shorten(words, 34), x=RIGHT + 14, y=y + 4, tip=f'{mark.name}: {words}',
        fill=MUTED if mark.value is None else None,
    )  # fmt: skip
    if mark.value is None:
        return
    x = span.x(mark.value)
    if mark.low is not None and mark.high is not None:
        ends = f'M{span.x(mark.low):.1f} {y:.1f}H{span.x(mark.high):.1f}'
        canvas.add('path', d=ends, stroke=colour, stroke_width=2, stroke_opacity=0.5)
    if mark.before is not None:
        start = span.x(mark.before)
        canvas.add('path', d=f'M{start:.1f} {y:.1f}H{x:.1f}', stroke=colour, stroke_width=0.8)
        canvas.add('circle', cx=start, cy=y, r=4.5, fill='#fff', stroke=colour, stroke_width=1.4)
    canvas.add('circle', cx=x, cy=y, r=5, fill=colour, tip=f'{mark.name}: {words}')


def _words(mark: Mark, span: Span) -> str:
    if mark.value is None:
        return mark.missing
    return _number(span, mark.value, mark.low, mark.high)


def _number(span: Span, value: float, low: float | None = None, high: float | None = None) -> str:
    return with_interval(value, low, high, ((span.unit.size, span.unit.unit),))
