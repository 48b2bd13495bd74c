"""What this machine is: CPU, cores, memory, and what it is thought to draw.

Probed once per host and kept as JSON where the caller says, so that a thousand
workers do not probe a thousand times and a ledger remains readable years after
the machine is gone.
"""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .entry import Tier

__all__ = [
    'IDLE_FRACTION',
    'SLOPE_FRACTION',
    'Host',
    'boot_id',
    'busy_seconds',
    'cached',
    'probe',
    'slept_seconds',
]

IDLE_FRACTION = 0.12
"""Package power at rest over thermal design power (TDP)."""

SLOPE_FRACTION = 0.70
"""What full load adds, over TDP: P = TDP·(0.12 + 0.70·u). Both were fitted on
95 points of five CPUs with RAPL (bias ×0.99, geometric SD 1.54; 90 % of the
points within 0.54 to 2.42 of RAPL)."""

U_KNOWN_CPU = 2.0
"""Uncertainty of that model at 95 % when the TDP is the CPU's own."""

U_UNKNOWN_CPU = 3.0
"""The same when the CPU is not in the table, or is a slice of one."""

WATTS_PER_THREAD = 4.0
"""TDP per hardware thread of an unknown CPU: CodeCarbon's default."""


@dataclass(frozen=True, slots=True)
class Host:
    """One machine.

    Parameters
    ----------
    name : str
        Host name.
    cpu : str
        Model, as the kernel names it.
    cores : int
        Logical cores online.
    sockets : int
        Processor packages.
    memory_gb : float
        Memory in GB (10⁹ bytes).
    virtual : bool
        Whether a hypervisor is below: the CPU is then a slice of one.
    tdp_watts : float
        Thermal design power of all that this machine sees of its CPUs, in watts.
    tdp_source : str
        Where that comes from.
    tier : {'modelled', 'assumed'}
        ``assumed`` when the TDP is a guess per thread.
    u_rel : float
        Multiplicative uncertainty of CPU power at 95 %.
    """

    name: str
    cpu: str
    cores: int
    sockets: int
    memory_gb: float
    virtual: bool
    tdp_watts: float
    tdp_source: str
    tier: Tier
    u_rel: float

    @property
    def idle_watts(self) -> float:
        """CPU power at rest, in watts."""
        return IDLE_FRACTION * self.tdp_watts

    @property
    def watts_per_busy_core(self) -> float:
        """What one busy core adds, in watts."""
        return SLOPE_FRACTION * self.tdp_watts / self.cores


def probe() -> Host:
    """Look at this machine. Takes about a second: CodeCarbon's table is matched.

    Returns
    -------
    Host
    """
    import psutil

    cpuinfo = _read('/proc/cpuinfo')
    cpu = _field(cpuinfo, 'model name') or platform.processor() or platform.machine()
    cores = os.cpu_count() or 1
    sockets = len({line for line in cpuinfo.splitlines() if line.startswith('physical id')}) or 1
    virtual = ' hypervisor' in _field(cpuinfo, 'flags')
    tdp = None if virtual else _tdp(cpu)
    return Host(
        name=os.uname().nodename,
        cpu=cpu,
        cores=cores,
        sockets=sockets,
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        virtual=virtual,
        tdp_watts=tdp * sockets if tdp else WATTS_PER_THREAD * cores,
        tdp_source='CodeCarbon table of TDP' if tdp else _why_assumed(virtual),
        tier='modelled' if tdp else 'assumed',
        u_rel=U_KNOWN_CPU if tdp else U_UNKNOWN_CPU,
    )


def _why_assumed(virtual: bool) -> str:  # noqa: FBT001 - one word, named by the caller
    what = 'virtual machine, a slice of a CPU' if virtual else 'CPU not in the table'
    return f'{what}: {WATTS_PER_THREAD:g} W per hardware thread (CodeCarbon default)'


def cached(folder: Path | str) -> Host:
    """The facts of this machine, from a file in a folder; probed if there is none.

    Parameters
    ----------
    folder : path
        Holds one ``<host>.json`` per host.

    Returns
    -------
    Host
    """
    path = Path(folder) / f'{os.uname().nodename}.json'
    try:
        return Host(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        host = probe()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f'.{path.name}.{os.getpid()}')
        draft.write_text(json.dumps(asdict(host), indent=2) + '\n')
        draft.replace(path)
    except OSError:
        pass  # A read-only or full disk costs the next process a second, nothing more.
    return host


def busy_seconds() -> float | None:
    """CPU seconds that all cores were busy since boot.

    Returns
    -------
    float or None
        user + nice + system + irq + softirq, in seconds. Waiting for disks is
        not work; guests are in user already; what a hypervisor stole was not
        done here. None where there is no ``/proc/stat``.
    """
    line = _first_line('/proc/stat').split()
    if len(line) < 8:
        return None
    user, nice, system, _idle, _iowait, irq, softirq = (int(ticks) for ticks in line[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf('SC_CLK_TCK')


def slept_seconds() -> float:
    """How long this machine was suspended since boot: one clock counts it, another does not.

    Returns
    -------
    float
        In seconds; 0 where there are no such clocks.
    """
    if not hasattr(time, 'CLOCK_BOOTTIME'):
        return 0.0
    both = time.clock_gettime(time.CLOCK_BOOTTIME), time.clock_gettime(time.CLOCK_MONOTONIC)
    return round(both[0] - both[1], 3)


def boot_id() -> str:
    """Names this boot: monotonic clocks compare only within one."""
    return _read('/proc/sys/kernel/random/boot_id').strip()


def _tdp(cpu: str) -> float | None:
    """TDP of one package in watts, from CodeCarbon's table by its own matching."""
    from codecarbon.core.cpu import TDP
    from codecarbon.input import DataSource

    table = DataSource().get_cpu_power_data()
    # The constructor detects the CPU anew and falls back to a guess without
    # saying so; the matching alone is wanted, and it keeps no state.
    matcher = object.__new__(TDP)
    name = matcher._get_matching_cpu(cpu, table)
    return float(table.loc[table['Name'] == name, 'TDP'].iloc[0]) if name else None


def _field(cpuinfo: str, name: str) -> str:
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(':')
        if key.strip() == name:
            return value.strip()
    return ''


def _first_line(path: str) -> bytes:
    """Without the lines of single cores that follow: this is read in every window."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return b''
    try:
        return os.read(handle, 256).partition(b'\n')[0]
    finally:
        os.close(handle)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ''
