"""CodeCarbon: the machine as a whole, every 15 s, and memory by a model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

NAME = 'codecarbon'
DISTRIBUTION = 'codecarbon'
INSIDE = False
SLOW_START = True
SCOPE = 'machine'
ASKS_NETWORK = False
READS = 'RAPL by powercap, of packages alone; GPUs by NVML; memory by a model, 5 W a module'
CANNOT = (
    'charges all of the machine to whoever asks, idle and other programs included; its mode '
    '"process" sees its own children only, and those that live longer than its interval'
)

KWH = 3.6e6
"""Joules."""


class Tracker:
    """Its offline tracker, which opens no connection.

    Parameters
    ----------
    folder : pathlib.Path
        What it writes goes there.
    country3 : str or None
        ISO 3166-1 alpha-3; without, it takes the world average.
    interval : float
        Seconds between two samples; 15 is its default.
    mode : str
        ``machine``, its default, or ``process``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        country3: str | None = None,
        interval: float = 15,
        mode: str = 'machine',
        **_: Any,
    ) -> None:
        from codecarbon import OfflineEmissionsTracker

        logging.disable(logging.WARNING)
        where = {'country_iso_code': country3} if country3 else {}
        self.tracker = OfflineEmissionsTracker(
            **where,
            output_dir=str(folder),
            measure_power_secs=interval,
            tracking_mode=mode,
            log_level='critical',
            allow_multiple_runs=True,
        )

    def start(self) -> None:
        """Begin to measure."""
        self.tracker.start()

    def stop(self) -> dict[str, Any]:
        """Stop; what it found, in J, g and s."""
        self.tracker.stop()
        return told(self.tracker.final_emissions_data)


def told(data: Any) -> dict[str, Any]:
    """Its own figures; energy is that of the computer, times the PUE that it was given (1)."""
    joules = data.energy_consumed * KWH
    return {
        'told_joules': joules,
        'joules': joules / data.pue,
        'cpu_joules': data.cpu_energy * KWH,
        'grams': data.emissions * 1e3,
        'g_per_kwh': data.emissions * 1e3 / data.energy_consumed if joules else None,
        'pue': data.pue,
        # Its mean load over the samples that it took.
        'cpu_seconds': data.cpu_utilization_percent / 100 * data.cpu_count * data.duration,
        'parts': {'cpu': data.cpu_energy * KWH, 'dram': data.ram_energy * KWH},
    }
