"""What was wasted, found in the columns of a dataset: any number of stages, group by group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .account import Footprint
from .cohort import Cohort
from .columns import sums_of, three
from .summary import LOST
from .sums import SLICE
from .waste import GRAIN, Memory, Repeats, Speed, Tried, Unused, Waste

if TYPE_CHECKING:
    from polars import DataFrame, Expr

__all__ = ['LEAST', 'busy_seconds', 'repeats', 'speeds', 'waste']

LEAST = 4
"""Runs of a stage with a number of cores that it takes to compare: below, there is no quartile."""


_WASTED: tuple[str, ...] = (
    'stage',
    'duration',
    'cpu_time',
    'reserved_cores',
    'reserved_memory',
    'peak_memory',
)
_WASTED += ('energy_idle_cores', 'u_idle_cores', 'g_per_kwh', 'g_low', 'g_high')


def waste(cohort: Cohort) -> Waste:
    """What stages that ran to their end reserved and did not use.

    Parameters
    ----------
    cohort : Cohort

    Returns
    -------
    Waste
    """
    import polars as pl
    import polars.selectors as cs

    kept = (pl.col('reserved_cores') > 0) & (pl.col('duration') > 0)
    names = [name for name in _WASTED if name in cohort.table.columns]
    ran = (pl.col('outcome') == 'ran') & kept
    use = pl.col('cpu_time') / pl.col('duration')
    most = (use - GRAIN).ceil().clip(1.0).max().alias('cores')
    cores = cohort.table.lazy().filter(ran).group_by('stage').agg(most).collect()
    sums = _unused('g_per_kwh' in names)
    # Slice by slice, as in :mod:`nicarbon.sums`.
    parts = [
        part.filter(ran).select(names).join(cores, on='stage').with_columns(_used().alias('used'))
        .group_by('stage', maintain_order=True).agg(*sums)
        for part in list(cohort.table.iter_slices(SLICE)) or [cohort.table]
    ]  # fmt: skip
    found = pl.concat(parts).group_by('stage', maintain_order=True).agg(cs.numeric().sum())
    kinds = [_of(row, cohort) for row in found.join(cores, on='stage').iter_rows(named=True)]
    (whole,) = found.select(cs.numeric().sum()).iter_rows(named=True)
    kinds.sort(key=lambda one: (-one.idle.joules if one.idle else 0.0, -one.unused))
    return Waste(_of(whole, cohort), tuple(kinds))


def _used() -> Expr:
    import polars as pl

    return pl.min_horizontal('cpu_time', pl.col('reserved_cores') * pl.col('duration'))


def _unused(by_stage: bool) -> list[Expr]:  # noqa: FBT001
    import polars as pl

    reserved, seconds = pl.col('reserved_cores'), pl.col('duration')
    unused = 1.0 - pl.col('used') / (reserved * seconds)
    freed = ((reserved - pl.col('cores')) / reserved).clip(0.0)
    idle, u_rel = pl.col('energy_idle_cores'), pl.col('u_idle_cores')
    seen = idle.is_not_null()
    memory, peak = pl.col('reserved_memory'), pl.col('peak_memory')
    kept = memory.is_not_null() & (memory > 0)
    told = kept & peak.is_not_null()
    return [
        pl.len().alias('count'),
        (reserved * seconds).sum().alias('reserved'),
        pl.col('used').sum(),
        (pl.col('cpu_time') - pl.col('used')).sum().alias('beyond'),
        seen.sum().alias('seen'),
        *three('idle', idle * unused, u_rel, seen, by_stage),
        # By the grain of clocks, a whole core less may be more than what was unused.
        *three('spare', idle * pl.min_horizontal(freed, unused), u_rel, seen, by_stage),
        told.sum().alias('memory_known'),
        kept.sum().alias('memory_count'),
        (memory * seconds).filter(told).sum().alias('memory_reserved'),
        (pl.min_horizontal(memory, peak) * seconds).filter(told).sum().alias('memory_peak'),
    ]


def _of(row: Mapping[str, Any], cohort: Cohort) -> Unused:
    return Unused(
        row.get('stage', ''),
        row['count'],
        row['reserved'],
        row['used'],
        row['beyond'],
        int(row.get('cores', 0)),
        row['seen'],
        _footprint(row, 'idle', cohort) if row['seen'] else None,
        _footprint(row, 'spare', cohort) if row['seen'] else None,
        Memory(*(row[f'memory_{what}'] for what in ('known', 'count', 'reserved', 'peak'))),
    )


def _footprint(row: Mapping[str, Any], name: str, cohort: Cohort) -> Footprint:
    return sums_of(row, name, cohort.intensity).footprint(cohort.intensity, cohort.pue)


def repeats(cohort: Cohort) -> Repeats:
    """Attempts that failed or were killed, and were made again later, to whatever end.

    Parameters
    ----------
    cohort : Cohort

    Returns
    -------
    Repeats
    """
    import polars as pl

    lost = cohort.table.filter(pl.col('outcome').is_in(list(LOST)))
    attempts = cohort.table.lazy().filter(pl.col('outcome') != 'cached')
    last = (
        attempts.select('work', 'began')
        .collect()
        .join(lost.select('work').unique(), on='work', how='semi')
        .group_by('work')
        .agg(pl.col('began').max().alias('last'))
    )
    again = lost.join(last, on='work').filter(pl.col('began') < pl.col('last'))
    seen = pl.col('tier').is_not_null()
    by_stage = 'g_per_kwh' in again.columns
    sums = three('spent', pl.col('energy'), pl.col('u_rel'), seen, by_stage)
    (row,) = again.select(*sums, (~seen).sum().alias('unseen')).iter_rows(named=True)
    error, said = _commonest(again)
    return Repeats(
        again.height,
        again['work'].n_unique(),
        row['unseen'],
        _footprint(row, 'spent', cohort),
        error,
        said,
    )


def _commonest(rows: DataFrame) -> tuple[str, int]:
    """What the most rows say, as the first of them says it; numbers in it may differ."""
    import polars as pl

    found = (
        rows.filter(pl.col('error') != '')
        .group_by(pl.col('error').str.replace_all(r'\d+', '#').alias('like'), maintain_order=True)
        .agg(pl.col('error').first(), pl.len().alias('count'))
        .sort('count', descending=True, maintain_order=True)
    )
    return (found['error'][0], found['count'][0]) if found.height else ('', 0)


def speeds(cohort: Cohort) -> list[Speed]:
    """Stages that ran with several numbers of cores, and used less with one of them.

    Compared are runs on the same machine in the same boot, with a GPU or without, where there
    are :data:`LEAST` or more of each.

    Parameters
    ----------
    cohort : Cohort

    Returns
    -------
    list of Speed
        Those that save for certain, at both ends of the interval; the most joules first.
    """
    import polars as pl

    ran = cohort.table.lazy().filter((pl.col('outcome') == 'ran') & pl.col('tier').is_not_null())
    counts = ran.group_by('stage').agg(pl.col('reserved_cores').n_unique().alias('n')).collect()
    several = counts.filter(pl.col('n') > 1)['stage'].to_list()
    on_gpu = pl.col('gpu_duration').fill_null(0.0) > 0
    rows = ran.filter(pl.col('stage').is_in(several)).with_columns(on_gpu=on_gpu).collect()
    by_stage, alike = 'g_per_kwh' in rows.columns, ['stage', 'place', 'on_gpu']
    joules = pl.col('energy')
    groups = (
        rows.group_by(*alike, 'reserved_cores')
        .agg(
            pl.len().alias('count'),
            joules.median().alias('median'),
            joules.quantile(0.25, 'linear').alias('low'),
            joules.quantile(0.75, 'linear').alias('high'),
            *three('spent', joules, pl.col('u_rel'), pl.lit(True), by_stage),
        )
        .filter((pl.col('count') >= LEAST) & (pl.col('low') > 0))
    )
    # Each number of cores beside each other one, as if all had run with that.
    pairs = groups.join(groups, on=alike, suffix='_best').filter(
        pl.col('reserved_cores') != pl.col('reserved_cores_best')
    )
    sums = pairs.group_by('stage', 'reserved_cores_best').agg(*_less(by_stage))
    best = (
        sums.filter((pl.col('saved_low') > 0) & (pl.col('saved_joules') > 0))
        .sort('saved_joules', descending=True)
        .unique('stage', keep='first', maintain_order=True)
    )
    tried = _tried(rows.join(pairs, on=[*alike, 'reserved_cores'], how='semi'))
    return [_speed(row, tried[row['stage']], cohort) for row in best.iter_rows(named=True)]


def _less(by_stage: bool) -> list[Expr]:  # noqa: FBT001
    """What runs would have used less, by the ratio of medians, and of opposite quartiles."""
    import polars as pl

    less = 1.0 - pl.col('median_best') / pl.col('median')
    least, most = (
        1.0 - pl.col('high_best') / pl.col('low'),
        1.0 - pl.col('low_best') / pl.col('high'),
    )
    low, high = pl.col('spent_low'), pl.col('spent_high')
    names = [f'weighted{end}' for end in ('', '_low', '_high')] if by_stage else []
    return [
        (pl.col('spent_joules') * less).sum().alias('saved_joules'),
        (pl.when(least > 0).then(low).otherwise(high) * least).sum().alias('saved_low'),
        (pl.when(most > 0).then(high).otherwise(low) * most).sum().alias('saved_high'),
        *((pl.col(f'spent_{name}') * less).sum().alias(f'saved_{name}') for name in names),
    ]


def _tried(rows: DataFrame) -> dict[str, list[Tried]]:
    import polars as pl

    found = (
        rows.group_by('stage', 'reserved_cores')
        .agg(pl.len(), pl.col('energy').median(), pl.col('duration').median())
        .sort('stage', 'reserved_cores')
    )
    tried: dict[str, list[Tried]] = defaultdict(list)
    for stage, *numbers in found.iter_rows():
        tried[stage].append(Tried(*numbers))
    return tried


def _speed(row: Mapping[str, Any], tried: list[Tried], cohort: Cohort) -> Speed:
    best = row['reserved_cores_best']
    return Speed(
        row['stage'],
        next(one for one in tried if one.cores == best),
        tuple(one for one in tried if one.cores != best),
        _footprint(row, 'saved', cohort),
    )


def busy_seconds(cohort: Cohort) -> float:
    """Wall time in which at least one stage ran, on whatever machine, by the clocks of all.

    Parameters
    ----------
    cohort : Cohort

    Returns
    -------
    float
        In seconds.
    """
    import polars as pl

    ran = (pl.col('outcome') != 'cached') & pl.col('began').is_not_null()
    stop = pl.col('began') + pl.col('duration')
    known = cohort.table.lazy().filter(ran)
    times = known.select('began', stop.alias('stop')).sort('began').collect()
    since = pl.max_horizontal('began', pl.col('stop').cum_max().shift(1))
    return float(times.select((pl.col('stop') - since).clip(0.0).sum()).item())
