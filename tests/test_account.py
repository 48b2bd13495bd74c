"""Grams from joules: the published table, units, intervals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicarbon.account import PUE, Intensity, account, combine, total
from nicarbon.errors import UsageError
from nicarbon.quantity import carbon, energy

QUEBEC = Intensity(30.0, 30.0, 30.0, 'given', '', '', 'average', 'the published table')


@pytest.mark.parametrize(
    ('it_wh', 'pue', 'wh', 'grams'),
    [
        (68.7, 1.58, 108.5, 3.26),
        (80.0, 1.58, 126.4, 3.79),
        (16.9, 1.58, 26.7, 0.80),
        (68.7, 1.2, 82.4, 2.47),
        (80.0, 1.2, 96.0, 2.88),
        (16.9, 1.2, 20.3, 0.61),
    ],
)
def test_the_published_rows(it_wh: float, pue: float, wh: float, grams: float) -> None:
    """FreeSurfer, FastSurfer on CPU and on GPU: energy and grams of the 2021 table."""
    footprint = account(it_wh * 3600, 1.0, QUEBEC, PUE(pue))
    assert footprint.kwh * 1000 == pytest.approx(wh, abs=0.06)
    assert footprint.grams == pytest.approx(grams, abs=0.006)


@pytest.mark.parametrize('value', [-1.0, 0.0, 0.99, float('nan'), float('inf')])
def test_an_impossible_pue_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match='--pue'):
        PUE(value)


def test_a_stated_pue_is_not_exact() -> None:
    plain, stated = (account(3.6e6, 1.0, QUEBEC, pue) for pue in (PUE(1.0, 'unset'), PUE(1.5)))
    assert plain.low == plain.high == plain.grams
    assert stated.low == pytest.approx(stated.grams / 1.1)
    assert stated.kwh_bounds[1] == pytest.approx(stated.kwh * 1.1)


factors = st.floats(1.0, 10.0)


@given(factors, factors)
def test_intervals_grow_less_than_they_multiply(a: float, b: float) -> None:
    assert max(a, b) - 1e-9 <= combine(a, b) <= a * b + 1e-9


@given(st.floats(1e-3, 1e9), factors, st.floats(0, 2000), factors, st.floats(1, 3))
def test_the_interval_holds_the_value(
    joules: float, u: float, g: float, u_grid: float, pue: float
) -> None:
    grid = Intensity(g, g / u_grid, g * u_grid, 'XX', '', '', 'average', 'a test')
    footprint = account(joules, u, grid, PUE(pue))
    assert footprint.low <= footprint.grams <= footprint.high
    assert footprint.joules_low <= joules <= footprint.joules_high
    assert footprint.kwh * 3.6e6 == pytest.approx(joules * pue)


@given(st.lists(st.tuples(st.floats(0, 1e6), factors), max_size=20))
def test_totals_add_up(parts: list[tuple[float, float]]) -> None:
    whole = total(parts, QUEBEC, PUE())
    each = [account(joules, u, QUEBEC, PUE()) for joules, u in parts]
    assert whole.joules == pytest.approx(sum(one.joules for one in each))
    assert whole.joules_high == pytest.approx(sum(one.joules_high for one in each))
    assert whole.joules_low == pytest.approx(sum(one.joules_low for one in each))
    assert whole.grams == pytest.approx(sum(one.grams for one in each))


@pytest.mark.parametrize(
    ('joules', 'text'),
    [
        (1.8, '1.80 J'),  # 0.5 mWh
        (999 * 3600, '999 Wh'),
        (3.6e6, '1.00 kWh'),
        (1500 * 3.6e6, '1500 kWh'),
        (0.0, '0 J'),
        (0.05, '0.0500 J'),
    ],
)
def test_units_of_energy(joules: float, text: str) -> None:
    """A peer printed kWh as Wh: a factor of a thousand."""
    assert energy(joules) == text


def test_units_of_carbon() -> None:
    assert carbon(1_234_000) == '1.23 tCO2e'
    assert carbon(32_600, 16_300, 65_200) == '33 kgCO2e (16–65)'


@given(st.floats(1e-2, 1e12), st.floats(1.01, 20))
def test_printing_loses_no_more_than_it_may(value: float, u: float) -> None:
    """What is printed lies within a tenth of the half-interval, or 5 %, of what was meant."""
    number, unit = energy(value, value / u, value * u).split(' ')[:2]
    scale = {'kWh': 3.6e6, 'Wh': 3600.0, 'J': 1.0}[unit]
    assert abs(float(number) * scale - value) <= 0.0501 * value
