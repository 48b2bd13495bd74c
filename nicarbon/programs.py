"""What one stage was charged, read per program that it ran: never added to any total.

Of the energy of a stage, a program that used C of its S CPU seconds and T of its D seconds
of wall time has

    (reserved − idle) · C/S  +  idle · T/D

of every component that follows CPU time. Where programs together show more than their
stage (clocks of different grain, or programs side by side), all of them are scaled down to
it. What none of them accounts for is the rest: the shell or the Python that called them,
and GPUs, of which CPU time says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from .charge import is_gpu
from .entry import Command
from .series import utc
from .share import Share

__all__ = ['Calls', 'Spent', 'by_name', 'rest', 'spent']


class Spent(NamedTuple):
    """One command, with what it is charged of its stage's energy.

    Parameters
    ----------
    command : Command
    started : str
        UTC, ISO 8601; empty when that is not known.
    joules : float or None
        None when no meter saw what follows CPU time.
    """

    command: Command
    started: str
    joules: float | None


class Calls(NamedTuple):
    """All commands of one name within a stage.

    Parameters
    ----------
    name : str
    calls : int
    seconds, cpu_seconds : float
        Added up, also where they ran side by side.
    peak_memory_gb : float or None
        The largest.
    joules : float or None
        None when no meter saw what follows CPU time.
    """

    name: str
    calls: int
    seconds: float
    cpu_seconds: float
    peak_memory_gb: float | None
    joules: float | None


def spent(share: Share) -> list[Spent]:
    """What the commands of a stage are charged of its energy.

    Parameters
    ----------
    share : Share

    Returns
    -------
    list of Spent
        In order of time; together never more than the stage (policy ``reserved``).

    Examples
    --------
    A stage of 10 s and 8 CPU seconds ran a program for half of each.

    >>> from nicarbon.entry import Entry, Reading, Window
    >>> cpu = Reading('cpu', 120.0, 2.0, 'model:tdp-linear', 'modelled', 'host', 2.0)
    >>> entry = Entry('h-1-1-1', 'node', 'r', '01', '', 's', 'n', 'I', 'h', 'b', 1,
    ...               '2026-01-01T00:00:00+00:00', 10.0, 8.0, 10.0, 2, 1.0, None, (cpu,),
    ...               (Window(0.0, 10.0, 8.0, 10.0, (120.0,)),), 'ran',
    ...               commands=(Command('mri_convert', 2.0, 5.0, 3.0, 1.0),))
    >>> whole = Share(entry, {'reserved': 90.0}, {'cpu': 90.0}, 'modelled', 2.0,
    ...               idle={'cpu': 10.0})
    >>> one, = spent(whole)
    >>> one.started, one.joules
    ('2026-01-01T00:00:02.000+00:00', 45.0)
    """
    entry, commands = share.entry, share.entry.commands
    cpu_seconds = max(entry.cpu_seconds, sum(command.cpu_seconds for command in commands))
    seconds = max(entry.seconds, sum(command.seconds for command in commands))
    known = {name: joules for name, joules in share.components.items() if not is_gpu(name)}
    idle = sum(share.idle.get(name, 0.0) for name in known)
    dynamic = sum(known.values()) - idle
    return [
        Spent(
            command,
            utc(entry, command.start) if entry.windows else '',
            dynamic * _part(command.cpu_seconds, cpu_seconds)
            + idle * _part(command.seconds, seconds)
            if known
            else None,
        )
        for command in commands
    ]


def _part(own: float, whole: float) -> float:
    return own / whole if whole else 0.0


def by_name(commands: Iterable[Spent]) -> list[Calls]:
    """Commands of one name together, in the order in which the first of each started.

    Parameters
    ----------
    commands : iterable of Spent
        Of one stage.

    Returns
    -------
    list of Calls
    """
    groups: dict[str, list[Spent]] = defaultdict(list)
    for one in commands:
        groups[one.command.name].append(one)
    return [_calls(name, group) for name, group in groups.items()]


def _calls(name: str, group: list[Spent]) -> Calls:
    peaks = [one.command.peak_memory_gb for one in group]
    joules = [one.joules for one in group if one.joules is not None]
    return Calls(
        name,
        len(group),
        sum(one.command.seconds for one in group),
        sum(one.command.cpu_seconds for one in group),
        max((peak for peak in peaks if peak is not None), default=None),
        sum(joules) if joules else None,
    )


def rest(share: Share, commands: Iterable[Spent]) -> Calls:
    """What none of a stage's commands accounts for.

    Parameters
    ----------
    share : Share
    commands : iterable of Spent
        Those of the stage.

    Returns
    -------
    Calls
        Without a name, and called no times.
    """
    entry, called = share.entry, list(commands)
    seconds = sum(one.command.seconds for one in called)
    cpu_seconds = sum(one.command.cpu_seconds for one in called)
    joules = sum(one.joules or 0.0 for one in called)
    return Calls(
        '',
        0,
        max(0.0, entry.seconds - seconds),
        max(0.0, entry.cpu_seconds - cpu_seconds),
        None,
        max(0.0, share.joules['reserved'] - joules) if share.tier else None,
    )
