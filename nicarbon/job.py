"""The job of a batch system that this process is part of, as its environment says.

Nothing is asked of the batch system: jobs run on hosts that may not reach it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ['Job', 'job_of']

MEBIBYTE_GB = 1024**2 / 1e9
"""SLURM's unit of memory, in GB."""


class Job(NamedTuple):
    """One job.

    Parameters
    ----------
    name : str
        ``slurm:123``, or ``slurm:123_4`` for task 4 of array 123.
    cores : int or None
        Cores that this task of it may use; None where it is not said.
    memory_gb : float or None
        Memory that it was given on this host, in GB; None where it is not said, which may
        mean all there is.
    held_cores : int or None
        Cores of this host that nobody else may use meanwhile, all its tasks together: of an
        exclusive job all of them, however few it uses.

    Examples
    --------
    >>> Job('slurm:123_4').slug, Job('slurm:123_4').in_array, Job('pbs:9').in_array
    ('slurm-123_4', True, False)
    """

    name: str
    cores: int | None = None
    memory_gb: float | None = None
    held_cores: int | None = None

    @property
    def slug(self) -> str:
        """The name as it may stand in the name of a folder."""
        return re.sub(r'[^\w.]+', '-', self.name)

    @property
    def in_array(self) -> bool:
        """Whether it is one of an array of jobs."""
        return '_' in self.name


def job_of(environ: Mapping[str, str]) -> Job | None:
    """The job that an environment belongs to.

    Parameters
    ----------
    environ : mapping

    Returns
    -------
    Job or None
        None outside any job. Of SGE and PBS it knows names and slots alone.

    Examples
    --------
    >>> job_of({'SLURM_JOB_ID': '125', 'SLURM_ARRAY_JOB_ID': '123', 'SLURM_ARRAY_TASK_ID': '4',
    ...         'SLURMD_NODENAME': 'n7', 'SLURM_CPUS_PER_TASK': '8', 'SLURM_MEM_PER_NODE': '4096',
    ...         'SLURM_JOB_CPUS_PER_NODE': '64(x2)'})
    Job(name='slurm:123_4', cores=8, memory_gb=4.294967296, held_cores=64)
    >>> job_of({'JOB_ID': '7', 'SGE_TASK_ID': 'undefined', 'SGE_CELL': 'default', 'NSLOTS': '2'})
    Job(name='sge:7', cores=2, memory_gb=None, held_cores=2)
    >>> job_of({'PBS_JOBID': '9[3].server', 'NCPUS': '4'}).name
    'pbs:9_3'
    >>> job_of({'JOB_ID': '7'}) is None
    True
    """
    # A shell of salloc knows the job, and is on the host where that was called.
    if environ.get('SLURM_JOB_ID', '').isdigit() and 'SLURMD_NODENAME' in environ:
        return _slurm(environ)
    if environ.get('PBS_JOBID'):
        number = environ['PBS_JOBID'].partition('.')[0]
        cores = _count(environ.get('NCPUS'))
        return Job(f'pbs:{number.replace("[", "_").rstrip("]")}', cores, None, cores)
    if environ.get('JOB_ID', '').isdigit() and ('SGE_CELL' in environ or 'SGE_ROOT' in environ):
        name = _numbered(environ['JOB_ID'], environ.get('SGE_TASK_ID', ''))
        cores = _count(environ.get('NSLOTS'))
        return Job(f'sge:{name}', cores, None, cores)
    return None


def _slurm(environ: Mapping[str, str]) -> Job:
    job = environ['SLURM_JOB_ID']
    name = _numbered(
        environ.get('SLURM_ARRAY_JOB_ID', job), environ.get('SLURM_ARRAY_TASK_ID', '')
    )
    here = _count(environ.get('SLURM_CPUS_ON_NODE'))
    # As 8, or 8(x2) where several hosts have as many; of such as differ, what this one has.
    alike = re.fullmatch(r'(\d+)(\(x\d+\))?', environ.get('SLURM_JOB_CPUS_PER_NODE', ''))
    held = (_count(alike[1]) if alike else None) or here
    # Without --cpus-per-task the former is not set.
    cores = _count(environ.get('SLURM_CPUS_PER_TASK')) or here
    per_core = _count(environ.get('SLURM_MEM_PER_CPU'))
    mebibytes = _count(environ.get('SLURM_MEM_PER_NODE')) or (per_core or 0) * (cores or 0)
    memory_gb = mebibytes * MEBIBYTE_GB if mebibytes else None
    return Job(f'slurm:{name}', cores, memory_gb, held)


def _numbered(job: str, task: str) -> str:
    return f'{job}_{task}' if task.isdigit() else job


def _count(text: str | None) -> int | None:
    """A number above zero; SLURM's 0 of memory is all there is."""
    return int(text) if text and text.isdigit() and int(text) else None
