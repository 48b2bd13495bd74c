"""Attribution conserves energy and is fair, whatever ran side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nicarbon.entry import Entry, Reading, Window
from nicarbon.share import share

CPU = Reading('cpu', None, 2.0, 'model:tdp-linear', 'modelled', 'host', 2.0)


def entry(kind: str, windows: list[Window], cores: float = 1.0, number: int = 1) -> Entry:
    return Entry(
        entry_id=f'h-1-1-{kind}{number}',
        kind=kind,
        run_id='r',
        subject=f'{number}',
        session='',
        stage='s',
        node=f'n{number}',
        interface='I',
        host='h',
        boot_id='b',
        pid=1,
        started='',
        seconds=sum(w.seconds for w in windows),
        cpu_seconds=sum(w.cpu_seconds for w in windows),
        host_cpu_seconds=sum(w.host_cpu_seconds or 0.0 for w in windows),
        host_cores=4,
        reserved_cores=cores,
        reserved_memory_gb=None,
        readings=(CPU,),
        windows=tuple(windows),
        outcome='ran',
    )


def split(windows: list[Window], at: float) -> list[Window]:
    """The same series with every window cut in two, rates kept."""
    halves = []
    for w in windows:
        a = replace(
            w,
            seconds=w.seconds * at,
            cpu_seconds=w.cpu_seconds * at,
            host_cpu_seconds=w.host_cpu_seconds * at,
            joules=tuple(j * at for j in w.joules),
        )
        b = Window(
            a.stop,
            w.stop - a.stop,
            w.cpu_seconds - a.cpu_seconds,
            w.host_cpu_seconds - a.host_cpu_seconds,
            tuple(x - y for x, y in zip(w.joules, a.joules, strict=True)),
        )
        halves += [a, b]
    return halves


# What a clock can show: the smallest double times a half is nothing.
cores = st.one_of(st.just(0.0), st.floats(1e-9, 4))
fractions = st.one_of(st.just(0.0), st.floats(1e-9, 1))
watts = st.floats(0.0, 300.0, allow_subnormal=False)


@st.composite
def hosts(draw: st.DrawFn) -> tuple[Entry, list[Entry]]:
    """A run's timeline and nodes that fall anywhere on it, with any CPU use."""
    windows, start = [], draw(st.floats(0, 1e6))
    for _ in range(draw(st.integers(1, 8))):
        seconds = draw(st.floats(0.1, 30))
        busy = draw(cores) * seconds
        own = draw(fractions) * busy
        windows.append(Window(start, seconds, own, busy, (draw(watts) * seconds,)))
        start = windows[-1].stop
    begin, length = windows[0].start, windows[-1].stop - windows[0].start
    nodes = []
    for number in range(draw(st.integers(0, 5))):
        first = begin + draw(st.floats(-0.2, 1.0)) * length
        seconds = draw(st.floats(0.001, 1.0)) * length
        cpu = draw(cores) * seconds
        own = Window(first, seconds, cpu, cpu, (None,))
        nodes.append(entry('node', [own], draw(st.floats(0, 4)), number))
    return entry('run', windows, 0.0, 99), nodes


@given(hosts())
@settings(max_examples=300)
def test_energy_is_conserved_and_never_negative(case: tuple[Entry, list[Entry]]) -> None:
    run, nodes = case
    sharing = share([run, *nodes])
    (balance,) = sharing.balances
    host = sum(w.joules[0] for w in run.windows)
    assert balance.host_joules == pytest.approx(host)
    parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
    assert parts == pytest.approx(host)
    tiny = -1e-9 * max(host, 1.0)
    assert balance.unattributed_joules >= tiny
    assert balance.overhead_joules >= tiny
    assert all(joules >= tiny for one in sharing.shares for joules in one.joules.values())
    charged = sum(one.joules['reserved'] for one in sharing.shares)
    assert charged == pytest.approx(balance.nodes_joules, abs=1e-9)
    for policy in ('reserved', 'dynamic', 'active'):
        assert sum(one.joules[policy] for one in sharing.shares) <= host * (1 + 1e-9) + 1e-9


@given(hosts(), st.floats(0.1, 0.9))
def test_splitting_windows_changes_nothing(case: tuple[Entry, list[Entry]], at: float) -> None:
    run, _ = case
    finer = replace(run, windows=tuple(split(list(run.windows), at)))
    for a, b in zip(share([run]).balances, share([finer]).balances, strict=True):
        assert a.host_joules == pytest.approx(b.host_joules)
        assert a.overhead_joules == pytest.approx(b.overhead_joules)
    alone = [entry('node', list(run.windows))]
    cut = [entry('node', split(list(run.windows), at))]
    for policy, joules in share([run, *alone]).shares[0].joules.items():
        assert share([finer, *cut]).shares[0].joules[policy] == pytest.approx(joules)


