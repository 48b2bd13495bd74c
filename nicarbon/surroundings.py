"""What surrounds a process: cgroup, GPUs, clock, other programs.

Small looks at files of the kernel; nothing here is asked while a node is measured.
"""

from __future__ import annotations

import ctypes
import os
import stat
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .calibration import quiet_cores
from .cgroup import own_group
from .host import busy_seconds, slept_seconds
from .kernel import text

__all__ = ['Clock', 'Gpu', 'Load', 'access', 'cgroup', 'clock', 'gpus', 'load']

LOAD_SECONDS = 0.4
"""How long to look at what other programs do."""

_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
_VENDORS = {'0x1002': 'AMD', '0x8086': 'Intel', '0x10de': 'NVIDIA'}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that this machine shows; its counters are among the counters."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Load:
    """What other programs keep busy."""

    seconds: float
    busy_cores: float | None
    quiet_cores: float
    quiet: bool | None


@dataclass(frozen=True, slots=True)
class Clock:
    """What time is told by."""

    utc: str
    synchronised: bool | None
    source: str | None
    resolution_seconds: float
    suspended_seconds: float


def gpus(root: Path = Path('/')) -> tuple[Gpu, ...]:
    """GPUs by what their drivers show; no library is asked."""
    found: dict[str, str] = {}
    for card in sorted((root / 'sys/class/drm').glob('card[0-9]*')):
        vendor = _VENDORS.get(text(card / 'device/vendor'))
        if vendor:
            found.setdefault((card / 'device').resolve().name, f'{vendor} GPU')
    for card in sorted((root / 'proc/driver/nvidia/gpus').glob('*')):
        lines = text(card / 'information').splitlines()
        model = (line.partition(':')[2].strip() for line in lines if line.startswith('Model'))
        found[card.name] = next(model, 'NVIDIA GPU')
    return tuple(Gpu(name, address) for address, name in found.items())


def access(path: Path) -> tuple[str, str, str] | None:
    """Owner, mode and readers of a file.

    Returns
    -------
    tuple of str or None
        ``root:root``, ``-r--------`` and ``root``, say; None when there is no such file.
    """
    try:
        about = path.stat()
    except OSError:
        return None
    owner = f'{_user(about.st_uid)}:{_group(about.st_gid)}'
    return owner, stat.filemode(about.st_mode), _readers(about)


def _readers(about: os.stat_result) -> str:
    """Who may read a file, by its mode."""
    if about.st_mode & stat.S_IROTH:
        return 'everybody'
    users = [_user(about.st_uid)] if about.st_mode & stat.S_IRUSR else []
    if about.st_uid:
        users.insert(0, 'root')
    elif not users:
        users = ['root']  # Permissions are not for root.
    if about.st_mode & stat.S_IRGRP and about.st_gid:
        users.append(f'group {_group(about.st_gid)}')
    return ', '.join(users)


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def cgroup(root: Path = Path('/')) -> tuple[int | None, str | None, bool]:
    """Version, file that counts CPU time of this process's group, and whether it is ours."""
    group = own_group(text(root / 'proc/self/cgroup'), text(root / 'proc/self/mountinfo'))
    if group is None:
        return None, None, False
    version = 2 if group[1] == 'cpu.stat' else 1
    folder = root / group[0].relative_to('/')
    path = folder / group[1]
    if not (path.is_file() and os.access(path, os.R_OK)):
        return version, None, False
    return version, str(path), os.access(folder, os.W_OK)


def load(cores: int) -> Load:
    """Busy cores, without this process."""
    begin, own, busy = time.monotonic(), time.process_time(), busy_seconds()
    time.sleep(LOAD_SECONDS)
    seconds = time.monotonic() - begin
    after, limit = busy_seconds(), quiet_cores(cores)
    if busy is None or after is None:
        return Load(seconds, None, limit, None)
    others = max(0.0, after - busy - (time.process_time() - own)) / seconds
    return Load(round(seconds, 3), round(others, 2), limit, others <= limit)


def clock() -> Clock:
    """Time, and who keeps it."""
    source = text(Path('/sys/devices/system/clocksource/clocksource0/current_clocksource'))
    return Clock(
        utc=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        synchronised=_synchronised(),
        source=source or None,
        resolution_seconds=time.get_clock_info('monotonic').resolution,
        suspended_seconds=round(max(0.0, slept_seconds()), 1),
    )


def _synchronised() -> bool | None:
    """Whether the kernel believes its clock to be set by a server; asked, never set."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED
