"""A stand-in for ``/sys/class/powercap`` on machines that have no counters.

It is laid out as the kernel lays it out: two sockets with core, uncore and DRAM
inside, a platform zone (psys) that overlaps all of them, and the duplicate of a
package that the mmio interface shows. The flat names are links to the nested folders.
It is no counter: its figures follow from the busy time of this host and from the watts
that it was told, and serve to test those who read counters.

    python tests/powercap.py TREE --watts-idle 40 --watts-busy 160

writes TREE and moves its counters until it is interrupted, or for ``--seconds``; then
it prints as JSON how many joules each zone was given. ``--ready FILE`` is created once
the tree can be read. Mount TREE over /sys/class/powercap, in a mount namespace, to
show it to a program that looks there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

PACKAGE_RANGE = 262_143_328_850
DRAM_RANGE = 65_712_999_613
"""Ranges in µJ as real ones are: 2³² counts of 61 µJ and of 15.3 µJ."""

PACKAGES = ('intel-rapl:0', 'intel-rapl:1')
DRAMS = ('intel-rapl:0:2', 'intel-rapl:1:2')

ZONES: Mapping[str, tuple[str, int]] = {
    'intel-rapl:0': ('package-0', PACKAGE_RANGE),
    'intel-rapl:0:0': ('core', PACKAGE_RANGE),
    'intel-rapl:0:1': ('uncore', PACKAGE_RANGE),
    'intel-rapl:0:2': ('dram', DRAM_RANGE),
    'intel-rapl:1': ('package-1', PACKAGE_RANGE),
    'intel-rapl:1:0': ('core', PACKAGE_RANGE),
    'intel-rapl:1:1': ('uncore', PACKAGE_RANGE),
    'intel-rapl:1:2': ('dram', DRAM_RANGE),
    'intel-rapl:2': ('psys', PACKAGE_RANGE),
    'intel-rapl-mmio:0': ('package-0', PACKAGE_RANGE),
}
"""Flat name of a zone: what it is called, and where its counter wraps (µJ)."""


class Powercap:
    """A tree of zones whose counters move when they are told to.

    Parameters
    ----------
    root : path
        Becomes the folder that stands for ``/sys/class/powercap``.
    zones : mapping, optional
        Flat name to (name, range in µJ).
    start : int
        Counter of all zones to begin with, in µJ.
    """

    def __init__(
        self,
        root: Path,
        zones: Mapping[str, tuple[str, int]] = ZONES,
        start: int = 123_456_789,
    ) -> None:
        self.root, self.zones = Path(root), dict(zones)
        self.joules = dict.fromkeys(self.zones, 0.0)
        self._microjoules = dict.fromkeys(self.zones, float(start))
        for zone, (name, span) in self.zones.items():
            self._make(zone, name, span)
            self.set(zone, start)

    def path(self, zone: str) -> Path:
        """The nested folder of a zone."""
        kind, *numbers = zone.split(':')
        parts = [':'.join([kind, *numbers[: n + 1]]) for n in range(len(numbers))]
        return self.root.joinpath(kind, *parts)

    def set(self, zone: str, microjoules: float) -> None:
        """Put a counter somewhere; in place, as whoever reads it keeps it open."""
        self._microjoules[zone] = microjoules
        text = f'{int(microjoules)}\n'.encode()
        handle = os.open(self.path(zone) / 'energy_uj', os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(handle, text, 0)
            os.ftruncate(handle, len(text))
        finally:
            os.close(handle)

    def add(self, zone: str, joules: float) -> None:
        """Let a counter count, and wrap where its range ends."""
        self.joules[zone] += joules
        self.set(zone, (self._microjoules[zone] + joules * 1e6) % self.zones[zone][1])

    def spend(self, packages: float, drams: float = 0.0) -> None:
        """Joules of all sockets and of all memory; each zone shows its part of them."""
        one, memory = packages / 2, drams / 2
        for package, dram in zip(PACKAGES, DRAMS, strict=True):
            for zone, joules in (
                (package, one),
                (f'{package}:0', 0.6 * one),
                (f'{package}:1', 0.1 * one),
                (dram, memory),
            ):
                if zone in self.zones:
                    self.add(zone, joules)
        for zone, joules in (('intel-rapl:2', 1.3 * packages), ('intel-rapl-mmio:0', one)):
            if zone in self.zones:
                self.add(zone, joules)

    def _make(self, zone: str, name: str, span: int) -> None:
        folder = self.path(zone)
        folder.mkdir(parents=True, exist_ok=True)
        kind = folder.relative_to(self.root).parts[0]
        (self.root / kind / 'enabled').write_text('1\n')
        (folder / 'name').write_text(f'{name}\n')
        (folder / 'max_energy_range_uj').write_text(f'{span}\n')
        (folder / 'enabled').write_text('1\n')
        (folder / 'constraint_0_name').write_text('long_term\n')
        (folder / 'constraint_0_power_limit_uw').write_text('125000000\n')
        link = self.root / zone
        if not link.is_symlink():
            link.symlink_to(folder.relative_to(self.root))


def busy_seconds() -> float:
    """CPU seconds that this host was busy since boot."""
    with open('/proc/stat') as file:
        ticks = [int(word) for word in file.readline().split()[1:8]]
    user, nice, system, _idle, _iowait, irq, softirq = ticks
    return (user + nice + system + irq + softirq) / os.sysconf('SC_CLK_TCK')


def move(tree: Powercap, arguments: argparse.Namespace) -> float:
    """Let the counters follow the load of this host; return the seconds that took."""
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: stopped.append(got))
    slope = (arguments.watts_busy - arguments.watts_idle) / (os.cpu_count() or 1)
    begin = last = time.monotonic()
    busy = busy_seconds()
    while not stopped and last - begin < arguments.seconds:
        time.sleep(arguments.every)
        now, busy_now = time.monotonic(), busy_seconds()
        packages = arguments.watts_idle * (now - last) + slope * (busy_now - busy)
        tree.spend(packages, arguments.watts_dram * (now - last))
        last, busy = now, busy_now
    return last - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('tree', type=Path)
    parser.add_argument('--watts-idle', type=float, default=40.0, help='all sockets together')
    parser.add_argument('--watts-busy', type=float, default=160.0, help='the same, all cores busy')
    parser.add_argument('--watts-dram', type=float, default=6.0)
    parser.add_argument('--every', type=float, default=0.02, help='seconds between two moves')
    parser.add_argument('--seconds', type=float, default=float('inf'))
    parser.add_argument('--ready', type=Path)
    arguments = parser.parse_args()
    tree = Powercap(arguments.tree)
    if arguments.ready:
        arguments.ready.touch()
    seconds = move(tree, arguments)
    print(json.dumps({'seconds': seconds, 'joules': tree.joules}))  # noqa: T201


if __name__ == '__main__':
    main()
