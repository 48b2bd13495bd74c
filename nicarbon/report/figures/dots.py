"""Who used it: one dot per subject, largest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...summary import Summary
from ..numbers import (
    ENERGY,
    FENCE_LEAST,
    Scale,
    Spread,
    is_complete,
    label,
    scale,
    spread_of,
    unusual,
    was_seen,
)
from .svg import FAULT, INK, MUTED, RULE, WIDTH, Canvas, shorten, ticks

__all__ = ['by_subject']

LEFT, RIGHT, TOP = 182, 700, 34
"""Edges of the plot, in CSS pixels; the same as those of the bars above it."""

HIGHEST = 640
"""Rows get thinner rather than let the figure grow beyond this, in CSS pixels."""

DOT = '#0072b2'


def by_subject(summaries: Sequence[Summary], links: Mapping[str, str] | None = None) -> str:
    """Draw the energy of each subject with its interval, and the median of all.

    Parameters
    ----------
    summaries : sequence of Summary
    links : mapping of {str : str}, optional
        Subject label to the address of its page.

    Returns
    -------
    str
        SVG. Subjects that no meter saw are counted in words, not drawn at zero.
    """
    seen = sorted(
        (summary for summary in summaries if was_seen(summary)),
        key=lambda summary: (-summary.footprint.joules, label(summary)),
    )
    spread = spread_of([one.footprint.joules for one in seen if is_complete(one)])
    far = unusual(summaries)
    unit = scale([summary.footprint.joules for summary in seen], ENERGY)
    high = max((summary.footprint.joules_high for summary in seen), default=0.0) or unit.size
    row = min(20.0, HIGHEST / max(len(seen), 1))
    bottom = TOP + row * max(len(seen), 1)
    canvas = Canvas(
        bottom + 52, 'Energy by subject', _describe(summaries, seen, spread, unit), role='group'
    )
    _axis(canvas, unit, high, bottom)
    if spread is not None:
        _median(canvas, spread, unit, high, bottom)
    names = {label(summary) for summary in far or ()}
    for index, summary in enumerate(seen):
        link = (links or {}).get(summary.subject, '')
        y = TOP + row * (index + 0.5)
        _dot(canvas, summary, link, unit, high, y, row, marked=label(summary) in names)
    count = spread.count if spread else 0
    canvas.add('text', _verdict(count, far), x=LEFT, y=bottom + 42, fill=MUTED)
    return canvas.text()


def _describe(
    summaries: Sequence[Summary], seen: Sequence[Summary], spread: Spread | None, unit: Scale
) -> str:
    missing = len(summaries) - len(seen)
    words = f'{len(seen)} subjects'
    if spread is not None:
        number = unit.number(spread.median, spread.low, spread.high)
        words += f', median {number.text} {unit.unit}'
        words += f' ({spread.name} {number.interval})' if number.interval else ''
    return f'{words}; {missing} not seen by any meter.'


def _verdict(count: int, far: Sequence[Summary] | None) -> str:
    if far is None:
        return f'Unusual cannot be told from {count} complete: {FENCE_LEAST} are needed.'
    if not far:
        return 'None of the complete lies beyond 1.5 interquartile ranges of the quartiles.'
    return f'{len(far)} of the complete beyond 1.5 interquartile ranges of the quartiles.'


def _axis(canvas: Canvas, unit: Scale, high: float, bottom: float) -> None:
    for tick in ticks(high / unit.size):
        x = LEFT + (RIGHT - LEFT) * tick * unit.size / high
        canvas.add('path', d=f'M{x:.1f} {TOP}V{bottom + 4:.1f}', stroke=RULE)
        canvas.add('text', f'{tick:g}', x=x, y=bottom + 18, fill=MUTED, text_anchor='middle')
    canvas.add('text', f'energy ({unit.unit})', x=RIGHT + 12, y=bottom + 18, fill=MUTED)


def _median(canvas: Canvas, spread: Spread, unit: Scale, high: float, bottom: float) -> None:
    per_joule = (RIGHT - LEFT) / high
    x = LEFT + spread.median * per_joule
    canvas.add(
        'rect', x=LEFT + spread.low * per_joule, y=TOP,
        width=(spread.high - spread.low) * per_joule, height=bottom - TOP,
        fill=INK, fill_opacity=0.06,
    )  # fmt: skip
    canvas.add('path', d=f'M{x:.1f} {TOP - 6}V{bottom:.1f}', stroke=INK, stroke_dasharray='4 3')
    number = unit.number(spread.median, spread.low, spread.high)
    words = f'median {number.text} {unit.unit}'
    if number.interval:
        words += f' ({spread.name} {number.interval})'
    near_right = x > (LEFT + RIGHT) / 2 + 150
    canvas.add(
        'text', words, x=x, y=TOP - 12, text_anchor='end' if near_right else 'start', fill=INK
    )


def _dot(  # noqa: PLR0913 - geometry
    canvas: Canvas,
    summary: Summary,
    link: str,
    unit: Scale,
    high: float,
    y: float,
    row: float,
    *,
    marked: bool,
) -> None:
    footprint = summary.footprint
    left, x, right = (
        LEFT + (RIGHT - LEFT) * joules / high
        for joules in (footprint.joules_low, footprint.joules, footprint.joules_high)
    )
    number = unit.number(footprint.joules, footprint.joules_low, footprint.joules_high)
    words = f'{number.text} {unit.unit}' + (f' ({number.interval})' if number.interval else '')
    outcomes = ', '.join(f'{count} {name}' for name, count in sorted(summary.outcomes.items()))
    tip = f'{label(summary)}: {words}; {outcomes}'
    colour = FAULT if marked else DOT
    if link:
        canvas.open('a', href=link, aria_label=tip)
    canvas.add('path', d=f'M{left:.1f} {y:.1f}H{right:.1f}', stroke=colour, stroke_opacity=0.45)
    canvas.add(
        'circle', cx=x, cy=y, r=min(4.0, max(1.6, row / 2.6)), tip=tip, stroke=colour,
        fill=colour if is_complete(summary) else '#fff', stroke_width=1.4,
    )  # fmt: skip
    if row >= 11:
        name = shorten(label(summary), 25)
        canvas.add('text', name, x=LEFT - 12, y=y + 4, text_anchor='end', fill=INK)
        canvas.add('text', words, x=RIGHT + 12, y=y + 4, fill=FAULT if marked else INK)
    elif marked:
        canvas.add('text', shorten(label(summary), 26), x=right + 6, y=y + 4, fill=FAULT)
    if link:
        canvas.close()
