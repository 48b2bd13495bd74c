"""A run whose nodes are being recorded, and the watches of what runs inside it.

Knows nothing of Nipype: :mod:`nicarbon.aware` brings its nodes here.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from . import host, ledger, meters
from .checkpoint import tidy
from .cputime import TreeClock
from .entry import Command, Entry, Part
from .errors import UsageError, warn_once
from .job import job_of
from .sampler import FIRST_GLANCE_SECONDS
from .watch import Label, Watch, process_name, unmeasured

__all__ = ['Place', 'Recording', 'add_cached', 'divided', 'edge', 'new_run_id', 'ran', 'recording']
__all__ += ['reused', 'watched']

LEDGER_VARIABLE = 'NICARBON_LEDGER'
"""Environment variable that tells workers, on this or another host, where the
ledger folder of the run is: ``<out>/logs/<run_id>/ledger``."""

BEGAN_VARIABLE = 'NICARBON_BEGAN'
"""When the run began, in seconds since 1970: a result that is older was cached."""

WITHIN_VARIABLE = 'NICARBON_WITHIN'
"""The checkpoint and the entry of the node that this process works for, if any."""

RUN_WINDOW_SECONDS = 3.0
"""Windows of the run are shorter than those of nodes: they are the timeline that
the pages draw, and there is one run to many nodes."""

_log = logging.getLogger('nicarbon')


class _Here(threading.local):
    """The node that goes on in a thread, and when its result was made if it was there."""

    watch: Watch | None = None
    made: float | None = None


_here = _Here()
_told: set[tuple[str, str]] = set()
_parents: set[tuple[str, str]] = set()
"""By ledger: nodes that were said to be cached, and what these are items of."""


def new_run_id() -> str:
    """A name for a run, sorted by time: ``20261123-190312_5f0c…``; with its job, if it is one."""
    job = job_of(os.environ)
    words = [f'{datetime.now(timezone.utc):%Y%m%d-%H%M%S}', *([job.slug] if job else [])]
    return '_'.join([*words, str(uuid.uuid4())])


class Recording:
    """A run whose nodes are being recorded.

    Parameters
    ----------
    folder : pathlib.Path
        ``<out>/logs/<run_id>``; the ledger is in its sub-folder ``ledger``.

    Attributes
    ----------
    entry : Entry or None
        The run's own entry, once it has ended.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entry: Entry | None = None

    @property
    def run_id(self) -> str:
        """Name of the run."""
        return self.folder.name

    @property
    def ledger(self) -> Path:
        """Ledger folder."""
        return self.folder / 'ledger'


@contextmanager
def recording(out_dir: Path | str, *, run_id: str | None = None) -> Iterator[Recording]:
    """Keep a ledger of all carbon-aware nodes that run inside the ``with`` block.

    Parameters
    ----------
    out_dir : path
        The ledger goes to ``<out_dir>/logs/<run_id>/ledger``; ``nicarbon
        account <out_dir>`` makes the tables and pages of it.
    run_id : str, optional
        By default the time and a random part.

    Yields
    ------
    Recording

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with recording(folder) as run:
    ...         pass
    ...     run.entry.kind, run.entry.outcome
    ('run', 'ran')
    """
    run = Recording(Path(out_dir).resolve() / 'logs' / (run_id or new_run_id()))
    if run.ledger.exists():
        raise UsageError(f'{run.folder} holds a run already: give another run_id')
    machine = host.cached(run.folder / 'hosts')
    outer = Place.from_environment()
    label = Label(
        kind='run',
        run_id=run.run_id,
        node=Path(outer.ledger).parent.name if outer else '',
        reserved_cores=0.0,
    )
    watch = Watch(
        label, machine, meters.find(machine), run.ledger, window_seconds=RUN_WINDOW_SECONDS
    )
    place = Place(str(run.ledger), time.time(), process_name())
    try:
        with _environment(place), watch:
            yield run
    finally:
        if place.process == process_name():
            run.entry = watch.entry
            tidy(run.ledger)


