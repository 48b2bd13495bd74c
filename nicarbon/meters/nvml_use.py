"""Who uses a GPU and who holds it, by NVML.

NVML tells for each process the percentage of time in which its kernels ran on the
multiprocessors, averaged since a moment, and which processes hold the GPU. Inside a
container either list may bear the process numbers of the host; there the files that
our processes have open tell whether one of them is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any, Protocol

from ..entry import Use

__all__ = ['SAMPLE_SECONDS', 'Users']

SAMPLE_SECONDS = 1.0
"""The driver samples utilisation every sixth of a second to every second."""

_LAG = int(SAMPLE_SECONDS * 1e6)  # In microseconds.
_FIRST_PID_NAMESPACE = 'pid:[4026531836]'  # linux/proc_ns.h


class _Device(Protocol):
    @property
    def handle(self) -> Any: ...

    @property
    def minor(self) -> int | None: ...

    @property
    def mig(self) -> bool: ...


class Users:
    """Follows the use of one GPU from look to look.

    Parameters
    ----------
    nvml : module
    device : Device
    proc : str
        Where processes are listed.
    clock : callable
        Seconds since 1970, as NVML stamps its samples.
    """

    def __init__(
        self, nvml: Any, device: _Device, *, proc: str, clock: Callable[[], float]
    ) -> None:
        self._nvml, self._device, self._proc, self._clock = nvml, device, proc, clock
        self._contained = _is_contained(proc)
        self._since: int | None = None
        self._openers: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
        self._holders: frozenset[int] = frozenset()

    def forget(self) -> None:
        """The GPU was lost: what it said before does not count."""
        self._since = None

    def look(self, own: frozenset[int], seconds: float) -> Use:
        """Use since the look before.

        Parameters
        ----------
        own : frozenset of int
            Processes of the work that is watched.
        seconds : float
            Since the look before.

        Returns
        -------
        Use
        """
        if self._device.mig:
            return Use(None, seconds, 0.0, 0.0)
        if self._contained:
            self._openers = self._openers[1], self._open_in(own)
        sampled, running = self._sampled(seconds), self._running()
        if sampled or (sampled is not None and seconds >= SAMPLE_SECONDS):
            own_seconds, host_seconds = self._by_samples(sampled, own)
        else:
            own_seconds, host_seconds = self._by_holders(running, own, seconds)
        used = {pid: part / seconds for pid, part in (sampled or {}).items()} if seconds else {}
        held, holders = self._held(running or frozenset(), used, own)
        self._holders = running or frozenset()
        return Use(own_seconds, host_seconds, held * seconds, holders * seconds)

    def _by_samples(
        self, sampled: dict[int, float], own: frozenset[int]
    ) -> tuple[float | None, float]:
        """Seconds of ours and of everybody."""
        everybody = sum(sampled.values())
        if not sampled:
            return 0.0, 0.0
        ours = self._ours(sampled, own)
        if ours is not None:
            return sum(sampled[pid] for pid in ours), everybody
        return (everybody if self._is_single(sampled) else None), everybody

    def _by_holders(
        self, running: frozenset[int] | None, own: frozenset[int], seconds: float
    ) -> tuple[float | None, float]:
        """The same, where it is known only if one program holds the GPU alone."""
        try:
            used = self._nvml.nvmlDeviceGetUtilizationRates(self._device.handle).gpu / 100
        except self._nvml.NVMLError_NotSupported:
            used = 1.0
        everybody = used * seconds
        if running is None:
            return None, everybody
        ours = self._ours(running, own)
        if ours is None:
            return (everybody if self._is_single(running) else None), everybody
        if not ours:
            return (0.0 if running or not everybody else None), everybody
        return (everybody if ours == running else None), everybody

    def _held(
        self, running: frozenset[int], used: dict[int, float], own: frozenset[int]
    ) -> tuple[float, float]:
        """How many processes of ours and of everybody held it, on the average.

        Who holds it at one end of a window alone has held it for half of the window, as
        far as anybody knows, or for as long as it was used; and so has one that came and
        went in between.
        """
        seen = running | self._holders
        # In a container the two lists may be numbered differently.
        seen |= frozenset() if self._contained and seen else frozenset(used)
        throughout = running & self._holders
        parts = {pid: 1.0 if pid in throughout else max(0.5, used.get(pid, 0.0)) for pid in seen}
        everybody = sum(parts.values())
        ours = self._ours(parts, own)
        if ours is not None:
            return sum(parts[pid] for pid in ours), everybody
        return min(sum(map(len, self._openers)) / 2, everybody), everybody

    def _ours(self, pids: Collection[int], own: frozenset[int]) -> frozenset[int] | None:
        """Those that are ours; None where their numbers are not those that we know."""
        found = own & frozenset(pids)
        if not self._contained:
            return found
        # A number of the host may by chance be one of ours: it must have the GPU open.
        opened = self._openers[0] | self._openers[1]
        return (found & opened or None) if opened else frozenset()

    def _is_single(self, pids: Collection[int]) -> bool:
        """Whether the one process that uses the GPU must be ours."""
        return len(pids) == 1 and len(self._openers[0] | self._openers[1]) == 1

    def _open_in(self, own: frozenset[int]) -> frozenset[int]:
        """Processes that have the GPU open to compute; a meter opens the first file alone."""
        wanted = {'/dev/nvidia-uvm'}
        if self._device.minor is not None:
            wanted.add(f'/dev/nvidia{self._device.minor}')
        return frozenset(pid for pid in own if wanted <= _open_files(f'{self._proc}/{pid}/fd'))

    def _running(self) -> frozenset[int] | None:
        """Processes that hold the GPU; None where that is not told."""
        nvml, pids, told = self._nvml, set[int](), False
        for function in (
            nvml.nvmlDeviceGetComputeRunningProcesses,
            nvml.nvmlDeviceGetGraphicsRunningProcesses,
        ):
            try:
                pids |= {each.pid for each in function(self._device.handle)}
                told = True
            except (
                nvml.NVMLError_NotSupported,
                nvml.NVMLError_NoPermission,
                nvml.NVMLError_FunctionNotFound,
            ):
                continue
        return frozenset(pids) if told else None

    def _sampled(self, seconds: float) -> dict[int, float] | None:
        """Seconds of full use by process; None where that is not told."""
        nvml, now = self._nvml, int(self._clock() * 1e6)
        since, self._since = self._since, now
        if since is None or not seconds:
            return {}
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(self._device.handle, since)
        except nvml.NVMLError_NotFound:
            samples = []
        except (
            nvml.NVMLError_NotSupported,
            nvml.NVMLError_NoPermission,
            nvml.NVMLError_FunctionNotFound,
        ):
            return None
        except nvml.NVMLError as error:
            if error.value != nvml.NVML_SUCCESS:  # How pynvml says that there are none.
                raise
            samples = []
        # Some drivers fill the rest of the list with what is not a sample.
        valid = {
            (each.timeStamp, each.pid): each.smUtil
            for each in samples
            if since < each.timeStamp <= now + _LAG and each.smUtil <= 100
        }
        # What is sampled now is told up to a second later; older times are done with.
        told = max((stamp for stamp, _ in valid), default=since)
        self._since = min(now, max(told, now - _LAG))
        return _integral(valid, since, seconds)


def _integral(samples: dict[tuple[int, int], int], since: int, seconds: float) -> dict[int, float]:
    """Seconds of full use by process: each percentage holds since the one before it.

    Examples
    --------
    >>> _integral({(2_000_000, 7): 50, (4_000_000, 7): 25, (4_000_000, 8): 0}, 0, 4.0)
    {7: 1.5}
    """
    used: dict[int, float] = {}
    before: dict[int, int] = {}
    for (stamp, pid), percent in sorted(samples.items()):
        if percent:
            length = (stamp - before.get(pid, since)) / 1e6
            used[pid] = min(seconds, used.get(pid, 0.0) + percent / 100 * length)
        before[pid] = stamp
    return used


def _is_contained(proc: str) -> bool:
    """Whether process numbers may be others than those of the host."""
    try:
        return os.readlink(f'{proc}/self/ns/pid') != _FIRST_PID_NAMESPACE  # noqa: PTH115
    except OSError:
        return True


def _open_files(folder: str) -> set[str]:
    """What the files are that a process has open; nothing if that may not be read."""
    files: set[str] = set()
    try:
        names = os.listdir(folder)
    except OSError:
        return files
    for name in names:
        try:
            files.add(os.readlink(f'{folder}/{name}'))  # noqa: PTH115
        except OSError:
            continue
    return files
