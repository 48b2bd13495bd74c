"""The stand-in for FreeSurfer behaves like the real one, and knows what it costs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import zlib
from pathlib import Path

import pytest
from freesurfer_stand_in import STAMPS, call, install, truth, work

from nicarbon.stage import HEMIS, stages, versions

REAL = Path(__file__).parents[2] / 'shared/data/recon-all'
DATE = r'\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \w+ \d{4}'
MARKER = re.compile(rf'#@# (.*?) {DATE}$', re.MULTILINE)
STAMP = r'\d{4}(:\d\d){5}'
NUMBER = r'\d+\.\d\d'
LOAD = rf'{NUMBER} {NUMBER} {NUMBER}'
TIMES = rf'e {NUMBER} S {NUMBER} U {NUMBER} P \d+%'
COUNTS = r'M \d+ F \d+ R \d+ W \d+ c \d+ w \d+ I \d+ O \d+'
FORMS = (
    ('@#@FSTIME ', rf'@#@FSTIME  {STAMP} [\w.-]+ N \d+ {TIMES} {COUNTS} L {LOAD}'),
    ('@#@FSLOADPOST', rf'@#@FSLOADPOST {STAMP} [\w.-]+ N \d+ {LOAD}'),
    ('#@# Smooth1', rf'#@# Smooth1 [lr]h {DATE}'),
    ('#@# MotionCor', rf'#@# MotionCor {DATE}'),
    ('Started at', rf'Started at {DATE} ?'),
    ('Ended   at', rf'Ended   at {DATE}'),
    ('#@#%#', r'#@#%# recon-all-run-time-hours \d+\.\d{3}'),
    ('recon-all -s', rf'recon-all -s \w+ finished without error at {DATE}'),
    ('build-stamp', r'build-stamp.txt: freesurfer-linux-ubuntu22_x86_64-7.4.1-20230614-7eb8460'),
)
FSTIME = re.compile(r'^@#@FSTIME .* e ([\d.]+) S ([\d.]+) U ([\d.]+) ', re.MULTILINE)
MAPS = ('white curv', 'white area', 'pial curv', 'pial area', 'thickness', 'area and vertex vol')
ROUNDING = 0.03
"""Seconds that GNU time and the clock of the kernel may leave out of a program."""

real_logs = pytest.mark.skipif(not REAL.exists(), reason=f'no real logs of FreeSurfer in {REAL}')


@pytest.fixture
def fs(tmp_path):
    return install(tmp_path / 'freesurfer')


@pytest.fixture
def image(tmp_path):
    file = tmp_path / 'T1w.nii.gz'
    file.write_bytes(b'an image')
    return file


@pytest.fixture
def bert(fs, image):
    """A subject's folder after -autorecon1."""
    done = call(fs, '-s', 'bert', '-i', image, '-autorecon1')
    assert done.returncode == 0, done.stdout
    return Path(fs['SUBJECTS_DIR']) / 'bert'


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """An environment, and a subject's folder after -all."""
    folder = tmp_path_factory.mktemp('finished')
    env = install(folder / 'freesurfer')
    (folder / 'T1w.nii').write_bytes(b'an image')
    done = call(env | work(folder), '-s', 'bert', '-i', folder / 'T1w.nii', '-all')
    assert done.returncode == 0, done.stdout
    return env, folder / 'freesurfer/subjects/bert'


def log(subject: Path, name: str = 'recon-all.log') -> str:
    return (subject / 'scripts' / name).read_text('utf-8')


def markers(text: str) -> list[str]:
    return MARKER.findall(text)


def cut(names: list[str]) -> list[str]:
    """Without the maps, which every call prints."""
    return [name for name in names if not name.startswith(MAPS)]


@pytest.mark.slow
@pytest.mark.parametrize('version', ['6.0.1', '7.4.1'])
def test_stage_by_stage_is_the_same_as_at_once(tmp_path, image, version):
    env = install(tmp_path / 'freesurfer', version)
    subjects = Path(env['SUBJECTS_DIR'])
    assert call(env, '-s', 'whole', '-i', image, '-all').returncode == 0
    (tmp_path / 'expert').write_text('mris_make_surfaces -whiteonly\n')
    asked_for = ('-T2', '-FLAIR', '-T2pial', '-FLAIRpial', '')
    known = [stage.flag for stage in stages('freesurfer', int(version[0]))]
    flags = [('-i', image), *((flag,) for flag in dict.fromkeys(known) if flag not in asked_for)]
    for words in flags:
        more = ('-motioncor',) if words[0] == '-i' else ()
        expert = ('-expert', tmp_path / 'expert', '-xopts-overwrite')
        done = call(env, '-s', 'parts', *words, *more, *expert)
        assert done.returncode == 0, done.stdout
    whole, parts = subjects / 'whole', subjects / 'parts'
    assert cut(markers(log(parts)))[1:] == cut(markers(log(whole)))
    made = [{str(f.relative_to(s)) for f in s.rglob('*')} for s in (whole, parts)]
    assert {name for name in made[1] ^ made[0] if 'scripts' not in name} == set()


@pytest.mark.parametrize('version', STAMPS)
def test_every_known_version_runs_to_its_end(tmp_path, image, version):
    if version[0] not in versions('freesurfer'):
        pytest.skip(f'no stages of FreeSurfer {version[0]} in the table')
    env = install(tmp_path / 'freesurfer', version)
    done = call(env, '-s', 'bert', '-i', image, '-all', '-threads', '2')
    assert done.returncode == 0, done.stdout
    subject = Path(env['SUBJECTS_DIR']) / 'bert'
    for stage in stages('freesurfer', int(version[0])):
        if not stage.flag.startswith(('-T2', '-FLAIR')):
            assert [
                name for name in stage.makes if not (subject / stage.path(name)).exists()
            ] == []
    assert call(env, '-version').stdout == f'{STAMPS[version]}\n'


def test_argument_order_does_not_matter(fs, bert):
    assert call(fs, '-canorm', '-gcareg', '-s', 'bert').returncode == 0
    assert markers(log(bert))[-2:] == ['EM Registration', 'CA Normalize']


@real_logs
def test_order_is_that_of_a_real_run(finished):
    _, subject = finished
    real = (REAL / '7.4.1/recon-all.cmd').read_text('utf-8').split('# New invocation')[1]
    assert markers(log(subject)) == markers(real)
    assert markers(log(subject, 'recon-all.cmd')) == markers(real)
    real = (REAL / '7.4.1/recon-all-status.log').read_text('utf-8').split('#New#')[0]
    assert markers(log(subject, 'recon-all-status.log')) == markers(real)


@real_logs
@pytest.mark.parametrize(('start', 'form'), FORMS)
def test_lines_have_the_form_of_real_ones(finished, start, form):
    _, subject = finished
    for text in (log(subject), (REAL / '7.4.1/recon-all.log').read_text('utf-8')):
        lines = [line for line in text.splitlines() if line.startswith(start)]
        assert lines
        assert [line for line in lines if not re.fullmatch(form, line)] == []


@real_logs
def test_done_file_has_the_fields_of_a_real_one(finished):
    _, subject = finished
    fields = [
        [line.split()[0] for line in text.splitlines()]
        for text in (log(subject, 'recon-all.done'), (REAL / '7.4.1/recon-all.done').read_text())
    ]
    assert fields[0] == fields[1]


def test_version_6_does_not_measure_unless_asked(tmp_path, image):
    env = install(tmp_path / 'freesurfer', '6.0.1')
    assert call(env, '-s', 'bert', '-i', image, '-motioncor').returncode == 0
    subject = Path(env['SUBJECTS_DIR']) / 'bert'
    assert not FSTIME.search(log(subject))
    assert call(env, '-s', 'bert', '-motioncor', '-time').returncode == 0
    assert FSTIME.search(log(subject))
    assert '\nNew invocation of recon-all \n' in log(subject)


