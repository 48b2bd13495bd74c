"""What the documentation shows runs, and what it makes of the stage table is whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import freesurfer_stand_in as stand_in
import nibabel as nib
import numpy as np
import pytest

from nicarbon import ledger
from nicarbon.freesurfer import selected
from nicarbon.stage import versions

DOCS = Path(__file__).parents[1] / 'docs'


def test_the_workflow_of_the_freesurfer_page_runs(tmp_path):
    text = (DOCS / 'freesurfer.md').read_text('utf-8')
    (code,) = re.findall(r'<!-- tested .*?-->\n```python\n(.*?)```', text, re.DOTALL)
    (tmp_path / 'subjects').mkdir()
    image = nib.Nifti1Image(np.zeros((4, 4, 4), 'i2'), np.eye(4))
    nib.save(image, tmp_path / 'T1w.nii.gz')
    env = stand_in.install(tmp_path / 'home')
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    entries, _ = ledger.read(*ledger.folders(tmp_path / 'out'))
    ran = {entry.stage: entry for entry in entries if entry.kind == 'node'}
    assert set(ran) == {'first', 'conform', 'align'}
    assert all(entry.outcome == 'ran' and entry.commands for entry in ran.values())
    assert (tmp_path / 'subjects/bert/mri/transforms/talairach.xfm').is_file()


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return pytest.importorskip('stagepages', exc_type=ImportError)


@pytest.mark.parametrize('version', map(int, versions('freesurfer')))
def test_the_graph_shows_all_stages(version, pages):
    assert pages.drawing(version).count('<rect') == len(selected(version))


@pytest.mark.parametrize('tool', ['freesurfer', 'fastsurfer'])
def test_tables_show_all_stages(tool, pages):
    for version in versions(tool):
        written = pages.table(tool, version).splitlines()[2:]
        assert len(written) == len(pages.rows(tool, version))
