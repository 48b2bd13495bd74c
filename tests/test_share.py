"""Attribution conserves energy and is fair, whatever ran side by side."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import (
    CPU,
    DRAM,
    GPU,
    cores,
    entry,
    hosts,
    machines,
    of_gpu,
    rich,
    split,
)
from values import replace

from nicarbon.complete import completed, refined
from nicarbon.entry import Entry, Part, Reading, Use, Window
from nicarbon.pieces import cut
from nicarbon.series import merge_pairs, summed, within
from nicarbon.share import Share, share
from nicarbon.timeline import clusters, together


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
    assert balance.others_joules == 0
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
        assert a.overhead_joules == pytest.approx(b.overhead_joules, abs=1e-6)
    alone = [entry('node', list(run.windows))]
    cut = [entry('node', split(list(run.windows), at))]
    for policy, joules in share([run, *alone]).shares[0].joules.items():
        assert share([finer, *cut]).shares[0].joules[policy] == pytest.approx(joules, abs=1e-6)


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


def test_containers_of_one_machine_are_not_charged_its_energy_twice() -> None:
    """Each has a name of its own, and one kernel is below both: 120 J were used, not 240."""
    window = Window(0, 10, 5, 10, (120,))
    pairs = [
        replace(entry(kind, [window], cores, number), host=f'c{number}', run_id=f'r{number}')
        for number in (1, 2)
        for kind, cores in (('run', 0), ('node', 1))
    ]
    sharing = share(pairs)
    assert [balance.host for balance in sharing.balances] == ['c1', 'c2']
    for balance in sharing.balances:
        assert balance.others_joules == pytest.approx(balance.nodes_joules)
    # 20 J idle on 4 cores, and 100 J for 10 CPU seconds, 5 of each.
    assert [one.joules['reserved'] for one in sharing.shares] == pytest.approx([55, 55])
    booted = [replace(one, boot_id=one.host) for one in pairs]
    assert [one.others_joules for one in share(booted).balances] == [0, 0]


def test_who_sees_no_counter_does_not_spoil_what_others_measure() -> None:
    """A container without counters beside a program that reads them, on one machine."""
    measured = replace(CPU, method='rapl:powercap', tier='measured', u_rel=1.02)
    window = Window(0, 10, 5, 10, (200,))
    first = replace(entry('run', [window], 0), readings=(measured,))
    second = replace(entry('run', [replace(window, joules=(120,))], 0, 2), host='c2', run_id='r2')
    for runs in ([first, second], [second, first]):
        whole = together(runs)
        assert whole.windows[0].joules == (200,)
        assert whole.readings == (measured,)
    # Where only the other one looked, what it saw counts, and weakens the whole.
    late = replace(second, windows=(Window(5, 10, 5, 10, (120,)),))
    whole = together([first, late])
    assert [one.joules[0] for one in whole.windows] == pytest.approx([100, 100, 60])
    assert whole.readings[0].tier == 'modelled'


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
    weak = replace(CPU, tier='assumed', u_rel=3.0, idle_watts=0.0)
    window = Window(0, 10, 5, 10, (100, 50), (Use(10, 10, 10, 10), None))
    (one,) = share([replace(entry('node', [window]), readings=(GPU, weak))]).shares
    assert one.tiers == {'gpu:GPU-1': 'measured', 'cpu': 'assumed'}
    assert one.components == {'gpu:GPU-1': 100, 'cpu': 25}
    assert one.tier == 'assumed'
    assert one.u_rel == pytest.approx((100 * 1.05 + 25 * 3) / 125)


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


# Components that do not follow CPU seconds alone.


@given(machines())
@settings(max_examples=300, deadline=None)
def test_all_components_are_conserved(case: tuple[Entry, list[Entry]]) -> None:
    run, nodes = case
    inside = [within(node, run.windows[0].start, run.windows[-1].stop) for node in nodes]
    sharing = share([run, *inside])
    # What the run did not see and its nodes did is part of it, once.
    filled = completed(run, [node for node in inside if node.windows])
    host = sum(joules or 0.0 for window in filled.windows for joules in window.joules)
    assert host >= (1 - 1e-9) * sum(joules or 0.0 for w in run.windows for joules in w.joules)
    slack = 1e-9 * max(host, 1.0)
    for balance in sharing.balances:
        parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
        assert parts == pytest.approx(host, rel=1e-9, abs=1e-9)
        assert balance.host_joules == pytest.approx(host, rel=1e-9, abs=1e-9)
        assert min(balance.overhead_joules, balance.unattributed_joules) >= -slack
        assert balance.u_rel >= 1
    for one in sharing.shares:
        assert min([*one.joules.values(), *one.components.values(), 0.0]) >= 0
        assert one.joules['reserved'] == pytest.approx(sum(one.components.values()), abs=slack)
        assert set(one.tiers) == set(one.components)
        assert one.u_rel >= 1
    for policy in ('reserved', 'dynamic', 'active'):
        assert sum(one.joules[policy] for one in sharing.shares) <= host + slack


@given(machines())
@settings(max_examples=200, deadline=None)
def test_nodes_outside_any_run_know_of_each_other(case: tuple[Entry, list[Entry]]) -> None:
    """What several saw of one host is not charged several times."""
    nodes = [replace(node, run_id='') for node in case[1]]
    shares = share(nodes).shares
    host = sum(
        joules or 0.0
        for group in clusters(nodes)
        for window in together(group).windows
        for joules in window.joules
    )
    for policy in ('reserved', 'dynamic', 'active'):
        assert sum(one.joules[policy] for one in shares) <= host * (1 + 1e-9) + 1e-9


def test_two_nodes_outside_any_run_by_hand() -> None:
    """Both saw the same 100 J; together they reserved twice the host."""
    window = Window(0, 10, 10, 20, (100,))
    nodes = [replace(entry('node', [window], 4.0, number), run_id='') for number in (1, 2)]
    for one in share(nodes).shares:
        assert one.joules['reserved'] == pytest.approx(80 / 2 + 20 / 2)
    late = replace(nodes[1], windows=(replace(window, start=10.0),))
    for one in share([nodes[0], late]).shares:
        assert one.joules['reserved'] == pytest.approx(80 / 2 + 20)


@given(machines(), st.floats(0.1, 0.9))
@settings(max_examples=100, deadline=None)
def test_splitting_windows_changes_no_component(
    case: tuple[Entry, list[Entry]], at: float
) -> None:
    def finer(one: Entry) -> Entry:
        cut = []
        for w in one.windows:
            middle = w.start + at * w.seconds
            parts = within(replace(one, windows=(w,)), w.start, middle).windows
            cut += [*parts, *within(replace(one, windows=(w,)), middle, w.stop).windows]
        return replace(one, windows=tuple(cut))

    run, _ = case
    alone = replace(run, kind='node', reserved_cores=1.0)
    (whole,), (cut,) = share([alone]).shares, share([finer(alone)]).shares
    for policy, joules in whole.joules.items():
        assert cut.joules[policy] == pytest.approx(joules, rel=1e-4, abs=1e-3)


@given(st.lists(st.floats(0, 10), min_size=2, max_size=2), st.floats(0, 10), st.floats(0, 10))
def test_more_use_of_a_gpu_is_never_cheaper(own: list[float], others: float, host: float) -> None:
    low, high = sorted(own)

    def cost(seconds: float, policy: str) -> float:
        joules = (0.0, 2000.0, 0.0, 0.0)
        window = Window(0, 10, 0, 0, joules, of_gpu(Use(None, host, 20, 20)))
        run = rich(entry('run', [window], 0))
        nodes = [
            rich(entry('node', [replace(window, uses=of_gpu(Use(used, host, 10, 20)))], 1, number))
            for number, used in ((1, seconds), (2, others))
        ]
        return share([run, *nodes]).shares[0].joules[policy]

    for policy in ('reserved', 'active'):
        assert cost(low, policy) <= cost(high, policy) + 1e-9


def on_gpu(number: int, use: Use | None, run_use: Use) -> Entry:
    window = Window(0, 10, 1, 4, (120, 2000, 30, 60), of_gpu(use))
    return rich(entry('node', [window], 1.0, number), 4.0)


def test_two_subjects_share_a_gpu_and_a_third_runs_beside_them() -> None:
    """1500 of 2000 J are dynamic; 3 to 1 by use, 1 to 1 by hold."""
    whole = Use(8.0, 8.0, 20.0, 20.0)
    window = Window(0, 10, 3, 4, (120, 2000, 30, 60), of_gpu(whole))
    run = rich(entry('run', [window], 0.0))
    nodes = [
        on_gpu(1, Use(6.0, 8.0, 10.0, 20.0), whole),
        on_gpu(2, Use(2.0, 8.0, 10.0, 20.0), whole),
        on_gpu(3, Use(0.0, 8.0, 0.0, 20.0), whole),
    ]
    sharing = share([run, *nodes])
    first, second, third = sharing.shares
    assert first.components['gpu:GPU-1'] == pytest.approx(1500 * 3 / 4 + 250)
    assert second.components['gpu:GPU-1'] == pytest.approx(1500 / 4 + 250)
    assert third.components.get('gpu:GPU-1', 0.0) == 0
    cpu_alone = share(
        [replace(run, windows=(replace(window, joules=(120, 0, 30, 60)),)), nodes[2]]
    )
    assert third.joules == pytest.approx(cpu_alone.shares[0].joules)
    assert first.joules['exclusive'] == pytest.approx(2210)
    assert third.joules['exclusive'] == pytest.approx(210)
    assert sharing.balances[0].by_subject['1'] == pytest.approx(first.joules['reserved'])


def test_a_gpu_that_nobody_computes_on_is_paid_by_those_who_hold_it() -> None:
    window = Window(0, 10, 0, 4, (0, 900, 0, 0), of_gpu(Use(0.0, 0.0, 10.0, 10.0)))
    node = rich(entry('node', [window]))
    (one,) = share([rich(entry('run', [window], 0.0)), node]).shares
    assert one.joules['reserved'] == pytest.approx(900)
    assert one.joules['dynamic'] == 0


def test_who_held_it_for_a_part_of_the_window_pays_for_that_part() -> None:
    window = Window(0, 10, 0, 4, (0, 500, 0, 0), of_gpu(Use(1.0, 1.0, 0.0, 0.0)))
    own = Window(4, 1, 0, 1, (0, 50, 0, 0), of_gpu(Use(1.0, 1.0, 1.0, 1.0)))
    (one,) = share([rich(entry('run', [window], 0.0)), rich(entry('node', [own]))]).shares
    assert one.components['gpu:GPU-1'] == pytest.approx(500 / 10)


def test_a_part_that_is_not_known_is_nobodys() -> None:
    window = Window(0, 10, 0, 4, (0, 900, 0, 0), of_gpu(Use(None, 10.0, 0.0, 0.0)))
    sharing = share([rich(entry('run', [window], 0.0)), rich(entry('node', [window]))])
    assert 'gpu:GPU-1' not in sharing.shares[0].components
    assert sharing.balances[0].unattributed_joules == pytest.approx(900)


def test_the_programs_own_use_of_a_gpu_is_overhead() -> None:
    window = Window(0, 10, 0, 4, (0, 900, 0, 0), of_gpu(Use(10.0, 10.0, 10.0, 10.0)))
    own = replace(window, uses=of_gpu(Use(6.0, 10.0, 10.0, 10.0)))
    (balance,) = share([rich(entry('run', [window], 0.0)), rich(entry('node', [own]))]).balances
    assert balance.overhead_joules == pytest.approx(400 * 4 / 10)
    assert balance.nodes_joules == pytest.approx(400 * 6 / 10 + 500)


@pytest.mark.parametrize(('memory', 'part'), [(4.0, 4 / 16), (None, 2 / 4), (40.0, 1.0)])
def test_memory_is_split_by_what_is_reserved(memory: float | None, part: float) -> None:
    """10 of 30 J are idle; a quarter of the CPU seconds are the node's."""
    window = Window(0, 10, 1, 4, (None, None, 30, None))
    run, node = entry('run', [window], 0.0), entry('node', [window], 2.0)
    (one,) = share([rich(run), rich(node, memory)]).shares
    assert one.components == pytest.approx({'dram': 20 / 4 + 10 * part})


