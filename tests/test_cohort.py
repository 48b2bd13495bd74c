"""Stages in columns add up to what stages one by one add up to."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass

import pytest
import report_data
from hypothesis import given, settings
from report_data import cohort
from shares import machines

from nicarbon.account import PUE
from nicarbon.cohort import Parts
from nicarbon.columns import accounted, frame
from nicarbon.digest import digests, key_of, shared
from nicarbon.sidecar import row
from nicarbon.summary import Summary, summarise

UNSET = PUE(1.0, 'unset')
GRID = report_data.QUEBEC


def by_hand(entries, pue=UNSET, **labels) -> Summary:
    _, sharing = shared({'r': entries})
    shares = [
        one
        for one in sharing.shares
        if all(getattr(one.entry, name) == value for name, value in labels.items())
    ]
    return summarise(
        shares, GRID, pue, subject=labels.get('subject', ''), session=labels.get('session', '')
    )


def assert_same(a, b, path: str = '') -> None:
    """Alike to nine digits, whatever is nested in what."""
    if is_dataclass(a):
        for field in fields(a):
            if field.name not in {'lines', 'sights'}:
                assert_same(getattr(a, field.name), getattr(b, field.name), f'{path}.{field.name}')
    elif isinstance(a, dict):
        assert set(a) == set(b), path
        for key, value in a.items():
            assert_same(value, b[key], f'{path}[{key}]')
    elif isinstance(a, tuple):
        assert len(a) == len(b), path
        for one, other in zip(a, b, strict=True):
            assert_same(one, other, path)
    elif isinstance(a, float):
        assert math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-6), f'{path}: {a} {b}'
    else:
        assert a == b, path


@pytest.mark.parametrize('pue', [UNSET, PUE(1.2)])
@pytest.mark.parametrize('ledger', [report_data.pair, report_data.crowd, report_data.recon_all])
def test_totals(ledger, pue) -> None:
    entries = ledger()
    assert_same(cohort(entries, pue=pue).total, by_hand(entries, pue))


def without_sums(one: Summary) -> Summary:
    """What only the total has."""
    from dataclasses import replace

    return replace(one, sights=(), factors={}, stages=frozenset())


def test_people_and_sessions() -> None:
    entries = report_data.crowd()
    made = cohort(entries)
    people = made.people()
    assert len(people) == 40
    for one in people:
        assert_same(one, without_sums(by_hand(entries, subject=one.subject)))
    sessions = made.sessions()
    assert {one.session for one in sessions} == {'', '1'}
    for one in sessions:
        own = by_hand(entries, subject=one.subject, session=one.session)
        assert_same(one, without_sums(own))


def test_kinds() -> None:
    entries = report_data.crowd()
    kinds = cohort(entries).kinds(['n4', 'conform'])
    assert [kind.stage for kind in kinds][:2] == ['n4', 'conform']
    for kind in kinds:
        assert_same(kind.total, without_sums(by_hand(entries, stage=kind.stage)))
    assert sum(kind.typical.count for kind in kinds) == cohort(entries).total.outcomes['ran']


@settings(deadline=None)
@given(machines())
def test_of_any_machine(case) -> None:
    run, nodes = case
    entries = [one._replace(started='2026-01-01T00:00:00+00:00') for one in (*nodes, run)]
    total = cohort(entries).total
    assert_same(total, by_hand(entries))
    kinds = cohort(entries).kinds(())
    assert math.isclose(
        sum(kind.total.footprint.joules for kind in kinds),
        total.footprint.joules,
        rel_tol=1e-8,
        abs_tol=1e-6,
    )


def test_rows_say_what_those_of_a_subject_say() -> None:
    """The group's table and those of the subjects agree, cell by cell."""
    pue = PUE(1.3)
    entries = report_data.crowd()
    ledgers = {'r': entries}
    _, sharing = shared(ledgers)
    rows = frame(digests(ledgers, sharing, {})['r'].rows)
    table = accounted(rows, GRID, pue)
    lines = summarise(sharing.shares, GRID, pue).lines
    for mine, line in zip(table.iter_rows(named=True), lines, strict=True):
        theirs = row(line)
        for name in mine.keys() & theirs.keys():
            one, other = mine[name], theirs[name]
            if isinstance(other, float):
                assert math.isclose(one, other, rel_tol=1e-8), name
            else:
                assert one == other, name


def test_no_rows() -> None:
    nothing = Parts().cohort(GRID, UNSET)
    assert nothing.total.count == 0
    assert not nothing.total.complete
    assert nothing.people() == nothing.kinds(()) == nothing.failures() == []


def test_failures_are_told() -> None:
    failures = cohort(report_data.crowd()).failures()
    assert [(one.subject, one.outcome) for one in failures] == [
        ('06', 'failed'),
        ('12', 'killed'),
        ('23', 'failed'),
    ]
    assert failures[0].error == 'ValueError: the mesh is open'


def test_a_text_with_tabs_shifts_nothing() -> None:
    entries = [
        one._replace(error='a\tb\n"c', outcome='failed') if one.kind == 'node' else one
        for one in report_data.pair()
    ]
    assert {one.error for one in cohort(entries).failures()} == {'a b "c'}


def test_the_key_tells_ledgers_apart() -> None:
    files = {'r1': {'a.jsonl': (10,)}, 'r2': {}}
    assert key_of(files) == key_of(dict(reversed(files.items())))
    assert key_of(files) != key_of({**files, 'r2': {'b.jsonl': (1,)}})
