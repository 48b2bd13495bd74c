"""One way to start and stop every tracker; imports happen when one is made.

Each is used as its documentation says, with what it writes kept in a folder and
its log silent. ``stop`` returns joules of CPU (or of all that it adds up), and CPU
seconds where the tool tells them.
"""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

KWH = 3.6e6
_numbers = itertools.count()

if TYPE_CHECKING:
    from nicarbon.watch import Watch


class Tracker(Protocol):
    def start(self) -> None: ...
    def stop(self) -> dict[str, float | None]: ...


class Nothing:
    """No tracker: what the process costs by itself."""

    def __init__(self, folder: Path, interval: float | None) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> dict[str, float | None]:
        return {}


class Nicarbon:
    """What a carbon-aware interface does around its work, in a run known to this host."""

    def __init__(self, folder: Path, interval: float | None) -> None:  # noqa: ARG002
        import nicarbon.aware  # noqa: F401 - as a carbon-aware node is unpickled
        from nicarbon.run import watched
        from nicarbon.watch import Label

        self.context = _every(interval) if interval else watched(Label(node='task'))

    def start(self) -> None:
        self.watch = self.context.__enter__()

    def stop(self) -> dict[str, float | None]:
        self.context.__exit__(None, None, None)
        entry = self.watch.entry
        joules = [reading.joules for reading in entry.readings if reading.joules is not None]
        return {'joules': sum(joules), 'cpu_seconds': entry.cpu_seconds}


def _every(seconds: float) -> Watch:
    """A watch with windows of another length than the default."""
    from nicarbon import host, meters
    from nicarbon.watch import Label, Watch

    ledger = Path(os.environ['NICARBON_LEDGER'])
    machine = host.cached(ledger.parent / 'hosts')
    return Watch(Label(), machine, meters.find(machine), ledger, window_seconds=seconds)


class CodeCarbon:
    mode = 'machine'

    def __init__(self, folder: Path, interval: float | None) -> None:
        from codecarbon import OfflineEmissionsTracker

        self.tracker = OfflineEmissionsTracker(
            country_iso_code='FRA',
            output_dir=str(folder),
            measure_power_secs=interval or 15,
            tracking_mode=self.mode,
            log_level='critical',
            allow_multiple_runs=True,
        )

    def start(self) -> None:
        self.tracker.start()

    def stop(self) -> dict[str, float | None]:
        self.tracker.stop()
        data = self.tracker.final_emissions_data
        return {'joules': data.energy_consumed * KWH, 'cpu_joules': data.cpu_energy * KWH}


class CodeCarbonProcess(CodeCarbon):
    mode = 'process'


class CodeCarbonTask(CodeCarbon):
    """One tracker of the process, and a task in it."""

    kept: Any = None

    def __init__(self, folder: Path, interval: float | None) -> None:
        if CodeCarbonTask.kept is None:
            super().__init__(folder, interval)
            CodeCarbonTask.kept = self.tracker
        self.tracker = CodeCarbonTask.kept

    def start(self) -> None:
        self.name = f'task {next(_numbers)}'
        self.tracker.start_task(self.name)

    def stop(self) -> dict[str, float | None]:
        data = self.tracker.stop_task(self.name)
        return {'joules': data.energy_consumed * KWH, 'cpu_joules': data.cpu_energy * KWH}


class CarbonTracker:
    """Its joules are divided by the 1.58 (or so) that it multiplies for the data centre."""

    def __init__(self, folder: Path, interval: float | None) -> None:
        from carbontracker.tracker import CarbonTracker as Tracker

        self.tracker = Tracker(
            epochs=2,
            epochs_before_pred=0,
            update_interval=interval or 1,
            components='cpu',
            verbose=0,
            log_dir=str(folder),
            log_file_prefix=f'{next(_numbers)}',
            interpretable=False,
        )

    def start(self) -> None:
        self.tracker.epoch_start()

    def stop(self) -> dict[str, float | None]:
        thread = self.tracker.tracker
        self.tracker.epoch_end()
        self.tracker.stop()
        kwh = sum(float(part.energy_usage(thread.epoch_times)[0]) for part in thread.components)
        return {'joules': kwh * KWH, 'cpu_joules': kwh * KWH}


class Eco2ai:
    def __init__(self, folder: Path, interval: float | None) -> None:
        import eco2ai

        self.tracker = eco2ai.Tracker(
            file_name=str(folder / f'emission-{next(_numbers)}.csv'),
            measure_period=interval or 10,
            alpha_2_code='FR',
            ignore_warnings=True,
        )

    def start(self) -> None:
        self.tracker.start()

    def stop(self) -> dict[str, float | None]:
        # It forgets the sum when it stops.
        cpu, memory = self.tracker._cpu, self.tracker._ram  # noqa: SLF001
        self.tracker.stop()
        joules, more = (each._consumption * KWH for each in (cpu, memory))  # noqa: SLF001
        return {'joules': joules + more, 'cpu_joules': joules}


class Zeus:
    """One monitor of the process, and a window in it."""

    kept: Any = None

    def __init__(self, folder: Path, interval: float | None) -> None:  # noqa: ARG002
        from zeus.monitor import ZeusMonitor

        if Zeus.kept is None:
            Zeus.kept = ZeusMonitor(gpu_indices=[])
        self.monitor = Zeus.kept
        self.name = f'window {next(_numbers)}'

    def start(self) -> None:
        self.monitor.begin_window(self.name)

    def stop(self) -> dict[str, float | None]:
        seen = self.monitor.end_window(self.name)
        if not seen.cpu_energy:
            return {'joules': None}
        cpu = sum(seen.cpu_energy.values())
        return {'joules': cpu + sum((seen.dram_energy or {}).values()), 'cpu_joules': cpu}


TRACKERS: dict[str, Any] = {
    'nothing': Nothing,
    'nicarbon': Nicarbon,
    'codecarbon machine': CodeCarbon,
    'codecarbon process': CodeCarbonProcess,
    'codecarbon task': CodeCarbonTask,
    'carbontracker': CarbonTracker,
    'eco2ai': Eco2ai,
    'zeus': Zeus,
}


def silence() -> None:
    """Keep what trackers say out of the answers; once per process, outside what is timed."""
    logging.disable(logging.WARNING)
    warnings.simplefilter('ignore')


def make(tool: str, folder: Path, interval: float | None = None) -> Tracker:
    """Import a tracker and make it ready to start."""
    return TRACKERS[tool](folder, interval)
