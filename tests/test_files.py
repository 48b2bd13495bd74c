"""Files of our own."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from nicarbon.files import save_json, writable


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'file.json'
    save_json(path, {'a': 1}, mode=0o600)
    save_json(path, {'a': 2})
    assert json.loads(path.read_text()) == {'a': 2}
    assert [each.name for each in path.parent.iterdir()] == ['file.json']


def test_its_permissions(tmp_path: Path) -> None:
    save_json(tmp_path / 'file', {}, mode=0o640)
    assert stat.S_IMODE((tmp_path / 'file').stat().st_mode) == 0o640


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / 'folder').mkdir()
    with pytest.raises(OSError, match='folder'):
        save_json(tmp_path / 'folder', {})
    assert [each.name for each in tmp_path.iterdir()] == ['folder']


def test_folders_that_may_be_written_to(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    assert writable(tmp_path / 'new' / 'newer')
    assert not writable(tmp_path / 'file' / 'new')
