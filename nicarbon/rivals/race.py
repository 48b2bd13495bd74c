"""One run of a program, with trackers beside it or with one around it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import Rival, around, beside
from .held import Held, HeldError, streams
from .signals import Interrupted, Signals

__all__ = ['OWN', 'Found', 'How', 'Run', 'Seat', 'run_beside', 'run_inside']

BESIDE = Path(str(beside.__file__))

OWN = 'nicarbon'


@dataclass(frozen=True, slots=True)
class Seat:
    """A tracker that takes part, and its interpreter; or why it cannot."""

    rival: Rival
    python: Path | None = None
    why: str = ''


@dataclass(frozen=True, slots=True)
class How:
    """What all runs have in common.

    Parameters
    ----------
    folder : pathlib.Path
        Ledgers, and what trackers write and say.
    environ : mapping
    mask : frozenset of int
        Signals that programs are to block.
    signals : Signals
    cores : float
        Cores that are kept for the program, as nicarbon's rule of attribution asks.
    tracker : mapping
        What trackers are told: ``country2``, ``country3``.
    patience : float
        Seconds that a tracker may take to start, and to stop.
    """

    folder: Path
    environ: Mapping[str, str]
    mask: frozenset[int]
    signals: Signals
    cores: float = 1.0
    tracker: Mapping[str, Any] = field(default_factory=dict)
    patience: float = 60.0


@dataclass(slots=True)
class Found:
    """What one tracker said in one run, and what it cost.

    Parameters
    ----------
    name, version : str
    answer : mapping
        What its ``stop()`` told.
    startup, startup_cpu_seconds : float or None
        Wall and CPU seconds until it measured.
    own_cpu_seconds : float or None
        CPU seconds of its process and of what that started, from its start to its end.
    meanwhile : float or None
        Those of them that it used while it measured.
    begin, end : float
        Its own window, on the monotonic clock.
    why : str
        Why it told nothing.
    """

    name: str
    version: str = ''
    answer: Mapping[str, Any] = field(default_factory=dict)
    startup: float | None = None
    startup_cpu_seconds: float | None = None
    own_cpu_seconds: float | None = None
    meanwhile: float | None = None
    begin: float = 0.0
    end: float = 0.0
    why: str = ''


@dataclass(slots=True)
class Run:
    """One run of the program.

    Parameters
    ----------
    inside : str
        The tracker that it was a child of; empty where all were beside it.
    code : int or None
        Its exit code, or minus the number of the signal that ended it; None when it was
        not run.
    why : str
        Why it was not run.
    begin, end : float
        On the monotonic clock.
    cpu_seconds : float
        What the kernel counted of it and of the children that were waited for.
    found : list of Found
    ledger : str
        Folder of nicarbon's ledger; empty where it did not measure.
    """

    inside: str = ''
    code: int | None = None
    why: str = ''
    begin: float = 0.0
    end: float = 0.0
    cpu_seconds: float = 0.0
    found: list[Found] = field(default_factory=list)
    ledger: str = ''

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin


class _Tracker:
    """A tracker in its process, from the start to the end; what goes wrong is in its row."""

    def __init__(self, name: str, how: How) -> None:
        self.found, self._how = Found(name), how
        self.held: Held | None = None
        self.program_cpu_seconds = 0.0

    @property
    def well(self) -> bool:
        """Whether it can still be asked."""
        return self.held is not None and not self.found.why

    def prepare(self, make: Callable[[list[int]], Sequence[str]], log: Path | None) -> None:
        """Start its process, and wait until its tracker is made."""
        how = self._how
        with self.guarded():
            self.held = Held(make, log, how.environ, how.mask, how.signals)
            ready = self.held.hear('ready', how.patience)
            self.found.version = str(ready.get('version', ''))
            self.found.startup = time.monotonic() - self.held.began
            self.found.startup_cpu_seconds = ready.get('cpu_seconds')

    def hear(self, event: str) -> dict[str, Any]:
        """What it answers; nothing when it fails."""
        if self.well and self.held:
            with self.guarded():
                return self.held.hear(event, self._how.patience)
        return {}

    def tell(self, do: str, **more: Any) -> None:
        """Give it a command."""
        if self.well and self.held:
            self.held.tell(do, **more)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep why it failed."""
        try:
            yield
        except HeldError as error:
            self.found.why = str(error)

    def end(self) -> None:
        """Its process is gone after this, and so is all that it started."""
        if self.held is not None:
            ended = self.held.end(self._how.patience if not self.found.why else 0.0)
            self.found.own_cpu_seconds = ended.cpu_seconds - self.program_cpu_seconds
            if ended.killed and not self.found.why:
                self.found.answer = {**self.found.answer, 'note': 'did not end by itself'}
            self.held = None


@contextlib.contextmanager
def _ending(trackers: Sequence[_Tracker], how: How) -> Iterator[None]:
    """Whatever happens, no tracker stays."""
    try:
        yield
    except Interrupted:
        for tracker in trackers:
            tracker.found.why = tracker.found.why or 'interrupted'
    finally:
        how.signals.target, how.signals.waiting = None, False
        for tracker in trackers:
            tracker.end()


