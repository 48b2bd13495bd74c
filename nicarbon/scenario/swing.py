"""How the total moves with each factor: one at a time, everything else as it is.

Each factor has a low and a high, and a reason for them: a source, an interval, a judgement
that is named, or what somebody asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from ..account import PUE, Footprint, Intensity
from ..quantity import energy
from .cost import ScanCost
from .factors import Factors
from .projection import AVERAGE_PUE, Estimate, project

__all__ = ['NAMES', 'NUMBERS', 'OLD_PUE', 'ONCE_MORE', 'End', 'Per', 'Swing', 'still', 'swings']

Per = Literal['experiment', 'day']
"""All scans of an experiment, or a day of the jobs that run side by side."""

ONCE_MORE = 0.5
"""Fraction of runs that is repeated where all of it is run once more, as after a mistake that
was found late (judgement: how often that happens is not known)."""

OLD_PUE = 2.0
"""Of a machine room in an old building (judgement), for those above the average already."""

NAMES = {
    'scans': 'Scans',
    'configurations': 'Configurations',
    'lost': 'Failed or repeated',
    'trial_runs': 'Trial runs',
    'training_kwh': 'Training',
    'pue': 'Facility (PUE)',
    'grid': 'Grid',
    'intensity': 'This grid, as known',
    'joules': 'Joules of a scan',
    'pipeline': 'Pipeline',
    'processor': 'Processor',
}
"""What factors are called."""

NUMBERS = ('scans', 'configurations', 'lost', 'trial_runs', 'training_kwh', 'pue')
"""Those that are a number, in the order of :class:`Factors`."""

DAILY = {'pue', 'grid', 'intensity', 'joules', 'pipeline', 'processor'}
"""Those that move what a day takes; the others move how many days there are."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of a swing.

    Parameters
    ----------
    label : str
        Value of the factor.
    total : Footprint
        With it, and everything else as in the base.
    """

    label: str
    total: Footprint


@dataclass(frozen=True, slots=True)
class Swing:
    """How far one factor moves the total.

    Parameters
    ----------
    key, name : str
        Such as ``pue`` and ``Facility (PUE)``.
    low, high : End
        By their totals: the factor itself may run the other way.
    reason : str
        Why these two: a source, or whose judgement.
    """

    key: str
    name: str
    low: End
    high: End
    reason: str

    @property
    def times(self) -> float:
        """How many times the low the high is: of grams, or of kWh where there are none."""
        low, high = self.low.total, self.high.total
        pairs = ((low.grams, high.grams), (low.kwh, high.kwh))
        small, large = next((pair for pair in pairs if pair[1]), (1.0, 1.0))
        return large / small if small else math.inf

    @property
    def reach(self) -> tuple[float, float]:
        """Times, then grams between the ends: what swings are sorted by, as factors multiply."""
        return self.times, self.high.total.grams - self.low.total.grams

    def like(self, other: Swing) -> tuple[End, End]:
        """Both ends in the order in which another swing has the same values of the factor.

        What takes less for a scan may take more in a day.
        """
        if self.low.label == other.high.label:
            return self.high, self.low
        return self.low, self.high


def swings(
    base: Factors,
    *,
    costs: Sequence[ScanCost] = (),
    grids: Sequence[Intensity] = (),
    ranges: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    between: tuple[Intensity, Intensity] | None = None,
    per: Per = 'experiment',
) -> tuple[Swing, ...]:
    """Move each factor from its low to its high, everything else as in the base.

    Parameters
    ----------
    base : Factors
    costs : sequence of ScanCost
        Other pipelines and processors, known in the same way: joules that somebody published
        do not compare with one's own.
    grids : sequence of Intensity
        Other grids.
    ranges : mapping of {str : (float, float)}
        Low and high of some of ``NUMBERS``, instead of those that are known.
    between : (Intensity, Intensity), optional
        The two grids to move between, instead of the cleanest and the dirtiest of all.
    per : {'experiment', 'day'}

    Returns
    -------
    tuple of Swing
        The farthest first, by how many times; those that move nothing are left out.

    Raises
    ------
    UsageError
        When a range leads where no factor can be.

    Examples
    --------
    >>> from nicarbon.scenario import published
    >>> quebec = Intensity(30.0, 30.0, 30.0, 'CA-QC', '', '', 'average', 'the publication')
    >>> base = Factors(published('freesurfer').cost, 10_000, quebec, PUE(1.2))
    >>> for one in swings(base, ranges={'lost': (0, 0.1)}):
    ...     print(one.name, one.low.label, one.high.label, round(one.high.total.grams / 1e3, 1))
    Joules of a scan 34.3 Wh 137 Wh 49.4
    Facility (PUE) 1 1.58 32.5
    Failed or repeated 0 % 10 % 27.5
    """
    found = []
    for key, reason, values in _alternatives(
        base, costs, between or (base.intensity, *grids), ranges
    ):
        ends = [_end(label, factors, per) for label, factors in values]
        seen = sorted((end for end in ends if end), key=lambda end: _size(end.total))
        if len(seen) > 1 and (per == 'experiment' or key in DAILY):
            found.append(Swing(key, NAMES[key], seen[0], seen[-1], reason))
    moved = [one for one in found if _size(one.low.total) != _size(one.high.total)]
    return tuple(sorted(moved, key=lambda one: one.reach, reverse=True))


def _size(one: Footprint) -> tuple[float, float]:
    return one.grams, one.kwh


def _end(label: str, factors: Factors, per: Per) -> End | None:
    whole: Estimate = project(factors)
    taken = whole.footprint if per == 'experiment' else whole.per_day
    return None if taken is None else End(label, taken)


_Alternative = tuple[str, str, list[tuple[str, Factors]]]
"""Key, reason, and the factors by the label of their value."""


def _alternatives(
    base: Factors,
    costs: Sequence[ScanCost],
    grids: Sequence[Intensity],
    ranges: Mapping[str, tuple[float, float]],
) -> Iterator[_Alternative]:
    for key in NUMBERS:
        low, high, reason = (*ranges[key], 'as given') if key in ranges else _known(base, key)
        yield key, reason, [(_text(key, value), _with(base, key, value)) for value in (low, high)]
    yield 'grid', 'yearly averages', [(_grid(one), replace(base, intensity=one)) for one in grids]
    yield 'intensity', f'95 % interval of {base.intensity.source}', _bounds_of_grid(base)
    yield 'joules', '95 % interval, by how they were seen', _bounds_of_joules(base)
    yield 'pipeline', *_pipelines(base, costs)
    yield 'processor', *_processors(base, costs)


def _known(base: Factors, key: str) -> tuple[float, float, str]:
    """Low, high and reason of a number where nobody gave them; the base is among them."""
    value = base.pue.value if key == 'pue' else getattr(base, key) or 0.0
    average = (AVERAGE_PUE, "computers alone; average of Uptime Institute's survey of 2023")
    old = (max(value, OLD_PUE), 'computers alone; an old machine room (judgement)')
    known = {
        'configurations': (1, value, 'one of them, and all'),
        'lost': (0.0, max(value, ONCE_MORE), 'nothing lost; all run once more (judgement)'),
        'trial_runs': (0.0, value, 'without them, and with them'),
        'training_kwh': (0.0, value, 'trained by others; as given'),
        'pue': (1.0, *(average if value < AVERAGE_PUE else old)),
    }
    return known.get(key, (value, value, ''))


def _with(base: Factors, key: str, value: float) -> Factors:
    changed: Any = value
    if key == 'pue':
        changed = base.pue if value == base.pue.value else PUE(value)
    return replace(base, **{key: changed})


def _text(key: str, value: float) -> str:
    if key == 'lost':
        return f'{100 * value:.3g} %'
    if key == 'training_kwh':
        return f'{value:,.4g} kWh'
    return f'{value:.3g}' if key == 'pue' else f'{value:,.12g}'


def _grid(one: Intensity) -> str:
    where = '' if one.zone == 'given' else f'{one.zone}, '
    return f'{where}{one.g_per_kwh:.3g} g/kWh'


def _bounds_of_grid(base: Factors) -> list[tuple[str, Factors]]:
    own = base.intensity
    known = [replace(own, g_per_kwh=g, low=g, high=g) for g in (own.low, own.high)]
    return [(f'{g.g_per_kwh:.3g} g/kWh', replace(base, intensity=g)) for g in known]


def _bounds_of_joules(base: Factors) -> list[tuple[str, Factors]]:
    cost = base.cost
    bounds = [cost.joules / cost.u_rel, cost.joules * cost.u_rel]
    return [
        (energy(joules), replace(base, cost=replace(cost, joules=joules, u_rel=1.0)))
        for joules in bounds
    ]


def _pipelines(base: Factors, costs: Sequence[ScanCost]) -> tuple[str, list[tuple[str, Factors]]]:
    """Other pipelines, on the same kind of processor where they are known on it."""
    others = [one for one in costs if one.pipeline != base.cost.pipeline]
    alike = [one for one in others if one.device == base.cost.device]
    reason = 'costs known in the same way' + ('' if alike else ', on another processor')
    return reason, _of_costs(base, alike or others)


def _processors(base: Factors, costs: Sequence[ScanCost]) -> tuple[str, list[tuple[str, Factors]]]:
    """The same pipeline on other processors."""
    own = base.cost
    alike = [one for one in costs if one.pipeline == own.pipeline]
    others = [one for one in alike if one.device != own.device]
    return 'costs known in the same way', _of_costs(base, others)


def _of_costs(base: Factors, others: Sequence[ScanCost]) -> list[tuple[str, Factors]]:
    return [(one.name, replace(base, cost=one)) for one in (base.cost, *others)]


def still(base: Factors, found: Sequence[Swing]) -> dict[str, str]:
    """Why the other factors do not move it.

    Parameters
    ----------
    base : Factors
    found : sequence of Swing
        Of an experiment.

    Returns
    -------
    dict of {str : str}
        By what they are called.

    Examples
    --------
    >>> from nicarbon.scenario import published
    >>> quebec = Intensity(30.0, 30.0, 30.0, 'CA-QC', '', '', 'average', 'the publication')
    >>> base = Factors(published('freesurfer').cost, 10_000, quebec, PUE(1.2))
    >>> still(base, swings(base))['Training']
    'not known, and not counted'
    """
    unknown = base.training_kwh is None
    why = {
        'scans': 'the total is in proportion to them',
        'configurations': 'there is one',
        'lost': 'nothing is',
        'trial_runs': 'there are none',
        'training_kwh': 'not known, and not counted' if unknown else 'none',
        'grid': 'no other is shown',
        'intensity': 'it was given as one number',
        'joules': 'they are taken as exact',
        'pipeline': 'no cost of another one is known in the same way',
        'processor': 'no cost on another one is known in the same way',
    }
    moved = {one.key for one in found}
    return {NAMES[key]: reason for key, reason in why.items() if key not in moved}
