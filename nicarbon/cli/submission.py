"""A submission on disk: ``OUT_DIR/logs/slurm/<name>``, and what its tasks have left.

::

    tasks.tsv          a line for each task
    options.toml       options of all of them
    task.sh, group.sh  what jobs run
    submission.json    the jobs, by attempt
    said/<job>.txt     what each job printed
    ended/<number>     exit code, job and host of a task that ended by itself
    status.tsv         what the last --status found
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ..errors import InputError, LedgerError
from ..files import save, save_json
from ..slurm.arrays import Array, Task, numbers, table, tasks_of
from ..slurm.states import End, end_of

__all__ = ['Attempt', 'Submission', 'ends', 'load', 'runs']

SCHEMA_VERSION = 1

CLOCKS_DIFFER = timedelta(minutes=5)
"""What MUNGE allows between the clocks of a cluster."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Jobs that were sent at once.

    Parameters
    ----------
    submitted : str
        UTC, ISO 8601.
    arrays : tuple of Array
    group : str
        Job that reports on the dataset; empty where there is none.
    """

    submitted: str
    arrays: tuple[Array, ...]
    group: str = ''


@dataclass(frozen=True, slots=True)
class Submission:
    """A list of tasks, and the jobs that were sent for them.

    Parameters
    ----------
    folder : pathlib.Path
    tasks : tuple of Task
        Task 1 is the first.
    size : int
        Tasks in one array at most.
    at_once : int or None
        Tasks of an array that may run at once.
    sbatch : tuple of str
        Options for ``sbatch``.
    attempts : tuple of Attempt
        The newest is the last.
    """

    folder: Path
    tasks: tuple[Task, ...]
    size: int
    at_once: int | None = None
    sbatch: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = field(default=())

    @property
    def jobs(self) -> dict[int, str]:
        """The last job that was sent for each task: ``<array>_<task>``."""
        found: dict[int, str] = {}
        for attempt in self.attempts:
            for array in attempt.arrays:
                own = numbers(array.spec)
                found |= {array.offset + index: f'{array.job}_{index}' for index in own}
        return found

    def create(self, files: Mapping[str, str]) -> None:
        """Write it, with further files by name, before anything is sent."""
        for name in ('said', 'ended'):
            (self.folder / name).mkdir(parents=True)
        for name, text in {'tasks.tsv': table(self.tasks), **files}.items():
            save(self.folder / name, text)
        self.save()

    def save(self) -> None:
        """Write which jobs there are."""
        record = {
            'schema_version': SCHEMA_VERSION,
            'array_size': self.size,
            'at_once': self.at_once,
            'sbatch': list(self.sbatch),
            'attempts': [
                asdict(one) | {'arrays': [array._asdict() for array in one.arrays]}
                for one in self.attempts
            ],
        }
        save_json(self.folder / 'submission.json', record)


def load(out_dir: Path, name: str = '') -> Submission:
    """Read one submission of an output folder.

    Parameters
    ----------
    out_dir : pathlib.Path
    name : str
        The newest one when empty.

    Returns
    -------
    Submission

    Raises
    ------
    InputError
        When there is none, or its files cannot be read.
    LedgerError
        When a newer nicarbon has written it.
    """
    there = out_dir / 'logs' / 'slurm'
    found = sorted(path.parent for path in there.glob(f'{name or "*"}/submission.json'))
    if not found:
        raise InputError(
            f'{there}: no submission {name}'.rstrip() + '; nicarbon slurm BIDS_DIR OUT_DIR '
            'participant makes one'
        )
    folder = found[-1]
    try:
        record = json.loads((folder / 'submission.json').read_text('utf-8'))
        if record['schema_version'] != SCHEMA_VERSION:
            raise LedgerError(
                f'{folder}: was written by another nicarbon (version '
                f'{record["schema_version"]}, this one knows {SCHEMA_VERSION})'
            )
        tasks = tuple(tasks_of((folder / 'tasks.tsv').read_text('utf-8')))
        attempts = tuple(map(_attempt, record['attempts']))
        size, at_once = int(record['array_size']), record['at_once']
        return Submission(folder, tasks, size, at_once, tuple(record['sbatch']), attempts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{folder}: this submission cannot be read: {error}') from None


def _attempt(record: Mapping[str, Any]) -> Attempt:
    arrays = tuple(Array(**one) for one in record['arrays'])
    return Attempt(record['submitted'], arrays, record['group'])


def ends(folder: Path) -> dict[int, End]:
    """What tasks of a submission say of their end, by number.

    Parameters
    ----------
    folder : pathlib.Path

    Returns
    -------
    dict of {int : End}
    """
    found: dict[int, End] = {}
    with os.scandir(folder / 'ended') as files:
        for one in files:
            if one.name.isdigit():
                with contextlib.suppress(OSError):
                    end = end_of(Path(one.path).read_text(errors='replace'))
                    if end is not None:
                        found[int(one.name)] = end
    return found


def runs(out_dir: Path, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Names of the runs that jobs of SLURM have begun since, by ``<array>_<task>``.

    Their names say it, so that no ledger has to be opened.

    Parameters
    ----------
    out_dir : pathlib.Path
    attempts : sequence of Attempt
        Ids begin anew where a cluster is set up anew: what is older than these does not count.

    Returns
    -------
    dict of {str : str}
        The newest of each.
    """
    since = min((datetime.fromisoformat(one.submitted) for one in attempts), default=None)
    if since is None:
        return {}
    oldest = f'{since.astimezone(timezone.utc) - CLOCKS_DIFFER:%Y%m%d-%H%M%S}'
    found: dict[str, str] = {}
    for name in sorted(os.listdir(out_dir / 'logs')):
        told = re.fullmatch(r'(\d{8}-\d{6})_slurm-(\d+(?:_\d+)?)_.*', name)
        if told and told[1] >= oldest and (out_dir / 'logs' / name / 'ledger').is_dir():
            found[told[2]] = name
    return found