def test_the_rest_of_the_machine_is_split_like_the_cpu() -> None:
    window = Window(0, 10, 1, 4, (None, None, None, 60))
    (one,) = share([rich(entry('run', [window], 0.0)), rich(entry('node', [window], 2.0))]).shares
    assert one.components == pytest.approx({'rest': 30 / 4 + 30 / 2})


def owning(one: Entry, joules: float | None) -> Entry:
    """An entry whose own joules are known, besides those of the host."""
    (window,) = one.windows
    own = Reading('cpu', None, None, 'cgroup', 'modelled', 'own', 1.5)
    return replace(one, readings=(own,), windows=(replace(window, joules=(joules,)),))


def test_what_is_known_to_be_ones_own_is_charged_whole() -> None:
    run = entry('run', [Window(0, 10, 10, 10, (120,))], 0.0)
    one = owning(entry('node', [Window(0, 10, 5, 10, (None,))], 1.0, 1), 70.0)
    other = entry('node', [Window(0, 10, 5, 10, (None,))], 2.0, 2)
    sharing = share([run, one, other])
    assert set(sharing.shares[0].joules.values()) == {70.0}
    assert sharing.shares[1].joules['reserved'] == pytest.approx(30 + 20 * 2 / 4)
    assert sharing.balances[0].host_joules == pytest.approx(120)
    assert sharing.balances[0].unattributed_joules == pytest.approx(10)
    (unseen,) = share([replace(run, readings=(DRAM,)), one]).shares
    assert unseen.components['cpu'] == 70.0
    assert unseen.tiers == {'dram': 'measured', 'cpu': 'modelled'}
    (alone,) = share([replace(one, run_id='')]).shares
    assert set(alone.joules.values()) == {70.0}
    many = owning(one, 150.0)
    assert share([run, many]).balances[0].host_joules == pytest.approx(150)


