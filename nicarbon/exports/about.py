"""What formats of others ask for beside the rows: machines, stages, assumptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..account import PUE, Intensity
from ..host import Host
from ..stage import Stage

__all__ = ['About', 'Cell', 'Place', 'Row', 'place', 'utc']

Cell = str | float | int | None

Row = Mapping[str, Cell]
"""One stage that was run once, by the columns of ``*_carbon.tsv``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of all rows together.

    Parameters
    ----------
    intensity : Intensity
    pue : PUE
        The assumptions that the column ``carbon`` rests on.
    hosts : tuple of Host
        Machines, as far as they are known.
    stages : tuple of Stage
        Tables of the pipelines that ran, in order; empty where none is known.
    versions : tuple of (str, str)
        Packages and programs that did the work, and their versions.
    meters : mapping of {str : tuple of str}
        By kind of component (``cpu``, ``dram``, ``gpu``, ``rest``): how it was seen, such as
        ``model:tdp-linear``. Empty where nobody says.
    version : str
        Of nicarbon.
    created : str
        Now, ISO 8601.
    """

    intensity: Intensity
    pue: PUE
    hosts: tuple[Host, ...] = ()
    stages: tuple[Stage, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    meters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: str
    created: str

    def host(self, name: Cell) -> Host | None:
        """A machine by its name; None where nothing else is known of it."""
        return next((host for host in self.hosts if host.name == name), None)

    def stage(self, key: Cell) -> Stage | None:
        """A stage by its key; None where no table has it."""
        return next((stage for stage in self.stages if stage.key == key), None)

    def whole(self, key: Cell) -> Stage | None:
        """The same, and of a part (``asegdkt.axial``) the stage that it is of."""
        return self.stage(str(key).partition('.')[0]) or self.stage(key)


class Place(NamedTuple):
    """Where electricity comes from.

    Parameters
    ----------
    name, alpha_2, alpha_3 : str
        Of the country, as ISO 3166-1 has them.
    part : str
        Province, state or price area; empty where the zone is a country.
    """

    name: str
    alpha_2: str
    alpha_3: str
    part: str


def place(zone: str) -> Place | None:
    """Country and part of a zone of the grid.

    Parameters
    ----------
    zone : str
        As :class:`~nicarbon.account.Intensity` has it.

    Returns
    -------
    Place or None
        None where the zone is no place: ``world``, ``given``.

    Examples
    --------
    >>> place('CA-QC')
    Place(name='Canada', alpha_2='CA', alpha_3='CAN', part='Quebec')
    >>> place('SE3').part, place('FR').part
    ('SE3', '')
    >>> place('given')  # Not Gibraltar, whose code is GI.
    """
    known = re.fullmatch(r'([A-Z]{2})(\d|-[A-Z0-9]{1,3})?', zone)
    if known is None:
        return None
    import pycountry

    country: Any = pycountry.countries.get(alpha_2=known[1])
    if country is None:
        return None
    part: Any = pycountry.subdivisions.get(code=zone)
    area = zone if known[2] else ''
    return Place(country.name, country.alpha_2, country.alpha_3, part.name if part else area)


def utc(text: str) -> datetime:
    """A time of a row, in UTC.

    Parameters
    ----------
    text : str
        ISO 8601; UTC where it names no zone.

    Returns
    -------
    datetime.datetime

    Examples
    --------
    >>> utc('2026-08-15T14:00:00+02:00').isoformat()
    '2026-08-15T12:00:00+00:00'
    """
    read = datetime.fromisoformat(text)
    return read.astimezone(timezone.utc) if read.tzinfo else read.replace(tzinfo=timezone.utc)
