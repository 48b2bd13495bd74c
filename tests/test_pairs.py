"""Pipelines on the same sessions, side by side."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from report_data import cohort
from shares import entry
from values import replace

from nicarbon.account import PUE
from nicarbon.entry import Entry, Window
from nicarbon.grids import parse
from nicarbon.report import figures
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


def drawn(count: int) -> str:
    """The figure of so many sessions, whose ratios are 0.2 and 0.4 in turn."""
    made = [both(f'{n:04d}', n, 0.2 + 0.2 * (n % 2)) for n in range(1, count + 1)]
    (table,) = tables(*(one for entries in made for one in entries))
    return figures.paired(table)


def words(svg: str) -> list[str]:
    return [' '.join(''.join(one.itertext()).split()) for one in ET.fromstring(svg).iter()]


def test_each_session_is_drawn_with_both_its_values_and_their_ratio() -> None:
    svg = drawn(3)
    assert svg == drawn(3)
    shown = words(svg)
    assert {'sub-0001', 'sub-0002', 'sub-0003', 'energy (J)', 'wall clock (min)'} <= set(shown)
    assert shown.count('median 0.4') == 2  # of energy and of wall clock
    assert shown.count('0.2') >= 2
    assert any(re.fullmatch(r'sub-0002, FreeSurfer: 2000 J \(\d+–\d+\)', one) for one in shown)
    assert 'sub-0001, FastSurfer: 1.33 min' in shown
    assert 'nan' not in svg


def test_equal_ratios_are_equally_long() -> None:
    (joins, _) = re.findall(r'<path d="([^"]*)" stroke="#59616a"', drawn(4))
    ends = [list(map(float, pair)) for pair in re.findall(r'M([\d.]+) [\d.]+H([\d.]+)', joins)]
    lengths = [right - left for left, right in ends]
    assert lengths[0] == pytest.approx(lengths[2], abs=0.11)
    assert lengths[1] != pytest.approx(lengths[0], abs=5)


def test_many_sessions_are_thin_lines_without_names_and_some_left_out_is_said() -> None:
    thin = drawn(70)
    assert 'sub-0001' not in thin
    assert thin.count('<circle') == 1  # that of the legend
    many = drawn(320)
    assert '95 % interval; 300 of 320 sessions' in words(many)
    assert len(many) < 60_000


def test_one_session_and_the_same_for_both() -> None:
    (table,) = tables(*both('01', 1, 1.0))
    assert words(figures.paired(table)).count('median 1') == 2
