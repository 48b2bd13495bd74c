"""What this machine is: CPU, cores, memory, and what it is thought to draw.

Probed once per boot and kept for the user, and copied to where a run is, so that a
thousand workers do not probe a thousand times and a ledger remains readable years
after the machine is gone.

What the CPU draws at rest and at full load is known, best first,

======================  =====================================================
``model:calibrated``    by ``nicarbon calibrate`` on this machine
``model:ccf``           by its family, from Cloud Carbon Footprint
``model:tdp-linear``    from its thermal design power (TDP), or a guess of it
======================  =====================================================
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .entry import Tier
from .kernel import text
from .processor import family, field, is_paired, is_virtual, power, tdp_linear, tdp_watts

__all__ = [
    'U_IDLE_CALIBRATED',
    'Host',
    'boot_id',
    'busy_seconds',
    'cached',
    'calibrated',
    'calibration_folders',
]
__all__ += ['online_cores', 'probe', 'read', 'slept_seconds']

U_CALIBRATED = 1.5
"""Uncertainty at 95 % of a line between powers that were measured on this machine: it
bends, and equal CPU seconds may cost unequal energy."""

U_IDLE_CALIBRATED = 1.2
"""An idle power that was measured on this machine: it moves with temperature."""

_TICKS_PER_SECOND = os.sysconf('SC_CLK_TCK')

_LAYOUT = 2
"""Of the files that are kept for the user; raise it when what is probed changes."""


class Host(NamedTuple):
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
    memory_gb : float or None
        Memory in GB (10⁹ bytes); None of a machine of which nobody says it.
    virtual : bool
        Whether a hypervisor is below: the CPU is then a slice of one.
    idle_watts, peak_watts : float
        CPU power of all that this machine sees of its CPUs, at rest and at full load.
    power_method : str
        ``model:calibrated``, ``model:ccf`` or ``model:tdp-linear``.
    power_source : str
        Where both powers come from.
    tier : {'modelled', 'assumed'}
        ``assumed`` when they are a guess per thread.
    u_rel : float
        Multiplicative uncertainty of CPU power by this model at 95 %.
    tdp_watts : float or None
        Thermal design power of all sockets; None where it is not known.
    family : str
        Microarchitecture; empty where it is not known.
    boot_id : str
        Boot in which this was probed.
    dram_idle_watts : float or None
        Power of the memory at rest; None where it was not calibrated.
    """

    name: str
    cpu: str
    cores: int
    sockets: int
    memory_gb: float | None
    virtual: bool
    idle_watts: float
    peak_watts: float
    power_method: str
    power_source: str
    tier: Tier
    u_rel: float
    tdp_watts: float | None = None
    family: str = ''
    boot_id: str = ''
    dram_idle_watts: float | None = None

    @property
    def installed_gb(self) -> float:
        """Memory of a machine that was probed, in GB."""
        if self.memory_gb is None:
            raise ValueError(f'nobody says how much memory {self.name or "this machine"} has')
        return self.memory_gb

    @property
    def watts_per_busy_core(self) -> float:
        """What one busy core adds, in watts."""
        return max(0.0, self.peak_watts - self.idle_watts) / self.cores


def probe() -> Host:
    """Look at this machine. Takes about a second: CodeCarbon's table is matched.

    Returns
    -------
    Host
        As it is without a calibration.
    """
    cpuinfo = text('/proc/cpuinfo')
    cpu, cores, memory_gb = _cpu(cpuinfo), online_cores(), _memory_gb()
    sockets = len({line for line in cpuinfo.splitlines() if line.startswith('physical id')}) or 1
    virtual = is_virtual(cpuinfo)
    # A virtual machine's cores and threads are whatever its hypervisor says.
    paired = virtual or is_paired(cpuinfo)
    name = family(cpuinfo)
    per_socket = None if virtual else tdp_watts(cpu)
    tdp = per_socket * sockets if per_socket else None
    return Host(
        name=os.uname().nodename,
        cpu=cpu,
        cores=cores,
        sockets=sockets,
        memory_gb=memory_gb,
        virtual=virtual,
        tdp_watts=tdp,
        family=name,
        boot_id=boot_id(),
        **power(name, tdp, cores, virtual=virtual, paired=paired),
    )


def calibrated(host: Host, folders: Iterable[Path]) -> Host:
    """The host with what was measured of it, if anything was.

    Parameters
    ----------
    host : Host
    folders : iterable of pathlib.Path
        Hold one ``<host>.json`` per machine, as ``nicarbon calibrate`` writes it; the
        first that holds one for this CPU counts.

    Returns
    -------
    Host
    """
    for folder in folders:
        path = folder / f'{host.name}.json'
        try:
            told = json.loads(path.read_text('utf-8'))
            if (told['cpu'], told['cores']) != (host.cpu, host.cores):
                continue
            return _measured(host, told)
        except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
            continue  # Somebody's file: what cannot be read is not there.
    return host


