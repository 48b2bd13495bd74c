"""Signals that come while others work: to be handed on, or to end it all."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from ..command import FORWARDED

__all__ = ['Interrupted', 'Signals']

ENDING = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
"""Signals that ask this program to end."""

STEP_SECONDS = 0.01
"""Between two looks at what a process answers."""


class Interrupted(Exception):  # noqa: N818 - no error
    """Somebody wants this program to end, while no program of theirs runs to be told."""


class Signals:
    """Signals that came in, which this program's main thread blocks.

    Attributes
    ----------
    target : int or None
        The process to which they are handed on; without, those that end this program do.
    waiting : bool
        Whether the target is about to be known: signals are kept until it is.
    caught : int
        The last one that asked for an end; 0 if none did.
    """

    def __init__(self) -> None:
        self.target: int | None = None
        self.waiting = False
        self.caught = 0
        self._astray: list[int] = []

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Inside, a signal that a thread of some library gets in our place is no loss."""
        before = {number: signal.signal(number, self._stray) for number in ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __call__(self) -> None:
        """Wait a moment for some, and do what they ask for.

        Raises
        ------
        Interrupted
            When this program is to end, and there is nobody to hand that on to.
        """
        if self.waiting:
            time.sleep(STEP_SECONDS)
            return
        found = signal.sigtimedwait(FORWARDED, STEP_SECONDS)
        # What the terminal sends (from the kernel, si_code > 0) the program has got itself.
        if found is not None:
            self._take(found.si_signo, found.si_code <= 0)
        while self._astray:
            self._take(self._astray.pop(), not os.isatty(0))

    def _stray(self, number: int, _frame: object) -> None:
        self._astray.append(number)

    def _take(self, number: int, to_us_alone: bool) -> None:  # noqa: FBT001 - one caller each
        if number in ENDING:
            self.caught = number
        if self.target is None:
            if self.caught:
                raise Interrupted
        elif to_us_alone:
            with contextlib.suppress(OSError):
                os.kill(self.target, number)
