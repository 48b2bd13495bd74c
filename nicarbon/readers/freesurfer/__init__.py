"""What FreeSurfer left in a subject's folder, as entries: one for each stage that ran.

CPU seconds are those that recon-all measured of its programs (``@#@FSTIME``), or that the
programs told themselves. Of the rest, which old versions do not time, wall time is all that is
known, and how many cores were in use is assumed. Nothing that a log names is opened or run.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from pathlib import Path

from ...entry import Command, Entry, Reading, Tier, Window
from ...errors import ReaderError
from ...host import Host
from ...stage import stages
from .. import Folder, Hardware, Source, Told, Work, first_of, leaf, modelled, text_of
from ..dates import Zones, dated
from ..names import labels
from .calls import VERSION, Call
from .log import Log, read_log
from .runs import Piece, Run, runs

__all__ = ['FreeSurfer']

LOGS = ('recon-all.log', 'recon-all-lh.log', 'recon-all-rh.log')
"""Whole logs; a hemisphere that was run by itself has its own."""

SKETCHES = {
    'recon-all.log': ('recon-all-status.log', 'recon-all.cmd'),
    'recon-all-lh.log': ('recon-all-status-lh.log', 'recon-all-lh.cmd'),
    'recon-all-rh.log': ('recon-all-status-rh.log', 'recon-all-rh.cmd'),
}
"""What has the same markers, where a log is gone."""

OTHERS = ('deep-seg.log', 'recon-surf.log')
"""Of FastSurfer, which runs parts of recon-all itself."""

FLAGS = {'recon-all.log': 'IsRunning.lh+rh'}
"""What is there while recon-all runs, and stays behind if it is killed."""

GROWS_SECONDS = 48 * 3600.0
"""A log that was not written to for longer is not going to grow, whatever the flag says: the
longest program of recon-all that prints nothing needs hours, not days (judgement)."""

UNTOLD_THREADS = 4.0
"""Most cores in use where nobody tells: as many as recon-all takes with ``-parallel``."""

GROWING = '{} still runs: left out, to be read when it has ended'
LOST = 'when {} ended is not told: only what programs told is counted'
ASLEEP = 'nothing was done by {}: the machine is taken to have slept'
UNTIMED = 'programs were not timed in {}: their CPU time is missing'
COPIED = (
    'it begins with the log of {}, of which this folder is a copy: that counts twice if its own '
    'folder is read too'
)

GRAIN_SECONDS = 10.0
"""So long may a stage be beside its programs, without that it matters: clocks show whole
seconds, and a shell needs some itself."""

U_ONE_CORE = 1.6
"""Cores that are in use while one program runs on one thread: CPU over wall time was 0.96 to
1.03 in 110 of 111 stages of at least 10 s of a 7.4.1 run with one thread, and 0.63 in one
(Neuro-iX/FS741 on GitHub; a stage in which the machine slept aside)."""


class FreeSurfer:
    """Reads subject folders of FreeSurfer 5.3 to 8."""

    name = 'freesurfer'
    what = 'subject folders of FreeSurfer: logs of recon-all'

    def find(self, folder: Folder) -> Iterable[Source]:
        """Sources of which files are in a folder; nothing is opened.

        Parameters
        ----------
        folder : Folder

        Returns
        -------
        iterable of Source
            The subject's folder, by the logs in its ``scripts``.

        Examples
        --------
        >>> scripts = Path('/data/bert/scripts')
        >>> files = frozenset(['recon-all.log.gz', 'recon-all.done', 'csurfdir'])
        >>> one, = FreeSurfer().find(Folder(scripts, scripts, frozenset(), files))
        >>> str(one.path), [path.name for path in one.files]
        ('/data/bert', ['recon-all.log.gz', 'recon-all.done'])
        >>> FreeSurfer().find(Folder(scripts, scripts, frozenset(), files | {'deep-seg.log'}))
        ()
        """
        if first_of(folder.files, *OTHERS):
            return ()
        wanted = [first_of(folder.files, name, *SKETCHES[name]) for name in LOGS]
        told = [name for name in wanted if name]
        if not told:
            return ()
        flags = sorted(name for name in folder.files if name.startswith('IsRunning.'))
        also = [name for name in ('recon-all.done', 'build-stamp.txt') if name in folder.files]
        subject = folder.path.parent if folder.path.name == 'scripts' else folder.path
        files = tuple(folder.path / name for name in (*told, *also, *flags))
        return (Source(self.name, subject, files),)

    def read(self, source: Source, hardware: Hardware) -> Told:
        """Read the logs of a subject.

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
            When no log has a stage.
        OSError
        """
        warnings: list[str] = []
        logs = list(_logs(source, warnings))
        calls = [(path, call) for path, log in logs for call in log.calls]
        if not any(turn.key for _, call in calls for turn in call.turns):
            said = '; '.join(warnings) or f'{source.path}: no stage of recon-all in its logs'
            raise ReaderError(said)
        _complete(source, calls)
        told = _Subject(source, hardware, calls)
        told.read()
        found = dict.fromkeys(call.version for _, call in calls if call.version)
        return Told(
            tuple(told.entries),
            (*warnings, *told.warnings()),
            tuple(dict.fromkeys(told.hosts)),
            {'FreeSurfer': ', '.join(found)} if found else {},
            settled=not told.grows,
        )


def _logs(source: Source, warnings: list[str]) -> Iterator[tuple[Path, Log]]:
    """Logs of a subject, and what cannot be read of them."""
    for path in filter(_is_log, source.files):
        try:
            log = read_log(text_of(path))
        except ReaderError as error:
            said = str(error)
            warnings.append(said if str(path) in said else f'{path}: {said}')
            continue
        warnings += _doubts(path, log)
        yield path, log


def _is_log(path: Path) -> bool:
    name = path.name.removesuffix('.gz')
    return name in LOGS or any(name in names for names in SKETCHES.values())


def _doubts(path: Path, log: Log) -> Iterator[str]:
    if log.unknown:
        zones = _some([zone or 'none' for zone in log.unknown])
        yield f'{path}: time zone {zones} is not known: its clock is taken as UTC'
    if log.torn:
        yield f'{path}: {log.torn} lines of timed programs cannot be read: their CPU time is missing'


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:3]) + (' …' if len(names) > 3 else '')


def _complete(source: Source, calls: Sequence[tuple[Path, Call]]) -> None:
    """What the logs do not say, other files may."""
    version = host = end = ''
    for path in source.files:
        if path.name not in {'recon-all.done', 'build-stamp.txt'}:
            continue
        text = text_of(path)[:4096]
        stamp = re.search(r'^VERSION (?!\$Id)(.{1,200})', text, re.MULTILINE)
        found = VERSION.search(
            text if path.name == 'build-stamp.txt' else stamp[1] if stamp else ''
        )
        version = version or (found[1] if found else '')
        name = re.search(r'^HOST ([A-Za-z0-9][A-Za-z0-9._-]{0,63})$', text, re.MULTILINE)
        host = host or (name[1] if name else '')
        end = text.partition('\nEND_TIME ')[2].partition('\n')[0]
    for _, call in calls:
        call.version = call.version or version
        call.host = call.host or host
    path, last = calls[-1]
    told = dated(end)
    if path.suffix == '.cmd' and last.stop is None and told is not None:
        moment = Zones().utc(told[1])
        last.stop = moment if moment >= last.last else None


class _Subject:
    """One subject's calls, as they become entries."""

    def __init__(
        self, source: Source, hardware: Hardware, calls: Sequence[tuple[Path, Call]]
    ) -> None:
        self._source, self._hardware, self._calls = source, hardware, calls
        self._subject = next((call.subject for _, call in calls[::-1] if call.subject), '')
        self._own = _own(source.path.absolute())
        self.entries: list[Entry] = []
        self.hosts: list[Host] = []
        self._doubts: defaultdict[tuple[Path, str], list[str]] = defaultdict(list)
        self._threads: defaultdict[str, int] = defaultdict(lambda: 1)
        for _, call in calls:
            self._threads[call.host] = max(self._threads[call.host], call.threads)

    def read(self) -> None:
        """Make entries of all that ran."""
        last = dict(self._calls)
        for path, call in self._calls:
            host = self._host(call)
            self.hosts.append(host)
            for run in runs(call):
                if run.open and path.suffix == '.cmd':
                    # Lists of commands tell no end of any call.
                    run.outcome, run.error = 'ran', ''
                if run.open and call is last[path] and _grows(path, self._source.files):
                    self._doubts[path, GROWING].append(run.key)
                else:
                    self._add(path, call, run, host)

    @property
    def grows(self) -> bool:
        """Whether something was left out because it still runs."""
        return any(doubt == GROWING for _, doubt in self._doubts)

    def warnings(self) -> Iterator[str]:
        """One line for each kind of doubt and log."""
        for (path, what), told in self._doubts.items():
            yield f'{path}: {what.format(_some(list(dict.fromkeys(told))))}'

    def _host(self, call: Call) -> Host:
        """The machine; where nobody says what it is, with as many threads as were to be used."""
        host = self._hardware.host(call.host)
        if host.cpu or host.cores > 1:
            return host
        used = self._threads[call.host]
        return self._hardware.host(call.host, '', used) if used > 1 else host

    def _add(self, path: Path, call: Call, run: Run, host: Host) -> None:
        subject, session = self._labels(path, call)
        reading, windows = _energy(call, run, host)
        kind = next((kind for kind in ('long', 'base') if f' -{kind} ' in call.arguments), '')
        work = Work(
            began=run.pieces[0].start,
            seconds=run.seconds,
            cpu_seconds=sum(window.cpu_seconds for window in windows),
            cores=run.cores,
            subject=subject,
            session=session,
            stage=run.key,
            node=f'{run.key}.{kind}' if kind else run.key,
            interface='recon-all',
            outcome=run.outcome,
            error=run.error,
            suspended_seconds=run.asleep,
            commands=tuple(_commands(run)),
        )
        if run.lost:
            self._doubts[path, LOST].append(run.key)
            if not run.seconds and not work.cpu_seconds:
                reading = reading._replace(joules=None, idle_watts=None, coverage=0.0)
                windows = tuple(one._replace(joules=(None,)) for one in windows)
        if run.asleep:
            self._doubts[path, ASLEEP].append(f'{run.key} for {run.asleep / 3600:.1f} h')
        if call.timed and reading.tier == 'assumed' != host.tier:
            self._doubts[path, UNTIMED].append(f'{run.key} for {run.untold:.0f} s')
        self.entries.append(leaf(self._source, len(self.entries), work, host, (reading,), windows))

    def _labels(self, path: Path, call: Call) -> tuple[str, str]:
        """A folder that was copied has the log of whose it was."""
        if call.subject and call.subject != self._subject:
            self._doubts[path, COPIED].append(call.subject)
            return labels(call.subject)
        return self._own


