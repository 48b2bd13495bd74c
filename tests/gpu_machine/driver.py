"""A stand-in for an NVIDIA driver: boards that real processes hold, and that count energy.

    python tests/gpu_machine/driver.py STATE --boards 1

A process takes a board by :func:`take`. Every tick the driver looks who holds it, counts
its energy and writes a line to ``STATE/0/log``; ``pynvml.py`` beside this file tells
programs of it as NVML would. Tests only: no GPU is anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STATE_VARIABLE = 'GPU_MACHINE'
"""Where the boards are."""

IDLE_WATTS = 50.0
PERCENT_WATTS = 2.0
"""Of a board, for every percent of its multiprocessors."""

TICK_SECONDS = 0.05


@contextmanager
def take(number: int = 0) -> Iterator[Path]:
    """Hold a board; write the percent of its multiprocessors that is used into the file."""
    board = Path(os.environ[STATE_VARIABLE]) / str(number)
    mine = board / 'holders' / str(os.getpid())
    # What a program of CUDA has open; in a container this tells that it is ours.
    files = [open(f'/dev/{name}') for name in ('nvidia-uvm', f'nvidia{number}')]  # noqa: SIM115
    mine.write_text('0')
    try:
        yield mine
    finally:
        mine.unlink()
        for file in files:
            file.close()


def holders(board: Path) -> dict[int, int]:
    """Percent by process, of those that live; a process that was killed holds nothing."""
    found = {}
    for path in (board / 'holders').iterdir():
        if Path('/proc', path.name).exists():
            try:
                found[int(path.name)] = int(path.read_text() or 0)
            except FileNotFoundError:
                continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('state', type=Path)
    parser.add_argument('--boards', type=int, default=1)
    given = parser.parse_args()
    boards = [given.state / str(number) for number in range(given.boards)]
    for board in boards:
        (board / 'holders').mkdir(parents=True)
        (board / 'log').touch()
    millijoules = [0.0] * len(boards)
    last = time.time()
    (given.state / 'ready').touch()
    while True:
        time.sleep(TICK_SECONDS)
        now = time.time()
        for number, board in enumerate(boards):
            used = holders(board)
            watts = IDLE_WATTS + PERCENT_WATTS * sum(used.values())
            millijoules[number] += watts * (now - last) * 1000
            line = [now, watts, millijoules[number], {str(pid): p for pid, p in used.items()}]
            with (board / 'log').open('a') as log:
                log.write(json.dumps(line) + '\n')
        last = now


if __name__ == '__main__':
    main()
