"""Other trackers on the same run: every one of them, those that misbehave, and the outcome."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rival_doubles
from command import NICARBON, nicarbon
from doubles import BURN
from hypothesis import given
from hypothesis import strategies as st
from machines import alive, namespaces, on_machine, powercap

from nicarbon import host
from nicarbon.account import PUE, Intensity
from nicarbon.command import blocked_signals
from nicarbon.entry import Reading
from nicarbon.errors import UnavailableError
from nicarbon.meters import Fake
from nicarbon.rivals import RIVALS, Rival, environments
from nicarbon.rivals.race import Found, How, Run, Seat, run_beside, run_inside
from nicarbon.rivals.rows import COLUMNS, NOTHING, Figure, Row, Truth, rows_of, tsv, values
from nicarbon.rivals.signals import Signals
from nicarbon.rivals.truth import HostCounter, Series

FRANCE = Intensity(56.0, 28.0, 112.0, 'FR', '', '', 'average', 'example')
NAMES = [rival.name for rival in RIVALS]
WHOLE = 'nicarbon, whole host'


@pytest.fixture(scope='session')
def envs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rival_doubles.environments(tmp_path_factory.mktemp('envs'))


@pytest.fixture
def how(tmp_path: Path) -> Iterator[How]:
    with blocked_signals() as mask:
        signals = Signals()
        with signals.taken():
            yield How(tmp_path / 'logs', dict(os.environ), mask, signals, patience=20.0)


def compare(envs: Path, *words: object, cwd: Path, **environ: str) -> subprocess.CompletedProcess:
    return nicarbon('compare', '--envs', envs, *words, cwd=cwd, **environ)


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / 'compare.tsv').open(newline='') as file:
        rows = list(csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE))
    return {row['tracker']: row for row in rows}


def one_run(rival: Rival, how: How, python: Path, *program: str) -> tuple[Run, Found]:
    seat = Seat(rival, python)
    if rival.inside:
        run = run_inside(program, seat, how)
    else:
        run = run_beside(program, [seat], how, random.Random(0))
    (found,) = [each for each in run.found if each.name == rival.name]
    return run, found


@pytest.mark.parametrize('rival', RIVALS, ids=lambda rival: rival.name)
def test_every_tracker_keeps_the_contract(rival: Rival, how: How, envs: Path) -> None:
    python = envs / rival.pins.stem / 'bin' / 'python'
    run, found = one_run(rival, how, python, 'sleep', '0.3')
    assert (run.code, run.inside, found.why) == (0, rival.name if rival.inside else '', '')
    assert 0.3 <= run.seconds < 3
    assert found.begin <= run.begin < run.end <= found.end
    assert 0 < found.startup < 20
    assert 0 <= found.meanwhile < found.own_cpu_seconds < 20
    told = found.answer
    if rival.name == 'zeus':  # No counter, no energy, and no zero.
        assert told['joules'] is told['grams'] is None
        return
    truth = 10 * (found.end - found.begin) if rival.inside else rival_doubles.JOULES
    assert told['joules'] == pytest.approx(truth, rel=0.1)
    assert told['told_joules'] == pytest.approx(told['joules'] * told['pue'])
    assert told['grams'] == pytest.approx(told['told_joules'] / 3.6e6 * told['g_per_kwh'])
    assert sum(told['parts'].values()) == pytest.approx(told['joules'])


@pytest.mark.parametrize('rival', RIVALS, ids=lambda rival: rival.name)
def test_every_tracker_says_what_it_cannot(rival: Rival) -> None:
    assert rival.reads
    assert rival.cannot
    assert '==' in environments.requirements(rival.pins)


TRACKER = """
import os, subprocess, sys, time
class Tracker:
    def __init__(self, folder, **_):
        {made}
    def start(self):
        {start}
    def stop(self):
        {stop}
        return {{'joules': 1.0}}
