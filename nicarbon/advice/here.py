"""Advice from what ran here: cores, attempts, reservations, results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..quantity import energy
from ..stage import Stage
from ..summary import Kind
from ..waste import Speed, Tried
from .values import Advice, Known, counted, part_of, together

__all__ = ['cores', 'repeats', 'reserved', 'skipped']

MOST_ROWS = 5
"""Stages that a basis lists: those of which the most would be saved."""

MOST_NAMES = 3
"""Stages that a headline names."""

_CHOOSABLE = frozenset({'freesurfer', 'fastsurfer'})
"""Pipelines whose stages may be left out (``--stages``)."""


def cores(known: Known) -> Iterator[Advice]:
    """Stages that ran with several numbers of cores."""
    speeds = sorted(known.speeds, key=lambda one: -one.saved.grams)
    if not speeds:
        return
    first, more = speeds[0], len(speeds) - 1
    saved = part_of(together(one.saved for one in speeds), known.total, certain=True)
    others = ' or '.join(f'{one.cores:g}' for one in first.others)
    also = f', and {more} other stage{"s" if more > 1 else ""} with other numbers' if more else ''
    yield Advice(
        'cores',
        f'Run {known.title(first.stage)} with {counted(first.best.cores, "core")} in place of '
        f'{others}{also}',
        saved,
        'Runs with few and with many cores had as much to do. Compared are medians on the same '
        'machine, at either end quartiles; idle power is charged by cores reserved.',
        tuple(_trials(known, one) for one in speeds[:MOST_ROWS]),
        'measured',
    )


def _trials(known: Known, one: Speed) -> str:
    rows = sorted((one.best, *one.others), key=lambda each: each.cores)
    return f'{known.title(one.stage)}: ' + '; '.join(map(_trial, rows))


def _trial(one: Tried) -> str:
    return (
        f'{counted(one.cores, "core")}: n = {one.count}, median {energy(one.joules)} in '
        f'{one.seconds:.3g} s'
    )


def repeats(known: Known) -> Iterator[Advice]:
    """Attempts that failed before the same was tried again."""
    one = known.repeats
    if not one.footprint.joules:
        return
    unseen = f'; {one.unseen} of them not seen, and not counted' if one.unseen else ''
    rows = (
        f'{counted(one.count, "row")}, failed or killed, with a later row of the same subject, '
        f'session, stage and node{unseen}'
    )
    most = (
        f'{one.said} of them said: {_short(one.error)}' if one.error else 'none of them said why'
    )
    yield Advice(
        'repeat',
        f'Mend what fails before it is tried again: {counted(one.count, "attempt")} failed at '
        f'{counted(one.works, "stage")} that had to be made again',
        part_of(one.footprint, known.total, certain=True),
        'None of these attempts was needed to find out what was wrong. They are a part of what '
        'was lost.',
        (rows, most),
        'measured',
    )


def reserved(known: Known) -> Iterator[Advice]:
    """Cores that no run of a stage had use for."""
    spare = [one for one in known.waste.kinds if one.spare and one.spare.joules]
    whole = known.waste.total.spare
    if not spare or whole is None:
        return
    spare.sort(key=lambda one: -one.spare.joules if one.spare else 0.0)
    first, more = spare[0], len(spare) - 1
    also = f', and fewer for {more} other stage{"s" if more > 1 else ""}' if more else ''
    yield Advice(
        'reserve',
        f'Reserve {counted(first.cores, "core")} for {known.title(first.stage)}{also}',
        part_of(whole, known.total, certain=False),
        'Other work would have been charged this idle energy. A machine that stays on anyway '
        'uses it all the same: that frees room rather than energy. What is needed is a mean over '
        'each run: one that computes in bursts would take longer.',
        tuple(
            f'{known.title(one.stage)}: n = {one.count}, {one.reserved / 3600:.3g} core-hours '
            f'reserved, {one.used / 3600:.3g} used; no run used more than '
            f'{counted(one.cores, "core")} on its mean'
            for one in spare[:MOST_ROWS]
        ),
        'at most',
    )


def skipped(known: Known) -> Iterator[Advice]:
    """Stages that make nothing that another stage of their table needs."""
    ends = _ends(known.pipeline)
    made: dict[str, list[Kind]] = {}
    for kind in known.dataset.kinds:
        base = _base(kind, ends)
        if base and kind.total.footprint.joules:
            made.setdefault(base, []).append(kind)
    if not made:
        return
    spent = {key: together(kind.total.footprint for kind in own) for key, own in made.items()}
    keys = sorted(made, key=lambda key: -spent[key].joules)
    named = ', '.join(known.title(key) for key in keys[:MOST_NAMES])
    more = f' and {len(keys) - MOST_NAMES} others' if len(keys) > MOST_NAMES else ''
    yield Advice(
        'skip',
        f'Does anybody need what these make: {named}{more}? No later stage does',
        part_of(together(spent.values()), known.total, certain=False),
        'Nobody does: they can be left out with --stages. A ledger does not know who reads a '
        'result.',
        tuple(
            f'{known.title(key)}: makes {", ".join(ends[key].makes)}; n = '
            f'{max(kind.total.ran for kind in made[key])}, {energy(spent[key].joules)}'
            for key in keys[:MOST_ROWS]
        ),
        'question',
    )


def _ends(pipeline: Sequence[Stage]) -> dict[str, Stage]:
    """Stages that may be left out, by key: no other of their table needs what they make."""
    needed = {(one.tool, name) for one in pipeline for name in one.needs}
    return {
        one.key: one
        for one in pipeline
        if one.tool in _CHOOSABLE
        and one.makes
        and not any((one.tool, name) in needed for name in one.makes)
    }


def _base(kind: Kind, ends: Mapping[str, Stage]) -> str:
    """The stage that a kind is, or is a part of; empty where others need it."""
    whole = kind.stage.partition('.')[0]
    return next((key for key in (kind.stage, whole) if key in ends), '')


def _short(text: str) -> str:
    return text if len(text) <= 120 else f'{text[:119]}…'
