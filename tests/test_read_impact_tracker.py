"""Logs of experiment-impact-tracker: its own rule beside ours."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracker_logs import REAL, Machine, look, told

from nicarbon.claims import against
from nicarbon.entry import Window
from nicarbon.errors import ReaderError
from nicarbon.readers import Folder
from nicarbon.readers.impact_tracker import TRACKER, ImpactTracker
from nicarbon.share import share

T0 = 1_617_756_388.0
PASS = 3.75
"""Seconds from one look to the next, as on the real node."""

SPAN = (73.8, 70.0, 65.0, 60.0)
"""Idle watts that the node may have."""


def log(folder: Path, *lines: str) -> Path:
    (folder / 'data.json').write_text('\n'.join(lines) + '\n')
    return folder


def busy_node(folder: Path) -> Path:
    """As published of a node with others on it: 291 W, 37.7 busy cores, 0.87 of them its own."""
    lines = []
    for number in range(200):
        used = {'7': (0.87 * PASS * number, 0.0, 0.0, 0.0)}
        lines.append(look(T0 + PASS * number, 291.0, 6.9, 0.87, 37.7, used))
    return log(folder, *lines)


# Its own rule beside ours ----------------------------------------------------------------


def real_node() -> Path:
    folder = REAL / 'reconall-ukb'
    if not folder.exists():
        pytest.skip(f'no real log in {folder}')
    return folder


def test_the_idle_node_as_the_tracker_saw_it():
    """The published figures: its own CPU shares, of the host power of the same seconds."""
    found = told(ImpactTracker(), real_node(), Machine('Skylake'))
    (entry,) = found.entries
    rows = [json.loads(line) for line in (real_node() / 'data.json').read_text().splitlines()]
    parts = [min(1.0, row['average_relative_cpu_utilization']) for row in rows]
    windows = tuple(
        window._replace(cpu_seconds=part * (window.host_cpu_seconds or 0.0))
        for window, part in zip(entry.windows, parts, strict=True)
    )
    ours = [against([entry._replace(windows=windows)], found.claims, idle).watts for idle in SPAN]
    assert ours[0][TRACKER] == pytest.approx(58.7, abs=0.05)
    assert ours[0]['exclusive'] == pytest.approx(83.0, abs=0.05)
    assert ours[0]['active'] == pytest.approx(71.6, abs=0.05)
    assert [one['reserved'] for one in ours] == pytest.approx([9.8, 13.0, 17.2, 21.4], abs=0.05)


def test_the_idle_node_by_its_processes_counters():
    """They hold what short programs used, which the tracker's two seconds do not."""
    found = told(ImpactTracker(), real_node(), Machine('Skylake'))
    (entry,) = found.entries
    assert entry.seconds == pytest.approx(887.9, abs=0.1)
    assert entry.cpu_seconds == pytest.approx(866.6, abs=0.1)
    rows = [json.loads(line) for line in (real_node() / 'data.json').read_text().splitlines()]
    seen = sum(row['absolute_cpu_utilization'] for row in rows) / len(rows)
    assert 1 - seen / (entry.cpu_seconds / entry.seconds) == pytest.approx(0.106, abs=0.005)
    ours = [against(found.entries, found.claims, idle).watts['reserved'] for idle in SPAN]
    assert ours == pytest.approx([10.36, 13.77, 18.25, 22.73], abs=0.01)
    # Without anybody's word on idle power, the log bounds it: 61.9 to 73.9 W.
    (cpu,) = entry.readings
    assert cpu.idle_watts / cpu.idle_u_rel == pytest.approx(61.9, abs=0.05)
    assert cpu.idle_watts * cpu.idle_u_rel == pytest.approx(73.9, abs=0.05)
    both = against(found.entries, found.claims)
    assert both.watts['reserved'] == pytest.approx(15.9, abs=0.05)
    assert both.watts['reserved'] / both.u_rel < ours[0] < ours[2] < 15.9 * both.u_rel
    (line,) = found.warnings
    assert line.startswith(f'{real_node() / "data.json"}: in 11 of 238 looks {TRACKER} saw none')


