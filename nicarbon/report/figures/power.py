"""When it went: power of a host over time, what it went to, and what ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...ledger import Entry, Window, merge_pairs
from ...share import Share, share
from ..numbers import ENERGY, duration, scale
from .svg import FAULT, INK, MUTED, RULE, Canvas, shorten, stage_colours, ticks

__all__ = ['timeline']

LEFT, RIGHT, TOP, POWER, GAP = 96.0, 904.0, 44.0, 190.0, 18.0
"""Edges of the plot, height of the power curve, and room below it, in CSS pixels."""

LANES = 320
"""Lanes get thinner rather than let the figure grow beyond this, in CSS pixels."""

FEW = 12
"""Subjects up to which each has a lane of its own."""

MOST_NAMED = 16
"""Stages that the legend names; the tips of the blocks name them all."""

MOST_BLOCKS = 600
"""Stages up to which each is drawn apart, with a tip; more are drawn as one texture."""

FINEST = 160
"""Windows drawn at most: one every five pixels."""

OVERHEAD, REST = '#8a929a', '#e3e7ea'
_OWN, _OTHER = 'overhead of the run', 'unattributed'
_ELSE = 'everything else on the host'


@dataclass(frozen=True, slots=True)
class _Slice:
    """Mean power by stage in one window, in watts, bottom of the stack first."""

    window: Window
    watts: dict[str, float]
    host: float | None


def timeline(
    run: Entry,
    shares: Sequence[Share],
    *,
    subject: str = '',
    titles: Mapping[str, str] | None = None,
) -> str:
    """Draw the power of a host during a run, and the stages that it went to.

    Parameters
    ----------
    run : Entry
        Of the kind ``run``: its windows are the timeline.
    shares : sequence of Share
        Of the nodes of that run; others are passed over.
    subject : str
        Given when the shares are those of one subject alone, so that the rest
        of the host's power is not taken for overhead.
    titles : mapping of {str : str}, optional
        Stage names as people write them.

    Returns
    -------
    str
        SVG.
    """
    own = [one for one in shares if _same(one.entry, run) and one.entry.windows]
    names = list(dict.fromkeys(one.entry.stage or one.entry.node for one in own))
    rest = (_ELSE,) if subject else (_OWN, _OTHER)
    colours = stage_colours(names) | {_OWN: OVERHEAD, _OTHER: REST, _ELSE: REST}
    slices = _slices(run, own, subject)
    lanes = _lanes(own)
    row = min(22.0, LANES / max(len(lanes), 1))
    bottom = TOP + POWER + GAP + row * len(lanes)
    legend = _legend_rows([*(names if len(names) <= MOST_NAMED else ()), *rest], titles or {})
    canvas = Canvas(bottom + 34 + 20 * len(legend), *_title(run, own, slices))
    axis = _Axis.of(run)
    _time_axis(canvas, axis, bottom)
    _power(canvas, slices, colours, axis, _idle(run))
    if len(own) <= MOST_BLOCKS:
        for index, lane in enumerate(lanes):
            for one in lane:
                _block(
                    canvas, one, colours, axis, TOP + POWER + GAP + row * index, row, titles or {}
                )
    else:
        _crowd(canvas, lanes, colours, axis, row)
    _lane_labels(canvas, lanes, row)
    _legend(canvas, legend, colours, bottom + 46)
    return canvas.text()


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time of the host's monotonic clock laid on the plot."""

    start: float
    seconds: float

    @classmethod
    def of(cls, run: Entry) -> _Axis:
        if not run.windows:
            return cls(0.0, 1.0)
        start = run.windows[0].start
        return cls(start, max(run.windows[-1].stop - start, 1e-9))

    def x(self, moment: float) -> float:
        fraction = min(max((moment - self.start) / self.seconds, 0.0), 1.0)
        return LEFT + (RIGHT - LEFT) * fraction