def test_white_of_version_6_makes_the_pial_surface_too_unless_kept_from_it(tmp_path, image):
    env = install(tmp_path / 'freesurfer', '6.0.1')
    (tmp_path / 'expert').write_text('mris_make_surfaces -whiteonly\n')
    subject = Path(env['SUBJECTS_DIR']) / 'bert'
    before = ('-s', 'bert', '-i', image, '-autorecon1', '-autorecon2', '-nowhite', '-nosmooth2')
    before += ('-noinflate2', '-nocurvHK', '-nocurvstats')
    assert call(env, *before).returncode == 0
    assert call(env, '-s', 'bert', '-white', '-expert', tmp_path / 'expert').returncode == 0
    assert not (subject / 'surf/lh.pial').exists()
    assert call(env, '-s', 'bert', '-white', '-xopts-clean').returncode == 0
    assert (subject / 'surf/lh.pial').exists()


def test_times_in_the_log_are_the_truth(fs, bert, tmp_path):
    size = {'cpu_seconds': 0.3, 'memory_mb': 60}
    env = fs | work(tmp_path, {'gcareg': size, 'skullstrip': {'cpu_seconds': 0.2}})
    before = len(FSTIME.findall(log(bert)))
    assert call(env, '-s', 'bert', '-skullstrip', '-gcareg').returncode == 0
    times = [[float(number) for number in line] for line in FSTIME.findall(log(bert))[before:]]
    told = {entry.get('key', 'call'): entry for entry in truth(tmp_path)}
    assert told['gcareg']['programs_cpu_seconds'] == pytest.approx(0.3, abs=ROUNDING)
    assert told['skullstrip']['programs_cpu_seconds'] == pytest.approx(0.2, abs=2 * ROUNDING)
    used = sum(system + user for _, system, user in times)
    assert used == pytest.approx(told['call']['programs_cpu_seconds'], abs=ROUNDING * len(times))
    assert told['call']['cpu_seconds'] > told['call']['programs_cpu_seconds']
    assert told['call']['keys'] == ['skullstrip', 'gcareg']
    assert int(re.findall(r' M (\d+) ', log(bert))[-1]) > 60 * 1024


def test_threads_burn_at_once_and_no_more_than_allowed(fs, bert, tmp_path):
    env = fs | work(tmp_path, {'gcareg': {'cpu_seconds': 0.6, 'threads': 2}})
    assert call(env, '-s', 'bert', '-gcareg', '-threads', '2').returncode == 0
    assert call(env, '-s', 'bert', '-gcareg').returncode == 0
    two, one = [entry for entry in truth(tmp_path) if entry['kind'] == 'stage']
    assert (two['threads'], one['threads']) == (2, 1)
    for entry in (one, two):
        assert entry['programs_cpu_seconds'] == pytest.approx(0.6, abs=ROUNDING)
    assert one['wall'] > 0.55
    if len(os.sched_getaffinity(0)) > 1 and os.getloadavg()[0] < 1:
        assert two['wall'] < 0.55


def test_programs_are_processes_with_names_of_their_own(fs, bert, tmp_path):
    env = fs | work(tmp_path, {'fill': {'hangs': True}})
    assert call(env, '-s', 'bert', '-autorecon2', '-nofill', '-notessellate').returncode == 1
    process = hanging(env, bert / 'mri/filled.mgz', '-s', 'bert', '-fill')
    names = subprocess.run(
        ['ps', '--no-headers', '-o', 'comm', '--ppid', str(process.pid)],
        capture_output=True,
        text=True,
    ).stdout.split()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert sorted(names) == ['mri_fill', 'tee']


def hanging(env, output: Path, *words) -> subprocess.Popen[bytes]:
    """A call that has begun to write a file, and will not end."""
    process = subprocess.Popen(
        [Path(env['FREESURFER_HOME']) / 'bin/recon-all', *words],
        env=env,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 20
    while not (output.exists() and output.stat().st_size) and time.monotonic() < end:
        time.sleep(0.01)
    return process


def test_one_that_is_killed_leaves_half_a_file_and_its_lock(fs, bert, tmp_path):
    output = bert / 'mri/norm.mgz'
    assert call(fs, '-s', 'bert', '-gcareg').returncode == 0
    process = hanging(
        fs | work(stages={'canorm': {'hangs': True}}), output, '-s', 'bert', '-canorm'
    )
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    with pytest.raises(zlib.error):
        zlib.decompress(output.read_bytes(), 31)
    assert not (bert / 'touch/ca_normalize.touch').exists()
    assert not (bert / 'scripts/recon-all.done').exists()
    again = call(fs, '-s', 'bert', '-canorm')
    assert again.returncode == 1
    assert 'ERROR: it appears that recon-all is already running' in again.stdout
    assert f'PROCESSID {process.pid} \n' in again.stdout
    assert call(fs, '-s', 'bert', '-canorm', '-no-isrunning').returncode == 0
    assert zlib.decompress(output.read_bytes(), 31)
    assert (bert / 'scripts/IsRunning.lh+rh').exists()


@pytest.mark.parametrize('how', [{'fails': 3}, {'dies': signal.SIGSEGV}])
def test_a_stage_that_goes_wrong_ends_the_call(fs, bert, tmp_path, how):
    env = fs | work(tmp_path, {'gcareg': {'cpu_seconds': 0.1, **how}})
    done = call(env, '-s', 'bert', '-autorecon2')
    assert done.returncode == 1
    assert 'recon-all -s bert exited with ERRORS at' in done.stdout
    assert log(bert, 'recon-all.done') == '1\n'
    assert '\nCMD mri_em_register ' in log(bert, 'recon-all.error')
    assert 'exited with ERRORS' in log(bert, 'recon-all-status.log')
    assert not list((bert / 'scripts').glob('IsRunning*'))
    assert not (bert / 'touch/em_register.touch').exists()
    *_, stage, whole = truth(tmp_path)
    assert (stage['key'], stage['code'], whole['code']) == ('gcareg', 1, 1)
    assert stage['programs_cpu_seconds'] == pytest.approx(0.05, abs=ROUNDING)
    assert call(fs, '-s', 'bert', '-gcareg').returncode == 0
    assert not (bert / 'scripts/recon-all.error').exists()


def test_what_a_stage_needs_must_be_there(fs, bert):
    done = call(fs, '-s', 'bert', '-smooth1', '-hemi', 'lh')
    assert done.returncode == 1
    assert f'ERROR: could not read {bert}/surf/lh.orig.nofix' in done.stdout
    assert 'ERROR: no run data found' in unrun(fs, 'empty', '-motioncor')


def unrun(fs, subject, *words) -> str:
    (Path(fs['SUBJECTS_DIR']) / subject).mkdir()
    return call(fs, '-s', subject, *words).stdout


@pytest.mark.parametrize('place', ['', 'license.txt', '.license', 'FS_LICENSE'])
def test_nothing_is_read_without_a_licence(tmp_path, image, place):
    env = install(tmp_path / 'freesurfer', licensed=False)
    file = tmp_path / 'licence' if place == 'FS_LICENSE' else tmp_path / 'freesurfer' / place
    if place:
        file.write_text('stand-in')
    if place == 'FS_LICENSE':
        env[place] = str(file)
    done = call(env, '-s', 'bert', '-i', image, '-motioncor')
    said = f'ERROR: FreeSurfer license file {tmp_path}/freesurfer/license.txt not found.\n'
    assert (done.returncode, said in done.stdout) == ((0, False) if place else (1, True))


def test_calls_that_are_refused(fs, bert, image, tmp_path):
    for words, said in (
        (
            ('-s', 'bert', '-i', image, '-all'),
            'ERROR: You are trying to re-run an existing subject',
        ),
        (('-s', 'nobody', '-all'), f'ERROR: cannot find {bert.parent}/nobody'),
        (('-s', 'new', '-i', 'nothing.nii', '-all'), 'ERROR: cannot find nothing.nii'),
        (('-s', 'bert', '-all', '-quickly'), 'ERROR: Flag -quickly unrecognized.\n-s bert -all'),
        (('-s', 'bert', '-all', '-hemi', 'xh'), 'ERROR: hemi = xh, must be either lh or rh'),
        (('-s', 'bert', '-all', '-hemi'), 'ERROR: flag -hemi requires one argument'),
        (('-s', 'bert'), 'ERROR: nothing to do.'),
        (('-all',), 'ERROR: must specify a subject id'),
        (('-s', 'bert', '-all', '-sd', tmp_path / 'no'), 'does not exist.'),
        (('-s', 'bert', '-T2pial', '-FLAIRpial'), 'Cannot specify both T2 and FLAIR'),
        ((), 'USAGE: recon-all'),
    ):
        done = call(fs, *words)
        assert done.returncode == 1
        assert said in done.stdout
    del fs['FREESURFER_HOME']
    done = subprocess.run([bert.parents[1] / 'bin/recon-all', '-all'], env=fs, capture_output=True)
    assert (done.returncode, done.stdout) == (1, b'FREESURFER_HOME: Undefined variable.\n')


def test_expert_options_stay_and_are_not_replaced_by_chance(fs, bert, tmp_path):
    (tmp_path / 'expert').write_text('mri_em_register -tol 1\n')
    words = ('-s', 'bert', '-gcareg', '-expert', tmp_path / 'expert')
    assert 'mri_em_register --threads 1 -tol 1 ' in call(fs, *words).stdout
    done = call(fs, *words)
    assert done.returncode == 1
    assert 'ERROR: there is a pre-existing expert options file and' in done.stdout
    assert call(fs, *words, '-xopts-overwrite').returncode == 0
    assert '-tol 1' in call(fs, '-s', 'bert', '-gcareg').stdout
    assert '-tol 1' not in call(fs, '-s', 'bert', '-gcareg', '-xopts-clean').stdout


def test_labels_drag_in_what_belongs_to_them(finished, tmp_path):
    env, subject = finished
    before = len(markers(log(subject)))
    env = env | work(tmp_path, {'calabel': {'cpu_seconds': 0.2}})
    assert call(env, '-s', 'bert', '-calabel').returncode == 0
    assert markers(log(subject))[before:][:3] == ['SubCort Seg', 'CC Seg', 'Merge ASeg']
    told = truth(tmp_path)[0]
    assert told['key'] == 'calabel'
    assert told['programs_cpu_seconds'] == pytest.approx(0.2, abs=2 * ROUNDING)


def test_maps_are_made_anew_only_of_new_surfaces(finished, tmp_path):
    env, subject = finished
    done = call(env, '-s', 'bert', '-curvstats', '-hemi', 'lh')
    assert markers(done.stdout) == [*(f'{name} lh' for name in MAPS), 'Curvature Stats lh']
    assert done.stdout.count('   Update not needed') == 6
    (subject / 'surf/lh.white').touch()
    done = call(env, '-s', 'bert', '-curvstats', '-hemi', 'lh')
    assert done.stdout.count('   Update not needed') == 2
    assert str((subject / 'surf/lh.pial').readlink()) == 'lh.pial.T1'


def test_brain_volumes_are_made_for_those_that_need_them(finished):
    env, subject = finished
    (subject / 'stats/brainvol.stats').unlink()
    assert call(env, '-s', 'bert', '-apas2aseg').returncode == 0
    assert not (subject / 'stats/brainvol.stats').exists()
    assert call(env, '-s', 'bert', '-segstats').returncode == 0
    assert (subject / 'stats/brainvol.stats').exists()


def test_a_second_image_refines_the_pial_surface(tmp_path, image):
    env = install(tmp_path / 'freesurfer')
    done = call(env, '-s', 'bert', '-i', image, '-i', image, '-T2', image, '-all')
    assert done.returncode == 0, done.stdout
    subject = Path(env['SUBJECTS_DIR']) / 'bert'
    assert (subject / 'mri/orig/002.mgz').exists()
    assert 'mri_robust_template ' in done.stdout
    assert str((subject / 'surf/rh.pial').readlink()) == 'rh.pial.T2'
    names = markers(done.stdout)
    refined = names.index('Refine Pial Surfs w/ T2/FLAIR')
    assert names[0] == 'T2/FLAIR Input'
    assert names[refined + 1 : refined + 3] == ['MMPialSurf lh', 'MMPialSurf rh']


def test_both_hemispheres_at_once(finished, tmp_path):
    env, subject = finished
    env = env | work(tmp_path, cpu_seconds=0.2)
    before = len(FSTIME.findall(log(subject)))
    recon_all = Path(env['FREESURFER_HOME']) / 'bin/recon-all'
    halves = [
        subprocess.Popen(
            [recon_all, '-s', 'bert', '-smooth1', '-inflate1', '-hemi', hemi, '-no-isrunning'],
            env=env,
            stdout=subprocess.DEVNULL,
        )
        for hemi in HEMIS
    ]
    assert [half.wait() for half in halves] == [0, 0]
    assert len(FSTIME.findall(log(subject))) == before + 4
    keys = {entry['key'] for entry in truth(tmp_path) if 'key' in entry}
    assert {'smooth1_lh', 'smooth1_rh', 'inflate1_lh', 'inflate1_rh'} <= keys
    assert 'recon-all -s bert finished without error at' in log(subject).splitlines()[-1]


def test_nothing_is_done_when_told_not_to(fs, bert):
    done = call(fs, '-s', 'bert', '-gcareg', '-dontrun')
    assert done.returncode == 0
    assert '\n mri_em_register ' in done.stdout
    assert not (bert / 'mri/transforms/talairach.lta').exists()


def test_a_half_of_its_own_has_its_own_books(finished):
    env, subject = finished
    assert call(env, '-s', 'bert', '-autorecon-hemi', 'rh').returncode == 0
    names = markers(log(subject, 'recon-all-rh.log'))
    assert names[0] == 'Tessellate rh'
    assert 'Cortical ribbon mask' not in names
    assert (subject / 'scripts/recon-all-status-rh.log').exists()


def test_what_the_user_threw_away_is_in_the_trash(finished):
    env, subject = finished
    assert call(env, '-s', 'bert', '-clean', '-maskbfs').returncode == 1
    assert (subject / 'trash/brainmask.mgz').exists()
    (subject / 'trash/brainmask.mgz').rename(subject / 'mri/brainmask.mgz')


def test_start_up_costs_what_was_asked(tmp_path, image):
    env = install(tmp_path / 'fs', startup_seconds=0.2, startup_cpu_seconds=0.3)
    assert call(env | work(tmp_path), '-s', 'bert', '-i', image, '-motioncor').returncode == 0
    whole = truth(tmp_path)[-1]
    assert whole['cpu_seconds'] - whole['programs_cpu_seconds'] > 0.3
    assert whole['wall'] > 0.4


def test_what_costs_nothing_takes_no_time_to_speak_of(fs, bert, tmp_path):
    assert call(fs | work(tmp_path), '-s', 'bert', '-gcareg').returncode == 0
    assert truth(tmp_path)[-1]['cpu_seconds'] < 0.2
