"""What this process may use: cores and memory, by affinity and by its control groups.

A container, a batch job or a service has less than its machine: engines and schedulers
write the limits into control groups, and each group above counts too.

====================  =================================  ==============================
limit                 version 2                          version 1
====================  =================================  ==============================
cores                 ``cpu.max``: µs of CPU, of µs      ``cpu.cfs_quota_us`` of
                                                         ``cpu.cfs_period_us``
memory                ``memory.max``, bytes              ``memory.limit_in_bytes``
====================  =================================  ==============================
"""

from __future__ import annotations

import os
from pathlib import Path

from .cgroup import bounding_groups
from .kernel import number, text

__all__ = ['usable_bytes', 'usable_cores']


def usable_cores(root: Path = Path('/')) -> int:
    """Cores that this process may keep busy.

    Of a quota that is no whole number the part is left: one process more would be halted
    for most of its time.

    Parameters
    ----------
    root : pathlib.Path
        Where ``/proc`` and ``/sys`` are.

    Returns
    -------
    int
        1 at least.

    Examples
    --------
    >>> usable_cores() <= len(os.sched_getaffinity(0))
    True
    """
    there = len(os.sched_getaffinity(0))
    quotas = (_quota(folder) for folder in _groups('cpu', root))
    return max(1, min([there, *(int(quota) for quota in quotas if quota is not None)]))


def usable_bytes(root: Path = Path('/')) -> float:
    """Memory that this process and its children may take together, in bytes.

    Parameters
    ----------
    root : pathlib.Path
        As for :func:`usable_cores`.

    Returns
    -------
    float
        No more than the machine has.

    Examples
    --------
    >>> usable_bytes() <= os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    True
    """
    there = float(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))
    limits = (
        number(folder / name)
        for folder in _groups('memory', root)
        for name in ('memory.max', 'memory.limit_in_bytes')
    )
    return min([there, *(limit for limit in limits if limit is not None)])


def _groups(controller: str, root: Path) -> tuple[Path, ...]:
    shown = text(root / 'proc/self/cgroup'), text(root / 'proc/self/mountinfo')
    return tuple(root / folder.relative_to('/') for folder in bounding_groups(controller, *shown))


def _quota(folder: Path) -> float | None:
    """Cores that a group may keep busy; None where it has no such limit."""
    share, _, period = text(folder / 'cpu.max').partition(' ')
    if not share:
        share, period = text(folder / 'cpu.cfs_quota_us'), text(folder / 'cpu.cfs_period_us')
    # "max" and -1 stand for as much as there is.
    return int(share) / int(period) if share.isdigit() and period.isdigit() else None
