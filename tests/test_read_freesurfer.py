"""What the reader of FreeSurfer's folders makes of logs in their exact forms."""

from __future__ import annotations

import gzip
import math
import os
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recon_all_logs import (
    BEGAN,
    DAY,
    OLD,
    Machines,
    begin,
    end,
    finished,
    listed,
    mark,
    ran,
    read,
    told,
    write,
)

from nicarbon.entry import Entry, check
from nicarbon.errors import ReaderError
from nicarbon.readers import Told
from nicarbon.readers.dates import Zones, dated
from nicarbon.readers.freesurfer import FreeSurfer
from nicarbon.readers.freesurfer.log import MOST_EVENTS, read_log

REAL = Path(__file__).parents[2] / 'shared' / 'data' / 'recon-all'

needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f'{REAL} is not there')


def began(entry: Entry) -> float:
    return datetime.fromisoformat(entry.started).timestamp()


def keys(found: Told) -> list[str]:
    return [entry.stage for entry in found.entries]


# Stages, programs, and what they used.


def test_each_stage_is_an_entry_and_start_up_is_input(tmp_path: Path) -> None:
    found = told(tmp_path / 'sub-01_ses-2', finished())
    assert keys(found) == ['input', 'motioncor', 'sphere_lh']
    first, second, third = found.entries
    assert (first.subject, first.session, first.host) == ('01', '2', 'node-1')
    assert [began(entry) for entry in found.entries] == [BEGAN, BEGAN + 10, BEGAN + 60]
    assert [entry.seconds for entry in found.entries] == [10, 50, 240]
    assert [entry.cpu_seconds for entry in found.entries] == [5, 48, 238]
    assert [command.name for command in third.commands] == ['mris_sphere']
    assert third.commands[0].start == BEGAN + 60
    assert second.commands[0].peak_memory_gb == pytest.approx(89728 * 1024 / 1e9)
    assert {entry.outcome for entry in found.entries} == {'ran'}
    assert found.versions == {'FreeSurfer': '7.4.1'}
    assert not found.warnings


def test_energy_is_by_the_load_model_and_modelled(tmp_path: Path) -> None:
    found = told(tmp_path / 'bert', finished())
    reading = found.entries[2].readings[0]
    # 8 W for 238 s of a busy core of four, and a quarter of 8 W at rest for 240 s.
    assert reading.joules == pytest.approx(8 * 238 + 2 * 240)
    assert (reading.method, reading.tier, reading.scope) == ('model:ccf', 'modelled', 'own')
    assert reading.u_rel == pytest.approx(2.0, rel=1e-3)
    for entry in found.entries:
        check(entry)
        assert sum(w.joules[0] or 0 for w in entry.windows) == pytest.approx(
            entry.readings[0].joules
        )


def test_stages_that_come_back_go_on(tmp_path: Path) -> None:
    text = begin() + mark('T1PialSurf lh', '09:30:02') + mark('T1PialSurf rh', '09:31:02')
    text += mark('white curv lh', '09:33:02') + mark('pial curv lh', '09:33:05')
    text += ran('mris_place_surface', '09:33:05', 4, 3.75) + mark('white curv rh', '09:33:12')
    found = told(tmp_path / 'bert', text + end('09:33:20'))
    assert keys(found) == ['pial_lh', 'pial_rh']
    left = found.entries[0]
    assert [(window.start - BEGAN, window.seconds) for window in left.windows] == [
        (0, 62),
        (182, 10),
    ]
    assert (left.seconds, left.cpu_seconds) == (72, 3.75)


def test_markers_without_a_stage_belong_to_the_one_before(tmp_path: Path) -> None:
    text = begin() + mark('QSphere lh', '09:30:00') + mark('Deface', '09:31:00')
    found = told(tmp_path / 'bert', text + '#@# 241395 lh 227149\n' + end('09:32:00'))
    assert [(entry.stage, entry.seconds) for entry in found.entries] == [('qsphere_lh', 120)]


def test_where_there_is_no_stage_at_all_recon_alls_own_word_stands(tmp_path: Path) -> None:
    text = begin(arguments='-s bert -qcache') + mark('Qdec Cache preproc lh thickness', '09:30:01')
    found = told(tmp_path / 'bert', text + end('09:40:00'))
    assert keys(found) == ['qdec-cache-preproc-lh-thickness']
    assert found.entries[0].seconds == 600


def test_a_marker_of_two_stages_is_of_the_one_that_runs(tmp_path: Path) -> None:
    text = begin(stamp=OLD) + mark('Make Pial Surf lh', '09:30:00')
    found = told(tmp_path / 'bert', text + mark('Surf Volume lh', '09:31:00') + end('09:32:00'))
    assert keys(found) == ['pial_lh']
    refine = mark('Refine Pial Surfs w/ T2/FLAIR', '09:31:00') + end('09:32:00')
    for flag in ('T2pial', 'FLAIRpial'):
        text = begin(arguments=f'-s bert -{flag} ') + refine
        assert keys(told(tmp_path / flag, text)) == [flag]


