"""Digests brought up to date, and all of them read into columns."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__, ledger
from ..cohort import Cohort, Parts
from ..columns import Means, accounted, frame, with_means
from ..digest import Digest, digests, distinct, key_of, shared, spans_of
from ..entry import Entry
from ..errors import InputError
from ..files import save
from ..host import Host
from ..limits import usable_cores
from ..share import Balance
from ..sights import Sight, merged
from .assumed import Assumed
from .earlier import told
from .facts import hosts_of, is_at_work
from .survey import GIVE, NAME, Files, Known, clusters, files_of, is_good, is_there, known, runs

if TYPE_CHECKING:
    from polars import DataFrame

__all__ = ['Gathered', 'Survey', 'load', 'pool', 'survey', 'tables']

MANY_BYTES = 20_000_000
"""Of ledgers that are to be shared: more than that is worth starting processes for."""

CHUNK = 16
"""Clusters that a process takes at a time."""

BATCH = 250
"""Runs whose digests are read at a time: what they hold is then in memory twice."""

Tell = Callable[[int, int], None]
"""Called with the number of runs that are shared, and of those that are to be."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Runs of an output folder, their digests good.

    Parameters
    ----------
    out_dir : pathlib.Path
    about : mapping of {str : Known}
        By run what its digest says.
    clusters : sequence of tuple of str
        Runs that were on one machine at the same time.
    unsaved : mapping of {str : str}
        Digests that could not be written, or were not to be.
    """

    out_dir: Path
    about: Mapping[str, Known]
    clusters: Sequence[tuple[str, ...]]
    unsaved: Mapping[str, str] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Where the digest of a run is, if it was saved."""
        return self.out_dir / 'logs' / name / NAME

    def text(self, name: str) -> str:
        """The digest of a run."""
        if name in self.unsaved:
            return self.unsaved[name]
        return self.path(name).read_text('utf-8')


def survey(
    out_dir: Path,
    *,
    keep: bool = True,
    tell: Tell = lambda _done, _all: None,
    names: Sequence[str] = (),
) -> Survey:
    """Find all runs, and share the energy of those that have no good digest.

    What was shared once is kept beside its ledger, so that this may be cut off and goes on
    where it was.

    Parameters
    ----------
    out_dir : pathlib.Path
    keep : bool
        Whether to write digests.
    tell : callable
        Hears how far it is.
    names : sequence of str
        Runs to look at alone, as if no other had been beside them: a later survey of all finds
        out, and shares again what has to be. By default all are found.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        When there is no ledger.
    """
    # One that was ended at once has left nothing.
    names = [name for name in names if is_there(out_dir, name)] or runs(out_dir)
    if not names:
        raise InputError(f'{out_dir} holds no ledger (logs/*/ledger): {GIVE}')
    files = {name: files_of(out_dir, name) for name in names}
    found = {name: known(out_dir, name, files[name]) for name in names}
    fresh = [(name,) for name, one in found.items() if one is None]
    made = _made(out_dir, fresh, files, keep, tell)
    about = {name: one for name, one in found.items() if one is not None}
    about |= {name: one for name, (one, _) in made.items()}
    together = clusters({name: about[name].places for name in names})
    once = set(fresh)
    stale = [
        cluster
        for cluster in together
        if not is_good(cluster, about, files) and cluster not in once
    ]
    again = _made(out_dir, stale, files, keep, tell)
    about |= {name: one for name, (one, _) in again.items()}
    texts = {name: text for name, (_, text) in (made | again).items() if text is not None}
    return Survey(out_dir, about, together, texts)


_Made = dict[str, tuple[Known, str | None]]
"""By run what its digest says, and the digest itself if it was not written."""

_Cluster = tuple[tuple[str, ...], Mapping[str, Files]]
"""Names of runs that overlap, and their ledger files."""


def _made(
    out_dir: Path,
    todo: Sequence[tuple[str, ...]],
    files: Mapping[str, Files],
    keep: bool,  # noqa: FBT001
    tell: Tell,
) -> _Made:
    """Share clusters of runs, by several processes if that is much to do."""
    size = sum(sizes[0] for cluster in todo for name in cluster for sizes in files[name].values())
    parts: Iterator[_Cluster] = ((each, {name: files[name] for name in each}) for each in todo)
    chunks = iter(lambda: list(islice(parts, CHUNK)), [])
    tasks = ((out_dir, chunk, keep) for chunk in chunks)
    every, made = sum(map(len, todo)), _Made()
    with pool() if size > MANY_BYTES else nullcontext() as many:
        for part in many.map(_make, tasks) if many else map(_make, tasks):
            made |= part
            tell(len(made), every)
    return made


def pool() -> ProcessPoolExecutor:
    """A process for each core that this one may use."""
    # Not fork: polars and others keep threads, whose locks a child would inherit.
    spawn = multiprocessing.get_context('spawn')
    return ProcessPoolExecutor(usable_cores(), spawn)


def _make(task: tuple[Path, list[_Cluster], bool]) -> _Made:
    out_dir, chunk, keep = task
    made = _Made()
    for cluster, files in chunk:
        for name, digest in _digests(out_dir, cluster, files).items():
            text: str | None = digest.text(__version__, files[name])
            if keep and text is not None:
                try:
                    save(out_dir / 'logs' / name / NAME, text)
                    text = None
                except OSError:
                    pass  # Somebody else's folder, or a full disk: it is worked out again.
            head = Known(digest.key, digest.spans, frozenset(digest.subjects), digest.links)
            made[name] = head, text
    return made


