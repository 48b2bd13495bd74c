"""Moments as the program ``date`` prints them, in whatever language and time zone.

``Fri Jun  7 09:46:41 CEST 2024`` is the form of the C locale; others turn day and month round,
say names in their own language, and put the zone in brackets::

    Fr 7. Jun 09:46:41 CEST 2024        vendredi 7 juin 2024, 09:46:41 (UTC+0200)
    Fri 07 Jun 2024 09:46:41 AM EDT     2024年 06月 07日 星期五 09:46:41 CST
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

__all__ = ['Moment', 'Zones', 'dated', 'seconds_of']


class Moment(NamedTuple):
    """What a clock on a wall showed.

    Parameters
    ----------
    local : float
        Seconds since 1970 of a clock that shows the same in UTC.
    zone : str
        Name of its time zone; empty where it says none.
    """

    local: float
    zone: str


_PLAIN = re.compile(
    r'(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) '
    r'{1,2}(\d\d?) (\d\d):(\d\d):(\d\d) ([A-Z][A-Za-z]{1,4}|[+-]\d{2,4}) (\d{4})(?!\d)'
)
_TIME = re.compile(r'(?<![\d:])(\d\d?):(\d\d):(\d\d)(?![\d:])')
_ZONE = re.compile(r'^\(?(?:UTC|GMT)?([+-])(\d\d):?(\d\d)?\)?$')
_CHINESE = re.compile(r'^(\d{1,4})([年月日]),?$')
_NUMBER = re.compile(r'^(\d{1,4})[.,]?$')

_LONGEST = 200
"""Characters of a line: what is longer is none of ours."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            'jan ene gen янв oca sty',
            'feb fév fev fe\ufffd f\ufffdv фев şub lut',
            'mar mrt mär maa m\ufffdr мар',
            'apr abr avr апр nis kwi',
            'may mai mag mei maj май мая',
            'jun juin giu июн haz cze',
            'jul juil lug июл tem lip',
            'aug aoû ago ao\ufffd авг ağu sie',
            'sep set сен eyl wrz',
            'oct okt out ott окт eki paź',
            'nov ноя kas lis',
            'dec dez déc dic des d\ufffdc дек ara gru',
        ),
        1,
    )
    for name in names.split()
}
"""Of date's %b and %B in the languages of Europe by their first letters; of some, what is left
where their letters could not be read."""

_WEEKDAYS = {
    name
    for names in (
        'mon tue wed thu fri sat sun mo di mi do fr sa so lun mar mer jeu ven sam dim',
        'mié mie jue vie sáb sab dom gio seg ter qua qui sex ma wo vr za zo m\ufffd s\ufffdb',
        'man tir ons tor fre lør søn lör sön tis pzt sal çar per cum cmt paz',
        'pon wto śro czw pią sob nie пн вт ср чт пт сб вс',  # noqa: RUF001
    )
    for name in names.split()
}
_LONG_WEEKDAYS = re.compile(
    r'(?:day|tag|woch|di|edì|che|nica|feira|dag|nes|ves|coles|ado|ingo|ica|bato)$|^[a-zà-ž]{2,3}$'
)

_MINUTES = {
    name: minutes
    for minutes, names in (
        (0, 'UTC GMT WET UCT Z'),
        (60, 'CET MET BST WEST WAT'),
        (120, 'CEST MEST EET SAST CAT'),
        (180, 'EEST MSK EAT IDT TRT'),
        (300, 'PKT'),
        (420, 'WIB ICT'),
        (480, 'HKT SGT AWST WITA PHT'),
        (540, 'JST KST WIT'),
        (570, 'ACST'),
        (600, 'AEST'),
        (630, 'ACDT'),
        (660, 'AEDT'),
        (720, 'NZST'),
        (780, 'NZDT'),
        (-150, 'NDT'),
        (-180, 'ADT BRT ART'),
        (-210, 'NST'),
        (-240, 'EDT CLT'),
        (-300, 'EST CDT'),
        (-360, 'MDT'),
        (-420, 'MST PDT'),
        (-480, 'PST AKDT'),
        (-540, 'AKST HDT'),
        (-600, 'HST'),
        (-660, 'SST'),
    )
    for name in names.split()
}
"""East of UTC, of names that mean one zone (tz database). CST, IST and AST mean several."""

