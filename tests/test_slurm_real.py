"""On a real SLURM, started on loopback: ``make slurm-test`` runs these."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import freesurfer_stand_in as stand_in
import pytest
import slurm_cluster
from command import nicarbon
from laboratory import add_image, make_dataset, read_tsv, wait_until

from nicarbon import ledger
from nicarbon.entry import Entry
from nicarbon.job import job_of
from nicarbon.share import share

pytestmark = pytest.mark.slurm


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    assert slurm_cluster.missing() == ''
    with slurm_cluster.cluster(tmp_path_factory.mktemp('slurm')) as one:
        yield one


WATTS = 100
"""What the machine draws below the cluster that keeps accounts, whatever it does."""


@pytest.fixture(scope='module')
def accounted(tmp_path_factory):
    """One node with all cores of this machine, whose energy and control groups are SLURM's."""
    assert slurm_cluster.missing(accounting=True) == ''
    folder = tmp_path_factory.mktemp('accounted')
    with slurm_cluster.cluster(
        folder, ('here3',), os.cpu_count(), watts=WATTS, confined=slurm_cluster.confines()
    ) as one:
        yield one


class Site:
    """A dataset, a stand-in for FreeSurfer, and a cluster to process it on."""

    def __init__(self, root: Path, cluster: slurm_cluster.Cluster, subjects: tuple[str, ...]):
        (root / 'bids').mkdir()
        self.root, self.cluster, self.out = root, cluster, root / 'out'
        self.bids = make_dataset(root / 'bids', subjects)
        self.env = {**stand_in.install(root / 'home'), **cluster.environ}

    def nicarbon(self, *words: object, **work: object) -> tuple[int, str]:
        done = nicarbon(
            'slurm', self.bids, self.out, 'participant', *words,
            cwd=self.root, **{**self.env, **stand_in.work(self.root, **work)},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def submit(self, *words: object, **work: object) -> list[str]:
        """Ids of the jobs that were sent."""
        code, told = self.nicarbon(*words, *STAGES, **work)
        assert code == 0, told
        return re.findall(r'^job (\d+)', told, re.MULTILINE)

    def status(self) -> tuple[int, str]:
        code, told = self.nicarbon('--status')
        return code, told

    def states(self) -> dict[str, str]:
        (table,) = self.out.glob('logs/slurm/*/status.tsv')
        return {row['subject']: row['state'] for row in read_tsv(table)}

    def said(self) -> str:
        files = sorted(self.out.glob('logs/slurm/*/said/*.txt'))
        return '\n'.join(f'{path.name}: {path.read_text()}' for path in files)

    def entries(self) -> list[Entry]:
        entries, warnings = ledger.read(*ledger.folders(self.out))
        assert warnings == []
        return entries


STAGES = ('--pipeline', 'freesurfer', '--stages', 'input', 'motioncor', 'talairach')


def test_an_array_ends_fails_is_missing_and_is_sent_again(cluster, tmp_path):
    site = Site(tmp_path, cluster, ('01', '03', '04'))
    (site.bids / 'sub-02').mkdir()  # It has no image yet.
    array, group = site.submit('--at-once', 1, cpu_seconds=0.2)
    cluster.call('scancel', f'{array}_4')
    code, told = site.status()
    assert code == 1
    assert '1 missing' in told
    assert f'group: job {group} waiting' in told
    cluster.wait()
    code, told = site.status()
    assert code == 1, site.said()
    assert '2 finished, 1 failed, 1 missing' in told
    assert re.search(rf'sub-02 failed: job {array}_2 on \S+ ended with exit code 18: .*T1w', told)
    assert 'is not in the queue any more' in told
    assert site.states() == {'01': 'finished', '02': 'failed', '03': 'finished', '04': 'missing'}
    rows = read_tsv(site.out / 'group_carbon.tsv')
    assert {row['subject'] for row in rows} == {'01', '03'}

    add_image(site.bids / 'sub-02' / 'anat' / 'sub-02_T1w.nii.gz')
    code, told = site.nicarbon('--resubmit', cpu_seconds=0.2)
    assert code == 0, told
    assert '2 of 4 tasks' in told
    again, _ = re.findall(r'^job (\d+)', told, re.MULTILINE)
    cluster.wait()
    code, told = site.status()
    assert code == 0, site.said()
    assert told.splitlines()[0].endswith('4 finished')
    code, told = site.nicarbon('--resubmit')
    assert (code, told) == (0, '4 finished: nothing to send again\n')

    rows = read_tsv(site.out / 'group_carbon.tsv')
    assert {row['subject'] for row in rows} == {'01', '02', '03', '04'}
    nodes = [entry for entry in site.entries() if entry.kind == 'node']
    jobs = {entry.subject: entry.job for entry in nodes}
    assert jobs == {
        '01': f'slurm:{array}_1', '02': f'slurm:{again}_2',
        '03': f'slurm:{array}_3', '04': f'slurm:{again}_4',
    }  # fmt: skip
    assert {entry.job_cores for entry in nodes} == {1}
    assert {entry.host for entry in nodes} <= set(slurm_cluster.NODES)
    # What a task reads of the dataset is its own subject.
    for folder in site.out.glob('logs/*_slurm-*'):
        entries, _ = ledger.read(folder / 'ledger')
        assert len({entry.subject for entry in entries if entry.subject}) == 1
    assert json.loads((site.out / 'group_carbon.json').read_text())


def test_a_job_that_is_killed_keeps_what_it_used(cluster, tmp_path):
    site = Site(tmp_path, cluster, ('01', '02'))
    marks = tmp_path / 'marks'
    marks.mkdir()
    (array,) = site.submit(
        '--no-group', stages={'talairach': {'hangs': str(marks / 'hanging')}}, cpu_seconds=0.3
    )
    wait_until(lambda: sum('_' in line for line in cluster.queue()) == 2 and _hang(site) == 2, 60)
    # As a time limit does before it kills; and as a host that fails.
    cluster.call('scancel', '--batch', '--signal=TERM', f'{array}_1')
    cluster.kill(array, 2)
    cluster.wait()
    code, told = site.status()
    assert code == 1, site.said()
    assert site.states() == {'01': 'failed', '02': 'killed'}, site.said()
    assert re.search(r'sub-01 failed: .* exit code 143: talairach killed', told)
    assert re.search(r'sub-02 killed: .*: talairach killed', told)
    used = {entry.subject: entry for entry in site.entries() if entry.stage == 'talairach'}
    assert {entry.outcome for entry in used.values()} == {'killed'}
    assert used['01'].seconds > 0
    assert set(used) == {'01', '02'}
    code, told = site.nicarbon('--resubmit', '--no-group', cpu_seconds=0.1)
    assert code == 0, told
    cluster.wait()
    assert site.status()[0] == 0, site.said()


def _hang(site: Site) -> int:
    """Tasks whose second stage runs, and was seen to."""
    return sum(
        '"stage":"talairach"' in path.read_text() for path in site.out.glob('logs/*/ledger/*.part')
    )


def test_the_two_nodes_are_two_hosts(cluster):
    code = cluster.call('srun', '--nodelist=here2', 'uname', '-n')
    assert code == 'here2\n'


def test_under_nipypes_own_plugin_each_node_is_a_job(cluster, tmp_path):
    site = Site(tmp_path, cluster, ('01',))
    plugin = tmp_path / 'plugin.yml'
    plugin.write_text('plugin: SLURM\nplugin_args:\n  sbatch_args: --time=10\n')
    done = nicarbon(
        site.bids, site.out, 'participant', '--use-plugin', plugin, *STAGES,
        cwd=tmp_path, **{**site.env, **stand_in.work(tmp_path, cpu_seconds=0.3)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    entries = site.entries()
    nodes = {entry.stage: entry for entry in entries if entry.kind == 'node'}
    assert set(nodes) == {'input', 'motioncor', 'talairach'}
    assert {entry.outcome for entry in nodes.values()} == {'ran'}
    jobs = {entry.job for entry in nodes.values()}
    assert len(jobs) == 3
    assert all(re.fullmatch(r'slurm:\d+', job) for job in jobs)
    (run,) = (entry for entry in entries if entry.kind == 'run')
    assert run.job == ''
    # The host that submits and those that compute: each is described, once.
    hosts = {entry.host for entry in nodes.values()}
    assert run.host not in hosts <= set(slurm_cluster.NODES)
    (log_dir,) = site.out.glob('logs/*_*')
    assert {path.stem for path in log_dir.glob('hosts/*.json')} == {run.host, *hosts}
    sharing = share(entries)
    (balance,) = sharing.balances
    parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
    assert parts == pytest.approx(balance.host_joules, rel=1e-3)
    # Three names of one machine, whose energy is split once.
    assert balance.nodes_joules > 0
    assert all(one.joules['reserved'] > 0 for one in sharing.shares)
    assert {row['stage'] for row in read_tsv(site.out / 'sub-01/sub-01_carbon.tsv')} == set(nodes)


def test_slurms_own_count_of_an_exclusive_job_stands_beside_the_ledgers(accounted, tmp_path):
    site = Site(tmp_path, accounted, ('01', '02'))
    cores = '--sbatch=--cpus-per-task=1 --exclusive --time=10'
    (array,) = site.submit(cores, '--participant-label', '01', '--no-group', cpu_seconds=3.0)
    accounted.wait()
    code, told = site.status()
    assert code == 0, site.said()
    said = re.search(r"SLURM's own count: (\S+) times the power .* in 1 exclusive job", told)
    assert said, (
        f'{told}\n{accounted.call("sacct", "-o", "JobID,State,AllocCPUS,ConsumedEnergyRaw")}'
    )
    (run,) = (entry for entry in site.entries() if entry.kind == 'run')
    seen = sum(reading.joules for reading in run.readings if reading.joules is not None)
    # It uses one core, and keeps the others from everybody.
    assert {entry.job_cores for entry in site.entries()} == {os.cpu_count()}
    # SLURM counts whole seconds, of a job of ten or so, and samples each second.
    assert float(said[1]) == pytest.approx(WATTS / (seen / run.seconds), rel=0.3)

    state = accounted.call('sacct', '-X', '--noheader', '-o', 'JobID,State', '-j', array)
    assert state.split() == [f'{array}_1', 'COMPLETED']
    # A job on one of the cores had the host not to itself.
    site.submit('--sbatch=--cpus-per-task=1', '--participant-label', '02', '--no-group')
    accounted.wait()
    code, told = site.status()
    assert code == 0, site.said()
    assert "SLURM's own count" not in told


def test_the_shell_of_an_allocation_is_not_on_its_node(cluster):
    """``salloc`` starts it where it was called, with the variables of a job that it is not in."""
    told = cluster.call('salloc', '--quiet', '-n1', 'env')
    shell = dict(line.partition('=')[::2] for line in told.splitlines() if '=' in line)
    assert 'SLURM_JOB_ID' in shell
    assert job_of(shell) is None
    told = cluster.call('srun', '-n1', 'env')
    step = dict(line.partition('=')[::2] for line in told.splitlines() if '=' in line)
    assert job_of(step) == (f'slurm:{step["SLURM_JOB_ID"]}', 1, None, 1)


@pytest.mark.skipif(not slurm_cluster.confines(), reason='no control groups of version 1 here')
def test_what_a_job_is_held_to_is_what_it_takes(accounted):
    words = [sys.executable, '-m', 'nicarbon', 'doctor', '--json']
    machine = json.loads(accounted.call('srun', '-c1', '--mem=3000', *words))['machine']
    assert machine['usable_cores'] == 1
    assert machine['usable_memory_gb'] == pytest.approx(3000 * 1.048576 / 1000, abs=0.05)
    assert machine['cores'] == os.cpu_count()