def _digests(
    out_dir: Path, cluster: tuple[str, ...], files: Mapping[str, Files]
) -> dict[str, Digest]:
    """Digests of runs that overlap."""
    ledgers: dict[str, list[Entry]] = {}
    warnings: dict[str, list[str]] = {}
    at_work: list[str] = []

    def running(entry: Entry, age_seconds: float) -> bool:
        if is_at_work(entry, age_seconds):
            at_work.append(entry.entry_id)
            return True
        return False

    for name in cluster:
        folder = out_dir / 'logs' / name / 'ledger'
        ledgers[name], warnings[name] = ledger.read(folder, running=running)
    whole = ledgers
    ledgers, twice = distinct(ledgers)
    warnings = {name: [*own, *twice.get(name, ())] for name, own in warnings.items()}
    _, sharing = shared(ledgers)
    # What is at work now will be something else in a moment.
    key = '' if at_work else key_of(files)
    found = digests(ledgers, sharing, warnings, key)
    for name, one in found.items():
        log_dir = out_dir / 'logs' / name
        hosts, unread = hosts_of(log_dir)
        # Where it was is said of all that it holds, also of what another folder has too.
        links = [(entry.run_id, entry.node) for entry in whole[name] if entry.kind == 'run']
        found[name] = replace(
            one,
            spans=spans_of(whole[name]),
            links=tuple(dict.fromkeys(links)),
            hosts=hosts,
            versions=told(log_dir),
            warnings=(*one.warnings, *unread),
        )
    return found


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that the digests of an output folder say.

    Parameters
    ----------
    cohort : Cohort
    runs : tuple of Entry
        Without their windows.
    balances : tuple of Balance
    hosts : tuple of Host
        Each name once.
    versions : mapping of {str : str}
        Each name once, newest first.
    warnings : tuple of str
    folders : mapping of {(str, str) : str}
        By id and host of a run the folder that it is in.
    """

    cohort: Cohort
    runs: tuple[Entry, ...]
    balances: tuple[Balance, ...]
    hosts: tuple[Host, ...]
    versions: Mapping[str, str]
    warnings: tuple[str, ...]
    folders: Mapping[tuple[str, str], str]


def load(
    found: Survey,
    assumed: Assumed,
    *,
    each: Callable[[DataFrame], object] | None = None,
) -> Gathered:
    """Read all digests, and account for them.

    Parameters
    ----------
    found : Survey
    assumed : Assumed
    each : callable, optional
        Gets the rows of the group's table on the way, some at a time.

    Returns
    -------
    Gathered
    """
    whole, parts = _Whole(), Parts()
    means, pue = assumed.means, assumed.pue
    grid = assumed.over(()) if means is None else None
    for batch, rows in _batches(found, means):
        for name, one in batch:
            whole.add(name, one)
        if each is not None:
            each(accounted(rows, grid, pue))
        parts.add(rows)
    if grid is None:
        grid = assumed.grid.over(*parts.period) if parts.period else assumed.grid.whole()
    return Gathered(
        parts.cohort(grid, pue, whole.sights, whole.weights),
        tuple(whole.runs),
        tuple(whole.balances),
        tuple(whole.hosts.values()),
        whole.versions,
        tuple(whole.warnings),
        whole.folders,
    )


def tables(found: Survey, assumed: Assumed) -> Iterator[DataFrame]:
    """The rows of the group's table, some at a time.

    Parameters
    ----------
    found : Survey
    assumed : Assumed

    Yields
    ------
    polars.DataFrame
        Columns of :data:`nicarbon.sidecar.COLUMNS`.
    """
    grid = assumed.over(()) if assumed.means is None else None
    for _, rows in _batches(found, assumed.means):
        yield accounted(rows, grid, assumed.pue)


def _batches(
    found: Survey, means: Means | None
) -> Iterator[tuple[list[tuple[str, Digest]], DataFrame]]:
    """Some digests by the name of their run, and their rows, with means if there are any."""
    read = ((name, Digest.read(found.text(name))) for name in found.about)
    for batch in iter(lambda: list(islice(read, BATCH)), []):
        rows = frame(''.join(one.rows for _, one in batch))
        # One name for both: of many rows, those without means need not stay in memory.
        rows = rows if means is None else with_means(rows, means)
        yield batch, rows


@dataclass(slots=True)
class _Whole:
    """What digests say besides their rows, added up."""

    runs: list[Entry] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    weights: dict[str, tuple[float, float]] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    folders: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, name: str, one: Digest) -> None:
        self.folders |= {(run.run_id, run.host): name for run in one.runs}
        self.runs += one.runs
        self.balances += one.balances
        self.sights = list(merged([*self.sights, *one.sights]))
        for component, (joules, weighted) in one.weights.items():
            known_joules, known_weighted = self.weights.get(component, (0.0, 0.0))
            self.weights[component] = known_joules + joules, known_weighted + weighted
        self.hosts |= {host.name: host for host in one.hosts}
        # Digests come oldest first.
        self.versions = {**self.versions, **one.versions}
        self.warnings += one.warnings
