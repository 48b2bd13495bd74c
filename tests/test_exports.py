"""Formats of others: their units, their sums, and nothing that is not known."""

from __future__ import annotations

import csv
import gc
import io
import json
import re
import weakref
from dataclasses import fields
from datetime import datetime, timedelta, timezone

import pytest
import report_data
from codecarbon.output_methods.boamps.mapper import map_emissions_to_boamps
from codecarbon.output_methods.emissions_data import EmissionsData
from codecarbon.output_methods.file import FileOutput
from command import nicarbon
from hypothesis import given
from hypothesis import strategies as st

from nicarbon import sidecar
from nicarbon.account import PUE, Intensity
from nicarbon.errors import InputError
from nicarbon.exports import FILES, About, all_of, start
from nicarbon.exports.order import Task, parents
from nicarbon.stage import every, stages

NOW = '2026-11-25T20:00:00+00:00'
PUE_12 = PUE(1.2)
STRUCTURAL = stages('structural')


def about(**changes) -> About:
    known = {
        'intensity': report_data.QUEBEC,
        'pue': PUE_12,
        'hosts': (report_data.HOST,),
        'stages': every(),
        'version': '0.1',
        'created': NOW,
    }
    return About(**known | changes)


def rows_of(entries) -> list[dict]:
    dataset, _, _ = report_data.summaries(entries, report_data.QUEBEC, PUE_12)
    return [sidecar.row(line) for line in dataset.lines]


def row(stage: str = 'n4', **changes) -> dict:
    """A stage that took ten seconds and a hundred joules."""
    cells = dict.fromkeys(sidecar.COLUMNS) | {
        'subject': '01', 'session': '', 'stage': stage, 'node': stage, 'outcome': 'ran',
        'started': NOW, 'duration': 10.0, 'cpu_time': 9.0, 'host_cpu_time': 15.0,
        'reserved_cores': 1.0, 'energy': 100.0, 'energy_low': 90.0, 'energy_high': 110.0,
        'energy_cpu': 100.0, 'tier': 'measured', 'carbon': 1e-3, 'carbon_low': 5e-4,
        'carbon_high': 2e-3, 'run_id': 'r1', 'host': 'node01', 'error': '',
    }  # fmt: skip
    return cells | changes


def cached(stage: str = 'n4', **changes) -> dict:
    nothing = {'duration': 0.0, 'energy': 0.0, 'energy_cpu': None, 'tier': None, 'carbon': 0.0}
    return row(stage, outcome='cached', **nothing | changes)


def after(seconds: float) -> str:
    return (datetime.fromisoformat(NOW) + timedelta(seconds=seconds)).isoformat()


def export(name: str, rows, known: About | None = None, **options) -> str:
    made = start(name, known or about(), **options)
    for each in rows:
        made.add(each)
    return made.text()


def report(rows, known: About | None = None) -> dict:
    return json.loads(export('boamps', rows, known))


def table(rows, known: About | None = None) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(export('codecarbon', rows, known))))


def workflow(rows, known: About | None = None, **options) -> dict:
    return json.loads(export('wfformat', rows, known, **options))


def tasks(made: dict) -> dict[str, dict]:
    """By id, what is specified and what was executed of each task."""
    parts = made['workflow']['specification']['tasks'], made['workflow']['execution']['tasks']
    ids = [[task['id'] for task in part] for part in parts]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])
    return {one['id']: one | two for one, two in zip(*parts, strict=True)}


def edges(made: dict) -> set[tuple[str, str]]:
    """Names of parents and children; both sides must tell the same."""
    known = tasks(made)
    down = {(p, each['id']) for each in known.values() for p in each['parents']}
    up = {(each['id'], c) for each in known.values() for c in each['children']}
    assert down == up
    return {(known[parent]['name'], known[child]['name']) for parent, child in down}


@pytest.fixture(scope='module')
def crowd() -> list[dict]:
    return rows_of(report_data.crowd())


def test_joules_are_kept_in_each_format(crowd) -> None:
    """The sum of each format is that of the rows, in kWh: with the facility where it says so."""
    kwh = sum(each['energy'] or 0.0 for each in crowd) / 3.6e6
    grams = sum(each['carbon'] or 0.0 for each in crowd)
    assert kwh > 0
    (run,) = table(crowd)
    assert float(run['energy_consumed']) == pytest.approx(1.2 * kwh)
    assert float(run['cpu_energy']) == pytest.approx(1.2 * kwh)
    assert float(run['emissions']) == pytest.approx(grams / 1000)
    measured = [each['powerConsumption'] for each in report(crowd)['measures']]
    assert sum(measured) == pytest.approx(kwh)
    charged = tasks(workflow(crowd)).values()
    assert sum(each.get('energyInKWh', 0.0) for each in charged) == pytest.approx(kwh)
    for each in charged:
        joules = each['avgPowerInW'] * each['runtimeInSeconds']
        assert joules / 3.6e6 == pytest.approx(each['energyInKWh'])


