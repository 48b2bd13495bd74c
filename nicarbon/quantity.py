"""Numbers as they are printed: rounded to their uncertainty, with a unit.

Inside the package energy is in joules and carbon in grams; this module alone
turns them into text.
"""

from __future__ import annotations

import math

__all__ = [
    'CARBON',
    'ENERGY',
    'JOULES_PER_KWH',
    'carbon',
    'combine',
    'energy',
    'spread',
    'with_interval',
]

JOULES_PER_KWH = 3_600_000.0
"""Exact by the definition of the watt hour (3600 s times 1000 W)."""

ENERGY = ((3.6e6, 'kWh'), (3.6e3, 'Wh'), (1.0, 'J'))
"""Units of energy: size in joules and name, largest first."""

CARBON = ((1e6, 'tCO2e'), (1e3, 'kgCO2e'), (1.0, 'gCO2e'), (1e-3, 'mgCO2e'))
"""Units of carbon: size in grams and name, largest first."""


def energy(joules: float, low: float | None = None, high: float | None = None) -> str:
    """Print an energy with its interval.

    Parameters
    ----------
    joules, low, high : float
        Joules; the interval may be left out.

    Returns
    -------
    str

    Examples
    --------
    >>> energy(3.6e6), energy(999 * 3600), energy(1.8)
    ('1.00 kWh', '999 Wh', '1.80 J')
    >>> energy(390600, 195300, 781200)
    '110 Wh (54–220)'
    """
    return with_interval(joules, low, high, ENERGY)


def carbon(grams: float, low: float | None = None, high: float | None = None) -> str:
    """Print a mass of CO2 equivalent with its interval.

    Parameters
    ----------
    grams, low, high : float
        Grams; the interval may be left out.

    Returns
    -------
    str

    Examples
    --------
    >>> carbon(3.26)
    '3.26 gCO2e'
    >>> carbon(0.0143, 0.0012, 0.05)
    '14 mgCO2e (1.2–50)'
    >>> carbon(38_000), carbon(0.0)
    ('38.0 kgCO2e', '0 gCO2e')
    """
    return with_interval(grams, low, high, CARBON)


def with_interval(
    value: float,
    low: float | None,
    high: float | None,
    units: tuple[tuple[float, str], ...],
) -> str:
    """Scale to the largest unit that keeps the value at 1 or more, and round.

    Parameters
    ----------
    value, low, high : float
        In the base unit.
    units : tuple of (float, str)
        Size in the base unit and name, largest first.

    Returns
    -------
    str
    """
    size, unit = next(((s, u) for s, u in units if abs(value) >= s), units[-1])
    if value == 0:
        return f'0 {next(u for s, u in units if s == 1.0)}'
    if low is None or high is None:
        return f'{_digits(value / size, _place(value / size, 3))} {unit}'
    place = spread(value / size, low / size, high / size)
    shown = _digits(value / size, place)
    bounds = [_digits(x / size, max(place, _place(x / size, 2))) for x in (low, high)]
    if bounds == [shown, shown]:
        return f'{shown} {unit}'
    return f'{shown} {unit} ({"–".join(bounds)})'


def combine(*factors: float) -> float:
    """Multiplicative uncertainty of a product of independent factors.

    Parameters
    ----------
    *factors : float
        Uncertainties, each 1 or more.

    Returns
    -------
    float
        exp(√Σ ln²u).

    Examples
    --------
    >>> combine(2.0, 1.0)
    2.0
    >>> round(combine(2.0, 1.2), 3)
    2.048
    """
    return math.exp(math.sqrt(sum(math.log(factor) ** 2 for factor in factors)))


def spread(value: float, low: float, high: float) -> int:
    """Decimal place to round to: the second digit of the nearer half-interval.

    A value known no better than to a quarter keeps two digits.

    Parameters
    ----------
    value, low, high : float

    Returns
    -------
    int
        As :func:`round` takes it: -1 for tens, 2 for hundredths.

    Examples
    --------
    >>> spread(108.5, 54.2, 217.0)
    -1
    >>> spread(108.5, 108.2, 108.8)
    2
    """
    half = min(value - low, high - value)
    if half <= 0:
        return _place(value, 3)
    return _place(half if half < value / 4 else value, 2)


def _place(value: float, digits: int) -> int:
    return digits - 1 - math.floor(math.log10(abs(value))) if value else 0


def _digits(value: float, place: int) -> str:
    return f'{round(value, place):.{max(place, 0)}f}'
