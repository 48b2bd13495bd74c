"""What would help is said of ledgers in which it is known, and of no others."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import report_data
from command import nicarbon
from hypothesis import given, settings
from hypothesis import strategies as st
from report_data import HOST, QUEBEC, RUN, WORLD, Job, Machine, blind, cohort, on_processors, pair
from shares import entry
from values import replace

from nicarbon import ledger
from nicarbon.account import PUE, Intensity
from nicarbon.advice import LEAST_PART, MOST, Advice, Advised, Known, advise
from nicarbon.cli.facts import known_pipeline
from nicarbon.devices import devices
from nicarbon.entry import Entry, Window
from nicarbon.findings import busy_seconds, repeats, speeds, waste
from nicarbon.grids import parse
from nicarbon.grids.trace import Step, Trace
from nicarbon.report.helps import helps
from nicarbon.scenario import ELSEWHERE
from nicarbon.stage import stages

WIDE = replace(HOST, cores=8)
STATES = parse('US').whole()
GRIDS = tuple(parse(zone).whole() for zone in ELSEWHERE)


def known(entries: list[Entry], grid: Intensity = QUEBEC, **changes) -> Known:
    everything = cohort(entries, grid, changes.pop('pue', None))
    pipeline = known_pipeline(everything.stages, {})
    seen = Known(
        everything.dataset(pipeline),
        waste(everything),
        repeats(everything),
        speeds(everything),
        pipeline,
        GRIDS,
        hours=busy_seconds(everything) / 3600,
        devices=devices(everything, pipeline),
    )
    return replace(seen, **changes)


def said(entries: list[Entry], grid: Intensity = QUEBEC, **changes) -> dict[str, Advice]:
    return {one.kind: one for one in advise(known(entries, grid, **changes)).advice}


def whole(advised: Advised) -> None:
    """Nothing saves more than there was, and every interval holds its value."""
    total = advised.total
    for one in advised.advice:
        saved = one.saved
        assert 0 <= saved.low <= saved.grams <= saved.high <= total.high * (1 + 1e-9)
        assert saved.grams <= total.grams * (1 + 1e-9)
        assert saved.grams >= advised.threshold
        assert 0 <= saved.joules_low <= saved.joules <= saved.joules_high
        assert saved.joules <= total.joules * (1 + 1e-9)
        assert saved.joules_high <= total.joules_high * (1 + 1e-9)
        assert (saved.low > 0) == (one.standing == 'measured')
        assert one.headline
        assert one.assumption
        assert all(one.basis)


def runs_of(cores: int, seconds: int, start: int, busy: float = 1.0) -> list[Job]:
    return [
        Job(f'{n:02d}', 'n4', start + 100 * n, seconds, busy=busy, cores=cores) for n in range(5)
    ]


def joules(cores: int, seconds: int, busy: float = 1.0) -> float:
    return seconds * (busy * WIDE.watts_per_busy_core + cores * WIDE.idle_watts / 8)


def test_one_core_in_place_of_two_and_four() -> None:
    jobs = [*runs_of(1, 80, 0), *runs_of(2, 60, 1000, 1.9), *runs_of(4, 50, 2000, 3.8)]
    one = said(Machine(jobs, WIDE).entries())['cores']
    truth = 5 * (joules(2, 60, 1.9) + joules(4, 50, 3.8) - 2 * joules(1, 80))
    assert one.headline == 'Run N4 bias correction with 1 core in place of 2 or 4'
    assert one.saved.joules == pytest.approx(truth)
    assert one.saved.grams == pytest.approx(truth / 3.6e6 * QUEBEC.g_per_kwh)
    (rows,) = one.basis
    assert rows.count('n = 5') == 3
    assert 'in 80 s; 2 cores' in rows


def test_failures_that_were_repeated() -> None:
    jobs = [
        Job('01', 'n4', 0, 50, outcome='failed', error='ValueError: 17 holes'),
        Job('01', 'n4', 100, 50, outcome='failed', error='ValueError: 18 holes'),
        Job('01', 'n4', 200, 50),
        Job('02', 'n4', 300, 50, outcome='failed', error='OSError'),
    ]
    entries = Machine(jobs).entries()
    one = said(entries)['repeat']
    total = known(entries).dataset.total
    assert one.saved.joules == pytest.approx(total.lost.joules * 2 / 3)
    assert '2 attempts failed at 1 stage' in one.headline
    assert '2 of them said: ValueError: 17 holes' in one.basis
    assert 'a part of what was lost' in one.assumption


def test_reservations_free_room_rather_than_energy() -> None:
    entries = Machine([Job('01', 'n4', 0, 100, busy=1.0, cores=8)], WIDE).entries()
    one = said(entries)['reserve']
    assert one.headline == 'Reserve 1 core for N4 bias correction'
    assert one.saved.joules == pytest.approx(700 * WIDE.idle_watts / 8)
    assert (one.saved.low, one.saved.joules_low) == (0, 0)
    assert 'room rather than energy' in one.assumption
    assert 'it may be nothing' in helps(advise(known(entries))).rows[0].saved


def test_nothing_is_said_where_nothing_is_worth_it() -> None:
    advised = advise(known(pair()))
    assert advised.advice == ()
    assert advised.notes == ()
    told = helps(advised)
    assert told.rows == ()
    assert told.sentence.startswith('Nothing here would save more than ')
    assert '(1 % of the total)' in told.sentence
    assert advised.threshold == LEAST_PART * advised.total.grams


def test_nothing_is_said_of_what_was_not_seen() -> None:
    entries = [blind(one) for one in pair()]
    assert advise(known(entries, STATES)).advice == ()
    assert helps(advise(known(entries, STATES))) is None


# Hours and grids ---------------------------------------------------------------------------

NIGHT = datetime(2026, 8, 15, 0, tzinfo=timezone.utc)
HOURS = [400.0, 300.0, 100.0, 50.0, 200.0]


def trace(values: list[float] = HOURS) -> Trace:
    hour = timedelta(hours=1)
    steps = [Step(NIGHT + n * hour, NIGHT + (n + 1) * hour, g) for n, g in enumerate(values)]
    return Trace(steps, 't.csv', 'XX', 'average, lifecycle', 't.csv')


@pytest.mark.parametrize(
    ('hours', 'mean'), [(0.5, 50), (1, 50), (1.5, 200 / 3), (2, 75), (5, 210), (9, 210)]
)
def test_the_cleanest_hours(hours: float, mean: float) -> None:
    assert trace().cleanest(hours * 3600).g_per_kwh == pytest.approx(mean)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20), st.floats(1, 1e5))
def test_no_hours_are_cleaner_than_the_cleanest(values: list[float], seconds: float) -> None:
    one = trace(values)
    g = one.cleanest(seconds).g_per_kwh
    assert min(values) * (1 - 1e-9) <= g <= one.whole().g_per_kwh * (1 + 1e-9) + 1e-9
    assert g <= one.cleanest(seconds * 1.5).g_per_kwh * (1 + 1e-9) + 1e-9


def test_the_best_possible_hour() -> None:
    own = trace().over(NIGHT, NIGHT + timedelta(hours=1))
    entries = pair()
    one = said(entries, own, cleanest=trace().cleanest(1800))['hour']
    total = known(entries, own).total
    assert one.saved.grams == pytest.approx(total.grams * (400 - 50) / 400)
    assert (one.saved.joules, one.saved.low, one.standing) == (0, 0, 'at most')
    assert 'no queue does better' in one.assumption
    # In the cleanest of all hours already, or with a trace that ends with the work.
    best = trace().over(NIGHT + timedelta(hours=3), NIGHT + timedelta(hours=4))
    assert 'hour' not in said(entries, best, cleanest=trace().cleanest(1800))


def test_without_a_trace_no_hour_is_known_and_where_that_matters_it_says_so() -> None:
    assert [note for note in advise(known(pair(), STATES)).notes if 'TRACE.csv' in note]
    assert advise(known(pair(), GRIDS[0])).notes == ()


def test_a_cleaner_grid_where_there_is_one_for_certain() -> None:
    one = said(pair(), STATES)['grid']
    total, clean = known(pair(), STATES).total, min(grid.g_per_kwh for grid in GRIDS)
    assert one.saved.grams == pytest.approx(total.grams * (1 - clean / STATES.g_per_kwh))
    assert 'CA-QC' in one.headline
    for grid in GRIDS:
        assert ('grid' in said(pair(), grid)) == (grid.zone in {'US', 'IN', 'GB'})


def test_of_a_grid_that_nobody_named_none_is_cleaner() -> None:
    advised = advise(known(pair(), WORLD))
    assert advised.advice == ()
    assert '--grid ZONE' in advised.notes[0]


# Pipelines and stages ----------------------------------------------------------------------


def stage(name: str, subject: str, start: float, amount: float, number: int) -> Entry:
    window = Window(start, amount / 10, amount / 20, amount / 20, (amount,))
    one = entry('node', [window], 4.0, number)
    return replace(one, stage=name, subject=subject, started='2026-01-01T00:00:00+00:00')


def both(ratios: list[float]) -> list[Entry]:
    found = []
    for n, ratio in enumerate(ratios):
        found += [
            stage('motioncor', f'{n:02d}', 1e4 * n, 1000, 10 * n),
            stage('asegdkt', f'{n:02d}', 1e4 * n + 1000, 1000 * ratio, 10 * n + 1),
        ]
    return found


def test_the_pipeline_that_used_less_on_the_same_sessions() -> None:
    entries = [*both([0.2, 0.24, 0.26, 0.3]), stage('motioncor', '99', 1e6, 1000, 990)]
    one = said(entries)['pipeline']
    assert one.headline == 'Process with FastSurfer alone, in place of FreeSurfer'
    assert one.saved.joules == pytest.approx(5 * 1000 * 0.75)
    assert '4 sessions that both processed' in one.basis[0]
    assert '0.25 times the energy' in one.basis[0]
    assert '5 sessions of FreeSurfer' in one.assumption
    dear = said(both([4.0, 5.0, 5.0, 6.0]))['pipeline']
    assert 'with FreeSurfer alone' in dear.headline


@pytest.mark.parametrize(
    ('first', 'where'), [(0, ', in part on a GPU, alone'), (1, ' on a GPU alone'), (2, ' alone')]
)
def test_a_pipeline_is_on_a_gpu_where_all_of_it_is(first: int, where: str) -> None:
    """All ten sessions, the five with a GPU, or the five without."""
    fast = [one for one in on_processors() if first in {0, 1 + (one.subject >= '05')}]
    slow = [stage('motioncor', f'{n:02d}', 1e6 + 1e4 * n, 1e5, 100 + n) for n in range(10)]
    headline = said([*fast, *slow])['pipeline'].headline
    assert headline == f'Process with FastSurfer{where}, in place of FreeSurfer'


@pytest.mark.parametrize('ratios', [[0.2, 0.2, 0.2], [0.2, 0.9, 1.2, 1.5]])
def test_too_few_pairs_or_too_far_apart(ratios: list[float]) -> None:
    assert 'pipeline' not in said(both(ratios))


def test_what_was_published_is_last_and_only_where_one_pipeline_ran() -> None:
    alone = [stage('motioncor', f'{n:02d}', 1e4 * n, 1000, n) for n in range(3)]
    advised = advise(known(alone, STATES))
    assert [one.kind for one in advised.advice][-1] == 'published'
    one = advised.advice[-1]
    assert one.headline.startswith('Published elsewhere: FastSurfer on a GPU took 0.25 times')
    assert one.saved.grams == pytest.approx(advised.total.grams * (1 - 26.7 / 108.5))
    assert one.saved.low == 0
    assert 'nothing of it was measured in this ledger' in one.assumption
    assert 'published' not in said(both([0.25] * 4))
    # Whether FastSurfer had a GPU is not known where none was seen.
    assert 'published' not in said([stage('asegdkt', '01', 0, 1000, 1)])
    assert 'published' not in said([*alone, stage('mine', '01', 1e6, 1000, 99)])


def test_stages_whose_results_no_stage_needs_are_a_question() -> None:
    entries = [
        stage('motioncor', '01', 0, 1000, 1),
        stage('balabels', '01', 1e4, 300, 2),
        stage('wmparc', '01', 2e4, 200, 3),
    ]
    one = said(entries)['skip']
    assert one.standing == 'question'
    assert one.headline.endswith('? No later stage does')
    assert one.saved.joules == pytest.approx(500)
    assert 'brainvol_stats' in one.basis[1]
    # Of the structural pipeline no stage can be left out.
    assert 'skip' not in said(pair())


def test_every_question_is_asked_of_a_stage_that_no_other_needs() -> None:
    from nicarbon.advice.here import _ends

    table = stages('freesurfer')
    for one in _ends(table).values():
        assert not any(set(one.makes) & set(other.needs) for other in table)
    assert 'motioncor' not in _ends(table)
    assert _ends(stages('structural')) == {}


def test_parts_belong_to_their_stage() -> None:
    entries = [
        stage('asegdkt', '01', 0, 1000, 1),
        stage('recon-surf.inflate_lh', '01', 1e4, 300, 2),
        stage('recon-surf.inflate_rh', '01', 2e4, 200, 3),
    ]
    one = said(entries)['skip']
    assert one.saved.joules == pytest.approx(500)
    assert len(one.basis) == 1


# A GPU or none -----------------------------------------------------------------------------


def test_the_gpu_saves_by_scan_and_spends_more_by_day() -> None:
    entries = on_processors()
    one = said(entries)['device']
    assert one.headline == 'Run FastSurfer on a GPU and not on a CPU, as 5 sessions did'
    # By hand: 60 s and 20 s of 100 W; 10 s of 250 W and 20 s of 100 W.
    assert one.saved.joules == pytest.approx(5 * (8000 - 4500))
    assert one.saved.grams == pytest.approx(5 * 3500 / 3.6e6 * QUEBEC.g_per_kwh)
    assert 'use 3.60 kWh a day against 2.40 kWh, and get more done' in one.assumption
    assert 'spends more' in one.assumption
    assert 'different machines' not in one.assumption
    (row,) = one.basis
    assert row.startswith('one machine: on a CPU n = 5, median 2.22 Wh')
    assert 'in 30 s of stages, 2,880 a day' in row
    whole(advise(known(entries)))


def test_the_interval_holds_what_meters_err_by_in_common() -> None:
    """The CPU off by 2 for all alike, and the GPU by 1.05 the other way."""
    saved = said(on_processors())['device'].saved
    least, most = 5 * (5000 / 2 - 1500 * 1.05), 5 * (5000 * 2 - 1500 / 1.05)
    assert 0.85 * least < saved.joules_low < least * 1.05
    assert most * 0.95 < saved.joules_high < 1.15 * most


def test_the_cpu_may_be_the_cheaper_and_then_nobody_may_have_held_what_nobody_saw() -> None:
    one = said(on_processors(slow=1.2, watts=400))['device']
    assert one.headline == 'Run FastSurfer on a CPU and not on a GPU, as 5 sessions did'
    assert one.saved.joules == pytest.approx(5 * (7000 - 3200))
    assert 'use 2.40 kWh a day against 5.60 kWh.' in one.assumption
    assert 'spends more' not in one.assumption
    assert 'device' not in said(on_processors(slow=1.2, watts=400, seen=False))
    # The other way round a GPU that nobody saw would only add to what is saved.
    unseen = said(on_processors(seen=False))['device']
    assert '5 sessions ran where no GPU was seen' in unseen.assumption


@pytest.mark.parametrize(
    'changes', [{'count': 3}, {'slow': 2.6}, {'slow': 3.0, 'watts': 190.0}, {'shown': False}]
)
def test_of_processors_nothing_is_said(changes) -> None:
    """Too few; alike; within what the meters err by; a GPU that has no price."""
    assert 'device' not in said(on_processors(**changes))


def test_what_is_of_no_pipeline_is_not_compared() -> None:
    assert 'device' not in said([replace(one, stage='mine') for one in on_processors()])


def test_on_different_machines_meters_err_apart() -> None:
    assert 'device' not in said(on_processors(hosts=('h', 'g')))
    one = said(on_processors(slow=40.0, hosts=('h', 'g')))['device']
    assert 'on different machines, and what else those differ by is in it' in one.assumption
    assert one.basis[0].startswith('several machines: ')


def test_only_like_is_compared_and_only_what_ran_whole() -> None:
    entries = on_processors()
    # Without surfaces, one is left out; of the other four none may be blind to the CPU, or fail.
    less = [one for one in entries if (one.subject, one.stage) != ('09', 'recon-surf')]
    blinded = [
        replace(one, windows=tuple(w._replace(joules=(None, *w.joules[1:])) for w in one.windows))
        if one.subject == '08'
        else one
        for one in less
    ]
    assert '4 sessions' in said(less)['device'].headline
    assert 'device' not in said(blinded)
    failed = [
        replace(one, outcome='failed') if one.entry_id == less[-2].entry_id else one
        for one in less
    ]
    assert 'device' not in said(failed)


def test_a_session_that_was_processed_both_ways_counts_for_both() -> None:
    entries = [replace(one, subject=f'{int(one.subject) % 5:02d}') for one in on_processors()]
    assert said(entries)['device'].saved.joules == pytest.approx(5 * 3500)


def test_each_machine_by_itself_and_then_together() -> None:
    first, second = on_processors(), on_processors(slow=9.0, hosts=('g', 'g'))
    second = [
        replace(one, subject=f'g{one.subject}', entry_id=one.entry_id.replace('h-', 'g-', 1))
        for one in second
    ]
    one = said([*first, *second])['device']
    assert one.saved.joules == pytest.approx(5 * 3500 + 5 * 6500)
    assert one.headline.endswith('as 10 sessions did')
    assert [row.partition(':')[0] for row in one.basis] == ['one machine', 'another machine']


@settings(deadline=None, max_examples=30)
@given(st.floats(0.5, 20), st.floats(10, 500), st.integers(3, 6), st.booleans(), st.booleans())
def test_no_processor_saves_more_than_was_spent(slow, watts, count, seen, same) -> None:
    hosts = ('h', 'h' if same else 'g')
    entries = on_processors(count, slow=slow, watts=watts, seen=seen, hosts=hosts)
    advised = advise(known(entries, WORLD))
    whole(advised)
    for one in advised.advice:
        if one.kind == 'device':
            gpu = 1000 + 10 * watts + 2000
            cheaper = 'GPU and' if gpu < 1000 * slow + 2000 else 'CPU and'
            assert cheaper in one.headline


# All together ------------------------------------------------------------------------------


def wasteful() -> list[Entry]:
    jobs = [
        *runs_of(1, 80, 0),
        *runs_of(8, 70, 1000, 2.0),
        *(Job(f'{n:02d}', 'affine', 2000 + 100 * n, 60, cores=8) for n in range(3)),
        Job('01', 'surface', 2400, 50, outcome='failed', error='the mesh is open', cores=2),
        Job('01', 'surface', 2500, 50, cores=2),
    ]
    return Machine(jobs, WIDE).entries()


def test_what_was_measured_comes_first_then_by_grams() -> None:
    dirty = trace().over(NIGHT, NIGHT + timedelta(hours=1))
    advised = advise(known(wasteful(), dirty, cleanest=trace().cleanest(1800), pue=PUE(1.2)))
    order = [one.kind for one in advised.advice]
    assert order == ['cores', 'repeat', 'grid', 'hour', 'reserve']
    assert len(order) == MOST
    whole(advised)
    told = helps(advised)
    assert 'they do not add up' in told.sentence
    assert [row.standing for row in told.rows] == ['measured here'] * 2 + ['best possible'] * 3


OUTCOMES = st.sampled_from(['ran', 'ran', 'ran', 'failed', 'killed', 'cached'])
NAMES = st.sampled_from(['n4', 'affine', 'motioncor', 'wmparc', 'asegdkt'])
SEVERAL = st.lists(
    st.tuples(NAMES, OUTCOMES, st.sampled_from([1, 2, 4]), st.floats(0, 5), st.integers(1, 30)),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=40)
@given(SEVERAL, st.sampled_from([QUEBEC, STATES, WORLD]), st.floats(0, 500))
def test_no_saving_exceeds_the_total(several, grid, clean) -> None:
    jobs = [
        Job(f'{n % 3}', name, 40 * n, seconds, outcome=outcome, busy=busy, cores=cores)
        for n, (name, outcome, cores, busy, seconds) in enumerate(several)
    ]
    cleanest = replace(STATES, g_per_kwh=clean)
    whole(advise(known(Machine(jobs, WIDE).entries(), grid, cleanest=cleanest)))


def test_the_page_says_what_the_command_says(tmp_path: Path) -> None:
    for one in wasteful():
        ledger.append(tmp_path / 'out/logs' / RUN / 'ledger', one)
    done = nicarbon('account', 'out', '--grid', 'US', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / 'out/group_carbon.html').read_text('utf-8')
    assert 'id="waste"' in page
    assert 'id="help"' in page
    done = nicarbon('advise', 'out', '--grid', 'US', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '1. Run N4 bias correction with 1 core in place of 8' in done.stdout
    record = json.loads(nicarbon('advise', 'out', '--grid', 'US', '--json', cwd=tmp_path).stdout)
    assert record['schema_version'] == 1
    assert record['total']['intensity']['zone'] == 'US'
    assert record['waste']['total']['reserved'] > record['waste']['total']['used'] > 0
    for one in record['advice']:
        assert one['headline'] in page
        assert ' '.join(one['headline'].split()) in ' '.join(done.stdout.split())
    # A grid that is clean at all hours has nothing to say of hours or grids.
    clean = json.loads(nicarbon('advise', 'out', '--grid', 'CA-QC', '--json', cwd=tmp_path).stdout)
    assert {one['kind'] for one in clean['advice']}.isdisjoint({'grid', 'hour'})
    assert clean['notes'] == []


def test_the_command_knows_the_hours_of_a_trace(tmp_path: Path) -> None:
    for one in pair():
        ledger.append(tmp_path / 'out/logs' / RUN / 'ledger', one)
    lines = ['start,g_per_kwh']
    lines += [f'2026-08-15T{hour:02d}:00Z,{400 if hour == 12 else 100}' for hour in range(24)]
    (tmp_path / 't.csv').write_text('\n'.join(lines) + '\n')
    done = nicarbon('advise', 'out', '--grid', 't.csv', '--json', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    (one,) = [one for one in record['advice'] if one['kind'] == 'hour']
    assert one['saved']['grams'] == pytest.approx(record['total']['grams'] * 0.75)


def test_the_command_and_the_page_know_of_processors(tmp_path: Path) -> None:
    for one in on_processors():
        ledger.append(tmp_path / 'out/logs' / one.run_id / 'ledger', one)
    done = nicarbon('advise', 'out', '--grid', 'CA-QC', '--json', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (one,) = [one for one in json.loads(done.stdout)['advice'] if one['kind'] == 'device']
    assert one['saved']['joules'] == pytest.approx(5 * 3500)
    assert nicarbon('account', 'out', '--grid', 'CA-QC', cwd=tmp_path).returncode == 0
    assert one['headline'] in (tmp_path / 'out/group_carbon.html').read_text('utf-8')


def test_nothing_to_say_is_no_fault(tmp_path: Path) -> None:
    for one in pair():
        ledger.append(tmp_path / 'out/logs' / RUN / 'ledger', one)
    done = nicarbon('advise', 'out', '--grid', 'CA-QC', cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    assert 'Nothing here would save more than' in done.stdout


@pytest.mark.parametrize(
    ('words', 'code', 'why'),
    [
        (('missing',), 66, 'no such folder'),
        (('empty',), 66, 'holds no ledger'),
        (('run',), 66, 'no carbon-aware node'),
        (('run', '--grid', 'XX-YY'), 64, 'XX-YY'),
        (('run', '--pue', '0.5'), 64, 'a PUE is 1 or more'),
        ((), 2, 'OUT_DIR'),
        (('run', '--nprocs', '2'), 2, 'unrecognized'),
    ],
)
def test_refusals(tmp_path: Path, words: tuple[str, ...], code: int, why: str) -> None:
    (tmp_path / 'empty').mkdir()
    ledger.append(tmp_path / 'run/logs' / RUN / 'ledger', report_data.pair()[-1])
    done = nicarbon('advise', *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, '')
    assert why in done.stderr
    assert done.stderr.count('\n') == 1
