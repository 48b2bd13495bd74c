"""Run a workflow under Nipype's MultiProc: logs to files, progress to the screen."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import ledger
from ..aware import CarbonNode, Recording
from ..watch import Label

__all__ = ['run', 'stop_children']


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
    import psutil

    from ..workflows.structural import init_structural_dataset_wf, unsaved

    options = plan.options
    _quiet_nipype(plan.log_dir, options.verbose)
    workflow = init_structural_dataset_wf(
        plan.sessions,
        bids_dir=plan.bids_dir,
        out_dir=plan.out_dir,
        omp_nthreads=options.omp_nthreads,
    )
    workflow.base_dir = str(plan.work_dir)
    if options.clean_workdir:
        shutil.rmtree(plan.work_dir / workflow.name, ignore_errors=True)
    for node_folder in unsaved(plan.sessions, plan.out_dir, plan.work_dir / workflow.name):
        shutil.rmtree(node_folder, ignore_errors=True)
    workflow.config['execution'] = {
        'crashdump_dir': str(plan.log_dir),
        'crashfile_format': 'txt',
        'poll_sleep_duration': '0.2',
        'remove_unnecessary_outputs': 'false',
        'stop_on_first_crash': str(options.stop_on_first_crash).lower(),
    }
    if options.write_graph:
        workflow.write_graph(str(plan.log_dir / 'graph.dot'), graph2use='colored', format='svg')
    _start_workers(None if options.verbose else plan.log_dir / 'workers.log')
    ended = _Ended(screen)
    arguments = {
        'n_procs': options.nprocs or len(psutil.Process().cpu_affinity()),
        'memory_gb': options.mem or 0.9 * psutil.virtual_memory().total / 1e9,
        'mp_context': 'forkserver',
        'status_callback': ended,
    }
    try:
        workflow.run(plugin='MultiProc', plugin_args=arguments)
    except RuntimeError as error:
        # Nipype raises when it is through, if any node failed: that is told below.
        logging.getLogger('nipype').error('%s', error)
    recording.add_cached(ended.without(_recorded(recording.ledger)))
    return _failures(recording.ledger)


class _Ended:
    """Nipype's status callback: which nodes ended, and when."""

    def __init__(self, screen: Any) -> None:
        self._screen = screen
        self._labels: dict[str, Label] = {}

    def __call__(self, node: Any, status: str) -> None:
        if not isinstance(node, CarbonNode):
            return
        self._screen.node(node.label, status)
        if status == 'end':
            self._labels[node.fullname] = node.label

    def without(self, recorded: set[str]) -> list[Label]:
        """Labels of nodes that ended although they never ran: their results were there."""
        return [label for name, label in self._labels.items() if name not in recorded]


def _recorded(folder: Path) -> set[str]:
    entries, _ = ledger.read(folder)
    return {entry.node for entry in entries}


def _failures(folder: Path) -> list[str]:
    entries, _ = ledger.read(folder)
    return [
        f'{entry.subject and "sub-" + entry.subject} {entry.stage}: {entry.error}'
        for entry in entries
        if entry.kind == 'node' and entry.outcome == 'failed'
    ]


def _start_workers(log: Path | None) -> None:
    """Start the server that forks the workers; what they print goes to a file.

    Forking this process, which has a watching thread and library thread pools,
    could deadlock the workers. They inherit the server's standard streams.
    """
    from multiprocessing import forkserver, set_forkserver_preload

    set_forkserver_preload(['nicarbon.workflows.structural'])
    if log is None:
        forkserver.ensure_running()
        return
    sys.stdout.flush()
    saved = os.dup(1), os.dup(2)
    with log.open('ab') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            forkserver.ensure_running()
        finally:
            for number, copy in enumerate(saved, 1):
                os.dup2(copy, number)
                os.close(copy)


def _quiet_nipype(log_dir: Path, verbose: int) -> None:
    """Send Nipype's messages to a file; to the terminal only when asked."""
    from nipype import config
    from nipype import logging as nipype_logging

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


def stop_children() -> None:
    """End all processes that this one started, after an interruption."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        child.terminate()
    _, alive = psutil.wait_procs(children, timeout=3)
    for child in alive:
        child.kill()
