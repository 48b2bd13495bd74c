"""CPU seconds are exact, whatever the children do. Real processes, real clocks."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from nicarbon.cputime import TreeClock

BURN = 'import time, sys\nt = float(sys.argv[1])\nwhile time.process_time() < t: pass\n'


def _burn(seconds: float) -> list[str]:
    return [sys.executable, '-S', '-c', BURN, str(seconds)]


def _in_a_new_process(body: str) -> float:
    """Run a body under a fresh TreeClock, in a process that has no other children."""
    code = (
        'import os, subprocess, sys, time\n'
        'from nicarbon.cputime import TreeClock\n'
        f'BURN = [sys.executable, "-S", "-c", {BURN!r}]\n'
        'clock = TreeClock()\n'
        f'{body}\n'
        'print(clock.finish())\n'
    )
    out = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    return float(out.stdout)


@pytest.mark.parametrize(
    ('body', 'truth', 'share'),
    [
        ('subprocess.run([*BURN, "1.2"])', 1.2, 0.99),
        ('for _ in range(3): subprocess.run([*BURN, "0.4"])', 1.2, 0.99),
        ('for _ in range(10): subprocess.run([*BURN, "0.1"])', 1.0, 0.99),
        ('subprocess.run(["sh", "-c", \'"$@" & sleep 2\', "sh", *BURN, "1.0"])', 1.0, 0.98),
        (
            'subprocess.run(["sh", "-c", \'"$@" & exit\', "sh", *BURN, "1.0"]); time.sleep(2.5)',
            1.0,
            0.98,
        ),
        (
            'subprocess.run(["sh", "-c", \'setsid "$@" & exit\', "sh", *BURN, "1.0"]); time.sleep(2.5)',
            1.0,
            0.98,
        ),
        ('os.fork() or os.execv(BURN[0], [*BURN, "0.8"]); time.sleep(1.8)', 0.8, 0.98),
    ],
    ids=[
        'one child',
        'three',
        'ten short',
        'outlived sibling',
        'orphan',
        'setsid orphan',
        'unwaited',
    ],
)
def test_all_children_count(body: str, truth: float, share: float) -> None:
    seen = _in_a_new_process(body)
    assert seen >= share * truth
    assert seen <= truth + 1.0  # interpreters start up too


def test_what_still_runs_counts_before_it_ends() -> None:
    clock = TreeClock()
    child = subprocess.Popen(_burn(60))
    try:
        time.sleep(1.0)
        assert clock.seconds() > 0.5
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize('first', ['clock', 'child'])
def test_exit_codes_are_never_stolen(first: str) -> None:
    """A child that has ended is still its parent's, whenever it was started."""
    clock = TreeClock() if first == 'clock' else None
    child = subprocess.Popen([sys.executable, '-c', 'raise SystemExit(7)'])
    time.sleep(0.3)
    (clock or TreeClock()).finish()
    assert child.wait() == 7


def test_the_process_is_what_it_was_afterwards() -> None:
    """A sub-reaper while it is watched, and no longer."""
    assert (
        _in_a_new_process(
            'import ctypes\n'
            'flag = ctypes.c_int()\n'
            'get = lambda: (ctypes.CDLL(None).prctl(37, ctypes.byref(flag), 0, 0, 0), flag.value)[1]\n'
            'assert get() == 1\n'
            'inner = TreeClock(); inner.finish(); assert get() == 1\n'
            'clock.finish(); assert get() == 0'
        )
        < 1
    )


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