"""


def hostile(tmp_path: Path, *, inside: bool = False, **steps: str) -> Rival:
    program = tmp_path / 'hostile.py'
    text = {'made': 'pass', 'start': 'pass', 'stop': 'pass', **steps}
    program.write_text(TRACKER.format(**text))
    return Rival('hostile', program, program, inside=inside)


@pytest.mark.parametrize('inside', [False, True])
@pytest.mark.parametrize(
    ('step', 'code', 'why'),
    [
        ('made', 'raise ValueError("no\\nway")', 'fails to start up: ValueError: no'),
        ('made', 'import no_such_package', 'fails to start up: ModuleNotFoundError: No module'),
        ('made', 'print("I am out", file=sys.stderr); os._exit(7)', 'should: I am out'),
        ('start', 'sys.exit(70)', 'fails to start: SystemExit: 70'),
        ('start', 'time.sleep(100)', 'did not answer within 1 s (started)'),
        ('stop', 'raise OSError(5, "broken")', 'fails to stop: OSError: [Errno 5] broken'),
        ('stop', 'os.kill(os.getpid(), 9)', 'ended before it should'),
        ('stop', 'time.sleep(100)', 'did not answer within 1 s (result)'),
    ],
)
def test_a_tracker_that_fails_says_why(
    how: How, tmp_path: Path, inside: bool, step: str, code: str, why: str
) -> None:
    """And the program runs as ever, but inside one that is not there."""
    how = How(how.folder, how.environ, how.mask, how.signals, patience=1.0)
    rival = hostile(tmp_path, inside=inside, **{step: code})
    run, found = one_run(rival, how, Path(sys.executable), 'true')
    assert why in found.why
    assert not found.answer
    assert run.code == (None if inside and step != 'stop' else 0)


def test_garbage_is_no_answer(how: How, tmp_path: Path) -> None:
    noise = 'print("garbage"); os.write(1, b"\\xff{}\\n" * 9); os.system("echo shell")'
    rival = hostile(tmp_path, made=noise, start=noise, stop=noise)
    _, found = one_run(rival, how, Path(sys.executable), 'true')
    assert found.why == ''
    assert found.answer == {'joules': 1.0}
    assert 'shell' in (how.folder / 'hostile' / 'log.txt').read_text(errors='replace')


def test_lines_that_are_no_answers_are_passed_over(how: How, tmp_path: Path) -> None:
    """Also where a tracker finds the pipe."""
    find = 'for n in range(3, 256):\n            try: os.write(n, b"[1]\\nnull\\n{\\"event\\": 3}\\n")'
    find += '\n            except OSError: pass'
    _, found = one_run(hostile(tmp_path, start=find), how, Path(sys.executable), 'true')
    assert (found.why, found.answer) == ('', {'joules': 1.0})


def test_figures_that_are_none_are_not_seen() -> None:
    answer = {'joules': float('nan'), 'grams': '12', 'pue': True, 'parts': 3, 'cpu_seconds': []}
    run = Run(code=0, found=[Found('x', answer=answer, begin=1.0, end=2.0)])
    (row,) = rows_of([run], {'x': Row('x')}, Truth(lambda *_: 10.0), FRANCE, PUE())
    assert (row.state, row.why, row.same, row.ratio) == ('not seen', NOTHING, None, None)
    assert row.pue is row.carbon is row.cpu_time is None
    assert 'nan' not in tsv([row])


def test_what_a_tracker_starts_does_not_outlive_it(how: How, tmp_path: Path) -> None:
    note = tmp_path / 'pid'
    start = f'open({str(note)!r}, "w").write(str(subprocess.Popen(["sleep", "1000"]).pid))'
    _, found = one_run(hostile(tmp_path, start=start), how, Path(sys.executable), 'true')
    assert found.why == ''
    deadline = time.monotonic() + 10
    while alive(int(note.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_tracker_that_is_not_installed_keeps_its_row(how: How) -> None:
    seat = Seat(RIVALS[0], None, 'not installed: no network')
    run = run_beside(['true'], [seat], how, random.Random(0))
    assert [found.why for found in run.found] == ['', 'not installed: no network']
    assert run.code == 0


def test_the_program_has_its_streams(tmp_path: Path, envs: Path) -> None:
    """Beside trackers as inside one: standard input, output, error, byte for byte."""
    data = bytes(range(256)) * 300
    script = (
        'import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); print(7, file=sys.stderr)'
    )
    words = ['compare', '--envs', str(envs), '--with', 'zeus', '--', sys.executable, '-c', script]
    done = subprocess.run([NICARBON, *words], cwd=tmp_path, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(data)
    assert b'\n7\n' in b'\n' + done.stderr


@pytest.fixture(scope='session')
def done(tmp_path_factory: pytest.TempPathFactory, envs: Path) -> Path:
    folder = tmp_path_factory.mktemp('compare')
    words = [sys.executable, '-ISc', BURN, '0.6']
    done = compare(envs, '--repeats', '2', '--grid', 'FR', '--', *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / 'stdout').write_text(done.stdout)
    return folder


def test_there_is_a_row_for_everybody(done: Path) -> None:
    rows = table(done / 'compare')
    assert list(rows) == ['counter', 'nicarbon', WHOLE, *NAMES]
    assert list(rows['zeus']) == list(COLUMNS)
    shown = (done / 'stdout').read_text()
    page = (done / 'compare' / 'compare.html').read_text()
    for name in rows:
        assert f'\n{name} ' in shown
        assert name in page
    assert rows['zeus']['state'] == 'not seen'
    assert rows['zeus']['it_energy'] == 'n/a'
    assert rows['zeus']['why'] == NOTHING


def test_cpu_time_is_the_kernels(done: Path) -> None:
    rows = table(done / 'compare')
    seen, truth = (float(rows[name]['cpu_time']) for name in ('nicarbon', 'counter'))
    assert truth == pytest.approx(0.6, abs=0.15)
    assert seen == pytest.approx(truth, rel=0.05)
    assert 0 < float(rows['nicarbon']['own_cpu_time']) < 2


def test_the_same_joules_under_one_grid(done: Path) -> None:
    rows = table(done / 'compare')
    record = json.loads((done / 'compare' / 'compare.json').read_text())
    g = record['same']['intensity']['g_per_kwh']
    assert record['same']['intensity']['zone'] == 'FR'
    for name in ('codecarbon', 'carbontracker', 'eco2ai'):
        row = rows[name]
        assert float(row['it_energy']) == pytest.approx(100)
        assert float(row['same_carbon']) == pytest.approx(100 / 3.6e6 * g, rel=1e-4)
        assert (row['runs'], float(row['it_energy_sd'])) == ('2', pytest.approx(0, abs=1e-9))
    assert float(rows['carbontracker']['energy']) == pytest.approx(158)
    assert float(rows['codecarbon']['intensity']) == pytest.approx(56)  # It was told France.


def test_the_sidecar_says_it_all(done: Path) -> None:
    record = json.loads(
        (done / 'compare' / 'compare.json').read_text(), parse_constant=pytest.fail
    )
    assert set(record['columns']) == set(COLUMNS)
    assert all(set(row) == {*COLUMNS, 'parts'} for row in record['rows'])
    runs = record['runs']
    assert [run['exit_code'] for run in runs] == [0] * 4  # One to warm up is not among them.
    assert sorted(run['inside'] or '' for run in runs) == [
        '',
        '',
        'impact-tracker',
        'impact-tracker',
    ]


def test_the_page_loads_nothing(done: Path) -> None:
    page = (done / 'compare' / 'compare.html').read_text()
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert page.count('<svg xmlns') == 2


def test_a_signal_in_a_run_inside_a_tracker(how: How, tmp_path: Path) -> None:
    """It comes when the tracker is about to run the program, and reaches that."""
    me = os.getpid()
    kill = f'os.kill({me}, 15)'
    run, found = one_run(
        hostile(tmp_path, inside=True),
        how,
        Path(sys.executable),
        sys.executable,
        '-c',
        f'import os, time; {kill}; time.sleep(30)',
    )
    assert run.code == -signal.SIGTERM
    assert (how.signals.caught, found.why) == (signal.SIGTERM, '')


def test_a_program_that_fails_is_one_line_and_nothing_is_lost(tmp_path: Path, envs: Path) -> None:
    done = compare(envs, '--with', 'zeus,impact-tracker', '--', 'sh', '-c', 'exit 3', cwd=tmp_path)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith('nicarbon: error: sh ended with exit code 3; what was measured is in ')
    )
    assert table(tmp_path / 'compare')['counter']['cpu_time'] != 'n/a'


@pytest.mark.parametrize(
    ('words', 'code', 'line'),
    [
        (['--', 'no-such-program'], 66, 'nicarbon: error: no-such-program: no such program'),
        (['--with', 'scaphandre', '--', 'true'], 64, '--with scaphandre: no such tracker'),
        (['--repeats', '0', '--', 'true'], 64, '--repeats 0'),
        (['--cores', '999', '--', 'true'], 64, '--cores 999'),
        (['--grid', 'Narnia', '--', 'true'], 64, '--grid Narnia: no such zone'),
        ([], 2, 'no program'),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, envs: Path, words: list[str], code: int, line: str
) -> None:
    done = compare(envs, *words, cwd=tmp_path)
    assert (done.returncode, done.stderr.count('\n')) == (code, 1)
    assert line in done.stderr
    assert not (tmp_path / 'compare').exists()


def started(tmp_path: Path, envs: Path, names: str) -> tuple[subprocess.Popen, int]:
    """A comparison whose program runs, and the program's pid."""
    script = 'echo $$ > pid; trap "echo caught; exit 9" INT TERM; while :; do sleep 0.05; done'
    words = [NICARBON, 'compare', '--envs', envs, '--with', names, '--', 'sh', '-c', script]
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
    process = subprocess.Popen([*map(str, words)], cwd=tmp_path, **pipes)
    deadline = time.monotonic() + 30
    while not (text := (tmp_path / 'pid').exists() and (tmp_path / 'pid').read_text()):
        assert time.monotonic() < deadline, process.poll()
        time.sleep(0.02)
    return process, int(text)


