"""What the axis of a figure measures, joules or grams of CO2 equivalent, and the axis itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...account import Footprint
from ...quantity import CARBON, ENERGY
from ..numbers import Scale, scale
from .svg import MUTED, RULE, Canvas, ticks

__all__ = ['LEFT', 'QUANTITIES', 'RIGHT', 'Measure', 'Quantity', 'Span', 'axis', 'measure']

LEFT, RIGHT = 182, 700
"""Edges of the plot of bars and dots, in CSS pixels: below each other they compare."""

Quantity = Literal['energy', 'carbon']

QUANTITIES: tuple[Quantity, ...] = ('energy', 'carbon')
"""In the order in which a page offers them."""

WIDE = 10.0
"""Largest over smallest value from which marks stand at 1, 2 and 5 of each power of ten."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity as figures show it.

    Parameters
    ----------
    name : str
        As in titles and beside the axis.
    units : tuple of (float, str)
        Size in joules or grams and name, largest first.
    """

    name: str
    units: tuple[tuple[float, str], ...]

    @property
    def title(self) -> str:
        """Its name where a sentence starts with it."""
        return self.name[0].upper() + self.name[1:]

    def of(self, footprint: Footprint) -> tuple[float, float, float]:
        """Value and 95 % interval of a footprint, in joules or grams."""
        if self.units == ENERGY:
            return footprint.joules, footprint.joules_low, footprint.joules_high
        return footprint.grams, footprint.low, footprint.high

    def parts(self, components: Mapping[str, float], footprint: Footprint) -> dict[str, float]:
        """Joules by component in this quantity: grams are in proportion within a footprint."""
        value, _, _ = self.of(footprint)
        factor = value / footprint.joules if footprint.joules else 0.0
        return {name: joules * factor for name, joules in components.items()}

    def scale(self, values: Iterable[float]) -> Scale:
        """The unit that suits some values, in joules or grams."""
        return scale(values, self.units)

    def label(self, unit: Scale) -> str:
        """What stands beside the axis.

        Examples
        --------
        >>> measure('carbon').label(Scale(1.0, 'gCO2e')), measure('energy').label(Scale(1.0, 'J'))
        ('CO2e (g)', 'energy (J)')
        """
        return f'{self.name} ({unit.unit.removesuffix("CO2e")})'


def measure(quantity: Quantity) -> Measure:
    """Name and units of a quantity.

    Parameters
    ----------
    quantity : {'energy', 'carbon'}

    Returns
    -------
    Measure

    Examples
    --------
    >>> measure('carbon').units[-1]
    (0.001, 'mgCO2e')
    >>> measure('water')
    Traceback (most recent call last):
    ...
    KeyError: 'water'
    """
    return {'energy': Measure('energy', ENERGY), 'carbon': Measure('CO2e', CARBON)}[quantity]


def axis(canvas: Canvas, words: str, high: float, top: float, bottom: float) -> None:
    """Draw a linear axis from zero below the plot, with lines through it.

    Parameters
    ----------
    canvas : Canvas
    words : str
        What is measured, and its unit.
    high : float
        Value at the right edge, in that unit.
    top, bottom : float
        Edges of the plot in CSS pixels.
    """
    for tick in ticks(high):
        x = LEFT + (RIGHT - LEFT) * tick / high
        canvas.add('path', d=f'M{x:.1f} {top}V{bottom + 4:.1f}', stroke=RULE)
        canvas.add('text', f'{tick:g}', x=x, y=bottom + 18, fill=MUTED, text_anchor='middle')
    canvas.add('text', words, x=RIGHT + 12, y=bottom + 18, fill=MUTED)


@dataclass(frozen=True, slots=True)
class Span:
    """An axis from the smallest value to the largest, and the unit that they are shown in.

    Parameters
    ----------
    unit : Scale
    low, high : float
        Values at the edges, in joules or grams.
    edges : (float, float)
        Left and right, in CSS pixels.
    is_log : bool
        Whether equal ratios are equally long.
    """

    unit: Scale
    low: float
    high: float
    edges: tuple[float, float]
    is_log: bool

    @classmethod
    def of(
        cls,
        values: Sequence[float],
        units: tuple[tuple[float, str], ...],
        edges: tuple[float, float],
    ) -> Span:
        """One that holds some values: logarithmic, but where one of them is zero.

        Examples
        --------
        >>> Span.of([1.0, 100.0], ENERGY, (0.0, 10.0)).x(10.0)
        5.0
        >>> Span.of([0.0, 100.0], ENERGY, (0.0, 10.0)).x(10.0)
        1.0
        """
        unit, low, high = scale(values, units), min(values), max(values)
        if high <= low:
            return cls(unit, low, low + unit.size, edges, is_log=False)
        return cls(unit, low, high, edges, is_log=low > 0)

    def x(self, value: float) -> float:
        """Where a value lies, in CSS pixels."""
        left, right = self.edges
        if self.is_log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return left + (right - left) * part

    @property
    def marks(self) -> list[float]:
        """Round values between the edges, in the unit."""
        low, high = self.low / self.unit.size, self.high / self.unit.size
        if not self.is_log or high / low < WIDE:
            step = (ticks(high - low)[1:2] or [high])[0]
            first, last = math.ceil(low / step), math.floor(high / step + 1e-9)
            return [step * number for number in range(first, last + 1)]
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        factors = (1, 2, 5) if high / low < 1000 else (1,)
        every = [10.0**power * factor for power in powers for factor in factors]
        return [mark for mark in every if low <= mark <= high]

    def draw(self, canvas: Canvas, top: float, bottom: float) -> None:
        """Lines through a plot, with their values and the unit below it."""
        for mark in self.marks:
            x = self.x(mark * self.unit.size)
            canvas.add('path', d=f'M{x:.1f} {top}V{bottom + 4}', stroke=RULE)
            canvas.add('text', f'{mark:g}', x=x, y=bottom + 18, fill=MUTED, text_anchor='middle')
        name = f'{self.unit.unit}{", log axis" if self.is_log else ""}'
        canvas.add('text', name, x=self.edges[1] + 22, y=bottom + 18, fill=MUTED)