def test_a_line_that_only_runs_others_counts_once(tmp_path: Path) -> None:
    text = finished().replace('#@# Sphere', ran('x.sh', '09:30:10', 50, 49) + '#@# Sphere')
    assert sum(entry.cpu_seconds for entry in told(tmp_path, text).entries) == 5 + 48 + 238


TITLES = ('MotionCor', 'Talairach', 'CA Reg', 'Tessellate lh', 'Sphere rh', 'No Such Stage')


@st.composite
def logs(draw: st.DrawFn) -> tuple[str, list[float]]:
    """Calls one after the other, and the CPU seconds of their programs."""
    text, second, used = '', 0, []

    def clock() -> str:
        return time.strftime('%H:%M:%S', time.gmtime(9 * 3600 + second))

    for number in range(draw(st.integers(1, 4))):
        text += begin(clock(), again=number > 0, host=f'h{number}')
        # A call that timed nothing is known by its wall time alone.
        text += ran('mri_info', clock(), 0, 0.5)
        used.append(0.5)
        for title in draw(st.lists(st.sampled_from(TITLES), min_size=1, max_size=5)):
            second += draw(st.integers(0, 40))
            text += mark(title, clock())
            for wall in draw(st.lists(st.integers(0, 50), max_size=3)):
                user = draw(st.integers(0, 100 * wall)) / 100
                text += ran('mri_x', clock(), wall, user, 0.25)
                used.append(user + 0.25)
                second += wall
        how = draw(st.sampled_from(['ended', 'failed', 'killed']))
        text += '' if how == 'killed' else end(clock(), failed=how == 'failed')
        second += draw(st.integers(0, 100))
    return text, used


@settings(max_examples=150, deadline=None)
@given(logs())
def test_nothing_is_dropped_and_nothing_is_there_twice(
    tmp_path_factory: pytest.TempPathFactory, made: tuple[str, list[float]]
) -> None:
    text, used = made
    found = told(tmp_path_factory.mktemp('logs'), text)
    commands = [one for entry in found.entries for one in entry.commands]
    assert sorted(one.cpu_seconds for one in commands) == sorted(used)
    assert math.isclose(sum(entry.cpu_seconds for entry in found.entries), sum(used))
    assert len({entry.entry_id for entry in found.entries}) == len(found.entries)
    for entry in found.entries:
        check(entry)


# Several calls.


def test_hemispheres_that_ran_by_themselves_have_their_own_logs(tmp_path: Path) -> None:
    sides = {
        f'recon-all-{hemi}.log': begin(arguments=f'-autorecon-hemi {hemi} -s bert')
        + mark(f'Sphere {hemi}', '09:31:00')
        + ran('mris_sphere', '09:31:00', 60, 58)
        + end('09:33:00')
        for hemi in ('lh', 'rh')
    }
    found = read(write(tmp_path / 'bert', {'recon-all.log.gz': finished(), **sides}))
    assert keys(found) == ['input', 'motioncor', 'sphere_lh', 'sphere_lh', 'sphere_rh']
    assert [entry.cpu_seconds for entry in found.entries[3:]] == [58, 58]


def test_hemispheres_side_by_side_have_half_of_the_cores_each(tmp_path: Path) -> None:
    text = begin(arguments='-all -s bert -parallel -openmp 8') + mark('Sphere lh', '09:31:00')
    text += ' mris_sphere -seed 1234 ../surf/lh.inflated ../surf/lh.sphere \n'
    text += mark('Sphere rh', '09:31:00') + ' mris_sphere ../surf/rh.inflated ../surf/rh.sphere \n'
    text += 'Waiting for PID 11 of (11 12) to complete...\n'
    text += 'mris_sphere ../surf/lh.inflated ../surf/lh.sphere\n' + ran(
        'mris_sphere', '09:31:00', 100, 300
    )
    text += 'mris_sphere ../surf/rh.inflated ../surf/rh.sphere\n' + ran(
        'mris_sphere', '09:31:00', 90, 200
    )
    found = told(
        tmp_path / 'bert', text + mark('Cortical ribbon mask', '09:33:00') + end('09:34:00')
    )
    told_of = {entry.stage: entry for entry in found.entries}
    left, right = told_of['sphere_lh'], told_of['sphere_rh']
    assert (left.cpu_seconds, right.cpu_seconds) == (300, 200)
    assert left.reserved_cores == right.reserved_cores == 4
    # What it takes to start is that of the first stages.
    assert (left.seconds, right.seconds) == (180, 180)
    assert told_of['cortribbon'].reserved_cores == 8


def test_side_by_side_programs_that_tell_their_own_seconds_are_told_left_first(
    tmp_path: Path,
) -> None:
    text = begin(arguments='-all -s bert -parallel', stamp=OLD) + mark(
        'Fix Topology lh', '09:31:00'
    )
    text += mark('Fix Topology rh', '09:31:00')
    for used in (100, 50):
        text += f'mris_fix_topology utimesec    {used}.5\nmris_fix_topology stimesec    0.5\n'
        text += f'FSRUNTIME@ mris_fix_topology lh  {used / 3600:.4f} hours 1 threads\n'
        text += 'line\n' * 300
    found = told(tmp_path / 'bert', text + mark('Smooth2 lh', '09:32:40') + end('09:33:00'))
    left, right = (entry for entry in found.entries if entry.stage.startswith('fix'))
    assert left.commands == right.commands == ()
    # Of 160 and of 100 s, as the first stages start with the call.
    assert left.cpu_seconds == pytest.approx(101 + 60, abs=1)
    assert right.cpu_seconds == pytest.approx(51 + 110, abs=1)


