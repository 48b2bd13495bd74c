"""Hardware monitors: energy counters, power gauges of processors, and meters of the node.

=================  ===========================================================
``amd_energy``     energy of each socket, in µJ (``Esocket0``, …)
``altra_hwmon``    power of the CPU, in µW (Ampere, label ``CPU power``)
``apm_xgene``      the same (Applied Micro)
``power_meter``    ACPI: power of the node; on NVIDIA Grace of each socket
=================  ===========================================================

A gauge shows power, which is integrated by the trapezoidal rule from look to look. What
a node uses beside the components that are seen on their own is its ``rest``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..entry import Reading
from ..host import Host
from ..kernel import number, text
from . import Meter, Moment, Seen, integral
from .counter import CounterMeter, FileCounter, moving
from .finding import Candidate, Finding, absent, frozen
from .model import idle_u_rel
from .rapl import U_RAPL, most_watts

__all__ = ['GaugeMeter', 'candidates', 'divided']

U_GAUGE = 1.15
"""Of a gauge of a processor: what RAPL has, and as much again since power between two
looks is not seen. A judgement."""

U_NODE = 1.1
"""Of a meter of the node: ``power1_accuracy`` of those that state it is 90 % or more."""

U_REST = 1.5
"""Of the difference between a node and its parts. A judgement."""

_SOCKETS = re.compile(r'(grace power|total (input )?power in uw) socket \d+', re.IGNORECASE)
_RAILS = re.compile(r'(cpu power|cpu rail (input )?power in uw) socket \d+', re.IGNORECASE)
_OTHER = re.compile(r'socket \d+', re.IGNORECASE)


class GaugeMeter:
    """The sum of some gauges of power; nothing when one of them is not seen.

    Parameters
    ----------
    reading : Reading
    paths : sequence of str
        Files that show microwatts.
    """

    def __init__(self, reading: Reading, paths: Sequence[str]) -> None:
        self.reading = reading
        self._paths = tuple(paths)
        self._last: tuple[float, float] | None = None

    def look(self, moment: Moment) -> Seen:
        """Joules since the look before."""
        watts = self._watts()
        point = None if watts is None else (moment.monotonic, watts)
        last, self._last = self._last, point
        return Seen() if last is None or point is None else Seen(integral((last, point)))

    def _watts(self) -> float | None:
        """Nothing draws no power: 0 is a gauge that does not work."""
        total = 0.0
        for path in self._paths:
            watts = number(path)
            if watts is None or watts <= 0:
                return None
            total += watts
        return total / 1e6


class Whole:
    """What a node used, and how much of it is not yet that of a component.

    Parameters
    ----------
    node : Meter
    """

    def __init__(self, node: Meter) -> None:
        self.node = node
        self._when: float | None = None
        self._seen = False
        self._left = 0.0

    def left(self, moment: Moment) -> float | None:
        """Joules that are nobody's yet; None where the node was not seen."""
        if moment.monotonic != self._when:
            self._when = moment.monotonic
            joules = self.node.look(moment).joules
            self._seen = joules is not None
            # What was left is told already. What the components saw too much of is not:
            # two meters are never read at once, and that of a node lags behind.
            self._left = min(0.0, self._left) + (joules or 0.0)
        return self._left if self._seen else None

    def take(self, joules: float) -> None:
        """These are a component's."""
        self._left -= joules


class Part:
    """The meter of a component of a node that has a meter too.

    Parameters
    ----------
    meter : Meter
    whole : Whole
        Is told what this one sees. It bounds a model: what is measured counts.
    """

    def __init__(self, meter: Meter, whole: Whole) -> None:
        self._meter, self._whole = meter, whole

    @property
    def reading(self) -> Reading:
        """That of the meter."""
        return self._meter.reading

    def look(self, moment: Moment) -> Seen:
        """What the meter sees."""
        seen = self._meter.look(moment)
        left = self._whole.left(moment)
        if left is None or seen.joules is None:
            return seen
        joules = seen.joules
        if self.reading.tier != 'measured':
            joules = min(joules, max(0.0, left))
        self._whole.take(joules)
        return seen._replace(joules=joules)


class Rest:
    """What a node uses beside the components that are seen on their own.

    Parameters
    ----------
    whole : Whole
    parts : sequence of Part
        Looked at before this one, at the same moment.
    """

    def __init__(self, whole: Whole, parts: Sequence[Part]) -> None:
        self._whole, node = whole, whole.node
        told = all(part.reading.tier == 'measured' for part in parts)
        self.reading = Reading(
            'rest', None, None, f'{node.reading.method}-parts',
            'measured' if told else 'modelled', 'host', U_REST,
        )  # fmt: skip

    def look(self, moment: Moment) -> Seen:
        """Joules of the node less those of the parts, now and before; never negative."""
        left = self._whole.left(moment)
        return Seen() if left is None else Seen(max(0.0, left))


def divided(node: Meter, meters: Iterable[Meter]) -> tuple[Meter, ...]:
    """The meters of the parts of a node and of its rest, to be looked at in this order.

    Parameters
    ----------
    node : Meter
    meters : iterable of Meter
        Of components that the node's meter sees too.

    Returns
    -------
    tuple of Meter
        Models stand behind all that is measured: they get what that leaves.
    """
    whole = Whole(node)
    ordered = sorted(meters, key=lambda meter: meter.reading.tier != 'measured')
    parts = [Part(meter, whole) for meter in ordered]
    return (*parts, Rest(whole, parts))


