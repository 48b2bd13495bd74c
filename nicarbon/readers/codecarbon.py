"""Tables of CodeCarbon: ``emissions.csv``, a row for each run, and those of its tasks.

A row tells energies by component, in kWh of the facility (multiplied by ``pue`` where the
version knows one, ``emissions_tracker.py``: ``_do_measurements``), and not how they came
about: CPU energy is that of a counter (RAPL) where it could be read, else TDP times a cubic
of the load (version 3) or half of TDP, whatever ran (version 2). So it is ``modelled``, with
the interval of the worst of these. GPU energy is that of the boards' own counters.

Nor does a row tell CPU seconds, by which a machine could be shared. In the mode ``machine``,
CodeCarbon's default, its joules are those of the whole machine while the run lasted, and are
taken as the run's own, as CodeCarbon takes them; so are the CPU seconds that follow from
``cpu_utilization_percent``, which is the whole machine's in either mode.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..entry import Entry, Reading, Tier
from ..errors import ReaderError
from ..host import Host
from . import Folder, Hardware, Source, Told, Work, leaf, text_of
from .fields import moment, number, subject_of

__all__ = ['TRACKER', 'CodeCarbon']

TRACKER = 'codecarbon'

JOULES_PER_KWH = 3.6e6

U_CPU = 4.0
"""CPU energy of version 3 and later: RAPL showed up to four times what TDP·(0.1 + 0.9·u³) says
(95 points of five CPUs; the model said 0.25 to 1.45 of the counter in 90 % of them)."""

U_CPU_CONSTANT = 5.0
"""The same of older versions: half of TDP, whatever ran, was 0.4 to 5 times the counter."""

U_RAM = 2.0
"""A module of memory is taken to draw 5 W, or 0.375 W a GB, whatever it does; others say 0.28
to 0.39 W a GB, and modules hold 4 to 128."""

U_GPU = 1.65
"""Where a board has no counter of energy, its power is sampled, which was off by up to 65 %
(arXiv:2312.02741); a row does not say which."""

LEAST_SECONDS = 0.01
MOST_SECONDS = 1e9
MOST_KWH = 1e6
MOST_WATTS = 1e6
"""No run was shorter, took longer, or more."""

_NAME = re.compile(r'emissions.*\.csv(?:(?:_\d+)?\.bak)?(?:\.gz)?')
_NEW = re.compile(r'(?:[3-9]|[1-9]\d+)\.')
_NEEDED = {'timestamp', 'duration', 'emissions'}
_REST_PART = 0.01
"""What a run used outside its tasks is told where it is more than that of all."""


class Row(NamedTuple):
    """One row: a run as far as it had come, or a task.

    Parameters
    ----------
    run, task, project : str
        The task is empty where the row is that of a whole run.
    began, seconds : float
        Seconds since 1970; wall time.
    kwh : dict of {str : float}
        By component, of the machine alone: ``cpu``, ``dram``, ``gpu``, ``rest``.
    pue : float or None
        By which the row had multiplied them; None where it does not say.
    old : bool
        Whether its version is older than 3, or not told.
    whole : bool
        Whether it is of the whole machine.
    cpu, country : str
    cores : int
        Hardware threads; 0 where it is not told.
    cpu_seconds : float or None
    """

    run: str
    task: str
    project: str
    began: float
    seconds: float
    kwh: dict[str, float]
    pue: float | None
    old: bool
    whole: bool
    cpu: str
    country: str
    cores: int
    cpu_seconds: float | None

    @property
    def total(self) -> float:
        """Energy in kWh."""
        return sum(self.kwh.values())


class CodeCarbon:
    """Reads the tables that CodeCarbon leaves in a folder."""

    name = 'codecarbon'
    what = 'tables of CodeCarbon (emissions*.csv)'

    def find(self, folder: Folder) -> Iterable[Source]:
        """All tables of a folder together: a run may be in several.

        Parameters
        ----------
        folder : Folder

        Yields
        ------
        Source
        """
        names = sorted(name for name in folder.files if _NAME.fullmatch(name))
        if names:
            yield Source(self.name, folder.path, tuple(folder.path / name for name in names))

    def read(self, source: Source, hardware: Hardware) -> Told:
        """Runs, or their tasks, each once.

        Parameters
        ----------
        source : Source
        hardware : Hardware

        Returns
        -------
        Told

        Raises
        ------
        ReaderError
            When none of the tables can be read.
        OSError
        """
        rows: list[Row] = []
        warnings: list[str] = []
        for path in source.files:
            found, broken = _table(path)
            rows += found
            warnings += [f'{path}: {line}' for line in broken]
        if not rows and warnings:
            raise ReaderError(warnings[0])
        kept, lost = _leaves(rows)
        warnings += [f'{source.path}: {line}' for line in lost]
        if kept:
            warnings.append(f'{source.path}: {"; ".join(_doubts(kept))}')
        hosts: dict[tuple[str, int], Host] = {}
        entries = []
        for number_, row in enumerate(kept, 1):
            machine = row.cpu, row.cores
            if machine not in hosts:
                hosts[machine] = hardware.host('', row.cpu, row.cores or None)
            entries.append(_entry(source, number_, row, hosts[machine]))
        claims = {TRACKER: JOULES_PER_KWH * sum(row.total for row in kept)} if kept else {}
        return Told(tuple(entries), tuple(warnings), tuple(hosts.values()), {}, claims)


# Rows ------------------------------------------------------------------------------------


def _table(path: Path) -> tuple[list[Row], list[str]]:
    """Rows of one table, and what is wrong with it."""
    rows: list[Row] = []
    lines = csv.DictReader(text_of(path).replace('\0', '').splitlines())
    broken = own = 0
    try:
        if not set(lines.fieldnames or ()) >= _NEEDED:
            return [], ['no table of CodeCarbon: it lacks columns of one']
        for cells in lines:
            if (cells.get('project_name'), cells.get('codecarbon_version')) == ('nicarbon', ''):
                own += 1
            elif (row := _row(cells)) is not None:
                rows.append(row)
            else:
                broken += 1
    except csv.Error:
        broken += 1
    told = [f'{broken} rows cannot be read: left out'] if broken else []
    return rows, [*told, *(['nicarbon wrote this table itself: left out'] if own else [])]


def _row(cells: Mapping[str, str | None]) -> Row | None:
    ended = moment(cells.get('timestamp') or '')
    seconds = number(cells.get('duration'), MOST_SECONDS)
    pue = number(cells.get('pue'), 10.0)
    kwh = _energies(cells, max(1.0, pue or 1.0))
    if ended is None or seconds is None or not kwh or not LEAST_SECONDS <= seconds < ended:
        return None
    if sum(kwh.values()) * JOULES_PER_KWH > MOST_WATTS * seconds:
        return None
    cores = number(cells.get('cpu_count'), 1e5) or 0.0
    load = number(cells.get('cpu_utilization_percent'), 1e5 * 100)
    whole = _word(cells, 'tracking_mode') != 'process'
    return Row(
        _word(cells, 'run_id'),
        _word(cells, 'task_name'),
        _word(cells, 'project_name'),
        ended - seconds,
        seconds,
        kwh,
        pue and max(1.0, pue),
        not _NEW.match(_word(cells, 'codecarbon_version')),
        whole,
        _word(cells, 'cpu_model'),
        _word(cells, 'country_iso_code'),
        int(cores),
        # Of the whole machine in either mode; 0 is not told.
        load / 100 * cores * seconds if load and whole else None,
    )


def _word(cells: Mapping[str, str | None], name: str) -> str:
    """One line, however long and strange."""
    value = cells.get(name)
    return ' '.join(value.split())[:200] if isinstance(value, str) else ''


def _energies(cells: Mapping[str, str | None], pue: float) -> dict[str, float]:
    """Energy of the machine by component, in kWh; what shows none was not seen."""
    names = {'cpu': 'cpu_energy', 'dram': 'ram_energy', 'gpu': 'gpu_energy'}
    told = {key: number(cells.get(name), MOST_KWH) for key, name in names.items()}
    kwh = {key: value / pue for key, value in told.items() if value}
    total = number(cells.get('energy_consumed'), MOST_KWH)
    rest = (total or 0.0) / pue - sum(kwh.values())
    # Version 1 had no columns of components.
    if rest > _REST_PART * sum(kwh.values()):
        kwh['rest'] = rest
    return kwh


# Runs and tasks --------------------------------------------------------------------------


def _leaves(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Tasks, what runs used outside of them, and runs without any: each once.

    Rows of one run say what it had used until then: the one that says the most counts.
    """
    runs: dict[str, Row] = {}
    tasks: dict[tuple[str, str], Row] = {}
    for number_, row in enumerate(rows):
        key = row.run or f' {number_}'
        if row.task:
            before = tasks.get((key, row.task), row)
            tasks[key, row.task] = max(before, row, key=_extent)
        else:
            runs[key] = max(runs.get(key, row), row, key=_extent)
    pues = {key: run.pue for key, run in runs.items()}
    parts: dict[str, list[Row]] = {}
    for (key, _), task in tasks.items():
        # Tables of tasks have no column for the PUE by which they were multiplied.
        pue = pues.get(key) or 1.0
        plain = task if task.pue else task._replace(kwh=_scaled(task.kwh, 1 / pue))
        parts.setdefault(key, []).append(plain)
    kept: list[Row] = []
    lost: list[str] = []
    for key in dict.fromkeys((*runs, *parts)):
        inner = parts.get(key, [])
        kept += inner
        if key in runs:
            rest = _rest(runs[key], inner) if inner else runs[key]
            if rest is not None and rest.seconds >= LEAST_SECONDS:
                kept.append(rest)
            elif rest is not None:
                joules = rest.total * JOULES_PER_KWH
                lost.append(f'a run used {joules:.0f} J outside its tasks, in no time: left out')
    return kept, lost


