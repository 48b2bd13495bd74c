"""One thread per process that looks at all watches when it is time.

It is started by the first watch, and anew in a forked child. It sleeps when there is
nothing to watch. Starting a thread for each would cost more than all the rest of
watching a short node.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from typing import Protocol

__all__ = ['FIRST_GLANCE_SECONDS', 'Watched', 'add', 'remove']

FIRST_GLANCE_SECONDS = 0.05
"""First look at the tree of processes; then at twice, four times, … this."""

OFTEN_SECONDS = 0.025
"""Between looks where a process forgets what its children used: no more of each is lost."""

FIRST_WINDOW_SECONDS = 0.4
"""Steps of this length and longer end a window."""

IDLE_ROUNDS = 40
"""Rounds of that length without work after which the thread sleeps until it is woken."""

_log = logging.getLogger('nicarbon')


class Watched(Protocol):
    """What is looked at."""

    window_seconds: float

    @property
    def restless(self) -> bool:
        """Whether glances must be frequent."""
        ...

    def look(self) -> None:
        """End a window."""
        ...

    def glance(self) -> None:
        """See which processes there are."""
        ...


class _Plan:
    """When to look at a watch next."""

    def __init__(self, watch: Watched) -> None:
        now = time.monotonic()
        self._watch = watch
        self._step = FIRST_GLANCE_SECONDS
        self._window = now + watch.window_seconds
        self._glance = now + self._step

    @property
    def due(self) -> float:
        return min(self._window, self._glance)

    def act(self, now: float) -> None:
        if now >= self._window:
            self._watch.look()
            self._window = now + self._watch.window_seconds
        elif now >= self._glance:
            # The first seconds have windows of their own, ever longer ones, so that what
            # is killed early has left something.
            long = FIRST_WINDOW_SECONDS <= self._step < self._watch.window_seconds
            early = long and not self._watch.restless
            (self._watch.look if early else self._watch.glance)()
        else:
            return
        # Early glances find out soon whether often ones are needed.
        self._step = OFTEN_SECONDS if self._watch.restless else 2 * self._step
        self._glance = now + self._step


class _Sampler:
    """The thread and what it has to do."""

    _follows_forks = False

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._plans: dict[Watched, _Plan] = {}
        self._wakes = math.inf
        self._started = False

    def add(self, watch: Watched) -> None:
        plan = _Plan(watch)
        with self._changed:
            if not self._started:
                self._start()
            self._plans[watch] = plan
            # Waking the thread costs more than all the rest; mostly it wakes soon enough.
            if plan.due < self._wakes:
                self._changed.notify()

    def remove(self, watch: Watched) -> None:
        with self._changed:
            self._plans.pop(watch, None)

    def _start(self) -> None:
        self._started = True
        if not _Sampler._follows_forks:
            # A child has neither the thread nor, perhaps, a lock that is free.
            _Sampler._follows_forks = True
            os.register_at_fork(after_in_child=self.__init__)  # type: ignore[misc]
        try:
            threading.Thread(target=self._run, name='nicarbon-watch', daemon=True).start()
        except RuntimeError as error:
            _log.warning('no windows are kept, only totals: %s', error)

    def _run(self) -> None:
        idle = 0
        while True:
            with self._changed:
                idle = 0 if self._plans else idle + 1
                self._wakes = self._next(idle)
                wait = self._wakes - time.monotonic()
                if wait > 0:
                    self._changed.wait(None if math.isinf(wait) else wait)
                plans = list(self._plans.items())
            for watch, plan in plans:
                self._act(watch, plan)

    def _act(self, watch: Watched, plan: _Plan) -> None:
        try:
            plan.act(time.monotonic())
        except Exception as error:  # noqa: BLE001 - one watch must not end the others
            _log.warning('a watch is looked at no more: %s: %s', type(error).__name__, error)
            self.remove(watch)

    def _next(self, idle: int) -> float:
        """When to wake. Between short nodes it stays about, so that none has to wake it."""
        if self._plans:
            return min(plan.due for plan in self._plans.values())
        return time.monotonic() + FIRST_GLANCE_SECONDS if idle < IDLE_ROUNDS else math.inf


_sampler = _Sampler()


def add(watch: Watched) -> None:
    """Look at a watch from now on.

    Parameters
    ----------
    watch : Watched
    """
    _sampler.add(watch)


def remove(watch: Watched) -> None:
    """Look at it no more; does nothing if it was not looked at."""
    _sampler.remove(watch)
