"""When it went: power of a host over time, what it went to, and what ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...entry import Entry, Window
from ...nesting import is_on
from ...quantity import ENERGY
from ...series import merge_pairs, within
from ...share import Share, share
from ..numbers import duration, scale
from .intensity import Step, strip
from .lanes import Lanes, lay
from .svg import INK, MUTED, RULE, Canvas, shorten, stage_colours, ticks

__all__ = ['timeline']

LEFT, RIGHT, TOP, POWER, GAP = 96.0, 904.0, 44.0, 190.0, 18.0
"""Edges of the plot, height of the power curve, and room below it, in CSS pixels."""

MOST_NAMED = 16
"""Stages that the legend names; the tips of the blocks name them all."""

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
    steps: Sequence[Step] = (),
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
    steps : sequence of (datetime, datetime, float)
        Start and stop, aware, and grams of CO2e per kWh of the grid between them. Without
        any, nothing of a grid is drawn.

    Returns
    -------
    str
        SVG.
    """
    own = [one for one in shares if is_on(one.entry, run)]
    names = list(dict.fromkeys(one.entry.stage or one.entry.node for one in own))
    rest = (_ELSE,) if subject else (_OWN, _OTHER)
    colours = stage_colours(names) | {_OWN: OVERHEAD, _OTHER: REST, _ELSE: REST}
    slices = _slices(run, own, subject)
    axis, top = _Axis.of(run), TOP + POWER + GAP
    grid = strip(run, [(one.window, one.host) for one in slices], steps)
    lanes = Lanes(lay(own), top + grid.height, LEFT, axis.x, colours, titles or {})
    legend = _legend_rows([*(names if len(names) <= MOST_NAMED else ()), *rest], titles or {})
    title, words = _title(run, own, slices)
    canvas = Canvas(lanes.bottom + 34 + 20 * len(legend), title, words + grid.words)
    _time_axis(canvas, axis, lanes.bottom)
    _power(canvas, slices, colours, axis, _idle(run))
    grid.draw(canvas, axis.x, LEFT, RIGHT, top)
    lanes.draw(canvas)
    _legend(canvas, legend, colours, lanes.bottom + 46)
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


def _slices(run: Entry, shares: Sequence[Share], subject: str) -> list[_Slice]:
    """Split every window by :func:`nicarbon.share.share`, and scale to what was charged."""
    windows = run.windows
    if not windows:
        return []
    while len(windows) > FINEST:
        windows = merge_pairs(windows)
    parts = [_joules(run._replace(windows=(window,)), shares) for window in windows]
    sums: dict[str, float] = defaultdict(float)
    for part in parts:
        for key, joules in part.items():
            sums[key] += joules
    # Beside other runs a stage is charged less than it would be alone.
    true = {one.entry.entry_id: one.joules['reserved'] for one in shares}
    alone = _joules(run, shares)
    charged = {name: min(joules, true.get(name, joules)) for name, joules in alone.items()}
    if subject:
        charged[_OWN] = 0.0
    stage = {one.entry.entry_id: one.entry.stage or one.entry.node for one in shares}
    slices = []
    for window, part in zip(windows, parts, strict=True):
        seen = [joules for joules in window.joules if joules is not None]
        watts: dict[str, float] = defaultdict(float)
        for key, joules in part.items():
            if sums[key]:
                watts[stage.get(key, key)] += joules * charged[key] / sums[key] / window.seconds
        host = sum(seen) / window.seconds if seen and window.seconds else None
        if host is not None:
            watts[_ELSE if subject else _OTHER] = max(0.0, host - sum(watts.values()))
        slices.append(_Slice(window, dict(watts), host))
    return slices


def _joules(run: Entry, shares: Sequence[Share]) -> dict[str, float]:
    """Joules by entry, and of the overhead, in the time that a run is cut to."""
    start, stop = run.windows[0].start, run.windows[-1].stop
    nodes = [within(one.entry, start, stop) for one in shares]
    sharing = share([run, *(node for node in nodes if node.windows)])
    joules = {one.entry.entry_id: one.joules['reserved'] for one in sharing.shares}
    joules[_OWN] = sum(balance.overhead_joules for balance in sharing.balances)
    return joules


def _idle(run: Entry) -> float | None:
    """Watts that the host draws at rest, as far as any meter says."""
    known = [
        r.idle_watts for r in run.readings if r.idle_watts is not None and r.joules is not None
    ]
    return sum(known) if known else None


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
        right = axis.x(one.window.stop)
        for name in colours:
            height = one.watts.get(name, 0.0) * per_watt
            if height >= 0.05:
                y -= height
                rectangle = f'M{left:.1f} {y:.1f}H{right:.1f}V{y + height:.1f}H{left:.1f}z'
                paths[name] = paths.get(name, '') + rectangle
    return paths


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
