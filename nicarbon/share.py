"""Attribution: what a host used, split among the nodes that ran on it.

In every window of the host's timeline, with the energy ΔE and the idle power P_idle
of its CPUs, a node's own CPU seconds C, the host's busy CPU seconds C_host and R of
N cores reserved, the policies charge the node

=============  ==========================================================
``reserved``   max(0, ΔE − P_idle·Δt) · C/C_host + P_idle·Δt · R/N
``dynamic``    max(0, ΔE − P_idle·Δt) · C/C_host
``active``     ΔE · C/C_host
``exclusive``  ΔE
=============  ==========================================================

Other components are split alike, by what is used and held of them: see
:mod:`nicarbon.charge`. Joules that a meter saw of one entry alone (its scope is
``own``) are that entry's by every policy.

``reserved`` is the default: it conserves energy and follows ISO/IEC 21031
(the SCI), by which energy includes hardware reserved and not only used. What
no node is charged goes to ``overhead`` (the program that ran the nodes: its
CPU seconds, no reservation) and to ``unattributed`` (idle cores, other
programs), so that Σ nodes + overhead + unattributed = host, always.

Everything here is a pure function of ledger entries.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, get_args

from .charge import Charge, Stake, charge, held, stake
from .entry import Entry, Reading, Tier, Window
from .series import leaves
from .timeline import clusters, leftover, together

__all__ = ['POLICIES', 'Balance', 'Policy', 'Share', 'Sharing', 'share']

Policy = Literal['reserved', 'dynamic', 'active', 'exclusive']

POLICIES: tuple[Policy, ...] = get_args(Policy)
"""The policies, the default first."""

_TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True, slots=True)
class Share:
    """What one entry is charged.

    Parameters
    ----------
    entry : Entry
    joules : dict of {str : float}
        Joules by policy, all components together.
    components : dict of {str : float}
        Joules by component under the ``reserved`` policy. A component that
        was not seen, or its part of which was not, is not there.
    tier : {'measured', 'modelled', 'assumed'} or None
        The weakest among the components; None when nothing was seen.
    u_rel : float
        Multiplicative uncertainty at 95 %: the mean over the components, weighted
        by their joules (they err together, so that nothing averages out).
    tiers : dict of {str : str}
        Tier by component.
    """

    entry: Entry
    joules: dict[Policy, float]
    components: dict[str, float]
    tier: Tier | None
    u_rel: float
    tiers: dict[str, Tier] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the energy of a host went while a run lasted.

    Parameters
    ----------
    run_id, host : str
    host_joules, nodes_joules, overhead_joules, unattributed_joules : float
        Joules under the ``reserved`` policy;
        host = nodes + overhead + unattributed.
    by_subject : dict of {str : float}
        Joules of ``nodes_joules`` by subject.
    u_rel : float
        Multiplicative uncertainty at 95 %, common to all of them: the mean over
        the components, weighted by the host's joules.
    """

    run_id: str
    host: str
    host_joules: float
    nodes_joules: float
    overhead_joules: float
    unattributed_joules: float
    by_subject: dict[str, float]
    u_rel: float = 1.0


@dataclass(frozen=True, slots=True)
class Sharing:
    """The shares of all nodes, and the balance of every run that they belong to."""

    shares: tuple[Share, ...]
    balances: tuple[Balance, ...]