def took(minutes: int) -> str:
    return f'registration took {minutes} minutes and 0 seconds.\n'


def test_two_calls_at_once_keep_their_stages(tmp_path: Path) -> None:
    text = begin('09:00:00', host='a', stamp=OLD) + mark('EM Registration', '09:00:00')
    text += begin('10:00:00', host='b', stamp=OLD, again=True)
    text += mark('EM Registration', '10:00:00')
    text += took(90) + mark('CA Normalize', '10:30:00')
    text += took(2) + mark('CA Reg', '10:32:00')
    text += took(50) + mark('CA Normalize', '10:50:00')
    text += 'Linux a 6.2.0 #1 GNU/Linux\nERROR: killed\n'
    text += f'recon-all -s bert exited with ERRORS at {DAY.format("10:55:00")}\n'
    text += took(3) + mark('CA Reg', '10:53:00') + end('11:00:00', started='10:00:00')
    found = told(tmp_path / 'bert', text)
    by = [(entry.host, entry.stage, entry.seconds / 60, entry.outcome) for entry in found.entries]
    assert by == [
        ('a', 'gcareg', 90, 'ran'),
        ('a', 'canorm', 2, 'ran'),
        ('a', 'careg', 23, 'failed'),
        ('b', 'gcareg', 50, 'ran'),
        ('b', 'canorm', 3, 'ran'),
        ('b', 'careg', 7, 'ran'),
    ]


def test_timed_programs_of_calls_at_once_are_told_apart_by_when_they_began(
    tmp_path: Path,
) -> None:
    text = begin('09:30:00', host='a') + mark('EM Registration', '09:30:00')
    text += begin('09:40:00', host='b', again=True) + mark('Talairach', '09:40:00')
    text += ran('mri_em_register', '09:30:00', 900, 890) + mark('CA Normalize', '09:45:00')
    text += ran('talairach_avi', '09:40:00', 600, 590) + end('09:50:00', started='09:40:00')
    text += ran('mri_ca_normalize', '09:45:00', 720, 710) + end('09:57:00')
    found = told(tmp_path / 'bert', text)
    assert [(entry.host, entry.stage, entry.cpu_seconds) for entry in found.entries] == [
        ('a', 'gcareg', 890),
        ('a', 'canorm', 710),
        ('b', 'talairach', 590),
    ]


# Failures, restarts, logs without an end.


def test_a_failed_call_fails_in_its_last_stage_and_may_be_made_again(tmp_path: Path) -> None:
    text = begin() + mark('Sphere lh', '09:31:00') + end('09:32:00', failed=True)
    text += begin('10:00:00', again=True) + mark('Sphere lh', '10:00:01')
    found = told(tmp_path / 'bert', text + end('10:05:01', started='10:00:00'))
    first, second = found.entries
    assert (first.outcome, first.error) == ('failed', 'ERROR: no such file')
    assert second.outcome == 'ran'
    # Work that was made again is known by these.
    same = [(one.subject, one.session, one.stage, one.node) for one in (first, second)]
    assert same[0] == same[1]


def test_a_talairach_that_recon_all_tried_again_was_in_vain(tmp_path: Path) -> None:
    failed = 'ERROR: talairach_afd: Talairach Transform: transforms/talairach.xfm ***FAILED***\n'
    text = begin() + mark('Talairach', '09:30:00')
    text += mark('Talairach Failure Detection', '09:35:00') + failed
    text += mark('Talairach', '09:35:01') + mark('Talairach Failure Detection', '09:38:00')
    found = told(tmp_path / 'bert', text + mark('Fill', '09:38:01') + end('09:39:00'))
    assert [(entry.stage, entry.seconds, entry.outcome) for entry in found.entries] == [
        ('talairach', 300, 'failed'),
        ('tal-check', 1, 'failed'),
        ('talairach', 179, 'ran'),
        ('tal-check', 1, 'ran'),
        ('fill', 59, 'ran'),
    ]
    assert 'FAILED' in found.entries[0].error


def test_what_was_cut_off_has_no_energy_that_is_not_told(tmp_path: Path) -> None:
    text = begin() + mark('CA Reg', '09:31:00') + begin('12:00:00', again=True)
    text += mark('CA Reg', '12:00:01') + ran('mri_ca_register', '12:00:01', 90, 80)
    found = told(tmp_path / 'bert', text)
    first, second = found.entries
    assert (first.outcome, second.outcome) == ('killed', 'killed')
    assert first.readings[0].joules is None
    assert first.windows[0].joules == (None,)
    assert first.readings[0].coverage == 0
    # The program ended: so much is known.
    assert (second.seconds, second.cpu_seconds) == (91, 80)
    assert second.readings[0].joules is not None
    assert len(found.warnings) == 1
    assert 'careg' in found.warnings[0]
    for entry in found.entries:
        check(entry)


def test_a_log_that_grows_is_left_out_from_its_last_stage_on(tmp_path: Path) -> None:
    text = begin() + mark('Talairach', '09:31:00') + mark('CA Reg', '09:32:00')
    scripts = write(tmp_path / 'bert', {'recon-all.log': text, 'IsRunning.lh+rh': 'HOST node-1\n'})
    found = read(scripts)
    assert keys(found) == ['talairach']
    assert len(found.warnings) == 1
    assert 'careg still runs' in found.warnings[0]
    # Who was killed leaves the flag behind.
    os.utime(scripts / 'recon-all.log', (BEGAN, BEGAN))
    assert [entry.outcome for entry in read(scripts).entries] == ['ran', 'killed']


def test_no_torn_end_is_misread(tmp_path: Path) -> None:
    text = finished()
    for length in range(0, len(text), 7):
        log = read_log(text[:length])
        used = [one.cpu_seconds for call in log.calls for turn in call.turns for one in turn.timed]
        assert used == [5, 48, 238][: len(used)]
        assert log.torn <= 1


def test_a_torn_gzip_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    scripts = write(tmp_path / 'bert', {'recon-all.log': finished()})
    packed = gzip.compress(os.urandom(3000).hex().encode() + b'\n' + finished().encode())
    (scripts / 'recon-all.log').unlink()
    (scripts / 'recon-all.log.gz').write_bytes(packed[:-40])
    found = read(scripts)
    assert found.entries[0].stage == 'input'


# Sleep, and machines that wait.


def test_what_a_machine_slept_is_not_work_and_the_interval_holds_that_it_waited(
    tmp_path: Path,
) -> None:
    text = begin('08:00:00') + mark('Sphere lh', '08:00:00')
    text += ran('mris_sphere', '08:00:00', 36000, 500, 20, switches=5000)
    found = told(tmp_path / 'bert', text + end('18:00:00'))
    (entry,) = found.entries
    assert (entry.seconds, entry.suspended_seconds) == (520, 35480)
    reading = entry.readings[0]
    assert reading.joules == pytest.approx(8 * 520 + 2 * 520)
    assert reading.joules * reading.u_rel > 8 * 520 + 2 * 36000
    assert 'sphere_lh for 9.9 h' in found.warnings[0]


@pytest.mark.parametrize(('cpu', 'switches'), [(520, 400_000), (30_000, 5000)])
def test_a_program_that_had_to_wait_did_not_sleep(
    tmp_path: Path, cpu: float, switches: int
) -> None:
    text = begin('08:00:00') + mark('Sphere lh', '08:00:00')
    text += ran('mris_sphere', '08:00:00', 36000, cpu, switches=switches)
    (entry,) = told(tmp_path / 'bert', text + end('18:00:00')).entries
    assert (entry.seconds, entry.suspended_seconds) == (36000, 0)


def test_programs_that_nobody_timed_widen_the_interval(tmp_path: Path) -> None:
    text = begin() + mark('MotionCor', '09:30:00') + ran('mri_info', '09:30:00', 1, 1)
    found = told(tmp_path / 'bert', text + end('09:50:00'))
    (entry,) = found.entries
    reading = entry.readings[0]
    assert entry.cpu_seconds == 1
    assert reading.tier == 'assumed'
    assert reading.joules * reading.u_rel > 8 * 1200 + 2 * 1200
    assert 'not timed in motioncor' in found.warnings[0]


# Logs that time nothing.


def test_of_wall_time_the_cores_in_use_are_assumed_and_the_method_says_so(tmp_path: Path) -> None:
    text = begin(stamp=OLD) + mark('Fill', '09:31:00') + end('09:33:00')
    (entry,) = told(tmp_path / 'bert', text).entries
    reading = entry.readings[0]
    assert (entry.seconds, entry.cpu_seconds) == (180, 180)
    assert (reading.tier, reading.method) == ('assumed', 'model:ccf-by-wall (cores in use: 1)')
    assert reading.u_rel > 2.0


def test_with_threads_all_from_one_core_to_all_of_them_are_held(tmp_path: Path) -> None:
    text = begin(arguments='-all -openmp 16 -s bert', stamp=OLD) + mark('CA Reg', '09:30:00')
    (entry,) = told(tmp_path / 'bert', text + end('09:40:00'), Machines(16)).entries
    reading = entry.readings[0]
    assert entry.cpu_seconds == 4 * 600
    assert reading.joules / reading.u_rel < 8 * 600 + 32 * 600
    assert reading.joules * reading.u_rel > 8 * 16 * 600 + 32 * 600


def test_programs_that_tell_their_own_cpu_seconds_are_believed(tmp_path: Path) -> None:
    text = begin(arguments='-all -openmp 8 -s bert', stamp=OLD) + mark('CA Reg', '09:30:00')
    text += 'mri_ca_register took 0 hours, 10 minutes and 0 seconds.\n'
    text += 'mri_ca_register utimesec    900.25\nmri_ca_register stimesec    9.75\n'
    text += 'mri_ca_register ru_maxrss   1899556\nmri_ca_register ru_nvcsw    1200\n'
    text += (
        'mri_ca_register ru_nivcsw   5319\nFSRUNTIME@ mri_ca_register  0.1667 hours 8 threads\n'
    )
    (entry,) = told(tmp_path / 'bert', text + end('09:40:00')).entries
    assert entry.cpu_seconds == 910
    assert entry.readings[0].tier == 'modelled'
    # When it began is not told.
    assert entry.commands == ()


