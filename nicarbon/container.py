"""Which kind of container this process is in: engines leave their marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .kernel import text

__all__ = ['container', 'is_nameless']

_GROUPS = {'kubepods': 'kubepods', 'docker': 'docker', 'libpod': 'podman', 'lxc': 'lxc'}
"""Names in the control groups of the first process, and whose they are."""


def container(environ: Mapping[str, str], root: Path = Path('/')) -> str | None:
    """Which kind of container this process is in, if any.

    Parameters
    ----------
    environ : mapping
        Environment variables; some engines leave their names there.
    root : pathlib.Path
        Where ``/proc`` is.

    Returns
    -------
    str or None

    Examples
    --------
    >>> container({'APPTAINER_CONTAINER': '/x.sif'})
    'apptainer'
    """
    for name in ('apptainer', 'singularity'):
        if f'{name.upper()}_CONTAINER' in environ:
            return name
    if (root / 'run/.containerenv').exists():
        return 'podman'
    if (root / '.dockerenv').exists():
        return 'docker'
    groups = text(root / 'proc/1/cgroup')
    return next((kind for name, kind in _GROUPS.items() if name in groups), None)


def is_nameless(host: str) -> bool:
    """Whether a host's name is the one that an engine gives each container anew.

    Docker and Podman take the first twelve digits of the container's identifier.

    Parameters
    ----------
    host : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_nameless('afc6488f515e'), is_nameless('node12')
    (True, False)
    """
    return len(host) == 12 and not host.strip('0123456789abcdef')
