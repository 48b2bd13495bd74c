"""nicarbon's own process: it runs a program and measures it, as ``nicarbon exec`` does.

It is told what to do as those of the other trackers are, so that what it costs can be told
as theirs is.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .. import __version__, command, host
from ..errors import NicarbonError
from ..run import recording, watched
from ..watch import Label
from .beside import Control, cpu_seconds

__all__ = ['main', 'words']


def words(control: Sequence[int], cores: float, program: Sequence[str], folder: Path) -> list[str]:
    """The command line that starts this.

    Parameters
    ----------
    control : sequence of int
        Numbers of the two pipes.
    cores : float
        Cores that are kept for the program.
    program : sequence of str
        The program and its arguments.
    folder : pathlib.Path
        Its ledger goes there.

    Returns
    -------
    list of str
    """
    asked = {
        'control': list(control),
        'cores': cores,
        'words': list(program),
        'folder': str(folder),
    }
    # The folder of the program it is started for must not be looked into for packages.
    code = f'import sys; sys.path[:] = {sys.path!r}\nfrom {__name__} import main; main()'
    return [sys.executable, '-I', '-c', code, json.dumps(asked)]


def main() -> None:
    """Run a program when told to."""
    asked = json.loads(sys.argv[1])
    # Before there are other threads, which would take signals that are to be handed on.
    with command.blocked_signals() as mask:
        control = Control(*asked['control'], outlives=True)
        try:
            machine = host.cached()
            control.say('ready', version=__version__, cpu_seconds=cpu_seconds(), host=machine.name)
            control.hear()
            control.say('ended', **_run(asked, mask))
        except (NicarbonError, OSError) as error:
            control.say('failed', step='measure', why=f'{type(error).__name__}: {error}')


def _run(asked: dict[str, Any], mask: frozenset[int]) -> dict[str, Any]:
    program = asked['words']
    label = Label(
        kind='command',
        stage=Path(program[0]).name,
        node=' '.join(program),
        interface=Path(program[0]).name,
        reserved_cores=asked['cores'],
    )
    code, why = None, ''
    with ExitStack() as stack:
        run = stack.enter_context(recording(asked['folder']))
        watch = stack.enter_context(watched(label))
        begin, before, spent = time.monotonic(), _children(), cpu_seconds()
        try:
            code = command.run(program, os.environ, mask)
        except OSError as error:
            why = error.strerror or str(error)
        end, used = time.monotonic(), _children() - before
        if code and watch:
            text = f'exit code {code}' if code > 0 else f'ended by signal {-code}'
            watch.fail(text, 'killed' if code < 0 else 'failed')
    return {
        'code': code,
        'why': why,
        'begin': begin,
        'end': end,
        'cpu_seconds': used,
        'meanwhile': cpu_seconds() - spent - used,
        'ledger': str(run.ledger),
    }


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
