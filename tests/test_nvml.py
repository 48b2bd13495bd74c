"""The meter of GPUs: what it sees, and what it says when it cannot see."""

from __future__ import annotations

import inspect
import itertools
import logging
import os
import time
from pathlib import Path

import pynvml
import pytest
from nvml_stand_in import Board, StandIn, processes

from nicarbon import errors, ledger
from nicarbon.entry import Use
from nicarbon.host import Host
from nicarbon.meters import Fake, Moment, Seen, nvml
from nicarbon.meters.nvml import find_gpus
from nicarbon.series import merge_pairs
from nicarbon.share import share
from nicarbon.watch import Label, Watch

OURS, THEIRS = 11, 22
CUDA = ['nvidiactl', 'nvidia0', 'nvidia-uvm']


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, '_idle_watts', {})
    monkeypatch.setattr(errors, '_warned', set())


class Rig:
    """Meters of a stand-in, looked at as a watch does."""

    def __init__(self, library: StandIn, proc: str, environ: dict[str, str] | None = None) -> None:
        self.library = library
        self.meters = find_gpus(library, environ or {}, proc=proc, clock=library.clock)

    def look(self, seconds: float = 0.0, own: tuple[int, ...] = (OURS,)) -> Seen:
        self.library.advance(seconds)
        moment = Moment(self.library.now - 1.6e9, 0.0, lambda: frozenset(own))
        return next(meter.look(moment) for meter in self.meters)


@pytest.fixture
def host(tmp_path: Path) -> str:
    return processes(tmp_path, contained=False)


def rig(proc: str, *boards: Board, **options) -> tuple[Rig, Board]:
    library = StandIn(*boards, **options)
    return Rig(library, proc), library.boards[0]


def near(use: Use | None, *seconds: float | None) -> bool:
    assert use is not None
    found = (use.own_seconds, use.host_seconds, use.held_seconds, use.holders_seconds)
    return found == pytest.approx(seconds, abs=0.05)


# The port.


def test_the_first_look_sees_nothing(host: str) -> None:
    it, _ = rig(host)
    assert it.look() == Seen()
    assert it.meters[0].reading.component == 'gpu:GPU-3f2a'
    assert it.meters[0].reading.joules is None


@pytest.mark.parametrize('counts_energy', [True, False])
@pytest.mark.parametrize('keeps_power', [True, False])
def test_windows_add_up(host: str, counts_energy: bool, keeps_power: bool) -> None:
    board = Board('GPU-1', counts_energy=counts_energy, keeps_power=keeps_power)
    board.running = {OURS: 60, THEIRS: 20}
    library = StandIn(board)
    fine, coarse = Rig(library, host), Rig(library, host)
    fine.look(), coarse.look()
    seen = [fine.look(3.0), fine.look(4.0)]
    whole = coarse.look()
    assert sum(one.joules for one in seen) == pytest.approx(7 * 210)
    assert whole.joules == pytest.approx(7 * 210)
    assert sum(one.use.own_seconds for one in seen) == pytest.approx(whole.use.own_seconds)
    assert whole.use.own_seconds == pytest.approx(7 * 0.6, rel=0.02)


def test_a_short_window_may_see_no_step_of_the_counter(host: str) -> None:
    it, _ = rig(host)
    it.look()
    it.library.now += 0.05
    assert it.look().joules == 0.0
    assert it.look(0.1).joules == pytest.approx(5.0)


def test_a_counter_that_stands_still_is_broken(host: str) -> None:
    it, board = rig(host)
    it.look()
    board.frozen = True
    assert [it.look(0.6).joules for _ in range(5)] == [0.0, 0.0, 0.0, None, None]
    board.frozen = False
    assert it.look(1.0).joules == pytest.approx(50)


def test_a_driver_that_is_loaded_anew_is_a_gap(host: str) -> None:
    it, _ = rig(host)
    it.look(), it.look(5.0)
    it.library.reload()
    assert it.look(0.1).joules is None
    assert it.look(2.0).joules == pytest.approx(100)


def test_a_lost_gpu_is_said_once(host: str, caplog: pytest.LogCaptureFixture) -> None:
    it, board = rig(host)
    it.look()
    board.lost = True
    with caplog.at_level(logging.WARNING, logger='nicarbon'):
        assert [it.look(5.0) for _ in range(3)] == [Seen()] * 3
    assert [record.getMessage() for record in caplog.records] == [
        'GPU-3f2a does not answer (GPU is lost); its energy is not seen'
    ]
    board.lost = False
    assert it.look(5.0).joules is None
    assert it.look(5.0).joules == pytest.approx(250)


def test_what_is_said_of_each_way_of_seeing(host: str) -> None:
    counted = rig(host)[0].meters[0].reading
    sampled = rig(host, Board('GPU-2', counts_energy=False))[0].meters[0].reading
    cut = rig(host, Board('GPU-3', mig=True))[0].meters[0].reading
    assert [each.method for each in (counted, sampled, cut)] == [
        'nvml:energy', 'nvml:power', 'nvml:energy, MIG: not split',
    ]  # fmt: skip
    assert {each.tier for each in (counted, sampled, cut)} == {'measured'}
    assert counted.u_rel < sampled.u_rel


def test_idle_power_is_known_only_from_an_idle_gpu(host: str) -> None:
    it, board = rig(host)
    board.running = {THEIRS: 80}
    it.look()
    assert it.meters[0].reading.idle_watts is None
    board.running = {THEIRS: 0}
    other = Rig(it.library, host)
    other.look()
    assert other.meters[0].reading.idle_watts == it.meters[0].reading.idle_watts == 50.0


def test_a_watch_writes_down_what_a_gpu_did(host: str, tmp_path: Path) -> None:
    library, machine = (
        StandIn(),
        Host('h', 'X', 2, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.5),
    )
    library.boards[0].running = {os.getpid(): 40, THEIRS: 40}
    ledger_folder = tmp_path / 'ledger'
    ledger_folder.mkdir()
    meters = [Fake(3.0), *find_gpus(library, {}, proc=host, clock=library.clock)]
    with Watch(Label(), machine, meters, ledger_folder) as watch:
        for _ in range(3):
            time.sleep(0.1)  # The clock of the host is not the stand-in's.
            library.advance(0.1)
            watch.look()
        library.boards[0].lost = True
    (entry,), _ = ledger.read(ledger_folder)
    assert entry == watch.entry
    assert entry.readings[1].joules == pytest.approx(0.3 * 210)
    assert [bool(window.uses) for window in entry.windows] == [True, True, True, False]
    assert entry.windows[0].uses[1].own_seconds == pytest.approx(0.04, rel=0.1)
    (merged,) = merge_pairs(merge_pairs(merge_pairs(entry.windows)))
    assert merged.joules[1] == pytest.approx(0.3 * 210)
    assert merged.uses[1].own_seconds == pytest.approx(0.12, rel=0.1)
    assert merged.covered[1] == pytest.approx(sum(w.seconds for w in entry.windows[:3]))
    (one,) = share([entry]).shares
    assert one.components['gpu:GPU-3f2a'] == pytest.approx(0.3 * 210 / 2)


# Which GPUs.


@pytest.mark.parametrize(
    ('chosen', 'seen'),
    [
        (None, ['GPU-a1', 'GPU-b2', 'GPU-b3']),
        ('2,0', ['GPU-b3', 'GPU-a1']),
        ('GPU-b2,GPU-a', ['GPU-b2', 'GPU-a1']),
        ('0,GPU-b,1', ['GPU-a1']),  # Two begin so.
        ('0,9,1', ['GPU-a1']),
        ('MIG-7,MIG-8', ['GPU-b3']),
        ('MIG-9', []),
        ('-1', []),
        ('', []),
        ('NoDevFiles', []),
    ],
)
def test_only_visible_gpus_are_metered(host: str, chosen: str | None, seen: list[str]) -> None:
    library = StandIn(
        *(Board(uuid, minor) for minor, uuid in enumerate(['GPU-a1', 'GPU-b2', 'GPU-b3']))
    )
    library.parents = {'MIG-7': 'GPU-b3', 'MIG-8': 'GPU-b3'}
    environ = {} if chosen is None else {'CUDA_VISIBLE_DEVICES': chosen}
    it = Rig(library, host, environ)
    assert [meter.reading.component for meter in it.meters] == [f'gpu:{uuid}' for uuid in seen]


def test_unlike_gpus_are_all_metered_where_cuda_sorts_them_by_speed(host: str) -> None:
    library = StandIn(Board('GPU-1', name='slow'), Board('GPU-2', name='fast'))
    assert len(Rig(library, host, {'CUDA_VISIBLE_DEVICES': '0'}).meters) == 2
    ordered = {'CUDA_VISIBLE_DEVICES': '0', 'CUDA_DEVICE_ORDER': 'PCI_BUS_ID'}
    assert len(Rig(library, host, ordered).meters) == 1


def test_a_gpu_that_never_answers_leaves_the_others(host: str) -> None:
    library = StandIn(Board('GPU-1', lost=True), Board('GPU-2'))
    assert [m.reading.component for m in Rig(library, host).meters] == ['gpu:GPU-2']
    assert Rig(library, host, {'CUDA_VISIBLE_DEVICES': '0'}).meters == ()


@pytest.mark.parametrize('error', ['DRIVER_NOT_LOADED', 'LIB_RM_VERSION_MISMATCH', 'UNKNOWN'])
def test_without_a_driver_there_is_no_meter(host: str, error: str) -> None:
    assert Rig(StandIn(fails=error), host).meters == ()


def test_what_is_no_library_does_not_raise() -> None:
    assert find_gpus(object(), {}) == ()


def test_where_there_is_no_gpu_looking_for_one_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nvml, '_DRIVER', ('/no/such/driver',))
    assert find_gpus(environ={}) == ()
    best = min(_timed(lambda: find_gpus(environ={})) for _ in range(50))
    assert best < 50e-6


