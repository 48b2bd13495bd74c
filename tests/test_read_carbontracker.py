"""Logs of carbontracker: epochs of the machine, and what it charged without its PUE."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracker_logs import Machine, told

from nicarbon.errors import ReaderError
from nicarbon.readers import Folder
from nicarbon.readers.carbontracker import TRACKER, CarbonTracker

STEM = '2798.430311_2026-11-26T020116Z'

HEAD = """\
2026-11-26 02:01:16 - carbontracker version 2.4.7
2026-11-26 02:01:16 - Only predicted and actual consumptions are multiplied by a PUE coefficient \
of 1.58 (Daniel Bizo, 2023, Uptime Institute Global Data Center Survey).
2026-11-26 02:01:18 - The following components were found: {}
2026-11-26 02:01:18 - Monitoring thread started.
"""
EPOCHS = """\
2026-11-26 02:01:21 - Epoch 1:
2026-11-26 02:01:21 - Duration: 0:00:03.00
2026-11-26 02:01:21 - Average power usage (W) for cpu: 35.5
2026-11-26 02:01:24 - Epoch 2:
2026-11-26 02:01:24 - Duration: 0:00:03.00
2026-11-26 02:01:24 - Average power usage (W) for cpu: 35.5
"""
# As version 2.4.7 writes it.
OUTPUT = """\
2026-11-26 02:01:18 - CarbonTracker: The following components were found: CPU with device(s) \
Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz.
2026-11-26 02:01:21 - CarbonTracker:
Predicted consumption for 2 epoch(s):
	Time:	0:00:06
	Energy:	9.000000000000 kWh
	CO2eq:	0.062601665481 g
	This is equivalent to:
	0.000586157916 km travelled by car
2026-11-26 02:01:24 - CarbonTracker: Average carbon intensity during training was 445.00 gCO2eq/kWh.
2026-11-26 02:01:24 - CarbonTracker:
Actual consumption for 2 epoch(s):
	Time:	0:00:06
	Energy:	0.000093483333 kWh
	CO2eq:	0.041600083185 g
	This is equivalent to:
	0.000389513900 km travelled by car
2026-11-26 02:01:24 - CarbonTracker: Finished monitoring.
"""
BRAND = 'CPU with device(s) Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz.'
# As version 1 writes it.
OLD = """\
2022-11-14 15:27:05 - carbontracker version 1.1.6
2022-11-14 15:27:05 - Only predicted and actual consumptions are multiplied by a PUE coefficient \
of 1.59 (Rhonda Ascierto, 2020, Uptime Institute Global Data Center Survey).
2022-11-14 15:27:05 - The following components were found: GPU with device(s) Tesla V100-PCIE, \
Tesla V100-PCIE. CPU with device(s) cpu:0, cpu:1.
2022-11-14 15:44:48 - Epoch 1:
2022-11-14 15:44:48 - Duration: 0:00:10.50
2022-11-14 15:44:48 - Average power usage (W) for gpu: [136.86084615
  63.13915385]
