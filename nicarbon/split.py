"""One timeline of a host, split window by window among what ran on it.

Each window's joules are charged once, whatever number of runs overlap there; every run
keeps its own book of where the joules of its time went.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, get_args

from .account import combine
from .charge import Charge, Stake, charge, held, holds, is_gpu, stake
from .complete import completed, refined
from .entry import Entry, Reading, Window
from .gpu import HeldTally
from .overhead import descendants, nested, overheads
from .timeline import together, weaker

__all__ = ['FARTHEST', 'POLICIES', 'Book', 'Policy', 'Tally', 'mean', 'split']

Policy = Literal['reserved', 'dynamic', 'active', 'exclusive']

POLICIES: tuple[Policy, ...] = get_args(Policy)
"""The policies, the default first."""

FARTHEST = 10.0
"""How far down idle power widens an interval, which cannot reach zero."""


class Tally:
    """Joules of one node, added up window by window."""

    __slots__ = ('components', 'ends', 'held', 'idle', 'joules', 'readings', 'seconds', 'seen')

    def __init__(self) -> None:
        self.joules: dict[Policy, float] = dict.fromkeys(POLICIES, 0.0)
        self.components: dict[str, float] = {}
        self.idle: dict[str, float] = {}
        self.readings: dict[str, Reading] = {}
        self.seen: Counter[str] = Counter()
        self.ends: dict[str, tuple[float, float]] = {}
        self.held = HeldTally()
        self.seconds = 0.0

    def begin(self, one: Stake) -> None:
        """A window begins in which the node had this stake."""
        self.seconds += one.seconds
        self.held.begin(one)

    def add(self, reading: Reading, joules: Charge, seconds: float, one: Stake) -> None:
        """What one component is charged in one window, in so many seconds seen."""
        self.held.add(reading.component, joules, one)
        name, reserved = reading.component, joules.idle + joules.dynamic
        self.joules['reserved'] += reserved
        self.joules['dynamic'] += joules.dynamic
        self.joules['active'] += joules.active
        self.joules['exclusive'] += joules.exclusive
        self.components[name] = self.components.get(name, 0.0) + reserved
        self.idle[name] = self.idle.get(name, 0.0) + joules.idle
        self.readings[name] = weaker(self.readings.get(name, reading), reading)
        self.seen[name] += seconds  # type: ignore[assignment]
        low, high = self.ends.get(name, (0.0, 0.0))
        self.ends[name] = low + joules.low, high + joules.high

    @property
    def u_rel(self) -> dict[str, float]:
        """Multiplicative uncertainty by component: of its counter, of idle power, of gaps."""
        return {
            name: combine(reading.u_rel, _reach(self.components[name], *self.ends[name]))
            * _widening(self.seen[name], self.seconds)
            for name, reading in self.readings.items()
        }


def _reach(joules: float, low: float, high: float) -> float:
    """The factor that reaches from a value to both ends; no further down than a tenth."""
    if joules <= 0:
        return 1.0
    return max(1.0, high / joules, joules / max(low, joules / FARTHEST))


def _widening(seen: float, seconds: float) -> float:
    """What was not seen may have been as much, and is not filled in: the interval says so."""
    return max(1.0, seconds / seen) if seen > 0 else 1.0


class Book:
    """Where the joules of a host went in the time of one run.

    Parameters
    ----------
    run : Entry
    """

    __slots__ = (
        'by_subject', 'components', 'nodes', 'others', 'overhead', 'readings', 'run', 'seconds',
        'seen',
    )  # fmt: skip

    def __init__(self, run: Entry) -> None:
        self.run = run
        self.components: Counter[str] = Counter()
        self.readings: dict[str, Reading] = {}
        self.by_subject: dict[str, float] = defaultdict(float)
        self.nodes = self.overhead = self.others = self.seconds = 0.0
        self.seen: Counter[str] = Counter()

    def add(self, page: _Page, seconds: float) -> None:
        """One window in which the run was there."""
        name = self.run.run_id
        self.seconds += seconds
        for component, part in page.seen.items():
            self.seen[component] += part  # type: ignore[assignment]
        for reading, joules in page.host:
            self.components[reading.component] += joules  # type: ignore[assignment]
            before = self.readings.get(reading.component, reading)
            self.readings[reading.component] = weaker(before, reading)
        for subject, joules in page.nodes.get(name, {}).items():
            self.by_subject[subject] += joules
            self.nodes += joules
        self.overhead += page.overhead.get(name, 0.0)
        # Not the difference to a sum: alone on its host, a run has none at all.
        self.others += sum(
            sum(joules.values()) for other, joules in page.nodes.items() if other != name
        ) + sum(joules for other, joules in page.overhead.items() if other != name)

    @property
    def u_rel(self) -> dict[str, float]:
        """Multiplicative uncertainty by component."""
        return {
            name: reading.u_rel * _widening(self.seen[name], self.seconds)
            for name, reading in self.readings.items()
        }


class _Page:
    """Joules of one window: of the host, by run and subject, and of the programs."""

    __slots__ = ('host', 'nodes', 'overhead', 'seen')

    def __init__(self) -> None:
        self.host: list[tuple[Reading, float]] = []
        self.nodes: dict[str, dict[str, float]] = {}
        self.overhead: dict[str, float] = {}
        self.seen: dict[str, float] = {}

    def charge_node(self, node: Entry, joules: float) -> None:
        own = self.nodes.setdefault(node.run_id, {})
        own[node.subject] = own.get(node.subject, 0.0) + joules

    def charge_run(self, run_id: str, joules: float) -> None:
        self.overhead[run_id] = self.overhead.get(run_id, 0.0) + joules


def mean(u_rel: Mapping[str, float], joules: Mapping[str, float]) -> float:
    """Weighted by joules: no narrower than a sum of bounds that err together.

    Parameters
    ----------
    u_rel, joules : mapping of {str : float}
        By component.

    Returns
    -------
    float
    """
    total = sum(joules[name] for name in u_rel)
    if total <= 0:
        return max(u_rel.values(), default=1.0)
    return max(1.0, sum(u * joules[name] for name, u in u_rel.items()) / total)


def split(
    runs: Sequence[Entry], nodes: Sequence[Entry], tallies: Mapping[str, Tally]
) -> list[Book]:
    """Share one timeline among the nodes that ran on it.

    Parameters
    ----------
    runs : sequence of Entry
        Those that overlap; with none, the timeline is what the nodes saw together.
    nodes : sequence of Entry
        With windows, on one machine in one boot.
    tallies : mapping of {str : Tally}
        By the nodes' ids; they are added to.

    Returns
    -------
    list of Book
        One for each run.
    """
    if runs:
        # What they saw together is made finer as one, so that its sums stay; and each of them,
        # so that its own CPU seconds fall when its nodes used them.
        (fine,) = refined([together(runs)], nodes)
        timeline, runs = completed(fine, nodes), refined(runs, nodes)
    else:
        timeline = together(nodes)
    beside, inside = _stakes(timeline.windows, runs), _stakes(timeline.windows, nodes)
    inner = nested(runs)
    within = descendants(beside, inside)
    own = [
        overheads(timeline, index, beside, within, inner)
        for index in range(len(timeline.readings))
    ]
    books = {run.entry_id: Book(run) for run in runs}
    for number, window in enumerate(timeline.windows):
        page = _Page()
        for index, reading in enumerate(timeline.readings):
            if reading.scope == 'host' and window.joules[index] is not None:
                seconds = own[index][number]
                _add_host(timeline, window, index, inside[number], seconds, page, tallies)
                page.seen[reading.component] = window.seen(index)
        _add_own(beside[number], inside[number], inner, page, tallies)
        for one in beside[number]:
            books[one.node.entry_id].add(page, window.seconds)
        for one in inside[number]:
            tallies[one.node.entry_id].begin(one)
    return list(books.values())


def _add_host(
    timeline: Entry,
    window: Window,
    index: int,
    inside: Sequence[Stake],
    seconds: Mapping[str, float],
    page: _Page,
    tallies: Mapping[str, Tally],
) -> None:
    """Split what was seen of the whole host, less what is known to be some node's own."""
    reading, busy = timeline.readings[index], window.host_cpu_seconds
    left = window.joules[index] or 0.0
    apart = [one for one in inside if reading.component in one.own]
    others = [one for one in inside if reading.component not in one.own]
    left = max(0.0, left - sum(one.own[reading.component] for one in apart))
    if busy is not None:
        busy = max(0.0, busy - sum(one.cpu_seconds for one in apart))
    joules = (*window.joules[:index], left, *window.joules[index + 1 :])
    rest = window._replace(host_cpu_seconds=busy, joules=joules) if apart else window
    whole = sum(seconds.values())
    charges, overhead = charge(timeline, rest, index, others, whole)
    page.host.append((reading, left))
    for run_id, part in seconds.items():
        page.charge_run(run_id, overhead * part / whole)
    if is_gpu(reading.component):
        for one, part in zip(others, holds(rest, index, reading.component, others), strict=True):
            tally = tallies[one.node.entry_id]
            tally.held.hold(one, reading.component, part * rest.seen(index))
    for one, charged in zip(others, charges, strict=True):
        if charged is not None:
            seen = one.seconds * window.seen(index) / window.seconds
            tallies[one.node.entry_id].add(reading, charged, seen, one)
            page.charge_node(one.node, charged.idle + charged.dynamic)


