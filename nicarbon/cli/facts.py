"""All that an output folder knows of what was run, read from its ledgers."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from .. import ledger
from ..account import PUE, Intensity
from ..cputime import is_running
from ..entry import Entry
from ..errors import InputError
from ..grids import parse
from ..host import Host, boot_id
from ..host import read as read_host
from ..pieces import cut
from ..series import leaves
from ..share import Share, Sharing, share
from ..stage import Stage, every
from ..summary import Summary, summarise
from .earlier import versions

__all__ = ['Facts', 'over', 'people', 'read', 'summaries']

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

    @property
    def runs(self) -> tuple[Entry, ...]:
        """The runs' own entries."""
        return tuple(entry for entry in self.entries if entry.kind == 'run')

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """Packages and programs that did the work."""
        return versions(self.out_dir, {entry.run_id for entry in self.entries})

    @property
    def pipeline(self) -> tuple[Stage, ...]:
        """Stages of the pipelines of which any was run, in order."""
        seen = {entry.stage for entry in self.entries}
        known = every(_stage_versions(dict(self.versions)))
        tools = {stage.tool for stage in known if stage.key in seen}
        return tuple(stage for stage in known if stage.tool in tools)

    def by_tool(self) -> dict[str, list[Share]]:
        """What stages were charged, by the tool that they are of; empty where none is known."""
        tools = {stage.key: stage.tool for stage in self.pipeline}
        found: dict[str, list[Share]] = defaultdict(list)
        for one in self.sharing.shares:
            found[tools.get(one.entry.stage, '')].append(one)
        return dict(found)


def read(out_dir: Path) -> Facts:
    """Read all ledgers of an output folder, and split what was used.

    Parameters
    ----------
    out_dir : pathlib.Path

    Returns
    -------
    Facts

    Raises
    ------
    InputError
        When there is no ledger.
    """
    folders = ledger.folders(out_dir)
    if not folders:
        raise InputError(
            f'{out_dir} holds no ledger (logs/*/ledger): give the OUT_DIR of a participant run, of recording or of exec'
        )
    whole, warnings = ledger.read(*folders, running=_running)
    # What markers have cut into sub-stages is shown so; sums stay what they are.
    entries = [piece for entry in leaves(whole) for piece in cut(entry)]
    hosts: dict[str, Host] = {}
    for path in sorted(out_dir.glob('logs/*/hosts/*.json')):
        try:
            host = read_host(json.loads(path.read_text('utf-8')))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            warnings.append(f'{path} was passed over: {error}')
        else:
            hosts[host.name] = host
    return Facts(out_dir, tuple(entries), share(entries), tuple(hosts.values()), tuple(warnings))


def _running(entry: Entry, age_seconds: float) -> bool:
    """Whether the process of a checkpoint is at work; another host's is if it is fresh."""
    if entry.host != os.uname().nodename:
        return age_seconds < FRESH_SECONDS
    # A process does not outlive a boot, whatever its number.
    return entry.boot_id == boot_id() and is_running(entry.pid, entry.entry_id.split('-')[-2])


def over(runs: Iterable[Entry], zone: str | None) -> Intensity:
    """What a grid emitted while some runs lasted.

    Parameters
    ----------
    runs : iterable of Entry
    zone : str or None
        As after ``--grid``.

    Returns
    -------
    Intensity

    Raises
    ------
    GridError
        When no table knows the zone.
    """
    moments = sorted(datetime.fromisoformat(run.started) for run in runs)
    now = datetime.now(timezone.utc)
    first, last = (moments[0], moments[-1]) if moments else (now, now)
    return parse(zone).over(first, last)


def summaries(shares: Iterable[Share], intensity: Intensity, pue: PUE) -> Iterator[Summary]:
    """One for each session of each subject.

    Parameters
    ----------
    shares : iterable of Share
    intensity : Intensity
    pue : PUE

    Yields
    ------
    Summary
    """
    grouped: dict[tuple[str, str], list[Share]] = defaultdict(list)
    for one in shares:
        grouped[one.entry.subject, one.entry.session].append(one)
    for (subject, session), own in sorted(grouped.items()):
        yield summarise(own, intensity, pue, subject=subject, session=session)


def people(shares: Iterable[Share], intensity: Intensity, pue: PUE) -> Iterator[Summary]:
    """One for each subject, all sessions together.

    Parameters
    ----------
    shares : iterable of Share
    intensity : Intensity
    pue : PUE

    Yields
    ------
    Summary
    """
    grouped: dict[str, list[Share]] = defaultdict(list)
    for one in shares:
        if one.entry.subject:
            grouped[one.entry.subject].append(one)
    for subject, own in sorted(grouped.items()):
        yield summarise(own, intensity, pue, subject=subject)


def _stage_versions(told: Mapping[str, str]) -> dict[str, str]:
    """Versions as the stage tables have them, by tool."""
    parts = {'FreeSurfer': 1, 'FastSurfer': 2}
    return {
        name.lower(): '.'.join(told[name].split('.')[:number])
        for name, number in parts.items()
        if name in told
    }
