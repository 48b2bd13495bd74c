"""Sums of many stages by group, and what they come to: the arithmetic of :mod:`nicarbon.cohort`.

What is added up is never in memory for all rows at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from .account import PUE, Intensity
from .columns import sums_of, three
from .digest import KINDS, TIERS
from .entry import Outcome
from .phases import Phase, Phases
from .share import POLICIES
from .summary import LOST, Ended, Summary

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame

__all__ = ['OUTCOMES', 'SLICE', 'grouped', 'portions', 'summary']

OUTCOMES = get_args(Outcome)

SLICE = 100_000
"""Rows that are added up at a time."""

_POLICY = {'reserved': 'energy'}


def grouped(
    table: DataFrame, keys: Sequence[str], wanted: Expr | None = None
) -> list[dict[str, Any]]:
    """Plain sums by group.

    Parameters
    ----------
    table : polars.DataFrame
        As :class:`nicarbon.cohort.Parts` makes it.
    keys : sequence of str
        Columns whose values are those of a group; none for all rows together.
    wanted : polars.Expr, optional
        Rows that count.

    Returns
    -------
    list of dict
        One each, in order of first appearance.
    """
    import polars as pl
    import polars.selectors as cs

    names = [*keys] or ['']
    by: list[Any] = list(keys) or [pl.lit('').alias('')]
    wanted = pl.lit(value=True) if wanted is None else wanted
    wanted_sums = _expressions('g_per_kwh' in table.columns)
    # Slice by slice: what the sums are made of is never in memory for all rows at once.
    parts = [
        part.filter(wanted).group_by(by, maintain_order=True).agg(*wanted_sums)
        for part in table.iter_slices(SLICE)
    ]
    found = pl.concat(parts or [table.group_by(by).agg(*wanted_sums)]).group_by(
        names, maintain_order=True
    )
    sums = found.agg(cs.boolean().any(), cs.numeric().sum())
    for more in (_complete(table, wanted, by, names), _busy(table, wanted, by, names)):
        sums = sums.join(more, on=names, how='left', maintain_order='left')
    return list(sums.iter_rows(named=True))


def _complete(
    table: DataFrame, wanted: Expr, by: Sequence[Any], names: Sequence[str]
) -> DataFrame:
    """Whether each stage of a group ran to its end and was seen, at least once."""
    import polars as pl

    ended = (pl.col('outcome') == 'ran') & pl.col('energy').is_not_null()
    stage = pl.col('stage').alias('_stage')
    parts = [
        part.group_by([*by, stage]).agg(ended.any().alias('complete'))
        .group_by(list(names)).agg(pl.col('complete').all()).collect()
        for part in portions(table, wanted, pl.struct(by).hash() if names != [''] else None)
    ]  # fmt: skip
    return pl.concat(parts)


def portions(table: DataFrame, wanted: Expr, apart: Expr | None) -> Iterator[LazyFrame]:
    """A table in portions that are small in memory; what has one value of a hash is in one.

    Parameters
    ----------
    table : polars.DataFrame
    wanted : polars.Expr
        Rows that count.
    apart : polars.Expr or None
        The hash; None for all in one.

    Yields
    ------
    polars.LazyFrame
    """
    import polars as pl

    number = 1 if apart is None else max(1, table.height // (2 * SLICE))
    for index in range(number):
        mine = pl.lit(value=True) if apart is None else apart % number == index
        yield table.lazy().filter(wanted & mine)


def _expressions(by_stage: bool) -> list[Expr]:  # noqa: FBT001
    import polars as pl

    seen = pl.col('tier').is_not_null()
    lost = seen & pl.col('outcome').is_in(list(LOST))
    held = pl.col('gpu_time').is_not_null()
    energy, u_rel = pl.col('energy'), pl.col('u_rel')
    without = pl.coalesce('energy_without_gpu', 'energy')
    u_without = pl.coalesce('u_without_gpu', 'u_rel')
    return [
        *three('spent', energy, u_rel, seen, by_stage),
        *three('lost', energy, u_rel, lost, by_stage),
        *three('with', pl.col('energy_with_gpu'), pl.col('u_with_gpu'), seen, by_stage),
        *three('without', without, u_without, seen, by_stage),
        *(pl.col(_POLICY.get(p, f'energy_{p}')).filter(seen).sum().alias(p) for p in POLICIES),
        *(pl.col(f'energy_{kind}').filter(seen).sum() for kind in KINDS),
        *(pl.col(f'energy_{kind}').is_not_null().any().alias(f'has_{kind}') for kind in KINDS),
        *(pl.col(f'energy_{tier}').filter(seen).sum() for tier in TIERS),
        *(pl.col(f'energy_{tier}').is_not_null().any().alias(f'has_{tier}') for tier in TIERS),
        *((pl.col('outcome') == word).sum().alias(word) for word in OUTCOMES),
        (~seen & (pl.col('outcome') != 'cached')).sum().alias('unseen'),
        pl.col('duration').sum().alias('seconds'),
        pl.col('duration').filter(seen).sum().alias('seen_seconds'),
        pl.col('cpu_time').sum(),
        *_of_ended(),
        (held & seen).any().alias('has_held'),
        *(pl.col(f'gpu_{name}').filter(seen).sum() for name in ('duration', 'time', 'open')),
    ]


def _of_ended() -> list[Expr]:
    """The sums of :class:`nicarbon.summary.Ended`."""
    import polars as pl

    ran = pl.col('outcome') == 'ran'
    seen = ran & pl.col('tier').is_not_null()
    return [
        pl.col('duration').filter(ran).sum().alias('ended_seconds'),
        pl.col('gpu_time').filter(seen).sum().alias('ended_gpu_seconds'),
        pl.col('energy_with_gpu').filter(seen).sum().alias('ended_gpu_joules'),
    ]


def _busy(table: DataFrame, wanted: Expr, by: Sequence[Any], names: Sequence[str]) -> DataFrame:
    """Wall time in which at least one stage of a group ran; see ``series.busy_seconds``."""
    import polars as pl

    there = wanted & pl.col('start').is_not_null()
    parts = [
        _busy_in(part.select('place', 'spells', 'start', 'stop', *by).collect(), names)
        for part in portions(table, there, pl.col('place'))
    ]
    return pl.concat(parts).group_by(list(names)).agg(pl.col('busy').sum())


def _busy_in(times: DataFrame, names: Sequence[str]) -> DataFrame:
    """The same by place: clocks of different hosts or boots do not compare."""
    import polars as pl

    several = times.filter(pl.col('spells') != '')
    if not several.is_empty():
        ends = pl.col('spells').str.split(':')
        each = several.with_columns(pl.col('spells').str.split(' ')).explode('spells')
        several = each.with_columns(
            start=ends.list.get(0).cast(pl.Float64),
            stop=ends.list.get(1).cast(pl.Float64),
            spells=pl.lit(''),
        )
        times = pl.concat([times.filter(pl.col('spells') == ''), several])
    times = times.sort([*names, 'place', 'start', 'stop'])
    reached = pl.col('stop').cum_max().shift(1).over([*names, 'place'])
    since = pl.max_horizontal('start', reached)
    busy = (pl.col('stop') - since).clip(0.0).alias('busy')
    return times.with_columns(busy).group_by(list(names)).agg(pl.col('busy').sum())


def summary(row: Mapping[str, Any], intensity: Intensity, pue: PUE) -> Summary:
    """A group's sums as a summary.

    Parameters
    ----------
    row : mapping
        From :func:`grouped`; empty for no rows at all.
    intensity : Intensity
    pue : PUE

    Returns
    -------
    Summary
    """
    joules = row.get('spent_joules', 0.0)
    return Summary(
        subject=row.get('subject', ''),
        session=row.get('session', ''),
        footprint=sums_of(row, 'spent', intensity).footprint(intensity, pue),
        lost=sums_of(row, 'lost', intensity).footprint(intensity, pue),
        policies={policy: row.get(policy, 0.0) for policy in POLICIES},
        components={kind: row[f'energy_{kind}'] for kind in KINDS if row.get(f'has_{kind}')},
        tiers={
            tier: row[f'energy_{tier}'] / joules if joules else 0.0
            for tier in TIERS
            if row.get(f'has_{tier}') and (row[f'energy_{tier}'] or not joules)
        },
        outcomes={word: row[word] for word in OUTCOMES if row.get(word)},
        unseen=row.get('unseen', 0),
        complete=row.get('complete', False),
        seconds=row.get('seconds', 0.0),
        cpu_seconds=row.get('cpu_time', 0.0),
        busy_seconds=row.get('busy') or 0.0,
        ended=Ended(*(row.get(f'ended_{name}', 0.0) for name in Ended._fields)),
        phases=_phases(row, intensity, pue) if row.get('has_held') else None,
    )


def _phases(row: Mapping[str, Any], intensity: Intensity, pue: PUE) -> Phases:
    rest = max(0.0, row['seen_seconds'] - row['gpu_duration'])
    return Phases(
        Phase(row['gpu_duration'], sums_of(row, 'with', intensity).footprint(intensity, pue)),
        Phase(rest, sums_of(row, 'without', intensity).footprint(intensity, pue)),
        row['gpu_time'],
        row['gpu_open'],
    )
