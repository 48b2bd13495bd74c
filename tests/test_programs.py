"""Programs within a stage: what they are charged is the stage's, and never more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import replace

from nicarbon.entry import Command, Entry, Reading, Use, Window
from nicarbon.programs import by_name, rest, spent
from nicarbon.share import Share, share

CPU = Reading('cpu', None, 2.0, 'model:tdp-linear', 'modelled', 'host', 2.0)
GPU = Reading('gpu:0', None, 10.0, 'nvml:energy', 'measured', 'host', 1.05)


def stage(*commands: Command, cpu_seconds: float = 8.0, joules: float | None = 120.0) -> Share:
    """A stage of 10 s from 100 s on; idle power has 20 J of its 120 J, of which it kept half."""
    window = Window(100.0, 10.0, cpu_seconds, 8.0, (joules,))
    return shared((CPU,), (window,), commands)


def shared(readings: tuple, windows: tuple, commands: tuple) -> Share:
    entry = Entry(
        'h-1-1-1', 'node', 'r', '01', '', 'motioncor', 'wf.motioncor', 'ReconAll', 'h', 'b', 1,
        '2026-01-01T00:00:00.000+00:00', sum(w.seconds for w in windows),
        sum(w.cpu_seconds for w in windows), 8.0, 2, 1.0, None, readings, windows, 'ran',
        commands=commands,
    )  # fmt: skip
    (one,) = share([entry]).shares
    return one


def test_energy_follows_cpu_time_and_idle_energy_wall_time() -> None:
    """By hand: 100 J · C/8 + 10 J · T/10."""
    one = stage(
        Command('mri_convert', 101.0, 2.0, 1.5, 0.5), Command('mri_robust', 103.0, 5.0, 4.0, 0.0)
    )
    assert one.joules['reserved'] == pytest.approx(110.0)
    assert one.idle == {'cpu': 10.0}
    called = spent(one)
    assert [each.joules for each in called] == pytest.approx([27.0, 55.0])
    assert called[0].started == '2026-01-01T00:00:01.000+00:00'
    left = rest(one, called)
    assert (left.seconds, left.cpu_seconds, left.joules) == pytest.approx((3.0, 2.0, 28.0))


def test_programs_side_by_side_are_scaled_down_to_their_stage() -> None:
    """Two of them for all of its time, with more CPU seconds than it shows."""
    both = [Command(name, 100.0, 10.0, 5.0, 0.0) for name in ('lh', 'rh')]
    one = stage(*both)
    assert [each.joules for each in spent(one)] == pytest.approx([55.0, 55.0])
    assert rest(one, spent(one)).joules == pytest.approx(0.0)


def test_what_was_not_seen_is_not_zero() -> None:
    unseen = stage(Command('mri_convert', 101.0, 2.0, 1.5, 0.5), joules=None)
    (one,) = spent(unseen)
    assert one.joules is None
    assert by_name([one])[0].joules is None
    assert rest(unseen, [one]).joules is None


def test_a_stage_that_used_nothing_charges_nothing() -> None:
    (one,) = spent(stage(Command('true', 101.0, 0.0, 0.0, 0.0), cpu_seconds=0.0))
    assert one.joules == 0.0


def test_a_gpu_is_nobodys_since_cpu_time_says_nothing_of_it() -> None:
    use = Use(5.0, 5.0, 10.0, 10.0)
    window = Window(100.0, 10.0, 8.0, 8.0, (120.0, 500.0), (None, use))
    command = Command('python', 100.0, 10.0, 8.0, 0.0)
    one = shared((CPU, GPU), (window,), (command,))
    assert one.joules['reserved'] == pytest.approx(610.0)
    called = spent(one)
    assert called[0].joules == pytest.approx(110.0)
    assert rest(one, called).joules == pytest.approx(500.0)
    alone = shared((GPU,), (replace(window, joules=(500.0,), uses=(use,)),), (command,))
    assert spent(alone)[0].joules is None


def test_commands_of_one_name_are_shown_together() -> None:
    names = ('mri_convert', 'mri_robust', 'mri_convert')
    peaks = (0.2, None, 0.3)
    told = [
        Command(name, 100.0 + number, 1.0, 0.5, 0.1, peak)
        for number, (name, peak) in enumerate(zip(names, peaks, strict=True))
    ]
    called = by_name(spent(stage(*told)))
    assert [(one.name, one.calls) for one in called] == [('mri_convert', 2), ('mri_robust', 1)]
    assert called[0].seconds == 2.0
    assert called[0].cpu_seconds == pytest.approx(1.2)
    assert [one.peak_memory_gb for one in called] == [0.3, None]


times = st.floats(0, 100, allow_subnormal=False)
commands = st.builds(Command, st.sampled_from(['a', 'b']), times, times, times, times)


@given(st.lists(commands, max_size=8), times)
def test_commands_and_rest_are_the_stage(told: list[Command], cpu_seconds: float) -> None:
    one = stage(*told, cpu_seconds=min(cpu_seconds, 20.0))
    called = spent(one)
    whole = one.joules['reserved']
    joules = [each.joules for each in called]
    assert all(0 <= each <= whole * (1 + 1e-9) for each in joules)
    assert sum(joules) <= whole * (1 + 1e-9)
    assert sum(joules) + rest(one, called).joules == pytest.approx(whole)
    together = by_name(called)
    assert sum(each.calls for each in together) == len(told)
    assert sum(each.joules for each in together) == pytest.approx(sum(joules))
