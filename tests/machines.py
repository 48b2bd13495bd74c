"""This machine, made to show counters that it does not have. Tests only.

A tree of counters takes the place of ``/sys/class/powercap`` in a mount namespace of its
own: the program under test looks where it always does, and nobody else sees it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import NICARBON

POWERCAP = Path(__file__).with_name('powercap.py')

MOUNT = 'mount -t tmpfs none /sys/class && mkdir /sys/class/powercap && mount --bind {tree} '
MOUNT += '/sys/class/powercap && '


def _may_unshare() -> bool:
    if os.geteuid() != 0:
        return False
    test = ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /sys/class']
    try:
        return subprocess.run(test, capture_output=True).returncode == 0
    except OSError:
        return False


namespaces = pytest.mark.skipif(not _may_unshare(), reason='needs root and mount namespaces')


@contextlib.contextmanager
def powercap(root: Path, *words: object) -> Iterator[Path]:
    """A tree of counters that follow the load of this machine."""
    ready = root.with_name(f'{root.name}-ready')
    root.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(POWERCAP), str(root), '--ready', str(ready), '--every', '0.02']
    with subprocess.Popen([*command, *map(str, words)], stdout=subprocess.DEVNULL) as program:
        try:
            deadline = time.monotonic() + 10.0
            while not ready.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield root
        finally:
            program.terminate()


def on_machine(tree: Path, *words: object, uid: int | None = None) -> list[str]:
    """The command that runs nicarbon where the tree is ``/sys/class/powercap``."""
    command = [NICARBON, *map(str, words)]
    if uid is not None:
        user = ['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups']
        command = [*user, '--bounding-set=-all', *command]
    script = MOUNT.format(tree=shlex.quote(str(tree))) + f'exec {shlex.join(command)}'
    return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script]


def children(pid: int) -> list[int]:
    """Processes that the main thread of a process has started."""
    text = Path(f'/proc/{pid}/task/{pid}/children').read_text()
    return [int(word) for word in text.split()]


def alive(pid: int) -> bool:
    """Whether a process runs; its remains do not."""
    try:
        return 'zombie' not in Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return False
