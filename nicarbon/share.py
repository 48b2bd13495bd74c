"""Attribution: what a host used, split among the nodes that ran on it.

In every window of the host's timeline, with host energy ΔE, idle power P_idle,
a node's own CPU seconds C, the host's busy CPU seconds C_host and R of N cores
reserved, the policies charge the node

=============  ==========================================================
``reserved``   max(0, ΔE − P_idle·Δt) · C/C_host + P_idle·Δt · R/N
``dynamic``    max(0, ΔE − P_idle·Δt) · C/C_host
``active``     ΔE · C/C_host
``exclusive``  ΔE
=============  ==========================================================

``reserved`` is the default: it conserves energy and follows ISO/IEC 21031
(the SCI), by which energy includes hardware reserved and not only used. What
no node is charged goes to ``overhead`` (the program that ran the nodes: its
CPU seconds, no reservation) and to ``unattributed`` (idle cores, other
programs), so that Σ nodes + overhead + unattributed = host, always.

Everything here is a pure function of ledger entries.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from .entry import Entry, Reading, Tier, Window
from .series import leaves

__all__ = ['POLICIES', 'Balance', 'Policy', 'Share', 'Sharing', 'share', 'within']

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
        was not seen is not there.
    tier : {'measured', 'modelled', 'assumed'} or None
        The weakest among the components; None when nothing was seen.
    u_rel : float
        Multiplicative uncertainty at 95 %, the widest among the components
        (they err together: one model, one host).
    """

    entry: Entry
    joules: dict[Policy, float]
    components: dict[str, float]
    tier: Tier | None
    u_rel: float


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
        Multiplicative uncertainty at 95 %, common to all of them.
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
        are split by their own windows, and appear in no balance.

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
    shares: dict[str, Share] = {}
    balances = []
    for place, run in runs.items():
        run_shares, balance = _split(run, members[place])
        shares.update((one.entry.entry_id, _with_outlived(one, run)) for one in run_shares)
        if any(joules is not None for window in run.windows for joules in window.joules):
            balances.append(balance)
    for node in nodes:
        if node.entry_id not in shares:
            (shares[node.entry_id],), _ = _split(node, [node])
    return Sharing(tuple(shares[node.entry_id] for node in nodes), tuple(balances))


def within(entry: Entry, start: float, stop: float) -> Entry:
    """An entry whose windows are cut to a stretch of time.

    Parameters
    ----------
    entry : Entry
    start, stop : float
        Seconds of the host's monotonic clock.

    Returns
    -------
    Entry
        Without windows when none falls there; totals stay those of the whole.
    """
    cut = (_cut(w, max(w.start, start), min(w.stop, stop)) for w in entry.windows)
    return replace(entry, windows=tuple(window for window in cut if window is not None))


def _with_outlived(share_: Share, run: Entry) -> Share:
    """Add what a node used after its run had ended (a worker outlives a killed program).

    That time is on no timeline, so it is split by the node's own windows.
    """
    node = share_.entry
    begin, end = (run.windows[0].start, run.windows[-1].stop) if run.windows else (math.inf,) * 2
    before, after = within(node, -math.inf, begin), within(node, end, math.inf)
    if not before.windows + after.windows:
        return share_
    alone = replace(node, windows=before.windows + after.windows)
    (extra,), _ = _split(alone, [alone])
    return Share(
        node,
        {policy: share_.joules[policy] + extra.joules[policy] for policy in POLICIES},
        _sum(share_.components, extra.components),
        share_.tier or extra.tier,
        max(share_.u_rel, extra.u_rel),
    )


def _cut(window: Window, start: float, stop: float) -> Window | None:
    """The part of a window between two moments, rates even; None if next to nothing."""
    if stop - start < 1e-6:
        return None
    part = (stop - start) / window.seconds
    return Window(
        start,
        stop - start,
        window.cpu_seconds * part,
        None if window.host_cpu_seconds is None else window.host_cpu_seconds * part,
        tuple(None if joules is None else joules * part for joules in window.joules),
    )


def _sum(a: dict[str, float], b: dict[str, float]) -> dict[str, float]:
    return {name: a.get(name, 0.0) + b.get(name, 0.0) for name in {**a, **b}}


def _place(entry: Entry) -> tuple[str, str, str]:
    """Entries share a timeline if they are of one run, on one host, in one boot."""
    return entry.run_id, entry.host, entry.boot_id


class _Tally:
    """Joules of one node, added up window by window."""

    __slots__ = ('components', 'joules')

    def __init__(self) -> None:
        self.joules: dict[Policy, float] = dict.fromkeys(POLICIES, 0.0)
        self.components: dict[str, float] = {}

    def charge(self, component: str, idle: float, dynamic: float, whole: _Whole) -> None:
        self.joules['reserved'] += idle + dynamic
        self.joules['dynamic'] += dynamic
        self.joules['active'] += whole.joules * whole.cpu_fraction
        self.joules['exclusive'] += whole.joules * whole.time_fraction
        self.components[component] = self.components.get(component, 0.0) + idle + dynamic


@dataclass(frozen=True, slots=True)
class _Whole:
    """A window's joules of one component, and a node's fractions of its CPU and time."""

    joules: float
    cpu_fraction: float
    time_fraction: float


