"""Watch a stretch of work, and write down what it used.

A :class:`Watch` reads the clocks and the meters when work starts, at windows in
between (in a thread that sleeps nearly always), and when it ends, whatever way
it ends. The result is one :class:`~nicarbon.ledger.Entry`. While the work runs,
a checkpoint on disk holds what it used so far.

Watching never breaks the work: what fails here is logged once and leaves the
entry without what could not be read.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Literal

from . import ledger
from .cputime import TreeClock, process_start
from .host import Host, boot_id, busy_seconds
from .ledger import Entry, Outcome, Window
from .meters import Meter

__all__ = ['WINDOW_SECONDS', 'Label', 'Watch', 'unmeasured']

WINDOW_SECONDS = 5.0
"""Length of a window: a look costs well below a millisecond, so that watching
takes about 0.01 % of a core."""

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


@dataclass(frozen=True, slots=True)
class _Moment:
    """All clocks and counters at one moment."""

    monotonic: float
    cpu_seconds: float
    busy_seconds: float | None
    joules: tuple[float | None, ...]


class Watch:
    """Context manager around one piece of work.

    Parameters
    ----------
    label : Label
    host : Host
    meters : sequence of Meter
    folder : path or None
        Ledger folder; None keeps the entry in memory only.
    window_seconds : float
        Time between two looks.

    Attributes
    ----------
    entry : Entry or None
        The result, once the work has ended.

    Examples
    --------
    >>> from nicarbon.meters import Fake
    >>> host = Host('h', 'X', 2, 1, 8.0, False, 100.0, 'example', 'modelled', 2.0)
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
        self._label, self._host, self._meters, self._folder = label, host, meters, folder
        self._window_seconds = window_seconds
        self._windows: tuple[Window, ...] = ()
        self._failure: tuple[Outcome, str] | None = None
        self._stop = threading.Event()

    def __enter__(self) -> Watch:
        pid = os.getpid()
        self._entry_id = f'{self._host.name}-{pid}-{process_start(pid)}-{next(_numbers)}'
        self._boot_id = boot_id()
        self._started = _now()
        self._clock = TreeClock()
        self._last = self._read_clocks(self._clock.seconds())
        self._keep(ledger.checkpoint)
        self._thread = threading.Thread(target=self._sample, name='nicarbon-watch', daemon=True)
        self._thread.start()
        return self

    def fail(self, error: str, outcome: Outcome = 'failed') -> None:
        """Say that the work failed, where no exception does."""
        self._failure = (outcome, error)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if exc is not None and self._failure is None:
            interrupted = not isinstance(exc, Exception)
            self.fail(_one_line(exc), 'killed' if interrupted else 'failed')
        self._advance(self._clock.finish())
        self.entry = self._summary()
        # A checkpoint stays where the entry could not be appended: it is all there is.
        if self._keep(ledger.append):
            self._keep(ledger.discard_checkpoint)

    def _sample(self) -> None:
        while not self._stop.wait(self._window_seconds):
            self.look()

    def look(self) -> None:
        """End the current window, and keep what is known so far."""
        self._advance(self._clock.seconds())
        self._keep(ledger.checkpoint)

    def _read_clocks(self, cpu_seconds: float) -> _Moment:
        now, busy = time.monotonic(), busy_seconds()
        return _Moment(now, cpu_seconds, busy, tuple(_read(m, now, busy) for m in self._meters))

    def _advance(self, cpu_seconds: float) -> None:
        """End the current window here."""
        before, now = self._last, self._read_clocks(cpu_seconds)
        self._last = now
        window = Window(
            before.monotonic,
            now.monotonic - before.monotonic,
            now.cpu_seconds - before.cpu_seconds,
            _difference(before.busy_seconds, now.busy_seconds),
            tuple(_difference(a, b) for a, b in zip(before.joules, now.joules, strict=True)),
        )
        if len(self._windows) >= ledger.MAX_WINDOWS:
            self._windows = ledger.merge_pairs(self._windows)
        self._windows = (*self._windows, window)

    def _summary(self) -> Entry:
        """The entry as it stands."""
        windows = self._windows
        outcome, error = self._failure or ('ran', '')
        columns = list(zip(*(window.joules for window in windows), strict=True))
        seen = [_sum(column) for column in columns] or [None] * len(self._meters)
        return replace(
            unmeasured(self._label, self._host, self._entry_id, outcome),
            boot_id=self._boot_id,
            started=self._started,
            seconds=sum(window.seconds for window in windows),
            cpu_seconds=sum(window.cpu_seconds for window in windows),
            host_cpu_seconds=_sum([window.host_cpu_seconds for window in windows]),
            readings=tuple(m.reading(j) for m, j in zip(self._meters, seen, strict=True)),
            windows=windows,
            error=error,
        )

    def _keep(self, write: Callable[[Path, Entry], object]) -> bool:
        """Write to the ledger if there is one; say once if that fails, and go on."""
        if self._folder is None:
            return False
        try:
            write(self._folder, self._summary())
        except OSError as error:
            _warn_once(
                str(self._folder),
                f'the energy ledger cannot be written ({error}); the work goes on',
            )
            return False
        return True


def _read(meter: Meter, monotonic: float, busy: float | None) -> float | None:
    """One counter; a meter that fails is one that saw nothing."""
    try:
        return meter.joules(monotonic, busy)
    except Exception as error:  # noqa: BLE001 - no meter may break the work it watches
        _warn_once(meter.component, f'the meter of {meter.component} failed: {error}')
        return None


def _warn_once(topic: str, text: str) -> None:
    if topic not in _warned:
        _warned.add(topic)
        _log.warning(text)


def unmeasured(label: Label, host: Host, entry_id: str, outcome: Outcome) -> Entry:
    """An entry of work that took no time (or whose figures are filled in later).

    Parameters
    ----------
    label : Label
    host : Host
    entry_id : str
    outcome : {'ran', 'failed', 'killed', 'cached'}

    Returns
    -------
    Entry
    """
    return Entry(
        entry_id=entry_id,
        **asdict(label),
        host=host.name,
        boot_id='',
        pid=os.getpid(),
        started=_now(),
        seconds=0.0,
        cpu_seconds=0.0,
        host_cpu_seconds=0.0,
        host_cores=host.cores,
        readings=(),
        windows=(),
        outcome=outcome,
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec='milliseconds')


def _sum(column: Sequence[float | None]) -> float | None:
    seen = [joules for joules in column if joules is not None]
    return sum(seen) if len(seen) == len(column) else None


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _one_line(exc: BaseException) -> str:
    text = ' '.join(str(exc).split())
    return f'{type(exc).__name__}: {text}' if text else type(exc).__name__
