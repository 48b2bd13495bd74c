"""Folders of FastSurfer: logs in the words of its scripts, and broken ones."""

from __future__ import annotations

import gzip
import os
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader_doubles import Hardware, sources, told

from nicarbon.errors import ReaderError
from nicarbon.readers import Folder
from nicarbon.readers.dates import Zones
from nicarbon.readers.fastsurfer import FastSurfer
from nicarbon.readers.fastsurfer.surf import spread, surfaces
from nicarbon.stage import find_stage

BEGAN = 1718631000.0  # Mon Jun 17 13:30:00 UTC 2024
PY = 'python3.10 -s /fastsurfer'
SILENT = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def deep_seg(device='cpu', date='Mon Jun 17 13:30:00 UTC 2024', threads=4):
    """A log as run_fastsurfer.sh 2.3.0 and its networks write it."""
    return f"""Version: 2.3.0
Log file for segmentation FastSurferCNN/run_prediction.py
{date}

{PY}/FastSurferCNN/run_prediction.py --t1 /data/T1.nii.gz --asegdkt_segfile /out/sub-01/mri/aparc.DKTatlas+aseg.deep.mgz --sid sub-01 --seg_log /out/sub-01/scripts/deep-seg.log --batch_size 1 --viewagg_device auto --device auto
[INFO: run_prediction.py:  555]: Checking or downloading default checkpoints ...
[INFO: common.py:  111]: Using device: {device}
[INFO: run_prediction.py:  400]: Run coronal prediction
[INFO: inference.py:  468]: Coronal inference on /data/T1.nii.gz finished in 20.0000 seconds
[INFO: run_prediction.py:  400]: Run sagittal prediction
[INFO: inference.py:  468]: Sagittal inference on /data/T1.nii.gz finished in 15.0000 seconds
[INFO: run_prediction.py:  400]: Run axial prediction
[INFO: inference.py:  468]: Axial inference on /data/T1.nii.gz finished in 25.0000 seconds
[INFO: run_prediction.py:  767]: Running volume-based QC check on segmentation...
INFO: Running N4 bias-field correction...
{PY}/recon_surf/N4_bias_correct.py --in /out/sub-01/mri/orig.mgz --rescale /out/sub-01/mri/orig_nu.mgz --aseg /out/sub-01/mri/aparc.DKTatlas+aseg.deep.mgz --threads {threads}
{PY}/FastSurferCNN/segstats.py --segfile /out/sub-01/mri/aparc.DKTatlas+aseg.deep.mgz --segstatsfile /out/sub-01/stats/aseg+DKT.stats --normfile /out/sub-01/mri/orig_nu.mgz --threads {threads} --empty
{PY}/CerebNet/run_prediction.py --t1 /data/T1.nii.gz --cereb_segfile /out/sub-01/mri/cerebellum.CerebNet.nii.gz --device auto --threads {threads}
[INFO: common.py:  111]: Using device: {device}
[INFO: inference.py:  434]: 24-06-17_13:34:00
[INFO: inference.py:  512]: Subject 1/1 with id 'T1.nii.gz' processed in 8.62 sec.
{PY}/HypVINN/run_prediction.py --sd /out --sid sub-01 --threads {threads} --device auto --t1 /out/sub-01/mri/orig_nu.mgz
[INFO: common.py:  111]: Using device: {device}
[INFO: mode_config.py:   49]: Setting up input mode...
[INFO: run_prediction.py:  600]: Evaluating axial model, cpkt :x
[INFO: inference.py:  410]: axial Inference on sub-01 finished in 5.0 seconds
[INFO: run_prediction.py:  422]: Processing whole pipeline finished in 30.0000 seconds.
cd /fastsurfer/recon_surf
./recon-surf.sh --sid sub-01 --sd /out --t1 /out/sub-01/mri/orig.mgz --threads {threads}
"""


ENDS = {
    'mri/aparc.DKTatlas+aseg.deep.mgz': 80,
    'mri/mask.mgz': 85,
    'mri/aseg.auto_noCCseg.mgz': 90,
    'mri/orig_nu.mgz': 150,
    'stats/aseg+DKT.stats': 160,
    'mri/cerebellum.CerebNet.nii.gz': 180,
    'mri/hypothalamus.HypVINN.nii.gz': 220,
}
"""Seconds after the date at which outputs were there."""


def fstime(at, name, wall, cpu):
    stamp = time.strftime('%Y:%m:%d:%H:%M:%S', time.gmtime(BEGAN + 600 + at))
    return (
        f'@#@FSTIME  {stamp} {name} N 7 e {wall:.2f} S 0.00 U {cpu:.2f} P 99% M 70868 F 585 '
        'R 13363 W 0 c 20 w 19045 I 0 O 0 L 1.14 1.03 0.87'
    )


def date(at):
    return time.strftime('%a %b %d %H:%M:%S UTC %Y', time.gmtime(BEGAN + 600 + at))


def recon_surf(end='recon-surf.sh sub-01 finished without error at ', *, both=False):
    """A log as recon-surf.sh 2.3.0 writes it."""
    parallel = '\n RUNNING HEMIs in PARALLEL !!! ' if both else ''
    return f"""Log file for recon-surf.sh
{date(0)}

export SUBJECTS_DIR=/out
./recon-surf.sh --sid sub-01 --sd /out --t1 /out/sub-01/mri/orig.mgz --threads 2 --py python3.10

freesurfer-linux-ubuntu22_x86_64-7.4.1-20230614-7eb8460
$Id$
Linux bigger4 5.14.0-284.30.1.el9_2.x86_64 #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux

================== Creating orig and rawavg from input =========================

{fstime(0, 'python3.10', 10, 8)}

================== Creating filled from brain (brainfinalsurfs, wm.asegedit, wm)  =======

recon-all -s sub-01 -asegmerge -normalization2 -maskbfs -segmentation -fill
#@# Merge ASeg {date(12)}
#@# Intensity Normalization2 {date(12)}
{fstime(12, 'mri_normalize', 60, 58)}
#@# Fill {date(72)}
{fstime(72, 'mri_fill', 20, 30)}
Started at {date(10)}
Ended   at {date(95)}
recon-all -s sub-01 finished without error at {date(95)}
{fstime(10, 'recon-all', 85, 90)}{parallel}
================== Creating surfaces lh - orig.nofix ==================
{fstime(95, 'mri_mc', 20, 20)}
================== Creating surfaces rh - orig.nofix ==================
{fstime(95 if both else 115, 'mri_mc', 20, 20)}
================= DONE =========================================================

Started at {date(0)}
Ended   at {date(140)}
#@#%# recon-surf-run-time-hours 0.039
{end}{date(140)}
"""


DONE = """------------------------------
SUBJECT sub-01
START_TIME Mon Jun 17 13:40:00 UTC 2024
HOST node7
VERSION 2.3.0
"""


def make(folder, deep=None, surf=None, done=None, ends=None, build=None):
    subject = folder / 'sub-01_ses-2'
    (subject / 'scripts').mkdir(parents=True, exist_ok=True)
    texts = {
        'deep-seg.log': deep,
        'recon-surf.log': surf,
        'recon-surf.done': done,
        'build.log': build,
    }
    for name, text in texts.items():
        if text is not None:
            (subject / 'scripts' / name).write_text(text)
    for name, at in (ends or {}).items():
        path = subject / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (BEGAN + at, BEGAN + at))
    return folder


def by_stage(result):
    return {entry.stage: entry for entry in result.entries}


# Segmentation -----------------------------------------------------------------------------


def test_modules_run_until_their_outputs_are_there(tmp_path):
    found = by_stage(told(FastSurfer(), make(tmp_path, deep_seg(), ends=ENDS)))
    assert {stage: round(one.seconds, 3) for stage, one in found.items()} == {
        'asegdkt': 90.0,
        'biasfield': 60.0,
        'asegdkt-stats': 10.0,
        'cereb': 20.0,
        'hypothal': 40.0,
    }
    assert found['asegdkt'].started == '2024-06-17T13:30:00+00:00'
    assert {(one.subject, one.session) for one in found.values()} == {('01', '2')}


def test_stages_are_those_of_the_table(tmp_path):
    for stage in by_stage(told(FastSurfer(), make(tmp_path, deep_seg(), recon_surf(), ends=ENDS))):
        assert find_stage('fastsurfer', stage, version='2.3').key == stage


def test_networks_are_parts(tmp_path):
    one = by_stage(told(FastSurfer(), make(tmp_path, deep_seg(), ends=ENDS)))['asegdkt']
    assert [(part.name, part.seconds) for part in one.parts] == [
        ('asegdkt.coronal', 20.0),
        ('asegdkt.sagittal', 15.0),
        ('asegdkt.axial', 25.0),
        ('asegdkt.labels', 30.0),
    ]


def test_copies_tell_only_what_the_networks_say(tmp_path):
    later = dict.fromkeys(ENDS, 1000000)
    result = told(FastSurfer(), make(tmp_path, deep_seg(), ends=later))
    assert {stage: one.seconds for stage, one in by_stage(result).items()} == {
        'asegdkt': 60.0,
        'cereb': 8.62,
        'hypothal': 30.0,
    }
    assert any('nothing tells how long biasfield, asegdkt-stats ran' in w for w in result.warnings)


