"""A counter of joules that every tool can read, for a machine that has none.

Within a mount namespace of its own, this process covers ``/sys/class`` by a copy in
which ``powercap`` is a stand-in (``tests/powercap.py``: one package, moved by the busy
time of this host), and remembers when it moved.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))

from powercap import PACKAGE_RANGE, Powercap, busy_seconds

from nicarbon.rivals.truth import Series

CLASSES = Path('/sys/class')
ZONE = 'intel-rapl:0'
WATTS_IDLE, WATTS_BUSY = 40.0, 160.0
STEP_SECONDS = 0.005


class Counter:
    """Moves in a thread from now on."""

    def __init__(self) -> None:
        self.tree = _cover()
        self._last = time.monotonic()
        self._series = Series(self._last)
        self._busy = busy_seconds()
        threading.Thread(target=self._move, daemon=True).start()

    def between(self, begin: float, end: float) -> float:
        """Joules that the counter showed at the end less those at the beginning."""
        while (joules := self._series.between(begin, end)) is None:
            time.sleep(STEP_SECONDS)
        return joules

    def _move(self) -> None:
        slope = (WATTS_BUSY - WATTS_IDLE) / (os.cpu_count() or 1)
        while True:
            time.sleep(STEP_SECONDS)
            now, busy = time.monotonic(), busy_seconds()
            joules = WATTS_IDLE * (now - self._last) + slope * (busy - self._busy)
            self.tree.add(ZONE, joules)
            self._last, self._busy = now, busy
            self._series.add(now, joules)


def _cover() -> Powercap:
    """Mount the copy; nobody outside the namespace sees it."""
    folders = [CLASSES, *(each for each in CLASSES.iterdir() if not each.is_symlink())]
    links = {
        link: link.readlink() for each in folders for link in each.iterdir() if link.is_symlink()
    }
    subprocess.run(['mount', '-t', 'tmpfs', 'none', str(CLASSES)], check=True)
    for link, target in links.items():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
    tree = Powercap(CLASSES / 'powercap', {ZONE: ('package-0', PACKAGE_RANGE)})
    (CLASSES / 'powercap' / 'intel-rapl' / 'subsystem').symlink_to('..')
    return tree
