"""experiment-impact-tracker: a tree of processes, by its share of what is active."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

NAME = 'impact-tracker'
DISTRIBUTION = 'experiment-impact-tracker'
INSIDE = True
SLOW_START = False
SCOPE = 'tree'
ASKS_NETWORK = True
READS = 'RAPL by powercap, a sample of 2 s in every 4 s or so; GPUs by nvidia-smi'
CANNOT = (
    'follows the children of its own process alone, so that CMD is run once more, inside it; '
    'children that end between two samples are lost; sees no energy without RAPL; its own '
    'summary needs a GPU of NVIDIA, so that its samples are added up here as that would; cannot '
    'be told a zone, and does not start where ipinfo.io does not say where it is; unmaintained '
    'since 2021: needs pandas below 2'
)


class Tracker:
    """Its monitor, which samples this process and its children from a process of its own.

    Parameters
    ----------
    folder : pathlib.Path
        What it writes goes there.
    """

    def __init__(self, folder: Path, **_: Any) -> None:
        from experiment_impact_tracker.compute_tracker import ImpactTracker

        self.folder = Path(folder)
        logging.disable(logging.WARNING)
        self.tracker = ImpactTracker(str(folder))

    def start(self) -> None:
        """Begin to measure."""
        self.begin = time.time()
        self.tracker.launch_impact_monitor()

    def stop(self) -> dict[str, Any]:
        """Stop; what it found, in J, g and s."""
        from experiment_impact_tracker.emissions.constants import PUE

        end = time.time()
        lines = (self.folder / 'impacttracker' / 'data.json').read_text('utf-8').splitlines()
        samples = [json.loads(line) for line in lines]
        note = self._trouble(len(samples))
        joules = integral(samples, self.begin, end)
        zone = self.tracker.initial_info['region_carbon_intensity_estimate']
        intensity = float(zone['carbonIntensity'])
        return {
            'told_joules': None if joules is None else joules * PUE,
            'joules': joules,
            'cpu_joules': joules,
            'grams': None if joules is None else joules * PUE / 3.6e6 * intensity,
            'g_per_kwh': intensity,
            'pue': PUE,
            'cpu_seconds': cpu_time(samples),
            'parts': {} if joules is None else {'cpu': joules},
            'note': note,
        }

    def _trouble(self, samples: int) -> str:
        """What its monitor died of, as it does when a child ends while it is looked at."""
        try:
            self.tracker.get_latest_info_and_check_for_errors()
        except Exception as error:  # noqa: BLE001 - whatever the monitor raised
            return (
                f'its monitor died after {samples} samples ({type(error).__name__}), the last of '
                'which stands for all the rest'
            )
        return '' if self.tracker.p.is_alive() else f'its monitor ended after {samples} samples'


def integral(samples: list[dict[str, Any]], begin: float, end: float) -> float | None:
    """Joules of its samples, as its ``gather_additional_info`` adds them up.

    Each holds from the sample before on, and the last one until the end.

    Examples
    --------
    >>> one = {'timestamp': 2.0, 'rapl_estimated_attributable_power_draw': 10.0}
    >>> integral([one], 0.0, 3.0)
    30.0
    >>> integral([{'timestamp': 2.0}], 0.0, 3.0) is None
    True
    """
    joules, last, watts = 0.0, begin, None
    for sample in samples:
        watts = sample.get('rapl_estimated_attributable_power_draw')
        if watts is None:
            return None
        joules += watts * (sample['timestamp'] - last)
        last = sample['timestamp']
    return None if watts is None else joules + watts * (end - last)


def cpu_time(samples: list[dict[str, Any]]) -> float | None:
    """CPU seconds of all processes that it has seen, as each was seen last."""
    latest: dict[str, float] = {}
    for sample in samples:
        for pid, spent in sample.get('cpu_time_seconds', {}).items():
            latest[pid] = spent['user'] + spent['system']
    return sum(latest.values()) if latest else None