def _timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_nvml_is_started_once_per_process(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = StandIn()
    Rig(library, host), Rig(library, host)
    assert library.started == 1
    monkeypatch.setattr(nvml.os, 'getpid', itertools.repeat(4711).__next__)
    Rig(library, host)
    assert library.started == 2


# Who uses them.


def test_two_share_one_gpu(host: str) -> None:
    it, board = rig(host)
    board.running = {OURS: 60, THEIRS: 20}
    it.look()
    assert near(it.look(5.0).use, 3.0, 4.0, 5.0, 10.0)


def test_nobody_uses_it(host: str) -> None:
    it, board = rig(host)
    it.look()
    assert near(it.look(5.0).use, 0.0, 0.0, 0.0, 0.0)
    board.no_samples_is_success = True
    assert near(it.look(5.0).use, 0.0, 0.0, 0.0, 0.0)


def test_an_idle_hour_does_not_thin_out_what_follows(host: str) -> None:
    it, board = rig(host)
    it.look()
    for _ in range(30):
        it.look(5.0)
    board.running = {OURS: 50}
    assert near(it.look(5.0).use, 2.5, 2.5, 2.5, 2.5)


def test_a_process_that_ended_within_the_window_counts(host: str) -> None:
    it, board = rig(host)
    it.look()
    board.running = {OURS: 80}
    it.library.advance(2.0)
    board.running = {}
    assert near(it.look(3.0).use, 1.6, 1.6, 2.5, 2.5)


def test_when_it_was_taken_and_left_is_known_to_half_a_window(host: str) -> None:
    it, board = rig(host)
    board.running = {THEIRS: 20}
    it.look()
    board.running = {THEIRS: 20, OURS: 0}
    assert near(it.look(4.0).use, 0.0, 0.8, 2.0, 6.0)
    assert near(it.look(4.0).use, 0.0, 0.8, 4.0, 8.0)
    board.running = {THEIRS: 20}
    assert near(it.look(4.0).use, 0.0, 0.8, 2.0, 6.0)
    assert near(it.look(4.0).use, 0.0, 0.8, 0.0, 4.0)


def test_what_was_used_was_held_for_as_long(host: str) -> None:
    it, board = rig(host)
    it.look()
    board.running = {OURS: 90}
    assert near(it.look(5.0).use, 4.5, 4.5, 4.5, 4.5)


def test_noise_of_the_driver_is_left_out(host: str) -> None:
    it, board = rig(host, Board('GPU-1', fills_with_noise=True))
    board.running = {OURS: 50}
    it.look()
    assert near(it.look(4.0).use, 2.0, 2.0, 4.0, 4.0)


@pytest.mark.parametrize(
    ('running', 'own'), [({OURS: 50}, 2.5), ({OURS: 25, THEIRS: 25}, None), ({THEIRS: 50}, 0.0)]
)
def test_where_use_is_not_told_a_sole_holder_is_known(
    host: str, running: dict[int, int], own: float | None
) -> None:
    it, board = rig(host, Board('GPU-1', tells_use=False))
    board.running = running
    it.look()
    use = it.look(5.0).use
    assert near(use, own, 2.5, 5.0 * (OURS in running), 5.0 * len(running))


def test_where_nothing_is_told_nothing_is_guessed(host: str) -> None:
    it, board = rig(host, Board('GPU-1', tells_use=False, tells_processes=False))
    board.running = {OURS: 50}
    it.look()
    assert near(it.look(5.0).use, None, 2.5, 0.0, 0.0)


def test_a_gpu_in_parts_is_named_and_not_split(host: str) -> None:
    it, board = rig(host, Board('GPU-1', mig=True))
    board.running = {OURS: 50}
    it.look()
    seen = it.look(5.0)
    assert seen.joules == pytest.approx(750)
    assert near(seen.use, None, 5.0, 0.0, 0.0)


def test_where_use_fails_energy_is_still_seen(host: str) -> None:
    it, board = rig(host)
    it.look()
    board.use_fails = True
    assert it.look(5.0) == Seen(pytest.approx(250), None)
    board.use_fails = False
    it.look(5.0)
    board.running = {OURS: 50}
    assert near(it.look(5.0).use, 2.5, 2.5, 2.5, 2.5)


def test_a_desktop_holds_its_gpu_too(host: str) -> None:
    it, board = rig(host)
    board.running, board.graphics = {OURS: 50}, {33}
    it.look()
    assert near(it.look(5.0).use, 2.5, 2.5, 5.0, 10.0)


# Containers, whose numbers of processes are others than those of the host.


@pytest.mark.parametrize('list_offset', [0, 5000])
def test_alone_in_a_container(tmp_path: Path, list_offset: int) -> None:
    """Some drivers translate the numbers in one list and not in the other."""
    proc = processes(tmp_path, contained=True, p11=CUDA)
    it, board = rig(proc, use_offset=5000, list_offset=list_offset)
    board.running = {OURS: 50}
    it.look()
    assert near(it.look(4.0).use, 2.0, 2.0, 4.0, 4.0)


def test_two_in_a_container_are_not_told_apart(tmp_path: Path) -> None:
    proc = processes(tmp_path, contained=True, p11=CUDA)
    it, board = rig(proc, use_offset=5000, list_offset=5000)
    board.running = {OURS: 50, THEIRS: 25}
    it.look()
    assert near(it.look(4.0).use, None, 3.0, 4.0, 8.0)


def test_who_has_the_gpu_not_open_does_not_use_it(tmp_path: Path) -> None:
    """NVML itself opens the device, but not the file that computing needs."""
    proc = processes(tmp_path, contained=True, p11=['nvidiactl', 'nvidia0'])
    it, board = rig(proc, use_offset=5000, list_offset=5000)
    board.running = {THEIRS: 50}
    it.look()
    assert near(it.look(4.0).use, 0.0, 2.0, 0.0, 4.0)


def test_a_number_that_is_ours_by_chance(tmp_path: Path) -> None:
    proc = processes(tmp_path, contained=True, p11=['nvidiactl', 'nvidia0'])
    it, board = rig(proc)
    board.running = {OURS: 50}  # Of the host.
    it.look()
    assert near(it.look(4.0).use, 0.0, 2.0, 0.0, 4.0)


def test_a_container_with_the_numbers_of_the_host(tmp_path: Path) -> None:
    proc = processes(tmp_path, contained=True, p11=CUDA)
    it, board = rig(proc)
    board.running = {OURS: 50, THEIRS: 25}
    it.look()
    assert near(it.look(4.0).use, 2.0, 3.0, 4.0, 8.0)


def test_the_stand_in_is_called_as_the_bindings_are() -> None:
    for name, function in inspect.getmembers(StandIn, inspect.isfunction):
        if name.startswith('nvml'):
            theirs = list(inspect.signature(getattr(pynvml, name)).parameters)
            ours = list(inspect.signature(function).parameters)[1:]
            assert theirs == ours or name == 'nvmlDeviceGetHandleByIndex', name
