"""What ``nicarbon compare`` found: on the screen, as a table, as JSON and as a page."""

from __future__ import annotations

import json
import shlex
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .. import __version__, ledger
from ..account import account
from ..entry import Entry
from ..host import Host
from ..pieces import cut
from ..quantity import ENERGY, with_interval
from ..report.compared import Compared, Line, compared_page, lines
from ..report.context import Context
from ..report.numbers import scale
from ..report.pages import Download
from ..report.words import grid_name, pue_name
from ..rivals.race import OWN, Found, Run, Seat
from ..rivals.rows import COLUMNS, Row, Truth, rows_of, tsv, values
from ..rivals.truth import HostCounter
from ..share import share
from .assumed import Assumed
from .contexts import command
from .saving import save

__all__ = ['SCHEMA_VERSION', 'Comparison', 'write']

SCHEMA_VERSION = 1
"""Of ``compare.json``: raised whenever a column or a key changes its name or meaning."""

COUNTER, WHOLE = 'counter', 'nicarbon, whole host'

WIDTH = 100
"""Of text on a terminal, in characters."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found.

    Parameters
    ----------
    program : sequence of str
    seats : sequence of Seat
    runs : sequence of Run
        Those that count.
    counter : HostCounter
    machine : Host
    assumed : Assumed
    seed : int
    """

    program: Sequence[str]
    seats: Sequence[Seat]
    runs: Sequence[Run]
    counter: HostCounter
    machine: Host
    assumed: Assumed
    seed: int = 0


def write(told: Comparison, out_dir: Path) -> None:
    """Print the table, and write it with its sidecar and its page.

    Parameters
    ----------
    told : Comparison
    out_dir : pathlib.Path

    Raises
    ------
    OutputError, StorageError
        When something cannot be written.
    """
    rows = _rows(told)
    table, record = tsv(rows), json.dumps(_record(told, rows), indent=2) + '\n'
    save(out_dir / 'compare.tsv', table)
    save(out_dir / 'compare.json', record)
    files = {'compare.tsv': Download.of(table), 'compare.json': Download.of(record)}
    page = compared_page(_compared(told, rows), _context(), files)
    save(out_dir / 'compare.html', page)
    for line in [*_screen(told, rows), f'Table, sidecar and page: {out_dir / "compare.html"}']:
        print(line)  # noqa: T201


def _rows(told: Comparison) -> list[Row]:
    for run in told.runs:
        _add_own(told, run)
    grid = told.assumed.grid.over(*_period(told))
    counted = (reading.component.partition(':')[0] for reading in told.counter.readings)
    truth = Truth(told.counter.between, frozenset(counted))
    return rows_of(told.runs, _about(told), truth, grid, told.assumed.pue)


def _about(told: Comparison) -> dict[str, Row]:
    """What is known of everybody before anything was run."""
    readings = told.counter.readings
    counted = ', '.join(f'{reading.component} ({reading.method})' for reading in readings)
    none = "no counter of energy can be read here: 'nicarbon doctor' says why"
    policy = f'charged to CMD by the policy "reserved"; {_seen_by(told)}'
    whole = 'charged to CMD, to nicarbon itself and to nobody: what adds up to the host'
    rows = [
        Row(
            COUNTER, beside='–', why='' if readings else none,
            remark=f'energy: {counted or "none"}; CPU time: CMD and the children that were '
            'waited for, by the kernel',
        ),
        Row(OWN, scope='CMD', beside='around', remark=policy),
        Row(WHOLE, beside='around', remark=whole),
    ]  # fmt: skip
    for seat in told.seats:
        rival = seat.rival
        remark = '; '.join(filter(None, (f'reads {rival.reads}', rival.cannot)))
        where = 'inside' if rival.inside else 'beside'
        rows.append(
            Row(
                rival.name,
                scope=rival.scope,
                beside=where,
                why=seat.why,
                failed=bool(seat.why),
                remark=remark,
            )
        )
    return {row.name: row for row in rows}


def _seen_by(told: Comparison) -> str:
    methods = sorted(
        {
            f'{reading.component} by {reading.method} ({reading.tier})'
            for run in told.runs
            if run.ledger
            for entry in ledger.read(run.ledger)[0]
            for reading in entry.readings
        }
    )
    return ', '.join(methods) or 'nothing seen'


