"""Folders of subjects that FastSurfer made: its segmentation's log and that of recon-surf.

Of recon-surf, CPU seconds are those of its programs; of modules of the segmentation only wall
time is told, where anything is. What a GPU used, no log knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ...entry import Entry, Reading, Window
from ...errors import ReaderError
from ...host import Host
from ...stage import find_stage, versions
from .. import Folder, Hardware, Source, Told, Work, first_of, leaf, modelled, text_of
from ..dates import Zones, dated
from ..names import labels
from ..wall import assumed, busy_cores, machine
from .seg import Module, modules, timed
from .surf import Surfaces, spread, surfaces

__all__ = ['FastSurfer']

LOGS = ('deep-seg.log', 'recon-surf.log')
"""Either makes a folder FastSurfer's; also packed."""

LATEST = 4102444800.0
"""2100, in seconds since 1970: somebody may have set the time of a file to anything."""

OTHERS = ('build.log', 'recon-surf.done')

U_TOLD = 1.05
"""Of CPU seconds that programs were charged: shells between them are not counted."""

UNTOLD_THREADS = 8
"""Of networks that took all of a machine of which nothing is known: 1 to 64 (judgement)."""

GPU = Reading('gpu:unseen', None, None, 'log', 'assumed', 'own', 1.0, 0.0)
"""What is known of a GPU that was used: that it was."""

_VERSION = re.compile(r'^(?:Version: |VERSION )(?:\S*?-)?v?(\d+\.\d+(?:\.\d+)?)', re.MULTILINE)
_HOST = re.compile(r'^HOST (\S+)', re.MULTILINE)
_SIGNAL = re.compile(r'^run_fastsurfer\.sh terminated via signal at', re.MULTILINE)


class _Done(NamedTuple):
    """A module of the segmentation whose time is known."""

    module: Module
    began: float
    seconds: float
    by_files: bool


class FastSurfer:
    """Reads the folder of one subject."""

    name = 'fastsurfer'
    what = 'folders of FastSurfer: deep-seg.log, recon-surf.log'

    def find(self, folder: Folder) -> Iterable[Source]:
        """See :class:`nicarbon.readers.Reader`."""
        names = [first_of(folder.files, name) for name in LOGS]
        if folder.path.name != 'scripts' or not any(names):
            return []
        others = [name for name in OTHERS if name in folder.files]
        files = tuple(folder.path / name for name in (*names, *others) if name)
        return [Source(self.name, folder.path.parent, files, closed=True)]

    def read(self, source: Source, hardware: Hardware) -> Told:
        """See :class:`nicarbon.readers.Reader`."""
        texts: dict[str, str] = {}
        warnings: list[str] = []
        for path in source.files:
            try:
                texts[path.name.removesuffix('.gz')] = text_of(path)
            except (ReaderError, OSError) as error:
                warnings.append(str(error))
        together = '\n'.join((texts.get('recon-surf.done', ''), texts.get('deep-seg.log', '')))
        version = found[1] if (found := _VERSION.search(together)) else ''
        zones = _zones(texts)
        surf = surfaces(texts.get('recon-surf.log', ''), zones)
        if 'recon-surf.log' in texts and surf is None:
            warnings.append(f'{source.path}: recon-surf.log does not tell when anything ran')
        name = found[1] if (found := _HOST.search(texts.get('recon-surf.done', ''))) else ''
        log = texts.get('deep-seg.log', '')
        told = modules(log, zones, version)
        most = max([surf.cores if surf else 1, *(_given(module) for module in told)])
        host = machine(hardware, name or (surf.host if surf else ''), most)
        written = _written(source.files, 'deep-seg.log')
        done = list(_times(told, source.path, written))
        warnings += _seg_notes(source.path, told, done)
        stopped = told[-1:] if _SIGNAL.search(log) else []
        entries = [
            _seg_entry(source, number, one, host, stopped=one.module in stopped)
            for number, one in enumerate(done)
        ]
        if surf is not None:
            entries.append(_surf_entry(source, len(done), surf, host))
            warnings += _surf_notes(source.path, surf)
        warnings += [
            f'{source.path}: which time zone {zone or "its clock"} is is not told: taken for UTC'
            for zone in zones.unknown
        ]
        if not entries:
            why = f' ({warnings[-1]})' if warnings else ''
            raise ReaderError(f'{source.path}: no log of FastSurfer tells how long it ran{why}')
        ran = {'FastSurfer': version, 'FreeSurfer': surf.freesurfer if surf else ''}
        kept = {name: told for name, told in ran.items() if told}
        return Told(tuple(entries), tuple(warnings), (host,), kept)


def _zones(texts: dict[str, str]) -> Zones:
    """Zones whose names build.log explains, which was begun with deep-seg.log."""
    zones = Zones()
    built = [
        found[1] for line in texts.get('build.log', '').splitlines() if (found := dated(line))
    ]
    begun = [
        found[1] for line in texts.get('deep-seg.log', '').splitlines() if (found := dated(line))
    ]
    for shown, by in zip(begun, built, strict=False):
        if by.zone[:1] in ('+', '-'):
            zones.learn(shown, zones.utc(by))
    return zones


