"""Calibration: what is recovered of a machine that is known, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machines import alive, children, powercap
from values import replace

from nicarbon import host
from nicarbon.burn import burning
from nicarbon.calibration import Plan, World, calibrate, check_writable, save
from nicarbon.entry import Reading
from nicarbon.errors import BusyError, OutputError, UnavailableError
from nicarbon.host import busy_seconds
from nicarbon.meters import Meter, Moment, Seen, survey
from nicarbon.meters.model import LoadModel

CORES = 4
HOST = replace(host.probe(), name='known', cpu='Known CPU', cores=CORES)


class Machine:
    """A machine of known power, with a clock that need not be waited for."""

    def __init__(self, watts: Callable[[float], float], others: Callable[[float], float]) -> None:
        self.now, self.busy, self.burners, self.most = 1000.0, 500.0, 0, CORES
        self.joules = {'cpu': 0.0, 'dram': 0.0}
        self.watts, self.others = watts, others
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        for _ in range(10):
            busy = min(self.burners + self.others(self.now - 1000.0), self.most)
            self.now += seconds / 10
            self.busy += busy * seconds / 10
            self.joules['cpu'] += self.watts(busy) * seconds / 10
            self.joules['dram'] += 3.0 * seconds / 10

    @contextlib.contextmanager
    def burning(self, cores: int) -> Iterator[None]:
        self.burners = cores
        try:
            yield
        finally:
            self.burners = 0

    def world(self, usable: int = CORES) -> World:
        return World(lambda: self.now, self.sleep, lambda: self.busy, self.burning, lambda: usable)

    def meters(self) -> list[Meter]:
        return [Counter(self, 'cpu'), Counter(self, 'dram')]


class Counter:
    """What a real counter would tell of it."""

    def __init__(self, machine: Machine, component: str) -> None:
        self.reading = Reading(component, None, None, 'known', 'measured', 'host', 1.05)
        self._machine, self._last = machine, None

    def look(self, moment: Moment) -> Seen:
        last, self._last = self._last, self._machine.joules[self.reading.component]
        return Seen() if last is None else Seen(self._last - last)


def machine(
    watts: Callable[[float], float] = lambda busy: 40.0 + 30.0 * busy,
    others: Callable[[float], float] = lambda _now: 0.0,
) -> Machine:
    return Machine(watts, others)


def test_a_known_machine_is_recovered() -> None:
    known, said = machine(), []
    got = calibrate(known.meters(), HOST, Plan(), known.world(), lambda *s: said.append(s))
    assert (got.idle_watts, got.peak_watts) == pytest.approx((40.0, 160.0))
    assert (got.dram_idle_watts, got.measured_with) == (pytest.approx(3.0), 'known')
    assert (got.idle_spread, got.peak_spread) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert got.line_deviation == pytest.approx(0.0, abs=1e-9)
    assert [round(point.busy_cores) for point in got.ramp] == [0, 1, 2, 3, 4]
    assert got.ramp[0].windows == 60
    # Every second of it was announced.
    assert sum(seconds for _, seconds in said) == pytest.approx(sum(known.slept))


def test_housekeeping_is_no_idle_power() -> None:
    """What was busy at rest is taken off along the line."""
    known = machine(others=lambda _now: 0.1)
    got = calibrate(known.meters(), HOST, Plan(), known.world())
    assert got.ramp[0].watts == pytest.approx(43.0)
    assert (got.idle_watts, got.peak_watts) == pytest.approx((40.0, 160.0), rel=0.01)


def test_a_bent_line_is_told() -> None:
    known = machine(lambda busy: 40.0 + 60.0 * busy**0.5)
    got = calibrate(known.meters(), HOST, Plan(), known.world())
    assert (got.idle_watts, got.peak_watts) == pytest.approx((40.0, 160.0))
    assert got.line_deviation == pytest.approx(100.0 / 70.0 - 1.0)


@pytest.mark.parametrize(
    ('known', 'words'),
    [
        (machine(others=lambda _now: 0.5), 'not at rest: other programs keep 0.5 cores'),
        (machine(others=lambda now: 2.0 * (now > 20)), 'disturbed: other programs'),
        (machine(others=lambda now: 1.0 * (now > 70)), 'disturbed: other programs'),
    ],
    ids=['before', 'at rest', 'at work'],
)
def test_a_busy_machine_is_refused(known: Machine, words: str) -> None:
    with pytest.raises(BusyError, match=words):
        calibrate(known.meters(), HOST, Plan(), known.world())
    assert known.burners == 0
    assert calibrate(known.meters(), HOST, Plan(force=True), known.world()).forced


def test_force_does_not_make_a_full_machine_idle() -> None:
    known = machine(others=lambda _now: 3.0)
    with pytest.raises(BusyError, match='not even --force'):
        calibrate(known.meters(), HOST, Plan(force=True), known.world())


def test_a_disturbance_ends_it_soon() -> None:
    known = machine(others=lambda now: 4.0 * (now > 10))
    with pytest.raises(BusyError):
        calibrate(known.meters(), HOST, Plan(), known.world())
    assert known.now - 1000.0 < 15.0


class Silent(Counter):
    """A counter that is there, and never tells anything."""

    def look(self, moment: Moment) -> Seen:
        return Seen()


@pytest.mark.parametrize(
    ('meters', 'words'),
    [
        ([LoadModel(HOST)], 'no energy counter of the CPU can be read here'),
        ([], 'no energy counter'),
        ([Silent(machine(), 'cpu')], 'told nothing'),
        ([Counter(machine(), 'cpu')], 'does not follow the load'),  # of another machine: frozen
    ],
    ids=['model', 'none', 'silent', 'frozen'],
)
def test_without_a_counter_it_is_refused(meters: list[Meter], words: str) -> None:
    with pytest.raises(UnavailableError, match=words):
        calibrate(meters, HOST, Plan(), machine().world())


def test_a_slice_of_the_machine_is_refused() -> None:
    with pytest.raises(UnavailableError, match='may use 2 of 4 cores'):
        calibrate(machine().meters(), HOST, Plan(), machine().world(usable=2))
    known = machine()
    known.most = 2
    with pytest.raises(UnavailableError, match=r'only 2\.0 of 4 cores could be kept busy'):
        calibrate(known.meters(), HOST, Plan(), known.world())


def test_it_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    known = machine()
    got = calibrate(known.meters(), HOST, Plan(), known.world())
    path = tmp_path / 'new/calibration/known.json'
    check_writable(path)
    save(got, path)
    assert json.loads(path.read_text())['idle_watts'] == got.idle_watts
    assert path.stat().st_mode & 0o777 == 0o644
    folder = tmp_path / 'new/folder.json'
    folder.mkdir()
    (folder / 'kept').touch()
    for refuse in (check_writable, lambda path: save(got, path)):
        with pytest.raises(OutputError, match=r'folder\.json cannot be written'):
            refuse(folder)
        with pytest.raises(OutputError):
            refuse(path / 'below/a/file.json')
    assert [p.name for p in path.parent.iterdir()] == ['known.json']
    assert sorted(p.name for p in folder.parent.iterdir()) == ['calibration', 'folder.json']


def test_burners_burn_and_end() -> None:
    others = set(children(os.getpid()))
    with burning(1):
        before, start = busy_seconds(), time.monotonic()
        time.sleep(1.0)
        assert (busy_seconds() - before) / (time.monotonic() - start) > 0.8
        assert len(set(children(os.getpid())) - others) == 1
    assert set(children(os.getpid())) <= others


def test_burners_die_with_their_parent() -> None:
    """Also when it is killed and can do nothing about it."""
    code = (
        'import time\nfrom nicarbon.burn import burning\n'
        'with burning(2):\n    print("ready", flush=True)\n    time.sleep(60)\n'
    )
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b'ready\n'
        burners = children(parent.pid)
        assert len(burners) == 2
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5.0
    while any(alive(pid) for pid in burners) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in burners)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """Counters that follow the load of this very machine: 40 W at rest, 160 W at work."""
    with powercap(tmp_path / 'sys/class/powercap') as root:
        yield root.parents[1]


@pytest.mark.slow
def test_real_cores_and_a_counter_that_follows_them(tree: Path) -> None:
    """Other programs may run on this machine: they are in the load that is counted."""
    here = host.probe()
    plan = Plan(0.2, idle_seconds=3.0, step_seconds=3.0, settle_seconds=0.3, force=True)
    try:
        got = calibrate(survey.plan(here, tree).meters(), here, plan, World())
    except (BusyError, UnavailableError) as error:
        pytest.skip(f'other programs need this machine: {error}')
    assert got.idle_watts == pytest.approx(40.0, rel=0.08)
    assert got.peak_watts == pytest.approx(160.0, rel=0.05)
    assert got.dram_idle_watts == pytest.approx(6.0, rel=0.08)
    assert got.line_deviation < 0.08
    assert got.measured_with.startswith('rapl')
    assert children(os.getpid()) != []  # The counters' program; burners have ended:
    assert not any('numpy' in cmdline(pid) for pid in children(os.getpid()))


def cmdline(pid: int) -> str:
    return Path(f'/proc/{pid}/cmdline').read_text()