class _Sensor(NamedTuple):
    """One channel of a monitor."""

    chip: str
    label: str
    path: str


def candidates(host: Host, root: Path, sleep: Callable[[float], object]) -> Iterable[Candidate]:
    """CPU and node by hardware monitors.

    Parameters
    ----------
    host : Host
    root : pathlib.Path
        ``/sys/class/hwmon``.
    sleep : callable
        Waits for counters to move.

    Yields
    ------
    Candidate
    """
    sensors = tuple(_sensors(root)) if root.is_dir() else ()
    cpu = [*_amd(host, sensors, sleep), *_gauges(host, sensors)]
    yield from cpu or [absent('cpu', 'hwmon', root, 'no monitor shows the power of the CPU')]
    yield _node(host, root, sensors)


def _sensors(root: Path) -> Iterable[_Sensor]:
    for monitor in sorted(root.iterdir()):
        chip = text(monitor / 'name')
        if chip not in {'amd_energy', 'altra_hwmon', 'apm_xgene', 'xgene_hwmon', 'power_meter'}:
            continue
        # The channels of a power meter are in the folder of its device on older kernels.
        for folder in (monitor, monitor / 'device'):
            channels = sorted(folder.glob('energy*_input')) + sorted(folder.glob('power*_average'))
            channels += sorted(folder.glob('power*_input'))
            for path in channels:
                stem = path.name.rpartition('_')[0]
                label = text(folder / f'{stem}_label') or text(folder / f'{stem}_oem_info')
                yield _Sensor(chip, label, str(path))
            if channels:
                break


def _amd(
    host: Host, sensors: Sequence[_Sensor], sleep: Callable[[float], object]
) -> Iterable[Candidate]:
    """Energy counters of AMD sockets; those of single cores are inside."""
    paths = [s.path for s in sensors if s.chip == 'amd_energy' and s.label.startswith('Esocket')]
    if not paths:
        return
    method = 'hwmon:amd_energy'
    counters = [FileCounter(path, None, most_watts(host, 'cpu')) for path in paths]
    if any(number(path) is None for path in paths):
        mend = f'sudo chmod a+r {" ".join(paths)}'
        yield absent('cpu', method, paths[0], 'only root may read it', mend, 'denied')
    elif not moving(counters, sleep):
        yield frozen('cpu', method, ' '.join(paths))
    else:
        reading = Reading(
            'cpu', None, host.idle_watts, method, 'measured', 'host', U_RAPL,
            idle_u_rel=idle_u_rel(host),
        )  # fmt: skip
        why = f'{len(paths)} sockets' if len(paths) > 1 else 'one socket'
        yield _made(reading, paths, why, partial(CounterMeter, reading, counters))


def _gauges(host: Host, sensors: Sequence[_Sensor]) -> Iterable[Candidate]:
    """Power gauges of processors: whole sockets first, then the rails of the cores."""
    arm = [s for s in sensors if s.chip != 'power_meter' and s.label.lower() == 'cpu power']
    acpi = [s for s in sensors if s.chip == 'power_meter']
    sockets = [s for s in acpi if _SOCKETS.fullmatch(s.label)]
    rails = [s for s in acpi if _RAILS.fullmatch(s.label)]
    kinds = (
        (sockets, 'whole sockets with their memory', frozenset({'dram'})),
        (rails, 'the cores of each socket', frozenset[str]()),
        (arm, 'the CPU of each socket', frozenset[str]()),
    )
    for own, why, covers in kinds:
        paths = [sensor.path for sensor in own]
        if not paths:
            continue
        method = f'hwmon:{own[0].chip}'
        if any(number(path) is None for path in paths):
            yield absent('cpu', method, paths[0], 'it cannot be read')
            continue
        reading = Reading(
            'cpu', None, host.idle_watts, method, 'measured', 'host', U_GAUGE,
            idle_u_rel=idle_u_rel(host),
        )  # fmt: skip
        yield _made(reading, paths, why, partial(GaugeMeter, reading, paths), covers)


def _node(host: Host, root: Path, sensors: Sequence[_Sensor]) -> Candidate:
    """The meter of the node, if there is one and no more."""
    method = 'acpi:power_meter'
    own = [s for s in sensors if s.chip == 'power_meter' and not _OTHER.search(s.label)]
    if not own:
        why = 'a virtual machine' if host.virtual else 'no meter of the node is shown'
        mend = '' if host.virtual else 'sudo modprobe acpi_power_meter'
        return absent('node', method, root, why, mend)
    if len(own) > 1:
        why = f'{len(own)} meters: it is not said what each of them measures'
        return absent('node', method, own[0].path, why)
    path = own[0].path
    watts = number(path)
    if watts is None:
        return absent('node', method, path, 'it cannot be read')
    if watts <= 0:
        return frozen('node', method, path)
    reading = Reading('node', None, None, method, 'measured', 'host', U_NODE)
    make = partial(GaugeMeter, reading, [path])
    return _made(reading, [path], 'power of the node', make, frozenset({'dram'}))


def _made(
    reading: Reading,
    paths: Sequence[str],
    why: str,
    make: Callable[[], Meter],
    covers: frozenset[str] = frozenset(),
) -> Candidate:
    finding = Finding(
        reading.component, reading.method, 'available', ' '.join(paths),
        reading.tier, reading.u_rel, why,
    )  # fmt: skip
    return Candidate(finding, make, covers)
