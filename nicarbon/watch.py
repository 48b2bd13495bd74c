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
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Literal

from . import ledger
from .cputime import TreeClock, process_start
from .entry import MAX_WINDOWS, Entry, Outcome, Part, Reading, Window, merge_pairs, summed
from .host import Host, boot_id, busy_seconds
from .meters import Meter, Moment, Seen

__all__ = ['WINDOW_SECONDS', 'Label', 'Watch', 'unmeasured']

WINDOW_SECONDS = 5.0
"""Length of a window: a look costs well below a millisecond, so that watching
takes about 0.01 % of a core."""

FIRST_GLANCE_SECONDS = 0.05
"""First look at the tree of processes; then at twice, four times, … this, or every
time where a process forgets what its children used."""

_log = logging.getLogger('nicarbon')
_numbers = itertools.count(1)
_warned: set[str] = set()


@dataclass(frozen=True, slots=True)
class Label:
    """Who the work belongs to; see :class:`~nicarbon.ledger.Entry` for the words."""

    kind: Literal['node', 'run'] = 'node'
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
        folder: Path | None,
        *,
        window_seconds: float = WINDOW_SECONDS,
    ) -> None:
        self.entry: Entry | None = None
        self.window_seconds = window_seconds
        self._label, self._host, self._meters, self._folder = label, host, meters, folder
        self._windows: list[Window] = []
        self._parts: list[tuple[str, float]] = []
        self._failure: tuple[Outcome, str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Watch:
        pid = os.getpid()
        entry_id = f'{self._host.name}-{pid}-{_process_start(pid)}-{next(_numbers)}'
        self._clock = TreeClock(adopt=self._label.kind == 'run')
        self._slept = _slept_seconds()
        self._monotonic, self._cpu_seconds, self._busy = time.monotonic(), 0.0, busy_seconds()
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
        self._keep(ledger.begin, self._entry)
        sampler.add(self)
        return self

    def fail(self, error: str, outcome: Outcome = 'failed') -> None:
        """Say that the work failed, where no exception does."""
        self._failure = (outcome, error)

    def part(self, name: str) -> None:
        """A sub-stage begins here, and the one before it ends."""
        with self._lock:
            self._advance()
            self._parts.append((name, self._monotonic))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sampler.remove(self)
        with self._lock:
            if exc is not None and self._failure is None:
                interrupted = not isinstance(exc, Exception)
                self.fail(_one_line(exc), 'killed' if interrupted else 'failed')
            self._add_window(self._clock.finish())
            self.entry = self._summary()
            # A checkpoint stays where the entry could not be appended: it is all there is.
            if self._keep(ledger.append, self.entry):
                self._keep(ledger.discard, self.entry.entry_id)

    @property
    def restless(self) -> bool:
        """Whether CPU time would be lost if :meth:`glance` were not called often."""
        return self._clock.restless

    def glance(self) -> None:
        """Read the clock of CPU seconds, and nothing else."""
        with self._lock:
            if self.entry is None:
                self._clock.seconds()

    def look(self) -> None:
        """End the current window, and keep what is known so far."""
        with self._lock:
            if self.entry is None:
                self._advance()

    def _advance(self) -> None:
        """End the current window, and add it to the checkpoint."""
        window = self._add_window(self._clock.seconds())
        if len(self._windows) > MAX_WINDOWS:
            self._windows = list(merge_pairs(self._windows))
        elif self._keep(ledger.extend, self._entry.entry_id, window):
            return
        self._keep(ledger.begin, self._summary())

    def _add_window(self, cpu_seconds: float) -> Window:
        now, busy = time.monotonic(), busy_seconds()
        moment = Moment(now, busy, self._clock.pids)
        seen = [_look(meter, moment) for meter in self._meters]
        window = Window(
            self._monotonic,
            now - self._monotonic,
            cpu_seconds - self._cpu_seconds,
            None if busy is None or self._busy is None else busy - self._busy,
            tuple(each.joules for each in seen),
            tuple(each.use for each in seen) if any(each.use for each in seen) else (),
        )
        self._monotonic, self._cpu_seconds, self._busy = now, cpu_seconds, busy
        self._windows.append(window)
        return window

    def _summary(self) -> Entry:
        """The entry as it stands."""
        outcome, error = self._failure or ('ran', '')
        return replace(
            summed(self._entry, tuple(self._windows)),
            outcome=outcome,
            error=error,
            suspended_seconds=max(0.0, _slept_seconds() - self._slept),
            parts=self._named_parts(),
        )

    def _named_parts(self) -> tuple[Part, ...]:
        ends = [start for _, start in self._parts[1:]] + [self._monotonic]
        return tuple(
            Part(name, start, end - start)
            for (name, start), end in zip(self._parts, ends, strict=False)
        )

    def _keep(self, write: Callable[..., object], *what: object) -> bool:
        """Write to the ledger if there is one; say once if that fails, and go on."""
        if self._folder is None:
            return False
        try:
            write(self._folder, *what)
        except FileNotFoundError:
            return False  # Somebody deleted the checkpoint: it is written anew.
        except OSError as error:
            _warn_once(
                str(self._folder),
                f'the energy ledger cannot be written ({error}); the work goes on',
            )
            return False
        return True


class _Sampler:
    """One thread per process that looks at all watches when it is time.

    It is started by the first watch, and anew in a forked child. It sleeps when there
    is nothing to watch.
    """

    def __init__(self) -> None:
        self._pid = 0

    def add(self, watch: Watch) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._changed = threading.Condition(threading.Lock())
            self._plans: dict[Watch, _Plan] = {}
            threading.Thread(target=self._run, name='nicarbon-watch', daemon=True).start()
        with self._changed:
            self._plans[watch] = _Plan(watch)
            self._changed.notify()

    def remove(self, watch: Watch) -> None:
        with self._changed:
            self._plans.pop(watch, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = min((plan.due for plan in self._plans.values()), default=None)
                wait = None if due is None else due - time.monotonic()
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                plans = list(self._plans.values())
            for plan in plans:
                plan.act(time.monotonic())


class _Plan:
    """When to look at a watch next."""

    def __init__(self, watch: Watch) -> None:
        now = time.monotonic()
        self._watch = watch
        self._step = FIRST_GLANCE_SECONDS
        self._window = now + watch.window_seconds
        self._glance = now + self._step

    @property
    def due(self) -> float:
        return min(self._window, self._glance)

    def act(self, now: float) -> None:
        if now >= self._window:
            self._watch.look()
            self._window = now + self._watch.window_seconds
        elif now >= self._glance:
            self._watch.glance()
        else:
            return
        # Early glances find out soon whether often ones are needed.
        self._step = FIRST_GLANCE_SECONDS if self._watch.restless else 2 * self._step
        self._glance = now + self._step


sampler = _Sampler()


def _look(meter: Meter, moment: Moment) -> Seen:
    """One counter; a meter that fails is one that saw nothing."""
    try:
        return meter.look(moment)
    except Exception as error:  # noqa: BLE001 - no meter may break the work it watches
        component = meter.reading.component
        _warn_once(component, f'the meter of {component} failed: {error}')
        return Seen()


def _warn_once(topic: str, text: str) -> None:
    if topic not in _warned:
        _warned.add(topic)
        _log.warning(text)


def _slept_seconds() -> float:
    """How long the host was suspended since boot: one clock counts it, the other does not."""
    if not hasattr(time, 'CLOCK_BOOTTIME'):
        return 0.0
    slept = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return round(slept, 3)


_boot_id = functools.cache(boot_id)
_process_start = functools.cache(process_start)


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
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec='milliseconds')


def _one_line(exc: BaseException) -> str:
    text = ' '.join(str(exc).split())
    return f'{type(exc).__name__}: {text}' if text else type(exc).__name__
