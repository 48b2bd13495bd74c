"""Pipelines that ran with a GPU and without, found in the columns of a dataset.

Compared is what was processed from start to end in one run: with the same stages, seen by the
same kinds of meters. Of a GPU that was held and whose energy nobody could tell apart, nothing
is compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from .cohort import Cohort
from .columns import sums_of, three
from .digest import KINDS
from .spread import Spread
from .stage import Stage
from .sums import portions
from .waste import Both, Processed

if TYPE_CHECKING:
    from polars import DataFrame, Expr

__all__ = ['LEAST', 'devices']

LEAST = 4
"""Sessions on either kind of processor that it takes to compare: below, there is no quartile."""

_KINDS = tuple(kind for kind in KINDS if kind != 'gpu')
_ALIKE = ('tool', 'made', 'kinds')
"""What sessions that compare have in common: pipeline, its stages, and kinds of components seen."""


def devices(cohort: Cohort, pipeline: Iterable[Stage]) -> list[Both]:
    """Pipelines that ran with a GPU and without.

    On the same machine, where there are :data:`LEAST` sessions or more of each; of a pipeline
    of which no machine has so many, on whatever machines.

    Parameters
    ----------
    cohort : Cohort
    pipeline : iterable of Stage
        Of all pipelines of which any ran.

    Returns
    -------
    list of Both
        Those that used the most joules first.
    """
    import polars as pl

    held = cohort.table.lazy().filter(_held()).select(pl.col('stage').unique()).collect()
    tools = _tools(cohort.stages, pipeline).with_columns(
        networks=pl.col('stage').is_in(held['stage'].to_list())
    )
    mixed = tools.filter('networks')['tool'].unique().to_list()
    # Most ledgers have none, and stop here.
    if not mixed:
        return []
    sessions = _sessions(cohort, tools.filter(pl.col('tool').is_in(mixed)))
    here = sessions.filter(pl.col('machine').is_not_null())
    found = _pairs(here, (*_ALIKE, 'machine'), cohort)
    known = {one.tool for one in found}
    found += _pairs(sessions.filter(~pl.col('tool').is_in(list(known))), _ALIKE, cohort)
    return sorted(found, key=lambda one: -_joules(one))


def _joules(one: Both) -> float:
    return one.cpu.footprint.joules + one.gpu.footprint.joules


def _tools(stages: Iterable[str], pipeline: Iterable[Stage]) -> DataFrame:
    """By stage its tool, and a number that stands for it, or for the stage that it is a part of."""
    import polars as pl

    tools = {stage.key: stage.tool for stage in pipeline}
    wholes = {key: key.partition('.')[0] for key in stages}
    rows = [
        (key, tools.get(key) or tools[whole], _number(whole))
        for key, whole in sorted(wholes.items())
        if key in tools or whole in tools
    ]
    schema = {'stage': pl.String, 'tool': pl.String, 'number': pl.Int64}
    return pl.DataFrame(rows, schema, orient='row')


def _number(stage: str) -> int:
    """Such that sums of a thousand of them tell sets of stages apart."""
    digest = hashlib.sha1(stage.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:6], 'big')


def _held() -> Expr:
    import polars as pl

    return pl.col('gpu_time').fill_null(0.0) > 0


def _sessions(cohort: Cohort, tools: DataFrame) -> DataFrame:
    """One row for each session that a tool took from start to end in one run."""
    import polars as pl

    joules = pl.col('energy')
    ran = (pl.col('outcome') == 'ran') & pl.col('tier').is_not_null()
    priced = ~_held() | (pl.col('energy_gpu').fill_null(0.0) > 0)
    kinds = [pl.col(f'energy_{kind}').is_not_null().any() * 2**n for n, kind in enumerate(_KINDS)]
    machine = pl.col('machine')
    sums = [
        (ran & priced).all().alias('whole'),
        _held().any().alias('held'),
        (pl.col('networks') & pl.col('gpu_time').is_null()).any().alias('unseen'),
        pl.col('number').unique().sum().alias('made'),
        pl.sum_horizontal(kinds).alias('kinds'),
        pl.when(machine.min() == machine.max()).then(machine.min()).alias('machine'),
        joules.sum().alias('joules'),
        pl.col('energy_gpu').sum().alias('of_gpus'),
        pl.col('duration').sum().alias('seconds'),
        *three('spent', joules, pl.col('u_rel'), ran, 'g_per_kwh' in cohort.table.columns),
    ]
    wanted = (pl.col('subject') != '') & pl.col('stage').is_in(tools['stage'].to_list())
    parts = [
        part.join(tools.lazy(), on='stage').group_by('tool', 'attempt').agg(*sums).collect()
        for part in portions(cohort.table, wanted, pl.col('attempt'))
    ]
    return pl.concat(parts).filter(pl.col('whole') & (pl.col('joules') > 0))


def _pairs(sessions: DataFrame, alike: tuple[str, ...], cohort: Cohort) -> list[Both]:
    import polars as pl

    joules = pl.col('joules')
    groups = (
        sessions.group_by(*alike, 'held')
        .agg(
            pl.len().alias('count'),
            joules.median().alias('median'),
            joules.quantile(0.25, 'linear').alias('low'),
            joules.quantile(0.75, 'linear').alias('high'),
            pl.col('seconds').median(),
            (pl.col('of_gpus').sum() / joules.sum()).alias('of_gpus'),
            (pl.col('unseen') & ~pl.col('held')).sum().alias('unseen'),
            pl.col('^spent_.*$').sum(),
        )
        .filter(pl.col('count') >= LEAST)
    )
    found: dict[tuple[Any, ...], dict[bool, Processed]] = {}
    for row in groups.sort(*alike).iter_rows(named=True):
        key = tuple(row[name] for name in alike)
        found.setdefault(key, {})[row['held']] = _processed(row, cohort)
    u_gpu = _u_gpu(cohort)
    return [
        Both(key[0], two[False], two[True], 'machine' in alike, u_gpu)
        for key, two in found.items()
        if len(two) == 2
    ]


def _processed(row: Mapping[str, Any], cohort: Cohort) -> Processed:
    footprint = sums_of(row, 'spent', cohort.intensity).footprint(cohort.intensity, cohort.pue)
    device: Literal['cpu', 'gpu'] = 'gpu' if row['held'] else 'cpu'
    return Processed(
        device,
        Spread(row['median'], row['low'], row['high'], 'IQR', row['count']),
        row['seconds'],
        row['of_gpus'],
        row['spent_high'] / row['spent_joules'],
        row['unseen'],
        footprint,
    )


def _u_gpu(cohort: Cohort) -> float:
    """Of the GPU that was seen worst."""
    gpus = [both for name, both in cohort.weights.items() if name.startswith('gpu')]
    return max((weighted / joules for joules, weighted in gpus if joules), default=1.0)
