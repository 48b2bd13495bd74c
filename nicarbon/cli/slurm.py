"""``nicarbon slurm``: a dataset as an array of jobs, and the group after them."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import tomli_w

from .. import bids, listing
from ..errors import LevelError, NicarbonError, OutputError, SelectionError, UsageError
from ..slurm.arrays import Array, Task, arrays, checked, says, script
from . import batch
from .choice import Chosen, Parser, choose, flags
from .commands import apart
from .options import Options
from .pipelines import Pipeline
from .pipelines import choose as choose_pipeline
from .states import States, found, tell
from .submission import Attempt, Submission, load

__all__ = ['command', 'parser']

USUAL_ARRAY = 1000
"""Tasks in an array where SLURM does not say more: what it takes when nobody has set it up."""

MOST_IN_ARRAY = 10_000
"""Ids of an array are one argument of a command, of which Linux takes 128 KiB."""

OWN_MEMORY_GB = 1.0
"""Of nicarbon and its workers, beside the stages."""


def parser() -> Parser:
    """The parser of ``nicarbon slurm``."""
    asked = Parser(
        prog='nicarbon slurm',
        description='Submit one job array to SLURM that processes the participants of a dataset, '
        'and a job for the group after it. Each task runs nicarbon for one subject, in a work '
        'folder of its own. What became of them is told by what they leave in OUT_DIR.',
        epilog='exit codes: 0 submitted, or nothing went wrong; 1 with --status: some task '
        'failed, was killed or is missing; 69 SLURM is not there or refuses; others as nicarbon',
    )
    asked.add_argument('bids_dir', type=Path, metavar='BIDS_DIR', help='the dataset')
    asked.add_argument('out_dir', type=Path, metavar='OUT_DIR', help='on a shared file system')
    asked.add_argument('level', metavar='participant', help='the group follows by itself')
    own = asked.add_argument_group('SLURM')
    what = own.add_mutually_exclusive_group()
    what.add_argument(
        '--status', action='store_true', help='submit nothing; say what became of the tasks'
    )
    what.add_argument(
        '--resubmit',
        action='store_true',
        help='send those again that failed, were killed or are missing',
    )
    own.add_argument(
        '--sbatch',
        action='append',
        default=[],
        metavar='OPTIONS',
        help="options for sbatch, as in --sbatch='--partition=short --time=8:00:00'",
    )
    own.add_argument(
        '--array-size',
        type=int,
        metavar='N',
        help='tasks in one array at most (default: what the cluster takes)',
    )
    own.add_argument(
        '--at-once', type=int, metavar='N', help='tasks of an array that may run at once'
    )
    own.add_argument(
        '--per',
        choices=('subject', 'session'),
        default='subject',
        help='what a task processes (default: subject)',
    )
    own.add_argument('--no-group', action='store_true', help='submit no job for the group')
    own.add_argument(
        '--submission', default='', metavar='NAME', help='which one (default: the newest)'
    )
    flags(asked)
    return asked


def command(argv: Sequence[str]) -> int:
    """Submit, or tell.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        0; with ``--status`` 1 if something has to be sent again.
    """
    asked = parser()
    known = {each.name for each in fields(Options)}
    told = vars(asked.parse_args(argv))
    given = {name: told.pop(name) for name in known & set(told)}
    own = argparse.Namespace(**told)
    if own.level != 'participant':
        raise LevelError(f'unknown analysis level {own.level!r}: give participant')
    bids_dir, out_dir = own.bids_dir.resolve(), own.out_dir.resolve()
    apart(bids_dir, out_dir)
    for name, value in (('--array-size', own.array_size), ('--at-once', own.at_once)):
        if value is not None and value < 1:
            raise UsageError(f'{name} {value}: give a number of 1 or more')
    if own.status:
        states = found(out_dir, load(out_dir, own.submission))
        return tell(states, sys.stdout, _again(argv))
    if own.resubmit:
        return _resubmit(load(out_dir, own.submission), out_dir, own)
    return _submit(bids_dir, out_dir, own, choose(given))


def _again(argv: Sequence[str]) -> str:
    """The command that sends again what went wrong."""
    words = ['--resubmit' if word == '--status' else word for word in argv]
    return shlex.join(['nicarbon', 'slurm', *words])


def _submit(bids_dir: Path, out_dir: Path, own: Any, chosen: Chosen) -> int:
    """A new submission: check what can be checked here, write it, send it."""
    options = chosen.options
    if options.reports_only:
        raise UsageError('--reports-only needs no jobs: give it to nicarbon itself')
    if not options.skip_bids_validation:
        bids.check(bids_dir)
    pipeline = choose_pipeline(options)
    tasks = _tasks(bids_dir, options, own.per)
    submission = Submission(
        out_dir / 'logs' / 'slurm' / f'{datetime.now(timezone.utc):%Y%m%d-%H%M%S-%f}',
        tasks,
        own.array_size or min(batch.largest_array() or USUAL_ARRAY, MOST_IN_ARRAY),
        own.at_once,
        (*_resources(options, pipeline, checked(own.sbatch)), *checked(own.sbatch)),
    )
    files = _files(submission, bids_dir, out_dir, chosen, pipeline)
    if options.dry_run:
        _say(f'Would submit {len(tasks):,} tasks, {tasks[0].name} to {tasks[-1].name}:')
        for array in arrays(range(1, len(tasks) + 1), submission.size):
            _say(shlex.join(['sbatch', *_words(submission, array)]))
        _say(files['task.sh'].rstrip())
        return 0
    try:
        submission.create(files)
    except OSError as error:
        raise OutputError(f'OUT_DIR {out_dir} cannot be written: {error.strerror}') from None
    _say(f'Submission {submission.folder.name}: {len(tasks):,} tasks')
    _send(submission, range(1, len(tasks) + 1), group=not own.no_group)
    _say(f'What became of them: {_status_words(own)}')
    return 0


def _status_words(own: Any) -> str:
    words = ['nicarbon', 'slurm', str(own.bids_dir), str(own.out_dir), 'participant', '--status']
    return shlex.join(words)


def _tasks(bids_dir: Path, options: Options, per: str) -> tuple[Task, ...]:
    """Who is processed; images are looked for by each task itself."""
    wanted = options.participant_label
    there = listing.subjects(bids_dir, wanted)
    absent = sorted(set(wanted) - there)
    if absent:
        raise SelectionError(f'no sub-{", sub-".join(absent)} in {bids_dir}')
    if not there:
        raise SelectionError(f'no folder sub-* in {bids_dir}: nothing to do')
    if per == 'subject':
        return tuple(Task(subject) for subject in sorted(there))
    tasks = []
    for subject in sorted(there):
        sessions = listing.sessions_of(bids_dir, subject)
        kept = sessions & set(options.session_label) if options.session_label else sessions
        tasks += [Task(subject, session) for session in sorted(kept)]
        tasks += [] if sessions else [Task(subject)]
    if not tasks:
        raise SelectionError(f'--session-label: no such session in {bids_dir}')
    return tuple(tasks)


def _resources(options: Options, pipeline: Pipeline, said: Sequence[str]) -> list[str]:
    """Cores and memory of a task, unless somebody has said them."""
    words = []
    if not says(said, '--cpus-per-task', '-c'):
        words.append(f'--cpus-per-task={options.nprocs or options.omp_nthreads}')
    if not says(said, '--mem', '--mem-per-cpu', '--mem-per-gpu'):
        most = max(stage.memory_gb for stage in pipeline.stages)
        # What a run takes by itself is nine tenths of what its job has.
        needed = options.mem or most / 0.9 + OWN_MEMORY_GB
        words.append(f'--mem={math.ceil(needed * 1e9 / 1024**2)}M')
    if not says(said, '--signal'):
        words.append('--signal=B:TERM@60')
    return words


def _files(
    submission: Submission, bids_dir: Path, out_dir: Path, chosen: Chosen, pipeline: Pipeline
) -> dict[str, str]:
    """What jobs read and run, by name."""
    # Jobs start elsewhere, and with another environment perhaps: what was chosen is written.
    record = replace(
        chosen,
        options=replace(
            chosen.options, pipeline=pipeline.tool, work_dir=chosen.options.work_dir.resolve()
        ),
    ).record()
    names = {name for name, origin in chosen.origins.items() if origin != 'default'}
    names -= {'participant_label', 'config_file', 'dry_run', 'work_dir'}
    names -= {'session_label'} if any(task.session for task in submission.tasks) else set()
    kept = {
        name: _absolute(getattr(chosen.options, name), value)
        for name, value in record['options'].items()
        if name in names | {'pipeline'}
    }
    run = [sys.executable, '-m', 'nicarbon', str(bids_dir), str(out_dir)]
    config = ['--config-file', str(submission.folder / 'options.toml')]
    work = str(chosen.options.work_dir.resolve())
    return {
        'options.toml': tomli_w.dumps(kept),
        'task.sh': script(str(submission.folder), [*run, 'participant', *config], work),
        'group.sh': f'#!/bin/sh\nexec {shlex.join([*run, "group", *config])}\n',
    }


def _absolute(value: object, record: object) -> object:
    return str(value.resolve()) if isinstance(value, Path) else record


def _words(submission: Submission, array: Array) -> list[str]:
    """Options of ``sbatch``, and the script, for an array."""
    throttle = f'%{submission.at_once}' if submission.at_once else ''
    said = submission.folder / 'said'
    return [
        f'--array={array.spec}{throttle}',
        '--job-name=nicarbon',
        f'--output={said}/%A_%a.txt',
        *submission.sbatch,
        str(submission.folder / 'task.sh'),
        str(array.offset),
    ]


def _send(submission: Submission, numbers: Iterable[int], *, group: bool) -> None:
    """Submit arrays and the group; what was submitted is on disk before anything else is."""
    now = datetime.now(timezone.utc).isoformat(timespec='seconds')
    attempt = Attempt(now, ())
    pending = arrays(numbers, submission.size)
    for array in pending:
        try:
            job = batch.sbatch(_words(submission, array))
        except NicarbonError as error:
            sent = sum(1 for one in attempt.arrays)
            raise type(error)(
                f'{error} ({sent} of {len(pending)} arrays were submitted; --resubmit sends the '
                'rest)'
            ) from None
        attempt = replace(attempt, arrays=(*attempt.arrays, array._replace(job=job)))
        replace(submission, attempts=(*submission.attempts, attempt)).save()
        _say(f'job {job}: participants, tasks {array.spec}')
    if group:
        ids = ':'.join(array.job for array in attempt.arrays)
        job = batch.sbatch(
            [
                f'--dependency=afterany:{ids}',
                '--job-name=nicarbon-group',
                f'--output={submission.folder}/said/%j.txt',
                *submission.sbatch,
                str(submission.folder / 'group.sh'),
            ]
        )
        attempt = replace(attempt, group=job)
        replace(submission, attempts=(*submission.attempts, attempt)).save()
        _say(f'job {job}: group, when they have ended')


def _resubmit(submission: Submission, out_dir: Path, own: Any) -> int:
    """Send again what went wrong, with the options of the first time."""
    states: States = found(out_dir, submission)
    again = states.to_send
    if not again:
        _say(f'{states.counted}: nothing to send again')
        return 0
    said = checked(own.sbatch)
    submission = replace(
        submission,
        # The last one of two counts, for sbatch too.
        sbatch=(*submission.sbatch, *said),
        at_once=own.at_once or submission.at_once,
    )
    _say(f'Submission {submission.folder.name}: {len(again):,} of {len(submission.tasks):,} tasks')
    _send(submission, again, group=not own.no_group)
    return 0


def _say(line: str) -> None:
    print(line)  # noqa: T201 - the command's own voice
