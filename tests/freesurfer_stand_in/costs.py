"""What the stages of a call shall cost, and what they did."""

import json
import os
import resource
import time
from contextlib import contextmanager

from books import append

ITK = ('mri_nu_correct.mni', 'AntsDenoiseImageFs')
"""Programs that take -itkthreads for -threads."""

MISHAPS = ('fails', 'dies', 'hangs')


class Account:
    """What a stage has used, step by step."""

    def __init__(self):
        self.wall = self.cpu = self.programs = 0.0
        self.threads = 1
        self.programs_planned = self.programs_left = self.steps_left = 0


class Costs:
    """Of one call: orders for its programs, and the truth of what was used.

    Parameters
    ----------
    said : dict
        See ``work`` of ``freesurfer_stand_in``.
    call : arguments.Call
    """

    def __init__(self, said, call):
        self.said, self.call = said, call
        self.accounts, self.keys = {}, []
        self.programs = 0.0
        self.threads = 1
        self.began = time.monotonic()

    def share_out(self, plan):
        """Count what each stage will run, so that each program gets an equal share."""
        for step in plan:
            account = self.accounts.setdefault(step.owner, Account())
            account.programs_planned += len(step.programs)
            account.programs_left += len(step.programs)
            account.steps_left += 1

    def pass_over(self, step):
        account = self.accounts[step.owner]
        account.programs_left -= len(step.programs)
        account.steps_left -= 1
        if not account.steps_left and step.owner in self.keys:
            self.write_stage(step.owner, 0)

    @contextmanager
    def of(self, step):
        """A step, whose costs are those of its stage; the last one closes the account."""
        if step.owner not in self.keys:
            self.keys.append(step.owner)
        account = self.accounts[step.owner]
        account.steps_left -= 1
        wall, cpu, programs = time.monotonic(), tree_seconds(), self.programs
        code = 1
        try:
            yield
            code = 0
        finally:
            account.wall += time.monotonic() - wall
            account.cpu += tree_seconds() - cpu
            account.programs += self.programs - programs
            if code or not account.steps_left:
                self.write_stage(step.owner, code)

    def task(self, step, name):
        """What the next program of a step is told; the last of a stage, what befalls it."""
        account = self.accounts[step.owner]
        account.programs_left -= 1
        said = self.wanted(step.owner)
        most = int(self.call.itk_threads if name in ITK else self.call.threads)
        threads = min(said.get('threads', most if step.threaded else 1), most)
        account.threads = max(account.threads, threads)
        self.threads = max(self.threads, threads)
        last = not account.programs_left
        return {
            'cpu_seconds': said.get('cpu_seconds', 0.0) / account.programs_planned,
            'threads': threads,
            'memory_mb': said.get('memory_mb', 0),
            **{key: said[key] for key in MISHAPS if last and key in said},
        }

    def wanted(self, key):
        """What was said of a stage by its key, by its name, or of all: but maps are free."""
        stages = self.said.get('stages', {})
        name = key.removesuffix('_lh').removesuffix('_rh')
        default = {} if name == 'maps' else self.said.get('default', {})
        return {**default, **stages.get(name, {}), **stages.get(key, {})}

    def ran(self, used):
        """A program has ended."""
        self.programs += used.ru_utime + used.ru_stime

    def write_stage(self, key, code):
        account = self.accounts[key]
        values = (account.cpu, account.programs, account.wall, account.threads, code)
        self.write({'kind': 'stage', 'key': key}, *values)

    def close(self, code):
        """The call is over."""
        values = (tree_seconds(), self.programs, time.monotonic() - self.began, self.threads, code)
        self.write({'kind': 'call', 'keys': self.keys}, *values)

    def write(self, names, cpu, programs, wall, threads, code):
        values = {
            **names,
            'pid': os.getpid(),
            'cpu_seconds': cpu,
            'programs_cpu_seconds': programs,
            'wall': wall,
            'threads': threads,
            'code': code,
        }
        if 'truth' in self.said:
            append(f'{self.said["truth"]}/truth.jsonl', json.dumps(values) + '\n')


def tree_seconds():
    """CPU seconds of this process and of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime
