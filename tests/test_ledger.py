"""Facts on disk survive what happens to disks and processes."""

from __future__ import annotations

import json
import multiprocessing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import replace

from nicarbon import ledger
from nicarbon.checkpoint import Checkpoint
from nicarbon.entry import Command, Entry, Part, Reading, Use, Window
from nicarbon.errors import LedgerError
from nicarbon.pieces import cut
from nicarbon.series import merge_pairs, spells, summed, utc

FIELDS_OF_VERSION = {
    1: {
        'Reading': 'component joules idle_watts method tier scope u_rel',
        'Window': 'start seconds cpu_seconds host_cpu_seconds joules',
        'Entry': 'entry_id kind run_id subject session stage node interface host boot_id pid '
        'started seconds cpu_seconds host_cpu_seconds host_cores reserved_cores '
        'reserved_memory_gb readings windows outcome error',
    },
    2: {
        'Reading': 'component joules idle_watts method tier scope u_rel coverage idle_u_rel',
        'Use': 'own_seconds host_seconds held_seconds holders_seconds',
        'Window': 'start seconds cpu_seconds host_cpu_seconds joules uses covered',
        'Part': 'name start seconds',
        'Entry': 'entry_id kind run_id subject session stage node interface host boot_id pid '
        'started seconds cpu_seconds host_cpu_seconds host_cores reserved_cores '
        'reserved_memory_gb readings windows outcome error host_memory_gb suspended_seconds parts',
    },
}
FIELDS_OF_VERSION[3] = FIELDS_OF_VERSION[2] | {
    'Command': 'name start seconds user_seconds system_seconds peak_memory_gb',
    'Entry': FIELDS_OF_VERSION[2]['Entry'] + ' commands',
}
FIELDS_OF_VERSION[4] = FIELDS_OF_VERSION[3] | {
    'Entry': FIELDS_OF_VERSION[3]['Entry'] + ' job job_cores',
}


EMPTY = Entry(
    'h-1-1-1', 'node', 'r', '01', '', 'n4', 'wf.n4', 'N4', 'h', 'b', 1,
    '2026-01-01T00:00:00.000+00:00', 0.0, 0.0, 0.0, 2, 1.0, None, (), (), 'ran',
)  # fmt: skip


@pytest.mark.parametrize('kind', [Reading, Use, Window, Part, Command, Entry])
def test_fields_change_only_with_the_version(kind: type) -> None:
    names = ' '.join(kind._fields)
    assert names == FIELDS_OF_VERSION[ledger.SCHEMA_VERSION][kind.__name__]


def test_what_is_written_is_read(tmp_path: Path, make_entry) -> None:
    entry = make_entry((Window(1.0, 2.0, 0.5, 1.0, (None,)),), error='an “odd”\nname')
    ledger.append(tmp_path, entry)
    entries, warnings = ledger.read(tmp_path)
    assert entries == [entry]
    assert warnings == []


def test_what_windows_covered_is_read(tmp_path: Path, make_entry) -> None:
    window = Window(1.0, 2.0, 0.5, 1.0, (3.0,), (), (1.5,))
    ledger.append(tmp_path, make_entry((window,)))
    assert ledger.read(tmp_path)[0][0].windows == (window,)


times = st.floats(0, 1e6)
commands = st.builds(Command, st.text(), times, times, times, times, st.none() | st.floats(0, 1e3))


@given(st.lists(commands, max_size=5))
def test_commands_that_are_written_are_read(told: list[Command]) -> None:
    entry = replace(EMPTY, commands=tuple(told))
    assert ledger.from_line(ledger.to_line(entry)) == entry


@pytest.mark.parametrize('version', [1, 2, 3])
def test_lines_of_earlier_versions_are_read(tmp_path: Path, make_entry, version: int) -> None:
    entry = make_entry((Window(1.0, 2.0, 0.5, 1.0, (3.0,)),))
    record = json.loads(ledger.to_line(entry)) | {'v': version}
    names = FIELDS_OF_VERSION[version]
    record = {key: record[key] for key in ('v', *names['Entry'].split())}
    record['readings'] = [
        {key: reading[key] for key in names['Reading'].split()} for reading in record['readings']
    ]
    (tmp_path / 'h-1-1.jsonl').write_text(json.dumps(record) + '\n')
    (read,), warnings = ledger.read(tmp_path)
    assert warnings == []
    assert read == entry._replace(host_memory_gb=read.host_memory_gb)


