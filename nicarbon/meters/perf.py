"""The same counters as :mod:`~nicarbon.meters.rapl` by the kernel's performance events.

``power/energy-pkg/`` and ``power/energy-ram/``, opened once on one CPU of each package.
The kernel widens them to 64 bits: they do not wrap. What may open them is decided by
``perf_event_paranoid`` and CAP_PERFMON, not by the permission of a file.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

from ..entry import Reading
from ..host import Host
from ..kernel import text
from .counter import Counter, CounterMeter, moving
from .dram import U_DRAM
from .dram import idle_watts as dram_idle_watts
from .finding import Candidate, Finding, absent, denied, frozen
from .model import idle_u_rel
from .rapl import U_RAPL, U_RAPL_DRAM, most_watts

__all__ = ['Kernel', 'PerfCounter', 'candidates', 'cpus']

METHOD = 'rapl:perf'
EVENTS = {'cpu': 'energy-pkg', 'dram': 'energy-ram'}

ALLOW = 'sudo sysctl kernel.perf_event_paranoid=0'
MODULE = 'sudo modprobe rapl'

_CALL_NUMBERS = {'x86_64': 298, 'aarch64': 241, 'ppc64le': 319, 's390x': 331, 'riscv64': 241}
_CLOSE_ON_EXEC = 8
_SIZE = 64
"""Bytes of ``struct perf_event_attr`` in its first version, which all kernels take."""


class Kernel(Protocol):
    """What is asked of the kernel; tests pass a double."""

    def open(self, attributes: bytes, cpu: int) -> int:
        """Open an event on a CPU; an OSError says why not."""
        ...

    def read(self, handle: int) -> int:
        """Its count."""
        ...


class System:
    """The kernel that runs this process."""

    def open(self, attributes: bytes, cpu: int) -> int:
        """By perf_event_open(2), which the C library does not wrap."""
        number = _CALL_NUMBERS.get(platform.machine())
        if number is None:
            raise OSError(errno.ENOSYS, f'no performance events on {platform.machine()}')
        library = ctypes.CDLL(None, use_errno=True)
        handle = library.syscall(number, attributes, -1, cpu, -1, _CLOSE_ON_EXEC)
        if handle < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return int(handle)

    def read(self, handle: int) -> int:
        """Eight bytes."""
        return int.from_bytes(os.read(handle, 8), sys.byteorder)


class PerfCounter(Counter):
    """One event on one CPU, kept open.

    Parameters
    ----------
    kernel : Kernel
    attributes : bytes
        A ``struct perf_event_attr``.
    cpu : int
    scale : float
        Joules of one count.
    max_watts : float
    path : str
    """

    def __init__(
        self,
        kernel: Kernel,
        attributes: bytes,
        cpu: int,
        scale: float,
        max_watts: float,
        path: str,
    ) -> None:
        super().__init__(f'{path}@{cpu}', None, max_watts)
        self._kernel, self._scale = kernel, scale
        self._handle = kernel.open(attributes, cpu)

    def _fetch(self) -> float:
        return self._kernel.read(self._handle) * self._scale * 1e6


def cpus(mask: str) -> tuple[int, ...]:
    """CPUs of a list as the kernel writes it.

    Parameters
    ----------
    mask : str

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> cpus('0,20'), cpus('0-2,5')
    ((0, 20), (0, 1, 2, 5))
    """
    numbers: list[int] = []
    for part in mask.split(','):
        first, _, last = part.partition('-')
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def candidates(
    host: Host, sysfs: Path, kernel: Kernel | None, sleep: Callable[[float], object]
) -> Iterable[Candidate]:
    """CPU and memory by performance events.

    Parameters
    ----------
    host : Host
    sysfs : pathlib.Path
    kernel : Kernel or None
    sleep : callable
        Waits for counters to move.

    Yields
    ------
    Candidate
        One per component.
    """
    folder = sysfs / 'bus/event_source/devices/power'
    for component, event in EVENTS.items():
        path = folder / 'events' / event
        if path.exists():
            yield _candidate(host, component, folder, kernel or System(), sleep)
        elif folder.exists():
            yield absent(component, METHOD, path, 'this processor has no such event')
        elif host.virtual:
            why = 'a virtual machine: its host shows it no counter'
            yield absent(component, METHOD, path, why)
        else:
            yield absent(component, METHOD, path, 'the kernel shows no such event', MODULE)


def _candidate(
    host: Host, component: str, folder: Path, kernel: Kernel, sleep: Callable[[float], object]
) -> Candidate:
    path = folder / 'events' / EVENTS[component]
    scale = float(text(path.with_name(f'{path.name}.scale')))
    attributes = _attributes(folder, text(path))
    most = most_watts(host, component)
    try:
        counters = [
            PerfCounter(kernel, attributes, cpu, scale, most, str(path))
            for cpu in cpus(text(folder / 'cpumask'))
        ]
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            return denied(component, METHOD, path, 'CAP_PERFMON is needed', ALLOW)
        return absent(component, METHOD, path, str(error.strerror or error))
    if not moving(counters, sleep):
        return frozen(component, METHOD, path)
    cpu = component == 'cpu'
    u_rel = U_RAPL if cpu else U_RAPL_DRAM
    idle = host.idle_watts if cpu else dram_idle_watts(host)
    idle_u = idle_u_rel(host) if cpu else U_DRAM
    reading = Reading(component, None, idle, METHOD, 'measured', 'host', u_rel, idle_u_rel=idle_u)
    why = f'one event on each of {len(counters)} CPU{"s" if len(counters) > 1 else ""}'
    finding = Finding(component, METHOD, 'available', str(path), 'measured', u_rel, why)
    return Candidate(finding, partial(CounterMeter, reading, counters))


def _attributes(folder: Path, event: str) -> bytes:
    """``struct perf_event_attr`` for an event such as ``event=0x02``.

    ``format/event`` says which bits of the configuration hold its number.
    """
    config = 0
    for term in event.split(','):
        name, _, value = term.partition('=')
        bits = text(folder / 'format' / name).rpartition(':')[2]
        config |= int(value or '1', 0) << int(bits.partition('-')[0])
    kind = int(text(folder / 'type'))
    return struct.pack('=IIQQQQQIIQ', kind, _SIZE, config, 0, 0, 0, 0, 0, 0, 0)
