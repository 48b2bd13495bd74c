"""The server that forks Nipype's workers: it starts while the program still imports Nipype."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ['start']


def start(preload: str, log: Path | None) -> None:
    """Start the server; what it and the workers print goes to a file.

    Forking this process, which has a watching thread and library thread pools,
    could deadlock the workers. They inherit the server's standard streams.

    Parameters
    ----------
    preload : str
        Module that it imports, at once and beside this process.
    log : pathlib.Path or None
        None for this process' own streams.
    """
    from multiprocessing import forkserver, set_forkserver_preload

    set_forkserver_preload([preload])
    if log is None:
        forkserver.ensure_running()
        return
    sys.stdout.flush()
    saved = os.dup(1), os.dup(2)
    with log.open('ab') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            forkserver.ensure_running()
        finally:
            for number, copy in enumerate(saved, 1):
                os.dup2(copy, number)
                os.close(copy)