def test_outputs_before_their_log_are_not_believed(tmp_path):
    early = {name: at - 3600 for name, at in ENDS.items()}
    result = told(FastSurfer(), make(tmp_path, deep_seg(), ends=early))
    assert by_stage(result)['asegdkt'].seconds == 60.0


def test_cpu_seconds_of_modules_are_wall_time_by_threads(tmp_path):
    found = by_stage(told(FastSurfer(), make(tmp_path, deep_seg(threads=3), ends=ENDS)))
    assert found['biasfield'].cpu_seconds == pytest.approx(60.0 * 3**0.5)
    # It was not told how many, and takes all.
    assert found['asegdkt'].cpu_seconds == pytest.approx(90.0 * 8**0.5)
    for one in found.values():
        [reading] = one.readings
        assert (reading.tier, reading.method) == ('assumed', 'model:ccf-by-threads')


def test_the_energy_of_a_gpu_is_not_seen_and_never_zero(tmp_path):
    result = told(FastSurfer(), make(tmp_path, deep_seg(device='cuda'), ends=ENDS))
    found = by_stage(result)
    for stage in ('asegdkt', 'cereb', 'hypothal'):
        cpu, gpu = found[stage].readings
        assert gpu.component.startswith('gpu:')
        assert gpu.joules is None
        assert found[stage].windows[0].joules == (cpu.joules, None)
        assert found[stage].cpu_seconds == found[stage].seconds
    assert len(found['biasfield'].readings) == 1
    lines = [line for line in result.warnings if 'GPU' in line]
    assert len(lines) == 1
    assert 'asegdkt, cereb, hypothal ran on a GPU' in lines[0]


def test_a_second_call_counts_too(tmp_path):
    again = deep_seg(date='Tue Jun 18 13:30:00 UTC 2024').replace('20.0000', '21.0000')
    result = told(FastSurfer(), make(tmp_path, deep_seg() + again))
    runs = [(e.started[:10], e.seconds) for e in result.entries if e.stage == 'asegdkt']
    assert runs == [('2024-06-17', 60.0), ('2024-06-18', 61.0)]


def test_a_module_that_failed_says_why(tmp_path):
    text = deep_seg().partition('INFO: Running N4')[0]
    text += '[ERROR: run_prediction.py:  777]: no space left\n'
    [one] = told(FastSurfer(), make(tmp_path, text)).entries
    assert (one.outcome, one.error) == ('failed', 'no space left')


def test_a_signal_is_told(tmp_path):
    text = deep_seg().partition('INFO: Running N4')[0]
    text += 'run_fastsurfer.sh terminated via signal at Mon, 17 Jun 2024 13:31:30 +0000!\n'
    [one] = told(FastSurfer(), make(tmp_path, text)).entries
    assert one.outcome == 'killed'


def test_the_clock_is_that_of_the_build_log(tmp_path):
    text = deep_seg(date='Mon Jun 17 21:30:00 CST 2024')
    build = '/fastsurfer/run_fastsurfer.sh --sid sub-01\nMon, 17 Jun 2024 21:29:58 +0800\n'
    [one, *_] = told(FastSurfer(), make(tmp_path, text, build=build)).entries
    assert one.started == '2024-06-17T13:30:00+00:00'


def test_a_zone_that_may_be_several_is_taken_for_utc_and_named(tmp_path):
    result = told(FastSurfer(), make(tmp_path, deep_seg(date='Mon Jun 17 21:30:00 CST 2024')))
    assert result.entries[0].started == '2024-06-17T21:30:00+00:00'
    assert 'which time zone CST is is not told' in result.warnings[-1]


def test_without_command_lines_the_networks_are_known_by_their_words(tmp_path):
    lines = [line for line in deep_seg().splitlines() if line.startswith('[')]
    result = told(FastSurfer(), make(tmp_path, '\n'.join(lines)))
    assert by_stage(result)['asegdkt'].seconds == 60.0
    assert by_stage(result)['cereb'].seconds == 8.62


# Surfaces ---------------------------------------------------------------------------------