def share(entries: Iterable[Entry]) -> Sharing:
    """Split the energy of every host among the nodes that ran on it.

    Parameters
    ----------
    entries : iterable of Entry
        Nodes and runs, in any order.

    Returns
    -------
    Sharing
        One share per node entry, in the order given. Nodes outside any run
        are split by their own windows (those that overlap on one host by what they
        saw of it together), and appear in no balance.

    Examples
    --------
    One node kept one of two cores busy for all 10 s; idle draws 2 W of 12 W.

    >>> from nicarbon.entry import Entry, Reading, Window
    >>> cpu = Reading('cpu', 120.0, 2.0, 'model:tdp-linear', 'modelled', 'host', 2.0)
    >>> def entry(kind, cpu_seconds, cores):
    ...     window = Window(0.0, 10.0, cpu_seconds, 20.0, (120.0,))
    ...     return Entry(f'h-1-1-{kind}', kind, 'r', '01', '', 's', 'n', 'I', 'h', 'b', 1,
    ...                  '2026-01-01T00:00:00+00:00', 10.0, cpu_seconds, 20.0, 2, cores, None,
    ...                  (cpu,), (window,), 'ran')
    >>> sharing = share([entry('node', 10.0, 1), entry('run', 10.0, 0)])
    >>> sharing.shares[0].joules
    {'reserved': 60.0, 'dynamic': 50.0, 'active': 60.0, 'exclusive': 120.0}
    >>> sharing.balances[0].unattributed_joules
    60.0
    """
    entries = leaves(entries)
    nodes = [entry for entry in entries if entry.kind == 'node']
    runs = {_place(entry): entry for entry in entries if entry.kind == 'run'}
    members: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for node in nodes:
        if _place(node) in runs and node.windows:
            members[_place(node)].append(node)
    tallies = {node.entry_id: _Tally() for node in nodes}
    balances, alone = [], [node for node in nodes if _place(node) not in runs]
    for place, run in runs.items():
        balance = _split(run, members[place], tallies)
        seen = any(joules is not None for window in run.windows for joules in window.joules)
        if seen or balance.host_joules:
            balances.append(balance)
        # What is on no timeline is split as if there had been no run.
        alone += [leftover(node, run) for node in members[place]]
    for group in clusters(node for node in alone if node.windows):
        _split(together(group), group, tallies)
    return Sharing(tuple(_share(node, tallies[node.entry_id]) for node in nodes), tuple(balances))


def _place(entry: Entry) -> tuple[str, str, str]:
    """Entries share a timeline if they are of one run, on one host, in one boot."""
    return entry.run_id, entry.host, entry.boot_id


class _Tally:
    """Joules of one node, added up window by window."""

    __slots__ = ('components', 'joules', 'readings')

    def __init__(self) -> None:
        self.joules: dict[Policy, float] = dict.fromkeys(POLICIES, 0.0)
        self.components: dict[str, float] = {}
        self.readings: dict[str, Reading] = {}

    def add(self, reading: Reading, joules: Charge) -> None:
        name, reserved = reading.component, joules.idle + joules.dynamic
        self.joules['reserved'] += reserved
        self.joules['dynamic'] += joules.dynamic
        self.joules['active'] += joules.active
        self.joules['exclusive'] += joules.exclusive
        self.components[name] = self.components.get(name, 0.0) + reserved
        self.readings[name] = _weaker(self.readings.get(name, reading), reading)


def _weaker(a: Reading, b: Reading) -> Reading:
    """What is said of a component that was seen in two ways."""
    if a is b:
        return a
    tier = max(a.tier, b.tier, key=_TIERS.index)
    return a._replace(tier=tier, u_rel=max(a.u_rel, b.u_rel))


class _Host:
    """Joules of a host, added up window by window."""

    __slots__ = ('components', 'overhead', 'u_rel')

    def __init__(self) -> None:
        self.components: Counter[str] = Counter()
        self.u_rel: dict[str, float] = {}
        self.overhead = 0.0

    def add(self, reading: Reading, joules: float, overhead: float = 0.0) -> None:
        self.components[reading.component] += joules  # type: ignore[assignment]
        self.u_rel[reading.component] = reading.u_rel
        self.overhead += overhead


def _split(run: Entry, nodes: Sequence[Entry], tallies: Mapping[str, _Tally]) -> Balance:
    """Share the timeline of one run (or of nodes that ran outside any)."""
    stakes = _stakes(run.windows, nodes)
    overheads = [_overheads(run, index, stakes) for index in range(len(run.readings))]
    host = _Host()
    for number, (window, inside) in enumerate(zip(run.windows, stakes, strict=True)):
        for index, reading in enumerate(run.readings):
            if reading.scope == 'own':
                _add_own_of_run(run, window, index, inside, host)
            elif window.joules[index] is not None:
                own = overheads[index][number]
                _add_host(run, window, index, inside, own, host, tallies)
        for one in inside:
            for reading in one.node.readings:
                if reading.scope == 'own' and reading.component in one.own:
                    joules = one.own[reading.component]
                    host.add(reading, joules)
                    tallies[one.node.entry_id].add(reading, Charge(0.0, joules, joules, joules))
    by_subject: dict[str, float] = defaultdict(float)
    for node in nodes:
        by_subject[node.subject] += tallies[node.entry_id].joules['reserved']
    total, charged = sum(host.components.values()), sum(by_subject.values())
    return Balance(
        run.run_id,
        run.host,
        total,
        charged,
        host.overhead,
        total - charged - host.overhead,
        dict(by_subject),
        _mean(host.u_rel, host.components),
    )


