"""CPU seconds are exact, whatever the children do. Real processes, real clocks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from nicarbon.cgroup import GroupClock, own_group
from nicarbon.cputime import TreeClock
from nicarbon.errors import UnavailableError
from nicarbon.host import Host


def _may_make_groups() -> bool:
    try:
        GroupClock().finish()
    except UnavailableError:
        return False
    return True


needs_cgroup = pytest.mark.skipif(not _may_make_groups(), reason='no control group may be made')

HOST = Host('h', 'X', 2, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 1.5)._asdict()

BURN = 'import time, sys\nt = float(sys.argv[1])\nwhile time.process_time() < t: pass\n'


def _burn(seconds: float) -> list[str]:
    return [sys.executable, '-S', '-c', BURN, str(seconds)]


def _output(body: str, *words: str, clock: str = 'TreeClock', after: str = '') -> str:
    """Run a body under a fresh Watch, in a process that has no other children."""
    code = (
        'import os, subprocess, sys, time\n'
        'from nicarbon.host import Host\n'
        'from nicarbon.watch import Label, Watch\n'
        f'BURN = [sys.executable, "-S", "-c", {BURN!r}]\n'
        f'FORGETS = {FORGETS!r}\n'
        'def spin(seconds):\n'
        '    end = time.thread_time() + seconds\n'
        '    while time.thread_time() < end: pass\n'
        f'host = Host(**{HOST!r})\n'
        'from nicarbon.cgroup import GroupClock, TreeClock\n'
        f'with Watch(Label(), host, [], None, clock={clock}) as watch:\n'
        + textwrap.indent(body, '    ')
        + '\n'
        f'print(watch.entry.cpu_seconds)\n{after}\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, *words], check=True, capture_output=True, text=True
    )
    return done.stdout


def _in_a_new_process(body: str) -> float:
    return float(_output(body))


CASES = {
    'one long child': ('subprocess.run([*BURN, "4"])', 4.0, 0.99),
    '3 of 1.5 s': ('for _ in range(3): subprocess.run([*BURN, "1.5"])', 4.5, 0.99),
    '20 of 0.2 s': ('for _ in range(20): subprocess.run([*BURN, "0.2"])', 4.0, 0.99),
    'outlived sibling': (
        'subprocess.run(["sh", "-c", \'"$@" & sleep 2\', "sh", *BURN, "1.0"])',
        1.0,
        0.99,
    ),
    'orphan': (
        'subprocess.run(["sh", "-c", \'"$@" & exit\', "sh", *BURN, "1.0"]); time.sleep(2.5)',
        1.0,
        0.99,
    ),
    'setsid orphan': (
        'subprocess.run(["sh", "-c", \'setsid "$@" & exit\', "sh", *BURN, "1.0"]); time.sleep(2.5)',
        1.0,
        0.99,
    ),
    'a parent that ignores SIGCHLD': (
        'subprocess.run([sys.executable, "-S", "-c", FORGETS, *BURN, "1.0"])',
        4.0,
        0.95,
    ),
    'ignoring SIGCHLD ourselves': (
        """import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(3): subprocess.Popen([*BURN, "1.0"]).wait()""",
        3.0,
        0.95,
    ),
    'a pool of threads': (
        """from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as pool: list(pool.map(spin, 4 * [0.5]))""",
        1.8,
        0.99,
    ),
    'a child that execs': (
        'subprocess.run(["sh", "-c", \'exec "$@"\', "sh", *BURN, "1.0"])',
        1.0,
        0.99,
    ),
    'unwaited': ('os.fork() or os.execv(BURN[0], [*BURN, "0.8"]); time.sleep(1.8)', 0.8, 0.99),
}
"""Work of known cost: code, CPU seconds, and the share of them that must be seen."""

FORGETS = """
import signal, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(4):
    subprocess.Popen(sys.argv[1:]).wait()
