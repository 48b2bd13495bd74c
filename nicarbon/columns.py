"""Rows of digests as columns, accounted for, and as the group's table.

Polars does the work, see ``benchmarks/scale.py``; no other modules but :mod:`nicarbon.cohort`,
:mod:`nicarbon.findings` and :mod:`nicarbon.devices` know of it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import sidecar
from .account import PUE, Intensity, Sums
from .digest import COLUMNS
from .quantity import JOULES_PER_KWH

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from polars import DataFrame, Expr

__all__ = ['Means', 'accounted', 'frame', 'sums_of', 'three', 'times', 'tsv', 'with_means']

TABLE = tuple(sidecar.COLUMNS)
_TIMES = ('duration', 'cpu_time')

Means = Callable[[Any, Any], 'tuple[NDArray[Any], NDArray[Any], NDArray[Any]]']
"""Mean intensities and their bounds, in g/kWh, between starts and stops in POSIX seconds."""


def frame(rows: str) -> DataFrame:
    """Rows of digests as columns.

    Parameters
    ----------
    rows : str
        Tab-separated, as :class:`nicarbon.digest.Digest` has them.

    Returns
    -------
    polars.DataFrame
        Columns of :data:`nicarbon.digest.COLUMNS`; texts are never null but for ``tier``.
    """
    import polars as pl

    schema = {name: pl.String if kind is str else pl.Float64 for name, kind in COLUMNS.items()}
    if not rows:
        return pl.DataFrame(schema=schema)
    table = pl.read_csv(
        io.BytesIO(rows.encode()), separator='\t', has_header=False, schema=schema, quote_char=None
    )
    texts = [name for name, kind in COLUMNS.items() if kind is str and name != 'tier']
    return table.with_columns(pl.col(texts).fill_null(''))


def with_means(rows: DataFrame, means: Means) -> DataFrame:
    """Rows with what the grid emitted in the time of each.

    Parameters
    ----------
    rows : polars.DataFrame
        As :func:`frame` makes it.
    means : Means

    Returns
    -------
    polars.DataFrame
        With ``g_per_kwh``, ``g_low`` and ``g_high``.
    """
    import polars as pl

    told = dict(zip(('g_per_kwh', 'g_low', 'g_high'), means(*times(rows)), strict=True))
    return rows.with_columns(**{name: pl.Series(values) for name, values in told.items()})


def times(rows: DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Starts and ends in POSIX seconds."""
    import polars as pl

    began = pl.col('started').str.to_datetime(time_zone='UTC', time_unit='us')
    start = rows.select(began.dt.epoch('us') / 1e6).to_series().to_numpy()
    return start, start + rows['duration'].to_numpy()


def accounted(rows: DataFrame, intensity: Intensity | None, pue: PUE) -> DataFrame:
    """Rows as they stand in ``group_carbon.tsv``.

    Parameters
    ----------
    rows : polars.DataFrame
        As :func:`frame` makes it, maybe with ``g_per_kwh``, ``g_low`` and ``g_high``.
    intensity : Intensity or None
        For rows without.
    pue : PUE

    Returns
    -------
    polars.DataFrame
        Columns of :data:`nicarbon.sidecar.COLUMNS`.
    """
    import polars as pl

    if intensity is not None:
        rows = rows.with_columns(
            g_per_kwh=pl.lit(intensity.g_per_kwh),
            g_low=pl.lit(intensity.low),
            g_high=pl.lit(intensity.high),
        )
    energy, u_rel, g = pl.col('energy'), pl.col('u_rel'), pl.col('g_per_kwh')
    grams = energy / JOULES_PER_KWH * pue.value * g

    def reach(ratio: Expr) -> Expr:
        # A grid of no emissions has no interval below.
        known = pl.when(ratio.is_finite()).then(ratio).otherwise(1.0)
        return (u_rel.log() ** 2 + math.log(pue.u_rel) ** 2 + known.log() ** 2).sqrt().exp()

    # Killed before its first window had ended: nobody knows for how long it ran.
    timed = pl.col('start').is_not_null() | (pl.col('outcome') != 'killed')
    return rows.select(
        **{name: pl.col(name) for name in TABLE if name in COLUMNS and name not in _TIMES},
        **{name: pl.when(timed).then(pl.col(name)) for name in _TIMES},
        energy_low=energy / u_rel,
        energy_high=energy * u_rel,
        carbon=grams,
        carbon_low=grams / reach(g / pl.col('g_low')),
        carbon_high=grams * reach(pl.col('g_high') / g),
    ).select(TABLE)


def tsv(table: DataFrame) -> str:
    """Tab-separated text without a header, as BIDS wants it, six digits of each number.

    Parameters
    ----------
    table : polars.DataFrame

    Returns
    -------
    str
    """
    import polars as pl
    import polars.selectors as cs

    texts = cs.string()
    return table.with_columns(
        cs.float().round_sig_figs(6),
        pl.when(texts == '').then(None).otherwise(texts).name.keep(),
    ).write_csv(separator='\t', null_value='n/a', include_header=False, quote_style='never')


def three(name: str, joules: Expr, u_rel: Expr, wanted: Expr, by_stage: bool) -> list[Expr]:  # noqa: FBT001
    """The sums of :class:`nicarbon.account.Sums`, as columns that :func:`sums_of` reads.

    Parameters
    ----------
    name : str
        What the columns' names begin with.
    joules, u_rel : polars.Expr
        Joules of each row, and their multiplicative uncertainty.
    wanted : polars.Expr
        Whether a row counts.
    by_stage : bool
        Whether rows say what the grid emitted in their time.

    Returns
    -------
    list of polars.Expr
    """
    import polars as pl

    columns = {'joules': joules, 'low': joules / u_rel, 'high': joules * u_rel}
    if by_stage:
        columns |= {
            'weighted': joules * pl.col('g_per_kwh'),
            'weighted_low': joules * pl.col('g_low'),
            'weighted_high': joules * pl.col('g_high'),
        }
    return [each.filter(wanted).sum().alias(f'{name}_{what}') for what, each in columns.items()]


def sums_of(row: Mapping[str, Any], name: str, intensity: Intensity) -> Sums:
    """What :func:`three` has added up.

    Parameters
    ----------
    row : mapping
        By column; what is not there is nothing.
    name : str
        What the columns' names begin with.
    intensity : Intensity
        Of the grid, where rows do not say.

    Returns
    -------
    Sums
    """
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
