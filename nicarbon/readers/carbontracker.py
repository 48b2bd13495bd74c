"""Logs of carbontracker: ``…_carbontracker.log`` and ``…_carbontracker_output.log``.

The first tells each epoch with its duration and the mean power of each component, the second
what all of them came to. Only *predicted and actual consumptions* are multiplied by a PUE
(``tracker.py``: ``total_energy * constants.PUE_2023``): epochs are those of the machine, and
what it charged is divided by it. What it predicted is never counted.

==================  ====================================================================
power of an epoch   how it was seen
==================  ====================================================================
``[80.1 2.5]``      version 1: means of each device, which add up
``41.3``            version 2: the mean over all looks *and devices*; times their number
``None``, ``0.0``   not seen; what the tracker then takes from other epochs is left out
==================  ====================================================================

Devices named ``cpu:0`` or ``dram:0`` are counters (RAPL), looked at for one second at a time;
a CPU named by its brand is half of its thermal design power, whatever it did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..entry import Entry, Reading, Tier, Window
from ..errors import ReaderError
from ..host import Host
from ..series import MAX_WINDOWS, summed
from . import Folder, Hardware, Source, Told, Work, leaf, text_of
from .fields import moment, number, subject_of

__all__ = ['TRACKER', 'CarbonTracker']

TRACKER = 'carbontracker'

JOULES_PER_KWH = 3.6e6

U_COUNTER = 2.0
"""The tracker looks at counters for a second, and away for one at least, ten in version 1: what
it did not see may have been as much."""

U_GPU = 1.65
"""Power of a GPU is sampled for a part of the time only, so that its integral is off by up to
65 % (arXiv:2312.02741)."""

U_CONSTANT = 5.0
"""Half of TDP, whatever ran, was 0.4 to 5 times the counter (95 points of five CPUs)."""

PUE = 1.58
U_PUE = 1.08
"""Where the first log is gone: its versions multiply by 1.55 to 1.67."""

MOST_WATTS = 1e6
MOST_SECONDS = 1e9
MOST_KWH = 1e6

_FILE = re.compile(r'(.*)_carbontracker(_output)?\.log(?:\.gz)?')
_STEM = re.compile(r'(?:(.*)_)?\d+(?:\.[^_]*)?_\d{4}-\d\d-\d\dT\d{6}Z')
_LINE = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:,\d+)? - ', re.MULTILINE)
_PUE = re.compile(r'PUE coefficient of (\d+\.\d+)')
_FOUND = re.compile(r'The following components were found: (.*)')
_DEVICES = re.compile(r'(\w+) with device\(s\) (.*?)\.(?= \w+ with device\(s\)|\s*$)')
_DURATION = re.compile(r'Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)\s*$')
_POWER = re.compile(r'Average power usage \(W\) for (\w+): (\[[^\]]*\]|\S+)')
_ACTUAL = re.compile(
    r'Actual consumption[^:\n]*:\s*Time:\s*(\d+):(\d\d):(\d\d)\s+Energy:\s*(\S+) kWh'
)
_COUNTER = re.compile(r'(?:cpu|dram)(?::\d+)*', re.IGNORECASE)


class Epoch(NamedTuple):
    """One epoch: seconds since 1970, its length in seconds, and watts by component."""

    ended: float
    seconds: float
    watts: dict[str, float | None]


class Log(NamedTuple):
    """What both logs of one process say.

    Parameters
    ----------
    epochs : list of Epoch
    devices : dict of {str : tuple of str}
        By component, ``cpu`` or ``gpu``.
    pue : float or None
        By which it multiplied what it charged.
    charged : tuple of (float, float, float) or None
        When that was said, for how many seconds, and kWh.
    """

    epochs: list[Epoch]
    devices: dict[str, tuple[str, ...]]
    pue: float | None
    charged: tuple[float, float, float] | None


class CarbonTracker:
    """Reads the logs of carbontracker."""

    name = 'carbontracker'
    what = 'logs of carbontracker (*_carbontracker.log, *_carbontracker_output.log)'

    def find(self, folder: Folder) -> Iterable[Source]:
        """The logs of each process together.

        Parameters
        ----------
        folder : Folder

        Yields
        ------
        Source
        """
        stems: dict[str, list[Path]] = {}
        for name in sorted(folder.files):
            if found := _FILE.fullmatch(name):
                stems.setdefault(found[1], []).append(folder.path / name)
        for stem, paths in stems.items():
            yield Source(self.name, folder.path / f'{stem}_carbontracker.log', tuple(paths))

    def read(self, source: Source, hardware: Hardware) -> Told:
        """The epochs of one process as one entry.

        Parameters
        ----------
        source : Source
        hardware : Hardware

        Returns
        -------
        Told

        Raises
        ------
        ReaderError
            When no epoch is told, nor what was charged.
        OSError
        """
        texts: dict[str, str] = {}
        for path in source.files:
            kind = _kind(path)
            texts[kind] = texts.get(kind, '') + text_of(path)
        log = _log(texts.get('', ''), texts.get('_output', ''))
        if not log.epochs and log.charged is None:
            raise ReaderError(f'{source.path}: no epoch of it had ended, or it is no log')
        brand = next((name for name in log.devices.get('cpu', ()) if not _is_counter(name)), '')
        host = hardware.host('', brand, None)
        entry = _epochs(source, log, host) if log.epochs else _actual(source, log, host)
        claims = {}
        if log.charged is not None:
            claims[TRACKER] = log.charged[2] / (log.pue or PUE) * JOULES_PER_KWH
        warnings = (f'{source.path}: {line}' for line in _doubts(log))
        return Told((entry,), tuple(warnings), (host,), {}, claims)


def _kind(path: Path) -> str:
    found = _FILE.fullmatch(path.name)
    return (found[2] or '') if found else ''


def _doubts(log: Log) -> Iterator[str]:
    """What was not seen or may be otherwise, a line each."""
    yield (
        'its power is that of whole devices, and no CPU time is told (shown as 0): what others '
        'ran there meanwhile is in it'
    )
    several = {
        name: len(log.devices.get(name, ()))
        for epoch in log.epochs
        for name in epoch.watts
        if len(log.devices.get(name, ())) > 1
    }
    for name, count in several.items():
        yield f'{name} has {count} devices: where the log shows one mean of all, it is multiplied'
    blind = sum(not any(epoch.watts.values()) for epoch in log.epochs)
    if blind:
        yield f'in {blind} of {len(log.epochs)} epochs no power was seen: nothing is charged there'
    if log.charged and log.pue is None:
        yield f'it does not say by which PUE its total was multiplied: taken to be {PUE}'


# Lines -----------------------------------------------------------------------------------


def _log(standard: str, output: str) -> Log:
    pue = _PUE.search(standard)
    devices: dict[str, tuple[str, ...]] = {}
    if found := _FOUND.search(standard) or _FOUND.search(output):
        for name, names in _DEVICES.findall(found[1][:10_000]):
            devices[name.lower()] = tuple(one.strip() for one in names.split(','))
    return Log(
        _found_epochs(standard, devices),
        devices,
        number(pue[1], 10.0) or None if pue else None,
        _charged(output),
    )


def _messages(text: str) -> Iterator[tuple[str, str]]:
    """Moment and text of each message, which may have several lines."""
    before = None
    for start in _LINE.finditer(text):
        if before is not None:
            yield before[1], text[before.end() : start.start()]
        before = start
    if before is not None:
        yield before[1], text[before.end() :]


def _found_epochs(text: str, devices: dict[str, tuple[str, ...]]) -> list[Epoch]:
    """Epochs that ended, in order; none of them begins before the one before it ended."""
    epochs: list[Epoch] = []
    for told, message in _messages(text):
        ended = moment(told)
        if (lasted := _DURATION.match(message)) and ended is not None:
            seconds = number(_seconds(*lasted.groups()), MOST_SECONDS)
            last = epochs[-1].ended if epochs else 0.0
            # The log's clock has whole seconds.
            stop = max(ended, last + (seconds or 0.0))
            if seconds and stop - ended < 2 and stop > seconds:
                epochs.append(Epoch(stop, seconds, {}))
        elif (power := _POWER.match(message)) and epochs:
            name = power[1].lower()
            epochs[-1].watts[name] = _watts(power[2], len(devices.get(name, ())))
    return [epoch for epoch in epochs if epoch.watts]


def _watts(text: str, devices: int) -> float | None:
    """Power of all devices of a component."""
    if text.startswith('['):
        values = [number(word, MOST_WATTS) for word in text.strip('[]').replace(',', ' ').split()]
        if None in values:
            return None
        return sum(value or 0.0 for value in values) or None
    value = number(text, MOST_WATTS)
    return value * max(1, devices) if value else None


def _seconds(hours: str, minutes: str, seconds: str) -> float:
    return float(hours[:9]) * 3600 + float(minutes) * 60 + float(seconds)


def _charged(text: str) -> tuple[float, float, float] | None:
    """What it says last of all that it used; not what it predicted."""
    found = None
    for told, message in _messages(text):
        if actual := _ACTUAL.search(message):
            ended, kwh = moment(told), number(actual[4], MOST_KWH)
            seconds = number(_seconds(*actual.groups()[:3]), MOST_SECONDS)
            if ended and kwh and seconds and ended > seconds:
                found = ended, seconds, kwh
    return found


# Entries ---------------------------------------------------------------------------------


def _is_counter(device: str) -> bool:
    return _COUNTER.fullmatch(device) is not None and ':' in device


def _reading(name: str, log: Log, host: Host) -> Reading:
    """How a component was seen, by the names of its devices."""
    names = log.devices.get(name, ())
    tier: Tier = 'measured'
    if name == 'gpu':
        component, method, u_rel = 'gpu:all', 'nvml-power', U_GPU
    elif names and all(_is_counter(one) for one in names):
        component, method, u_rel = 'cpu', 'rapl', U_COUNTER
    else:
        component, method, u_rel = 'cpu', 'model:half-tdp', U_CONSTANT
        # Of a CPU that is in no table it takes the mean of its own, and does not log that.
        tier = host.tier
    return Reading(component, None, None, f'{method}:{TRACKER}', tier, 'own', u_rel)


def _work(source: Source, began: float, seconds: float, host: Host) -> Work:
    stem = _STEM.fullmatch(source.path.name.removesuffix('_carbontracker.log'))
    name = (stem[1] if stem else '') or TRACKER
    subject, session = subject_of(source.path)
    # Its power is that of the machine.
    cores = float(host.cores)
    return Work(began, seconds, 0.0, cores, subject, session, TRACKER, name)


def _epochs(source: Source, log: Log, host: Host) -> Entry:
    """All epochs, one window each."""
    names = sorted(
        {name for epoch in log.epochs for name in epoch.watts if name in {'cpu', 'gpu'}}
    )
    each = [_window(epoch, names) for epoch in log.epochs]
    size = -(-len(each) // MAX_WINDOWS)
    windows = tuple(_together(each[first : first + size]) for first in range(0, len(each), size))
    work = _work(source, windows[0].start, sum(window.seconds for window in windows), host)
    readings = tuple(_reading(name, log, host) for name in names)
    return summed(leaf(source, 1, work, host, readings, windows), windows)


def _window(epoch: Epoch, names: Sequence[str]) -> Window:
    watts = [epoch.watts.get(name) for name in names]
    joules = tuple(None if one is None else one * epoch.seconds for one in watts)
    seen = tuple(0.0 if one is None else epoch.seconds for one in watts)
    return Window(epoch.ended - epoch.seconds, epoch.seconds, 0.0, None, joules, (), seen)


def _together(windows: Sequence[Window]) -> Window:
    """Several epochs as one: what lies between them was not tracked, and is no part of it."""
    first = windows[0]
    seconds = sum(window.seconds for window in windows)
    joules = [
        [value for value in values if value is not None]
        for values in zip(*(window.joules for window in windows), strict=True)
    ]
    seen = (sum(values) for values in zip(*(window.covered for window in windows), strict=True))
    sums = tuple(sum(values) if values else None for values in joules)
    return Window(first.start, seconds, 0.0, None, sums, (), tuple(seen))


def _actual(source: Source, log: Log, host: Host) -> Entry:
    """What it charged at the end, where nothing else is left."""
    ended, seconds, kwh = log.charged or (0.0, 0.0, 0.0)
    names = sorted(log.devices)
    one = _reading(names[0], log, host) if len(names) == 1 else None
    worst = max((_reading(name, log, host).u_rel for name in names), default=U_CONSTANT)
    u_rel = worst * (1.0 if log.pue else U_PUE)
    joules = kwh / (log.pue or PUE) * JOULES_PER_KWH
    if one is None:
        one = Reading('rest', None, None, TRACKER, 'modelled', 'own', u_rel)
    work = _work(source, ended - seconds, seconds, host)
    return leaf(source, 1, work, host, (one._replace(joules=joules, u_rel=u_rel),))