def trackers_of(folder: Path) -> list[int]:
    """Processes that hold trackers for a comparison in this folder."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b'beside.py' in words and str(folder).encode() in words and alive(int(path.parts[2])):
            found.append(int(path.parts[2]))
    return found


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_trackers_stop(tmp_path: Path, envs: Path, number: int) -> None:
    process, pid = started(tmp_path, envs, 'codecarbon,zeus')
    assert trackers_of(tmp_path)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert 'caught' in out
    assert process.returncode == 128 + number, errors
    assert not alive(pid)
    assert trackers_of(tmp_path) == []
    assert (tmp_path / 'compare' / 'compare.html').exists()


def test_no_tracker_outlives_a_kill(tmp_path: Path, envs: Path) -> None:
    process, pid = started(tmp_path, envs, 'codecarbon,zeus')
    try:
        process.kill()
        process.wait(timeout=30)
        deadline = time.monotonic() + 10
        while trackers_of(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert trackers_of(tmp_path) == []
        assert alive(pid)  # The science goes on.
    finally:
        os.kill(pid, signal.SIGKILL)
        process.stdout.close()
        process.stderr.close()


def test_an_environment_that_is_there_is_left_alone(tmp_path: Path, envs: Path) -> None:
    rival = RIVALS[-1]
    python = environments.interpreter(envs / 'zeus', rival.pins, pytest.fail)
    assert python == envs / 'zeus' / 'bin' / 'python'


def test_pins_may_name_other_pins(tmp_path: Path) -> None:
    (tmp_path / 'one.txt').write_text('# why\na==1\nb<2\n')
    (tmp_path / 'all.txt').write_text('-r one.txt\nc\n')
    assert environments.requirements(tmp_path / 'all.txt') == 'a==1\nb<2\nc\n'


@pytest.mark.slow
def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / 'pins.txt').write_text('./no-such-wheel.whl\n')
    told: list[str] = []
    with pytest.raises(UnavailableError, match=r'^not installed: .*no-such-wheel'):
        environments.interpreter(tmp_path / 'env', tmp_path / 'pins.txt', told.append)
    assert told == [f'installing ./no-such-wheel.whl into {tmp_path / "env"}']
    with pytest.raises(UnavailableError, match=r'gave up after 0\.01 s'):
        environments.interpreter(tmp_path / 'e', tmp_path / 'pins.txt', told.append, seconds=0.01)


@pytest.mark.slow
def test_codecarbon_itself(how: How) -> None:
    """The real one, which nicarbon depends on."""
    run, found = one_run(RIVALS[0], how, Path(sys.executable), 'sleep', '1')
    assert (run.code, found.why) == (0, '')
    assert found.version.startswith('3.')
    assert found.answer['joules'] > 0
    assert found.answer['grams'] == pytest.approx(
        found.answer['joules'] / 3.6e6 * found.answer['g_per_kwh']
    )


class Counting(Fake):
    """A counter that is one."""

    def __init__(self, watts: float) -> None:
        super().__init__(watts)
        self.reading = Reading('cpu', None, None, 'fake', 'measured', 'host', 1.0)


def test_the_hosts_counter_is_read_at_any_time() -> None:
    with HostCounter([Counting(50.0), Fake(1e6)]) as counter:
        time.sleep(0.1)
        begin = time.monotonic()
        time.sleep(0.5)
        end = time.monotonic()
        time.sleep(0.3)
        assert counter.between(begin, end) == pytest.approx(50 * (end - begin), rel=0.01)
        assert counter.between(begin, end + 100) is None
    with HostCounter([Fake(50.0)]) as models_alone:
        assert models_alone.between(begin, end) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_series_adds_up(steps: list[float], first: float, second: float) -> None:
    series = Series(0.0)
    for moment, joules in enumerate(steps, 1):
        series.add(float(moment), joules)
    begin, end = sorted(part * len(steps) for part in (first, second))
    parts = series.between(0.0, begin), series.between(begin, end), series.between(end, len(steps))
    assert sum(parts) == pytest.approx(sum(steps), rel=1e-9, abs=1e-6)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=8))
def test_a_mean_is_over_what_was_told(told: list[float | None]) -> None:
    known = [value for value in told if value is not None]
    figure = Figure.of(told)
    assert (figure is None) == (not known)
    if figure:
        assert figure.count == len(known)
        assert min(known) <= figure.mean * (1 + 1e-9)
        assert figure.mean <= max(known) * (1 + 1e-9)
        assert (figure.sd is None) == (len(known) == 1)


@given(st.floats(1, 1e9), st.floats(1, 5))
def test_grams_differ_by_the_measuring_alone(joules: float, pue: float) -> None:
    """Whatever a tracker assumes, under one grid and PUE grams are in proportion to joules."""
    answers = [{'joules': joules, 'told_joules': joules * pue, 'pue': pue}, {'joules': 2 * joules}]
    run = Run(code=0, found=[Found(name, answer=a) for name, a in zip('ab', answers, strict=True)])
    about = {name: Row(name) for name in 'ab'}
    first, second = rows_of([run], about, Truth(lambda *_: None), FRANCE, PUE(1.5))
    assert second.same.grams == pytest.approx(2 * first.same.grams)
    assert values(first)['same_energy'] == pytest.approx(1.5 * joules)


def test_a_mean_of_fewer_runs_says_so() -> None:
    told = [Found('x', answer={'joules': joules}) for joules in (2.0, None)]
    runs = [Run(code=0, found=[found]) for found in told]
    (row,) = rows_of(runs, {'x': Row('x')}, Truth(lambda *_: None), FRANCE, PUE())
    assert (row.it_energy.mean, row.state) == (2.0, 'seen')
    assert row.why == 'told an energy in 1 of 2 runs'


def test_a_ratio_compares_the_same_components() -> None:
    parts = {'cpu': 90.0, 'dram': 60.0}
    found = Found('x', answer={'joules': 150.0, 'parts': parts}, begin=1.0, end=2.0)
    assert Truth(lambda *_: 100.0, frozenset({'cpu'})).ratio(found) == pytest.approx(0.9)
    assert Truth(lambda *_: 150.0, frozenset({'cpu', 'dram'})).ratio(found) == pytest.approx(1.0)
    assert Truth(lambda *_: None, frozenset({'cpu'})).ratio(found) is None
    assert Truth(lambda *_: 100.0, frozenset({'gpu'})).ratio(found) is None


@pytest.mark.slow
@namespaces
def test_under_a_counter_all_that_is_charged_adds_up(tmp_path: Path, envs: Path) -> None:
    """The counter is a stand-in; that nicarbon and the row of truth read the same is not."""
    host.cached()
    burn = [sys.executable, '-ISc', BURN, '2']
    words = ['compare', '--envs', envs, '--with', 'zeus', '-o', tmp_path / 'out', '--', *burn]
    with powercap(tmp_path / 'tree') as tree:
        done = subprocess.run(on_machine(tree, *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = table(tmp_path / 'out')
    assert float(rows['counter']['it_energy']) > 2 * 46
    assert float(rows[WHOLE]['ratio']) == pytest.approx(1, abs=0.02)
    assert 0 < float(rows['nicarbon']['ratio']) < 1