def test_all_of_them_in_one_pass(crowd) -> None:
    texts = all_of(iter(crowd), about(), most_tasks=None)
    assert set(texts) == set(FILES.values())
    for name, file in FILES.items():
        assert texts[file] == export(name, crowd)
        assert texts[file].endswith('\n')


def test_what_cannot_be_made_is_not_there() -> None:
    """No energy, no report of BoAmps; no task, no workflow; and each says why."""
    unseen = [row(energy=None, energy_cpu=None, tier=None, carbon=None)]
    assert set(all_of(unseen, about())) == set(FILES.values()) - {FILES['boamps']}
    assert set(all_of([cached()], about())) == {FILES['codecarbon']}
    with pytest.raises(InputError, match='no meter saw any energy'):
        export('boamps', unseen)
    # A cached stage's zero is no energy either.
    with pytest.raises(InputError, match='no meter saw any energy'):
        export('boamps', [cached(), *unseen])
    with pytest.raises(InputError, match='no stage was run'):
        export('wfformat', [])


@pytest.mark.parametrize('name', ['boamps', 'codecarbon'])
def test_rows_are_not_kept(name: str) -> None:
    class Row(dict):
        """A mapping that can be watched as it goes."""

    made = start(name, about())
    seen = []
    for _ in range(5):
        each = Row(row())
        seen.append(weakref.ref(each))
        made.add(each)
        del each
    gc.collect()
    assert not any(ref() for ref in seen)
    assert made.text()


def test_what_was_cached_adds_nothing_not_even_a_zero() -> None:
    unseen = row('affine', energy=None, energy_cpu=None, tier=None, carbon=None)
    (run,) = table([cached(), unseen])
    assert run['energy_consumed'] == run['emissions'] == ''
    made = report([row(), cached(subject='02')])
    assert made['task']['dataset'][0]['dataQuantity'] == 1


# CodeCarbon


def test_columns_are_those_of_codecarbon(crowd) -> None:
    (run,) = table(crowd)
    assert list(run) == [each.name for each in fields(EmissionsData)]


def test_units_of_codecarbon() -> None:
    gpu = {'energy': 600.0, 'energy_gpu': 400.0, 'energy_dram': 50.0, 'energy_rest': 50.0}
    (run,) = table([row(), row('affine', started=after(30), carbon=2e-3, **gpu)])
    seconds = 40.0
    assert float(run['duration']) == seconds
    assert run['timestamp'] == '2026-11-25T20:00:40'
    for name, joules in {'cpu': 200.0, 'gpu': 400.0, 'ram': 50.0}.items():
        assert float(run[f'{name}_energy']) == pytest.approx(1.2 * joules / 3.6e6)
        assert float(run[f'{name}_power']) == pytest.approx(1.2 * joules / seconds)
    # The rest of the machine has no column, and is in the sum.
    assert float(run['energy_consumed']) == pytest.approx(1.2 * 700 / 3.6e6)
    assert float(run['emissions']) == pytest.approx(3e-6)
    assert float(run['emissions_rate']) == pytest.approx(3e-6 / seconds)
    assert float(run['cpu_utilization_percent']) == pytest.approx(75.0)
    assert float(run['ram_total_size']) == pytest.approx(8.2e9 / 2**30)
    assert (run['country_iso_code'], run['region']) == ('CAN', 'quebec')
    assert (run['cpu_count'], float(run['pue'])) == ('2', 1.2)


def test_what_is_not_known_is_empty_and_not_zero() -> None:
    given = Intensity(30.0, 30.0, 30.0, 'given', '', '', 'average', 'the command line')
    unseen = row(energy=None, energy_cpu=None, carbon=None, host_cpu_time=None)
    (run,) = table([unseen], about(intensity=given, hosts=()))
    told = {name for name, cell in run.items() if cell}
    assert told == {
        'timestamp', 'project_name', 'run_id', 'duration', 'os', 'tracking_mode', 'on_cloud', 'pue'
    }  # fmt: skip


def test_one_row_for_each_run_and_host() -> None:
    rows = [row(run_id=run, host=host) for run in 'ab' for host in 'xyx']
    rows += [cached(run_id='c', host='x')]
    found = [(one['run_id'], float(one['energy_consumed']) * 3.6e6 / 1.2) for one in table(rows)]
    assert [run for run, _ in found] == ['a', 'a', 'b', 'b']
    assert [joules for _, joules in found] == pytest.approx([200.0, 100.0, 200.0, 100.0])


