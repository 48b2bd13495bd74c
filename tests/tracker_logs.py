"""Logs as other trackers write them, and a machine for who reads them."""

from __future__ import annotations

import json
from pathlib import Path

from nicarbon.entry import check
from nicarbon.host import Host
from nicarbon.processor import power
from nicarbon.readers import Folder, Reader, Told
from nicarbon.share import share

REAL = Path(__file__).parents[2] / 'shared' / 'data' / 'impact-tracker'


class Machine:
    """What the user says of the machine: nothing, or a family of the table, or two powers."""

    def __init__(self, family: str = '', watts: tuple[float, float] | None = None) -> None:
        self.family, self.watts = family, watts
        self.asked: list[tuple[str, str, int | None]] = []

    def host(self, name: str, cpu: str = '', cores: int | None = None) -> Host:
        self.asked.append((name, cpu, cores))
        count = cores or 1
        host = Host(
            name, cpu, count, 1, 0.0, False, **power(self.family, None, count, virtual=False)
        )
        if self.watts:
            idle, peak = self.watts
            return host._replace(
                idle_watts=idle, peak_watts=peak, power_method='model:calibrated', u_rel=1.5
            )
        return host


def told(reader: Reader, folder: Path, machine: Machine | None = None) -> Told:
    """What the one source in a folder comes to; its entries can be kept, and are charged."""
    names = frozenset(path.name for path in folder.iterdir())
    (source,) = reader.find(Folder(folder, folder, frozenset(), names))
    found = reader.read(source, machine or Machine())
    for entry in found.entries:
        check(entry)
        assert len(entry.windows) <= 512
    shares = share(found.entries).shares
    for one in shares:
        host = sum(reading.joules or 0.0 for reading in one.entry.readings)
        # Clocks of 1970 resolve a fraction of a microsecond.
        assert 0 <= one.joules['reserved'] <= host * (1 + 1e-4)
        assert one.joules['dynamic'] <= one.joules['active'] * (1 + 1e-9)
    assert all('\n' not in line for line in found.warnings)
    assert len({entry.entry_id for entry in found.entries}) == len(found.entries)
    return found


def look(
    moment: float,
    watts: float = 83.0,
    charged: float = 58.7,
    own: float = 1.0,
    busy: float = 1.0,
    processes: dict | None = None,
    cores: int = 40,
    **more: object,
) -> str:
    """One line of experiment-impact-tracker: cores of its own and of all that were busy."""
    row = {
        'timestamp': moment,
        'rapl_power_draw_absolute': watts,
        'rapl_estimated_attributable_power_draw': charged,
        'average_relative_cpu_utilization': own / busy if busy else 0.0,
        'absolute_cpu_utilization': own,
        'cpu_freq': [{'current': 2400.0, 'min': 1000.0, 'max': 3700.0}] * cores,
        **more,
    }
    if processes is not None:
        names = ('user', 'system', 'children_user', 'children_system')
        row['cpu_time_seconds'] = {
            pid: dict(zip(names, times, strict=True)) for pid, times in processes.items()
        }
    return json.dumps(row)