def _own(folder: Path) -> tuple[str, str]:
    """Labels by a subject's folder, and by the one that it is in."""
    name, above = folder.name, folder.parent.name
    if name.startswith('ses-') and above.startswith('sub-'):
        return labels(f'{above}_{name}')
    subject, session = labels(name)
    if name.startswith('sub-') and above.startswith('ses-') and not session:
        return labels(f'{name}_{above}')
    return subject, session


def _grows(path: Path, files: Iterable[Path]) -> bool:
    """Whether a log without an end may get one."""
    name = path.name.removesuffix('.gz')
    side = next((hemi for hemi in ('lh', 'rh') if f'-{hemi}.' in name), 'lh+rh')
    if not any(one.name == f'IsRunning.{side}' for one in files):
        return False
    return time.time() - path.stat().st_mtime < GROWS_SECONDS


def _commands(run: Run) -> Iterator[Command]:
    """Programs of which it is told when they ran."""
    for ran in run.ran:
        if ran.start is not None and ran.seconds is not None:
            yield Command(
                ran.name,
                ran.start,
                ran.seconds,
                ran.user_seconds,
                ran.system_seconds,
                ran.peak_memory_gb,
            )


def _energy(call: Call, run: Run, host: Host) -> tuple[Reading, tuple[Window, ...]]:
    """Energy of a stage, and how far it may be off by what its log does not tell."""
    cores, u_cores = (0.0, 1.0) if call.timed else _in_use(call, run)
    untold, seconds = run.untold, run.seconds
    assumed = cores * untold
    cpu = run.cpu_seconds + assumed
    central = modelled(host, cpu, seconds, run.cores)
    busy, idle, joules = host.watts_per_busy_core, central.idle_watts or 0.0, central.joules or 0.0
    # Programs that nobody timed; a machine that waited and did not sleep.
    more = untold if call.timed else assumed * (u_cores - 1)
    high = joules + busy * more + idle * run.asleep
    low = joules - busy * assumed * (1 - 1 / u_cores)
    u_use = max(high / joules, joules / low) if low > 0 else 1.0
    tier: Tier | None = 'assumed' if _is_assumed(call, run, untold, cpu) else None
    reading = modelled(host, cpu, seconds, run.cores, u_use=u_use, tier=tier)
    if assumed:
        reading = reading._replace(method=f'{reading.method}-by-wall (cores in use: {cores:.2g})')
    return reading, tuple(_window(piece, cores, busy, idle) for piece in run.pieces)


def _is_assumed(call: Call, run: Run, untold: float, cpu_seconds: float) -> bool:
    """Whether what is not told weighs more than the clocks' own grain."""
    if call.timed:
        return untold > max(GRAIN_SECONDS, run.seconds / 2)
    return untold > 0.05 * cpu_seconds


def _window(piece: Piece, cores: float, busy: float, idle: float) -> Window:
    cpu = piece.cpu_seconds + cores * piece.untold
    joules = busy * cpu + idle * piece.seconds
    return Window(piece.start, piece.seconds, cpu, None, (joules,))


def _in_use(call: Call, run: Run) -> tuple[float, float]:
    """Cores that programs use of which nobody told, and by what factor that may be off.

    Some use one thread, some as many as they may: between both lies their geometric mean.
    """
    name = run.key.removesuffix('_lh').removesuffix('_rh')
    many = any(one.threads for one in stages('freesurfer', call.table) if one.name == name)
    # A list of commands does not tell how recon-all was called.
    most = run.cores if call.arguments else max(run.cores, UNTOLD_THREADS)
    if not many or most <= 1:
        return 1.0, U_ONE_CORE
    return sqrt(most), sqrt(most) * U_ONE_CORE