def _measured(host: Host, told: Mapping[str, Any]) -> Host:
    idle, peak = float(told['idle_watts']), float(told['peak_watts'])
    dram = told.get('dram_idle_watts')
    # Spreads are watts; as they are seen on both sides, so is the factor.
    spread = max(float(told['idle_spread']) / idle, float(told['peak_spread']) / peak)
    # So far from the line was some load between both.
    bent = float(told.get('line_deviation', 0.0))
    if not (0 < idle <= peak < math.inf and 0 <= spread < math.inf and 0 <= bent < math.inf):
        raise ValueError('no CPU draws less at work than at rest')
    return host._replace(
        idle_watts=idle,
        peak_watts=peak,
        power_method='model:calibrated',
        power_source=f'calibrated with {told["measured_with"]} on {str(told["started"])[:10]}',
        tier='modelled',
        u_rel=round(max(U_CALIBRATED, 1 + spread, 1 + bent), 2),
        dram_idle_watts=None if dram is None else float(dram),
    )


def read(facts: Mapping[str, Any]) -> Host:
    """A host from what a ledger says of it, in this version's words or older ones.

    Parameters
    ----------
    facts : mapping

    Returns
    -------
    Host

    Raises
    ------
    TypeError, ValueError
        When something is missing.

    Examples
    --------
    >>> old = {'name': 'h', 'cpu': 'X', 'cores': 2, 'sockets': 1, 'memory_gb': 8.0,
    ...        'virtual': False, 'tdp_watts': 100.0, 'tdp_source': 'a table',
    ...        'tier': 'modelled', 'u_rel': 2.0}
    >>> read(old).idle_watts, read(old).power_source
    (12.0, 'a table')
    """
    known = set(Host._fields)
    kept = {name: value for name, value in facts.items() if name in known}
    if 'tdp_source' in facts:
        kept |= tdp_linear(float(facts['tdp_watts']))
        kept['power_source'] = facts['tdp_source']
    return Host(**kept)


def cached(folder: Path | str | None = None) -> Host:
    """The facts of this machine, probed once per boot.

    Parameters
    ----------
    folder : path, optional
        Gets a copy as ``<host>.json``.

    Returns
    -------
    Host
    """
    name = os.uname().nodename
    path = None if folder is None else Path(folder) / f'{name}.json'
    # The workers of a run go by what the run knows, and ask nothing else.
    told = _load(path) if path is not None else None
    if told is not None and (told.name, told.boot_id) == (name, boot_id()):
        return told
    host = calibrated(_kept(name), calibration_folders())
    if path is not None:
        _save(path, host)
    return host


def _kept(name: str) -> Host:
    """What was probed in this boot, for this user."""
    from platformdirs import user_cache_path

    boot, cpu = boot_id(), _cpu(text('/proc/cpuinfo', 4096))
    key = zlib.crc32(f'{boot} {cpu} {online_cores()} {_memory_gb()}'.encode())
    path = user_cache_path('nicarbon') / 'hosts' / f'{name}-{key:08x}-{_LAYOUT}.json'
    host = _load(path)
    if host is None or (host.name, host.boot_id, host.cpu) != (name, boot, cpu):
        host = probe()
        _save(path, host)
        _forget_older(path, name)
    return host


def _forget_older(path: Path, name: str) -> None:
    """Remove what was kept of this host in other boots: one file a boot would add up."""
    import glob

    with contextlib.suppress(OSError):
        for old in path.parent.glob(f'{glob.escape(name)}-{"[0-9a-f]" * 8}-*.json'):
            if old != path:
                old.unlink(missing_ok=True)


def calibration_folders() -> list[Path]:
    """Where a calibration is looked for: the user's own folder, then the site's."""
    from platformdirs import site_config_path, user_config_path

    return [path('nicarbon') / 'calibration' for path in (user_config_path, site_config_path)]


def _load(path: Path) -> Host | None:
    """A file of this version; None for all others."""
    try:
        return Host(**json.loads(path.read_text('utf-8')))
    except (OSError, ValueError, TypeError):
        return None


def _save(path: Path, host: Host) -> None:
    from .files import save_json

    # A read-only or full disk costs the next process a second, nothing more.
    with contextlib.suppress(OSError):
        save_json(path, host._asdict())


def busy_seconds() -> float | None:
    """CPU seconds that all cores were busy since boot.

    Returns
    -------
    float or None
        user + nice + system + irq + softirq, in seconds. Waiting for disks is
        not work; guests are in user already; what a hypervisor stole was not
        done here. None where there is no ``/proc/stat``.
    """
    line = text('/proc/stat', 256).split(None, 8)
    if len(line) < 8:
        return None
    _, user, nice, system, _idle, _iowait, irq, softirq, *_ = line
    ticks = int(user) + int(nice) + int(system) + int(irq) + int(softirq)
    return ticks / _TICKS_PER_SECOND


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


def online_cores() -> int:
    """Logical cores that the kernel uses, whatever the environment tells Python of them."""
    return os.sysconf('SC_NPROCESSORS_ONLN')


def _memory_gb() -> float:
    return round(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9, 1)


def boot_id() -> str:
    """Names this boot: monotonic clocks compare only within one."""
    return text('/proc/sys/kernel/random/boot_id')


def _cpu(cpuinfo: str) -> str:
    return field(cpuinfo, 'model name') or platform.processor() or platform.machine()
