"""Logs of experiment-impact-tracker: ``data.json``, one look at the host a line.

In each pass the tracker looks for two seconds at the counters of all processor packages
(RAPL) and at the CPU times of its processes, then does other things for as long again
(``cpu/intel.py``, ``compute_tracker.py``). So a log holds the host's power, the processes'
part of the host's CPU seconds, and what the tracker charged them for it: its own rule and
ours can be laid side by side on the same seconds.

========================================  ================================================
``timestamp``                             when the pass began, seconds since 1970
``rapl_power_draw_absolute``              W of all packages, in two seconds; no memory in it
``rapl_estimated_attributable_…``         W of them that the tracker charged
``absolute_cpu_utilization``              cores that its processes kept busy
``average_relative_cpu_utilization``      their part of all that was busy: host = own/part
``cpu_time_seconds``                      by process; with children that it waited for
``per_gpu_power_draw``                    W of each GPU that its processes hold, one sample
========================================  ================================================

``info.pkl`` beside it says what the machine is, and is not read: to load a pickle is to run
a program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..entry import Entry, Reading, Use, Window
from ..errors import ReaderError
from ..host import U_IDLE_CALIBRATED, Host
from ..series import MAX_WINDOWS, merge_pairs, part_of, summed
from . import Folder, Hardware, Source, Told, Work, first_of, leaf, text_of
from .fields import LAST_MOMENT, number, subject_of

__all__ = ['TRACKER', 'ImpactTracker']

TRACKER = 'experiment-impact-tracker'

SEEN_SECONDS = 2.0
"""For which the tracker looks in each pass: ``time.sleep(2.0)`` between both samples."""

U_RAPL = 1.08
"""Package power by RAPL lies within 5 to 10 % of what is measured at the processor's
supply (Khan et al. 2018, doi:10.1145/3177754)."""

U_SAMPLE = 1.65
"""Of a GPU one sample of its power is taken in each pass: power is shown for a part of the
time only, so that its integral is off by up to 65 % (arXiv:2312.02741)."""

FIRST_CORE_WATTS = 12.0
"""What each of the first busy cores adds at most: that much on two Xeon Gold 6148 with up to
1.4 of 40 threads busy, 3 W from the fifth on (logs of one node at different loads)."""

LEAST_SECONDS = 0.01
LEAST_WATTS = 1e-3
MOST_WATTS = 1e6
MOST_CORES = 1e5
"""No host has more, or less: what says so is broken."""

_NUMBER = re.compile('0|[1-9][0-9]{0,3}')
_PID = re.compile('\\(([0-9]+), ([0-9]+)\\)')


class Sample(NamedTuple):
    """One pass of the tracker; None is what it did not see.

    Parameters
    ----------
    moment : float
        When it began, in seconds since 1970.
    watts, charged : float or None
        Of all packages, and what of it the tracker charged.
    cpu_seconds : float or None
        Of all its processes, since each of them began.
    own_cores : float or None
        That they kept busy in the two seconds.
    part : float or None
        Of all that was busy.
    cores : int
        Hardware threads of the host; 0 where it is not told.
    gpus : dict of {str : tuple of (float, Use)}
        By number: watts, and the use by its processes, for one second.
    gpu_charged : float
        Watts of all GPUs that the tracker charged.
    """

    moment: float
    watts: float | None
    charged: float | None
    cpu_seconds: float | None
    own_cores: float | None
    part: float | None
    cores: int
    gpus: dict[str, tuple[float, Use]]
    gpu_charged: float

    @property
    def host_cores(self) -> float | None:
        """Cores of the host that were busy in the two seconds; None where none were its own."""
        return self.own_cores / self.part if self.own_cores and self.part else None


class ImpactTracker:
    """Reads ``data.json`` of experiment-impact-tracker."""

    name = 'impact_tracker'
    what = 'logs of experiment-impact-tracker (data.json)'

    def find(self, folder: Folder) -> Iterable[Source]:
        """Its log, which has a name that others use too.

        Parameters
        ----------
        folder : Folder

        Yields
        ------
        Source
        """
        name = first_of(folder.files, 'data.json')
        if name:
            path = folder.path / name
            yield Source(self.name, path, (path,))

    def read(self, source: Source, hardware: Hardware) -> Told:
        """The log as one entry, and what the tracker charged for it.

        Parameters
        ----------
        source : Source
        hardware : Hardware
            Asked for a machine without a name: the log tells none, nor its CPU.

        Returns
        -------
        Told
            Empty for a ``data.json`` of somebody else.

        Raises
        ------
        ReaderError
            When it is a log, and no line of it can be read.
        OSError
        """
        (path,) = source.files
        text = text_of(path)
        if '"timestamp"' not in text or ('"rapl_' not in text and '"nvidia_' not in text):
            return Told()
        samples, broken = _samples(text.splitlines())
        if not samples:
            raise ReaderError(f'{path}: no line of it is a look of {TRACKER} at its host')
        cores = max(sample.cores for sample in samples)
        host = hardware.host('', '', cores or None)
        entry = _entry(source, samples, host)
        watts = (SEEN_SECONDS * ((one.charged or 0.0) + one.gpu_charged) for one in samples)
        told = any(one.charged is not None or one.gpus for one in samples)
        claims = {TRACKER: sum(watts)} if told else {}
        return Told((entry,), tuple(_warnings(source, samples, broken)), (host,), {}, claims)


def _warnings(source: Source, samples: Sequence[Sample], broken: int) -> Iterator[str]:
    """What was not seen, a line each."""
    path = source.path
    if broken:
        yield f'{path}: {broken} lines cannot be read, or go back in time: left out'
    blind = sum(one.watts is not None and one.host_cores is None for one in samples)
    if blind:
        yield (
            f'{path}: in {blind} of {len(samples)} looks {TRACKER} saw none of its own processes '
            'compute, and so not how busy the host was: nobody is charged for what it computed'
        )
    if not any(one.watts is not None for one in samples):
        yield f'{path}: holds no power of the processors: nothing of them is charged'


# Lines -----------------------------------------------------------------------------------


def _samples(lines: Iterable[str]) -> tuple[list[Sample], int]:
    """Looks in order of time, and how many lines are none."""
    found: list[Sample] = []
    broken = 0
    for line in lines:
        if not line.strip():
            continue
        sample = _sample(line)
        if sample is None or (found and sample.moment < found[-1].moment + LEAST_SECONDS):
            broken += 1
        else:
            found.append(sample)
    return found, broken


def _sample(line: str) -> Sample | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    moment = number(row.get('timestamp'), LAST_MOMENT) if isinstance(row, dict) else None
    if not moment:
        return None
    freq = row.get('cpu_freq')
    return Sample(
        moment,
        _watts(row.get('rapl_power_draw_absolute')),
        number(row.get('rapl_estimated_attributable_power_draw'), MOST_WATTS),
        _cpu_seconds(row.get('cpu_time_seconds')),
        number(row.get('absolute_cpu_utilization'), MOST_CORES),
        # Clocks are read one after the other: it may be a little more than all.
        min(1.0, part) if (part := number(row.get('average_relative_cpu_utilization'))) else part,
        len(freq) if isinstance(freq, list) and len(freq) <= MOST_CORES else 0,
        _gpus(row),
        number(row.get('nvidia_estimated_attributable_power_draw'), MOST_WATTS) or 0.0,
    )


def _watts(value: Any) -> float | None:
    """What shows no power at all is no counter."""
    watts = number(value, MOST_WATTS)
    return watts if watts and watts >= LEAST_WATTS else None


def _cpu_seconds(processes: Any) -> float | None:
    """Of all processes and the children that they waited for, which nobody else lists."""
    if not isinstance(processes, dict):
        return None
    total = 0.0
    for times in processes.values():
        for name in ('user', 'system', 'children_user', 'children_system'):
            total += (number(times.get(name)) or 0.0) if isinstance(times, dict) else 0.0
    return total


def _gpus(row: dict[str, Any]) -> dict[str, tuple[float, Use]]:
    """Power of each GPU, and whose its multiprocessors (SM) were, for one second."""
    draws, told = row.get('per_gpu_power_draw'), row.get('process_ids')
    rates = row.get('per_gpu_average_estimated_utilization_absolute')
    if not (isinstance(draws, dict) and isinstance(rates, dict)):
        return {}
    pids = {str(pid) for pid in told} if isinstance(told, list) else set()
    found = {}
    for gpu, draw in draws.items():
        watts = _watts(draw)
        if watts and _NUMBER.fullmatch(gpu):
            found[gpu] = watts, _use(rates, gpu, pids)
    return found


def _use(rates: dict[str, Any], gpu: str, pids: set[str]) -> Use:
    own = host = holders = held = 0.0
    for key, rate in rates.items():
        pair = _PID.fullmatch(key)
        part = number(rate.get('sm'), 100.0) if isinstance(rate, dict) else None
        # Process 0 is a line of nvidia-smi in which there is none.
        if pair is None or part is None or pair[1] != gpu or pair[2] == '0':
            continue
        host, holders = host + part / 100, holders + 1
        if pair[2] in pids:
            own, held = own + part / 100, held + 1
    return Use(own, host, held, holders)


# Windows ---------------------------------------------------------------------------------


def _entry(source: Source, samples: Sequence[Sample], host: Host) -> Entry:
    """All looks as one piece of work, resolved in time."""
    gpus = sorted({gpu for one in samples for gpu in one.gpus}, key=int)
    windows = tuple(_windows(samples, gpus, host.cores))
    began, seconds = windows[0].start, windows[-1].stop - windows[0].start
    used = sum(window.cpu_seconds for window in windows)
    # What was kept for it is not told: what it used on average, one core at least.
    kept = float(min(host.cores, max(1, round(used / seconds))))
    parent = source.path.parent
    name = parent.parent.name if parent.name == 'impacttracker' else parent.name
    subject, session = subject_of(source.path)
    work = Work(began, seconds, used, kept, subject, session, TRACKER, name)
    idle, idle_u = _idle(samples, host)
    cpu = Reading('cpu', None, idle, f'rapl:{TRACKER}', 'measured', 'host', U_RAPL, 1.0, idle_u)
    method = f'nvml-power:{TRACKER}'
    others = (
        Reading(f'gpu:{gpu}', None, None, method, 'measured', 'host', U_SAMPLE) for gpu in gpus
    )
    readings = (cpu, *others)
    for _ in range(32):
        if len(windows) <= MAX_WINDOWS:
            break
        windows = merge_pairs(windows)
    return summed(leaf(source, 1, work, host, readings, windows), windows)


def _windows(samples: Sequence[Sample], gpus: Sequence[str], cores: int) -> Iterator[Window]:
    """From the end of each look to the end of the next one: CPU times are read at the end."""
    before: Sample | None = None
    for one in samples:
        stop = one.moment + SEEN_SECONDS
        start = before.moment + SEEN_SECONDS if before else one.moment
        seconds = stop - start
        own = min(_own(before, one), cores * seconds)
        busy = one.host_cores
        host = None if busy is None else min(max(busy * seconds, own), cores * seconds)
        draws = [one.watts, *(one.gpus[gpu][0] if gpu in one.gpus else None for gpu in gpus)]
        uses = [one.gpus[gpu][1] if gpu in one.gpus else None for gpu in gpus]
        covered = min(SEEN_SECONDS, seconds)
        yield Window(
            start,
            seconds,
            own,
            host,
            tuple(None if watts is None else watts * covered for watts in draws),
            (None, *(use and part_of(use, seconds) for use in uses)) if gpus else (),
            (covered,) * len(draws),
        )
        before = one


def _own(before: Sample | None, one: Sample) -> float:
    """CPU seconds of its processes since the look before.

    By their counters, in which children live on that were waited for: the tracker itself
    counts only processes that were there at both ends of its two seconds, and none of what
    short ones used. A process that nobody waited for takes its seconds away with it.
    """
    if before and before.cpu_seconds is not None and one.cpu_seconds is not None:
        return max(0.0, one.cpu_seconds - before.cpu_seconds)
    return (one.own_cores or 0.0) * (one.moment - before.moment if before else SEEN_SECONDS)


def _idle(samples: Iterable[Sample], host: Host) -> tuple[float, float]:
    """Idle power of all packages, and its multiplicative uncertainty.

    What was calibrated on the machine, if that is known. Else what the log itself bounds: no
    more than the least that was seen, and no less than that less what the cores that were
    busy then add at most: one core at least, for where anything runs the package is awake.
    The model's own idle power is but a floor: it says 25 W of a host that was never seen
    below 74.
    """
    looks = [(one.watts, one.host_cores) for one in samples if one.watts is not None]
    if not looks:
        return host.idle_watts, host.u_rel
    least, busy = min(looks, key=lambda look: look[0])
    if host.power_method == 'model:calibrated':
        return min(host.idle_watts, least), U_IDLE_CALIBRATED
    cores = host.cores if busy is None else min(host.cores, max(1.0, busy))
    floor = min(host.idle_watts, least) / host.u_rel
    added = cores * max(FIRST_CORE_WATTS, host.watts_per_busy_core * host.u_rel)
    lowest = max(floor, least - added)
    middle = (lowest * least) ** 0.5
    return middle, least / middle
