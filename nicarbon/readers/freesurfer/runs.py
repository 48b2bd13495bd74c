"""Stages that calls of recon-all ran: turns put together, and what each used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ...entry import Outcome
from .calls import Call, Turn
from .lines import Ran

__all__ = ['ASLEEP_SECONDS', 'Piece', 'Run', 'runs']

LONGEST_SECONDS = 60 * 86400.0
"""No stage runs for longer: a clock was set between its marker and the next one (judgement)."""

FEWEST_WIPED = 3
"""So many stages are not run within a second (judgement)."""

ASLEEP_SECONDS = 600.0
"""A program that did nothing for less than that may have waited for a disk or a core."""

SWITCHES_PER_SECOND = 20.0
"""Of CPU time. A kernel that has others to run takes the core away every few milliseconds: a
program that lost it less often, and ran for less than half of its time, was not kept waiting by
them (judgement; 5 to 12 in a run of 7.4.1 on a desktop machine)."""

WAITS_PER_SECOND = 0.1
"""Of the time that it did nothing: who waits for a disk wakes up more often (judgement)."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a run without a break.

    Parameters
    ----------
    start : float
        Seconds since 1970, UTC.
    wall : float
        Seconds until the next stage began.
    ran : tuple of Ran
        Programs that told what they used.
    asleep : float
        Seconds of ``wall`` in which a program that told so did nothing.
    """

    start: float
    wall: float
    ran: tuple[Ran, ...]
    asleep: float

    @property
    def seconds(self) -> float:
        """Wall time without that."""
        return max(0.0, self.wall - self.asleep)

    @property
    def cpu_seconds(self) -> float:
        """CPU time that was told."""
        return sum(ran.cpu_seconds for ran in self.ran)

    @property
    def untold(self) -> float:
        """Seconds in which no program ran that told what it used."""
        told = sum(min(ran.seconds or ran.cpu_seconds, self.wall) for ran in self.ran)
        return max(0.0, self.wall - max(told, self.asleep))


@dataclass(slots=True)
class Run:
    """One stage that a call ran.

    Parameters
    ----------
    key : str
        Of the stage.
    pieces : list of Piece
    cores : float
        That it had for itself.
    outcome : {'ran', 'failed', 'killed'}
    error : str
    open : bool
        Whether the log ends within it.
    lost : bool
        Whether its log does not tell how long it ran.
    """

    key: str
    pieces: list[Piece] = field(default_factory=list)
    cores: float = 1.0
    outcome: Outcome = 'ran'
    error: str = ''
    open: bool = False
    lost: bool = False

    @property
    def seconds(self) -> float:
        """Wall time, without what was slept."""
        return sum(piece.seconds for piece in self.pieces)

    @property
    def asleep(self) -> float:
        """Seconds in which the machine slept, or did nothing for the stage."""
        return sum(piece.asleep for piece in self.pieces)

    @property
    def cpu_seconds(self) -> float:
        """CPU time that was told."""
        return sum(piece.cpu_seconds for piece in self.pieces)

    @property
    def untold(self) -> float:
        """Seconds of which nobody told what was used."""
        return sum(piece.untold for piece in self.pieces)

    @property
    def ran(self) -> tuple[Ran, ...]:
        """Programs that told what they used."""
        return tuple(ran for piece in self.pieces for ran in piece.ran)


def runs(call: Call) -> list[Run]:
    """Stages that a call ran, in order.

    Parameters
    ----------
    call : Call

    Returns
    -------
    list of Run
        What the call did is in one of them, and in one only.

    Examples
    --------
    >>> call = Call(0, turns=[Turn('', 0.0), Turn('pial_lh', 1.0), Turn('pial_rh', 9.0)])
    >>> call.turns += [Turn('pial_lh', 15.0), Turn('pial_rh', 18.0)]
    >>> call.stop = 20.0
    >>> [(run.key, [piece.wall for piece in run.pieces]) for run in runs(call)]
    [('pial_lh', [9.0, 3.0]), ('pial_rh', [6.0, 2.0])]
    """
    turns = _without_start(call)
    found: dict[tuple[str, int], Run] = {}
    stops = [turn.start for turn in turns[1:]]
    wiped = _is_wiped(call, turns)
    ends = zip(turns, [*stops, call.stop], strict=True)
    for turn, stop, cores, ran in _side_by_side(call, list(ends)):
        run = found.setdefault((turn.key, turn.attempt), Run(turn.key, cores=cores))
        run.pieces.append(_piece(turn, stop, ran))
        run.lost |= wiped or stop is None or stop - turn.start > LONGEST_SECONDS
        if turn.failed:
            run.outcome, run.error = 'failed', turn.failed
    if turns:
        last = found[turns[-1].key, turns[-1].attempt]
        if call.error is not None:
            last.outcome, last.error = 'failed', call.error
        elif call.stop is None:
            last.outcome, last.error, last.open = 'killed', 'its log tells no end', True
    return list(found.values())


def _is_wiped(call: Call, turns: Sequence[Turn]) -> bool:
    """Whether somebody made all dates the same, as is done to hide when people were scanned."""
    moments = {turn.start for turn in turns} | ({call.stop} if call.stop is not None else set())
    return not call.timed and len(turns) >= FEWEST_WIPED and len(moments) == 1


def _without_start(call: Call) -> list[Turn]:
    """Turns of stages: what comes before the first one is ``input``, or that stage's start."""
    turns = list(call.turns)
    first = turns[0] if turns else None
    if first is None or first.key:
        return turns
    if first.timed or first.told or len(turns) == 1 or _brings_input(call):
        return [_renamed(first, 'input'), *turns[1:]]
    both = 1 + (call.parallel and len(turns) > 2 and _is_pair(turns[1], turns[2]))
    return [*(_earlier(turn, first.start) for turn in turns[1 : 1 + both]), *turns[1 + both :]]


