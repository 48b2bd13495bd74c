"""A stand-in for NVIDIA's library: boards with known power, on a clock that tests move.

It has the names, the values and the exceptions of ``pynvml``, which can be imported
where there is no driver.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pynvml
from pynvml import NVMLError

EPOCH = 1_700_000_000.0
TICK = 0.1
"""Seconds between two updates of the energy counter, and two samples."""


@dataclass
class Board:
    """One GPU: 50 W, and 2 W more for every percent of its multiprocessors.

    ``lost``, ``mig``, ``counts_energy``, … may be changed at any time.
    """

    uuid: str
    minor: int = 0
    name: str = 'NVIDIA Stand-in'
    idle_watts: float = 50.0
    percent_watts: float = 2.0
    lost: bool = False
    frozen: bool = False
    mig: bool = False
    counts_energy: bool = True
    keeps_power: bool = True
    tells_use: bool = True
    tells_processes: bool = True
    use_fails: bool = False
    fills_with_noise: bool = False
    no_samples_is_success: bool = False
    running: dict[int, int] = field(default_factory=dict)
    """Percent of the multiprocessors by process of the host; 0 holds without using."""
    graphics: set[int] = field(default_factory=set)
    millijoules: float = 0.0
    power: list[tuple[int, int]] = field(default_factory=list)
    samples: list[tuple[int, dict[int, int]]] = field(default_factory=list)

    @property
    def watts(self) -> float:
        return self.idle_watts + self.percent_watts * sum(self.running.values())


class StandIn:
    """Behaves like the module ``pynvml``.

    Parameters
    ----------
    boards : Board
    use_offset, list_offset : int
        Added to the numbers of processes in samples of use, and in lists of those that
        hold a GPU, as the driver does that knows the numbers of the host alone.
    fails : str
        The error with which NVML refuses to start.
    """

    def __init__(
        self, *boards: Board, use_offset: int = 0, list_offset: int = 0, fails: str = ''
    ) -> None:
        self.boards = list(boards) or [Board('GPU-3f2a')]
        self.use_offset, self.list_offset, self.fails = use_offset, list_offset, fails
        self.parents: dict[str, str] = {}
        self.started = 0
        self.now = EPOCH

    def __getattr__(self, name: str):
        """Constants and exceptions are those of the bindings themselves."""
        if name.startswith(('NVML_', 'NVMLError')):
            return getattr(pynvml, name)
        raise AttributeError(name)

    def clock(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass, with what runs now."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            stamp = int(self.now * 1e6)
            for board in self.boards:
                if not board.frozen:
                    board.millijoules += board.watts * TICK * 1000
                board.power.append((stamp, round(board.watts * 1000)))
                board.samples.append((stamp, dict(board.running)))

    def reload(self) -> None:
        """The driver is loaded anew: counters begin at zero."""
        for board in self.boards:
            board.millijoules = 0.0

    def _check(self, handle: Board, *, supported: bool = True) -> None:
        if not self.started:
            raise NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)
        if handle.lost:
            raise NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        if not supported:
            raise NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def nvmlInit(self) -> None:  # noqa: N802
        if self.fails:
            raise NVMLError(getattr(pynvml, f'NVML_ERROR_{self.fails}'))
        self.started += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Board:  # noqa: N802
        self._check(self.boards[index])
        return self.boards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> object:  # noqa: N802
        if uuid not in self.parents:
            raise NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return SimpleNamespace(mig=uuid)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, migDevice) -> Board:  # noqa: N802, N803
        uuid = self.parents[migDevice.mig]
        return next(board for board in self.boards if board.uuid == uuid)

    def nvmlDeviceGetUUID(self, handle: Board) -> str:  # noqa: N802
        self._check(handle)
        return handle.uuid

    def nvmlDeviceGetName(self, handle: Board) -> str:  # noqa: N802
        self._check(handle)
        return handle.name

    def nvmlDeviceGetMinorNumber(self, handle: Board) -> int:  # noqa: N802
        self._check(handle)
        return handle.minor

    def nvmlDeviceGetMigMode(self, device: Board) -> list[int]:  # noqa: N802
        self._check(device)
        return [int(device.mig), int(device.mig)]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Board) -> int:  # noqa: N802
        self._check(handle, supported=handle.counts_energy)
        return round(handle.millijoules)

    def nvmlDeviceGetPowerUsage(self, handle: Board) -> int:  # noqa: N802
        self._check(handle)
        return round(handle.watts * 1000)

    def nvmlDeviceGetSamples(self, device: Board, sampling_type: int, timeStamp: int):  # noqa: N802, N803
        self._check(device, supported=device.keeps_power)
        assert sampling_type == pynvml.NVML_TOTAL_POWER_SAMPLES
        samples = [
            SimpleNamespace(timeStamp=stamp, sampleValue=SimpleNamespace(uiVal=milliwatts))
            for stamp, milliwatts in device.power
            if stamp > timeStamp
        ]
        if not samples:
            raise NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, samples

    def nvmlDeviceGetUtilizationRates(self, handle: Board):  # noqa: N802
        self._check(handle, supported=not handle.mig)
        return SimpleNamespace(gpu=min(100, sum(handle.running.values())), memory=0)

    def nvmlDeviceGetProcessUtilization(self, handle: Board, timeStamp: int) -> list:  # noqa: N802, N803
        """One sample per process that used it: the average up to when it last did."""
        self._check(handle, supported=handle.tells_use and not handle.mig)
        if handle.use_fails:
            raise NVMLError(pynvml.NVML_ERROR_UNKNOWN)
        since = [(stamp, use) for stamp, use in handle.samples if stamp > timeStamp]
        pids = {pid for _, use in since for pid, percent in use.items() if percent}
        found = []
        for pid in sorted(pids):
            last = max(stamp for stamp, use in since if use.get(pid))
            percents = [use.get(pid, 0) for stamp, use in since if stamp <= last]
            percent = round(sum(percents) / len(percents))
            found.append(_sample(pid + self.use_offset, last, percent))
        if not found:
            success = handle.no_samples_is_success
            raise NVMLError(pynvml.NVML_SUCCESS if success else pynvml.NVML_ERROR_NOT_FOUND)
        if handle.fills_with_noise:
            found += [found[0], _sample(0, 0, 0), _sample(77, 12, 3_000_000_000)]
        return found

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Board) -> list:  # noqa: N802
        self._check(handle, supported=handle.tells_processes)
        if handle.mig:
            raise NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        return [_process(pid + self.list_offset) for pid in handle.running]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: Board) -> list:  # noqa: N802
        self._check(handle, supported=handle.tells_processes)
        return [_process(pid + self.list_offset) for pid in handle.graphics]


def _sample(pid: int, stamp: int, percent: int) -> SimpleNamespace:
    return SimpleNamespace(
        pid=pid, timeStamp=stamp, smUtil=percent, memUtil=0, encUtil=0, decUtil=0
    )


def _process(pid: int) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=None, gpuInstanceId=0, computeInstanceId=0)


def processes(folder: Path, *, contained: bool, **opened: list[str]) -> str:
    """A stand-in for ``/proc``: ``p12=['nvidia0']`` has ``/dev/nvidia0`` open."""
    (folder / 'self' / 'ns').mkdir(parents=True)
    namespace = 4026532999 if contained else 4026531836
    (folder / 'self' / 'ns' / 'pid').symlink_to(f'pid:[{namespace}]')
    for name, files in opened.items():
        (folder / name[1:] / 'fd').mkdir(parents=True)
        for number, file in enumerate(files):
            (folder / name[1:] / 'fd' / str(number)).symlink_to(f'/dev/{file}')
    return str(folder)