def _extent(row: Row) -> tuple[float, float]:
    return row.total, row.seconds


def _scaled(kwh: Mapping[str, float], factor: float) -> dict[str, float]:
    return {key: value * factor for key, value in kwh.items()}


def _rest(run: Row, tasks: Sequence[Row]) -> Row | None:
    """What a run used outside its tasks; None where that is next to nothing."""
    kwh = {
        key: value - sum(task.kwh.get(key, 0.0) for task in tasks)
        for key, value in run.kwh.items()
    }
    kwh = {key: value for key, value in kwh.items() if value > 0}
    if sum(kwh.values()) <= _REST_PART * run.total:
        return None
    # A run's clock is set anew by each of its tasks: its own seconds may be those of the last.
    ended = run.began + run.seconds
    began = min(run.began, *(task.began for task in tasks))
    seconds = max(0.0, ended - began - sum(task.seconds for task in tasks))
    return run._replace(kwh=kwh, began=ended - seconds, seconds=seconds, cpu_seconds=None)


def _doubts(rows: Sequence[Row]) -> Iterator[str]:
    """What the rows leave open."""
    u_rel = U_CPU_CONSTANT if any(row.old for row in rows) else U_CPU
    yield (
        'CodeCarbon does not say whether its CPU energy is that of a counter or of a model: '
        f'it may be {u_rel:g} times as much, or as little'
    )
    silent = sum(row.cpu_seconds is None for row in rows)
    if silent:
        yield f'{silent} of {len(rows)} runs tell no CPU time: it is not known, and shown as 0'
    whole = sum(row.whole for row in rows)
    if whole:
        yield (
            f'{whole} of {len(rows)} runs are of the whole machine (tracking mode "machine"): '
            'what others ran there meanwhile is in them'
        )
    countries = sorted({row.country for row in rows if row.country})
    if countries:
        yield f'by CodeCarbon it ran in {", ".join(countries)}: --grid says where it is accounted'


