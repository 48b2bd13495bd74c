"""The table of a benchmark, in the shape of the published one, as text.

Pipelines are rows, and processors are columns beside each other; each cell is mean (SD).
Below each of one's own rows stands the published one, as printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10

from ..repeats import Repeated
from ..scenario import Published
from ..stage import TOOL_NAMES

__all__ = ['DEVICES', 'QUANTITIES', 'Cell', 'latex', 'markdown', 'tsv']

DEVICES = {'cpu': 'CPU', 'gpu': 'GPU'}

QUANTITIES = {
    'hours': 'Runtime (h)',
    'wh': 'Energy (Wh)',
    'grams': 'Carbon (gCO2e)',
}
"""What is in the table, and how its columns are called."""

NOTHING = '–'

COLUMNS = (
    *('pipeline', 'device', 'quantity', 'unit', 'mean', 'sd', 'repeat_sd', 'subject_sd'),
    *('subjects', 'runs', 'failed', 'u_rel', 'published_mean', 'published_sd', 'published_n'),
)
"""Of the table that programs read."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One pipeline on one processor.

    Parameters
    ----------
    pipeline, device : str
    values : mapping of {str : Repeated}
        By the names of :data:`QUANTITIES`.
    u_rel : mapping of {str : float}
        By the same names the multiplicative uncertainty of the mean at 95 % that comes from
        how it was measured, which no repetition shows; 1 of what a clock shows.
    published : Published or None
        What was published of the same, as printed.
    failed : int
        Runs of a session that are not in it, as a stage failed or was not seen.
    """

    pipeline: str
    device: str
    values: Mapping[str, Repeated]
    u_rel: Mapping[str, float]
    published: Published | None = None
    failed: int = 0


def markdown(cells: Sequence[Cell], notes: Iterable[str] = ()) -> str:
    """As a table of Markdown, and below it where each standard deviation comes from.

    Parameters
    ----------
    cells : sequence of Cell
    notes : iterable of str

    Returns
    -------
    str
    """
    heads, rows = _shape(cells)
    lines = [_row(heads), _row(['---'] * len(heads)), *map(_row, rows), '']
    heads, rows = _apart(cells)
    lines += [_row(heads), _row(['---'] * len(heads)), *map(_row, rows), '']
    return '\n'.join([*lines, *notes]) + '\n'


def _row(words: Iterable[str]) -> str:
    return f'| {" | ".join(words)} |'


def latex(cells: Sequence[Cell], notes: Iterable[str] = ()) -> str:
    """As a table of LaTeX, with the rules of the package booktabs.

    Parameters
    ----------
    cells : sequence of Cell
    notes : iterable of str

    Returns
    -------
    str
    """
    parts = []
    for heads, rows in (_shape(cells), _apart(cells)):
        body = '\n'.join(f'{_tex(row)} \\\\' for row in rows)
        parts.append(
            f'\\begin{{tabular}}{{ll{"r" * (len(heads) - 2)}}}\n\\toprule\n{_tex(heads)} \\\\\n'
            f'\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n'
        )
    return '\n'.join([*parts, *(f'% {note}' for note in notes)]) + '\n'


_TEX = str.maketrans(
    {'&': r'\&', '%': r'\%', '_': r'\_', '–': '--', '×': r'$\times$', '÷': r'$\div$'}
)


def _tex(words: Iterable[str]) -> str:
    return ' & '.join(word.translate(_TEX).replace('CO2e', 'CO$_2$e') for word in words)


def tsv(cells: Iterable[Cell]) -> str:
    """One line for each pipeline, processor and quantity, with all that is known of it.

    Parameters
    ----------
    cells : iterable of Cell

    Returns
    -------
    str
        Empty cells are not known. ``sd`` is that of one run of one subject.
    """
    lines = ['\t'.join(COLUMNS)]
    for cell in cells:
        for name, unit in (('hours', 'h'), ('wh', 'Wh'), ('grams', 'gCO2e')):
            one = cell.values.get(name)
            told = _published(cell.published, name)
            values: list[object] = [cell.pipeline, cell.device, name, unit]
            values += (
                [one.mean, one.sd, one.repeat_sd, one.subject_sd, one.subjects, one.values]
                if one
                else [None] * 6
            )
            values += [cell.failed, cell.u_rel.get(name), *(told or (None, None))]
            values += [cell.published.scans if cell.published else None]
            lines.append('\t'.join(map(_cell, values)))
    return '\n'.join(lines) + '\n'


def _cell(value: object) -> str:
    if value is None:
        return ''
    return f'{value:.6g}' if isinstance(value, float) else str(value)


def _shape(cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """The published table: mean (SD), processors beside each other."""
    devices = [name for name in DEVICES if any(cell.device == name for cell in cells)]
    heads = ['Pipeline', 'n']
    heads += [f'{title}, {DEVICES[one]}' for title in QUANTITIES.values() for one in devices]
    rows = []
    for pipeline in dict.fromkeys(cell.pipeline for cell in cells):
        own = {cell.device: cell for cell in cells if cell.pipeline == pipeline}
        counts = [
            str(max((v.subjects for v in c.values.values()), default=0)) for c in own.values()
        ]
        title = TOOL_NAMES.get(pipeline, pipeline)
        values = [_own(own.get(one), name) for name in QUANTITIES for one in devices]
        rows.append([title, '/'.join(dict.fromkeys(counts)), *values])
        told = {one: cell.published for one, cell in own.items() if cell.published}
        if told:
            scans = dict.fromkeys(str(one.scans) for one in told.values())
            printed = [_printed(told.get(one), name) for name in QUANTITIES for one in devices]
            rows.append([f'{title}, published', '/'.join(scans), *printed])
    return heads, rows


def _own(cell: Cell | None, name: str) -> str:
    one = cell.values.get(name) if cell else None
    return _mean(one.mean, one.sd) if one else NOTHING


def _printed(told: Published | None, name: str) -> str:
    found = _published(told, name)
    return _mean(*found) if found else NOTHING


def _published(told: Published | None, name: str) -> tuple[float, float] | None:
    if told is None:
        return None
    return {
        'hours': (told.hours, told.hours_sd),
        'wh': (told.facility_wh, told.facility_wh_sd),
        'grams': (told.grams, told.grams_sd),
    }[name]


def _apart(cells: Iterable[Cell]) -> tuple[list[str], list[list[str]]]:
    """Where the standard deviations come from, and what measuring itself leaves open."""
    heads = ['Pipeline', 'Device', 'Quantity', 'Mean', 'SD of repeats', 'SD of subjects']
    heads += ['Subjects', 'Runs', 'Measuring (95 %)']
    rows = []
    for cell in cells:
        for name, title in QUANTITIES.items():
            one = cell.values.get(name)
            if one is not None:
                u_rel = cell.u_rel.get(name, 1.0)
                rows.append(
                    [
                        TOOL_NAMES.get(cell.pipeline, cell.pipeline),
                        DEVICES[cell.device],
                        title,
                        _number(one.mean),
                        NOTHING if one.repeat_sd is None else _number(one.repeat_sd),
                        NOTHING if one.subject_sd is None else _number(one.subject_sd),
                        str(one.subjects),
                        str(one.values),
                        f'×/÷ {u_rel:.2g}' if u_rel > 1 else NOTHING,
                    ]
                )
    return heads, rows


def _mean(mean: float, sd: float | None) -> str:
    """As papers print it: mean (SD), to the digits that the SD leaves."""
    if sd is None:
        return _number(mean)
    places = _places(sd)
    return f'{mean:.{places}f} ({sd:.{places}f})'


def _number(value: float) -> str:
    return f'{value:.{_places(value)}f}'


def _places(value: float) -> int:
    """Decimal places that show two digits of a value."""
    return max(0, 1 - floor(log10(abs(value)))) if value else 2
