"""A machine and a walk, for readers of what others left behind."""

from __future__ import annotations

import os
from pathlib import Path

from nicarbon.entry import check
from nicarbon.host import Host
from nicarbon.readers import Folder

WATTS = {'idle_watts': 16.0, 'peak_watts': 96.0}
"""2 W for each core at rest, and 10 W more for each that is busy."""


class Hardware:
    """Whatever a machine's name is, it has eight threads."""

    def __init__(self, tier='modelled'):
        self.tier = tier
        self.asked = []

    def host(self, name, cpu='', cores=None):
        self.asked.append(name)
        return Host(
            name=name,
            cpu=cpu,
            cores=cores or 8,
            sockets=1,
            memory_gb=16.0,
            virtual=False,
            power_method='model:ccf',
            power_source='a test',
            tier=self.tier,
            u_rel=1.5,
            **WATTS,
        )


def sources(reader, root):
    """Sources of a tree, those of one path as one."""
    root, found = Path(root), {}
    for path, folders, files in os.walk(root):
        names = frozenset(folders), frozenset(files)
        for source in reader.find(Folder(Path(path), root, *names)):
            before = found.get(source.path)
            more = before.files if before else ()
            found[source.path] = source._replace(files=(*more, *source.files))
    return list(found.values())


def told(reader, root, hardware=None):
    """What the only source of a tree tells, with entries that a ledger takes."""
    [source] = sources(reader, root)
    result = reader.read(source, hardware or Hardware())
    for entry in result.entries:
        check(entry)
        whole = sum(window.cpu_seconds for window in entry.windows)
        assert abs(whole - entry.cpu_seconds) < 1e-6 * max(1.0, whole)
    assert len({entry.entry_id for entry in result.entries}) == len(result.entries)
    assert all('\n' not in line for line in result.warnings)
    return result
