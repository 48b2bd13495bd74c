"""The table that CodeCarbon keeps: ``emissions.csv``, one row per run and host.

Columns and their order are CodeCarbon's own, as the installed version has them. As there,
energies and powers are those of the facility: multiplied by the column ``pue``. What is
not known is empty.

======================================  ===================================================
``timestamp``                           end of the last stage, UTC
``duration``                            from the first start to the last end, s
``emissions``, ``emissions_rate``       kg of CO2e; kg/s
``cpu_…``, ``gpu_…``, ``ram_energy``    kWh by component; what has no column of its own (the
                                        rest of the machine) is in ``energy_consumed`` alone
``cpu_…``, ``gpu_…``, ``ram_power``     the same over ``duration``, W
``cpu_utilization_percent``             load of the whole host, mean over the time of stages
``tracking_mode``                       ``process``: what is charged is the stages' own
``on_cloud``                            ``N``, as CodeCarbon has it where nobody told it of a
                                        cloud; its own board needs a word there
======================================  ===================================================
"""

from __future__ import annotations

import csv
import io
from dataclasses import fields

from ..quantity import JOULES_PER_KWH
from .about import About, Cell, Row, place
from .tally import Runs, Tally

__all__ = ['CodeCarbon', 'columns']

GIB_PER_GB = 1e9 / 2**30
"""CodeCarbon's ``ram_total_size`` is in units of 2³⁰ bytes (its ``B_TO_GB``)."""

_COMPONENTS = {'cpu': 'cpu', 'gpu': 'gpu', 'dram': 'ram'}


def columns() -> tuple[str, ...]:
    """Columns of ``emissions.csv``, in order, as the installed CodeCarbon writes them.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> columns()[:2]
    ('timestamp', 'project_name')
    """
    from codecarbon.output_methods.emissions_data import EmissionsData

    return tuple(each.name for each in fields(EmissionsData))


class CodeCarbon:
    """One row for each run on each host; those in which all was cached have none.

    Parameters
    ----------
    about : About
    """

    def __init__(self, about: About) -> None:
        self._about = about
        self._runs = Runs(about.hosts)

    def add(self, row: Row) -> None:
        """Take one row."""
        self._runs.add(row)

    def text(self) -> str:
        """The table as CSV."""
        names = columns()
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(names)
        for run, host, tally in self._runs:
            if tally.executed:
                cells = _run(run, host, tally, self._about)
                writer.writerow([cells.get(name) for name in names])
        return text.getvalue()


def _run(run: str, host: str, tally: Tally, about: About) -> dict[str, Cell]:
    """Cells of one run on one host, by column; those that are not known are not there."""
    grams, seconds, load = tally.sum('carbon'), tally.seconds, tally.load
    kilograms = None if grams is None else grams / 1000
    return {
        'timestamp': tally.last.strftime('%Y-%m-%dT%H:%M:%S') if tally.last else None,
        'project_name': 'nicarbon',
        'run_id': run,
        'duration': seconds,
        'emissions': kilograms,
        'emissions_rate': kilograms / seconds if kilograms is not None and seconds else None,
        **_energies(tally, about.pue.value),
        **_where(about.intensity.zone),
        **_machine(host, about),
        'tracking_mode': 'process',
        'cpu_utilization_percent': None if load is None else 100 * load,
        'on_cloud': 'N',
        'pue': about.pue.value,
    }


def _energies(tally: Tally, pue: float) -> dict[str, Cell]:
    """Of the facility, in kWh and W."""
    total, seconds = tally.sum('energy'), tally.seconds
    cells: dict[str, Cell] = {
        'energy_consumed': None if total is None else total * pue / JOULES_PER_KWH
    }
    for kind, theirs in _COMPONENTS.items():
        joules = tally.sum(f'energy_{kind}')
        if joules is not None:
            cells[f'{theirs}_energy'] = joules * pue / JOULES_PER_KWH
            cells[f'{theirs}_power'] = joules * pue / seconds if seconds else None
    return cells


def _where(zone: str) -> dict[str, Cell]:
    there = place(zone)
    if there is None:
        return {}
    # As CodeCarbon's own look-up of a place writes it.
    return {
        'country_name': there.name,
        'country_iso_code': there.alpha_3,
        'region': there.part.lower(),
    }


def _machine(name: str, about: About) -> dict[str, Cell]:
    host = about.host(name)
    system: dict[str, Cell] = {'os': 'Linux'}  # Nothing else is measured.
    if host is None:
        return system
    system |= {'cpu_count': host.cores, 'cpu_model': host.cpu}
    return (
        system
        if host.memory_gb is None
        else system | {'ram_total_size': host.memory_gb * GIB_PER_GB}
    )
