"""Pipelines on the same sessions, side by side."""

from __future__ import annotations

import pytest
from report_data import cohort
from shares import entry
from values import replace

from nicarbon.account import PUE
from nicarbon.entry import Entry, Window
from nicarbon.grids import parse
from nicarbon.report.pairs import pair_tables
from nicarbon.stage import every

STARTED = '2026-01-01T00:00:00+00:00'
GRID = parse('30').over(None, None)


def stage(name: str, subject: str, start: float, joules: float, number: int, **more) -> Entry:
    window = Window(start, joules / 10, joules / 20, joules / 20, (joules,))
    one = entry('node', [window], 4.0, number)
    return replace(one, stage=name, subject=subject, started=STARTED, **more)


def tables(*entries: Entry):
    return pair_tables(cohort(entries, GRID, PUE()).dataset(every()).pipelines)


def both(subject: str, number: int, ratio: float) -> list[Entry]:
    """FreeSurfer in two stages of 1000 J each, FastSurfer in one, long after them."""
    start = 1e4 * number
    return [
        stage('motioncor', subject, start, 1000, 10 * number),
        stage('normalization', subject, start + 200, 1000, 10 * number + 1),
        stage('asegdkt', subject, start + 1000, 2000 * ratio, 10 * number + 2),
    ]


def test_what_both_processed_is_paired() -> None:
    (table,) = tables(*both('01', 1, 0.2), *both('02', 2, 0.25), *both('03', 3, 0.5))
    assert (table.first, table.second) == ('FreeSurfer', 'FastSurfer')
    assert [row.name for row in table.rows] == ['sub-01', 'sub-02', 'sub-03']
    assert [row.ratio for row in table.rows] == ['0.2', '0.25', '0.5']
    assert '0.25 times (median of 3 sessions, range 0.2–0.5) the energy' in table.sentence
    assert [row.first_energy.raw for row in table.rows] == pytest.approx([2000] * 3)


def test_who_was_not_processed_by_both_or_not_to_the_end_is_left_out() -> None:
    alone = [stage('motioncor', '02', 5e4, 1000, 71)]
    failed = both('03', 3, 0.5)
    failed[2] = replace(failed[2], outcome='failed')
    (table,) = tables(*both('01', 1, 0.2), *alone, *failed)
    assert [row.name for row in table.rows] == ['sub-01']
    assert '0.2 times the energy' in table.sentence
    assert tables(*alone, *failed) == []


def test_sessions_are_told_apart() -> None:
    first = [replace(one, session='a') for one in both('01', 1, 0.2)]
    second = [replace(one, session='b') for one in both('01', 2, 0.3)]
    (table,) = tables(*first, *second)
    assert [row.name for row in table.rows] == ['sub-01_ses-a', 'sub-01_ses-b']
