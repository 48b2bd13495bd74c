"""Many stages in columns: what a dataset's report is made of.

Rows come from :mod:`nicarbon.digest`, are accounted for column by column, and added up by
stage, by subject, by pipeline. The sums are the same :class:`~nicarbon.summary.Summary` as that
of a few stages held one by one. See :mod:`nicarbon.columns`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .account import PUE, Intensity
from .columns import frame, sums_of, three, times
from .digest import KINDS, TIERS
from .phases import Phase, Phases
from .share import POLICIES
from .sights import Sight, merged
from .spread import Spread, spread_of
from .stage import Stage
from .summary import LOST, Dataset, Failure, Kind, Summary

if TYPE_CHECKING:
    from polars import DataFrame, Expr

__all__ = ['Cohort', 'Parts']

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
        several = stages if len(stages) > 1 else {}
        return Dataset(
            self.total,
            self.people(),
            self.kinds([stage.key for stage in pipeline]),
            {tool: self.sessions(keys) for tool, keys in several.items()},
            self.failures(),
        )

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

        ended = self.table.filter((pl.col('outcome') == 'ran') & pl.col('tier').is_not_null())
        joules = pl.col('energy')
        found = ended.group_by('stage').agg(
            joules.count().alias('count'),
            joules.head(3).alias('few'),
            *(joules.quantile(q, 'linear').alias(name) for name, q in _QUARTERS.items()),
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
        table = self.table if wanted is None else self.table.filter(wanted)
        rows = _sums(table, keys)
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
        work = pl.concat_str('subject', 'session', 'stage', 'node', separator='\t').hash()
        began = pl.col('started').str.to_datetime(time_zone='UTC', time_unit='us', strict=False)
        when = (began.dt.epoch('us') / 1e6).alias('began')
        self._tables.append(rows.select(*kept, place, work.alias('work'), when))
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
        table, lost = pl.concat(self._tables), pl.concat(self._lost).head(FAILURES)
        self._tables.clear()
        return Cohort(table, lost, intensity, pue, tuple(sights), weights)


_DROPPED = frozenset({'node', 'started', 'run_id', 'host', 'boot_id', 'host_cpu_time'})
_QUARTERS = {'low': 0.25, 'median': 0.5, 'high': 0.75}


def _spread(row: Mapping[str, Any]) -> Spread | None:
    """Of a few values their range, of more their quartiles."""
    if row['count'] < 4:
        return spread_of(row['few'])
    return Spread(row['median'], row['low'], row['high'], 'IQR', row['count'])


def _sums(table: DataFrame, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Plain sums by group: one row each, in order of first appearance."""
    import polars as pl

    by: list[Any] = list(keys) or [pl.lit('').alias('')]
    grouped = table.group_by(by, maintain_order=True).agg(
        *_expressions('g_per_kwh' in table.columns)
    )
    names = [*keys] or ['']
    grouped = grouped.join(_busy(table, by, names), on=names, how='left', maintain_order='left')
    return list(grouped.iter_rows(named=True))


def _expressions(by_stage: bool) -> list[Expr]:  # noqa: FBT001
    import polars as pl

    seen = pl.col('tier').is_not_null()
    lost = seen & pl.col('outcome').is_in(list(LOST))
    ended = (pl.col('outcome') == 'ran') & pl.col('energy').is_not_null()
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
        *((pl.col('outcome') == word).sum().alias(word) for word in _OUTCOMES),
        (~seen & (pl.col('outcome') != 'cached')).sum().alias('unseen'),
        (pl.col('stage').n_unique() == pl.col('stage').filter(ended).n_unique()).alias('complete'),
        pl.col('duration').sum().alias('seconds'),
        pl.col('duration').filter(seen).sum().alias('seen_seconds'),
        pl.col('cpu_time').sum(),
        (held & seen).any().alias('has_held'),
        *(pl.col(f'gpu_{name}').filter(seen).sum() for name in ('duration', 'time', 'open')),
    ]


_POLICY = {'reserved': 'energy'}
_OUTCOMES = ('ran', 'failed', 'killed', 'cached')


def _busy(table: DataFrame, by: Sequence[Any], names: Sequence[str]) -> DataFrame:
    """Wall time in which at least one stage of a group ran; see ``series.busy_seconds``."""
    import polars as pl

    times = table.filter(pl.col('start').is_not_null())
    times = times.select('place', 'spells', 'start', 'stop', *by)
    several = times.filter(pl.col('spells') != '')
    if not several.is_empty():
        ends = pl.col('spells').str.split(' ')
        several = (
            several.with_columns(ends)
            .explode('spells')
            .with_columns(
                pl.col('spells').str.split(':').list.get(i).cast(pl.Float64).alias(name)
                for i, name in enumerate(('start', 'stop'))
            )
            .with_columns(spells=pl.lit(''))
        )
        times = pl.concat([times.filter(pl.col('spells') == ''), several])
    times = times.sort([*names, 'place', 'start', 'stop'])
    reached = pl.col('stop').cum_max().shift(1).over([*names, 'place'])
    since = pl.max_horizontal('start', reached)
    return (
        times.with_columns((pl.col('stop') - since).clip(0.0).alias('busy'))
        .group_by(list(names))
        .agg(pl.col('busy').sum())
    )


def _summary(row: Mapping[str, Any], intensity: Intensity, pue: PUE) -> Summary:
    """A group's sums as a summary."""
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
        outcomes={word: row[word] for word in _OUTCOMES if row.get(word)},
        unseen=row.get('unseen', 0),
        complete=row.get('complete', False),
        seconds=row.get('seconds', 0.0),
        cpu_seconds=row.get('cpu_time', 0.0),
        busy_seconds=row.get('busy') or 0.0,
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
