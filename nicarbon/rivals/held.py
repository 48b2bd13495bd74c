"""A process that does what it is told, line by line, and is gone when it should be."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ['Ended', 'Held', 'HeldError', 'streams']

FIRST_SPARE = 64
"""File descriptors from here on are handed to a process, out of the way of the three."""

MOST_LINE = 1_000_000
"""Bytes of an answer; what is longer is none."""


class HeldError(Exception):
    """Why a process cannot go on; the message is what its row says."""


class Ended(NamedTuple):
    """How a process ended, and the CPU seconds of it and of all that it waited for."""

    status: int
    cpu_seconds: float
    killed: bool


class Held:
    """A process with a pipe for commands and one for answers.

    Parameters
    ----------
    make : callable
        Returns the command line, from the numbers of both pipes.
    log : pathlib.Path or None
        Gets all that it prints; None leaves it the streams of this process.
    environ : mapping
    mask : frozenset of int
        Signals that it is to block.
    idle : callable
        Waits a moment, while it is waited for; may raise, to wait no more.

    Raises
    ------
    HeldError
        When it cannot be started.
    """

    def __init__(
        self,
        make: Callable[[list[int]], Sequence[str]],
        log: Path | None,
        environ: Mapping[str, str],
        mask: frozenset[int],
        idle: Callable[[], object] = lambda: time.sleep(0.01),
    ) -> None:
        self.log, self._idle, self._rest = log, idle, b''
        self._lines: deque[bytes] = deque()
        self.began = time.monotonic()
        self._own_group = log is not None
        commands, self._send = os.pipe()
        self._receive, answers = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, FIRST_SPARE) for end in (commands, answers)]
        try:
            words = [str(word) for word in make(ends)]
            self.pid = os.posix_spawn(
                words[0], words, dict(environ), file_actions=_to(log), setsigmask=mask,
                setpgroup=0 if self._own_group else os.getpgrp(),
            )  # fmt: skip
        except OSError as error:
            for end in (self._send, self._receive):
                os.close(end)
            raise HeldError(f'cannot be started: {error.strerror}') from None
        finally:
            for end in (commands, answers, *ends):
                os.close(end)

    def tell(self, do: str, **more: Any) -> None:
        """Give a command; one that is gone is found out when it is listened to."""
        with contextlib.suppress(OSError):
            os.write(self._send, (json.dumps({'do': do, **more}) + '\n').encode())

    def hear(self, event: str, seconds: float | None) -> dict[str, Any]:
        """Wait for an answer; what is none is passed over.

        Parameters
        ----------
        event : str
        seconds : float or None
            Patience; None waits as long as it lives.

        Returns
        -------
        dict

        Raises
        ------
        HeldError
            When it says that it failed, ends, or is silent for too long.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self._read()
            while self._lines:
                answer = _answer(self._lines.popleft())
                if answer.get('event') == 'failed':
                    raise HeldError(f'fails to {answer.get("step")}: {answer.get("why")}')
                if answer.get('event') == event:
                    return answer
            if deadline is not None and time.monotonic() > deadline:
                raise HeldError(f'did not answer within {seconds:g} s ({event})')
            self._idle()

    def _read(self) -> None:
        """Take what has come; whole lines are kept until somebody listens."""
        if self._lines or not select.select([self._receive], [], [], 0)[0]:
            return
        data = os.read(self._receive, 65536)
        if not data:
            raise HeldError(self._why_gone())
        *lines, self._rest = (self._rest + data).split(b'\n')
        self._rest = self._rest[:MOST_LINE]
        self._lines.extend(lines)

    def _why_gone(self) -> str:
        said = ''
        with contextlib.suppress(OSError):
            text = self.log.read_text('utf-8', errors='replace') if self.log else ''
            said = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), '')
        return f'ended before it should: {said[:300]}' if said else 'ended before it should'

    def end(self, seconds: float) -> Ended:
        """Wait until it has ended, or make it; nothing that it started in its group stays.

        Parameters
        ----------
        seconds : float
            Patience.

        Returns
        -------
        Ended
        """
        deadline, killed = time.monotonic() + seconds, False
        while not _over(self.pid):
            if time.monotonic() > deadline:
                killed = True
                self._kill()
            time.sleep(0.01)
        self._kill()  # While its remains keep the number of the group.
        _, status, usage = os.wait4(self.pid, 0)
        for end in (self._send, self._receive):
            os.close(end)
        return Ended(status, usage.ru_utime + usage.ru_stime, killed)

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            if self._own_group:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)


def streams() -> list[int]:
    """Copies of this process's three streams that a new process inherits; to be closed."""
    copies = []
    for number in range(3):
        try:
            copies.append(fcntl.fcntl(number, fcntl.F_DUPFD, FIRST_SPARE))
        except OSError:  # It was closed.
            null = os.open(os.devnull, os.O_RDWR)
            copies.append(fcntl.fcntl(null, fcntl.F_DUPFD, FIRST_SPARE))
            os.close(null)
    return copies


def _over(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _to(log: Path | None) -> list[tuple[Any, ...]]:
    if log is None:
        return []
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]


def _answer(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
