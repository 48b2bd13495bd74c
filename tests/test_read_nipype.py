"""Working folders of Nipype: real ones, made here and elsewhere, and hostile ones."""

from __future__ import annotations

import contextlib
import copyreg
import gzip
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_doubles import Hardware, sources, told

from nicarbon.errors import ReaderError
from nicarbon.hardware import Stated
from nicarbon.readers import Folder
from nicarbon.readers.nipype import Nipype, labels_of, pickled
from nicarbon.readers.nipype.report import report

SHARED = Path(__file__).parents[2] / 'shared' / 'data' / 'nipype-reports'
real_reports = pytest.mark.skipif(not SHARED.exists(), reason=f'no real reports in {SHARED}')
PROGRAM = Path(__file__).with_name('nipype_work.py')
SILENT = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def run(base, *words):
    done = subprocess.run(
        [sys.executable, PROGRAM, base, *words], capture_output=True, text=True, cwd=base.parent
    )
    assert done.returncode == 0, done.stderr
    return base


@pytest.fixture(scope='session')
def linear(tmp_path_factory):
    return run(tmp_path_factory.mktemp('linear') / 'work', 'Linear')


@pytest.fixture(scope='session')
def monitored(tmp_path_factory):
    return run(tmp_path_factory.mktemp('monitored') / 'work', 'MultiProc', 'monitor')


@pytest.fixture
def work(linear, tmp_path):
    """A working folder that a test may change."""
    return shutil.copytree(linear, tmp_path / 'work')


def stages(result):
    return Counter(entry.stage for entry in result.entries)


def without(folder, pattern):
    for path in folder.rglob(pattern):
        path.unlink()


# What Nipype leaves behind ----------------------------------------------------------------

STAGES = {'first': 2, 'bad': 2, 'join': 1, 'each': 3, 'command': 1}


def test_each_node_is_counted_once_and_a_map_node_by_its_leaves(linear):
    result = told(Nipype(), linear)
    assert stages(result) == STAGES
    assert {entry.node for entry in result.entries if entry.stage == 'each'} == {
        f'top_wf.each._each{i}' for i in range(3)
    }
    assert Counter(entry.subject for entry in result.entries) == {'01': 2, '02': 2, '': 5}
    assert 'result_*.pklz of 9' in result.warnings[0]
    assert len(result.warnings) == 1


def test_times_and_hosts_are_those_of_the_results(linear):
    sys.path.insert(0, str(PROGRAM.parent))  # The pickle names a class of nipype only.
    path = linear / 'top_wf/command/result_command.pklz'
    runtime = pickle.loads(gzip.decompress(path.read_bytes())).runtime
    [one] = [e for e in told(Nipype(), linear).entries if e.stage == 'command']
    assert one.seconds == runtime.duration
    assert one.started[:23] == runtime.startTime[:23]
    assert one.host == runtime.hostname
    assert one.interface == 'nipype.interfaces.base.core.CommandLine'


def test_a_node_that_failed_says_why(linear):
    bad = [entry for entry in told(Nipype(), linear).entries if entry.stage == 'bad']
    assert {(one.outcome, one.error) for one in bad} == {
        ('failed', 'ValueError: no 2'),
        ('failed', 'ValueError: no 3'),
    }


def test_the_callback_tells_cores_that_were_kept(linear):
    cores = {entry.stage: entry.reserved_cores for entry in told(Nipype(), linear).entries}
    assert cores['first'] == 2.0
    assert cores['command'] == 1.0


def test_energy_is_wall_time_times_cores_and_says_so(linear):
    for entry in told(Nipype(), linear).entries:
        [reading] = entry.readings
        assert entry.cpu_seconds == entry.seconds
        joules = 10.0 * entry.seconds + 2.0 * entry.reserved_cores * entry.seconds
        assert reading.joules == pytest.approx(joules)
        assert (reading.tier, reading.scope) == ('assumed', 'own')
        assert reading.method == 'model:ccf-by-threads'
        assert reading.u_rel > 2


def test_a_cached_run_adds_nothing(work):
    before = told(Nipype(), work)
    log = work / 'run_stats.log'
    log.write_text(2 * log.read_text())
    assert told(Nipype(), work) == before