@given(st.floats(0, 10), st.floats(0, 10))
def test_more_cpu_is_never_cheaper(a: float, b: float) -> None:
    low, high = sorted((a, b))
    run = entry('run', [Window(0, 10, high, 20, (120,))], 0)

    def cost(cpu: float) -> float:
        node = entry('node', [Window(0, 10, cpu, 20, (120,))])
        return share([run, node]).shares[0].joules['reserved']

    assert cost(low) <= cost(high)


def test_a_sleeper_is_charged_its_idle_share_alone() -> None:
    run = entry('run', [Window(0, 10, 10, 10, (100,))], 0)
    sleeper = entry('node', [Window(0, 10, 0, 10, (100,))], number=1)
    burner = entry('node', [Window(0, 10, 10, 10, (100,))], number=2)
    slept, burnt = share([run, sleeper, burner]).shares
    assert slept.joules['reserved'] == pytest.approx(2.0 * 10 / 4)
    assert slept.joules['dynamic'] == 0
    assert burnt.joules['reserved'] == pytest.approx(80 + 5)


def test_what_was_not_seen_is_not_zero() -> None:
    node = entry('node', [Window(0, 10, 5, 5, (None,))])
    (one,) = share([node]).shares
    assert one.tier is None
    assert one.components == {}


def test_a_node_outside_any_run_is_split_by_its_own_windows() -> None:
    node = entry('node', [Window(0, 10, 5, 10, (120,))])
    sharing = share([node])
    assert sharing.balances == ()
    assert sharing.shares[0].joules['reserved'] == pytest.approx(100 * 0.5 + 20 / 4)


def test_another_boot_is_another_clock() -> None:
    run = entry('run', [Window(0, 10, 5, 10, (120,))], 0)
    node = replace(entry('node', [Window(0, 10, 5, 10, (120,))]), boot_id='other')
    assert share([run, node]).balances[0].nodes_joules == 0


def test_a_node_that_outlives_its_run_loses_nothing() -> None:
    """The program was killed after 10 s; its worker went on to the end of the node."""
    run = entry('run', [Window(0, 10, 10, 20, (120,))], 0)
    whole = Window(0, 20, 20, 40, (240,))
    (one,) = share([run, entry('node', [whole])]).shares
    (alone,) = share([entry('node', [whole])]).shares
    for policy, joules in alone.joules.items():
        assert one.joules[policy] == pytest.approx(joules)
    assert one.components == pytest.approx(alone.components)


def test_reserved_cores_and_the_rest_are_counted_by_hand() -> None:
    """20 W idle of 60 W for 10 s on 4 cores; 2 are reserved; 3 of 5 CPU s are the node's."""
    run = entry('run', [Window(0, 10, 4, 5, (600,))], 0)
    run = replace(run, readings=(replace(CPU, idle_watts=20.0),))
    sharing = share([run, entry('node', [Window(0, 10, 3, 5, (None,))], cores=2)])
    (balance,) = sharing.balances
    assert sharing.shares[0].joules['reserved'] == pytest.approx(400 * 3 / 5 + 200 * 2 / 4)
    assert balance.overhead_joules == pytest.approx(400 * 1 / 5)
    assert balance.unattributed_joules == pytest.approx(400 * 1 / 5 + 200 * 2 / 4)


def test_the_weakest_component_names_the_tier() -> None:
    gpu = replace(CPU, component='gpu:0', tier='measured', u_rel=1.1)
    weak = replace(CPU, tier='assumed', u_rel=3.0)
    node = replace(entry('node', [Window(0, 10, 5, 10, (100, 50))]), readings=(gpu, weak))
    (one,) = share([node]).shares
    assert one.tier == 'assumed'
    assert set(one.components) == {'gpu:0', 'cpu'}


def test_where_the_host_is_not_known_nobody_is_charged_its_work() -> None:
    (one,) = share([entry('node', [Window(0, 10, 5, None, (120,))])]).shares
    assert one.joules['dynamic'] == 0
    assert one.joules['reserved'] == pytest.approx(20 / 4)


def test_a_run_killed_before_its_first_window_costs_its_nodes_nothing() -> None:
    node = entry('node', [Window(0, 10, 5, 10, (120,))])
    (one,) = share([replace(entry('run', [], 0), outcome='killed'), node]).shares
    (alone,) = share([node]).shares
    assert one.joules == alone.joules
    assert one.tier == 'modelled'
