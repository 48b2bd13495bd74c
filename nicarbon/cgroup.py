"""CPU seconds of a control group of its own: exact even for what no process waits for.

The kernel adds up all that ever ran in the group. It must be allowed (root, or a
subtree that was delegated), and it moves the process, so it is used only where it is
asked for; see :mod:`nicarbon.cputime` for what is used elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path

from .cputime import TreeClock
from .errors import UnavailableError

__all__ = ['GroupClock', 'bounding_groups', 'own_group']

_numbers = itertools.count(1)


def own_group(membership: str | None = None, mounts: str | None = None) -> tuple[Path, str] | None:
    """The group that this process is in, and the file that counts its CPU time.

    Parameters
    ----------
    membership, mounts : str, optional
        Content of ``/proc/self/cgroup`` and ``/proc/self/mountinfo``.

    Returns
    -------
    (pathlib.Path, str) or None
        Version 2 if it is mounted, otherwise the ``cpuacct`` controller of version 1;
        None where neither is.

    Examples
    --------
    >>> mounts = '33 24 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw'
    >>> folder, name = own_group('0::/user.slice/a.scope', mounts)
    >>> folder.as_posix(), name
    ('/sys/fs/cgroup/user.slice/a.scope', 'cpu.stat')
    >>> inside = mounts.replace('0:29 /', '0:29 /docker/x')
    >>> own_group('0::/docker/x', inside)[0].as_posix()
    '/sys/fs/cgroup'
    >>> own_group('3:cpuset:/', '') is None
    True
    """
    if membership is None or mounts is None:
        try:
            membership = Path('/proc/self/cgroup').read_text()
            mounts = Path('/proc/self/mountinfo').read_text()
        except OSError:
            return None
    for kind, controller, counter in (
        ('cgroup2', '', 'cpu.stat'),
        ('cgroup', 'cpuacct', 'cpuacct.usage'),
    ):
        mount = _mount(mounts, kind, controller)
        for line in membership.splitlines():
            _, names, path = line.split(':', 2)
            if mount is not None and controller in names.split(','):
                return _below(*mount, path), counter
    return None


def bounding_groups(controller: str, membership: str, mounts: str) -> tuple[Path, ...]:
    """The groups whose limits bind this process: its own, and all above it that are shown.

    Parameters
    ----------
    controller : str
        ``cpu`` or ``memory``.
    membership, mounts : str
        Content of ``/proc/self/cgroup`` and ``/proc/self/mountinfo``.

    Returns
    -------
    tuple of pathlib.Path
        Of version 1 where it has the controller, otherwise of version 2; empty where there
        is neither.

    Examples
    --------
    >>> mounts = '33 24 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw'
    >>> [group.as_posix() for group in bounding_groups('cpu', '0::/slurm/job_1', mounts)]
    ['/sys/fs/cgroup/slurm/job_1', '/sys/fs/cgroup/slurm', '/sys/fs/cgroup']
    >>> bounding_groups('cpu', '', mounts)
    ()
    """
    # A controller is in one version or the other; of both, the second then lacks it.
    for kind, name in (('cgroup', controller), ('cgroup2', '')):
        mount = _mount(mounts, kind, name)
        for line in membership.splitlines():
            _, names, path = line.split(':', 2)
            if mount is not None and name in names.split(','):
                own = _below(*mount, path)
                return (own, *(one for one in own.parents if one.is_relative_to(mount[0])))
    return ()


def _below(mount: Path, root: str, path: str) -> Path:
    """Where a group is, of those that a mount shows from a root downwards.

    A container may know its group by the host's path, and see only what is below.
    """
    if path == root or path.startswith(f'{root.rstrip("/")}/'):
        return mount / path[len(root) :].lstrip('/')
    return mount


def _mount(mounts: str, kind: str, controller: str) -> tuple[Path, str] | None:
    for line in mounts.splitlines():
        left, _, right = line.partition(' - ')
        if right.split()[:1] == [kind] and (
            not controller or controller in right.split()[-1].split(',')
        ):
            _, _, _, root, point = left.split()[:5]
            return Path(point), root
    return None


class GroupClock(TreeClock):
    """CPU seconds of this process and all that it starts, by a group of its own.

    Parameters
    ----------
    adopt : bool
        As for :class:`~nicarbon.cputime.TreeClock`; processes that are there already
        are not moved, so they never count.

    Raises
    ------
    UnavailableError
        Where no group may be made.
    """

    def __init__(self, *, adopt: bool = False) -> None:
        found = own_group()
        if found is None:
            raise UnavailableError('no control groups (cgroup v2, or cpuacct of v1) here')
        self._home, counter = found
        self._group = self._home / f'nicarbon-{os.getpid()}-{next(_numbers)}'
        self._counter = self._group / counter
        try:
            self._group.mkdir()
            _move(os.getpid(), self._group)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._group.rmdir()
            raise UnavailableError(
                f'no control group can be made in {self._home} ({error.strerror}): run as root, '
                'or in a delegated one (systemd-run --user --scope -p Delegate=yes …)'
            ) from None
        super().__init__(adopt=adopt)
        self._before = self._used()

    @property
    def restless(self) -> bool:
        """Never: the group forgets nothing."""
        return False

    def seconds(self) -> float:
        """CPU seconds since the start; never falls."""
        super().seconds()  # Which processes there are.
        self._most = max(0.0, self._used() - self._before)
        return self._most

    def finish(self) -> float:
        """CPU seconds in the end; what still runs goes back where it came from."""
        super().finish()
        seconds = self.seconds()
        for pid in (self._group / 'cgroup.procs').read_text().split():
            with contextlib.suppress(OSError):
                _move(int(pid), self._home)
        with contextlib.suppress(OSError):
            self._group.rmdir()
        return seconds

    def _used(self) -> float:
        text = self._counter.read_text()
        if self._counter.name == 'cpu.stat':
            return int(text.split()[1]) / 1e6
        return int(text) / 1e9


def _move(pid: int, group: Path) -> None:
    (group / 'cgroup.procs').write_text(str(pid))
