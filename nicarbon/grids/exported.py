"""Traces as people have them: CSV files that publishers export, or one's own.

==================  ======================================================================
Electricity Maps    ``Datetime (UTC)``, ``Carbon intensity gCO₂eq/kWh (Life cycle)``, …
NESO                ``Datetime (UTC)``, ``Actual Carbon Intensity (gCO2/kWh)``, …
RTE                 ``Date - Heure``, ``Taux de CO2 (g/kWh)``; or ``date_heure``, ``taux_co2``
WattTime            ``timestamp``, ``MOER (lbs/MWh)``: marginal
anybody             ``datetime (UTC)``, ``g_per_kwh``
==================  ======================================================================

The heading of a column says what its numbers are: without a unit there is no number. A moment
has a time zone: its own, or the ``UTC`` of its heading. Rows may come in any order. One
without a value is none; a value that is no number, negative or impossible is an error.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..errors import GridError
from .trace import U_FORECAST, U_MARGINAL, U_STEP, Trace, held

__all__ = ['read']

MOST = 3000.0
"""Grams per kWh beyond those of any power plant (oil shale has about 1500): a wrong unit."""

GRAMS = {'g': 1.0, 'kg': 1e3, 'lb': 453.59237, 'lbs': 453.59237, 't': 1e6, 'tonnes': 1e6}
"""In a unit of mass; that of the pound is exact by the agreement of 1959."""

PER_KWH = {'kwh': 1.0, 'mwh': 1e-3}

_UNIT = re.compile(r'\b(g|kg|lbs?|t|tonnes) ?(?:of )?(?:co2 ?(?:eq?)?)? ?/ ?(kwh|mwh)\b')
_OTHER_GASES = re.compile(r'\b(so2|nox|ch4|n2o|pm)')
_TIMES = (
    'datetime', 'date time', 'date - heure', 'date heure', 'timestamp', 'point time', 'from',
    'start', 'time', 'date',
)  # fmt: skip
_ZONES = ('zone id', 'zone', 'ba', 'region', 'zone name')
_NOTHING = {'', '-', 'na', 'n/a', 'nan', 'nd', 'null', 'none'}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of intensities, by its heading."""

    index: int
    heading: str
    factor: float
    kind: str
    publisher: str
    zone: str

    @property
    def u_rel(self) -> float:
        """Multiplicative uncertainty of its values at 95 %."""
        if self.kind == 'marginal':
            return U_MARGINAL
        return U_FORECAST if 'forecast' in self.kind else U_STEP

    @property
    def rank(self) -> int:
        """The lowest is taken: with the life cycle, direct, of no known kind, the rest."""
        known = ('average, lifecycle', 'average, direct', 'average')
        return known.index(self.kind) if self.kind in known else len(known)


def read(path: Path) -> Trace:
    r"""Read a trace.

    Parameters
    ----------
    path : pathlib.Path
        CSV with commas, semicolons or tabs, UTF-8, headings first.

    Returns
    -------
    Trace

    Raises
    ------
    GridError
        When it cannot be read, or a row of it makes no sense; names file, line and mending.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / 'FR_2024_hourly.csv'
    >>> _ = path.write_text('datetime,g_per_kwh\n2024-01-01T00Z,30\n2024-01-01T01Z,40\n')
    >>> trace = read(path)
    >>> trace.zone, trace.whole().g_per_kwh, trace.kind
    ('FR', 35.0, 'average')
    """
    rows = _rows(path)
    _, headings = next(rows, (0, []))
    names = [_plain(heading) for heading in headings]
    when = _time_column(path, names, headings)
    what = _value_column(path, names, headings)
    where = next((names.index(name) for name in _ZONES if name in names), None)
    values: dict[datetime, float] = {}
    zones: set[str] = set()
    for line, row in rows:
        _check_width(path, line, row, headings)
        value = _value(path, line, row[what.index], what)
        if value is None:
            continue
        moment = _moment(path, line, row[when], utc='utc' in names[when])
        if values.setdefault(moment, value) != value:
            raise _bad(path, f'line {line}: a second value for {row[when]}; leave one')
        if where is not None:
            zones.add(row[where].strip())
    if len(values) < 2:
        raise _bad(path, 'it has fewer than two values; for one, give --grid G_PER_KWH')
    if len(zones) > 1:
        raise _bad(path, f'it has several zones ({", ".join(sorted(zones)[:4])}); leave one')
    zone = ''.join(zones) or what.zone or _zone_of_name(path.stem)
    source = f'{path.name} ({what.publisher})' if what.publisher else path.name
    return Trace(
        held(sorted(values.items())), path.name, zone, what.kind, source, u_rel=what.u_rel
    )