def _add_own(told: Comparison, run: Run) -> None:
    """What the counters say, and what nicarbon's own ledger does."""
    if run.end and not run.inside:
        truth = told.counter.between(run.begin, run.end)
        u_rel = max((reading.u_rel for reading in told.counter.readings), default=None)
        answer = {'joules': truth, 'cpu_seconds': run.cpu_seconds, 'u_rel': u_rel}
        run.found.insert(0, Found(COUNTER, answer=answer, begin=run.begin, end=run.end))
    if not run.ledger:
        return
    entries, _ = ledger.read(run.ledger)
    sharing = share([piece for entry in entries for piece in cut(entry)])
    found = next(each for each in run.found if each.name == OWN)
    seen = [one for one in sharing.shares if one.tier is not None]
    if seen:
        joules = sum(one.joules['reserved'] for one in seen)
        high = sum(one.joules['reserved'] * one.u_rel for one in seen)
        cpu_seconds = sum(one.entry.cpu_seconds for one in sharing.shares)
        u_rel = high / joules if joules else seen[0].u_rel
        parts = _added(one.components for one in seen)
        found.answer = _answer(told, joules, u_rel, parts) | {'cpu_seconds': cpu_seconds}
    for balance, entry in zip(sharing.balances, _recorded(entries), strict=False):
        parts = {each.component: each.joules for each in entry.readings if each.joules is not None}
        answer = _answer(told, balance.host_joules, balance.u_rel, parts)
        begin, end = entry.windows[0].start, entry.windows[-1].stop
        run.found.append(Found(WHOLE, found.version, answer, begin=begin, end=end))


def _recorded(entries: Sequence[Entry]) -> list[Entry]:
    """The run itself, as the balance has it."""
    return [entry for entry in entries if entry.kind == 'run' and entry.windows]