def test_codecarbon_reads_its_own_table(crowd, tmp_path) -> None:
    """Pandas loads it, CodeCarbon goes on with the same file, and maps a row of it."""
    import pandas as pd

    path = tmp_path / 'emissions.csv'
    path.write_text(export('codecarbon', [*crowd, row(run_id='r2')]))
    frame = pd.read_csv(path)
    assert frame.run_id.tolist() == [report_data.RUN, 'r2']
    assert frame.energy_consumed.dtype == float
    assert frame.gpu_energy.isna().all()
    theirs = EmissionsData(**frame.iloc[0].to_dict())
    theirs.run_id = 'theirs'
    for how in ('append', 'update'):
        FileOutput('emissions.csv', str(tmp_path), how).out(theirs, None)
    assert [each.name for each in tmp_path.iterdir()] == ['emissions.csv']
    again = pd.read_csv(path)
    assert again.run_id.tolist() == [report_data.RUN, 'r2', 'theirs']
    assert again.energy_consumed[0] == again.energy_consumed[2] == frame.energy_consumed[0]
    with pytest.warns(UserWarning, match='No BoAmps task'):
        mapped = map_emissions_to_boamps(theirs)
    assert mapped.measures[0].power_consumption == frame.energy_consumed[0]


# BoAmps


def test_a_report_of_boamps(crowd) -> None:
    meters = {'cpu': ('rapl',), 'gpu': ('nvml:energy',)}
    made = report(crowd, about(meters=meters, versions=(('nicarbon', '1'),)))
    assert made['header']['reportDatetime'] == '2026-11-25 20:00:00'
    (measure,) = made['measures']
    assert measure['measurementMethod'] == 'nicarbon (CPU)'
    assert measure['cpuTrackingMode'] == 'rapl'
    assert 0 < measure['averageUtilizationCpu'] <= 1
    assert measure['measurementDateTime'] == '2026-08-15 12:00:00'
    assert made['infrastructure'] == {
        'infraType': 'other',
        'components': [
            {'componentName': report_data.HOST.cpu, 'componentType': 'cpu', 'nbComponent': 1},
            {'componentType': 'ram', 'memorySize': 8.2, 'nbComponent': 1},
        ],
    }
    assert made['environment'] == {
        'country': 'Canada', 'location': 'Quebec', 'powerSourceCarbonIntensity': 30.0
    }  # fmt: skip
    task = made['task']
    (data,) = task['dataset']
    sessions = {(one['subject'], one['session']) for one in crowd if one['outcome'] != 'cached'}
    assert data['dataQuantity'] == len(sessions)
    names = [one['algorithmName'] for one in task['algorithms']]
    assert sorted(names) == sorted(stage.title for stage in STRUCTURAL)
    for outcome in ('failed', 'killed', 'cached'):
        count = sum(each['outcome'] == outcome for each in crowd)
        assert f'{count} {outcome}' in task['taskDescription']
    assert 'quality' not in made
    assert 'no quality is given' in task['taskDescription']


def test_parts_are_disjoint_whatever_was_seen() -> None:
    parts = {'energy_cpu': 60.0, 'energy_gpu': 25.0, 'energy_rest': 5.0}
    made = report([row(**parts), row(energy_cpu=None, energy_gpu=100.0)])
    joules = {
        one['measurementMethod']: one['powerConsumption'] * 3.6e6 for one in made['measures']
    }
    assert joules == {
        'nicarbon (CPU)': pytest.approx(60.0),
        'nicarbon (GPU)': pytest.approx(125.0),
        'nicarbon (rest of the machine)': pytest.approx(5.0),
        'nicarbon (other components)': pytest.approx(10.0),
    }
    assert 'GPUs were used' in made['task']['taskDescription']


@pytest.mark.parametrize(
    ('high', 'word'), [(109.0, 'high'), (120.0, 'medium'), (150.0, 'low'), (151.0, None)]
)
def test_quality_is_the_interval(high: float, word: str | None) -> None:
    assert report([row(energy_high=high)]).get('quality') == word


def test_nothing_is_invented_for_boamps() -> None:
    """Without stage tables, hosts and a place, the words that claim least."""
    unknown = about(hosts=(), stages=(), intensity=report_data.WORLD)
    made = report([row('mine', subject='')], unknown)
    assert 'environment' not in made
    assert made['infrastructure']['components'] == [
        {'componentType': 'computer', 'nbComponent': 1}
    ]
    assert made['task']['taskStage'] == 'not known'
    assert made['task']['algorithms'] == [{'algorithmName': 'mine'}]
    assert made['task']['dataset'] == [{'dataUsage': 'input', 'dataType': 'other'}]
    assert 'averageUtilizationCpu' not in made['measures'][0]


