"""One way to start and stop every tracker; imports happen when one is made.

The others are used as ``nicarbon compare`` uses them, by the same files; this runs in their
environments too, where nicarbon is not installed. ``stop`` returns joules of CPU (or of all
that it adds up), and CPU seconds where the tool tells them.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

KWH = 3.6e6
_numbers = itertools.count()

RIVALS = Path(__file__).parents[1] / 'nicarbon' / 'rivals'


def _load(name: str) -> ModuleType:
    """A module by its file: its name is that of the package that it is about."""
    spec = importlib.util.spec_from_file_location(f'rival_{name}', RIVALS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RIVAL = {name: _load(name) for name in ('codecarbon', 'carbontracker', 'eco2ai', 'zeus')}

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


class CodeCarbon(RIVAL['codecarbon'].Tracker):
    mode = 'machine'

    def __init__(self, folder: Path, interval: float | None) -> None:
        super().__init__(folder, country3='FRA', interval=interval or 15, mode=self.mode)


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


class CarbonTracker(RIVAL['carbontracker'].Tracker):
    """CPUs alone; without the factor for data centres that it multiplies its joules with."""

    def __init__(self, folder: Path, interval: float | None) -> None:
        super().__init__(folder, interval=interval or 1, components='cpu')


class Eco2ai(RIVAL['eco2ai'].Tracker):
    """By default it sees its own process alone."""

    def __init__(self, folder: Path, interval: float | None) -> None:
        super().__init__(folder, country2='FR', interval=interval or 10, processes='current')


class Zeus(RIVAL['zeus'].Tracker):
    """One monitor of the process, and a window in it."""

    kept: Any = None

    def __init__(self, folder: Path, interval: float | None) -> None:  # noqa: ARG002
        super().__init__(folder, monitor=Zeus.kept)
        Zeus.kept = self.monitor


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