def test_the_input_of_an_untimed_call_is_work(tmp_path: Path) -> None:
    text = begin(arguments='-all -i t1.nii -s bert', stamp=OLD) + mark('MotionCor', '09:30:20')
    found = told(tmp_path / 'bert', text + end('09:31:00'))
    assert [(entry.stage, entry.seconds) for entry in found.entries] == [
        ('input', 20),
        ('motioncor', 40),
    ]


@pytest.mark.parametrize('name', ['recon-all-status.log', 'recon-all.cmd'])
def test_where_the_log_is_gone_what_has_its_markers_stands_in(tmp_path: Path, name: str) -> None:
    first = DAY.format('09:30:00')
    heads = {
        'recon-all-status.log': f'status file for recon-all\n{first}\n',
        'recon-all.cmd': f'\n\n#-----\n# New invocation of recon-all {first} \n\n mri_info x \n\n',
    }
    text = heads[name] + mark('Fill', '09:31:00') + mark('Tessellate lh', '09:32:00')
    done = f'SUBJECT bert\nEND_TIME {DAY.format("09:33:00")}\nHOST node-7\nVERSION 7.3.2 (freesurfer-7.3.2-2022)\n'
    scripts = write(tmp_path / 'bert', {name: text, 'recon-all.done': done})
    found = read(scripts)
    assert [(entry.stage, entry.outcome) for entry in found.entries] == [
        ('fill', 'ran'),
        # A status file tells when it ended, a list of commands does not.
        ('tessellate_lh', 'killed' if name.endswith('.log') else 'ran'),
    ]
    assert [entry.seconds for entry in found.entries] == [120, 60 * name.endswith('.cmd')]
    assert found.entries[0].host == 'node-7'
    assert found.versions == {'FreeSurfer': '7.3.2'}


def test_stages_are_of_the_nearest_version(tmp_path: Path) -> None:
    stamp = 'freesurfer-Darwin-lion-stable-pub-v5.3.0'
    text = begin(stamp=stamp) + mark('Make White Surf lh', '09:30:00')
    text += mark('BA Labels lh', '09:31:00') + mark('AParc-to-ASeg', '09:32:00')
    found = told(tmp_path / 'bert', text + end('09:33:00'))
    assert keys(found) == ['white_lh', 'balabels_lh', 'aparc2aseg']
    assert found.versions == {'FreeSurfer': '5.3.0'}
    eight = 'freesurfer-linux-ubuntu22_x86_64-8.0.0-20250223-c8f3f1c'
    text = (
        begin(stamp=eight)
        + mark('MotionCor', '09:30:00')
        + mark('MCADura Segmentation', '09:31:00')
    )
    assert keys(told(tmp_path / 'eight', text + end('09:33:00'))) == ['motioncor', 'mcadura']


# Dates.

NOON = datetime(2024, 6, 7, 7, 46, 41, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    'date',
    [
        'Fri Jun  7 09:46:41 CEST 2024',
        'Fri Jun  7 03:46:41 EDT 2024',
        'Fri Jun  7 04:46:41 -03 2024',
        'Fri Jun  7 07:46:41 UTC 2024',
        'Fri Jun  7 13:16:41 +0530 2024',
        'Fri 7 Jun 09:46:41 CEST 2024',
        'Fri Jun  7 09:46:41 AM CEST 2024',
        'Fri 07 Jun 2024 03:46:41 AM EDT',
        'Fri  7 Jun 08:46:41 BST 2024',
        'Fr 7. Jun 09:46:41 CEST 2024',
        'Fr 7. Jun 2024, 09:46:41 CEST',
        'Freitag, 7. Juni 2024, 09:46:41 Uhr CEST',
        'ven. 07 juin 2024 09:46:41 CEST',
        'vendredi 7 juin 2024, 09:46:41 (UTC+0200)',
        'vie jun  7 09:46:41 CEST 2024',
        'vie 07 jun 2024 09:46:41 CEST',
        'ven  7 giu 2024, 09:46:41, CEST',
        'sex jun  7 04:46:41 -03 2024',
        'sex 07 jun 2024 04:46:41 -03',
        'vr jun  7 09:46:41 CEST 2024',
        'fre 7 jun 2024 09:46:41 CEST',
        'Пт июн  7 10:46:41 MSK 2024',
        '2024年 06月 07日 星期五 15:46:41 HKT',
        '2024年  6月  7日 金曜日 16:46:41 JST',
        '2024. 06. 07. (금) 16:46:41 KST',
    ],
)
@pytest.mark.parametrize('title', ['CC Seg', 'Cortical Parc 2 lh', 'Curv .H and .K rh'])
def test_dates_of_many_languages(date: str, title: str) -> None:
    found = dated(f'{title} {date}')
    assert found is not None
    zones = Zones()
    assert (found[0], zones.utc(found[1])) == (title, NOON)
    assert not zones.unknown


