"""Make Nipype's interfaces, nodes and workflows carbon-aware.

>>> from nipype import Node
>>> from nipype.interfaces.utility import Merge
>>> node = carbon_aware(Node(Merge(2), name='merge'))
>>> type(node).__name__
'CarbonNode'

Decorate an interface class where it is defined, or a node or a workflow before it
runs; run the workflow inside :func:`~nicarbon.run.recording`. The measuring
happens in the process that runs the interface, so that it works under every
plugin. Neither input hashes nor outputs nor exit codes change.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, overload

from nipype.interfaces.base import BaseInterface
from nipype.pipeline.engine import JoinNode, MapNode, Node, Workflow

from .entity import label
from .errors import UsageError
from .run import Place, add_cached, divided, ran, reused, watched
from .watch import Label, Watch

__all__ = ['CarbonJoinNode', 'CarbonMapNode', 'CarbonNode', 'carbon_aware', 'divided', 'label_of']
__all__ += ['metered', 'ran', 'reused']

_log = logging.getLogger('nicarbon')

UNSAID_MEMORY_GB = 0.2
"""What Nipype takes for the memory of a node of which nobody has said anything."""

AnyInterface = TypeVar('AnyInterface', bound=type[BaseInterface])
AnyNode = TypeVar('AnyNode', bound=Any)


@overload
def carbon_aware(target: AnyInterface) -> AnyInterface: ...
@overload
def carbon_aware(target: AnyNode, **tags: str) -> AnyNode: ...
def carbon_aware(target: Any, **tags: str) -> Any:
    """Record one ledger entry each time an interface class or a node runs.

    Parameters
    ----------
    target : interface class, Node or Workflow
        A class is changed in place and returned. Decorate it where it is defined,
        since workers that start afresh see what the module holds. A node becomes a
        :class:`CarbonNode`, :class:`CarbonMapNode` or :class:`CarbonJoinNode` (or a
        kin of whatever class it has); a workflow's nodes do, those of nested ones too.
    **tags : str
        ``subject``, ``session``, ``stage``: whose page a node belongs to. What is not
        given is taken from Nipype's names: a workflow ``single_subject_01_wf`` or
        ``sub_01_ses_1_wf``, iterables ``subject_id`` or ``subject``.

    Returns
    -------
    interface class, CarbonNode or Workflow

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> carbon_aware('recon-all')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: carbon_aware takes an interface class, a Node or a Workflow,
    not 'recon-all'
    """
    tags = _checked(tags)
    if isinstance(target, type) and issubclass(target, BaseInterface) and not tags:
        target.run = _aware_run(target.run)  # type: ignore[attr-defined]
        return target
    if isinstance(target, Workflow):
        for node in target._graph.nodes():  # noqa: SLF001 - Nipype has no other way to its nodes
            carbon_aware(node, **tags)
        return target
    if isinstance(target, Node):
        if not isinstance(target, _Aware):
            target.__class__ = _carbon_class(target.__class__)
        for name, value in tags.items():
            setattr(target, name, value)
        return target
    msg = f'carbon_aware takes an interface class, a Node or a Workflow, not {target!r}'
    raise UsageError(msg)


def _checked(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as they may stand in names of files."""
    unknown = sorted(set(tags) - {'subject', 'session', 'stage'})
    if unknown:
        raise UsageError(f'carbon_aware knows subject, session and stage, not {unknown[0]}')
    return {
        name: value if name == 'stage' else label(value, name[:3]) for name, value in tags.items()
    }


def _aware_run(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def aware(self: BaseInterface, *args: Any, **kwargs: Any) -> Any:
        name = type(self).__name__
        threads = getattr(self.inputs, 'num_threads', None)
        cores = float(threads) if isinstance(threads, int) else 1.0
        with watched(Label(stage=name, interface=name, reserved_cores=cores)) as watch:
            result = run(self, *args, **kwargs)
            runtime = getattr(result, 'runtime', None)
            _note_failure(watch, getattr(runtime, 'traceback', None))
            return result

    return aware


class _Aware:
    """What a node needs in order to record what it used, and for whom."""

    subject = ''
    session = ''
    stage = ''
    place: Place | None = None
    takes_turns_on_gpu = False

    @property
    def label(self) -> Label:
        """Who this node's work belongs to."""
        return label_of(self)

    def __getstate__(self) -> dict[str, Any]:
        # A node is pickled when it is handed to a worker. The worker's environment may
        # be that of a server process started long ago, or of another host.
        return {**self.__dict__, 'place': Place.settle(self.place)}

    def is_cached(self, rm_outdated: bool = False) -> Any:  # noqa: FBT001, FBT002
        cached = super().is_cached(rm_outdated)  # type: ignore[misc]
        quietly(note_cached, self, cached)
        return cached

    def is_gpu_node(self) -> bool:
        """Whether Nipype shall count it among the jobs on GPUs, of which it runs few at once.

        Nipype refuses a workflow whose jobs have more threads than there are GPUs, so that
        this is for whoever gives it ``n_gpu_procs``, and says so with ``takes_turns_on_gpu``.
        """
        asked = super().is_gpu_node()  # type: ignore[misc]
        uses = getattr(self.interface, 'uses_gpu', False)  # type: ignore[attr-defined]
        return asked or (self.takes_turns_on_gpu and uses)

    def _run_command(self, execute: bool, copyfiles: bool = True) -> Any:  # noqa: FBT001, FBT002
        return metered(self, super()._run_command, execute, copyfiles)  # type: ignore[misc]


class CarbonNode(_Aware, Node):  # type: ignore[misc]
    """A Nipype node that records what it used, and for whom.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`nipype.Node`.
    subject, session, stage : str
        BIDS labels without their prefix, and the stage of the pipeline.
    """

    def __init__(
        self, *args: Any, subject: str = '', session: str = '', stage: str = '', **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.subject, self.session, self.stage = subject, session, stage


class _AwareMap(_Aware):
    """Of a node that maps, only the leaves are charged."""

    def _make_nodes(self, cwd: str | None = None) -> Iterator[tuple[int, Node]]:
        yield from named_leaves(self, super()._make_nodes(cwd), carbon_aware)  # type: ignore[misc]


class CarbonMapNode(_AwareMap, MapNode):  # type: ignore[misc]
    """A :class:`nipype.MapNode` each of whose items records what it used."""


class CarbonJoinNode(_Aware, JoinNode):  # type: ignore[misc]
    """A :class:`nipype.JoinNode` that records what it used."""


_KINDS: dict[type, Any] = {Node: CarbonNode, MapNode: CarbonMapNode, JoinNode: CarbonJoinNode}


@functools.cache
def _carbon_class(kind: Any) -> Any:
    """The carbon-aware kin of a class of nodes."""
    if kind in _KINDS:
        return _KINDS[kind]
    mixin = _AwareMap if issubclass(kind, MapNode) else _Aware

    def reduce_ex(self: Any, protocol: int) -> Any:  # noqa: ARG001 - pickle's own
        # It has no name in any module, so it is made again where it is unpickled.
        return _blank, (kind,), self.__getstate__()

    name = f'Carbon{kind.__name__}'
    return type(name, (mixin, kind), {'__reduce_ex__': reduce_ex})


def _blank(kind: type) -> Any:
    made = _carbon_class(kind)
    return made.__new__(made)


def metered(node: Any, run: Callable[..., Any], execute: bool, copyfiles: bool) -> Any:  # noqa: FBT001
    """Run a node's command and record it.

    Parameters
    ----------
    node : nipype.Node
    run : callable
        The node's own way to do it.
    execute, copyfiles : bool
        As Nipype gives them.

    Returns
    -------
    object
        What Nipype returns.
    """
    before = None if execute else _made(node)
    who = quietly(label_of, node) or Label(node=str(node.name))
    with watched(who, getattr(node, 'place', None)) as watch:
        try:
            result = run(execute, copyfiles)
        except Exception as error:
            _note_failure(watch, str(error), default=type(error).__name__)
            raise
        if watch is not None and before is not None and _made(node) == before:
            watch.cancel()
        return result


def note_cached(node: Any, cached: tuple[bool, bool]) -> None:
    """Write down that a node's result was there, if it is not to be made anew.

    Parameters
    ----------
    node : nipype.Node
    cached : (bool, bool)
        Whether there is a result, and whether it is of the same inputs.
    """
    again = node.overwrite or (node.overwrite is None and node.interface.always_run)
    made = _made(node) if all(cached) and not again else None
    if made is not None:
        add_cached(label_of(node), made, getattr(node, 'place', None))


def named_leaves(
    parent: Any, leaves: Iterator[tuple[int, Node]], convert: Callable[[Node], Node]
) -> Iterator[tuple[int, Node]]:
    """Items of a MapNode, labelled as the MapNode is.

    Parameters
    ----------
    parent : nipype.MapNode
    leaves : iterator of (int, Node)
    convert : callable
        Makes a leaf record what it uses.

    Yields
    ------
    (int, Node)
    """
    whole = label_of(parent)
    for index, leaf in leaves:
        leaf = convert(leaf)  # noqa: PLW2901 - the same leaf, converted
        leaf.subject, leaf.session, leaf.stage = whole.subject, whole.session, whole.stage
        leaf.carbon_name = f'{whole.node}.{leaf.name}'
        leaf.place = getattr(parent, 'place', None)
        yield index, leaf


def label_of(node: Any) -> Label:
    """Who a node's work belongs to, by its tags or else by Nipype's names.

    Parameters
    ----------
    node : nipype.Node

    Returns
    -------
    Label

    Examples
    --------
    >>> from nipype.interfaces.utility import Merge
    >>> node = Node(Merge(2), name='n4')
    >>> node._hierarchy = 'fmriprep_wf.single_subject_01_wf'
    >>> label_of(node).subject, label_of(node).stage
    ('01', 'n4')
    """
    # With iterables, only this name tells one node from another.
    name = getattr(node, 'carbon_name', '') or node.itername
    memory = float(node.mem_gb or 0)
    said = 0 < memory < math.inf and memory != UNSAID_MEMORY_GB
    return Label(
        subject=_bare(getattr(node, 'subject', ''), 'sub') or _who(node, name, 'sub(?:ject)?'),
        session=_bare(getattr(node, 'session', ''), 'ses') or _who(node, name, 'ses(?:sion)?'),
        stage=str(getattr(node, 'stage', '')) or node.name,
        node=name,
        interface=type(node.interface).__name__,
        reserved_cores=float(node.n_procs or 1),
        reserved_memory_gb=memory if said else None,
    )


def _bare(value: object, entity: str) -> str:
    """A label that somebody has set, without what cannot stand in a file's name."""
    return re.sub('[^A-Za-z0-9+]', '', str(value).removeprefix(f'{entity}-'))


def _who(node: Any, name: str, entity: str) -> str:
    """A label from a workflow's name (``sub_01_ses_1_wf``) or from iterables."""
    iterables = '.'.join(getattr(node, 'parameterization', None) or [])
    # ``_subject_id_01`` among iterables, ``single_subject_01_wf`` among workflows.
    found = re.search(rf'(?:^|[._]){entity}_id_([A-Za-z0-9]+)', iterables) or re.search(
        rf'(?:^|[._]){entity}_([A-Za-z0-9]+)(?=_\w*wf\b|[._]|$)', f'{iterables}.{_workflows(name)}'
    )
    return found[1] if found else ''


def _workflows(name: str) -> str:
    """The workflows that a node is in, without its own name."""
    return '.'.join(part for part in name.split('.')[:-1] if part.endswith('_wf'))


def quietly(action: Callable[..., Any], *what: Any) -> Any:
    """Do what must not disturb the work; None if it fails, which is said.

    Parameters
    ----------
    action : callable
    *what
        Its arguments.

    Returns
    -------
    object
    """
    try:
        return action(*what)
    except Exception as error:  # noqa: BLE001 - metering never breaks the science
        _log.warning('%s: %s: %s', action.__name__, type(error).__name__, error)
        return None


def _made(node: Any) -> float | None:
    """When a node's result was written; None if there is none."""
    try:
        return os.stat(f'{node.output_dir()}/result_{node.name}.pklz').st_mtime
    except OSError:
        return None


def _note_failure(watch: Watch | None, traceback: str | None, default: str = '') -> None:
    if traceback is None or watch is None:
        return
    reason = _reason(traceback) or default
    # Nipype swallows even a Ctrl-C, and hands it over as text.
    watch.fail(reason, 'killed' if reason.startswith('KeyboardInterrupt') else 'failed')


def _reason(traceback: str) -> str:
    r"""What a formatted traceback says in the end, in one line.

    Examples
    --------
    >>> _reason('Traceback (most recent call last):\n  File "x.py"\nmy.own.OddError: a\nb')
    'OddError: a b'
    >>> _reason('Traceback:\n\tTraceback (most recent call last):\n\t  File "x.py"\n\tValueError: a')
    'ValueError: a'
    """
    words: list[str] = []
    for line in reversed(traceback.strip().splitlines()):
        text = line.removeprefix('\t')
        if text.startswith((' ', 'Traceback')):
            break
        words.insert(0, text.strip())
    kind, colon, message = ' '.join(words).partition(':')
    return f'{kind.rpartition(".")[2]}{colon}{message}'
