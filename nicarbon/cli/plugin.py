"""Who runs the nodes: Nipype's MultiProc made robust, or the plugin that a file names.

Under a plugin of a batch system each node is a job on some host. It was told where the
ledger is when it was handed over, and appends its entry there by itself.
"""

from __future__ import annotations

import getpass
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, UsageError
from ..slurm.arrays import says
from . import batch
from .choice import read_toml
from .pool import Pool, end_workers

__all__ = ['LOCAL_PLUGIN', 'Plugin', 'read', 'runner', 'stop']

LOCAL = frozenset({'MultiProc', 'LegacyMultiProc'})
"""Plugins for which nicarbon's own stands, that survives the death of a worker."""

ONE_BY_ONE = frozenset({'Linear', 'Debug'})
"""Plugins that run nodes in the program's own process, and tell of none."""

GRAPH = frozenset({'SLURMGraph', 'SGEGraph', 'SOMA', 'CondorDAGMan'})
"""Plugins that hand over the whole graph and leave: nobody would know when it ends."""

OWN_MEMORY_GB = 0.5
"""Of the process that runs a node, beside the node."""

Tell = Callable[[Any, str, bool], None]


class Plugin(NamedTuple):
    """A plugin of Nipype, and its arguments.

    Parameters
    ----------
    name : str
        ``SLURM``, ``SGE``, ``PBS``, …
    arguments : mapping
    """

    name: str
    arguments: Mapping[str, Any]

    @property
    def is_local(self) -> bool:
        """Whether nodes are processes of this host."""
        return self.name in LOCAL


LOCAL_PLUGIN = Plugin('MultiProc', {})


def read(path: Path) -> Plugin:
    """What a plugin file says, as other NiPreps apps have it.

    Parameters
    ----------
    path : pathlib.Path
        YAML (JSON too), or TOML by its name: ``plugin``, and ``plugin_args`` if there are any.

    Returns
    -------
    Plugin

    Raises
    ------
    InputError
        When it is not there.
    UsageError
        When it is none, or names what Nipype does not have.
    """
    import yaml
    from nipype.pipeline import plugins

    try:
        text = path.read_text('utf-8')
        told = read_toml(path) if path.suffix == '.toml' else yaml.safe_load(text)
        name, arguments = told['plugin'], told.get('plugin_args') or {}
        dict(arguments)
    except FileNotFoundError:
        raise InputError(f'--use-plugin {path}: no such file') from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        what = ' '.join(str(error).split())
        raise UsageError(
            f'--use-plugin {path}: needs "plugin: NAME", and "plugin_args:" perhaps ({what})'
        ) from None
    if name in GRAPH | ONE_BY_ONE:
        raise UsageError(
            f'--use-plugin {path}: {name} does not tell when nodes end; use MultiProc, SLURM, '
            'SGE or PBS'
        )
    if not hasattr(plugins, f'{name}Plugin'):
        raise UsageError(f'--use-plugin {path}: Nipype has no plugin {name!r}')
    return Plugin(name, arguments)


def runner(plugin: Plugin, local: Mapping[str, Any], tell: Tell, nodes: Iterable[Any]) -> Any:
    """What runs the nodes of a workflow.

    Parameters
    ----------
    plugin : Plugin
    local : mapping
        Arguments where nodes are processes of this host.
    tell : callable
        See :class:`Pool`.
    nodes : iterable of nipype.Node
        Those of the workflow.

    Returns
    -------
    Pool or nipype plugin
    """
    if plugin.is_local:
        return Pool({**local, **plugin.arguments}, tell)
    from nipype.pipeline import plugins

    # Nipype's SLURM plugin takes it for granted, and a service or a container has none.
    os.environ.setdefault('LOGNAME', getpass.getuser())
    if plugin.name == 'SLURM':
        said = str(plugin.arguments.get('sbatch_args', '')).split()
        for node in nodes:
            _reserve(node, said)
    arguments = {
        **plugin.arguments,
        'status_callback': lambda node, status: tell(node, status, True),
    }
    return getattr(plugins, f'{plugin.name}Plugin')(plugin_args=arguments)


def _reserve(node: Any, said: Iterable[str]) -> None:
    """Let a node's job have what the node says that it needs, unless the file says it."""
    words = []
    if not says(said, '--cpus-per-task', '-c'):
        words.append(f'--cpus-per-task={node.n_procs or 1}')
    if not says(said, '--mem', '--mem-per-cpu'):
        words.append(f'--mem={math.ceil((node.mem_gb + OWN_MEMORY_GB) * 1e9 / 1024**2)}M')
    node.plugin_args = {'sbatch_args': ' '.join(words)}


def stop(running: Any) -> None:
    """End what runs for a workflow that was given up.

    Parameters
    ----------
    running : Pool or nipype plugin
    """
    if isinstance(running, Pool):
        running.stopping = True
        end_workers()
        return
    # Nobody would wait for these jobs, and they would be charged.
    jobs = [str(job) for job in getattr(running, '_pending', {})]
    if jobs and type(running).__name__ == 'SLURMPlugin':
        batch.cancel(jobs)
