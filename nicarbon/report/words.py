"""The sentences of a page: what a reader takes away who reads nothing else."""

from __future__ import annotations

from ..account import PUE, Intensity
from ..quantity import carbon, energy
from ..spread import Spread
from ..summary import Summary
from ..waste import Repeats
from .methods import intensity_text
from .numbers import percent, was_seen

__all__ = [
    'POLICIES',
    'coverage',
    'grid_name',
    'headline',
    'lost_sentence',
    'pue_name',
    'repeated_sentence',
    'seen_as',
]

POLICIES = {
    'reserved': (
        'Power above idle by use (CPU time, or time on a GPU), idle power by what was reserved '
        'or held. With overhead and unattributed it adds up to what the host used. Used on '
        'this page.'
    ),
    'dynamic': (
        'Power above idle alone: what would have been saved on a machine that stays on anyway.'
    ),
    'active': 'All power by use: whoever is busy also pays for what is idle.',
    'exclusive': (
        'All power of the host while the stage ran, as if it had been alone: stages side by side '
        'are each charged the whole host.'
    ),
}
"""What each attribution policy answers."""

_TIERS = {'measured': 'metered', 'modelled': 'modelled', 'assumed': 'assumed'}


def headline(total: Summary, who: str, spread: Spread | None = None) -> str:
    """Say in a sentence or two what was spent.

    Parameters
    ----------
    total : Summary
    who : str
        ``sub-01``, or ``24 participants``.
    spread : Spread, optional
        Over participants, in joules.

    Returns
    -------
    str
    """
    if not total.count:
        return f'Nothing is known of {who}: no stage was recorded.'
    if not was_seen(total):
        return _unspent(total, who)
    footprint = total.footprint
    spent = energy(footprint.joules, footprint.joules_low, footprint.joules_high)
    grams = carbon(footprint.grams, footprint.low, footprint.high)
    text = (
        f'Processing {who} used {spent}, about {grams} {_where(footprint.intensity)}; '
        f'{coverage(total)}.'
    )
    parts = [text, lost_sentence(total), _typical(spread), _hint(footprint.intensity)]
    return ' '.join(part for part in parts if part)


def _typical(spread: Spread | None) -> str:
    if spread is None or spread.name != 'IQR':
        return ''
    each = energy(spread.median, spread.low, spread.high).replace('(', '(IQR ')
    return f'A participant took {each} in the median.'


def _unspent(total: Summary, who: str) -> str:
    if total.unseen:
        return (
            f'What reconstructing {who} used is not known: neither meter nor model saw any of '
            f'the {total.unseen} stages that ran.'
        )
    return f'Nothing new was spent on {who}: all {total.count} stages came from the cache.'


def _where(intensity: Intensity) -> str:
    if intensity.tier == 'assumed':
        return f'at an assumed world average of {intensity_text(intensity)}'
    return f'on {grid_name(intensity)}'


def grid_name(intensity: Intensity) -> str:
    """Name a grid within a sentence.

    Parameters
    ----------
    intensity : Intensity

    Returns
    -------
    str

    Examples
    --------
    >>> grid_name(Intensity(30, 15, 60, 'CA-QC', '2023-01-01', '2023-12-31', 'average', ''))
    'the 2023 average of the CA-QC grid'
    >>> grid_name(Intensity(30, 30, 30, 'given', '', '', 'average', 'the command line'))
    'a grid of 30 gCO2e/kWh, as given'
    """
    if intensity.zone == 'given':
        return f'a grid of {intensity_text(intensity)}, as given'
    kind = intensity.kind.partition(',')[0].strip() or 'intensity'
    year = intensity.start[:4]
    return f'the {f"{year} " if year else ""}{kind} of the {intensity.zone} grid'


def _hint(intensity: Intensity) -> str:
    if intensity.tier != 'assumed':
        return ''
    return 'Nobody said where the machine stands: set it with --grid ZONE or --grid G_PER_KWH.'


def coverage(total: Summary) -> str:
    """Say how much of the energy was metered, modelled, assumed and not seen.

    Parameters
    ----------
    total : Summary

    Returns
    -------
    str
    """
    if len(total.tiers) == 1:
        (tier,) = total.tiers
        text = f'all of it {_TIERS[tier]}' + ('' if tier == 'measured' else ', none metered')
    else:
        text = ', '.join(
            f'{percent(total.tiers[tier])} {name}'
            for tier, name in _TIERS.items()
            if tier in total.tiers  # type: ignore[index]
        )
    if total.unseen:
        stages = 'stage was' if total.unseen == 1 else 'stages were'
        text += f'; {total.unseen} {stages} not seen and not counted'
    return text


def lost_sentence(total: Summary) -> str:
    """Say what failed; empty when nothing did."""
    count = sum(total.outcomes.get(outcome, 0) for outcome in ('failed', 'killed'))
    if not count:
        return ''
    stages, were = ('stage', 'was') if count == 1 else ('stages', 'were')
    if not total.lost.joules:
        return f'{count} {stages} failed or {were} killed; what that took was not seen.'
    lost = energy(total.lost.joules, total.lost.joules_low, total.lost.joules_high)
    return f'{lost} of it went to {count} {stages} that failed or {were} killed.'


def repeated_sentence(repeats: Repeats) -> str:
    """Say what of it was tried again; empty when nothing was."""
    if not repeats.count:
        return ''
    spent = repeats.footprint
    joules = energy(spent.joules, spent.joules_low, spent.joules_high)
    took = f' ({joules} of what was lost)' if spent.joules else ''
    were = 'attempt that failed was' if repeats.count == 1 else 'attempts that failed were'
    return f'{repeats.count} {were} followed by another try of the same{took}.'


def seen_as(tier: str | None) -> str:
    """How a badge names a tier."""
    return _TIERS.get(tier or '', 'spared' if tier == 'cached' else 'not seen')


def pue_name(pue: PUE) -> str:
    """Say what part of the facility was counted."""
    if pue.origin == 'unset':
        return 'not given: IT energy only (set it with --pue)'
    known = f', known within a factor of {pue.u_rel:g} at 95 %' if pue.u_rel > 1 else ''
    return f'{pue.value:g}, given{known}'
