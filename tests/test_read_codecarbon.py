"""Tables of CodeCarbon: each joule once, and how little a row says of it."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
from codecarbon.output_methods.emissions_data import EmissionsData, TaskEmissionsData
from codecarbon.output_methods.file import FileOutput
from hypothesis import given, settings
from hypothesis import strategies as st
from tracker_logs import Machine, told

from nicarbon.claims import against
from nicarbon.errors import ReaderError
from nicarbon.exports.codecarbon import columns
from nicarbon.readers import Folder
from nicarbon.readers.codecarbon import TRACKER, U_CPU, U_CPU_CONSTANT, CodeCarbon

ROW = {
    'timestamp': '2026-01-02T10:00:00',
    'project_name': 'recon',
    'run_id': 'a',
    'duration': 3600.0,
    'emissions': 0.01,
    'cpu_energy': 0.03,
    'gpu_energy': 0.0,
    'ram_energy': 0.01,
    'energy_consumed': 0.04,
    'country_iso_code': 'CAN',
    'codecarbon_version': '3.3.2',
    'cpu_count': 8,
    'cpu_model': 'Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz',
    'tracking_mode': 'machine',
    'pue': 1.0,
}
J = 3.6e6


def table(folder: Path, *rows: dict, name: str = 'emissions.csv') -> Path:
    names = list(dict.fromkeys(key for row in rows for key in {**ROW, **row}))
    with (folder / name).open('w', newline='') as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({**ROW, **row} for row in rows)
    return folder


def joules(found) -> float:
    return sum(reading.joules for entry in found.entries for reading in entry.readings)


def test_a_row_is_a_run(tmp_path: Path):
    machine = Machine('Skylake')
    found = told(CodeCarbon(), table(tmp_path, {}), machine)
    (entry,) = found.entries
    cpu, ram = entry.readings
    assert (cpu.component, cpu.joules, cpu.tier, cpu.u_rel) == ('cpu', 0.03 * J, 'modelled', 4.0)
    assert (ram.component, ram.joules, ram.tier) == ('dram', 0.01 * J, 'modelled')
    assert (entry.stage, entry.node, entry.seconds) == (TRACKER, 'recon', 3600.0)
    assert (entry.host_cores, entry.reserved_cores, entry.host_cpu_seconds) == (8, 8.0, None)
    assert machine.asked == [('', ROW['cpu_model'], 8)]
    assert found.claims == {TRACKER: pytest.approx(0.04 * J)}
    # What is its own is charged by every policy, as CodeCarbon charges it.
    assert against(found.entries, found.claims).watts == dict.fromkeys(
        [TRACKER, 'reserved', 'dynamic', 'active', 'exclusive'], pytest.approx(40.0)
    )
    (line,) = found.warnings
    for word in ('a counter or of a model', '4 times', 'whole machine', 'CAN', 'no CPU time'):
        assert word in line


def test_rows_of_one_run_add_to_nothing(tmp_path: Path):
    rows = [
        {'duration': 10.0 * n, 'cpu_energy': 0.01 * n, 'energy_consumed': 0.01 * (n + 1)}
        for n in (1, 2, 3)
    ]
    other = {'run_id': 'b', 'timestamp': '2026-01-02T12:00:00'}
    found = told(CodeCarbon(), table(tmp_path, rows[0], other, *rows[1:]))
    assert [entry.seconds for entry in found.entries] == [30.0, 3600.0]
    assert joules(found) == pytest.approx(0.08 * J)
    # The same again from the table that was put aside when the columns changed.
    table(tmp_path, rows[0], name='emissions.csv.bak')
    table(tmp_path, rows[1], name='emissions.csv_0.bak')
    assert joules(told(CodeCarbon(), tmp_path)) == pytest.approx(0.08 * J)


def test_tasks_are_counted_and_not_their_run_too(tmp_path: Path):
    table(tmp_path, {'duration': 100.0, 'timestamp': '2026-01-02T10:10:00', 'pue': 1.25})
    tasks = [
        {
            'task_name': name,
            'duration': 100.0,
            'timestamp': f'2026-01-02T10:{minute}:00',
            'cpu_energy': 0.012,
            'ram_energy': 0.004,
            'energy_consumed': 0.016,
            'pue': '',
        }
        for name, minute in (('load', '05'), ('fit', '10'))
    ]
    table(tmp_path, *tasks, name='emissions_base_a.csv')
    found = told(CodeCarbon(), tmp_path)
    assert [entry.stage for entry in found.entries] == ['load', 'fit', TRACKER]
    assert joules(found) == pytest.approx(0.04 / 1.25 * J)
    # From the start of the first to the end of the last, 400 s, 200 of them in tasks.
    assert found.entries[2].seconds == pytest.approx(200.0)
    assert found.entries[2].cpu_seconds == 0


def test_a_rest_without_time_is_said_and_not_counted(tmp_path: Path):
    table(tmp_path, {'duration': 100.0})
    table(
        tmp_path,
        {'task_name': 'fit', 'duration': 100.0, 'cpu_energy': 0.02, 'energy_consumed': 0.03},
        name='emissions_base_a.csv',
    )
    found = told(CodeCarbon(), tmp_path)
    assert joules(found) == pytest.approx(0.03 * J)
    assert found.warnings[0].endswith('a run used 36000 J outside its tasks, in no time: left out')


def test_energies_are_those_of_the_machine(tmp_path: Path):
    """``emissions_tracker.py`` multiplies each by the PUE before it adds them up."""
    found = told(CodeCarbon(), table(tmp_path, {'pue': 1.6}))
    assert joules(found) == pytest.approx(0.04 / 1.6 * J)
    assert found.claims[TRACKER] == pytest.approx(0.04 / 1.6 * J)


def test_a_gpu_has_a_counter_and_the_oldest_have_no_columns(tmp_path: Path):
    gpu = {'gpu_energy': 0.1, 'energy_consumed': 0.14}
    (entry,) = told(CodeCarbon(), table(tmp_path, gpu)).entries
    reading = entry.readings[2]
    assert (reading.component, reading.tier, reading.u_rel) == ('gpu:all', 'measured', 1.65)
    old = {'cpu_energy': '', 'gpu_energy': '', 'ram_energy': '', 'codecarbon_version': ''}
    (entry,) = told(CodeCarbon(), table(tmp_path, old)).entries
    (rest,) = entry.readings
    assert (rest.component, rest.joules, rest.u_rel) == ('rest', 0.04 * J, U_CPU_CONSTANT)


@pytest.mark.parametrize(
    ('version', 'u_rel'),
    [('2.8.4', U_CPU_CONSTANT), ('3.0.0', U_CPU), ('10.1', U_CPU), ('x', U_CPU_CONSTANT)],
)
def test_older_versions_have_a_worse_model(tmp_path: Path, version, u_rel):
    (entry,) = told(CodeCarbon(), table(tmp_path, {'codecarbon_version': version})).entries
    assert entry.readings[0].u_rel == u_rel


def test_load_is_that_of_the_machine(tmp_path: Path):
    load = {'cpu_utilization_percent': 50.0}
    (entry,) = told(CodeCarbon(), table(tmp_path, load)).entries
    assert entry.cpu_seconds == pytest.approx(0.5 * 8 * 3600)
    (entry,) = told(CodeCarbon(), table(tmp_path, load | {'tracking_mode': 'process'})).entries
    assert (entry.cpu_seconds, entry.reserved_cores) == (0.0, 1.0)


def test_whose_it_is(tmp_path: Path):
    (entry,) = told(CodeCarbon(), table(tmp_path, {'project_name': 'sub-03_ses-b'})).entries
    assert (entry.subject, entry.session) == ('03', 'b')
    place = tmp_path / 'sub-04'
    place.mkdir()
    (entry,) = told(CodeCarbon(), table(place, {})).entries
    assert entry.subject == '04'


def test_what_the_installed_version_writes(tmp_path: Path):
    """By its own code: flushed after 5 s, stopped after 10, with one task in between."""
    values = dict.fromkeys(columns(), 0.0) | ROW | {'pue': 1.5, 'run_id': 'r'}
    half = EmissionsData(**values | {'duration': 5.0, 'cpu_energy': 0.01, 'energy_consumed': 0.02})
    whole = EmissionsData(**values | {'duration': 10.0})
    files = FileOutput('emissions.csv', str(tmp_path))
    files.out(half, None)
    files.out(whole, None)
    found = told(CodeCarbon(), tmp_path)
    assert [entry.seconds for entry in found.entries] == [10.0]
    assert joules(found) == pytest.approx(0.04 / 1.5 * J)
    names = [field.name for field in fields(TaskEmissionsData)]
    task = {name: getattr(half, name, 'fit') for name in names}
    files.task_out([TaskEmissionsData(**task)], 'base')
    found = told(CodeCarbon(), tmp_path)
    assert [(entry.stage, entry.seconds) for entry in found.entries] == [
        ('fit', 5.0),
        (TRACKER, 5.0),
    ]
    assert joules(found) == pytest.approx(0.04 / 1.5 * J)


# Anybody's files -------------------------------------------------------------------------


def test_names_of_its_tables(tmp_path: Path):
    names = {'emissions.csv', 'emissions_base_1.csv', 'emissions.csv_0.bak', 'emissions.csv.gz'}
    others = {'emissions.json', 'my_emissions.csv', 'emissions.csv.sh', 'group_carbon.tsv'}
    folder = Folder(tmp_path, tmp_path, frozenset(), frozenset(names | others))
    (source,) = CodeCarbon().find(folder)
    assert {path.name for path in source.files} == names
    assert not list(CodeCarbon().find(folder._replace(files=frozenset(others))))


def test_its_own_exports_are_not_counted_again(tmp_path: Path):
    own = {'project_name': 'nicarbon', 'codecarbon_version': ''}
    found = told(CodeCarbon(), table(tmp_path, own, {}))
    assert len(found.entries) == 1
    assert found.warnings[0].endswith('nicarbon wrote this table itself: left out')


def test_somebody_elses_table_is_refused(tmp_path: Path):
    (tmp_path / 'emissions.csv').write_text('year,tonnes\n2020,1\n')
    with pytest.raises(ReaderError, match=r'emissions\.csv: no table of CodeCarbon'):
        told(CodeCarbon(), tmp_path)
    # Beside one that is, it is a warning.
    table(tmp_path, {}, name='emissions_real.csv')
    assert 'lacks columns' in told(CodeCarbon(), tmp_path).warnings[0]


@pytest.mark.parametrize(
    'bad',
    [
        {'duration': 'nan'},
        {'duration': 0},
        # Two kilowatt-hours in an instant, which the clock of 1970 does not even resolve.
        {'duration': 1.5e-5},
        {'duration': 1.0, 'cpu_energy': 1.0},
        {'duration': '1e400'},
        {'energy_consumed': '', 'cpu_energy': '', 'ram_energy': ''},
        {'timestamp': '0001-01-01T00:00:00'},
        {'timestamp': '=cmd()'},
    ],
)
def test_a_broken_row_costs_one_line(tmp_path: Path, bad):
    found = told(CodeCarbon(), table(tmp_path, bad | {'run_id': 'z'}, {}))
    assert len(found.entries) == 1
    assert found.warnings[0].endswith('1 rows cannot be read: left out')


def test_a_field_without_end_costs_one_line(tmp_path: Path):
    table(tmp_path, {})
    with (tmp_path / 'emissions.csv').open('a') as file:
        file.write('x' * 200_000)
    found = told(CodeCarbon(), tmp_path)
    assert len(found.entries) == 1
    assert '1 rows cannot be read' in found.warnings[0]


# Python 3.10 writes no NUL; noise has some.
CELL = st.sampled_from(['', '0', '-1', '1e308', 'inf', 'a', '3600', '0.5', '2026-01-02T10:00:00'])
CELL |= (
    st.floats().map(repr)
    | st.text(st.characters(exclude_characters='\0', exclude_categories=['Cs']), max_size=12)
    | st.datetimes().map(str)
)
ROWS = st.lists(st.dictionaries(st.sampled_from([*ROW, 'task_name']), CELL), max_size=6)


@settings(max_examples=300, deadline=None)
@given(ROWS, ROWS, st.binary(max_size=60), st.booleans())
def test_no_table_breaks_it(rows: list, tasks: list, noise: bytes, alone: bool):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table(folder, *rows, {}, name='emissions.csv')
        tasks = [{'task_name': 'a'} | row for row in tasks]
        table(folder, *tasks, name='emissions_base_a.csv') if tasks else None
        with (folder / 'emissions.csv').open('wb' if alone else 'ab') as file:
            file.write(noise)
        try:
            found = told(CodeCarbon(), folder)
        except ReaderError:
            return
        assert joules(found) == pytest.approx(sum(found.claims.values()))
