"""Advice → what a page and a terminal say of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..advice import LEAST_PART, Advice, Advised
from ..quantity import carbon, energy
from .numbers import percent

__all__ = ['Help', 'Helps', 'helps']

_WORDS = {
    'measured': 'measured here',
    'at most': 'best possible',
    'question': 'a question',
    'published': 'published elsewhere',
}


@dataclass(frozen=True, slots=True)
class Help:
    """One piece of advice in words."""

    headline: str
    standing: str
    saved: str
    assumption: str
    basis: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Helps:
    """All of it; ``sentence`` says how to read it, or that there is none."""

    sentence: str
    rows: tuple[Help, ...]
    notes: tuple[str, ...]


def helps(advised: Advised) -> Helps | None:
    """Advice in words.

    Parameters
    ----------
    advised : Advised

    Returns
    -------
    Helps or None
        None where nothing was seen of which a part could be saved.
    """
    if not advised.threshold:
        return None
    least = f'{carbon(advised.threshold)} ({percent(LEAST_PART)} of the total)'
    if advised.advice:
        sentence = (
            'What would have taken less, computed from this ledger: what was measured here '
            f'first, then by grams. What saves less than {least} is left out. One often saves '
            'what another would too: they do not add up.'
        )
    else:
        sentence = f'Nothing here would save more than {least}, as far as this ledger tells.'
    return Helps(sentence, tuple(_help(one, advised) for one in advised.advice), advised.notes)


def _help(one: Advice, advised: Advised) -> Help:
    saved = one.saved
    text = carbon(saved.grams, saved.low, saved.high)
    if saved.joules:
        text += f' and {energy(saved.joules, saved.joules_low, saved.joules_high)}'
    text += f', {percent(saved.grams / advised.total.grams)} of the total'
    certain = one.standing == 'measured'
    text = f'Saves {text}.' if certain else f'Saves at most {text}; it may be nothing.'
    return Help(one.headline, _WORDS[one.standing], text, one.assumption, one.basis)
