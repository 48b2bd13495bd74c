"""What a processor is thought to draw, at rest and at full load.

By its family, where that is known from its numbers; else from its thermal design power
(TDP); else a guess per hardware thread. Only processors of servers are in the table of
families: those of desktops share their names and not their power.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

__all__ = ['IDLE_FRACTION', 'SLOPE_FRACTION', 'family', 'field', 'power', 'tdp_linear']
__all__ += ['tdp_watts']

IDLE_FRACTION = 0.12
"""Package power at rest over thermal design power (TDP)."""

SLOPE_FRACTION = 0.70
"""What full load adds, over TDP: P = TDP·(0.12 + 0.70·u). Both were fitted on
95 points of five CPUs with RAPL (bias ×0.99, geometric SD 1.54; 90 % of the
points within 0.54 to 2.42 of RAPL)."""

U_FAMILY = 1.5
"""The same when the family of the CPU is known."""

U_KNOWN_CPU = 2.0
"""The same when the TDP is the CPU's own, or the family is known to a virtual machine,
which is a slice of a CPU."""

U_UNKNOWN_CPU = 3.0
"""The same when the CPU is in no table."""

WATTS_PER_THREAD = 4.0
"""TDP per hardware thread of an unknown CPU: CodeCarbon's default."""


def power(name: str, tdp: float | None, cores: int, *, virtual: bool) -> dict[str, Any]:
    """Power at rest and at full load, and how well it is known.

    Parameters
    ----------
    name : str
        Family of the CPU; empty where it is not known.
    tdp : float or None
        Of all sockets, in watts.
    cores : int
        Hardware threads.
    virtual : bool

    Returns
    -------
    dict
        Fields of a :class:`~nicarbon.host.Host`.

    Examples
    --------
    >>> known = power('', 100.0, 8, virtual=False)
    >>> known['idle_watts'], known['peak_watts'], known['u_rel']
    (12.0, 82.0, 2.0)
    """
    if name:
        idle, peak = _table()['watts_per_thread'][name]
        return {
            'idle_watts': round(idle * cores, 3),
            'peak_watts': round(peak * cores, 3),
            'power_method': 'model:ccf',
            'power_source': f'{name}: {idle:g} to {peak:g} W per hardware thread '
            '(Cloud Carbon Footprint)',
            'tier': 'modelled',
            'u_rel': U_KNOWN_CPU if virtual else U_FAMILY,
        }
    what = 'virtual machine, a slice of a CPU' if virtual else 'CPU not in the table'
    guess = f'{what}: {WATTS_PER_THREAD:g} W per hardware thread (CodeCarbon default)'
    watts = tdp or WATTS_PER_THREAD * cores
    return tdp_linear(watts) | {
        'power_source': 'CodeCarbon table of TDP' if tdp else guess,
        'tier': 'modelled' if tdp else 'assumed',
        'u_rel': U_KNOWN_CPU if tdp else U_UNKNOWN_CPU,
    }


def tdp_linear(tdp: float) -> dict[str, Any]:
    """Both powers by the linear model.

    Parameters
    ----------
    tdp : float
        Of all sockets, in watts.

    Returns
    -------
    dict
    """
    return {
        'idle_watts': round(IDLE_FRACTION * tdp, 3),
        'peak_watts': round((IDLE_FRACTION + SLOPE_FRACTION) * tdp, 3),
        'power_method': 'model:tdp-linear',
    }


def family(cpuinfo: str) -> str:
    r"""Microarchitecture of a server CPU.

    Parameters
    ----------
    cpuinfo : str
        As in ``/proc/cpuinfo``.

    Returns
    -------
    str
        Empty when it is not in the table.

    Examples
    --------
    >>> lines = 'vendor_id: GenuineIntel', 'cpu family: 6', 'model: 85', 'stepping: 4'
    >>> family('\\n'.join(lines)), family('vendor_id: ARM')
    ('Skylake', '')
    """
    name = field(cpuinfo, 'model name')
    numbers = [field(cpuinfo, key) for key in ('cpu family', 'model', 'stepping')]
    if not all(number.isdigit() for number in numbers):
        return ''
    number, model, stepping = map(int, numbers)
    for row in _table()['families']:
        first, last = row.get('steppings', (0, stepping))
        same = (row['vendor'], row['family'], row['model'])
        if same == (field(cpuinfo, 'vendor_id'), number, model) and first <= stepping <= last:
            return str(row['name']) if row.get('cpu', '') in name else ''
    return ''


def _table() -> dict[str, Any]:
    text = (files(__package__) / 'data' / 'processors.json').read_text('utf-8')
    return dict(json.loads(text))


def tdp_watts(cpu: str) -> float | None:
    """TDP of one package in watts, from CodeCarbon's table by its own matching.

    Parameters
    ----------
    cpu : str
        As the kernel names it.

    Returns
    -------
    float or None
    """
    from codecarbon.core.cpu import TDP
    from codecarbon.input import DataSource

    table = DataSource().get_cpu_power_data()
    # The constructor detects the CPU anew and falls back to a guess without
    # saying so; the matching alone is wanted, and it keeps no state.
    matcher = object.__new__(TDP)
    name = matcher._get_matching_cpu(cpu, table)
    return float(table.loc[table['Name'] == name, 'TDP'].iloc[0]) if name else None


def field(cpuinfo: str, name: str) -> str:
    """The first value of a key of ``/proc/cpuinfo``.

    Parameters
    ----------
    cpuinfo : str
    name : str

    Returns
    -------
    str
        Empty when it is not there.
    """
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(':')
        if key.strip() == name:
            return value.strip()
    return ''
