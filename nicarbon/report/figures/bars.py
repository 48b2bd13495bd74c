"""Where it went: horizontal bars of joules, or of grams of CO2 equivalent, by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...summary import Kind, Line, Summary
from ..components import component_name, component_order
from ..numbers import Scale, in_order, label
from .axes import LEFT, RIGHT, Measure, Quantity, axis, measure
from .svg import FAULT, INK, MUTED, Canvas, component_colour, shorten

__all__ = ['stages', 'totals']

TOP, ROW = 30, 25
"""Upper edge of the plot and height of a row, in CSS pixels."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """One row: joules or grams by component, an interval, and what became of it."""

    name: str
    components: dict[str, float]
    low: float
    high: float
    lost: float = 0.0
    note: str = ''
    spared: bool = False

    @property
    def value(self) -> float:
        return sum(self.components.values())


def stages(
    summary: Summary, titles: Mapping[str, str] | None = None, *, quantity: Quantity = 'energy'
) -> str:
    """Draw one bar per stage, in the order of the pipeline.

    Parameters
    ----------
    summary : Summary
    titles : mapping of {str : str}, optional
        What people call the stages, in order; others follow as they started.
    quantity : {'energy', 'carbon'}
        Joules, or grams of CO2 equivalent; each with its own interval.

    Returns
    -------
    str
        SVG.
    """
    titles, kind = titles or {}, measure(quantity)
    bars = [_of_line(line, titles, kind) for line in in_order(summary.lines, titles)]
    return _draw(bars, f'by stage, {label(summary)}', kind)


def totals(
    kinds: Sequence[Kind],
    titles: Mapping[str, str] | None = None,
    *,
    quantity: Quantity = 'energy',
) -> str:
    """Draw one bar per kind of stage, added up over all subjects.

    Parameters
    ----------
    kinds : sequence of Kind
        In pipeline order.
    titles : mapping of {str : str}, optional
    quantity : {'energy', 'carbon'}

    Returns
    -------
    str
        SVG.
    """
    kind = measure(quantity)
    bars = [_of_kind(one, titles or {}, kind) for one in kinds]
    return _draw(bars, 'by stage, all together', kind, notes=False)


def _of_line(line: Line, titles: Mapping[str, str], kind: Measure) -> _Bar:
    entry = line.share.entry
    name = titles.get(entry.stage, entry.stage or entry.node or 'unnamed')
    if entry.outcome == 'cached':
        return _Bar(name, {}, 0, 0, note='cached: spared', spared=True)
    if line.footprint is None:
        note = 'not seen' if entry.outcome == 'ran' else f'{entry.outcome}, not seen'
        return _Bar(name, {}, 0, 0, note=note)
    value, low, high = kind.of(line.footprint)
    lost = value if entry.outcome in {'failed', 'killed'} else 0.0
    note = entry.outcome if lost or entry.outcome != 'ran' else ''
    parts = kind.parts(line.share.components, line.footprint)
    return _Bar(name, parts, low, high, lost, note)


def _of_kind(kind: Kind, titles: Mapping[str, str], measured: Measure) -> _Bar:
    one = kind.total
    _, low, high = measured.of(one.footprint)
    parts = [
        f'{one.outcomes[key]} {key}'
        for key in ('failed', 'killed', 'cached')
        if one.outcomes.get(key)
    ]
    return _Bar(
        titles.get(kind.stage, kind.stage or 'unnamed'),
        measured.parts(one.components, one.footprint),
        low,
        high,
        measured.of(one.lost)[0],
        ', '.join(parts + ([f'{one.unseen} not seen'] if one.unseen else [])),
        spared=not one.ran,
    )


def _draw(bars: Sequence[_Bar], title: str, kind: Measure, *, notes: bool = True) -> str:
    unit = kind.scale(bar.value for bar in bars)  # As the table below has it.
    high = max((bar.high for bar in bars), default=0.0) or unit.size
    height = TOP + ROW * max(len(bars), 1) + 26
    words = '; '.join(f'{bar.name} {_words(bar, unit)}' for bar in bars)
    canvas = Canvas(height, f'{kind.title} {title}', f'{words or "no stage ran"}.')
    _legend(canvas, bars)
    axis(canvas, kind.label(unit), high / unit.size, TOP, TOP + ROW * max(len(bars), 1))
    for index, bar in enumerate(bars):
        _row(canvas, bar, unit, high, TOP + ROW * index, notes=notes)
    return canvas.text()


def _words(bar: _Bar, unit: Scale) -> str:
    """A bar's value in words; nothing seen and nothing spent are told apart."""
    if not bar.components:
        return bar.note or 'not seen'
    number = unit.number(bar.value, bar.low, bar.high)
    interval = f' ({number.interval})' if number.interval else ''
    return f'{number.text} {unit.unit}{interval}' + (f', {bar.note}' if bar.note else '')


