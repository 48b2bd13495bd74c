"""Synthetic ledgers with known numbers: a host, its run, and the nodes that ran on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from shares import entry, of_gpu, rich
from values import replace

from nicarbon.account import PUE, Intensity
from nicarbon.cohort import Cohort, Parts
from nicarbon.columns import frame
from nicarbon.digest import Digest, digests, shared
from nicarbon.entry import Command, Entry, Reading, Use, Window
from nicarbon.host import Host
from nicarbon.report.pages import Context, Download, Option, group_page
from nicarbon.share import Sharing, share
from nicarbon.stage import Stage, stages
from nicarbon.summary import LOST, Dataset, Failure, Line, Summary, kinds, of_lines, summarise

QUEBEC = Intensity(
    30.0, 15.0, 60.0, 'CA-QC', '2023-01-01', '2023-12-31', 'average, lifecycle', 'CodeCarbon'
)
WORLD = Intensity(
    475.0, 35.0, 750.0, 'world', '2019-01-01', '2019-12-31', 'average, lifecycle',
    'IEA world average by CodeCarbon', 'assumed',
)  # fmt: skip
HOST = Host(
    'node01', 'Fictive Xeon 0 @ 2.0 GHz', 2, 1, 8.2, True, 0.96, 6.56, 'model:tdp-linear',
    'virtual machine: 4 W per hardware thread (CodeCarbon default)', 'modelled', 2.0, 8.0,
)  # fmt: skip
BOOT, RUN, STARTED = 'boot-1', '20260815T120000', '2026-08-15T12:{:02d}:{:02d}+00:00'
SECONDS = {
    'conform': 4, 'n4': 38, 'affine': 22, 'nonlinear': 95, 'brain_extraction': 12,
    'tissue_segmentation': 61, 'surface': 27, 'morphometry': 6, 'derivatives': 9,
}  # fmt: skip
BUSY = {'nonlinear': 0.98, 'n4': 0.95, 'derivatives': 0.6, 'conform': 0.55}
OWN, OTHERS = 0.04, 0.06
"""CPU seconds per second of the program that runs the nodes, and of other programs."""


@dataclass(frozen=True)
class Job:
    """One node to lay on the timeline: start and length in whole seconds."""

    subject: str
    stage: str
    start: int
    seconds: int
    session: str = ''
    outcome: str = 'ran'
    error: str = ''
    busy: float = 0.9
    cores: float = 1.0
    memory: float | None = None
    peak: float | None = None


def line_up(
    subject: str, start: int = 0, pace: float = 1.0, session: str = '', names: Iterable[str] = ()
) -> list[Job]:
    """The stages of one subject, one after the other."""
    jobs = []
    for name in names or [stage.name for stage in stages('structural')]:
        seconds = max(1, round(SECONDS[name] * pace))
        jobs.append(Job(subject, name, start, seconds, session, busy=BUSY.get(name, 0.9)))
        start += seconds + 1
    return jobs


class Machine:
    """Lays jobs on a host whose power is exactly what its load makes it."""

    step = 5
    """Seconds of its windows."""

    def __init__(self, jobs: Sequence[Job], host: Host = HOST, run_id: str = RUN) -> None:
        self.jobs, self.host, self.run_id = jobs, host, run_id
        self.stop = max((job.start + job.seconds for job in jobs), default=0) + 2

    def reading(self, joules: float | None) -> Reading:
        host = self.host
        return Reading(
            'cpu', joules, host.idle_watts, 'model:tdp-linear', host.tier, 'host', host.u_rel
        )

    def entries(self) -> list[Entry]:
        return [self._node(number, job) for number, job in enumerate(self.jobs)] + [self._run()]

    def _own(self, first: int, last: int) -> float:
        return sum(
            job.busy * max(0, min(last, job.start + job.seconds) - max(first, job.start))
            for job in self.jobs
            if job.outcome != 'cached'
        ) + OWN * (last - first)

    def _window(self, first: int, last: int, cpu_seconds: float) -> Window:
        busy = self._own(first, last) + OTHERS * (last - first)
        host = self.host
        joules = host.idle_watts * (last - first) + host.watts_per_busy_core * busy
        return Window(1000.0 + first, float(last - first), cpu_seconds, busy, (joules,))

    def _entry(self, number: int, windows: Sequence[Window], job: Job, kind: str) -> Entry:
        cached = job.outcome == 'cached'
        windows = () if cached else tuple(windows)
        joules = sum(window.joules[0] or 0.0 for window in windows)
        return Entry(
            entry_id=f'{self.host.name}-{self.run_id}-77-{number}', kind=kind, run_id=self.run_id,
            subject=job.subject, session=job.session, stage=job.stage, node=job.stage,
            interface='Fictive', host=self.host.name, boot_id='' if cached else f'{BOOT}-{self.host.name}', pid=7,
            started=STARTED.format(job.start // 60 % 60, job.start % 60),
            seconds=sum(window.seconds for window in windows),
            cpu_seconds=sum(window.cpu_seconds for window in windows),
            host_cpu_seconds=sum(window.host_cpu_seconds for window in windows),
            host_cores=self.host.cores, reserved_cores=job.cores if kind == 'node' else 0.0,
            reserved_memory_gb=job.memory, commands=_peak(job), readings=() if cached else (self.reading(joules),),
            windows=windows, outcome=job.outcome, error=job.error,
        )  # fmt: skip

    def _node(self, number: int, job: Job) -> Entry:
        edges = [*range(job.start, job.start + job.seconds, self.step), job.start + job.seconds]
        windows = [self._window(a, b, job.busy * (b - a)) for a, b in pairwise(edges)]
        return self._entry(number, windows, job, 'node')

    def _run(self) -> Entry:
        edges = [*range(0, self.stop, self.step), self.stop]
        windows = [self._window(a, b, self._own(a, b)) for a, b in pairwise(edges)]
        return self._entry(9999, windows, Job('', '', 0, self.stop), 'run')


def _peak(job: Job) -> tuple[Command, ...]:
    """What tells of its memory, if anything does."""
    if job.peak is None:
        return ()
    return (Command('program', 1000.0 + job.start, float(job.seconds), 0.0, 0.0, job.peak),)


def blind(entry: Entry) -> Entry:
    """The same entry, as it is where no meter could be read."""
    return replace(
        entry,
        readings=tuple(replace(reading, joules=None) for reading in entry.readings),
        windows=tuple(replace(window, joules=(None,)) for window in entry.windows),
    )


def pair() -> list[Entry]:
    """Two subjects side by side on two cores, nine stages each."""
    return Machine([*line_up('01'), *line_up('02', 3, 1.08)]).entries()


def recon_all() -> list[Entry]:
    """One subject, each stage of FreeSurfer 7 by itself, both hemispheres side by side."""
    jobs, free = [], {'': 0, 'lh': 0, 'rh': 0}
    for number, stage in enumerate(stages('freesurfer', 7)):
        seconds = 5 + (number * 37) % 90
        start = free[stage.hemi] if stage.hemi else max(free.values())
        # The right one is quicker here, and so comes first in time.
        start += 2 if stage.hemi == 'lh' else 0
        jobs.append(Job('01', stage.key, start, seconds))
        stop = start + seconds
        free = free | {stage.hemi: stop} if stage.hemi else dict.fromkeys(free, stop)
    jobs.sort(key=lambda job: job.start)
    entries = Machine(jobs).entries()
    binaries = {stage.key: stage.binaries for stage in stages('freesurfer', 7)}
    return [one._replace(commands=_commands(one, binaries.get(one.stage, ()))) for one in entries]


def _commands(entry: Entry, names: Sequence[str]) -> tuple[Command, ...]:
    """Each of them twice, one after the other, for nine tenths of the time."""
    start, seconds = entry.windows[0].start, 0.45 * entry.seconds / max(1, len(names))
    return tuple(
        Command(name, start + number * seconds, seconds, 0.8 * seconds, 0.05 * seconds, 0.4)
        for number, name in enumerate(name for name in names for _ in range(2))
    )


def crowd(count: int = 40) -> list[Entry]:
    """Many subjects, two at a time: some failed, were killed or were cached; one took long."""
    jobs: list[Job] = []
    ends = [0, 0]
    for number in range(count):
        worker = ends.index(min(ends))
        pace = 0.9 + 0.2 * ((number * 7) % 11) / 10 + (1.6 if number == 17 else 0)
        session = ('1' if number % 2 else '2') if number % 8 == 3 else ''
        own = line_up(f'{number + 1:02d}', ends[worker], pace, session)
        if number in {5, 22}:
            own = [
                *own[:6],
                replace(own[6], outcome='failed', error='ValueError: the mesh is open'),
            ]
        if number == 11:
            own = [*own[:3], replace(own[3], outcome='killed', error='')]
        if number in {8, 9}:
            own = [replace(job, outcome='cached') for job in own[:4]] + own[4:]
        jobs += own
        ends[worker] = own[-1].start + own[-1].seconds + 1
    return Machine(jobs).entries()


def two_pipelines(count: int = 12) -> list[Entry]:
    """Each subject by two pipelines, a few stages of each: the second takes about a fifth."""
    jobs: list[Job] = []
    start = 0
    for number in range(count):
        pace = 0.8 + 0.5 * ((number * 5) % 7) / 7
        for tool, length in (('freesurfer', 180), ('fastsurfer', 24 + 3 * (number % 5))):
            for stage in stages(tool)[:3]:
                seconds = round(length * pace)
                jobs.append(Job(f'{number + 1:02d}', stage.key, start, seconds))
                start += seconds + 1
    return Machine(jobs).entries()


def on_processors(
    count: int = 5,
    *,
    slow: float = 6.0,
    watts: float = 150.0,
    seen: bool = True,
    shown: bool = True,
    hosts: tuple[str, str] = ('h', 'h'),
) -> list[Entry]:
    """FastSurfer in two stages: as many sessions with a GPU as without, where networks are slower.

    All four cores are reserved, a CPU takes 100 W and a GPU that is held ``watts``. Whether
    meters saw the GPU where nobody held it, and could tell who used it, are ``seen`` and ``shown``.
    """
    found: list[Entry] = []
    for number in range(2 * count):
        held = number < count
        pace = 1 + 0.02 * (number % count - (count - 1) / 2)
        start, networks = 1e4 * number, 10.0 if held else 10.0 * slow
        for stage, seconds in (('asegdkt', networks * pace), ('recon-surf', 20.0 * pace)):
            used = 0.9 * seconds if held and stage == 'asegdkt' else 0.0
            use = Use(used if shown else None, used, used and seconds, used and seconds)
            joules = 100 * seconds, watts * seconds if used else 0.0, None, None
            window = Window(start, seconds, 3 * seconds, 3 * seconds, joules, of_gpu(use))
            host = hosts[0] if held else hosts[1]
            one = rich(entry('node', [window], 4.0, len(found)))
            found.append(
                replace(
                    one if held or seen else _without_gpu(one),
                    subject=f'{number:02d}', stage=stage, node=stage, run_id=f'r{number}',
                    host=host, boot_id=f'{BOOT}-{host}', started=STARTED.format(0, 0),
                )
            )  # fmt: skip
            start += seconds
    return found


def _without_gpu(one: Entry) -> Entry:
    """The same where no meter saw a GPU."""
    windows = tuple(w._replace(joules=w.joules[:1], uses=()) for w in one.windows)
    return replace(one, readings=one.readings[:1], windows=windows)


def summaries(
    entries: Sequence[Entry], intensity: Intensity = QUEBEC, pue: PUE | None = None
) -> tuple[Summary, list[Summary], Sharing]:
    """The dataset, each subject and session, and the sharing they are made of."""
    sharing = share(entries)
    pue = pue or PUE(1.0, 'unset')
    keys = sorted({(one.entry.subject, one.entry.session) for one in sharing.shares})
    parts = [
        summarise(
            [one for one in sharing.shares if (one.entry.subject, one.entry.session) == key],
            intensity,
            pue,
            subject=key[0],
            session=key[1],
        )
        for key in keys
    ]
    return summarise(sharing.shares, intensity, pue), parts, sharing


def cohort(
    entries: Sequence[Entry], intensity: Intensity = QUEBEC, pue: PUE | None = None
) -> Cohort:
    """The same in columns, as it comes back from disk."""
    ledgers = {'r': entries}
    _, sharing = shared(ledgers)
    one = Digest.read(digests(ledgers, sharing, {})['r'].text('0', {}))
    parts = Parts()
    parts.add(frame(one.rows))
    return parts.cohort(intensity, pue or PUE(1.0, 'unset'), one.sights, one.weights)


def dataset_of(
    total: Summary, people: Sequence[Summary] = (), pipeline: Sequence[Stage] = ()
) -> Dataset:
    """A dataset whose stages are at hand."""
    entries = [line.share.entry for line in total.lines]
    tools = {stage.key: stage.tool for stage in pipeline}
    lines: dict[tuple[str, str, str], list[Line]] = defaultdict(list)
    for line in total.lines:
        entry = line.share.entry
        lines[tools.get(entry.stage, ''), entry.subject, entry.session].append(line)
    pipelines: dict[str, list[Summary]] = defaultdict(list)
    assumed = total.footprint.intensity, total.footprint.pue
    for (tool, subject, session), own in lines.items():
        if tool:
            one = of_lines(own, *assumed, subject=subject, session=session)
            pipelines[tool].append(one)
    names = [field.name for field in fields(Failure)]
    lost = [Failure(*(getattr(one, n) for n in names)) for one in entries if one.outcome in LOST]
    scans = len({(one.subject, one.session) for one in entries if one.outcome == 'ran'})
    return Dataset(total, people, kinds(total, tools), pipelines, lost, scans)


def group(
    total: Summary,
    people: Sequence[Summary],
    links: Mapping[str, str],
    context: Context,
    tables: Mapping[str, str],
) -> str:
    """Its page."""
    return group_page(
        dataset_of(total, people, context.pipeline), links, context,
        shares=[line.share for line in total.lines],
        tables={name: Download.of(text) for name, text in tables.items()},
    )  # fmt: skip


def context(entries: Sequence[Entry], sharing: Sharing, **changes: object) -> Context:
    """Everything round the numbers."""
    values: dict[str, object] = {
        'title': 'nicarbon',
        'version': '0.1.0',
        'command': 'nicarbon /data/ds /data/out participant --grid CA-QC',
        'created': '2026-08-15T12:30:00+00:00',
        'options': (
            Option('grid', 'CA-QC', 'flag'),
            Option('pue', 'not set', 'default'),
            Option('nprocs', '2', 'environment'),
        ),
        'hosts': (HOST,),
        'runs': tuple(entry for entry in entries if entry.kind == 'run'),
        'balances': sharing.balances,
        **changes,
    }
    return Context(**values)  # type: ignore[arg-type]
