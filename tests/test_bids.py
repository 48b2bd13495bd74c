"""Which images are found, in which datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nicarbon import bids
from nicarbon.entity import label
from nicarbon.errors import BIDSError, InputError, SelectionError, UsageError

IMAGES = [
    'sub-01/ses-1/anat/sub-01_ses-1_run-1_T1w.nii.gz',
    'sub-01/ses-1/anat/sub-01_ses-1_run-2_T1w.nii.gz',
    'sub-01/ses-2/anat/sub-01_ses-2_acq-mprage_T1w.nii',
    'sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz',
    'sub-01/ses-2/func/sub-01_ses-2_task-rest_bold.nii.gz',
    'sub-02/anat/sub-02_T1w.nii.gz',
    'sub-03/anat/sub-03_T2w.nii.gz',
    'sub-020/anat/sub-020_T1w.nii.gz',
    'sub-01-old/anat/sub-01-old_T1w.nii.gz',
    'derivatives/x/sub-01/anat/sub-01_T1w.nii.gz',
    'sourcedata/sub-01/anat/sub-01_T1w.nii.gz',
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name in IMAGES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    description = {'Name': 'test', 'BIDSVersion': '1.10.0'}
    (tmp_path / 'dataset_description.json').write_text(json.dumps(description))
    return tmp_path


def names(found: list[bids.Session]) -> dict[str, int]:
    return {session.name: len(session.t1w) for session in found}


def test_all_runs_of_all_sessions(dataset: Path) -> None:
    found, without = bids.sessions(dataset)
    assert names(found) == {'sub-01_ses-1': 2, 'sub-01_ses-2': 1, 'sub-02': 1, 'sub-020': 1}
    assert without == ['03']


def test_labels_choose(dataset: Path) -> None:
    assert names(bids.sessions(dataset, ['02'])[0]) == {'sub-02': 1}
    assert names(bids.sessions(dataset, ['01'], ['2'])[0]) == {'sub-01_ses-2': 1}


def test_filters_choose(dataset: Path) -> None:
    assert names(bids.sessions(dataset, ['01'], filters={'run': 1})[0]) == {'sub-01_ses-1': 1}
    assert names(bids.sessions(dataset, filters={'acquisition': '*'})[0]) == {'sub-01_ses-2': 1}
    assert 'sub-01_ses-2' not in names(bids.sessions(dataset, filters={'acquisition': None})[0])


@pytest.mark.parametrize(
    ('chosen', 'words'),
    [
        ((['04'],), 'no sub-04'),
        ((['03'],), 'no T1w image'),
        ((['02'], ['9']), 'no T1w image'),
        (([], ['1', '9']), 'ses-9'),
    ],
)
def test_what_selects_nothing_is_an_error(dataset: Path, chosen: tuple, words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        bids.sessions(dataset, *chosen)


@pytest.mark.parametrize('content', [None, '', '[]', '{"Name": "x"}', '{"Name":'], ids=repr)
def test_what_is_not_bids_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / 'dataset_description.json').write_text(content)
    with pytest.raises(BIDSError, match='dataset_description'):
        bids.check(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such folder'):
        bids.check(tmp_path / 'none')


@pytest.mark.parametrize('text', ['', 'a/b', '..', 'sub-', 'sub-0_1', 'a\nb', '*', '01 02'])
def test_labels_never_become_paths(text: str) -> None:
    with pytest.raises(UsageError):
        label(text, 'sub')


@pytest.mark.parametrize(
    'content',
    ['{', '[]', '{"t1w": 3}', '{"t1w": {"foo": "x"}}', '{"t1w": {"run": {"a": 1}}}'],
)
def test_a_bad_filter_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'f.json'
    path.write_text(content)
    with pytest.raises(UsageError, match=r'f\.json'):
        bids.load_filter(path)
