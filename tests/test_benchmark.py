"""Whole pipelines again and again, and the table of them."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import freesurfer_stand_in as stand_in
import pytest
from command import nicarbon
from hypothesis import given
from hypothesis import strategies as st
from laboratory import make_dataset, read_tsv

from nicarbon.repeats import Repeated, repeated
from nicarbon.report.benchmark import Cell, latex, markdown, tsv
from nicarbon.scenario import published

values = st.floats(-1e3, 1e3)


@given(st.lists(values, min_size=2, max_size=9))
def test_one_run_each_is_the_plain_standard_deviation(numbers: list[float]) -> None:
    found = repeated({str(n): [value] for n, value in enumerate(numbers)})
    assert found.mean == pytest.approx(statistics.fmean(numbers))
    assert found.sd == pytest.approx(statistics.stdev(numbers), abs=1e-6)
    assert (found.repeat_sd, found.subject_sd) == (None, None)


@given(st.lists(values, min_size=2, max_size=9))
def test_one_subject_shows_repeats_alone(numbers: list[float]) -> None:
    found = repeated({'01': numbers})
    assert found.repeat_sd == pytest.approx(statistics.stdev(numbers), abs=1e-6)
    assert found.subject_sd is None


@given(st.lists(st.lists(values, min_size=1, max_size=4), min_size=2, max_size=6), values)
def test_what_all_share_moves_the_mean_alone(groups: list[list[float]], shift: float) -> None:
    own = dict(enumerate(groups))
    one = repeated({str(k): g for k, g in own.items()})
    other = repeated({str(k): [value + shift for value in g] for k, g in own.items()})
    assert other.mean == pytest.approx(one.mean + shift, abs=1e-6)
    for name in ('sd', 'repeat_sd', 'subject_sd'):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        assert a is None or a == pytest.approx(b, abs=1e-2)
    if one.subject_sd is not None:
        assert one.sd == pytest.approx(math.hypot(one.repeat_sd, one.subject_sd))


def test_unequal_numbers_of_runs_by_hand() -> None:
    # Within: (2 + 0 + 0) / 2 = 1; between: squares 27.2 - ..., see Searle et al.
    found = repeated({'a': [1.0, 3.0], 'b': [8.0], 'c': [5.0, 5.0]})
    within = 2.0 / 2
    grand = (4 + 8 + 10) / 5
    squares = (2 * (2 - grand) ** 2 + (8 - grand) ** 2 + 2 * (5 - grand) ** 2) / 2
    typical = (5 - (4 + 1 + 4) / 5) / 2
    assert found.repeat_sd == pytest.approx(math.sqrt(within))
    assert found.subject_sd == pytest.approx(math.sqrt((squares - within) / typical))
    assert repeated({'a': []}) is None


def _cells() -> list[Cell]:
    one = Repeated(8.3, 1.03, 0.2, 1.01, 3, 6)
    cpu = {'hours': one, 'wh': one, 'grams': one}
    return [
        Cell('freesurfer', 'cpu', cpu, {'wh': 1.5}, published('freesurfer', 'cpu')),
        Cell('fastsurfer', 'cpu', cpu, {}, published('fastsurfer', 'cpu')),
        Cell('fastsurfer', 'gpu', {}, {}, published('fastsurfer', 'gpu'), 2),
    ]


def test_the_table_has_the_shape_of_the_published_one() -> None:
    head, _, first, told, *_ = markdown(_cells()).splitlines()
    assert head.startswith(
        '| Pipeline | n | Runtime (h), CPU | Runtime (h), GPU | Energy (Wh), CPU'
    )
    assert first.startswith('| FreeSurfer | 3 | 8.3 (1.0) | – |')
    assert told == (
        '| FreeSurfer, published | 72 | 8.3 (1.0) | – | 108 (20) | – | 3.26 (0.50) | – |'
    )
    assert '| FastSurfer, published | 72 | 9.86 (0.74) | 1.61 (0.47) |' in markdown(_cells())
    assert '| FreeSurfer | CPU | Energy (Wh) | 8.3 | 0.20 | 1.0 | 3 | 6 | ×/÷ 1.5 |' in markdown(
        _cells()
    )


def test_latex_has_as_many_cells_in_each_row() -> None:
    text = latex(_cells(), ['100 % of it'])
    for table in text.split('\\begin{tabular}')[1:]:
        columns = len(table.partition('}')[0].strip('{'))
        rows = [line for line in table.splitlines() if line.endswith('\\\\')]
        assert {row.count(' & ') + 1 for row in rows} == {columns}
    assert 'CO$_2$e' in text
    assert text.endswith('% 100 % of it\n')


def test_what_is_not_known_is_an_empty_cell() -> None:
    lines = [line.split('\t') for line in tsv(_cells()).splitlines()]
    assert len({len(line) for line in lines}) == 1
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    (gpu,) = [r for r in rows if (r['device'], r['quantity']) == ('gpu', 'wh')]
    assert (gpu['mean'], gpu['failed'], gpu['published_mean']) == ('', '2', '26.7')


@pytest.mark.heavy
def test_each_repetition_is_run_once_and_tabled(tmp_path: Path) -> None:
    (tmp_path / 'bids').mkdir()
    bids = make_dataset(tmp_path / 'bids', ('01', '02'))
    env = stand_in.install(tmp_path / 'freesurfer')
    env |= stand_in.work(tmp_path, {'careg': {'cpu_seconds': 0.5}})
    words = ['benchmark', '--pipelines', 'freesurfer', '--repeats', '2', '--grid', 'FR']
    words += ['--pue', '1.2', bids, tmp_path / 'out', '--', '--nprocs', '2']
    words += ['--granularity', 'directive']
    done = nicarbon(*words, cwd=tmp_path, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '1 of 2: freesurfer on cpu, repetition ' in done.stdout
    rows = {row['quantity']: row for row in read_tsv(tmp_path / 'out/benchmark.tsv')}
    assert (rows['wh']['subjects'], rows['wh']['runs'], rows['wh']['failed']) == ('2', '4', '0')
    assert float(rows['wh']['repeat_sd']) >= 0
    assert float(rows['grams']['mean']) > 0
    folders = sorted(path.name for path in (tmp_path / 'out/freesurfer-cpu').iterdir())
    assert folders == [
        'repeat-1', 'repeat-1.json', 'repeat-1.log', 'repeat-2', 'repeat-2.json', 'repeat-2.log',
    ]  # fmt: skip
    again = nicarbon(*words, cwd=tmp_path, **env)
    assert again.returncode == 0
    assert ' of 2: ' not in again.stdout, 'what has ended is not run again'
    # One was cut off: it alone is run anew, and what it left is kept.
    (tmp_path / 'out/freesurfer-cpu/repeat-2.json').unlink()
    third = nicarbon(*words, cwd=tmp_path, **env)
    assert third.stdout.count(' of 2: ') == 1
    assert (tmp_path / 'out/freesurfer-cpu/cut-off-repeat-2-1/logs').is_dir()


@pytest.mark.heavy
def test_a_run_that_fails_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / 'bids').mkdir()
    bids = make_dataset(tmp_path / 'bids')
    words = ['benchmark', '--pipelines', 'freesurfer', bids, tmp_path / 'out']
    done = nicarbon(*words, cwd=tmp_path, FREESURFER_HOME='')
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert 'freesurfer on cpu, repetition 1 ended with' in line
    assert 'FREESURFER_HOME' in line
    assert not (tmp_path / 'out/freesurfer-cpu/repeat-1.json').exists(), 'it never began'


@pytest.mark.parametrize(
    ('words', 'told'),
    [
        (['--repeats', '0'], '--repeats 0'),
        (['--pipelines', 'structural', '--devices', 'gpu'], 'only fastsurfer can use one'),
        (['--grid', 'nowhere'], 'nowhere'),
        (['--devices', 'cpu,tpu'], "'tpu' is none of cpu, gpu"),
    ],
)
def test_refusals(tmp_path: Path, words: list[str], told: str) -> None:
    done = nicarbon('benchmark', *words, tmp_path, tmp_path.with_name('out'), cwd=tmp_path)
    assert done.returncode == (2 if words[0] == '--devices' and len(words) == 2 else 64), (
        done.stderr
    )
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
