"""What the grid emitted while a host drew power: a strip below its power curve.

The height of the strip is the carbon intensity of the grid, and its shade the product of that
and the power above it: what was emitted in an hour at that rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from ...entry import Entry, Window
from ...quantity import CARBON
from ..numbers import scale
from .svg import INK, MUTED, RULE, Canvas, ticks

__all__ = ['Step', 'Strip', 'strip']

Step = tuple[datetime, datetime, float]
"""Start and stop, aware, and grams of CO2 equivalent per kWh between them."""

HEIGHT, HEAD, GAP = 46.0, 16.0, 18.0
"""Of the strip, of the words above it, and below it, in CSS pixels."""

SHADES = ('#feedde', '#fdd0a2', '#fdae6b', '#fd8d3c', '#e6550d', '#a63603')
"""Brewer's Oranges, light to dark: colour-blind-safe, and no colour of a stage."""

FINEST = 480
"""Pieces drawn apart at most; of more, those within one window of power are drawn as one."""

UNSEEN = '#e3e7ea'
"""Where no power was seen there is no product."""


class _Piece(NamedTuple):
    """A stretch of one power and one intensity: seconds of the host's clock, W, g/kWh."""

    start: float
    stop: float
    watts: float | None
    g_per_kwh: float

    @property
    def g_per_hour(self) -> float | None:
        return None if self.watts is None else self.watts / 1000 * self.g_per_kwh


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip on its way to a canvas.

    Parameters
    ----------
    pieces : tuple
        In order of time; empty where nothing is known of the grid.
    """

    pieces: tuple[_Piece, ...]

    @property
    def height(self) -> float:
        """Room that it takes, in CSS pixels; 0 without anything to draw."""
        return HEAD + HEIGHT + GAP if self.pieces else 0.0

    @property
    def words(self) -> str:
        """What is read out: a sentence with a space before it, or nothing."""
        if not self.pieces:
            return ''
        grams = [piece.g_per_kwh for piece in self.pieces]
        told = f' The grid emitted between {min(grams):.3g} and {max(grams):.3g} g/kWh'
        return f'{told}; power times that was {self._most()} at most.' if self._top else f'{told}.'

    @property
    def _top(self) -> float:
        return max((piece.g_per_hour or 0.0 for piece in self.pieces), default=0.0)

    def _most(self) -> str:
        unit = scale([self._top], CARBON)
        return f'{self._top / unit.size:.3g} {unit.unit} per hour'

    def draw(
        self, canvas: Canvas, x: Callable[[float], float], left: float, right: float, top: float
    ) -> None:
        """Draw it.

        Parameters
        ----------
        canvas : Canvas
        x : callable
            From seconds of the host's monotonic clock to CSS pixels.
        left, right, top : float
            Edges of the room for it, in CSS pixels.
        """
        if not self.pieces:
            return
        bottom = top + HEAD + HEIGHT
        high = max(piece.g_per_kwh for piece in self.pieces) * 1.06
        per_gram = HEIGHT / high if high else 0.0
        canvas.add('text', 'grid (g/kWh)', x=left - 40, y=top + 6, fill=MUTED)
        for tick in ticks(high, 2):
            y = bottom - tick * per_gram
            canvas.add('path', d=f'M{left} {y:.1f}H{right}', stroke=RULE)
            canvas.add('text', f'{tick:g}', x=left - 8, y=y + 4, text_anchor='end', fill=MUTED)
        for shade, (path, tip) in self._areas(x, bottom, per_gram).items():
            canvas.add('path', d=path, fill=shade, shape_rendering='crispEdges', tip=tip)
        curve, reached = '', None
        for piece in self.pieces:
            pen = 'L' if reached == piece.start else 'M'
            y = bottom - piece.g_per_kwh * per_gram
            curve += f'{pen}{x(piece.start):.1f} {y:.1f}H{x(piece.stop):.1f}'
            reached = piece.stop
        canvas.add('path', d=curve, fill='none', stroke=INK, stroke_width=1.2)
        self._legend(canvas, right, top + 6)

    def _areas(
        self, x: Callable[[float], float], bottom: float, per_gram: float
    ) -> dict[str, tuple[str, str]]:
        """One path per shade, and what it says under the pointer."""
        paths: dict[str, str] = defaultdict(str)
        tips: dict[str, str] = {UNSEEN: 'no power was seen'}
        unit = scale([self._top], CARBON)
        for piece in self.pieces:
            shade, rate = UNSEEN, piece.g_per_hour
            if rate is not None:
                level = min(int(len(SHADES) * rate / self._top), len(SHADES) - 1) if rate else 0
                shade = SHADES[level]
                edges = (self._top * (level + n) / len(SHADES) / unit.size for n in (0, 1))
                tips[shade] = ' to '.join(f'{edge:.3g}' for edge in edges) + f' {unit.unit}/h'
            corner = f'M{x(piece.start):.1f} {bottom - piece.g_per_kwh * per_gram:.1f}'
            paths[shade] += f'{corner}H{x(piece.stop):.1f}V{bottom:.1f}H{x(piece.start):.1f}z'
        return {shade: (path, tips[shade]) for shade, path in paths.items()}

    def _legend(self, canvas: Canvas, right: float, y: float) -> None:
        if not self._top:
            return
        words = f'shade: power × grid, up to {self._most()}'
        canvas.add('text', words, x=right, y=y, fill=MUTED, text_anchor='end')
        left = right - 6.5 * len(words) - 12 - 12 * len(SHADES)
        for number, shade in enumerate(SHADES):
            canvas.add('rect', x=left + 12 * number, y=y - 9, width=12, height=10, fill=shade)


def strip(
    run: Entry, powers: Sequence[tuple[Window, float | None]], steps: Sequence[Step]
) -> Strip:
    """Lay what a grid emitted on the time of a run.

    Parameters
    ----------
    run : Entry
        Tells which moment in UTC its clock showed when it started.
    powers : sequence of (Window, float or None)
        Mean power of the host in watts in each window, in order of time; None where it was
        not seen.
    steps : sequence of Step
        In order of time; those that are not of this run are passed over.

    Returns
    -------
    Strip
    """
    if not powers or not steps:
        return Strip(())
    begun = datetime.fromisoformat(run.started) - timedelta(seconds=run.start or 0.0)
    first, last = powers[0][0].start, powers[-1][0].stop
    clocked = [((a - begun).total_seconds(), (b - begun).total_seconds(), g) for a, b, g in steps]
    near = [step for step in clocked if step[0] < last and step[1] > first]
    pieces = [
        _Piece(max(start, window.start), min(stop, window.stop), watts, g)
        for window, watts in powers
        for start, stop, g in near
        if start < window.stop and stop > window.start
    ]
    return Strip(tuple(pieces if len(pieces) <= FINEST else _evened(pieces)))


def _evened(pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """One piece for neighbours of one power, with the mean of what the grid emitted."""
    for _, group in groupby(pieces, key=lambda piece: piece.watts):
        some = list(group)
        start, stop = some[0].start, some[-1].stop
        grams = sum((piece.stop - piece.start) * piece.g_per_kwh for piece in some)
        seconds = sum(piece.stop - piece.start for piece in some)
        yield _Piece(start, stop, some[0].watts, grams / seconds)