2022-11-14 15:44:48 - Average power usage (W) for cpu: [13.389104 6.610896]
2022-11-14 15:44:58 - Epoch 2:
2022-11-14 15:44:58 - Duration: 0:00:00.50
2022-11-14 15:44:58 - Average power usage (W) for gpu: None
2022-11-14 15:44:58 - Average power usage (W) for cpu: [0. 0.]
"""


def logs(folder: Path, standard: str = '', output: str = '', stem: str = STEM) -> Path:
    for kind, text in (('', standard), ('_output', output)):
        if text:
            (folder / f'{stem}_carbontracker{kind}.log').write_text(text)
    return folder


def test_epochs_are_windows(tmp_path: Path):
    machine = Machine('Skylake')
    found = told(CarbonTracker(), logs(tmp_path, HEAD.format(BRAND) + EPOCHS, OUTPUT), machine)
    (entry,) = found.entries
    (cpu,) = entry.readings
    assert (cpu.component, cpu.scope, cpu.joules) == ('cpu', 'own', pytest.approx(213.0))
    # A CPU by its brand: half of its TDP, whatever it did.
    assert (cpu.tier, cpu.u_rel, cpu.method) == ('modelled', 5.0, 'model:half-tdp:carbontracker')
    assert [window.seconds for window in entry.windows] == [3.0, 3.0]
    assert entry.seconds == 6.0
    assert machine.asked == [('', 'Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz', None)]
    # It charges 1.58 times that, and predicts nine kilowatt-hours.
    assert found.claims == {TRACKER: pytest.approx(213.0, rel=1e-6)}
    assert 'what others ran there' in found.warnings[0]


def test_a_cpu_in_no_table_is_assumed(tmp_path: Path):
    (entry,) = told(CarbonTracker(), logs(tmp_path, HEAD.format(BRAND) + EPOCHS)).entries
    assert entry.readings[0].tier == 'assumed'


def test_means_of_devices_add_up(tmp_path: Path):
    found = told(CarbonTracker(), logs(tmp_path, OLD))
    (entry,) = found.entries
    cpu, gpu = entry.readings
    assert (cpu.method, cpu.tier, cpu.u_rel) == ('rapl:carbontracker', 'measured', 2.0)
    assert (gpu.component, gpu.tier, gpu.u_rel) == ('gpu:all', 'measured', 1.65)
    assert cpu.joules == pytest.approx(20.0 * 10.5)
    assert gpu.joules == pytest.approx(200.0 * 10.5)
    # What was not seen is none, and never 0.
    assert entry.windows[1].joules == (None, None)
    assert cpu.coverage == pytest.approx(10.5 / 11)
    assert 'in 1 of 2 epochs no power was seen' in found.warnings[-1]


def test_a_mean_over_devices_is_multiplied(tmp_path: Path):
    """Version 2 puts looks at all devices in one list, and takes its mean."""
    found = told(
        CarbonTracker(),
        logs(tmp_path, HEAD.format('CPU with device(s) cpu:0, dram:0:1.') + EPOCHS),
    )
    (entry,) = found.entries
    (cpu,) = entry.readings
    assert (cpu.joules, cpu.method) == (pytest.approx(2 * 213.0), 'rapl:carbontracker')
    assert 'cpu has 2 devices' in found.warnings[1]


def test_a_total_alone_is_divided_by_its_pue(tmp_path: Path):
    found = told(CarbonTracker(), logs(tmp_path, output=OUTPUT))
    (entry,) = found.entries
    (cpu,) = entry.readings
    assert (cpu.joules, cpu.component) == (pytest.approx(213.0, rel=1e-6), 'cpu')
    assert cpu.u_rel == pytest.approx(5.0 * 1.08)
    assert entry.seconds == 6.0
    assert 'taken to be 1.58' in found.warnings[-1]
    # With the first log, its own.
    head = HEAD.format(BRAND).replace('1.58', '1.55')
    found = told(CarbonTracker(), logs(tmp_path, head, OUTPUT))
    assert found.entries[0].readings[0].joules == pytest.approx(213.0 * 1.58 / 1.55, rel=1e-6)


def test_a_total_of_several_components_is_the_rest(tmp_path: Path):
    text = OUTPUT.replace('found: CPU', 'found: GPU with device(s) V100. CPU')
    (entry,) = told(CarbonTracker(), logs(tmp_path, output=text)).entries
    (rest,) = entry.readings
    assert (rest.component, rest.tier) == ('rest', 'modelled')


def test_what_was_predicted_is_never_counted(tmp_path: Path):
    predicted = OUTPUT[: OUTPUT.index('2026-11-26 02:01:24')]
    with pytest.raises(ReaderError, match='no epoch of it had ended'):
        told(CarbonTracker(), logs(tmp_path, HEAD.format(BRAND), predicted))
    found = told(CarbonTracker(), logs(tmp_path, HEAD.format(BRAND) + EPOCHS, predicted))
    assert found.claims == {}
    assert found.entries[0].readings[0].joules == pytest.approx(213.0)


def test_each_process_is_one_source(tmp_path: Path):
    names = {
        'sub-02_ses-1_2798.430311_2026-11-26T020116Z_carbontracker.log',
        'sub-02_ses-1_2798.430311_2026-11-26T020116Z_carbontracker_output.log',
        'sub-02_ses-1_2798.430311_2026-11-26T020116Z_carbontracker_err.log',
        '17_2026-11-26T020116Z_carbontracker.log',
        'other.log',
    }
    found = list(CarbonTracker().find(Folder(tmp_path, tmp_path, frozenset(), frozenset(names))))
    assert [len(source.files) for source in found] == [1, 2]
    stem = found[1].path.name.removesuffix('_carbontracker.log')
    logs(tmp_path, HEAD.format(BRAND) + EPOCHS, stem=stem)
    (entry,) = told(CarbonTracker(), tmp_path).entries
    assert (entry.subject, entry.session, entry.node) == ('02', '1', 'sub-02_ses-1')


def test_epochs_of_one_second_follow_one_another(tmp_path: Path):
    text = EPOCHS.replace('0:00:03.00', '0:00:03.40')
    (entry,) = told(CarbonTracker(), logs(tmp_path, HEAD.format(BRAND) + text)).entries
    first, second = entry.windows
    assert second.start == pytest.approx(first.stop)


def test_many_epochs_are_kept_short(tmp_path: Path):
    lines = [HEAD.format(BRAND)]
    for number in range(1300):
        told_at = f'2026-11-26 {3 + number // 600:02}:{number // 10 % 60:02}:{number % 10 * 6:02}'
        lines.append(f'{told_at} - Epoch {number + 1}:\n{told_at} - Duration: 0:00:02.50\n')
        watts = 'None' if number % 2 else '40.0'
        lines.append(f'{told_at} - Average power usage (W) for cpu: {watts}\n')
    (entry,) = told(CarbonTracker(), logs(tmp_path, ''.join(lines))).entries
    (cpu,) = entry.readings
    assert entry.seconds == pytest.approx(1300 * 2.5)
    assert cpu.joules == pytest.approx(650 * 100.0)
    assert cpu.coverage == pytest.approx(0.5)


@pytest.mark.parametrize(
    'text',
    [
        '',
        'no log',
        HEAD.format(BRAND) + '2026-13-45 99:99:99 - Duration: 0:00:03.00\n',
        HEAD.format('') + EPOCHS.replace('35.5', '[nan inf]').replace('0:00:03.00', '9' * 400),
        '2026-11-26 02:01:21 - Duration: 0:00:00.00\n',
    ],
)
def test_a_log_of_nothing_is_refused(tmp_path: Path, text):
    with pytest.raises(ReaderError, match=r'carbontracker\.log: no epoch'):
        told(CarbonTracker(), logs(tmp_path, text or ' '))


PIECE = st.sampled_from(
    [
        *HEAD.format('GPU with device(s) A, B. CPU with device(s) cpu:0, dram:0.').splitlines(),
        *EPOCHS.splitlines(),
        *OLD.splitlines(),
        *OUTPUT.splitlines(),
        '2026-11-26 02:01:21 - Duration: 9999999999:00:03.00',
        '2026-11-26 02:01:21 - Average power usage (W) for cpu: [',
        '2026-11-26 02:01:21 - Average power usage (W) for ane: 1e999',
        '2026-11-26 02:01:21 - Average power usage (W) for gpu: [1e5 -3 x]',
        '\tEnergy:\t1e400 kWh',
    ]
)
LINES = st.lists(PIECE | st.text(max_size=20), max_size=30).map('\n'.join)


@settings(max_examples=300, deadline=None)
@given(LINES, LINES, st.binary(max_size=30))
def test_no_log_breaks_it(standard: str, output: str, noise: bytes):
    with tempfile.TemporaryDirectory() as name:
        folder = logs(Path(name), standard or ' ', output)
        with (folder / f'{STEM}_carbontracker.log').open('ab') as file:
            file.write(noise)
        try:
            found = told(CarbonTracker(), folder)
        except (ReaderError, UnicodeEncodeError):
            return
        assert len(found.entries) == 1
