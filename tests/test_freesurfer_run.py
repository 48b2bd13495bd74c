"""FreeSurfer from start to end, through the installed command, on the stand-in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import freesurfer_stand_in as stand_in
import pytest
from command import nicarbon
from laboratory import OF_NIPYPE, Laboratory, files, read_tsv

from nicarbon import ledger
from nicarbon.freesurfer import selected
from nicarbon.share import share

pytestmark = pytest.mark.heavy

KEYS = [stage.key for stage in selected(7)]


class Lab(Laboratory):
    """A folder with a dataset, a stand-in, and what came out."""

    tool = 'freesurfer'

    def __init__(self, root: Path, subjects: tuple[str, ...] = ('01',), **home) -> None:
        super().__init__(root, stand_in.install(root / 'home', **home), subjects)

    def run(self, *words: object, work: dict[str, str] | None = None):
        return super().run(*words, work=work or stand_in.work(self.root))

    def truth(self, kind: str) -> list[dict]:
        return [line for line in stand_in.truth(self.root) if line['kind'] == kind]


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> Lab:
    """One subject whose hemispheres cost unequally, two processes at a time."""
    lab = Lab(tmp_path_factory.mktemp('finished'))
    costs = {'surfreg_lh': {'cpu_seconds': 6.0}, 'surfreg_rh': {'cpu_seconds': 3.0}}
    costs['careg'] = {'cpu_seconds': 4.0, 'threads': 2, 'memory_mb': 300}
    work = stand_in.work(lab.root, costs, cpu_seconds=0.4)
    done = lab.run('--omp-nthreads', 2, work=work)
    assert done.returncode == 0, done.stdout + done.stderr
    return lab


@pytest.mark.slow
def test_every_stage_and_hemisphere_has_an_entry_of_its_own(finished):
    nodes = [entry for entry in finished.entries() if entry.kind == 'node']
    assert Counter(entry.stage for entry in nodes) == Counter(KEYS)
    assert {entry.outcome for entry in nodes} == {'ran'}
    assert {entry.subject for entry in nodes} == {'01'}


@pytest.mark.slow
def test_cpu_seconds_are_the_true_ones(finished):
    calls = {key: call for call in reversed(finished.truth('call')) for key in call['keys']}
    nodes = {entry.stage: entry for entry in finished.entries() if entry.kind == 'node'}
    for key in KEYS:
        true = calls[key]['cpu_seconds']
        assert 0.98 * true <= nodes[key].cpu_seconds <= 1.02 * true + OF_NIPYPE, key


@pytest.mark.slow
def test_hemispheres_side_by_side_are_charged_what_each_used(finished):
    nodes = {entry.stage: entry for entry in finished.entries() if entry.kind == 'node'}
    lh, rh = nodes['surfreg_lh'], nodes['surfreg_rh']
    assert lh.start < rh.start + rh.seconds
    assert rh.start < lh.start + lh.seconds
    dynamic = {one.entry.stage: one.joules['dynamic'] for one in share(finished.entries()).shares}
    assert dynamic['surfreg_lh'] / dynamic['surfreg_rh'] == pytest.approx(
        lh.cpu_seconds / rh.cpu_seconds, rel=0.05
    )


@pytest.mark.slow
def test_energy_is_conserved(finished):
    sharing = share(finished.entries())
    (balance,) = sharing.balances
    parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
    assert parts == pytest.approx(balance.host_joules, rel=1e-3)
    charged = sum(one.joules['reserved'] for one in sharing.shares)
    assert charged == pytest.approx(balance.nodes_joules, rel=1e-6)


@pytest.mark.slow
def test_programs_are_child_rows_and_add_nothing(finished):
    folder = finished.out / 'sub-01'
    rows = read_tsv(folder / 'sub-01_desc-commands_carbon.tsv')
    stages = read_tsv(folder / 'sub-01_carbon.tsv')
    assert {row['stage'] for row in rows} == set(KEYS)
    spent = {row['stage']: float(row['energy']) for row in stages}
    for key in KEYS:
        own = [row for row in rows if row['stage'] == key]
        assert sum(float(row['energy']) for row in own) <= spent[key] * 1.0001, key
    (register,) = (row for row in rows if row['stage'] == 'careg')
    assert register['command'] == 'mri_ca_register'
    assert float(register['user_time']) + float(register['system_time']) == pytest.approx(
        4.0, abs=0.15
    )
    (truth,) = (line for line in finished.truth('stage') if line['key'] == 'careg')
    assert truth['threads'] == 2
    assert float(register['peak_memory']) > 0.3
    total = json.loads((folder / 'sub-01_carbon.json').read_text())
    assert len(stages) == len(KEYS)
    assert 'mri_ca_register' not in json.dumps(total)


@pytest.mark.slow
def test_files_are_those_of_one_call(finished, tmp_path):
    words = ('-s', 'sub-01', '-sd', tmp_path, '-i', next(finished.bids.rglob('*.nii.gz')), '-all')
    assert stand_in.call(finished.env, *words).returncode == 0
    ours = files(finished.subject)
    extra = {path for path in ours if path.startswith('touch/nicarbon.')}
    assert ours - extra == files(tmp_path / 'sub-01')
    assert len(extra) == len([stage for stage in selected(7) if not stage.touch])


@pytest.mark.slow
def test_nothing_that_is_finished_is_run_again(finished):
    before = len(finished.truth('call'))
    done = finished.run('--omp-nthreads', 2)
    assert done.returncode == 0, done.stderr
    assert len(finished.truth('call')) == before
    nodes = [entry for entry in finished.entries() if entry.kind == 'node']
    assert {entry.outcome for entry in nodes} == {'cached'}
    assert len(nodes) == len(KEYS)


@pytest.mark.slow
def test_without_the_work_folder_the_subject_itself_tells(finished):
    before = len(finished.truth('call'))
    done = finished.run('--omp-nthreads', 2, '--clean-workdir')
    assert done.returncode == 0, done.stderr
    assert len(finished.truth('call')) == before
    nodes = [entry for entry in finished.entries() if entry.kind == 'node']
    assert Counter(entry.outcome for entry in nodes) == {'cached': len(KEYS)}


@pytest.mark.slow
def test_the_page_shows_hemispheres_and_programs(finished):
    page = (finished.out / 'sub-01.html').read_text()
    assert 'Sphere lh' in page
    assert 'mri_ca_register' in page
    assert 'freesurfer' in (finished.out / '.bidsignore').read_text().splitlines()


# Failures --------------------------------------------------------------------------------


def test_a_stage_that_fails_stops_its_subject_alone(tmp_path):
    lab = Lab(tmp_path, ('01', '02'))
    # A volume that cannot be read, in one of two subjects.
    work = stand_in.work(tmp_path, {'talairach': {'fails': 1}})
    done = lab.run('--participant-label', '01', work=work)
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith('failed: '))
    assert line.startswith('failed: sub-01 talairach: StageError: recon-all -talairach of sub-01:')
    assert line.endswith('scripts/recon-all.log)')
    failed = [entry for entry in lab.entries() if entry.outcome == 'failed']
    assert [entry.stage for entry in failed] == ['talairach']
    assert failed[0].commands, 'what ran before it failed'
    done = lab.run('--stages', 'autorecon1')
    assert done.returncode == 0, done.stdout
    outcomes = Counter((e.subject, e.outcome) for e in lab.entries() if e.kind == 'node')
    first = len([stage for stage in selected(7) if stage.group == 'autorecon1'])
    assert outcomes == {('01', 'cached'): 2, ('01', 'ran'): first - 2, ('02', 'ran'): first}


def test_killed_at_every_stage_and_resumed(tmp_path):
    """Each time the command goes on with what was cut off, and is killed in what comes next."""
    lab = Lab(tmp_path)
    cut_off: set[str] = set()
    while cut_off < set(KEYS):
        cut_off |= kill_in_next(lab, [key for key in KEYS if key not in cut_off])
    done = lab.run()
    assert done.returncode == 0, done.stdout + done.stderr
    ended = Counter(line['key'] for line in lab.truth('stage') if line['code'] == 0)
    assert {key: ended[key] for key in KEYS} == dict.fromkeys(KEYS, 1)
    entries, warnings = ledger.read(*ledger.folders(lab.out))
    assert warnings == []
    killed = Counter(entry.stage for entry in entries if entry.outcome == 'killed')
    assert {key for key in KEYS if not killed[key]} == set(), 'what was spent in vain is told'
    assert list(lab.subject.glob('touch/*.begun')) == []


def kill_in_next(lab: Lab, keys: list[str]) -> set[str]:
    """Run until one of these stages hangs, or one in each hemisphere, and kill all there is."""
    return lab.kill(
        lambda marks: stand_in.work(lab.root, {key: {'hangs': str(marks / key)} for key in keys})
    )


# Options ---------------------------------------------------------------------------------


def test_directives_are_cut_into_stages_by_their_markers(tmp_path):
    lab = Lab(tmp_path)
    work = stand_in.work(tmp_path, {'careg': {'cpu_seconds': 3.0}}, cpu_seconds=0.02)
    done = lab.run('--granularity', 'directive', work=work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [call['keys'][0] for call in lab.truth('call')] == ['input', 'gcareg', 'sphere_lh']
    rows = {row['stage'] for row in read_tsv(lab.out / 'sub-01' / 'sub-01_carbon.tsv')}
    assert 'careg' in rows
    nodes = [entry for entry in lab.entries() if entry.kind == 'node']
    assert [entry.stage for entry in nodes] == ['autorecon1', 'autorecon2', 'autorecon3']


def test_a_killed_directive_leaves_no_half_file_behind(tmp_path):
    lab = Lab(tmp_path)
    words = ('--granularity', 'directive')
    lab.kill(
        lambda marks: stand_in.work(tmp_path, {'white_lh': {'hangs': str(marks / 'white_lh')}}),
        *words,
    )
    half = (lab.subject / 'surf' / 'lh.white').stat().st_size
    done = lab.run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (lab.subject / 'surf' / 'lh.white').stat().st_size > half
    rows = {row['stage'] for row in read_tsv(lab.out / 'sub-01' / 'sub-01_carbon.tsv')}
    assert {'skullstrip', 'curvHK_rh', 'balabels'} <= rows, 'the last stage of each call'


@pytest.mark.slow
def test_another_pipeline_in_the_same_place_has_to_be_named(finished):
    env = {'FREESURFER_HOME': ''}
    done = nicarbon(*finished.command('--dry-run'), cwd=finished.root, **env)
    assert done.returncode == 64
    assert 'say --pipeline freesurfer or --pipeline structural' in done.stderr
    done = nicarbon('account', finished.out, cwd=finished.root, **env)
    assert done.returncode == 0, done.stderr
    assert 'Talairach Failure Detection' in done.stdout
    assert 'FreeSurfer 7.4.1 (Fischl, 2012)' in (finished.out / 'logs/CITATION.md').read_text()


def test_an_image_that_cannot_be_read_stops_its_own_subject(tmp_path):
    lab = Lab(tmp_path, ('01', '02'))
    broken = lab.bids / 'sub-02' / 'anat' / 'sub-02_T1w.nii.gz'
    broken.write_bytes(broken.read_bytes()[:40])
    done = lab.run('--stages', 'autorecon1', '--dry-run')
    assert done.returncode == 0, done.stderr
    done = lab.run('--stages', 'input')
    assert done.returncode in {0, 1}, done.stderr
    assert (lab.subject / 'mri' / 'orig' / '001.mgz').exists()


def test_a_finished_subject_is_taken_as_it_is(tmp_path):
    lab = Lab(tmp_path)
    subjects = tmp_path / 'subjects'
    subjects.mkdir()
    words = ('-s', 'sub-01', '-sd', subjects, '-i', next(lab.bids.rglob('*.nii.gz')), '-all')
    assert stand_in.call(lab.env, *words).returncode == 0
    before = files(subjects / 'sub-01')
    done = lab.run('--fs-subjects-dir', subjects)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'finished before, taken as it is' in done.stdout
    assert lab.truth('call') == []
    assert files(subjects / 'sub-01') == before
    nodes = [entry for entry in lab.entries() if entry.kind == 'node']
    assert {(entry.outcome, entry.seconds) for entry in nodes} == {('cached', 0.0)}


def test_sessions_second_images_and_headers(tmp_path):
    """Sessions are subjects of their own; what images and sidecars say becomes flags."""
    import nibabel as nib
    import numpy as np

    lab = Lab(tmp_path)
    anat = lab.bids / 'sub-01' / 'anat'
    for old in anat.iterdir():
        old.unlink()
    anat.rmdir()
    folder = lab.bids / 'sub-01' / 'ses-1' / 'anat'
    folder.mkdir(parents=True)
    small = nib.Nifti1Image(np.zeros((4, 4, 4), 'i2'), np.diag([0.7, 0.7, 0.7, 1]))
    for name in ('run-1_T1w', 'run-2_T1w', 'T2w'):
        nib.save(small, folder / f'sub-01_ses-1_{name}.nii.gz')
    (lab.bids / 'T1w.json').write_text(json.dumps({'MagneticFieldStrength': 3}))
    done = lab.run()
    assert done.returncode == 0, done.stdout + done.stderr
    log = (lab.out / 'freesurfer' / 'sub-01_ses-1' / 'scripts' / 'recon-all.log').read_text()
    calls = [line for line in log.splitlines() if ' -no-isrunning' in line]
    assert all(' -3T -cm' in line for line in calls)
    assert 'run-1_T1w.nii.gz -i ' in calls[0]
    assert any('-T2 ' in line and '-noT2pial' in line for line in calls)
    assert any(' -T2pial ' in line for line in calls)
    assert (lab.out / 'sub-01' / 'ses-1' / 'sub-01_ses-1_carbon.tsv').exists()