def test_a_run_whose_files_are_gone_is_told_by_the_callback(work):
    before = told(Nipype(), work)
    shutil.rmtree(work / 'top_wf/sub_wf/_subject_id_01/first')
    after = told(Nipype(), work)
    assert stages(after) == STAGES
    assert sum(e.seconds for e in after.entries) == pytest.approx(
        sum(e.seconds for e in before.entries)
    )
    assert 'result_*.pklz of 8, the callback of 1' in after.warnings[0]


def test_a_run_before_the_last_is_told_by_the_callback(work):
    log = work / 'run_stats.log'
    [first] = [line for line in log.read_text().splitlines() if '"command"' in line]
    earlier = json.loads(first) | {
        'start': '2020-01-01T00:00:00',
        'finish': '2020-01-01T00:01:00',
        'duration': 60.0,
    }
    log.write_text(f'{log.read_text()}{json.dumps(earlier)}\n')
    runs = [e for e in told(Nipype(), work).entries if e.stage == 'command']
    assert sorted(e.seconds > 30 for e in runs) == [False, True]


def test_reports_alone_tell_all_but_starts(work):
    before = {e.node: e.seconds for e in told(Nipype(), work).entries}
    without(work, 'result_*.pklz')
    without(work, 'run_stats.log')
    result = told(Nipype(), work)
    after = {e.node: e.seconds for e in result.entries}
    # Nipype ends no report of a node that failed, or that has no outputs.
    gone = {'top_wf.command', *(node for node in before if node.endswith('.bad'))}
    assert after == {node: seconds for node, seconds in before.items() if node not in gone}
    assert 'when 6 nodes began follows from the time of their report.rst' in result.warnings[1]
    assert '3 nodes began, and nothing tells for how long they ran' in result.warnings[2]


def test_the_callback_tells_when_those_of_reports_began(work):
    starts = {e.node: e.started for e in told(Nipype(), work).entries}
    without(work, 'result_*.pklz')
    result = told(Nipype(), work)
    same = [e for e in result.entries if starts.get(e.node) == e.started]
    # Neither failed nodes nor those within a MapNode called back.
    assert {e.stage for e in same} == {'first', 'join'}
    assert stages(result) == {'first': 2, 'join': 1, 'each': 3, 'command': 1}


def test_a_map_node_tells_of_leaves_that_are_gone(work):
    shutil.rmtree(work / 'top_wf/each/mapflow')
    assert stages(told(Nipype(), work)) == STAGES


def test_the_monitor_counts_nothing_twice(monitored):
    result = told(Nipype(), monitored)
    assert stages(result) == {'first': 2, 'join': 1, 'each': 3, 'command': 1}
    assert 'result_*.pklz of 7' in result.warnings[0]


def test_the_monitor_tells_starts_and_what_has_no_files(monitored, tmp_path):
    work = shutil.copytree(monitored, tmp_path / 'work')
    starts = {e.node: e.windows[0].start for e in told(Nipype(), work).entries}
    without(work, 'result_*.pklz')
    without(work, 'run_stats.log')
    result = told(Nipype(), work)
    assert stages(result) == {'first': 2, 'join': 1, 'each': 3, 'command': 1}
    assert 'report.rst of 6, resource_monitor.json of 1' in result.warnings[0]
    for entry in result.entries:
        assert entry.windows[0].start == pytest.approx(starts[entry.node], abs=2.0)
    assert len(result.warnings) == 1


def test_cpu_percent_of_the_monitor_is_not_believed(monitored, tmp_path):
    work = shutil.copytree(monitored, tmp_path / 'work')
    path = work / 'top_wf/resource_monitor.json'
    table = json.loads(path.read_text())
    before = told(Nipype(), work)
    path.write_text(json.dumps(table | {'cpus': [40200.0 for _ in table['cpus']]}))
    assert told(Nipype(), work) == before


# Reports of fMRIPrep ----------------------------------------------------------------------


@real_reports
def test_real_reports_are_97_leaves():
    result = told(Nipype(), SHARED)
    assert len(list(SHARED.rglob('report.rst'))) == 109
    assert len(result.entries) == 97
    assert sum(e.seconds for e in result.entries) == pytest.approx(4652.86, abs=0.01)
    assert {e.subject for e in result.entries} == {'01'}
    assert len({e.host for e in result.entries}) == 3
    assert {e.outcome for e in result.entries} == {'ran'}


