"""How reporting grows with a dataset: made-up ledgers of many subjects, and the group's page.

``python benchmarks/scale.py 1000 10000 50000`` writes ledgers as that many jobs of a cluster
leave them (recon-all's 49 stages each, on 200 hosts), and reports on them with the installed
command. *first*: nobody has shared their energy yet. *then*: the digests are there, as each
participant's own job leaves them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from report import Row, Table, floors, machine

sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))

PACES = 40
"""Different subjects; the others are like one of these."""

STAGES = 49
HOSTS = 200
WINDOW_SECONDS = 60
"""Of the made-up series: some 500 windows a subject, and as many of the run itself."""


@dataclass(frozen=True)
class Template:
    """The ledger of one subject, with words in it that stand for names."""

    lines: str
    digest_rows: str
    head: dict[str, object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('subjects', type=int, nargs='*', default=[1000, 10_000, 50_000])
    parser.add_argument('--first', type=int, default=1000, help='share at most so many anew')
    parser.add_argument('--folder', type=Path, help='where the datasets go (a temporary one)')
    parser.add_argument('--output', type=Path, help='where to write the tables (nowhere)')
    asked = parser.parse_args()
    found = []
    for table in tables(asked.subjects, asked.first, asked.folder):
        print(f'\n{table.markdown()}', flush=True)
        found.append(table)
    print(floors(found))
    if asked.output:
        head = f'# Scale\n\nMade by `benchmarks/scale.py` on this: {machine()}.\n'
        asked.output.write_text('\n'.join([head, floors(found), *(t.markdown() for t in found)]))
    return 0


def tables(subjects: list[int], first: int, folder: Path | None = None) -> Iterator[Table]:
    """What grows how, and which library reads the rows."""
    yield grown(subjects, first, folder)
    yield libraries(min(10_000, max(subjects)))


def grown(subjects: list[int], first: int, folder: Path | None = None) -> Table:
    """Time, memory and size of ``group`` by number of subjects."""
    table = Table(
        'A dataset of many subjects',
        ('subjects', 'stages', 'ledgers, GB', 'first, s', 'then, s', 'memory, GB',
         'table, MB', 'page, MB', 'page usable, s'),
        note=f'`nicarbon BIDS_DIR OUT_DIR group` over made-up ledgers, {STAGES} stages a subject, '
        f'in windows of {WINDOW_SECONDS} s. *first*: the energy of all runs has to be shared; '
        '*then*: it has been, as it is by the job of each participant, whose pages are there too. '
        '*memory*: all processes of *then* together, at their peak. *page usable*: from the start '
        'of loading in Chromium to a table that has been sorted by a click.',
    )  # fmt: skip
    templates = list(_templates())
    for count in subjects:
        with _folder(folder, count) as out:
            size = _ledgers(out, templates, count)
            cold = f'{_group(out).seconds:.0f}' if count <= first else ''
            if not cold:
                _digests(out, templates, count)
            _pages(out, count)
            warm = _group(out)
            page, rows = out / 'group_carbon.html', out / 'group_carbon.tsv'
            usable = _usable(page)
            table.rows.append(Row((
                f'{count:,}', f'{count * STAGES:,}', f'{size / 1e9:.2f}', cold or 'not run',
                f'{warm.seconds:.1f}', f'{warm.memory / 1e9:.2f}', f'{rows.stat().st_size / 1e6:.0f}',
                f'{page.stat().st_size / 1e6:.2f}', '' if usable is None else f'{usable:.1f}',
            )))  # fmt: skip
            print(table.rows[-1].cells, flush=True)
            if count == max(subjects):
                table.floor(f'group, {count:,} subjects', warm.seconds, 90, 's')
                table.floor(f'its memory, {count:,} subjects', warm.memory / 1e9, 2, 'GB')
                table.floor('its page', page.stat().st_size / 1e6, 3, 'MB')
                if usable is not None:
                    table.floor('its page, usable', usable, 3, 's')
    return table


@contextmanager
def _folder(named: Path | None, count: int) -> Iterator[Path]:
    """A folder for a dataset, removed in the end unless somebody named it."""
    path = named / f'of-{count}' if named else Path(tempfile.mkdtemp())
    path.mkdir(parents=True, exist_ok=True)
    yield path
    if not named:
        shutil.rmtree(path)


def _templates() -> Iterator[Template]:
    import report_data as data

    from nicarbon.digest import digests, shared
    from nicarbon.ledger import to_line
    from nicarbon.stage import stages

    keys = [stage.key for stage in stages('freesurfer', 7)]
    keys = [keys[round(i * (len(keys) - 1) / (STAGES - 1))] for i in range(STAGES)]
    host = data.HOST._replace(name='HOST', cores=8)
    for number in range(PACES):
        jobs, start = [], 0
        for place, key in enumerate(keys):
            seconds = round((60 + (place * 397) % 1100) * (0.8 + 0.01 * number))
            failed = number == 7 and place == STAGES - 1
            outcome = {'outcome': 'failed', 'error': 'it broke'} if failed else {}
            jobs.append(data.Job('SUBJECT', key, start, seconds, **outcome))
            start += seconds
        machine = data.Machine(jobs, host, 'RUN')
        machine.step = WINDOW_SECONDS
        entries = machine.entries()
        ledgers = {'RUN': entries}
        digest = digests(ledgers, shared(ledgers)[1], {})['RUN']
        head = json.loads(digest.text('', {}).partition('\n')[0])
        yield Template(''.join(to_line(one) + '\n' for one in entries), digest.rows, head)


def _named(text: str, number: int) -> str:
    """Words that stand for names, replaced: every run had its host to itself after a boot."""
    return (
        text.replace('SUBJECT', f'{number:06d}')
        .replace('RUN', f'run{number:06d}')
        .replace('HOST', f'node{number % HOSTS:03d}')
        .replace('boot-1', f'boot-{number}')
    )


def _ledgers(out: Path, templates: list[Template], count: int) -> int:
    size = 0
    for number in range(count):
        text = _named(templates[number % PACES].lines, number)
        folder = out / 'logs' / f'run{number:06d}' / 'ledger'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'node-{number}-77.jsonl').write_text(text)
        size += len(text)
    return size


def _digests(out: Path, templates: list[Template], count: int) -> None:
    """As :mod:`nicarbon.digest` writes them, for ledgers that differ by their names alone."""
    from nicarbon import __version__
    from nicarbon.digest import key_of

    for number in range(count):
        name, template = f'run{number:06d}', templates[number % PACES]
        folder = out / 'logs' / name
        (ledger,) = (folder / 'ledger').iterdir()
        about = ledger.stat()
        files = {ledger.name: (about.st_size, about.st_mtime_ns)}
        head = _named(json.dumps(template.head), number)
        told = json.loads(head) | {
            'nicarbon': __version__, 'files': {ledger.name: list(files[ledger.name])},
            'key': key_of({name: files}),
        }  # fmt: skip
        rows = _named(template.digest_rows, number)
        (folder / 'shares.tsv').write_text(json.dumps(told) + '\n' + rows)


def _pages(out: Path, count: int) -> None:
    """Stand for those that each participant's own job has written."""
    for number in range(count):
        (out / f'sub-{number:06d}.html').write_text('<!DOCTYPE html><title>a subject</title>')
    from nicarbon import __version__

    mark = {'nicarbon': __version__, 'grid': None, 'pue': None}
    (out / 'logs' / 'accounted.json').write_text(json.dumps(mark))


