"""Running average power limit (RAPL) through powercap: counters of Intel and AMD.

Zones nest, and some overlap. A package holds its cores and graphics (``core``,
``uncore``), DRAM stands beside it though it is shown inside, ``psys`` holds all of them,
and other interfaces (mmio) show the same package again. So the CPU is the sum of all
packages, memory that of all DRAM zones, and nothing else is added.

====================  =========================================================
``package-N``         CPU: one per socket, or per die
``dram``              memory: beside the package, not in it
``core``, ``uncore``  inside the package: left out
``psys``              overlaps all of it: left out
====================  =========================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..container import container
from ..entry import Reading
from ..host import Host
from ..kernel import text
from .counter import CounterMeter, FileCounter, moving
from .dram import U_DRAM
from .dram import idle_watts as dram_idle_watts
from .finding import Candidate, Finding, absent, denied, frozen
from .model import idle_u_rel

__all__ = ['U_RAPL', 'Rapl', 'Zone', 'candidates', 'most_watts', 'zones']

METHOD = 'rapl:powercap'

U_RAPL = 1.08
"""Package power by RAPL lies within 5 to 10 % of what is measured at the processor's
supply (Khan et al. 2018, doi:10.1145/3177754)."""

U_RAPL_DRAM = 1.2
"""DRAM is estimated, and was off by up to 20 % (Desrochers et al. 2016,
doi:10.1145/2989081.2989088)."""

FLOOR_WATTS = 400.0
"""The least that a zone is thought able to draw, whatever is known of the CPU."""

READABLE = (
    'echo \'SUBSYSTEM=="powercap", RUN+="/bin/chmod a+r /sys%p/energy_uj"\' '
    '| sudo tee /etc/udev/rules.d/70-powercap.rules '
    '&& sudo udevadm control --reload && sudo udevadm trigger -c add -s powercap'
)
MODULE = 'sudo modprobe intel_rapl_msr'
BIND = '-v /sys/devices/virtual/powercap:/sys/class/powercap:ro'
"""Container engines hide the folder that /sys/class/powercap links to."""


class Zone(NamedTuple):
    """A zone of powercap.

    Parameters
    ----------
    name : str
        ``package-0``, or ``package-0/dram`` for one inside of it.
    path : pathlib.Path
    """

    name: str
    path: Path

    @property
    def component(self) -> str | None:
        """What it sees; None where that is in another zone."""
        if self.name.startswith('package') and '/' not in self.name:
            return 'cpu'
        return 'dram' if self.name.rpartition('/')[2] == 'dram' else None


class Rapl(CounterMeter):
    """A meter over zones of one component.

    Parameters
    ----------
    host : Host
    component : {'cpu', 'dram'}
    counters : sequence of FileCounter
        One per zone.
    """

    def __init__(self, host: Host, component: str, counters: Sequence[FileCounter]) -> None:
        cpu = component == 'cpu'
        idle, u_rel = (host.idle_watts, U_RAPL) if cpu else (dram_idle_watts(host), U_RAPL_DRAM)
        super().__init__(
            Reading(
                component,
                None,
                idle,
                METHOD,
                'measured',
                'host',
                u_rel,
                idle_u_rel=idle_u_rel(host) if cpu else U_DRAM,
            ),
            counters,
        )


def zones(root: Path) -> tuple[Zone, ...]:
    """The zones below a root, each of them once.

    Parameters
    ----------
    root : pathlib.Path
        Laid out as ``/sys/class/powercap``, flat or nested.

    Returns
    -------
    tuple of Zone
        Without those that show again what another interface shows.
    """
    paths: dict[str, Path] = {}
    _walk(root, paths)
    found: dict[str, Zone] = {}
    # The interface by memory-mapped registers comes last: it is the duplicate.
    for key in sorted(paths, key=lambda key: ('mmio' in key, key)):
        parent = key.rpartition(':')[0]
        names = [text(paths[name] / 'name') for name in (parent, key) if name in paths]
        name = '/'.join(names)
        found.setdefault(name, Zone(name, paths[key]))
    return tuple(found.values())


def _walk(folder: Path, paths: dict[str, Path], *, top: bool = True) -> None:
    """Zones are named ``<interface>:<number>[:<number>]``, whether linked or nested."""
    for name in sorted(os.listdir(folder)):
        if ':' in name and name not in paths and (folder / name / 'name').exists():
            paths[name] = folder / name
            _walk(folder / name, paths, top=False)
        elif top and ':' not in name and (folder / name).is_dir():
            # An interface, which holds its zones; some mounts show no links to them.
            _walk(folder / name, paths, top=False)


def most_watts(host: Host, component: str) -> float:
    """More than one zone can draw: 1.5 times the thermal design power, and a floor.

    Parameters
    ----------
    host : Host
    component : {'cpu', 'dram'}

    Returns
    -------
    float
    """
    if component == 'dram':
        return max(FLOOR_WATTS, host.installed_gb)
    return max(FLOOR_WATTS, 1.5 * max(host.tdp_watts or 0.0, host.peak_watts) / host.sockets)


def candidates(host: Host, root: Path, sleep: Callable[[float], object]) -> Iterable[Candidate]:
    """CPU and memory by powercap.

    Parameters
    ----------
    host : Host
    root : pathlib.Path
        ``/sys/class/powercap``.
    sleep : callable
        Waits for counters to move.

    Yields
    ------
    Candidate
        One per component.
    """
    found = zones(root) if root.is_dir() else ()
    for component in ('cpu', 'dram'):
        own = [zone for zone in found if zone.component == component]
        if own:
            yield _candidate(host, component, own, sleep)
        else:
            why, mend = _missing(host, root, component, bool(found))
            yield absent(component, METHOD, root, why, mend)


def _candidate(
    host: Host, component: str, own: Sequence[Zone], sleep: Callable[[float], object]
) -> Candidate:
    counters = [_counter(host, component, zone) for zone in own]
    paths = ' '.join(counter.path for counter in counters)
    for counter in counters:
        try:
            os.close(os.open(counter.path, os.O_RDONLY))
        except PermissionError:
            why = 'only root may read it'
            return denied(component, METHOD, counter.path, why, READABLE)
        except OSError as error:
            return absent(component, METHOD, counter.path, str(error.strerror))
    if not moving(counters, sleep):
        return frozen(component, METHOD, paths)
    make = partial(Rapl, host, component, counters)
    u_rel = make().reading.u_rel
    why = f'{len(own)} {"zone is" if len(own) == 1 else "zones are"} read'
    return Candidate(Finding(component, METHOD, 'available', paths, 'measured', u_rel, why), make)


def _counter(host: Host, component: str, zone: Zone) -> FileCounter:
    span = text(zone.path / 'max_energy_range_uj')
    return FileCounter(
        str(zone.path / 'energy_uj'),
        float(span) if span.isdigit() and int(span) else None,
        most_watts(host, component),
    )


def _missing(host: Host, root: Path, component: str, others: bool) -> tuple[str, str]:  # noqa: FBT001
    """Why there is no zone, and what would make one."""
    if others:
        return f'this processor has no zone of its {component}', ''
    links = sorted(root.glob('*:*'))
    if links and not any(link.exists() for link in links):
        return f'hidden from this container: {links[0].name} links to what it cannot see', BIND
    if host.virtual:
        return 'a virtual machine: its host shows it no counter', ''
    # Apptainer shows what the machine shows.
    if container(os.environ) not in {None, 'apptainer', 'singularity'}:
        return 'hidden from this container, or not there', BIND
    return f'{root} holds no zone', MODULE