def _same(entry: Entry, run: Entry) -> bool:
    return (entry.run_id, entry.host, entry.boot_id) == (run.run_id, run.host, run.boot_id)


def _slices(run: Entry, shares: Sequence[Share], subject: str) -> list[_Slice]:
    """Split every window by :func:`nicarbon.share.share`, and scale to what was charged."""
    windows = run.windows
    while len(windows) > FINEST:
        windows = merge_pairs(windows)
    parts = [_joules(replace(run, windows=(window,)), shares) for window in windows]
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(part)
    charged = {one.entry.entry_id: one.joules['reserved'] for one in shares}
    overhead = share([run, *(one.entry for one in shares)]).balances[0].overhead_joules
    charged[_OWN] = 0.0 if subject else overhead
    stage = {one.entry.entry_id: one.entry.stage or one.entry.node for one in shares}
    slices = []
    for window, part in zip(windows, parts, strict=True):
        seen = [joules for joules in window.joules if joules is not None]
        watts: Counter[str] = Counter()
        for key, joules in part.items():
            if sums[key]:
                watts[stage.get(key, key)] += joules * charged[key] / sums[key] / window.seconds
        host = sum(seen) / window.seconds if seen and window.seconds else None
        if host is not None:
            watts[_ELSE if subject else _OTHER] = max(0.0, host - sum(watts.values()))
        slices.append(_Slice(window, dict(watts), host))
    return slices


def _joules(run: Entry, shares: Sequence[Share]) -> Counter[str]:
    """Joules by entry, and of the overhead, in the one window that a run is cut to."""
    window = run.windows[0]
    nodes = [
        one.entry
        for one in shares
        if one.entry.windows[0].start < window.stop and one.entry.windows[-1].stop > window.start
    ]
    sharing = share([run, *nodes])
    joules = Counter({one.entry.entry_id: one.joules['reserved'] for one in sharing.shares})
    joules[_OWN] = sharing.balances[0].overhead_joules
    return joules


def _idle(run: Entry) -> float | None:
    """Watts that the host draws at rest, as far as any meter says."""
    known = [
        r.idle_watts for r in run.readings if r.idle_watts is not None and r.joules is not None
    ]
    return sum(known) if known else None


def _lanes(shares: Sequence[Share]) -> list[list[Share]]:
    """Lay blocks in lanes without overlap: one lane per subject while they are few."""
    apart = len({_who(one.entry) for one in shares}) <= FEW
    lanes: list[list[Share]] = []
    for one in sorted(shares, key=lambda one: (one.entry.start or 0.0, one.entry.entry_id)):
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


def _title(run: Entry, shares: Sequence[Share], slices: Sequence[_Slice]) -> tuple[str, str]:
    title = f'Power of {run.host} during run {run.run_id}'
    watts = [one.host for one in slices if one.host is not None]
    if not watts:
        return title, 'No power was seen during this run.'
    joules = sum(w.seconds * s.host for s in slices if s.host is not None for w in (s.window,))
    unit = scale([joules], ENERGY)
    words = (
        f'{len(shares)} stages in {duration(run.seconds)}; between {min(watts):.3g} and '
        f'{max(watts):.3g} W, together {joules / unit.size:.3g} {unit.unit}.'
    )
    return title, words


