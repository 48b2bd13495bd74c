"""A place to run a pipeline in, through the installed command, and to kill it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from command import NICARBON, nicarbon

from nicarbon import ledger
from nicarbon.entry import Entry

OF_NIPYPE = 0.3
"""CPU seconds that a node uses beside its program: Nipype's hashing, pickling and shell."""


class Laboratory:
    """A folder with a dataset, a stand-in, and what came out.

    Parameters
    ----------
    root : Path
    env : mapping
        Where the stand-in is.
    subjects : tuple of str
    """

    tool = ''
    words: tuple[object, ...] = ()

    def __init__(self, root: Path, env: dict[str, str], subjects: tuple[str, ...] = ('01',)):
        self.root, self.out, self.env = root, root / 'out', env
        (root / 'bids').mkdir()
        self.bids = make_dataset(root / 'bids', subjects)

    def command(self, *words: object) -> list[str]:
        all_words = (self.bids, self.out, 'participant', '-w', self.root / 'work', '--nprocs', 2)
        return [str(word) for word in (*all_words, *self.words, *words)]

    def run(self, *words: object, work: Mapping[str, str]):
        return nicarbon(*self.command(*words), cwd=self.root, **{**self.env, **work})

    @property
    def subject(self) -> Path:
        return self.out / self.tool / 'sub-01'

    def entries(self, run: int = -1) -> list[Entry]:
        entries, warnings = ledger.read(ledger.folders(self.out)[run])
        assert warnings == []
        return entries

    def nodes(self, run: int = -1) -> list[Entry]:
        return [entry for entry in self.entries(run) if entry.kind == 'node']

    def kill(
        self,
        work: Callable[[Path], Mapping[str, str]],
        *words: object,
        end: Callable[[int], None] | None = None,
    ) -> set[str]:
        """Run until something hangs, and kill all there is.

        ``work`` is given the folder in which what hangs makes a file; the names of those
        are returned. ``end`` is given the process instead, which then ends by itself.
        """
        marks = self.root / 'hanging'
        shutil.rmtree(marks, ignore_errors=True)
        marks.mkdir()
        with subprocess.Popen(
            [NICARBON, *self.command(*words)], env={**os.environ, **self.env, **work(marks)},
            cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                wait_until(lambda: any(marks.iterdir()) or process.poll() is not None, 60)
                assert process.poll() is None, process.stderr.read().decode()
                # So that a window has been written, and the other hemisphere hangs too.
                time.sleep(0.6)
                if end is not None:
                    end(process.pid)
                    process.wait(timeout=60)
            finally:
                kill_session(process.pid)
        return {mark.name for mark in marks.iterdir()}


def make_dataset(root: Path, subjects: tuple[str, ...] = ('01',)) -> Path:
    (root / 'dataset_description.json').write_text(
        json.dumps({'Name': 'small', 'BIDSVersion': '1.10.0'})
    )
    for subject in subjects:
        add_image(root / f'sub-{subject}' / 'anat' / f'sub-{subject}_T1w.nii.gz')
    return root


def add_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), 'i2'), np.eye(4)), path)


def refused(
    pipeline: str, dataset: Path, tmp_path: Path, env: dict[str, str], *words: object
) -> tuple[int, str]:
    """Exit code and the only line of what must not start any work."""
    out = tmp_path / 'out'
    done = nicarbon(
        dataset, out, 'participant', '-w', tmp_path / 'work', '--pipeline', pipeline, *words,
        cwd=tmp_path, **env,
    )  # fmt: skip
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith('nicarbon: error: ')
    assert not list(out.glob('logs/*')), 'work was started'
    return done.returncode, lines[0]


def read_tsv(path: Path) -> list[dict[str, str]]:
    head, *lines = (line.split('\t') for line in path.read_text().splitlines())
    return [dict(zip(head, line, strict=True)) for line in lines]


def files(folder: Path) -> set[str]:
    """All but what tells of the calls themselves."""
    found = {str(path.relative_to(folder)) for path in folder.rglob('*') if not path.is_dir()}
    return {path for path in found if not path.endswith(('.bak', 'expert-options'))}


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, 'it took too long'
        time.sleep(0.02)


def kill_session(session: int) -> None:
    """All processes of a session, whatever their groups."""
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            if path.read_text().rpartition(')')[2].split()[3] == str(session):
                os.kill(int(path.parent.name), signal.SIGKILL)
        except (OSError, IndexError):
            continue
