"""A report in the data model of Boavizta's BoAmps, version 1.1.0.

One report for all rows. BoAmps is made for machine learning, and asks for some things that
nobody knows of a pipeline; they get the word that claims least, and ``taskDescription``
says so. Whatever else is not known is absent.

=======================  ==================================================================
``measures``             one for each kind of component; they are disjoint and add up to the
                         energy of the computers, without the facility, in kWh
``measurementDuration``  from the first start to the last end of each run, added up, s
``task.dataset``         one item: sessions, however many images each has
``infrastructure``       processors and memory of all hosts; ``infraType`` is not known
``environment``          country and part of the grid's zone; none where it is no place
``quality``              by the interval of the energy; none where that is wider than BoAmps
                         has a word for (±50 %)
=======================  ==================================================================

The data model is https://github.com/Boavizta/BoAmps/tree/main/model.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from ..errors import InputError
from ..quantity import JOULES_PER_KWH, carbon, energy
from .about import About, Row, place, utc
from .tally import Runs, Tally

__all__ = ['FORMAT_VERSION', 'MODEL', 'BoAmps']

FORMAT_VERSION = '1.1.0'
"""Newest release in the notes of the data model (March 2025)."""

MODEL = 'https://github.com/Boavizta/BoAmps/tree/main/model'

QUALITIES = ((0.1, 'high'), (0.25, 'medium'), (0.5, 'low'))
"""Relative error and BoAmps' word for it, as its report schema explains them."""

MOST_NAMES = 200
"""Stages that are listed; nodes without a stage table may have any number of names."""

_COMPONENTS = {'cpu': 'CPU', 'dram': 'memory', 'gpu': 'GPU', 'rest': 'rest of the machine'}


class BoAmps:
    """One report; what it keeps grows with sessions, runs and hosts, not with rows.

    Parameters
    ----------
    about : About
    """

    def __init__(self, about: About) -> None:
        self._about = about
        self._runs = Runs(about.hosts)
        self._sessions: set[tuple[str, str]] = set()
        self._names: dict[str, None] = {}

    def add(self, row: Row) -> None:
        """Take one row."""
        self._runs.add(row)
        if row['outcome'] == 'cached':
            return
        if row['subject']:
            self._sessions.add((str(row['subject']), str(row['session'] or '')))
        if row['stage'] and len(self._names) < MOST_NAMES:
            self._names.setdefault(str(row['stage']))

    def text(self) -> str:
        """The report as JSON.

        Raises
        ------
        InputError
            When no energy was seen: a report without one does not exist.
        """
        whole = self._runs.whole
        if not whole.tiers:
            raise InputError(
                'no meter saw any energy, and a BoAmps report must have one: see nicarbon doctor'
            )
        known = any(self._about.whole(name) for name in self._names)
        report: dict[str, Any] = {
            'task': _task(self._about, list(self._names), len(self._sessions), known=known)
            | {'taskDescription': ' '.join(self._description(whole, known=known))},
            'measures': self._measures(whole),
            'system': {'os': 'Linux'},  # Nothing else is measured.
            'infrastructure': {
                'infraType': 'other',
                'components': _components(self._about, {host for _, host, _ in self._runs}),
            },
            **_environment(self._about),
            **_quality(whole),
        }
        return json.dumps({'header': _header(self._about, report)} | report, indent=2) + '\n'

    def _measures(self, whole: Tally) -> list[dict[str, Any]]:
        """Disjoint parts of the energy, by kind of component."""
        when: dict[str, Any] = {
            'measurementDuration': sum(one.seconds or 0.0 for _, _, one in self._runs)
        }
        if whole.first is not None:
            when['measurementDateTime'] = _utc(whole.first)
        total, measures, told = whole.sum('energy') or 0.0, [], 0.0
        for kind, name in _COMPONENTS.items():
            joules = whole.sum(f'energy_{kind}')
            if joules is not None:
                told += joules
                methods = '+'.join(self._about.meters.get(kind, ()))
                own_key = methods and kind in {'cpu', 'gpu'}
                shown = name if own_key or not methods else f'{name}, {methods}'
                measures.append(self._measure(joules, shown))
                if own_key:
                    measures[-1][f'{kind}TrackingMode'] = methods
                if kind == 'cpu' and whole.load is not None:
                    measures[-1]['averageUtilizationCpu'] = whole.load
        # What no column of a component has.
        if not measures or total - told > 1e-9 * total:
            measures.append(self._measure(total - told, 'other components'))
        return [measure | when for measure in measures]

    def _measure(self, joules: float, what: str) -> dict[str, Any]:
        return {
            'measurementMethod': f'nicarbon ({what})',
            'version': self._about.version,
            'powerConsumption': joules / JOULES_PER_KWH,
        }

    def _description(self, whole: Tally, *, known: bool) -> Iterator[str]:
        """What the numbers stand for, and what does not fit, sentence by sentence."""
        people, many = len({subject for subject, _ in self._sessions}), len(self._sessions)
        if many:
            yield f'Sessions processed: {many}, of {people} participants.'
            yield 'dataQuantity counts sessions, however many images each has.'
        counts = ', '.join(f'{number} {outcome}' for outcome, number in whole.outcomes.items())
        yield f'Times that stages were run, by outcome: {counts}.'
        yield 'What failed or was killed is in the energy; what was cached used none.'
        if whole.unseen:
            yield f'{whole.unseen} of them no meter saw: the energy lacks them.'
        yield from _numbers(whole, self._about)
        if known:
            yield 'taskStage is the nearest word that BoAmps has: nothing is trained.'
        else:
            yield 'What kind of task it was is not known.'
        yield 'infraType is not known and therefore "other".'
        if whole.sum('energy_gpu') is not None:
            yield 'GPUs were used, and are not listed among the components.'
        if not _quality(whole):
            yield 'The interval is wider than BoAmps has a word for: no quality is given.'