def _brings_input(call: Call) -> bool:
    """Of calls whose programs are not timed."""
    return ' -i ' in call.arguments and not call.timed


def _renamed(turn: Turn, key: str) -> Turn:
    return replace(turn, key=key)


def _earlier(turn: Turn, start: float) -> Turn:
    return replace(turn, start=min(start, turn.start))


def _side_by_side(
    call: Call, turns: Sequence[tuple[Turn, float | None]]
) -> Iterator[tuple[Turn, float | None, float, Sequence[Ran]]]:
    """Turns with their ends, cores and programs: both hemispheres may have run at once."""
    skip = False
    for index, (turn, stop) in enumerate(turns):
        if skip:
            skip = False
            continue
        other = turns[index + 1] if index + 1 < len(turns) else None
        if other is None or not (call.parallel and _is_pair(turn, other[0])):
            yield turn, stop, float(call.threads), _programs(call, turn)
            continue
        both, end, skip = other[0], other[1], True
        ran = _programs(call, both)
        # Their logs are put together when both are through, the left one first.
        left = [one < len(ran) // 2 for one in range(len(ran))]
        if call.timed and any(both.hemis):
            left = [hemi == 'lh' for hemi in both.hemis]
        half = max(1.0, call.threads / 2)
        yield turn, end, half, [one for one, mine in zip(ran, left, strict=True) if mine]
        yield both, end, half, [one for one, mine in zip(ran, left, strict=True) if not mine]


def _is_pair(one: Turn, other: Turn) -> bool:
    """The left hemisphere's turn and the right one's, begun at the same time."""
    if not (one.key.endswith('_lh') and other.key == f'{one.key[:-2]}rh'):
        return False
    return not one.timed and not one.told and 0 <= other.start - one.start <= 2


def _programs(call: Call, turn: Turn) -> Sequence[Ran]:
    """What recon-all timed is not asked for again."""
    return turn.timed if call.timed else turn.told


def _piece(turn: Turn, stop: float | None, ran: Iterable[Ran]) -> Piece:
    programs = tuple(ran)
    ends = [(one.start or 0.0) + (one.seconds or 0.0) for one in programs if one.start]
    if stop is None or stop - turn.start > LONGEST_SECONDS:
        # As far as is known.
        stop = max([turn.start, *ends])
    wall = max(0.0, stop - turn.start)
    asleep = min(wall, sum(_asleep(one) for one in programs))
    return Piece(turn.start, wall, programs, asleep)


def _asleep(ran: Ran) -> float:
    """Seconds in which a program did nothing, and was not kept waiting either."""
    cpu = ran.cpu_seconds
    idle = (ran.seconds or 0.0) - cpu
    if idle < ASLEEP_SECONDS or cpu > idle:
        return 0.0
    if ran.switches is None:
        # Nothing but the numbers themselves: a tenth is too little for any disk.
        return idle if 9 * cpu < idle else 0.0
    busy = SWITCHES_PER_SECOND * cpu + WAITS_PER_SECOND * idle
    return idle if ran.switches < busy else 0.0
