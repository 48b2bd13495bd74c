"""Many processes and hosts write to one output folder at once, with no lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import freesurfer_stand_in as stand_in
import pytest
from command import nicarbon
from laboratory import make_dataset

from nicarbon import ledger

WRITERS = 50
NODES = 20

WRITER = """
import os, sys, time
from pathlib import Path
from nicarbon import host, meters
from nicarbon.run import watched
from nicarbon.watch import Label
go, number = Path(sys.argv[1]), int(sys.argv[2])
(go.parent / f'ready-{number}').touch()
while not go.exists():
    time.sleep(0.005)
for node in range(int(sys.argv[3])):
    with watched(Label(subject=f'{number:02}', stage='s', node=f'n{node}')):
        pass
"""


@pytest.mark.heavy
def test_fifty_writers_lose_nothing(tmp_path: Path) -> None:
    """As under a batch system's plugin: each process writes into the ledger of the one run."""
    out, go = tmp_path / 'out', tmp_path / 'go'
    folder = out / 'logs' / 'run' / 'ledger'
    environ = {**os.environ, 'NICARBON_LEDGER': str(folder), 'NICARBON_BEGAN': '0'}
    writers = [
        subprocess.Popen(
            [sys.executable, '-c', WRITER, str(go), str(number), str(NODES)],
            env={**environ, 'SLURM_JOB_ID': str(1000 + number), 'SLURMD_NODENAME': 'n7'},
            stderr=subprocess.PIPE,
        )
        for number in range(WRITERS)
    ]
    end = time.monotonic() + 120
    while len(list(tmp_path.glob('ready-*'))) < WRITERS:
        assert time.monotonic() < end
        time.sleep(0.05)
    go.touch()
    said = [writer.communicate(timeout=120)[1] for writer in writers]
    assert set(said) == {b''}
    entries, warnings = ledger.read(folder)
    assert warnings == []
    assert len(entries) == WRITERS * NODES
    assert len({entry.entry_id for entry in entries}) == WRITERS * NODES
    assert {(entry.subject, entry.job) for entry in entries} == {
        (f'{number:02}', f'slurm:{1000 + number}') for number in range(WRITERS)
    }
    # One description of the host, whoever wrote it last.
    assert len(list((out / 'logs' / 'run' / 'hosts').iterdir())) == 1


TASK = """
import sys, time
from pathlib import Path
from nicarbon.cli.choice import choose
from nicarbon.cli.outputs import write
from nicarbon.cli.saving import scaffold
from nicarbon.run import recording, watched
from nicarbon.watch import Label
out, subject = Path(sys.argv[1]), sys.argv[2]
scaffold(out)
with recording(out) as run:
    for stage in ('one', 'two'):
        with watched(Label(subject=subject, stage=stage, node=f'sub_{subject}.{stage}')):
            sum(range(2_000_000))
write(out, choose({}, {}), [subject], alone=run.folder.name)
"""


@pytest.mark.heavy
def test_tasks_that_end_at_once_each_write_their_subject(tmp_path: Path) -> None:
    """As tasks of an array: each has a run of its own, and reports while others go on."""
    out, tasks = tmp_path / 'out', 8
    running = [
        subprocess.Popen(
            [sys.executable, '-c', TASK, str(out), f'{number:02}'],
            env={**os.environ, 'SLURM_JOB_ID': '7', 'SLURM_ARRAY_JOB_ID': '7',
                 'SLURM_ARRAY_TASK_ID': str(number), 'SLURMD_NODENAME': 'n7'},
            stderr=subprocess.PIPE,
        )
        for number in range(tasks)
    ]  # fmt: skip
    said = [(task.communicate(timeout=300)[1], task.returncode) for task in running]
    assert set(said) == {(b'', 0)}
    entries, warnings = ledger.read(*ledger.folders(out))
    assert warnings == []
    assert sum(entry.kind == 'node' for entry in entries) == 2 * tasks
    assert len(ledger.folders(out)) == tasks
    for number in range(tasks):
        table = (out / f'sub-{number:02}' / f'sub-{number:02}_carbon.tsv').read_text()
        assert len(table.splitlines()) == 3
    # None has looked at another; the group finds out that they were on one machine.
    keys = {_key(folder.parent) for folder in ledger.folders(out)}
    assert len(keys) == tasks
    done = nicarbon('bids', out, 'group', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len({_key(folder.parent) for folder in ledger.folders(out)}) < tasks
    drafts = [path for path in out.rglob('.*') if path.name != '.bidsignore']
    assert drafts == []


def _key(log_dir: Path) -> str:
    """Of which ledgers the digest of a run was made."""
    return json.loads((log_dir / 'shares.tsv').read_text().partition('\n')[0])['key']


def test_a_task_of_an_array_looks_at_its_own_run_until_its_subject_has_a_page(tmp_path: Path):
    (tmp_path / 'bids').mkdir()
    bids = make_dataset(tmp_path / 'bids', ('01', '02'))
    home = stand_in.install(tmp_path / 'home')

    def participant(subject: str, **job: str) -> dict[str, bool]:
        """Which runs have a digest afterwards, by the subject that they are of."""
        done = nicarbon(
            bids, tmp_path / 'out', 'participant', '--participant-label', subject,
            '--pipeline', 'freesurfer', '--stages', 'input', '-w', tmp_path / 'work',
            cwd=tmp_path, **home, **job, **stand_in.work(tmp_path),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {
            '+'.join(sorted({one.subject for one in ledger.read(folder)[0] if one.subject})): (
                folder.parent / 'shares.tsv'
            ).exists()
            for folder in ledger.folders(tmp_path / 'out')
        }

    def page(subject: str) -> Path:
        return tmp_path / 'out' / f'sub-{subject}.html'

    task = {'SLURM_JOB_ID': '7', 'SLURM_ARRAY_JOB_ID': '7', 'SLURM_ARRAY_TASK_ID': '1'}
    task |= {'SLURMD_NODENAME': 'n7'}
    participant('01')
    (folder,) = ledger.folders(tmp_path / 'out')
    (folder.parent / 'shares.tsv').unlink()
    assert participant('02', **task) == {'01': False, '02': True}
    assert page('02').exists()
    # A subject that was processed before has all its runs on its page.
    page('01').unlink()
    assert participant('02', **task) == {'01': True, '02': True}
