"""Run a program and read what it prints while it runs, line by line, with the time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..readers.fastsurfer.output import Line

__all__ = ['follow']


def follow(
    words: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path | None,
    tell: Callable[[Line], object],
) -> int:
    """Run a program to its end.

    Parameters
    ----------
    words : sequence of str
        Program and arguments.
    environ : mapping
        All of its environment.
    cwd : pathlib.Path or None
        Folder to run it in; None for this one.
    tell : callable
        Called with each line of standard output and standard error, which are one stream.
        A progress bar that returns to the start of its line tells a line each time.

    Returns
    -------
    int
        Exit code; negative for a signal.

    Raises
    ------
    OSError
        When it cannot be started.
    """
    with subprocess.Popen(
        words,
        env=environ,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            tell(Line(time.monotonic(), text.rstrip('\n')))
    return process.returncode
