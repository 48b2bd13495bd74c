"""Every factor of a total: what it makes, and how far it moves it."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET

import pytest
from command import nicarbon
from hypothesis import given
from hypothesis import strategies as st
from report_data import context, crowd, dataset_of, group, pair, summaries
from shares import entry, of_gpu, rich
from values import replace

from nicarbon import ledger
from nicarbon.account import PUE
from nicarbon.cli.projected import Moved, lines
from nicarbon.entry import Entry, Use, Window
from nicarbon.errors import UsageError
from nicarbon.grids import parse
from nicarbon.report.figures import tornado
from nicarbon.report.figures.tornado import LESS, MORE, Bar
from nicarbon.report.whatif import what_if
from nicarbon.scenario import (
    ELSEWHERE,
    NAMES,
    Architecture,
    Factors,
    by_processor,
    estimate,
    project,
    published,
    published_costs,
    still,
    swings,
)
from nicarbon.share import share
from nicarbon.stage import every
from nicarbon.summary import Summary, summarise

QUEBEC = parse('CA-QC').over(None, None)
GRIDS = [parse(zone).over(None, None) for zone in ELSEWHERE]
COSTS = [one.cost for one in published_costs()]
CPU, GPU = published('fastsurfer', 'cpu').cost, published('fastsurfer', 'gpu').cost


@st.composite
def factors(draw: st.DrawFn) -> Factors:
    return Factors(
        draw(st.sampled_from(COSTS)),
        draw(st.integers(1, 10**6)),
        draw(st.sampled_from(GRIDS)),
        draw(st.floats(1, 3).map(PUE) | st.just(PUE(1.0, 'unset'))),
        configurations=draw(st.integers(1, 50)),
        lost=draw(st.floats(0, 0.9)),
        trial_runs=draw(st.integers(0, 1000)),
        training_kwh=draw(st.none() | st.floats(0, 1e5)),
    )


@given(factors())
def test_grams_are_made_of_their_factors_and_nothing_else(base: Factors) -> None:
    found = project(base)
    runs = base.scans * base.configurations / (1 - base.lost) + base.trial_runs
    kwh = runs * base.cost.joules / 3.6e6 + (base.training_kwh or 0)
    assert found.scans == pytest.approx(runs)
    assert found.footprint.joules == pytest.approx(kwh * 3.6e6)
    assert found.footprint.kwh == pytest.approx(kwh * base.pue.value)
    assert found.footprint.grams == pytest.approx(found.footprint.kwh * base.intensity.g_per_kwh)
    assert found.footprint.low <= found.footprint.grams <= found.footprint.high
    # A day knows how many scans there are as little as a scan does.
    assert found.kwh_per_day == project(replace(base, scans=1, training_kwh=None)).kwh_per_day


@given(factors(), st.sampled_from(['experiment', 'day']))
def test_the_base_lies_between_the_ends(base: Factors, per: str) -> None:
    found = project(base)
    total = found.footprint if per == 'experiment' else found.per_day
    moved = swings(base, costs=COSTS, grids=GRIDS, per=per)
    for one in moved:
        assert one.low.total.grams <= total.grams * (1 + 1e-9), one.name
        assert one.high.total.grams >= total.grams * (1 - 1e-9), one.name
        assert one.times > 1
        assert one.reason
        for end in (one.low, one.high):
            grams = end.total.kwh * end.total.intensity.g_per_kwh
            assert end.total.grams == pytest.approx(grams)
    assert [one.reach for one in moved] == sorted((one.reach for one in moved), reverse=True)
    assert len({one.key for one in moved}) == len(moved)


@given(factors(), st.integers(2, 1000))
def test_more_of_all_runs_is_more_of_all_ends(base: Factors, times: int) -> None:
    training = None if base.training_kwh is None else base.training_kwh * times
    more = replace(
        base,
        scans=base.scans * times,
        trial_runs=base.trial_runs * times,
        training_kwh=training,
    )
    first = {one.key: one for one in swings(base, costs=COSTS, grids=GRIDS)}
    second = {one.key: one for one in swings(more, costs=COSTS, grids=GRIDS)}
    assert first.keys() == second.keys()
    for key, one in first.items():
        assert second[key].low.total.grams == pytest.approx(times * one.low.total.grams), key
        assert second[key].high.total.grams == pytest.approx(times * one.high.total.grams), key
    days = [swings(each, costs=COSTS, grids=GRIDS, per='day') for each in (base, more)]
    assert days[0] == days[1]


@given(factors())
def test_each_factor_moves_alone(base: Factors) -> None:
    moved = {one.key: one for one in swings(base, costs=COSTS, grids=GRIDS)}
    dirty = max(GRIDS, key=lambda one: one.g_per_kwh)
    alone = project(replace(base, intensity=dirty)).footprint
    assert moved['grid'].high.total.grams == pytest.approx(alone.grams)
    nothing = project(replace(base, lost=0.0)).footprint
    assert moved['lost'].low.total.grams == pytest.approx(nothing.grams)
    bare = project(replace(base, pue=PUE(1.0))).footprint
    assert moved['pue'].low.total.grams == pytest.approx(bare.grams)
    fewest = project(replace(base, configurations=1)).footprint
    assert ('configurations' in moved) == (base.configurations > 1)
    if base.configurations > 1:
        assert moved['configurations'].low.total.grams == pytest.approx(fewest.grams)
    # What moves it and what does not are all that there is.
    assert {one.name for one in moved.values()} | still(base, [*moved.values()]).keys() == {
        *NAMES.values()
    }


def test_a_gpu_takes_less_for_a_scan_and_more_in_a_day() -> None:
    base = Factors(CPU, 10_000, QUEBEC, PUE(1.2))
    whole = {one.key: one for one in swings(base, costs=COSTS)}['processor']
    day = {one.key: one for one in swings(base, costs=COSTS, per='day')}['processor']
    assert (whole.low.label, whole.high.label) == (GPU.name, CPU.name)
    assert (day.low.label, day.high.label) == (CPU.name, GPU.name)
    assert [end.label for end in day.like(whole)] == [GPU.name, CPU.name]
    assert day.like(day) == (day.low, day.high)
    assert whole.times == pytest.approx(126.4 / 26.7)
    assert day.times == pytest.approx(26.7 / 1.610 * 9.857 / 126.4)


def test_side_by_side_a_day_has_more_and_the_experiment_as_much() -> None:
    one, four = (estimate(CPU, 100, QUEBEC, PUE(1.2), jobs=jobs) for jobs in (1, 4))
    assert four.footprint == one.footprint
    assert four.days == one.days
    assert four.wall_days == one.days / 4
    assert four.kwh_per_day == pytest.approx(4 * one.kwh_per_day)
    assert four.scans_per_day == pytest.approx(4 * one.scans_per_day)


def test_who_does_not_know_how_long_a_scan_takes_knows_no_day() -> None:
    found = estimate(replace(CPU, seconds=0.0), 10, QUEBEC, PUE())
    assert found.kwh_per_day is None
    assert found.scans_per_day is None
    assert found.per_day is None
    base = Factors(found.cost, 10, QUEBEC, PUE())
    assert swings(base, grids=GRIDS, per='day') == ()
    assert swings(base, grids=GRIDS)


def test_training_that_is_not_known_is_not_counted_and_said_so() -> None:
    base = Factors(CPU, 10, QUEBEC, PUE())
    assert project(base).training_kwh is None
    assert still(base, swings(base))['Training'] == 'not known, and not counted'
    assert still(replace(base, training_kwh=0.0), ())['Training'] == 'none'
    known = replace(base, training_kwh=100.0)
    more = project(known).footprint.kwh - project(base).footprint.kwh
    assert more == pytest.approx(100)
    moved = {one.key: one for one in swings(known)}['training_kwh']
    assert (moved.low.label, moved.high.label) == ('0 kWh', '100 kWh')


def test_a_pipeline_is_compared_on_the_same_processor_where_it_is_known_there() -> None:
    ends = {
        (one.low.label, one.high.label): one.reason
        for cost in COSTS
        for one in swings(Factors(cost, 1, QUEBEC, PUE()), costs=COSTS)
        if one.key == 'pipeline'
    }
    assert ends == {
        ('FreeSurfer', CPU.name): 'costs known in the same way',
        (GPU.name, 'FreeSurfer'): 'costs known in the same way, on another processor',
    }


def test_ranges_are_what_somebody_gives() -> None:
    base = Factors(CPU, 100, QUEBEC, PUE(1.2))
    between = parse('FR').over(None, None), parse('PL').over(None, None)
    found = swings(base, ranges={'scans': (10, 1000), 'lost': (0.1, 0.2)}, between=between)
    ends = {one.key: (one.low.label, one.high.label, one.times) for one in found}
    assert ends['scans'] == ('10', '1,000', pytest.approx(100))
    assert ends['lost'] == ('10 %', '20 %', pytest.approx(0.9 / 0.8))
    assert ends['grid'][:2] == ('FR, 56 g/kWh', 'PL, 662 g/kWh')
    with pytest.raises(UsageError, match='--lost 1'):
        swings(base, ranges={'lost': (0, 1)})


@pytest.mark.parametrize(('value', 'high'), [(1.0, '1.58'), (1.58, '2'), (1.7, '2'), (3.0, '3')])
def test_a_facility_may_be_worse_than_it_is_but_for_the_worst(value: float, high: str) -> None:
    moved = {one.key: one for one in swings(Factors(CPU, 1, QUEBEC, PUE(value)))}
    assert moved['pue'].high.label == high


def test_where_nothing_is_emitted_energy_still_moves() -> None:
    base = Factors(CPU, 10, parse('0').over(None, None), PUE())
    found = {one.key: one for one in swings(base, grids=GRIDS, costs=COSTS)}
    assert found['grid'].times == math.inf
    assert found['processor'].times == pytest.approx(126.4 / 26.7)
    assert found['processor'].high.total.grams == 0


ALONE, NONE = Use(8.0, 8.0, 10.0, 10.0), Use(0.0, 0.0, 0.0, 0.0)


def session(number: int, use: Use, outcome: str = 'ran') -> Summary:
    windows = [Window(0.0, 10, 4, 4, (120, 1500.0, 30, 60), of_gpu(use))]
    one = replace(rich(entry('node', windows, 1.0, number), 4.0), outcome=outcome)
    return summarise(share([one]).shares, QUEBEC, PUE())


def test_sessions_that_held_a_gpu_are_another_processor() -> None:
    sessions = [session(1, ALONE), session(2, NONE), session(3, ALONE), session(4, NONE, 'failed')]
    costs = by_processor('fastsurfer', sessions)
    assert [one.name for one in costs] == ['fastsurfer on a CPU', 'fastsurfer on a GPU']
    assert [one.device for one in costs] == ['cpu', 'gpu']
    assert {one.pipeline for one in costs} == {'fastsurfer'}
    assert 'median of 2 scans' in costs[1].source
    (alone,) = by_processor('fastsurfer', sessions[:1])
    assert (alone.name, alone.device) == ('fastsurfer', 'gpu')
    assert by_processor('fastsurfer', sessions[3:]) == ()
    moved = swings(Factors(costs[0], 1, QUEBEC, PUE()), costs=costs)
    assert 'processor' in {one.key for one in moved}


def test_a_published_architecture_is_that_of_the_table_of_networks() -> None:
    assert CPU.architecture == GPU.architecture
    assert CPU.architecture.parameters == 1_799_206
    assert CPU.architecture.joules_per_gmac is None
    assert published('freesurfer').cost.architecture is None


@pytest.mark.parametrize(('u_rel', 'rate'), [(2.0, '10 J/GMAC (5.0–20)'), (1.0, '10.0 J/GMAC on')])
def test_what_a_gmac_took_stands_beside_what_was_counted(u_rel: float, rate: str) -> None:
    made = Architecture('VINN', 5_000_000, 10**12, 'scan', 'a counter', 10_000.0, u_rel)
    base = Factors(replace(CPU, architecture=made), 10, QUEBEC, PUE())
    text = '\n'.join(lines([Moved(base, project(base), (), (), {})], (), None, GRIDS))
    told = ' '.join(text.split())
    assert f'5,000,000 parameters, 1,000 GMAC per scan, {rate}' in told
    assert 'on this processor: VINN; a counter' in told


# Figure and page


def drawn(svg: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter())


def test_bars_reach_from_end_to_end_and_change_colour_at_the_base() -> None:
    total = estimate(CPU, 1000, QUEBEC, PUE(1.2)).footprint
    grams = total.grams
    bars = [
        Bar('Grid', grams / 2, grams * 8, 'clean', 'dirty'),
        Bar('Facility', grams, grams * 1.5, '1', '2'),
    ]
    svg = tornado(bars, total, 'How it moves')
    rects = [one for one in drawn(svg) if one.tag.endswith('rect')]
    assert [one.get('fill') for one in rects] == [LESS, MORE, MORE]
    ends = [(float(one.get('x')), float(one.get('x')) + float(one.get('width'))) for one in rects]
    assert ends[0][1] == pytest.approx(ends[1][0], abs=0.02)
    assert ends[1][0] == pytest.approx(ends[2][0], abs=0.02)
    # A factor of two is as long everywhere.
    assert ends[1][1] - ends[1][0] == pytest.approx(3 * (ends[0][1] - ends[0][0]), abs=0.05)
    text = ' '.join(one.text or '' for one in drawn(svg))
    assert 'as it is: 3.0 kgCO2e (1.1–8.0)' in text
    assert all(word in text for word in ('Grid', 'clean', 'dirty', 'log axis'))
    assert svg == tornado(bars, total, 'How it moves')


@pytest.mark.parametrize('grid', ['0', '30'])
def test_where_nothing_moves_or_nothing_is_emitted_there_is_a_figure(grid: str) -> None:
    total = estimate(CPU, 1, parse(grid).over(None, None), PUE()).footprint
    svg = tornado([], total, 'How it moves')
    assert 'nothing moves it' in svg
    assert 'nan' not in svg
    bar = Bar('Grid', 0.0, 100.0, '0 g/kWh', '713 g/kWh')
    assert 'log axis' not in tornado([bar], total, 'How it moves')


def stage(name: str, subject: str, joules: float, number: int, outcome: str = 'ran') -> Entry:
    window = Window(1000.0 * number, 100.0, joules / 20, joules / 20, (joules,))
    one = replace(entry('node', [window], 4.0, number), stage=name, subject=subject)
    return replace(one, outcome=outcome)


def test_the_total_of_a_page_is_what_its_factors_make() -> None:
    dataset, _, _ = summaries(crowd(12))
    assert dataset.lost.joules
    found = what_if(dataset_of(dataset, (), every()), GRIDS)
    own = f'as it is: {_carbon(dataset)}'
    assert own in found.figure
    rows = {row.name: row for row in found.rows}
    assert rows['Failed or repeated'].low == '0 %'
    left = dataset.footprint.grams - dataset.lost.grams
    assert rows['Failed or repeated'].carbon.startswith(f'{1000 * left:.3g} mg')
    assert 'Pipeline' not in rows
    (day,) = found.days
    assert day.name == 'structural'
    assert found.day


def _carbon(summary: Summary) -> str:
    from nicarbon.quantity import carbon

    one = summary.footprint
    return carbon(one.grams, one.low, one.high)


def test_two_pipelines_each_have_a_day_and_one_total() -> None:
    entries = [stage('motioncor', '01', 2000, 1), stage('asegdkt', '01', 500, 2)]
    found = what_if(
        dataset_of(summarise(share(entries).shares, QUEBEC, PUE()), (), every()), GRIDS
    )
    assert [row.name for row in found.days] == ['FreeSurfer', 'FastSurfer']
    assert found.pipeline == 'FreeSurfer'
    assert 'Pipeline' not in {row.name for row in found.rows}
    assert 'Pipeline: ' in found.day


def test_where_all_was_lost_or_nothing_seen_there_is_no_what_if() -> None:
    failed = [stage('motioncor', '01', 2000, 1, 'failed')]
    assert (
        what_if(dataset_of(summarise(share(failed).shares, QUEBEC, PUE()), (), every()), GRIDS)
        is None
    )
    assert what_if(dataset_of(summarise([], QUEBEC, PUE()), (), every()), GRIDS) is None
    foreign = [stage('mine', '', 2000, 1)]
    found = what_if(
        dataset_of(summarise(share(foreign).shares, QUEBEC, PUE()), (), every()), GRIDS
    )
    assert found.rows
    assert (found.days, found.day) == ((), '')


def test_the_page_of_a_group_shows_how_it_moves() -> None:
    entries = pair()
    dataset, subjects, sharing = summaries(entries)
    around = context(entries, sharing, elsewhere=tuple(GRIDS))
    page = group(dataset, subjects, {}, around, {})
    for told in ('How the total moves', 'What a day takes', 'Facility (PUE)', '(judgement)'):
        assert told in page, told


# Command


def test_the_command_says_how_the_total_moves(tmp_path) -> None:
    words = ['estimate', '--scans', '1000', '--pipeline', 'fastsurfer', '--grid', 'FR']
    more = ['--trial-runs', '50', '--training-kwh', '200', '--jobs', '4', '--configurations', '3']
    done = nicarbon(*words, *more, '--range', 'grid=FR:PL', '--pue', '1.2', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ('3,050 runs', '50 trial runs', '200 kWh of training', '4 jobs side by side'):
        assert told in done.stdout, told
    assert 'PL, 662 g/kWh' in done.stdout
    assert '1,799,206 parameters' in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 118
    done = nicarbon(*words, '--json', cwd=tmp_path)
    told = json.loads(done.stdout)
    assert told['factors'] == {
        'scans': 1000, 'configurations': 1, 'lost': 0, 'trial_runs': 0, 'training_kwh': None,
        'jobs': 1,
    }  # fmt: skip
    cpu, gpu = told['estimates']
    assert cpu['footprint']['kwh'] > gpu['footprint']['kwh']
    assert cpu['kwh_per_day'] < gpu['kwh_per_day'] == gpu['per_day']['kwh']
    moved = [one['factor'] for one in cpu['swings']['experiment']]
    assert {'grid', 'processor', 'pipeline', 'pue', 'lost', 'joules'} <= set(moved)
    for one in cpu['swings']['day']:
        for end in (one['low'], one['high']):
            assert end['grams_low'] <= end['grams'] <= end['grams_high']
    assert cpu['not_moved']['Training'] == 'not known, and not counted'


@pytest.mark.parametrize(
    ('words', 'why'),
    [
        (('--trial-runs', '-1'), '--trial-runs -1'),
        (('--trial-runs', 'nan'), '--trial-runs nan'),
        (('--training-kwh', '-5'), '--training-kwh -5'),
        (('--training-kwh', 'inf'), '--training-kwh inf'),
        (('--jobs', '0'), 'one job at least'),
        (('--lost', '1'), '--lost 1'),
        (('--range', 'pue'), 'give FACTOR=LOW:HIGH'),
        (('--range', 'hours=1:2'), 'factors are scans'),
        (('--range', 'pue=1'), 'give FACTOR=LOW:HIGH'),
        (('--range', 'pue=low:high'), 'LOW and HIGH are numbers'),
        (('--range', 'lost=0.5:0.1'), 'LOW is above HIGH'),
        (('--range', 'lost=nan:0.1'), 'LOW is above HIGH'),
        (('--range', 'lost=0:1'), '--lost 1'),
        (('--range', 'pue=0.5:2'), 'a PUE is 1 or more'),
        (('--range', 'grid=FR:XX-YY'), 'XX-YY'),
        (('--range', 'configurations=0:5'), 'one configuration at least'),
        (('--range', 'scans=1:inf'), 'a finite number'),
    ],
)
def test_refusals(tmp_path, words: tuple[str, ...], why: str) -> None:
    done = nicarbon('estimate', '--scans', '10', *words, cwd=tmp_path)
    assert done.returncode == 64
    assert why in done.stderr
    assert done.stderr.count('\n') == 1
    assert done.stdout == ''


def test_a_ledger_may_know_several_pipelines_and_processors(tmp_path) -> None:
    folder = tmp_path / 'out' / 'logs' / 'r' / 'ledger'
    folder.mkdir(parents=True)
    windows = [Window(0.0, 10, 4, 4, (120, 1500.0, 30, 60), of_gpu(use)) for use in (ALONE, NONE)]
    nodes = [rich(entry('node', [window], 1.0, n), 4.0) for n, window in enumerate(windows)]
    entries = [replace(one, stage='asegdkt') for one in nodes]
    entries += [stage('motioncor', '3', 4000, 3), stage('motioncor', '4', 1000, 4, 'failed')]
    for number, one in enumerate(entries):
        own = {'entry_id': f'h-{number}-1-1', 'boot_id': f'b{number}'}
        ledger.append(folder, replace(one, started='2026-01-01T00:00:00+00:00', **own))
    words = ('estimate', '--scans', '100', '--from', 'out', '--grid', '0')
    done = nicarbon(*words, '--json', '--pipeline', 'fastsurfer', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {one['cost']['name']: one for one in json.loads(done.stdout)['estimates']}
    assert set(found) == {'fastsurfer on a CPU', 'fastsurfer on a GPU'}
    moved = {one['factor']: one for one in found['fastsurfer on a CPU']['swings']['experiment']}
    assert {'processor', 'pipeline'} <= set(moved)
    labels = {moved['pipeline'][end]['label'] for end in ('low', 'high')}
    assert labels == {'fastsurfer on a CPU', 'freesurfer'}
    done = nicarbon(*words, '--device', 'cpu', cwd=tmp_path)
    assert '20 % of its energy was lost (--lost 0.2)' in ' '.join(done.stdout.split())
    assert 'on a GPU' in done.stdout
    done = nicarbon(*words, '--pipeline', 'freesurfer', '--device', 'gpu', cwd=tmp_path)
    assert done.returncode == 66
    assert 'from start to end by freesurfer on a GPU' in done.stderr


def test_from_a_ledger_it_moves_too(ran, tmp_path) -> None:
    words = ('estimate', '--scans', '100', '--from', ran / 'out', '--grid', 'FR')
    done = nicarbon(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'How the total moves' in done.stdout
    assert 'FastSurfer' not in done.stdout
    assert 'Processor (no cost on another one is known in the same way)' in ' '.join(
        done.stdout.split()
    )
    assert 'How the total moves' in (ran / 'out' / 'group_carbon.html').read_text('utf-8')