def test_the_same_facts_are_the_same_report() -> None:
    def identity(known: About) -> str:
        return report([row()], known)['header']['reportId']

    assert identity(about()) == identity(about(created=after(60)))
    assert identity(about()) != identity(about(intensity=report_data.WORLD))


# WfFormat


def test_a_workflow_follows_the_files(crowd) -> None:
    made = workflow(rows_of(report_data.pair()))
    assert made['schemaVersion'] == '1.5'
    assert edges(made) == {
        ('conform', 'n4'), ('n4', 'affine'), ('n4', 'nonlinear'), ('affine', 'nonlinear'),
        ('n4', 'brain_extraction'), ('nonlinear', 'brain_extraction'),
        ('n4', 'tissue_segmentation'), ('nonlinear', 'tissue_segmentation'),
        ('brain_extraction', 'tissue_segmentation'),
        ('tissue_segmentation', 'surface'), ('nonlinear', 'surface'),
        ('n4', 'morphometry'), ('tissue_segmentation', 'morphometry'),
        ('surface', 'morphometry'), ('tissue_segmentation', 'derivatives'),
    }  # fmt: skip
    for each in tasks(made).values():
        who = each['id'].partition('_')[0]
        assert who in {'sub-01', 'sub-02'}
        assert all(parent.startswith(f'{who}_') for parent in each['parents'])
        assert re.fullmatch('[0-9a-zA-Z-_.#]+', each['id'])
    (machine,) = made['workflow']['execution']['machines']
    assert machine == {
        'nodeName': 'node01', 'system': 'linux', 'memoryInBytes': 8_200_000_000,
        'cpu': {'coreCount': 2},
    }  # fmt: skip


def test_hemispheres_go_side_by_side() -> None:
    known = about(stages=stages('freesurfer', 7))
    found = edges(workflow(rows_of(report_data.recon_all()), known))
    assert {p for p, c in found if c == 'inflate1_lh'} == {'smooth1_lh'}
    assert {p for p, c in found if c == 'smooth2_rh'} == {'white-preaparc_rh'}
    assert {p for p, c in found if c == 'tessellate_rh'} == {'fill', 'canorm'}


def test_what_did_not_run_to_its_end_says_so(crowd) -> None:
    made = workflow(crowd)
    known = tasks(made).values()
    for outcome in ('failed', 'killed'):
        names = [each for each in known if each['name'].endswith(f'({outcome})')]
        assert len(names) == sum(each['outcome'] == outcome for each in crowd)
    count = sum(each['outcome'] == 'cached' for each in crowd)
    assert len(known) == len(crowd) - count
    assert f'{count} were cached' in made['description']
    made = workflow([row(), row(outcome='killed', duration=None, energy=None)])
    assert len(tasks(made)) == 1
    assert '1 were killed before they were seen' in made['description']


def test_a_task_has_what_was_seen_of_it() -> None:
    (task,) = tasks(
        workflow([row(cpu_time=None, energy=None, reserved_cores=0.5, host='')])
    ).values()
    told = {'name', 'id', 'parents', 'children', 'runtimeInSeconds', 'executedAt'}
    assert set(task) == told
    (task,) = tasks(workflow([row()])).values()
    assert (task['avgCPU'], task['avgPowerInW'], task['coreCount']) == (90.0, 10.0, 1.0)
    assert task['energyInKWh'] == pytest.approx(100 / 3.6e6)
    assert 'runtimeSystem' not in workflow([row()])
    made = workflow([row()], about(versions=(('nipype', '1.11.0'),)))
    assert made['runtimeSystem']['version'] == '1.11.0'


def test_a_workflow_that_is_cut_says_so(crowd) -> None:
    whole = sum(each['outcome'] != 'cached' for each in crowd)
    made = workflow(crowd, most_tasks=20)
    assert len(tasks(made)) == 20
    assert f'{whole - 20} were run besides, and left out' in made['description']
    assert edges(made)
    charged = sum(each['energyInKWh'] for each in tasks(made).values())
    first = [each['energy'] for each in crowd if each['outcome'] != 'cached'][:20]
    assert charged == pytest.approx(sum(first) / 3.6e6)


