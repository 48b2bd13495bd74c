"""Digests beside ledgers: made once, made again when they must be, and never trusted too far."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import report_data as data
from command import VALIDATOR, nicarbon

from nicarbon import ledger
from nicarbon.account import PUE
from nicarbon.cli import outputs
from nicarbon.cli.assumed import Assumed
from nicarbon.cli.choice import choose
from nicarbon.cli.gather import _make, load, pool, survey
from nicarbon.cli.survey import NAME, clusters, files_of
from nicarbon.digest import DIGEST_VERSION, shared
from nicarbon.entry import Part
from nicarbon.grids import parse
from nicarbon.series import summed
from nicarbon.stage import stages
from nicarbon.summary import summarise

ASSUMED = Assumed(parse('30'), PUE(1.0, 'unset'))


def write(out: Path, *runs: list) -> Path:
    """A ledger for each run."""
    for entries in runs:
        for entry in entries:
            ledger.append(out / 'logs' / entry.run_id / 'ledger', entry)
    return out


def run(name: str, subject: str, start: int, host=data.HOST) -> list:
    return data.Machine(data.line_up(subject, start), host, name).entries()


def joules(out: Path) -> float:
    return load(survey(out), ASSUMED).cohort.total.footprint.joules


def at_once(*runs: list) -> float:
    """What sharing everything together comes to."""
    _, sharing = shared({one[0].run_id: one for one in runs})
    return summarise(sharing.shares, data.QUEBEC, PUE()).footprint.joules


def test_runs_apart_are_shared_apart(tmp_path: Path) -> None:
    first = run('a', '01', 0)
    second = run('b', '02', 0, data.HOST._replace(name='other'))
    out = write(tmp_path, first, second)
    found = survey(out)
    assert sorted(found.clusters) == [('a',), ('b',)]
    assert joules(out) == pytest.approx(at_once(first, second))


def test_a_run_that_comes_later_changes_what_those_beside_it_are_charged(tmp_path: Path) -> None:
    first, second = run('a', '01', 0), run('b', '02', 100)
    out = write(tmp_path, first)
    alone = joules(out)
    digest = out / 'logs/a' / NAME
    before = digest.read_text()
    write(out, second)
    assert survey(out).clusters == [('a', 'b')]
    assert digest.read_text() != before
    assert joules(out) == pytest.approx(at_once(first, second))
    assert alone == pytest.approx(at_once(first))
    # And once that is known, it stays.
    age = digest.stat().st_mtime_ns
    survey(out)
    assert digest.stat().st_mtime_ns == age


@pytest.mark.parametrize(
    'spoil',
    [
        lambda text: text[:50],
        lambda text: '',
        lambda text: text.replace(f'"v":{DIGEST_VERSION}', '"v":1', 1),
        lambda text: text.replace('"nicarbon":"', '"nicarbon":"0.0.', 1),
        lambda text: '[]\n' + text,
    ],
)
def test_a_digest_that_is_torn_or_old_is_made_again(tmp_path: Path, spoil) -> None:
    out = write(tmp_path, run('a', '01', 0))
    whole = joules(out)
    digest = out / 'logs/a' / NAME
    text = digest.read_text()
    assert spoil(text) != text
    digest.write_text(spoil(text))
    assert joules(out) == whole
    assert digest.read_text() == text


def test_a_ledger_that_grew_is_shared_again(tmp_path: Path) -> None:
    first = run('a', '01', 0)
    out = write(tmp_path, first[:-3])
    before = joules(out)
    write(out, first[-3:])
    assert joules(out) == pytest.approx(at_once(first))
    assert joules(out) > before


def test_nothing_is_written_where_nothing_may_be(tmp_path: Path) -> None:
    out = write(tmp_path, run('a', '01', 0))
    found = survey(out, keep=False)
    assert not (out / 'logs/a' / NAME).exists()
    assert load(found, ASSUMED).cohort.total.count == 9


def test_several_processes_share_what_one_would(tmp_path: Path) -> None:
    hosts = [data.HOST._replace(name=f'n{i}') for i in range(4)]
    out = write(tmp_path, *(run(f'r{i}', f'{i:02d}', 0, host) for i, host in enumerate(hosts)))
    names = [f'r{i}' for i in range(4)]
    files = {name: files_of(out, name) for name in names}
    tasks = [(out, [((name,), {name: files[name]})], False) for name in names]
    with pool() as many:
        made = {name: text for part in many.map(_make, tasks) for name, (_, text) in part.items()}
    assert made == {name: text for task in tasks for name, (_, text) in _make(task).items()}
    assert set(made) == set(names)


def test_clusters_are_chained() -> None:
    spans = {
        'long': [('b', 0.0, 100.0)],
        'early': [('b', 1.0, 2.0)],
        'late': [('b', 90.0, 120.0)],
        'after': [('b', 120.0, 130.0)],
        'booted': [('c', 0.0, 100.0)],
        'two': [('c', 300.0, 400.0), ('d', 0.0, 1.0)],
        'nothing': [],
        'beside': [('d', 0.5, 0.6)],
    }
    assert sorted(clusters(spans)) == [
        ('after',), ('beside', 'two'), ('booted',), ('early', 'late', 'long'), ('nothing',),
    ]  # fmt: skip


class TestPages:
    @pytest.fixture
    def out(self, tmp_path: Path) -> Path:
        other = data.HOST._replace(name='other')
        out = write(tmp_path / 'out', run('a', '01', 0), run('b', '02', 0, other))
        assert self.group(out, tmp_path) == {'01', '02'}
        return out

    @staticmethod
    def group(out: Path, folder: Path, *words: str) -> set[str]:
        """Whose pages a call of ``group`` writes."""
        pages = {path: path.stat().st_mtime_ns for path in out.glob('sub-*.html')}
        time.sleep(0.02)
        done = nicarbon('bids', str(out), 'group', *words, cwd=folder)
        assert done.returncode == 0, done.stderr
        after = {path: path.stat().st_mtime_ns for path in out.glob('sub-*.html')}
        return {path.stem[4:] for path, age in after.items() if pages.get(path) != age}

    def test_only_those_that_are_old_are_written(self, out: Path, tmp_path: Path) -> None:
        assert self.group(out, tmp_path) == set()
        (out / 'sub-02.html').unlink()
        assert self.group(out, tmp_path) == {'02'}
        write(out, run('c', '02', 0, data.HOST._replace(name='third')))
        assert self.group(out, tmp_path) == {'02'}
        # Beside the first run: that is then charged less.
        write(out, run('d', '03', 50))
        assert self.group(out, tmp_path) == {'01', '03'}

    def test_other_assumptions_write_all(self, out: Path, tmp_path: Path) -> None:
        assert self.group(out, tmp_path, '--grid', 'FR') == {'01', '02'}
        assert self.group(out, tmp_path, '--grid', 'FR') == set()
        assert self.group(out, tmp_path) == {'01', '02'}

    def test_what_tasks_wrote_with_their_own_run_in_mind_is_written_again(
        self, tmp_path: Path
    ) -> None:
        """Two sessions at other times on other machines: the later page lacks the other one."""
        out = tmp_path / 'out'
        for name, machine in (('a', 'one'), ('b', 'two')):
            entries = run(name, '01', 0, data.HOST._replace(name=machine))
            write(out, [one._replace(session=one.subject and name) for one in entries])
            outputs.write(out, choose({}, {}), ['01'], alone=name)
        write(out, run('c', '02', 0, data.HOST._replace(name='three')))
        outputs.write(out, choose({}, {}), ['02'], alone='c')
        assert 'ses-a' not in (out / 'sub-01.html').read_text()
        assert self.group(out, tmp_path) == {'01'}
        assert 'ses-a' in (out / 'sub-01.html').read_text()
        assert self.group(out, tmp_path) == set()

    def test_a_run_without_ledger_is_passed_over(self, out: Path) -> None:
        (out / 'logs' / 'z').mkdir()
        assert outputs.write(out, choose({}, {}), ['01'], alone='z').total.footprint.joules > 0

    def test_a_dry_run_writes_nothing(self, out: Path, tmp_path: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in out.rglob('*')}
        (out / 'logs/a' / NAME).unlink()
        before.pop(out / 'logs/a' / NAME)
        done = nicarbon('account', str(out), '--grid', 'FR', '--dry-run', cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert 'sub-01.html' in done.stdout
        after = {path: path.stat().st_mtime_ns for path in out.rglob('*') if path.is_file()}
        assert after == {path: age for path, age in before.items() if path.is_file()}


def rows(out: Path) -> list[dict[str, str]]:
    with (out / 'group_carbon.tsv').open(newline='') as file:
        return list(csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE))


def trace(path: Path, start: datetime, hours: int) -> Path:
    """Clean and dirty quarters of an hour in turn."""
    steps = [start + timedelta(minutes=15 * i) for i in range(4 * hours)]
    lines = [f'{at:%Y-%m-%dT%H:%M:%S}Z,{50 if i % 2 else 450}' for i, at in enumerate(steps)]
    path.write_text('datetime,g_per_kwh\n' + '\n'.join(lines) + '\n')
    return path


def test_each_stage_has_what_was_emitted_in_its_own_time(tmp_path: Path) -> None:
    out = write(tmp_path / 'out', data.crowd(12))
    file = trace(tmp_path / 'grid.csv', datetime(2026, 8, 15, 11, tzinfo=timezone.utc), 4)
    done = nicarbon('account', str(out), '--grid', 'grid.csv', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    grid = parse(str(file))
    spent = [row for row in rows(out) if row['energy'] not in {'n/a', '0'}]
    seen = set()
    for row in spent:
        start = datetime.fromisoformat(row['started'])
        mean = grid.over(start, start + timedelta(seconds=float(row['duration']))).g_per_kwh
        grams = float(row['energy']) / 3.6e6 * mean
        assert float(row['carbon']) == pytest.approx(grams, rel=1e-4)
        seen.add(round(mean))
    assert {50, 450} <= seen
    whole = json.loads((out / 'group_carbon.json').read_text())['Footprint']
    total = sum(float(row['carbon']) for row in spent)
    assert whole['GramsCO2e'] == pytest.approx(total, rel=1e-4)
    joules = sum(float(row['energy']) for row in spent)
    assert whole['Intensity']['GPerKwh'] == pytest.approx(total / joules * 3.6e6, rel=1e-4)
    mine = json.loads((out / 'sub-01/sub-01_carbon.json').read_text())['Footprint']
    own = sum(float(row['carbon']) for row in spent if row['subject'] == '01')
    assert mine['GramsCO2e'] == pytest.approx(own, rel=1e-4)
    assert 'grid (g/kWh)' in (out / 'group_carbon.html').read_text()


def test_a_trace_that_does_not_cover_what_ran_is_one_line(tmp_path: Path) -> None:
    out = write(tmp_path / 'out', data.pair())
    trace(tmp_path / 'grid.csv', datetime(2025, 1, 1, tzinfo=timezone.utc), 4)
    done = nicarbon('account', str(out), '--grid', 'grid.csv', cwd=tmp_path)
    (line,) = done.stderr.strip().splitlines()
    assert 'it covers 2025-01-01' in line
    assert done.returncode == 64


def test_a_run_is_not_begun_with_a_trace_that_has_ended(tmp_path: Path) -> None:
    trace(tmp_path / 'grid.csv', datetime(2025, 1, 1, tzinfo=timezone.utc), 4)
    done = nicarbon('exec', '--grid', 'grid.csv', '--', 'touch', 'it', cwd=tmp_path)
    (line,) = done.stderr.strip().splitlines()
    assert 'ends on 2025-01-01 04:00 UTC, before this run' in line
    assert done.returncode == 64
    assert not (tmp_path / 'it').exists()


def test_a_folder_that_a_cluster_has_filled(tmp_path: Path) -> None:
    """Two pipelines, two sessions, five hosts and 24 runs come out as one dataset."""
    out, everything = tmp_path / 'out', []
    tools = {'fs': stages('freesurfer')[:6], 'fast': stages('fastsurfer')[:3]}
    for number in range(12):
        for at, (tool, table) in enumerate(tools.items()):
            subject, session = f'{number // 2 + 1:02d}', str(number % 2 + 1)
            jobs, start = [], 10_000 * number + 5000 * at
            for stage in table:
                jobs.append(data.Job(subject, stage.key, start, 60 - 20 * at, session))
                start += 61
            host = data.HOST._replace(name=f'n{number % 3}' if at else f'm{number % 2}')
            # Each job sees the host in its own time alone.
            entries = data.Machine(jobs, host, f'{tool}{number:02d}').entries()
            run = entries[-1]
            kept = tuple(w for w in run.windows if w.stop > 1000 + jobs[0].start)
            everything += [*entries[:-1], summed(run, kept)]
    write(out, everything)
    done = nicarbon('bids', str(out), 'group', '--grid', 'FR', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = rows(out)
    assert len(found) == 12 * 9
    assert {row['host'] for row in found} == {'n0', 'n1', 'n2', 'm0', 'm1'}
    whole = json.loads((out / 'group_carbon.json').read_text())
    _, sharing = shared({'all': everything})
    truth = sum(one.joules['reserved'] for one in sharing.shares)
    assert whole['Energy']['Joules'] == pytest.approx(truth)
    assert sum(float(row['energy']) for row in found) == pytest.approx(truth, rel=1e-5)
    balances = whole['Balance']
    assert len(balances) == 24
    assert sum(one['NodesJoules'] for one in balances) == pytest.approx(truth)
    page = (out / 'group_carbon.html').read_text()
    assert 'median of 12 sessions' in page
    for name in ('boamps', 'codecarbon', 'wfformat'):
        assert f'download="group_desc-{name}_carbon.' in page
    for subject in range(1, 7):
        assert f'href="sub-{subject:02d}.html"' in page
        assert (out / f'sub-{subject:02d}.html').exists()
        for session in ('1', '2'):
            table = (
                out / f'sub-{subject:02d}/ses-{session}/sub-{subject:02d}_ses-{session}_carbon.tsv'
            )
            assert table.exists()
    checked = subprocess.run([VALIDATOR, out], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


class TestOddFolders:
    def test_a_run_that_was_copied_counts_once_and_is_said_to_be(self, tmp_path: Path) -> None:
        first = run('a', '01', 0)
        out = write(tmp_path, first)
        before = joules(out)
        shutil.copytree(out / 'logs/a', out / 'logs/a-copy')
        assert joules(out) == pytest.approx(before)
        gathered = load(survey(out), ASSUMED)
        assert gathered.cohort.total.count == 9
        assert 'logs/a-copy: 10 of its entries are in another folder too' in gathered.warnings[0]

    def test_a_ledger_that_was_edited_is_read_again(self, tmp_path: Path) -> None:
        out = write(tmp_path, run('a', '01', 0))
        survey(out)
        (path,) = (out / 'logs/a/ledger').iterdir()
        path.write_text(path.read_text().replace('"subject":"01"', '"subject":"07"'))
        assert [one.subject for one in load(survey(out), ASSUMED).cohort.people()] == ['07']

    def test_ids_may_hold_dots(self, tmp_path: Path) -> None:
        entries = [
            one._replace(
                entry_id=f'{one.entry_id}.a',
                parts=(Part('x', one.windows[0].start, 1.0),) if one.kind == 'node' else (),
            )
            for one in run('a', '01', 0)
        ]
        assert joules(write(tmp_path, entries)) == pytest.approx(at_once(run('a', '01', 0)))

    def test_a_folder_may_have_another_name_than_its_run(self, tmp_path: Path) -> None:
        out = tmp_path / 'out'
        for entry in run('a', '01', 0):
            ledger.append(out / 'logs/renamed/ledger', entry)
        (out / 'logs/renamed/crash-1.txt').write_text('it broke in sub_01_')
        done = nicarbon('account', str(out), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert 'it broke in sub_01_' in (out / 'sub-01.html').read_text()
        page = (out / 'group_carbon.html').read_text()
        assert 'it broke' in page
        assert '9 stages in' in page  # In the description of the timeline.

    def test_a_program_killed_at_once_holds_the_run_inside_it(self, tmp_path: Path) -> None:
        inner = [
            one._replace(node='outer') if one.kind == 'run' else one for one in run('a', '01', 0)
        ]
        around = inner[-1]._replace(
            run_id='outer', node='', windows=(), entry_id='node01-outer-1-1', outcome='killed'
        )
        command = around._replace(kind='command', entry_id='node01-outer-1-2')
        out = write(tmp_path, inner, [around, command])
        assert survey(out).clusters == [('a', 'outer')]

    @pytest.mark.parametrize('changes', [{'subject': '../x'}, {'session': 'a b'}])
    def test_a_label_that_is_none_writes_nothing(self, tmp_path: Path, changes) -> None:
        out = tmp_path / 'out'
        write(out, [one._replace(**changes) for one in run('a', '01', 0)])
        done = nicarbon('account', str(out), cwd=tmp_path)
        assert done.returncode == 64
        assert len(done.stderr.strip().splitlines()) == 1
        assert {path.name for path in out.iterdir()} == {'logs'}

    def test_half_a_character_stops_nobody(self, tmp_path: Path) -> None:
        out = tmp_path / 'out'
        write(out, [one._replace(error='x\udcff', outcome='failed') for one in run('a', '01', 0)])
        done = nicarbon('account', str(out), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert {row['error'] for row in rows(out)} == {'x?'}

    def test_nothing_under_a_trace_is_nothing(self, tmp_path: Path) -> None:
        trace(tmp_path / 'grid.csv', datetime(2025, 1, 1, tzinfo=timezone.utc), 4)
        (tmp_path / 'out/logs/a/ledger').mkdir(parents=True)
        done = nicarbon('account', 'out', '--grid', 'grid.csv', cwd=tmp_path)
        assert done.returncode == 66
        assert 'no carbon-aware node was run' in done.stderr

    def test_files_that_go_while_one_looks(self, tmp_path: Path) -> None:
        out = write(tmp_path, run('a', '01', 0))
        part = out / 'logs/a/ledger/x.part'
        stop = threading.Event()

        def come_and_go() -> None:
            while not stop.is_set():
                part.touch()
                part.unlink()

        thread = threading.Thread(target=come_and_go)
        thread.start()
        try:
            for _ in range(2000):
                assert files_of(out, 'a')
        finally:
            stop.set()
            thread.join()


def test_participants_of_other_assumptions_make_all_pages_old(tmp_path: Path) -> None:
    """One job of an array was given another grid: the group's own makes all pages alike."""
    other = data.HOST._replace(name='other')
    out = write(tmp_path / 'out', run('a', '01', 0), run('b', '02', 0, other))
    assert nicarbon('account', str(out), '--grid', '10', cwd=tmp_path).returncode == 0
    outputs.write(out, choose({'grid': '1000'}, {}), {'02'})
    assert nicarbon('bids', str(out), 'group', '--grid', '1000', cwd=tmp_path).returncode == 0
    for subject in ('01', '02'):
        said = json.loads((out / f'sub-{subject}/sub-{subject}_carbon.json').read_text())
        assert said['Footprint']['Intensity']['GPerKwh'] == 1000


def test_a_trace_that_was_edited_makes_all_pages_old(tmp_path: Path) -> None:
    out = write(tmp_path / 'out', data.pair())
    file = trace(tmp_path / 'grid.csv', datetime(2026, 8, 15, 11, tzinfo=timezone.utc), 4)
    words = ('bids', str(out), 'group', '--grid', 'grid.csv')
    assert nicarbon(*words, cwd=tmp_path).returncode == 0
    file.write_text(file.read_text().replace(',450', ',900'))
    before = (out / 'sub-01.html').read_text()
    assert nicarbon(*words, cwd=tmp_path).returncode == 0
    assert (out / 'sub-01.html').read_text() != before


def test_an_estimate_from_work_that_belongs_to_nobody(tmp_path: Path) -> None:
    write(tmp_path / 'out', [one._replace(subject='') for one in data.pair()])
    done = nicarbon('estimate', '--scans', '10', '--from', 'out', '--grid', 'FR', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'structural' in done.stdout
