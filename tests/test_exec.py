"""``nicarbon exec``: the program notices nothing, and all that it used is recorded."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest
from command import NICARBON, VALIDATOR, nicarbon
from doubles import BURN

from nicarbon import ledger
from nicarbon.command import Markers
from nicarbon.entry import Entry
from nicarbon.nesting import leaves
from nicarbon.pieces import cut
from nicarbon.share import share

PROGRAM = Path(__file__).with_name('nipype_program.py')


def start(*words: object, cwd: Path, **options: object) -> subprocess.Popen:
    pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **options}
    return subprocess.Popen([NICARBON, 'exec', *map(str, words)], cwd=cwd, **pipes)


def entries_of(out: Path) -> list[Entry]:
    entries, warnings = ledger.read(*ledger.folders(out))
    assert warnings == []
    return entries


def command_of(out: Path) -> Entry:
    (entry,) = [entry for entry in leaves(entries_of(out)) if entry.kind == 'node']
    return entry


@pytest.mark.parametrize('code', [0, 1, 3, 255])
def test_the_exit_code_is_the_programs(tmp_path: Path, code: int) -> None:
    done = nicarbon('exec', '--', 'sh', '-c', f'exit {code}', cwd=tmp_path)
    assert done.returncode == code
    entry = command_of(tmp_path / 'nicarbon-out')
    assert entry.outcome == ('failed' if code else 'ran')
    assert entry.error == (f'exit code {code}' if code else '')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_that_ends_it_ends_us(tmp_path: Path, number: int) -> None:
    done = nicarbon('exec', '--', 'sh', '-c', f'kill -{int(number)} $$', cwd=tmp_path)
    assert done.returncode in {-number, 128 + number}
    assert command_of(tmp_path / 'nicarbon-out').outcome == 'killed'


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_handed_on(tmp_path: Path, number: int) -> None:
    script = f'trap "echo caught; exit 9" {int(number)}; echo ready; while :; do sleep 0.1; done'
    process = start('--', 'sh', '-c', script, cwd=tmp_path)
    assert process.stdout.readline() == b'ready\n'
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert out == b'caught\n'
    assert process.returncode == 9


def test_no_thread_of_ours_takes_a_signal_in_its_place(tmp_path: Path) -> None:
    look = """
import os, pathlib, signal
tasks = pathlib.Path(f'/proc/{os.getppid()}/task')
for path in tasks.glob('*/status'):
    if path.parent.name == tasks.parent.name:
        continue  # The main thread, which waits for them.
    mask = int(path.read_text().partition('SigBlk:')[2].split()[0], 16)
    print(all(mask >> (n - 1) & 1 for n in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)))
