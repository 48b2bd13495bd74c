"""Work that takes a known amount of CPU time, in all the ways a pipeline does it.

Every load returns when its last process has ended. Standard library only: rivals run
it from virtual environments of their own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

BURN = 'import time\nend = time.process_time() + {0}\nwhile time.process_time() < end: pass'
FORGETFUL = (
    'import signal, subprocess, sys\n'
    'signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n'
    'for _ in range(4):\n'
    '    subprocess.Popen([sys.executable, "-ISc", {0!r}]).wait()\n'
)
EXECS = 'import os, sys\n{0}\nos.execv(sys.executable, [sys.executable, "-ISc", {0!r}])'


def child_command(seconds: float) -> list[str]:
    """A command that burns that many CPU seconds."""
    return _python(BURN.format(seconds))


def burn(seconds: float) -> None:
    """Keep this thread busy for that many CPU seconds, without holding Python's lock."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.pbkdf2_hmac('sha256', b'', b'', 10_000)


def _python(code: str) -> list[str]:
    return [sys.executable, '-ISc', code]


def _children(number: int, seconds: float) -> None:
    for _ in range(number):
        subprocess.run(child_command(seconds), check=True)


def _true() -> None:
    for _ in range(300):
        subprocess.run(['/bin/true'], check=True)


def _orphan(seconds: float, *prefix: str) -> None:
    """A process whose parent ends at once; wait for it by a pipe that it inherits."""
    receive, send = os.pipe()
    command = [*prefix, *child_command(seconds)]
    subprocess.run(['/bin/sh', '-c', '"$@" &', 'sh', *command], check=True, pass_fds=[send])
    os.close(send)
    os.read(receive, 1)
    os.close(receive)
    time.sleep(0.01)


def _threads(seconds: float) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(burn, [seconds / 2] * 2))


LOADS: dict[str, Callable[[], None]] = {
    'in process': lambda: burn(4.0),
    'one long child': lambda: _children(1, 4.0),
    '3 × 1.5 s': lambda: _children(3, 1.5),
    '20 × 0.2 s': lambda: _children(20, 0.2),
    '300 × /bin/true': _true,
    'orphan': lambda: _orphan(3.0),
    'setsid orphan': lambda: _orphan(3.0, 'setsid'),
    'parent ignores SIGCHLD': lambda: _run(_python(FORGETFUL.format(BURN.format(1.0)))),
    'threads': lambda: _threads(4.0),
    'child that execs': lambda: _run(_python(EXECS.format(BURN.format(1.5)))),
}
"""By name; the first is what the others are compared with where a tool shows no seconds."""


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)
