"""A grid that changes by the hour: what is read, what it means over any time, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import report_data as data
from command import nicarbon
from hypothesis import given
from hypothesis import strategies as st

from nicarbon.entry import Window
from nicarbon.errors import GridError
from nicarbon.grids import parse
from nicarbon.grids.constant import Constant
from nicarbon.grids.exported import read
from nicarbon.grids.trace import U_FORECAST, U_MARGINAL, U_STEP, Step, Trace, held
from nicarbon.report.figures import timeline
from nicarbon.report.figures.intensity import SHADES, strip
from nicarbon.report.pages import subject_page
from nicarbon.share import share

START = datetime(2024, 1, 1, tzinfo=timezone.utc)
MAPS = (
    'Datetime (UTC),Country,Zone name,Zone id,Carbon intensity gCO₂eq/kWh (direct),'
    'Carbon intensity gCO₂eq/kWh (Life cycle),Carbon-free energy percentage (CFE%),'
    'Renewable energy percentage (RE%),Data source,Data estimated,Data estimation method\n'
    '2024-01-01 00:00:00,France,France,FR,8.58,21.6,96.4,33.6,opendata.reseaux-energies.fr,false,\n'
    '2024-01-01 01:00:00,France,France,FR,8.1,21.2,96.5,33.5,opendata.reseaux-energies.fr,false,\n'
)
OLDER_MAPS = (
    'Datetime (UTC),Country,Zone Name,Zone Id,Carbon Intensity gCO₂eq/kWh (direct),'
    'Carbon Intensity gCO₂eq/kWh (LCA),Low Carbon Percentage\n'
    '2023-01-01 00:00:00,Canada,Québec,CA-QC,0.5,29.1,99\n'
    '2023-01-01 01:00:00,Canada,Québec,CA-QC,0.6,29.3,99\n'
)
NESO = (
    'Datetime (UTC),Actual Carbon Intensity (gCO2/kWh),Forecast Carbon Intensity (gCO2/kWh),Index\n'
    '2024-01-01T00:00Z,101,110,low\n2024-01-01T00:30Z,99,108,low\n2024-01-01T01:00Z,,107,low\n'
)
RTE = (
    'Périmètre;Nature;Date;Heure;Date - Heure;Consommation (MW);Taux de CO2 (g/kWh)\n'
    'France;Données temps réel;2024-01-01;00:00;2024-01-01T00:00:00+01:00;52000;18\n'
    'France;Données temps réel;2024-01-01;00:15;2024-01-01T00:15:00+01:00;51800;ND\n'
    'France;Données temps réel;2024-01-01;00:30;2024-01-01T00:30:00+01:00;51000;20\n'
)
WATTTIME = (
    'timestamp,MOER (lbs/MWh),MOER version\n'
    '2024-01-01 00:00:00+00:00,1000,3.0\n2024-01-01 00:05:00+00:00,1000,3.0\n'
)


def hours(number: float) -> datetime:
    return START + timedelta(hours=number)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def file(text: str, name: str = 'trace.csv') -> Path:
        path = tmp_path / name
        path.write_text(text, 'utf-8')
        return path

    return file


@pytest.mark.parametrize(
    ('text', 'whole', 'zone', 'kind', 'publisher', 'u_rel'),
    [
        (MAPS, 21.4, 'FR', 'average, lifecycle', ' (Electricity Maps)', U_STEP),
        ('\ufeff' + MAPS, 21.4, 'FR', 'average, lifecycle', ' (Electricity Maps)', U_STEP),
        (OLDER_MAPS, 29.2, 'CA-QC', 'average, lifecycle', ' (Electricity Maps)', U_STEP),
        (NESO, 100.0, 'GB', 'average, direct', ' (NESO)', U_STEP),
        (
            NESO.replace('Actual Carbon Intensity (gCO2/kWh)', 'Before'),
            (110 + 108 + 107) / 3,
            'GB',
            'average, direct, forecast',
            ' (NESO)',
            U_FORECAST,
        ),
        (RTE, 19.0, 'FR', 'average, direct', ' (RTE)', U_STEP),
        (
            'date_heure\ttaux_co2\n2024-01-01T00:00:00+0100\t18\n2024-01-01T00:15:00+0100\t20\n',
            19.0,
            'FR',
            'average, direct',
            ' (RTE)',
            U_STEP,
        ),
        (
            WATTTIME,
            453.59237,
            'trace',
            'marginal',
            ' (WattTime)',
            U_MARGINAL,
        ),
        (
            'datetime,kg_CO2_per_kWh,zone\n2024-01-01T00:00Z,0.03,SE3\n2024-01-01T01:00Z,0.05,SE3\n',
            40.0,
            'SE3',
            'average',
            '',
            U_STEP,
        ),
    ],
)
def test_files_as_they_are_published(
    text: str,
    whole: float,
    zone: str,
    kind: str,
    publisher: str,
    u_rel: float,
    write: Callable[..., Path],
) -> None:
    intensity = read(write(text)).whole()
    assert intensity.g_per_kwh == pytest.approx(whole)
    assert (intensity.zone, intensity.kind) == (zone, kind)
    assert intensity.source == f'trace.csv{publisher}'
    assert intensity.high / intensity.g_per_kwh == pytest.approx(u_rel)
    assert intensity.g_per_kwh / intensity.low == pytest.approx(u_rel)
    assert intensity.tier == 'modelled'


def test_offsets_are_times(write: Callable[..., Path]) -> None:
    trace = read(write(RTE))
    assert trace.start == hours(-1)
    assert trace.stop == hours(0)
    assert trace.over(hours(-0.75), hours(-0.75)).g_per_kwh == 18


def test_rows_in_any_order_and_twice_the_same(write: Callable[..., Path]) -> None:
    head, *rows = MAPS.splitlines(keepends=True)
    turned = read(write(head + ''.join([*reversed(rows), rows[0], '\n'])))
    assert turned.steps(hours(0), hours(2)) == read(write(MAPS)).steps(hours(0), hours(2))


@pytest.mark.parametrize(
    ('name', 'zone'),
    [('FR_2024_hourly.csv', 'FR'), ('US-CAL-CISO.tsv', 'US-CAL-CISO'), ('home.csv', 'home')],
)
def test_a_zone_by_the_name_of_the_file(name: str, zone: str, write: Callable[..., Path]) -> None:
    path = write('datetime (UTC),g_per_kwh\n2024-01-01,30\n2024-01-02,30\n', name)
    assert parse(str(path)).whole().zone == zone


PLAIN = 'datetime (UTC),g_per_kwh\n2024-01-01 00:00,30\n'


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', r"no column is called 'datetime \(UTC\)' or alike: it has none"),
        ('when,g_per_kwh\n', "no column is called 'datetime .* it has when, g_per_kwh"),
        ('datetime,MOER\n', 'with its unit'),
        ('datetime,SO2 g/kWh\n', 'with its unit'),
        ('datetime,a gCO2/kWh,b gCO2/kWh\n', 'columns a gCO2/kWh and b gCO2/kWh are of one kind'),
        (PLAIN, 'fewer than two values'),
        (PLAIN + '2024-01-01 01:00,nan\n', 'fewer than two values'),
        (PLAIN + '2024-01-01 01:00,-5\n', r"line 3: -5 in 'g_per_kwh' is no intensity"),
        (PLAIN + '2024-01-01 01:00,inf\n', 'line 3: inf in'),
        (PLAIN + '2024-01-01 01:00,4000\n', 'line 3: 4000 in'),
        (PLAIN + '2024-01-01 01:00,low\n', "line 3: 'low' is no number"),
        (PLAIN + '2024-01-01 01:00,33,4\n', 'line 3 has 3 columns rather than 2'),
        (PLAIN + '2024-01-01 01:00\n', 'line 3 has 1 columns rather than 2'),
        (PLAIN + '2024-01-01 00:00,31\n', 'line 3: a second value for 2024-01-01 00:00'),
        (PLAIN + '01/02/2024,31\n', "line 3: '01/02/2024' is no time"),
        (PLAIN + '1704067200,31\n', "line 3: '1704067200' is no time"),
        (PLAIN.replace(' (UTC)', ''), "line 2: '2024-01-01 00:00' has no time zone"),
        ('datetime (UTC),g/kWh,zone\n2024-01-01,1,FR\n2024-01-02,1,DE\n', r'zones \(DE, FR\)'),
        (PLAIN + '"2024', 'it is no CSV'),
    ],
)
def test_what_is_refused(text: str, words: str, write: Callable[..., Path]) -> None:
    with pytest.raises(GridError, match=words) as raised:
        parse(str(write(text)))
    assert str(raised.value).startswith('--grid ')
    assert '\n' not in str(raised.value)
    assert raised.value.exit_code == 64


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(GridError, match=r'gone\.csv: no such file'):
        parse(str(tmp_path / 'gone.csv'))
    (tmp_path / 'folder.csv').mkdir()
    with pytest.raises(GridError, match=r'folder\.csv: cannot be read: Is a directory'):
        parse(str(tmp_path / 'folder.csv'))
    (tmp_path / 'sheet.csv').write_bytes(b'PK\x03\x04\xff\xfe')
    with pytest.raises(GridError, match='it is no CSV in UTF-8'):
        parse(str(tmp_path / 'sheet.csv'))


def test_a_file_without_a_suffix_is_one_where_no_zone_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ('FR', '30', 'mine'):
        Path(name).write_text(MAPS)
    assert parse('mine').whole().g_per_kwh == pytest.approx(21.4)
    assert parse('FR').whole().g_per_kwh > 40
    assert parse('30').whole().g_per_kwh == 30


def trace_of(values: list[tuple[float, float]]) -> Trace:
    """Of hours and grams."""
    steps = held([(hours(hour), g) for hour, g in values])
    return Trace(steps, 'FR.csv', 'FR', 'average', 'FR.csv')


def test_a_mean_weighs_with_time() -> None:
    trace = trace_of([(0, 30.0), (1, 60.0), (2, 10.0)])
    assert trace.over(hours(0), hours(3)).g_per_kwh == pytest.approx(100 / 3)
    assert trace.over(hours(0.75), hours(1.5)).g_per_kwh == pytest.approx(50)
    intensity = trace.over(hours(0.75), hours(1.5))
    assert (intensity.start, intensity.stop) == ('2024-01-01T00:45:00Z', '2024-01-01T01:30:00Z')
    # Five milliseconds within a step are that step, to the last bit.
    assert trace.over(hours(1.2), hours(1.2) + timedelta(milliseconds=5)).g_per_kwh == 60


def test_an_instant() -> None:
    trace = trace_of([(0, 30.0), (1, 60.0)])
    found = [trace.over(hours(hour), hours(hour)).g_per_kwh for hour in (0, 0.5, 1, 1.5, 2)]
    assert found == [30, 30, 60, 60, 60]


@pytest.mark.parametrize(
    ('start', 'stop'), [(-1, 0.5), (1, 2.1), (5, 6), (-3, -2), (-1, 9), (2.001, 2.001)]
)
def test_beyond_its_ends_it_knows_nothing(start: float, stop: float) -> None:
    trace = trace_of([(0, 30.0), (1, 60.0)])
    with pytest.raises(
        GridError, match='covers 2024-01-01T00:00:00Z to 2024-01-01T02:00:00Z, not'
    ):
        trace.over(hours(start), hours(stop))


def test_a_period_that_ends_before_it_starts() -> None:
    with pytest.raises(GridError, match='ends before it starts'):
        trace_of([(0, 30.0), (1, 60.0)]).over(hours(1), hours(0.5))


def test_a_short_hole_is_bridged_and_a_long_one_is_a_gap() -> None:
    trace = trace_of([(0, 30.0), (1, 30.0), (4, 60.0), (5, 60.0), (6, 60.0), (10, 90.0)])
    assert trace.over(hours(0), hours(4)).g_per_kwh == 30
    assert trace.over(hours(6.5), hours(7)).g_per_kwh == 60
    for start, stop in ((6, 8), (7.5, 8), (7.5, 7.5), (8, 10.5), (0, 11), (7, 7.001)):
        with pytest.raises(
            GridError, match='no values from 2024-01-01T07:00:00Z to 2024-01-01T10:00:00Z'
        ):
            trace.over(hours(start), hours(stop))
    assert trace.over(hours(10), hours(11)).g_per_kwh == 90
    # Nothing is known of the gap, and nothing is made up for it.
    assert trace.whole().g_per_kwh == pytest.approx((4 * 30 + 3 * 60 + 90) / 8)
    assert (trace.whole().start, trace.whole().stop) == (
        '2024-01-01T00:00:00Z',
        '2024-01-01T11:00:00Z',
    )


def test_steps_are_cut_to_what_is_asked_for() -> None:
    trace = trace_of([(0, 30.0), (1, 60.0), (2, 60.0), (9, 10.0)])
    found = [
        ((step.start - START) / timedelta(hours=1), (step.stop - START) / timedelta(hours=1))
        for step in trace.steps(hours(0.5), hours(9.5))
    ]
    assert found == [(0.5, 1), (1, 2), (2, 3), (9, 9.5)]
    assert trace.steps(hours(20), hours(30)) == ()
    assert trace.steps(hours(4), hours(5)) == ()


values = st.lists(st.floats(0, 2000), min_size=2, max_size=12).map(
    lambda grams: trace_of([(float(hour), g) for hour, g in enumerate(grams)])
)
parts = st.lists(st.floats(0, 1), min_size=2, max_size=6).map(sorted)


@given(values, parts)
def test_a_whole_is_its_parts_weighted(trace: Trace, parts: list[float]) -> None:
    length = trace.stop - trace.start
    moments = [trace.start + part * length for part in parts]
    whole = trace.over(moments[0], moments[-1]).g_per_kwh
    seconds = [(after - before).total_seconds() for before, after in pairwise(moments)]
    means = [trace.over(*pair).g_per_kwh for pair in pairwise(moments)]
    summed = sum(s * g for s, g in zip(seconds, means, strict=True))
    assert whole * sum(seconds) == pytest.approx(summed, rel=1e-6, abs=1e-2)


@given(st.floats(0, 2000), st.integers(2, 9), parts)
def test_one_that_never_changes_is_a_constant(
    grams: float, count: int, parts: list[float]
) -> None:
    trace = trace_of([(float(hour), grams) for hour in range(count)])
    length = trace.stop - trace.start
    start, stop = trace.start + parts[0] * length, trace.start + parts[-1] * length
    assert trace.over(start, stop).g_per_kwh == pytest.approx(
        Constant(grams).over(start, stop).g_per_kwh, rel=1e-6
    )
    assert trace.whole().g_per_kwh == pytest.approx(grams)


@given(values, st.lists(parts, max_size=9))
def test_many_at_once_are_the_same(trace: Trace, periods: list[list[float]]) -> None:
    length = trace.stop - trace.start
    pairs = [(trace.start + p[0] * length, trace.start + p[-1] * length) for p in periods]
    g, low, high = trace.means(
        np.array([start.timestamp() for start, _ in pairs]),
        np.array([stop.timestamp() for _, stop in pairs]),
    )
    expected = [trace.over(*pair) for pair in pairs]
    assert list(g) == [one.g_per_kwh for one in expected]
    assert list(low) == [one.low for one in expected]
    assert list(high) == [one.high for one in expected]


def test_one_of_many_that_is_not_covered() -> None:
    trace = trace_of([(0, 30.0), (1, 60.0)])
    start = START.timestamp()
    with pytest.raises(GridError, match='not 2024-01-01T01:00:00Z to 2024-01-01T05:00:00Z'):
        trace.means(start + np.array([0.0, 3600.0]), start + np.array([60.0, 5 * 3600.0]))


def test_an_estimate_takes_the_mean_of_the_whole(write: Callable[..., Path]) -> None:
    path = write(MAPS, 'FR_2024_hourly.csv')
    done = nicarbon('estimate', '--scans', '10', '--grid', str(path), '--json', cwd=path.parent)
    assert done.returncode == 0, done.stderr
    intensity = json.loads(done.stdout)['estimates'][0]['footprint']['intensity']
    assert intensity['g_per_kwh'] == pytest.approx(21.4)
    assert intensity['source'] == 'FR_2024_hourly.csv (Electricity Maps)'
    assert (intensity['start'], intensity['stop']) == (
        '2024-01-01T00:00:00Z',
        '2024-01-01T02:00:00Z',
    )


def test_what_is_wrong_is_one_line_on_the_terminal(write: Callable[..., Path]) -> None:
    path = write(MAPS.replace('21.2', '-1'))
    done = nicarbon('estimate', '--scans', '10', '--grid', 'trace.csv', cwd=path.parent)
    assert done.returncode == 64
    assert 'line 3: -1 in' in done.stderr
    assert 'Traceback' not in done.stderr


PAIR = data.pair()
BEGUN = datetime.fromisoformat(PAIR[-1].started)
STEPS = tuple(
    (BEGUN + timedelta(minutes=n - 1.5), BEGUN + timedelta(minutes=n - 0.5), g)
    for n, g in enumerate([40.0, 38.0, 35.0, 60.0, 80.0, 75.0, 20.0, 30.0])
)


def powers(watts: float | None = 6.0) -> list[tuple[Window, float | None]]:
    return [(window, watts) for window in PAIR[-1].windows]


class TestStrip:
    def test_pieces_cover_the_run_once(self) -> None:
        run = PAIR[-1]
        pieces = strip(run, powers(), STEPS).pieces
        assert pieces[0].start == run.start
        assert pieces[-1].stop == run.windows[-1].stop
        assert all(a.stop == pytest.approx(b.start) for a, b in pairwise(pieces))
        # The clock of the host is laid on UTC: half a minute after the start is the second step.
        assert {p.g_per_kwh for p in pieces if p.stop <= run.start + 30} == {38}
        assert {p.g_per_kwh for p in pieces if run.start + 30 <= p.start < run.start + 90} == {35}

    def test_the_shade_is_the_product(self) -> None:
        pieces = strip(PAIR[-1], powers(500.0), STEPS).pieces
        assert {piece.g_per_hour for piece in pieces if piece.g_per_kwh == 80} == {40.0}
        grams = sum(p.g_per_hour * (p.stop - p.start) / 3600 for p in pieces if p.g_per_hour)
        trace = Trace([Step(*step) for step in STEPS], 'FR.csv', 'FR', 'average', 'FR.csv')
        seconds = PAIR[-1].windows[-1].stop - (PAIR[-1].start or 0.0)
        mean = trace.over(BEGUN, BEGUN + timedelta(seconds=seconds)).g_per_kwh
        assert grams == pytest.approx(500 * seconds / 3.6e6 * mean)

    def test_many_steps_are_evened_within_windows(self) -> None:
        steps = [
            (
                BEGUN + timedelta(seconds=n / 4),
                BEGUN + timedelta(seconds=(n + 1) / 4),
                30.0 + n % 2,
            )
            for n in range(4 * 400)
        ]
        varied = [(window, float(n)) for n, (window, _) in enumerate(powers())]
        pieces = strip(PAIR[-1], varied, steps).pieces
        assert len(pieces) == len(varied)
        assert {round(piece.g_per_kwh, 1) for piece in pieces} == {30.5}

    def test_nothing_to_draw(self) -> None:
        assert strip(PAIR[-1], powers(), ()).height == 0
        assert strip(PAIR[-1], [], STEPS).words == ''
        far = [(a + timedelta(days=9), b + timedelta(days=9), g) for a, b, g in STEPS]
        assert strip(PAIR[-1], powers(), far).pieces == ()


class TestTimeline:
    def test_is_as_before_without_a_trace(self) -> None:
        shares = share(PAIR).shares
        assert timeline(PAIR[-1], shares) == timeline(PAIR[-1], shares, steps=())
        assert 'grid' not in timeline(PAIR[-1], shares)

    def test_tells_the_grid(self) -> None:
        svg = timeline(PAIR[-1], share(PAIR).shares, steps=STEPS)
        root = ET.fromstring(svg)
        assert 'The grid emitted between 20 and 80 g/kWh' in (root[1].text or '')
        assert 'mgCO2e per hour at most' in (root[1].text or '')
        words = ' '.join(root.itertext())
        assert 'grid (g/kWh)' in words
        assert 'shade: power × grid, up to ' in words
        assert all(shade in svg for shade in SHADES)
        assert svg == timeline(PAIR[-1], share(PAIR).shares, steps=STEPS)
        assert 'nan' not in svg

    def test_where_no_power_was_seen_there_is_no_product(self) -> None:
        run = data.blind(PAIR[-1])
        svg = timeline(run, share(PAIR).shares, steps=STEPS)
        words = ' '.join(ET.fromstring(svg).itertext())
        assert 'No power was seen during this run. The grid emitted between' in words
        assert 'shade' not in words
        assert not any(shade in svg for shade in SHADES)

    def test_a_grid_that_emits_nothing(self) -> None:
        steps = [(start, stop, 0.0) for start, stop, _ in STEPS]
        svg = timeline(PAIR[-1], share(PAIR).shares, steps=steps)
        assert 'The grid emitted between 0 and 0 g/kWh.' in svg
        assert 'nan' not in svg

    def test_pages_draw_it_and_say_so(self) -> None:
        dataset, subjects, sharing = data.summaries(PAIR)
        context = data.context(PAIR, sharing, steps=STEPS)
        for page in (
            data.group(dataset, subjects, {}, context, {}),
            subject_page([subjects[0]], {}, context),
        ):
            assert 'grid (g/kWh)' in page
            assert 'shaded by its product with the power (without the facility)' in page
        assert 'shaded' not in data.group(dataset, subjects, {}, data.context(PAIR, sharing), {})
