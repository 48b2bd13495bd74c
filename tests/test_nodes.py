"""Every kind of node of Nipype, in every kind of plugin: one entry per leaf, nothing changed."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest
from doubles import Burn, Fail
from nipype import Function, JoinNode, MapNode, Node, Workflow
from nipype.interfaces.base import CommandLine
from nipype.interfaces.utility import IdentityInterface, Merge

from nicarbon import carbon_aware, ledger, recording
from nicarbon.entry import Entry
from nicarbon.errors import UsageError

PLUGINS = [('Linear', {}), ('MultiProc', {'n_procs': 2, 'mp_context': 'forkserver'})]


class Kin(Node):
    """Somebody's own class of nodes."""

    def run(self, updatehash: bool = False) -> object:
        self.config = self.config or {}
        return super().run(updatehash)


def double(x: int) -> int:
    return 2 * x


def total(xs: list) -> int:
    return sum(xs)


def doubling(name: str, kind: type = Node, **options: object) -> Node:
    return kind(Function(function=double), name=name, **options)


def build(base_dir: Path) -> Workflow:
    """Iterables, a nested workflow, MapNodes, a JoinNode, a node of somebody's class."""
    source = Node(IdentityInterface(fields=['x']), name='source')
    source.iterables = ('x', [1, 2])
    inner = Workflow('inner_wf')
    kin, each = doubling('kin', Kin), doubling('each', MapNode, iterfield='x')
    pair = Node(Merge(2), name='pair', run_without_submitting=True)
    inner.connect([(kin, pair, [('out', 'in1'), ('out', 'in2')]), (pair, each, [('out', 'x')])])
    join = JoinNode(Function(function=total), joinsource='source', joinfield='xs', name='join')
    first = Node(Function(input_names=['xs'], output_names=['out'], function=total), name='sum')
    serial = doubling('serial', MapNode, iterfield='x', serial=True)
    serial.inputs.x = [1, 2, 3]
    nested = doubling('nested', MapNode, iterfield='x', nested=True)
    nested.inputs.x = [[1, 2], [3]]
    outer = Workflow('outer_wf', base_dir=str(base_dir))
    outer.connect(
        [
            (source, inner, [('x', 'kin.x')]),
            (inner, first, [('each.out', 'xs')]),
            (first, join, [('out', 'xs')]),
        ]
    )
    outer.add_nodes([serial, nested])
    outer.config['execution'] = {'poll_sleep_duration': '0.02', 'crashdump_dir': str(base_dir)}
    return outer


def run(workflow: Workflow, out: Path, plugin: str, arguments: dict) -> list[Entry]:
    with recording(out) as run_:
        workflow.run(plugin, plugin_args=arguments)
    entries, warnings = ledger.read(run_.ledger)
    assert warnings == []
    return [entry for entry in entries if entry.kind == 'node']


def made(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob('result_*.pklz')}


def name_of(entry: Entry) -> str:
    """Its own name, without the workflows that it is in and the marks of iterables."""
    return [part for part in entry.node.split('.') if not re.fullmatch(r'[a-z]\d+', part)][-1]


LEAVES = sorted(
    2 * ['kin', 'pair', '_each0', '_each1', 'sum']
    + ['join', '_serial0', '_serial1', '_serial2', '_nested0', '_nested1', '_nested2']
)


@pytest.mark.slow
@pytest.mark.parametrize(('plugin', 'arguments'), PLUGINS, ids=['Linear', 'MultiProc'])
def test_each_leaf_is_one_entry(tmp_path: Path, plugin: str, arguments: dict) -> None:
    entries = run(carbon_aware(build(tmp_path)), tmp_path / 'out', plugin, arguments)
    assert sorted(map(name_of, entries)) == LEAVES
    assert len({entry.node for entry in entries}) == len(entries)
    assert {entry.outcome for entry in entries} == {'ran'}
    assert {entry.stage for entry in entries} >= {'each', 'serial', 'nested', 'join', 'pair'}


@pytest.mark.slow
@pytest.mark.parametrize(('plugin', 'arguments'), PLUGINS, ids=['Linear', 'MultiProc'])
def test_metering_changes_nothing(tmp_path: Path, plugin: str, arguments: dict) -> None:
    """The same work folder with metering off, on and off again: nothing is run anew."""
    build(tmp_path).run(plugin, plugin_args=arguments)
    before = made(tmp_path)
    entries = run(carbon_aware(build(tmp_path)), tmp_path / 'out', plugin, arguments)
    assert made(tmp_path) == before
    assert {entry.outcome for entry in entries} == {'cached'}
    assert len({entry.node for entry in entries}) == len(entries)
    build(tmp_path).run(plugin, plugin_args=arguments)
    assert made(tmp_path) == before


def test_what_metering_ran_is_cached_without_it(tmp_path: Path) -> None:
    run(carbon_aware(build(tmp_path)), tmp_path / 'out', 'Linear', {})
    before = made(tmp_path)
    build(tmp_path).run()
    assert made(tmp_path) == before


@pytest.mark.parametrize('kind', [Node, MapNode, JoinNode, Kin])
def test_every_kind_travels(kind: type) -> None:
    extra = {MapNode: {'iterfield': 'x'}, JoinNode: {'joinsource': 's', 'joinfield': 'x'}}
    node = doubling('twice', kind, **extra.get(kind, {}))
    aware = carbon_aware(node, subject='01', stage='doubling')
    assert aware is node
    assert isinstance(aware, kind)
    for other in (pickle.loads(pickle.dumps(aware)), copy.deepcopy(aware), aware.clone('other')):
        assert type(other) is type(aware)
        assert (other.label.subject, other.label.stage) == ('01', 'doubling')
    assert carbon_aware(aware) is aware


@pytest.mark.parametrize('output', ['stream', 'allatonce', 'file', 'file_split', 'none'])
def test_a_command_line_tells_what_it_told(tmp_path: Path, output: str) -> None:
    command = CommandLine('sh', args='-c "echo out; echo err >&2"', terminal_output=output)
    plain = Node(command, name='plain', base_dir=str(tmp_path)).run().runtime
    with recording(tmp_path / 'out') as run_:
        node = carbon_aware(Node(copy.deepcopy(command), name='aware', base_dir=str(tmp_path)))
        aware = node.run().runtime
    assert (aware.stdout, aware.stderr) == (plain.stdout, plain.stderr)
    assert aware.returncode == 0
    entry, _ = sorted(ledger.read(run_.ledger)[0], key=lambda entry: entry.kind)
    assert entry.interface == 'CommandLine'


def test_a_failing_command_fails_as_it_would(tmp_path: Path) -> None:
    node = carbon_aware(Node(CommandLine('sh', args='-c "echo no brain >&2; exit 3"'), name='odd'))
    node.base_dir = str(tmp_path)
    with recording(tmp_path / 'out') as run_, pytest.raises(Exception, match='no brain'):
        node.run()
    entry, _ = sorted(ledger.read(run_.ledger)[0], key=lambda entry: entry.kind)
    assert entry.outcome == 'failed'
    assert '\n' not in entry.error


def test_a_retried_node_is_two_entries(tmp_path: Path) -> None:
    failing = carbon_aware(Node(Fail(seconds=0.05), name='twice', base_dir=str(tmp_path)))
    with recording(tmp_path / 'out') as run_:
        with pytest.raises(Exception, match='no brain'):
            failing.run()
        failing._interface = Burn(seconds=0.05)
        failing.run()
    entries = [e for e in ledger.read(run_.ledger)[0] if e.kind == 'node']
    assert [entry.outcome for entry in entries] == ['failed', 'ran']
    assert entries[0].error == 'ValueError: this head has no brain'


def test_a_lost_result_is_made_again_and_charged(tmp_path: Path) -> None:
    """Nipype finds the hash but not the result, and runs the node after all."""
    node = doubling('twice', base_dir=str(tmp_path))
    node.inputs.x = 1
    node.run()
    (result,) = tmp_path.rglob('result_twice.pklz')
    result.unlink()
    again = doubling('twice', base_dir=str(tmp_path))
    again.inputs.x = 1
    with recording(tmp_path / 'out') as run_:
        carbon_aware(again).run()
    (entry,) = [e for e in ledger.read(run_.ledger)[0] if e.kind == 'node']
    assert entry.outcome == 'ran'


@pytest.mark.parametrize(
    ('hierarchy', 'iterables', 'subject', 'session'),
    [
        ('fmriprep_25_wf.sub_01_wf.anat_fit_wf', [], '01', ''),
        ('fmriprep_wf.single_subject_x9_wf', [], 'x9', ''),
        ('wf.sub_02_ses_pre_wf.bold', [], '02', 'pre'),
        ('wf', ['_subject_id_03'], '03', ''),
        ('wf', ['_session_id_b_subject_id_04'], '04', 'b'),
        ('preproc', [], '', ''),
    ],
)
def test_nipypes_names_tell_whose_it_is(
    hierarchy: str, iterables: list, subject: str, session: str
) -> None:
    node = carbon_aware(doubling('n4'))
    node._hierarchy, node.parameterization = hierarchy, iterables
    assert (node.label.subject, node.label.session) == (subject, session)


def test_tags_are_for_nodes() -> None:
    with pytest.raises(UsageError, match='not colour'):
        carbon_aware(doubling('n4'), colour='red')
