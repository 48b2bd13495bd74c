"""Arrays, scripts and states without SLURM: its commands are small scripts on PATH."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import nicarbon
from hypothesis import given
from hypothesis import strategies as st
from laboratory import make_dataset, read_tsv
from nipype import Node
from nipype.interfaces.utility import Merge

from nicarbon import ledger
from nicarbon.cli import plugin
from nicarbon.entry import Reading, Window
from nicarbon.errors import InputError, UsageError
from nicarbon.job import job_of
from nicarbon.run import new_run_id
from nicarbon.slurm.arrays import Task, arrays, checked, indices, numbers, script, table, tasks_of
from nicarbon.slurm.states import Account, accounts, compared, queue


@given(st.sets(st.integers(1, 5000), min_size=1), st.integers(1, 1000))
def test_every_task_is_in_one_array_once(chosen: set[int], size: int) -> None:
    cut = arrays(chosen, size)
    found = [one.offset + index for one in cut for index in numbers(one.spec)]
    assert found == sorted(chosen)
    assert all(max(numbers(one.spec)) <= size for one in cut)


@given(st.sets(st.integers(0, 500), min_size=1))
def test_indices_and_numbers_are_inverse(chosen: set[int]) -> None:
    assert numbers(indices(chosen)) == sorted(chosen)


labels = st.text('abcXYZ012', min_size=1)


@given(st.lists(st.builds(Task, labels, labels | st.just(''))))
def test_a_table_of_tasks_is_read_as_it_was_written(tasks: list[Task]) -> None:
    assert tasks_of(table(tasks)) == tasks


def test_a_label_that_is_a_path_is_refused() -> None:
    with pytest.raises(InputError, match='line 2'):
        tasks_of('01\t\n../02\t\n')


@pytest.mark.parametrize('words', ['-a1-3', '--dependency=afterok:1', '--wrap ls', '-W', "--x='"])
def test_options_that_are_ours_are_refused(words: str) -> None:
    with pytest.raises(UsageError, match=words[:2]):
        checked([words])


def test_the_names_of_runs_tell_their_job(monkeypatch) -> None:
    monkeypatch.setenv('SLURM_JOB_ID', '125')
    monkeypatch.setenv('SLURMD_NODENAME', 'n7')
    monkeypatch.setenv('SLURM_ARRAY_JOB_ID', '123')
    monkeypatch.setenv('SLURM_ARRAY_TASK_ID', '4')
    assert re.fullmatch(r'\d{8}-\d{6}_slurm-123_4_[0-9a-f-]{36}', new_run_id())


def test_memory_by_core_is_that_of_all_cores() -> None:
    told = {'SLURM_JOB_ID': '1', 'SLURM_CPUS_ON_NODE': '4', 'SLURM_MEM_PER_CPU': '1000'}
    assert job_of(told) is None
    told |= {'SLURMD_NODENAME': 'n7'}
    assert job_of(told).memory_gb == pytest.approx(4 * 1.048576)
    assert job_of(told | {'SLURM_MEM_PER_CPU': '0'}).memory_gb is None


def test_states_of_the_queue_that_wait() -> None:
    told = queue('7|1|CONFIGURING\n7|2|REQUEUE_HOLD\n7|3|SUSPENDED\n')
    assert told == {'7_1': 'running', '7_2': 'waiting', '7_3': 'running'}
    assert queue('') == {}


def test_accounting_without_energy_is_none_not_zero() -> None:
    told = accounts(
        '5_1|COMPLETED|100|4|1|0\n5_2|TIMEOUT|100|4|1|18446744073709551614\n'
        '5_3|OUT_OF_MEMORY|9|4|1|\n5_4|COMPLETED|100|4|1|\n5_4.batch|COMPLETED|100|4|1|6000\n'
        '5_4.extern|COMPLETED|101|4|1|5999\nsacct: error: no database\n6.batch|COMPLETED|1|1|1|9\n'
    )
    assert [told[f'5_{n}'].watts for n in (1, 2, 3, 4)] == [None, None, None, 60.0]
    assert told['5_3'].state == 'OUT_OF_MEMORY'
    assert len(told) == 4


def test_energy_is_compared_only_of_a_host_that_was_ones_own(make_entry) -> None:
    cpu = Reading('cpu', None, 2.0, 'rapl', 'measured', 'host', 1.05)
    run = make_entry((Window(0.0, 50.0, 1.0, 1.0, (2500.0,)),), readings=(cpu,), kind='run')
    assert compared(Account('COMPLETED', 2, 1, 60.0), run) == pytest.approx(1.2)
    assert compared(Account('COMPLETED', 1, 1, 60.0), run) is None
    assert compared(Account('COMPLETED', 4, 2, 60.0), run) is None
    assert compared(Account('COMPLETED', 2, 1, None), run) is None
    unseen = make_entry((Window(0.0, 50.0, 1.0, 1.0, (None,)),), readings=(cpu,), kind='run')
    assert compared(Account('COMPLETED', 2, 1, 60.0), unseen) is None


class Fake:
    """A dataset, and SLURM's commands as scripts: what they are told is kept."""

    def __init__(self, root: Path, subjects: tuple[str, ...] = ('01', '02', '03')) -> None:
        self.root, self.out, self.bin = root, root / 'out', root / 'bin'
        (root / 'bids').mkdir()
        self.bids = make_dataset(root / 'bids', subjects)
        self.bin.mkdir()
        for name in ('cat', 'sh', 'wc'):  # And none of a SLURM that this machine may have.
            (self.bin / name).symlink_to(shutil.which(name))
        self.command('sbatch', f'echo "$@" >>{root}/sent; wc -l <{root}/sent')
        self.command('squeue', f'cat {root}/queue 2>/dev/null || true')

    def command(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\n{body}\n')
        path.chmod(0o755)

    def nicarbon(self, *words: object) -> tuple[int, str]:
        done = nicarbon(
            'slurm', self.bids, self.out, 'participant', *words,
            cwd=self.root, PATH=str(self.bin),
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    @property
    def sent(self) -> list[str]:
        return (self.root / 'sent').read_text().splitlines()

    @property
    def folder(self) -> Path:
        (folder,) = self.out.glob('logs/slurm/*')
        return folder

    def end(self, number: int, job: str, code: int = 0) -> None:
        (self.folder / 'ended' / str(number)).write_text(f'{code} {job} node7\n')

    def begin(self, job: str) -> None:
        now = self.folder.name[:15]
        (self.out / 'logs' / f'{now}_slurm-{job}_x' / 'ledger').mkdir(parents=True)


@pytest.fixture
def fake(tmp_path) -> Fake:
    return Fake(tmp_path)


def test_arrays_are_as_long_as_the_cluster_takes(fake):
    code, told = fake.nicarbon('--array-size', 2, '--sbatch=--partition=short --time=60')
    assert code == 0, told
    first, second, group = fake.sent
    assert first.startswith('--parsable --array=1-2 ')
    assert second.startswith('--parsable --array=1 ')
    assert second.endswith(' 2')
    assert '--cpus-per-task=1 --mem=' in first
    assert '--partition=short --time=60' in first
    assert '--dependency=afterany:1:2 ' in group
    record = json.loads((fake.folder / 'submission.json').read_text())
    assert [one['job'] for one in record['attempts'][0]['arrays']] == ['1', '2']
    assert record['attempts'][0]['group'] == '3'


def test_nothing_is_written_or_sent_by_a_dry_run(fake):
    code, told = fake.nicarbon('--dry-run')
    assert code == 0
    assert 'Would submit 3 tasks, sub-01 to sub-03' in told
    assert not fake.out.exists()
    assert not (fake.root / 'sent').exists()


def test_a_task_for_each_session(fake):
    for session in ('1', '2'):
        (fake.bids / 'sub-02' / f'ses-{session}').mkdir()
    code, told = fake.nicarbon('--per', 'session', '--session-label', '2')
    assert code == 0, told
    assert tasks_of((fake.folder / 'tasks.tsv').read_text()) == [
        Task('01'), Task('02', '2'), Task('03')
    ]  # fmt: skip
    assert 'session_label' not in (fake.folder / 'options.toml').read_text()


def test_options_are_settled_once_for_all_tasks(fake):
    code, told = fake.nicarbon('--grid', 'FR', '--nprocs', 3, '--mem', 5, '--no-group')
    assert code == 0, told
    (one,) = fake.sent
    assert '--cpus-per-task=3 --mem=4769M' in one
    options = (fake.folder / 'options.toml').read_text()
    assert 'grid = "FR"' in options
    assert 'pipeline = "structural"' in options


def test_states_and_sending_again(fake):
    fake.nicarbon('--no-group')
    (fake.root / 'queue').write_text('1|3|RUNNING\n9|1|RUNNING\n')
    fake.begin('1_1')
    fake.end(1, '1_1')
    fake.end(2, '1_2', 18)
    (fake.folder / 'said' / '1_2.txt').write_text('nicarbon: error: no T1w image\n\n')
    code, told = fake.nicarbon('--status')
    assert code == 1
    assert '1 finished, 1 running, 1 failed' in told
    assert 'sub-02 failed: job 1_2 on node7 ended with exit code 18: nicarbon: error: no' in told
    assert told.rstrip().endswith('participant --resubmit')
    code, told = fake.nicarbon('--resubmit', '--no-group', '--sbatch=--mem=9G')
    assert code == 0, told
    assert fake.sent[1].startswith('--parsable --array=2 ')
    assert fake.sent[1].index('--mem=9G') > fake.sent[1].index('--mem=')
    # What the first job left says nothing of the second.
    code, told = fake.nicarbon('--status')
    assert 'sub-02 missing: job 2_2: it left nothing' in told
    states = {row['subject']: row['state'] for row in read_tsv(fake.folder / 'status.tsv')}
    assert states == {'01': 'finished', '02': 'missing', '03': 'running'}


def test_an_array_of_long_ago_is_another(fake):
    fake.nicarbon('--no-group')
    (fake.out / 'logs' / '20200101-000000_slurm-1_1_x' / 'ledger').mkdir(parents=True)
    code, told = fake.nicarbon('--status')
    assert code == 1
    assert '3 missing' in told


def test_accounting_tells_why(fake):
    fake.nicarbon('--no-group')
    fake.begin('1_1')
    fake.command('sacct', "printf '1_1|TIMEOUT|60|1|1|\\n'")
    code, told = fake.nicarbon('--status')
    assert code == 1
    assert 'sub-01 killed: job 1_1: TIMEOUT' in told


@pytest.mark.parametrize(
    ('words', 'code', 'says'),
    [
        (('--sbatch=--array=1',), 64, '--array-size and --at-once'),
        (('--array-size', 0), 64, '--array-size 0'),
        (('--participant-label', '09'), 18, 'no sub-09'),
        (('--status',), 66, 'no submission'),
        (('--reports-only',), 64, '--reports-only'),
    ],
)
def test_refusals_are_one_line(fake, words, code, says):
    assert fake.nicarbon(*words)[0] == code
    told = fake.nicarbon(*words)[1]
    assert len(told.strip().splitlines()) == 1
    assert says in told
    assert not (fake.root / 'sent').exists()


def test_what_sbatch_says_is_handed_on_and_the_rest_can_be_sent(fake):
    fake.command(
        'sbatch',
        f'test -e {fake.root}/sent && {{ echo "sbatch: error: QOSMaxSubmitJob" >&2; exit 1; }}\n'
        f'echo "$@" >{fake.root}/sent; echo "5;cluster"',
    )
    code, told = fake.nicarbon('--array-size', 2)
    assert code == 69
    assert 'QOSMaxSubmitJob (1 of 2 arrays were submitted; --resubmit sends the rest)' in told
    (fake.root / 'queue').write_text('5|1|PENDING\n5|2|PENDING\n')
    code, told = fake.nicarbon('--status')
    assert '2 waiting, 1 missing' in told
    assert 'sub-03 missing: was never submitted' in told


def test_without_slurm_it_says_so(fake):
    (fake.bin / 'sbatch').unlink()
    code, told = fake.nicarbon()
    assert code == 69
    assert 'sbatch is not on PATH' in told


ENDS_ITS_JOB = """
import os, signal, time
signal.signal(15, lambda *_: exit(143))
os.kill(os.getppid(), 15)
time.sleep(9)
"""


@pytest.mark.parametrize(
    ('body', 'code', 'end'),
    [
        ('import sys; print(sys.argv[1:]); sys.exit(3)', 3, '3 12_2'),
        (ENDS_ITS_JOB, 143, '143 12_2'),
    ],
)
def test_a_task_runs_its_line_and_says_how_it_ended(tmp_path, body, code, end):
    (tmp_path / 'ended').mkdir()
    (tmp_path / 'tasks.tsv').write_text(table([Task('01'), Task('02'), Task('03', '7')]))
    text = script(str(tmp_path), [sys.executable, '-c', body], '/scratch/my work')
    environ = {**os.environ, 'SLURM_ARRAY_JOB_ID': '12', 'SLURM_ARRAY_TASK_ID': '2'}
    done = subprocess.run(
        ['/bin/sh', '-c', text, 'task.sh', '1'], env=environ, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    said, host = (tmp_path / 'ended' / '3').read_text().rsplit(' ', 1)
    assert (said, host.strip()) == (end, os.uname().nodename)
    if code == 3:
        words = ['--participant-label', '03', '--session-label', '7']
        assert done.stdout.strip() == str([*words, '-w', '/scratch/my work/sub-03_ses-7'])


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('plugin: SLURMGraph', 'does not tell when nodes end'),
        ('plugin: Nope', "has no plugin 'Nope'"),
        ('- a', 'needs "plugin: NAME"'),
        ('plugin: SLURM\nplugin_args: 3', 'needs "plugin: NAME"'),
        ('plugin: [', 'needs "plugin: NAME"'),
    ],
)
def test_a_plugin_file_that_is_none_is_refused(tmp_path, text, says):
    path = tmp_path / 'plugin.yml'
    path.write_text(text)
    with pytest.raises(UsageError, match=re.escape(says)):
        plugin.read(path)


def test_a_plugin_file_is_yaml_or_toml(tmp_path):
    for name, text in (
        ('p.yml', 'plugin: SLURM\nplugin_args: {sbatch_args: -p short}'),
        ('p.toml', 'plugin = "SLURM"\n[plugin_args]\nsbatch_args = "-p short"'),
    ):
        (tmp_path / name).write_text(text)
        assert plugin.read(tmp_path / name) == ('SLURM', {'sbatch_args': '-p short'})
    (tmp_path / 'none.yml').write_text('plugin: MultiProc\nplugin_args:\n')
    assert plugin.read(tmp_path / 'none.yml').is_local
    with pytest.raises(InputError, match='no such file'):
        plugin.read(tmp_path / 'absent.yml')


@pytest.mark.parametrize(
    ('said', 'words'),
    [
        ('', '--cpus-per-task=4 --mem=3338M'),
        ('--time=9 -c2', '--mem=3338M'),
        ('--mem-per-cpu=1G --cpus-per-task=1', ''),
    ],
)
def test_a_nodes_job_has_what_the_node_needs(said, words):
    node = Node(Merge(2), name='n', n_procs=4, mem_gb=3)
    chosen = plugin.Plugin('SLURM', {'sbatch_args': said})
    plugin.runner(chosen, {}, lambda *_: None, [node])
    assert node.plugin_args == {'sbatch_args': words}


def test_entries_outside_any_job_have_none(make_entry) -> None:
    line = ledger.to_line(make_entry())
    assert ledger.from_line(line).job == ''
    assert ledger.from_line(line).job_cores is None
