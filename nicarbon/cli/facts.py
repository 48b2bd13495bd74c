"""All that an output folder knows of what was run, read from its ledgers."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import ledger
from ..cputime import is_running
from ..digest import distinct, shared
from ..entry import Entry
from ..host import Host, boot_id
from ..host import read as read_host
from ..share import Share, Sharing
from ..stage import TOOLS, Stage, every, with_parts
from ..stage import stages as table
from ..stage import versions as table_versions
from .earlier import versions

__all__ = ['Facts', 'by_session', 'hosts_of', 'is_at_work', 'known_pipeline', 'read']

FRESH_SECONDS = 120.0
"""A checkpoint is replaced every few seconds; one of another host that is older
than this belongs to a process that is gone."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that an output folder knows of what was run."""

    out_dir: Path
    entries: tuple[Entry, ...]
    sharing: Sharing
    hosts: tuple[Host, ...]
    warnings: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Entry, ...]:
        """The runs' own entries."""
        return tuple(entry for entry in self.entries if entry.kind == 'run')

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """Packages and programs that did the work."""
        return versions(self.out_dir, self.folders)

    @property
    def pipeline(self) -> tuple[Stage, ...]:
        """Stages of the pipelines of which any was run, in order."""
        return known_pipeline({entry.stage for entry in self.entries}, dict(self.versions))

    def by_tool(self) -> dict[str, list[Share]]:
        """What stages were charged, by the tool that they are of; empty where none is known."""
        tools = {stage.key: stage.tool for stage in self.pipeline}
        found: dict[str, list[Share]] = defaultdict(list)
        for one in self.sharing.shares:
            found[tools.get(one.entry.stage, '')].append(one)
        return dict(found)


def read(out_dir: Path, names: Iterable[str]) -> Facts:
    """Read the ledgers of runs, and split what was used.

    Parameters
    ----------
    out_dir : pathlib.Path
    names : iterable of str
        Of their folders: all that were on one machine at the same time.

    Returns
    -------
    Facts
    """
    ledgers: dict[str, list[Entry]] = {}
    hosts: dict[str, Host] = {}
    warnings: list[str] = []
    for name in sorted(names):
        log_dir = out_dir / 'logs' / name
        ledgers[name], unread = ledger.read(log_dir / 'ledger', running=is_at_work)
        found, passed_over = hosts_of(log_dir)
        hosts |= {host.name: host for host in found}
        warnings += [*unread, *passed_over]
    ledgers, twice = distinct(ledgers)
    warnings += [line for own in twice.values() for line in own]
    entries, sharing = shared(ledgers)
    told = tuple(entries), sharing, tuple(hosts.values()), tuple(warnings)
    return Facts(out_dir, *told, tuple(sorted(ledgers)))


def hosts_of(log_dir: Path) -> tuple[tuple[Host, ...], tuple[str, ...]]:
    """Machines that a run has described, and a line for each that cannot be read.

    Parameters
    ----------
    log_dir : pathlib.Path

    Returns
    -------
    tuple of Host
    tuple of str
    """
    hosts, warnings = [], []
    for path in sorted(log_dir.glob('hosts/*.json')):
        try:
            hosts.append(read_host(json.loads(path.read_text('utf-8'))))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            warnings.append(f'{path} was passed over: {error}')
    return tuple(hosts), tuple(warnings)


def is_at_work(entry: Entry, age_seconds: float) -> bool:
    """Whether the process of a checkpoint is at work; another host's is if it is fresh.

    Parameters
    ----------
    entry : Entry
    age_seconds : float

    Returns
    -------
    bool
    """
    if entry.host != os.uname().nodename:
        return age_seconds < FRESH_SECONDS
    # A process does not outlive a boot, whatever its number.
    return entry.boot_id == boot_id() and is_running(entry.pid, entry.entry_id.split('-')[-2])


def by_session(shares: Iterable[Share]) -> dict[tuple[str, str], list[Share]]:
    """Shares of each session of each subject, in order of label.

    Parameters
    ----------
    shares : iterable of Share

    Returns
    -------
    dict of {(str, str) : list of Share}
    """
    grouped: dict[tuple[str, str], list[Share]] = defaultdict(list)
    for one in shares:
        grouped[one.entry.subject, one.entry.session].append(one)
    return dict(sorted(grouped.items()))


def known_pipeline(stages: Collection[str], told: Mapping[str, str]) -> tuple[Stage, ...]:
    """Stages of the pipelines of which any was run, in order.

    Parameters
    ----------
    stages : collection of str
        Those that were run.
    told : mapping of {str : str}
        Versions of the programs that ran them.

    Returns
    -------
    tuple of Stage
    """
    every_one = list(every(_stage_versions(told)))
    # A dataset may hold what several versions of a tool did.
    strange = set(stages) - {stage.key for stage in every_one}
    if strange:
        for tool in TOOLS:
            for version in reversed(table_versions(tool)):
                _add_others(every_one, with_parts(table(tool, version)), strange)
    tools = {stage.tool for stage in every_one if stage.key in stages}
    return tuple(stage for stage in every_one if stage.tool in tools)


def _add_others(known: list[Stage], other: Iterable[Stage], wanted: set[str]) -> None:
    """Put stages of another version where they are in it, after those that both have."""
    at = {stage.key: number for number, stage in enumerate(known)}
    after = -1
    for stage in other:
        if stage.key in at:
            after = at[stage.key]
        elif stage.key in wanted:
            wanted.discard(stage.key)
            after = after + 1 if after >= 0 else len(known)
            known.insert(after, stage)
            at = {one.key: number for number, one in enumerate(known)}


def _stage_versions(told: Mapping[str, str]) -> dict[str, str]:
    """Versions as the stage tables have them, by tool."""
    parts = {'FreeSurfer': 1, 'FastSurfer': 2}
    return {
        name.lower(): '.'.join(told[name].split('.')[:number])
        for name, number in parts.items()
        if name in told
    }
