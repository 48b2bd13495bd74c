"""Measure once what this machine draws at rest and at work, and keep it.

Idle power decides what a reserved but idle core costs, and peak power what a busy one
adds. Both are seen by a counter here: at rest first, then while more and more cores are
kept busy, so that it is known too how straight the line between them is. What is kept
serves runs that may not read the counter as well as those that may.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from .burn import burning
from .errors import BusyError, OutputError, UnavailableError
from .files import save_json, writable
from .host import Host, busy_seconds
from .limits import usable_cores
from .meters import Meter, Moment

__all__ = ['Calibration', 'Plan', 'Point', 'World', 'calibrate', 'check_writable']
__all__ += ['counter', 'quiet_cores', 'save', 'steps']


GLANCES = 10
"""Windows over which other programs must be at rest: a second of housekeeping passes."""


@dataclass(frozen=True, slots=True)
class Point:
    """Power at one load.

    Parameters
    ----------
    busy_cores : float
        Cores that were busy, as the kernel counts them, all programs together: median.
    watts : float
        Median of windows, in watts.
    spread : float
        Half of the middle 90 % of windows, in watts.
    windows : int
        How many there were.
    dram_watts : float or None
        Median power of the memory; None where it has no counter.
    """

    busy_cores: float
    watts: float
    spread: float
    windows: int
    dram_watts: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured of one machine.

    Parameters
    ----------
    host, cpu : str
    cores : int
        It is of use on this CPU with as many cores only.
    idle_watts, peak_watts : float
        CPU power in watts with no core busy, and with all: the line through the first and
        the last point of the ramp, by the little that was busy at rest.
    idle_spread, peak_spread : float
        Half of the middle 90 % of the windows of each, in watts.
    dram_idle_watts : float or None
        The same of the memory at rest; None where it has no counter.
    line_deviation : float
        Largest distance of a point from the line between both, relative to the line.
    measured_with : str
        Method of the meter.
    started : str
        UTC, ISO 8601.
    idle_seconds : float
        How long the machine was at rest.
    forced : bool
        Whether other programs were allowed to disturb.
    ramp : tuple of Point
        All loads, rest first.
    """

    host: str
    cpu: str
    cores: int
    idle_watts: float
    peak_watts: float
    idle_spread: float
    peak_spread: float
    dram_idle_watts: float | None
    line_deviation: float
    measured_with: str
    started: str
    idle_seconds: float
    forced: bool
    ramp: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to look at what.

    Parameters
    ----------
    before_seconds : float
        Look at how busy the machine is, before anything else.
    idle_seconds, step_seconds : float
        Rest, and each load.
    settle_seconds : float
        Wait before each load is looked at: fans and clocks follow slowly.
    window_seconds : float
        Length of the windows of which the median is taken.
    force : bool
        Go on although other programs are at work.
    """

    before_seconds: float = 3.0
    idle_seconds: float = 60.0
    step_seconds: float = 15.0
    settle_seconds: float = 3.0
    window_seconds: float = 1.0
    force: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """What a calibration touches: clocks that can be set, and cores that can be kept busy."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    busy_seconds: Callable[[], float | None] = busy_seconds
    burning: Callable[[int], AbstractContextManager[None]] = burning
    usable_cores: Callable[[], int] = usable_cores


def quiet_cores(cores: int) -> float:
    """Cores that may be busy on a machine at rest.

    A hundredth of all cores moves idle power by as much of the way to peak power; a
    small machine's own housekeeping takes more than that.

    Examples
    --------
    >>> quiet_cores(4), quiet_cores(64)
    (0.15, 0.64)
    """
    return max(0.15, 0.01 * cores)


def steps(cores: int) -> tuple[int, ...]:
    """How many cores to keep busy, one load after the other: quarters of all.

    Examples
    --------
    >>> steps(1), steps(2), steps(40)
    ((1,), (1, 2), (10, 20, 30, 40))
    """
    return tuple(sorted({max(1, round(cores * part)) for part in (0.25, 0.5, 0.75, 1.0)}))