@dataclass(frozen=True)
class Spent:
    """What a command took."""

    seconds: float
    memory: float


def _group(out: Path) -> Spent:
    """Run the command; peak memory of it and its children together."""
    command = [str(Path(sys.executable).with_name('nicarbon')), str(out.parent / 'bids'), str(out)]
    begin = time.monotonic()
    with subprocess.Popen([*command, 'group'], stdout=subprocess.DEVNULL) as process:
        peak, whole = 0.0, psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _resident(whole))
            time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f'group ended with {process.returncode}')
    return Spent(time.monotonic() - begin, peak)


def _resident(process: psutil.Process) -> float:
    total = 0.0
    try:
        for each in [process, *process.children(recursive=True)]:
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return total


def _usable(page: Path) -> float | None:
    """Seconds until a click has sorted a table; None without a browser."""
    chromium = shutil.which('chromium')
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        tab = browser.new_page()
        begin = time.monotonic()
        tab.goto(page.as_uri())
        tab.locator('th[data-sort] [role=button]').first.click()
        tab.locator('th[aria-sort]').first.wait_for()
        seconds = time.monotonic() - begin
        browser.close()
    return seconds


def libraries(subjects: int) -> Table:
    """Which library reads rows and adds them up, one fresh process each."""
    table = Table(
        'Libraries for rows in columns',
        ('', 'read, s', 'sums and medians by stage, s', 'memory, MB'),
        note=f'{subjects * STAGES:,} rows of digests from one file, read by each library in a '
        'process of its own; then joules by stage and outcome, their sum and median, and by '
        'subject. *memory*: resident at the peak.',
    )
    templates = list(_templates())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'rows.tsv'
        with path.open('w') as file:
            for number in range(subjects):
                file.write(_named(templates[number % PACES].digest_rows, number))
        for name, program in PROGRAMS.items():
            done = subprocess.run(
                [sys.executable, '-c', program, str(path), *_columns()],
                check=False, capture_output=True, text=True, env=dict(os.environ),
            )  # fmt: skip
            if done.returncode:
                table.rows.append(Row((name, done.stderr.strip().splitlines()[-1], '', '')))
            else:
                read, added, memory = done.stdout.split()
                cells = f'{float(read):.1f}', f'{float(added):.2f}', f'{float(memory):.0f}'
                table.rows.append(Row((name, *cells)))
    return table


