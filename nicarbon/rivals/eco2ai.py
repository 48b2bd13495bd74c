"""eco2AI: load times a thermal design power, of its own process or of the machine."""

from __future__ import annotations

import csv
import itertools
import logging
import warnings
from pathlib import Path
from typing import Any

NAME = 'eco2ai'
DISTRIBUTION = 'eco2ai'
INSIDE = False
SLOW_START = True
SCOPE = 'machine'
ASKS_NETWORK = False
READS = 'no counter: load by `top` every 10 s, times a thermal design power; GPUs by NVML'
CANNOT = (
    'reads no counter even where there is one; by default it sees its own process alone, and so '
    'nothing of CMD: asked here for all processes (cpu_processes="all"); writes text into a '
    'column of numbers: needs pandas below 2.1'
)

KWH = 3.6e6
"""Joules."""

_numbers = itertools.count()


class Tracker:
    """Its tracker.

    Parameters
    ----------
    folder : pathlib.Path
        What it writes goes there.
    country2 : str or None
        ISO 3166-1 alpha-2; without, a code that it does not know, for which it takes the world
        average. (Told nothing, it asks ipinfo.io.)
    interval : float
        Seconds between two samples; 10 is its default.
    processes : str
        ``all``, or ``current``, its default.
    """

    def __init__(
        self,
        folder: Path,
        *,
        country2: str | None = None,
        interval: float = 10,
        processes: str = 'all',
        **_: Any,
    ) -> None:
        warnings.simplefilter('ignore')
        import eco2ai

        logging.disable(logging.WARNING)
        self.table = Path(folder) / f'emission-{next(_numbers)}.csv'
        self.tracker = eco2ai.Tracker(
            file_name=str(self.table),
            measure_period=interval,
            alpha_2_code=country2 or 'ZZ',
            cpu_processes=processes,
            ignore_warnings=True,
        )

    def start(self) -> None:
        """Begin to measure."""
        self.tracker.start()

    def stop(self) -> dict[str, Any]:
        """Stop; what it found, in J, g and s."""
        cpu, memory = self.tracker._cpu, self.tracker._ram  # noqa: SLF001 - in no table of its
        self.tracker.stop()
        with self.table.open(newline='', encoding='utf-8') as file:
            row = list(csv.DictReader(file))[-1]
        joules, pue = float(row['power_consumption(kWh)']) * KWH, float(self.tracker._pue)  # noqa: SLF001
        parts = {'cpu': cpu._consumption * KWH, 'dram': memory._consumption * KWH}  # noqa: SLF001
        return {
            'told_joules': joules,
            'joules': joules / pue,
            'cpu_joules': parts['cpu'],
            'grams': float(row['CO2_emissions(kg)']) * 1e3,
            'g_per_kwh': self.tracker.emission_level(),
            'pue': pue,
            'cpu_seconds': None,
            'parts': parts,
        }