def _added(components: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Joules by component, of all pieces."""
    total: dict[str, float] = {}
    for each in components:
        for name, joules in each.items():
            total[name] = total.get(name, 0.0) + joules
    return total


def _answer(
    told: Comparison, joules: float, u_rel: float, parts: Mapping[str, float]
) -> dict[str, Any]:
    """Own figures, as other trackers tell theirs."""
    pue, grid = told.assumed.pue, told.assumed.grid.over(*_period(told))
    footprint = account(joules, u_rel, grid, pue)
    return {
        'joules': joules,
        'told_joules': joules * pue.value,
        'grams': footprint.grams,
        'g_per_kwh': grid.g_per_kwh,
        'pue': pue.value,
        'cpu_seconds': None,
        'u_rel': u_rel,
        'parts': dict(parts),
    }


def _period(told: Comparison) -> tuple[datetime, datetime]:
    """From the first begin to the last end of a run: monotonic clocks, told in UTC."""
    ahead = time.time() - time.monotonic()
    begins = [run.begin for run in told.runs if run.end]
    ends = [run.end for run in told.runs if run.end]
    now = time.monotonic()
    first, last = min(begins, default=now), max(ends, default=now)
    return tuple(datetime.fromtimestamp(each + ahead, timezone.utc) for each in (first, last))  # type: ignore[return-value]


def _truth(rows: Sequence[Row]) -> float | None:
    counted = next((row.it_energy for row in rows if row.name == COUNTER), None)
    return counted.mean if counted else None


def _compared(told: Comparison, rows: Sequence[Row]) -> Compared:
    return Compared(
        rows,
        shlex.join(told.program),
        _sentence(told, rows),
        _facts(told),
        told.assumed.grid.over(*_period(told)),
        told.assumed.pue,
        _truth(rows),
    )


def _sentence(told: Comparison, rows: Sequence[Row]) -> str:
    """What it comes to."""
    others = {seat.rival.name for seat in told.seats}
    seen = [row for row in rows if row.name in others and row.it_energy]
    # One unit for all, so that they compare at sight.
    unit = scale([row.it_energy.mean for row in seen if row.it_energy], ENERGY)

    def in_unit(joules: float) -> str:
        return with_interval(joules, None, None, ((unit.size, unit.unit),))

    words = f'{len(seen)} of {len(others)} other trackers told an energy of the same work'
    if len(seen) > 1:
        figures = sorted((row.it_energy.mean, row.name) for row in seen if row.it_energy)
        (least, low), (most, high) = figures[0], figures[-1]
        words += f': {in_unit(least)} ({low}) to {in_unit(most)} ({high})'
        words += f', a factor of {most / least:.2g}' if least > 0 else ''
    truth = _truth(rows)
    known = (
        f"; the host's counters: {in_unit(truth)}" if truth else '; no counter can be read here'
    )
    return f'{words}{known}.'


def _facts(told: Comparison) -> list[tuple[str, str]]:
    beside = [run for run in told.runs if not run.inside]
    inside = [run for run in told.runs if run.inside and run.end]
    seconds = [f'{run.seconds:.1f} s' for run in beside if run.end]
    facts = [
        ('CMD', shlex.join(told.program)),
        ('Runs beside trackers', f'{len(beside)} ({", ".join(seconds) or "none to the end"})'),
    ]
    facts += [(f'Run inside {run.inside}', f'{run.seconds:.1f} s') for run in inside]
    codes = sorted({str(run.code) for run in told.runs if run.code is not None})
    facts += [('Exit code', ', '.join(codes) or 'none')]
    machine = told.machine
    facts += [
        ('Machine', f'{machine.cpu}, {machine.cores} cores, {machine.installed_gb:g} GB'),
        ('Order', f'random, seed {told.seed}'),
    ]
    return facts


def _context() -> Context:
    now = datetime.now(timezone.utc).isoformat(timespec='seconds')
    return Context('nicarbon compare', __version__, command(), now)


def _record(told: Comparison, rows: Sequence[Row]) -> dict[str, Any]:
    """``compare.json``: columns, rows, assumptions, and all runs one by one."""
    grid, pue = told.assumed.grid.over(*_period(told)), told.assumed.pue
    return {
        'schema_version': SCHEMA_VERSION,
        'nicarbon': __version__,
        'columns': {
            name: {'Description': words, **({'Units': units} if units else {})}
            for name, (words, units) in COLUMNS.items()
        },
        'program': list(told.program),
        'machine': {
            'cpu': told.machine.cpu,
            'cores': told.machine.cores,
            'memory_gb': told.machine.memory_gb,
            'virtual': told.machine.virtual,
        },
        'counters': [_about_counter(reading) for reading in told.counter.readings],
        'same': {'intensity': asdict(grid), 'pue': asdict(pue)},
        'seed': told.seed,
        'rows': [values(row) | {'parts': dict(row.parts)} for row in rows],
        'runs': [_run_record(run) for run in told.runs],
    }


def _about_counter(reading: Any) -> dict[str, Any]:
    """What a counter is, without what it counted."""
    return {name: getattr(reading, name) for name in ('component', 'method', 'tier', 'u_rel')}


def _run_record(run: Run) -> dict[str, Any]:
    return {
        'inside': run.inside or None,
        'exit_code': run.code,
        'why': run.why or None,
        'seconds': run.seconds,
        'cpu_seconds': run.cpu_seconds,
        'trackers': [
            {
                'tracker': found.name,
                'why': found.why or None,
                'window': found.end - found.begin if found.end else None,
                'startup': found.startup,
                'startup_cpu_seconds': found.startup_cpu_seconds,
                'own_cpu_seconds': found.own_cpu_seconds,
                'own_cpu_seconds_meanwhile': found.meanwhile,
                'told': _plain(found.answer),
            }
            for found in run.found
        ],
    }


def _plain(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a tracker told, as JSON may hold it."""
    text = json.dumps(dict(answer), default=str)
    return dict(json.loads(text, parse_constant=lambda _: None))


def _screen(told: Comparison, rows: Sequence[Row]) -> Iterator[str]:
    """What is shown on a terminal."""
    shown = lines(rows)
    yield from textwrap.wrap(_sentence(told, rows), WIDTH)
    yield ''
    yield from _measured(shown)
    yield ''
    grid, pue = told.assumed.grid.over(*_period(told)), told.assumed.pue
    yield f'The same joules on {grid_name(grid)} ({grid.g_per_kwh:.4g} g/kWh), PUE {pue_name(pue)}'
    head = f'{"":<21}{"as each tells it":<44}{"under one grid and PUE"}'
    yield head
    yield f'{"":<21}{"CO2e":<24}{"g/kWh":>8}{"PUE":>7}     CO2e (95 %)'
    for line in shown:
        if line.name != COUNTER:
            told_ = f'{line.carbon or "–":<24}{line.intensity or "–":>8}{line.pue or "–":>7}'
            yield f'{line.name:<21}{told_}     {line.same_carbon or _blank(line)}'
    yield ''
    for line in shown:
        if line.why:
            yield from _below(f'{line.name}: {line.why}')
            if line.state == 'failed' and line.remark:
                yield from _below(f'  {line.remark}')


def _measured(shown: Sequence[Line]) -> Iterator[str]:
    yield (
        f'{"":<21}{"version":<9}{"energy (95 % or SD)":<25}{"over the":>9}'
        f'{"CPU s":>9}{"own":>8}{"start-up":>10}'
    )
    yield f'{"":<55}{"counters":>9}{"seen":>9}{"CPU s":>8}{"s":>10}'
    for line in shown:
        yield (
            f'{line.name:<21}{line.version:<9}{line.it_energy or _blank(line):<25}'
            f'{line.ratio or "–":>9}{line.cpu_time or "–":>9}{line.own_cpu_time or "–":>8}'
            f'{line.startup or "–":>10}'
        )


def _blank(line: Line) -> str:
    return 'failed' if line.state == 'failed' else 'not seen'


def _below(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent='  ')