def _power(
    canvas: Canvas,
    slices: Sequence[_Slice],
    colours: dict[str, str],
    axis: _Axis,
    idle: float | None,
) -> None:
    """Stack what the power went to, under the curve of the host."""
    high = max((one.host for one in slices if one.host is not None), default=0.0)
    if not high:
        words = 'No power was seen during this run.'
        canvas.add(
            'text', words, x=(LEFT + RIGHT) / 2, y=TOP + 95, text_anchor='middle', fill=MUTED
        )
        return
    high *= 1.06
    per_watt = POWER / high
    for tick in ticks(high, 4):
        y = TOP + POWER - tick * per_watt
        canvas.add('path', d=f'M{LEFT} {y:.1f}H{RIGHT}', stroke=RULE)
        canvas.add('text', f'{tick:g}', x=LEFT - 8, y=y + 4, text_anchor='end', fill=MUTED)
    canvas.add('text', 'host power (W)', x=LEFT - 40, y=TOP - 14, fill=MUTED)
    for name, path in _areas(slices, colours, axis, per_watt).items():
        canvas.add('path', d=path, fill=colours[name], shape_rendering='crispEdges', tip=name)
    curve, pen = '', 'M'
    for one in slices:
        if one.host is None:
            pen = 'M'
            continue
        y = TOP + POWER - one.host * per_watt
        left, right = axis.x(one.window.start), axis.x(one.window.stop)
        curve += f'{pen}{left:.1f} {y:.1f}H{right:.1f}'
        pen = 'L'
    canvas.add('path', d=curve, fill='none', stroke=INK, stroke_width=1.2)
    if idle is not None:
        y = TOP + POWER - min(idle, high) * per_watt
        canvas.add(
            'path', d=f'M{LEFT} {y:.1f}H{RIGHT}', stroke=INK, stroke_dasharray='2 3', fill='none'
        )
        words = f'idle {idle:.2g} W'
        canvas.add('text', words, x=RIGHT, y=TOP - 14, fill=MUTED, text_anchor='end')
        left = RIGHT - 34 - 6.5 * len(words)
        canvas.add('path', d=f'M{left:.1f} {TOP - 18}h24', stroke=INK, stroke_dasharray='2 3')


def _areas(
    slices: Sequence[_Slice], colours: dict[str, str], axis: _Axis, per_watt: float
) -> dict[str, str]:
    """One path per stage, in the order of the colours from the bottom up."""
    paths: dict[str, str] = {}
    for one in slices:
        y = TOP + POWER
        left = axis.x(one.window.start)
        width = axis.x(one.window.stop) - left
        for name in colours:
            height = one.watts.get(name, 0.0) * per_watt
            if height >= 0.05:
                y -= height
                rectangle = f'M{left:.1f} {y:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z'
                paths[name] = paths.get(name, '') + rectangle
    return paths


def _block(
    canvas: Canvas,
    one: Share,
    colours: dict[str, str],
    axis: _Axis,
    top: float,
    row: float,
    titles: Mapping[str, str],
) -> None:
    entry = one.entry
    stage = entry.stage or entry.node
    name = titles.get(stage, stage)
    left, right = axis.x(entry.windows[0].start), axis.x(entry.windows[-1].stop)
    width = max(right - left, 0.8)
    lost = entry.outcome in {'failed', 'killed'}
    canvas.add(
        'rect', x=left, y=top + min(1.5, row / 8), width=width, height=row - min(3.0, row / 4),
        fill=canvas.hatch(FAULT) if lost else colours[stage], tip=_tip(one, name),
        stroke='#fff' if row > 8 else None, stroke_width=0.6 if row > 8 else None,
    )  # fmt: skip
    room = int((width - 8) / 6.6)
    if row >= 15 and room >= min(len(name), 4) and not lost:
        canvas.add(
            'text', shorten(name, room), x=left + 5, y=top + row / 2 + 4, font_size=11,
            fill=_on(colours[stage]), pointer_events='none',
        )  # fmt: skip


def _crowd(
    canvas: Canvas,
    lanes: Sequence[Sequence[Share]],
    colours: dict[str, str],
    axis: _Axis,
    row: float,
) -> None:
    """One path per stage; of blocks within one pixel, the first stands for all."""
    paths: dict[str, str] = {}
    for index, lane in enumerate(lanes):
        top, reached = TOP + POWER + GAP + row * index, 0.0
        for entry in (one.entry for one in lane):
            left, right = axis.x(entry.windows[0].start), axis.x(entry.windows[-1].stop)
            if right < reached:
                continue
            reached = max(right, left + 1)
            lost = entry.outcome in {'failed', 'killed'}
            key = FAULT if lost else colours[entry.stage or entry.node]
            block = (
                f'M{left:.1f} {top:.1f}H{reached:.1f}v{row - min(1.0, row / 4):.1f}H{left:.1f}z'
            )
            paths[key] = paths.get(key, '') + block
    for colour, path in paths.items():
        canvas.add('path', d=path, fill=colour)