def test_what_is_ones_own_has_its_own_idle_power() -> None:
    node = owning(entry('node', [Window(0, 10, 5, 10, (None,))]), 70.0)
    node = replace(
        node, readings=(*node.readings[:-1], replace(node.readings[-1], idle_watts=3.0))
    )
    joules = share([node]).shares[0].joules
    assert (joules['reserved'], joules['dynamic'], joules['active']) == (70.0, 40.0, 70.0)


def test_a_runs_own_joules_hold_those_of_its_nodes() -> None:
    run = owning(entry('run', [Window(0, 10, 10, 10, (None,))], 0.0), 100.0)
    node = owning(entry('node', [Window(0, 10, 5, 10, (None,))]), 70.0)
    (balance,) = share([run, node]).balances
    parts = balance.nodes_joules, balance.overhead_joules, balance.unattributed_joules
    assert parts == pytest.approx((70, 30, 0))


def job(number: int, windows: list[Window], cores: float, cpu_seconds: float) -> list[Entry]:
    """A run with one node that used all the CPU seconds."""
    own = [replace(window, cpu_seconds=cpu_seconds) for window in windows]
    run, node = entry('run', own, 0.0, number), entry('node', own, cores, number)
    return [
        replace(one, run_id=f'r{number}', pid=number, entry_id=f'h-{number}-1-{one.kind}')
        for one in (run, node)
    ]


