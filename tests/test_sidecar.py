"""Tables and sidecars: their schema, their version, and what they say of the unseen."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema

from nicarbon.account import PUE
from nicarbon.entry import Command, Reading, Use, Window
from nicarbon.grids import parse
from nicarbon.host import Host
from nicarbon.share import share
from nicarbon.sidecar import (
    COLUMNS,
    COMMAND_COLUMNS,
    COMMANDS_VERSION,
    SIDECAR_VERSION,
    command_rows,
    command_sidecar,
    row,
    sidecar,
    tsv,
)
from nicarbon.summary import summarise

DATA = files('nicarbon') / 'data'
SCHEMA = json.loads((DATA / 'carbon.schema.json').read_text('utf-8'))
COMMANDS_SCHEMA = json.loads((DATA / 'commands.schema.json').read_text('utf-8'))

KEYS_OF_VERSION = {
    1: 'subject session stage node outcome started duration cpu_time host_cpu_time '
    'reserved_cores reserved_memory energy energy_low energy_high energy_cpu energy_dynamic '
    'energy_active energy_exclusive tier carbon carbon_low carbon_high run_id host error '
    'SchemaVersion Description Sources Energy Footprint Lost Outcomes Balance Hosts Provenance',
    2: 'subject session stage node outcome started duration cpu_time host_cpu_time '
    'reserved_cores reserved_memory energy energy_low energy_high energy_cpu energy_dram '
    'energy_gpu energy_rest energy_dynamic energy_active energy_exclusive tier carbon '
    'carbon_low carbon_high run_id host error '
    'SchemaVersion Description Sources Energy Footprint Lost Outcomes Balance Hosts Provenance',
    3: 'subject session stage node outcome started duration cpu_time host_cpu_time '
    'reserved_cores reserved_memory energy energy_low energy_high energy_cpu energy_dram '
    'energy_gpu energy_rest gpu_duration gpu_time energy_with_gpu energy_without_gpu '
    'energy_dynamic energy_active energy_exclusive tier carbon carbon_low carbon_high run_id '
    'host error SchemaVersion Description Sources Energy Footprint Lost GPU Outcomes Balance '
    'Hosts Provenance',
}

KEYS_OF_COMMANDS = {
    1: 'stage command started duration user_time system_time peak_memory energy node run_id '
    'SchemaVersion Description GeneratedBy',
}

HOST = Host('h', 'CPU', 2, 1, 8.0, True, 0.96, 6.56, 'model:tdp-linear', 'a guess', 'assumed', 3.0)


def example(make_entry) -> tuple:
    seen = Window(0.0, 10.0, 5.0, 10.0, (100.0,))
    unseen = Window(0.0, 10.0, 5.0, 10.0, (None,))
    entries = [
        make_entry((seen,)),
        make_entry((seen,), outcome='failed', error='no\tbrain'),
        make_entry((unseen,), run_id='elsewhere', host='other', boot_id='c'),
        make_entry((), outcome='cached', run_id='cached', readings=()),
        make_entry((seen,), kind='run', reserved_cores=0.0),
    ]
    sharing = share(entries)
    summary = summarise(sharing.shares, parse('30').over(None, None), PUE(1.2), subject='01')
    return summary, sharing, entries


def content(make_entry) -> dict:
    summary, sharing, entries = example(make_entry)
    return sidecar(
        summary,
        version='0',
        command='nicarbon',
        balances=sharing.balances,
        runs=entries[-1:],
        hosts=[HOST],
        sources=['bids:raw:sub-01/anat/sub-01_T1w.nii.gz'],
    )


def test_the_sidecar_is_valid(make_entry) -> None:
    made = json.loads(json.dumps(content(make_entry)))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(made, SCHEMA)
    # Networks are there where some were counted: tests/test_complexity.py.
    assert set(made) == set(SCHEMA['properties']) - {'Networks'} == set(SCHEMA['required'])


def test_keys_change_only_with_the_version(make_entry) -> None:
    assert ' '.join(content(make_entry)) == KEYS_OF_VERSION[SIDECAR_VERSION]
    assert SCHEMA['properties']['SchemaVersion']['const'] == SIDECAR_VERSION
    assert SCHEMA['title'].endswith(f'version {SIDECAR_VERSION}')


def test_the_sidecar_of_commands_is_valid_and_has_its_version() -> None:
    made = json.loads(json.dumps(command_sidecar('0')))
    jsonschema.Draft202012Validator.check_schema(COMMANDS_SCHEMA)
    jsonschema.validate(made, COMMANDS_SCHEMA)
    assert ' '.join(made) == KEYS_OF_COMMANDS[COMMANDS_VERSION]
    assert set(made) == set(COMMANDS_SCHEMA['properties'])
    assert COMMANDS_SCHEMA['properties']['SchemaVersion']['const'] == COMMANDS_VERSION
    assert COMMANDS_SCHEMA['title'].endswith(f'version {COMMANDS_VERSION}')
    assert 'never add to its totals' in made['Description']


def test_each_command_has_a_row(make_entry) -> None:
    told = (
        Command('mri_convert', 2.0, 4.0, 1.5, 0.5, 0.3),
        Command('mri_mask', 7.0, 1.0, 0.5, 0.0),
    )
    window = Window(0.0, 10.0, 5.0, 10.0, (100.0,))
    unseen = window._replace(joules=(None,))
    entries = [make_entry((window,), commands=told)]
    entries.append(
        make_entry((unseen,), commands=told[:1], run_id='other', host='other', boot_id='c')
    )
    summary = summarise(share(entries).shares, parse('30').over(None, None), PUE(1.2))
    table = [row for line in summary.lines for row in command_rows(line)]
    assert [list(row) for row in table] == [list(COMMAND_COLUMNS)] * 3
    lines = [line.split('\t') for line in tsv(table, list(COMMAND_COLUMNS)).splitlines()]
    assert lines[1][:7] == [
        'n4', 'mri_convert', '2026-01-01T00:00:02.000+00:00', '4', '1.5', '0.5', '0.3',
    ]  # fmt: skip
    assert lines[2][6] == 'n/a'
    assert lines[3][7] == 'n/a'
    energy = summary.lines[0].share.joules['reserved']
    assert 0 < table[0]['energy'] + table[1]['energy'] < energy
    assert summary.footprint.joules == energy


def test_the_balance_balances(make_entry) -> None:
    for balance in content(make_entry)['Balance']:
        names = ('Nodes', 'Overhead', 'Others', 'Unattributed')
        parts = [balance[f'{part}Joules'] for part in names]
        assert abs(sum(parts) - balance['HostJoules']) <= 1e-3 * balance['HostJoules']


def test_not_seen_failed_and_cached_are_told_apart(make_entry) -> None:
    summary, _, _ = example(make_entry)
    table = [row(line) for line in summary.lines]
    ran, failed, unseen, cached = table
    assert list(ran) == list(COLUMNS)
    assert ran['energy'] > 0
    assert failed['energy'] > 0
    assert unseen['energy'] is None
    assert unseen['tier'] is None
    assert (cached['energy'], cached['carbon']) == (0, 0)
    assert summary.unseen == 1
    assert summary.lost.joules == failed['energy']
    assert summary.footprint.joules == ran['energy'] + failed['energy']
    lines = tsv(table).splitlines()
    assert {line.count('\t') for line in lines} == {len(COLUMNS) - 1}
    assert lines[3].split('\t')[list(COLUMNS).index('energy')] == 'n/a'


def test_policies_are_ordered_as_they_must_be(make_entry) -> None:
    summary, _, _ = example(make_entry)
    for line in summary.lines:
        joules = line.share.joules
        assert joules['dynamic'] <= joules['active'] <= joules['exclusive']
        assert joules['dynamic'] <= joules['reserved']


def test_components_have_their_columns_and_tiers(make_entry) -> None:
    readings = tuple(
        Reading(name, None, None, 'm', tier, 'host', u_rel)
        for name, tier, u_rel in (
            ('cpu', 'modelled', 2.0),
            ('gpu:GPU-1', 'measured', 1.05),
            ('gpu:GPU-2', 'measured', 1.05),
            ('rest', 'assumed', 3.0),
        )
    )
    use = Use(5.0, 5.0, 10.0, 10.0)
    window = Window(0.0, 10.0, 10.0, 10.0, (100.0, 500.0, 200.0, 200.0), (None, use, use, None))
    node = make_entry((window,), readings=readings, reserved_cores=2.0)
    summary = summarise(share([node]).shares, parse('30').over(None, None), PUE(1.0))
    cells = row(summary.lines[0])
    parts = [cells[f'energy_{name}'] for name in ('cpu', 'dram', 'gpu', 'rest')]
    assert parts == [100, None, 700, 200]
    assert summary.tiers == {'modelled': 0.1, 'measured': 0.7, 'assumed': 0.2}
    assert cells['tier'] == 'assumed'
    assert cells['energy_high'] == 100 * 2 + 700 * 1.05 + 200 * 3