@real_reports
def test_threads_of_real_reports_are_those_of_their_commands_and_inputs():
    cpu = {
        e.node.rpartition('.')[2]: e.cpu_seconds / e.seconds
        for e in told(Nipype(), SHARED).entries
    }
    assert cpu['autorecon2_vol'] == pytest.approx(8.0**0.5)  # -openmp 8
    assert cpu['norm'] == pytest.approx(8.0**0.5)  # num_threads : 8
    assert cpu['fsnative2t1w_xfm'] == pytest.approx(1.0)  # OMP_NUM_THREADS : 1


@real_reports
def test_recon_all_in_real_reports_is_named():
    [line] = [line for line in told(Nipype(), SHARED).warnings if 'recon-all' in line]
    assert 'recon-all or FastSurfer ran in 3 nodes for 0.98 h' in line
    assert '/out/freesurfer/sub-01' in line


@real_reports
@pytest.mark.parametrize('place', ['freesurfer/sub-01', 'derivatives/freesurfer/sub-01', 'sub-01'])
def test_recon_all_whose_own_log_is_read_too_is_left_out(tmp_path, place):
    shutil.copytree(SHARED / 'fmriprep_wf', tmp_path / 'fmriprep_wf')
    scripts = tmp_path / place / 'scripts'
    scripts.mkdir(parents=True)
    (scripts / 'recon-all.log').touch()
    result = told(Nipype(), tmp_path)
    assert len(result.entries) == 94
    assert any('3 nodes' in line and 'left out' in line for line in result.warnings)


# Whose it is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('folder', 'labels'),
    [
        ('fmriprep_wf/single_subject_01_wf/anat', ('01', '')),
        ('fmriprep_25_wf/sub_pilot1_ses_02_wf/anat', ('pilot1', '02')),
        ('fmriprep_wf/single_subject_01_wf/ses_2_wf', ('01', '2')),
        ('wf/_session_id_1_subject_id_01/n4', ('01', '1')),
        ('wf/_subject_id_sub-01_ses-2/n4', ('01', '2')),
        ('data/sub-01/ses-2/wf/n4', ('01', '2')),
        ('wf/subject_list/subcortical', ('', '')),
    ],
)
def test_labels(folder, labels):
    assert labels_of(folder.split('/')) == labels


# Who finds what ---------------------------------------------------------------------------


def test_files_of_one_path_are_one_source(linear):
    [source] = sources(Nipype(), linear)
    assert source.path == linear
    assert not source.closed
    names = Counter(path.name for path in source.files)
    assert (names['run_stats.log'], names['report.rst'], names['result_each.pklz']) == (1, 10, 1)


def test_other_folders_are_nobodys(tmp_path):
    names = frozenset({'report.rst', 'result.pklz', '_node.pklz', 'index.html'})
    assert list(Nipype().find(Folder(tmp_path, tmp_path, frozenset(), names))) == []


# Hostile files ----------------------------------------------------------------------------

HARM = Path('harm')


def _harm(words='touch harm'):
    return os.system, (words,)


class ByReduce:
    def __reduce__(self):
        return _harm()


class ByEval:
    def __reduce__(self):
        return eval, ("open('harm', 'w')",)


class ByGetattr:
    def __reduce__(self):
        return getattr, (ByReduce(), '__reduce__')


class ByState:
    def __reduce__(self):
        return object.__new__, (ByState,), {'runtime': ByReduce()}


class ByItems:
    def __reduce__(self):
        return list, (), None, iter([ByReduce()]), iter([(ByReduce(), ByReduce())])


class BySetter:
    """BUILD calls what comes sixth."""

    def __reduce__(self):
        return list, (), {'a': 1}, None, None, exec


