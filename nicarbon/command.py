"""Run any command in the middle of things: nothing that it can see is changed.

Standard streams, the terminal, signals and the exit code pass through. Where markers
are asked for, what the command writes is read on its way, byte for byte.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError

__all__ = ['MARKERS', 'Markers', 'blocked_signals', 'end_as', 'run']

FORWARDED = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }
)
"""Signals that are handed on to the command. The terminal sends its own to both."""

MARKERS = {'freesurfer': r'#@# (.+?) +(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +\w+ '}
"""Regular expressions of markers that have a name. FreeSurfer's ``recon-all`` writes
``#@# Name date`` into its log as each stage begins."""

Mark = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Markers:
    """How to tell where a sub-stage begins.

    Parameters
    ----------
    pattern : re.Pattern of bytes
        A line that matches begins one; its first group, or else all that matches, is
        the name.
    log : pathlib.Path or None
        File to read; standard output when None.
    """

    pattern: re.Pattern[bytes]
    log: Path | None = None

    @classmethod
    def parse(cls, text: str, log: Path | None = None) -> Markers:
        """From a name of :data:`MARKERS` or a regular expression.

        Raises
        ------
        UsageError
            When it is no regular expression.

        Examples
        --------
        >>> Markers.parse('freesurfer').name(b'#@# Motion Cor Tue Feb  6 13:45:39 CET 2024')
        'Motion Cor'
        >>> Markers.parse('(')
        Traceback (most recent call last):
        ...
        nicarbon.errors.UsageError: --stage-markers '(' is no regular expression: ...
        """
        try:
            return cls(re.compile(MARKERS.get(text, text).encode()), log)
        except re.error as error:
            raise UsageError(
                f'--stage-markers {text!r} is no regular expression: {error}'
            ) from None

    def name(self, line: bytes) -> str | None:
        """Name of the sub-stage that a line begins; None if it begins none."""
        found = self.pattern.search(line)
        if found is None:
            return None
        name = next((group for group in found.groups() if group), found[0])
        return ' '.join(name.decode(errors='replace').split()) or None


@contextmanager
def blocked_signals() -> Iterator[frozenset[int]]:
    """Keep signals for :func:`run`, which hands them on; yields the mask as it was.

    Threads that are started meanwhile block them too.
    """
    wanted = FORWARDED | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    try:
        yield frozenset(int(number) for number in before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(
    words: Sequence[str],
    environ: Mapping[str, str],
    mask: frozenset[int],
    markers: Markers | None = None,
    mark: Mark = lambda _name: None,
) -> int:
    """Run a command to its end.

    Parameters
    ----------
    words : sequence of str
    environ : mapping
    mask : frozenset of int
        Signals that the command is to block, from :func:`blocked_signals`.
    markers : Markers, optional
    mark : callable
        Called with the name of each sub-stage as it begins.

    Returns
    -------
    int
        Exit code, or minus the number of the signal that ended it.

    Raises
    ------
    OSError
        When it cannot be started.
    """
    through = _Through() if markers and markers.log is None else None
    follower = _Follower(markers, mark) if markers and markers.log is not None else None
    actions = [(os.POSIX_SPAWN_DUP2, through.end, 1)] if through else []
    try:
        pid = os.posix_spawnp(
            words[0],
            list(words),
            dict(environ),
            file_actions=actions,
            setsigmask=mask,
            # Python ignores these two; programs expect them as the shell left them.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError:
        if follower:
            follower.join()
        raise
    finally:
        if through:
            os.close(through.end)
    if through and markers:
        through.start(markers, mark)
    status = _wait(pid)
    for reader in (through, follower):
        if reader:
            reader.join()
    return os.waitstatus_to_exitcode(status)


def end_as(code: int) -> int:
    """Exit code to return; if a signal ended the command, it ends this process too."""
    if code < 0 and -code != signal.SIGKILL:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    return code if code >= 0 else 128 - code


def _wait(pid: int) -> int:
    """Hand signals on to a child until it ends; return its wait status."""
    while True:
        status = _ended(pid)
        if status is not None:
            return status
        # Not for ever: another thread, of some library, may have taken the signal.
        caught = signal.sigtimedwait(FORWARDED | {signal.SIGCHLD}, 1.0)
        # What the terminal sends (from the kernel, si_code > 0) the child has got itself.
        if caught and caught.si_signo != signal.SIGCHLD and caught.si_code <= 0:
            os.kill(pid, caught.si_signo)


def _ended(pid: int) -> int | None:
    """The wait status of a child if it has ended; orphans that came home are buried."""
    while True:
        remains = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if remains is None:
            return None
        ended, status = os.waitpid(remains.si_pid, 0)
        if ended == pid:
            return status


class _Lines:
    """Bytes as they come, cut into lines, and markers found in them."""

    def __init__(self, markers: Markers, mark: Mark) -> None:
        self._markers, self._mark, self._rest = markers, mark, b''

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b'\n')
        self._rest = self._rest[-65536:]
        for line in lines:
            name = self._markers.name(line.rstrip(b'\r'))
            if name:
                self._mark(name)


class _Through:
    """Standard output on its way: from a terminal of our own if it goes to one."""

    def __init__(self) -> None:
        if os.isatty(1):
            self._source, self.end = pty.openpty()
            _like(1, self.end)
        else:
            self._source, self.end = os.pipe()

    def start(self, markers: Markers, mark: Mark) -> None:
        self._thread = threading.Thread(target=self._copy, args=(_Lines(markers, mark),))
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _copy(self, lines: _Lines) -> None:
        try:
            while data := os.read(self._source, 65536):
                lines.feed(data)
                while data:
                    data = data[os.write(1, data) :]
        except OSError:
            pass  # A terminal ends so; and if our reader is gone, the command learns it.
        finally:
            os.close(self._source)


def _like(terminal: int, other: int) -> None:
    """Give one terminal the size and modes of another; output is not to be changed twice."""
    size = fcntl.ioctl(terminal, termios.TIOCGWINSZ, b'\0' * 8)
    fcntl.ioctl(other, termios.TIOCSWINSZ, size)
    modes = termios.tcgetattr(other)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(other, termios.TCSANOW, modes)


class _Follower:
    """A log that grows, read as it does; what it holds already is skipped."""

    POLL_SECONDS = 0.1

    def __init__(self, markers: Markers, mark: Mark) -> None:
        self._lines = _Lines(markers, mark)
        self._path = markers.log or Path()
        self._stop = threading.Event()
        try:
            self._offset = self._path.stat().st_size
        except OSError:
            self._offset = 0
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def join(self) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        last = False
        while not last:
            last = self._stop.wait(self.POLL_SECONDS)
            self._read()

    def _read(self) -> None:
        try:
            with self._path.open('rb') as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset = 0  # It was begun anew.
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return  # Not there yet.
        self._offset += len(data)
        self._lines.feed(data)
