"""The demo dataset: valid, reproducible, and as its recipe says."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nicarbon import demo
from nicarbon.anatomy import template


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return demo.write_dataset(tmp_path_factory.mktemp('demo'), voxel_size_mm=4)


@pytest.fixture(scope='module')
def heads():
    return list(demo.heads(2))


def test_writing_again_gives_the_same_bytes(dataset, tmp_path):
    demo.write_dataset(tmp_path, voxel_size_mm=4)
    names = sorted(p.relative_to(dataset) for p in dataset.rglob('*') if p.is_file())
    assert names == sorted(p.relative_to(tmp_path) for p in tmp_path.rglob('*') if p.is_file())
    for name in names:
        assert (dataset / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_the_validator_finds_no_error_and_only_missing_scanner_facts(dataset):
    tool = shutil.which('bids-validator-deno', path=Path(sys.executable).parent)
    if not tool:
        pytest.skip('bids-validator-deno is not installed beside this Python')
    run = subprocess.run([tool, dataset, '--json'], capture_output=True, text=True, check=False)
    issues = json.loads(run.stdout)['issues']['issues']
    assert [issue for issue in issues if issue['severity'] == 'error'] == []
    assert {issue['code'] for issue in issues} <= {
        'SIDECAR_KEY_RECOMMENDED',
        'JSON_KEY_RECOMMENDED',
    }


def test_a_sidecar_states_the_recipe_and_no_scanner(dataset):
    sidecar = json.loads((dataset / 'sub-02/anat/sub-02_T1w.json').read_text())
    assert sidecar['Recipe']['rotation_deg'] == list(demo.HEADS[1].rotation_deg)
    assert 'Manufacturer' not in sidecar


def test_the_first_head_is_the_template_with_noise(heads):
    average = template.load(2)
    inside = average.brain.get_fdata() > 0
    difference = heads[0].image.get_fdata()[inside] / 1000 - average.t1w.get_fdata()[inside]
    assert abs(difference.mean()) < 1e-3
    assert difference.std() == pytest.approx(demo.HEADS[0].noise, rel=0.05)


def test_the_truth_moves_with_the_head(heads):
    moved, truth = heads[1].image.get_fdata(), heads[1].truth()
    white, grey, fluid = (
        np.median(moved[truth[name].get_fdata() > 0.9]) for name in ('wm', 'gm', 'csf')
    )
    assert fluid < 0.7 * grey < 0.9 * white
    # Left where it was, the template's white matter is no longer white matter.
    still = template.load(2).wm.get_fdata() > 0.9
    assert moved[still].std() > 1.5 * moved[truth['wm'].get_fdata() > 0.9].std()


def test_a_landmark_moves_as_the_matrix_says():
    recipe = demo.Recipe('t', rotation_deg=(0, 0, 90), scaling=(2, 1, 1), translation_mm=(1, 0, 0))
    assert demo.matrix(recipe) @ [1, 0, 0, 1] == pytest.approx([1, 2, 0, 1])


def test_the_bending_is_one_to_one(heads):
    affine = heads[1].image.affine
    where = demo._voxels(demo.HEADS[1], affine, heads[1].image.shape)
    jacobian = np.stack([np.stack(np.gradient(part)) for part in where]).transpose(2, 3, 4, 0, 1)
    assert np.linalg.det(jacobian).min() > 0.2


def test_there_is_a_head_round_the_brain(heads):
    image, truth = heads[0].image.get_fdata(), heads[0].truth()
    brain = truth['brain'].get_fdata() > 0
    assert (image[~brain] > 600).sum() > 0.2 * brain.sum()
    assert isinstance(heads[0].image, nib.Nifti1Image)
