"""Tables of stages and their JSON sidecars, as BIDS asks of tabular files.

Pure: values in, text and dictionaries out. The table holds one row per stage
run once; the sidecar describes its columns and adds totals, assumptions, the
balance of the host and where all of it came from. A second table may hold one row
per program that the stages ran.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .account import Footprint, Intensity
from .complexity import Network
from .entry import Entry
from .host import Host
from .phases import Phases, phases
from .programs import spent
from .share import Balance, Share
from .summary import Line, Summary

__all__ = ['COLUMNS', 'COMMANDS_VERSION', 'COMMAND_COLUMNS', 'SIDECAR_VERSION', 'command_rows']
__all__ += ['command_sidecar', 'row', 'sidecar', 'tsv']

SIDECAR_VERSION = 3
"""Raised whenever a column or a key changes its name or meaning."""

COMMANDS_VERSION = 1
"""The same of the table of programs."""

Cell = str | float | int | None


COLUMNS: dict[str, tuple[str, str]] = {
    'subject': ('BIDS subject label', ''),
    'session': ('BIDS session label', ''),
    'stage': ('Stage of the pipeline', ''),
    'node': ('Nipype node that ran it', ''),
    'outcome': ('ran, failed, killed, or cached (its result was there: no new energy)', ''),
    'started': ('Start, UTC', ''),
    'duration': ('Wall time', 's'),
    'cpu_time': ('CPU time of its process tree', 's'),
    'host_cpu_time': ('Busy CPU time of the whole host meanwhile', 's'),
    'reserved_cores': ('Cores that were kept for it', ''),
    'reserved_memory': ('Memory that was kept for it', 'GB'),
    'energy': ('Energy attributed to it, policy "reserved", all components', 'J'),
    'energy_low': ('Lower bound of energy at 95 %', 'J'),
    'energy_high': ('Upper bound of energy at 95 %', 'J'),
    'energy_cpu': ('Part of energy: CPU', 'J'),
    'energy_dram': ('Part of energy: memory', 'J'),
    'energy_gpu': ('Part of energy: all GPUs', 'J'),
    'energy_rest': ('Part of energy: rest of the machine', 'J'),
    'gpu_duration': ('Wall time in which it held a GPU', 's'),
    'gpu_time': (
        'The same for each GPU, added up; of those that hold one at once each has its part',
        's',
    ),
    'energy_with_gpu': ('Part of energy: all components while it held a GPU', 'J'),
    'energy_without_gpu': ('Part of energy: all components while it held none', 'J'),
    'energy_dynamic': ('Energy by the policy "dynamic"', 'J'),
    'energy_active': ('Energy by the policy "active"', 'J'),
    'energy_exclusive': ('Energy by the policy "exclusive"', 'J'),
    'tier': ('How energy was seen: measured, modelled or assumed (its weakest component)', ''),
    'carbon': ('Mass of CO2 equivalent under the assumptions of the sidecar', 'g'),
    'carbon_low': ('Lower bound of carbon at 95 %', 'g'),
    'carbon_high': ('Upper bound of carbon at 95 %', 'g'),
    'run_id': ('Run of nicarbon', ''),
    'host': ('Machine', ''),
    'error': ('Why it failed', ''),
}
"""Columns of ``*_carbon.tsv``, in order: description and units."""

COMMAND_COLUMNS: dict[str, tuple[str, str]] = {
    'stage': ('Stage of the pipeline that ran it', ''),
    'command': ('Name of the program', ''),
    'started': ('Start, UTC, as far as the stage told it', ''),
    'duration': ('Wall time', 's'),
    'user_time': ('CPU time in user mode', 's'),
    'system_time': ('CPU time in the kernel', 's'),
    'peak_memory': ('Largest resident set', 'GB'),
    'energy': ('What it has of the energy of its stage (policy "reserved", no GPUs)', 'J'),
    'node': ('Nipype node of the stage', ''),
    'run_id': ('Run of nicarbon', ''),
}
"""Columns of ``*_desc-commands_carbon.tsv``, in order: description and units."""


def row(line: Line) -> dict[str, Cell]:
    """Cells of one line, by column name.

    Parameters
    ----------
    line : Line

    Returns
    -------
    dict
        None where a value was not seen or does not apply.
    """
    entry, share, print_ = line.share.entry, line.share, line.footprint
    apart = phases([line])
    # Killed before its first window had ended: nobody knows for how long it ran.
    timed = bool(entry.windows) or entry.outcome != 'killed'
    return {
        'subject': entry.subject,
        'session': entry.session,
        'stage': entry.stage,
        'node': entry.node,
        'outcome': entry.outcome,
        'started': entry.started,
        'duration': entry.seconds if timed else None,
        'cpu_time': entry.cpu_seconds if timed else None,
        'host_cpu_time': entry.host_cpu_seconds,
        'reserved_cores': entry.reserved_cores,
        'reserved_memory': entry.reserved_memory_gb,
        'energy': print_.joules if print_ else None,
        'energy_low': print_.joules_low if print_ else None,
        'energy_high': print_.joules_high if print_ else None,
        'energy_cpu': _part(share, 'cpu'),
        'energy_dram': _part(share, 'dram'),
        'energy_gpu': _part(share, 'gpu'),
        'energy_rest': _part(share, 'rest'),
        'gpu_duration': apart.gpu.seconds if apart else None,
        'gpu_time': apart.gpu_seconds if apart else None,
        'energy_with_gpu': apart.gpu.footprint.joules if apart else None,
        'energy_without_gpu': apart.cpu.footprint.joules if apart else None,
        'energy_dynamic': share.joules['dynamic'] if print_ else None,
        'energy_active': share.joules['active'] if print_ else None,
        'energy_exclusive': share.joules['exclusive'] if print_ else None,
        'tier': share.tier,
        'carbon': print_.grams if print_ else None,
        'carbon_low': print_.low if print_ else None,
        'carbon_high': print_.high if print_ else None,
        'run_id': entry.run_id,
        'host': entry.host,
        'error': entry.error,
    }


def _part(share: Share, kind: str) -> float | None:
    """Joules of all components of a kind; None where none of them was seen."""
    seen = [j for name, j in share.components.items() if name.partition(':')[0] == kind]
    return sum(seen) if seen else None


def command_rows(line: Line) -> list[dict[str, Cell]]:
    """Cells of the programs that a stage ran, by column name.

    Parameters
    ----------
    line : Line

    Returns
    -------
    list of dict
        One per command, in order of time; None where a value was not seen.
    """
    entry = line.share.entry
    return [
        {
            'stage': entry.stage,
            'command': one.command.name,
            'started': one.started,
            'duration': one.command.seconds,
            'user_time': one.command.user_seconds,
            'system_time': one.command.system_seconds,
            'peak_memory': one.command.peak_memory_gb,
            'energy': one.joules,
            'node': entry.node,
            'run_id': entry.run_id,
        }
        for one in spent(line.share)
    ]


def tsv(table: Sequence[Mapping[str, Cell]], names: Sequence[str] | None = None) -> str:
    r"""Tab-separated text, as BIDS wants it.

    Parameters
    ----------
    table : sequence of mapping
        Rows, as :func:`row` makes them.
    names : sequence of str, optional
        Header, by default that of :data:`COLUMNS`.

    Returns
    -------
    str

    Examples
    --------
    >>> tsv([{'stage': 'n4\t', 'energy': None, 'n': 0.10}], ['stage', 'energy', 'n'])
    'stage\tenergy\tn\nn4\tn/a\t0.1\n'
    """
    text = io.StringIO()
    header = list(names or COLUMNS)
    # A tab or line break inside a cell would shift the table, so cells have none.
    writer = csv.writer(
        text, delimiter='\t', lineterminator='\n', quoting=csv.QUOTE_NONE, quotechar=None
    )
    writer.writerow(header)
    writer.writerows([_cell(row[name]) for name in header] for row in table)
    return text.getvalue()


def _cell(value: Cell) -> str:
    if value is None or value == '':
        return 'n/a'
    return f'{value:.6g}' if isinstance(value, float) else ' '.join(str(value).split())


def sidecar(
    summary: Summary,
    *,
    version: str,
    command: str,
    balances: Iterable[Balance],
    runs: Iterable[Entry],
    hosts: Iterable[Host],
    sources: Iterable[str],
    networks: Iterable[Network] = (),
) -> dict[str, Any]:
    """Content of ``*_carbon.json``.

    Parameters
    ----------
    summary : Summary
    version, command : str
        Of nicarbon.
    balances : iterable of Balance
        Where the energy of the hosts went while the runs lasted.
    runs : iterable of Entry
        The runs' own entries.
    hosts : iterable of Host
    sources : iterable of str
        BIDS URIs of the images.
    networks : iterable of Network
        Those that ran, counted; where there are none, they have no key.

    Returns
    -------
    dict
        Valid against ``nicarbon/data/carbon.schema.json``.
    """
    counted = [_camel(asdict(one)) | {'MacsPerScan': one.macs_per_scan} for one in networks]
    return (
        _described(COLUMNS)
        | ({'Networks': counted} if counted else {})
        | {
            'SchemaVersion': SIDECAR_VERSION,
            'Description': 'Energy and carbon of a pipeline, stage by stage',
            'Sources': list(sources),
            'Energy': energy(summary),
            'Footprint': footprint(summary.footprint, seen=summary.seen),
            'Lost': footprint(summary.lost, seen=summary.seen),
            'GPU': _gpu(summary.phases),
            'Outcomes': summary.outcomes,
            'Balance': [_camel(asdict(balance)) for balance in balances],
            'Hosts': [_camel(host._asdict()) for host in hosts],
            'Provenance': _provenance(version, command, runs),
        }
    )


def _provenance(version: str, command: str, runs: Iterable[Entry]) -> dict[str, Any]:
    """Who wrote it, told to do what, and the runs that it is of."""
    return {
        'GeneratedBy': [{'Name': 'nicarbon', 'Version': version}],
        'Command': command,
        'Runs': [
            {
                'RunId': run.run_id,
                'Host': run.host,
                'Started': run.started,
                'Seconds': run.seconds,
                'Outcome': run.outcome,
            }
            for run in runs
        ],
    }


def command_sidecar(version: str) -> dict[str, Any]:
    """Content of ``*_desc-commands_carbon.json``.

    Parameters
    ----------
    version : str
        Of nicarbon.

    Returns
    -------
    dict
        Valid against ``nicarbon/data/commands.schema.json``.
    """
    return _described(COMMAND_COLUMNS) | {
        'SchemaVersion': COMMANDS_VERSION,
        'Description': 'Programs that the stages ran, as the stages told. What these rows hold '
        'is in the rows of the stages already (the table without desc-commands): they never '
        'add to its totals, and may add up to less. Energy above idle follows CPU time, idle '
        'energy wall time.',
        'GeneratedBy': [{'Name': 'nicarbon', 'Version': version}],
    }


def _described(columns: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    return {
        name: {'Description': description} | ({'Units': units} if units else {})
        for name, (description, units) in columns.items()
    }


def energy(summary: Summary) -> dict[str, Any]:
    """Totals in joules, by policy, component and tier."""
    total = summary.footprint
    seen = summary.seen
    return {
        'Joules': total.joules if seen else None,
        'JoulesLow': total.joules_low if seen else None,
        'JoulesHigh': total.joules_high if seen else None,
        'Policy': total.policy,
        'JoulesByPolicy': dict(summary.policies) if seen else {},
        'JoulesByComponent': summary.components,
        'FractionByTier': dict(summary.tiers),
        'StagesNotSeen': summary.unseen,
    }


def footprint(value: Footprint, *, seen: bool) -> dict[str, Any]:
    """Grams with every assumption that they rest on; null where nothing was seen."""
    down, up = value.kwh_bounds
    return {
        'KilowattHours': value.kwh if seen else None,
        'KilowattHoursLow': down if seen else None,
        'KilowattHoursHigh': up if seen else None,
        'GramsCO2e': value.grams if seen else None,
        'GramsCO2eLow': value.low if seen else None,
        'GramsCO2eHigh': value.high if seen else None,
        'PUE': {'Value': value.pue.value, 'Origin': value.pue.origin},
        'Intensity': intensity(value.intensity),
    }


def _gpu(apart: Phases | None) -> dict[str, Any] | None:
    """What fell in the time in which a GPU was held; null where none was seen."""
    if apart is None:
        return None
    return {
        'Seconds': apart.gpu.seconds,
        'GPUSeconds': apart.gpu_seconds,
        'GPUDays': apart.gpu_days,
        'OpenSeconds': apart.open_seconds,
        'With': footprint(apart.gpu.footprint, seen=True),
        'WithoutSeconds': apart.cpu.seconds,
        'Without': footprint(apart.cpu.footprint, seen=True),
    }


def intensity(value: Intensity) -> dict[str, Any]:
    """What the grid emitted, and who says so."""
    return _camel(asdict(value))


def _camel(record: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as BIDS writes them: ``g_per_kwh`` → ``GPerKwh``."""
    return {''.join(word.capitalize() for word in key.split('_')): v for key, v in record.items()}
