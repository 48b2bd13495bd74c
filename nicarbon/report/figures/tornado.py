"""How the total moves: a bar for each factor, from its low to its high, the farthest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...account import Footprint
from ...quantity import CARBON, carbon
from .axes import Span
from .svg import INK, MUTED, Canvas, shorten

__all__ = ['Bar', 'tornado']

LEFT, RIGHT, TOP, ROW = 310, 770, 34, 26
"""Edges of the plot and height of a row, in CSS pixels; labels stand outside of both edges."""

NAME = 172
"""Right edge of the names, in CSS pixels."""

LESS, MORE = '#0072b2', '#e69f00'
"""Below and above the base: Okabe and Ito's blue and orange, apart in grey too."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One factor.

    Parameters
    ----------
    name : str
    low, high : float
        Totals at its ends, in grams; the first is the smaller.
    low_label, high_label : str
        Values of the factor there.
    """

    name: str
    low: float
    high: float
    low_label: str
    high_label: str


def tornado(bars: Sequence[Bar], base: Footprint, title: str) -> str:
    """Draw how far each factor moves a total of grams of CO2 equivalent.

    Parameters
    ----------
    bars : sequence of Bar
        In the order in which they are drawn.
    base : Footprint
        The total as it is.
    title : str

    Returns
    -------
    str
        SVG. The axis is logarithmic, so that a factor of two is as long everywhere; it is not
        where a total is zero.
    """
    ends = [base.grams, *(end for bar in bars for end in (bar.low, bar.high))]
    axis = Span.of(ends, CARBON, (LEFT, RIGHT))
    bottom = TOP + ROW * max(len(bars), 1)
    words = '; '.join(_words(bar) for bar in bars) or 'nothing moves it'
    told = carbon(base.grams, base.low, base.high)
    canvas = Canvas(bottom + 34, title, f'Total {told}. {words}.')
    axis.draw(canvas, TOP, bottom)
    for index, bar in enumerate(bars):
        _row(canvas, bar, base.grams, axis, TOP + ROW * index)
    x = axis.x(base.grams)
    canvas.add('path', d=f'M{x:.1f} {TOP - 6}V{bottom}', stroke=INK, stroke_width=1.2)
    canvas.add(
        'text', f'as it is: {told}', x=x, y=TOP - 14,
        text_anchor='end' if x > (LEFT + RIGHT) / 2 else 'start',
    )  # fmt: skip
    return canvas.text()


def _row(canvas: Canvas, bar: Bar, base: float, axis: Span, top: float) -> None:
    middle = top + ROW / 2
    canvas.add(
        'text', shorten(bar.name, 26), x=NAME, y=middle + 4, text_anchor='end', tip=_words(bar)
    )
    parts = [(bar.low, min(bar.high, base), LESS), (max(bar.low, base), bar.high, MORE)]
    for start, stop, colour in parts:
        if stop > start:
            x = axis.x(start)
            canvas.add(
                'rect', x=x, y=top + 5, width=max(axis.x(stop) - x, 0.8), height=ROW - 10,
                fill=colour, tip=_words(bar),
            )  # fmt: skip
    for value, label, anchor, shift in (
        (bar.low, bar.low_label, 'end', -6),
        (bar.high, bar.high_label, 'start', 6),
    ):
        canvas.add(
            'text', shorten(label, 20), x=axis.x(value) + shift, y=middle + 4,
            text_anchor=anchor, font_size=11, fill=MUTED, stroke='#fff', stroke_width=3,
            paint_order='stroke',
        )  # fmt: skip


def _words(bar: Bar) -> str:
    """A bar in words."""
    return (
        f'{bar.name}: {carbon(bar.low)} at {bar.low_label}, {carbon(bar.high)} at {bar.high_label}'
    )