@pytest.mark.parametrize(
    ('date', 'month', 'day'),
    [
        ('mar mar  5 09:46:41 CET 2024', 3, 5),
        ('mar. 04 juin 2024 09:46:41 CEST', 6, 4),
        ('mar jun  4 09:46:41 CEST 2024', 6, 4),
        ('vie mar  1 09:46:41 CET 2024', 3, 1),
        ('Di 5. Mär 09:46:41 CET 2024', 3, 5),
        ('Di 5. M\ufffdr 09:46:41 CET 2024', 3, 5),
        ('jeu. 01 août 2024 09:46:41 CEST', 8, 1),
    ],
)
def test_days_and_months_that_begin_alike(date: str, month: int, day: int) -> None:
    found = dated(f'Sphere lh {date}')
    assert found is not None
    assert found[0] == 'Sphere lh'
    shown = datetime.fromtimestamp(found[1].local, timezone.utc)
    assert (shown.month, shown.day) == (month, day)


@pytest.mark.parametrize(
    'line',
    ['sub-01 lh 17252.7', '241395 lh 227149', 'Fill Fri Jun  7 09:46:41 CEST 20', 'Fill Fri Jun',
     'Fill Fri Feb 30 09:46:41 CET 2024', 'Fill Fri Jun  7 25:46:41 CET 2024', '', '::', '1:2:3'],
)  # fmt: skip
def test_what_is_no_date(line: str) -> None:
    assert dated(line) is None


def test_a_zone_of_two_meanings_is_the_one_that_programs_tell(tmp_path: Path) -> None:
    china = 'Fri Jun  7 {} CST 2024'
    head = begin(day=china) + 'x  TimeStamp: 2024/06/07-01:30:02-GMT  BuildTime: x\n'
    text = head + mark('Fill', '09:31:00', china) + end('09:32:00', day=china)
    found = told(tmp_path / 'bert', text)
    assert began(found.entries[0]) == datetime(2024, 6, 7, 1, 30, tzinfo=timezone.utc).timestamp()
    assert not found.warnings
    alone = told(tmp_path / 'alone', text.replace('TimeStamp', 'Time'))
    assert began(alone.entries[0]) == datetime(2024, 6, 7, 9, 30, tzinfo=timezone.utc).timestamp()
    assert len(alone.warnings) == 1
    assert 'time zone CST' in alone.warnings[0]


def test_the_night_when_summer_time_ends(tmp_path: Path) -> None:
    summer, winter = 'Sun Oct 27 {} CEST 2024', 'Sun Oct 27 {} CET 2024'
    text = begin('02:30:00', day=summer) + mark('Fill', '02:30:00', summer)
    text += ran('mri_fill', '02:30:00', 3000, 2990) + ran('mri_x', '02:20:00', 600, 590)
    text = text.replace('2024:06:07', '2024:10:27') + mark('Tessellate lh', '02:30:00', winter)
    found = told(tmp_path / 'bert', text + end('02:40:00', day=winter))
    first = found.entries[0]
    assert first.seconds == 3600
    assert [one.start - began(first) for one in first.commands] == [0, 3000]
    assert first.suspended_seconds == 0


def test_the_night_when_summer_time_begins(tmp_path: Path) -> None:
    winter, summer = 'Sun Mar 31 {} CET 2024', 'Sun Mar 31 {} CEST 2024'
    text = begin('01:50:00', day=winter) + mark('Fill', '01:50:00', winter)
    text += ran('mri_fill', '01:50:00', 600, 590) + ran('mri_x', '03:00:00', 300, 290)
    text = text.replace('2024:06:07', '2024:03:31') + mark('Tessellate lh', '03:05:00', summer)
    found = told(tmp_path / 'bert', text + end('03:06:00', day=summer))
    first = found.entries[0]
    assert first.seconds == 900
    assert [one.start - began(first) for one in first.commands] == [0, 600]


# Where logs lie, and whose they are.


def test_what_fastsurfer_made_is_not_ours(tmp_path: Path) -> None:
    scripts = write(tmp_path / 'bert', {'recon-all.log': finished(), 'recon-surf.log': ''})
    assert not list(FreeSurfer().find(listed(scripts)))
    assert not list(FreeSurfer().find(listed(tmp_path)))


@pytest.mark.parametrize(
    ('folder', 'labels'),
    [
        ('sub-01', ('01', '')),
        ('sub-01_ses-pre', ('01', 'pre')),
        ('sub-01/ses-2', ('01', '2')),
        ('ses-2/sub-01', ('01', '2')),
        ('sub-01_ses-2.long.sub-01', ('01', '2')),
        ('OAS1_0001', ('OAS10001', '')),
    ],
)
def test_labels_by_folder(tmp_path: Path, folder: str, labels: tuple[str, str]) -> None:
    entry = told(tmp_path / folder, finished()).entries[0]
    assert (entry.subject, entry.session) == labels


def test_longitudinal_work_is_not_the_same_work(tmp_path: Path) -> None:
    text = finished().replace('-all -s bert', '-long bert_1 bert -all')
    assert told(tmp_path / 'bert_1.long.bert', text).entries[1].node == 'motioncor.long'


