"""``participant``: check everything first, run the workflow, write the outputs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import tomli_w

from .. import bids
from ..container import container
from ..errors import NicarbonError, OutputError, StorageError, UsageError
from ..job import job_of
from ..limits import usable_bytes, usable_cores
from ..stage import Stage, with_parts
from .assumed import Assumed
from .choice import Chosen, explain
from .earlier import last_pipeline
from .options import Options
from .pipelines import Pipeline, choose
from .saving import scaffold

__all__ = ['participant']


@dataclass(frozen=True, slots=True)
class _Plan:
    """A run that has passed all checks."""

    bids_dir: Path
    out_dir: Path
    work_dir: Path
    sessions: tuple[bids.Session, ...]
    without: tuple[str, ...]
    chosen: Chosen
    pipeline: Pipeline
    run_id: str

    @property
    def options(self) -> Options:
        return self.chosen.options

    @property
    def n_procs(self) -> int:
        """Cores to use: those that this process and its job may, if nothing else is said."""
        job, allowed = job_of(os.environ), usable_cores()
        return self.options.nprocs or min(allowed, (job and job.cores) or allowed)

    @property
    def memory_gb(self) -> float:
        """Memory to use, in GB."""
        job, allowed = job_of(os.environ), usable_bytes() / 1e9
        return self.options.mem or 0.9 * min(allowed, (job and job.memory_gb) or allowed)

    @property
    def work(self) -> dict[bids.Session, tuple[Stage, ...]]:
        """Stages by session."""
        return {session: self.pipeline.stages_of(session) for session in self.sessions}

    @property
    def steps(self) -> int:
        """Nodes that tell when they begin and end."""
        return sum(self.pipeline.steps(session) for session in self.sessions)

    @property
    def alone(self) -> str:
        """The run to report on alone, in an array of jobs, unless there was one before it."""
        job, pages = job_of(os.environ), {bids.page_path(one.subject) for one in self.sessions}
        first = not any((self.out_dir / page).exists() for page in pages)
        return self.run_id if job is not None and job.in_array and first else ''

    @property
    def log_dir(self) -> Path:
        return self.out_dir / 'logs' / self.run_id


def participant(bids_dir: Path, out_dir: Path, chosen: Chosen) -> int:
    """Process the chosen participants.

    Parameters
    ----------
    bids_dir, out_dir : pathlib.Path
    chosen : Chosen

    Returns
    -------
    int
        0 when all went well, 1 when some participant failed.

    Raises
    ------
    NicarbonError
        Before any work starts, when something is not as it must be.
    """
    from .screen import Screen

    plan = _plan(bids_dir.resolve(), out_dir.resolve(), chosen)
    screen = Screen(sys.stdout, with_parts(plan.pipeline.stages))
    screen.left_out(plan.without)
    if chosen.options.dry_run:
        screen.dry_run(plan.work, plan.steps, plan.out_dir)
        return 0
    _prepare(plan)
    return _run(plan, screen)


def _plan(bids_dir: Path, out_dir: Path, chosen: Chosen) -> _Plan:
    """Check all that can be known before any work starts."""
    options = chosen.options
    Assumed.from_now_on(options)
    if not options.skip_bids_validation:
        bids.check(bids_dir)
    filters = bids.load_filter(options.bids_filter_file) if options.bids_filter_file else None
    found, without = bids.sessions(
        bids_dir, options.participant_label, options.session_label, filters
    )
    work_dir = options.work_dir.resolve()
    if bids_dir == work_dir or bids_dir in work_dir.parents:
        raise UsageError(f'--work-dir {work_dir} is inside BIDS_DIR, which is never written to')
    pipeline = choose(options)
    if options.pipeline == 'auto':
        _require_same(pipeline.tool, last_pipeline(out_dir), out_dir)
    found = list(pipeline.sessions(bids_dir, found))
    pipeline.require(bids_dir, out_dir, found)
    from ..run import new_run_id

    who = tuple(found), tuple(without)
    plan = _Plan(bids_dir, out_dir, work_dir, *who, chosen, pipeline, new_run_id())
    _require_resources(plan)
    if options.use_plugin:
        from .plugin import read

        read(options.use_plugin)  # So that it is refused before any work starts.
    return plan


def _require_same(tool: str, before: str, out_dir: Path) -> None:
    """What ``auto`` means may change with the environment: then somebody has to say it."""
    if before and before != tool:
        raise UsageError(
            f'--pipeline auto would take {tool} here, and the last run in {out_dir} took '
            f'{before}: say --pipeline {before} or --pipeline {tool}'
        )


def _require_resources(plan: _Plan) -> None:
    if plan.options.omp_nthreads > plan.n_procs:
        raise UsageError(
            f'--omp-nthreads {plan.options.omp_nthreads} is more than the {plan.n_procs} core(s) '
            'of --nprocs: lower the one or raise the other'
        )
    most = max(plan.pipeline.stages, key=lambda stage: stage.memory_gb)
    if plan.memory_gb < most.memory_gb:
        needs = f'the stage {most.name} needs {most.memory_gb:g} GB'
        if plan.options.mem:
            raise UsageError(f'--mem {plan.memory_gb:g}: {needs}')
        raise UsageError(
            f'{needs} of memory, and there are {plan.memory_gb:.2f} GB to use, nine tenths of what '
            'this machine, its container or its job allows: allow more (docker run --memory), or '
            f'insist with --mem {most.memory_gb:g}'
        )


def _prepare(plan: _Plan) -> None:
    """Make the folders, and the files that make the output a BIDS derivative."""
    for folder, flag in ((plan.out_dir, 'OUT_DIR'), (plan.work_dir, '--work-dir')):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f'.nicarbon-{os.getpid()}'
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OutputError(
                f'{flag} {folder} cannot be written: {error.strerror}{_whose(error)}'
            ) from None
    free = shutil.disk_usage(plan.work_dir).free
    needed = plan.pipeline.free_bytes
    if free < needed:
        raise StorageError(
            f'--work-dir {plan.work_dir} has {free / 1e6:.0f} MB free, at least '
            f'{needed / 1e6:.0f} MB are needed: choose another with -w'
        )
    plan.log_dir.mkdir(parents=True)
    scaffold(plan.out_dir, plan.bids_dir, plan.pipeline.programs())
    record = plan.chosen.record() | {
        'pipeline': plan.pipeline.tool,
        'versions': _versions(plan.pipeline),
    }
    draft = plan.log_dir / '.config.draft'
    draft.write_text(tomli_w.dumps(record), 'utf-8')
    draft.replace(plan.log_dir / 'config.toml')
    taken = plan.pipeline.reused(plan.out_dir, plan.sessions)
    counted = plan.pipeline.networks([one for one in plan.sessions if one not in taken])
    if counted is not None:
        counted.write(plan.log_dir)


def _whose(error: OSError) -> str:
    """What lets an engine write to a folder of its host."""
    if not isinstance(error, PermissionError) or container(os.environ) not in {'docker', 'podman'}:
        return ''
    return '; give the container its owner: --user "$(id -u):$(id -g)"'


def _versions(pipeline: Pipeline) -> dict[str, str]:
    from importlib.metadata import version

    return {'nipype': version('nipype'), **pipeline.versions()}


def _run(plan: _Plan, screen: Any) -> int:
    """Run the workflow inside a recording, and write what was measured."""
    from ..run import recording

    screen.start(plan.sessions, plan.steps, plan.log_dir)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    subjects = {session.subject for session in plan.sessions}
    try:
        with recording(plan.out_dir, run_id=plan.run_id) as run:
            _start_workers(plan)
            from . import engine  # It imports Nipype, and so do they, side by side.

            failures = engine.run(plan, run, screen)
    except (KeyboardInterrupt, SystemExit) as ended:
        from . import outputs

        screen.interrupted(plan.out_dir, plan.work_dir)
        try:
            outputs.write(plan.out_dir, plan.chosen, subjects, alone=plan.alone)
        except NicarbonError as error:  # That it was interrupted is what the exit code says.
            print(explain(error), file=sys.stderr)  # noqa: T201
        code = ended.code if isinstance(ended, SystemExit) else 128 + signal.SIGINT
        raise SystemExit(code) from None
    from . import outputs

    screen.failed(failures, plan.log_dir)
    written = outputs.write(plan.out_dir, plan.chosen, subjects, alone=plan.alone)
    screen.stages(written.total, written.kinds)
    screen.pages(written.pages)
    return 1 if failures else 0


def _start_workers(plan: _Plan) -> None:
    """Tell the environment, and start the server of workers if any will be wanted."""
    os.environ.update(plan.pipeline.environment())
    if plan.options.use_plugin:
        from .plugin import read

        if not read(plan.options.use_plugin).is_local:
            return
    if len(plan.pipeline.reused(plan.out_dir, plan.sessions)) < len(plan.sessions):
        from .workers import start

        start(
            plan.pipeline.preload, None if plan.options.verbose else plan.log_dir / 'workers.log'
        )


def _interrupt(number: int, _frame: object) -> NoReturn:
    """End the run once; a second Ctrl-C must not stop the tidying up."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
