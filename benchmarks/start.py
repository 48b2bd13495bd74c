"""How starting one participant grows with its dataset, beside indexes of the whole.

``python benchmarks/start.py 1000 10000 50000`` makes datasets of that many subjects, and
measures, each in a process of its own: how long nicarbon takes to find one of them and to
begin its first node; ``BIDSLayout`` over all; ``bids2table`` over all, where its Python is
named (``--bids2table PYTHON``, an environment in which it is installed).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from report import Row, Table, floors, machine

sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))

FIND = 'import sys; from pathlib import Path; from nicarbon import bids\n'
FIND += 'bids.sessions(Path(sys.argv[1]), {sys.argv[2]})'
LAYOUT = 'import sys; from bids import BIDSLayout, BIDSLayoutIndexer\n'
LAYOUT += 'i = BIDSLayoutIndexer(validate=False, index_metadata=False)\n'
LAYOUT += 'l = BIDSLayout(sys.argv[1], validate=False, indexer=i)\n'
LAYOUT += 'print(len(l.get(suffix="T1w", extension=".nii.gz")))'
TABLE = 'import sys, bids2table as b\n'
TABLE += 't = b.index_dataset(sys.argv[1])\n'
TABLE += 'print(sum(1 for s, e in zip(t["suffix"].to_pylist(), t["ext"].to_pylist()) '
TABLE += 'if s == "T1w" and e == ".nii.gz"))'

STARTS = 7
"""The quickest of so many: what else runs on a machine only adds. Sizes take turns."""


class Cost(NamedTuple):
    """Wall seconds and the largest resident set of a process, in MB."""

    seconds: float
    memory: float
    said: str = ''


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('subjects', type=int, nargs='*', default=[1000, 10_000, 50_000])
    parser.add_argument('--bids2table', metavar='PYTHON', help='where bids2table is installed')
    parser.add_argument('--output', type=Path, help='where to write the table (nowhere)')
    asked = parser.parse_args()
    table = started(asked.subjects, asked.bids2table)
    print(f'\n{table.markdown()}\n{floors([table])}')
    if asked.output:
        head = f'# Start\n\nMade by `benchmarks/start.py` on this: {machine()}.\n'
        asked.output.write_text('\n'.join([head, floors([table]), table.markdown()]))
    return 0


def started(subjects: Sequence[int], bids2table: str | None) -> Table:
    """Time and memory by number of subjects."""
    table = Table(
        'To the first node of one participant',
        ('subjects', 'first node, s', 'median, s', 'memory, MB', 'found, s', 'memory, MB',
         'BIDSLayout, s', 'memory, MB', 'bids2table, s', 'memory, MB'),
        note='*first node*: from the start of `nicarbon BIDS_DIR OUT_DIR participant '
        f'--participant-label` to that of its first node, the quickest of {STARTS} and their median; *found*: a '
        'Python that imports nicarbon and pybids and finds the T1w image of one subject; '
        '`BIDSLayout` (without metadata) and `bids2table`: a Python that indexes all of the '
        'dataset, of which each subject has a T1w image and its JSON file, once.',
    )  # fmt: skip
    starts: dict[int, list[Cost]] = {count: [] for count in subjects}
    with tempfile.TemporaryDirectory() as folder:
        roots = {count: dataset(Path(folder) / f'bids-{count}', count) for count in subjects}
        for number in range(STARTS):
            for count, root in roots.items():
                out = Path(folder) / f'{count}-{number}'
                starts[count].append(first_node(root, f'{count // 2:06d}', out))
        first = {count: min(costs) for count, costs in starts.items()}
        for count, root in roots.items():
            find = [sys.executable, '-c', FIND, root, f'{count // 2:06d}']
            found = min(call(find) for _ in range(STARTS))
            layout = call([sys.executable, '-c', LAYOUT, root])
            tabled = call([bids2table, '-c', TABLE, root]) if bids2table else None
            for one in (layout, tabled):
                assert one is None or int(one.said) == count, one
            usual = f'{median(cost.seconds for cost in starts[count]):.2f}'
            quickest, memory = _cells(first[count])
            others = [cell for one in (found, layout, tabled) for cell in _cells(one)]
            table.rows.append(Row((f'{count:,}', quickest, usual, memory, *others)))
            print(table.rows[-1].cells, flush=True)
    table.floor(f'first node, {max(subjects):,} subjects', first[max(subjects)].seconds, 3, 's')
    if len(subjects) > 1:
        name = f'its growth from {subjects[0]:,} to {subjects[-1]:,} subjects'
        grown = first[subjects[-1]].seconds - first[subjects[0]].seconds
        table.floor(name, grown, 0.5, 's')
    return table


def _cells(cost: Cost | None) -> tuple[str, str]:
    return ('not run', '') if cost is None else (f'{cost.seconds:.2f}', f'{cost.memory:.0f}')


def dataset(root: Path, count: int) -> Path:
    """A dataset of many subjects; one of them has an image."""
    from laboratory import add_image, make_dataset

    root.mkdir(parents=True)
    make_dataset(root, ())
    for number in range(1, count + 1):
        folder = f'{root}/sub-{number:06d}/anat'
        os.makedirs(folder)
        for ending in ('nii.gz', 'json'):
            Path(f'{folder}/sub-{number:06d}_T1w.{ending}').write_text('')
    label = f'{count // 2:06d}'
    add_image(root / f'sub-{label}/anat/sub-{label}_T1w.nii.gz')
    (root / f'sub-{label}/anat/sub-{label}_T1w.json').write_text('{}')
    return root


def first_node(root: Path, label: str, folder: Path) -> Cost:
    """Through the installed command, with the stand-in for FreeSurfer."""
    import freesurfer_stand_in as stand_in

    from nicarbon import ledger

    env = {**stand_in.install(folder / 'home'), **stand_in.work(folder)}
    program, out = str(Path(sys.executable).with_name('nicarbon')), folder / 'out'
    words = [program, root, out, 'participant', '--participant-label', label, '-w',
             folder / 'work', '--pipeline', 'freesurfer', '--stages', 'input']  # fmt: skip
    begin = time.time()
    whole = call(words, env)
    entries, _ = ledger.read(*ledger.folders(out))
    node = min(datetime.fromisoformat(e.started) for e in entries if e.kind == 'node')
    return whole._replace(seconds=node.timestamp() - begin)


def call(words: Sequence[object], env: Mapping[str, str] | None = None) -> Cost:
    """Run a program to its end."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([str(word) for word in words], env=env, stdout=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode()
    assert process.returncode == 0, text
    return Cost(time.monotonic() - begin, usage.ru_maxrss / 1024, text)


if __name__ == '__main__':
    raise SystemExit(main())