def test_a_folder_that_was_copied_says_so(tmp_path: Path) -> None:
    text = finished() + begin('10:00:00', again=True, subject='copy') + mark('Fill', '10:00:01')
    found = told(tmp_path / 'copy', text + end('10:01:00', started='10:00:00'))
    assert [entry.subject for entry in found.entries] == ['bert', 'bert', 'bert', 'copy']
    assert len(found.warnings) == 1
    assert 'the log of bert' in found.warnings[0]


def test_a_machine_of_which_nothing_is_said_has_the_threads_that_were_used(tmp_path: Path) -> None:
    machines = Machines(cores=1, cpu='')
    told(
        tmp_path / 'bert', begin(arguments='-all -threads 8') + mark('Fill', '09:31:00'), machines
    )
    assert machines.asked == [('node-1', '', None), ('node-1', '', 8)]
    known = Machines(cores=2, cpu='')
    told(tmp_path / 'bert', begin(arguments='-all -threads 8') + mark('Fill', '09:31:00'), known)
    assert known.asked == [('node-1', '', None)]


def test_a_mac_writes_newlines_as_two_characters(tmp_path: Path) -> None:
    day = 'Fri Mar 28 {} CDT 2025'
    text = begin(day=day).replace('Linux node-1', 'Darwin mac.local') + '\\n\\n#----\n'
    text += '\\n#@# Fill ' + day.format('09:31:00') + '\n\\n mri_fill a b \\n\n'
    text += '#@# Tessellate lh ' + day.format('09:32:00') + '\\n\n' + end('09:33:00', day=day)
    text += '\\n\\n\\n\nNew invocation of recon-all \n\\n\\n\\n\n' + begin('10:00:00', day=day)
    text += mark('Fill', '10:00:00', day) + end('10:01:00', started='10:00:00', day=day)
    found = told(tmp_path / 'bert', text)
    assert [(entry.stage, entry.seconds) for entry in found.entries] == [
        ('fill', 120),
        ('tessellate_lh', 60),
        ('fill', 60),
    ]
    assert found.hosts[0].name == 'mac.local'


# Files of whoever wrote them.


@pytest.mark.parametrize('text', ['', 'hello\n', '#@# \n' * 100, '@#@FSTIME \n', '\0' * 1000])
def test_a_file_that_is_no_log_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ReaderError) as caught:
        told(tmp_path / 'bert', text)
    assert 'bert' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_file_with_too_much_of_everything_is_left_alone(tmp_path: Path) -> None:
    bomb = '#@# Fill Fri Jun  7 09:46:41 CEST 2024\n' * (MOST_EVENTS + 1)
    found = read(write(tmp_path / 'bert', {'recon-all.log': finished(), 'recon-all-lh.log': bomb}))
    assert keys(found) == ['input', 'motioncor', 'sphere_lh']
    assert len(found.warnings) == 1
    assert 'recon-all-lh.log: more than' in found.warnings[0]


def test_a_pipe_is_no_log(tmp_path: Path) -> None:
    scripts = write(tmp_path / 'bert', {'recon-all.log': finished()})
    os.mkfifo(scripts / 'recon-all-lh.log')
    found = read(scripts)
    assert len(found.entries) == 3
    assert 'is no file' in found.warnings[0]


def test_names_that_would_do_harm_are_not_taken(tmp_path: Path) -> None:
    text = begin(host='../../etc/passwd', subject='a\x1b[31m') + mark('Fill', '09:31:00')
    text += 'ERROR: \x1b[2Jgone\x07\n' + end('09:32:00', failed=True).replace('ERROR: no', 'no')
    found = told(tmp_path / 'bert', text)
    assert found.hosts[0].name == ''
    assert found.entries[0].error.isprintable()


def test_lines_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    text = finished()
    for number in ('nan', 'inf', '-1', '1e400', 'x', ''):
        found = told(tmp_path / 'bert', text.replace('U 230.00', f'U {number}'))
        assert sum(entry.cpu_seconds for entry in found.entries) == 53
        assert '1 lines of timed programs' in found.warnings[0]
    comma = told(tmp_path / 'bert', text.replace('U 230.00', 'U 230,00'))
    assert sum(entry.cpu_seconds for entry in comma.entries) == 291


def test_where_all_dates_were_made_the_same_nothing_is_known(tmp_path: Path) -> None:
    wiped = 'Thu Jan 01 00:00:00 CET 1971'
    text = begin(day=wiped, stamp=OLD)
    for title in ('Talairach', 'CA Reg', 'BA Labels lh'):
        text += mark(title, '', wiped)
    found = told(tmp_path / 'bert', text + end('', day=wiped, started=''))
    assert [entry.readings[0].joules for entry in found.entries] == [None, None, None]
    assert len(found.warnings) == 1


def test_many_doubts_of_a_kind_are_one_short_line(tmp_path: Path) -> None:
    zones = [f'{a}{b}X' for a in 'ABCDEFGHIJ' for b in 'ABCDEFGHIJ']
    text = begin() + ''.join(mark('Fill', '09:31:00', DAY.replace('CEST', zone)) for zone in zones)
    found = told(tmp_path / 'bert', text)
    assert all(len(line) < 300 + len(str(tmp_path)) for line in found.warnings)
    assert len(found.warnings) == 2