def test_two_jobs_that_each_reserve_the_host_share_it() -> None:
    """A job array: 100 of 120 J are dynamic; each used 8 of 16 CPU seconds and kept all cores."""
    window = Window(0, 10, 0, 20, (120,))
    sharing = share([*job(1, [window], 4.0, 8.0), *job(2, [window], 4.0, 8.0)])
    for one in sharing.shares:
        assert one.joules['reserved'] == pytest.approx(100 * 8 / 20 + 20 / 2)
    for balance in sharing.balances:
        assert balance.host_joules == pytest.approx(120)
        assert balance.nodes_joules == pytest.approx(50)
        assert balance.others_joules == pytest.approx(50)
        assert balance.unattributed_joules == pytest.approx(20)


def test_runs_that_overlap_in_part_pay_alone_where_they_are_alone() -> None:
    first = job(1, [Window(0, 10, 0, 10, (120,)), Window(10, 10, 0, 10, (120,))], 4.0, 5.0)
    second = job(2, [Window(10, 10, 0, 10, (120,)), Window(20, 10, 0, 10, (120,))], 4.0, 5.0)
    sharing = share([*first, *second])
    for one, balance in zip(sharing.shares, sharing.balances, strict=True):
        assert one.joules['reserved'] == pytest.approx(50 + 20 + 50 + 10)
        assert balance.host_joules == pytest.approx(240)
        assert balance.others_joules == pytest.approx(60)


def test_a_node_that_outlives_its_run_is_beside_the_next() -> None:
    """Each joule is charged once, also where another run has the timeline."""
    window = Window(0, 20, 10, 20, (240,))
    first = job(1, [Window(0, 10, 0, 10, (120,))], 4.0, 5.0)
    first[1] = replace(first[1], windows=(window,))
    second = job(2, [Window(10, 10, 0, 10, (120,))], 4.0, 5.0)
    sharing = share([*first, *second])
    assert sharing.shares[0].joules['reserved'] == pytest.approx(50 + 20 + 50 + 10)
    assert sharing.shares[1].joules['reserved'] == pytest.approx(50 + 10)
    assert sharing.balances[1].others_joules == pytest.approx(60)


def test_a_command_whose_program_records_is_no_second_leaf() -> None:
    """``exec`` sees the CPU seconds of the nodes that its program records in a run inside."""
    window = Window(0, 10, 10, 10.2, (120,))
    outer, command = job(1, [window], 4.0, 10.0)
    command = replace(command, kind='command')
    inner, node = job(2, [Window(1, 8, 0, 8.2, (96,))], 2.0, 7.9)
    outer, command = (
        replace(
            one,
            windows=tuple(
                within(one, 0, 1).windows + within(one, 1, 9).windows + within(one, 9, 10).windows
            ),
        )
        for one in (outer, command)
    )
    sharing = share([outer, command, inner, node])
    assert [one.entry.entry_id for one in sharing.shares] == [node.entry_id]
    first, second = sharing.balances
    assert first.others_joules == pytest.approx(second.nodes_joules + second.overhead_joules)
    assert first.overhead_joules < 0.3 * first.host_joules
    # Where the two may well be strangers, both are leaves.
    busy = replace(window, host_cpu_seconds=40.0)
    strangers = [replace(one, windows=(busy,)) for one in (outer, command)]
    other = [
        replace(one, windows=(replace(one.windows[0], host_cpu_seconds=32.0),))
        for one in (inner, node)
    ]
    assert len(share([*strangers, *other]).shares) == 2
    # Unless the inner run says where it was started.
    other[0] = replace(other[0], node=strangers[0].run_id)
    (one,) = share([*strangers, *other]).shares
    assert one.entry.entry_id == node.entry_id


