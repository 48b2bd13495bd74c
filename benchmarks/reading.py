"""How long readers of what others left behind take, by the size of what they read.

``python benchmarks/reading.py [FOLDER]`` reads a made-up log of recon-all, and those in a
subject's ``scripts`` if it is given; best of 20.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from report import Row, Table, floors, machine

sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))

TIMES = 20
MB = 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('scripts', type=Path, nargs='?', help="a real subject's scripts folder")
    parser.add_argument('--output', type=Path, help='where to write the table (nowhere)')
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folders = {'made up': _made_up(Path(made))}
        if asked.scripts:
            folders['real'] = asked.scripts
        table = recon_all(folders)
    text = f'{table.markdown()}\n{floors([table])}'
    print(text)
    if asked.output:
        head = f'# Reading\n\nMade by `benchmarks/reading.py` on this: {machine()}.\n\n'
        asked.output.write_text(head + text, 'utf-8')
    return 0


def recon_all(folders: dict[str, Path]) -> Table:
    """Logs of recon-all."""
    table = Table(
        'Logs of recon-all',
        ('', 'log, MB', 'entries', 'CPU ms', 'ms per MB', 'memory, MB'),
        note='All of a subject, from its files to entries. *memory*: the most that Python took.',
    )
    from recon_all_logs import read

    for name, folder in folders.items():
        size = sum(path.stat().st_size for path in folder.glob('recon-all*.log')) / MB
        best = min(_timed(folder) for _ in range(TIMES))
        tracemalloc.start()
        entries = len(read(folder).entries)
        peak = tracemalloc.get_traced_memory()[1] / MB
        tracemalloc.stop()
        cells = f'{size:.2f}', str(entries), f'{best:.1f}', f'{best / size:.1f}', f'{peak:.1f}'
        table.rows.append(Row((name, *cells)))
        table.floor(f'a log of recon-all, {name}', best / size, 15, 'ms per MB')
    return table


def _timed(folder: Path) -> float:
    from recon_all_logs import read

    begin = time.process_time()
    read(folder)
    return 1000 * (time.process_time() - begin)


def _made_up(folder: Path) -> Path:
    """1 MB, with as many markers and programs as two whole runs have."""
    from recon_all_logs import begin, end, mark, ran, write

    text = begin()
    for number in range(160):
        clock = f'{9 + number // 60:02}:{number % 60:02}'
        text += mark(f'{("Sphere", "Surf Reg", "Smooth1")[number % 3]} lh', f'{clock}:00')
        text += 'some output of the program, line after line\n' * 130
        text += ran('mris_sphere', f'{clock}:00', 30, 29) + ran('mri_x', f'{clock}:30', 29, 28)
    return write(folder / 'bert', {'recon-all.log': text + end('11:45:00', started='09:00:00')})


if __name__ == '__main__':
    sys.exit(main())