def test_on_a_busy_node_the_tracker_charges_an_eighth(tmp_path: Path):
    busy = told(ImpactTracker(), busy_node(tmp_path), Machine('Skylake'))
    idle = told(ImpactTracker(), real_node(), Machine('Skylake'))
    theirs = [against(one.entries, one.claims).watts[TRACKER] for one in (idle, busy)]
    assert theirs == pytest.approx([58.7, 6.9], abs=0.05)
    assert theirs[0] / theirs[1] == pytest.approx(8.5, abs=0.05)
    for watts in SPAN:
        ours = [against(one.entries, {}, watts).watts['reserved'] for one in (idle, busy)]
        assert ours[1] == pytest.approx(6.85, abs=0.03)
        assert 1.4 < ours[0] / ours[1] < 3.4


def test_claims_add_to_nothing(tmp_path: Path):
    found = told(ImpactTracker(), busy_node(tmp_path))
    assert set(found.claims) == {TRACKER}
    both = against(found.entries, found.claims)
    assert both.claims[TRACKER] == pytest.approx(6.9 * both.seconds)
    assert both.policies == pytest.approx(share(found.entries).shares[0].joules)


# What was seen, and what was not ---------------------------------------------------------


def test_what_was_not_seen_is_not_filled_in(tmp_path: Path):
    found = told(ImpactTracker(), log(tmp_path, *(look(T0 + 4 * n) for n in range(50))))
    (entry,) = found.entries
    (cpu,) = entry.readings
    assert (cpu.component, cpu.scope, cpu.tier) == ('cpu', 'host', 'measured')
    assert cpu.joules == pytest.approx(50 * 2 * 83.0)
    assert entry.seconds == pytest.approx(198.0)
    assert cpu.coverage == pytest.approx(100 / 198)
    assert entry.windows[1].covered == (2.0,)
    assert entry.windows[1].seconds == pytest.approx(4.0)
    # As much may have been in the other half.
    (one,) = share(found.entries).shares
    assert one.u_rel > 1.08 * 198 / 100
    assert entry.started == '2021-04-07T00:46:28+00:00'
    assert (entry.host_cores, entry.reserved_cores) == (40, 1.0)


def test_seconds_of_children_stay_when_they_are_gone(tmp_path: Path):
    def line(number: int, **processes: tuple[float, float, float, float]) -> str:
        return look(T0 + 4 * number, own=0.01, processes=processes)

    found = told(
        ImpactTracker(),
        log(
            tmp_path,
            line(0, shell=(1.0, 0.0, 0.0, 0.0)),
            line(1, shell=(1.0, 0.0, 0.0, 0.0), child=(2.0, 1.0, 0.0, 0.0)),
            # It is gone, after half a second more; two came and went between both looks.
            line(2, shell=(1.0, 0.5, 4.0, 1.5)),
            # One whom nobody waited for takes its seconds away.
            line(3, shell=(1.0, 0.5, 4.0, 1.5), orphan=(2.0, 0.0, 0.0, 0.0)),
            line(4, shell=(1.0, 0.5, 4.0, 1.5)),
        ),
    )
    (entry,) = found.entries
    used = [window.cpu_seconds for window in entry.windows]
    assert used == pytest.approx([0.02, 3.0, 3.0, 2.0, 0.0])


def test_where_none_of_it_computes_the_host_is_not_known(tmp_path: Path):
    processes = [{'1': (float(n), 0.0, 0.0, 0.0)} for n in range(3)]
    lines = [look(T0 + 4 * n, own=n % 2, processes=processes[n]) for n in range(3)]
    found = told(ImpactTracker(), log(tmp_path, *lines))
    (entry,) = found.entries
    assert [window.host_cpu_seconds for window in entry.windows] == [None, 4.0, None]
    assert 'in 2 of 3 looks' in found.warnings[0]


def test_a_host_is_at_least_as_busy_as_its_own_processes(tmp_path: Path):
    lines = [
        look(T0 + 4 * n, own=0.5, busy=0.6, processes={'1': (4.0 * n, 0.0, 0.0, 0.0)})
        for n in range(3)
    ]
    (entry,) = told(ImpactTracker(), log(tmp_path, *lines)).entries
    assert entry.windows[2].host_cpu_seconds == pytest.approx(4.0)


@pytest.mark.parametrize(
    ('machine', 'bounds'),
    [
        # The least that was seen, less one core; the model says 24.5 W, twice or half.
        (Machine('Skylake'), (68.0, 80.0)),
        (Machine(), (68.0, 80.0)),
        # Measured on the machine.
        (Machine(watts=(66.0, 300.0)), (66.0 / 1.2, 66.0 * 1.2)),
        # Never more than was seen.
        (Machine(watts=(90.0, 300.0)), (80.0 / 1.2, 80.0 * 1.2)),
    ],
)
def test_idle_power_is_bounded_by_what_was_seen(tmp_path: Path, machine, bounds):
    lines = [look(T0, 90.0, busy=2.0, own=1.0), look(T0 + 4, 80.0, busy=0.5, own=0.5)]
    ((cpu,),) = (
        one.readings for one in told(ImpactTracker(), log(tmp_path, *lines), machine).entries
    )
    found = cpu.idle_watts / cpu.idle_u_rel, cpu.idle_watts * cpu.idle_u_rel
    assert found == pytest.approx(bounds)


def test_a_gpu_is_charged_by_its_multiprocessors(tmp_path: Path):
    gpu = {
        'nvidia_draw_absolute': 110.0,
        'nvidia_estimated_attributable_power_draw': 45.0,
        'per_gpu_power_draw': {'1': 60.0},
        'per_gpu_average_estimated_utilization_absolute': {
            '(0, 9)': {'sm': 80.0},
            '(1, 7)': {'sm': 30.0},
            '(1, 9)': {'sm': 10.0},
            '(1, 0)': {'sm': 0},
        },
        'process_ids': [7],
    }
    lines = [look(T0 + 8 * n, **(gpu if n else {})) for n in range(3)]
    found = told(ImpactTracker(), log(tmp_path, *lines))
    (entry,) = found.entries
    assert [reading.component for reading in entry.readings] == ['cpu', 'gpu:1']
    assert entry.windows[0].joules[1] is None
    assert entry.windows[1].uses[1] == pytest.approx((2.4, 3.2, 8.0, 16.0))
    (one,) = share(found.entries).shares
    # No idle power of a GPU is told: all of it by use.
    assert one.components['gpu:1'] == pytest.approx(2 * 120.0 * 0.75)
    assert found.claims[TRACKER] == pytest.approx(3 * 2 * 58.7 + 2 * 2 * 45.0)


def test_a_log_without_processors_power_says_so(tmp_path: Path):
    line = json.dumps({'timestamp': T0, 'nvidia_draw_absolute': 50.0})
    found = told(ImpactTracker(), log(tmp_path, line))
    assert found.entries[0].readings[0].joules is None
    assert found.claims == {}
    assert 'no power of the processors' in found.warnings[0]


def test_long_logs_are_kept_short(tmp_path: Path):
    lines = [look(T0 + PASS * n, processes={'1': (PASS * n, 0.0, 0.0, 0.0)}) for n in range(3000)]
    (entry,) = told(ImpactTracker(), log(tmp_path, *lines)).entries
    assert entry.cpu_seconds == pytest.approx(PASS * 2999 + 2.0)
    assert entry.readings[0].joules == pytest.approx(3000 * 2 * 83.0)
    assert entry.readings[0].coverage == pytest.approx(6000 / (PASS * 2999 + 2))


def test_whose_it_is_follows_from_its_place(tmp_path: Path):
    place = tmp_path / 'out' / 'sub-01' / 'ses-2' / 'cpu' / 'impacttracker'
    place.mkdir(parents=True)
    machine = Machine()
    (entry,) = told(ImpactTracker(), log(place, look(T0), look(T0 + 4)), machine).entries
    assert (entry.subject, entry.session, entry.node) == ('01', '2', 'cpu')
    assert machine.asked == [('', '', 40)]


# Anybody's files -------------------------------------------------------------------------


def test_a_pickle_is_not_even_opened(tmp_path: Path):
    (tmp_path / 'info.pkl').write_bytes(b'cos\nsystem\n(S"false"\ntR.')
    log(tmp_path, look(T0))
    names = frozenset({'data.json', 'info.pkl'})
    (source,) = ImpactTracker().find(Folder(tmp_path, tmp_path, frozenset(), names))
    assert source.files == (tmp_path / 'data.json',)


