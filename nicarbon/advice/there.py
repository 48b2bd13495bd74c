"""Advice from other ways to do the same work: hours, grids, pipelines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from ..account import combine
from ..quantity import energy
from ..scenario import U_PUBLISHED, published, under
from ..spread import spread_of
from ..stage import TOOL_NAMES
from ..summary import Summary
from .values import Advice, Known, Saved, between, cleanest, counted, part_of, together

__all__ = ['LEAST_PAIRS', 'as_published', 'grids', 'hours', 'pipelines']

LEAST_PAIRS = 4
"""Sessions that two pipelines processed, to compare them: below, there is no quartile."""


def hours(known: Known) -> Iterator[Advice]:
    """The cleanest hours of a trace."""
    total, clean = known.total, known.cleanest
    own = total.intensity.g_per_kwh
    if clean is None or not 0 <= clean.g_per_kwh < own:
        return
    # What errors hours have, they have in common.
    less = 1 - clean.g_per_kwh / own
    saved = Saved(0.0, 0.0, 0.0, total.grams * less, 0.0, total.high * less)
    yield Advice(
        'hour',
        f'Run in cleaner hours: the cleanest {known.hours:.3g} h had {clean.g_per_kwh:.3g} g/kWh, '
        f'yours {own:.3g}',
        saved,
        'All of the work is done in the cleanest hours of the trace, wherever they lie, at its '
        f'mean power: no queue does better. By {total.intensity.kind} intensity; what shifting '
        'changes in the grid itself is another question.',
        (f'{total.intensity.source}: {clean.start} to {clean.stop}',
         f'{known.hours:.3g} h in which stages ran, with as many machines at once as there were'),
        'at most',
    )  # fmt: skip


def grids(known: Known) -> Iterator[Advice]:
    """The cleanest grid of the table."""
    total, own = known.total, known.total.intensity
    clean = cleanest(known)
    # Where nobody said which grid it is, no other is known to be cleaner; nor if it might not be.
    if clean is None or own.tier == 'assumed' or own.low <= clean.high:
        return
    there = under(total, clean)
    yield Advice(
        'grid',
        f'Compute where the grid is cleaner: {clean.zone} has {clean.g_per_kwh:.3g} g/kWh, yours '
        f'{own.g_per_kwh:.3g}',
        Saved(0.0, 0.0, 0.0, total.grams - there.grams, 0.0, total.high - there.low),
        'The same joules and the same facility there. Data are moved at no cost, and may be '
        'moved.',
        (
            f'{clean.zone}: {clean.source}, {clean.low:.3g} to {clean.high:.3g} g/kWh',
            f'the cleanest of {", ".join(each.zone for each in known.elsewhere)}',
        ),
        'at most',
    )


def pipelines(known: Known) -> Iterator[Advice]:
    """Two pipelines on the same sessions."""
    whole = {
        tool: {(one.subject, one.session): one for one in sessions if _whole(one)}
        for tool, sessions in known.dataset.pipelines.items()
    }
    for pair in combinations(whole, 2):
        both = sorted(whole[pair[0]].keys() & whole[pair[1]].keys())
        if len(both) >= LEAST_PAIRS:
            ratio = _ratio(whole[pair[0]], whole[pair[1]], both)
            dear, cheap = pair if ratio < 1 else pair[::-1]
            yield from _pair(known, (dear, whole[dear]), (cheap, whole[cheap]), both)


_Sessions = Mapping[tuple[str, str], Summary]


def _whole(one: Summary) -> bool:
    return one.complete and one.footprint.joules > 0


def _ratio(dear: _Sessions, cheap: _Sessions, both: Sequence[tuple[str, str]]) -> float:
    ratios = [cheap[key].footprint.joules / dear[key].footprint.joules for key in both]
    spread = spread_of(ratios)
    return spread.median if spread else 1.0


def _pair(
    known: Known,
    dear: tuple[str, _Sessions],
    cheap: tuple[str, _Sessions],
    both: Sequence[tuple[str, str]],
) -> Iterator[Advice]:
    joules = [(dear[1][key].footprint.joules, cheap[1][key].footprint.joules) for key in both]
    ratio, less = spread_of([b / a for a, b in joules]), spread_of([a - b for a, b in joules])
    # The same meters saw both: what they err by in common is in no ratio.
    if ratio is None or less is None or ratio.high >= 1:
        return
    spent = together(one.footprint for one in dear[1].values())
    less_of_it = between(spent, 1 - ratio.median, 1 - ratio.high, 1 - ratio.low)
    saved = part_of(less_of_it, known.total, certain=True)
    names = _name(*dear), _name(*cheap)
    basis = (
        f'{counted(len(both), "session")} that both processed from start to end: {names[1]} used '
        f'{ratio.median:.2g} times the energy (IQR {ratio.low:.2g}–{ratio.high:.2g}), '
        f'{energy(less.median)} less a session'
    )
    yield Advice(
        'pipeline',
        f'Process with {names[1]} alone, in place of {names[0]}',
        saved,
        f'The results of {names[1]} serve as well: they are not the same. All '
        f'{counted(len(dear[1]), "session")} of {names[0]} would have taken the same part less; '
        'where both ran already, either alone saves more.',
        (basis,),
        'measured',
    )


def _name(tool: str, sessions: _Sessions) -> str:
    held = [bool(one.phases and one.phases.gpu_seconds) for one in sessions.values()]
    where = ' on a GPU' if all(held) else ', in part on a GPU,' if any(held) else ''
    return TOOL_NAMES.get(tool, tool) + where


def _alone(known: Known) -> str:
    """The pipeline of which all stages are; empty where there are several, or others."""
    tools = {stage.tool for stage in known.pipeline}
    own = known.dataset.total.stages <= {stage.key for stage in known.pipeline}
    return tools.pop() if own and len(tools) == 1 else ''


def _on_cpus(tool: str, total: Summary) -> bool:
    """Whether a pipeline with published costs is known to have used no GPU."""
    if tool == 'fastsurfer':
        # Where no GPU was seen, it may have used one that nobody could see.
        return total.phases is not None and not total.phases.gpu_seconds
    return tool == 'freesurfer'


def as_published(known: Known) -> Iterator[Advice]:
    """What others measured, where one pipeline ran on CPUs alone."""
    tool = _alone(known)
    if not _on_cpus(tool, known.dataset.total):
        return
    own, gpu = published(tool), published('fastsurfer', 'gpu')
    ratio = gpu.cost.joules / own.cost.joules
    either = combine(U_PUBLISHED, U_PUBLISHED)
    if ratio * either >= 1:
        return
    yield Advice(
        'published',
        f'Published elsewhere: {gpu.name} took {ratio:.2g} times the energy of {own.name}',
        part_of(
            between(known.total, 1 - ratio, 0.0, 1 - ratio / either), known.total, certain=False
        ),
        f'What others measured on other machines holds here, within a factor of {either:.2g}: '
        'nothing of it was measured in this ledger. Results of the two are not the same.',
        (gpu.source, gpu.caveat),
        'published',
    )
