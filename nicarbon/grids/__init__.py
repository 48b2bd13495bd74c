"""What the electricity grid emitted: one port, and one function that picks.

==================  =====================================================
``constant``        a number of grams per kWh that the user gives
``table``           yearly averages by country, province or state
``trace``           hour by hour, from a file that the user gives
==================  =====================================================

Nothing here opens a connection.
"""

from __future__ import annotations

import math
import os
from datetime import datetime
from pathlib import Path
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

    def whole(self) -> Intensity:
        """Intensity of no time in particular: the mean over all that is known."""
        ...


def parse(text: str | None) -> Grid:
    """Make a grid of what the user wrote after ``--grid``.

    Parameters
    ----------
    text : str or None
        A number of grams per kWh (``30``), or a zone (``FR``, ``FRA``,
        ``CA-QC``, ``US-CA``), or the path of a trace (``FR_2024_hourly.csv``, see
        :mod:`nicarbon.grids.exported`). None and ``world`` take the world average,
        marked as assumed.

    Returns
    -------
    Grid

    Raises
    ------
    GridError
        For a zone that no table knows (with the nearest names), a number
        that cannot be an intensity, or a file that is no trace.

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
    from .table import World

    if text is None or text.strip().lower() == 'world':
        return World()
    try:
        value = float(text)
    except ValueError:
        return _named(text)
    if not math.isfinite(value) or value < 0:
        msg = f'--grid {text}: grams of CO2e per kWh are 0 or more'
        raise GridError(msg)
    return Constant(value)


def _named(text: str) -> Grid:
    """The zone of that name; else the file."""
    from .exported import read
    from .table import Table

    if Path(text).suffix.lower() in {'.csv', '.tsv'}:
        return read(Path(text))
    try:
        return Table(text)
    except GridError:
        # A file called FR is not France.
        if os.path.isfile(text):  # noqa: PTH113 - False for what no path can be
            return read(Path(text))
        raise
