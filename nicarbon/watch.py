"""Watch a stretch of work, and write down what it used.

A :class:`Watch` reads the clocks and the meters when work starts, at windows in
between (in a thread that sleeps nearly always), and when it ends, whatever way
it ends. The result is one :class:`~nicarbon.ledger.Entry`. While the work runs,
a checkpoint on disk holds what it used so far.

Watching never breaks the work: what fails here is logged once and leaves the
entry without what could not be read.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TypeVar

from . import ledger, sampler
from .checkpoint import Checkpoint
from .cputime import TreeClock, process_start
from .entry import Command, Entry, Kind, Outcome, Part, Reading, Window, check_values
from .errors import warn_once
from .host import Host, boot_id, busy_seconds, slept_seconds
from .job import job_of
from .meters import Meter, Moment, Seen
from .series import MAX_WINDOWS, merge_pairs, summed

__all__ = ['WINDOW_SECONDS', 'Label', 'Watch', 'process_name', 'unmeasured']

WINDOW_SECONDS = 5.0
"""Length of a window: a look costs well below a millisecond, so that watching
takes about 0.01 % of a core."""

HELD_WINDOW_SECONDS = 1.0
"""Windows of work that was seen to hold a GPU: its networks take a minute, and when they
began and ended is known to half a window."""

_numbers = itertools.count(1)

Told = TypeVar('Told', Part, Command)


class Label(NamedTuple):
    """Who the work belongs to; see :class:`~nicarbon.ledger.Entry` for the words."""

    kind: Kind = 'node'
    run_id: str = ''
    subject: str = ''
    session: str = ''
    stage: str = ''
    node: str = ''
    interface: str = ''
    reserved_cores: float = 1.0
    reserved_memory_gb: float | None = None


class Watch:
    """Context manager around one piece of work.

    Parameters
    ----------
    label : Label
    host : Host
    meters : sequence of Meter
        Its own: a meter follows one counter from look to look.
    folder : path or None
        Ledger folder; None keeps the entry in memory only.
    window_seconds : float
        Time between two windows.
    clock : callable
        Makes the clock of CPU seconds.
    slept : callable
        Tells for how many seconds the host was suspended since boot.

    Attributes
    ----------
    entry : Entry or None
        The result, once the work has ended.

    Examples
    --------
    >>> from nicarbon.meters import Fake
    >>> host = Host('h', 'X', 2, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.5)
    >>> with Watch(Label(stage='example'), host, [Fake(watts=10.0)], None) as watch:
    ...     _ = sum(range(200_000))
    >>> round(watch.entry.readings[0].joules / watch.entry.seconds, 6)
    10.0
    """

    def __init__(
        self,
        label: Label,
        host: Host,
        meters: Sequence[Meter],
        folder: Path | str | None,
        *,
        window_seconds: float = WINDOW_SECONDS,
        clock: Callable[..., TreeClock] = TreeClock,
        slept: Callable[[], float] = slept_seconds,
    ) -> None:
        self._new_clock, self._slept_seconds = clock, slept
        self.entry: Entry | None = None
        self.window_seconds = window_seconds
        self._label, self._host, self._meters = label, host, meters
        self._folder = None if folder is None else str(folder)
        self._windows: list[Window] = []
        self._usual_seconds = window_seconds
        self._edges: set[float] = set()
        self._marks: list[tuple[str, float]] = []
        self._parts: list[Part] = []
        self._commands: list[Command] = []
        self._failure: tuple[Outcome, str] | None = None
        self._cancelled = False
        self._checkpoint: Checkpoint | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Watch:
        self._pid = os.getpid()
        self._clock = self._new_clock(adopt=self._label.kind == 'run')
        try:
            self._prime()
            sampler.add(self)
        except BaseException:
            self._clock.finish()
            raise
        return self

    def _prime(self) -> None:
        """The first look at everything."""
        entry_id = f'{process_name()}-{next(_numbers)}'
        self._slept = self._slept_seconds()
        self._monotonic, self._cpu_seconds, self._busy = time.monotonic(), 0.0, busy_seconds()
        self._pids = self._clock.pids()
        for meter in self._meters:
            _look(meter, Moment(self._monotonic, self._busy, self._clock.pids))
        self._entry = unmeasured(
            self._label,
            self._host,
            entry_id,
            'ran',
            boot_id=_boot_id(),
            readings=tuple(meter.reading for meter in self._meters),
        )
        self._guard(self._take)

    @property
    def token(self) -> str:
        """Tells other processes that this work goes on: its checkpoint and its entry."""
        return f'{self._checkpoint.path}\n{self._entry.entry_id}' if self._checkpoint else ''

    def fail(self, error: str, outcome: Outcome = 'failed') -> None:
        """Say that the work failed, where no exception does."""
        self._failure = (outcome, error)

    def cancel(self) -> None:
        """Keep nothing: no work was done."""
        self._cancelled = True

    @property
    def has_parts(self) -> bool:
        """Whether any sub-stage has begun."""
        return bool(self._marks or self._parts)

    def part(self, name: str) -> None:
        """A sub-stage begins here, and the one before it ends."""
        if self._pid != os.getpid():
            return
        with self._lock:
            self._advance()
            self._edges.add(self._monotonic)
            self._marks.append((name, self._monotonic))

    def edge(self) -> None:
        """The work turns to something else, which is named in hindsight."""
        with self._lock:
            if self.entry is None and self._pid == os.getpid():
                self._advance()
                self._edges.add(self._monotonic)

    def divide(self, parts: Iterable[Part]) -> None:
        """Say which sub-stages there were, in hindsight.

        Parameters
        ----------
        parts : iterable of Part

        Raises
        ------
        ValueError, TypeError
            When one of them is none; then none of them is kept.
        """
        self._parts += _checked(Part, parts)

    def ran(self, commands: Iterable[Command]) -> None:
        """Say which programs were run.

        Parameters
        ----------
        commands : iterable of Command

        Raises
        ------
        ValueError, TypeError
            When one of them is none; then none of them is kept.
        """
        self._commands += _checked(Command, commands)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pid != os.getpid():
            return  # A forked child leaves the block too: what was measured is its parent's.
        sampler.remove(self)
        with self._lock:
            if exc is not None and self._failure is None:
                interrupted = not isinstance(exc, Exception)
                self.fail(_one_line(exc), 'killed' if interrupted else 'failed')
            self._add_window(self._clock.finish())
            self.entry = self._summary()
            if self._folder is not None:
                self._guard(self._end)

    @property
    def restless(self) -> bool:
        """Whether CPU time would be lost if :meth:`glance` were not called often."""
        return self._clock.restless

    def glance(self) -> None:
        """Read the clock of CPU seconds, and see which processes there are."""
        with self._lock:
            if self.entry is None:
                self._clock.seconds()
                self._pids |= self._clock.pids()
                if self._checkpoint is not None:
                    # Not before: what ends within a blink would pay more for it than for all.
                    self._guard(self._checkpoint.begin, self._entry)

    def look(self) -> None:
        """End the current window, and keep what is known so far."""
        with self._lock:
            if self.entry is None:
                self._advance()

    def _advance(self) -> None:
        """End the current window, and add it to the checkpoint."""
        window = self._add_window(self._clock.seconds())
        if self._checkpoint is not None:
            self._guard(self._checkpoint.begin, self._entry)
        if len(self._windows) > MAX_WINDOWS:
            self._windows = list(merge_pairs(self._windows, self._edges))
            self._guard(self._rewrite)
        elif self._checkpoint is None or not self._guard(self._checkpoint.extend, window):
            self._guard(self._rewrite)

    def _take(self) -> None:
        if self._folder is not None:
            self._checkpoint = Checkpoint(self._folder, process_name())

    def _rewrite(self) -> None:
        """The checkpoint anew: its windows were merged, or it was removed."""
        if self._checkpoint is None:
            self._take()
        if self._checkpoint is not None:
            self._checkpoint.rewrite(self._summary())

    def _end(self) -> None:
        """The entry into the ledger; its checkpoint stays if that fails: it is all there is."""
        if self._folder is not None and self.entry is not None and not self._cancelled:
            try:
                ledger.append(self._folder, self.entry)
            except OSError:
                if self._checkpoint is not None:
                    self._checkpoint.rewrite(self.entry, ended=True)
                raise
        if self._checkpoint is not None:
            self._checkpoint.close()

    def _add_window(self, cpu_seconds: float) -> Window:
        now, busy = time.monotonic(), busy_seconds()
        # Those that have ended since the last window used it too.
        pids, self._pids = self._pids | self._clock.pids(), self._clock.pids()
        moment = Moment(now, busy, lambda: pids)
        seen = [_look(meter, moment) for meter in self._meters]
        window = Window(
            self._monotonic,
            now - self._monotonic,
            cpu_seconds - self._cpu_seconds,
            None if busy is None or self._busy is None else max(0.0, busy - self._busy),
            tuple(each.joules for each in seen),
            tuple(each.use for each in seen) if any(each.use for each in seen) else (),
        )
        held = any(use is not None and use.held_seconds for use in window.uses)
        # That of a run holds all its nodes' processes, which have windows of their own.
        short = held and self._label.kind != 'run'
        self.window_seconds = min(self._usual_seconds, HELD_WINDOW_SECONDS if short else math.inf)
        self._monotonic, self._cpu_seconds, self._busy = now, cpu_seconds, busy
        self._windows.append(window)
        return window

    def _summary(self) -> Entry:
        """The entry as it stands."""
        outcome, error = self._failure or ('ran', '')
        return summed(
            self._entry,
            tuple(self._windows),
            outcome=outcome,
            error=error,
            suspended_seconds=max(0.0, self._slept_seconds() - self._slept),
            parts=tuple(sorted([*self._marked(), *self._parts], key=_start)),
            commands=tuple(sorted(self._commands, key=_start)),
        )

    def _marked(self) -> Iterable[Part]:
        ends = [start for _, start in self._marks[1:]] + [self._monotonic]
        for (name, start), end in zip(self._marks, ends, strict=False):
            yield Part(name, start, end - start)

    def _guard(self, write: Callable[..., None], *what: object) -> bool:
        """Write to the ledger; say once if that fails, and go on."""
        try:
            write(*what)
        except FileNotFoundError:
            return False  # Somebody deleted the checkpoint: it is written anew.
        except OSError as error:
            warn_once(
                str(self._folder),
                f'the energy ledger cannot be written ({error}); the work goes on',
            )
            return False
        return True


def _checked(kind: type[Told], told: Iterable[Told]) -> list[Told]:
    """Records as they may be written: one that a reader refuses would cost the whole entry."""
    records = [kind._make(record) for record in told]
    for record in records:
        check_values(record)
    return records


def _start(record: Part | Command) -> float:
    return record.start


def _look(meter: Meter, moment: Moment) -> Seen:
    """One counter; a meter that fails is one that saw nothing."""
    try:
        return meter.look(moment)
    except Exception as error:  # noqa: BLE001 - no meter may break the work it watches
        component = meter.reading.component
        warn_once(component, f'the meter of {component} failed: {error}')
        return Seen()


_boot_id = functools.cache(boot_id)


def process_name() -> str:
    """Names the running process among all of all hosts: ``<host>-<pid>-<start>``.

    Returns
    -------
    str
    """
    return _process_name(os.getpid())


@functools.cache
def _process_name(pid: int) -> str:
    return f'{os.uname().nodename}-{pid}-{process_start(pid)}'


def unmeasured(
    label: Label,
    host: Host,
    entry_id: str,
    outcome: Outcome,
    *,
    boot_id: str = '',
    readings: tuple[Reading, ...] = (),
) -> Entry:
    """An entry of work that took no time (or whose figures are filled in later).

    Parameters
    ----------
    label : Label
    host : Host
    entry_id : str
    outcome : {'ran', 'failed', 'killed', 'cached'}
    boot_id : str
    readings : tuple of Reading

    Returns
    -------
    Entry
    """
    job = job_of(os.environ)
    return Entry(
        entry_id=entry_id,
        kind=label.kind,
        run_id=label.run_id,
        subject=label.subject,
        session=label.session,
        stage=label.stage,
        node=label.node,
        interface=label.interface,
        reserved_cores=label.reserved_cores,
        reserved_memory_gb=label.reserved_memory_gb,
        host=host.name,
        boot_id=boot_id,
        pid=os.getpid(),
        started=_now(),
        seconds=0.0,
        cpu_seconds=0.0,
        host_cpu_seconds=0.0,
        host_cores=host.cores,
        readings=readings,
        windows=(),
        outcome=outcome,
        host_memory_gb=host.memory_gb,
        job=job.name if job else '',
        job_cores=job.held_cores if job else None,
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec='milliseconds')


def _one_line(exc: BaseException) -> str:
    text = ' '.join(str(exc).split())
    return f'{type(exc).__name__}: {text}' if text else type(exc).__name__