def _on(colour: str) -> str:
    """Black or white, whichever reads better on a colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 128 else '#fff'


def _tip(one: Share, name: str) -> str:
    entry, joules = one.entry, one.joules['reserved']
    who = '_'.join(
        filter(None, (f'sub-{entry.subject}', entry.session and f'ses-{entry.session}'))
    )
    words = f'{who if entry.subject else ""} {name}'.strip()
    spent = 'not seen'
    if one.tier is not None:
        unit = scale([joules], ENERGY)
        number = unit.number(joules, joules / one.u_rel, joules * one.u_rel)
        spent = f'{number.text} {unit.unit}' + (f' ({number.interval})' if number.interval else '')
    outcome = '' if entry.outcome == 'ran' else f', {entry.outcome}'
    return f'{words}: {duration(entry.seconds)}, {spent}{outcome}'


def _lane_labels(canvas: Canvas, lanes: Sequence[Sequence[Share]], row: float) -> None:
    """Name the subject before its first lane, if lanes belong to subjects at all."""
    owners = [{_who(one.entry) for one in lane} for lane in lanes]
    if any(len(owner) > 1 for owner in owners):
        words = f'{len(set().union(*owners))} subjects'
        canvas.add('text', words, x=LEFT - 8, y=TOP + POWER + 32, text_anchor='end', fill=MUTED)
        return
    for index, (subject, session) in enumerate(owner for (owner,) in owners):
        if index and owners[index - 1] == owners[index]:
            continue
        name = '_'.join(filter(None, (subject and f'sub-{subject}', session and f'ses-{session}')))
        y = TOP + POWER + GAP + row * index + row / 2 + 4
        canvas.add(
            'text', shorten(name, 13), x=LEFT - 8, y=y, text_anchor='end', tip=name, font_size=11.5
        )


def _time_axis(canvas: Canvas, axis: _Axis, bottom: float) -> None:
    size, unit = next(
        (size, unit) for size, unit in ((3600.0, 'h'), (60.0, 'min'), (1.0, 's'), (0.0, ''))
        if axis.seconds >= 3 * size
    )  # fmt: skip
    size, unit = (size, unit) if size else (1.0, 's')
    for tick in ticks(axis.seconds / size, 8):
        x = axis.x(axis.start + tick * size)
        canvas.add('path', d=f'M{x:.1f} {TOP + POWER}V{bottom + 4:.1f}', stroke=RULE)
        words = f'{tick:g}' + ('' if tick else f' {unit}')
        canvas.add('text', words, x=x, y=bottom + 18, text_anchor='middle', fill=MUTED)


def _legend_rows(
    names: Sequence[str], titles: Mapping[str, str]
) -> list[list[tuple[str, str, float]]]:
    """Name, words and place of each key, row by row."""
    rows: list[list[tuple[str, str, float]]] = [[]]
    x = LEFT
    for name in names:
        words = shorten(titles.get(name, name), 28)
        width = 32 + 6.3 * len(words)
        if x + width > RIGHT and rows[-1]:
            rows.append([])
            x = LEFT
        rows[-1].append((name, words, x))
        x += width
    return rows


def _legend(
    canvas: Canvas,
    rows: Sequence[Sequence[tuple[str, str, float]]],
    colours: dict[str, str],
    top: float,
) -> None:
    for index, row in enumerate(rows):
        y = top + 20 * index
        for name, words, x in row:
            canvas.add('rect', x=x, y=y - 9, width=10, height=10, fill=colours[name])
            canvas.add('text', words, x=x + 15, y=y, fill=MUTED, font_size=11.5)