def test_a_node_of_a_batch_system_takes_nothing_from_the_overhead() -> None:
    """The program used 2 CPU seconds; its node, started by others, used 6 of its own."""
    window = Window(0, 10, 2, 10, (120,))
    node = entry('node', [replace(window, cpu_seconds=6.0)], 1.0)
    sharing = share([entry('run', [window], 0.0), node])
    assert sharing.balances[0].overhead_joules == pytest.approx(100 * 2 / 10)
    assert sharing.balances[0].nodes_joules == pytest.approx(100 * 6 / 10 + 5)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[list[Entry], list[Entry]]:
    """Several runs with nodes that saw the same host, whatever their windows."""
    length, watts_ = draw(st.floats(20, 60)), draw(st.floats(1, 300))
    runs, nodes = [], []
    for number in range(draw(st.integers(2, 4))):
        start, stop = sorted([draw(st.floats(0, length)), draw(st.floats(0, length))])
        stop = max(stop, start + 1)
        count = draw(st.integers(1, 5))
        seconds = (stop - start) / count
        windows = [
            Window(
                start + i * seconds,
                seconds,
                draw(cores) * seconds,
                2 * seconds,
                (watts_ * seconds,),
            )
            for i in range(count)
        ]
        run = entry('run', windows, 0.0, number)
        runs.append(replace(run, run_id=f'r{number}', entry_id=f'h-{number}-1-0'))
        for each in range(draw(st.integers(0, 3))):
            first = start + draw(st.floats(0, 0.9)) * (stop - start)
            long = draw(st.floats(0.1, 2)) * (stop - start)
            own = Window(first, long, draw(cores) * long, 2 * long, (watts_ * long,))
            node = entry('node', [own], draw(st.floats(0, 4)), 10 * number + each)
            nodes.append(replace(node, run_id=f'r{number}', entry_id=f'h-{number}-1-{each + 1}'))
    return runs, nodes


@given(arrays())
@settings(max_examples=200, deadline=None)
def test_overlapping_runs_conserve(case: tuple[list[Entry], list[Entry]]) -> None:
    runs, nodes = case
    sharing = share([*runs, *nodes])
    host = sum(w.joules[0] for g in clusters([*runs, *nodes]) for w in together(g).windows)
    charged = sum(one.joules['reserved'] for one in sharing.shares)
    charged += sum(balance.overhead_joules for balance in sharing.balances)
    assert charged <= host * (1 + 1e-6) + 1e-6
    for balance in sharing.balances:
        parts = balance.nodes_joules, balance.overhead_joules, balance.others_joules
        rest = balance.unattributed_joules
        assert sum(parts) + rest == pytest.approx(balance.host_joules)
        assert min(*parts, rest) >= -1e-6 * max(1.0, host)
        (run,) = [run for run in runs if run.run_id == balance.run_id]
        assert balance.host_joules == pytest.approx(
            sum(w.joules[0] for w in run.windows), rel=1e-4
        )


def test_a_gap_costs_nobody_anything() -> None:
    seen = Window(0, 10, 5, 10, (None, 900, None, 60), of_gpu(Use(10.0, 10.0, 10.0, 10.0)))
    gap = Window(10, 10, 5, 10, (None, None, None, 60))
    windows = [seen, gap]
    (one,) = share([rich(entry('run', windows, 0)), rich(entry('node', windows, 4))]).shares
    assert one.components == pytest.approx({'gpu:GPU-1': 900, 'rest': 2 * (30 + 15)})
    (merged,) = merge_pairs(windows)
    assert merged.uses[1] == seen.uses[1]
    assert merged.joules == (None, 900, None, 120)
    assert merged.covered == (0, 10, 0, 20)
    (same,) = share([rich(entry('run', [merged], 0)), rich(entry('node', [merged], 4))]).shares
    assert same.components == pytest.approx(one.components)


def test_a_gap_widens_the_interval_and_is_not_filled() -> None:
    """Half of the time the counter was not seen: it may have been as much again."""
    seen = Window(0, 10, 5, 10, (120,))
    windows = [seen, replace(seen, start=10.0, joules=(None,))]
    sharing = share([entry('run', windows, 0), entry('node', windows, 4)])
    assert sharing.shares[0].components == pytest.approx({'cpu': 50 + 20})
    assert sharing.shares[0].u_rel == pytest.approx(2 * 2.0)
    assert sharing.balances[0].u_rel == pytest.approx(2 * 2.0)
    (alone,) = share([entry('node', windows, 4)]).shares
    assert alone.u_rel == pytest.approx(2 * 2.0)


def test_a_counter_that_was_never_seen_covers_nothing() -> None:
    window = Window(0, 10, 5, 10, (None,))
    assert summed(entry('node', [window]), (window,)).readings[0].coverage == 0