def test_cpu_seconds_of_surfaces_are_those_of_its_programs(tmp_path):
    result = told(FastSurfer(), make(tmp_path, surf=recon_surf(), done=DONE))
    [one] = result.entries
    # Without recon-all, whose programs tell for themselves.
    assert one.cpu_seconds == pytest.approx(8 + 58 + 30 + 20 + 20)
    assert one.seconds == 140.0
    assert one.started == '2024-06-17T13:40:00+00:00'
    assert (one.host, one.outcome, one.reserved_cores) == ('node7', 'ran', 2.0)
    [reading] = one.readings
    assert reading.tier == 'modelled'
    assert reading.joules == pytest.approx(136 * 10.0 + 140 * 2 * 2.0)
    assert sum(w.joules[0] for w in one.windows) == pytest.approx(reading.joules)
    assert [command.name for command in one.commands] == [
        'python3.10',
        'mri_normalize',
        'mri_fill',
        'mri_mc',
        'mri_mc',
    ]
    assert result.versions == {'FastSurfer': '2.3.0', 'FreeSurfer': '7.4.1'}
    assert result.warnings == ()


def test_cpu_seconds_lie_where_their_programs_ran():
    one = surfaces(recon_surf(), Zones())
    pieces = {start - one.began: (seconds, cpu) for start, seconds, cpu in spread(one)}
    assert pieces[0.0] == pytest.approx((10.0, 8.0))
    assert pieces[72.0] == pytest.approx((20.0, 30.0))


def test_a_machine_that_slept_drew_nothing(tmp_path):
    later = recon_surf().replace(date(140), date(140 + 7200))
    slept = later.replace(fstime(115, 'mri_mc', 20, 20), fstime(115, 'mri_mc', 7220, 20))
    result = told(FastSurfer(), make(tmp_path, surf=slept))
    [one] = result.entries
    assert (one.seconds, one.suspended_seconds) == pytest.approx((140.0, 7200.0))
    assert one.readings[0].joules == pytest.approx(136 * 10.0 + 140 * 2 * 2.0)
    assert sum(w.joules[0] for w in one.windows) == pytest.approx(one.readings[0].joules)
    assert 'did anything for 2 h' in result.warnings[0]


def test_logs_of_2022_are_known(tmp_path):
    text = """Log file for fastsurfercnn run_prediction.py
Mon 26 Sep 10:28:53 CEST 2022

python3.8 run_prediction.py --orig_name orig.mgz --pred_name pred.mgz --device cuda
[INFO: eval.py:   63]: Using device: cuda
[INFO: run_prediction.py:  200]: Run coronal prediction
[INFO: eval.py:  100]: Coronal inference on orig.mgz finished in 12.5 seconds
"""
    [one] = told(FastSurfer(), make(tmp_path, text)).entries
    assert (one.stage, one.seconds, one.started) == ('asegdkt', 12.5, '2022-09-26T08:28:53+00:00')
    assert one.readings[1].joules is None


@pytest.mark.parametrize('wall', [60, 0])
def test_programs_before_the_first_date_are_of_the_run(wall):
    lines = [fstime(0, 'mri_normalize', wall, 58), f'#@# Fill {date(60)}']
    one = surfaces('\n'.join(lines), Zones())
    assert (one.began, one.seconds) == (BEGAN + 600, 60.0)
    assert sum(cpu for _, _, cpu in spread(one)) == pytest.approx(58.0)
    alone = surfaces(fstime(0, 'mri_normalize', 0, 58), Zones())
    assert spread(alone) == [(BEGAN + 600, 0.0, 58.0)]


def test_parts_begin_with_their_banners_and_markers():
    one = surfaces(recon_surf(), Zones())
    assert [(part.name, part.start - one.began, part.seconds) for part in one.parts] == [
        ('recon-surf.orig', 0.0, 10.0),
        ('recon-surf.asegmerge', 10.0, 2.0),
        ('recon-surf.normalization2', 12.0, 60.0),
        ('recon-surf.fill', 72.0, 23.0),
        ('recon-surf.tessellation_lh', 95.0, 20.0),
        ('recon-surf.tessellation_rh', 115.0, 20.0),
        ('recon-surf.done', 135.0, 5.0),
    ]


def test_both_hemispheres_at_once_are_one_part_and_twice_the_cores(tmp_path):
    [one] = told(FastSurfer(), make(tmp_path, surf=recon_surf(both=True))).entries
    assert one.reserved_cores == 4.0
    assert one.cpu_seconds == pytest.approx(136.0)
    starts = [command.start for command in one.commands if command.name == 'mri_mc']
    assert starts[0] == starts[1]
    assert 'recon-surf.parallel' in {part.name for part in one.parts}
    assert not any(part.name.endswith('h') for part in one.parts)


