"""Run a workflow under Nipype's MultiProc: logs to files, progress to the screen."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import bids, ledger
from ..aware import CarbonNode
from ..errors import StorageError
from ..run import Recording, add_cached
from ..watch import Label
from .plugin import LOCAL_PLUGIN, runner, stop
from .plugin import read as read_plugin

__all__ = ['run']

ELSEWHERE = {'poll_sleep_duration': '2', 'job_finished_timeout': '30'}
"""Seconds between questions to a batch system about each job, and for which a result may take
to be seen through a shared file system."""


def run(plan: Any, recording: Recording, screen: Any) -> Sequence[str]:
    """Build the workflow of a plan, and run it.

    Parameters
    ----------
    plan : _Plan
    recording : Recording
    screen : Screen

    Returns
    -------
    sequence of str
        One line for each stage that failed.
    """
    _quiet_nipype(plan.log_dir, plan.options.verbose)
    reused = plan.pipeline.reused(plan.out_dir, plan.sessions)
    _reuse(plan, reused, screen)
    left = [session for session in plan.sessions if session not in reused]
    if not left:
        return []
    workflow = _workflow(plan, left)
    file = plan.options.use_plugin
    plugin = read_plugin(file) if file else LOCAL_PLUGIN
    told = _Told(screen)
    arguments = {
        'n_procs': plan.n_procs,
        'memory_gb': plan.memory_gb,
        # Nipype counts threads of jobs on GPUs, not jobs.
        'n_gpu_procs': plan.options.gpu_procs * plan.options.omp_nthreads,
        'mp_context': 'forkserver',
    }
    nodes = workflow._get_all_nodes()  # noqa: SLF001 - Nipype has no other way
    running = runner(plugin, arguments, told, nodes)
    if not plugin.is_local:
        workflow.config['execution'] |= ELSEWHERE
    try:
        workflow.run(plugin=running)
    except RuntimeError as error:
        # Nipype raises when it is through, if any node failed: that is told below.
        if not told.failed:
            raise
        logging.getLogger('nipype').error('%s', error)  # noqa: TRY400 - crash files have more
    except OSError as error:
        # Nipype could not write a crash file or a result, most likely on a full disk.
        stop(running)
        raise StorageError(
            f'{error.filename or plan.log_dir}: {error.strerror}; what was measured is in the '
            'ledger; make room, and the same command resumes'
        ) from error
    except BaseException:
        stop(running)
        raise
    return _failures(told.failed, recording.ledger)


def _reuse(plan: Any, reused: Mapping[bids.Session, float], screen: Any) -> None:
    """Write down that finished sessions are taken as they are: they are charged nothing."""
    for session, made in reused.items():
        for stage in plan.pipeline.stages_of(session):
            label = Label(
                subject=session.subject,
                session=session.session,
                stage=stage.key,
                node=f'{session.name}.{stage.key}',
                interface='',
            )
            add_cached(label, made)
        screen.reused(session, plan.pipeline.steps(session))


class _Told:
    """What the pool says of nodes goes to the screen; which failed is kept."""

    def __init__(self, screen: Any) -> None:
        self._screen = screen
        self.failed: dict[str, Label] = {}

    def __call__(self, node: Any, status: str, was_run: bool) -> None:  # noqa: FBT001
        if not isinstance(node, CarbonNode):
            return
        self._screen.node(node.label, status, was_run=was_run)
        if status == 'exception':
            self.failed[node.fullname] = node.label


def _workflow(plan: Any, sessions: Sequence[bids.Session]) -> Any:
    options, pipeline = plan.options, plan.pipeline
    workflow = pipeline.workflow(plan.bids_dir, plan.out_dir, sessions)
    workflow.base_dir = str(plan.work_dir)
    for node in workflow._get_all_nodes():  # noqa: SLF001 - Nipype has no other way
        node.takes_turns_on_gpu = True
    base = plan.work_dir / workflow.name
    stale = [base] if options.clean_workdir else pipeline.stale(plan.out_dir, base, sessions)
    for folder in stale:
        shutil.rmtree(folder, ignore_errors=True)
    workflow.config['execution'] = {
        'crashdump_dir': str(plan.log_dir),
        'crashfile_format': 'txt',
        'poll_sleep_duration': '0.2',
        'remove_unnecessary_outputs': 'false',
        'stop_on_first_crash': str(options.stop_on_first_crash).lower(),
    }
    if options.write_graph:
        workflow.write_graph(str(plan.log_dir / 'graph.dot'), graph2use='colored', format='svg')
    return workflow


def _failures(failed: Mapping[str, Label], folder: Path) -> list[str]:
    """One line for each failed node, with what its entry says."""
    entries, _ = ledger.read(folder)
    reasons = {entry.node: entry.error for entry in entries}
    return [
        f'{bids.prefix(label.subject, label.session)} {label.stage}: '
        + (reasons.get(name) or 'its worker died or it could not start; see the crash report')
        for name, label in failed.items()
    ]


def _quiet_nipype(log_dir: Path, verbose: int) -> None:
    """Send Nipype's messages to a file; to the terminal only when asked."""
    from nipype import config
    from nipype import logging as nipype_logging

    # A log on a full disk must not fill the terminal with tracebacks.
    logging.raiseExceptions = False
    config.update_config({'logging': {'interface_level': 'INFO', 'workflow_level': 'INFO'}})
    nipype_logging.update_logging(config)
    root = logging.getLogger('nipype')
    to_file = logging.FileHandler(log_dir / 'nipype.log')
    to_file.setFormatter(logging.Formatter('%(asctime)s %(name)s %(levelname)s %(message)s'))
    for handler in list(root.handlers):
        if not verbose:
            root.removeHandler(handler)
    root.addHandler(to_file)
    root.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
