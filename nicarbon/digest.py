"""What ledgers come to once their joules are shared: one row a stage, beside the ledger.

Sharing a run's energy takes windows, and many of them; what it comes to are a few numbers a
stage. They are worked out once, kept in ``logs/<run_id>/shares.tsv``, and read again by
:mod:`nicarbon.cohort`, so that a dataset of any size is reported on in seconds. Grams are in
none of them: they are a view of whoever reads.

A digest is good as long as no ledger of its run has changed, nor any of a run that was on the
same machine at the same time: its key says of which it was made.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .account import combine
from .entry import Entry, Tier
from .host import Host
from .host import read as read_host
from .ledger import from_line, to_line
from .nesting import leaves
from .phases import apart
from .pieces import cut
from .series import spells
from .share import Balance, Share, Sharing, share
from .sights import Sight, merged, sight
from .split import mean

__all__ = ['COLUMNS', 'DIGEST_VERSION', 'KINDS', 'TIERS', 'Digest', 'Span', 'digests', 'key_of']
__all__ += ['distinct', 'shared', 'spans_of']

DIGEST_VERSION = 3
"""Raised whenever a column changes, or joules are shared in another way."""

KINDS = ('cpu', 'dram', 'gpu', 'rest')
"""Kinds of component that have a column."""

TIERS: tuple[Tier, ...] = ('measured', 'modelled', 'assumed')

_TEXTS: tuple[str, ...] = (
    'subject',
    'session',
    'stage',
    'node',
    'outcome',
    'started',
    'tier',
    'run_id',
    'host',
)
_TEXTS += ('boot_id', 'spells', 'error')
_NUMBERS: tuple[str, ...] = (
    'start',
    'stop',
    'duration',
    'cpu_time',
    'host_cpu_time',
    'reserved_cores',
)
_NUMBERS += ('reserved_memory', 'peak_memory', 'energy', 'u_rel', 'energy_dynamic')
_NUMBERS += ('energy_active', 'energy_exclusive', *(f'energy_{kind}' for kind in KINDS))
_NUMBERS += tuple(f'energy_{tier}' for tier in TIERS)
_NUMBERS += ('gpu_duration', 'gpu_time', 'gpu_open', 'energy_with_gpu', 'u_with_gpu')
_NUMBERS += ('energy_without_gpu', 'u_without_gpu', 'energy_idle_cores', 'u_idle_cores')

COLUMNS: dict[str, type] = dict.fromkeys(_TEXTS, str) | dict.fromkeys(_NUMBERS, float)
"""Of a row, in order. Energies are in J and times in s; ``start`` and ``stop`` are of the host's
monotonic clock, and ``spells`` says when it ran where that was not all of the time between."""

Span = tuple[str, float, float]
"""Place, and the first and last second of its monotonic clock."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What one folder of ledgers comes to.

    Parameters
    ----------
    rows : str
        Tab-separated, without a header.
    runs : tuple of Entry
        Of the kind ``run``, without their windows.
    balances : tuple of Balance
    sights : tuple of Sight
        Of its stages and runs.
    weights : dict of {str : (float, float)}
        By component the joules of its stages, and the same times their uncertainty.
    spans : tuple of Span
        When it was where.
    subjects : tuple of str
    warnings : tuple of str
        What could not be read.
    key : str
        Of what it was made, see :func:`key_of`; empty where that may still change.
    links : tuple of (str, str)
        Ids of its runs, and inside which run each was started.
    hosts : tuple of Host
        Machines that its folder describes.
    versions : mapping of {str : str}
        Packages and programs that did the work.
    """

    rows: str
    runs: tuple[Entry, ...]
    balances: tuple[Balance, ...]
    sights: tuple[Sight, ...]
    weights: dict[str, tuple[float, float]]
    spans: tuple[Span, ...]
    subjects: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    key: str = ''
    links: tuple[tuple[str, str], ...] = ()
    hosts: tuple[Host, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def text(self, version: str, files: Mapping[str, Sequence[int]]) -> str:
        """As it is kept: a line of JSON, and the rows.

        Parameters
        ----------
        version : str
            Of nicarbon.
        files : mapping of {str : sequence of int}
            Ledger files that it was made of, and how large they were.

        Returns
        -------
        str
        """
        head = {
            'v': DIGEST_VERSION,
            'nicarbon': version,
            'files': {name: list(size) for name, size in files.items()},
            'key': self.key,
            'spans': self.spans,
            'subjects': self.subjects,
            'links': self.links,
            'runs': [to_line(run) for run in self.runs],
            'balances': [asdict(balance) for balance in self.balances],
            'sights': self.sights,
            'weights': self.weights,
            'warnings': self.warnings,
            'hosts': [host._asdict() for host in self.hosts],
            'versions': dict(self.versions),
        }
        return json.dumps(head, separators=(',', ':')) + '\n' + self.rows

    @classmethod
    def read(cls, text: str) -> Digest:
        """From what :meth:`text` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it is torn or of another version.
        """
        first, _, rows = text.partition('\n')
        head = json.loads(first)
        if head['v'] != DIGEST_VERSION:
            raise ValueError(f'version {head["v"]}')
        return cls(
            rows,
            tuple(from_line(run) for run in head['runs']),
            tuple(Balance(**balance) for balance in head['balances']),
            tuple(Sight(*each) for each in head['sights']),
            {name: (joules, weighted) for name, (joules, weighted) in head['weights'].items()},
            tuple((place, start, stop) for place, start, stop in head['spans']),
            tuple(head['subjects']),
            tuple(head['warnings']),
            head['key'],
            tuple((run_id, node) for run_id, node in head['links']),
            tuple(read_host(host) for host in head['hosts']),
            head['versions'],
        )


def key_of(files: Mapping[str, Mapping[str, Sequence[int]]]) -> str:
    """The key of what digests are made of.

    Parameters
    ----------
    files : mapping of {str : mapping}
        By folder the names and sizes of its ledger files; those of all folders whose runs
        overlap on some host.

    Returns
    -------
    str

    Examples
    --------
    >>> alone = key_of({'r1': {'a.jsonl': (10,)}})
    >>> alone == key_of({'r1': {'a.jsonl': (11,)}}), len(alone)
    (False, 40)
    """
    told = json.dumps(
        {name: {file: list(size) for file, size in own.items()} for name, own in files.items()},
        sort_keys=True,
    )
    return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()


def shared(ledgers: Mapping[str, Sequence[Entry]]) -> tuple[list[Entry], Sharing]:
    """Entries of folders whose runs overlap, as they are shown, and their shares.

    Parameters
    ----------
    ledgers : mapping of {str : sequence of Entry}

    Returns
    -------
    entries : list of Entry
        Cut into the sub-stages that markers have told; sums stay what they are.
    sharing : Sharing
    """
    whole = [entry for own in ledgers.values() for entry in own]
    whole.sort(key=lambda entry: (entry.started, entry.entry_id))
    entries = [piece for entry in leaves(whole) for piece in cut(entry)]
    return entries, share(entries)


def distinct(
    ledgers: Mapping[str, Sequence[Entry]],
) -> tuple[dict[str, list[Entry]], dict[str, list[str]]]:
    """Entries that are in several folders once, in the first: somebody has copied a run.

    Parameters
    ----------
    ledgers : mapping of {str : sequence of Entry}

    Returns
    -------
    dict of {str : list of Entry}
    dict of {str : list of str}
        By folder a line on what was passed over.
    """
    seen: set[str] = set()
    kept: dict[str, list[Entry]] = {}
    warnings: dict[str, list[str]] = {}
    for name in sorted(ledgers):
        own = ledgers[name]
        kept[name] = [entry for entry in own if entry.entry_id not in seen]
        if len(kept[name]) < len(own):
            told = f'{len(own) - len(kept[name])} of its entries are in another folder too'
            warnings[name] = [f'logs/{name}: {told}, and were passed over here']
        seen.update(entry.entry_id for entry in own)
    return kept, warnings


def digests(
    ledgers: Mapping[str, Sequence[Entry]],
    sharing: Sharing,
    warnings: Mapping[str, Iterable[str]],
    key: str = '',
) -> dict[str, Digest]:
    """What folders come to whose runs overlap.

    Parameters
    ----------
    ledgers : mapping of {str : sequence of Entry}
        By folder what its ledger holds.
    sharing : Sharing
        As :func:`shared` makes it of them.
    warnings : mapping of {str : iterable of str}
        By folder what could not be read.
    key : str
        From :func:`key_of`.

    Returns
    -------
    dict of {str : Digest}
    """
    folder_of = {entry.entry_id: name for name, own in ledgers.items() for entry in own}
    shares: dict[str, list[Share]] = defaultdict(list)
    for one in sharing.shares:
        # What was cut into pieces has their number after the last dot.
        entry_id = one.entry.entry_id
        known = entry_id if entry_id in folder_of else entry_id.rpartition('.')[0]
        shares[folder_of[known]].append(one)
    places = {
        (run.run_id, run.host): name
        for name, own in ledgers.items()
        for run in own
        if run.kind == 'run'
    }
    balances: dict[str, list[Balance]] = defaultdict(list)
    for balance in sharing.balances:
        balances[places[balance.run_id, balance.host]].append(balance)
    return {
        name: _digest(own, shares[name], balances[name], tuple(warnings.get(name, ())), key)
        for name, own in ledgers.items()
    }


def _digest(
    entries: Sequence[Entry],
    shares: Sequence[Share],
    balances: Sequence[Balance],
    warnings: tuple[str, ...],
    key: str,
) -> Digest:
    runs = [entry for entry in entries if entry.kind == 'run']
    weights: dict[str, tuple[float, float]] = {}
    for one in shares:
        for name, joules in one.components.items():
            known, weighted = weights.get(name, (0.0, 0.0))
            weights[name] = known + joules, weighted + joules * one.u_rels.get(name, 1.0)
    seen = [one.entry for one in shares] + runs
    return Digest(
        ''.join(_line(_row(one)) for one in shares),
        tuple(run._replace(windows=(), parts=(), commands=()) for run in runs),
        tuple(balances),
        merged(sight(reading) for entry in seen for reading in entry.readings),
        weights,
        spans_of(entries),
        tuple(sorted({one.entry.subject for one in shares} - {''})),
        warnings,
        key,
    )


def spans_of(entries: Iterable[Entry]) -> tuple[Span, ...]:
    """When entries were where.

    Parameters
    ----------
    entries : iterable of Entry

    Returns
    -------
    tuple of Span
        One for each boot of each machine, from the first start to the last stop.
    """
    found: dict[str, tuple[float, float]] = {}
    for entry in entries:
        if entry.windows:
            start, stop = entry.windows[0].start, entry.windows[-1].stop
            before = found.get(entry.place, (start, stop))
            found[entry.place] = min(before[0], start), max(before[1], stop)
    return tuple((place, *ends) for place, ends in found.items())


def _row(one: Share) -> dict[str, Any]:
    entry = one.entry
    known = one.tier is not None or entry.outcome == 'cached'
    held = one.held
    (with_gpu, u_with), (without, u_without) = apart(one) if held else ((None,) * 2,) * 2
    times = [(spell[0].start, spell[-1].stop) for spell in spells(entry)]
    idle, u_idle = _idle_of_cores(one)
    peaks = [c.peak_memory_gb for c in entry.commands if c.peak_memory_gb is not None]
    return {
        'subject': entry.subject,
        'session': entry.session,
        'stage': entry.stage,
        'node': entry.node,
        'outcome': entry.outcome,
        'started': entry.started,
        'tier': one.tier,
        'run_id': entry.run_id,
        'host': entry.host,
        'boot_id': entry.boot_id,
        'spells': ' '.join(f'{a:.15g}:{b:.15g}' for a, b in times) if len(times) > 1 else '',
        'error': entry.error,
        'start': times[0][0] if times else None,
        'stop': times[-1][1] if times else None,
        'duration': entry.seconds,
        'cpu_time': entry.cpu_seconds,
        'host_cpu_time': entry.host_cpu_seconds,
        'reserved_cores': entry.reserved_cores,
        'reserved_memory': entry.reserved_memory_gb,
        'peak_memory': max(peaks, default=None),
        'energy': one.joules['reserved'] if known else None,
        'u_rel': one.u_rel,
        'energy_dynamic': one.joules['dynamic'] if known else None,
        'energy_active': one.joules['active'] if known else None,
        'energy_exclusive': one.joules['exclusive'] if known else None,
        'gpu_duration': held.seconds if held else None,
        'gpu_time': held.gpu_seconds if held else None,
        'gpu_open': held.open_seconds if held else None,
        'energy_with_gpu': with_gpu,
        'u_with_gpu': u_with,
        'energy_without_gpu': without,
        'u_without_gpu': u_without,
        'energy_idle_cores': idle,
        'u_idle_cores': u_idle,
        **_joules_by(one),
    }


def _idle_of_cores(one: Share) -> tuple[float | None, float | None]:
    """Idle joules that follow the cores reserved, and their uncertainty; None where not seen.

    Those of a GPU follow who holds it; those of memory the memory reserved, if any was.
    """
    by_memory = one.entry.reserved_memory_gb is not None
    idle = {
        name: joules
        for name, joules in one.idle.items()
        if name in {'cpu', 'rest'} or (name == 'dram' and not by_memory)
    }
    if not idle:
        return None, None
    # Of a counter, how much is idle is known worse than the sum; a model's factor holds for both.
    factors = {r.component: r.idle_u_rel for r in one.entry.readings if r.tier == 'measured'}
    u_rel = {name: combine(one.u_rels.get(name, 1.0), factors.get(name, 1.0)) for name in idle}
    return sum(idle.values()), mean(u_rel, idle)


def _joules_by(one: Share) -> dict[str, float | None]:
    """Joules by kind of component, and by tier; None where there is none of it."""
    found: dict[str, float | None] = {f'energy_{name}': None for name in (*KINDS, *TIERS)}
    for name, joules in one.components.items():
        kind = name.partition(':')[0]
        for column in (f'energy_{kind if kind in KINDS else "rest"}', f'energy_{one.tiers[name]}'):
            found[column] = (found[column] or 0.0) + joules
    return found


def _line(row: Mapping[str, Any]) -> str:
    return '\t'.join(_cell(row[name]) for name in COLUMNS) + '\n'


def _cell(value: str | float | None) -> str:
    if value is None:
        return ''
    # A tab or line break inside a cell would shift the table, so cells have none.
    # Monotonic clocks run for months, in microseconds.
    if isinstance(value, (float, int)):
        return f'{value:.15g}'
    # Half a character, as names of files may hold, is in no table.
    return ' '.join(value.split()).encode('utf-8', 'replace').decode()
