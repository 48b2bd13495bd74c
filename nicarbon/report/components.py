"""What people call the components of a machine, and in which order they are shown."""

from __future__ import annotations

__all__ = ['component_name', 'component_order']

_COMPONENTS = {'cpu': 'CPU', 'dram': 'memory', 'gpu': 'GPU', 'rest': 'rest of the machine'}


def component_name(component: str) -> str:
    """Name a component as people do.

    Parameters
    ----------
    component : str

    Returns
    -------
    str

    Examples
    --------
    >>> component_name('dram'), component_name('gpu:GPU-3f2a11d0-94'), component_name('gpu:0')
    ('memory', 'GPU 3f2a…', 'GPU 0')
    """
    kind, _, which = component.partition(':')
    which = which.removeprefix('GPU-')
    which = which if len(which) <= 4 else which[:4] + '…'
    return ' '.join(filter(None, [_COMPONENTS.get(kind, kind), which]))


def component_order(component: str) -> tuple[int, str]:
    """Sort components as they are shown: what computes first, the rest last."""
    kinds = list(_COMPONENTS)
    kind = component.partition(':')[0]
    return kinds.index(kind) if kind in kinds else len(kinds), component
