"""Measure what nicarbon costs, beside CodeCarbon in the same run.

Medians of several repeats; absolute values drift with the machine, ratios hold.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

SUBJECTS = 5000


def wall(command: list[str], repeats: int = 7) -> float:
    """Median wall seconds of a command."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def python(code: str) -> list[str]:
    return [sys.executable, '-c', code]


def importing() -> list[tuple[str, float, float, str]]:
    bare = wall(python('pass'))
    ours = wall(python('import nicarbon')) - bare
    theirs = wall(python('from codecarbon import OfflineEmissionsTracker')) - bare
    command = Path(sys.executable).with_name('nicarbon')
    return [
        ('import nicarbon', ours * 1e3, 60, 'ms'),
        ('  the same, codecarbon', theirs * 1e3, float('nan'), 'ms'),
        ('nicarbon --help', wall([str(command), '--help']) * 1e3, 400, 'ms'),
    ]


def starting(folder: Path) -> list[tuple[str, float, float, str]]:
    """Select one participant of a dataset of thousands."""
    (folder / 'dataset_description.json').write_text(
        json.dumps({'Name': 'many', 'BIDSVersion': '1.10.0'})
    )
    for number in range(SUBJECTS):
        name = f'sub-{number:05d}'
        (folder / name / 'anat').mkdir(parents=True)
        (folder / name / 'anat' / f'{name}_T1w.nii.gz').touch()
        (folder / name / 'func').mkdir()
        (folder / name / 'func' / f'{name}_task-rest_bold.nii.gz').touch()
    command = [str(Path(sys.executable).with_name('nicarbon')), str(folder), f'{folder}-out']
    command += ['participant', '--participant-label', '00042', '--dry-run']
    seconds = wall(command, 3)
    return [(f'one participant of {SUBJECTS}, to its plan', seconds, 3, 's')]


def metering() -> list[tuple[str, float, float, str]]:
    """CPU of a watch around nothing, and of a look when the series of windows is full."""
    from nicarbon.host import cached
    from nicarbon.meters import find
    from nicarbon.run import RUN_WINDOW_SECONDS
    from nicarbon.series import MAX_WINDOWS
    from nicarbon.watch import WINDOW_SECONDS, Label, Watch

    with tempfile.TemporaryDirectory() as folder:
        host = cached(folder)
        meters = find(host)

        def watch() -> Watch:
            return Watch(Label(), host, meters, Path(folder), window_seconds=3600)

        def spent(action: Callable[[], object], repeats: int) -> float:
            before = time.process_time()
            for _ in range(repeats):
                action()
            return (time.process_time() - before) / repeats

        def node() -> None:
            with watch():
                pass

        with watch() as full:
            for _ in range(MAX_WINDOWS - 110):
                full.look()
            look = spent(full.look, 100)
        return [
            ('metering, CPU per node', spent(node, 200) * 1e3, 2, 'ms'),
            ('metering a node of an hour, share of a core', 100 * look / WINDOW_SECONDS, 0.1, '%'),
            ('metering a run, share of a core', 100 * look / RUN_WINDOW_SECONDS, 0.1, '%'),
        ]


def codecarbon_cost() -> list[tuple[str, float, float, str]]:
    """Start and stop of CodeCarbon's tracker, first and later, in a fresh process."""
    code = (
        'import time, logging; from codecarbon import OfflineEmissionsTracker as T\n'
        'for _ in range(2):\n'
        '    b = time.process_time()\n'
        '    t = T(country_iso_code="FRA", save_to_file=False, log_level="critical")\n'
        '    t.start(); t.stop(); print(time.process_time() - b)\n'
    )
    out = subprocess.run(python(code), check=True, capture_output=True, text=True).stdout.split()
    first, later = (float(word) * 1e3 for word in out[-2:])
    nan = float('nan')
    return [
        ('  codecarbon, CPU of the first start and stop', first, nan, 'ms'),
        ('  codecarbon, CPU of a later one', later, nan, 'ms'),
    ]


def main() -> int:
    print(
        f'nicarbon {version("nicarbon")}, codecarbon {version("codecarbon")}, Python '
        f'{sys.version.split()[0]}'
    )
    with tempfile.TemporaryDirectory() as folder:
        rows = importing() + starting(Path(folder)) + metering() + codecarbon_cost()
    for name, value, limit, unit in rows:
        bound = '' if limit != limit else f'(floor: at most {limit:g} {unit})'
        print(f'{name:<46} {value:10.3f} {unit:<3} {bound}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
