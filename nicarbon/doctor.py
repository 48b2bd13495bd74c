"""What this machine can measure, and how well: facts, without a word on how to say them.

Every question is asked on its own: a machine on which one cannot be answered is the
machine on which the others matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from . import __version__
from .container import container
from .cputime import adopts_orphans
from .files import writable
from .host import Host, calibrated, online_cores
from .limits import usable_bytes, usable_cores
from .meters import Meter
from .meters.survey import Finding
from .surroundings import Clock, Gpu, Load, access, cgroup, clock, gpus, load

__all__ = ['SCHEMA_VERSION', 'Diagnosis', 'examine']

SCHEMA_VERSION = 1

_T = TypeVar('_T')


@dataclass(frozen=True, slots=True)
class Machine:
    """What it is."""

    name: str
    cpu: str
    family: str
    cores: int
    usable_cores: int
    sockets: int
    memory_gb: float
    usable_memory_gb: float
    virtual: bool
    container: str | None
    gpus: tuple[Gpu, ...]
    kernel: str


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of energy that is known, there or not; see :class:`Finding`."""

    component: str
    method: str
    state: str
    tier: str
    u_rel: float
    path: str | None
    owner: str | None
    mode: str | None
    readers: str | None
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class Used:
    """A meter that a run would use."""

    component: str
    method: str
    tier: str
    u_rel: float
    idle_watts: float | None


@dataclass(frozen=True, slots=True)
class Power:
    """What this machine's CPUs are thought to draw, where no counter tells."""

    idle_watts: float | None
    peak_watts: float | None
    method: str
    source: str
    tier: str
    u_rel: float


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """How the CPU time of a node is counted, and whether a cgroup could."""

    method: str
    adopts_orphans: bool
    lists_children: bool
    tick_seconds: float
    cgroup_version: int | None
    cgroup_counter: str | None
    cgroup_may_be_divided: bool


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that nicarbon writes to, or would create."""

    purpose: str
    path: str
    writable: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """A calibration file of this host."""

    path: str
    in_use: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that is known; None where a question could not be answered."""

    schema: int
    nicarbon: str
    machine: Machine | None
    counters: tuple[Counter, ...] | None
    run: tuple[Used, ...] | None
    power: Power | None
    calibration: Saved | None
    cpu_seconds: CpuSeconds | None
    load: Load | None
    clock: Clock | None
    folders: tuple[Folder, ...]
    problems: tuple[str, ...]


def examine(
    look: Callable[[], Host],
    survey: Callable[[Host], Sequence[Finding]],
    find: Callable[[Host], Sequence[Meter]],
    *,
    calibrations: Sequence[Path] = (),
    folders: Mapping[str, Path] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Ask everything there is to ask; takes less than a second.

    Parameters
    ----------
    look, survey, find : callable
        :func:`nicarbon.host.probe`, :func:`nicarbon.meters.survey.survey` and
        :func:`nicarbon.meters.find`.
    calibrations : sequence of pathlib.Path
        Folders in which a calibration of this host may be, the one that counts first.
    folders : mapping of {str : pathlib.Path}
        Purpose and path of folders that are written to.
    environ : mapping
        Environment variables; containers leave their names there.

    Returns
    -------
    Diagnosis
    """
    problems: list[str] = []

    def ask(what: str, question: Callable[[], _T]) -> _T | None:
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - one answer less, and said so
            problems.append(f'{what}: {type(error).__name__}: {" ".join(str(error).split())}')
            return None

    host = ask('machine', look)
    busy = ask('load', lambda: load(online_cores()))
    machine = counters = run = power = saved = None
    if host is not None:
        machine = ask('machine', lambda: _machine(host, environ or {}))
        counters = ask('counters', lambda: tuple(_counter(each) for each in survey(host)))
        run = ask('run', lambda: tuple(_used(meter) for meter in find(host)))
        power = ask('power', lambda: _power(host))
        saved = ask('calibration', lambda: _saved(calibrations, host))
    seconds, told = ask('CPU seconds', _cpu_seconds), ask('clock', clock)
    return Diagnosis(
        schema=SCHEMA_VERSION,
        nicarbon=__version__,
        machine=machine,
        counters=counters,
        run=run,
        power=power,
        calibration=saved,
        cpu_seconds=seconds,
        load=busy,
        clock=told,
        folders=tuple(Folder(why, str(p), writable(p)) for why, p in (folders or {}).items()),
        problems=tuple(problems),
    )


def _machine(host: Host, environ: Mapping[str, str]) -> Machine:
    return Machine(
        name=host.name,
        cpu=host.cpu,
        family=host.family,
        cores=host.cores,
        usable_cores=usable_cores(),
        sockets=host.sockets,
        memory_gb=host.installed_gb,
        usable_memory_gb=round(usable_bytes() / 1e9, 1),
        virtual=host.virtual,
        container=container(environ),
        gpus=gpus(),
        kernel=os.uname().release,
    )


def _counter(finding: Finding) -> Counter:
    path = str(finding.path) if finding.path else None
    owner, mode, readers = (access(Path(path.split()[0])) if path else None) or (None, None, None)
    return Counter(
        component=finding.component,
        method=finding.method,
        state=finding.state,
        tier=finding.tier,
        u_rel=finding.u_rel,
        path=path,
        owner=owner,
        mode=mode,
        readers=readers,
        why=finding.why,
        mend=finding.mend,
    )


def _used(meter: Meter) -> Used:
    seen = meter.reading
    return Used(seen.component, seen.method, seen.tier, seen.u_rel, seen.idle_watts)


def _power(host: Host) -> Power:
    return Power(
        idle_watts=host.idle_watts,
        peak_watts=host.peak_watts,
        method=host.power_method,
        source=host.power_source,
        tier=host.tier,
        u_rel=host.u_rel,
    )


def _saved(folders: Sequence[Path], host: Host) -> Saved | None:
    """The calibration that is in use; else the first there is."""
    there = [folder for folder in folders if (folder / f'{host.name}.json').exists()]
    bare = host._replace(power_method='')
    for folder in there:
        if calibrated(bare, [folder]).power_method:
            return Saved(str(folder / f'{host.name}.json'), in_use=True)
    return Saved(str(there[0] / f'{host.name}.json'), in_use=False) if there else None


def _cpu_seconds() -> CpuSeconds:
    version, counter, divided = cgroup()
    return CpuSeconds(
        method='rusage+subreaper+proc' if adopts_orphans() else 'rusage+proc',
        adopts_orphans=adopts_orphans(),
        lists_children=os.path.exists(f'/proc/self/task/{os.getpid()}/children'),  # noqa: PTH110
        tick_seconds=1 / os.sysconf('SC_CLK_TCK'),
        cgroup_version=version,
        cgroup_counter=counter,
        cgroup_may_be_divided=divided,
    )
