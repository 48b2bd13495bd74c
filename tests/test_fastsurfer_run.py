"""FastSurfer from start to end, through the installed command, on the stand-in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from functools import partial
from pathlib import Path

import fastsurfer_stand_in as stand_in
import freesurfer_stand_in
import psutil
import pytest
from laboratory import (
    OF_NIPYPE,
    Laboratory,
    add_image,
    files,
    make_dataset,
    read_tsv,
    refused,
    wait_until,
)
from nipype import Node, Workflow
from nipype.interfaces.utility import Merge

from nicarbon import ledger, recording
from nicarbon.errors import StageError
from nicarbon.interfaces.fastsurfer import ASegDKT, BiasField, HypVINN, ReconSurf
from nicarbon.nesting import leaves
from nicarbon.pieces import cut
from nicarbon.readers.fastsurfer.output import Line, failure
from nicarbon.share import Share, share
from nicarbon.stage import parts
from nicarbon.workflows.fastsurfer import Settings, init_fastsurfer_wf

pytestmark = pytest.mark.heavy

ROOT = ('--allow-root',) if os.geteuid() == 0 else ()


class Lab(Laboratory):
    """A folder with a dataset, FastSurfer with or without FreeSurfer, and what came out."""

    tool = 'fastsurfer'
    words = ('--device', 'cpu', *ROOT)

    def __init__(self, root, subjects=('01',), *, surfaces: bool = False, **home) -> None:
        env = {'FREESURFER_HOME': '', 'FS_LICENSE': '', 'PYTHONPATH': ''}
        env |= freesurfer_stand_in.install(root / 'freesurfer') if surfaces else {}
        super().__init__(root, env | stand_in.install(root / 'fastsurfer', **home), subjects)
        if not surfaces:
            self.words = (*self.words, '--seg-only')

    def work(self, parts=None, stages=None, **default) -> dict[str, str]:
        """What modules, their parts and the stages of recon-all within shall cost."""
        own = stand_in.work(self.root, parts, **default)
        return own | freesurfer_stand_in.work(self.root, stages)

    def run(self, *words: object, work=None):
        return super().run(*words, work=work or self.work())

    def modules(self) -> list[dict]:
        return stand_in.truth(self.root)


SEG = ['asegdkt', 'biasfield', 'asegdkt-stats', 'cereb', 'hypothal']
PLANES = [f'asegdkt.{plane}' for plane in stand_in.PLANES]
LABELS = 'asegdkt.labels'
HYPVINN = [f'hypothal.{part}' for part in ('axial', 'coronal', 'sagittal', 'labels')]
COSTS = {
    'asegdkt.coronal': {'cpu_seconds': 3.0, 'threads': 2},
    'asegdkt.sagittal': {'cpu_seconds': 3.0},
    'asegdkt.axial': {'cpu_seconds': 2.5, 'threads': 2},
    'biasfield': {'cpu_seconds': 4.0, 'threads': 2},
    'asegdkt-stats': {'cpu_seconds': 1.0},
    'cereb': {'cpu_seconds': 1.0},
    'hypothal': {'cpu_seconds': 1.5},
}
IN_RECON_SURF = {
    'recon-surf.cc': {'cpu_seconds': 2.5, 'threads': 2},
    'recon-surf.surfaces_lh': {'cpu_seconds': 2.0},
    'recon-surf.surfaces_rh': {'cpu_seconds': 1.5},
}
OF_CALL = 0.1
"""CPU seconds of the script itself, and of recon-all before its first stage."""

IN_RECON_ALL = {'fill': {'cpu_seconds': 2.0}, 'fix_lh': {'cpu_seconds': 2.0}}


@pytest.fixture(scope='module')
def segmented(tmp_path_factory) -> Lab:
    """One subject without FreeSurfer, whose modules cost unequally, and in two threads."""
    lab = Lab(tmp_path_factory.mktemp('segmented'))
    done = lab.run('--omp-nthreads', 2, work=lab.work(COSTS))
    assert done.returncode == 0, done.stdout + done.stderr
    return lab


@pytest.fixture(scope='module')
def whole(tmp_path_factory) -> Lab:
    """One subject with its surfaces."""
    lab = Lab(tmp_path_factory.mktemp('whole'), surfaces=True)
    done = lab.run('--omp-nthreads', 2, work=lab.work(IN_RECON_SURF, IN_RECON_ALL))
    assert done.returncode == 0, done.stdout + done.stderr
    return lab


def pieces(lab: Lab) -> list[Share]:
    """What reports show: entries cut into their parts."""
    return share([piece for entry in leaves(lab.entries(0)) for piece in cut(entry)]).shares


def together(shares: list[Share]) -> dict[str, tuple[float, float]]:
    """CPU seconds and dynamic joules by name: a part may go on after what it calls."""
    names = dict.fromkeys(one.entry.stage for one in shares)
    return {
        name: (
            sum(one.entry.cpu_seconds for one in shares if one.entry.stage == name),
            sum(one.joules['dynamic'] for one in shares if one.entry.stage == name),
        )
        for name in names
    }


# Segmentation alone ----------------------------------------------------------------------


@pytest.mark.slow
def test_modules_are_entries_rows_and_bars(segmented):
    nodes = segmented.nodes(0)
    assert [node.stage for node in nodes] == SEG
    assert {(node.outcome, node.subject) for node in nodes} == {('ran', '01')}
    folder = segmented.out / 'sub-01'
    rows = read_tsv(folder / 'sub-01_carbon.tsv')
    assert {row['stage'] for row in rows} == {*SEG, *PLANES, LABELS, *HYPVINN}
    told = json.loads((folder / 'sub-01_carbon.json').read_text())
    spent = sum(float(row['energy']) for row in rows)
    assert spent == pytest.approx(told['Energy']['Joules'], rel=1e-3)
    page = (segmented.out / 'sub-01.html').read_text()
    for title in ('FastSurferVINN', 'coronal network', 'N4 bias field', 'HypVINN'):
        assert title in page
    assert 'fastsurfer' in (segmented.out / '.bidsignore').read_text().splitlines()
    assert not list(segmented.subject.glob('surf/*'))


@pytest.mark.slow
def test_modules_are_called_as_run_fastsurfer_calls_them(segmented):
    calls = {one['module']: one['words'] for one in segmented.modules()}
    assert list(calls) == SEG
    for name in SEG:
        assert ' '.join(calls[name]).count('--threads 2') == 1
        assert ('--allow_root' in calls[name]) == (bool(ROOT) and name != 'biasfield')
    for name in ('asegdkt', 'cereb', 'hypothal'):
        words = ' '.join(calls[name])
        assert '--device cpu' in words
        assert '--viewagg_device cpu' in words
        assert '--batch_size 1' in words
    assert ' '.join(calls['asegdkt-stats']).endswith(' SubCortGray rhCerebralWhiteMatter '
        'lhCerebralWhiteMatter CerebralWhiteMatter')  # fmt: skip


@pytest.mark.slow
def test_threads_are_told_to_every_module_and_recorded(segmented):
    for one in segmented.modules():
        assert one['threads'] == 2
        assert set(one['environment'].values()) == {'2'}, one['module']
    assert {node.reserved_cores for node in segmented.nodes(0)} == {2.0}
    (config,) = segmented.out.glob('logs/*/config.toml')
    assert 'omp_nthreads = 2' in config.read_text()


@pytest.mark.slow
def test_no_gpu_is_opened_where_nobody_asked_for_one(segmented):
    assert {one['gpus'] for one in segmented.modules()} == {'-1'}
    (config,) = segmented.out.glob('logs/*/config.toml')
    assert 'device = "cpu"' in config.read_text()


@pytest.mark.slow
def test_cpu_seconds_are_the_true_ones(segmented):
    true = {one['module']: one['cpu_seconds'] for one in segmented.modules()}
    for node in segmented.nodes(0):
        seconds = true[node.stage]
        assert 0.98 * seconds <= node.cpu_seconds <= 1.02 * seconds + OF_NIPYPE, node.stage


@pytest.mark.slow
def test_planes_are_charged_what_each_used(segmented):
    (true,) = (one['parts'] for one in segmented.modules() if one['module'] == 'asegdkt')
    (node,) = (node for node in segmented.nodes(0) if node.stage == 'asegdkt')
    assert [part.name for part in node.parts] == [*PLANES, LABELS]
    looked = [window.start for window in node.windows]
    for part in node.parts:
        assert min(abs(part.start - moment) for moment in looked) < 0.05, 'counters were read'
    found = together(pieces(segmented))
    for name in PLANES:
        cpu_seconds, joules = found[name]
        assert cpu_seconds == pytest.approx(true[name], rel=0.02), name
        rest = found['biasfield'][1] / found['biasfield'][0]
        assert joules / cpu_seconds == pytest.approx(rest, rel=0.02), name
    assert sum(found[name][0] for name in ('asegdkt', *PLANES, LABELS)) == pytest.approx(
        node.cpu_seconds, rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize('which', ['segmented', 'whole'])
def test_energy_is_conserved(which, request):
    lab = request.getfixturevalue(which)
    sharing = share(lab.entries(0))
    (balance,) = sharing.balances
    parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
    assert parts / balance.host_joules == pytest.approx(1.0, rel=1e-3)
    charged = sum(one.joules['reserved'] for one in sharing.shares)
    assert charged == pytest.approx(balance.nodes_joules, rel=1e-6)
    # The same joules, cut into parts.
    assert sum(one.joules['reserved'] for one in pieces(lab)) == pytest.approx(charged, rel=1e-3)


# Surfaces --------------------------------------------------------------------------------


@pytest.mark.slow
def test_steps_of_recon_surf_and_stages_within_are_charged_what_each_used(whole):
    (true,) = (one['parts'] for one in whole.modules() if one['module'] == 'recon-surf')
    found = together(pieces(whole))
    for name in IN_RECON_SURF:
        assert 0.98 * true[name] <= found[name][0] <= 1.02 * true[name] + OF_CALL, name
    stages = freesurfer_stand_in.truth(whole.root)
    for key in IN_RECON_ALL:
        (one,) = (stage for stage in stages if stage.get('key') == key)
        cpu_seconds, joules = found[f'recon-surf.{key}']
        true_seconds = one['cpu_seconds']
        assert 0.98 * true_seconds <= cpu_seconds <= 1.02 * true_seconds + OF_CALL, key
        assert joules / cpu_seconds == pytest.approx(
            found['recon-surf.cc'][1] / found['recon-surf.cc'][0], rel=0.02
        )


@pytest.mark.slow
def test_all_steps_and_stages_are_parts_in_order(whole):
    (node,) = (node for node in whole.nodes(0) if node.stage == 'recon-surf')
    names = list(dict.fromkeys(part.name for part in node.parts))
    known = [part.key for part in parts('fastsurfer', 'recon-surf')]
    never = {'aseg', 'nu', 'parallel', 'fsaparc'}
    assert [name for name in names if name not in known] == []
    assert not {f'recon-surf.{name}' for name in never} & set(names)
    first = [name.removeprefix('recon-surf.') for name in names][:9]
    assert first == [
        'inputs', 'orig', 'talairach', 'brainmask', 'cc', 'filled', 'asegmerge',
        'normalization2', 'maskbfs',
    ]  # fmt: skip
    # In turn: the left hemisphere is through before the right one begins.
    hemis = [name[-2:] for name in names if name.endswith(('_lh', '_rh'))]
    assert hemis == sorted(hemis)
    assert names[-1] == 'recon-surf.done'
    ends = [part.start + part.seconds for part in node.parts]
    assert all(b.start >= a - 1e-6 for a, b in zip(ends, node.parts[1:], strict=False))


@pytest.mark.slow
def test_programs_are_told_and_not_those_that_only_run_them(whole):
    folder = whole.out / 'sub-01'
    rows = read_tsv(folder / 'sub-01_desc-commands_carbon.tsv')
    names = {row['command'] for row in rows}
    assert {'mri_cc', 'mris_fix_topology', 'recon_surf/sample_parc.py'} <= names
    assert not {name for name in names if name.endswith(('recon-all', '.cmdf'))}
    told = sum(float(row['user_time']) + float(row['system_time']) for row in rows)
    (node,) = (node for node in whole.nodes(0) if node.stage == 'recon-surf')
    assert told < node.cpu_seconds * 1.02


@pytest.mark.slow
@pytest.mark.parametrize('which', ['segmented', 'whole'])
@pytest.mark.parametrize('words', [(), ('--clean-workdir',)])
def test_nothing_that_is_finished_is_run_again(words, which, request):
    lab = request.getfixturevalue(which)
    before = len(lab.modules())
    done = lab.run('--omp-nthreads', 2, *words)
    assert done.returncode == 0, done.stdout
    assert len(lab.modules()) == before
    names = [*SEG, 'recon-surf'] if which == 'whole' else SEG
    outcomes = Counter((node.stage, node.outcome) for node in lab.nodes())
    assert outcomes == {(name, 'cached'): 1 for name in names}
    assert not list(lab.subject.glob('touch/nicarbon.kept.*'))


def test_surfaces_follow_on_a_segmentation(tmp_path):
    lab = Lab(tmp_path, surfaces=True)
    assert lab.run('--seg-only').returncode == 0
    before = (lab.subject / 'mri/orig.mgz').stat()
    done = lab.run()
    assert done.returncode == 0, done.stdout
    outcomes = {node.stage: node.outcome for node in lab.nodes()}
    assert outcomes == {**dict.fromkeys(SEG, 'cached'), 'recon-surf': 'ran'}
    after = (lab.subject / 'mri/orig.mgz').stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    methods = (lab.out / 'logs/CITATION.md').read_text()
    assert (
        'Modules of FastSurfer 2.3.0 (Henschel et al., 2020) were run one by one, '
        'with FreeSurfer 7.4.1 (Fischl, 2012) for surfaces.'
    ) in methods
    assert 'Stages of recon-all' not in methods
    cited = methods.partition('References')[2]
    for work in ('Henschel et al., 2022', 'Faber et al., 2022', 'Estrada et al., 2023'):
        assert work in cited


def test_the_talairach_module_is_run_where_it_is_asked_for(tmp_path):
    lab = Lab(tmp_path, surfaces=True)
    licence = tmp_path / 'my.licence'
    (tmp_path / 'freesurfer/license.txt').rename(licence)
    lab.words += ('--fs-license-file', licence, '--fastsurfer-python', 'python3 -s')
    done = lab.run('--stages', 'seg', 'tal_reg', 'surf', '--3T')
    assert done.returncode == 0, done.stdout
    calls = {one['module']: one['words'] for one in lab.modules()}
    assert calls['recon-surf'][calls['recon-surf'].index('--py') + 1] == 'python3 -s'
    assert calls['tal_reg'][1] == 'true'
    assert '--3T' in calls['recon-surf']
    (node,) = (node for node in lab.nodes() if node.stage == 'recon-surf')
    assert 'recon-surf.talairach' not in {part.name for part in node.parts}


# Failures --------------------------------------------------------------------------------


def test_a_module_that_ends_well_without_its_output_has_failed(tmp_path):
    lab = Lab(tmp_path, ('01', '02'))
    lab.run('--participant-label', '02')
    work = lab.work({'hypothal': {'loses': 'the image is of nobody'}})
    done = lab.run(work=work)
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith('failed: '))
    assert line.startswith('failed: sub-01 hypothal: StageError: HypVINN of sub-01: ')
    assert 'the image is of nobody (mri/hypothalamus.HypVINN.nii.gz was not made)' in line
    outcomes = Counter((node.subject, node.outcome) for node in lab.nodes())
    assert outcomes == {('01', 'ran'): 4, ('01', 'failed'): 1, ('02', 'cached'): 5}
    done = lab.run()
    assert done.returncode == 0, done.stdout
    assert {n.stage: n.outcome for n in lab.nodes() if n.subject == '01'}['hypothal'] == 'ran'


@pytest.mark.parametrize(
    ('how', 'why'),
    [
        ({'fails': 1}, 'RuntimeError: cuDNN error: STAND_IN (exit code 1)'),
        (
            {'memory': True},
            'ERROR - INSUFFICIENT GPU MEMORY (mri/aparc.DKTatlas+aseg.deep.mgz was',
        ),
    ],
)
def test_a_network_that_fails_stops_its_subject(how, why, tmp_path):
    lab = Lab(tmp_path)
    done = lab.run(work=lab.work({'asegdkt.sagittal': how}))
    assert done.returncode == 1
    assert f'failed: sub-01 asegdkt: StageError: FastSurferVINN of sub-01: {why}' in done.stdout
    (node,) = lab.nodes()
    assert [part.name for part in node.parts] == PLANES[:2], 'what was spent before is told'
    done = lab.run()
    assert done.returncode == 0, done.stdout
    assert Counter(node.outcome for node in lab.nodes()) == {'ran': 5}


def test_a_segmentation_that_is_too_small_ends_well(tmp_path):
    """As with FastSurfer 2.3 itself, which only warns."""
    lab = Lab(tmp_path, surfaces=True)
    done = lab.run('--stages', 'asegdkt', work=lab.work({'asegdkt': {'small': True}}))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ('parts', 'stages', 'why'),
    [
        ({'recon-surf.cc': {'fails': 3}}, {}, 'ERROR: the stand-in was told to fail'),
        ({}, {'fix_rh': {'fails': 1}}, 'ERROR: the stand-in was told to fail'),
    ],
)
def test_recon_surf_fails_and_is_begun_again(parts, stages, why, tmp_path):
    lab = Lab(tmp_path, surfaces=True)
    done = lab.run(work=lab.work(parts, stages))
    assert done.returncode == 1
    assert f'failed: sub-01 recon-surf: StageError: recon-surf of sub-01: {why}' in done.stdout
    assert 'scripts/recon-surf.log)' in done.stdout
    done = lab.run()
    assert done.returncode == 0, done.stdout
    assert {node.stage: node.outcome for node in lab.nodes()}['recon-surf'] == 'ran'


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('requests.exceptions.RequestException: no', 'requests.exceptions.RequestException: no'),
        ('run_prediction.py: error: unrecognized arguments: -x',) * 2,
        ('[ERROR: inference.py:  401]: in batch 3', 'in batch 3'),
        ('recon-all -s a exited with ERRORS at noon\nTo report a problem, see',
         'recon-all -s a exited with ERRORS at noon'),
        ('Command terminated by signal 9\n@#@FSTIME  2', 'Command terminated by signal 9'),
        ('[INFO: a.py:    1]: No error\n  3%|  | 8/256', ''),
    ],
)  # fmt: skip
def test_complaints(text, why):
    assert failure([Line(0.0, line) for line in text.splitlines()]) == why


# Killed ----------------------------------------------------------------------------------


def test_killed_in_every_module_and_plane_and_resumed(tmp_path):
    """Each time the command goes on with what was cut off, and is killed in what comes next."""
    lab = Lab(tmp_path, surfaces=True)
    left = [*PLANES, *SEG[1:], 'recon-surf.orig', 'fill', 'recon-surf.topology_rh']
    while left:
        killed = lab.kill(partial(hanging, lab, left))
        assert len(killed) == 1
        left = [name for name in left if name not in killed]
        if killed == {'recon-surf.orig'}:
            orig = lab.subject / 'mri/orig.mgz'
            before = (lab.subject / 'touch/nicarbon.kept.orig.mgz').read_bytes()
            orig.write_bytes(before[:9])
    done = lab.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert orig.read_bytes() == before
    ended = Counter(one['module'] for one in lab.modules())
    assert ended == dict.fromkeys([*SEG, 'recon-surf'], 1), 'each was ended once'
    entries, warnings = ledger.read(*ledger.folders(lab.out))
    assert warnings == []
    lost = Counter(entry.stage for entry in entries if entry.outcome == 'killed')
    for name in SEG[1:]:
        assert lost[name] == 1
    assert (lost['asegdkt'], lost['recon-surf']) == (3, 3), 'what was spent in vain is told'
    left_behind = [*lab.subject.glob('touch/*.begun'), *lab.subject.glob('scripts/IsRunning*')]
    assert left_behind == []


@pytest.mark.parametrize('name', ['asegdkt.sagittal', 'fill'])
def test_one_that_is_told_to_end_leaves_nothing_at_work(name, tmp_path):
    lab = Lab(tmp_path, surfaces=name == 'fill')
    lab.kill(partial(hanging, lab, [name]), end=lambda pid: os.kill(pid, signal.SIGTERM))
    at_work = [
        process.pid
        for process in psutil.process_iter(['cmdline'])
        if any(str(lab.subject) in word for word in process.info['cmdline'] or [])
    ]
    assert at_work == []
    outcomes = {node.stage: node.outcome for node in lab.nodes()}
    assert outcomes['recon-surf' if name == 'fill' else 'asegdkt'] == 'killed'
    done = lab.run()
    assert done.returncode == 0, done.stderr


def hanging(lab: Lab, names: list[str], marks: Path) -> dict[str, str]:
    """The modules, parts and stages of recon-all that shall hang."""
    hang = {name: {'hangs': str(marks / name)} for name in names}
    return lab.work(hang, {'fill': hang['fill']} if 'fill' in hang else {})


# Subjects --------------------------------------------------------------------------------


def test_sessions_and_what_their_sidecars_say(tmp_path):
    lab = Lab(tmp_path, ('02',), surfaces=True, gpus=('stand-in',))
    lab.words = ROOT
    add_image(lab.bids / 'sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz')
    (lab.bids / 'sub-01/ses-1/anat/sub-01_ses-1_T1w.json').write_text(
        json.dumps({'MagneticFieldStrength': 3})
    )
    done = lab.run()
    assert done.returncode == 0, done.stdout
    assert '--pipeline' not in ' '.join(lab.command()), 'auto takes FastSurfer before FreeSurfer'
    calls = {
        one['words'][one['words'].index('--sid') + 1]: one['words']
        for one in lab.modules()
        if one['module'] == 'recon-surf'
    }
    assert {name: '--3T' in words for name, words in calls.items()} == {
        'sub-01_ses-1': True,
        'sub-02': False,
    }
    assert (lab.out / 'sub-01/ses-1/sub-01_ses-1_carbon.tsv').exists()
    # A GPU is taken where PyTorch has one, and told by its number.
    words = [' '.join(one['words']) for one in lab.modules() if one['module'] == 'asegdkt']
    assert all('--device cuda:0' in each and '--viewagg_device auto' in each for each in words)
    assert {one['gpus'] for one in lab.modules() if one['module'] == 'asegdkt'} == {None}


def test_a_subject_that_fastsurfer_finished_is_taken_as_it_is(tmp_path):
    lab = Lab(tmp_path)
    assert lab.run().returncode == 0
    theirs = tmp_path / 'theirs'
    shutil.copytree(lab.out / 'fastsurfer', theirs)
    shutil.rmtree(theirs / 'sub-01' / 'touch')
    before = files(theirs / 'sub-01')
    called = len(lab.modules())
    lab.out = tmp_path / 'other'
    done = lab.run('--fs-subjects-dir', theirs)
    assert done.returncode == 0, done.stdout
    assert 'sub-01: finished before, taken as it is (5 stages, no new energy)' in done.stdout
    assert {(node.outcome, node.seconds) for node in lab.nodes()} == {('cached', 0.0)}
    assert files(theirs / 'sub-01') == before
    # One that they have not finished is nobody's to go on with.
    (theirs / 'sub-01/mri/orig_nu.mgz').unlink()
    done = lab.run('--fs-subjects-dir', theirs)
    assert done.returncode == 1
    assert 'is there, and nicarbon did not begin it' in done.stdout
    assert len(lab.modules()) == called


def test_a_dry_run_names_stages_and_outputs(tmp_path):
    lab = Lab(tmp_path)
    done = lab.run('--dry-run')
    assert done.returncode == 0, done.stderr
    runs = [line.split()[1] for line in done.stdout.splitlines() if line.startswith('  runs ')]
    assert runs == SEG
    assert not lab.out.exists()


# Refused ---------------------------------------------------------------------------------


class Refusals:
    """A dataset and an environment, for calls that must not start any work."""

    def __init__(self, root: Path, **home) -> None:
        self.root = root
        (root / 'bids').mkdir()
        self.bids = make_dataset(root / 'bids')
        self.env = {'FREESURFER_HOME': '', 'FS_LICENSE': ''}
        self.env |= stand_in.install(root / 'fastsurfer', **home)

    def __call__(self, *words: object) -> tuple[int, str]:
        return refused('fastsurfer', self.bids, self.root, self.env, *ROOT, *words)

    def with_freesurfer(self, version: str = '7.4.1', **home) -> Refusals:
        self.env |= freesurfer_stand_in.install(self.root / 'freesurfer', version, **home)
        return self


@pytest.fixture
def call(tmp_path) -> Refusals:
    return Refusals(tmp_path)


def test_no_fastsurfer(call, tmp_path):
    call.env['FASTSURFER_HOME'] = ''
    code, line = call('--seg-only')
    assert (code, 'FASTSURFER_HOME is not set' in line) == (69, True)
    code, line = call('--seg-only', '--fastsurfer-home', tmp_path)
    assert (code, 'has no FastSurferCNN/run_prediction.py' in line) == (69, True)


def test_a_version_whose_stages_are_not_known(tmp_path):
    code, line = Refusals(tmp_path, version='1.1.2')('--seg-only')
    assert (code, "says version = '1.1.2', whose stages are not known" in line) == (69, True)


def test_a_python_without_what_is_needed(tmp_path):
    call = Refusals(tmp_path, torch=False)
    code, line = call('--seg-only')
    assert (code, "python3 has no PyTorch (No module named 'torch')" in line) == (69, True)
    code, line = call('--seg-only', '--fastsurfer-python', tmp_path / 'nowhere/python')
    assert (code, 'nowhere/python cannot be run: No such file or directory' in line) == (69, True)
    code, line = call('--seg-only', '--fastsurfer-python', 'false')
    assert (code, 'false cannot be run: exit code 1' in line) == (69, True)


def test_weights_that_are_missing(tmp_path):
    code, line = Refusals(tmp_path, weights=False)('--seg-only')
    assert (code, 'FastSurferVINN has no weights (' in line) == (69, True)
    assert 'download_checkpoints.py --all' in line


def test_a_gpu_that_is_not_there(tmp_path):
    call = Refusals(tmp_path, gpus=('H100',))
    code, line = call('--seg-only', '--device', 'cuda:1')
    assert (code, 'sees 1 GPU(s) here (H100)' in line) == (69, True)
    stand_in.install(tmp_path / 'fastsurfer')
    code, line = call('--seg-only', '--device', 'cuda')
    assert (code, 'sees 0 GPU(s) here: take one of them' in line) == (69, True)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root is refused')
def test_root_has_to_say_so(call):
    words = ('--seg-only', '--device', 'cpu')
    code, line = refused('fastsurfer', call.bids, call.root, call.env, *words)
    assert (code, 'or give --allow-root' in line) == (64, True)


def test_surfaces_without_their_freesurfer(call):
    code, line = call()
    assert (code, 'FREESURFER_HOME is not set' in line) == (69, True)
    assert line.endswith('or take --seg-only')
    code, line = call.with_freesurfer('8.0.0')()
    assert (code, 'needs FreeSurfer 7.4.1, and FREESURFER_HOME=' in line) == (69, True)


def test_surfaces_without_a_licence(call):
    code, line = call.with_freesurfer(licensed=False)()
    assert (code, '--fs-license-file' in line) == (69, True)


def test_two_images_of_a_session(call):
    add_image(call.bids / 'sub-01/anat/sub-01_run-2_T1w.nii.gz')
    code, line = call('--seg-only')
    assert (code, 'sub-01 has 2 T1w images (' in line) == (66, True)
    assert line.endswith('choose with --bids-filter-file')


def test_places_that_recon_surf_cannot_take(call, tmp_path):
    code, line = call('--seg-only', '--fs-subjects-dir', tmp_path / 'my subjects')
    assert (code, 'has a blank' in line) == (64, True)
    code, line = call('--seg-only', '--fs-subjects-dir', tmp_path / ('x' * 180))
    assert (code, 'more than the 185 that recon-surf.sh takes' in line) == (64, True)


def test_stages_that_there_are_not_or_that_have_nothing_to_work_on(call):
    code, line = call('--seg-only', '--stages', 'asegdkt')
    assert (code, '--seg-only and --stages both say what to run' in line) == (64, True)
    code, line = call('--stages', 'cerebellum')
    assert (code, 'has no such stage; it has seg, surf, asegdkt, ' in line) == (64, True)
    code, line = call('--stages', 'hypothal')
    assert (code, 'mri/orig_nu.mgz, which is not there' in line) == (64, True)


@pytest.mark.parametrize('words', [('--seg-only',), ('--device', 'cpu'), ('--batch-size', '4')])
def test_options_of_fastsurfer_are_not_ignored(words, call):
    code, line = refused('structural', call.bids, call.root, call.env, *words)
    assert (code, f'{words[0]} is for --pipeline fastsurfer, not for' in line) == (64, True)


def test_a_recon_all_of_somebody_else_is_waited_for(call):
    call.with_freesurfer()
    scripts = call.root / 'out/fastsurfer/sub-01/scripts'
    scripts.mkdir(parents=True)
    flag = scripts / 'IsRunning.lh+rh'
    flag.write_text(f'HOST {os.uname().nodename}\nPROCESSID {os.getpid()} \n')
    code, line = call()
    assert (code, 'says that recon-all is at work' in line) == (75, True)
    flag.write_text('HOST elsewhere\nPROCESSID 1 \n')
    assert call()[0] == 75


def test_a_module_of_somebody_else_is_waited_for(call):
    folder = call.root / 'out/fastsurfer/sub-01'
    mark = call.root / 'mark'
    hang = stand_in.work(None, {'biasfield': {'hangs': str(mark)}})
    inputs = ('mri/orig.mgz', 'mri/aparc.DKTatlas+aseg.deep.mgz')
    for name in inputs:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    program = call.root / 'fastsurfer' / stand_in.MODULES['biasfield']
    words = ('--in', folder / inputs[0], '--aseg', folder / inputs[1], '--rescale', folder / 'nu')
    with subprocess.Popen(
        [program, *words], env={**os.environ, **hang}, stdout=subprocess.DEVNULL
    ) as busy:
        try:
            wait_until(mark.exists, 20)
            code, line = call('--seg-only')
        finally:
            busy.kill()
    assert (code, f'end it with kill {busy.pid}' in line) == (75, True)
    assert 'N4_bias_correct.py' in line


# The workflow ----------------------------------------------------------------------------


def test_ends_are_those_of_the_other_workflows():
    from nicarbon.workflows.freesurfer import init_freesurfer_wf
    from nicarbon.workflows.structural import init_structural_wf

    ours = init_fastsurfer_wf(subject='01', version='2.3')
    freesurfer = init_freesurfer_wf(subject='01', version=7)
    structural = init_structural_wf(subject='01')
    for end in ('inputnode', 'outputnode'):
        fields = [
            set(one.get_node(end).interface._fields) for one in (ours, freesurfer, structural)
        ]
        assert fields[0] == fields[1]
        assert fields[2] <= fields[0]


def test_the_workflow_in_a_program_of_ones_own(tmp_path, monkeypatch):
    """What an outer workflow connects to any of them, it gets of this one."""
    lab = Lab(tmp_path, surfaces=True)
    for name, value in {**lab.env, **lab.work({'asegdkt.axial': {'cpu_seconds': 0.5}})}.items():
        monkeypatch.setenv(name, value)
    subjects = tmp_path / 'subjects'
    subjects.mkdir()
    settings = Settings(device='cpu', viewagg_device='cpu', allow_root=bool(ROOT))
    inner = init_fastsurfer_wf(subject='01', version='2.3', settings=settings)
    inner.inputs.inputnode.t1w = [str(next(lab.bids.rglob('*_T1w.nii.gz')))]
    inner.inputs.inputnode.subjects_dir = str(subjects)
    outer = Workflow('outer', base_dir=str(tmp_path / 'work'))
    sink = Node(Merge(3), 'sink')
    outer.connect(
        [
            (
                inner,
                sink,
                [
                    ('outputnode.t1w_dseg', 'in1'),
                    ('outputnode.surfaces', 'in2'),
                    ('outputnode.morphometry', 'in3'),
                ],
            )
        ]
    )
    with recording(tmp_path / 'out'):
        graph = outer.run()
    (end,) = (node for node in graph.nodes() if node.name == 'sink')
    folder = subjects / 'sub-01'
    names = ('mri/aparc.DKTatlas+aseg.deep.mgz', 'surf/lh.white', 'surf/rh.white')
    made = [str(folder / name) for name in (*names, 'stats/aseg+DKT.stats')]
    assert end.result.outputs.out == made
    assert [node.stage for node in lab.nodes()] == [*SEG, 'recon-surf']
    (node,) = (node for node in lab.nodes() if node.stage == 'asegdkt')
    assert {part.name: part.seconds > 0.4 for part in node.parts}['asegdkt.axial']


def test_one_module_alone(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    for name, value in {**lab.env, **lab.work()}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / 'subjects').mkdir()
    who = {'subject_id': 'bert', 'subjects_dir': str(tmp_path / 'subjects')}
    run = {'allow_root': bool(ROOT), 'device': 'cpu', 'viewagg_device': 'cpu'}
    image = str(next(lab.bids.rglob('*_T1w.nii.gz')))
    done = ASegDKT(**who, **run, T1_file=image).run()
    assert Path(done.outputs.mask).is_file()
    assert BiasField(**who, num_threads=2).run().outputs.orig_nu.endswith('mri/orig_nu.mgz')
    for _ in range(2):
        HypVINN(**who, **run).run()
    assert [one['module'] for one in lab.modules()] == ['asegdkt', 'biasfield', 'hypothal']
    with pytest.raises(
        StageError, match=r'^recon-surf of bert: Did not find|^recon-surf of bert: exit'
    ):
        ReconSurf(**who, allow_root=bool(ROOT)).run()
