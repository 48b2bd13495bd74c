"""The program that holds one other tracker, in that tracker's own environment.

It stands alone (Python's own library, nothing of nicarbon, which is not installed there)
and is told by its path, as the file of the tracker is::

    python -I beside.py TRACKER.py '{"folder": …, "control": [3, 4], …}'

Commands come as lines through one pipe (``start``, ``run``, ``stop``), answers go as lines
of JSON through another: what the tracker prints goes to standard error, wherever it meant
it to go, and is in nobody's way. When whoever started it is gone, it is gone too, with all
that the tracker has started.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import queue
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def load(path: str | Path) -> ModuleType:
    """A module by its file: beside it lie others whose names are those of packages."""
    spec = importlib.util.spec_from_file_location(f'rival_{Path(path).stem}', path)
    if spec is None or spec.loader is None:
        raise ImportError(f'{path} is no module')
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def cpu_seconds() -> float:
    """CPU time of this process and of the children that it has waited for."""
    usages = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Control:
    """The two pipes to whoever started this; at the end of the one, all ends.

    Parameters
    ----------
    receive, send : int
        File descriptors. No program that is run here gets them.
    outlives : bool
        Whether this process goes on when whoever started it is gone.
    """

    def __init__(self, receive: int, send: int, *, outlives: bool = False) -> None:
        for end in (receive, send):
            os.set_inheritable(end, False)
        self._send, self._outlives = send, outlives
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._receive, args=(receive,), daemon=True).start()

    def say(self, event: str, **facts: Any) -> None:
        """Answer with a line."""
        line = json.dumps({'event': event, **facts}, default=str) + '\n'
        with contextlib.suppress(OSError):
            os.write(self._send, line.encode())

    def hear(self) -> dict[str, Any]:
        """Wait for the next command."""
        told: dict[str, Any] = json.loads(self._lines.get())
        return told

    def _receive(self, receive: int) -> None:
        with open(receive, encoding='utf-8') as lines:
            for line in lines:
                self._lines.put(line)
        if self._outlives:
            return
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(70)


def hold(tracker: Path, asked: dict[str, Any], control: Control) -> None:
    """Make the tracker, start it and stop it as the commands say; say what came of it."""
    step = 'start up'
    try:
        module = load(tracker)
        made = module.Tracker(Path(asked['folder']), **asked.get('tracker', {}))
        control.say('ready', version=_version(module), cpu_seconds=cpu_seconds())
        while True:
            command = control.hear()
            step = command['do']
            if step == 'start':
                made.start()
                begin, before = time.monotonic(), cpu_seconds()
                control.say('started', begin=begin, cpu_seconds=before)
            elif step == 'run':
                _run(command, asked['streams'], control)
            else:
                end, after = time.monotonic(), cpu_seconds()
                control.say(
                    'result', **made.stop(), begin=begin, end=end, meanwhile=after - before
                )
                return
    except BaseException as error:
        control.say('failed', step=step, why=_one_line(error))
        raise


def _run(command: dict[str, Any], streams: list[int], control: Control) -> None:
    """Run a program as a child of this process, on the streams of whoever asked for it."""
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(streams)]
    begin = time.monotonic()
    try:
        pid = os.posix_spawnp(
            command['words'][0],
            command['words'],
            command['environ'],
            file_actions=actions,
            # With the terminal, as if it had been started there.
            setpgroup=command['group'],
            setsigmask=command['mask'],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        control.say('running', pid=None)
        control.say('ended', code=None, why=error.strerror, begin=begin, end=begin, cpu_seconds=0)
        return
    control.say('running', pid=pid)
    _, status, usage = os.wait4(pid, 0)
    used = usage.ru_utime + usage.ru_stime
    code = os.waitstatus_to_exitcode(status)
    control.say('ended', code=code, begin=begin, end=time.monotonic(), cpu_seconds=used)


def _version(module: ModuleType) -> str:
    from importlib import metadata

    try:
        return metadata.version(module.DISTRIBUTION)
    except (AttributeError, metadata.PackageNotFoundError):
        return ''


def _one_line(error: BaseException) -> str:
    """Its kind and the first line of what it says."""
    text = next(iter(str(error).strip().splitlines()), '')[:300]
    return f'{type(error).__name__}: {text}' if text else type(error).__name__


def _die_with_parent() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Serve one tracker."""
    _die_with_parent()
    asked = json.loads(sys.argv[2])
    for stream in asked.get('streams', ()):
        os.set_inheritable(stream, False)
    hold(Path(sys.argv[1]), asked, Control(*asked['control']))


if __name__ == '__main__':
    main()
