"""An entry in pieces: one for each of its sub-stages.

Pure functions; what the pieces hold adds up to the entry.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from .entry import Command, Entry, Part, Window
from .series import summed, utc, within

__all__ = ['cut']


def cut(entry: Entry) -> list[Entry]:
    """An entry as one for each of its sub-stages; what is in none keeps the entry's stage.

    Parameters
    ----------
    entry : Entry

    Returns
    -------
    list of Entry
        In the order in which they began. Windows and commands add up to those of the
        entry. What went on after something inside it is one entry, whose windows have a
        gap; the one that was last ended as the entry did, and where they are parts of one
        stage (``asegdkt.axial``) all of them. The entry itself if it has no parts.
    """
    if not entry.parts or not entry.windows:
        return [entry]
    pieces, before = [], entry.windows[0].start
    for part in (*sorted(entry.parts, key=_start), Part('', entry.windows[-1].stop, math.inf)):
        # Parts that overlap are somebody's slip: no joule is charged twice for it.
        start, stop = max(before, part.start), max(before, part.start + part.seconds)
        pieces += [(entry.stage, before, start), (part.name, start, stop)]
        before = stop
    cuts = [(name, within(entry, start, stop).windows) for name, start, stop in pieces]
    cuts = [(name, windows) for name, windows in cuts if windows]
    called = _by_piece(entry.commands, [windows[0].start for _, windows in cuts])
    series: dict[str, tuple[Window, ...]] = {}
    commands: dict[str, tuple[Command, ...]] = {}
    for (name, windows), own in zip(cuts, called, strict=True):
        series[name] = (*series.get(name, ()), *windows)
        commands[name] = (*commands.get(name, ()), *own)
    last = cuts[-1][0]
    # Of several stages the one in which it ended failed; of one stage, which has to begin anew,
    # all parts did.
    one_stage = any(name.startswith(f'{entry.stage}.') for name in series)
    return [
        summed(
            entry,
            windows,
            entry_id=f'{entry.entry_id}.{number}',
            stage=name,
            started=utc(entry, windows[0].start),
            parts=(),
            commands=commands[name],
            outcome=entry.outcome if one_stage or name == last else 'ran',
            error=entry.error if name == last else '',
        )
        for number, (name, windows) in enumerate(series.items())
    ]


def _start(part: Part) -> float:
    return part.start


def _by_piece(commands: Iterable[Command], starts: Sequence[float]) -> list[tuple[Command, ...]]:
    """Commands by the piece in whose time they started; none is lost before the first."""
    pieces: list[list[Command]] = [[] for _ in starts]
    for command in commands:
        pieces[max(0, bisect_right(starts, command.start) - 1)].append(command)
    return [tuple(piece) for piece in pieces]
