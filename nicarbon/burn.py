"""Child processes that keep cores busy, and never outlive who started them.

What they do is half interpreter, half arithmetic on arrays that do not fit the
caches next to a core: the ordinary code of a pipeline, not the worst that a CPU can
be made to draw.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

__all__ = ['burning']

_PROGRAM = """\
import select, sys
import numpy
a = numpy.linspace(0.0, 1.0, 500_000)
b = a + 1.0
print('ready', flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    sum(range(200_000))
    for _ in range(5):
        numpy.multiply(a, b, out=b)
        numpy.add(a, 1.0, out=b)
"""
"""Ends when its standard input does, which the kernel closes whatever way the parent
ends; looks every few milliseconds."""


@contextlib.contextmanager
def burning(cores: int) -> Iterator[None]:
    """Keep some cores busy for a while.

    Parameters
    ----------
    cores : int
        As many children, one thread each; they burn when the context is entered, and
        have ended when it is left.

    Examples
    --------
    >>> with burning(1):
    ...     pass
    """
    burners: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(cores):
            burners.append(_start())  # noqa: PERF401 - what was started is known if one fails
        for burner in burners:
            if burner.stdout is None or not burner.stdout.readline():
                raise ChildProcessError('a program that keeps a core busy could not start')
        yield
    finally:
        for burner in burners:
            burner.kill()
        for burner in burners:
            with burner:
                pass


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, '-c', _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Libraries may start one thread per core when they are imported.
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'},
        start_new_session=True,  # Ctrl-C is for the command, which ends its burners.
    )