@pytest.mark.parametrize('idle', [60.0, 66.0, 74.0])
@pytest.mark.parametrize(('cores', 'cpu'), [(1.0, 0.87), (4.0, 0.5), (40.0, 0.87), (1.0, 0.1)])
def test_the_interval_holds_what_another_idle_power_would_give(
    idle: float, cores: float, cpu: float
) -> None:
    """A counter shows 83 W while 0.87 of 40 cores are busy; idle power is a model's."""

    def cost(watts: float) -> Share:
        reading = replace(CPU, method='rapl', tier='measured', u_rel=1.08, idle_watts=watts)
        reading = replace(reading, idle_u_rel=1.5)
        window = Window(0, 100, 87 * cpu, 87, (8300,))
        node = replace(entry('node', [window], cores), readings=(reading,), host_cores=40)
        return share([node]).shares[0]

    one, other = cost(50.0), cost(idle)
    joules = one.joules['reserved']
    assert joules / one.u_rel <= other.joules['reserved'] <= joules * one.u_rel
    assert one.u_rel >= 1.08


def test_a_model_has_its_idle_power_in_its_own_factor() -> None:
    window = Window(0, 10, 5, 10, (120,))
    node = replace(entry('node', [window]), readings=(replace(CPU, idle_u_rel=3.0),))
    assert share([node]).shares[0].u_rel == 2.0


def test_a_gpu_whose_use_is_not_known_has_no_price() -> None:
    """Held, but nobody tells how much it computed: none of it is zero."""
    window = Window(0, 10, 0, 4, (0, 900, 0, 0), of_gpu(Use(None, 10.0, 10.0, 10.0)))
    sharing = share([rich(entry('run', [window], 0.0)), rich(entry('node', [window]))])
    assert 'gpu:GPU-1' not in sharing.shares[0].components
    assert sharing.balances[0].unattributed_joules == pytest.approx(900)


def test_what_only_a_worker_saw_is_split_once() -> None:
    """The program saw no GPU, and no CPU in its second half; both workers did."""
    use = Use(5.0, 10.0, 10.0, 20.0)
    windows = [
        Window(0, 10, 10, 10, (120, 2000, None, None), of_gpu(use)),
        Window(10, 10, 10, 10, (120, 2000, None, None), of_gpu(use)),
    ]
    blind = [
        Window(0, 10, 10, 10, (120,)),
        Window(10, 10, 10, None, (None,)),
        Window(20, 10, 10, 10, (20,)),
    ]
    nodes = [
        rich(entry('node', [replace(w, cpu_seconds=5.0) for w in windows], 2.0, number))
        for number in (1, 2)
    ]
    sharing = share([entry('run', blind, 0.0), *nodes])
    (balance,) = sharing.balances
    assert balance.host_joules == pytest.approx(240 + 20 + 4000)
    for one in sharing.shares:
        assert one.components['cpu'] == pytest.approx(100 + 20)
        assert one.components['gpu:GPU-1'] == pytest.approx(2 * (1500 + 500) / 2)
        assert one.u_rel == pytest.approx((120 * 2 + 2000 * 1.05) / 2120)


@st.composite
def gappy(draw: st.DrawFn) -> list[Window]:
    """A series in which anything may be unseen at any time."""
    maybe = st.one_of(st.none(), st.integers(0, 1000).map(float))
    count = draw(st.integers(2, 60))
    return [
        Window(
            float(number),
            1.0,
            draw(st.integers(0, 4)) / 4,
            draw(maybe),
            (draw(maybe), draw(maybe)),
            draw(st.sampled_from([(), (None, Use(None, 1.0, 1.0, 1.0)), (None, Use(*[1.0] * 4))])),
        )
        for number in range(count)
    ]


@given(gappy())
@settings(max_examples=200, deadline=None)
def test_merging_keeps_every_joule_and_second_seen(windows: list[Window]) -> None:
    def sums(series: list[Window]) -> list[float]:
        joules = [sum(w.joules[i] or 0.0 for w in series) for i in range(2)]
        return [*joules, *(sum(w.seen(i) for w in series) for i in range(2))]

    before, merged = sums(windows), windows
    while len(merged) > 2:
        shorter = list(merge_pairs(merged))
        assert len(shorter) <= 3 / 4 * len(merged) + 0.5
        assert [w.start for w in shorter] == sorted(w.start for w in shorter)
        assert sum(w.seconds for w in shorter) == sum(w.seconds for w in windows)
        assert sum(w.cpu_seconds for w in shorter) == sum(w.cpu_seconds for w in windows)
        assert sums(shorter) == before
        merged = shorter