def _add_host(
    run: Entry,
    window: Window,
    index: int,
    inside: Sequence[Stake],
    overhead_seconds: float,
    host: _Host,
    tallies: Mapping[str, _Tally],
) -> None:
    """Split what was seen of the whole host, less what is known to be some node's own."""
    reading, left, busy = run.readings[index], window.joules[index] or 0.0, window.host_cpu_seconds
    apart = [one for one in inside if reading.component in one.own]
    others = [one for one in inside if reading.component not in one.own]
    left = max(0.0, left - sum(one.own[reading.component] for one in apart))
    if busy is not None:
        busy = max(0.0, busy - sum(one.cpu_seconds for one in apart))
    joules = (*window.joules[:index], left, *window.joules[index + 1 :])
    rest = window._replace(host_cpu_seconds=busy, joules=joules) if apart else window
    charges, overhead = charge(run, rest, index, others, overhead_seconds)
    host.add(reading, left, overhead)
    for one, part in zip(others, charges, strict=True):
        if part is not None:
            tallies[one.node.entry_id].add(reading, part)


def _add_own_of_run(
    run: Entry, window: Window, index: int, inside: Sequence[Stake], host: _Host
) -> None:
    """A run's own joules hold those of its nodes."""
    reading, joules = run.readings[index], window.joules[index]
    if run.kind == 'run' and joules is not None:
        rest = max(0.0, joules - sum(one.own.get(reading.component, 0.0) for one in inside))
        host.add(reading, rest, rest)


def _stakes(timeline: Sequence[Window], nodes: Sequence[Entry]) -> list[list[Stake]]:
    """What each node used in each window of the timeline; rates are even in a window."""
    stakes: list[list[Stake]] = [[] for _ in timeline]
    for node in nodes:
        if not node.windows:
            continue
        first, holds = _at(timeline, node.windows[0].start), held(node)
        for window, inside in zip(timeline[first:], stakes[first:], strict=True):
            if window.start >= node.windows[-1].stop:
                break
            series = islice(node.windows, _at(node.windows, window.start), None)
            one = stake(node, window, series, holds)
            if one is not None:
                inside.append(one)
    return stakes


def _at(series: Sequence[Window], moment: float) -> int:
    """Index of the window that holds a moment (the first one if it is before all)."""
    return max(0, bisect_right(series, moment, key=lambda window: window.start) - 1)


def _overheads(run: Entry, index: int, stakes: Sequence[Sequence[Stake]]) -> list[float]:
    """Seconds for which the program itself used a component, per window.

    The run's seconds hold those of its nodes. Node windows do not end where
    the run's do, so the difference in a single window may come out below zero;
    the total is exact, and is laid over the windows where it is positive.
    """
    if run.kind == 'node':
        return [0.0] * len(stakes)
    name = run.readings[index].component
    runs, nodes = [], []
    for window, inside in zip(run.windows, stakes, strict=True):
        use = window.uses[index] if window.uses else None
        if use is None:
            runs.append(window.cpu_seconds)
            nodes.append(sum(one.cpu_seconds for one in inside))
        else:
            uses = [one.uses.get(name) for one in inside]
            runs.append(use.own_seconds or 0.0)
            nodes.append(sum(each.own_seconds or 0.0 for each in uses if each))
    own = [max(0.0, all_ - theirs) for all_, theirs in zip(runs, nodes, strict=True)]
    total = max(0.0, sum(runs) - sum(nodes))
    scale = total / sum(own) if sum(own) else 0.0
    return [scale * seconds for seconds in own]


def _share(node: Entry, tally: _Tally) -> Share:
    tiers = {name: reading.tier for name, reading in tally.readings.items()}
    u_rel = {name: reading.u_rel for name, reading in tally.readings.items()}
    return Share(
        node,
        tally.joules,
        tally.components,
        max(tiers.values(), key=_TIERS.index, default=None),
        _mean(u_rel, tally.components),
        tiers,
    )


def _mean(u_rel: Mapping[str, float], joules: Mapping[str, float]) -> float:
    """Weighted by joules: no narrower than a sum of bounds that err together."""
    total = sum(joules[name] for name in u_rel)
    if total <= 0:
        return max(u_rel.values(), default=1.0)
    return max(1.0, sum(u * joules[name] for name, u in u_rel.items()) / total)
