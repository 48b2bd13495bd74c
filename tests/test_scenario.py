"""Projections: as published, read again, and from one's own ledger."""

from __future__ import annotations

import json

import pytest
from command import nicarbon
from hypothesis import given
from hypothesis import strategies as st

from nicarbon.account import PUE
from nicarbon.entry import Window
from nicarbon.errors import UsageError
from nicarbon.grids import parse
from nicarbon.report.elsewhere import elsewhere
from nicarbon.scenario import (
    ELSEWHERE,
    datasets,
    estimate,
    of_ledger,
    published,
    published_costs,
    under,
)
from nicarbon.share import share
from nicarbon.summary import summarise

QUEBEC = parse('30').over(None, None)

PUBLISHED = {
    ('freesurfer', 'cpu'): (3471, 32, 1085),
    ('fastsurfer', 'cpu'): (4107, 38, 1264),
    ('fastsurfer', 'gpu'): (671, 8, 267),
}
"""Days, kg and kWh of 10,000 scans."""


@pytest.mark.parametrize('which', PUBLISHED)
def test_published_projections_come_out(which: tuple[str, str]) -> None:
    one = published(*which)
    days, kg, kwh = PUBLISHED[which]
    found = estimate(one.cost, 10_000, QUEBEC, PUE(one.pue))
    assert round(found.days) == days == one.projected_days
    assert found.footprint.kwh == pytest.approx(kwh, abs=0.6)
    # One of them was cut off, the others rounded.
    assert kg == one.projected_kg
    assert found.footprint.grams / 1000 == pytest.approx(kg, abs=0.56)
    # And a scan's own grams, to their rounding.
    assert found.footprint.grams / 10_000 == pytest.approx(one.grams, abs=0.006)


@pytest.mark.parametrize(
    ('which', 'wh', 'grams'),
    [
        (('freesurfer', 'cpu'), 82.4, 2.47),
        (('fastsurfer', 'cpu'), 96.0, 2.88),
        (('fastsurfer', 'gpu'), 20.3, 0.61),
    ],
)
def test_with_the_facility_that_the_page_speaks_of(
    which: tuple[str, str], wh: float, grams: float
) -> None:
    found = estimate(published(*which).cost, 1, QUEBEC, PUE(1.2)).footprint
    assert found.kwh * 1000 == pytest.approx(wh, abs=0.06)
    assert found.grams == pytest.approx(grams, abs=0.006)


def test_gpu_days_are_days_for_which_a_gpu_is_held() -> None:
    found = estimate(published('fastsurfer', 'gpu').cost, 10_000, QUEBEC, PUE(1.2))
    assert found.gpu_days == pytest.approx(6.25)
    assert round(found.cpu_days) == 665
    # It saves joules on each scan, and spends more of them in a day.
    cpu = estimate(published('fastsurfer', 'cpu').cost, 10_000, QUEBEC, PUE(1.2))
    assert found.footprint.joules < cpu.footprint.joules
    assert found.kwh_per_day > cpu.kwh_per_day


@given(st.integers(1, 10**6), st.integers(1, 50), st.floats(0, 0.9))
def test_every_factor_multiplies(scans: int, configurations: int, lost: float) -> None:
    cost = published('freesurfer').cost
    one = estimate(cost, 1, QUEBEC, PUE(1.2))
    many = estimate(cost, scans, QUEBEC, PUE(1.2), configurations=configurations, lost=lost)
    factor = scans * configurations / (1 - lost)
    assert many.footprint.grams == pytest.approx(factor * one.footprint.grams)
    assert many.days == pytest.approx(factor * one.days)
    assert many.footprint.low / many.footprint.grams == pytest.approx(
        one.footprint.low / one.footprint.grams
    )


def test_what_makes_no_sense_is_refused() -> None:
    cost = published('freesurfer').cost
    for wrong in ({'scans': 0}, {'configurations': 0}, {'lost': 1.0}, {'lost': -0.1}):
        with pytest.raises(UsageError):
            estimate(**{'cost': cost, 'scans': 1, 'intensity': QUEBEC, 'pue': PUE(), **wrong})


def test_another_grid_moves_grams_and_no_joules() -> None:
    first = estimate(published('freesurfer').cost, 10, QUEBEC, PUE(1.2)).footprint
    other = under(first, parse('300').over(None, None))
    assert other.joules == first.joules
    assert other.joules_low == pytest.approx(first.joules_low)
    assert other.grams == pytest.approx(10 * first.grams)


def test_the_median_of_sessions_that_ran_to_their_end(make_entry) -> None:
    def session(joules: float, outcome: str = 'ran'):
        window = Window(0.0, 100.0, 50.0, 100.0, (joules,))
        shares = share([make_entry((window,), outcome=outcome, reserved_cores=2.0)]).shares
        return summarise(shares, QUEBEC, PUE())

    sessions = [session(joules) for joules in (1000.0, 3000.0, 9000.0)]
    found = of_ledger('mine', [*sessions, session(1e6, 'failed'), session(0.0, 'cached')])
    alone = sorted(one.footprint.joules for one in sessions)
    assert found.joules == alone[1]
    assert found.seconds == 100
    assert found.gpu_seconds == 0
    assert 'median of 3 scans' in found.source
    assert of_ledger('mine', [session(1e6, 'failed')]) is None


def test_every_number_has_its_source() -> None:
    for one in published_costs():
        assert one.source
        assert one.caveat
        assert one.facility_wh / one.pue == pytest.approx(one.cost.joules / 3600)
    names = [one.name for one in datasets()]
    assert len(set(names)) == len(names)
    assert all(one.source and one.participants > 0 for one in datasets())
    sizes = [one.participants for one in datasets()]
    assert sizes == sorted(sizes, reverse=True)


def test_the_command(tmp_path) -> None:
    done = nicarbon('estimate', '--scans', '10000', '--grid', '30', '--pue', '1.58', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ('3,471', '4,107', '671', '6.25', '1,085 kWh', 'CA-QC', 'world 475'):
        assert told in done.stdout, told
    words = ('estimate', '--dataset', 'HCP-YA', '--sessions', '2', '--pipeline', 'freesurfer')
    done = nicarbon(*words, '--json', cwd=tmp_path)
    told = json.loads(done.stdout)
    assert told['schema_version'] == 2
    assert told['dataset']['participants'] == 1200
    (one,) = told['estimates']
    assert one['scans'] == 2400
    assert one['cpu_days'] == pytest.approx(2400 * 8.33 / 24)
    assert one['footprint']['intensity']['zone'] == 'world'


@pytest.mark.parametrize(
    ('words', 'code', 'why'),
    [
        ((), 64, 'give either --scans N or --dataset NAME'),
        (('--scans', '1', '--dataset', 'UKB'), 64, 'give either'),
        (('--dataset', 'nowhere'), 64, 'is not known'),
        (('--scans', '1', '--pipeline', 'structural'), 64, 'nobody published'),
        (('--scans', '1', '--from', 'missing'), 66, 'no such folder'),
        (('--scans', '0'), 64, 'one scan'),
        (('--scans', 'nan'), 64, 'a finite number'),
        (('--scans', 'inf'), 64, 'a finite number'),
        (('--scans', '1', '--grid', 'XX-YY'), 64, 'XX-YY'),
    ],
)
def test_refusals(tmp_path, words: tuple[str, ...], code: int, why: str) -> None:
    done = nicarbon('estimate', *words, cwd=tmp_path)
    assert done.returncode == code
    assert why in done.stderr
    assert done.stderr.count('\n') == 1


def test_from_a_ledger(ran, tmp_path) -> None:
    done = nicarbon(
        'estimate', '--scans', '100', '--from', ran / 'out', '--grid', 'FR', cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert 'structural' in done.stdout
    assert 'own ledger: median of 2 scans' in done.stdout
    assert 'As published' not in done.stdout
    done = nicarbon(
        'estimate', '--scans', '1', '--from', ran / 'out', '--pipeline', 'freesurfer', cwd=tmp_path
    )
    assert done.returncode == 66
    assert 'by freesurfer' in done.stderr


def test_a_page_shows_the_same_joules_elsewhere(make_entry) -> None:
    window = Window(0.0, 100.0, 50.0, 100.0, (1000.0,))
    shares = share([make_entry((window,), reserved_cores=2.0)]).shares
    own = parse('FR').over(None, None)
    total = summarise(shares, own, PUE(1.2))
    grids = [parse(zone).over(None, None) for zone in ELSEWHERE]
    rows = elsewhere(total, grids)
    assert [row.name for row in rows[:2]] == ['as above', 'CA-QC']
    assert 'FR' not in [row.name for row in rows[1:]]
    assert 'average data centre (PUE 1.58)' in rows[-1].name
    assert rows[-1].carbon.raw == pytest.approx(rows[0].carbon.raw * 1.58 / 1.2)
    world = next(row for row in rows if row.name == 'world average')
    assert world.carbon.raw == pytest.approx(rows[0].carbon.raw * 475 / own.g_per_kwh, rel=1e-3)
    unseen = share([make_entry((window._replace(joules=(None,)),))]).shares
    assert elsewhere(summarise(unseen, own, PUE()), grids) == []
