"""Whatever happens, the work is unharmed and what was seen up to the last window is there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from doubles import Burn
from values import replace

from nicarbon import errors, ledger, recording
from nicarbon.cli.facts import is_at_work
from nicarbon.entry import Entry, Window
from nicarbon.host import Host, boot_id
from nicarbon.meters import Fake
from nicarbon.run import watched
from nicarbon.share import share
from nicarbon.watch import Label, Watch

HOST = Host(
    os.uname().nodename, 'X', 2, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.5
)


def watching(folder: Path, body: str) -> subprocess.Popen:
    """A process that watches a body of work, in windows of 0.2 s."""
    code = (
        'import os, signal, time\n'
        'from pathlib import Path\n'
        'from nicarbon.host import Host\n'
        'from nicarbon.meters import Fake\n'
        'from nicarbon.watch import Label, Watch\n'
        f'watch = Watch(Label(stage="burn"), Host(**{HOST._asdict()!r}), [Fake(10.0)], '
        f'Path({str(folder)!r}), window_seconds=0.2)\n'
        'with watch:\n'
        '    print("go", flush=True)\n'
        f'    {body}\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'go\n'
    return process


def ended(process: subprocess.Popen, folder: Path) -> Entry:
    process.communicate(timeout=30)
    (entry,), warnings = ledger.read(folder)
    assert warnings == []
    return entry


@pytest.mark.slow
@pytest.mark.parametrize('end', [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_process_is_read_to_its_last_window(tmp_path: Path, end: int) -> None:
    process = watching(tmp_path, 'while True: pass')
    time.sleep(1.5)
    process.send_signal(end)
    entry = ended(process, tmp_path)
    assert entry.outcome == 'killed'
    assert 0.5 < entry.cpu_seconds < 2.0
    assert entry.readings[0].joules == pytest.approx(10.0 * entry.seconds)


@pytest.mark.slow
def test_a_process_that_leaves_by_the_back_door(tmp_path: Path) -> None:
    process = watching(tmp_path, 'time.sleep(0.7); os._exit(0)')
    assert ended(process, tmp_path).outcome == 'killed'


@pytest.mark.slow
def test_time_stopped_is_no_work(tmp_path: Path) -> None:
    """Wall time goes on while a process is stopped, its CPU time does not."""
    process = watching(
        tmp_path, 'while time.process_time() < 1.0: pass\n    print("done", flush=True)'
    )
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    process.send_signal(signal.SIGCONT)
    entry = ended(process, tmp_path)
    assert process.returncode == 0
    assert entry.outcome == 'ran'
    assert entry.seconds > 3
    assert entry.cpu_seconds < 1.3
    assert max(window.seconds for window in entry.windows) > 2.5


def test_a_host_that_slept_says_so() -> None:
    """Its monotonic clock stands still meanwhile, so that nothing is charged for it."""
    slept = iter([100.0, 64 * 3600.0])
    with Watch(Label(), HOST, [Fake(10.0)], None, slept=lambda: next(slept)) as watch:
        pass
    assert watch.entry.suspended_seconds == 64 * 3600 - 100
    assert watch.entry.seconds < 1


def test_a_clock_set_back_changes_no_share(make_entry) -> None:
    window = Window(0.0, 10.0, 10.0, 20.0, (120.0,))
    run, node = make_entry((window,), kind='run', reserved_cores=0.0), make_entry((window,))
    later = replace(node, started='2020-01-01T00:00:00.000+00:00')
    assert share([run, node]).shares[0].joules == share([run, later]).shares[0].joules


def test_another_boot_is_another_timeline(make_entry) -> None:
    """Monotonic clocks of two boots must not be laid over each other."""
    window = Window(0.0, 10.0, 10.0, 20.0, (120.0,))
    run = make_entry((window,), kind='run', reserved_cores=0.0)
    nodes = [make_entry((window,)), make_entry((window,), boot_id='before')]
    sharing = share([run, *nodes])
    assert sharing.balances[0].nodes_joules == sharing.shares[0].joules['reserved']


def test_a_process_does_not_outlive_its_boot(make_entry) -> None:
    pid = os.getpid()
    mine = f'{HOST.name}-{pid}-{Path(f"/proc/{pid}/stat").read_text().split()[21]}-1'
    now = make_entry(host=HOST.name, boot_id=boot_id(), pid=pid, entry_id=mine)
    assert is_at_work(now, 0.0)
    assert not is_at_work(replace(now, boot_id='before'), 0.0)
    assert is_at_work(replace(now, host='elsewhere'), 1.0)
    assert not is_at_work(replace(now, host='elsewhere'), 1e6)


def test_a_ledger_that_is_deleted_meanwhile_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / 'ledger'
    with Watch(Label(stage='burn'), HOST, [Fake(10.0)], folder) as watch:
        shutil.rmtree(folder)
        watch.look()
        (killed,), _ = ledger.read(folder)
        assert killed.outcome == 'killed'
        assert killed.seconds > 0
        shutil.rmtree(folder)
    (entry,), _ = ledger.read(folder)
    assert entry.outcome == 'ran'
    assert len(entry.windows) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason='mounting needs root')
def test_a_ledger_that_becomes_read_only(tmp_path: Path, caplog) -> None:
    """Another file system, read-only, comes over it in mid-run."""
    with recording(tmp_path) as run:
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'ro', 'none', run.ledger], check=True)
        try:
            assert Burn(seconds=0.05).run(cwd=str(tmp_path)).outputs.done
            with Watch(Label(), HOST, [Fake(1.0)], run.ledger) as watch:
                pass
            assert watch.entry.outcome == 'ran'
        finally:
            subprocess.run(['umount', '-l', run.ledger], check=True)
    assert run.entry.outcome == 'ran'
    assert [entry.kind for entry in ledger.read(run.ledger)[0]] == ['run']
    assert 'ledger cannot be written' in caplog.text


@pytest.mark.slow
def test_two_runs_in_one_folder(tmp_path: Path) -> None:
    code = (
        'import sys, time\n'
        'from nicarbon import recording\n'
        'from nicarbon.run import watched\n'
        'from nicarbon.watch import Label\n'
        'with recording(sys.argv[1]):\n'
        '    for number in range(50):\n'
        '        with watched(Label(stage=sys.argv[2], node=str(number))): time.sleep(0.01)\n'
    )
    words = [sys.executable, '-c', code, str(tmp_path)]
    both = [subprocess.Popen([*words, name]) for name in 'ab']
    assert [process.wait() for process in both] == [0, 0]
    entries, warnings = ledger.read(*ledger.folders(tmp_path))
    assert warnings == []
    assert sorted(e.stage for e in entries if e.kind == 'node') == 50 * ['a'] + 50 * ['b']
    assert len(share(entries).balances) == 2


def test_a_thousand_windows_cost_kilobytes(tmp_path: Path) -> None:
    with Watch(Label(), HOST, [Fake(10.0)], tmp_path, window_seconds=3600) as watch:
        for _ in range(5000):
            watch.look()
        (part,) = tmp_path.glob('*.part')
        assert part.stat().st_size < 100_000
        (killed,), _ = ledger.read(tmp_path)
        assert killed.seconds == pytest.approx(sum(w.seconds for w in killed.windows))
    (line,) = tmp_path.glob('*.jsonl')
    assert line.stat().st_size < 100_000
    assert len(watch.entry.windows) <= 512


def test_a_program_may_close_what_is_not_its_own(tmp_path: Path) -> None:
    """As old recipes for daemons do; files that it opens then are not touched."""
    with Watch(Label(stage='burn'), HOST, [Fake(10.0)], tmp_path / 'ledger') as watch:
        os.close(watch._checkpoint._file.handle)
        results = [(tmp_path / str(number)).open('w+') for number in range(5)]
        for file in results:
            file.write('science')
            file.flush()
        watch.look()
    for file in results:
        file.close()
        assert Path(file.name).read_text() == 'science'
    (entry,), _ = ledger.read(tmp_path / 'ledger')
    assert entry.outcome == 'ran'


def test_recordings_leave_no_open_files(tmp_path: Path) -> None:
    before = len(os.listdir('/proc/self/fd'))
    for number in range(5):
        with recording(tmp_path / str(number)):
            Burn(seconds=0.01).run(cwd=str(tmp_path))
    assert len(os.listdir('/proc/self/fd')) == before
    assert list(tmp_path.rglob('*.part')) == []


def test_a_forked_child_that_leaves_the_block_changes_nothing(tmp_path: Path) -> None:
    code = (
        'import os, sys\n'
        'from nicarbon import recording\n'
        'from nicarbon.run import watched\n'
        'from nicarbon.watch import Label\n'
        'with recording(sys.argv[1]), watched(Label(node="n")):\n'
        '    child = os.fork()\n'
        '    if child == 0: sys.exit(3)\n'
        '    os.waitpid(child, 0)\n'
    )
    subprocess.run([sys.executable, '-c', code, str(tmp_path)], check=True)
    entries, _ = ledger.read(*ledger.folders(tmp_path))
    assert {entry.kind: entry.outcome for entry in entries} == {'run': 'ran', 'node': 'ran'}


def test_work_within_work_is_counted_once(tmp_path: Path) -> None:
    """In another process, and in another thread."""
    inner = (
        'from nicarbon.run import watched; from nicarbon.watch import Label\n'
        'with watched(Label(node="inner")) as watch: print(watch)'
    )
    with recording(tmp_path) as run:
        with watched(Label(node='outer')):
            words = [sys.executable, '-c', inner]
            out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            with ThreadPoolExecutor(1) as pool:
                assert (
                    pool.submit(lambda: watched(Label(node='inner')).__enter__()).result() is None
                )
        with watched(Label(node='next')) as after:
            assert after is not None
    assert out == 'None\n'
    assert [e.node for e in ledger.read(run.ledger)[0] if e.kind == 'node'] == ['outer', 'next']


def test_watching_that_fails_lets_the_work_be_done(tmp_path: Path, caplog) -> None:
    """As it begins, and as it ends."""
    errors._warned.clear()
    with recording(tmp_path) as run:
        with watched(Label(node='odd', reserved_memory_gb=object())) as watch:
            assert watch is not None
        with watched(Label(node='none'), clock=lambda **_: 1 / 0) as watch:
            assert watch is None
    assert 'none runs unwatched: ZeroDivisionError' in caplog.text
    assert 'could not be ended: TypeError' in caplog.text
    assert run.entry.outcome == 'ran'


def test_many_threads_may_begin_at_once() -> None:
    code = (
        'import sys, threading\n'
        'from nicarbon import sampler\n'
        'sys.setswitchinterval(1e-6)\n'
        'class Watch:\n'
        '    window_seconds, restless = 5.0, False\n'
        '    def look(self): pass\n'
        '    glance = look\n'
        'errors = []\n'
        'def add():\n'
        '    try: sampler.add(Watch())\n'
        '    except Exception as error: errors.append(error)\n'
        'threads = [threading.Thread(target=add) for _ in range(20)]\n'
        'for thread in threads: thread.start()\n'
        'for thread in threads: thread.join()\n'
        'assert not errors, errors\n'
    )
    for _ in range(3):
        subprocess.run([sys.executable, '-c', code], check=True)
