"""Yearly averages by country, province, state or price area, from CodeCarbon's tables.

Countries: Our World in Data / Ember, life-cycle (CC BY 4.0). States of the
USA: EPA eGRID, direct. Provinces of China: MEE/NBS, direct. Price areas of
Sweden, Norway and Finland: CodeCarbon, life-cycle. Provinces of Canada: the
generation mix of CodeCarbon weighted with its life-cycle factors per source
(its own function counts combustion alone, which puts Quebec's hydropower at
4 g/kWh rather than 30).
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..account import Intensity
from ..errors import GridError

__all__ = ['Table', 'World']

U_COUNTRY = 2.0
"""A national yearly average stands for a place and hours that it does not know:
a factor of 2 at 95 % (national tables of different publishers differ by that)."""

U_REGION = 1.2
"""A published yearly average of the right zone: a factor of 1.2 at 95 %."""

WORLD_RANGE = (35.0, 750.0)
"""Nine in ten of the 213 national averages of CodeCarbon's table lie between
these two (g/kWh): what "somewhere in the world" may mean."""

_CANADA = {
    'naturalGas': 'natural_gas',
    'nuclear': 'nuclear',
    'petroleum': 'petroleum',
    'biomass': 'biomass',
    'coal': 'coal',
    'solar': 'solar',
    'wind': 'wind',
    'hydro': 'hydroelectricity',
}
_NORDIC = {'SE': 'SWE', 'NO': 'NOR', 'FI': 'FIN'}


class World:
    """The world average, for those who gave no grid: assumed, and wide."""

    def over(self, start: datetime, stop: datetime) -> Intensity:  # noqa: ARG002 - the port's
        """The same for any period."""
        return self.whole()

    def whole(self) -> Intensity:
        """The yearly average."""
        average = _source().get_carbon_intensity_per_source_data()['world_average']
        return Intensity(
            float(average),
            *WORLD_RANGE,
            zone='world',
            start='2019-01-01',
            stop='2019-12-31',
            kind='average, lifecycle',
            source='IEA world average by CodeCarbon; set yours with --grid ZONE or --grid G_PER_KWH',
            tier='assumed',
        )


class Table:
    """One zone of the tables.

    Parameters
    ----------
    zone : str
        ISO 3166-1 (``FR``, ``FRA``), ISO 3166-2 of Canada, the USA and China
        (``CA-QC``, ``US-CA``, ``CN-BJ``), or a price area (``SE3``).

    Raises
    ------
    GridError
        When no table has it; the message lists the nearest names.

    Examples
    --------
    >>> from datetime import datetime, timezone
    >>> now = datetime.now(timezone.utc)
    >>> Table('FRA').over(now, now).zone, Table('ca-qc').over(now, now).zone
    ('FR', 'CA-QC')
    >>> Table('CA-QQ')  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    nicarbon.errors.GridError: --grid CA-QQ: no such zone; did you mean CA-QC (Quebec), ...
    """

    def __init__(self, zone: str) -> None:
        code = zone.strip().upper()
        lookups = (_country, _canada, _usa, _china, _nordic)
        found = next((hit for look in lookups if (hit := look(code)) is not None), None)
        if found is None:
            msg = f'--grid {zone}: no such zone; did you mean {", ".join(_near(zone))}?'
            raise GridError(msg)
        self.intensity = found

    def over(self, start: datetime, stop: datetime) -> Intensity:  # noqa: ARG002 - the port's
        """The yearly average, whatever the period within it."""
        return self.intensity

    def whole(self) -> Intensity:
        """The same."""
        return self.intensity


def _source() -> Any:
    from codecarbon.input import DataSource

    return DataSource()


def _intensity(
    g_per_kwh: float, u_rel: float, zone: str, year: int, kind: str, source: str
) -> Intensity:
    g = round(float(g_per_kwh), 3)
    return Intensity(g, g / u_rel, g * u_rel, zone, f'{year}-01-01', f'{year}-12-31', kind, source)


def _country(code: str) -> Intensity | None:
    import pycountry

    country = (
        pycountry.countries.get(**{f'alpha_{len(code)}': code}) if len(code) in {2, 3} else None
    )
    if country is None:
        return None
    row = _source().get_global_energy_mix_data().get(country.alpha_3, {})
    if row.get('carbon_intensity') is None:
        return None
    source = 'Our World in Data / Ember by CodeCarbon'
    return _intensity(
        row['carbon_intensity'],
        U_COUNTRY,
        country.alpha_2,
        row['year'],
        'average, lifecycle',
        source,
    )


def _canada(code: str) -> Intensity | None:
    mix = _source().get_country_energy_mix_data('can').get(_province(code))
    if mix is None:
        return None
    factors = _source().get_carbon_intensity_per_source_data()
    grams = sum(mix[name] * factors[factor] for name, factor in _CANADA.items()) / mix['total']
    return _intensity(
        grams,
        U_COUNTRY,
        code,
        2023,
        'average, lifecycle',
        'generation mix and life-cycle factors of CodeCarbon',
    )


def _province(code: str) -> str:
    import pycountry

    subdivision = pycountry.subdivisions.get(code=code) if code.startswith('CA-') else None
    return _plain(subdivision.name) if subdivision else ''


def _usa(code: str) -> Intensity | None:
    states = _source().get_country_emissions_data('usa')
    for row in states.values():
        if code == f'US-{row.get("regionCode")}':
            from codecarbon.core.units import EmissionsPerKWh

            kilograms = EmissionsPerKWh.from_lbs_per_mWh(row['emissions']).kgs_per_kWh
            source = states['_source']
            return _intensity(
                1000 * kilograms,
                U_REGION,
                code,
                source['year'],
                'average, direct',
                source['name'],
            )
    return None


def _china(code: str) -> Intensity | None:
    row = _source().get_china_provincial_emissions_data()['data'].get(code)
    return row and _region(row, code, 'average, direct', 'MEE/NBS by CodeCarbon')


def _nordic(code: str) -> Intensity | None:
    country, _, area = code.rpartition('-')
    if country and (country not in _NORDIC or not area.startswith(country)):
        return None
    row = _source().get_nordic_country_energy_mix_data()['data'].get(area)
    return row and _region(row, area, 'average, lifecycle', 'price areas by CodeCarbon')


def _region(row: Mapping[str, Any], zone: str, kind: str, source: str) -> Intensity:
    return _intensity(row['emission_factor'], U_REGION, zone, row['year'], kind, source)


def _near(zone: str) -> list[str]:
    """Names of zones that look like what was asked for."""
    names = _names()
    if zone.strip().upper() == 'UK':
        return [names['GB']]
    folded = {_plain(word): label for code, label in names.items() for word in (code, label)}
    folded |= {_plain(label.partition('(')[2].rstrip(')')): label for label in names.values()}
    close = difflib.get_close_matches(_plain(zone), folded, n=6, cutoff=0.5)
    return list(dict.fromkeys(folded[word] for word in close))[:4] or [
        'FR',
        'GB',
        'CA-QC',
        'US-CA',
    ]


def _names() -> dict[str, str]:
    import pycountry

    world = _source().get_global_energy_mix_data()
    names = {
        country.alpha_2: f'{country.alpha_2} ({country.name})'
        for country in pycountry.countries
        if country.alpha_3 in world
    }
    for code, table in (('CA', _canada), ('US', _usa), ('CN', _china)):
        for part in pycountry.subdivisions.get(country_code=code):
            if table(part.code) is not None:
                names[part.code] = f'{part.code} ({part.name})'
    return names


def _plain(name: str) -> str:
    """Lower case without accents: ``Québec`` → ``quebec``."""
    letters = unicodedata.normalize('NFKD', name)
    return ''.join(letter for letter in letters if not unicodedata.combining(letter)).lower()