def test_a_gap_does_not_spread_over_its_neighbours() -> None:
    windows = [Window(float(i), 1, 0.5, 1, (None if i == 100 else 3.0,)) for i in range(512)]
    merged = merge_pairs(windows)
    assert len(merged) <= 3 / 4 * 512
    assert not any(w.covered for w in merged)
    assert sum(w.seconds for w in merged if w.joules[0] is None) == 1
    busy = [replace(w, host_cpu_seconds=None) if i % 50 == 1 else w for i, w in enumerate(windows)]
    assert sum(w.seconds for w in merge_pairs(busy) if w.host_cpu_seconds is None) == 11


@given(
    st.lists(st.tuples(st.floats(1, 30), st.floats(0, 4)), min_size=1, max_size=12),
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from('ab'), st.floats(0, 1), st.floats(0, 1))),
)
@settings(max_examples=150, deadline=None)
def test_sub_stages_cost_together_what_their_stage_costs(
    stretches: list[tuple[float, float]], coarse: int, told: list[tuple[str, float, float]]
) -> None:
    """Also those that others interrupt, whose windows have gaps; 2 W idle, 10 W a core."""
    windows, start = [], 0.0
    for seconds, busy in stretches:
        cpu = seconds * busy
        windows.append(Window(start, seconds, cpu, cpu, (2 * seconds + 10 * cpu,)))
        start += seconds
    merged = list(windows)
    for _ in range(coarse):
        merged = list(merge_pairs(merged))
    run = entry('run', merged, 0.0, 99)
    nodes = [entry('node', [window], 2.0, number) for number, window in enumerate(windows)]
    parts = tuple(Part(name, a * start, b * start / 3) for name, a, b in told)
    cuts = [cut(replace(node, parts=parts, started='2026-01-01T00:00:00+00:00')) for node in nodes]
    sharing = share([run, *(one for pieces in cuts for one in pieces)])
    by_node: dict[str, float] = {}
    for one in sharing.shares:
        name = one.entry.entry_id.partition('.')[0]
        by_node[name] = by_node.get(name, 0.0) + one.joules['reserved']
    for node, window in zip(nodes, windows, strict=True):
        # All that is above idle, and the idle power of two of four cores.
        true = window.joules[0] - window.seconds
        assert by_node[node.entry_id] == pytest.approx(true, rel=1e-3, abs=0.1)
    total = sum(window.joules[0] for window in windows)
    assert sharing.balances[0].host_joules == pytest.approx(total)


def test_a_series_that_was_merged_takes_nothing_from_its_nodes() -> None:
    """A run of ten minutes in one window; stages of a minute at 100 and at 20 W in it."""
    nodes = [
        entry('node', [Window(60 * i, 60, 60, 60, (6000 if i % 2 else 1200,))], 4.0, i)
        for i in range(10)
    ]
    whole = sum(node.windows[0].joules[0] for node in nodes)
    run = entry('run', [Window(0, 600, 600, 600, (whole,))], 0.0, 99)
    sharing = share([run, *nodes])
    for number, one in enumerate(sharing.shares):
        assert one.joules['reserved'] == pytest.approx(6000 if number % 2 else 1200)
    assert sharing.balances[0].host_joules == pytest.approx(whole)


def test_parts_within_a_window_of_the_run_have_their_own_joules() -> None:
    parts = [Window(0, 1.5, 1.5, 1.5, (150,)), Window(1.5, 1.5, 1.5, 1.5, (30,))]
    run = entry('run', [Window(0, 3, 3, 3, (180,))], 0.0, 99)
    nodes = [entry('node', [part], 4.0, number) for number, part in enumerate(parts)]
    first, second = share([run, *nodes]).shares
    assert first.joules['reserved'] == pytest.approx(150)
    assert second.joules['reserved'] == pytest.approx(30)


@pytest.mark.parametrize('start', [1e-7, 0.0, 0.5 - 1e-7])
def test_no_moment_of_a_window_is_dropped(start: float) -> None:
    run = entry('run', [Window(0.0, 1.0, 0.0, 0.0, (1.0,))], 0.0)
    nodes = [
        entry('node', [Window(start, 0.5, 0.0, 0.0, (None,))], number=1),
        entry('node', [Window(0.0, 1.0, 0.0, 0.0, (1.0,))], number=2),
    ]
    (fine,) = refined([run], nodes)
    assert sum(window.seconds for window in fine.windows) == pytest.approx(1.0, rel=1e-12)
    (balance,) = share([run, *nodes]).balances
    assert balance.host_joules == pytest.approx(1.0, rel=1e-12)


def test_the_program_itself_ran_when_no_node_did() -> None:
    # Beside a node that kept the host as busy as it was, there was no room for it.
    run = entry('run', [Window(0.0, 10.0, 6.0, 8.0, (36.0,))], 0.0)
    node = entry('node', [Window(0.0, 5.0, 5.0, 5.0, (20.0,))])
    sharing = share([run, node])
    assert sharing.shares[0].joules['dynamic'] == pytest.approx(10.0)
    assert sharing.balances[0].overhead_joules == pytest.approx(1.0 / 3.0 * 6.0)


