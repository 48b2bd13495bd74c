"""Many stages in columns: what a dataset's report is made of.

Rows come from :mod:`nicarbon.digest`, are accounted for column by column, and added up by
stage, by subject, by pipeline. The sums are the same :class:`~nicarbon.summary.Summary` as that
of a few stages held one by one. See :mod:`nicarbon.columns`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from .account import PUE, Intensity, Sums
from .columns import frame, times
from .digest import COLUMNS, KINDS, TIERS
from .entry import Outcome
from .phases import Phase, Phases
from .share import POLICIES
from .sights import Sight, merged
from .spread import Spread, spread_of
from .stage import Stage
from .summary import LOST, Dataset, Ended, Failure, Kind, Summary

if TYPE_CHECKING:
    from polars import DataFrame, Expr, LazyFrame

__all__ = ['Cohort', 'Parts']

OUTCOMES = get_args(Outcome)

SLICE = 200_000
"""Rows that are added up at a time."""

FAILURES = 100
"""Stages that failed or were killed which are told one by one; the others are counted."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """All stages of a dataset, accounted for; :class:`Parts` makes it.

    Parameters
    ----------
    table : polars.DataFrame
        What sums are made of, one row a stage; with ``g_per_kwh`` and its bounds where they
        differ by stage.
    lost : polars.DataFrame
        The first stages that failed or were killed.
    intensity : Intensity
        Of the grid in all of the time.
    pue : PUE
    sights : tuple of Sight
        How components were seen, in all.
    weights : mapping of {str : (float, float)}
        By component its joules, and the same times their uncertainty.
    """

    table: DataFrame
    lost: DataFrame
    intensity: Intensity
    pue: PUE
    sights: tuple[Sight, ...] = ()
    weights: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def dataset(self, pipeline: Sequence[Stage]) -> Dataset:
        """All that a report needs.

        Parameters
        ----------
        pipeline : sequence of Stage
            Stages of all pipelines of which any ran.

        Returns
        -------
        Dataset
        """
        stages: dict[str, list[str]] = defaultdict(list)
        for stage in pipeline:
            stages[stage.tool].append(stage.key)
        return Dataset(
            self.total,
            self.people(),
            self.kinds([stage.key for stage in pipeline]),
            {tool: self.sessions(keys) for tool, keys in stages.items()},
            self.failures(),
            self.scans,
        )

    @property
    def scans(self) -> int:
        """Sessions of which any stage ran to its end."""
        import polars as pl

        ran = self.table.filter(pl.col('outcome') == 'ran')
        return int(ran.select(pl.struct('subject', 'session').n_unique()).item())

    @property
    def stages(self) -> frozenset[str]:
        """What was run, by key."""
        return frozenset(self.table['stage'].unique().to_list())

    @property
    def total(self) -> Summary:
        """All of them together."""
        if self.table.is_empty():
            return _summary({}, self.intensity, self.pue)
        (one,) = self._summaries(())
        weights = self.weights
        return replace(
            one,
            stages=self.stages,
            sights=merged(self.sights),
            components={name: joules for name, (joules, _) in weights.items()} or one.components,
            factors={name: both / j for name, (j, both) in weights.items() if j},
        )

    def people(self) -> list[Summary]:
        """One for each subject, all sessions together, in order of label."""
        import polars as pl

        return self._summaries(('subject',), pl.col('subject') != '')

    def sessions(self, stages: Iterable[str] | None = None) -> list[Summary]:
        """One for each session of each subject, in order of label.

        Parameters
        ----------
        stages : iterable of str, optional
            Only these count; all by default.
        """
        import polars as pl

        wanted = pl.col('subject') != ''
        if stages is not None:
            wanted &= pl.col('stage').is_in(list(stages))
        return self._summaries(('subject', 'session'), wanted)

    def kinds(self, order: Iterable[str]) -> list[Kind]:
        """One for each stage, in pipeline order; others follow as they appear.

        Parameters
        ----------
        order : iterable of str
        """
        import polars as pl

        ended = (pl.col('outcome') == 'ran') & pl.col('tier').is_not_null()
        joules = pl.col('energy')
        found = (
            self.table.lazy()
            .filter(ended)
            .group_by('stage')
            .agg(
                joules.count().alias('count'),
                joules.head(3).alias('few'),
                *(joules.quantile(q, 'linear').alias(name) for name, q in _QUARTERS.items()),
            )
            .collect()
        )
        typical = {row['stage']: _spread(row) for row in found.iter_rows(named=True)}
        kinds = [
            Kind(stage, one, typical.get(stage)) for stage, one in self._keyed('stage').items()
        ]
        places = {stage: place for place, stage in enumerate(order)}
        return sorted(kinds, key=lambda kind: places.get(kind.stage, len(places)))

    def failures(self) -> list[Failure]:
        """The first stages that failed or were killed."""
        return [Failure(*row) for row in self.lost.iter_rows()]

    def _keyed(self, key: str) -> dict[str, Summary]:
        rows = _sums(self.table, (key,))
        return {row[key]: _summary(row, self.intensity, self.pue) for row in rows}

    def _summaries(self, keys: tuple[str, ...], wanted: Expr | None = None) -> list[Summary]:
        rows = _sums(self.table, keys, wanted)
        found = [_summary(row, self.intensity, self.pue) for row in rows]
        return sorted(found, key=lambda one: (one.subject, one.session))


class Parts:
    """Rows, part by part, less what no sum needs: that of many stages must fit in memory."""

    def __init__(self) -> None:
        self._tables: list[DataFrame] = []
        self._lost: list[DataFrame] = []
        self._ends: list[float] = []

    def add(self, rows: DataFrame) -> None:
        """Add rows.

        Parameters
        ----------
        rows : polars.DataFrame
            As :func:`frame` makes it, maybe :func:`with_means`.
        """
        import polars as pl

        kept = [name for name in rows.columns if name not in _DROPPED]
        if not rows.is_empty() and 'g_per_kwh' in rows.columns:
            starts, stops = times(rows)
            self._ends += [starts.min(), stops.max()]
        place = pl.concat_str('host', 'boot_id', separator='\t').hash().alias('place')
        # Columns of which nothing was seen are put back, empty, in the end.
        seen = [name for name in kept if name not in _RARE or rows[name].null_count() < len(rows)]
        outcomes, tiers = pl.Enum(OUTCOMES), pl.Enum(TIERS)
        self._tables.append(
            rows.select(*seen, place).with_columns(
                pl.col('outcome').cast(outcomes), pl.col('tier').cast(tiers)
            )
        )
        if sum(map(len, self._lost)) < FAILURES or not self._lost:
            lost = rows.filter(pl.col('outcome').is_in(list(LOST)))
            names = [each.name for each in fields(Failure)]
            self._lost.append(lost.select(names).head(FAILURES))

    @property
    def period(self) -> tuple[datetime, datetime]:
        """From the first start to the last end of rows :func:`with_means`; now, without any."""
        ends = self._ends or [datetime.now(timezone.utc).timestamp()]
        first, last = (
            datetime.fromtimestamp(each, timezone.utc) for each in (min(ends), max(ends))
        )
        return first, last

    def cohort(
        self,
        intensity: Intensity,
        pue: PUE,
        sights: Iterable[Sight] = (),
        weights: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    ) -> Cohort:
        """All of them, see :class:`Cohort`."""
        import polars as pl

        if not self._tables:
            self.add(frame(''))
        table = pl.concat(self._tables, how='diagonal')
        nothing = [pl.lit(None, pl.Float64).alias(n) for n in _RARE if n not in table.columns]
        table, lost = table.with_columns(nothing), pl.concat(self._lost).head(FAILURES)
        self._tables.clear()
        return Cohort(table, lost, intensity, pue, tuple(sights), weights)


_DROPPED = frozenset({'node', 'started', 'run_id', 'host', 'boot_id', 'error', 'host_cpu_time'})
_RARE = tuple(name for name in COLUMNS if name.startswith(('energy_', 'gpu_', 'u_', 'peak')))
_QUARTERS = {'low': 0.25, 'median': 0.5, 'high': 0.75}


def _spread(row: Mapping[str, Any]) -> Spread | None:
    """Of a few values their range, of more their quartiles."""
    if row['count'] < 4:
        return spread_of(row['few'])
    return Spread(row['median'], row['low'], row['high'], 'IQR', row['count'])


def _sums(
    table: DataFrame, keys: Sequence[str], wanted: Expr | None = None
) -> list[dict[str, Any]]:
    """Plain sums by group: one row each, in order of first appearance."""
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
    grouped = found.agg(cs.boolean().any(), cs.numeric().sum())
    for more in (_complete(table, wanted, by, names), _busy(table, wanted, by, names)):
        grouped = grouped.join(more, on=names, how='left', maintain_order='left')
    return list(grouped.iter_rows(named=True))


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
        for part in _portions(table, wanted, pl.struct(by).hash() if names != [''] else None)
    ]  # fmt: skip
    return pl.concat(parts)


def _portions(table: DataFrame, wanted: Expr, apart: Expr | None) -> Iterator[LazyFrame]:
    """A table in portions that are small in memory; what has one value of a hash is in one."""
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
        *_three('spent', energy, u_rel, seen, by_stage),
        *_three('lost', energy, u_rel, lost, by_stage),
        *_three('with', pl.col('energy_with_gpu'), pl.col('u_with_gpu'), seen, by_stage),
        *_three('without', without, u_without, seen, by_stage),
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


_POLICY = {'reserved': 'energy'}


def _three(name: str, joules: Expr, u_rel: Expr, wanted: Expr, by_stage: bool) -> list[Expr]:  # noqa: FBT001
    """The sums of :class:`nicarbon.account.Sums`."""
    import polars as pl

    columns = {'joules': joules, 'low': joules / u_rel, 'high': joules * u_rel}
    if by_stage:
        columns |= {
            'weighted': joules * pl.col('g_per_kwh'),
            'weighted_low': joules * pl.col('g_low'),
            'weighted_high': joules * pl.col('g_high'),
        }
    return [each.filter(wanted).sum().alias(f'{name}_{what}') for what, each in columns.items()]


def _busy(table: DataFrame, wanted: Expr, by: Sequence[Any], names: Sequence[str]) -> DataFrame:
    """Wall time in which at least one stage of a group ran; see ``series.busy_seconds``."""
    import polars as pl

    there = wanted & pl.col('start').is_not_null()
    parts = [
        _busy_in(part.select('place', 'spells', 'start', 'stop', *by).collect(), names)
        for part in _portions(table, there, pl.col('place'))
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


def _summary(row: Mapping[str, Any], intensity: Intensity, pue: PUE) -> Summary:
    """A group's sums as a summary."""
    joules = row.get('spent_joules', 0.0)
    return Summary(
        subject=row.get('subject', ''),
        session=row.get('session', ''),
        footprint=_of(row, 'spent', intensity).footprint(intensity, pue),
        lost=_of(row, 'lost', intensity).footprint(intensity, pue),
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


def _of(row: Mapping[str, Any], name: str, intensity: Intensity) -> Sums:
    joules = row.get(f'{name}_joules', 0.0)
    low, high = row.get(f'{name}_low', 0.0), row.get(f'{name}_high', 0.0)
    grams = [
        row.get(f'{name}_{what}', joules * g)
        for what, g in (
            ('weighted', intensity.g_per_kwh),
            ('weighted_low', intensity.low),
            ('weighted_high', intensity.high),
        )
    ]
    return Sums(joules, low, high, *grams)


def _phases(row: Mapping[str, Any], intensity: Intensity, pue: PUE) -> Phases:
    rest = max(0.0, row['seen_seconds'] - row['gpu_duration'])
    return Phases(
        Phase(row['gpu_duration'], _of(row, 'with', intensity).footprint(intensity, pue)),
        Phase(rest, _of(row, 'without', intensity).footprint(intensity, pue)),
        row['gpu_time'],
        row['gpu_open'],
    )