def test_a_torn_line_costs_itself_alone(tmp_path: Path, make_entry) -> None:
    first, last = make_entry(), make_entry()
    path = Path(ledger.append(tmp_path, first))
    with path.open('a') as file:
        file.write('{"v":1,"entry_id":"h-1\n')
    ledger.append(tmp_path, last)
    entries, warnings = ledger.read(tmp_path)
    assert {e.entry_id for e in entries} == {first.entry_id, last.entry_id}
    assert len(warnings) == 1
    assert 'line 2' in warnings[0]


def test_an_unknown_version_is_refused(tmp_path: Path, make_entry) -> None:
    path = Path(ledger.append(tmp_path, make_entry()))
    record = json.loads(path.read_text()) | {'v': 99}
    path.write_text(json.dumps(record) + '\n')
    with pytest.raises(LedgerError, match='version 99'):
        ledger.read(tmp_path)


def test_a_checkpoint_left_behind_is_a_killed_entry(tmp_path: Path, make_entry) -> None:
    running, ended = make_entry(), make_entry()
    Checkpoint(tmp_path, 'h-1-1').begin(running)
    Checkpoint(tmp_path, 'h-1-1').begin(ended)
    ledger.append(tmp_path, ended)
    entries, _ = ledger.read(tmp_path)
    assert {e.entry_id: e.outcome for e in entries} == {
        running.entry_id: 'killed',
        ended.entry_id: 'ran',
    }
    assert ledger.read(tmp_path, running=lambda _entry, _age: True)[0] == [ended]


def _append_many(folder: str, entry: Entry, writer: int) -> None:
    for number in range(50):
        ledger.append(folder, replace(entry, entry_id=f'h-shared-1-{writer}x{number}'))


