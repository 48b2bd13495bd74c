"""What the parts of a module shall cost, and what they did."""

import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time

from books import append
from program import spin

THREADS = (
    *('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMEXPR_NUM_THREADS'),
    'ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS',
)


class Costs:
    """Of one call of a module.

    Parameters
    ----------
    module : str
    threads : int
        Most that it may use.
    """

    def __init__(self, module, threads):
        self.said = json.loads(os.environ.get('FASTSURFER_STAND_IN', '{}'))
        self.module, self.threads = module, threads
        self.parts = {}
        self.board = None
        self.environment = {name: os.environ.get(name) for name in THREADS}

    def wanted(self, name):
        return {**self.said.get('default', {}), **self.said.get('parts', {}).get(name, {})}

    def of(self, name):
        """One part, to be burned."""
        return Part(self, name)

    @contextlib.contextmanager
    def on(self, device):
        """Hold the board that a device of CUDA is, as its networks do until they end."""
        if 'cuda' not in str(device) or 'GPU_MACHINE' not in os.environ:
            yield
            return
        from driver import take

        with take(int(device.partition(':')[2] or 0)) as self.board:
            yield

    def close(self, code, seconds):
        """The call is over."""
        told = {
            'kind': 'module',
            'module': self.module,
            'words': sys.argv[1:],
            'threads': self.threads,
            'environment': self.environment,
            'gpus': os.environ.get('CUDA_VISIBLE_DEVICES'),
            'cpu_seconds': tree_seconds(),
            'parts': self.parts,
            'wall': seconds,
            'code': code,
        }
        if 'truth' in self.said:
            append(f'{self.said["truth"]}/truth.jsonl', json.dumps(told) + '\n')


class Part:
    """A stretch of a module's work."""

    def __init__(self, costs, name):
        self.costs, self.name, self.said = costs, name, costs.wanted(name)

    def burn(self):
        """Use the processors, in threads, until so many CPU seconds are used."""
        began = time.process_time()
        self._use_board()
        until = began + self.said.get('cpu_seconds', 0.0)
        threads = min(self.said.get('threads', 1), self.costs.threads)
        self._spin((began + until) / 2, threads)
        if 'hangs' in self.said:
            append(self.said['hangs'], '')
            while True:
                signal.pause()
        self._spin(until, threads)
        self.costs.parts[self.name] = time.process_time() - began

    def _use_board(self):
        """So many percent of its multiprocessors, for so many seconds."""
        if self.costs.board is not None and 'gpu_seconds' in self.said:
            self.costs.board.write_text(str(self.said['gpu_percent']))
            time.sleep(self.said['gpu_seconds'])
            self.costs.board.write_text('0')

    def _spin(self, until, threads):
        others = [threading.Thread(target=spin, args=(until,)) for _ in range(threads - 1)]
        for other in others:
            other.start()
        spin(until)
        for other in others:
            other.join()


def tree_seconds():
    """CPU seconds of this process and of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime
