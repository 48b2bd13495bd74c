"""FreeSurfer: what is known of it, and what is refused before any work starts."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import freesurfer_stand_in as stand_in
import laboratory
import nibabel as nib
import numpy as np
import pytest
from command import nicarbon

from nicarbon import freesurfer, progress
from nicarbon.errors import InputError, StageError, UnavailableError, UsageError
from nicarbon.freesurfer import selected
from nicarbon.interfaces import freesurfer as interfaces
from nicarbon.readers.freesurfer import output as recon_all
from nicarbon.stage import HEMIS, find_stage, stages, variants, versions
from nicarbon.workflows.freesurfer import init_freesurfer_wf

LOGS = Path(__file__).parents[2] / 'shared' / 'data' / 'recon-all'
VERSIONS = tuple(map(int, versions('freesurfer')))
CLASSES = [name for name in interfaces.__all__ if name != 'Directive']


# The table -------------------------------------------------------------------------------


@pytest.mark.parametrize('version', VERSIONS)
def test_every_file_that_a_stage_needs_was_made_by_one_before_it(version):
    made = {'mri/orig/001.mgz'}
    for stage in stages('freesurfer', version):
        assert {stage.path(name) for name in stage.needs} <= made, stage.key
        made |= {stage.path(name) for name in stage.makes}


@pytest.mark.parametrize('version', VERSIONS)
def test_no_stage_needs_what_a_later_one_makes_again(version):
    """Its input would be newer than itself for ever, and it would be run again."""
    table = stages('freesurfer', version)
    for number, stage in enumerate(table):
        needed = {stage.path(name) for name in stage.needs}
        for later in table[number + 1 :]:
            again = needed & {later.path(name) for name in later.makes}
            assert not again, (stage.key, later.key, again)


@pytest.mark.parametrize('version', VERSIONS)
def test_every_stage_has_a_name_a_flag_and_a_class_of_its_own(version):
    table = stages('freesurfer', version)
    assert len({stage.key for stage in table}) == len(table) > 65
    flags = {(stage.flag, stage.hemi) for stage in table}
    assert len(flags) == len(table)
    classes = {interfaces.of_stage(stage.name) for stage in table}
    assert len(classes) == len({stage.name for stage in table})


def test_versions_choose_rows():
    assert find_stage('freesurfer', 'white', version=6).makes[0] == 'white_preaparc'
    assert find_stage('freesurfer', 'white', version=7).makes[0] == 'white'
    with pytest.raises(UsageError, match='5: those of 6'):
        stages('freesurfer', 5)


@pytest.mark.parametrize(
    ('version', 'folder', 'elsewhere'),
    # fMRIPrep, which ran the one of 6.0.1, extracts the brain itself.
    [(7, '7.4.1', set()), (6, '6.0.1', {'Skull Stripping'})],
)
def test_real_logs_show_the_markers_and_programs_of_the_table(version, folder, elsewhere):
    if not LOGS.exists():
        pytest.skip(f'no real logs in {LOGS}')
    text = '\n'.join(
        path.read_text(errors='replace') for path in (LOGS / folder).glob('recon-all*.log')
    )
    titles = {stage.title for stage in selected(version)}
    assert {title for title in titles if f'#@# {title} ' not in text} == {'Input', *elsewhere}
    for stage in selected(version):
        assert any(name in text for name in stage.binaries), stage.key


# Its own words ---------------------------------------------------------------------------


def test_commands_of_a_real_log():
    if not LOGS.exists():
        pytest.skip(f'no real logs in {LOGS}')
    text = (LOGS / '7.4.1' / 'recon-all.log').read_text(errors='replace')
    found = recon_all.commands(text)
    assert len(found) == text.count('@#@FSTIME') == 366
    # The machine slept over a weekend; the CPU did not.
    longest = max(found, key=lambda command: command.seconds)
    assert (longest.name, longest.seconds) == ('mris_sphere', 233647.86)
    assert longest.cpu_seconds == pytest.approx(518.1, abs=1)


def test_stages_of_a_real_log():
    if not LOGS.exists():
        pytest.skip(f'no real logs in {LOGS}')
    text = (LOGS / '7.4.1' / 'recon-all.log').read_text(errors='replace')
    keys = [part.name for part in recon_all.parts(text, stages('freesurfer', 7))]
    first = list(dict.fromkeys(keys))
    assert first == [stage.key for stage in selected(7) if stage.key != 'input']


def test_a_marker_that_several_stages_print_is_that_of_one_that_runs():
    line = '#@# {} Fri Jun  7 09:46:41 CEST 2024'
    text = '\n'.join(
        map(line.format, ['T2/FLAIR Input', 'MotionCor', 'T1PialSurf lh', 'thickness lh'])
    )
    keys = [part.name for part in recon_all.parts(text, selected(7, second='T2'))]
    assert keys == ['t2-input', 'motioncor', 'pial_lh']
    keys = [part.name for part in recon_all.parts(line.format('Surf Volume lh'), selected(6))]
    assert keys == ['pial_lh']


def test_programs_of_one_second_follow_one_another():
    line = '@#@FSTIME  2024:01:01:10:00:00 {} N 1 e {} S 0.0 U 0.1 P 9% M 1024 F 0'
    text = '\n'.join([line.format('a', 0.25), line.format('b', 0.5), line.format('c', 0.1)])
    starts = [command.start for command in recon_all.commands(text)]
    assert np.diff(starts).tolist() == [0.25, 0.5]


# Classes ---------------------------------------------------------------------------------


@pytest.mark.parametrize('name', CLASSES)
def test_a_class_is_real(name, tmp_path):
    kind = getattr(interfaces, name)
    assert kind.__module__ == 'nicarbon.interfaces.freesurfer'
    assert inspect.getdoc(kind).splitlines()[0].endswith(').')
    made = kind(subject_id='bert', subjects_dir=str(tmp_path))
    assert type(pickle.loads(pickle.dumps(made))) is kind
    assert kind.stage_name
    assert '# Inputs' not in kind.help(returnhelp=True)


@pytest.mark.parametrize('version', VERSIONS)
def test_calls_of_all_stages(version, tmp_path, monkeypatch):
    names = {6: '6.0.1', 7: '7.4.1', 8: '8.0.0'}
    home = tmp_path / 'home'
    for name, value in stand_in.install(home, names[version]).items():
        monkeypatch.setenv(name, value)
    for stage in selected(version):
        made = interfaces.of_stage(stage.name)(subject_id='bert', subjects_dir=str(tmp_path))
        hemi = ''
        if stage.hemi:
            made.inputs.hemi, hemi = stage.hemi, f' -hemi {stage.hemi}'
        if stage.name == 'input':
            image = tmp_path / 'image.nii'
            image.touch()
            made.inputs.T1_files = [str(image), str(image)]
            assert f' -i {image} -i {image} ' in made.cmdline
            continue
        expert = ' -expert expert.opts -xopts-overwrite' if stage.expert else ''
        flags = ' '.join([*stage.always, stage.flag])
        assert made.cmdline == (
            f'recon-all -s bert -sd {tmp_path} {flags}{hemi} -threads 1 -itkthreads 1'
            f'{expert} -no-isrunning'
        )
        outputs = made._list_outputs()
        assert {name for name in stage.makes if outputs[name]} == set(stage.makes)


def test_all_variants_of_a_stage_are_one_class():
    traits = interfaces.White.input_spec().copyable_trait_names()
    needs = {name for row in variants('freesurfer', 'white') for name in row.needs}
    assert needs <= set(traits)


@pytest.fixture
def bert(tmp_path, monkeypatch):
    """A stand-in that is the installed FreeSurfer, an image, and a folder for subjects."""
    for name, value in stand_in.install(tmp_path / 'home').items():
        monkeypatch.setenv(name, value)
    image = tmp_path / 'T1w.nii.gz'
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), 'i2'), np.eye(4)), image)
    subjects = tmp_path / 'subjects'
    subjects.mkdir()
    monkeypatch.chdir(tmp_path)
    return {'subject_id': 'bert', 'subjects_dir': str(subjects)}, image


def test_one_stage_alone(bert):
    who, image = bert
    interfaces.Input(**who, T1_files=[str(image)]).run()
    done = interfaces.MotionCor(**who).run()
    assert Path(done.outputs.orig).is_file()
    assert done.outputs.orig.endswith('subjects/bert/mri/orig.mgz')


def test_a_failing_stage_says_why_in_one_line(bert):
    who, image = bert
    interfaces.Input(**who, T1_files=[str(image)]).run()
    with pytest.raises(StageError) as told:
        interfaces.Talairach(**who).run()
    assert '\n' not in str(told.value)
    assert 'orig.mgz' in str(told.value)
    assert str(told.value).endswith('scripts/recon-all.log)')


def test_what_is_through_is_not_run_again(bert):
    who, image = bert
    folder = Path(who['subjects_dir'], 'bert')
    interfaces.Input(**who, T1_files=[str(image)]).run()
    for _ in range(2):
        interfaces.MotionCor(**who).run()
    log = (folder / 'scripts' / 'recon-all.log').read_text()
    assert log.count('#@# MotionCor') == 1
    # What it needs has changed: it is run again.
    later = time.time() + 10
    os.utime(folder / 'mri' / 'orig' / '001.mgz', (later, later))
    interfaces.MotionCor(**who).run()
    assert (folder / 'scripts' / 'recon-all.log').read_text().count('#@# MotionCor') == 2


def test_an_import_that_was_cut_off_is_begun_anew(bert):
    who, image = bert
    folder = Path(who['subjects_dir'], 'bert')
    progress.begin_import(folder)
    cut = folder / 'mri' / 'orig'
    cut.mkdir(parents=True)
    (cut / '001.mgz').write_bytes(b'half')
    interfaces.Input(**who, T1_files=[str(image)]).run()
    assert (cut / '001.mgz').read_bytes() != b'half'
    assert [path.name for path in folder.parent.iterdir()] == ['bert']


@pytest.mark.parametrize('name', ['mri/brainmask.mgz', 'func/bold.nii.gz', 'mri/orig/mine.mgz'])
def test_a_folder_of_somebody_is_not_touched(name, bert):
    who, image = bert
    theirs = Path(who['subjects_dir'], 'bert', name)
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b'the work of a week')
    with pytest.raises(InputError, match='nicarbon did not begin it'):
        interfaces.Input(**who, T1_files=[str(image)]).run()
    assert theirs.read_bytes() == b'the work of a week'


def test_images_are_told_apart_by_what_they_hold(bert):
    who, image = bert
    interfaces.Input(**who, T1_files=[str(image)]).run()
    interfaces.MotionCor(**who).run()
    # A copy, or a later date, is the same image.
    copy = image.with_name('copy.nii.gz')
    copy.write_bytes(image.read_bytes())
    interfaces.Input(**who, T1_files=[str(copy)]).run()
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), 'i2'), np.eye(4)), image)
    os.utime(image, (1, 1))
    with pytest.raises(InputError, match='other images'):
        interfaces.Input(**who, T1_files=[str(image)]).run()


def test_what_somebody_mends_after_a_failure_is_kept(bert, monkeypatch):
    who, image = bert
    folder = Path(who['subjects_dir'], 'bert')
    interfaces.Input(**who, T1_files=[str(image)]).run()
    interfaces.MotionCor(**who).run()
    work = stand_in.work(None, {'talairach': {'fails': 1}})
    monkeypatch.setenv('FREESURFER_STAND_IN', work['FREESURFER_STAND_IN'])
    with pytest.raises(StageError):
        interfaces.Talairach(**who).run()
    mended = folder / 'mri' / 'transforms' / 'talairach.xfm'
    mended.write_bytes(b'by hand')
    progress.begin(find_stage('freesurfer', 'talairach', version=7), folder)
    assert mended.read_bytes() == b'by hand'


def test_modifiers_are_those_of_the_import(bert):
    who, image = bert
    interfaces.Input(**who, T1_files=[str(image)], flags=['-3T']).run()
    interfaces.MotionCor(**who, flags=['-3T']).run()
    with pytest.raises(InputError, match='begun with the flags -3T, not none'):
        interfaces.Talairach(**who).run()


def test_what_was_cut_off_is_made_anew_and_edits_are_kept(bert):
    who, image = bert
    folder = Path(who['subjects_dir'], 'bert')
    interfaces.Input(**who, T1_files=[str(image)]).run()
    stage = find_stage('freesurfer', 'motioncor')
    edited = folder / 'mri' / 'rawavg.mgz'
    edited.write_bytes(b'edited')
    os.utime(edited, (time.time() - 100,) * 2)
    progress.begin(stage, folder)
    half = folder / 'mri' / 'orig.mgz'
    half.write_bytes(b'half')
    assert not progress.finished(stage, folder)
    progress.begin(stage, folder)
    assert not half.exists()
    assert (folder / 'trash' / 'orig.mgz').read_bytes() == b'half'
    assert edited.read_bytes() == b'edited'
    interfaces.MotionCor(**who).run()
    assert progress.finished(stage, folder)


def test_a_subject_that_somebody_began_is_gone_on_with_again_and_again(bert):
    who, image = bert
    folder = Path(who['subjects_dir'], 'bert')
    stand_in.call(os.environ, '-s', 'bert', '-sd', who['subjects_dir'], '-i', image, '-motioncor')
    for _ in range(2):
        for kind in (interfaces.Input, interfaces.MotionCor, interfaces.Talairach):
            given = {'T1_files': [str(image)]} if kind is interfaces.Input else {}
            kind(**who, **given).run()
        interfaces.TalCheck(**who).run()
    log = (folder / 'scripts' / 'recon-all.log').read_text()
    assert log.count('#@# MotionCor') == 1
    assert log.count('#@# Talairach Failure') == 1


# The graph -------------------------------------------------------------------------------


@pytest.mark.parametrize('version', VERSIONS)
def test_the_graph_keeps_the_order_of_each_lane(version):
    graph = init_freesurfer_wf(subject='01', version=version)._graph
    names = {node.name: node for node in graph.nodes()}
    for lane in ('', *HEMIS):
        own = [stage for stage in selected(version) if stage.hemi == lane]
        for first, second in pairwise(own):
            a, b = (names[_node_name(stage.key)] for stage in (first, second))
            assert _reaches(graph, a, b), (first.key, second.key)


def test_hemispheres_go_side_by_side():
    graph = init_freesurfer_wf(subject='01', version=7)._graph
    names = {node.name: node for node in graph.nodes()}
    assert not _reaches(graph, names['sphere_lh'], names['sphere_rh'])
    # Both write the colour tables of the subject.
    graph = init_freesurfer_wf(subject='01', version=6)._graph
    names = {node.name: node for node in graph.nodes()}
    assert _reaches(graph, names['balabels_lh'], names['balabels_rh'])


@pytest.mark.parametrize('second', ['T2', 'FLAIR'])
@pytest.mark.parametrize('version', VERSIONS)
def test_what_follows_the_surfaces_waits_for_the_second_image(version, second):
    graph = init_freesurfer_wf(subject='01', version=version, second=second)._graph
    names = {node.name: node for node in graph.nodes()}
    assert _reaches(graph, names[f'{second.lower()}_input'], names[f'{second}pial'])
    for before in ('pial_lh', 'pial_rh'):
        assert _reaches(graph, names[before], names[f'{second}pial'])
    after = ['cortribbon', 'pctsurfcon_lh', 'pctsurfcon_rh', 'aparc2aseg', 'segstats']
    for name in after:
        assert _reaches(graph, names[f'{second}pial'], names[name]), name


def test_ends_are_those_of_the_structural_workflow():
    from nicarbon.workflows.structural import init_structural_wf

    ours = init_freesurfer_wf(subject='01', version=7)
    theirs = init_structural_wf(subject='01')
    for end in ('inputnode', 'outputnode'):
        fields = [set(one.get_node(end).interface._fields) for one in (theirs, ours)]
        assert fields[0] <= fields[1]


def _node_name(key: str) -> str:
    return key.replace('-', '_')


def _reaches(graph, a, b) -> bool:
    import networkx as nx

    return nx.has_path(graph, a, b)


# The command -----------------------------------------------------------------------------


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return laboratory.make_dataset(tmp_path_factory.mktemp('bids'))


def refused(dataset: Path, tmp_path: Path, env: dict[str, str], *words: object) -> tuple[int, str]:
    """Exit code and the only line of what must not start any work."""
    return laboratory.refused('freesurfer', dataset, tmp_path, env, *words)


def test_no_freesurfer(dataset, tmp_path):
    code, line = refused(dataset, tmp_path, {'FREESURFER_HOME': ''})
    assert code == 69
    assert 'FREESURFER_HOME is not set: install FreeSurfer' in line
    code, line = refused(dataset, tmp_path, {'FREESURFER_HOME': str(tmp_path / 'none')})
    assert code == 69
    assert 'is not a program' in line


def test_no_licence(dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home', licensed=False)
    code, line = refused(dataset, tmp_path, env)
    assert code == 69
    assert '--fs-license-file' in line
    missing = tmp_path / 'missing.txt'
    assert refused(dataset, tmp_path, env, '--fs-license-file', missing) == (
        66,
        f'nicarbon: error: --fs-license-file {missing}: no such file',
    )


def test_a_licence_that_the_environment_names_must_be_there(dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home') | {'FS_LICENSE': str(tmp_path / 'gone.txt')}
    code, line = refused(dataset, tmp_path, env)
    assert code == 69
    assert 'gone.txt: no such file' in line


@pytest.mark.parametrize('stamp', ['freesurfer-Linux-centos6_x86_64-stable-pub-v5.3.0', 'dev'])
def test_a_version_whose_stages_are_not_known(stamp, dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home')
    (tmp_path / 'home' / 'build-stamp.txt').write_text(stamp)
    code, line = refused(dataset, tmp_path, env)
    assert code == 69
    assert stamp in line
    assert '7.x' in line


@pytest.mark.parametrize('program', ['tcsh', 'bc'])
def test_a_program_of_the_system_is_missing(program, dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home')
    (tmp_path / 'home' / 'bin' / program).unlink()
    env['PATH'] = str(tmp_path / 'home' / 'bin')
    assert refused(dataset, tmp_path, env) == (
        69,
        f'nicarbon: error: recon-all needs {program}: apt-get install {program}',
    )


def test_a_folder_that_is_too_long_or_has_blanks(dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home')
    code, line = refused(dataset, tmp_path, env, '--fs-subjects-dir', tmp_path / ('x' * 180))
    assert code == 64
    assert '185' in line
    code, line = refused(dataset, tmp_path, env, '--fs-subjects-dir', tmp_path / 'my subjects')
    assert code == 64
    assert 'blank' in line


def test_a_subject_that_says_it_is_running(dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home')
    scripts = tmp_path / 'subjects' / 'sub-01' / 'scripts'
    scripts.mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, '-c', ''])
    gone.wait()
    flag = scripts / 'IsRunning.lh+rh'
    flag.write_text(
        f'------\nSUBJECT sub-01\nDATE Mon Jan  1 10:00:00 UTC 2024\nHOST {os.uname().nodename}\n'
        f'PROCESSID {gone.pid} \n'
    )
    code, line = refused(dataset, tmp_path, env, '--fs-subjects-dir', tmp_path / 'subjects')
    assert code == 75
    assert str(flag) in line
    assert 'it runs no more: remove that file' in line


def test_a_recon_all_that_is_at_work(dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home')
    subjects = tmp_path / 'subjects'
    subjects.mkdir()
    hang = env | stand_in.work(tmp_path, {'input': {'hangs': True}})
    image = next(dataset.rglob('*.nii.gz'))
    words = ['-s', 'sub-01', '-sd', str(subjects), '-i', str(image), '-no-isrunning']
    program = tmp_path / 'home' / 'bin' / 'recon-all'
    with subprocess.Popen([program, *words], env=hang, stdout=subprocess.DEVNULL) as busy:
        try:
            time.sleep(0.5)
            code, line = refused(dataset, tmp_path, env, '--fs-subjects-dir', subjects)
        finally:
            busy.kill()
            subprocess.run(['pkill', '-f', str(subjects)], check=False)
    assert code == 75
    assert f'kill {busy.pid}' in line


def test_stages_that_do_not_exist_or_have_nothing_to_work_on(dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home')
    code, line = refused(dataset, tmp_path, env, '--stages', 'smooth3')
    assert code == 64
    assert 'smooth1' in line
    code, line = refused(dataset, tmp_path, env, '--stages', 'smooth1')
    assert code == 64
    assert 'lh.orig.nofix, which is not there' in line
    code, line = refused(dataset, tmp_path, env, '--stages', 'input', '--granularity', 'directive')
    assert code == 64
    assert 'only autorecon1, autorecon2, autorecon3' in line


@pytest.mark.parametrize('option', [('--stages', 'fill'), ('--3T',), ('--no-submm-recon',)])
def test_options_of_freesurfer_are_not_ignored(option, dataset, tmp_path):
    done = nicarbon(
        dataset, tmp_path / 'out', 'participant', '--pipeline', 'structural', *option,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 64
    assert 'for --pipeline freesurfer' in done.stderr


def test_auto_takes_what_is_there(dataset, tmp_path):
    env = stand_in.install(tmp_path / 'home')
    words = (dataset, tmp_path / 'out', 'participant', '--dry-run')
    assert 'white-preaparc_lh' in nicarbon(*words, cwd=tmp_path, **env).stdout
    env['FREESURFER_HOME'] = ''
    assert 'tissue_segmentation' in nicarbon(*words, cwd=tmp_path, **env).stdout


def test_the_set_up_script_is_sourced_where_nobody_did(tmp_path):
    home = tmp_path / 'home'
    stand_in.install(home)
    found = freesurfer.find({'FREESURFER_HOME': str(home)})
    assert found == freesurfer.FreeSurfer(home, '7.4.1')
    given = freesurfer.environment(found, None, {'PATH': os.defpath})
    assert given['PATH'].startswith(f'{home}/bin:')
    assert given['FSFAST_HOME'] == f'{home}/fsfast'
    (home / 'SetUpFreeSurfer.sh').write_text('exit 3\n')
    with pytest.raises(UnavailableError, match='source it yourself'):
        freesurfer.environment(found, None, {'PATH': os.defpath})