def test_surfaces_that_failed_or_have_no_end(tmp_path):
    failed = recon_surf('ERROR: mris_fix_topology failed ')
    [one] = told(FastSurfer(), make(tmp_path / 'a', surf=failed)).entries
    assert (one.outcome, one.error[:31]) == ('failed', 'ERROR: mris_fix_topology failed')
    torn = recon_surf().partition('================= DONE')[0]
    result = told(FastSurfer(), make(tmp_path / 'b', surf=torn))
    assert result.entries[0].outcome == 'killed'
    assert 'recon-surf.log has no end' in result.warnings[-1]


def test_without_times_of_programs_cpu_seconds_are_assumed(tmp_path):
    lines = [line for line in recon_surf().splitlines() if 'FSTIME' not in line]
    result = told(FastSurfer(), make(tmp_path, surf='\n'.join(lines)))
    [one] = result.entries
    assert (round(one.cpu_seconds, 2), one.readings[0].tier) == (197.99, 'assumed')
    assert 'no CPU seconds of its programs' in result.warnings[0]


# Who finds what ---------------------------------------------------------------------------


def test_a_folder_is_fastsurfers_and_nobody_elses(tmp_path):
    make(tmp_path, deep_seg(), recon_surf(), DONE)
    (tmp_path / 'sub-01_ses-2/scripts/recon-all.log').touch()
    [source] = sources(FastSurfer(), tmp_path)
    assert source.closed
    assert source.path == tmp_path / 'sub-01_ses-2'
    assert [path.name for path in source.files] == [
        'deep-seg.log',
        'recon-surf.log',
        'recon-surf.done',
    ]


def test_folders_of_freesurfer_are_not_its(tmp_path):
    names = frozenset({'recon-all.log', 'recon-all.done', 'build.log'})
    folder = Folder(tmp_path / 'scripts', tmp_path, frozenset(), names)
    assert list(FastSurfer().find(folder)) == []


def test_packed_logs_are_read(tmp_path):
    make(tmp_path, deep_seg())
    path = tmp_path / 'sub-01_ses-2/scripts/deep-seg.log'
    path.with_name('deep-seg.log.gz').write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert by_stage(told(FastSurfer(), tmp_path))['asegdkt'].seconds == 60.0


# Hostile files ----------------------------------------------------------------------------


@pytest.mark.parametrize('text', ['', 'nothing of the kind\n', 5000 * '@#@FSTIME \n'])
def test_logs_that_tell_nothing_are_one_line(text, tmp_path):
    with pytest.raises(ReaderError, match='no log of FastSurfer tells how long it ran') as caught:
        told(FastSurfer(), make(tmp_path, text, text))
    assert '\n' not in str(caught.value)


def test_lines_without_end_take_no_time(tmp_path):
    started = time.monotonic()
    long = f'{10_000_000 * "a"}\n{1_000_000 * "inference on "}\n{1_000_000 * "a/"}.py'
    result = told(FastSurfer(), make(tmp_path, f'{deep_seg()}{long}', f'{recon_surf()}{long}'))
    assert time.monotonic() - started < 10
    assert 'recon-surf' in by_stage(result)


def _read(folder):
    try:
        return told(FastSurfer(), folder).entries
    except ReaderError as error:
        assert '\n' not in str(error)
        return ()


@SILENT
@given(
    st.integers(0, 2**32),
    st.sampled_from([deep_seg(), deep_seg('cuda'), recon_surf(), recon_surf(both=True)]),
)
def test_any_change_of_a_log_is_read_or_one_line(tmp_path, seed, text):
    dice = random.Random(seed)
    data = bytearray(text.encode())
    for _ in range(dice.randrange(1, 60)):
        at = dice.randrange(len(data))
        data[at : at + dice.randrange(3)] = dice.choice(
            [b'9', b'-', b':', b'\n', b'\xff', b'e', b'']
        )
    make(tmp_path)
    for name in ('deep-seg.log', 'recon-surf.log'):
        (tmp_path / 'sub-01_ses-2/scripts' / name).write_bytes(data)
    _read(tmp_path)


LINES = [*deep_seg('cuda').splitlines(), *recon_surf(both=True).splitlines()]


@SILENT
@given(st.lists(st.sampled_from(LINES) | st.text(max_size=30)), st.lists(st.sampled_from(LINES)))
def test_lines_in_any_order_are_read_or_one_line(tmp_path, deep, surf):
    make(tmp_path, '\n'.join(deep).encode(errors='replace').decode(), '\n'.join(surf))
    for entry in _read(tmp_path):
        assert entry.seconds < 31 * 86400


def test_a_machine_is_asked_for_once(tmp_path):
    hardware = Hardware()
    told(FastSurfer(), make(tmp_path, deep_seg(), recon_surf(), DONE), hardware)
    assert hardware.asked == ['node7']
