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
programs), so that Σ nodes + overhead + unattributed = host, always. Runs that overlap
on one machine have one timeline, on which each joule is charged once.

Everything here is a pure function of ledger entries.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from .entry import Entry, Tier
from .gpu import Held
from .nesting import leaves
from .split import POLICIES, Book, Policy, Tally, mean, split
from .timeline import clusters, leftover

__all__ = ['POLICIES', 'Balance', 'Policy', 'Share', 'Sharing', 'share']

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
    u_rels : dict of {str : float}
        Multiplicative uncertainty by component: of its counter and of what idle power
        moves, wider by the time in which it was not seen.
    idle : dict of {str : float}
        What idle power has of the joules by component.
    held : Held or None
        The part of it in which a GPU was held; None where no GPU was seen.
    """

    entry: Entry
    joules: dict[Policy, float]
    components: dict[str, float]
    tier: Tier | None
    u_rel: float
    tiers: dict[str, Tier] = field(default_factory=dict)
    u_rels: dict[str, float] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """Where the energy of a host went while a run lasted.

    Parameters
    ----------
    run_id, host : str
    host_joules : float
        All that the host used in the time of the run, also where others ran beside it.
    nodes_joules, overhead_joules : float
        Of it, what this run's nodes and the program that ran them are charged under the
        ``reserved`` policy.
    others_joules : float
        What nodes and programs of other runs are charged in the same time: in their own
        balances it is theirs.
    unattributed_joules : float
        The rest: host = nodes + overhead + others + unattributed.
    by_subject : dict of {str : float}
        Joules of ``nodes_joules`` by subject.
    u_rel : float
        Multiplicative uncertainty of ``host_joules`` at 95 %: the mean over the
        components, weighted by the host's joules. What idle power leaves open of the
        parts is in the shares.
    """

    run_id: str
    host: str
    host_joules: float
    nodes_joules: float
    overhead_joules: float
    others_joules: float
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
        are split by their own windows (those that overlap on one machine by what they
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
    # Without windows a run was killed at once: its nodes are split as if there had been none.
    runs = [entry for entry in entries if entry.kind == 'run' and entry.windows]
    tallies = {node.entry_id: Tally() for node in nodes}
    groups, alone = _timelines(runs, [node for node in nodes if node.windows])
    books = {}
    for group, members in groups:
        for book in split(group, members, tallies):
            books[book.run.entry_id] = book
    for group in clusters(node for node in alone if node.windows):
        split((), group, tallies)
    balances = [_balance(books[run.entry_id]) for run in runs if _seen(books[run.entry_id])]
    return Sharing(tuple(_share(node, tallies[node.entry_id]) for node in nodes), tuple(balances))


def _timelines(
    runs: Iterable[Entry], nodes: Sequence[Entry]
) -> tuple[list[tuple[list[Entry], list[Entry]]], list[Entry]]:
    """Runs that overlap, each with the nodes beside them; and nodes that no run saw."""
    groups: list[tuple[list[Entry], list[Entry]]] = []
    spans: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for group in clusters(runs):
        begin = min(run.windows[0].start for run in group)
        end = max(run.windows[-1].stop for run in group)
        spans[group[0].place].append((begin, end, len(groups)))
        groups.append((group, []))
    alone = []
    for node in nodes:
        start, stop = node.windows[0].start, node.windows[-1].stop
        series = spans.get(node.place, [])
        touched = []
        for begin, end, number in series[bisect_right(series, start, key=lambda s: s[1]) :]:
            if begin >= stop:
                break
            groups[number][1].append(node)
            touched.append((begin, end))
        alone.append(leftover(node, touched) if touched else node)
    return groups, alone


def _seen(book: Book) -> bool:
    joules = (joules for window in book.run.windows for joules in window.joules)
    return bool(book.components) or any(each is not None for each in joules)


def _balance(book: Book) -> Balance:
    total = sum(book.components.values())
    return Balance(
        book.run.run_id,
        book.run.host,
        total,
        book.nodes,
        book.overhead,
        book.others,
        total - book.nodes - book.overhead - book.others,
        dict(book.by_subject),
        mean(book.u_rel, book.components),
    )


def _within(held: Held | None, node: Entry) -> Held | None:
    """No longer than the node was there: pieces of windows add up to it but for their last digit."""
    return held and replace(held, seconds=min(held.seconds, node.seconds))


def _share(node: Entry, tally: Tally) -> Share:
    tiers = {name: reading.tier for name, reading in tally.readings.items()}
    return Share(
        node,
        tally.joules,
        tally.components,
        max(tiers.values(), key=_TIERS.index, default=None),
        mean(tally.u_rel, tally.components),
        tiers,
        tally.u_rel,
        tally.idle,
        _within(tally.held.held, node),
    )