def _numbers(whole: Tally, about: About) -> Iterator[str]:
    """Energy and carbon with their intervals and assumptions."""
    grid, pue, grams = about.intensity, about.pue, whole.sum('carbon')
    joules = energy(whole.sum('energy') or 0.0, whole.sum('energy_low'), whole.sum('energy_high'))
    yield (
        f'The measures are of disjoint components and add up to {joules} of the computers, '
        f'without the facility (interval of 95 %; weakest tier: {whole.tier}).'
    )
    mass = 'not known'
    if grams is not None:
        mass = carbon(grams, whole.sum('carbon_low'), whole.sum('carbon_high'))
    facility = f'with the facility (PUE {pue.value:g})'
    if pue.origin == 'unset':
        facility = 'without the facility'
    yield (
        f'Carbon: {mass} {facility}, on the grid {grid.zone}: {grid.g_per_kwh:.3g} g/kWh '
        f'({grid.low:.3g} to {grid.high:.3g}; {grid.kind}; {grid.source}).'
    )


def _header(about: About, report: dict[str, Any]) -> dict[str, Any]:
    # The same facts under the same assumptions are the same report.
    content = json.dumps(report, sort_keys=True)
    return {
        'formatVersion': FORMAT_VERSION,
        'formatVersionSpecificationUri': MODEL,
        'reportId': str(uuid.uuid5(uuid.NAMESPACE_URL, MODEL + content)),
        'reportDatetime': _utc(utc(about.created)),
    }


def _task(about: About, names: list[str], sessions: int, *, known: bool) -> dict[str, Any]:
    versions = {name.lower(): (name, number) for name, number in about.versions}
    listed: dict[str, dict[str, Any]] = {}
    for name in names:
        stage = about.whole(name)
        if stage is None:
            listed[name] = {'algorithmName': name}
            continue
        tool, number = versions.get(stage.tool, (stage.tool, ''))
        one = {'algorithmName': stage.title, 'framework': tool}
        listed[f'{tool} {stage.name}'] = one | ({'frameworkVersion': number} if number else {})
    quantity = {'dataQuantity': sessions} if sessions else {}
    return {
        'taskStage': 'preprocessing' if known else 'not known',
        'taskFamily': 'structural neuroimaging' if known else 'not known',
        # BoAmps wants one at least: where no stage has a name, it is one without properties.
        'algorithms': list(listed.values()) or [{}],
        'dataset': [{'dataUsage': 'input', 'dataType': 'image' if known else 'other', **quantity}],
    }


def _components(about: About, names: set[str]) -> list[dict[str, Any]]:
    """Processors and memory of the hosts; like ones are one item."""
    found: Counter[tuple[tuple[str, Any], ...]] = Counter()
    unknown = 0
    for name in sorted(names):
        host = about.host(name)
        if host is None:
            unknown += 1
            continue
        found[('componentName', host.cpu), ('componentType', 'cpu')] += host.sockets
        if host.memory_gb is not None:
            found[('componentType', 'ram'), ('memorySize', host.memory_gb)] += 1
    if unknown:
        found[('componentType', 'computer'),] += unknown
    return [dict(what) | {'nbComponent': count} for what, count in found.items()]


def _environment(about: About) -> dict[str, Any]:
    """Of the electricity; the schema has none without a country."""
    there = place(about.intensity.zone)
    if there is None:
        return {}
    return {
        'environment': {
            'country': there.name,
            **({'location': there.part} if there.part else {}),
            'powerSourceCarbonIntensity': about.intensity.g_per_kwh,
        }
    }


def _quality(whole: Tally) -> dict[str, str]:
    mid, low, high = (whole.sum(f'energy{end}') for end in ('', '_low', '_high'))
    if not mid or low is None or high is None:
        return {}
    error = max(high - mid, mid - low) / mid
    return next(({'quality': word} for most, word in QUALITIES if error <= most), {})


def _utc(when: datetime) -> str:
    """As BoAmps writes times."""
    return when.strftime('%Y-%m-%d %H:%M:%S')