_DAYS_TO_1970 = date(1970, 1, 1).toordinal()
_LAST_DAY = date(2100, 1, 1).toordinal() - _DAYS_TO_1970


def dated(line: str) -> tuple[str, Moment] | None:
    """What stands before a date at the end of a line, and the date.

    Parameters
    ----------
    line : str

    Returns
    -------
    str, Moment
        None where no date is told in full.

    Examples
    --------
    >>> dated('Surf Reg lh Fri Jun  7 09:46:41 CEST 2024')
    ('Surf Reg lh', Moment(local=1717753601.0, zone='CEST'))
    >>> dated('Sphere rh Fr 7. Jun 09:46:41 CEST 2024') == ('Sphere rh', _[1])
    True
    >>> dated('sub-01 lh 17252.7')
    """
    line = line[:_LONGEST]
    found = _PLAIN.search(line)
    if found is not None:
        month, day, hour, minute, second, zone, year = found.groups()
        at = seconds_of(year, _MONTHS[month.lower()], day, hour, minute, second)
        return None if at is None else (line[: found.start()].strip(), Moment(at, zone))
    return _foreign(line)


def _foreign(line: str) -> tuple[str, Moment] | None:
    """Any other form: words around a time of day."""
    found = _TIME.search(line)
    if found is None:
        return None
    left, right = line[: found.start()].split(), line[found.end() :].split()[:5]
    first = _first(left)
    # The zone comes before a year, or at the end.
    after = [word.strip(',') for word in right]
    year, month, day = _day([*left[first:], *after])
    if year is None or month is None or day is None:
        return None
    half = next((word[0] for word in map(str.upper, after) if word in {'AM', 'PM'}), '')
    hour = int(found[1])
    if half:
        hour = hour % 12 + (12 if half == 'P' else 0)
    at = seconds_of(year, month, day, hour, found[2], found[3])
    if at is None:
        return None
    zone = next((word for word in after if _is_zone(word)), '')
    return ' '.join(left[:first]), Moment(at, zone)


def _first(words: Sequence[str]) -> int:
    """With which of the words before the time of day the date begins."""
    first, has_month, has_day = len(words), False, False
    while first:
        word = words[first - 1]
        month = _month(word)
        if not has_day and _is_weekday(word) and (has_month or month is None):
            # Names of stages may end as names of days: there is one day only.
            return first - 1
        if month is None and not (_NUMBER.match(word) or _is_particle(word)):
            break
        # Where the day comes last, nothing of Europe comes before it.
        has_day |= not word.isascii() and _is_particle(word)
        has_month |= month is not None
        first -= 1
    return first


def _is_particle(word: str) -> bool:
    bare = word.strip('.,()')
    if _CHINESE.match(word) or bare.endswith(('曜日', '요일')) or bare.startswith(('星期', '周')):
        return True
    return word.lower() in {'de', 'a', 'alle', 'à', 'kl.'} or bare in set('월화수목금토일')


def _is_weekday(word: str) -> bool:
    bare = word.lower().strip('.,')
    if bare in _WEEKDAYS:
        return True
    return len(bare) > 3 and bare[:3] in _WEEKDAYS and bool(_LONG_WEEKDAYS.search(bare))


def _month(word: str) -> int | None:
    bare = word.lower().strip('.,')
    if not 3 <= len(bare) <= 10 or not bare.isprintable():
        return None
    return _MONTHS.get(bare[:4]) or _MONTHS.get(bare[:3])


