"""The stand-in for FastSurfer behaves like the real one, and knows what it costs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import freesurfer_stand_in
import pytest
from fastsurfer_stand_in import MODULES, PLANES, SCRIPTS, call, install, truth, work
from laboratory import wait_until

FSTIME = re.compile(
    r'^@#@FSTIME  \S+ (\S+) N \d+ e ([\d.]+) S ([\d.]+) U ([\d.]+) P', re.MULTILINE
)
BANNER = re.compile(r'^=+ (.*?) +=+$', re.MULTILINE)
ROUNDING = 0.03
"""Seconds that GNU time and the clock of the kernel may leave out of a program."""


class Head:
    """An installation, an image, and a subject's folder."""

    def __init__(self, root: Path, **home) -> None:
        self.root, self.folder = root, root / 'subjects' / 'bert'
        self.folder.parent.mkdir()
        self.image = root / 'T1w.nii.gz'
        self.image.write_bytes(b'an image')
        self.env = install(root / 'fastsurfer', **home) | work(root)

    def with_freesurfer(self, version: str = '7.4.1') -> Head:
        self.env = freesurfer_stand_in.install(self.root / 'freesurfer', version) | self.env
        self.env |= freesurfer_stand_in.work(self.root)
        return self

    def words(self, name: str) -> list[object]:
        """What run_fastsurfer.sh gives a module."""
        mri, log = self.folder / 'mri', self.folder / 'scripts/deep-seg.log'
        t1, seg = ('--t1', self.image), ('--asegdkt_segfile', mri / 'aparc.DKTatlas+aseg.deep.mgz')
        conformed, who = ('--conformed_name', mri / 'orig.mgz'), ('--sid', 'bert')
        root, where = '--allow_root', ('--sd', self.folder.parent)
        return list(
            {
                'asegdkt': (
                    *t1, *seg, *conformed, '--brainmask_name', mri / 'mask.mgz',
                    '--aseg_name', mri / 'aseg.auto_noCCseg.mgz', *who, '--seg_log', log,
                    '--device', 'cpu', root, *where,
                ),
                'biasfield': (
                    '--in', mri / 'orig.mgz', '--rescale', mri / 'orig_nu.mgz', '--aseg', seg[1],
                ),
                'tal_reg': (mri, 'false', log),
                'asegdkt-stats': (
                    '--segfile', seg[1], '--segstatsfile', self.folder / 'stats/aseg+DKT.stats',
                    '--threads', 2, root, '--excludeid', 0, *where, '--ids', 2, 4,
                    'measures', '--compute', 'BrainSeg',
                ),
                'cereb': (
                    *t1, *seg, *conformed, '--seg_log', log, '--cereb_segfile', mri / 'c.nii.gz',
                    '--cereb_statsfile', self.folder / 'stats/c.stats', '--threads', 1, root,
                ),
                'hypothal': (
                    *where, *who, root, '--seg_log', log, '--t1', mri / 'orig_nu.mgz',
                    '--threads', 1,
                ),
                'recon-surf': (*who, *where, '--t1', mri / 'orig.mgz', *seg, root),
            }[name]
        )  # fmt: skip

    def call(self, name: str, *more: object, **env: str) -> subprocess.CompletedProcess[str]:
        return call(self.env | env, name, *self.words(name), *more)

    def segment(self) -> Head:
        """All modules before recon-surf."""
        for name in ('asegdkt', 'biasfield', 'asegdkt-stats', 'cereb', 'hypothal'):
            done = self.call(name)
            assert done.returncode == 0, done.stdout + done.stderr
        return self

    def parts(self, name: str) -> dict[str, float]:
        return next(one['parts'] for one in reversed(truth(self.root)) if one['module'] == name)