def _add_own(
    beside: Iterable[Stake],
    inside: Sequence[Stake],
    inner: Mapping[str, set[str]],
    page: _Page,
    tallies: Mapping[str, Tally],
) -> None:
    """Joules that are known to be one entry's own; a run's hold those of its nodes."""
    known: dict[tuple[str, str], float] = defaultdict(float)
    for one in inside:
        for reading in one.node.readings:
            if reading.scope == 'own' and reading.component in one.own:
                joules = one.own[reading.component]
                known[one.node.run_id, reading.component] += joules
                page.host.append((reading, joules))
                page.charge_node(one.node, joules)
                idle = min(joules, (reading.idle_watts or 0.0) * one.seconds)
                whole = Charge(idle, joules - idle, *[joules] * 4)
                tallies[one.node.entry_id].add(reading, whole, one.seconds, one)
    runs = {one.node.run_id: one for one in beside}
    for run_id, one in runs.items():
        for reading in one.node.readings:
            name = reading.component
            if reading.scope == 'own' and name in one.own:
                held_ = [runs[other] for other in inner.get(run_id, ()) if other in runs]
                deeper = sum(other.own.get(name, 0.0) for other in held_)
                rest = max(0.0, one.own[name] - known[run_id, name] - deeper)
                page.host.append((reading, rest))
                page.charge_run(run_id, rest)


def _stakes(timeline: Sequence[Window], entries: Sequence[Entry]) -> list[list[Stake]]:
    """What each entry used in each window of the timeline; rates are even in a window."""
    stakes: list[list[Stake]] = [[] for _ in timeline]
    for entry in entries:
        if not entry.windows:
            continue
        first, holds = _at(timeline, entry.windows[0].start), held(entry)
        for number in range(first, len(timeline)):
            window = timeline[number]
            if window.start >= entry.windows[-1].stop:
                break
            series = islice(entry.windows, _at(entry.windows, window.start), None)
            one = stake(entry, window, series, holds)
            if one is not None:
                stakes[number].append(one)
    return stakes


def _at(series: Sequence[Window], moment: float) -> int:
    """Index of the window that holds a moment (the first one if it is before all)."""
    return max(0, bisect_right(series, moment, key=lambda window: window.start) - 1)