"""


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES)
def test_all_children_count(case: str) -> None:
    body, truth, share = CASES[case]
    seen = _in_a_new_process(body)
    assert seen >= share * truth
    assert seen <= truth + 1.0  # interpreters start up too


@needs_cgroup
@pytest.mark.slow
@pytest.mark.parametrize('case', ['20 of 0.2 s', 'setsid orphan', 'a parent that ignores SIGCHLD'])
def test_a_control_group_counts_all(case: str) -> None:
    body, truth, _ = CASES[case]
    seen = float(_output(body, clock='GroupClock'))
    assert truth <= seen <= truth + 1.0


@needs_cgroup
def test_a_control_group_leaves_nothing_behind() -> None:
    home, _ = own_group()
    before = set(home.iterdir())
    child = subprocess.Popen(['sleep', '60'])
    clock = GroupClock()
    orphan = subprocess.Popen(['sleep', '60'])
    assert clock.finish() >= 0
    try:
        assert own_group()[0] == home
        assert set(home.iterdir()) == before
        assert {str(p.pid) for p in (child, orphan)} <= set(
            (home / 'cgroup.procs').read_text().split()
        )
    finally:
        for process in (child, orphan):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_300_commands_of_a_few_milliseconds() -> None:
    """As much as the shell itself says that it and its children used."""
    script = 'i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done; times'
    code = (
        'out = subprocess.run(["sh", "-c", sys.argv[1]], capture_output=True, text=True).stdout\n'
        'print(out)'
    )
    out = _output(code, script)
    *told, seen = out.split()
    truth = sum(60 * float(m) + float(s) for m, s in (t.rstrip('s').split('m') for t in told))
    assert truth > 0.05
    assert float(seen) >= 0.99 * truth
    assert float(seen) <= 1.2 * truth + 0.1


def test_what_still_runs_counts_before_it_ends() -> None:
    clock = TreeClock()
    child = subprocess.Popen(_burn(60))
    try:
        time.sleep(1.0)
        assert clock.seconds() > 0.5
    finally:
        child.kill()
        child.wait()
        clock.finish()


@pytest.mark.parametrize('first', ['clock', 'child'])
def test_exit_codes_are_never_stolen(first: str) -> None:
    """A child that has ended is still its parent's, whenever it was started."""
    clock = TreeClock() if first == 'clock' else None
    child = subprocess.Popen([sys.executable, '-c', 'raise SystemExit(7)'])
    time.sleep(0.3)
    (clock or TreeClock()).finish()
    assert child.wait() == 7


def test_the_process_is_what_it_was_afterwards() -> None:
    """A sub-reaper while anybody watches, whoever ends first, and no longer."""
    body = """
import ctypes
from nicarbon.cputime import TreeClock
flag = ctypes.c_int()
def subreaper():
    ctypes.CDLL(None).prctl(37, ctypes.byref(flag), 0, 0, 0)
    return flag.value
assert subreaper() == 0
first, second = TreeClock(), TreeClock()
first.finish()
assert subreaper() == 1
second.finish()
assert subreaper() == 0
"""
    subprocess.run([sys.executable, '-c', body], check=True)


def test_orphans_leave_no_remains() -> None:
    """What came home as an orphan is taken away; what it used is counted all the same."""
    body = """
subprocess.run(['sh', '-c', '(sleep 0.4; "$@") & sleep 0.2', 'sh', *BURN, '0.5'])
time.sleep(1.6)
watch.look()
"""
    # Processes of others come and go while this looks.
    code = """
import psutil
print([one.status() for one in psutil.Process().children()].count('zombie'))
"""
    out = _output(body, after=code)
    seen, zombies = out.split()
    assert float(seen) >= 0.99 * 0.5
    assert zombies == '0'


def test_children_that_were_there_are_somebody_elses() -> None:
    """A node that runs in the main process is not charged what the workers do meanwhile."""
    script = 'sleep 0.3; "$@" & "$@"'
    worker = subprocess.Popen(['sh', '-c', script, 'sh', *_burn(60)], start_new_session=True)
    try:
        node, run = TreeClock(), TreeClock(adopt=True)
        time.sleep(2)
        assert node.finish() < 0.1
        assert run.finish() > 0.5
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def test_own_children_count_beside_a_strangers() -> None:
    """A stranger's child that ends meanwhile takes nothing off."""
    worker = subprocess.Popen(['sh', '-c', 'sleep 0.2; "$@"; sleep 60', 'sh', *_burn(0.5)])
    try:
        clock = TreeClock()
        for _ in range(6):
            subprocess.run(_burn(0.1), check=True)
            time.sleep(0.2)
            clock.seconds()
        assert clock.finish() >= 0.6
    finally:
        worker.kill()
        worker.wait()


def test_the_clock_never_falls() -> None:
    clock = TreeClock()
    seen = []
    child = subprocess.Popen(_burn(0.5))
    for _ in range(20):
        seen.append(clock.seconds())
        time.sleep(0.05)
    child.wait()
    seen.append(clock.finish())
    assert seen == sorted(seen)
    assert os.times().children_user >= 0.4
