"""carbontracker: the machine as a whole, a sample of power every second."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

NAME = 'carbontracker'
DISTRIBUTION = 'carbontracker'
INSIDE = False
SLOW_START = False
SCOPE = 'machine'
ASKS_NETWORK = True
READS = 'RAPL by powercap, a sample of 1 s in every second; GPUs by NVML'
CANNOT = (
    'charges all of the machine to whoever asks; without a counter it takes half of a thermal '
    'design power all the time, whatever runs; cannot be told a zone: it asks ipinfo.io where '
    'it is, and takes the world average where nobody answers'
)

KWH = 3.6e6
"""Joules."""


class Tracker:
    """Its tracker, with one epoch as long as the program runs.

    Parameters
    ----------
    folder : pathlib.Path
        What it writes goes there.
    interval : float
        Seconds between two samples; 1 is its default.
    components : str
        What it looks at; ``all`` is its default.
    """

    def __init__(
        self, folder: Path, *, interval: float = 1, components: str = 'all', **_: Any
    ) -> None:
        from carbontracker.tracker import CarbonTracker

        logging.disable(logging.WARNING)
        self.tracker = CarbonTracker(
            epochs=2,
            epochs_before_pred=0,
            update_interval=interval,
            components=components,
            verbose=0,
            log_dir=str(folder),
            log_file_prefix=f'{id(self)}',
            interpretable=False,
        )

    def start(self) -> None:
        """Begin to measure."""
        self.tracker.epoch_start()

    def stop(self) -> dict[str, Any]:
        """Stop; what it found, in J, g and s."""
        from carbontracker import constants

        thread, updater = self.tracker.tracker, self.tracker.intensity_updater
        self.tracker.epoch_end()
        parts = {
            part.name: float(part.energy_usage(thread.epoch_times)[0]) * KWH
            for part in thread.components
        }
        kwh = float(thread.total_energy_per_epoch().sum())
        intensity = updater.average_carbon_intensity()
        self.tracker.stop()
        return {
            'told_joules': kwh * KWH,
            'joules': sum(parts.values()),
            'cpu_joules': parts.get('cpu', 0.0),
            'grams': kwh * intensity,
            'g_per_kwh': intensity,
            'pue': constants.PUE_2023,
            'cpu_seconds': None,
            'parts': parts,
        }
