"""Where the energy of a host went during a run: to stages, to the run itself, to neither."""

from __future__ import annotations

from dataclasses import dataclass

from ..entry import Entry
from ..quantity import ENERGY
from ..share import Balance
from .numbers import TIERS, Number, duration, percent, scale
from .words import seen_as

__all__ = ['BalancePart', 'BalanceView', 'balance_view']


@dataclass(frozen=True, slots=True)
class BalancePart:
    """One term of the balance; start and width in percent of the host's joules."""

    name: str
    number: Number
    share: str
    kind: str
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class BalanceView:
    """Where the energy of a host went during a run: the parts and their sum.

    ``shares`` are those of stages, overhead, other runs and neither, in this order.
    """

    run_id: str
    host: str
    started: str
    seconds: str
    tier: str
    unit: str
    parts: tuple[BalancePart, ...]
    total: Number
    shares: tuple[str, ...]


def balance_view(balance: Balance, run: Entry | None, subject: str = '') -> BalanceView:
    """Print one balance; the whole is the sum of its parts.

    Parameters
    ----------
    balance : Balance
    run : Entry or None
        Says how the host was seen.
    subject : str
        Shown apart from the other subjects.

    Returns
    -------
    BalanceView
    """
    terms = _terms(balance, subject)
    seen = [r for r in run.readings if r.joules is not None] if run else []
    u_rel = balance.u_rel
    # A part may be of one component alone: its interval is that of the least known.
    widest = max((reading.u_rel for reading in seen), default=u_rel)
    unit = scale([balance.host_joules], ENERGY)
    whole = balance.host_joules
    parts, start = [], 0.0
    for name, joules, kind in terms:
        fraction = joules / whole if whole else 0.0
        number = unit.number(joules, joules / widest, joules * widest)
        width = max(0.0, round(100 * fraction, 2))
        parts.append(BalancePart(name, number, percent(fraction), kind, start, width))
        start = round(start + width, 2)
    columns = (
        balance.nodes_joules,
        balance.overhead_joules,
        balance.others_joules,
        balance.unattributed_joules,
    )
    return BalanceView(
        run_id=balance.run_id,
        host=balance.host,
        started=run.started if run else '',
        seconds=duration(run.seconds) if run else '',
        tier=seen_as(max((r.tier for r in seen), key=TIERS.index, default=None)),
        unit=unit.unit,
        parts=tuple(parts),
        total=unit.number(whole, whole / u_rel, whole * u_rel),
        shares=tuple(percent(joules / whole if whole else 0.0) for joules in columns),
    )


def _terms(balance: Balance, subject: str) -> list[tuple[str, float, str]]:
    """Where the energy went: what it is called, joules, and its colour."""
    terms = [
        (
            'overhead: what ran the stages, and nodes that are not carbon-aware',
            balance.overhead_joules,
            'overhead',
        ),
        ('unattributed: idle cores and other programs', balance.unattributed_joules, 'rest'),
    ]
    if balance.others_joules:
        others = 'stages and overhead of other runs at the same time'
        terms.insert(1, (others, balance.others_joules, 'beside'))
    if subject:
        own = balance.by_subject.get(subject, 0.0)
        terms = [
            (f'stages of sub-{subject}', own, 'own'),
            ('stages of other subjects', balance.nodes_joules - own, 'others'),
            *terms,
        ]
    else:
        terms = [('stages', balance.nodes_joules, 'own'), *terms]
    return terms
