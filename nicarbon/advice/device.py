"""Advice from a pipeline that ran with a GPU and without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ..account import Footprint, combine
from ..quantity import energy
from ..stage import TOOL_NAMES
from ..waste import SECONDS_PER_DAY, Both, Processed
from .values import Advice, Known, between, counted, part_of, together

__all__ = ['MOST_ROWS', 'devices']

MOST_ROWS = 5
"""Machines that a basis lists: those that used the most."""

_WORDS = {'cpu': 'on a CPU', 'gpu': 'on a GPU'}


def devices(known: Known) -> Iterator[Advice]:
    """Pipelines that ran with a GPU and without."""
    # By pipeline and cheaper device: machines need not agree which it is.
    groups: dict[tuple[str, str], list[tuple[Both, Footprint]]] = defaultdict(list)
    for both in known.devices:
        dear, cheap = _order(both)
        less = _less(both, dear, cheap)
        if less is not None:
            groups[both.tool, cheap.device].append((both, less))
    for (tool, _), found in groups.items():
        yield _advice(known, tool, found)


def _order(both: Both) -> tuple[Processed, Processed]:
    """The dearer, and the cheaper."""
    cheaper = both.gpu.joules.median < both.cpu.joules.median
    return (both.cpu, both.gpu) if cheaper else (both.gpu, both.cpu)


def _less(both: Both, dear: Processed, cheap: Processed) -> Footprint | None:
    """What the dearer would have used less; None where that is not certain.

    By the ratio of medians, and of opposite quartiles as far as meters err.
    """
    # A GPU that nobody saw would make the cheaper ones dearer than they are known to be.
    if cheap.unseen or dear.joules.low <= 0:
        return None
    least, most = _reach(both, dear, cheap)
    ratio = cheap.joules.median / dear.joules.median
    high = cheap.joules.high / dear.joules.low * most
    low = cheap.joules.low / dear.joules.high * least
    return None if high >= 1 else between(dear.footprint, 1 - ratio, 1 - high, 1 - low)


def _reach(both: Both, dear: Processed, cheap: Processed) -> tuple[float, float]:
    """Factors by which the ratio may be off for what meters err by.

    On one machine a GPU errs apart from all else, and all else in common. With q the error of
    all else over that of the GPU, a session of which the part g is of GPUs is off by
    q (1 − g) + g, and the ratio by the ratio of that.
    """
    if not both.same_machine:
        either = combine(dear.u_rel, cheap.u_rel)
        return 1 / either, either
    apart = combine(both.cpu.u_rel, both.u_gpu)
    ends = [
        (q * (1 - cheap.of_gpus) + cheap.of_gpus) / (q * (1 - dear.of_gpus) + dear.of_gpus)
        for q in (1 / apart, apart)
    ]
    return min(ends), max(ends)


def _advice(known: Known, tool: str, found: Sequence[tuple[Both, Footprint]]) -> Advice:
    pairs = [_order(both) for both, _ in found]
    (dear, cheap), name = pairs[0], TOOL_NAMES.get(tool, tool)
    count = sum(one.joules.count for one, _ in pairs)
    return Advice(
        'device',
        f'Run {name} {_WORDS[cheap.device]} and not {_WORDS[dear.device]}, as '
        f'{counted(count, "session")} did',
        part_of(together(less for _, less in found), known.total, certain=True),
        ' '.join(_assumptions(found[0][0], sum(one.unseen for one, _ in pairs))),
        tuple(_row(both, place) for place, (both, _) in enumerate(found[:MOST_ROWS])),
        'measured',
    )


def _assumptions(both: Both, unseen: int) -> Iterator[str]:
    """Under what it holds, of the machine that used the most."""
    yield (
        'Sessions compare, and results of either serve as well. Idle power is charged by cores '
        'reserved, and that of a GPU while it is held: what it draws while nobody holds it is '
        'in neither.'
    )
    if not both.same_machine:
        yield 'They ran on different machines, and what else those differ by is in it.'
    if unseen:
        yield (
            f'{counted(unseen, "session")} ran where no GPU was seen, and are taken to have '
            'held none.'
        )
    dear, cheap = _order(both)
    days = dear.joules_per_day, cheap.joules_per_day
    rates = f'{energy(days[1])} a day against {energy(days[0])}'
    if days[1] > days[0]:
        yield (
            f'That is for the same scans: one after another all day, those {_WORDS[cheap.device]} '
            f'use {rates}, and get more done. Who fills the time gained with more scans spends more.'
        )
    else:
        yield f'One after another all day, those {_WORDS[cheap.device]} use {rates}.'


def _row(both: Both, place: int) -> str:
    where = f'{"another" if place else "one"} machine' if both.same_machine else 'several machines'
    return f'{where}: ' + '; '.join(_ran(one) for one in (both.cpu, both.gpu))


def _ran(one: Processed) -> str:
    spread = one.joules
    scans = SECONDS_PER_DAY / one.seconds if one.seconds else 0.0
    number = f'{scans:,.0f}' if scans >= 10 else f'{scans:.2g}'
    return (
        f'{_WORDS[one.device]} n = {spread.count}, median {energy(spread.median)} '
        f'(IQR {energy(spread.low)} to {energy(spread.high)}) in {one.seconds:.3g} s of stages, '
        f'{number} a day one after another'
    )
