"""Shares with their grams, gathered by subject, session or dataset: what is shown.

Pure values between the accounting and the writing: tables, sidecars and pages
are all made of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .account import PUE, Footprint, Intensity, account, total
from .entry import Tier
from .share import POLICIES, Policy, Share

__all__ = ['Line', 'Summary', 'summarise']


@dataclass(frozen=True, slots=True)
class Line:
    """One stage that was run once: its share of energy, and what that emitted.

    Parameters
    ----------
    share : Share
    footprint : Footprint or None
        None when no meter saw anything: not seen is not zero. A cached stage
        has a footprint of zero.
    """

    share: Share
    footprint: Footprint | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a set of stages used together.

    Parameters
    ----------
    subject, session : str
        BIDS labels; empty where the set spans several.
    lines : tuple of Line
        In order of start.
    footprint : Footprint
        All that was spent: stages that ran, failed or were killed.
    lost : Footprint
        The part of it that failed or was killed.
    policies : dict of {str : float}
        Joules by attribution policy.
    components : dict of {str : float}
        Joules by component under the ``reserved`` policy.
    tiers : dict of {str : float}
        Fraction of the joules by the tier of their component.
    outcomes : dict of {str : int}
        Number of stages by outcome.
    unseen : int
        Stages that ran and that no meter saw.
    """

    subject: str
    session: str
    lines: tuple[Line, ...]
    footprint: Footprint
    lost: Footprint
    policies: dict[Policy, float]
    components: dict[str, float]
    tiers: dict[Tier, float]
    outcomes: dict[str, int]
    unseen: int

    @property
    def seen(self) -> bool:
        """Whether there is a number at all: some stage was seen, or none was run."""
        return bool(self.tiers) or not self.unseen

    @property
    def complete(self) -> bool:
        """Whether each stage ran to its end and was seen, at once or in the end.

        Only then do the joules of two subjects compare: a stage that was cached
        or lost on the way costs less than its like elsewhere.
        """
        stages = {line.share.entry.stage for line in self.lines}
        ended = {
            line.share.entry.stage
            for line in self.lines
            if line.share.entry.outcome == 'ran' and line.footprint is not None
        }
        return bool(stages) and stages == ended


def summarise(
    shares: Iterable[Share],
    intensity: Intensity,
    pue: PUE,
    *,
    subject: str = '',
    session: str = '',
) -> Summary:
    """Add up shares, and account for them.

    Parameters
    ----------
    shares : iterable of Share
    intensity : Intensity
    pue : PUE
    subject, session : str
        Labels to put on the result.

    Returns
    -------
    Summary
    """
    lines = tuple(Line(share, _footprint(share, intensity, pue)) for share in shares)
    spent = [line.share for line in lines if line.share.tier is not None]
    lost = [share for share in spent if share.entry.outcome in {'failed', 'killed'}]
    joules = sum(share.joules['reserved'] for share in spent)
    components: Counter[str] = Counter()
    tiers: Counter[Tier] = Counter()
    for share in spent:
        components.update(share.components)
        for name, tier in share.tiers.items():
            tiers[tier] += share.components[name] / joules if joules else 0  # type: ignore[assignment]
    return Summary(
        subject=subject,
        session=session,
        lines=lines,
        footprint=total(map(_pair, spent), intensity, pue),
        lost=total(map(_pair, lost), intensity, pue),
        policies={policy: sum(share.joules[policy] for share in spent) for policy in POLICIES},
        components=dict(components),
        tiers={tier: part for tier, part in tiers.items() if part or not joules},
        outcomes=dict(Counter(line.share.entry.outcome for line in lines)),
        unseen=sum(line.footprint is None for line in lines),
    )


def _pair(share: Share) -> tuple[float, float]:
    return share.joules['reserved'], share.u_rel


def _footprint(share: Share, intensity: Intensity, pue: PUE) -> Footprint | None:
    if share.tier is None and share.entry.outcome != 'cached':
        return None
    return account(*_pair(share), intensity, pue)
