"""Make a Nipype program carbon-aware whose code cannot be changed.

:func:`environment` tells every Python that the program starts (its workers under
fork, forkserver and spawn among them) to :func:`install` the recording once it has
imported Nipype.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ['environment', 'install']

HOOK = Path(__file__).parent / 'hook'
"""Folder that holds the ``sitecustomize`` that Python imports as it starts."""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program whose Nipype nodes are to be recorded.

    Parameters
    ----------
    environ : mapping
        The environment as it is, with the place of the run's ledger.

    Returns
    -------
    dict

    Examples
    --------
    >>> environment({'PYTHONPATH': '/lib'})['PYTHONPATH'].endswith('hook:/lib')
    True
    """
    path = environ.get('PYTHONPATH', '').split(os.pathsep)
    path = [str(HOOK), *(folder for folder in path if folder and folder != str(HOOK))]
    return {**environ, 'PYTHONPATH': os.pathsep.join(path)}


def install() -> None:
    """Make all of Nipype's nodes in this process record what they use.

    For programs whose code cannot be changed; in your own code use
    :func:`nicarbon.carbon_aware`. Calling it twice changes nothing.
    """
    from nipype.pipeline.engine import MapNode, Node

    from .aware import metered, named_leaves, note_cached, quietly

    if getattr(Node, 'carbon_installed', False):
        return
    Node.carbon_installed = True

    def run_command(original: Callable[..., Any]) -> Callable[..., Any]:
        def _run_command(self: Any, execute: bool, copyfiles: bool = True) -> Any:  # noqa: FBT001, FBT002
            return metered(self, original.__get__(self), execute, copyfiles)

        return _run_command

    def is_cached(original: Callable[..., Any]) -> Callable[..., Any]:
        def is_cached(self: Any, rm_outdated: bool = False) -> Any:  # noqa: FBT001, FBT002
            cached = original(self, rm_outdated)
            quietly(note_cached, self, cached)
            return cached

        return is_cached

    def make_nodes(original: Callable[..., Any]) -> Callable[..., Any]:
        def _make_nodes(self: Any, cwd: str | None = None) -> Iterator[tuple[int, Any]]:
            yield from named_leaves(self, original(self, cwd), lambda leaf: leaf)

        return _make_nodes

    Node._run_command = run_command(Node._run_command)  # noqa: SLF001 - the seam, as of Nipype 1.11
    Node.is_cached = is_cached(Node.is_cached)
    MapNode._make_nodes = make_nodes(MapNode._make_nodes)  # noqa: SLF001
