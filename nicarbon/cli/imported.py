"""One source read into a ledger of its own, once."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from .. import __version__
from ..claims import against
from ..entry import Entry
from ..errors import NicarbonError
from ..files import save, save_json
from ..hardware import Stated
from ..ledger import to_line
from ..readers import Reader, Source, Told, place_of
from ..share import share

__all__ = ['NAME', 'Outcome', 'folder_of', 'read_once']

NAME = 'source.json'
"""Says in ``logs/read-…`` of what the ledger beside it was made."""

READERS = 2
"""Raised when readers make something else of the same source."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source.

    Parameters
    ----------
    reader, path : str
        Of the source.
    state : str
        ``read``, ``unchanged`` or ``failed``.
    entries : int
    cpu_seconds, seconds : float
        Sums over the entries.
    joules, low, high : float
        That the entries are charged by the default policy, and the ends of the interval.
    warnings : tuple of str
    compared : str
        What another tracker charged for it, and what each policy does; empty without one.
    """

    reader: str
    path: str
    state: str
    entries: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    joules: float = 0.0
    low: float = 0.0
    high: float = 0.0
    warnings: tuple[str, ...] = ()
    compared: str = ''


def read_once(reader: Reader, source: Source, out_dir: Path, stated: Stated) -> Outcome:
    """Read a source into a folder of its own, unless that was made of the same files.

    Parameters
    ----------
    reader : Reader
    source : Source
    out_dir : pathlib.Path
    stated : Stated

    Returns
    -------
    Outcome

    Raises
    ------
    OSError
        When the ledger cannot be written.
    """
    log_dir = out_dir / 'logs' / folder_of(source)
    about = _about(source, stated)
    before = _before(log_dir / NAME)
    if before is not None and {key: before.get(key) for key in about} == about:
        return Outcome(**{**before['outcome'], 'state': 'unchanged', 'warnings': ()})
    try:
        told = reader.read(source, stated)
    except (NicarbonError, OSError) as error:
        return _failed(source, error)
    except Exception as error:  # noqa: BLE001 - whatever is in a file, the others are read
        return _failed(source, f'{type(error).__name__}: {error}')
    outcome = _outcome(source, told)
    _write(log_dir, told)
    # Last of all: what was cut off before is read again, and what may yet come to more.
    made_of = about if told.settled else {**about, 'files': []}
    save_json(log_dir / NAME, {**made_of, 'claims': told.claims, 'outcome': asdict(outcome)})
    return outcome


def folder_of(source: Source) -> str:
    """Name of a source's folder in ``logs``, the same whenever it is read."""
    return f'read-{place_of(source.reader, source.path)}'


def _about(source: Source, stated: Stated) -> dict[str, Any]:
    """Of what a ledger is made: it need not be made again if this is the same."""
    files = []
    for path in source.files:
        try:
            known = os.stat(path)
        except OSError:
            continue
        files.append([str(path), known.st_size, known.st_mtime_ns])
    return {
        'nicarbon': __version__,
        'readers': READERS,
        'reader': source.reader,
        'path': str(source.path),
        'files': files,
        'stated': asdict(stated),
    }


def _before(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text('utf-8'))
        return told if isinstance(told['outcome'], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _failed(source: Source, error: object) -> Outcome:
    line = f'{source.path} was passed over: {" ".join(str(error).split())}'
    return Outcome(source.reader, str(source.path), 'failed', warnings=(line,))


def _outcome(source: Source, told: Told) -> Outcome:
    charged = _charged(told.entries)
    return Outcome(
        source.reader,
        str(source.path),
        'read',
        len(told.entries),
        sum(entry.cpu_seconds for entry in told.entries),
        sum(entry.seconds for entry in told.entries),
        sum(joules for joules, _ in charged),
        # One machine's factor is the same for all: bounds that err together are added.
        sum(joules / u for joules, u in charged),
        sum(joules * u for joules, u in charged),
        told.warnings,
        _compared(source, told),
    )


def _compared(source: Source, told: Told) -> str:
    """Mean power of the same work on the same seconds, by the tracker's rule and by ours."""
    if not told.claims:
        return ''
    both = against(told.entries, told.claims)
    watts = both.watts
    theirs = ', '.join(f'{name} {watts[name]:.3g} W' for name in both.claims if name in watts)
    if not theirs:
        return ''
    ours = [f'{name} {watts[name]:.3g} W' for name in both.policies]
    low, high = watts['reserved'] / both.u_rel, watts['reserved'] * both.u_rel
    ours[0] += f' ({low:.3g}–{high:.3g})'
    return f'{source.path}: {theirs}; by policy {", ".join(ours)}'


def _charged(entries: Sequence[Entry]) -> list[tuple[float, float]]:
    """Joules and their factor, by entry."""
    if any(one.scope == 'host' for entry in entries for one in entry.readings):
        return [(one.joules['reserved'], one.u_rel) for one in share(entries).shares]
    # What is an entry's own is charged whole.
    return [
        (one.joules, one.u_rel)
        for entry in entries
        for one in entry.readings
        if one.joules is not None
    ]


def _write(log_dir: Path, told: Told) -> None:
    """The ledger, whole: what was read before is not in it twice."""
    run_id = log_dir.name
    lines = [to_line(entry._replace(run_id=run_id)) + '\n' for entry in told.entries]
    save(log_dir / 'ledger' / f'{run_id}-0-0.jsonl', ''.join(lines))
    for host in told.hosts:
        save_json(log_dir / 'hosts' / f'{host.name or "unknown"}.json', host._asdict())
    save(log_dir / 'config.toml', tomli_w.dumps({'versions': dict(told.versions)}))
