"""What is installed is whole: a wheel, not the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.heavy
def test_the_wheel_holds_data_and_templates(tmp_path: Path) -> None:
    source = tmp_path / 'source'  # setuptools leaves a build folder beside what it builds
    source.mkdir()
    for name in ('setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / 'nicarbon', source / 'nicarbon')
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '-q', '-w', str(tmp_path)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob('*.whl')
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in ('nicarbon/data', 'nicarbon/report/templates'):
        there = {str(p.relative_to(ROOT)) for p in (ROOT / folder).iterdir() if p.is_file()}
        assert there
        assert there <= inside
    assert not any(name.startswith(('tests/', 'benchmarks/')) for name in inside)