def test_somebody_elses_file_of_that_name_is_left_alone(tmp_path: Path):
    assert told(ImpactTracker(), log(tmp_path, '{"timestamp": 1, "rows": []}')).entries == ()
    (tmp_path / 'data.json').write_bytes(b'\xff\x00\x80' * 100)
    assert told(ImpactTracker(), tmp_path) == told(ImpactTracker(), log(tmp_path, '')).__class__()


def test_a_log_of_nothing_is_refused(tmp_path: Path):
    with pytest.raises(ReaderError, match=r'data\.json: no line of it'):
        told(ImpactTracker(), log(tmp_path, '{"timestamp": NaN, "rapl_power_draw_absolute": 1}'))


def test_broken_lines_cost_one_line(tmp_path: Path):
    lines = [
        look(T0),
        '[' * 100_000,
        '{"timestamp": 1e999}',
        look(T0 - 100),
        look(T0 + 2)[:200],
        '[1, 2]',
        '{"timestamp": ' + '9' * 5000 + '}',
        look(T0 + 4),
    ]
    found = told(ImpactTracker(), log(tmp_path, *lines))
    assert found.warnings == (
        f'{tmp_path / "data.json"}: 6 lines cannot be read, or go back in time: left out',
    )
    assert [window.seconds for window in found.entries[0].windows] == [2.0, 4.0]


def test_values_that_no_counter_shows_are_none(tmp_path: Path):
    lines = [
        look(T0, watts=-5.0),
        look(T0 + 4, watts=0.0),
        look(T0 + 8, watts=float('nan')),
        look(T0 + 12, watts=1e300),
        look(T0 + 16, own=1e300, processes={'1': (1e300, 0.0, 0.0, 0.0)}),
    ]
    (entry,) = told(ImpactTracker(), log(tmp_path, *lines)).entries
    assert [window.joules for window in entry.windows] == [(None,)] * 4 + [(166.0,)]
    assert entry.windows[4].cpu_seconds <= 40 * entry.windows[4].seconds


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
WATTS = st.floats(-1, 400) | ANY
TIMES = st.dictionaries(
    st.sampled_from(['user', 'system', 'children_user', 'children_system', 'iowait']),
    st.floats(0, 1e6) | ANY,
)
ROWS = st.fixed_dictionaries(
    {'timestamp': st.floats(1.6e9, 1.7e9) | ANY, 'rapl_power_draw_absolute': WATTS},
    optional={
        'rapl_estimated_attributable_power_draw': WATTS,
        'cpu_time_seconds': st.dictionaries(st.sampled_from('123'), TIMES | ANY) | ANY,
        'absolute_cpu_utilization': st.floats(0, 40) | ANY,
        'average_relative_cpu_utilization': st.floats(0, 1) | ANY,
        'cpu_freq': st.lists(ANY, max_size=4) | ANY,
        'per_gpu_power_draw': st.dictionaries(st.sampled_from(['0', '1', 'x', '²']), WATTS) | ANY,
        'per_gpu_average_estimated_utilization_absolute': st.dictionaries(
            st.sampled_from(['(0, 1)', '(1, 2)', '(0, 3)', 'x']),
            st.dictionaries(st.just('sm'), st.floats(0, 100) | ANY) | ANY,
        )
        | ANY,
        'process_ids': st.lists(st.integers(0, 3)) | ANY,
        'nvidia_estimated_attributable_power_draw': WATTS,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROWS, max_size=6), st.binary(max_size=40), st.booleans())
def test_no_line_breaks_it(rows: list, noise: bytes, sort: bool):
    if sort:
        rows.sort(key=lambda row: str(row['timestamp']))
    lines = [json.dumps(row).encode() for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'data.json').write_bytes(b'\n'.join([*lines, noise]))
        try:
            found = told(ImpactTracker(), Path(folder))
        except ReaderError:
            return
        for entry in found.entries:
            assert all(isinstance(window, Window) for window in entry.windows)
            assert against(found.entries, found.claims).seconds <= entry.seconds + 1e-6
