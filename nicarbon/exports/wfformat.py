"""A workflow instance in WfFormat 1.5, as WfCommons and its simulators read them.

A task is a stage that was run once. What was cached was not run and is no task; what
failed or was killed says so in its name. Energy is that of the computers, without the
facility, in kWh. Tasks follow each other by the files that the stage tables know (``needs``
and ``makes``), and the pieces of one node by time; of stages in no table nothing is known.

The schema is https://github.com/wfcommons/WfFormat.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..errors import InputError
from ..quantity import JOULES_PER_KWH, energy
from .about import About, Row, utc
from .order import Task, parents
from .tally import Tally, number

__all__ = ['SCHEMA_VERSION', 'WfFormat']

SCHEMA_VERSION = '1.5'

NIPYPE = 'https://nipy.org/nipype/'


class WfFormat:
    """One workflow; it keeps every task, as the format needs them all at once.

    Parameters
    ----------
    about : About
    most_tasks : int, optional
        Tasks to keep at most: later ones are left out, and the description says how many.
    """

    def __init__(self, about: About, *, most_tasks: int | None = None) -> None:
        self._about, self._most = about, most_tasks
        self._kept = Tally()
        self._tasks: list[tuple[Task, dict[str, Any]]] = []
        self._not: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        """Take one row."""
        if row['outcome'] == 'cached':
            self._not['cached'] += 1
        elif row['duration'] is None or not row['started']:
            self._not['untimed'] += 1
        elif self._most is not None and len(self._tasks) >= self._most:
            self._not['left out'] += 1
        else:
            self._kept.add(row)
            self._tasks.append((_task(row), _execution(row)))

    def text(self) -> str:
        """The instance as JSON.

        Raises
        ------
        InputError
            When no stage was run: a workflow without tasks does not exist.
        """
        if not self._tasks:
            raise InputError('no stage was run, and a workflow in WfFormat must have a task')
        tasks = [task for task, _ in self._tasks]
        names = [_id(task, number) for number, task in enumerate(tasks, 1)]
        above = parents(tasks, self._about.stages)
        below: list[list[int]] = [[] for _ in tasks]
        for child, own in enumerate(above):
            for parent in own:
                below[parent].append(child)
        specified = [
            {
                'name': _name(task),
                'id': names[at],
                'parents': [names[each] for each in above[at]],
                'children': [names[each] for each in below[at]],
            }
            for at, task in enumerate(tasks)
        ]
        executed = [
            {'id': name} | told for name, (_, told) in zip(names, self._tasks, strict=True)
        ]
        return json.dumps(self._instance(specified, executed)) + '\n'

    def _instance(
        self, specified: list[dict[str, Any]], executed: list[dict[str, Any]]
    ) -> dict[str, Any]:
        kept = self._kept
        stages = dict.fromkeys(task.stage for task, _ in self._tasks)
        tools = dict.fromkeys(one.tool for name in stages if (one := self._about.whole(name)))
        machines = dict.fromkeys(name for each in executed for name in each.get('machines', ()))
        return {
            'name': '-'.join(['nicarbon', *tools]),
            'description': ' '.join(self._description()),
            'createdAt': self._about.created,
            'schemaVersion': SCHEMA_VERSION,
            **_runtime_system(self._about),
            'workflow': {
                'specification': {'tasks': specified},
                'execution': {
                    'makespanInSeconds': kept.seconds,
                    'executedAt': kept.first.isoformat() if kept.first else '',
                    'tasks': executed,
                    **_machines(list(machines), self._about),
                },
            },
        }

    def _description(self) -> Iterator[str]:
        """What the numbers stand for, and what is not there, sentence by sentence."""
        kept = self._kept
        joules = kept.sum('energy')
        counts = ', '.join(f'{number} {outcome}' for outcome, number in kept.outcomes.items())
        yield f'Stages, each as often as it was run: {counts}.'
        yield 'What failed or was killed has it in its name.'
        if joules is None:
            yield 'No meter saw any energy.'
        else:
            shown = energy(joules, kept.sum('energy_low'), kept.sum('energy_high'))
            yield (
                f'energyInKWh is what a task was charged, without the facility: {shown} in all '
                f'(interval of 95 %; weakest tier: {kept.tier}).'
            )
            if kept.unseen:
                yield f'{kept.unseen} tasks no meter saw: they have no energy.'
        missing = {
            'cached': 'cached: nothing was run, and they are no tasks',
            'untimed': 'killed before they were seen at all, and left out',
            'left out': 'run besides, and left out of this file to keep it small',
        }
        for what, words in missing.items():
            if self._not[what]:
                yield f'{self._not[what]} were {words}.'
        yield 'Dependencies are those that the tables of stages and the pieces of nodes tell.'


def _task(row: Row) -> Task:
    names = ('run_id', 'subject', 'session', 'node', 'stage', 'outcome')
    run_id, subject, session, node, stage, outcome = (str(row[name] or '') for name in names)
    started = utc(str(row['started']))
    return Task(run_id, subject, session, node, stage, outcome, started)


def _name(task: Task) -> str:
    """Its type; what did not run to its end is a type of its own."""
    stage = task.stage or 'unnamed'
    return stage if task.outcome == 'ran' else f'{stage} ({task.outcome})'


def _id(task: Task, number: int) -> str:
    """In the letters that references to tasks may have, and no two alike."""
    words = [f'sub-{task.subject}'] if task.subject else []
    words += [f'ses-{task.session}'] if task.session else []
    clean = re.sub(r'[^0-9A-Za-z._-]', '-', '_'.join([*words, task.stage]))
    return f'{clean}_ID{number:07d}'


def _execution(row: Row) -> dict[str, Any]:
    """What the task used; what was not seen has no key."""
    seconds, joules = number(row['duration']) or 0.0, number(row['energy'])
    cores, cpu = number(row['reserved_cores']), number(row['cpu_time'])
    found = {
        'runtimeInSeconds': seconds,
        'executedAt': utc(str(row['started'])).isoformat(),
        # The schema knows of no less than one.
        'coreCount': cores if cores is not None and cores >= 1 else None,
        'avgCPU': 100 * cpu / seconds if cpu is not None and seconds else None,
        'energyInKWh': None if joules is None else joules / JOULES_PER_KWH,
        'avgPowerInW': joules / seconds if joules is not None and seconds else None,
        'machines': [str(row['host'])] if row['host'] else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _runtime_system(about: About) -> dict[str, Any]:
    """Nipype, where it is known which."""
    version = dict(about.versions).get('nipype')
    if version is None:
        return {}
    return {'runtimeSystem': {'name': 'Nipype', 'version': version, 'url': NIPYPE}}


def _machines(names: list[str], about: About) -> dict[str, Any]:
    machines: list[dict[str, Any]] = []
    for name in names:
        host = about.host(name)
        machines.append({'nodeName': name, 'system': 'linux'})  # Nothing else is measured.
        if host is not None:
            if host.memory_gb is not None:
                machines[-1]['memoryInBytes'] = round(host.memory_gb * 1e9)
            machines[-1]['cpu'] = {'coreCount': host.cores}
    return {'machines': machines} if machines else {}
