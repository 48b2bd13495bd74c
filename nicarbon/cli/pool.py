"""Nipype's MultiProc, made to survive the death of a worker.

A worker that is killed (out of memory, say) breaks Python's process pool with
all nodes in it, and Nipype then waits for ever. Here the pool is made anew, and
each of those nodes is run once more in a pool of its own: the one whose worker
dies again is to blame, and has failed; the others go on.
"""

from __future__ import annotations

import contextlib
import functools
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

import psutil
from nipype.pipeline.plugins.multiproc import MultiProcPlugin, process_initializer, run_node

__all__ = ['Pool', 'end_workers']


class Pool(MultiProcPlugin):  # type: ignore[misc]
    """The plugin.

    Parameters
    ----------
    plugin_args : dict
        As for Nipype's own.
    tell : callable
        Called with a node, ``start``, ``end`` or ``exception``, and whether the
        node was handed to a worker (it is not when its result is there).
    """

    pool: ProcessPoolExecutor

    def __init__(
        self, plugin_args: dict[str, Any], tell: Callable[[Any, str, bool], None]
    ) -> None:
        super().__init__(plugin_args=plugin_args)
        self._submitted: set[str] = set()
        self._status_callback = lambda node, status: tell(
            node, status, node.fullname in self._submitted
        )
        self._method = plugin_args['mp_context']
        self._jobs: dict[int, tuple[Any, bool]] = {}
        self._suspects: set[int] = set()
        self._to_repeat: set[int] = set()
        self.stopping = False

    def _submit_job(self, node: Any, updatehash: bool = False) -> int:  # noqa: FBT001, FBT002
        self._taskid += 1
        self._jobs[self._taskid] = node, updatehash
        self._submitted.add(node.fullname)
        self._launch(self._taskid)
        return int(self._taskid)

    def _launch(self, task: int) -> None:
        try:
            self._submit(self.pool, task)
        except BrokenProcessPool:
            self.pool = self._new_pool(self.processors)
            self._submit(self.pool, task)

    def _new_pool(self, workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=workers,
            initializer=process_initializer,
            initargs=(self._cwd,),
            mp_context=get_context(self._method),
        )

    def _submit(self, pool: ProcessPoolExecutor, task: int) -> None:
        node, updatehash = self._jobs[task]
        future = pool.submit(run_node, node, updatehash, task)
        self._task_obj[task] = future
        future.add_done_callback(functools.partial(self._ended, task))

    def _ended(self, task: int, future: Future[Any]) -> None:
        """Called in the pool's own thread, which must not submit anything."""
        if self.stopping or future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._taskresult[task] = future.result()
        elif isinstance(error, BrokenProcessPool) and task not in self._suspects:
            self._suspects.add(task)
            self._to_repeat.add(task)
        else:
            words = f'{type(error).__name__}: {error}'
            self._taskresult[task] = {'result': None, 'traceback': [words], 'taskid': task}

    def _get_result(self, taskid: int) -> Any:
        if taskid in self._to_repeat:
            self._to_repeat.discard(taskid)
            alone = self._new_pool(1)
            self._submit(alone, taskid)
            alone.shutdown(wait=False)
        return self._taskresult.get(taskid)


def end_workers(grace_seconds: float = 2.0) -> None:
    """End the processes that this one started, after an interruption.

    They are interrupted first, so that a node writes down what it used.

    Parameters
    ----------
    grace_seconds : float
        Time to do so.
    """
    # multiprocessing's tracker of semaphores ends by itself, and complains if killed.
    workers = [
        child
        for child in psutil.Process().children(recursive=True)
        if not any('resource_tracker' in word for word in _words(child))
    ]
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(workers, timeout=grace_seconds)
    for worker in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()


def _words(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []
