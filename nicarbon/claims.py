"""What another tracker charged, beside what each policy charges on the same seconds.

A reader keeps what a tracker charged itself (:attr:`nicarbon.readers.Told.claims`), over the
windows in which it saw the host. Only what was seen then is compared, so that nothing but the
rule differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .entry import Entry, Window
from .series import part_of
from .share import Policy, share

__all__ = ['Comparison', 'against']


@dataclass(frozen=True, slots=True)
class Comparison:
    """Joules for the same work, by trackers and by policies.

    Parameters
    ----------
    seconds : float
        In which the host was seen.
    claims : dict of {str : float}
        Joules that each tracker charged.
    policies : dict of {str : float}
        Joules that each policy charges.
    u_rel : float
        Multiplicative uncertainty at 95 % of the ``reserved`` joules in those seconds: of the
        counter and of idle power. What was not seen is in neither, and widens nothing here.
    """

    seconds: float
    claims: dict[str, float]
    policies: dict[Policy, float]
    u_rel: float

    @property
    def watts(self) -> dict[str, float]:
        """Mean power, in watts, by trackers and by policies; empty where nothing was seen."""
        if not self.seconds:
            return {}
        both = (*self.claims.items(), *self.policies.items())
        return {name: joules / self.seconds for name, joules in both}


def against(
    entries: Iterable[Entry], claims: Mapping[str, float], idle_watts: float | None = None
) -> Comparison:
    """Lay what trackers charged beside what each policy charges.

    Parameters
    ----------
    entries : iterable of Entry
        Of one source.
    claims : mapping of {str : float}
        Joules by tracker, over the seconds in which the entries saw the host.
    idle_watts : float, optional
        Idle power of the host's CPUs, where it is known better than from the log.

    Returns
    -------
    Comparison

    Examples
    --------
    A host that draws 80 W, 70 of them idle, with one of 40 cores busy. Share-of-active charges
    all of it to whoever computes.

    >>> from nicarbon.entry import Entry, Reading, Window
    >>> cpu = Reading('cpu', 160.0, 50.0, 'rapl:x', 'measured', 'host', 1.08)
    >>> window = Window(0.0, 4.0, 4.0, 4.0, (160.0,), (), (2.0,))
    >>> one = Entry('x-0-0-1', 'node', '', '', '', '', 'n', '', '', 'x', 0,
    ...             '2026-01-01T00:00:00+00:00', 4.0, 4.0, 4.0, 40, 1.0, None, (cpu,), (window,),
    ...             'ran')
    >>> both = against([one], {'a tracker': 160.0}, idle_watts=70.0)
    >>> both.seconds, both.watts
    (2.0, {'a tracker': 80.0, 'reserved': 11.75, 'dynamic': 10.0, 'active': 80.0,
           'exclusive': 80.0})
    >>> against([], {}).watts
    {}
    """
    kept = [entry if idle_watts is None else _idle(entry, idle_watts) for entry in entries]
    seconds = sum(_seen(entry) for entry in kept)
    shares = share(_whole(entry) for entry in kept).shares
    policies: dict[Policy, float] = {}
    least = most = 0.0
    for one in shares:
        for policy, joules in one.joules.items():
            policies[policy] = policies.get(policy, 0.0) + joules
        least += one.joules['reserved'] / one.u_rel
        most += one.joules['reserved'] * one.u_rel
    u_rel = (most / least) ** 0.5 if least > 0 else 1.0
    return Comparison(seconds, dict(claims), policies, u_rel)


def _idle(entry: Entry, watts: float) -> Entry:
    return entry._replace(
        readings=tuple(
            one._replace(idle_watts=watts, idle_u_rel=1.0)
            if (one.component, one.scope) == ('cpu', 'host')
            else one
            for one in entry.readings
        )
    )


def _seen(entry: Entry) -> float:
    """Seconds of the component that was seen the longest."""
    indices = range(len(entry.readings))
    return max((sum(w.seen(i) for w in entry.windows) for i in indices), default=0.0)


def _whole(entry: Entry) -> Entry:
    """As if there had been only the seconds that were seen: no gap widens the interval."""
    windows = []
    for window in entry.windows:
        seen = max((window.seen(index) for index in range(len(entry.readings))), default=0.0)
        if seen > 0:
            windows.append(_cut(window, seen / window.seconds))
    return entry._replace(windows=tuple(windows))


def _cut(window: Window, part: float) -> Window:
    """The part of a window that was seen, with all its joules."""
    busy = window.host_cpu_seconds
    return window._replace(
        seconds=window.seconds * part,
        cpu_seconds=window.cpu_seconds * part,
        host_cpu_seconds=None if busy is None else busy * part,
        uses=tuple(use and part_of(use, part) for use in window.uses),
    )
