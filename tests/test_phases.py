"""The time in which a GPU was held, told from the rest: nothing is lost, nothing counted twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from shares import entry, hosts, machines, of_gpu, rich
from values import replace

from nicarbon.account import PUE
from nicarbon.entry import Entry, Use, Window
from nicarbon.grids import parse
from nicarbon.phases import phases
from nicarbon.report.gpus import gpu_table
from nicarbon.series import within
from nicarbon.share import share
from nicarbon.summary import Summary, kinds, summarise

GRID, FACILITY = parse('30').over(None, None), PUE(1.2)


def summary(*entries: Entry) -> Summary:
    return summarise(share(entries).shares, GRID, FACILITY)


def table_of(one: Summary, titles):
    return gpu_table(one, kinds(one, titles), titles)


def on_gpu(stage: str, start: float, *uses: Use | None, number: int = 1) -> Entry:
    """Windows of 10 s: 120 J of the CPU, of which 20 are idle, and 1500 or 500 of the GPU."""
    windows = [
        Window(
            start + 10 * i, 10, 4, 4,
            (120, 1500 if use and use.host_seconds else 500, 30, 60), of_gpu(use),
        )
        for i, use in enumerate(uses)
    ]  # fmt: skip
    return replace(rich(entry('node', windows, 1.0, number), 4.0), stage=stage)


NONE = Use(0.0, 0.0, 0.0, 0.0)
ALONE = Use(8.0, 8.0, 10.0, 10.0)
HALF = Use(4.0, 8.0, 10.0, 20.0)


@given(machines())
@settings(max_examples=200, deadline=None)
def test_both_parts_are_the_whole(case) -> None:
    run, nodes = case
    one = summarise(share([run, *nodes]).shares, GRID, FACILITY)
    apart = phases(one.lines)
    if apart is None:
        assert not any(name.startswith('gpu') for name in one.components)
        return
    joules = apart.gpu.footprint.joules + apart.cpu.footprint.joules
    assert joules == pytest.approx(one.footprint.joules, rel=1e-9, abs=1e-9)
    grams = apart.gpu.footprint.grams + apart.cpu.footprint.grams
    assert grams == pytest.approx(one.footprint.grams, rel=1e-9, abs=1e-9)
    # All of a GPU's joules fall in the time in which it was held.
    assert apart.gpu.footprint.joules >= sum(
        joules for name, joules in one.components.items() if name.startswith('gpu')
    ) * (1 - 1e-9)
    for line in one.lines:
        if line.share.held is not None:
            assert 0 <= line.share.held.seconds <= line.share.entry.seconds * (1 + 1e-9)


@given(machines())
@settings(max_examples=200, deadline=None)
def test_one_gpu_is_not_held_for_longer_than_it_is_there(case) -> None:
    run, nodes = case
    begin, end = run.windows[0].start, run.windows[-1].stop
    inside = [within(node, begin, end) for node in nodes]
    shares = share([run, *inside]).shares
    on_it = sum(one.held.gpu_seconds for one in shares if one.held is not None)
    assert on_it <= (end - begin) * (1 + 1e-9)


def test_three_who_hold_one_gpu_for_ten_seconds_hold_it_for_ten() -> None:
    third = Use(2.0, 8.0, 10.0, 30.0)
    nodes = [on_gpu('asegdkt', 0, third, number=number) for number in (1, 2, 3)]
    held = [one.held for one in share(nodes).shares]
    assert [each.gpu_seconds for each in held] == pytest.approx([10 / 3] * 3)
    assert [each.seconds for each in held] == [10, 10, 10]


def test_a_gpu_that_was_held_is_held_also_if_nobody_tells_who_used_it() -> None:
    """Two in one container: use is not told, so that the GPU has no price, but its time has."""
    one = summary(on_gpu('asegdkt', 0, Use(None, 8.0, 10.0, 20.0), NONE))
    apart = phases(one.lines)
    assert apart.gpu.seconds == 10
    assert apart.gpu_seconds == 5
    assert apart.cpu.seconds == 10
    held = one.lines[0].share.held.components
    assert sum(joules for name, joules in held.items() if name.startswith('gpu')) == 0


def test_hosts_without_a_gpu_beside_one_that_has_one_add_up() -> None:
    """Networks on a GPU node, surfaces on another: the rest is a row, and the sum is the sum."""
    surfaces = replace(
        entry('node', [Window(50, 100, 90, 90, (3000,))], 1.0, 9), stage='recon-surf', host='cpu'
    )
    one = summary(on_gpu('asegdkt', 0, ALONE), surfaces)
    table = table_of(one, {})
    assert [row.title for row in table.rows] == ['asegdkt', 'stages without a GPU']
    assert table.rows[1].cpu_time == '1 min 40 s'
    raw = [row.cpu_energy.raw + row.gpu_energy.raw for row in (*table.rows, table.total)]
    assert sum(raw[:2]) == pytest.approx(raw[2])


@given(hosts())
@settings(max_examples=50)
def test_where_no_gpu_was_seen_nothing_is_said_of_it(case) -> None:
    run, nodes = case
    one = summarise(share([run, *nodes]).shares, GRID, FACILITY)
    assert phases(one.lines) is None
    assert table_of(one, {}) is None


def test_networks_and_then_surfaces_by_hand() -> None:
    """10 s with the GPU, 10 s of the same stage without, then 20 s of another."""
    one = summary(
        on_gpu('asegdkt', 0, ALONE, NONE), on_gpu('recon-surf', 20, NONE, NONE, number=2)
    )
    apart = phases(one.lines)
    assert apart.gpu.seconds == apart.gpu_seconds == 10
    assert apart.cpu.seconds == 30
    assert apart.gpu_days == pytest.approx(10 / 86400)
    # CPU: 100 J above idle and a quarter of idle's 20; memory a quarter of its 10 idle and
    # 20; rest 30 of 60 above idle and a quarter of 30; GPU: all of it.
    other = 100 + 5 + 20 + 2.5 + 30 + 7.5
    assert apart.gpu.footprint.joules == pytest.approx(1500 + other)
    assert apart.cpu.footprint.joules == pytest.approx(3 * other)
    assert apart.gpu.footprint.kwh == pytest.approx((1500 + other) / 3.6e6 * 1.2)


def test_two_subjects_on_one_gpu_share_its_time() -> None:
    one = summary(on_gpu('asegdkt', 0, HALF, number=1), on_gpu('asegdkt', 0, HALF, number=2))
    apart = phases(one.lines)
    assert apart.gpu.seconds == 20
    assert apart.gpu_seconds == 10


def test_the_table_names_those_that_held_one_and_sums_up_the_others() -> None:
    one = summary(
        on_gpu('asegdkt', 0, ALONE, NONE),
        on_gpu('biasfield', 20, NONE, number=2),
        on_gpu('recon-surf', 30, NONE, NONE, number=3),
    )
    table = table_of(one, {'asegdkt': 'FastSurferVINN'})
    assert [row.title for row in table.rows] == ['FastSurferVINN', 'stages without a GPU']
    assert [row.gpu_time for row in table.rows] == ['10.0 s', '0.00 s']
    assert [row.cpu_time for row in table.rows] == ['10.0 s', '30.0 s']
    assert table.sentence.startswith('GPUs were held for 10.0 s in all.')
    assert 'for 20 % of their time' in table.sentence
    # 1665 J of 2325.
    assert 'used 72 % of their energy' in table.sentence


def test_without_a_stage_that_held_one_there_is_no_table() -> None:
    assert table_of(summary(on_gpu('asegdkt', 0, NONE)), {}) is None


def test_what_is_not_known_of_the_ends_is_in_the_intervals() -> None:
    """Held at one end of a window of 10 s alone: for 5 s, as far as anybody knows."""
    half = Use(4.0, 4.0, 5.0, 5.0)
    sure = phases(summary(on_gpu('asegdkt', 0, ALONE, NONE)).lines)
    open_ = phases(summary(on_gpu('asegdkt', 0, half, NONE)).lines)
    assert sure.open_seconds == 0
    assert open_.gpu.seconds == open_.open_seconds == 5
    for phase in (open_.gpu, open_.cpu):
        one, other = phase.footprint, sure.cpu.footprint
        assert one.joules_high / one.joules > 1.02 * 1.05
        assert one.joules_low > 0
        assert other.joules > 0
    table = table_of(summary(on_gpu('asegdkt', 0, half, NONE)), {})
    assert table.sentence.startswith('GPUs were held for 5.00 s (± 5.00 s) in all.')