def _legend(canvas: Canvas, bars: Sequence[_Bar]) -> None:
    x = float(LEFT)
    spent = {name for bar in bars for name, value in bar.components.items() if value}
    names = spent or {name for bar in bars for name in bar.components}
    entries = [
        (component_name(name), component_colour(name))
        for name in sorted(names, key=component_order)
    ]
    if any(bar.lost for bar in bars):
        entries.append(('failed or killed', canvas.hatch(FAULT)))
    for name, paint in entries:
        canvas.add('rect', x=x, y=6, width=10, height=10, fill=paint)
        canvas.add('text', shorten(name, 24), x=x + 15, y=15, fill=MUTED, font_size=11.5)
        x += 32 + 6.4 * len(shorten(name, 24))
    if any(bar.components for bar in bars):
        _whisker(canvas, x, x + 22, 11)
        canvas.add('text', '95 % interval', x=x + 28, y=15, fill=MUTED, font_size=11.5)


def _row(canvas: Canvas, bar: _Bar, unit: Scale, high: float, top: float, *, notes: bool) -> None:
    middle = top + ROW / 2
    per_one = (RIGHT - LEFT) / high
    words = _words(bar, unit)
    canvas.add(
        'text', shorten(bar.name, 25), x=LEFT - 12, y=middle + 4, text_anchor='end',
        tip=f'{bar.name}: {words}',
    )  # fmt: skip
    if bar.spared:
        canvas.add(
            'rect', x=LEFT + 0.5, y=top + 6.5, width=30, height=ROW - 13, fill='none',
            stroke=MUTED, stroke_dasharray='3 2',
        )  # fmt: skip
    x = float(LEFT)
    for component in sorted(bar.components, key=component_order):
        value = bar.components[component]
        if not value and bar.value:
            continue  # Not even a line: it used none of it.
        width = max(value * per_one, 0.8)
        canvas.add(
            'rect', x=x, y=top + 6, width=width, height=ROW - 12,
            fill=component_colour(component), tip=f'{bar.name}, {component_name(component)}: {_part(value, unit, bar)}',
        )  # fmt: skip
        x += width
    if bar.lost:
        canvas.add(
            'rect', x=LEFT, y=top + 6, width=max(bar.lost * per_one, 0.8), height=ROW - 12,
            fill=canvas.hatch(FAULT), pointer_events='none',
        )  # fmt: skip
    if bar.high > bar.low:
        _whisker(canvas, LEFT + bar.low * per_one, LEFT + bar.high * per_one, middle)
    colour = INK if bar.components else MUTED
    if notes and bar.lost:
        colour = FAULT
    if not notes and bar.components:
        words = words.removesuffix(f', {bar.note}')
    canvas.add('text', words, x=RIGHT + 12, y=middle + 4, fill=colour)


def _part(value: float, unit: Scale, bar: _Bar) -> str:
    """One component's joules or grams, as well known as the bar."""
    low, high = (bar.low / bar.value, bar.high / bar.value) if bar.value else (1.0, 1.0)
    return f'{unit.number(value, value * low, value * high).text} {unit.unit}'


def _whisker(canvas: Canvas, left: float, right: float, y: float) -> None:
    path = f'M{left:.1f} {y}H{right:.1f}M{left:.1f} {y - 3}v6M{right:.1f} {y - 3}v6'
    through = {'pointer_events': 'none'}  # The pointer is meant for the bar below.
    # A white edge keeps the line visible on its bar.
    canvas.add('path', d=path, stroke='#fff', stroke_width=3, fill='none', **through)
    canvas.add('path', d=path, stroke=INK, stroke_width=1.1, fill='none', **through)