# Entries ---------------------------------------------------------------------------------


def _entry(source: Source, number_: int, row: Row, host: Host) -> Entry:
    """One row, whose joules are taken as its own."""
    subject, session = subject_of(source.path / row.project)
    # Nothing tells what was kept for a process: a core at least.
    kept = float(host.cores) if row.whole else 1.0
    used = min(row.cpu_seconds or 0.0, host.cores * row.seconds)
    work = Work(
        row.began,
        row.seconds,
        used,
        kept,
        subject,
        session,
        row.task or TRACKER,
        row.project or TRACKER,
    )
    return leaf(source, number_, work, host, tuple(_readings(row)))


def _readings(row: Row) -> Iterator[Reading]:
    u_cpu = U_CPU_CONSTANT if row.old else U_CPU
    kinds: dict[str, tuple[str, str, Tier, float]] = {
        'cpu': ('cpu', 'cpu', 'modelled', u_cpu),
        'dram': ('dram', 'ram', 'modelled', U_RAM),
        'gpu': ('gpu:all', 'gpu', 'measured', U_GPU),
        'rest': ('rest', 'all', 'modelled', u_cpu),
    }
    for key, kwh in row.kwh.items():
        component, what, tier, u_rel = kinds[key]
        joules = kwh * JOULES_PER_KWH
        yield Reading(component, joules, None, f'{TRACKER}:{what}', tier, 'own', u_rel)