def calibrate(
    meters: Sequence[Meter],
    host: Host,
    plan: Plan,
    world: World,
    say: Callable[[str, float], None] = lambda _phase, _seconds: None,
) -> Calibration:
    """Measure this machine.

    Parameters
    ----------
    meters : sequence of Meter
        New ones; one of them a real counter of the CPU.
    host : Host
    plan : Plan
    world : World
    say : callable
        Told of each phase and the seconds that it takes, as it begins.

    Returns
    -------
    Calibration

    Raises
    ------
    UnavailableError
        When there is no counter that follows the load, or not all cores are at this process's disposal.
    BusyError
        When other programs are at work.
    """
    bench = _Bench(meters, host, plan, world)
    started = datetime.now(timezone.utc).isoformat(timespec='seconds')
    say('looking whether the machine is at rest', plan.before_seconds)
    bench.must_be_quiet()
    say('at rest', plan.idle_seconds)
    ramp = [bench.point(0, plan.idle_seconds)]
    for busy in steps(host.cores):
        say(f'{busy} of {host.cores} cores busy', plan.settle_seconds + plan.step_seconds)
        with world.burning(busy):
            world.sleep(plan.settle_seconds)
            ramp.append(bench.point(busy, plan.step_seconds))
    return _fitted(ramp, bench.cpu.reading.method, host, plan, started)


def _fitted(
    ramp: Sequence[Point], method: str, host: Host, plan: Plan, started: str
) -> Calibration:
    """The line through rest and full load, once it is sure that they are both."""
    idle, peak = ramp[0], ramp[-1]
    if peak.busy_cores < 0.9 * host.cores:
        raise UnavailableError(
            f'only {peak.busy_cores:.1f} of {host.cores} cores could be kept busy (a CPU quota '
            'of a container or job?): calibrate where all cores are yours'
        )
    added = peak.busy_cores - idle.busy_cores
    if added < host.cores / 2:
        raise BusyError(
            f'{idle.busy_cores:.1f} of {host.cores} cores were busy when it should have been at '
            'rest: not even --force can tell idle power from that'
        )
    slope = (peak.watts - idle.watts) / added
    idle_watts = idle.watts - slope * idle.busy_cores
    if not (slope > 0 and idle_watts > 0):
        raise UnavailableError(
            f'the counter {method} does not follow the load ({idle.watts:.1f} W at rest, '
            f'{peak.watts:.1f} W with all cores busy): it is of no use here'
        )
    return Calibration(
        host=host.name,
        cpu=host.cpu,
        cores=host.cores,
        idle_watts=idle_watts,
        peak_watts=peak.watts + slope * (host.cores - peak.busy_cores),
        idle_spread=idle.spread,
        peak_spread=peak.spread,
        dram_idle_watts=idle.dram_watts,
        line_deviation=_deviation(ramp, slope),
        measured_with=method,
        started=started,
        idle_seconds=plan.idle_seconds,
        forced=plan.force,
        ramp=tuple(ramp),
    )


def save(calibration: Calibration, path: Path) -> None:
    """Write a calibration, whole or not at all.

    Parameters
    ----------
    calibration : Calibration
    path : pathlib.Path

    Raises
    ------
    OutputError
    """
    try:
        # A site's calibration is for every user, whatever root's umask.
        save_json(path, asdict(calibration), mode=0o644)
    except OSError as error:
        raise OutputError(f'{path} cannot be written: {error.strerror}') from None


def check_writable(path: Path) -> None:
    """Refuse a file that :func:`save` could not write, before minutes are spent.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    OutputError
    """
    if path.is_dir() or not writable(path.parent):
        raise OutputError(f'{path} cannot be written: give another --output FILE')


