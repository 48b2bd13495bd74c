"""What would have cost less, computed from what was spent: each with its interval and its basis.

A piece of advice says what it would save of what *this* ledger holds, and stands by how well
that is known:

===================  =======================================================================
``measured``         both ways were measured here, and one used less at both ends of the interval
``at most``          what cannot be surpassed; what would be saved lies between nothing and that
``question``         the same, if something that no ledger knows is answered with no
``published``        measured by others, elsewhere
===================  =======================================================================

They are shown in this order, within each by grams saved. What is less than
:data:`LEAST_PART` of the total, or than the uncertainty of the difference, is not said. One
often saves what another would too: they never add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .device import devices
from .here import cores, repeats, reserved, skipped
from .there import as_published, grids, hours, pipelines
from .values import Advice, Advised, Known, Saved, Standing, cleanest

__all__ = ['LEAST_PART', 'MOST', 'Advice', 'Advised', 'Known', 'Saved', 'advise']

LEAST_PART = 0.01
"""Of the grams of a dataset: what saves less is not worth anybody's time (judgement)."""

MOST = 5
"""Pieces of advice: nobody follows more."""

_ORDER: tuple[Standing, ...] = ('measured', 'at most', 'question', 'published')

_KINDS: tuple[Callable[[Known], Iterable[Advice]], ...] = (
    cores,
    devices,
    pipelines,
    repeats,
    hours,
    grids,
    reserved,
    skipped,
    as_published,
)


def advise(known: Known) -> Advised:
    """What would have cost less.

    Parameters
    ----------
    known : Known

    Returns
    -------
    Advised
        Without advice where nothing was seen, or nothing is worth saying.
    """
    total = known.total
    if not total.joules:
        return Advised(total)
    threshold = LEAST_PART * total.grams
    found = [one for kind in _KINDS for one in kind(known) if one.saved.grams >= threshold > 0]
    found.sort(key=lambda one: (_ORDER.index(one.standing), -one.saved.grams))
    return Advised(total, tuple(found[:MOST]), threshold, tuple(_notes(known)))


def _notes(known: Known) -> Iterator[str]:
    """What would have to be known to say more; nothing where the grid is as clean as any."""
    own, clean = known.total.intensity, cleanest(known)
    if own.tier == 'assumed':
        yield 'Nobody said where the machine stands: --grid ZONE tells whether a cleaner grid or hour would help.'
    elif known.cleanest is None and clean is not None and own.g_per_kwh > clean.high:
        yield (
            'Which hours are cleaner is not known from a yearly average: a trace tells '
            '(--grid TRACE.csv).'
        )
