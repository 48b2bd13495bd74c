"""What several tests need."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import digest, nicarbon
from hypothesis import settings
from values import replace

from nicarbon import demo
from nicarbon.entry import Entry, Reading, Window

# Programs of stand-ins, which import each other by their own paths.
collect_ignore = ['fastsurfer_stand_in', 'freesurfer_stand_in', 'gpu_machine']
# It needs atheris, and runs until it is stopped.
collect_ignore += ['fuzz_read_freesurfer.py']

# How long something takes depends on who else is on the machine.
settings.register_profile('untimed', deadline=None)
settings.load_profile('untimed')

CPU = Reading('cpu', None, 2.0, 'model:tdp-linear', 'modelled', 'host', 2.0)


@pytest.fixture(scope='session', autouse=True)
def no_job() -> None:
    """Of a batch system that runs the tests, which would take themselves for its tasks."""
    for name in [*os.environ]:
        if name.startswith(('SLURM', 'PBS_', 'SGE_')):
            del os.environ[name]


@pytest.fixture(scope='session', autouse=True)
def signals_as_they_are() -> None:
    """A shell that runs tests in the background ignores these, and so would all children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """A factory of entries from windows, with totals that follow from them."""
    numbers = itertools.count(1)

    def make(windows: tuple[Window, ...] = (), **changes: Any) -> Entry:
        readings = changes.pop('readings', (CPU,))
        sums = [sum(w.joules[i] or 0.0 for w in windows) for i in range(len(readings))]
        entry = Entry(
            entry_id=f'h-1-1-{next(numbers)}',
            kind='node',
            run_id='r',
            subject='01',
            session='',
            stage='n4',
            node='wf.n4',
            interface='N4',
            host='h',
            boot_id='b',
            pid=1,
            started='2026-01-01T00:00:00.000+00:00',
            seconds=sum(w.seconds for w in windows),
            cpu_seconds=sum(w.cpu_seconds for w in windows),
            host_cpu_seconds=sum(w.host_cpu_seconds for w in windows),
            host_cores=2,
            reserved_cores=1.0,
            reserved_memory_gb=0.5,
            readings=tuple(
                replace(r, joules=j if windows else None)
                for r, j in zip(readings, sums, strict=True)
            ),
            windows=windows,
            outcome='ran',
        )
        return replace(entry, **changes)

    return make


@pytest.fixture(scope='session')
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's two heads at 2 mm."""
    folder = tmp_path_factory.mktemp('heads') / 'bids'
    demo.write_dataset(folder, 2)
    return folder


@pytest.fixture(scope='session')
def ran(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which participant and group were run; the input was not touched."""
    folder = tmp_path_factory.mktemp('ran')
    before = digest(heads)
    words = [heads, 'out', 'participant', '--grid', 'CA-QC', '--pue', '1.2', '--nprocs', '2']
    done = nicarbon(*words, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ''
    assert '[18/18]' in done.stdout
    done = nicarbon(heads, 'out', 'group', cwd=folder)
    assert done.returncode == 0, done.stderr
    assert digest(heads) == before
    return folder
