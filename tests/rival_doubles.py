"""Environments whose trackers are doubles: small, quick, and of known joules. Tests only.

Each is a virtual environment like any other, without pip, and holds a package of the name
and the surface that the real one has.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from nicarbon.rivals import RIVALS, pins
from nicarbon.rivals.environments import STAMP, requirements

JOULES = 100.0

PACKAGES: dict[str, dict[str, str]] = {
    'codecarbon': {
        'codecarbon/__init__.py': """
from types import SimpleNamespace
class OfflineEmissionsTracker:
    def __init__(self, country_iso_code='', **options):
        self.zone = country_iso_code
    def start(self):
        print('garbage that a tracker prints')
    def stop(self):
        kwh = 100 / 3.6e6
        self.final_emissions_data = SimpleNamespace(
            energy_consumed=kwh, cpu_energy=0.6 * kwh, ram_energy=0.4 * kwh, pue=1.0,
            emissions=kwh * (0.056 if self.zone == 'FRA' else 0.475), cpu_count=2,
            cpu_utilization_percent=50.0, duration=2.0)
""",
    },
    'carbontracker': {
        'carbontracker/__init__.py': '',
        'carbontracker/constants.py': 'PUE_2023 = 1.58\n',
        'carbontracker/tracker.py': """
from types import SimpleNamespace
class Kwh(list):
    def sum(self):
        return sum(self)
class CarbonTracker:
    def __init__(self, **options):
        cpu = SimpleNamespace(name='cpu', energy_usage=lambda times: [100 / 3.6e6])
        self.tracker = SimpleNamespace(
            components=[cpu], epoch_times=[1.0],
            total_energy_per_epoch=lambda: Kwh([1.58 * 100 / 3.6e6]))
        self.intensity_updater = SimpleNamespace(average_carbon_intensity=lambda: 445.0)
    def epoch_start(self): pass
    def epoch_end(self): pass
    def stop(self): pass
""",
    },
    'impact_tracker': {
        'experiment_impact_tracker/__init__.py': '',
        'experiment_impact_tracker/emissions/__init__.py': '',
        'experiment_impact_tracker/emissions/constants.py': 'PUE = 1.58\n',
        'experiment_impact_tracker/compute_tracker.py': """
import json, os, time
from types import SimpleNamespace
class ImpactTracker:
    p = SimpleNamespace(is_alive=lambda: True)
    initial_info = {'region_carbon_intensity_estimate': {'carbonIntensity': 56}}
    def __init__(self, folder):
        self.table = os.path.join(folder, 'impacttracker', 'data.json')
        os.makedirs(os.path.dirname(self.table), exist_ok=True)
    def launch_impact_monitor(self):
        with open(self.table, 'w') as file:
            for moment in (time.time() + 0.01, time.time() + 0.02):
                sample = {'timestamp': moment, 'rapl_estimated_attributable_power_draw': 10.0,
                          'cpu_time_seconds': {'1': {'user': 0.5, 'system': 0.25}}}
                file.write(json.dumps(sample) + '\\n')
    def get_latest_info_and_check_for_errors(self):
        pass
""",
    },
    'eco2ai': {
        'eco2ai/__init__.py': """
from types import SimpleNamespace
class Tracker:
    _pue = 1
    def __init__(self, file_name, **options):
        self.file_name = file_name
        self._cpu, self._ram = (SimpleNamespace(_consumption=k / 3.6e6) for k in (90, 10))
    def start(self): pass
    def emission_level(self):
        return 67.5
    def stop(self):
        with open(self.file_name, 'w') as file:
            file.write('power_consumption(kWh),CO2_emissions(kg)\\n')
            file.write(f'{100 / 3.6e6},{100 / 3.6e6 * 0.0675}\\n')
""",
    },
    'zeus': {
        'zeus/__init__.py': '',
        'zeus/monitor.py': """
from types import SimpleNamespace
class ZeusMonitor:
    def begin_window(self, name, sync_execution): pass
    def end_window(self, name, sync_execution):
        return SimpleNamespace(gpu_energy={}, cpu_energy=None, dram_energy=None)
""",
    },
}


def environments(folder: Path) -> Path:
    """A folder for ``--envs``: pip has nothing to do any more."""
    for rival in RIVALS:
        name = rival.pins.stem
        _environment(folder / name, PACKAGES[name])
        (folder / name / STAMP).write_text(requirements(pins(name)))
    return folder


def _environment(folder: Path, package: dict[str, str]) -> None:
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(folder)], check=True)
    (site,) = folder.glob('lib/python*/site-packages')
    for name, text in package.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