def _written(files: Iterable[Path], name: str) -> float:
    for path in files:
        if path.name.removesuffix('.gz') == name:
            try:
                return path.stat().st_mtime
            except OSError:
                break
    return 0.0


def _times(told: Iterable[Module], subject: Path, written: float) -> Iterator[_Done]:
    """When modules ran: by their outputs where that can be, else by what they say."""
    before: float | None = None
    clock: float | None = None
    for module in told:
        begun = module.began
        if begun is not None:
            before = clock = begun
        by_files = timed(module, subject, before)
        if by_files is not None:
            yield _Done(module, *by_files, True)
            before = clock = sum(by_files)
            continue
        before = None
        if module.told_seconds is not None:
            began = (
                clock
                if clock is not None
                else min(max(0.0, written - module.told_seconds), LATEST)
            )
            yield _Done(module, began, module.told_seconds, False)
            clock = began + module.told_seconds


# Entries ----------------------------------------------------------------------------------


def _seg_entry(source: Source, number: int, one: _Done, host: Host, *, stopped: bool) -> Entry:
    module = one.module
    threads = _threads(module, host)
    reading = assumed(host, one.seconds, threads, threads)
    on_gpu = module.device not in ('', 'cpu')
    subject, session = labels(source.path.name)
    error = module.error
    work = Work(
        one.began,
        one.seconds,
        one.seconds * busy_cores(threads),
        threads,
        subject,
        session,
        module.stage.key,
        outcome='killed' if stopped else 'failed' if error else 'ran',
        error=error,
        parts=module.parts(one.began, one.seconds),
        interface=module.stage.program,
    )
    return leaf(source, number, work, host, (reading, GPU) if on_gpu else (reading,))


def _given(module: Module) -> int:
    """Threads: networks on a GPU keep one busy, those on a CPU all they get."""
    if module.device not in ('', 'cpu'):
        return 1
    return UNTOLD_THREADS if module.threads is None else module.threads


def _threads(module: Module, host: Host) -> float:
    """That may have worked; where it was left to take all, all that there are."""
    takes_all = module.threads is None and _given(module) > 1
    return float(host.cores if takes_all else min(_given(module), host.cores))


def _surf_entry(source: Source, number: int, one: Surfaces, host: Host) -> Entry:
    subject, session = labels(source.path.name)
    cores = float(min(one.cores, host.cores))
    pieces = spread(one)
    cpu = sum(seconds for _, _, seconds in pieces)
    seconds = sum(length for _, length, _ in pieces) if one.commands else one.seconds
    if one.commands:
        reading = modelled(host, cpu, seconds, cores, u_use=U_TOLD)
    else:
        cpu = one.seconds * busy_cores(cores)
        reading = assumed(host, one.seconds, cores, cores)
        pieces = [(one.began, one.seconds, cpu)]
    stage = find_stage('fastsurfer', 'recon-surf', version=versions('fastsurfer')[0])
    work = Work(
        one.began,
        seconds,
        cpu,
        cores,
        subject,
        session,
        stage.key,
        interface=stage.program,
        outcome='ran' if one.ended else 'failed' if one.error else 'killed',
        error=one.error,
        suspended_seconds=max(0.0, one.seconds - seconds),
        parts=one.parts,
        commands=one.commands,
    )
    idle = reading.idle_watts or 0.0
    windows = tuple(
        Window(start, length, busy, None, (host.watts_per_busy_core * busy + idle * length,))
        for start, length, busy in pieces
    )
    return leaf(source, number, work, host, (reading,), windows)


# Warnings ---------------------------------------------------------------------------------


def _seg_notes(path: Path, told: list[Module], done: list[_Done]) -> Iterator[str]:
    """What holds of a segmentation, once."""
    if done:
        files = [one.module.stage.key for one in done if one.by_files]
        said = [one.module.stage.key for one in done if not one.by_files]
        ways = []
        if files:
            ways.append(f'{", ".join(files)} by the times of their outputs')
        if said:
            ways.append(f'{", ".join(said)} by what the networks say, without start and end')
        yield (
            f'{path}: deep-seg.log has no clock: {"; ".join(ways)}; their CPU seconds are '
            'assumed: wall time times the root of threads'
        )
    known = {id(one.module) for one in done}
    unknown = list(dict.fromkeys(one.stage.key for one in told if id(one) not in known))
    if unknown:
        yield f'{path}: nothing tells how long {", ".join(unknown)} ran: not counted'
    gpus = [one.module.stage.key for one in done if one.module.device not in ('', 'cpu')]
    if gpus:
        yield (
            f'{path}: {", ".join(gpus)} ran on a GPU, whose energy no log tells: it is not seen '
            'and not included'
        )


def _surf_notes(path: Path, one: Surfaces) -> Iterator[str]:
    if not one.commands:
        yield (
            f'{path}: recon-surf.log has no CPU seconds of its programs: assumed, wall time '
            'times the root of threads'
        )
    slept = one.seconds - sum(length for _, length, _ in spread(one))
    if one.commands and slept > 1:
        yield (
            f'{path}: no program of recon-surf did anything for {slept / 3600:.2g} h: the machine '
            'is taken to have slept'
        )
    if not one.ended and not one.error:
        yield f'{path}: recon-surf.log has no end: recon-surf was stopped, or still runs'
