"""NVIDIA GPUs, by the driver's own library (NVML).

Volta and later count energy; older ones tell power, which is integrated. Neither
sees the host: the GPU's board is a component of its own.

============================  ================================================
``nvml:energy``               the driver's counter of millijoules
``nvml:power``                its samples of power, by the trapezoidal rule
``…, MIG: not split``         one GPU cut into several: nobody's part is known
============================  ================================================

Nothing is loaded where there is no driver, and nothing here raises.
"""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ..entry import Reading, Use
from ..errors import warn_once
from . import Meter, Moment, Seen, integral
from .counter import Counter, counted
from .nvml_use import Users
from .visible import visible

__all__ = ['FROZEN_SECONDS', 'U_ENERGY', 'U_POWER', 'Gpu', 'find_gpus']

U_ENERGY = 1.05
"""Boards of twelve generations, against a power meter: ±5 % of the value
(arXiv:2312.02741)."""

U_IDLE = 1.1
"""The least power that was seen while nothing computed: it falls as the board cools."""

U_POWER = 1.65
"""Power is sampled for a part of the time only (a quarter on A100 and H100), so that
its integral is off by up to 65 % (arXiv:2312.02741)."""

FROZEN_SECONDS = 2.0
"""The counter moves every 0.1 s or less, and no GPU draws nothing: one that stands
still for longer is broken."""

_DRIVER = ('/dev/nvidiactl', '/proc/driver/nvidia')
_VALUES = ('dVal', 'uiVal', 'ulVal', 'ullVal', 'sllVal', 'siVal', 'usVal')
"""Names of the members of nvmlValue_t, by nvmlValueType_t."""

_idle_watts: dict[str, float] = {}


class Device(NamedTuple):
    """One physical GPU."""

    handle: Any
    uuid: str
    name: str
    minor: int | None
    mig: bool
    counts_energy: bool


class _Session(NamedTuple):
    """NVML as it was started by a process; a forked child starts it anew."""

    pid: int
    devices: tuple[Device | None, ...]


_sessions: weakref.WeakKeyDictionary[Any, _Session] = weakref.WeakKeyDictionary()


def find_gpus(
    library: Any = None,
    environ: Mapping[str, str] = os.environ,
    *,
    proc: str = '/proc',
    clock: Callable[[], float] = time.time,
) -> tuple[Meter, ...]:
    """One meter for each GPU that this process may use.

    Parameters
    ----------
    library : module, optional
        Behaves like ``pynvml``, which is the default where there is a driver.
    environ : mapping
        ``CUDA_VISIBLE_DEVICES`` is honoured as CUDA does.
    proc : str
        Where processes are listed.
    clock : callable
        The clock that NVML stamps its samples with: seconds since 1970.

    Returns
    -------
    tuple of Meter
        New ones on every call; none where there is no GPU, or none answers.

    Examples
    --------
    >>> find_gpus(environ={'CUDA_VISIBLE_DEVICES': ''})
    ()
    """
    chosen = environ.get('CUDA_VISIBLE_DEVICES')
    if chosen is not None and not chosen.strip():
        return ()
    try:
        nvml = _load() if library is None else library
        devices = () if nvml is None else _devices(nvml)
        found = {device.uuid: device for device in devices if device is not None}
        if _indices_are_known(chosen, environ, list(found.values())):
            uuids = [device.uuid if device else '' for device in devices]
            found = {uuid: found[uuid] for uuid in visible(chosen, uuids, _parent_in(nvml))}
        return tuple(Gpu(nvml, device, proc=proc, clock=clock) for device in found.values())
    except Exception as error:  # noqa: BLE001 - whatever a driver does, the work goes on
        warn_once('nvml', f'no GPU is metered: {error}')
        return ()


def _indices_are_known(
    chosen: str | None, environ: Mapping[str, str], devices: Sequence[Device]
) -> bool:
    """Whether CUDA counts as NVML does; where it sorts unlike GPUs by speed, all are watched."""
    if chosen is None or not chosen.strip()[:1].isdecimal():
        return True
    by_bus = environ.get('CUDA_DEVICE_ORDER') == 'PCI_BUS_ID'
    return by_bus or len({device.name for device in devices}) <= 1


def _load() -> Any:
    """NVML's bindings, where there is a driver."""
    if not any(os.path.exists(path) for path in _DRIVER):  # noqa: PTH110 - takes 1 µs
        return None
    import pynvml

    return pynvml


def _devices(nvml: Any) -> tuple[Device | None, ...]:
    """All GPUs, by index; NVML is started once per process."""
    session = _sessions.get(nvml)
    if session is None or session.pid != os.getpid():
        devices: tuple[Device | None, ...] = ()
        try:
            nvml.nvmlInit()
            devices = tuple(_device(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))
        except nvml.NVMLError as error:
            warn_once('nvml', f'no GPU is metered: {error}')
        session = _sessions[nvml] = _Session(os.getpid(), devices)
    return session.devices


