"""What the axis of a figure measures, joules or grams of CO2 equivalent, and the axis itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ...account import Footprint
from ...quantity import CARBON, ENERGY
from ..numbers import Scale, scale
from .svg import MUTED, RULE, Canvas, ticks

__all__ = ['LEFT', 'QUANTITIES', 'RIGHT', 'Measure', 'Quantity', 'axis', 'measure']

LEFT, RIGHT = 182, 700
"""Edges of the plot of bars and dots, in CSS pixels: below each other they compare."""

Quantity = Literal['energy', 'carbon']

QUANTITIES: tuple[Quantity, ...] = ('energy', 'carbon')
"""In the order in which a page offers them."""


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