HOSTILE = [ByReduce(), ByEval(), ByGetattr(), ByState(), ByItems(), BySetter()]
HAND_MADE = {
    'global and reduce': b"cposix\nsystem\n(S'touch harm'\ntR.",
    'inst': b"(S'touch harm'\niposix\nsystem\n.",
    'obj': b"(cposix\nsystem\nS'touch harm'\no.",
    'newobj': b'\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\ntouch harm\x85\x81.',
    'newobj_ex': b'\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\ntouch harm\x85}\x92.',
    'build': b'\x80\x04\x8c\x08builtins\x8c\x06object\x93)\x81}\x8c\x0c__setstate__'
    b'\x8c\x05posix\x8c\x06system\x93sb\x8c\ntouch harmb.',
    'build of a class': b'\x80\x04\x8c\x05posix\x8c\x06system\x93}\x8c\x01a\x8c\x01bsb.',
    'persistent id': b'Pharm\n.',
    'persistent id of a stack': b'\x80\x04\x8c\x04harmQ.',
    'extension': b'\x80\x04\x82\x01.',
    'long extension': b'\x80\x04\x84\x01\x00\x00\x00)R.',
    'buffer': b'\x80\x05\x97\x98.',
}
BROKEN = {
    'nothing': b'',
    'text': b'no pickle at all',
    'torn': pickle.dumps({'runtime': [1, 2, 3]})[:-3],
    'bytes that are not there': b'\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.',
    'a memo of everything': b'\x80\x04Nr\xff\xff\xff\x7f0j\xfe\xff\xff\x7f.',
    'an empty stack': b'\x80\x04.',
    'a mark too few': b'\x80\x04t.',
    'an opcode of nobody': b'\x80\x04\xff.',
    'half an item': b'\x80\x04}(Nu.',
    'steps without end': b'\x80\x04' + 1_000_100 * b'N0' + b'N.',
    'digits without end': b'I' + 5000 * b'9' + b'\n.',
}


@pytest.mark.parametrize('thing', HOSTILE, ids=lambda thing: type(thing).__name__)
@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_runs_nothing(thing, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({'runtime': thing}, protocol)
    before = set(sys.modules)
    pickled.values(data)
    assert all(name.startswith('encodings.') for name in set(sys.modules) - before)
    assert not HARM.exists()


@pytest.mark.parametrize('data', HAND_MADE.values(), ids=HAND_MADE)
def test_no_opcode_runs_anything(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickled.values(data)
    assert not HARM.exists()


def test_these_pickles_would_do_harm_to_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data in (pickle.dumps(ByReduce()), HAND_MADE['global and reduce'], HAND_MADE['obj']):
        HARM.unlink(missing_ok=True)
        pickle.loads(data)
        assert HARM.exists()


def test_a_registered_extension_is_not_looked_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copyreg.add_extension('posix', 'system', 200)
    try:
        found = pickled.values(b'\x80\x02\x82\xc8U\ntouch harm\x85R.')
    finally:
        copyreg.remove_extension('posix', 'system', 200)
    assert isinstance(found, pickled.Made)
    assert not HARM.exists()


@pytest.mark.parametrize('data', BROKEN.values(), ids=BROKEN)
def test_a_broken_pickle_is_one_line(data, tmp_path):
    path = tmp_path / 'result_x.pklz'
    path.write_bytes(gzip.compress(data))
    with pytest.raises(ReaderError, match='is no pickle') as caught:
        pickled.load(path)
    assert '\n' not in str(caught.value)


def test_a_bomb_is_left_alone(tmp_path):
    path = tmp_path / 'result_x.pklz'
    path.write_bytes(gzip.compress(bytes(500_000_000)))
    with pytest.raises(ReaderError, match='more than 32,000,000 bytes'):
        pickled.load(path)


def test_depth_has_no_end(tmp_path):
    deep = pickled.values(b'\x80\x04' + 400_000 * b']' + 399_999 * b'a' + b'.')
    assert deep[0][0][0] != []
    made = pickled.values(b'\x80\x04' + 150_000 * b'cx\ny\n' + 149_999 * b'\x85R' + b'.')
    assert made.name == 'x.y'


def test_keys_that_take_forever_to_hash_are_not_hashed():
    key = b')' + 100 * b'2\x86'
    assert pickled.values(b'\x80\x04}' + key + b'Ns.') == {}


def test_plain_values_are_as_they_were():
    thing = {
        'a': [1, -2, 2**70, 1.5, 'ä', b'x', None, True, (), (1,), (1, 2), (1, 2, 3, 4)],
        3: {},
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        text = thing if protocol > 2 else {k: v for k, v in thing.items() if k == 3}
        assert pickled.values(pickle.dumps(text, protocol)) == text


@SILENT
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner)
        ),
    ),
    st.sampled_from([3, 4, 5]),
)
def test_any_plain_value_is_as_it_was(thing, protocol):
    assert pickled.values(pickle.dumps(thing, protocol)) == thing