@pytest.fixture
def bert(tmp_path):
    return Head(tmp_path)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A subject that recon-surf is through with, and what it printed."""
    head = Head(tmp_path_factory.mktemp('finished')).with_freesurfer().segment()
    done = head.call('recon-surf')
    assert done.returncode == 0, done.stdout
    return head, done.stdout


def told(text: str) -> list[str]:
    """What the log says, without where in the code."""
    return re.findall(r'^\[INFO: [^]]*\]: (.*)$', text, re.MULTILINE)


# Modules ---------------------------------------------------------------------------------


def test_planes_follow_one_another_as_they_are_logged(bert):
    done = bert.call('asegdkt')
    assert done.returncode == 0
    lines = told(done.stdout)
    assert [line for line in lines if line.startswith('Run ')] == [
        f'Run {plane} prediction' for plane in PLANES
    ]
    for plane in PLANES:
        here = lines.index(f'Run {plane} prediction')
        assert f'Inference on 256 batches for {plane} successful' in lines[here:]
        last = lines[lines.index(f'Inference on 256 batches for {plane} successful') + 1]
        form = rf'{plane.capitalize()} inference on {bert.image} finished in \d+\.\d{{4}} seconds'
        assert re.fullmatch(form, last)
    assert (bert.folder / 'scripts/deep-seg.log').read_text() == done.stdout
    assert '256/256' in done.stderr


def test_planes_cost_what_was_asked(bert):
    costs = {f'asegdkt.{plane}': {'cpu_seconds': 0.1 * n} for n, plane in enumerate(PLANES, 1)}
    assert bert.call('asegdkt', **work(bert.root, costs)).returncode == 0
    (one,) = truth(bert.root)
    for name, cost in costs.items():
        assert one['parts'][name] == pytest.approx(cost['cpu_seconds'], abs=ROUNDING)
    assert one['cpu_seconds'] == pytest.approx(0.6, abs=0.15)


def test_threads_are_those_of_the_flag_or_all_there_are(bert):
    env = work(bert.root, {'asegdkt.axial': {'cpu_seconds': 0.3, 'threads': 64}})
    assert bert.call('asegdkt', '--threads', 1, **env).returncode == 0
    # PyTorch is told a number of threads, whatever the environment says.
    assert bert.call('asegdkt', OMP_NUM_THREADS='1', **env).returncode == 0
    assert bert.call('biasfield').returncode == 0
    assert bert.call('asegdkt-stats').returncode == 0
    all_of_them = len(os.sched_getaffinity(0))
    assert [one['threads'] for one in truth(bert.root)] == [1, all_of_them, 1, 2]
    assert [one['environment']['OMP_NUM_THREADS'] for one in truth(bert.root)][:2] == [None, '1']
    assert truth(bert.root)[0]['wall'] > 0.28


@pytest.mark.parametrize('name', MODULES)
def test_arguments_that_a_module_does_not_know(name, bert):
    done = bert.call(name, '--regmode', 'coreg') if name != 'asegdkt-stats' else call(
        bert.env, name, '--regmode', 'coreg'
    )  # fmt: skip
    assert done.returncode == 2
    program = Path(MODULES[name]).name
    assert done.stderr.splitlines()[-1] == (
        f'{program}: error: unrecognized arguments: --regmode coreg'
    )
    assert not bert.folder.exists()


def test_threads_are_a_number(bert):
    done = bert.call('asegdkt', '--threads', 'many')
    assert done.returncode == 2
    assert "error: argument --threads: invalid int value: 'many'" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason='only root is refused')
@pytest.mark.parametrize('name', ['asegdkt', 'asegdkt-stats', 'cereb', 'hypothal', 'recon-surf'])
def test_root_is_refused(name, bert):
    words = [word for word in bert.words(name) if word != '--allow_root']
    done = call(bert.env, name, *words)
    assert done.returncode == 1
    said = done.stdout if name == 'recon-surf' else done.stderr
    program = Path({**MODULES, **SCRIPTS}[name]).name
    assert 'as root. We advice to avoid running FastSurfer' in said
    assert f'you may pass --allow_root to {program}.' in said
    assert not bert.folder.exists()


@pytest.mark.parametrize('name', ['asegdkt', 'cereb', 'hypothal'])
def test_weights_that_are_missing_cannot_be_fetched(name, tmp_path):
    head = Head(tmp_path, weights=False)
    done = head.call(name)
    assert done.returncode == 1
    assert '[WARNING: checkpoint.py:  359]: Server https://' in done.stdout
    last = done.stderr.splitlines()[-1]
    assert re.match(r'requests\.exceptions\.RequestException: Failed downloading .*_axial_', last)


def test_hypvinn_ends_well_after_an_error(bert):
    bert.call('asegdkt')
    bert.call('biasfield')
    done = bert.call('hypothal', **work(bert.root, {'hypothal': {'loses': 'no such luck'}}))
    assert done.returncode == 0
    assert '[ERROR: run_prediction.py:  404]: no such luck\nTraceback' in done.stdout
    assert not list(bert.folder.glob('mri/hypothalamus*'))
    assert bert.call('hypothal').returncode == 0
    assert len(list(bert.folder.glob('mri/hypothalamus*'))) == 2
    (bert.folder / 'mri/orig_nu.mgz').unlink()
    done = bert.call('hypothal')
    assert done.returncode == 0
    assert 'the t1 file does not exist' in done.stdout


def test_a_network_that_fails_leaves_no_segmentation(bert):
    done = bert.call('asegdkt', **work(bert.root, {'asegdkt.sagittal': {'fails': 1}}))
    assert done.returncode == 1
    assert 'Exception in batch 128 of sagittal inference.' in done.stdout
    assert 'Run axial' not in done.stdout
    assert done.stderr.endswith('cuDNN error: STAND_IN\n')
    assert not (bert.folder / 'mri/mask.mgz').exists()
    # Without memory it says so, and ends well.
    done = bert.call('asegdkt', **work(bert.root, {'asegdkt.sagittal': {'memory': True}}))
    assert done.returncode == 0
    assert '[CRITICAL: common.py:  165]: ERROR - INSUFFICIENT GPU MEMORY' in done.stdout
    assert not (bert.folder / 'mri/mask.mgz').exists()


def test_a_segmentation_that_is_too_small_is_warned_of(bert):
    done = bert.call('asegdkt', **work(bert.root, {'asegdkt': {'small': True}}))
    assert done.returncode == 0
    assert '[WARNING: run_prediction.py:  770]: Total segmentation volume is too' in done.stdout
    assert (bert.folder / 'mri/mask.mgz').exists()


@pytest.mark.parametrize('part', [f'asegdkt.{plane}' for plane in PLANES])
def test_a_plane_hangs_where_it_was_told_to(part, bert):
    mark = bert.root / 'mark'
    env = bert.env | work(bert.root, {part: {'hangs': str(mark)}})
    program = bert.root / 'fastsurfer' / MODULES['asegdkt']
    with subprocess.Popen(
        [program, *map(str, bert.words('asegdkt'))],
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_until(mark.exists, 20)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    runs = [line for line in told(deep(bert)) if line.startswith('Run ')]
    assert runs[-1] == f'Run {part.partition(".")[2]} prediction'
    assert truth(bert.root) == []


def deep(head: Head) -> str:
    return (head.folder / 'scripts/deep-seg.log').read_text()


def test_the_talairach_script_wants_a_log_that_is_there(bert):
    bert.call('asegdkt')
    bert.call('biasfield')
    done = call(bert.env, 'tal_reg', bert.folder / 'mri', 'false', bert.root / 'no.log')
    assert (done.returncode, 'must already exist' in done.stdout) == (1, True)
    done = call(bert.env, 'tal_reg', bert.folder / 'mri', 'perhaps', bert.image)
    assert (done.returncode, 'must be true or false' in done.stdout) == (1, True)
    assert bert.call('tal_reg').returncode == 0
    assert (bert.folder / 'mri/transforms/talairach_with_skull.lta').exists()


def test_what_costs_nothing_takes_no_time_to_speak_of(bert):
    assert bert.call('asegdkt').returncode == 0
    assert truth(bert.root)[0]['cpu_seconds'] < 0.2


# recon-surf ------------------------------------------------------------------------------


def test_banners_are_in_the_order_of_the_script(finished):
    head, printed = finished
    names = BANNER.findall((head.folder / 'scripts/recon-surf.log').read_text())
    assert names[:3] == [
        'Checking validity of inputs',
        'Creating orig and rawavg from input',
        'Computing Talairach Transform',
    ]
    lh, rh = ([name for name in names if f'surfaces {h} - ' in name] for h in ('lh', 'rh'))
    assert [name.replace(' lh ', ' rh ') for name in lh] == rh
    assert len(lh) == 7
    # In turn: no step of the right one before the last of the left.
    assert names.index(rh[0]) == names.index(lh[-1]) + 1
    assert names[-1] == 'DONE'
    # The script of a hemisphere is printed before it is run, and that is no banner.
    assert printed.count('Creating surfaces lh - fix =') == 2
    assert printed.index('echo "=================== Creating surfaces lh - fix') < printed.index(
        'RUNNING lh sequentially'
    )


def test_the_log_ends_as_the_real_one(finished):
    head, _ = finished
    lines = (head.folder / 'scripts/recon-surf.log').read_text().splitlines()
    assert lines[0] == 'Log file for recon-surf.sh'
    assert lines[-1].startswith('recon-surf.sh bert finished without error at ')
    assert [line.split()[0] for line in lines[-4:-1]] == ['Started', 'Ended', '#@#%#']
    done = (head.folder / 'scripts/recon-surf.done').read_text()
    assert '\nSUBJECT bert\nSTART_TIME ' in done
    assert (head.folder / 'scripts/recon-surf_times.yaml').exists()


def test_programs_are_timed_and_so_is_the_script_of_a_hemisphere(finished):
    _, printed = finished
    names = [name for name, *_ in FSTIME.findall(printed)]
    assert {'mri_cc', 'recon-all', 'recon_surf/sample_parc.py'} <= set(names)
    scripts = [name for name in names if name.endswith('.processing.cmdf')]
    assert [Path(name).name for name in scripts] == ['lh.processing.cmdf', 'rh.processing.cmdf']
    assert printed.count('@#@FSLOADPOST ') == len(names)
    assert printed.count('@#@FSLOADPRE ') < len(names), 'recon-all itself prints none'


def test_stages_of_recon_all_are_within(finished):
    _, printed = finished
    found = re.findall(r'^#@# (.*?) \w{3} \w{3} [ \d]\d ', printed, re.MULTILINE)
    assert found[:5] == [
        'Merge ASeg', 'Intensity Normalization2', 'Mask BFS', 'WM Segmentation', 'Fill',
    ]  # fmt: skip
    assert found.count('Fix Topology lh') == found.count('Fix Topology rh') == 1
    calls = [line for line in printed.splitlines() if line.startswith('recon-all -subject bert')]
    # Only calls for one hemisphere go past the lock.
    assert {'-no-isrunning' in line for line in calls if ' -hemi ' in line} == {True}
    assert {'-no-isrunning' in line for line in calls if ' -hemi ' not in line} == {False}


def test_it_does_not_begin_twice(finished):
    head, _ = finished
    done = head.call('recon-surf')
    assert done.returncode == 1
    assert 'ERROR: running on top of an existing subject directory!' in done.stdout


@pytest.mark.parametrize('name', ['wm.mgz', 'aparc.DKTatlas+aseg.orig.mgz'])
def test_one_file_of_an_earlier_call_is_enough_to_be_refused(name, tmp_path):
    head = Head(tmp_path).with_freesurfer().segment()
    (head.folder / 'mri' / name).touch()
    done = head.call('recon-surf')
    assert (done.returncode, 'from a previous invocation' in done.stdout) == (1, True)


def test_the_log_is_written_anew_at_each_start(tmp_path):
    head = Head(tmp_path).with_freesurfer().segment()
    fails = work(head.root, {'recon-surf.orig': {'fails': 3}})
    assert head.call('recon-surf', **fails).returncode == 1
    (head.folder / 'mri/aparc.DKTatlas+aseg.orig.mgz').unlink()
    assert head.call('recon-surf', **fails).returncode == 1
    log = (head.folder / 'scripts/recon-surf.log').read_text()
    assert log.count('Log file for recon-surf.sh') == 1
    assert log.count('Command exited with non-zero status 3\n@#@FSTIME ') == 1
    assert not (head.folder / 'scripts/recon-surf.done').exists()


def test_calls_that_are_refused(tmp_path):
    head = Head(tmp_path).segment()
    done = head.call('recon-surf', FREESURFER_HOME='')
    assert (done.returncode, 'Did not find $FREESURFER_HOME' in done.stdout) == (1, True)
    head.with_freesurfer('8.0.0')
    done = head.call('recon-surf')
    assert (done.returncode, 'with FreeSurfer version freesurfer-' in done.stdout) == (1, True)
    head.with_freesurfer()
    done = head.call('recon-surf', '--Fast')
    assert (done.returncode, done.stdout) == (1, 'ERROR: Flag --fast unrecognized.\n')
    done = head.call('recon-surf', '--t1', tmp_path / 'no.mgz')
    assert (done.returncode, f'ERROR: T1 image ({tmp_path}/no.mgz)' in done.stdout) == (1, True)
    done = head.call('recon-surf', '--sid', 'x' * 190)
    assert (done.returncode, 'path is very long' in done.stdout) == (1, True)
    (head.folder / 'mri/aparc.DKTatlas+aseg.deep.mgz').unlink()
    done = head.call('recon-surf')
    assert (done.returncode, 'could not be found!' in done.stdout) == (1, True)
    assert not (head.folder / 'scripts/recon-surf.log').exists()


def test_steps_and_stages_cost_what_was_asked(tmp_path):
    head = Head(tmp_path).with_freesurfer().segment()
    env = work(head.root, {'recon-surf.cc': {'cpu_seconds': 0.4, 'threads': 2}})
    env |= freesurfer_stand_in.work(head.root, {'fix_rh': {'cpu_seconds': 0.5}})
    done = head.call('recon-surf', '--threads', 2, **env)
    assert done.returncode == 0
    assert head.parts('recon-surf')['recon-surf.cc'] == pytest.approx(0.4, abs=ROUNDING)
    times = [(name, float(s) + float(u)) for name, _, s, u in FSTIME.findall(done.stdout)]
    assert max(seconds for name, seconds in times if name == 'mri_cc') > 0.17
    (fix,) = (one for one in freesurfer_stand_in.truth(head.root) if one.get('key') == 'fix_rh')
    assert fix['programs_cpu_seconds'] == pytest.approx(0.5, abs=ROUNDING)


def test_hemispheres_side_by_side_print_nothing(tmp_path):
    head = Head(tmp_path).with_freesurfer().segment()
    done = head.call('recon-surf', '--parallel')
    assert done.returncode == 0
    assert 'RUNNING HEMIs in PARALLEL' in done.stdout
    log = (head.folder / 'scripts/recon-surf.log').read_text()
    names = [name for name in BANNER.findall(log) if 'surfaces rh' in name]
    assert len(names) == 7
    assert [name for name in BANNER.findall(done.stdout) if 'surfaces rh' in name] == []
    assert not list(head.folder.glob('scripts/*.cmdf.log'))


def test_a_talairach_that_is_there_is_not_made_again(tmp_path):
    head = Head(tmp_path).with_freesurfer().segment()
    assert head.call('tal_reg').returncode == 0
    done = head.call('recon-surf')
    assert done.returncode == 0
    assert 'Computing Talairach' not in done.stdout


def test_what_was_killed_in_a_call_for_the_volume_leaves_a_lock(tmp_path):
    head = Head(tmp_path).with_freesurfer().segment()
    mark = tmp_path / 'mark'
    hang = head.env | freesurfer_stand_in.work(head.root, {'fill': {'hangs': str(mark)}})
    program = tmp_path / 'fastsurfer' / SCRIPTS['recon-surf']
    words = [program, *map(str, head.words('recon-surf'))]
    with subprocess.Popen(
        words, env={**os.environ, **hang}, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        wait_until(mark.exists, 20)
        os.killpg(process.pid, signal.SIGKILL)
    assert (head.folder / 'scripts/IsRunning.lh+rh').exists()
    for name in ('wm.mgz', 'aparc.DKTatlas+aseg.orig.mgz'):
        (head.folder / 'mri' / name).unlink()
    done = head.call('recon-surf')
    assert done.returncode == 1
    assert 'ERROR: it appears that recon-all is already running' in done.stdout
