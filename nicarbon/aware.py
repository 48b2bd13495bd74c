"""Make Nipype's interfaces and nodes carbon-aware.

>>> from nipype import Node
>>> from nipype.interfaces.utility import Merge
>>> node = carbon_aware(Node(Merge(2), name='merge'))
>>> type(node).__name__
'CarbonNode'

Decorate an interface class where it is defined, or a node before it runs; run
the workflow inside :func:`recording`. The measuring happens in the process that
runs the interface, so that it works under every plugin. Neither input hashes
nor outputs nor exit codes change.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar, overload

from nipype.interfaces.base import BaseInterface
from nipype.pipeline.engine import Node

from . import host, ledger, meters
from .cputime import process_start
from .entry import Entry
from .errors import UsageError
from .watch import Label, Watch, unmeasured

__all__ = ['CarbonNode', 'Recording', 'carbon_aware', 'new_run_id', 'recording']

LEDGER_VARIABLE = 'NICARBON_LEDGER'
"""Environment variable that tells workers, on this or another host, where the
ledger folder of the run is: ``<out>/logs/<run_id>/ledger``."""

RUN_WINDOW_SECONDS = 3.0
"""Windows of the run are shorter than those of nodes: they are the timeline that
the pages draw, and there is one run to many nodes."""

_log = logging.getLogger('nicarbon')
_here = threading.local()

AnyInterface = TypeVar('AnyInterface', bound=type[BaseInterface])
AnyNode = TypeVar('AnyNode', bound=Node)


@overload
def carbon_aware(target: AnyInterface) -> AnyInterface: ...
@overload
def carbon_aware(target: Node) -> CarbonNode: ...
def carbon_aware(target: Any) -> Any:
    """Record one ledger entry each time an interface class or a node runs.

    Parameters
    ----------
    target : interface class or Node
        The class is changed in place and returned. Decorate it where it is
        defined, since workers that start afresh see what the module holds. A
        node becomes a :class:`CarbonNode`.

    Returns
    -------
    interface class or CarbonNode

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> carbon_aware('recon-all')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: carbon_aware takes an interface class or a Node, not 'recon-all'
    """
    if isinstance(target, type) and issubclass(target, BaseInterface):
        target.run = _aware_run(target.run)  # type: ignore[attr-defined]
        target.carbon_aware = True  # type: ignore[attr-defined]
        return target
    if type(target) is Node:
        target.__class__ = CarbonNode
        return target
    if isinstance(target, CarbonNode):
        return target
    if isinstance(target, Node):
        msg = (
            f'{target.name} is a {type(target).__name__}, which is not converted yet: '
            'decorate the class of its interface instead'
        )
        raise UsageError(msg)
    msg = f'carbon_aware takes an interface class or a Node, not {target!r}'
    raise UsageError(msg)


def _aware_run(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def aware(self: BaseInterface, *args: Any, **kwargs: Any) -> Any:
        with _watched(type(self).__name__, _threads(self)) as watch:
            result = run(self, *args, **kwargs)
            traceback = getattr(result.runtime, 'traceback', None)
            if traceback and watch is not None:
                # Nipype swallows even a Ctrl-C here, and hands it over as text.
                reason = _reason(traceback)
                interrupted = reason.startswith('KeyboardInterrupt')
                watch.fail(reason, 'killed' if interrupted else 'failed')
            return result

    return aware


class CarbonNode(Node):  # type: ignore[misc]
    """A Nipype node that records what it used, and for whom.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`nipype.Node`.
    subject, session, stage : str
        BIDS labels without their prefix, and the stage of the pipeline.
    """

    subject = ''
    session = ''
    stage = ''
    _ledger: str | None = None

    def __init__(
        self, *args: Any, subject: str = '', session: str = '', stage: str = '', **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.subject, self.session, self.stage = subject, session, stage

    @property
    def label(self) -> Label:
        """Who this node's work belongs to."""
        return Label(
            subject=self.subject,
            session=self.session,
            stage=self.stage or self.name,
            node=self.fullname,
            interface=type(self.interface).__name__,
            reserved_cores=float(self.n_procs),
            reserved_memory_gb=self.mem_gb,
        )

    def __getstate__(self) -> dict[str, Any]:
        # A node is pickled when it is handed to a worker. The worker's environment may
        # be that of a server process started long ago, or of another host.
        return {**self.__dict__, '_ledger': os.environ.get(LEDGER_VARIABLE, self._ledger)}

    def _run_command(self, execute: bool, copyfiles: bool = True) -> Any:  # noqa: FBT001, FBT002
        with _labelled(self.label, self._ledger):
            if not execute or getattr(self.interface, 'carbon_aware', False):
                return super()._run_command(execute, copyfiles)
            with _watched(type(self.interface).__name__, self.n_procs):
                return super()._run_command(execute, copyfiles)


