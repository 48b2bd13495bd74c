"""Meters: one contract for all of them, and what is odd about each kind of counter."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import powercap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import replace

from nicarbon.entry import Reading
from nicarbon.host import Host
from nicarbon.meters import Fake, Meter, Moment, dram, find, model, perf, rapl
from nicarbon.meters.counter import CounterMeter, FileCounter, counted
from nicarbon.meters.survey import Plan, plan, survey

HOST = Host(
    'h', 'X', 4, 2, 64.0, False, 20.0, 180.0, 'model:ccf', 'a table', 'modelled', 1.5, 200.0
)
COUNTS_PER_JOULE = 2**32


class Silicon:
    """A double of the kernel's performance events: packages that count."""

    def __init__(self, refusal: int = 0) -> None:
        self.counts: list[int] = []
        self.opened: list[tuple[bytes, int]] = []
        self.refusal, self.lost = refusal, False

    def open(self, attributes: bytes, cpu: int) -> int:
        if self.refusal:
            raise OSError(self.refusal, os.strerror(self.refusal))
        self.opened.append((attributes, cpu))
        self.counts.append(0)
        return len(self.counts) - 1

    def read(self, handle: int) -> int:
        if self.lost:
            raise OSError(errno.ENODEV, 'no such device')
        return self.counts[handle]

    def spend(self, joules: float) -> None:
        self.counts = [n + int(joules * COUNTS_PER_JOULE) for n in self.counts]


