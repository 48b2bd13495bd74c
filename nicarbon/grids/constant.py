"""A number of grams per kWh that the user knows better than any table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..account import Intensity

__all__ = ['Constant']


@dataclass(frozen=True, slots=True)
class Constant:
    """One intensity for all times.

    Parameters
    ----------
    g_per_kwh : float
        Grams of CO2 equivalent per kWh. Taken as given: it adds no
        uncertainty of its own.
    """

    g_per_kwh: float

    def over(self, start: datetime, stop: datetime) -> Intensity:  # noqa: ARG002 - the port's
        """The same for any period."""
        return self.whole()

    def whole(self) -> Intensity:
        """The same, of no time."""
        g = self.g_per_kwh
        return Intensity(g, g, g, 'given', '', '', 'as given', 'the --grid option')