@pytest.mark.parametrize('number', range(4))
def test_broken_files_cost_a_line_each_and_no_more(number, work):
    """Bytes that are wrong, in every kind of file."""
    dice = random.Random(number)
    for path in sources(Nipype(), work)[0].files:
        data = bytearray(path.read_bytes())
        for _ in range(dice.randrange(20)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data[: dice.randrange(len(data))] if dice.random() < 0.3 else data)
    try:
        result = told(Nipype(), work)
    except ReaderError as error:
        assert '\n' not in str(error)
    else:
        assert len(result.entries) <= 20


@SILENT
@given(data=st.data())
def test_any_change_of_a_result_is_a_value_or_one_line(data, linear):
    whole = gzip.decompress((linear / 'top_wf/each/result_each.pklz').read_bytes())
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError, OverflowError):
        pickled.values(bytes(changed))


@SILENT
@given(st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_told_of_in_one_line(tmp_path, data):
    node = tmp_path / 'wf/node'
    (node / '_report').mkdir(parents=True, exist_ok=True)
    for path in (
        'result_node.pklz',
        '_report/report.rst',
        'run_stats.log',
        'resource_monitor.json',
    ):
        (node / path).write_bytes(data)
    with pytest.raises(ReaderError, match='no node of Nipype says how long it ran'):
        told(Nipype(), tmp_path)


REPORT = """Node: wf (node (ants)
=====================


 Hierarchy : top.wf.node
 Exec ID : node


Execution Inputs
----------------


* in_file : a
* {key} : {value}


Runtime info
------------


* cmdline : N4 {value}
* duration : {seconds}
* hostname : h
* working_dir : /w


Environment
~~~~~~~~~~~


* OMP_NUM_THREADS : {value}
"""


@SILENT
@given(
    st.sampled_from(['num_threads', 'openmp', 'environ', 'function_str']),
    st.text(max_size=200) | st.integers().map(str),
    st.text(max_size=20) | st.floats().map(str),
)
def test_any_report_is_a_run_or_none(tmp_path, key, value, seconds):
    path = tmp_path / 'report.rst'
    text = REPORT.format(key=key, value=value, seconds=seconds)
    path.write_text(text, 'utf-8', newline='', errors='replace')
    found = report(path)
    assert found.identity == 'node'
    if found.run is not None:
        assert 0 <= found.run.seconds < 4e8
        assert 1 <= found.run.threads <= 9999


@pytest.mark.parametrize('time', ['-1e300', '1e300', 'NaN', f'1{400 * "0"}', '"x"', 'null'])
def test_a_monitor_of_another_time_is_one_line(monitored, tmp_path, time):
    work = shutil.copytree(monitored, tmp_path / 'work')
    before = told(Nipype(), work)
    path = work / 'top_wf/resource_monitor.json'
    table = json.loads(path.read_text())
    path.write_text(
        json.dumps(table | {'time': [0, *table['time'][1:]]}).replace('[0,', f'[{time},')
    )
    after = told(Nipype(), work)
    assert after.entries == before.entries
    assert 'is no resource monitor of Nipype' in after.warnings[-1]


def test_files_of_another_age_are_read(work):
    without(work, 'result_*.pklz')
    without(work, 'run_stats.log')
    for path in work.rglob('report.rst'):
        os.utime(path, (2**40, 2**40))
    assert {e.started[:4] for e in told(Nipype(), work).entries} == {'2100'}


def test_what_a_program_printed_is_not_its_report(tmp_path):
    path = tmp_path / 'report.rst'
    told_so = (
        '\nTerminal output\n~~~~~~~~~~~~~~~\n\n\n* duration : 1e6\n\nRuntime info\n------------\n'
    )
    text = REPORT.format(key='a', value='b', seconds='2.5')
    path.write_text(text.replace('\nEnvironment', f'{told_so}\n* duration : 9e5\n\nEnvironment'))
    assert report(path).run.seconds == 2.5


def test_the_tier_of_a_machine_that_nobody_knows_is_assumed(linear):
    hardware = Hardware('assumed')
    result = told(Nipype(), linear, hardware)
    assert len(hardware.asked) == len(result.hosts) == 1


@real_reports
def test_a_machine_that_nobody_knows_has_what_was_used_of_it():
    result = told(Nipype(), SHARED, Stated())
    assert sorted(host.cores for host in result.hosts) == [8, 8, 8]
    assert {host.tier for host in result.hosts} == {'assumed'}
