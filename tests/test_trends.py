"""What grew has sources, and what is projected from it is what was published, where it was."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicarbon import scenario
from nicarbon.account import PUE
from nicarbon.complexity import networks
from nicarbon.errors import UsageError
from nicarbon.grids import parse
from nicarbon.scenario import estimate, published
from nicarbon.trends import Source, assumption, citing, cohorts, planar, series

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / 'docs' / 'examples').glob('plot_*.py'))
PAPERS = ('dale', 'fischl', 'learning')
ASSUMED = ('scans_per_paper', 'scans_per_participant')
NOW = datetime.now(timezone.utc)


def grid(text: str):
    return parse(text).over(NOW, NOW)


def sources() -> set[Source]:
    rows = [*cohorts(), *map(series, PAPERS), *planar(), *map(assumption, ASSUMED)]
    return {row.source for row in rows}


def test_all_have_a_source_and_say_what_it_does_not_tell() -> None:
    for source in sources():
        assert any(
            words in source.cite
            for words in ('doi:', 'PMC', 'docs/', 'UK Biobank, 15 July 2025', 'Scopus', 'MEDLINE')
        ), source.cite
        assert source.caveat.endswith('.')


def test_what_is_assumed_says_so() -> None:
    for one in map(assumption, ASSUMED):
        assert 0 < one.low < one.middle < one.high
        assert one.source.cite.startswith('Judgement')
    assert not any(one.source.cite.startswith('Judgement') for one in cohorts())


@pytest.mark.parametrize('one', cohorts(), ids=lambda one: f'{one.name} {one.year}')
def test_participants_are_of_a_year(one) -> None:
    assert isinstance(one.participants, int)
    assert 50 < one.participants <= 100_000
    assert one.kind in {'single', 'consortium'}
    assert 1999 < one.year <= 2025
    assert one.since <= one.year
    assert one.growing == (0 < one.since < one.year)
    assert not one.within or one.within in {other.name for other in cohorts()}


def test_a_dataset_has_one_number_a_year() -> None:
    rows = [(one.name, one.year) for one in cohorts()]
    assert len(rows) == len(set(rows))


def test_a_part_is_no_larger_than_the_whole() -> None:
    sizes = {one.name: one.participants for one in cohorts()}
    parts = [one for one in cohorts() if one.within]
    assert {one.within for one in parts} == {'SchizConnect'}
    assert sum(one.participants for one in parts) <= sizes['SchizConnect']


@pytest.mark.parametrize('known', scenario.datasets(), ids=lambda known: known.name)
def test_estimates_and_trends_agree_on_participants(known) -> None:
    """Two tables of the same datasets; the later of a dataset's years is what estimates use."""
    sizes = {one.name.replace(' ', '-'): one.participants for one in cohorts()}
    assert known.participants == sizes[{'ABIDE': 'ABIDE-I'}.get(known.name, known.name)]


@pytest.mark.parametrize('name', PAPERS)
def test_papers_are_counted_once_a_year(name) -> None:
    years = [year for year, _ in series(name).counts]
    assert years == list(range(years[0], 2022))
    assert all(isinstance(papers, int) and papers > 0 for _, papers in series(name).counts)
    # Counted in July of the last of them.
    assert series(name).open == (2021,)
    assert series(name).whole == series(name).counts[:-1]


@given(st.sampled_from([year for year, _ in series('dale').counts]))
def test_papers_that_cite_both_are_counted_once_at_least(year) -> None:
    one, other = (dict(series(name).counts)[year] for name in ('dale', 'fischl'))
    fewest, most = citing(year)
    assert fewest == max(one, other)
    assert most == one + other
    # Any number of papers that cite both lies between.
    for both in (0, min(one, other) // 2, min(one, other)):
        assert fewest <= one + other - both <= most


def test_the_published_figure_adds_them_up() -> None:
    assert [citing(year)[1] for year in (1999, 2010, 2020)] == [12, 426, 901]


def test_other_years_and_names_are_refused() -> None:
    with pytest.raises(UsageError, match='1999 to 2021'):
        citing(2022)
    with pytest.raises(UsageError, match='scans_per_paper'):
        assumption('scans')


def test_a_scan_takes_what_the_page_on_complexity_says() -> None:
    page = (ROOT / 'docs' / 'complexity.md').read_text('utf-8').replace('\n', ' ')
    for one in planar():
        assert f'{round(one.macs_per_scan / 1e9):,}'.replace(',', ' ') in page, one.title
        assert str(one.sagittal_parameters) in one.network.caveat
        assert str(one.sagittal_macs) in one.network.caveat
        assert one.network in networks()


def test_uk_biobank_costs_what_was_published() -> None:
    """100,000 scans, as published: a PUE of 1.58 and 30 g/kWh, and the world's 475."""
    people = max(one.participants for one in cohorts() if one.name == 'UKB')
    expected = {'cpu': (10.85, 326, 5.2), 'gpu': (2.67, 80, 1.27)}
    for (device, (mwh, kg, tonnes)), name in zip(
        expected.items(), ('freesurfer', 'fastsurfer'), strict=True
    ):
        cost = published(name, device).cost
        quebec = estimate(cost, people, grid('30'), PUE(1.58)).footprint
        world = estimate(cost, people, grid('world'), PUE(1.58)).footprint
        assert quebec.kwh / 1e3 == pytest.approx(mwh, rel=1e-3)
        assert quebec.grams / 1e3 == pytest.approx(kg, rel=5e-3)
        assert world.grams / 1e6 == pytest.approx(tonnes, rel=1e-2)
        # Not as if it were known: a factor of 2, and the facility's.
        low, high = quebec.kwh_bounds
        assert low < quebec.kwh / 2 < 2 * quebec.kwh < high


def test_papers_imply_as_much_as_is_assumed_of_them() -> None:
    cost, scans = published('freesurfer').cost, assumption('scans_per_paper')
    few, many = citing(2020)
    least = estimate(cost, few * scans.low, grid('30'), PUE(1.58)).footprint
    most = estimate(cost, many * scans.high, grid('30'), PUE(1.58)).footprint
    assert least.kwh == pytest.approx(586 * 10 * 0.1085)
    assert most.kwh == pytest.approx(901 * 1000 * 0.1085)
    # The assumption is wider than all else: what it rests on is no number to be quoted.
    assert scans.high / scans.low > 2 * (many / few) * cost.u_rel**2


def test_there_are_pages_to_run() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_pages_run_and_are_short(path, tmp_path) -> None:
    pytest.importorskip('matplotlib')
    assert path.read_text('utf-8').count('\n') < 80
    program = f"""
import runpy, matplotlib.pyplot as plt
runpy.run_path({str(path)!r})
figures = [plt.figure(number) for number in plt.get_fignums()]
assert figures
for figure in figures:
    # sphinx-gallery takes the alternative text of a figure from its titles.
    titles = [figure.get_suptitle(), *(axes.get_title('left') for axes in figure.axes)]
    assert any(len(title) > 25 for title in titles), titles
"""
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=path.parent,
        env={'MPLBACKEND': 'agg', 'MPLCONFIGDIR': str(tmp_path), 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
