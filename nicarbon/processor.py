"""What a processor is thought to draw, at rest and at full load.

By its family, where that is known from its numbers; else from its thermal design power
(TDP); else a guess per hardware thread. Only processors of servers are in the table of
families: those of desktops share their names and not their power.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from .kernel import text

__all__ = ['IDLE_FRACTION', 'SLOPE_FRACTION', 'cores_per_socket', 'family', 'family_of', 'field']
__all__ += ['is_paired', 'is_virtual', 'power', 'tdp_linear', 'tdp_watts']

IDLE_FRACTION = 0.12
"""Package power at rest over thermal design power (TDP)."""

SLOPE_FRACTION = 0.70
"""What full load adds, over TDP: P = TDP·(0.12 + 0.70·u). Both were fitted on
95 points of five CPUs with RAPL (bias ×0.99, geometric SD 1.54; 90 % of the
points within 0.54 to 2.42 of RAPL)."""

U_FAMILY = 2.0
"""When the family of the CPU is known: against RAPL on two machines, of Haswell and
Skylake, the model said 0.66 to 1.7 times as much (docs/methods.md)."""

U_SLICE = 2.5
"""The same in a virtual machine: what it calls a CPU may be a thread or a whole core."""

U_KNOWN_CPU = 2.0
"""When the TDP is the CPU's own."""

U_UNKNOWN_CPU = 3.0
"""The same when the CPU is in no table."""

_HYPERVISORS = (
    'alibaba cloud ecs', 'amazon ec2', 'apple virtualization', 'bhyve', 'dummy-virt',
    'google compute engine', 'kvm', 'openstack', 'parallels', 'qemu', 'virtual machine',
    'virtualbox', 'vmware', 'vserver', 'xen',
)  # fmt: skip
"""Words of firmware that is that of a virtual machine."""

WATTS_PER_THREAD = 4.0
"""TDP per hardware thread of an unknown CPU: CodeCarbon's default."""


def power(
    name: str, tdp: float | None, cores: int, *, virtual: bool, paired: bool = True
) -> dict[str, Any]:
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
    paired : bool
        Whether threads share cores (SMT, hyper-threading). The table is watts of a
        server over its threads, two to a core; where each core shows one thread only,
        that one has the power of both.

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
        idle, peak = (watts * (1 if paired else 2) for watts in _table()['watts_per_thread'][name])
        unit = 'hardware thread' if paired else 'core, hyper-threading off'
        return {
            'idle_watts': round(idle * cores, 3),
            'peak_watts': round(peak * cores, 3),
            'power_method': 'model:ccf',
            'power_source': f'{name}: {idle:g} to {peak:g} W per {unit} (Cloud Carbon Footprint)',
            'tier': 'modelled',
            'u_rel': U_SLICE if virtual else U_FAMILY,
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
    >>> family('\n'.join(lines)), family('vendor_id: ARM')
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


def family_of(cpu: str) -> str:
    """Microarchitecture of a server CPU by its model's name alone.

    Parameters
    ----------
    cpu : str
        As vendors and kernels write it.

    Returns
    -------
    str
        Empty when it is not in the table.

    Examples
    --------
    >>> family_of('Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz'), family_of('AMD EPYC 7763')
    ('Skylake', 'EPYC 3')
    >>> family_of('Intel(R) Core(TM) i7-6700')
    ''
    """
    rows = _table()['names']
    return next((str(name) for pattern, name in rows if re.search(pattern, cpu)), '')


def cores_per_socket(cpu: str) -> int | None:
    """Physical cores of one package, by its model's name.

    Parameters
    ----------
    cpu : str

    Returns
    -------
    int or None
        None when it is not in the table.

    Examples
    --------
    >>> cores_per_socket('Intel Xeon Gold 6148'), cores_per_socket('Xeon E5-2680 v4')
    (20, 14)
    """
    words = re.sub(r'\([^)]*\)', ' ', cpu).replace(' CPU', ' ').split()
    last = words.index('@') if '@' in words else len(words)
    told = ' '.join(words[:last])
    names: dict[str, int] = _table()['cores_per_socket']
    whole = [name for name in names if re.search(rf'(?<![\w-]){re.escape(name)}(?![\w+])', told)]
    return names[max(whole, key=len)] if whole else None


def is_paired(cpuinfo: str) -> bool:
    r"""Whether hardware threads share cores, as is supposed where it is not told.

    Parameters
    ----------
    cpuinfo : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_paired('siblings: 20\ncpu cores: 20'), is_paired('siblings: 40\ncpu cores: 20')
    (False, True)
    """
    siblings, cores = field(cpuinfo, 'siblings'), field(cpuinfo, 'cpu cores')
    return not siblings or siblings != cores


def is_virtual(cpuinfo: str, root: Path | str = '/') -> bool:
    """Whether a hypervisor is below.

    Parameters
    ----------
    cpuinfo : str
    root : path
        Where ``/sys`` is.

    Returns
    -------
    bool
        By the processor itself where it has flags (x86), and there only: clouds write
        their names on whole machines too. Elsewhere by what the firmware says.
    """
    flags = field(cpuinfo, 'flags')
    if flags:
        return 'hypervisor' in flags.split()
    system = Path(root) / 'sys'
    tree = system / 'firmware/devicetree/base'
    if (tree / 'hypervisor').exists() or text(system / 'hypervisor/type'):
        return True
    names = [text(system / 'class/dmi/id' / name) for name in ('sys_vendor', 'product_name')]
    names.append(text(tree / 'compatible'))
    said = ' '.join(names).lower()
    # Amazon's whole machines are m6g.metal and the like.
    return '.metal' not in said and any(name in said for name in _HYPERVISORS)


def _table() -> dict[str, Any]:
    return dict(json.loads((files(__package__) / 'data/processors.json').read_text('utf-8')))


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
