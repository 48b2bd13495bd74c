"""Runs of nodes of a working folder of Nipype, each once, whoever tells of it.

Best first: the result of a node has all its times; its report lacks when it began; the
callback's log and the resource monitor know that, and of runs whose files are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ...errors import ReaderError
from . import logs
from . import report as reports
from .report import Report, Run

__all__ = ['CALLBACKS', 'MONITOR', 'REPORT', 'Gathered', 'Node', 'gather']

REPORT = '_report', 'report.rst'
"""Folder and file, below that of the node."""

CALLBACKS = ('run_stats.log', 'callback.log')
"""Names that Nipype's documentation gives the callback's log; it has none of its own."""

MONITOR = 'resource_monitor.json'

NEAR_SECONDS = 5.0
"""Within which two starts of one node are the same: it is sampled from shortly before."""


class Node(NamedTuple):
    """A run of a node.

    Parameters
    ----------
    name : str
        Folders down to it, with dots.
    folder : pathlib.Path or None
        None where that is not known.
    run : Run
    by : str
        Which file told of its time.
    identity : str
        That the callback calls it.
    inputs : mapping of {str : str}
    written : float or None
        When it was over, by the time of its report, in seconds since 1970.
    """

    name: str
    folder: Path | None
    run: Run
    by: str
    identity: str = ''
    inputs: Mapping[str, str] = {}
    written: float | None = None


@dataclass(slots=True)
class Gathered:
    """What a working folder told.

    Parameters
    ----------
    nodes : list of Node
    unended : list of str
        Names of nodes that began, of which no file says that they ended.
    warnings : list of str
        For each file that cannot be read.
    """

    nodes: list[Node] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def gather(root: Path, files: Iterable[Path]) -> Gathered:
    """Read all files of a working folder.

    Parameters
    ----------
    root : pathlib.Path
    files : iterable of pathlib.Path

    Returns
    -------
    Gathered
    """
    found = Gathered()
    folders: dict[Path, list[Path]] = {}
    called: list[Path] = []
    sampled: list[Path] = []
    for path in sorted(files):
        if path.name in CALLBACKS:
            called.append(path)
        elif path.name == MONITOR:
            sampled.append(path)
        else:
            node = path.parent.parent if path.parts[-2:] == REPORT else path.parent
            folders.setdefault(node, []).append(path)
    of = _nodes(root, folders, found)
    _add_called(_called(called, found), of, found)
    for path in sampled:
        try:
            _add_sampled(path, logs.monitor(path), of, found)
        except (ReaderError, OSError) as error:
            found.warnings.append(_line(path, error))
    known = {node.name for node in found.nodes}
    found.unended = [name for name in found.unended if not known & {name, name.rpartition('.')[2]}]
    found.nodes += of.values()
    return found


def _line(path: Path, error: Exception) -> str:
    why = error.strerror if isinstance(error, OSError) else ''
    return f'{path} cannot be read: {why}' if why else str(error)


def _nodes(root: Path, folders: Mapping[Path, list[Path]], found: Gathered) -> dict[Path, Node]:
    """Nodes by their folders; leaves of a MapNode by it where they do not tell themselves."""
    nodes: dict[Path, Node] = {}
    spare: dict[Path, Run] = {}
    for folder, paths in folders.items():
        told, runs, many = _read(folder, paths, found)
        if many or (told is not None and told.leaves):
            for number, run in enumerate(runs):
                name = PurePosixPath(run.place).name or f'_{folder.name}{number}'
                spare[folder / 'mapflow' / name] = run
            continue
        by = 'result_*.pklz' if runs else 'report.rst'
        best = _merged(runs[0], told) if runs else told.run if told is not None else None
        if best is not None:
            identity, inputs = (told.identity, told.inputs) if told is not None else ('', {})
            written = None if best.began is not None else _written(folder)
            name = _name(root, folder)
            nodes[folder] = Node(name, folder, best, by, identity, inputs, written)
        elif told is not None:
            found.unended.append(_name(root, folder))
    for folder, run in spare.items():
        if folder not in nodes:
            nodes[folder] = Node(_name(root, folder), folder, run, 'result_*.pklz')
    names = {node.name for node in nodes.values()}
    found.unended = [name for name in found.unended if name not in names]
    return nodes


def _read(
    folder: Path, paths: Iterable[Path], found: Gathered
) -> tuple[Report | None, list[Run], bool]:
    """Report and results of one node."""
    told: Report | None = None
    best: tuple[list[Run], bool] = [], False
    for path in paths:
        try:
            if path.name == REPORT[1]:
                told = reports.report(path)
            # A folder may hold somebody else's; its own has its name.
            elif not best[0] or path.name == f'result_{folder.name}.pklz':
                best = reports.results(path)
        except (ReaderError, OSError) as error:
            found.warnings.append(_line(path, error))
    return told, *best


def _merged(run: Run, told: Report | None) -> Run:
    """A run by its result, with what only the report has: its inputs."""
    if told is None:
        return run
    stated = reports.stated_threads(run.command, told.inputs, {})
    return run._replace(threads=max(told.run.threads if told.run else stated, 1))


def _written(folder: Path) -> float | None:
    try:
        return folder.joinpath(*REPORT).stat().st_mtime
    except OSError:
        return None


def _name(root: Path, folder: Path) -> str:
    parts = folder.relative_to(root).parts if folder.is_relative_to(root) else ()
    return '.'.join(part for part in parts if part != 'mapflow') or folder.name


def _called(paths: Iterable[Path], found: Gathered) -> Iterator[logs.Called]:
    """Runs of all logs, each once."""
    known: set[tuple[str, float | None]] = set()
    for path in paths:
        try:
            told, broken = logs.callback(path)
        except (ReaderError, OSError) as error:
            found.warnings.append(_line(path, error))
            continue
        if broken:
            found.warnings.append(f'{path} has lines that cannot be read: {broken}')
        for one in told:
            if (one.identity, one.run.began) not in known:
                known.add((one.identity, one.run.began))
                yield one


def _add_called(told: Iterable[logs.Called], of: dict[Path, Node], found: Gathered) -> None:
    """Starts and cores by the callback, and runs whose other files are gone."""
    begun: dict[tuple[str, float | None], Path] = {}
    timed: dict[tuple[str, float], Path] = {}
    for folder, node in of.items():
        begun[folder.name, node.run.began] = folder
        if node.run.began is None:
            timed[node.identity or folder.name, round(node.run.seconds, 6)] = folder
    parents = {folder.parents[1].name for folder in of if folder.parent.name == 'mapflow'}
    for one in told:
        place = begun.get((one.name, one.run.began))
        place = place or timed.pop((one.identity, round(one.run.seconds, 6)), None)
        if place is not None:
            node = of[place]
            run = node.run._replace(began=one.run.began, cores=one.run.cores)
            of[place] = node._replace(run=run)
        elif one.name not in parents:
            found.nodes.append(Node(one.name, None, one.run, 'the callback', one.identity))


def _add_sampled(
    path: Path, told: Iterable[logs.Sampled], of: dict[Path, Node], found: Gathered
) -> None:
    """Starts by the resource monitor, and runs of which nothing else tells."""
    base = path.parent.parent
    places = {place: folder for folder in of if (place := logs.place_of(base, folder))}
    elsewhere: dict[str, list[float]] = {}
    for node in found.nodes:
        elsewhere.setdefault(node.name, []).append(node.run.began or 0.0)
    # Of several runs of a node, that which lasted as long as its report says.
    for one in sorted(told, key=lambda one: _misses(one, of, places)):
        folder = places.get(one.place)
        began = one.run.began or 0.0
        starts = list(elsewhere.get(one.place[0].rpartition('.')[2], []))
        if folder is not None:
            run = of[folder].run
            if run.began is None:
                of[folder] = of[folder]._replace(run=run._replace(began=began))
                continue
            starts.append(run.began)
        if all(abs(start - began) > NEAR_SECONDS for start in starts):
            flow, _, name = one.place[0].rpartition('.')
            whole = '.'.join(part for part in (flow, one.place[1], name) if part)
            found.nodes.append(Node(whole, None, one.run, MONITOR))


def _misses(
    one: logs.Sampled, of: Mapping[Path, Node], places: Mapping[tuple[str, str, int], Path]
) -> float:
    folder = places.get(one.place)
    return abs(of[folder].run.seconds - one.run.seconds) if folder is not None else 0.0
