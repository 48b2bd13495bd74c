"""Look at all ways to see energy on this machine, and choose the best of each component.

:func:`nicarbon.meters.find` and ``doctor`` rest on the same choice: at most one meter
for each component, and what one of them covers is covered by no other.
"""

from __future__ import annotations

import functools
import importlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..host import Host
from . import Meter
from .finding import Candidate, Finding, State, absent

if TYPE_CHECKING:
    from .perf import Kernel

__all__ = ['Finding', 'Plan', 'State', 'found', 'nvidia', 'plan', 'survey']

_log = logging.getLogger('nicarbon')

_LIBRARIES = (
    '/dev/nvidiactl',
    '/dev/dxg',
    '/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1',
    '/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1',
    '/usr/lib64/libnvidia-ml.so.1',
)
"""Any of these is a sign of NVIDIA's driver; asking its library takes milliseconds."""


class Plan(NamedTuple):
    """What was found, and what is used of it.

    Parameters
    ----------
    findings : tuple of Finding
    chosen : tuple of Candidate
        One per component.
    """

    findings: tuple[Finding, ...]
    chosen: tuple[Candidate, ...]

    def meters(self, gpus: tuple[Meter, ...] = ()) -> tuple[Meter, ...]:
        """New meters, at most one per component.

        Parameters
        ----------
        gpus : tuple of Meter
            Those that are found elsewhere.

        Returns
        -------
        tuple of Meter
        """
        made: list[Meter] = []
        node: Meter | None = None
        for candidate in self.chosen:
            if candidate.make is not None:
                meter = candidate.make()
                if candidate.finding.component == 'node':
                    node = meter
                else:
                    made.append(meter)
        made += gpus
        if node is None:
            return tuple(made)
        from .hwmon import divided

        return divided(node, made)


def survey(
    host: Host,
    *,
    sysfs: Path | str = '/sys',
    kernel: Kernel | None = None,
    sleep: Callable[[float], object] = time.sleep,
    gpus: tuple[Meter, ...] | None = None,
) -> tuple[Finding, ...]:
    """Every way to see energy on this machine, and what becomes of it.

    Parameters
    ----------
    host : Host
    sysfs : path
    kernel : Kernel, optional
        Opens performance counters.
    sleep : callable
        Waits for counters to move.
    gpus : tuple of Meter, optional
        Those of the machine by default.

    Returns
    -------
    tuple of Finding
        Best first within a component.
    """
    made = plan(host, Path(sysfs), kernel=kernel, sleep=sleep, thorough=True)
    return (*made.findings, *_gpu_findings(nvidia() if gpus is None else gpus))


@functools.lru_cache(maxsize=16)
def found(host: Host, sysfs: str) -> Plan:
    """The plan of this process: what there is to be read is looked for once.

    Parameters
    ----------
    host : Host
    sysfs : str

    Returns
    -------
    Plan
    """
    made = plan(host, Path(sysfs))
    for finding in made.findings:
        if finding.state == 'denied':
            _log.info('%s by %s: %s', finding.component, finding.method, finding.why)
    return made


def plan(
    host: Host,
    sysfs: Path,
    *,
    kernel: Kernel | None = None,
    sleep: Callable[[float], object] = time.sleep,
    thorough: bool = False,
) -> Plan:
    """Choose the best way for each component.

    Parameters
    ----------
    host : Host
    sysfs : pathlib.Path
    kernel : Kernel, optional
    sleep : callable
    thorough : bool
        Whether to look at those too that cannot be chosen any more.

    Returns
    -------
    Plan
    """
    asked = _Asked(host, sysfs, kernel, sleep)
    used: dict[str, Candidate] = {}
    findings: list[Finding] = []
    for source in _SOURCES:
        # What is not there is neither asked nor imported: every worker pays for it.
        there = not source.sign or (sysfs / source.sign).exists()
        if thorough or (there and not source.components <= set(used)):
            findings += [_judge(candidate, used) for candidate in _safe(source, asked)]
    return Plan(tuple(findings), tuple(used.values()))


class _Asked(NamedTuple):
    """What a source is asked with."""

    host: Host
    sysfs: Path
    kernel: Kernel | None
    sleep: Callable[[float], object]


class _Source(NamedTuple):
    """A way to see some components, and the file of ``/sys`` without which it is absent."""

    components: frozenset[str]
    sign: str
    look: Callable[[_Asked], Iterable[Candidate]]


def _rapl(asked: _Asked) -> Iterable[Candidate]:
    from . import rapl

    return rapl.candidates(asked.host, asked.sysfs / 'class/powercap', asked.sleep)


def _perf(asked: _Asked) -> Iterable[Candidate]:
    from . import perf

    return perf.candidates(asked.host, asked.sysfs, asked.kernel, asked.sleep)


def _hwmon(asked: _Asked) -> Iterable[Candidate]:
    from . import hwmon

    return hwmon.candidates(asked.host, asked.sysfs / 'class/hwmon', asked.sleep)


def _model(asked: _Asked) -> Iterable[Candidate]:
    from . import model

    return model.candidates(asked.host)


def _dram(asked: _Asked) -> Iterable[Candidate]:
    from . import dram

    return dram.candidates(asked.host)


_SOURCES = (
    _Source(frozenset({'cpu', 'dram'}), 'class/powercap', _rapl),
    _Source(frozenset({'cpu', 'dram'}), 'bus/event_source/devices/power', _perf),
    _Source(frozenset({'cpu', 'node'}), 'class/hwmon', _hwmon),
    _Source(frozenset({'cpu'}), '', _model),
    _Source(frozenset({'dram'}), '', _dram),
)
"""Best first."""


def _safe(source: _Source, asked: _Asked) -> Iterable[Candidate]:
    """A source that fails is one that is absent: nothing may break the work."""
    try:
        return tuple(source.look(asked))
    except Exception as error:  # noqa: BLE001 - see above
        _log.warning('a way to see energy failed: %s: %s', type(error).__name__, error)
        return tuple(absent(name, 'unknown', '', str(error)) for name in sorted(source.components))


def _judge(candidate: Candidate, used: dict[str, Candidate]) -> Finding:
    """The finding, and the choice if it is the best so far."""
    finding = candidate.finding
    if finding.state != 'available':
        return finding
    component = finding.component
    if component in used:
        why = f'{used[component].finding.method} is used, which is better'
        return finding._replace(why=why)
    for other in used.values():
        if component in other.covers:
            why = f'its energy is in that of {other.finding.component} ({other.finding.method})'
            return finding._replace(state='covered', why=why)
    used[component] = candidate
    return finding._replace(state='used')


def nvidia() -> tuple[Meter, ...]:
    """Meters of NVIDIA's graphics processors; none where there is no sign of a driver."""
    if not _has_driver():
        return ()
    try:
        module = importlib.import_module('.nvml', __package__)
        return tuple(module.find_gpus())
    except ImportError:
        return ()
    except Exception as error:  # noqa: BLE001 - nothing may break the work
        _log.warning('graphics processors are not seen: %s: %s', type(error).__name__, error)
        return ()


@functools.cache
def _has_driver() -> bool:
    return any(Path(path).exists() for path in _LIBRARIES)


def _gpu_findings(gpus: tuple[Meter, ...]) -> tuple[Finding, ...]:
    if not gpus:
        return (Finding('gpu', 'nvml', 'absent', _LIBRARIES[0], 'assumed', 1.0, 'none is seen'),)
    readings = [meter.reading for meter in gpus]
    return tuple(
        Finding(r.component, r.method, 'used', _LIBRARIES[0], r.tier, r.u_rel, 'it is read')
        for r in readings
    )