def run_beside(
    program: Sequence[str], seats: Sequence[Seat], how: How, order: random.Random
) -> Run:
    """Run a program once, with trackers beside it, and nicarbon around it.

    Parameters
    ----------
    program : sequence of str
    seats : sequence of Seat
        Those that have no interpreter keep their row.
    how : How
    order : random.Random
        Shuffles who is started when.

    Returns
    -------
    Run
    """
    own, run = _Tracker(OWN, how), Run()
    others = {seat.rival.name: (seat, _Tracker(seat.rival.name, how)) for seat in seats}
    everybody = [own, *(tracker for _, tracker in others.values())]
    with _ending(everybody, how):
        for name in order.sample([OWN, *others], len(others) + 1):
            if name == OWN:
                own.prepare(lambda ends: around.words(ends, how.cores, program, how.folder), None)
            else:
                seat, tracker = others[name]
                _prepare(tracker, seat, how)
        for slow in (True, False):
            _start([tracker for seat, tracker in others.values() if seat.rival.slow_start == slow])
        _measure(own, run, how)
        _stop([tracker for _, tracker in others.values()])
    run.found = [tracker.found for tracker in everybody]
    return run


def run_inside(program: Sequence[str], seat: Seat, how: How) -> Run:
    """Run a program once, as a child of the one tracker that sees only its children.

    Parameters
    ----------
    program : sequence of str
    seat : Seat
    how : How

    Returns
    -------
    Run
        Not run where the tracker cannot measure: nobody would learn anything.
    """
    tracker, run = _Tracker(seat.rival.name, how), Run(seat.rival.name)
    copies = streams()
    with _ending([tracker], how):
        try:
            _prepare(tracker, seat, how, streams=copies)
        finally:
            for copy in copies:
                os.close(copy)
        _start([tracker])
        if tracker.well and tracker.held:
            _run_within(tracker, tracker.held, run, program, how)
            _stop([tracker])
    run.found = [tracker.found]
    return run


def _prepare(tracker: _Tracker, seat: Seat, how: How, **more: Any) -> None:
    if seat.python is None:
        tracker.found.why = seat.why
        return
    python, program = str(seat.python), str(seat.rival.program)
    folder = how.folder / seat.rival.name
    folder.mkdir(parents=True, exist_ok=True)

    def make(ends: list[int]) -> list[str]:
        asked = {'folder': str(folder), 'control': ends, 'tracker': dict(how.tracker), **more}
        return [python, '-I', str(BESIDE), program, json.dumps(asked)]

    tracker.prepare(make, folder / 'log.txt')


def _start(trackers: Sequence[_Tracker]) -> None:
    """Let them measure: all at once, so that their windows begin together."""
    begin = time.monotonic()
    for tracker in trackers:
        tracker.tell('start')
    for tracker in trackers:
        told, found = tracker.hear('started'), tracker.found
        if told:
            found.begin = told['begin']
            found.startup = (found.startup or 0.0) + told['begin'] - begin
            found.startup_cpu_seconds = told['cpu_seconds']


def _measure(own: _Tracker, run: Run, how: How) -> None:
    """Nicarbon runs the program, and signals go there."""
    if not own.well or own.held is None:
        run.why = f'nicarbon {own.found.why}'
        return
    how.signals.target = own.held.pid
    told_at = time.monotonic()
    own.tell('run')
    with own.guarded():
        ended = own.held.hear('ended', None)
        _ended(run, ended)
        run.ledger = ended['ledger']
        own.program_cpu_seconds = ended['cpu_seconds']
        own.found.startup = (own.found.startup or 0.0) + ended['begin'] - told_at
        own.found.begin, own.found.end = ended['begin'], ended['end']
        own.found.meanwhile = ended['meanwhile']
    if run.code is None and not run.why:
        run.why = f'nicarbon {own.found.why}'
    how.signals.target = None


def _run_within(tracker: _Tracker, held: Held, run: Run, program: Sequence[str], how: How) -> None:
    how.signals.waiting = True
    tracker.tell(
        'run', words=list(program), environ=dict(how.environ), group=os.getpgrp(),
        mask=sorted(map(int, how.mask)),
    )  # fmt: skip
    how.signals.target = tracker.hear('running').get('pid')
    how.signals.waiting = False
    with tracker.guarded():
        _ended(run, ended := held.hear('ended', None))
        tracker.program_cpu_seconds = ended['cpu_seconds']
    how.signals.target = None


def _ended(run: Run, told: Mapping[str, Any]) -> None:
    run.code, run.why = told['code'], told.get('why', '')
    run.begin, run.end, run.cpu_seconds = told['begin'], told['end'], told['cpu_seconds']


def _stop(trackers: Sequence[_Tracker]) -> None:
    """All are told at once; each says for itself when it heard it."""
    for tracker in trackers:
        tracker.tell('stop')
    for tracker in trackers:
        told, found = tracker.hear('result'), tracker.found
        if told:
            found.begin, found.end = told.pop('begin'), told.pop('end')
            found.meanwhile = told.pop('meanwhile')
            found.answer = {key: value for key, value in told.items() if key != 'event'}
