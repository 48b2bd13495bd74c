"""What tracking costs: to import, to start and stop, and while it samples."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rivals
from report import Row, Table
from rivals import NICARBON, TOOLS, RunError, Tool

SUBJECTS = 5000


def starting(ledger: Path, repeats: int) -> Table:
    """Import, first and later start and stop, memory."""
    table = Table(
        'To import, to start and to stop',
        ('', 'version', 'import, ms', 'first, ms', 'later, ms', 'memory, MB'),
        note=f'The quickest of {repeats} fresh processes: the one least disturbed. *import*: over bare Python. *first*: import, '
        'start and stop in a process that has imported Nipype, as every worker of MultiProc '
        'has; for nicarbon, what a carbon-aware node does around its work. *later*: once more '
        'in the same process (zeus: a window of the same monitor; codecarbon task: a task of '
        'the same tracker), the median within a process. *memory*: resident, added by the first. '
        'Wall time.',
    )
    bare = {pins: _wall([rivals.python(pins), '-c', 'pass'], 7) for pins in _installed()}
    for tool in TOOLS:
        try:
            imports = _wall([rivals.python(tool.pins), '-c', tool.imports], repeats + 2)
            answers = [rivals.ask(tool, ledger, do='cost', repeats=20) for _ in range(repeats)]
        except RunError as error:
            table.rows.append(Row((tool.name, rivals.version(tool), str(error), '', '', '')))
            continue
        imports = (imports - bare[tool.pins]) * 1e3
        first = min(answer['first'] for answer in answers) * 1e3
        later = min(statistics.median(each['later']) for each in answers) * 1e3
        memory = statistics.median(answer['bytes'] for answer in answers) / 1e6
        figures = (f'{imports:.0f}', f'{first:.1f}', f'{later:.2f}', f'{memory:.1f}')
        table.rows.append(Row((tool.name, rivals.version(tool), *figures)))
        if tool is NICARBON:
            table.floor('import', imports, 60, 'ms')
            table.floor('first start and stop in a worker', first, 15, 'ms')
            table.floor('later start and stop', later, 0.3, 'ms')
    return table


def sampling(ledger: Path, seconds: float) -> Table:
    """CPU time of a tracker around a child that sleeps."""
    table = Table(
        'While it samples: CPU seconds per hour',
        ('', 'default interval, s', 'at that', 'every second'),
        note=f'CPU time of a process whose child sleeps, over {seconds:g} s, scaled to an hour '
        '(all trackers watched at the same time, each in a process of its own; a process '
        'without tracker uses none). With a default interval of 15 s that is few samples.',
    )
    asked = [
        (tool, interval)
        for tool in TOOLS
        if tool.name != 'codecarbon task'
        for interval in dict.fromkeys((tool.interval, 1.0))
        if tool.interval is not None or interval is None
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        cells = dict(
            zip(asked, pool.map(lambda a: _sampling(*a, ledger, seconds), asked), strict=True)
        )
    for tool in dict.fromkeys(tool for tool, _ in asked):
        usual = 'does not sample' if tool.interval is None else f'{tool.interval:g}'
        every = cells.get((tool, 1.0))
        figures = (_figure(cells[tool, tool.interval]), '–' if every is None else _figure(every))
        table.rows.append(Row((tool.name, usual, *figures)))
    found = cells[NICARBON, NICARBON.interval]
    if isinstance(found, float):
        table.floor('sampling around a sleeping child', found, 0.5, 'CPU s/h')
    full, restless = _full_series()
    table.floor('sampling when the series of windows is full', full, 0.5, 'CPU s/h')
    table.note += (
        f' nicarbon with its series of windows full (looks and mergers over a whole cycle): '
        f'{full:.2f}; with a tree that must be looked at 20 times a second, since a process in it '
        f'ignores SIGCHLD: {restless:.1f}.'
    )
    return table


def _sampling(tool: Tool, interval: float | None, ledger: Path, seconds: float) -> float | str:
    try:
        answer = rivals.ask(tool, ledger, do='sampling', interval=interval, seconds=seconds)
    except RunError as error:
        return str(error)
    return answer['cpu_seconds_per_hour']


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f'{value:.2f}'


def _full_series() -> tuple[float, float]:
    """CPU seconds per hour of looks at a long node, and of glances at a restless tree."""
    from nicarbon.host import cached
    from nicarbon.meters import find
    from nicarbon.sampler import FIRST_GLANCE_SECONDS
    from nicarbon.series import MAX_WINDOWS
    from nicarbon.watch import WINDOW_SECONDS, Label, Watch

    def spent(action: Callable[[], object], repeats: int) -> float:
        before = time.process_time()
        for _ in range(repeats):
            action()
        return (time.process_time() - before) / repeats

    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(['/bin/sleep', '600']) as child,
    ):
        host = cached(folder)
        with Watch(
            Label(kind='run'), host, find(host), Path(folder), window_seconds=3600
        ) as watch:
            for _ in range(MAX_WINDOWS + 1):
                watch.look()
            look = spent(watch.look, MAX_WINDOWS // 2 + 1)
            glance = spent(watch.glance, 200)
        child.kill()
    return look * 3600 / WINDOW_SECONDS, glance * 3600 / FIRST_GLANCE_SECONDS


def command_line(folder: Path) -> Table:
    """nicarbon's own commands."""
    program = str(Path(sys.executable).with_name('nicarbon'))
    prefix = [program] if Path(program).exists() else [sys.executable, '-m', 'nicarbon']
    dataset = _dataset(folder / 'bids')
    plan = [*prefix, str(dataset), str(folder / 'out'), 'participant']
    rows = (
        ('`nicarbon --help`', [*prefix, '--help'], 7, 0.4),
        (
            f'one participant of {SUBJECTS}, to its plan',
            [*plan, '--participant-label', '00042', '--dry-run'],
            3,
            3.0,
        ),
    )
    table = Table('nicarbon’s command line', ('', 's'), note='Wall time; the quickest of several.')
    for name, words, repeats, most in rows:
        seconds = _wall(words, repeats)
        table.rows.append(Row((name, f'{seconds:.2f}')))
        table.floor(name, seconds, most, 's')
    return table


def _dataset(folder: Path) -> Path:
    """Thousands of participants with empty images."""
    folder.mkdir()
    description = {'Name': 'many', 'BIDSVersion': '1.10.0'}
    (folder / 'dataset_description.json').write_text(json.dumps(description))
    for number in range(SUBJECTS):
        name = f'sub-{number:05d}'
        for kind, image in (('anat', 'T1w'), ('func', 'task-rest_bold')):
            (folder / name / kind).mkdir(parents=True)
            (folder / name / kind / f'{name}_{image}.nii.gz').touch()
    return folder


def _wall(command: list[str], repeats: int) -> float:
    """Wall seconds of a command: the quickest, which was disturbed least."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        times.append(time.perf_counter() - begin)
        if done.returncode:
            raise RunError(f'fails: {(done.stderr.strip().splitlines() or ["?"])[-1][:120]}')
    return min(times)


def _installed() -> set[str | None]:
    found: set[str | None] = set()
    for pins in {tool.pins for tool in TOOLS}:
        try:
            rivals.python(pins)
        except RunError:
            continue
        found.add(pins)
    return found