def test_writers_of_one_file_lose_nothing(tmp_path: Path, make_entry) -> None:
    """Lines are one write each, so that not even a shared file tears."""
    entry = make_entry(tuple(Window(float(i), 1.0, 0.5, 1.0, (3.0,)) for i in range(100)))
    context = multiprocessing.get_context('spawn')
    workers = [
        context.Process(target=_append_many, args=(str(tmp_path), entry, n)) for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    entries, warnings = ledger.read(tmp_path)
    assert len(entries) == 200
    assert warnings == []
    assert len(list(tmp_path.iterdir())) == 1


parts = st.lists(
    st.builds(Part, st.sampled_from(['a', 'b']), st.floats(0, 120), st.floats(0, 60)), max_size=6
)


@given(parts, st.lists(st.floats(0, 130), max_size=8))
def test_cutting_keeps_sums_and_commands(told: list[Part], starts: list[float]) -> None:
    """Whatever the parts are, also where they overlap or lie outside."""
    windows = tuple(Window(10.0 * i + 10, 10.0, 5.0, 6.0, (30.0,)) for i in range(10))
    reading = Reading('cpu', 300.0, 2.0, 'm', 'modelled', 'host', 2.0)
    called = tuple(Command('mri', start, 1.0, 1.0, 0.0) for start in sorted(starts))
    blank = replace(EMPTY, readings=(reading,))
    entry = summed(blank, windows, parts=tuple(told), commands=called)
    pieces = cut(entry)
    assert sum(piece.cpu_seconds for piece in pieces) == pytest.approx(50, abs=1e-4)
    assert sum(piece.readings[0].joules for piece in pieces) == pytest.approx(300, abs=1e-3)
    assert sorted(one for piece in pieces for one in piece.commands) == sorted(called)
    assert len({piece.stage for piece in pieces}) == len(pieces)
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
    # Their windows are the time of the entry, none of it twice.
    times = sorted((w.start, w.stop) for piece in pieces for w in piece.windows)
    assert times[0][0] == pytest.approx(10)
    assert max(stop for _, stop in times) == pytest.approx(110)
    for (_, stop), (start, _) in pairwise(times):
        assert start >= stop - 1e-6
    for piece in pieces:
        assert sum(len(spell) for spell in spells(piece)) == len(piece.windows)


def test_a_command_is_of_the_part_in_which_it_started(make_entry) -> None:
    windows = tuple(Window(10.0 * i, 10.0, 5.0, 6.0, (30.0,)) for i in range(3))
    names = {'before': 1.0, 'first': 5.0, 'long': 14.9, 'second': 15.0, 'after': 26.0}
    called = tuple(Command(name, start, 9.0, 1.0, 0.0) for name, start in names.items())
    told = Part('one', 5.0, 10.0), Part('two', 15.0, 10.0)
    pieces = cut(make_entry(windows, parts=told, commands=called))
    found = [(piece.stage, [one.name for one in piece.commands]) for piece in pieces]
    assert found == [
        ('n4', ['before', 'after']),
        ('one', ['first', 'long']),
        ('two', ['second']),
    ]
    assert utc(pieces[1], pieces[1].commands[1].start) == '2026-01-01T00:00:14.900+00:00'


joules = st.one_of(st.none(), st.floats(0, 1e6))
series = st.lists(st.tuples(st.floats(0.001, 100), st.floats(0, 100), joules), max_size=40)


@given(series)
def test_merging_keeps_sums(parts: list[tuple[float, float, float | None]]) -> None:
    start, windows = 0.0, []
    for seconds, cpu, energy in parts:
        windows.append(Window(start, seconds, cpu, cpu, (energy,)))
        start += seconds
    merged = merge_pairs(windows)
    assert len(merged) <= max(1.0, 3 / 4 * len(windows) + 0.5)
    assert sum(w.seconds for w in merged) == pytest.approx(start)
    assert sum(w.cpu_seconds for w in merged) == pytest.approx(sum(cpu for _, cpu, _ in parts))
    if None not in [energy for *_, energy in parts]:
        total = sum(energy for *_, energy in parts)
        assert sum(w.joules[0] for w in merged) == pytest.approx(total)


@pytest.mark.parametrize(
    'change',
    [
        {'seconds': -1.0},
        {'seconds': float('nan')},
        {'seconds': 'ten'},
        {'cpu_seconds': None},
        {'outcome': 'weird'},
        {'kind': 'nod'},
        {'host_cores': 0},
        {'started': 'yesterday'},
        {'subject': 7},
        {'entry_id': 'x'},
        {'readings': []},
        {'windows': [[0, 1, 1, 1, [float('inf')]]]},
        {'windows': [[0, 1, 1]]},
        {'commands': [['mri_convert', 0.0, 1.0, -0.5, 0.0]]},
        {'commands': [['mri_convert', 0.0, 1.0, 0.5, None]]},
        {'commands': [['mri_convert', 0.0, 1.0, 0.5]]},
        {'commands': [[7, 0.0, 1.0, 0.5, 0.0]]},
        {'commands': {'mri_convert': 1.0}},
    ],
    ids=str,
)
def test_values_that_no_counter_shows_are_passed_over(
    tmp_path: Path, make_entry, change: dict
) -> None:
    good = make_entry((Window(0.0, 1.0, 0.5, 1.0, (2.0,)),))
    path = Path(ledger.append(tmp_path, good))
    record = json.loads(path.read_text())
    with path.open('a') as file:
        file.write(json.dumps(record | change) + '\n')
        file.write('5\nnull\n[]\n')
    entries, warnings = ledger.read(tmp_path)
    assert entries == [good]
    assert len(warnings) == 4


def test_a_checkpoint_that_cannot_be_rewritten_stays(tmp_path: Path, make_entry) -> None:
    entry, window = make_entry(), Window(0.0, 1.0, 0.5, 1.0, (3.0,))
    checkpoint = Checkpoint(tmp_path, 'h-1-1')
    checkpoint.begin(entry)
    checkpoint.extend(window)
    Path(f'{checkpoint.path}.draft').symlink_to('/dev/full')
    with pytest.raises(OSError, match='space'):
        checkpoint.rewrite(entry)
    checkpoint.extend(window)
    (killed,), _ = ledger.read(tmp_path)
    assert killed.seconds == 2.0