def test_what_was_cached_is_its_earlier_run() -> None:
    """A stage follows the last run that made its files, though in an earlier run."""
    rows = [
        row('conform', run_id='r0', outcome='failed'),
        row('conform', run_id='r1', started=after(20)),
        row('n4', run_id='r1', started=after(40), outcome='failed'),
        cached('conform', run_id='r2', started=after(60)),
        row('n4', run_id='r2', started=after(61)),
        row('affine', run_id='r2', started=after(80)),
        row('affine', run_id='r2', started=after(80), subject='02'),
        row('conform', subject='03', outcome='failed'),
        row('n4', subject='03', started=after(20), outcome='killed'),
    ]
    assert edges(workflow(rows)) == {
        ('conform', 'n4 (failed)'),
        ('conform', 'n4'),
        ('n4', 'affine'),
    }


def test_pieces_of_a_node_follow_each_other() -> None:
    """In order of time; the next stage follows the last of them; a second go is another."""
    names = ['asegdkt', 'asegdkt.coronal', 'asegdkt.axial']
    rows = [
        row(name, node='seg', outcome=outcome, started=after(100 * go + 10 * number))
        for go, outcome in enumerate(['killed', 'ran'])
        for number, name in enumerate(names)
    ]
    rows += [row('biasfield', started=after(200))]
    # Nobody knows whether what has no node is one thing.
    rows += [row(name, node='', started=after(300)) for name in ('mine', 'yours')]
    assert edges(workflow(rows)) == {
        ('asegdkt (killed)', 'asegdkt.coronal (killed)'),
        ('asegdkt.coronal (killed)', 'asegdkt.axial (killed)'),
        ('asegdkt', 'asegdkt.coronal'),
        ('asegdkt.coronal', 'asegdkt.axial'),
        ('asegdkt.axial', 'biasfield'),
    }


KEYS = [stage.key for stage in every()]


@given(
    st.lists(
        st.builds(
            Task,
            run_id=st.sampled_from(['a', 'b']),
            subject=st.just('01'),
            session=st.just(''),
            node=st.sampled_from(['', 'one', 'two', 'three']),
            stage=st.sampled_from(KEYS),
            outcome=st.sampled_from(['ran', 'ran', 'failed']),
            started=st.integers(0, 5).map(
                lambda n: datetime(2026, 1, 1, second=n, tzinfo=timezone.utc)
            ),
        ),
        max_size=40,
    )
)
def test_nothing_waits_for_what_began_later(known: list[Task]) -> None:
    found = parents(known, every())
    assert len(found) == len(known)
    for child, own in enumerate(found):
        for parent in own:
            assert (known[parent].started, parent) < (known[child].started, child)


# The command


def test_the_command(tmp_path) -> None:
    code = 'sum(i * i for i in range(10 ** 6))'
    done = nicarbon('exec', '-o', 'out', '--', 'python3', '-c', code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    words = ['export', 'out', '--grid', 'FR', '--pue', '1.5', '--format']
    made = {name: nicarbon(*words, name, cwd=tmp_path).stdout for name in FILES}
    (run,) = csv.DictReader(io.StringIO(made['codecarbon']))
    (task,) = tasks(json.loads(made['wfformat'])).values()
    told = json.loads(made['boamps'])
    measured = sum(each['powerConsumption'] for each in told['measures'])
    assert float(run['energy_consumed']) == pytest.approx(1.5 * measured)
    assert task['energyInKWh'] == pytest.approx(measured)
    assert told['environment']['country'] == run['country_name'] == 'France'
    assert told['measures'][0]['cpuTrackingMode']
    done = nicarbon(*words, 'codecarbon', '-o', 'emissions.csv', cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert (tmp_path / 'emissions.csv').read_text() == made['codecarbon']
    (tmp_path / 'link').symlink_to('emissions.csv')
    nicarbon(*words, 'wfformat', '-o', 'link', cwd=tmp_path)
    assert (tmp_path / 'link').is_symlink()
    assert json.loads((tmp_path / 'emissions.csv').read_text())['schemaVersion'] == '1.5'
    done = nicarbon(*words, 'boamps', '-o', 'no/such/folder', cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (73, 1)
    assert 'no/such/folder cannot be written' in done.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ['emissions.csv', 'link', 'out']


@pytest.mark.parametrize(
    ('words', 'code', 'why'),
    [
        (['nowhere', '--format', 'boamps'], 66, 'nowhere: no such folder'),
        (['.', '--format', 'boamps'], 66, 'holds no ledger'),
        (['.', '--format', 'xml'], 2, 'xml'),
        (['.'], 2, '--format'),
    ],
)
def test_refusals(tmp_path, words: list[str], code: int, why: str) -> None:
    done = nicarbon('export', *words, cwd=tmp_path)
    assert done.returncode == code
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