@dataclass(frozen=True, slots=True)
class _Use:
    """What one node used and held within one window of the timeline."""

    tally: _Tally
    cpu_seconds: float
    core_seconds: float
    seconds: float


def _split(run: Entry, nodes: Sequence[Entry]) -> tuple[list[Share], Balance]:
    """Share the timeline of one run (or of a node that ran outside any)."""
    tallies = {node.entry_id: _Tally() for node in nodes}
    uses = _uses(run.windows, nodes, tallies)
    overheads = _overheads(run, uses)
    host = overhead = 0.0
    for window, inside, own in zip(run.windows, uses, overheads, strict=True):
        for reading, joules in zip(run.readings, window.joules, strict=True):
            if joules is None:
                continue
            host += joules
            overhead += _charge(window, reading, joules, inside, own, run.host_cores)
    by_subject: dict[str, float] = defaultdict(float)
    for node in nodes:
        by_subject[node.subject] += tallies[node.entry_id].joules['reserved']
    charged = sum(by_subject.values())
    balance = Balance(
        run.run_id,
        run.host,
        host,
        charged,
        overhead,
        host - charged - overhead,
        dict(by_subject),
        max((r.u_rel for r in run.readings), default=1.0),
    )
    return [_share(node, tallies[node.entry_id], run.readings) for node in nodes], balance


def _charge(
    window: Window,
    reading: Reading,
    joules: float,
    inside: Sequence[_Use],
    overhead_seconds: float,
    cores: int,
) -> float:
    """Charge one component in one window to the nodes; return the overhead's joules."""
    idle = min(joules, (reading.idle_watts or 0.0) * window.seconds)
    dynamic = joules - idle
    # Clocks of different grain (10 ms on the host, 1 µs in the process) must not
    # make the parts exceed the whole; nor may more cores be reserved than there are.
    used = sum(use.cpu_seconds for use in inside) + overhead_seconds
    # Where the host's CPU seconds are not known, nobody's part of them is.
    busy = math.inf if window.host_cpu_seconds is None else max(window.host_cpu_seconds, used)
    held = max(cores * window.seconds, sum(use.core_seconds for use in inside))
    for use in inside:
        fraction = use.cpu_seconds / busy if busy else 0.0
        whole = _Whole(joules, fraction, use.seconds / window.seconds)
        use.tally.charge(
            reading.component, idle * use.core_seconds / held, dynamic * fraction, whole
        )
    return dynamic * overhead_seconds / busy if busy else 0.0


def _uses(
    timeline: Sequence[Window], nodes: Sequence[Entry], tallies: dict[str, _Tally]
) -> list[list[_Use]]:
    """What each node used in each window of the timeline; rates are even in a window."""
    uses: list[list[_Use]] = [[] for _ in timeline]
    for node in nodes:
        if not node.windows:
            continue
        first = _at(timeline, node.windows[0].start)
        for window, inside in zip(timeline[first:], uses[first:], strict=True):
            if window.start >= node.windows[-1].stop:
                break
            seconds, cpu_seconds = _overlap(window, node.windows)
            if seconds > 0:
                held = seconds * node.reserved_cores
                inside.append(_Use(tallies[node.entry_id], cpu_seconds, held, seconds))
    return uses


def _at(series: Sequence[Window], moment: float) -> int:
    """Index of the window that holds a moment (the first one if it is before all)."""
    return max(0, bisect_right(series, moment, key=lambda window: window.start) - 1)


def _overlap(window: Window, series: Sequence[Window]) -> tuple[float, float]:
    """Seconds and CPU seconds of a series of windows that fall within a window."""
    seconds = cpu_seconds = 0.0
    for own in series[_at(series, window.start) :]:
        if own.start >= window.stop:
            break
        common = min(own.stop, window.stop) - max(own.start, window.start)
        if common > 0:
            seconds += common
            cpu_seconds += own.cpu_seconds * common / own.seconds
    return seconds, cpu_seconds


def _overheads(run: Entry, uses: Sequence[Sequence[_Use]]) -> list[float]:
    """CPU seconds of the program itself, per window.

    The run's CPU seconds hold those of its nodes. Node windows do not end where
    the run's do, so the difference in a single window may come out below zero;
    the total is exact, and is laid over the windows where it is positive.
    """
    if run.kind == 'node':
        return [0.0] * len(uses)
    nodes = [sum(use.cpu_seconds for use in inside) for inside in uses]
    own = [max(0.0, w.cpu_seconds - n) for w, n in zip(run.windows, nodes, strict=True)]
    total = max(0.0, sum(w.cpu_seconds for w in run.windows) - sum(nodes))
    scale = total / sum(own) if sum(own) else 0.0
    return [scale * seconds for seconds in own]


def _share(node: Entry, tally: _Tally, readings: Sequence[Reading]) -> Share:
    seen = [reading for reading in readings if reading.component in tally.components]
    tier = max((reading.tier for reading in seen), key=_TIERS.index, default=None)
    u_rel = max((reading.u_rel for reading in seen), default=1.0)
    return Share(node, tally.joules, tally.components, tier, u_rel)