def _device(nvml: Any, index: int) -> Device | None:
    """What stays as it is while the driver is loaded; None where the GPU does not answer."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = _text(nvml.nvmlDeviceGetUUID(handle))
    except nvml.NVMLError as error:
        warn_once(f'gpu {index}', f'GPU {index} is not metered: {error}')
        return None
    mode = _ask(nvml, nvml.nvmlDeviceGetMigMode, handle)
    return Device(
        handle,
        uuid,
        _text(_ask(nvml, nvml.nvmlDeviceGetName, handle) or ''),
        _ask(nvml, nvml.nvmlDeviceGetMinorNumber, handle),
        mode is not None and mode[0] == nvml.NVML_DEVICE_MIG_ENABLE,
        _counts_energy(nvml, handle),
    )


def _counts_energy(nvml: Any, handle: Any) -> bool:
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return False
    except nvml.NVMLError:
        return True  # It may come back.
    return True


def _ask(nvml: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """The answer, or None."""
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def _parent_in(nvml: Any) -> Callable[[str], str | None]:
    def parent(mig: str) -> str | None:
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(mig)
            whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
            return _text(nvml.nvmlDeviceGetUUID(whole))
        except nvml.NVMLError:
            return None

    return parent


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class _Counter(Protocol):
    def look(self, now: float) -> float | None: ...

    def forget(self) -> None: ...


class _Energy(Counter):
    """Joules by the driver's counter, which falls when the driver is loaded anew."""

    patience = FROZEN_SECONDS

    def __init__(self, nvml: Any, device: Device) -> None:
        super().__init__(device.uuid, None, math.inf)
        self._nvml, self._handle = nvml, device.handle
        self._last: float | None = None

    def forget(self) -> None:
        self._last = None

    def look(self, now: float) -> float | None:
        last, self._last = self._last, self.read(now)
        if last is None or self._last is None or self.frozen(now):
            return None
        microjoules = counted(last, self._last, self.span, self.max_watts)
        return None if microjoules is None else microjoules / 1e6

    def _fetch(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) * 1000


class _Power:
    """Joules by samples of power; where none are kept, by power at both ends."""

    def __init__(self, nvml: Any, device: Device, clock: Callable[[], float]) -> None:
        self._nvml, self._handle, self._clock = nvml, device.handle, clock
        self._last: tuple[float, float] | None = None

    def forget(self) -> None:
        self._last = None

    def look(self, now: float) -> float | None:
        last = self._last
        self._last = now, self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000
        if last is None:
            return None
        inside = [point for point in self._samples(last[0], now) if last[0] < point[0] < now]
        return integral([last, *sorted(inside), self._last])

    def _samples(self, start: float, now: float) -> list[tuple[float, float]]:
        """Monotonic seconds and watts."""
        nvml, clock = self._nvml, self._clock()
        since = max(0, int((clock - now + start) * 1e6))
        try:
            kind, samples = nvml.nvmlDeviceGetSamples(
                self._handle, nvml.NVML_TOTAL_POWER_SAMPLES, since
            )
        except nvml.NVMLError:
            return []
        return [
            (now - clock + each.timeStamp / 1e6, getattr(each.sampleValue, _VALUES[kind]) / 1000)
            for each in samples
        ]


class Gpu:
    """A meter of one GPU.

    Parameters
    ----------
    nvml : module
        Started already.
    device : Device
    proc : str
    clock : callable
        See :func:`find_gpus`.
    """

    def __init__(
        self,
        nvml: Any,
        device: Device,
        *,
        proc: str = '/proc',
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._nvml, self._device = nvml, device
        self._counter: _Counter
        if device.counts_energy:
            self._counter, self._method, self._u_rel = _Energy(nvml, device), 'energy', U_ENERGY
        else:
            self._counter, self._method = _Power(nvml, device, clock), 'power'
            self._u_rel = U_POWER
        self._users = Users(nvml, device, proc=proc, clock=clock)
        self._last: float | None = None

    @property
    def reading(self) -> Reading:
        """Energy of the whole board; idle power is the least that was seen so far."""
        return Reading(
            f'gpu:{self._device.uuid}',
            None,
            _idle_watts.get(self._device.uuid),
            f'nvml:{self._method}' + (', MIG: not split' if self._device.mig else ''),
            'measured',
            'host',
            self._u_rel,
            idle_u_rel=U_IDLE,
        )

    def look(self, moment: Moment) -> Seen:
        """Joules of the board since the look before, and who used it."""
        last, self._last = self._last, moment.monotonic
        try:
            joules = self._counter.look(moment.monotonic)
        except Exception as error:  # noqa: BLE001 - whatever a driver does, the work goes on
            self._counter.forget()
            self._users.forget()
            uuid = self._device.uuid
            warn_once(uuid, f'{uuid} does not answer ({error}); its energy is not seen')
            return Seen()
        if last is None:
            self._note_idle_power()
        use = self._use(moment, 0.0 if last is None else moment.monotonic - last)
        return Seen(joules, use) if last is not None else Seen()

    def _use(self, moment: Moment, seconds: float) -> Use | None:
        """Who used it; its energy is seen even where that is not."""
        try:
            return self._users.look(moment.pids(), seconds)
        except Exception:  # noqa: BLE001 - whatever a driver does, the work goes on
            self._users.forget()
            return None

    def _note_idle_power(self) -> None:
        """Remember the least power at which nothing ran."""
        nvml, handle, uuid = self._nvml, self._device.handle, self._device.uuid
        rates = _ask(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
        if rates is None or rates.gpu:
            return
        power = _ask(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
        if power:
            _idle_watts[uuid] = min(power / 1000, _idle_watts.get(uuid, power / 1000))