def _day(words: Sequence[str]) -> tuple[int | None, int | None, int | None]:
    """Year, month and day among the words of a date."""
    told = {found[2]: int(found[1]) for word in words if (found := _CHINESE.match(word))}
    if told:
        return told.get('年'), told.get('月'), told.get('日')
    numbers = [found[1] for word in words if (found := _NUMBER.match(word))]
    year = next((int(number) for number in numbers if len(number) == 4), None)
    small = [int(number) for number in numbers if len(number) < 3]
    months = [number for word in words if (number := _month(word)) is not None]
    if not months and len(small) == 2:
        # As in Korean: the year, the month, the day.
        return year, small[0], small[1]
    # Tuesday begins as March does in French, Italian and Spanish.
    rest = [number for number in months if number != 3]
    month = rest[-1] if rest else next(iter(months), None)
    return year, month, next(iter(small), None)


def _is_zone(word: str) -> bool:
    if word.upper() in {'AM', 'PM'}:
        return False
    return bool(_ZONE.match(word)) or (2 <= len(word) <= 5 and word.isalpha() and word.isupper())


def seconds_of(
    year: str | int,
    month: str | int,
    day: str | int,
    hour: str | int,
    minute: str | int,
    second: str | int,
) -> float | None:
    """Seconds since 1970 of a clock that shows this in UTC.

    Parameters
    ----------
    year, month, day, hour, minute, second : str or int

    Returns
    -------
    float
        None where no clock shows it, or none that a log of ours was written by.

    Examples
    --------
    >>> seconds_of(1971, 1, 1, 0, 0, 1), seconds_of('2023', '02', '30', 0, 0, 0)
    (31536001.0, None)
    """
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _DAYS_TO_1970
        clock = int(hour), int(minute), int(second)
    except ValueError:
        return None
    if not 0 <= days < _LAST_DAY or not (clock[0] < 24 and clock[1] < 60 and clock[2] <= 60):
        return None
    return float(days * 86400 + clock[0] * 3600 + clock[1] * 60 + clock[2])


class Zones:
    """What the names of time zones mean in one log.

    A name may mean several zones; where programs in the log also tell the time in UTC, that
    says which.
    """

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        self.unknown: list[str] = []

    def learn(self, shown: Moment, utc: float) -> None:
        """Two clocks were read within seconds.

        Parameters
        ----------
        shown : Moment
        utc : float
            Seconds since 1970.

        Examples
        --------
        >>> zones = Zones()
        >>> zones.learn(Moment(36000.0, 'CST'), 7203.0)
        >>> zones.utc(Moment(40000.0, 'CST')), zones.unknown
        (11200.0, [])
        """
        ahead = shown.local - utc
        quarters = round(ahead / 900)
        if abs(ahead - 900 * quarters) <= 120 and -48 <= quarters <= 56:
            self._known.setdefault(shown.zone, 900.0 * quarters)

    def utc(self, shown: Moment) -> float:
        """Seconds since 1970; as if it were UTC where the zone is not known.

        Parameters
        ----------
        shown : Moment

        Returns
        -------
        float

        Examples
        --------
        >>> zones = Zones()
        >>> zones.utc(Moment(7200.0, 'CEST')), zones.utc(Moment(0.0, '-03'))
        (0.0, 10800.0)
        >>> zones.utc(Moment(7200.0, 'XYZ')), zones.unknown
        (7200.0, ['XYZ'])
        """
        return shown.local - self.ahead(shown.zone)

    def ahead(self, zone: str) -> float:
        """Seconds by which the clocks of a zone are ahead of UTC.

        Parameters
        ----------
        zone : str

        Returns
        -------
        float
        """
        if zone not in self._known:
            known = _ahead(zone)
            if known is None:
                self.unknown.append(zone)
            self._known[zone] = known or 0.0
        return self._known[zone]


def _ahead(zone: str) -> float | None:
    found = _ZONE.match(zone)
    if found is None:
        return None if zone not in _MINUTES else 60.0 * _MINUTES[zone]
    sign, hours, minutes = found.groups()
    ahead = 3600.0 * int(hours) + 60.0 * int(minutes or 0)
    return None if ahead > 14 * 3600 else -ahead if sign == '-' else ahead
