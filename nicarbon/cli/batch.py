"""SLURM by its own commands, whichever are on PATH."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from ..errors import UnavailableError
from ..slurm.arrays import max_array_size
from ..slurm.states import ACCOUNTING_FORMAT, QUEUE_FORMAT, Account, State, accounts, queue

__all__ = ['accounting', 'cancel', 'largest_array', 'sbatch', 'waiting']

PATIENCE_SECONDS = 120
"""A controller under load answers late."""

MOST_JOBS = 1000
"""Ids in one question to the accounting."""


def sbatch(words: Sequence[str]) -> str:
    """Submit a job.

    Parameters
    ----------
    words : sequence of str
        Options and the script.

    Returns
    -------
    str
        Id of the job.

    Raises
    ------
    UnavailableError
        When SLURM is not there, or does not take the job.
    """
    told = _call(['sbatch', '--parsable', *words])
    job = told.strip().partition(';')[0]
    if not job.isdigit():
        raise UnavailableError(f'sbatch was expected to print the id of a job, not {told!r}')
    return job


def waiting(jobs: Iterable[str]) -> dict[str, State]:
    """What waits and runs of some jobs.

    Parameters
    ----------
    jobs : iterable of str
        Ids of jobs and of arrays.

    Returns
    -------
    dict of {str : State}
        By ``<array>_<task>``, or id alone.

    Raises
    ------
    UnavailableError
        When the queue cannot be asked.
    """
    # Not by --jobs, which fails when one of them is forgotten already.
    mine = _call(['squeue', '--me', '--array', '--noheader', '-o', QUEUE_FORMAT])
    known = set(jobs)
    return {name: told for name, told in queue(mine).items() if name.partition('_')[0] in known}


def accounting(jobs: Sequence[str]) -> dict[str, Account]:
    """What the accounting says of some jobs; nothing where there is none.

    Parameters
    ----------
    jobs : sequence of str
        Ids of jobs and of arrays.

    Returns
    -------
    dict of {str : Account}
    """
    found: dict[str, Account] = {}
    words = ['sacct', '--noheader', '--parsable2', '--format', ACCOUNTING_FORMAT]
    for first in range(0, len(jobs), MOST_JOBS):
        try:
            told = _call([*words, '--jobs', ','.join(jobs[first : first + MOST_JOBS])])
        except UnavailableError:
            return found
        found |= accounts(told)
    return found


def largest_array() -> int | None:
    """Tasks in one array at most; None where SLURM does not say it."""
    try:
        return max_array_size(_call(['scontrol', 'show', 'config']))
    except UnavailableError:
        return None


def cancel(jobs: Sequence[str]) -> None:
    """Take jobs back; those that have ended, or cannot be reached, are left alone.

    Parameters
    ----------
    jobs : sequence of str
    """
    with contextlib.suppress(UnavailableError):
        _call(['scancel', *jobs])


def _call(words: Sequence[str]) -> str:
    """What one of SLURM's commands prints."""
    if shutil.which(words[0]) is None:
        raise UnavailableError(
            f'{words[0]} is not on PATH: run this on a host that submits jobs to SLURM'
        )
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f'{words[0]} did not answer within {PATIENCE_SECONDS} s: try again later'
        ) from None
    if done.returncode:
        raise UnavailableError(f'{words[0]} refused: {" ".join(done.stderr.split())}')
    return done.stdout
