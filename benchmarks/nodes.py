"""Tasks side by side as carbon-aware Nipype nodes: ``nodes.py TASKS SECONDS THREADS FOLDER``.

Tells as JSON what each was charged by nicarbon, and what nobody was.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from nipype import Workflow, config, logging
from nipype.interfaces.utility import Function

from nicarbon import carbon_aware, ledger, recording
from nicarbon.aware import CarbonNode
from nicarbon.entry import Entry
from nicarbon.share import share


@carbon_aware
class Task(Function):
    """For threads of one process, where there are no nodes."""


def burn(seconds: float) -> None:
    """As in loads.py; Nipype runs the text of a function, which knows no module."""
    import hashlib
    import time

    end = time.thread_time() + seconds
    while time.thread_time() < end:
        hashlib.pbkdf2_hmac('sha256', b'', b'', 10_000)


def sleep(seconds: float) -> None:
    import time

    time.sleep(seconds)


KINDS = {'burn': burn, 'sleep': sleep}


def in_processes(tasks: list[str], seconds: float, folder: Path) -> None:
    """Nodes of one workflow under MultiProc."""
    config.set('execution', 'poll_sleep_duration', '0.01')
    logging.getLogger('nipype.workflow').setLevel('ERROR')
    workflow = Workflow('tasks', base_dir=str(folder))
    for number, name in enumerate(tasks):
        node = CarbonNode(
            Function(input_names=['seconds'], output_names=[], function=KINDS[name]),
            name=f'{name}{number}',
            stage=name,
        )
        node.inputs.seconds = seconds
        workflow.add_nodes([node])
    workflow.run('MultiProc', plugin_args={'n_procs': 2, 'memory_gb': 8})


def in_threads(tasks: list[str], seconds: float) -> None:
    """Interfaces in threads of this process."""

    def one(name: str) -> None:
        # Inside a node a label says this; here the name of the thread has to do.
        task = Task(input_names=['seconds'], output_names=[], function=KINDS[name])
        task.inputs.seconds = seconds
        task.run()

    threads = [threading.Thread(target=one, args=[name]) for name in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(tasks: list[str], seconds: float, folder: Path, *, threads: bool) -> dict[str, Any]:
    with recording(folder) as recorded:
        if threads:
            in_threads(tasks, seconds)
        else:
            in_processes(tasks, seconds, folder)
    entries = [_cpu_only(entry) for entry in ledger.read(recorded.ledger)[0]]
    sharing = share(entries)
    balance = sharing.balances[0]
    whole = next(entry for entry in entries if entry.kind == 'run')
    order = sorted(sharing.shares, key=lambda each: each.entry.cpu_seconds, reverse=True)
    return {
        'charged': [each.joules['reserved'] for each in order],
        'rest': balance.overhead_joules + balance.unattributed_joules,
        'host': balance.host_joules,
        'begin': whole.windows[0].start,
        'end': whole.windows[-1].stop,
        'method': whole.readings[0].method,
    }


def _cpu_only(entry: Entry) -> Entry:
    """Without memory and GPUs, which the counter does not hold."""
    kept = [n for n, reading in enumerate(entry.readings) if reading.component == 'cpu']
    windows = (
        window._replace(
            joules=tuple(window.joules[n] for n in kept),
            uses=(),
            covered=tuple(window.covered[n] for n in kept) if window.covered else (),
        )
        for window in entry.windows
    )
    readings = tuple(entry.readings[n] for n in kept)
    return entry._replace(readings=readings, windows=tuple(windows))


if __name__ == '__main__':
    words, length, flag, where = sys.argv[1:]
    answer = run(words.split(','), float(length), Path(where), threads=flag == '1')
    print('RESULT', json.dumps(answer))