class Place(NamedTuple):
    """Where a run's ledger is.

    Parameters
    ----------
    ledger : str
        The folder.
    began : float
        When the run began, in seconds since 1970.
    process : str
        The process that says so: it knows itself when the run has ended.
    """

    ledger: str
    began: float
    process: str = ''

    @classmethod
    def from_environment(cls) -> Place | None:
        """What the run has told its workers; None outside any run."""
        folder = os.environ.get(LEDGER_VARIABLE)
        try:
            began = float(os.environ.get(BEGAN_VARIABLE, ''))
        except ValueError:
            began = 0.0
        return cls(folder, began, process_name()) if folder else None

    @classmethod
    def settle(cls, told: Place | None) -> Place | None:
        """The place to use: what a node was told elsewhere, else that of the environment."""
        return told if told and told.process != process_name() else cls.from_environment()


@contextmanager
def _environment(place: Place) -> Iterator[None]:
    """Tell workers of the run."""
    before = {name: os.environ.get(name) for name in (LEDGER_VARIABLE, BEGAN_VARIABLE)}
    os.environ[LEDGER_VARIABLE], os.environ[BEGAN_VARIABLE] = place.ledger, repr(place.began)
    try:
        yield
    finally:
        for name, value in before.items():
            _restore(name, value)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@contextmanager
def watched(
    label: Label, place: Place | None = None, *, clock: Callable[..., TreeClock] = TreeClock
) -> Iterator[Watch | None]:
    """Watch a piece of work; one inside another belongs to the outer.

    Parameters
    ----------
    label : Label
    place : Place, optional
        By default that of the environment.
    clock : callable
        Makes the clock of CPU seconds.

    Yields
    ------
    Watch or None
        None inside another, or where watching cannot be begun, which must not
        stop the work.
    """
    inside = label.kind == 'node' and (_here.watch is not None or _within())
    watch = None if inside else _begin(label, Place.settle(place), clock)
    if watch is None:
        yield None
        return
    token = watch.token if label.kind == 'node' else ''
    _here.watch = watch if label.kind == 'node' else None
    before = os.environ.get(WITHIN_VARIABLE)
    if token:
        os.environ[WITHIN_VARIABLE] = token
    try:
        yield watch
    except BaseException as error:
        _end(watch, error)
        raise
    else:
        _end_well(watch, label, place)
    finally:
        _here.watch = _here.made = None
        if token:
            _restore(WITHIN_VARIABLE, before)


def _within() -> bool:
    """Whether this process, or one that started it, is inside a node that goes on.

    What the environment says may be old: a server of workers that a node has started
    outlives it. The node's checkpoint knows.
    """
    path, _, entry_id = os.environ.get(WITHIN_VARIABLE, '').partition('\n')
    if not path:
        return False
    # A node that has just begun has not noted that yet: its checkpoint is there, and empty.
    patience = time.monotonic() + 3 * FIRST_GLANCE_SECONDS
    while True:
        try:
            with open(path, 'rb') as file:
                first = file.readline()
        except OSError:
            return False
        if first or time.monotonic() > patience:
            return f'"{entry_id}"'.encode() in first
        time.sleep(FIRST_GLANCE_SECONDS / 10)


def _begin(label: Label, place: Place | None, clock: Callable[..., TreeClock]) -> Watch | None:
    try:
        if place is None:
            warn_once(
                'outside',
                'a carbon-aware interface ran outside nicarbon.recording(): nothing is kept',
            )
            return None
        machine, run_id = _known(place.ledger)
        label = label._replace(run_id=run_id)
        watch = Watch(label, machine, meters.find(machine), place.ledger, clock=clock)
        return watch.__enter__()
    except Exception as error:  # noqa: BLE001 - metering never breaks the science
        name = label.node or label.interface
        warn_once('begin', f'{name} runs unwatched: {type(error).__name__}: {error}')
        return None