"""
    done = nicarbon('exec', '--', sys.executable, '-c', look, cwd=tmp_path)
    assert set(done.stdout.split()) == {'True'}
    assert done.stdout.count('True') > 1, 'one that watches, and those of libraries'


@pytest.mark.parametrize('markers', [(), ('--stage-markers', 'odd')])
def test_streams_pass_byte_for_byte(tmp_path: Path, markers: tuple) -> None:
    data = bytes(range(256)) * 5000
    process = start(*markers, '--', 'cat', cwd=tmp_path, stdin=subprocess.PIPE)
    out, _ = process.communicate(data, timeout=60)
    assert out == data


def test_a_terminal_stays_a_terminal(tmp_path: Path) -> None:
    """With markers too, where the output is read on its way."""
    ours, theirs = pty.openpty()
    script = 'test -t 1 && echo terminal; echo "STAGE one"'
    process = start(
        '--stage-markers', 'STAGE (.*)', '--', 'sh', '-c', script, cwd=tmp_path, stdout=theirs
    )
    os.close(theirs)
    _, told = process.communicate(timeout=20)
    shown = os.read(ours, 4096)
    os.close(ours)
    assert shown == b'terminal\r\nSTAGE one\r\n'
    assert process.returncode == 0, told
    assert [part.name for part in command_of(tmp_path / 'nicarbon-out').parts] == ['one']


def test_a_reader_that_leaves_early_is_told_as_ever(tmp_path: Path) -> None:
    """``exec -- yes | head -1`` ends, with and without markers."""
    for markers in ('', '--stage-markers odd'):
        line = f'"{NICARBON}" exec {markers} -- yes 2>/dev/null | head -1'
        done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, timeout=30)
        assert done.stdout == b'y\n'


def test_sub_stages_are_cut_where_markers_tell(tmp_path: Path) -> None:
    burn = f'{sys.executable} -S -c "{BURN}"'
    script = (
        f'echo "#@# MotionCor Tue Feb  6 13:45:39 CET 2024"; {burn} 0.4\n'
        f'echo "#@# Tessellate lh Wed Feb  7 00:00:01 UTC 2024"; {burn} 0.8\n'
        'echo "#@# 241395 lh 227149"'
    )
    words = ('--stage-markers', 'freesurfer', '--subject', 'sub-01', '--', 'sh', '-c', script)
    done = nicarbon('exec', *words, cwd=tmp_path)
    assert 'Tessellate lh' in done.stderr
    entry = command_of(tmp_path / 'nicarbon-out')
    assert [part.name for part in entry.parts] == ['MotionCor', 'Tessellate lh']
    assert entry.subject == '01'
    pieces = {piece.stage: piece for piece in cut(entry)}
    assert pieces['MotionCor'].cpu_seconds == pytest.approx(0.4, abs=0.2)
    assert pieces['Tessellate lh'].cpu_seconds == pytest.approx(0.8, abs=0.2)
    assert sum(piece.cpu_seconds for piece in pieces.values()) == pytest.approx(entry.cpu_seconds)
    done = nicarbon('account', 'nicarbon-out', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check = [VALIDATOR, 'nicarbon-out', '--json']
    found = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
    issues = json.loads(found.stdout)['issues']['issues']
    # Whose data it is nobody has said.
    assert {issue['code'] for issue in issues} <= {'TOO_FEW_AUTHORS'}
    table = (tmp_path / 'nicarbon-out/sub-01/sub-01_carbon.tsv').read_text()
    assert [line.split('\t')[2] for line in table.splitlines()[1:]][-2:] == [
        'MotionCor',
        'Tessellate lh',
    ]
    whole = share(entries_of(tmp_path / 'nicarbon-out')).balances[0].nodes_joules
    in_parts = share(p for e in entries_of(tmp_path / 'nicarbon-out') for p in cut(e))
    assert in_parts.balances[0].nodes_joules == pytest.approx(whole)


def test_markers_in_a_log_that_grows(tmp_path: Path) -> None:
    (tmp_path / 'x.log').write_text('STAGE of an earlier run\n')
    script = 'echo STAGE one >> x.log; sleep 0.5; echo STAGE two >> x.log; sleep 0.5'
    words = ('--stage-markers', 'STAGE (.*)', '--marker-log', 'x.log', '--', 'sh', '-c', script)
    assert nicarbon('exec', *words, cwd=tmp_path).returncode == 0
    parts = command_of(tmp_path / 'nicarbon-out').parts
    assert [part.name for part in parts] == ['one', 'two']
    assert parts[0].seconds == pytest.approx(0.5, abs=0.3)


def check_nipype(tmp_path: Path, python: str, plugin: str, method: str) -> None:
    words = ('exec', '--', python, PROGRAM, tmp_path / 'work', plugin, method, '0.6')
    environ = {'PYTHONPATH': ''}
    done = nicarbon(*words, cwd=tmp_path, **environ)
    assert done.returncode == 5, done.stderr
    assert 'as it failed' in done.stdout
    entries = leaves(entries_of(tmp_path / 'nicarbon-out'))
    nodes = {entry.node.rpartition('.')[2]: entry for entry in entries if entry.kind == 'node'}
    assert set(nodes) == {'n4', 'fails', '_each0', '_each1'}, done.stderr
    assert {entry.subject for entry in nodes.values()} == {'01'}
    assert nodes['fails'].outcome == 'failed'
    assert nodes['n4'].cpu_seconds == pytest.approx(0.6, abs=0.3)
    (balance,) = share(entries).balances
    parts = balance.nodes_joules + balance.overhead_joules + balance.unattributed_joules
    assert parts == pytest.approx(balance.host_joules, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('plugin', 'method'),
    [
        ('Linear', 'fork'),
        ('MultiProc', 'fork'),
        ('MultiProc', 'forkserver'),
        ('MultiProc', 'spawn'),
    ],
)
def test_a_nipype_program_is_recorded_node_by_node(
    tmp_path: Path, plugin: str, method: str
) -> None:
    check_nipype(tmp_path, sys.executable, plugin, method)


@pytest.mark.slow
def test_in_an_environment_without_nicarbon(tmp_path: Path) -> None:
    """A virtual environment of the program's own, where nicarbon cannot be imported."""
    venv.create(tmp_path / 'venv', with_pip=False)
    site = next((tmp_path / 'venv').glob('lib/*/site-packages'))
    for path in Path(sysconfig.get_paths()['purelib']).iterdir():
        if 'nicarbon' not in path.name:
            (site / path.name).symlink_to(path)
    python = str(tmp_path / 'venv' / 'bin' / 'python')
    probe = [python, '-c', 'import nipype, nicarbon']
    alone = subprocess.run(probe, capture_output=True, text=True, cwd=tmp_path)
    assert "No module named 'nicarbon'" in alone.stderr
    check_nipype(tmp_path, python, 'MultiProc', 'forkserver')


