"""This machine, made to show counters that it does not have. Tests only.

A tree of counters takes the place of ``/sys/class/powercap``, and device files of GPUs
stand in ``/dev``, in a mount namespace of their own: the program under test looks where it
always does, and nobody else sees them.
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

GPUS = Path(__file__).with_name('gpu_machine')

MOUNT = 'mount -t tmpfs none /sys/class && mkdir /sys/class/powercap && mount --bind {tree} '
MOUNT += '/sys/class/powercap && '

DEVICES = """
mount -t tmpfs none {dev}
for name in null zero full random urandom tty; do
  touch {dev}/$name; mount --bind /dev/$name {dev}/$name
done
mkdir {dev}/shm; mount --bind /dev/shm {dev}/shm
for number in 0 1 2; do ln -s /proc/self/fd/$number {dev}/$number; done
ln -s /proc/self/fd {dev}/fd
touch {dev}/nvidiactl {dev}/nvidia-uvm {dev}/nvidia0 {dev}/nvidia1
mount --rbind {dev} /dev
"""
"""A /dev in which there are the files of two GPUs."""


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


@contextlib.contextmanager
def gpu_driver(state: Path, boards: int = 1) -> Iterator[Path]:
    """Boards that count energy by who holds them; see ``gpu_machine/driver.py``."""
    command = [sys.executable, str(GPUS / 'driver.py'), str(state), '--boards', str(boards)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as program:
        try:
            deadline = time.monotonic() + 10.0
            while not (state / 'ready').exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield state
        finally:
            program.terminate()


def with_gpus(state: Path, *words: object) -> list[str]:
    """The command that runs nicarbon where the boards of a driver are its GPUs."""
    dev = state / 'dev'
    dev.mkdir(exist_ok=True)
    path = os.pathsep.join(filter(None, [str(GPUS), os.environ.get('PYTHONPATH', '')]))
    variables = [f'GPU_MACHINE={state}', f'PYTHONPATH={path}']
    script = 'set -e' + DEVICES.format(dev=shlex.quote(str(dev)))
    script += f'exec env {shlex.join([*variables, NICARBON, *map(str, words)])}'
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
