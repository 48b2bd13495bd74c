"""The public surface, and that importing it does nothing."""

from __future__ import annotations

import subprocess
import sys

import nicarbon


def test_public_names_are_there() -> None:
    """Every name has its home, and is what the type checker is told it is."""
    assert list(nicarbon._HOMES) == nicarbon.__all__
    for name, home in nicarbon._HOMES.items():
        assert getattr(nicarbon, name).__module__ == f'nicarbon.{home}'


def test_importing_does_nothing() -> None:
    """No library, no environment, no start method, no thread, no file."""
    code = (
        'import os, sys, threading, multiprocessing\n'
        'env = dict(os.environ); before = set(sys.modules)\n'
        'import nicarbon, nicarbon.cli\n'
        'heavy = {"nipype", "numpy", "nibabel", "bids", "codecarbon", "pandas", "matplotlib"}\n'
        'assert not heavy & set(sys.modules), heavy & set(sys.modules)\n'
        'assert dict(os.environ) == env\n'
        'assert threading.active_count() == 1\n'
        'assert multiprocessing.get_start_method(allow_none=True) is None\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
