"""One process that is tracked: ``worker.py '{"do": …, "tool": …}'``.

The answer is the last line of its output, as JSON after the word RESULT.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cgroup
import loads
import trackers


def cost(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Start and stop, first and later, in a worker that runs Nipype nodes."""
    import nipype.interfaces.base
    import nipype.pipeline.engine  # noqa: F401

    def once() -> float:
        begin = time.perf_counter()
        tracker = trackers.make(request['tool'], folder)
        tracker.start()
        tracker.stop()
        return time.perf_counter() - begin

    memory = _resident_bytes()
    first = once()
    grown = _resident_bytes() - memory
    later: list[float] = []
    while len(later) < request['repeats'] and sum(later) < 2.0:
        later.append(once())
    return {'first': first, 'later': later, 'bytes': grown}


def sampling(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """CPU seconds of this process while a child of it sleeps."""
    tracker = trackers.make(request['tool'], folder, request['interval'])
    tracker.start()
    with subprocess.Popen(['/bin/sleep', str(request['seconds'] + 3)]):
        time.sleep(2)
        before, begin = _cpu(), time.monotonic()
        time.sleep(request['seconds'])
        seconds, cpu = time.monotonic() - begin, _cpu() - before
    tracker.stop()
    return {'cpu_seconds_per_hour': cpu / seconds * 3600}


def cpu_time(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """One load, and what the kernel says of it."""
    if request['cgroup']:
        cgroup.join(request['cgroup'])
    tracker = trackers.make(request['tool'], folder)
    tracker.start()
    before = cgroup.cpu_seconds(request['cgroup']) if request['cgroup'] else 0.0
    loads.LOADS[request['load']]()
    after = cgroup.cpu_seconds(request['cgroup']) if request['cgroup'] else 0.0
    return {'truth': after - before, **tracker.stop()}


def tasks(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Tasks side by side in threads, each with a tracker of its own, when told to go."""
    made = [trackers.make(request['tool'], folder) for _ in request['tasks']]
    answers: list[dict[str, Any]] = [{} for _ in made]
    print('READY', flush=True)
    sys.stdin.readline()

    def run(number: int) -> None:
        made[number].start()
        begin = time.monotonic()
        if request['tasks'][number] == 'burn':
            loads.burn(request['seconds'])
        else:
            time.sleep(request['seconds'])
        end = time.monotonic()
        answers[number] = {**made[number].stop(), 'begin': begin, 'end': end}

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {'tasks': answers}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime + children.ru_utime + children.ru_stime


def _resident_bytes() -> int:
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()


ACTIONS: dict[str, Callable[[dict[str, Any], Path], dict[str, Any]]] = {
    'cost': cost,
    'sampling': sampling,
    'cpu_time': cpu_time,
    'tasks': tasks,
}


def main() -> None:
    request = json.loads(sys.argv[1])
    trackers.silence()
    with tempfile.TemporaryDirectory() as folder:
        answer = ACTIONS[request['do']](request, Path(folder))
        print('RESULT', json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
