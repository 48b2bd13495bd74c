"""What it takes to call recon-all stage by stage instead of once, on the stand-in of the tests."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from report import Row, Table

TESTS = Path(__file__).parents[1] / 'tests'

STARTUP_SECONDS = (2.0, 9.0)
"""What a call of the real recon-all takes before its first stage: some seventy calls of its
programs for their versions, and the check of its own."""

HOURS = 8.0


def compared(folder: Path) -> Table:
    """One call, three calls, and one for each stage and hemisphere; no stage works at all."""
    sys.path.insert(0, str(TESTS))
    import freesurfer_stand_in as stand_in
    from laboratory import make_dataset

    (folder / 'bids').mkdir(parents=True)
    dataset = make_dataset(folder / 'bids')
    env = stand_in.install(folder / 'home') | stand_in.work(folder)
    subjects = folder / 'subjects'
    subjects.mkdir()
    image = next(dataset.rglob('*.nii.gz'))
    words = ('-s', 'bert', '-sd', subjects, '-i', image, '-all')
    begin = time.perf_counter()
    if stand_in.call(env, *words).returncode:
        raise RuntimeError('the stand-in failed')
    once = time.perf_counter() - begin
    table = Table(
        'FreeSurfer in stages',
        ('', 'calls', 'wall, s', 'more a call, s', f'adds to {HOURS:g} hours, %'),
        note='recon-all -all of the stand-in, whose stages do nothing, in one call; and as '
        'nicarbon calls it (one process, its own start and pages included). *adds*: that, and '
        f'the {STARTUP_SECONDS[0]:g} to {STARTUP_SECONDS[1]:g} s that each call of the real one '
        'takes before its first stage, computed; both hemispheres side by side win back more.',
    )
    table.rows.append(Row(('recon-all -all', '1', f'{once:.1f}', '–', '–')))
    for granularity in ('directive', 'stage'):
        seconds = _nicarbon(folder, dataset, granularity, env)
        calls = _calls(stand_in.truth(folder)) - 1
        _forget(folder)
        extra = seconds - once
        least, most = (
            100 * (extra + (calls - 1) * each) / 3600 / HOURS for each in STARTUP_SECONDS
        )
        cells = (
            str(calls),
            f'{seconds:.1f}',
            f'{extra / calls:.2f}',
            f'{least:.1f} to {most:.1f}',
        )
        table.rows.append(Row((f'--granularity {granularity}', *cells)))
    return table


def _nicarbon(folder: Path, dataset: Path, granularity: str, env: dict[str, str]) -> float:
    program = str(Path(sys.executable).with_name('nicarbon'))
    where = [str(dataset), str(folder / granularity), 'participant', '-w', str(folder / 'work')]
    options = ['--nprocs', '1', '--granularity', granularity]
    begin = time.perf_counter()
    done = subprocess.run(
        [program, *where, *options],
        env=env,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-500:] + done.stderr[-500:])
    return time.perf_counter() - begin


def _calls(lines: list[dict]) -> int:
    return sum(line['kind'] == 'call' for line in lines)


def _forget(folder: Path) -> None:
    """So that the next one counts its own calls, beside the first."""
    lines = (folder / 'truth.jsonl').read_text().splitlines()
    first = next(line for line in lines if '"call"' in line)
    (folder / 'truth.jsonl').write_text(first + '\n')


if __name__ == '__main__':
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        print(compared(Path(name)).markdown())
