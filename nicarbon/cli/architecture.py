"""Networks of the sessions of a ledger, with what their stages used."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from ..account import PUE
from ..complexity import macs_per_scan, parameters
from ..grids.table import World
from ..report.networks import last_runs
from ..scenario import Architecture
from ..summary import Summary, summarise
from .counted import counted_in, of_stages
from .facts import by_session, read
from .gather import Survey

__all__ = ['of_runs', 'of_sessions']


MOST_RUNS = 20
"""Runs whose ledgers are read for their networks: the newest of those that have counted some."""


def of_runs(found: Survey, tool: str, wanted: Collection[tuple[str, str]]) -> Architecture | None:
    """The same of the sessions of an output folder, of which the newest runs are read.

    Parameters
    ----------
    found : Survey
    tool : str
        Whose stages count.
    wanted : collection of (str, str)
        Subjects and sessions that a cost is the median of.

    Returns
    -------
    Architecture or None
        None where none ran, or none was counted.
    """
    names = [name for name in sorted(found.about) if counted_in(found.out_dir / 'logs' / name)]
    kept = set(names[-MOST_RUNS:])
    facts = read(found.out_dir, {n for each in found.clusters if kept & set(each) for n in each})
    world, pue = World().whole(), PUE(1.0, 'unset')  # Of joules alone.
    sessions = [
        summarise(own, world, pue, subject=key[0], session=key[1])
        for key, own in by_session(facts.by_tool().get(tool, ())).items()
        if key in wanted
    ]
    return of_sessions(found.out_dir, sessions)


def of_sessions(out_dir: Path, sessions: Iterable[Summary]) -> Architecture | None:
    """Networks of the session that took the median energy for a GMAC.

    Parameters
    ----------
    out_dir : pathlib.Path
    sessions : iterable of Summary
        Those that a cost is the median of.

    Returns
    -------
    Architecture or None
        None where none ran, or none was counted.
    """
    found = [one for each in sessions if (one := _of(out_dir, each)) is not None]
    found.sort(key=lambda one: one.joules_per_gmac or 0.0)
    return found[len(found) // 2] if found else None


def _of(out_dir: Path, session: Summary) -> Architecture | None:
    counted = of_stages(out_dir, session)
    if not counted:
        return None
    ran = last_runs(session)
    stages = dict.fromkeys(one.stage for one in counted)
    shares = [line.share for stage in stages for line in ran.get(stage, ())]
    joules = [share.joules['reserved'] for share in shares if share.tier is not None]
    high = sum(
        share.joules['reserved'] * share.u_rel for share in shares if share.tier is not None
    )
    # Where a part was not seen, the sum over the others is no number of the whole.
    known = bool(joules) and len(joules) == len(shares) and sum(joules) > 0
    return Architecture(
        ', '.join(dict.fromkeys(one.network for one in counted)),
        parameters(counted),
        macs_per_scan(counted),
        'scan',
        ', '.join(
            dict.fromkeys(f'{one.counted_by}, PyTorch {one.torch_version}' for one in counted)
        ),
        sum(joules) if known else None,
        high / sum(joules) if known else 1.0,
    )
