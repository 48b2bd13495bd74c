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
from .columns import frame, times
from .digest import COLUMNS, TIERS
from .sights import Sight, merged
from .spread import Spread, spread_of
from .stage import Stage
from .summary import LOST, Dataset, Failure, Kind, Summary
from .sums import OUTCOMES, SLICE, grouped, summary

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
        return Dataset(
            self.total,
            self.people(),
            self.kinds([stage.key for stage in pipeline]),
            self.by_tool(pipeline),
            self.failures(),
            self.scans,
        )

    def by_tool(
        self, pipeline: Iterable[Stage], *, nobody: bool = False
    ) -> dict[str, list[Summary]]:
        """One for each session, by the tool that stages are of.

        Parameters
        ----------
        pipeline : iterable of Stage
        nobody : bool
            Whether stages count that belong to no subject, and with an empty name such as are
            of no tool.

        Returns
        -------
        dict of {str : list of Summary}
        """
        stages: dict[str, list[str]] = defaultdict(list)
        for stage in pipeline:
            stages[stage.tool].append(stage.key)
        known = {key for keys in stages.values() for key in keys}
        if nobody and self.stages - known:
            stages[''] = list(self.stages - known)
        return {tool: self.sessions(keys, nobody=nobody) for tool, keys in stages.items()}

    @property
    def scans(self) -> int:
        """Sessions of which any stage ran to its end."""
        import polars as pl

        ran = pl.col('outcome') == 'ran'
        parts = [
            part.filter(ran).select('subject', 'session').unique()
            for part in self.table.iter_slices(SLICE)
        ]
        return pl.concat(parts).unique().height if parts else 0

    @property
    def stages(self) -> frozenset[str]:
        """What was run, by key."""
        return frozenset(self.table['stage'].unique().to_list())

    @property
    def total(self) -> Summary:
        """All of them together."""
        if self.table.is_empty():
            return summary({}, self.intensity, self.pue)
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

    def sessions(
        self, stages: Iterable[str] | None = None, *, nobody: bool = False
    ) -> list[Summary]:
        """One for each session of each subject, in order of label.

        Parameters
        ----------
        stages : iterable of str, optional
            Only these count; all by default.
        nobody : bool
            Whether those count that belong to no subject.
        """
        import polars as pl

        wanted = pl.lit(value=True) if nobody else pl.col('subject') != ''
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
        rows = grouped(self.table, (key,))
        return {row[key]: summary(row, self.intensity, self.pue) for row in rows}

    def _summaries(self, keys: tuple[str, ...], wanted: Expr | None = None) -> list[Summary]:
        rows = grouped(self.table, keys, wanted)
        found = [summary(row, self.intensity, self.pue) for row in rows]
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
        place = pl.when(pl.col('boot_id') != '').then('boot_id').otherwise('host').hash()
        work = pl.concat_str('subject', 'session', 'stage', 'node', separator='\t').hash()
        # Work on one subject and session in one run; and the machine by its name, as its boot is new
        # with each start.
        attempt = pl.concat_str('subject', 'session', 'run_id', separator='\t').hash()
        machine = (pl.col('host').hash() % 2**32).cast(pl.UInt32).alias('machine')
        began = pl.col('started').str.to_datetime(time_zone='UTC', time_unit='us', strict=False)
        when = (began.dt.epoch('us') / 1e6).alias('began')
        # Columns of which nothing was seen are put back, empty, in the end.
        seen = [name for name in kept if name not in _RARE or rows[name].null_count() < len(rows)]
        outcomes, tiers = pl.Enum(OUTCOMES), pl.Enum(TIERS)
        self._tables.append(
            rows.select(
                *seen,
                place.alias('place'),
                work.alias('work'),
                attempt.alias('attempt'),
                machine,
                when,
            ).with_columns(pl.col('outcome').cast(outcomes), pl.col('tier').cast(tiers))
        )
        if sum(map(len, self._lost)) < FAILURES or not self._lost:
            lost = rows.filter(pl.col('outcome').is_in(list(LOST)))
            names = [each.name for each in fields(Failure)]
            self._lost.append(lost.select(names).head(FAILURES))

    @property
    def period(self) -> tuple[datetime, datetime] | None:
        """From the first start to the last end of rows :func:`with_means`; None without any."""
        if not self._ends:
            return None
        first, last = min(self._ends), max(self._ends)
        return datetime.fromtimestamp(first, timezone.utc), datetime.fromtimestamp(
            last, timezone.utc
        )

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


_DROPPED = frozenset({'node', 'started', 'run_id', 'host', 'boot_id', 'host_cpu_time'})
_RARE = tuple(name for name in COLUMNS if name.startswith(('energy_', 'gpu_', 'u_', 'peak')))
_QUARTERS = {'low': 0.25, 'median': 0.5, 'high': 0.75}


def _spread(row: Mapping[str, Any]) -> Spread | None:
    """Of a few values their range, of more their quartiles."""
    if row['count'] < 4:
        return spread_of(row['few'])
    return Spread(row['median'], row['low'], row['high'], 'IQR', row['count'])
