"""What became of the tasks of a submission, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TextIO

from .. import ledger
from ..entry import Entry
from ..files import save
from ..slurm.states import Account, End, State, Told, compared, counted, state
from . import batch
from .submission import Submission, ends, runs

__all__ = ['States', 'found', 'tell']

AGAIN: frozenset[State] = frozenset({'failed', 'killed', 'missing'})

MOST_LINES = 20
"""Tasks of which the reason is looked for and told."""


@dataclass(frozen=True, slots=True)
class States:
    """What became of the tasks of a submission.

    Parameters
    ----------
    out_dir : pathlib.Path
    submission : Submission
    by_number : mapping of {int : State}
    ends : mapping of {int : End}
    runs : mapping of {str : str}
        Folders of runs by job.
    queue : mapping of {str : State}
    accounts : mapping of {str : Account}
        Where there is accounting.
    """

    out_dir: Path
    submission: Submission
    by_number: Mapping[int, State]
    ends: Mapping[int, End]
    runs: Mapping[str, str]
    queue: Mapping[str, State]
    accounts: Mapping[str, Account]

    @property
    def to_send(self) -> list[int]:
        """Numbers of tasks that are neither finished nor on their way."""
        return [number for number, told in self.by_number.items() if told in AGAIN]

    @property
    def counted(self) -> str:
        """How many are in which state."""
        return counted(self.by_number.values())


def found(out_dir: Path, submission: Submission) -> States:
    """Look what became of tasks.

    Parameters
    ----------
    out_dir : pathlib.Path
    submission : Submission

    Returns
    -------
    States

    Raises
    ------
    UnavailableError
        When the queue cannot be asked: what waits would be taken for missing.
    """
    jobs, begun = submission.jobs, runs(out_dir, submission.attempts)
    ids = {array.job for attempt in submission.attempts for array in attempt.arrays}
    ids |= {attempt.group for attempt in submission.attempts if attempt.group}
    # The queue first: what ends meanwhile is found to have ended.
    queue = batch.waiting(ids)
    told = Told(queue, ends(submission.folder), frozenset(begun))
    states = {
        number: state(number, jobs.get(number, ''), told)
        for number in range(1, len(submission.tasks) + 1)
    }
    accounts = batch.accounting(sorted(ids))
    return States(out_dir, submission, states, told.ends, begun, queue, accounts)


def tell(states: States, stream: TextIO, again: str) -> int:
    """Print what became of tasks, and keep all of it in ``status.tsv``.

    Parameters
    ----------
    states : States
    stream : text file
    again : str
        The command that sends again what went wrong.

    Returns
    -------
    int
        1 if something is to be sent again.
    """
    submission = states.submission
    lines = [f'Submission {submission.folder.name}: {states.counted}', *_groups(states)]
    lines += _counted_twice(states)
    reasons = {number: _reason(states, number) for number in states.to_send[:MOST_LINES]}
    for number, reason in reasons.items():
        lines.append(f'{submission.tasks[number - 1].name} {states.by_number[number]}: {reason}')
    more = len(states.to_send) - len(reasons)
    if more:
        lines.append(f'… and {more:,} more, in {submission.folder}/status.tsv')
    if states.to_send:
        lines.append(f'To send these again: {again}')
    print('\n'.join(lines), file=stream)
    save(submission.folder / 'status.tsv', _table(states, reasons))
    return 1 if states.to_send else 0


def _groups(states: States) -> Iterator[str]:
    """The newest job for the group."""
    jobs = [attempt.group for attempt in states.submission.attempts if attempt.group]
    if jobs:
        told = states.queue.get(jobs[-1])
        yield f'group: job {jobs[-1]} {told or "is not in the queue any more"}'


def _counted_twice(states: States) -> Iterator[str]:
    """SLURM's own count of energy beside the ledger's, of jobs that had a host to themselves."""
    ratios: list[float] = []
    for number, job in states.submission.jobs.items():
        account = states.accounts.get(job)
        if len(ratios) == MOST_LINES or not account or not account.watts:
            continue
        if states.by_number.get(number) == 'finished':
            folder = states.out_dir / 'logs' / states.runs[job] / 'ledger'
            told = [compared(account, one) for one in ledger.read(folder)[0] if one.kind == 'run']
            ratios += [ratio for ratio in told if ratio is not None]
    if ratios:
        yield (
            f"SLURM's own count: {median(ratios):.2f} times the power in the ledger, in "
            f'{len(ratios)} exclusive job(s) ({min(ratios):.2f} to {max(ratios):.2f})'
        )


def _table(states: States, reasons: Mapping[int, str]) -> str:
    submission, jobs = states.submission, states.submission.jobs
    rows = ['task\tsubject\tsession\tstate\tjob\thost\texit_code\treason']
    for number, told in states.by_number.items():
        task, end = submission.tasks[number - 1], states.ends.get(number)
        job = jobs.get(number, '')
        host, code = (end.host, str(end.code)) if end and end.job == job else ('n/a', 'n/a')
        words = [str(number), task.subject, task.session, told, job, host, code]
        words.append(reasons.get(number, ''))
        rows.append('\t'.join(word or 'n/a' for word in words))
    return '\n'.join(rows) + '\n'


def _reason(states: States, number: int) -> str:
    """Why a task has to be sent again, as far as anything tells it."""
    job, end = states.submission.jobs.get(number, ''), states.ends.get(number)
    if not job:
        return 'was never submitted'
    words = [f'job {job}']
    if end and end.job == job:
        words = [f'job {job} on {end.host} ended with exit code {end.code}']
    if job in states.accounts and states.accounts[job].state not in {'COMPLETED', 'FAILED'}:
        words.append(states.accounts[job].state)
    if job in states.runs:
        words += _of_ledger(states.out_dir / 'logs' / states.runs[job] / 'ledger')
    else:
        words += _last_line(states.submission.folder / 'said' / f'{job}.txt')
    return ': '.join(words)


def _of_ledger(folder: Path) -> list[str]:
    """The first stage that did not end well; one that was cut off otherwise."""
    # It is known to have ended, however fresh its checkpoint is.
    entries, _ = ledger.read(folder)
    bad = [entry for entry in entries if entry.outcome in {'failed', 'killed'}]
    first = sorted(bad, key=_how_telling)[:1]
    return [f'{entry.stage or "the run"} {entry.outcome} {entry.error}'.strip() for entry in first]


def _how_telling(entry: Entry) -> tuple[bool, bool]:
    return entry.kind == 'run', entry.outcome != 'failed'


def _last_line(path: Path) -> list[str]:
    try:
        lines = path.read_text('utf-8', errors='replace').split('\n')
    except OSError:
        return ['it left nothing']
    said = [' '.join(line.split()) for line in lines if line.strip()]
    return said[-1:] or ['it said nothing']
