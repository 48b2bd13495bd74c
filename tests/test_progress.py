"""What a stage that failed or was cut off leaves, and what of it is kept."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from nicarbon import progress
from nicarbon.errors import InputError, StageError
from nicarbon.freesurfer import remove_stale_flags
from nicarbon.stage import Stage, find_stage

IMAGE = progress.note([], [])


def stage(name: str) -> Stage:
    return find_stage('fastsurfer', name, version='2.3')


def make(folder: Path, one: Stage, names: tuple[str, ...] = (), at: float | None = None) -> None:
    for name in names or one.makes:
        path = folder / one.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        if at is not None:
            os.utime(path, (at, at))


def ran(folder: Path, name: str, *, imports: bool = False) -> None:
    with progress.working(stage(name), folder, IMAGE, imports=imports):
        make(folder, stage(name))


def failed(folder: Path, name: str, *made: str, imports: bool = False) -> None:
    with (
        contextlib.suppress(StageError),
        progress.working(stage(name), folder, IMAGE, imports=imports),
    ):
        make(folder, stage(name), made)
        raise StageError('as it was told')


def test_an_import_that_failed_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / 'sub-01'
    failed(folder, 'asegdkt', 'orig', imports=True)
    assert (folder / 'mri/orig.mgz').exists(), 'what it left can be looked at'
    ran(folder, 'asegdkt', imports=True)
    assert progress.finished(stage('asegdkt'), folder)
    assert progress.is_ours(folder)


def test_what_somebody_made_of_an_import_that_failed_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / 'sub-01'
    failed(folder, 'asegdkt', 'orig', imports=True)
    make(folder, stage('asegdkt'), at=time.time() + 60)
    with pytest.raises(InputError, match='was changed after nicarbon failed to import it'):
        progress.begin_import(folder)
    assert (folder / 'mri/mask.mgz').exists()


def test_a_subject_that_lacks_what_its_import_made_is_told_so(tmp_path: Path) -> None:
    folder = tmp_path / 'sub-01'
    ran(folder, 'asegdkt', imports=True)
    (folder / 'mri/mask.mgz').unlink()
    with pytest.raises(InputError, match='lacks what its import made'):
        progress.begin_import(folder)
    assert (folder / 'mri/orig.mgz').exists()


def test_surfaces_are_made_again_in_a_folder_that_has_none_of_them(tmp_path: Path) -> None:
    """recon-surf.sh refuses a subject that has wm.mgz."""
    folder = tmp_path / 'sub-01'
    for name in ('asegdkt', 'biasfield', 'recon-surf'):
        ran(folder, name, imports=name == 'asegdkt')
    later = time.time() + 60
    os.utime(folder / 'mri/mask.mgz', (later, later))
    assert not progress.finished(stage('recon-surf'), folder)
    progress.begin(stage('recon-surf'), folder)
    assert not (folder / 'mri/wm.mgz').exists()
    assert (folder / 'trash/wm.mgz').exists()


def test_a_talairach_that_was_cut_off_is_put_aside_too(tmp_path: Path) -> None:
    """recon-surf.sh takes a link that is there for a Talairach that is through."""
    folder, one = tmp_path / 'sub-01', stage('recon-surf')
    ran(folder, 'asegdkt', imports=True)
    ran(folder, 'biasfield')
    progress.begin(one, folder)
    make(folder, one, ('talairach_lta', 'nu'))
    progress.begin(one, folder)
    assert not (folder / 'mri/transforms/talairach.lta').exists()
    assert not (folder / 'mri/nu.mgz').exists()
    # One that another stage has made before stays.
    made = stage('tal_reg')
    make(folder, made, at=time.time() - 60)
    progress.fail(one, folder)
    progress.begin(one, folder)
    progress.begin(one, folder)
    assert (folder / 'mri/transforms/talairach.lta').exists()


def test_it_began_by_the_clock_of_its_file_system(tmp_path: Path) -> None:
    folder = tmp_path / 'sub-01'
    ran(folder, 'asegdkt', imports=True)
    assert progress.since(stage('biasfield'), folder) == 0
    progress.begin(stage('biasfield'), folder)
    mark = folder / 'touch/nicarbon.biasfield.begun'
    assert progress.since(stage('biasfield'), folder) == mark.stat().st_mtime


@pytest.mark.parametrize(
    ('text', 'gone'),
    [
        ('HOST {host}\nPROCESSID 4194303\n', True),
        ('HOST {host}\nPROCESSID {own}\n', False),
        ('HOST {host}\n', False),
        ('HOST elsewhere\nPROCESSID 4194303\n', False),
    ],
)
def test_only_what_is_known_to_be_gone_loses_its_flag(
    tmp_path: Path, text: str, gone: bool
) -> None:
    flag = tmp_path / 'scripts/IsRunning.lh+rh'
    flag.parent.mkdir()
    flag.write_text(text.format(host=os.uname().nodename, own=os.getpid()))
    remove_stale_flags(tmp_path)
    assert flag.exists() is not gone
