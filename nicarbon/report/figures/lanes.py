"""What ran when: a block for each stage, in lanes, below the power curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...entry import Entry
from ...quantity import ENERGY
from ...series import spells
from ...share import Share
from ..numbers import duration, scale
from .svg import FAULT, INK, MUTED, Canvas, shorten

__all__ = ['Lanes', 'lay']

HIGHEST = 320.0
"""Lanes get thinner rather than let the figure grow beyond this, in CSS pixels."""

FEW = 12
"""Subjects up to which each has a lane of its own."""

MOST_BLOCKS = 600
"""Stages up to which each is drawn apart, with a tip; more are drawn as one texture."""


def lay(shares: Sequence[Share]) -> list[list[Share]]:
    """Lay stages in lanes without overlap: one lane per subject while they are few.

    Parameters
    ----------
    shares : sequence of Share
        All with windows.

    Returns
    -------
    list of list of Share
    """
    apart = len({_who(one.entry) for one in shares}) <= FEW
    # What others interrupted is drawn in pieces, each with the joules of all of it.
    blocks = [
        replace(one, entry=one.entry._replace(windows=spell))
        for one in shares
        for spell in spells(one.entry)
    ]
    lanes: list[list[Share]] = []
    for one in sorted(blocks, key=lambda one: (one.entry.start or 0.0, one.entry.entry_id)):
        start, who = one.entry.start or 0.0, _who(one.entry)
        free = [lane for lane in lanes if lane[-1].entry.windows[-1].stop <= start + 1e-6]
        same = [lane for lane in free if _who(lane[-1].entry) == who]
        choice = same or ([] if apart else free)
        if choice:
            choice[0].append(one)
        else:
            lanes.append([one])
    return sorted(lanes, key=lambda lane: _who(lane[0].entry)) if apart else lanes


def _who(entry: Entry) -> tuple[str, str]:
    return entry.subject, entry.session


@dataclass(frozen=True, slots=True)
class Lanes:
    """Lanes on their way to a canvas.

    Parameters
    ----------
    lanes : sequence of sequence of Share
    top, left : float
        Upper left corner, in CSS pixels.
    x : callable
        From seconds of the host's monotonic clock to CSS pixels.
    colours, titles : mapping of {str : str}
        By stage.
    """

    lanes: Sequence[Sequence[Share]]
    top: float
    left: float
    x: Callable[[float], float]
    colours: Mapping[str, str]
    titles: Mapping[str, str]

    @property
    def row(self) -> float:
        """Height of a lane, in CSS pixels."""
        return min(22.0, HIGHEST / max(len(self.lanes), 1))

    @property
    def bottom(self) -> float:
        """Lower edge, in CSS pixels."""
        return self.top + self.row * len(self.lanes)

    def draw(self, canvas: Canvas) -> None:
        """Draw blocks and the names of subjects."""
        if sum(map(len, self.lanes)) > MOST_BLOCKS:
            self._texture(canvas)
        else:
            for index, lane in enumerate(self.lanes):
                for one in lane:
                    self._block(canvas, one, self.top + self.row * index)
        self._names(canvas)

    def _edges(self, entry: Entry) -> tuple[float, float]:
        return self.x(entry.windows[0].start), self.x(entry.windows[-1].stop)

    def _block(self, canvas: Canvas, one: Share, top: float) -> None:
        stage = one.entry.stage or one.entry.node
        name, row = self.titles.get(stage, stage), self.row
        left, right = self._edges(one.entry)
        lost = one.entry.outcome in {'failed', 'killed'}
        canvas.add(
            'rect', x=left, y=top + min(1.5, row / 8), width=max(right - left, 0.8),
            height=row - min(3.0, row / 4), tip=_tip(one, name),
            fill=canvas.hatch(FAULT) if lost else self.colours[stage],
            stroke='#fff' if row > 8 else None, stroke_width=0.6 if row > 8 else None,
        )  # fmt: skip
        room = int((right - left - 8) / 6.6)
        if row >= 15 and room >= min(len(name), 6) and not lost:
            canvas.add(
                'text', shorten(name, room), x=left + 5, y=top + row / 2 + 4, font_size=11,
                fill=_on(self.colours[stage]), pointer_events='none',
            )  # fmt: skip

    def _texture(self, canvas: Canvas) -> None:
        """One path per stage; of blocks within one pixel, the first stands for all."""
        paths: dict[str, str] = {}
        height = self.row - min(1.0, self.row / 4)
        for index, lane in enumerate(self.lanes):
            reached = 0.0
            for entry in (one.entry for one in lane):
                left, right = self._edges(entry)
                if right < reached:
                    continue
                reached = max(right, left + 1)
                lost = entry.outcome in {'failed', 'killed'}
                colour = FAULT if lost else self.colours[entry.stage or entry.node]
                corner = f'M{left:.1f} {self.top + self.row * index:.1f}'
                block = f'{corner}H{reached:.1f}v{height:.1f}H{left:.1f}z'
                paths[colour] = paths.get(colour, '') + block
        for colour, path in paths.items():
            canvas.add('path', d=path, fill=colour)

    def _names(self, canvas: Canvas) -> None:
        """Name the subject before its first lane, if lanes belong to subjects at all."""
        owners = [{_who(one.entry) for one in lane} for lane in self.lanes]
        if any(len(owner) > 1 for owner in owners):
            words = f'{len(set().union(*owners))} subjects'
            canvas.add(
                'text', words, x=self.left - 8, y=self.top + 14, text_anchor='end', fill=MUTED
            )
            return
        named: set[tuple[str, str]] = set()
        for index, (owner,) in enumerate(owners):
            if owner not in named:
                named.add(owner)
                canvas.add(
                    'text', shorten(_label(owner), 13), x=self.left - 8, tip=_label(owner),
                    y=self.top + self.row * (index + 0.5) + 4, text_anchor='end', font_size=11.5,
                )  # fmt: skip


def _label(who: tuple[str, str]) -> str:
    keys = zip(('sub', 'ses'), who, strict=True)
    return '_'.join(f'{key}-{value}' for key, value in keys if value)


def _on(colour: str) -> str:
    """Black or white, whichever reads better on a colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else '#fff'


def _tip(one: Share, name: str) -> str:
    entry, joules = one.entry, one.joules['reserved']
    spent = 'not seen'
    if one.tier is not None:
        unit = scale([joules], ENERGY)
        number = unit.number(joules, joules / one.u_rel, joules * one.u_rel)
        spent = f'{number.text} {unit.unit}' + (f' ({number.interval})' if number.interval else '')
    outcome = '' if entry.outcome == 'ran' else f', {entry.outcome}'
    words = f'{_label(_who(entry))} {name}'.strip()
    return f'{words}: {duration(entry.seconds)}, {spent}{outcome}'