def test_a_control_group_on_request(tmp_path: Path) -> None:
    done = nicarbon('exec', '--cgroup', '--', 'sh', '-c', 'exit 4', cwd=tmp_path)
    if done.returncode == 69:
        assert 'no control group' in done.stderr
    else:
        assert done.returncode == 4
        assert command_of(tmp_path / 'nicarbon-out').cpu_seconds > 0


def test_its_exit_code_comes_before_our_table(tmp_path: Path) -> None:
    """Whatever becomes of standard error."""
    for where in ('2>/dev/full', '2>&-', '2> >(head -c1 >/dev/null)'):
        line = f'"{NICARBON}" exec -- sh -c "echo out; exit 7" {where}'
        done = subprocess.run(['bash', '-c', line], cwd=tmp_path, stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout) == (7, b'out\n')


def test_what_cannot_be_started_is_not_waited_for(tmp_path: Path) -> None:
    words = ('exec', '--stage-markers', 'x', '--marker-log', 'f', '--', 'no-such-program')
    assert nicarbon(*words, cwd=tmp_path).returncode == 127


def test_orphans_of_a_program_are_buried(tmp_path: Path) -> None:
    """They come home to us, as they would to init."""
    script = 'for i in 1 2 3 4 5; do (sleep 0.2 &) ; done; sleep 1; ps -o stat= --ppid $PPID'
    done = nicarbon('exec', '--', 'sh', '-c', script, cwd=tmp_path)
    assert 'Z' not in done.stdout


def test_another_sitecustomize_is_still_found(tmp_path: Path) -> None:
    (tmp_path / 'sitecustomize.py').write_text('print("mine")')
    words = ('exec', '--', sys.executable, '-c', 'print("work")')
    done = nicarbon(*words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    # Once in nicarbon's own Python, and once in the program's.
    assert done.stdout == 'mine\nmine\nwork\n'


@pytest.mark.slow
@pytest.mark.parametrize('whole_group', [False, True], ids=['main', 'group'])
def test_killed_all_at_once_it_is_read_to_its_last_window(
    tmp_path: Path, whole_group: bool
) -> None:
    process = start(
        '--', 'sh', '-c', 'echo $$; while :; do :; done', cwd=tmp_path, start_new_session=True
    )
    child = int(process.stdout.readline())
    time.sleep(8.5)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.communicate() if whole_group else process.wait()
    if not whole_group:
        os.kill(child, signal.SIGKILL)
        process.communicate()
    entry = command_of(tmp_path / 'nicarbon-out')
    assert entry.outcome == 'killed'
    assert entry.cpu_seconds > 2


@pytest.mark.parametrize(
    ('words', 'code', 'told'),
    [
        ((), 2, 'no program'),
        (('--cores', '99999', '--', 'true'), 64, 'this machine has'),
        (('--stage-marker', 'x', '--', 'true'), 2, '--stage-marker'),
        (('--', 'no-such-program'), 127, 'no-such-program cannot be started: no such program'),
        (('--', '/'), 126, 'cannot be started'),
        (('--stage-markers', '(', '--', 'true'), 64, 'no regular expression'),
        (('--marker-log', 'x', '--', 'true'), 64, 'needs --stage-markers'),
        (('--subject', 'a/b', '--', 'true'), 64, 'a/b'),
        (('--grid', 'XX-NOWHERE', '--', 'true'), 64, 'XX-NOWHERE'),
        (('-o', '/proc/no', '--', 'true'), 73, '--out-dir /proc/no'),
        (('--cores', '-1', '--', 'true'), 64, '--cores -1'),
    ],
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path, words: tuple, code: int, told: str
) -> None:
    done = nicarbon('exec', *words, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_marker_has_a_name() -> None:
    assert Markers.parse('=+ (.*) =+').name(b'==== surfaces ====') == 'surfaces'
    assert Markers.parse('begin').name(b'begins here') == 'begin'
    assert Markers.parse('begin').name(b'ends here') is None
