"""What the electricity grid emitted: one port, and one function that picks.

==================  =====================================================
``constant``        a number of grams per kWh that the user gives
``table``           yearly averages by country, province or state
==================  =====================================================

Nothing here opens a connection.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Protocol

from ..account import Intensity
from ..errors import GridError

__all__ = ['Grid', 'parse']


class Grid(Protocol):
    """Tells how much carbon a kWh of electricity carried in a period."""

    def over(self, start: datetime, stop: datetime) -> Intensity:
        """Intensity between two moments.

        Parameters
        ----------
        start, stop : datetime.datetime
            Aware, UTC.

        Returns
        -------
        Intensity
        """
        ...


def parse(text: str | None) -> Grid:
    """Make a grid of what the user wrote after ``--grid``.

    Parameters
    ----------
    text : str or None
        A number of grams per kWh (``30``), or a zone (``FR``, ``FRA``,
        ``CA-QC``, ``US-CA``). None and ``world`` take the world average, marked as
        assumed.

    Returns
    -------
    Grid

    Raises
    ------
    GridError
        For a zone that no table knows (with the nearest names) or a number
        that cannot be an intensity.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> now = datetime.now(timezone.utc)
    >>> parse('30').over(now, now).g_per_kwh
    30.0
    >>> parse('-3')
    Traceback (most recent call last):
    ...
    nicarbon.errors.GridError: --grid -3: grams of CO2e per kWh are 0 or more
    """
    from .constant import Constant
    from .table import Table, World

    if text is None or text.strip().lower() == 'world':
        return World()
    try:
        value = float(text)
    except ValueError:
        return Table(text)
    if not math.isfinite(value) or value < 0:
        msg = f'--grid {text}: grams of CO2e per kWh are 0 or more'
        raise GridError(msg)
    return Constant(value)