def test_a_clock_that_was_set_is_no_stage_of_years(tmp_path: Path) -> None:
    text = finished().replace('09:35:00 CEST 2024', '09:35:00 CEST 2034')
    found = told(tmp_path / 'bert', text)
    assert found.entries[2].seconds == 240
    assert 'sphere_lh' in found.warnings[0]


PIECES = ('#@# ', '@#@FSTIME ', 'took 9 minutes', '\n', '\\n', ' finished without error at ', '***FAILED***',
          ' exited with ERRORS at ', 'New invocation of recon-all ', ' utimesec ', '9' * 30, '\x00', 'é', '::')  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn, length: int) -> list[tuple[int, int, str]]:
    """Where to cut how much, and what to put there."""
    one = st.tuples(
        st.integers(0, length),
        st.integers(0, 60) | st.integers(0, length),
        st.sampled_from(PIECES) | st.text(max_size=8),
    )
    return draw(st.lists(one, min_size=1, max_size=6))


def survives(scripts: Path, text: str) -> None:
    (scripts / 'recon-all.log').write_bytes(text.encode('utf-8', 'surrogatepass'))
    try:
        found = read(scripts)
    except ReaderError as error:
        assert '\n' not in str(error)
        return
    assert len(found.warnings) < 10
    for entry in found.entries:
        check(entry)
        assert sum(w.joules[0] or 0 for w in entry.windows) == pytest.approx(
            entry.readings[0].joules or 0
        )
    for line in found.warnings:
        assert line.isprintable()


def mutated(text: str, changes: list[tuple[int, int, str]]) -> str:
    for at, length, put in changes:
        text = text[:at] + put + text[at + length :]
    return text


BROKEN = finished() + begin('10:00:00', again=True, stamp=OLD, arguments='-parallel -openmp 4')
BROKEN += mark('Sphere lh', '10:00:01') + mark('Sphere rh', '10:00:02') + took(3)
BROKEN += 'mris_sphere utimesec    83.16\nmris_sphere stimesec    1.16\n'
BROKEN += begin('10:01:00', again=True) + mark('Talairach', '10:02:00') + took(1)
BROKEN += mark('Sphere rh', '10:04:00') + end('10:05:00', failed=True) + end('10:06:00')


@settings(max_examples=300, deadline=None)
@given(mutations(len(BROKEN)))
def test_broken_logs_cost_a_line(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, str]]
) -> None:
    scripts = write(tmp_path_factory.mktemp('broken'), {'recon-all.log': ''})
    survives(scripts, mutated(BROKEN, changes))


# Real logs.


@needs_real
def test_a_real_run_of_7_4_1(tmp_path: Path) -> None:
    found = read(REAL / '7.4.1')
    assert len(found.entries) == 125
    assert {entry.outcome for entry in found.entries} == {'ran'}
    # S and U of its 366 lines.
    assert sum(len(entry.commands) for entry in found.entries) == 366
    assert sum(entry.cpu_seconds for entry in found.entries) == pytest.approx(49866.24, abs=0.01)
    asleep = sum(entry.suspended_seconds for entry in found.entries)
    assert asleep == pytest.approx(233647.86 - 518.22, abs=0.01)
    # It says 72.554 hours, and of the second run 6.126, in its own last lines.
    wall = [
        sum(e.seconds for e in found.entries if (e.subject == '741') == own)
        for own in (False, True)
    ]
    assert wall[0] + asleep == pytest.approx(72.554 * 3600, abs=5)
    assert wall[1] == pytest.approx(6.126 * 3600, abs=5)
    assert found.entries[0].started == '2023-08-18T16:09:54+00:00'
    assert len(found.warnings) == 2


@needs_real
def test_a_real_run_of_6_0_1() -> None:
    found = read(REAL / '6.0.1')
    assert len(found.entries) == 75
    assert {host.name for host in found.hosts} == {
        '979c42b372d0', '87a7076871ed', 'de9151837508', 'efad4839b3da',
    }  # fmt: skip
    careg = [entry for entry in found.entries if entry.stage == 'careg']
    # As each says itself: 2 hours, 54 minutes and 59 seconds, and 2 hours, 6 minutes and 17.
    assert [entry.seconds for entry in careg] == [10500, 7578]
    assert [round(entry.cpu_seconds) for entry in careg] == [16012, 10353]
    lost = [(entry.stage, entry.seconds) for entry in found.entries if entry.outcome == 'failed']
    assert sorted(lost) == [
        ('calabel', 218), ('tal-check', 0), ('tal-check', 0), ('tal-check', 1),
        ('talairach', 213), ('talairach', 457),
    ]  # fmt: skip
    assert not found.warnings


@needs_real
@settings(max_examples=25, deadline=None)
@given(st.sampled_from(['7.4.1', '6.0.1']), mutations(1_000_000))
def test_broken_real_logs_cost_a_line(
    tmp_path_factory: pytest.TempPathFactory, version: str, changes: list[tuple[int, int, str]]
) -> None:
    scripts = write(tmp_path_factory.mktemp('broken'), {'recon-all.log': ''})
    text = (REAL / version / 'recon-all.log').read_text('utf-8', errors='replace')
    survives(scripts, mutated(text, [(at % len(text), *rest) for at, *rest in changes]))