def test_what_nodes_saw_says_when_and_the_run_how_much() -> None:
    """They saw 100 J of what the run says were 240 in 4 s; no node was there in the last two."""
    run = entry('run', [Window(0, 4, 2, 2, (240,))], 0.0, 99)
    node = entry('node', [Window(0, 1, 1, 1, (80,)), Window(1, 1, 1, 1, (20,))], 4.0)
    sharing = share([run, node])
    assert sharing.balances[0].host_joules == pytest.approx(240)
    assert sharing.shares[0].joules['reserved'] == pytest.approx(100)
    # Where they saw more than there was, it is theirs in proportion.
    less = replace(run, windows=(Window(0, 2, 2, 2, (50,)),))
    assert share([less, node]).shares[0].joules['reserved'] == pytest.approx(50)


@given(st.lists(st.floats(0.5, 5), min_size=400, max_size=700), st.integers(5, 60))
@settings(max_examples=25, deadline=None)
def test_a_long_series_is_as_fine_at_its_beginning_as_at_its_end(
    lengths: list[float], every: int
) -> None:
    series: list[Window] = []
    edges: set[float] = set()
    start = 0.0
    for number, seconds in enumerate(lengths * 6):
        if number % every == 0:
            edges.add(start)
        series.append(Window(start, seconds, seconds, seconds, (seconds,)))
        start += seconds
        if len(series) > 512:
            series = list(merge_pairs(series, edges))
    assert len(series) <= 512
    assert sum(window.joules[0] for window in series) == pytest.approx(start)
    assert max(window.seconds for window in series) < start / 40
    if len(edges) < 128:
        crossed = [e for e in edges for w in series if w.start < e < w.stop - 1e-9]
        assert crossed == []


def _job(node: Entry, cores: int, name: str = 'slurm:1') -> Entry:
    return replace(node, job=name, job_cores=cores)


def test_the_nodes_of_a_job_bear_the_idle_power_of_all_its_cores() -> None:
    run = entry('run', [Window(0, 10, 0, 10, (100,))], 0)
    whole, half = Window(0, 10, 0, 10, (100,)), Window(0, 5, 0, 5, (50,))
    alone = _job(entry('node', [whole]), 3)
    assert share([run, alone]).shares[0].joules['reserved'] == pytest.approx(20 * 3 / 4)
    two = [_job(entry('node', [whole], cores, number), 3) for number, cores in ((1, 2), (2, 0.5))]
    shares = share([run, *two]).shares
    assert [one.joules['reserved'] for one in shares] == pytest.approx([12.0, 3.0])
    # What a job was given is the least: who takes more of the host bears more.
    more = _job(entry('node', [whole], 2), 1)
    assert share([run, more]).shares[0].joules['reserved'] == pytest.approx(20 * 2 / 4)
    # Where none of its nodes runs, nobody is charged.
    early = _job(entry('node', [half]), 2)
    sharing = share([run, early])
    assert sharing.shares[0].joules['reserved'] == pytest.approx(10 * 2 / 4)
    assert sharing.balances[0].unattributed_joules == pytest.approx(100 - 5)


def test_another_job_on_the_host_bears_its_own() -> None:
    run = entry('run', [Window(0, 10, 0, 10, (100,))], 0)
    whole = Window(0, 10, 0, 10, (100,))
    mine = _job(entry('node', [whole], number=1), 3, 'slurm:1_1')
    other = _job(entry('node', [whole], number=2), 1, 'slurm:1_2')
    charged = [one.joules['reserved'] for one in share([run, mine, other]).shares]
    assert charged == pytest.approx([15.0, 5.0])


@given(hosts(), st.integers(1, 8))
def test_jobs_conserve(case: tuple[Entry, list[Entry]], cores: int) -> None:
    run, nodes = case
    jobs = [_job(node, cores, f'slurm:{number % 2}') for number, node in enumerate(nodes)]
    sharing = share([run, *jobs])
    (balance,) = sharing.balances
    parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
    assert parts == pytest.approx(balance.host_joules)
    assert balance.unattributed_joules >= -1e-9 * max(balance.host_joules, 1.0)


def test_nodes_of_other_jobs_take_nothing_from_the_overhead() -> None:
    run = entry('run', [Window(0, 10, 5, 10, (120,))], 0)
    node = entry('node', [Window(0, 10, 4, 10, (120,))])
    assert share([run, node]).balances[0].overhead_joules == pytest.approx(100 * 1 / 10)
    job = _job(node, 1)
    assert share([run, job]).balances[0].overhead_joules == pytest.approx(100 * 5 / 10)
    inside = [_job(run, 1), job]
    assert share(inside).balances[0].overhead_joules == pytest.approx(100 * 1 / 10)
