"""What was reserved and not used, and what was tried again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from report_data import HOST, QUEBEC, Job, Machine, blind, cohort, crowd, line_up
from shares import CPU, DRAM, GPU, entry, machines
from values import replace

from nicarbon.account import PUE
from nicarbon.cohort import Parts
from nicarbon.columns import frame, with_means
from nicarbon.digest import digests, shared
from nicarbon.entry import Entry, Use, Window
from nicarbon.findings import busy_seconds, repeats, speeds, waste
from nicarbon.report.unused import unused_table
from nicarbon.report.words import repeated_sentence

WIDE = replace(HOST, cores=8)
IDLE = WIDE.idle_watts / 8
"""Watts of a core of it at rest."""


def found(*jobs: Job):
    return waste(cohort(Machine(jobs, WIDE).entries()))


def test_four_cores_reserved_and_one_used() -> None:
    made = found(Job('01', 'n4', 0, 100, busy=1.0, cores=4))
    (one,) = made.kinds
    assert (one.stage, one.count, one.seen, one.cores) == ('n4', 1, 1, 1)
    assert (one.reserved, one.used, one.unused, one.beyond) == (400, 100, 300, 0)
    assert one.idle.joules == pytest.approx(300 * IDLE)
    assert one.idle.joules_high == pytest.approx(WIDE.u_rel * 300 * IDLE)
    assert one.idle.grams == pytest.approx(300 * IDLE / 3.6e6 * QUEBEC.g_per_kwh)
    assert one.spare.joules == pytest.approx(300 * IDLE)
    assert (made.total.unused, made.total.idle) == (300, one.idle)


def test_whole_cores_are_freed_that_no_run_had_use_for() -> None:
    made = found(
        Job('01', 'n4', 0, 100, busy=1.0, cores=4),
        Job('02', 'n4', 200, 100, busy=2.5, cores=4),
    )
    (one,) = made.kinds
    assert one.cores == 3
    assert one.idle.joules == pytest.approx((300 + 150) * IDLE)
    assert one.spare.joules == pytest.approx((100 + 100) * IDLE)


def test_a_clock_of_coarse_grain_takes_no_core_more() -> None:
    (one,) = found(Job('01', 'n4', 0, 100, busy=1.02, cores=2)).kinds
    assert one.cores == 1
    assert one.spare.joules == one.idle.joules == pytest.approx(98 * IDLE)


def test_more_than_was_reserved_is_told_and_makes_up_for_nothing() -> None:
    made = found(
        Job('01', 'n4', 0, 100, busy=3.0), Job('01', 'affine', 200, 100, busy=0.5, cores=1)
    )
    over = next(one for one in made.kinds if one.stage == 'n4')
    assert (over.reserved, over.used, over.unused, over.beyond) == (100, 100, 0, 200)
    assert made.total.unused == 50
    table = unused_table(made, cohort(crowd()).total.footprint, {})
    assert '3 min 20 s more than they had reserved' in table.sentence
    assert [row.title for row in table.rows] == ['affine']


def test_what_failed_or_was_cached_is_elsewhere() -> None:
    ends = ('failed', 'killed', 'cached')
    made = found(*(Job('01', 'n4', 200 * n, 100, outcome=end) for n, end in enumerate(ends)))
    assert (made.total.count, made.kinds) == (0, ())
    assert made.total.idle is None
    assert unused_table(made, cohort(crowd()).total.footprint, {}) is None


def test_not_seen_is_not_zero() -> None:
    entries = Machine([Job('01', 'n4', 0, 100, cores=4)], WIDE).entries()
    made = waste(cohort([blind(one) for one in entries]))
    assert made.total.unused == pytest.approx(310)
    assert (made.total.seen, made.total.idle, made.total.spare) == (0, None, None)
    table = unused_table(made, cohort(crowd()).total.footprint, {})
    assert 'was not seen' in table.sentence
    assert table.rows[0].cell.energy is None


def test_memory_is_told_of_those_who_told() -> None:
    made = found(
        Job('01', 'n4', 0, 100, memory=8.0, peak=2.0),
        Job('02', 'n4', 200, 50, memory=8.0, peak=10.0),
        Job('03', 'n4', 400, 100, memory=8.0),
        Job('04', 'n4', 600, 100, peak=1.0),
    )
    memory = made.total.memory
    assert (memory.known, memory.count) == (2, 3)
    assert (memory.reserved, memory.peak, memory.unused) == (1200, 200 + 400, 600)
    table = unused_table(made, cohort(crowd()).total.footprint, {})
    assert '50 % of it was never in use' in table.memory
    assert '2 of 3 stages' in table.memory
    assert table.rows[0].memory == '50 % (n = 2)'
    silent = unused_table(
        found(Job('01', 'n4', 0, 100, memory=8.0)), cohort(crowd()).total.footprint, {}
    )
    assert 'is not known' in silent.memory
    assert silent.rows[0].memory == 'not seen'


def dated(*entries: Entry) -> list[Entry]:
    return [one._replace(started='2026-01-01T00:00:00+00:00') for one in entries]


def on(readings, joules, **changes) -> list[Entry]:
    """Ten seconds of a node with two of four cores, of which it used one."""
    uses = tuple(Use(5.0, 5.0, 10.0, 10.0) if r is GPU else None for r in readings)
    window = Window(0.0, 10.0, 10.0, 20.0, joules, uses)
    run = replace(entry('run', [window], 0.0), readings=readings, host_memory_gb=16.0)
    node = replace(entry('node', [window], 2.0), readings=readings, host_memory_gb=16.0)
    return dated(replace(run, cpu_seconds=0.0), replace(node, **changes))


def test_idle_of_memory_follows_cores_where_no_memory_was_reserved() -> None:
    free = waste(cohort(on((CPU, DRAM), (100.0, 30.0))))
    assert free.total.idle.joules == pytest.approx((2 + 1) * 10 * (2 / 4) / 2)
    kept = waste(cohort(on((CPU, DRAM), (100.0, 30.0), reserved_memory_gb=4.0)))
    assert kept.total.idle.joules == pytest.approx(2 * 10 * (2 / 4) / 2)


def test_idle_of_a_gpu_follows_its_holder() -> None:
    made = waste(cohort(on((CPU, GPU), (100.0, 900.0))))
    assert made.total.idle.joules == pytest.approx(2 * 10 * (2 / 4) / 2)


def test_how_much_is_idle_is_known_worse_than_the_sum() -> None:
    counter = replace(CPU, tier='measured', u_rel=1.02, idle_u_rel=1.5)
    idle = waste(cohort(on((counter,), (100.0,)))).total.idle
    assert idle.joules_high / idle.joules > 1.5
    model = waste(cohort(on((replace(CPU, idle_u_rel=1.5),), (100.0,)))).total.idle
    assert model.joules_high / model.joules == pytest.approx(CPU.u_rel)


def test_each_stage_has_what_the_grid_emitted_in_its_time() -> None:
    jobs = [Job('01', 'n4', 0, 100, busy=1.0, cores=2), Job('01', 'affine', 100, 100, cores=1)]
    ledgers = {'r': Machine(jobs, WIDE).entries()}
    _, sharing = shared(ledgers)
    rows = frame(digests(ledgers, sharing, {})['r'].rows)
    parts = Parts()
    parts.add(with_means(rows, lambda starts, _: (g := 100 + (starts > starts[0]) * 300, g, g)))
    made = waste(parts.cohort(QUEBEC, PUE()))
    grams = {one.stage: one.idle.grams for one in made.kinds}
    assert grams['n4'] == pytest.approx(100 * IDLE / 3.6e6 * 100)
    assert grams['affine'] == pytest.approx(10 * IDLE / 3.6e6 * 400)
    assert made.total.idle.grams == pytest.approx(sum(grams.values()))


@settings(deadline=None, max_examples=40)
@given(machines())
def test_nothing_is_wasted_that_was_not_reserved(machine) -> None:
    run, nodes = machine
    everything = cohort(dated(run, *nodes))
    made = waste(everything)
    for one in (made.total, *made.kinds):
        assert 0 <= one.used <= one.reserved * (1 + 1e-12)
        assert one.used + one.unused == pytest.approx(one.reserved)
        if one.idle:
            assert one.idle.joules >= one.spare.joules * (1 - 1e-9) >= 0
    for name in ('count', 'reserved', 'used', 'unused', 'beyond', 'seen'):
        whole = sum(getattr(one, name) for one in made.kinds)
        assert whole == pytest.approx(getattr(made.total, name))
    if made.total.idle:
        idle = sum(one.idle.joules for one in made.kinds if one.idle)
        assert made.total.idle.joules == pytest.approx(idle)
        spent = everything.total
        assert idle <= spent.footprint.joules - spent.policies['dynamic'] + 1e-6


def test_the_first_eight_are_listed() -> None:
    jobs = [Job('01', f's{n}', 100 * n, 50, busy=0.5, cores=2 + n) for n in range(10)]
    everything = cohort(Machine(jobs, replace(HOST, cores=16)).entries())
    table = unused_table(waste(everything), everything.total.footprint, {'s9': 'Ninth'})
    assert [row.title for row in table.rows] == ['Ninth', *(f's{n}' for n in range(8, 1, -1))]
    assert table.left_out == 2
    assert '% of all, and so' in table.sentence
    assert not table.with_memory


def tried(subject: str, start: int, outcome: str = 'failed', error: str = '', **more) -> Job:
    return Job(subject, 'n4', start, 50, outcome=outcome, error=error, **more)


def test_what_failed_and_was_tried_again() -> None:
    jobs = [
        tried('01', 0, error='ValueError: 17 holes'),
        tried('01', 100, error='ValueError: 18 holes'),
        tried('01', 200, 'ran'),
        tried('02', 300, error='ValueError: 19 holes'),
        tried('03', 400, 'killed'),
        tried('03', 500, 'killed'),
        tried('04', 600, error='OSError'),
        tried('04', 700, 'cached'),
        tried('05', 800, 'ran'),
        tried('05', 900, error='OSError'),
    ]
    everything = cohort(Machine(jobs).entries())
    made = repeats(everything)
    # Neither those that were left, nor the last, nor those after which nothing was spent.
    assert (made.count, made.works, made.unseen) == (3, 2, 0)
    assert (made.error, made.said) == ('ValueError: 17 holes', 2)
    energy = everything.table.filter(everything.table['outcome'] != 'cached')['energy']
    assert made.footprint.joules == pytest.approx(energy[0] + energy[1] + energy[4])
    assert made.footprint.joules < everything.total.lost.joules


def test_attempts_that_were_not_seen_are_counted_apart() -> None:
    first, again, run = Machine([tried('01', 0), tried('01', 100, 'ran')]).entries()
    made = repeats(cohort([blind(first), again, blind(run)]))
    assert (made.count, made.unseen, made.footprint.joules) == (1, 1, 0)
    assert (repeats(cohort([])).count, repeats(cohort([])).error) == (0, '')


def test_other_nodes_of_a_stage_are_no_attempts() -> None:
    first, second, run = Machine([tried('01', 0), tried('01', 100, 'ran')]).entries()
    assert repeats(cohort([first, second._replace(node='other'), run])).count == 0


def runs_of(cores: int, seconds: int, start: int, count: int = 5, busy: float = 1.0) -> list[Job]:
    return [
        Job(f'{n:02d}', 'n4', start + 100 * n, seconds, busy=busy, cores=cores)
        for n in range(count)
    ]


def of_one(cores: int, seconds: int, busy: float = 1.0) -> float:
    """Joules of a run."""
    return seconds * (busy * WIDE.watts_per_busy_core + cores * IDLE)


def test_one_two_and_four_cores() -> None:
    jobs = [
        *runs_of(1, 80, 0),
        *runs_of(2, 60, 1000, busy=1.5),
        *runs_of(4, 50, 2000, busy=2.0),
    ]
    (one,) = speeds(cohort(Machine(jobs, WIDE).entries()))
    assert (one.stage, one.best.cores, one.best.count, one.best.seconds) == ('n4', 1, 5, 80)
    assert one.best.joules == pytest.approx(of_one(1, 80))
    assert [each.cores for each in one.others] == [2, 4]
    truth = 5 * (of_one(2, 60, 1.5) + of_one(4, 50, 2.0) - 2 * of_one(1, 80))
    assert one.saved.joules == pytest.approx(truth)
    assert one.saved.joules_low == pytest.approx(truth / WIDE.u_rel)


@pytest.mark.parametrize(
    'jobs',
    [
        [*runs_of(1, 80, 0, 3), *runs_of(4, 80, 1000)],
        [*runs_of(2, 80, 0), *runs_of(2, 40, 1000)],
        # Quartiles overlap: who knows which is better?
        [*runs_of(1, 30, 0), *runs_of(1, 90, 600), *runs_of(2, 30, 1200), *runs_of(2, 95, 1800)],
    ],
    ids=['three are too few', 'one number', 'not known'],
)
def test_what_does_not_compare_is_not_compared(jobs: list[Job]) -> None:
    assert speeds(cohort(Machine(jobs, WIDE).entries())) == []


def test_another_machine_is_no_comparison() -> None:
    there = replace(WIDE, name='node02')
    one = Machine(runs_of(1, 80, 0), WIDE).entries()
    other = Machine(runs_of(4, 80, 1000), there, run_id='other').entries()
    assert speeds(cohort([*one, *other])) == []
    assert len(speeds(cohort([*one, *Machine(runs_of(4, 80, 1000), WIDE, 'more').entries()]))) == 1


def test_time_in_which_anything_ran() -> None:
    jobs = [Job('01', 'n4', 0, 100), Job('02', 'n4', 50, 100), Job('03', 'n4', 500, 10)]
    assert busy_seconds(cohort(Machine(jobs).entries())) == 160
    assert busy_seconds(cohort(Machine(line_up('01')).entries())) == 274
    assert busy_seconds(cohort([])) == 0


def test_what_was_tried_again_is_said_beside_what_was_lost() -> None:
    first = Job('01', 'n4', 0, 100, outcome='failed', error='it broke')
    made = repeats(cohort(Machine([first, Job('01', 'n4', 200, 100)], WIDE).entries()))
    said = repeated_sentence(made)
    assert said.startswith('1 attempt that failed was followed by another try of the same (')
    assert repeated_sentence(repeats(cohort(crowd(2)))) == ''


def test_no_memory_reserved_is_no_part_of_any() -> None:
    made = found(Job('01', 'n4', 0, 100, memory=0.0, peak=1.0))
    assert made.kinds[0].memory.count == 0
    assert unused_table(made, cohort(crowd(2)).total.footprint, {}) is not None


def test_who_says_nothing_is_not_the_commonest() -> None:
    jobs = [
        tried('01', 0, 'killed'),
        tried('01', 100, 'killed'),
        tried('01', 200, error='ValueError: the mesh is open'),
        tried('01', 300, 'ran'),
    ]
    made = repeats(cohort(Machine(jobs).entries()))
    assert (made.count, made.error) == (3, 'ValueError: the mesh is open')