class _Bench:
    """The machine, with its counters and clocks."""

    def __init__(self, meters: Sequence[Meter], host: Host, plan: Plan, world: World) -> None:
        cpu = counter(meters, 'cpu')
        if cpu is None:
            raise UnavailableError('no energy counter of the CPU can be read here')
        self.cpu, self._dram = cpu, counter(meters, 'dram')
        self._host, self._plan, self._world = host, plan, world
        usable = world.usable_cores()
        if usable < host.cores:
            raise UnavailableError(
                f'this process may use {usable} of {host.cores} cores only (a job or container '
                'limit): calibrate where all cores are yours'
            )

    def must_be_quiet(self) -> None:
        """Refuse a busy machine."""
        before, start = self._busy(), self._world.monotonic()
        self._world.sleep(self._plan.before_seconds)
        busy = (self._busy() - before) / (self._world.monotonic() - start)
        self._check(busy, 0, 'this machine is not at rest')

    def point(self, burners: int, seconds: float) -> Point:
        """Look at one load, window by window."""
        plan, world = self._plan, self._world
        powers: list[float] = []
        memory: list[float] = []
        loads: list[float] = []
        begun = last = world.monotonic()
        busy_last = self._busy()
        self._look(last, busy_last)
        while world.monotonic() - begun < seconds - plan.window_seconds / 2:
            world.sleep(plan.window_seconds)
            now, busy = world.monotonic(), self._busy()
            joules, dram = self._look(now, busy)
            if joules is not None:
                powers.append(joules / (now - last))
            if dram is not None:
                memory.append(dram / (now - last))
            loads.append((busy - busy_last) / (now - last))
            last, busy_last = now, busy
            if len(loads) >= GLANCES:
                self._check(statistics.fmean(loads[-GLANCES:]), burners, 'disturbed')
        self._check(statistics.fmean(loads[-GLANCES:]), burners, 'disturbed')
        if len(powers) < 3 or 2 * len(powers) * plan.window_seconds < last - begun:
            raise UnavailableError(
                f'the counter {self.cpu.reading.method} told nothing in most windows: see '
                'nicarbon doctor'
            )
        watts = statistics.median(powers)
        dram_watts = statistics.median(memory) if memory else None
        return Point(statistics.median(loads), watts, _spread(powers), len(powers), dram_watts)

    def _look(self, now: float, busy: float) -> tuple[float | None, float | None]:
        moment = Moment(now, busy)
        dram = self._dram.look(moment).joules if self._dram else None
        return self.cpu.look(moment).joules, dram

    def _busy(self) -> float:
        seconds = self._world.busy_seconds()
        if seconds is None:
            raise UnavailableError('/proc/stat cannot be read: how busy the machine is is unknown')
        return seconds

    def _check(self, busy: float, burners: int, what: str) -> None:
        """Refuse what other programs add to our own load."""
        limit = quiet_cores(self._host.cores)
        others = busy - burners
        if others <= limit or self._plan.force:
            return
        raise BusyError(
            f'{what}: other programs keep {others:.1f} cores busy ({limit:.2f} at most): end '
            'them and try again, or pass --force'
        )


def counter(meters: Sequence[Meter], component: str) -> Meter | None:
    """The real counter of a component of the host, if there is one."""
    for meter in meters:
        seen = meter.reading
        if (seen.component, seen.tier, seen.scope) == (component, 'measured', 'host'):
            return meter
    return None


def _spread(values: Sequence[float]) -> float:
    """Half of the middle 90 % of values."""
    if len(values) < 2:
        return 0.0
    cuts = statistics.quantiles(values, n=20, method='inclusive')
    return (cuts[-1] - cuts[0]) / 2


def _deviation(ramp: Sequence[Point], slope: float) -> float:
    """Largest distance from the line through the first point, relative to it."""
    first = ramp[0]
    lines = [first.watts + slope * (point.busy_cores - first.busy_cores) for point in ramp]
    return max(abs(point.watts - line) / line for point, line in zip(ramp, lines, strict=True))