@contextmanager
def _labelled(label: Label, folder: str | None) -> Iterator[None]:
    _here.label, _here.ledger = label, folder
    try:
        yield
    finally:
        _here.label = _here.ledger = None


@contextmanager
def _watched(interface: str, threads: float) -> Iterator[Watch | None]:
    """Watch the work of one interface; a nested one belongs to the outer."""
    if getattr(_here, 'watching', False):
        yield None
        return
    _here.watching = True
    try:
        with ExitStack() as stack:
            watch = _start(interface, threads)
            if watch is not None:
                stack.push(watch)
            yield watch
    finally:
        _here.watching = False


def _start(interface: str, threads: float) -> Watch | None:
    """Begin to watch; None if that cannot be done, which must not stop the work."""
    label = getattr(_here, 'label', None) or Label(interface=interface, reserved_cores=threads)
    folder = _ledger_folder()
    try:
        machine = host.cached(folder.parent / 'hosts' if folder else None)
        label = replace(label, run_id=folder.parent.name if folder else '')
        return Watch(label, machine, meters.find(machine), folder).__enter__()
    except Exception as error:  # noqa: BLE001 - metering never breaks the science
        _log.warning('%s runs unwatched: %s', interface, error)
        return None


def _reason(traceback: str) -> str:
    r"""What a formatted traceback says in the end, in one line.

    Examples
    --------
    >>> _reason('Traceback (most recent call last):\n  File "x.py"\nmy.own.OddError: a\nb')
    'OddError: a b'
    """
    words: list[str] = []
    for line in reversed(traceback.strip().splitlines()):
        if line.startswith((' ', 'Traceback')):
            break
        words.insert(0, line.strip())
    kind, colon, message = ' '.join(words).partition(':')
    return f'{kind.rpartition(".")[2]}{colon}{message}'


def _threads(interface: BaseInterface) -> float:
    """Cores that an interface reserves, by Nipype's own convention."""
    threads = getattr(interface.inputs, 'num_threads', None)
    return float(threads) if isinstance(threads, int) else 1.0


def _ledger_folder() -> Path | None:
    folder = getattr(_here, 'ledger', None) or os.environ.get(LEDGER_VARIABLE)
    if folder is None and not getattr(_here, 'warned', False):
        _here.warned = True
        _log.warning('a carbon-aware interface ran outside nicarbon.recording(): nothing is kept')
    return Path(folder) if folder else None


def new_run_id() -> str:
    """A name for a run, sorted by time: ``20261123-190312_5f0c…``."""
    return f'{datetime.now(timezone.utc):%Y%m%d-%H%M%S}_{uuid.uuid4()}'


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

    def add_cached(self, labels: Iterable[Label]) -> None:
        """Write down which nodes were not run because their results were there."""
        machine = host.cached(self.folder / 'hosts')
        process = f'{machine.name}-{os.getpid()}-{process_start(os.getpid())}'
        for number, label in enumerate(labels, 1):
            own = replace(label, run_id=self.run_id, reserved_cores=0.0)
            ledger.append(self.ledger, unmeasured(own, machine, f'{process}-c{number}', 'cached'))


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
    before = os.environ.get(LEDGER_VARIABLE)
    os.environ[LEDGER_VARIABLE] = str(run.ledger)
    label = Label(kind='run', run_id=run.run_id, reserved_cores=0.0)
    watch = Watch(
        label, machine, meters.find(machine), run.ledger, window_seconds=RUN_WINDOW_SECONDS
    )
    try:
        with watch:
            yield run
    finally:
        run.entry = watch.entry
        if before is None:
            os.environ.pop(LEDGER_VARIABLE, None)
        else:
            os.environ[LEDGER_VARIABLE] = before