def _columns() -> list[str]:
    from nicarbon.digest import COLUMNS

    return [f'{name}:{kind.__name__}' for name, kind in COLUMNS.items()]


_HEAD = """
import sys, time, resource
path, kinds = sys.argv[1], dict(each.split(':') for each in sys.argv[2:])
"""
_TAIL = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(read - begin, time.perf_counter() - read, peak)
"""
PROGRAMS = {
    'polars': _HEAD + """
import polars as pl
begin = time.perf_counter()
schema = {n: pl.String if k == 'str' else pl.Float64 for n, k in kinds.items()}
rows = pl.read_csv(path, separator='\\t', has_header=False, schema=schema, quote_char=None)
read = time.perf_counter()
e = pl.col('energy')
rows.group_by('stage', 'outcome').agg(e.sum().alias('a'), e.median().alias('b'))
rows.group_by('subject').agg(e.sum())
""" + _TAIL,
    'pandas': _HEAD + """
import pandas as pd
begin = time.perf_counter()
types = {n: 'str' if k == 'str' else 'float64' for n, k in kinds.items()}
rows = pd.read_csv(path, sep='\\t', header=None, names=list(kinds), dtype=types, quoting=3)
read = time.perf_counter()
rows.groupby(['stage', 'outcome'])['energy'].agg(['sum', 'median'])
rows.groupby('subject')['energy'].sum()
""" + _TAIL,
    'duckdb': _HEAD + """
import duckdb
begin = time.perf_counter()
types = {n: 'VARCHAR' if k == 'str' else 'DOUBLE' for n, k in kinds.items()}
duckdb.sql("CREATE TABLE rows AS SELECT * FROM read_csv(?, delim='\\t', header=false, quote='', "
           "columns=" + str(types) + ")", params=[path])
read = time.perf_counter()
duckdb.sql('SELECT stage, outcome, sum(energy), median(energy) FROM rows GROUP BY 1, 2').fetchall()
duckdb.sql('SELECT subject, sum(energy) FROM rows GROUP BY 1').fetchall()
""" + _TAIL,
    'pyarrow': _HEAD + """
import pyarrow as pa, pyarrow.csv as csv
begin = time.perf_counter()
types = {n: pa.string() if k == 'str' else pa.float64() for n, k in kinds.items()}
rows = csv.read_csv(path, csv.ReadOptions(column_names=list(kinds)),
                    csv.ParseOptions(delimiter='\\t', quote_char=False),
                    csv.ConvertOptions(column_types=types))
read = time.perf_counter()
rows.group_by(['stage', 'outcome']).aggregate([('energy', 'sum'), ('energy', 'approximate_median')])
rows.group_by('subject').aggregate([('energy', 'sum')])
""" + _TAIL,
}  # fmt: skip


if __name__ == '__main__':
    raise SystemExit(main())