def _end_well(watch: Watch, label: Label, place: Place | None) -> None:
    """No exception was raised: what turned out to be there already is noted as cached."""
    if _here.made is None:
        _end(watch, None)
        return
    watch.cancel()
    _end(watch, None)
    if watch.entry is not None:  # Not in a forked child that leaves the block too.
        _safely(add_cached, label, _here.made, place)


def _end(watch: Watch, error: BaseException | None) -> None:
    try:
        watch.__exit__(type(error) if error else None, error, None)
    except Exception as fault:  # noqa: BLE001 - see above
        warn_once('end', f'a watch could not be ended: {type(fault).__name__}: {fault}')


def ran(commands: Iterable[Command]) -> None:
    """Say which programs the work that goes on in this thread has run.

    They become its entry's ``commands``, which add nothing to what it used. Outside
    watched work nothing happens, and whatever is wrong with them costs only a warning.

    Parameters
    ----------
    commands : iterable of Command

    Examples
    --------
    >>> ran([Command('mri_convert', 10.0, 2.0, 1.5, 0.1, 0.3)])
    """
    if _here.watch is not None:
        _safely(_here.watch.ran, commands)


def divided(parts: Iterable[Part]) -> None:
    """Say which sub-stages the work that goes on in this thread had, once they are known.

    Its entry is cut into them, as if each had been watched. Outside watched work nothing
    happens, and whatever is wrong with them costs only a warning.

    Parameters
    ----------
    parts : iterable of Part

    Examples
    --------
    >>> divided([Part('motioncor', 10.0, 2.0), Part('talairach', 12.0, 30.0)])
    """
    if _here.watch is not None:
        _safely(_here.watch.divide, parts)


def edge() -> None:
    """Tell apart what the work that goes on in this thread uses from now on.

    A sub-stage that is named later, by :func:`divided`, then has the joules of its own
    time and none of its neighbours'. Outside watched work nothing happens.

    Examples
    --------
    >>> edge()
    """
    if _here.watch is not None:
        _safely(_here.watch.edge)


def reused(made: float) -> None:
    """Say that the work that goes on in this thread turned out to be done already.

    Once it has ended well, it is noted as cached and its time is left to the overhead.
    Outside watched work nothing happens.

    Parameters
    ----------
    made : float
        When the result was written, in seconds since 1970. One that this very run has
        made is no saving, and is not noted.

    Examples
    --------
    >>> reused(1790000000.0)
    """
    if _here.watch is not None:
        _here.made = made


def _safely(tell: Callable[..., None], *what: object) -> None:
    """Do what must not disturb the work; what fails is said once."""
    try:
        tell(*what)
    except Exception as error:  # noqa: BLE001 - metering never breaks the science
        name = tell.__name__
        warn_once(name, f'what was told is not kept ({name}): {type(error).__name__}: {error}')


def add_cached(label: Label, made: float, place: Place | None = None) -> None:
    """Write down that a node was not run because its result was there.

    Parameters
    ----------
    label : Label
    made : float
        When the result was written, in seconds since 1970. One that this very run
        has made is no saving.
    place : Place, optional
        By default that of the environment.
    """
    place = Place.settle(place)
    if place is None or made >= place.began or (place.ledger, label.node) in _told:
        return
    # Of a node that maps, its items have said so already, each for itself.
    if (place.ledger, label.node) in _parents:
        return
    _told.add((place.ledger, label.node))
    parts = label.node.split('.')
    _parents.update((place.ledger, '.'.join(parts[:end])) for end in range(1, len(parts)))
    machine, run_id = _known(place.ledger)
    label = label._replace(run_id=run_id, reserved_cores=0.0)
    try:
        ledger.append(
            place.ledger, unmeasured(label, machine, f'{process_name()}-c{len(_told)}', 'cached')
        )
    except OSError as error:
        _log.warning('%s: that it was cached could not be written down: %s', label.node, error)


@functools.cache
def _known(folder: str) -> tuple[host.Host, str]:
    """The machine as a run knows it, and the run's name, by its ledger folder."""
    run_folder = Path(folder).parent
    return host.cached(run_folder / 'hosts'), run_folder.name
