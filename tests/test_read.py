"""Finding what others left behind, and reading it once, by readers of any kind."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from command import nicarbon
from recon_all_logs import begin, mark, write
from tracker_logs import look

from nicarbon import ledger
from nicarbon.cli.facts import known_pipeline
from nicarbon.cli.read import command
from nicarbon.errors import InputError, ReaderError, UsageError
from nicarbon.hardware import Stated
from nicarbon.readers import Folder, Hardware, Source, Told, Work, leaf, modelled, text_of
from nicarbon.readers.names import labels
from nicarbon.readers.walk import sources
from nicarbon.share import share
from nicarbon.stage import stages


class Notebook:
    """A stand-in: each line of ``notes.txt`` is a stage, its CPU and wall seconds."""

    name = 'notebook'
    what = 'notes.txt'

    def find(self, folder: Folder) -> Iterable[Source]:
        if 'notes.txt' in folder.files:
            yield Source(self.name, folder.path, (folder.path / 'notes.txt',), closed=True)

    def read(self, source: Source, hardware: Hardware) -> Told:
        host = hardware.host('node-1')
        entries = []
        for number, line in enumerate(text_of(source.files[0]).splitlines()):
            if line == 'burn':
                raise ReaderError(f'{source.files[0]}: line {number + 1} burns')
            stage, cpu, wall = line.split()
            subject, session = labels(source.path.name)
            work = Work(1e9 + number, float(wall), float(cpu), 1.0, subject, session, stage)
            reading = modelled(host, work.cpu_seconds, work.seconds, work.cores)
            entries.append(leaf(source, number, work, host, (reading,)))
        return Told(tuple(entries), (), (host,), {'FreeSurfer': '7.4.1'})


READERS = (Notebook(),)


def note(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'notes.txt').write_text('\n'.join(lines))
    return folder


def entries_of(out: Path) -> list:
    return ledger.read(*ledger.folders(out))[0]


def test_each_source_is_read_once_and_a_changed_one_again(tmp_path: Path, capsys) -> None:
    subjects, out = tmp_path / 'subjects', tmp_path / 'out'
    note(subjects / 'sub-01', 'careg 100 110', 'fill 10 10')
    note(subjects / 'sub-02_ses-b', 'careg 50 50')
    words = [str(subjects), '-o', str(out), '--cpu', 'Intel Xeon Gold 6148', '--sockets', '2']
    assert command(words, READERS) == 0
    first = entries_of(out)
    assert {(one.subject, one.session, one.stage) for one in first} == {
        ('01', '', 'careg'), ('01', '', 'fill'), ('02', 'b', 'careg'),
    }  # fmt: skip
    assert 'notebook: 2 read; 3 entries, 0.04 CPU hours' in capsys.readouterr().out
    assert command(words, READERS) == 0
    assert '2 unchanged; 3 entries' in capsys.readouterr().out
    assert entries_of(out) == first
    note(subjects / 'sub-01', 'careg 100 110', 'fill 10 10', 'sphere_lh 20 20')
    assert command(words, READERS) == 0
    assert '1 read, 1 unchanged; 4 entries' in capsys.readouterr().out
    assert len(entries_of(out)) == 4
    # Another machine: all of it is other energy.
    assert command([*words[:3]], READERS) == 0
    assert '2 read; 4 entries' in capsys.readouterr().out
    assert {r.tier for one in entries_of(out) for r in one.readings} == {'assumed'}


def test_what_is_read_is_charged_what_a_linear_model_says(tmp_path: Path) -> None:
    out = tmp_path / 'out'
    note(tmp_path / 'sub-01', 'careg 100 400')
    words = [str(tmp_path / 'sub-01'), '-o', str(out), '--cpu', 'Xeon 1', '--tdp', '100']
    assert command([*words, '--cores', '10'], READERS) == 0
    ((one,), balances) = (share(entries_of(out)).shares, share(entries_of(out)).balances)
    # Idle 12 W, full 82 W, of which a tenth.
    assert one.joules['reserved'] == pytest.approx(100 * 7.0 + 400 * 1.2)
    assert one.joules['dynamic'] == pytest.approx(100 * 7.0)
    assert one.tier == 'modelled'
    assert balances == (), 'what the host used is not known'


def test_one_that_cannot_be_read_stops_no_other(tmp_path: Path, capsys) -> None:
    note(tmp_path / 'in/a', 'careg 1 1')
    note(tmp_path / 'in/b', 'burn')
    note(tmp_path / 'in/c', 'careg 1 many')
    assert command([str(tmp_path / 'in'), '-o', str(tmp_path / 'out')], READERS) == 1
    told = capsys.readouterr()
    assert 'notebook: 1 read, 2 failed; 1 entries' in told.out
    assert f'{tmp_path}/in/b was passed over: {tmp_path}/in/b/notes.txt: line 1 burns' in told.err
    assert len(told.err.splitlines()) == 2
    assert {one.subject for one in entries_of(tmp_path / 'out')} == {'a'}


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path, capsys) -> None:
    note(tmp_path / 'in/a', 'careg 1 1')
    out = tmp_path / 'out'
    words = [str(tmp_path / 'in'), '-o', str(out)]
    assert command(words, READERS) == 0
    (about,) = out.glob('logs/read-*/source.json')
    # Cut off in between: the ledger is there, and nothing says that it is whole.
    about.unlink()
    (tmp_path / 'in/a/notes.txt').touch()
    assert command(words, READERS) == 0
    assert '1 read' in capsys.readouterr().out
    assert len(entries_of(out)) == 1
    about.write_text('[]')
    assert command(words, READERS) == 0
    assert json.loads(about.read_text())['reader'] == 'notebook'


def test_links_and_nested_paths_are_read_once(tmp_path: Path) -> None:
    note(tmp_path / 'in/a/deep', 'careg 1 1')
    (tmp_path / 'in/a/round').symlink_to(tmp_path / 'in')
    (tmp_path / 'in/a/broken').symlink_to(tmp_path / 'nowhere')
    found = sources([tmp_path / 'in', tmp_path / 'in/a'], READERS)
    assert [one.path.name for one in found] == ['deep']


def test_a_file_may_be_given(tmp_path: Path) -> None:
    note(tmp_path / 'a', 'careg 1 1')
    (one,) = sources([tmp_path / 'a/notes.txt'], READERS)
    assert one.files == (tmp_path / 'a/notes.txt',)


@pytest.mark.parametrize(
    ('words', 'error', 'told'),
    [
        (['nowhere'], InputError, 'nowhere: no such file or folder'),
        (['empty'], InputError, 'nothing that is recognised'),
        (['in', '--sockets', '0'], UsageError, '--sockets 0'),
        (['in', '--cpu', 'Zilog Z80'], UsageError, 'is in no table'),
    ],
)
def test_refusals(tmp_path: Path, monkeypatch, words: list[str], error: type, told: str) -> None:
    note(tmp_path / 'in', 'careg 1 1')
    (tmp_path / 'empty').mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=told):
        command([*words, '-o', 'out'], READERS)
    assert not (tmp_path / 'out').exists()


def test_pages_are_made_of_what_was_read(tmp_path: Path) -> None:
    note(tmp_path / 'in/sub-01', 'careg 1000 1000', 'fill 10 10')
    note(tmp_path / 'in/sub-02', 'careg 2000 2100', 'fill 10 10')
    out = tmp_path / 'out'
    assert command([str(tmp_path / 'in'), '-o', str(out)], READERS) == 0
    done = nicarbon('account', out, '--grid', 'FR', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((out / 'group_carbon.json').read_text())
    (first,) = [one for one in share(entries_of(out)).shares if one.entry.cpu_seconds == 1000]
    assert told['Energy']['Joules'] > 3 * first.joules['reserved'] * 0.99
    page = (out / 'group_carbon.html').read_text()
    assert ' 0 GB' not in page, 'nobody said how much memory there is'
    assert 'a processor that is not told' in page
    assert 'CA Reg' in page
    assert (out / 'sub-02.html').exists()


def test_what_the_log_says_of_its_machine_comes_first() -> None:
    stated = Stated('Intel Xeon Gold 6148', sockets=2)
    own = stated.host('h', 'AMD EPYC 7763', 256)
    assert (own.family, own.cores) == ('EPYC 3', 256)
    assert stated.host('h').family == 'Skylake'
    # Hyper-threading off: a core has the power of both of its threads.
    assert stated.host('h', cores=80).peak_watts == stated.host('h').peak_watts


def test_what_a_tracker_charged_stands_beside_what_we_do(tmp_path: Path, capsys) -> None:
    for name, watts, charged, busy in (('idle', 83.0, 58.7, 1.2), ('busy', 291.0, 6.9, 37.7)):
        folder = tmp_path / 'in' / name
        folder.mkdir(parents=True)
        lines = [look(1.6e9 + 4 * n, watts, charged, own=0.87, busy=busy) for n in range(9)]
        (folder / 'data.json').write_text('\n'.join(lines))
    words = [str(tmp_path / 'in'), '-o', str(tmp_path / 'out'), '--idle-watts', '70']
    assert command(words) == 0
    told = capsys.readouterr().out
    assert 'idle/data.json: experiment-impact-tracker 58.7 W; by policy reserved ' in told
    assert 'busy/data.json: experiment-impact-tracker 6.9 W; by policy reserved ' in told
    about = [
        json.loads(path.read_text()) for path in (tmp_path / 'out').glob('logs/*/source.json')
    ]
    assert {round(one['claims']['experiment-impact-tracker']) for one in about} == {1057, 124}


def test_stages_of_several_versions_have_their_names_and_places() -> None:
    old, new = stages('freesurfer', '6'), stages('freesurfer', '8')
    keys = {stage.key for stage in (*old, *new)}
    found = known_pipeline(keys, {'FreeSurfer': '8.0.0'})
    assert {stage.key for stage in found} >= keys
    order = [stage.key for stage in found]
    mine = [stage.key for stage in new]
    assert [key for key in order if key in set(mine)] == mine
    assert order.index('smooth1_lh') < order.index('white_lh') < order.index('parcstats_lh')


def test_what_may_yet_come_to_more_is_read_again(tmp_path: Path, capsys) -> None:
    scripts = write(
        tmp_path / 'in/sub-01',
        {'recon-all.log': begin() + mark('MotionCor', '09:31:00') + mark('CA Reg', '09:32:00')},
    )
    (scripts / 'IsRunning.lh+rh').touch()
    words = [str(tmp_path / 'in'), '-o', str(tmp_path / 'out')]
    for _ in range(2):
        assert command(words) == 0
        told = capsys.readouterr()
        assert 'freesurfer: 1 read' in told.out, 'not unchanged: it still runs'
        assert 'still runs' in told.err
    (scripts / 'IsRunning.lh+rh').unlink()
    command(words)
    capsys.readouterr()
    command(words)
    assert '1 unchanged' in capsys.readouterr().out
