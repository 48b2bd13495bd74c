"""Who is which task of which array, and what a task runs.

Pure functions of values; ``sbatch`` itself is called in :mod:`nicarbon.cli.slurm`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from ..entity import is_label
from ..errors import InputError, UsageError

__all__ = ['Array', 'Task', 'arrays', 'checked', 'indices', 'max_array_size', 'numbers', 'says']
__all__ += ['script', 'table', 'tasks_of']

OURS = {
    '--array': '--array-size and --at-once say how arrays are cut',
    '-a': '--array-size and --at-once say how arrays are cut',
    '--dependency': 'the group waits for the participants',
    '-d': 'the group waits for the participants',
    '--parsable': 'it is given already',
    '--test-only': 'use --dry-run',
    '--wait': 'use --status',
    '-W': 'use --status',
    '--wrap': 'what jobs run is nicarbon',
}
"""Options of ``sbatch`` that are not for the user, and why."""


class Task(NamedTuple):
    """What one task of an array processes.

    Parameters
    ----------
    subject, session : str
        Labels without their prefix; the session is empty where all of them are meant.

    Examples
    --------
    >>> Task('01').name, Task('01', '2').name
    ('sub-01', 'sub-01_ses-2')
    """

    subject: str
    session: str = ''

    @property
    def name(self) -> str:
        """The entities as a file name begins."""
        return f'sub-{self.subject}' + (f'_ses-{self.session}' if self.session else '')


class Array(NamedTuple):
    """One array of jobs.

    Parameters
    ----------
    job : str
        Its id; empty before it is submitted.
    offset : int
        Task ``n`` of the submission is task ``n - offset`` of the array.
    spec : str
        What ``sbatch --array`` takes, such as ``1-3,7``.
    """

    job: str
    offset: int
    spec: str


def indices(numbers: Iterable[int]) -> str:
    """Numbers as ``sbatch --array`` takes them.

    Parameters
    ----------
    numbers : iterable of int

    Returns
    -------
    str

    Examples
    --------
    >>> indices([7, 1, 2, 3, 9, 10])
    '1-3,7,9-10'
    """
    parts = []
    for _, run in groupby(enumerate(sorted(numbers)), key=lambda pair: pair[1] - pair[0]):
        row = [number for _, number in run]
        parts.append(f'{row[0]}-{row[-1]}' if len(row) > 1 else str(row[0]))
    return ','.join(parts)


def numbers(spec: str) -> list[int]:
    """The inverse of :func:`indices`.

    Examples
    --------
    >>> numbers('1-3,7')
    [1, 2, 3, 7]
    """
    found: list[int] = []
    for part in spec.split(','):
        first, _, last = part.partition('-')
        found += range(int(first), int(last or first) + 1)
    return found


def arrays(numbers: Iterable[int], size: int) -> list[Array]:
    """Tasks of a submission, cut into arrays that a cluster takes.

    Parameters
    ----------
    numbers : iterable of int
        From 1.
    size : int
        Tasks in one array at most; ids in it run from 1 to this.

    Returns
    -------
    list of Array

    Examples
    --------
    >>> arrays(range(1, 6), 2)
    [Array(job='', offset=0, spec='1-2'), Array(job='', offset=2, spec='1-2'),
     Array(job='', offset=4, spec='1')]
    """
    blocks = groupby(sorted(numbers), key=lambda number: (number - 1) // size)
    return [
        Array('', block * size, indices(number - block * size for number in own))
        for block, own in blocks
    ]


def checked(words: Sequence[str]) -> list[str]:
    """Options for ``sbatch`` that somebody has given.

    Parameters
    ----------
    words : sequence of str
        Each may hold several, as a shell reads them.

    Returns
    -------
    list of str

    Raises
    ------
    UsageError
        For options that nicarbon gives itself.

    Examples
    --------
    >>> checked(['--partition=short --time=2:00:00'])
    ['--partition=short', '--time=2:00:00']
    >>> checked(['--array=1-9'])
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: --sbatch --array: --array-size and --at-once say how arrays
    are cut
    """
    try:
        options = [option for word in words for option in shlex.split(word)]
    except ValueError as error:
        raise UsageError(f'--sbatch {" ".join(words)}: {error}') from None
    for option in options:
        name = option.partition('=')[0]
        # Short options may have their value attached.
        name = name if name.startswith('--') else name[:2]
        if name in OURS:
            raise UsageError(f'--sbatch {name}: {OURS[name]}')
    return options


def says(options: Iterable[str], *names: str) -> bool:
    """Whether options for ``sbatch`` say something of which these are the names.

    Examples
    --------
    >>> says(['-c4'], '--cpus-per-task', '-c'), says(['--mem=4G'], '--mem-per-cpu')
    (True, False)
    """
    return any(
        option.partition('=')[0] == name or (len(name) == 2 and option[:2] == name)
        for option in options
        for name in names
    )


def max_array_size(configuration: str) -> int | None:
    r"""Tasks in one array at most, from what ``scontrol show config`` prints.

    Examples
    --------
    >>> max_array_size('MailProg                = /bin/mail\nMaxArraySize            = 1001')
    1000
    >>> max_array_size('') is None
    True
    """
    found = re.search(r'^MaxArraySize\s*=\s*(\d+)', configuration, re.MULTILINE)
    # Ids are less than this, and ours begin at 1.
    return max(1, int(found[1]) - 1) if found else None


def table(tasks: Iterable[Task]) -> str:
    r"""The list of tasks as jobs read it: a line each, the first is task 1.

    Examples
    --------
    >>> table([Task('01'), Task('02', '1')])
    '01\t\n02\t1\n'
    """
    return ''.join(f'{task.subject}\t{task.session}\n' for task in tasks)


def tasks_of(text: str) -> list[Task]:
    r"""The inverse of :func:`table`.

    Raises
    ------
    InputError
        Names the line: its labels become paths.

    Examples
    --------
    >>> tasks_of('01\t\n02\t1\n')
    [Task(subject='01', session=''), Task(subject='02', session='1')]
    """
    tasks = []
    for number, line in enumerate(text.splitlines(), 1):
        subject, _, session = line.partition('\t')
        if not (is_label(subject) and (not session or is_label(session))):
            raise InputError(f'line {number} is no subject and session: {line!r}')
        tasks.append(Task(subject, session))
    return tasks


_SCRIPT = """\
#!/bin/sh
# Written by nicarbon slurm. A task of the array is a line of the list; $1 lines go before.
folder={folder}
job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
number=$((SLURM_ARRAY_TASK_ID + $1))
set -- $(sed -n "${{number}}p" "$folder/tasks.tsv")
subject=$1 session=${{2-}}
set -- --participant-label "$subject" ${{session:+--session-label "$session"}}
{command} "$@" -w {work}/"sub-$subject${{session:+_ses-$session}}" &
child=$!
# SLURM sends this before it kills: the ledger gets its last line.
trap 'kill -TERM $child' TERM
wait $child
code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
printf '%s %s %s\\n' "$code" "$job" "$(uname -n)" >"$folder/ended/.$number.$job" &&
  mv "$folder/ended/.$number.$job" "$folder/ended/$number"
exit $code
"""


def script(folder: str, command: Sequence[str], work: str) -> str:
    """What every task of an array runs.

    Parameters
    ----------
    folder : str
        Of the submission; holds ``tasks.tsv``.
    command : sequence of str
        Processes a participant when labels and a work folder are added.
    work : str
        Folder in which every task has a work folder of its own.

    Returns
    -------
    str
        A script of the POSIX shell.

    Examples
    --------
    >>> text = script('/out/logs/slurm/x', ['python', '-m', 'nicarbon', 'my data'], '/scratch')
    >>> "python -m nicarbon 'my data'" in text, '-w /scratch/' in text
    (True, True)
    """
    return _SCRIPT.format(
        folder=shlex.quote(folder), command=shlex.join(command), work=shlex.quote(work)
    )
