"""Zeus: counters at the begin and the end of a window, nothing in between."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path
from typing import Any

NAME = 'zeus'
DISTRIBUTION = 'zeus'
INSIDE = False
SLOW_START = False
SCOPE = 'machine'
ASKS_NETWORK = False
READS = 'RAPL by powercap, and its DRAM zones; GPUs by the energy counter of NVML'
CANNOT = (
    'sees nothing where no counter can be read; charges all of the machine to whoever asks; '
    'tells no CO2e without a token of Electricity Maps'
)

_numbers = itertools.count()


class Tracker:
    """A window of its monitor.

    Parameters
    ----------
    folder : pathlib.Path
        It writes nothing.
    monitor : object, optional
        One that was made before.
    """

    def __init__(self, folder: Path, *, monitor: Any = None, **_: Any) -> None:  # noqa: ARG002
        from zeus.monitor import ZeusMonitor

        logging.disable(logging.WARNING)
        self.monitor = monitor or ZeusMonitor()
        self.name = f'window {next(_numbers)}'

    def start(self) -> None:
        """Begin a window."""
        self.monitor.begin_window(self.name, sync_execution=False)

    def stop(self) -> dict[str, Any]:
        """End it; what it found, in J; nothing where no counter was."""
        seen = self.monitor.end_window(self.name, sync_execution=False)
        parts = {
            name: sum(joules.values())
            for name, joules in (
                ('cpu', seen.cpu_energy), ('dram', seen.dram_energy), ('gpu', seen.gpu_energy)
            )
            if joules
        }  # fmt: skip
        joules = sum(parts.values()) if parts else None
        return {
            'told_joules': joules,
            'joules': joules,
            'cpu_joules': parts.get('cpu'),
            'grams': None,
            'g_per_kwh': None,
            'pue': None,
            'cpu_seconds': None,
            'parts': parts,
        }
