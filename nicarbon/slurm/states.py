"""What became of tasks: by what they left in the output folder, and by SLURM's commands.

Pure functions of texts. Accounting, where there is any, adds why a job was ended.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..entry import Entry

__all__ = ['ACCOUNTING_FORMAT', 'QUEUE_FORMAT', 'STATES', 'Account', 'End', 'State', 'Told']
__all__ += ['accounts', 'compared', 'counted', 'end_of', 'queue', 'state']

State = Literal['finished', 'running', 'waiting', 'failed', 'killed', 'missing']

STATES: dict[State, str] = {
    'finished': 'ended with exit code 0, and its ledger is there',
    'running': 'has a node',
    'waiting': 'is in the queue',
    'failed': 'ended with another exit code',
    'killed': 'began, and did not end by itself',
    'missing': 'neither began nor is in the queue',
}
"""What becomes of a task; the last three are sent again by ``--resubmit``."""

QUEUE_FORMAT = '%F|%K|%T'
"""For ``squeue --array --noheader -o``: array, task of it, state."""

ACCOUNTING_FORMAT = 'JobID,State,ElapsedRaw,AllocCPUS,NNodes,ConsumedEnergyRaw'
"""For ``sacct --noheader --parsable2 --format``: a line for each job, and for each step after it."""


class End(NamedTuple):
    """How a task says that it ended.

    Parameters
    ----------
    code : int
    job, host : str
    """

    code: int
    job: str
    host: str


def end_of(text: str) -> End | None:
    """What a task has written when it ended.

    Parameters
    ----------
    text : str

    Returns
    -------
    End or None
        None where that is torn.

    Examples
    --------
    >>> end_of('0 12_3 node7'), end_of('') is None
    (End(code=0, job='12_3', host='node7'), True)
    """
    words = text.split()
    return End(int(words[0]), *words[1:]) if len(words) == 3 and words[0].isdigit() else None


def queue(text: str) -> dict[str, State]:
    r"""What waits and runs.

    Parameters
    ----------
    text : str
        Of ``squeue`` in :data:`QUEUE_FORMAT`.

    Returns
    -------
    dict of {str : State}
        By ``<array>_<task>``, or id alone.

    Examples
    --------
    >>> queue('12|1|RUNNING\n12|2|PENDING\n13|N/A|PENDING\n12|3|COMPLETING')
    {'12_1': 'running', '12_2': 'waiting', '13': 'waiting', '12_3': 'running'}
    """
    found: dict[str, State] = {}
    for line in text.splitlines():
        job, task, told = line.strip().split('|')
        waits = told in {'PENDING', 'REQUEUED', 'REQUEUE_HOLD', 'SPECIAL_EXIT', 'RESV_DEL_HOLD'}
        found[f'{job}_{task}' if task.isdigit() else job] = 'waiting' if waits else 'running'
    return found


class Account(NamedTuple):
    """What SLURM's accounting says of a job.

    Parameters
    ----------
    state : str
        ``COMPLETED``, ``TIMEOUT``, ``OUT_OF_MEMORY``, …
    cores : int
    hosts : int
    watts : float or None
        Mean power of its hosts while it ran; None where no plugin counts.
    """

    state: str
    cores: int
    hosts: int
    watts: float | None


def accounts(text: str) -> dict[str, Account]:
    r"""Jobs by what SLURM's accounting says of them.

    Parameters
    ----------
    text : str
        Of ``sacct`` in :data:`ACCOUNTING_FORMAT`; lines that are none are passed over.

    Returns
    -------
    dict of {str : Account}
        By ``<array>_<task>``, or id alone.

    Notes
    -----
    SLURM (22.05) leaves the energy of a job empty, and tells it of its steps. Each step has the
    energy of its host while it lasted, so those inside the script's own must not be added to it:
    the one that counted the most is taken.

    Examples
    --------
    >>> found = accounts('12_1|COMPLETED|91|8|1|\n12_1.batch|COMPLETED|90|8|1|5400\n'
    ...                  '12_1.0|COMPLETED|80|8|1|4800\n12_2|CANCELLED by 0|3|8|1|\n'
    ...                  '12_[3-9]|PENDING|0|8|0|')
    >>> found['12_1'].watts, found['12_2'].state, found['12_2'].watts, len(found)
    (60.0, 'CANCELLED', None, 2)
    """
    found: dict[str, Account] = {}
    most: dict[str, int] = {}
    for line in text.splitlines():
        words = line.strip().split('|')
        if len(words) != 6 or not words[1]:
            continue
        job, _, step = words[0].partition('.')
        seconds, cores, hosts, joules = (int(word) if word.isdigit() else 0 for word in words[2:])
        if re.fullmatch(r'\d+(_\d+)?', job) and not step:
            found[job], most[job] = Account(words[1].split()[0], cores, hosts, None), 0
        # 2^64 - 2 is SLURM's word for "no value".
        if job in found and seconds and most.get(job, 0) < joules < 2**63:
            most[job] = joules
            found[job] = found[job]._replace(watts=joules / seconds)
    return found


def compared(account: Account, run: Entry) -> float | None:
    """What SLURM counted of an exclusive job, beside what the ledger holds of its host.

    Parameters
    ----------
    account : Account
    run : Entry
        Of the program that the job was.

    Returns
    -------
    float or None
        Quotient of both mean powers, since a job lasts longer than its run. None where the job
        had not one host to itself, or where either counted nothing. What SLURM's plugin counts
        may be more than processors and memory (IPMI: the whole machine).
    """
    alone = account.hosts == 1 and account.cores >= run.host_cores
    seen = [one.joules for one in run.readings if one.scope == 'host' and one.joules is not None]
    if not (alone and account.watts and run.seconds and sum(seen) > 0):
        return None
    return account.watts / (sum(seen) / run.seconds)


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the tasks of a submission.

    Parameters
    ----------
    queue : mapping of {str : State}
        See :func:`queue`.
    ends : mapping of {int : End}
        By number of the task.
    begun : set of str
        Jobs that have a ledger.
    """

    queue: Mapping[str, State]
    ends: Mapping[int, End]
    begun: frozenset[str]


def state(number: int, job: str, told: Told) -> State:
    """What became of a task.

    Parameters
    ----------
    number : int
    job : str
        The last one that was sent for it.
    told : Told

    Returns
    -------
    State

    Examples
    --------
    >>> told = Told({'12_2': 'waiting'}, {1: End(0, '12_1', 'h'), 3: End(1, '12_3', 'h')},
    ...             frozenset({'12_1', '12_3', '12_4'}))
    >>> [state(number, f'12_{number}', told) for number in range(1, 6)]
    ['finished', 'waiting', 'failed', 'killed', 'missing']
    """
    end = told.ends.get(number)
    if end is not None and end.job == job:
        if end.code:
            return 'failed'
        return 'finished' if job in told.begun else 'missing'
    if job in told.queue:
        return told.queue[job]
    return 'killed' if job in told.begun else 'missing'


def counted(states: Iterable[State]) -> str:
    """How many tasks are in which state.

    Examples
    --------
    >>> counted(['finished', 'missing', 'finished'])
    '2 finished, 1 missing'
    """
    counts = Counter(states)
    return ', '.join(f'{counts[name]:,} {name}' for name in STATES if counts[name])