def write(path: Path, text: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{text}\n')
    return path


@contextmanager
def nobody(folder: str) -> Iterator[None]:
    """Be somebody who may not read everything, in a folder of their own."""
    user = os.geteuid()
    if user == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def power_pmu(sysfs: Path, cpus: str = '0,20') -> None:
    folder = sysfs / 'bus/event_source/devices/power'
    write(folder / 'type', 11)
    write(folder / 'cpumask', cpus)
    write(folder / 'format/event', 'config:0-7')
    for event, number in (('energy-pkg', '0x02'), ('energy-ram', '0x03')):
        write(folder / 'events' / event, f'event={number}')
        write(folder / 'events' / f'{event}.scale', '2.3283064365386962890625e-10')
        write(folder / 'events' / f'{event}.unit', 'Joules')


def monitor(sysfs: Path, number: int, chip: str, channels: dict[str, object]) -> Path:
    folder = sysfs / f'class/hwmon/hwmon{number}'
    write(folder / 'name', chip)
    for name, value in channels.items():
        write(folder / name, value)
    return folder


def grace(sysfs: Path, number: int, label: str, microwatts: int) -> Path:
    channels = {'device/power1_average': microwatts, 'device/power1_oem_info': label}
    return monitor(sysfs, number, 'power_meter', channels)


@dataclass
class Rig:
    """A meter with its source at hand, under a clock of its own."""

    make: Callable[[], Meter]
    spend: Callable[[float], object] = lambda _joules: None
    fail: Callable[[], object] | None = None
    heal: Callable[[], object] | None = None
    now: float = field(default_factory=time.monotonic)
    busy: float = 50.0

    def __post_init__(self) -> None:
        self.meter = self.make()

    def moment(self) -> Moment:
        return Moment(self.now, self.busy)

    def step(self, seconds: float, watts: float = 60.0) -> None:
        self.now += seconds
        self.busy += seconds
        self.spend(watts * seconds)

    def seen(self, seconds: float, watts: float = 60.0) -> float | None:
        self.step(seconds, watts)
        return self.meter.look(self.moment()).joules


def chosen(
    sysfs: Path, component: str, sleep: Callable = time.sleep, **changes: object
) -> Callable[[], Meter]:
    """Makes the meter that would be used for a component; one plan for all of them."""
    made = plan(HOST, sysfs, sleep=sleep, **changes)
    return lambda: next(m for m in made.meters() if m.reading.component == component)


def gone(*paths: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """Take files away, and bring them back."""

    def fail() -> None:
        for path in paths:
            path.rename(path.with_suffix('.gone'))

    def heal() -> None:
        for path in paths:
            path.with_suffix('.gone').rename(path)

    return fail, heal


def rapl_rig(tmp_path: Path, component: str = 'cpu') -> Rig:
    tree = powercap.Powercap(tmp_path / 'class/powercap')
    make = chosen(tmp_path, component, lambda _: tree.spend(0.01, 0.01))
    path = tree.path('intel-rapl:1' if component == 'cpu' else 'intel-rapl:1:2') / 'energy_uj'
    spend = tree.spend if component == 'cpu' else (lambda joules: tree.spend(1.0, joules))
    return Rig(make, spend, *gone(path))


def dram_rig(tmp_path: Path) -> Rig:
    return rapl_rig(tmp_path, 'dram')


def perf_rig(tmp_path: Path) -> Rig:
    power_pmu(tmp_path)
    silicon = Silicon()
    make = chosen(tmp_path, 'cpu', lambda _: silicon.spend(0.01), kernel=silicon)
    return Rig(
        make,
        lambda joules: silicon.spend(joules / 2),
        lambda: setattr(silicon, 'lost', True),
        lambda: setattr(silicon, 'lost', False),
    )


def amd_rig(tmp_path: Path) -> Rig:
    labels = {f'energy{n}_label': f'Ecore{n:03d}' for n in (1, 2)}
    counts = {f'energy{n}_input': 7 for n in (1, 2, 3, 4)}
    sockets = {'energy3_label': 'Esocket0', 'energy4_label': 'Esocket1'}
    folder = monitor(tmp_path, 0, 'amd_energy', {**labels, **counts, **sockets})
    files = [folder / f'energy{n}_input' for n in (1, 2, 3, 4)]

    def spend(joules: float) -> None:
        for file in files:
            file.write_text(str(int(file.read_text()) + round(joules / 2 * 1e6)))

    return Rig(chosen(tmp_path, 'cpu', lambda _: spend(0.01)), spend, *gone(files[2]))


def gauge_rig(tmp_path: Path) -> Rig:
    paths = []
    for number in range(2):
        channels = {'power1_label': 'CPU power', 'power1_input': 30_000_000}
        other = {'power2_label': 'IO power', 'power2_input': 9_000_000}
        folder = monitor(tmp_path, number, 'altra_hwmon', {**channels, **other})
        paths.append(folder / 'power1_input')
    return Rig(chosen(tmp_path, 'cpu'), lambda _: None, *gone(paths[1]))


def grace_rig(tmp_path: Path) -> Rig:
    paths = [grace(tmp_path, n, f'Grace Power Socket {n}', 30_000_000) for n in (0, 1)]
    grace(tmp_path, 2, 'CPU Power Socket 0', 20_000_000)
    grace(tmp_path, 3, 'Module Power Socket 0', 300_000_000)
    return Rig(chosen(tmp_path, 'cpu'), lambda _: None, *gone(paths[1] / 'device/power1_average'))


class Whole:
    """All meters that a plan makes, and the rest of the node as the one that is seen."""

    def __init__(self, made: Plan) -> None:
        self._meters = made.meters()
        self.reading = self._meters[-1].reading

    def look(self, moment: Moment):
        return [meter.look(moment) for meter in self._meters][-1]


def rest_rig(tmp_path: Path) -> Rig:
    tree = powercap.Powercap(tmp_path / 'class/powercap')
    node = monitor(tmp_path, 0, 'power_meter', {'power1_average': 150_000_000})
    made = plan(HOST, tmp_path, sleep=lambda _: tree.spend(0.01, 0.01))
    return Rig(lambda: Whole(made), tree.spend, *gone(node / 'power1_average'))


RIGS = {
    'rapl:cpu': rapl_rig,
    'rapl:dram': dram_rig,
    'perf': perf_rig,
    'amd_energy': amd_rig,
    'altra': gauge_rig,
    'grace': grace_rig,
    'rest': rest_rig,
    'model': lambda _: Rig(lambda: model.LoadModel(HOST)),
    'dram': lambda _: Rig(lambda: dram.DramModel(HOST)),
    'fake': lambda _: Rig(lambda: Fake(60.0)),
}


@pytest.fixture(params=RIGS.values(), ids=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return request.param(tmp_path)


class TestEveryMeter:
    def test_its_reading_says_what_is_seen(self, rig: Rig) -> None:
        reading = rig.meter.reading
        assert isinstance(reading, Reading)
        assert reading.joules is None
        assert reading.component in {'cpu', 'dram', 'rest'}
        assert reading.method
        assert reading.tier in {'measured', 'modelled', 'assumed'}
        assert reading.scope == 'host'
        assert 1.0 <= reading.u_rel <= 3.0
        assert reading.idle_watts is None or reading.idle_watts >= 0

    def test_the_first_look_sees_nothing_and_later_ones_joules(self, rig: Rig) -> None:
        assert rig.meter.look(rig.moment()).joules is None
        assert rig.seen(5.0) > 0
        assert rig.seen(0.01) >= 0

    def test_windows_add_up(self, rig: Rig) -> None:
        whole = rig.make()
        whole.look(rig.moment())
        rig.meter.look(rig.moment())
        parts = [rig.seen(seconds) for seconds in (0.3, 5.0, 0.02, 1.0, 30.0)]
        joules = whole.look(rig.moment()).joules
        assert sum(parts) == pytest.approx(joules, rel=1e-6)

    def test_what_it_sees_is_right(self, rig: Rig) -> None:
        rig.meter.look(rig.moment())
        expected = {'rest': 90.0, 'model:ccf': 60.0, 'model:dram-size': 22.4}
        reading = rig.meter.reading
        watts = expected.get(reading.component, expected.get(reading.method, 60.0))
        assert rig.seen(5.0) == pytest.approx(5 * watts, rel=1e-6)

    def test_a_lost_source_is_none_and_comes_back(self, rig: Rig) -> None:
        if rig.fail is None:
            pytest.skip('it has no source that could be lost')
        rig.meter.look(rig.moment())
        rig.fail()
        # Whoever holds the file open still sees it, though it no longer moves.
        rig.spend, spend = lambda _: None, rig.spend
        assert rig.seen(5.0) is None
        assert rig.seen(5.0) is None
        rig.heal()
        rig.spend = spend
        rig.seen(5.0)
        rig.seen(5.0)
        assert rig.seen(5.0) > 0


def test_the_model_sees_nothing_where_the_load_is_not_seen() -> None:
    meter = model.LoadModel(HOST)
    assert meter.look(Moment(0.0, None)).joules is None
    assert meter.look(Moment(1.0, 1.0)).joules is None
    assert meter.look(Moment(2.0, 2.0)).joules == 60.0


SPAN = powercap.PACKAGE_RANGE


@given(
    before=st.integers(0, SPAN - 1),
    joules=st.integers(0, 3 * SPAN),
    most=st.integers(0, 3 * SPAN),
)
def test_wraps_are_right_or_not_seen(before: int, joules: int, most: int) -> None:
    """Whatever a counter did: what is told is true, as long as the bound is."""
    told = counted(before, (before + joules) % SPAN, SPAN, max(joules, most))
    assert told is None or told == joules
    if max(joules, most) < SPAN:
        assert told == joules


class TestRapl:
    @pytest.fixture
    def tree(self, tmp_path: Path) -> powercap.Powercap:
        return powercap.Powercap(tmp_path / 'class/powercap')

    def counters(self, tree: powercap.Powercap, tmp_path: Path) -> dict[str, Rig]:
        made = plan(HOST, tmp_path, sleep=lambda _: tree.spend(0.01, 0.01))
        meters = {meter.reading.component: meter for meter in made.meters()}
        return {name: Rig(lambda m=meter: m, tree.spend) for name, meter in meters.items()}

    def test_nested_zones_are_added_once(self, tree, tmp_path: Path) -> None:
        names = [zone.name for zone in rapl.zones(tree.root) if zone.component]
        assert names == ['package-0', 'package-0/dram', 'package-1', 'package-1/dram']
        rigs = self.counters(tree, tmp_path)
        assert set(rigs) == {'cpu', 'dram'}
        for rig in rigs.values():
            rig.meter.look(rig.moment())
        tree.spend(500.0, 30.0)
        seen = {name: rig.seen(5.0, 0.0) for name, rig in rigs.items()}
        assert seen == pytest.approx({'cpu': 500.0, 'dram': 30.0})

    def test_nested_folders_without_links_are_found(self, tree) -> None:
        names = [zone.name for zone in rapl.zones(tree.root)]
        for path in tree.root.iterdir():
            if path.is_symlink():
                path.unlink()
        assert [zone.name for zone in rapl.zones(tree.root)] == names

    def test_the_mmio_interface_alone_is_a_package(self, tmp_path: Path) -> None:
        zones = {'intel-rapl-mmio:0': ('package-0', SPAN)}
        tree = powercap.Powercap(tmp_path, zones)
        assert [zone.component for zone in rapl.zones(tree.root)] == ['cpu']

    @pytest.mark.parametrize('spare', [1, 1_000_000, 399_999_999])
    def test_one_wrap_is_followed(self, tree, tmp_path: Path, spare: int) -> None:
        rig = self.counters(tree, tmp_path)['cpu']
        for zone in powercap.PACKAGES:
            tree.set(zone, SPAN - spare)
        rig.meter.look(rig.moment())
        assert rig.seen(5.0, 160.0) == pytest.approx(800.0)
        assert rig.seen(5.0, 160.0) == pytest.approx(800.0)

    def test_a_window_in_which_it_may_wrap_twice_is_a_gap(self, tree, tmp_path, caplog) -> None:
        """Range over the most that a package can draw: 655 s at 400 W."""
        rig = self.counters(tree, tmp_path)['cpu']
        rig.meter.look(rig.moment())
        assert rig.seen(1000.0, 1.0) is None
        assert rig.seen(5.0) == pytest.approx(300.0)
        rig.seen(1000.0, 1.0)
        assert caplog.text.count('intel-rapl:0/energy_uj was reset') == 1
        assert 'wrapped more than once' in caplog.text

    def test_more_than_it_can_draw_is_a_gap(self, tree, tmp_path: Path) -> None:
        rig = self.counters(tree, tmp_path)['cpu']
        rig.meter.look(rig.moment())
        assert rig.seen(5.0, 5000.0) is None
        assert rig.seen(5.0) == pytest.approx(300.0)

    def test_a_reset_is_a_gap(self, tree, tmp_path: Path) -> None:
        rig = self.counters(tree, tmp_path)['cpu']
        rig.meter.look(rig.moment())
        for zone in powercap.PACKAGES:
            tree.set(zone, 0)
        assert rig.seen(5.0, 0.0) is None
        assert rig.seen(5.0) is None
        assert rig.seen(5.0) == pytest.approx(300.0)

    def test_one_socket_that_stands_still_is_no_sum(self, tree, tmp_path: Path) -> None:
        rig = self.counters(tree, tmp_path)['cpu']
        rig.meter.look(rig.moment())
        tree.add('intel-rapl:0', 100.0)
        assert rig.seen(5.0, 0.0) is None

    def test_between_two_counts_nothing_is_used_yet(self, tree, tmp_path: Path) -> None:
        rig = self.counters(tree, tmp_path)['cpu']
        tree.spend(1.0)
        rig.meter.look(rig.moment())
        assert rig.seen(0.0005, 0.0) == 0.0

    @pytest.mark.parametrize('start', [0, 123_456])
    def test_a_counter_that_never_moves_is_none(self, tmp_path: Path, start: int) -> None:
        powercap.Powercap(tmp_path / 'class/powercap', start=start)
        findings = {f.method: f for f in survey(HOST, sysfs=tmp_path, gpus=())}
        assert findings['rapl:powercap'].state == 'frozen'
        assert findings['model:ccf'].state == 'used'
        assert findings['model:dram-size'].state == 'used'
        methods = [meter.reading.method for meter in find(HOST, sysfs=tmp_path)]
        assert methods == ['model:ccf', 'model:dram-size']

    def test_an_unreadable_package_is_no_sum(self, tree, tmp_path: Path) -> None:
        path = tree.path('intel-rapl:1') / 'energy_uj'
        path.unlink()
        found = {(f.component, f.method): f.state for f in survey(HOST, sysfs=tmp_path, gpus=())}
        assert found['cpu', 'rapl:powercap'] == 'absent'
        assert found['cpu', 'model:ccf'] == 'used'

    def test_what_only_root_may_read_can_be_mended(self) -> None:
        with TemporaryDirectory() as folder, nobody(folder):
            tree = powercap.Powercap(Path(folder) / 'class/powercap')
            (tree.path('intel-rapl:1') / 'energy_uj').chmod(0)

            def sleep(_: float) -> None:
                for zone in powercap.DRAMS:
                    tree.add(zone, 0.01)

            cpu, memory, *_ = survey(HOST, sysfs=folder, sleep=sleep, gpus=())
        assert (cpu.state, cpu.mend) == ('denied', rapl.READABLE)
        assert (memory.component, memory.state) == ('dram', 'used')

    def test_looks_and_plans_are_cheap(self, tree, tmp_path: Path) -> None:
        made = plan(HOST, tmp_path, sleep=lambda _: tree.spend(0.01, 0.01))
        best = {'make': 1.0, 'look': 1.0}
        for _ in range(50):
            begin = time.perf_counter()
            meters = made.meters()
            best['make'] = min(best['make'], time.perf_counter() - begin)
            moment = Moment(time.monotonic(), 1.0)
            begin = time.perf_counter()
            meters[0].look(moment)
            best['look'] = min(best['look'], time.perf_counter() - begin)
        assert best['make'] < 100e-6
        assert best['look'] < 100e-6


class TestPerf:
    def test_one_event_on_each_package(self, tmp_path: Path) -> None:
        power_pmu(tmp_path)
        silicon = Silicon()
        made = plan(HOST, tmp_path, kernel=silicon, sleep=lambda _: silicon.spend(0.01))
        assert [cpu for _, cpu in silicon.opened] == [0, 20, 0, 20]
        kind, size, config = (
            int.from_bytes(silicon.opened[0][0][a:b], 'little')
            for a, b in ((0, 4), (4, 8), (8, 16))
        )
        assert (kind, size, config) == (11, 64, 2)
        assert len(silicon.opened[0][0]) == 64
        assert [m.reading.method for m in made.meters()] == ['rapl:perf', 'rapl:perf']

    @pytest.mark.parametrize(
        ('refusal', 'state', 'mend'),
        [(errno.EACCES, 'denied', perf.ALLOW), (errno.EPERM, 'denied', perf.ALLOW),
         (errno.ENODEV, 'absent', ''), (errno.EMFILE, 'absent', '')],
    )  # fmt: skip
    def test_refusals(self, tmp_path: Path, refusal: int, state: str, mend: str) -> None:
        power_pmu(tmp_path)
        kernel = Silicon(refusal)
        found = {f.method: f for f in survey(HOST, sysfs=tmp_path, kernel=kernel, gpus=())}
        assert (found['rapl:perf'].state, found['rapl:perf'].mend) == (state, mend)

    def test_a_package_at_rest_is_frozen(self, tmp_path: Path) -> None:
        power_pmu(tmp_path)
        found = {f.method: f for f in survey(HOST, sysfs=tmp_path, kernel=Silicon(), gpus=())}
        assert found['rapl:perf'].state == 'frozen'

    def test_the_kernel_of_this_machine_answers(self) -> None:
        """An event that cannot exist is refused in an orderly way."""
        with pytest.raises(OSError, match=r'.'):
            perf.System().open(b'\xff' * 4 + b'\x40\0\0\0' + b'\0' * 56, 0)

    def test_powercap_goes_first(self, tmp_path: Path) -> None:
        power_pmu(tmp_path)
        tree = powercap.Powercap(tmp_path / 'class/powercap')
        silicon = Silicon()

        def sleep(_: float) -> None:
            tree.spend(0.01, 0.01)
            silicon.spend(0.01)

        found = survey(HOST, sysfs=tmp_path, kernel=silicon, sleep=sleep, gpus=())
        states = {(f.component, f.method): f.state for f in found}
        assert states['cpu', 'rapl:powercap'] == 'used'
        assert states['cpu', 'rapl:perf'] == 'available'
        silicon = Silicon()
        plan(HOST, tmp_path, kernel=silicon, sleep=sleep)
        assert silicon.opened == []


def measured_gpu() -> Fake:
    gpu = Fake(40.0, component='gpu:0')
    gpu.reading = replace(gpu.reading, tier='measured')
    return gpu


class TestNode:
    def states(self, sysfs: Path, sleep: Callable = time.sleep) -> dict[tuple[str, str], str]:
        found = survey(HOST, sysfs=sysfs, sleep=sleep, gpus=())
        return {(f.component, f.method): f.state for f in found}

    def test_memory_by_its_size_is_in_the_rest(self, tmp_path: Path) -> None:
        monitor(tmp_path, 0, 'power_meter', {'power1_average': 150_000_000})
        made = plan(HOST, tmp_path)
        assert [m.reading.component for m in made.meters()] == ['cpu', 'rest']
        assert made.meters()[-1].reading.tier == 'modelled'
        assert self.states(tmp_path)['dram', 'model:dram-size'] == 'covered'

    def test_memory_is_not_modelled_where_it_is_counted(self, tmp_path: Path) -> None:
        tree = powercap.Powercap(tmp_path / 'class/powercap')
        states = self.states(tmp_path, lambda _: tree.spend(0.01, 0.01))
        assert states['dram', 'rapl:powercap'] == 'used'
        assert states['dram', 'model:dram-size'] == 'available'

    def test_memory_is_in_a_socket_of_grace(self, tmp_path: Path) -> None:
        rig = grace_rig(tmp_path)
        assert rig.meter.reading.method == 'hwmon:power_meter'
        assert self.states(tmp_path)['dram', 'model:dram-size'] == 'covered'
        assert [m.reading.component for m in plan(HOST, tmp_path).meters()] == ['cpu']

    def test_parts_and_rest_are_the_node(self, tmp_path: Path) -> None:
        tree = powercap.Powercap(tmp_path / 'class/powercap')
        monitor(tmp_path, 0, 'power_meter', {'device/power1_average': 150_000_000})
        made = plan(HOST, tmp_path, sleep=lambda _: tree.spend(0.01, 0.01))
        meters = made.meters(gpus=(measured_gpu(),))
        assert [m.reading.component for m in meters] == ['cpu', 'dram', 'gpu:0', 'rest']
        now = time.monotonic()
        for meter in meters:
            meter.look(Moment(now, 0.0))
        tree.spend(300.0, 50.0)
        seen = [meter.look(Moment(now + 5.0, 5.0)).joules for meter in meters]
        assert seen == pytest.approx([300.0, 50.0, 200.0, 200.0])
        seen = []
        for n, spent in enumerate((900.0, 100.0, 100.0), 2):
            tree.spend(spent, 50.0)
            seen.append([meter.look(Moment(now + 5.0 * n, 5.0)).joules for meter in meters])
        # What the parts saw too much of is taken off later: the sums agree in the end.
        assert [joules[-1] for joules in seen] == pytest.approx([0.0, 0.0, 400.0])
        assert sum(map(sum, seen)) == pytest.approx(3 * 750.0)

    def test_a_model_is_never_above_what_was_measured(self, tmp_path: Path) -> None:
        """Here 20 W at rest to 180 W at full load, and a GPU that is measured."""
        path = monitor(tmp_path, 0, 'power_meter', {'power1_average': 85_000_000})
        meters = plan(HOST, tmp_path).meters(gpus=(measured_gpu(),))
        assert [m.reading.component for m in meters] == ['gpu:0', 'cpu', 'rest']

        def look(now: float, busy: float) -> list[float | None]:
            return [meter.look(Moment(now, busy)).joules for meter in meters]

        look(0.0, 0.0)
        assert look(10.0, 40.0) == pytest.approx([400.0, 450.0, 0.0])  # 1800 by the model
        assert look(20.0, 40.0) == pytest.approx([400.0, 200.0, 250.0])
        (path / 'power1_average').unlink()
        assert look(30.0, 80.0) == [400.0, 1800.0, None]

    def test_two_meters_of_who_knows_what_are_not_used(self, tmp_path: Path) -> None:
        for number in range(2):
            monitor(tmp_path, number, 'power_meter', {'power1_average': 150_000_000})
        assert self.states(tmp_path)['node', 'acpi:power_meter'] == 'absent'

    def test_a_meter_of_nothing_is_frozen(self, tmp_path: Path) -> None:
        monitor(tmp_path, 0, 'power_meter', {'power1_average': 0})
        assert self.states(tmp_path)['node', 'acpi:power_meter'] == 'frozen'


class TestSurvey:
    def test_a_machine_that_shows_nothing(self, tmp_path: Path) -> None:
        found = survey(HOST, sysfs=tmp_path / 'nowhere', gpus=())
        used = [f.method for f in found if f.state == 'used']
        assert used == ['model:ccf', 'model:dram-size']
        for finding in found:
            assert finding.why
            assert '\n' not in finding.why + finding.mend

    def test_a_source_that_fails_is_absent(self, tmp_path: Path, caplog) -> None:
        power_pmu(tmp_path, cpus='none of them')
        states = {f.method: f.state for f in survey(HOST, sysfs=tmp_path, gpus=())}
        assert states['model:ccf'] == 'used'
        assert 'a way to see energy failed' in caplog.text

    def test_find_and_survey_agree(self, tmp_path: Path) -> None:
        """The counters move on their own here, as those of a machine do."""
        gauge_rig(tmp_path)
        found = survey(HOST, sysfs=tmp_path, gpus=())
        used = {(f.component, f.method) for f in found if f.state == 'used'}
        meters = find(HOST, sysfs=tmp_path)
        assert {(m.reading.component, m.reading.method) for m in meters} == used
        begin = time.perf_counter()
        again = find(HOST, sysfs=tmp_path)
        assert time.perf_counter() - begin < 2e-3
        assert again[0] is not meters[0]

    def test_on_a_virtual_machine_nothing_is_to_be_mended(self, tmp_path: Path) -> None:
        found = survey(replace(HOST, virtual=True), sysfs=tmp_path, gpus=())
        assert {f.mend for f in found} == {''}


def test_a_file_counter_finds_what_replaced_its_file(tmp_path: Path) -> None:
    path = write(tmp_path / 'energy_uj', 1000)
    meter = CounterMeter(Fake(1.0).reading, [FileCounter(str(path), None, 400.0)])
    meter.look(Moment(0.0))
    path.unlink()
    assert meter.look(Moment(5.0)).joules is None
    write(path, 5000)
    assert meter.look(Moment(10.0)).joules is None
    write(path, 9000)
    assert meter.look(Moment(15.0)).joules == pytest.approx(0.004)


def test_counters_are_shared_by_threads_and_leave_no_file_open(tmp_path: Path) -> None:
    rig = rapl_rig(tmp_path)
    before = len(os.listdir('/proc/self/fd'))
    meters = [rig.make() for _ in range(4)]

    def look(meter: Meter) -> list[float | None]:
        return [meter.look(Moment(rig.now + 0.001 * n)).joules for n in range(200)]

    with ThreadPoolExecutor() as pool:
        for seen in pool.map(look, meters):
            assert seen[0] is None
            assert set(seen[1:90]) == {0.0}
    assert len(os.listdir('/proc/self/fd')) == before


@pytest.mark.parametrize(
    ('method', 'u_rel', 'factor'),
    [('model:calibrated', 1.7, 1.2), ('model:ccf', 1.5, 1.5), ('model:tdp-linear', 3.0, 3.0)],
)
def test_idle_power_is_known_as_well_as_what_it_comes_from(
    method: str, u_rel: float, factor: float
) -> None:
    host = Host('h', 'X', 2, 1, 10.0, False, 12.0, 82.0, method, '', 'modelled', u_rel)
    assert model.LoadModel(host).reading.idle_u_rel == factor
    assert rapl.Rapl(host, 'cpu', []).reading.idle_u_rel == factor
    assert (
        rapl.Rapl(host, 'dram', []).reading.idle_u_rel
        == dram.DramModel(host).reading.idle_u_rel
        == 1.3
    )
