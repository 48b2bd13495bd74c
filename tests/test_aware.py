"""Nodes under real workers: what they are charged, and that nothing else changes."""

from __future__ import annotations

import os
import pickle
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from doubles import Burn, BurnInChildren, Fail, Sleep
from nipype import Node, Workflow
from nipype.interfaces.utility import Function

from nicarbon import CarbonNode, carbon_aware, errors, ledger, recording
from nicarbon.aware import divided, ran, reused
from nicarbon.entry import Command, Part
from nicarbon.errors import UsageError
from nicarbon.host import cached
from nicarbon.meters import Fake, Moment, Seen, find
from nicarbon.pieces import cut
from nicarbon.run import watched
from nicarbon.series import MAX_WINDOWS
from nicarbon.share import share
from nicarbon.watch import Label, Watch


def run_workflow(tmp_path: Path, nodes: list[Node], **plugin_args: object) -> tuple:
    """Run nodes side by side; return entries by node name, and the sharing."""
    workflow = Workflow('wf', base_dir=str(tmp_path / 'work'))
    workflow.config['execution'] = {
        'poll_sleep_duration': '0.05',
        'crashdump_dir': str(tmp_path),
        'crashfile_format': 'txt',
    }
    workflow.add_nodes(nodes)
    plugin = 'MultiProc' if plugin_args else 'Linear'
    with recording(tmp_path / 'out') as run:
        try:
            workflow.run(plugin, plugin_args=plugin_args)
        except Exception as error:
            assert 'raised' in str(error) or 'no brain' in str(error)
    entries, warnings = ledger.read(run.ledger)
    assert warnings == []
    return {entry.node.rpartition('.')[2]: entry for entry in entries}, share(entries)


def node(interface: object, name: str, seconds: float) -> CarbonNode:
    one = CarbonNode(interface, name=name, subject='01', stage=name)
    one.inputs.seconds = seconds
    return one


@pytest.mark.slow
@pytest.mark.parametrize('method', ['fork', 'forkserver', 'spawn'])
def test_a_parallel_run_conserves_energy(tmp_path: Path, method: str) -> None:
    """Σ nodes + overhead + unattributed = host within 0.1 %, on a real run."""
    nodes = [
        node(Burn(), 'burn', 2.0),
        node(BurnInChildren(), 'children', 2.0),
        node(Sleep(), 'sleep', 2.0),
    ]
    entries, sharing = run_workflow(tmp_path, nodes, n_procs=3, memory_gb=8, mp_context=method)
    assert set(entries) == {'', 'burn', 'children', 'sleep'}
    assert entries['burn'].cpu_seconds == pytest.approx(2.0, abs=0.15)
    assert entries['children'].cpu_seconds == pytest.approx(2.0, abs=0.3)
    assert entries['sleep'].cpu_seconds < 0.1
    (balance,) = sharing.balances
    host = sum(reading.joules for reading in entries[''].readings)
    parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
    assert parts == pytest.approx(host, rel=1e-3)
    assert balance.unattributed_joules >= 0
    assert balance.overhead_joules > 0
    charged = {one.entry.stage: one.joules for one in sharing.shares}
    assert charged['sleep']['dynamic'] < 0.05 * charged['burn']['dynamic']
    assert charged['burn']['dynamic'] == pytest.approx(charged['children']['dynamic'], rel=0.2)
    assert sum(joules['reserved'] for joules in charged.values()) <= host


def test_a_failing_node_keeps_its_energy_and_its_error(tmp_path: Path) -> None:
    entries, sharing = run_workflow(tmp_path, [node(Fail(), 'fail', 0.3)])
    assert entries['fail'].outcome == 'failed'
    assert entries['fail'].error == 'ValueError: this head has no brain'
    assert entries['fail'].cpu_seconds >= 0.3
    assert sharing.shares[0].joules['reserved'] > 0


def test_a_library_node_is_watched_without_its_class_knowing(tmp_path: Path) -> None:
    plain = Node(Function(function=_double, input_names=['x'], output_names=['y']), name='twice')
    plain.inputs.x = 3
    before = plain.inputs.get_hashval()
    aware = carbon_aware(plain)
    assert aware is plain
    assert isinstance(aware, CarbonNode)
    assert aware.inputs.get_hashval() == before
    assert type(pickle.loads(pickle.dumps(aware))) is CarbonNode
    entries, _ = run_workflow(tmp_path, [aware])
    assert entries['twice'].interface == 'Function'
    assert entries['twice'].outcome == 'ran'


def _double(x: int) -> int:
    return 2 * x


def test_a_nested_run_of_an_aware_interface_is_counted_once(tmp_path: Path) -> None:
    with recording(tmp_path) as run:
        BurnInChildren(seconds=0.2).run(cwd=str(tmp_path))
    entries, _ = ledger.read(run.ledger)
    assert [entry.kind for entry in entries].count('node') == 1


def test_outside_a_recording_the_work_is_done_all_the_same(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert Burn(seconds=0.05).run(cwd=str(tmp_path)).outputs.done


def test_a_ledger_that_cannot_be_written_breaks_nothing(tmp_path: Path, caplog) -> None:
    """The folder becomes a file under our feet (root may write read-only folders)."""
    with recording(tmp_path) as run:
        for path in sorted(run.ledger.rglob('*')):
            path.unlink()
        run.ledger.rmdir()
        run.ledger.write_text('in the way')
        assert Burn(seconds=0.05).run(cwd=str(tmp_path)).outputs.done
    warned = [r for r in caplog.records if 'ledger cannot be written' in r.getMessage()]
    assert len(warned) == 1


def test_a_disk_that_fills_up_keeps_the_checkpoint(tmp_path: Path, make_entry) -> None:
    """Where the last line cannot be appended, what was known before it stays."""
    host = cached(tmp_path / 'hosts')
    with Watch(Label(stage='burn'), host, find(host), tmp_path / 'ledger') as watch:
        (part,) = (tmp_path / 'ledger').glob('*.part')
        line = part.with_name(f'{part.stem.rpartition("-")[0]}.jsonl')
        line.symlink_to('/dev/full')
    assert watch.entry.outcome == 'ran'
    line.unlink()
    (entry,), _ = ledger.read(tmp_path / 'ledger')
    assert (entry.stage, entry.outcome) == ('burn', 'ran')
    assert entry.windows == watch.entry.windows


class _Broken(Fake):
    """A double of a meter that is lost in mid-work."""

    looks = 0

    def look(self, moment: Moment) -> Seen:
        self.looks += 1
        if self.looks > 1:
            raise RuntimeError('GPU is lost')
        return super().look(moment)


def test_a_meter_that_fails_breaks_nothing(tmp_path: Path, caplog) -> None:
    host = cached(tmp_path)
    with Watch(Label(), host, [_Broken(10.0, component='gpu:0'), Fake(3.0)], None) as watch:
        pass
    gpu, cpu = watch.entry.readings
    assert gpu.joules is None
    assert cpu.joules == pytest.approx(3.0 * watch.entry.seconds)
    assert 'GPU is lost' in caplog.text


class _Curious(Fake):
    """A double of a meter that asks whose the host's processes are."""

    def look(self, moment: Moment) -> Seen:
        self.pids = moment.pids()
        return super().look(moment)


def test_a_meter_knows_processes_that_have_ended_within_the_window(tmp_path: Path) -> None:
    meter = _Curious(1.0)
    with Watch(Label(), cached(tmp_path), [meter], None) as watch:
        child = subprocess.Popen(['sleep', '0.4'])
        child.wait()
        watch.look()
        assert {os.getpid(), child.pid} <= meter.pids
        watch.look()
        assert child.pid not in meter.pids


def test_a_long_series_is_merged_and_adds_up(tmp_path: Path) -> None:
    host = cached(tmp_path)
    with Watch(Label(), host, [Fake(10.0)], None, window_seconds=0.0005) as watch:
        time.sleep(2.5)
    assert 100 < len(watch.entry.windows) <= MAX_WINDOWS
    assert max(w.seconds for w in watch.entry.windows) > 0.002
    assert watch.entry.seconds == pytest.approx(2.5, abs=0.5)
    joules = sum(w.joules[0] for w in watch.entry.windows)
    assert joules == pytest.approx(10.0 * watch.entry.seconds)


def test_a_run_id_is_used_once(tmp_path: Path) -> None:
    with recording(tmp_path, run_id='r'):
        pass
    with pytest.raises(UsageError, match='another run_id'), recording(tmp_path, run_id='r'):
        pass


def test_cached_nodes_are_charged_nothing(tmp_path: Path) -> None:
    run_workflow(tmp_path, [node(Burn(), 'burn', 0.2)])
    again, sharing = run_workflow(tmp_path, [node(Burn(), 'burn', 0.2)])
    assert set(again) == {'', 'burn'}
    assert again['burn'].outcome == 'cached'
    assert again['burn'].reserved_cores == 0
    (share_,) = sharing.shares
    assert share_.joules['reserved'] == 0


class _Tells(Burn):
    """Tells what it ran and which parts it had, as an interface that reads a log does."""

    def _run_interface(self, runtime: Any) -> Any:
        begin = time.monotonic()
        super()._run_interface(runtime)
        middle = begin + self.inputs.seconds / 2
        divided([Part('one', begin, middle - begin), Part('two', middle, 60.0)])
        ran(Command(name, begin, 0.1, 0.05, 0.01) for name in ('sh',))
        ran([Command('mri_convert', middle, 0.1, 0.05, 0.01, 0.2)])
        return runtime


class _WasThere(_Tells):
    """Finds its result there, made when its ``after`` says."""

    def _run_interface(self, runtime: Any) -> Any:
        super()._run_interface(runtime)
        reused(self.inputs.after[0])
        if self.inputs.after[1]:
            raise ValueError('the log cannot be read')
        return runtime


def test_work_says_which_programs_and_parts_it_had(tmp_path: Path) -> None:
    entries, _ = run_workflow(tmp_path, [node(_Tells(), 'tells', 0.2), node(Burn(), 'after', 0.0)])
    entry = entries['tells']
    assert [command.name for command in entry.commands] == ['sh', 'mri_convert']
    assert entry.commands[1].peak_memory_gb == 0.2
    pieces = [piece for piece in cut(entry) if piece.stage != 'tells']
    assert [piece.stage for piece in pieces] == ['one', 'two']
    assert [[one.name for one in piece.commands] for piece in pieces] == [['sh'], ['mri_convert']]
    assert pieces[0].seconds == pytest.approx(0.1, abs=0.01)
    assert entries['after'].commands == entries['after'].parts == ()


def test_outside_any_work_nobody_listens() -> None:
    ran([Command('sh', 1.0, 1.0, 1.0, 1.0)])
    divided([Part('one', 1.0, 1.0)])
    reused(1.0)


@pytest.mark.parametrize(
    'wrong',
    [
        lambda: [Command('sh', 1.0, -1.0, 1.0, 1.0), Part('sh', 1.0, -1.0)],
        lambda: [('sh', 1.0)],
        lambda: [None],
        lambda: None,
        lambda: (1 / 0 for _ in 'x'),
    ],
)
def test_programs_that_cannot_be_kept_cost_a_warning(tmp_path: Path, caplog, wrong: Any) -> None:
    errors._warned.clear()
    with recording(tmp_path) as run, watched(Label(node='n')):
        ran([Command('sh', 1.0, 1.0, 1.0, 1.0)])
        ran(wrong())
        divided(wrong())
    (entry,) = [entry for entry in ledger.read(run.ledger)[0] if entry.kind == 'node']
    assert [command.name for command in entry.commands] == ['sh']
    assert entry.parts == ()
    assert caplog.text.count('is not kept') == 2


@pytest.mark.parametrize(
    ('made', 'fails', 'outcomes'),
    [(1.0, False, ['cached']), (1e12, False, []), (1.0, True, ['failed'])],
    ids=['before the run', 'by this run', 'and then it failed'],
)
def test_what_was_done_already_is_cached(
    tmp_path: Path, made: float, fails: bool, outcomes: list[str]
) -> None:
    one = node(_WasThere(after=(made, fails)), 'there', 0.05)
    entries, sharing = run_workflow(tmp_path, [one])
    found = [each.entry for each in sharing.shares]
    assert [entry.outcome for entry in found] == outcomes
    for entry in found:
        assert (entry.subject, entry.stage) == ('01', 'there')
        assert bool(entry.cpu_seconds) is fails
    assert entries[''].cpu_seconds >= 0.05


def test_what_was_done_already_is_noted_once(tmp_path: Path) -> None:
    with recording(tmp_path) as run:
        for _ in range(2):
            with watched(Label(node='n')):
                reused(1.0)
        with watched(Label(node='m')):
            pass
    found = [(entry.node, entry.outcome) for entry in ledger.read(run.ledger)[0]]
    assert sorted(found) == [('', 'ran'), ('m', 'ran'), ('n', 'cached')]


def test_only_classes_and_nodes_can_be_aware() -> None:
    with pytest.raises(UsageError, match='a Node or a Workflow'):
        carbon_aware(3)


def test_saying_that_thousands_were_cached_takes_no_longer_for_each(tmp_path):
    """Every name was compared with every other: hours, for a dataset."""
    from nicarbon import run

    place = run.Place(str(tmp_path), time.time() + 10)
    compared = Counted()
    for number in range(200):
        run.add_cached(Label(node=compared.name(f'wf.n{number}')), 1.0, place)
    assert compared.calls < 200 * 10
    # Of a node that maps, its items have said so.
    run.add_cached(Label(node='wf.map.0'), 1.0, place)
    run.add_cached(Label(node='wf.map'), 1.0, place)
    entries, _ = ledger.read(tmp_path)
    assert 'wf.map' not in {entry.node for entry in entries}
    assert len(entries) == 201


class Counted:
    """Names that count how often they are compared."""

    def __init__(self) -> None:
        self.calls = 0

    def name(self, text: str) -> str:
        counted = self

        class Name(str):
            __slots__ = ()

            def startswith(self, *args) -> bool:
                counted.calls += 1
                return str.startswith(self, *args)

        return Name(text)