def _bad(path: Path, words: str) -> GridError:
    return GridError(f'--grid {path}: {words}')


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of all rows that are not empty."""
    try:
        with path.open(encoding='utf-8-sig', newline='') as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(',;\t', key=first.count)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            for row in lines:
                if any(cell.strip() for cell in row):
                    yield lines.line_num, row
    except FileNotFoundError:
        raise _bad(path, 'no such file') from None
    except OSError as error:
        raise _bad(path, f'cannot be read: {error.strerror}') from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, f'it is no CSV in UTF-8 ({error}); export it as such') from error


def _plain(heading: str) -> str:
    """A heading as it is compared: ``Carbon_Intensity gCO₂eq/kWh`` as ``… gco2eq/kwh``.

    Examples
    --------
    >>> _plain(' g_per_kWh'), _plain('Datetime  (UTC)')
    ('g/kwh', 'datetime (utc)')
    """
    text = ' '.join(heading.lower().replace('₂', '2').replace('_', ' ').split())
    return text.replace(' per ', '/')


def _time_column(path: Path, names: Sequence[str], headings: Sequence[str]) -> int:
    bare = [' '.join(re.sub(r'\(?\butc\b\)?', '', name).split()) for name in names]
    for known in _TIMES:
        if known in bare:
            return bare.index(known)
    raise _bad(path, f"no column is called 'datetime (UTC)' or alike: {_listed(headings)}")


def _listed(headings: Iterable[str]) -> str:
    shown = ', '.join(heading.strip()[:50] for heading in list(headings)[:8])
    return 'it has ' + (''.join(c if c.isprintable() else '?' for c in shown) or 'none')


def _value_column(path: Path, names: Sequence[str], headings: Sequence[str]) -> _Column:
    """The one column to take."""
    found = [
        column
        for index, name in enumerate(names)
        if (column := _column(index, name, headings[index].strip())) is not None
    ]
    if not found:
        raise _bad(
            path,
            "no column is called 'g_per_kwh' or alike, with its unit (gCO2/kWh, lbs/MWh): "
            + _listed(headings),
        )
    best = min(found, key=lambda column: column.rank)
    same = [column.heading for column in found if column.rank == best.rank]
    if len(same) > 1:
        raise _bad(path, f'columns {" and ".join(same)} are of one kind; leave one')
    return best


def _column(index: int, name: str, heading: str) -> _Column | None:
    unit = re.fullmatch('()taux co2()', name) or _UNIT.search(name)
    if unit is None or _OTHER_GASES.search(name):
        return None
    # RTE's short name has no unit: it is that of the long one, g/kWh.
    factor = GRAMS[unit[1]] * PER_KWH[unit[2]] if unit[1] else 1.0
    return _Column(index, heading, factor, *_nature(name))


def _nature(name: str) -> tuple[str, str, str]:
    """Kind, publisher and zone of a column, as far as its name tells them."""
    if name in {'taux co2', 'taux de co2 (g/kwh)'}:
        return 'average, direct', 'RTE', 'FR'
    if 'moer' in name or 'marginal' in name:
        return 'marginal', 'WattTime' if 'moer' in name else '', ''
    neso = re.fullmatch(r'(actual|forecast) carbon intensity \(gco2/kwh\)', name) is not None
    kind = 'average'
    if re.search(r'life ?cycle|\blca\b', name):
        kind += ', lifecycle'
    elif neso or 'direct' in name:
        kind += ', direct'
    if 'forecast' in name:
        kind += ', forecast'
    if neso:
        return kind, 'NESO', 'GB'
    maps = name.startswith('carbon intensity gco2eq/kwh')
    return kind, 'Electricity Maps' if maps else '', ''


def _check_width(path: Path, line: int, row: Sequence[str], headings: Sequence[str]) -> None:
    """Rows that were cut off, or in which a comma stands for a decimal point, are none."""
    if len(row) < len(headings) or any(cell.strip() for cell in row[len(headings) :]):
        raise _bad(path, f'line {line} has {len(row)} columns rather than {len(headings)}')


def _value(path: Path, line: int, cell: str, column: _Column) -> float | None:
    """Grams per kWh; None where the publisher had none."""
    if cell.strip().lower() in _NOTHING:
        return None
    try:
        value = float(cell) * column.factor
    except ValueError:
        raise _bad(path, f'line {line}: {cell[:40]!r} is no number, as in 33.4') from None
    if not (math.isfinite(value) and 0 <= value <= MOST):
        raise _bad(
            path,
            f'line {line}: {cell.strip()} in {column.heading!r} is no intensity: '
            f'0 to {MOST:g} g/kWh are',
        )
    return value


def _moment(path: Path, line: int, cell: str, *, utc: bool) -> datetime:
    """A moment in UTC."""
    text = re.sub(r' ?(?:Z|UTC)$', '+00:00', cell.strip())
    text = re.sub(r' ?([+-]\d\d):?(\d\d)$', r'\1:\2', text) if ':' in text else text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _bad(
            path, f'line {line}: {cell[:40]!r} is no time, as in 2024-01-31T13:00Z'
        ) from None
    if moment.tzinfo is None and not utc:
        raise _bad(
            path,
            f'line {line}: {cell[:40]!r} has no time zone; write 2024-01-31T13:00Z, or, where all '
            "times are UTC, call the column 'datetime (UTC)'",
        )
    aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc)


def _zone_of_name(stem: str) -> str:
    """A zone, as far as a name of a file tells it; else that name.

    Examples
    --------
    >>> _zone_of_name('US-CAL-CISO_2024_hourly'), _zone_of_name('my grid')
    ('US-CAL-CISO', 'my grid')
    """
    found = re.match(r'[A-Z]{2}(?:-[A-Z0-9]+)*(?![A-Za-z0-9])', stem)
    return found[0] if found else stem
