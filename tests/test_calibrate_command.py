"""``nicarbon calibrate`` as a user runs it, on this machine with a stand-in for counters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command import nicarbon
from machines import alive, children, namespaces, on_machine, powercap
from powercap import Powercap

from nicarbon import host
from nicarbon.burn import burning

pytestmark = namespaces

SHORT = ('calibrate', '--idle-seconds', '5', '--step-seconds', '5')


def run(
    tree: Path, *words: str, uid: int | None = None, **environ: str
) -> subprocess.CompletedProcess:
    return subprocess.run(
        on_machine(tree, *words, uid=uid),
        capture_output=True,
        text=True,
        cwd='/',
        env={**os.environ, **environ},
        timeout=300,
    )


def refused(done: subprocess.CompletedProcess, code: int, *words: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith('nicarbon: error: ')
    for word in words:
        assert word in line


def test_no_counter_and_nonsense(tmp_path: Path) -> None:
    (tmp_path / 'tree').mkdir()
    refused(run(tmp_path / 'tree', 'calibrate'), 69, 'no energy counter', 'nicarbon doctor')
    for seconds in ('0', '-1', 'nan', '4000'):
        done = nicarbon('calibrate', '--idle-seconds', seconds, cwd=tmp_path)
        refused(done, 64, '--idle-seconds')
    assert nicarbon('calibrate', '--idle-seconds', 'x', cwd=tmp_path).returncode == 2
    (tmp_path / 'file').touch()
    done = nicarbon('calibrate', '--output', 'file/c.json', cwd=tmp_path)
    refused(done, 73, 'file/c.json')


def test_a_counter_for_root_alone(tmp_path: Path) -> None:
    with powercap(tmp_path / 'tree') as tree:
        for path in tree.rglob('energy_uj'):
            path.chmod(0o400)
        done = run(tree, 'calibrate', uid=65534, HOME='/tmp')
    refused(done, 69, 'no energy counter', 'denied', 'only root may read it')


def test_a_counter_that_stands_still(tmp_path: Path) -> None:
    tree = Powercap(tmp_path / 'tree').root
    refused(run(tree, 'calibrate'), 69, 'no energy counter', 'rapl:powercap is frozen')


def test_a_busy_machine(tmp_path: Path) -> None:
    output = tmp_path / 'c.json'
    with powercap(tmp_path / 'tree') as tree, burning(1):
        done = run(tree, 'calibrate', '--output', str(output))
    refused(done, 75, 'other programs keep', '--force')
    assert not output.exists()


@pytest.mark.slow
def test_what_root_measures_serves_everybody(tmp_path: Path) -> None:
    site = tmp_path / 'site'
    with powercap(tmp_path / 'tree') as tree:
        done = run(tree, *SHORT, '--force', XDG_CONFIG_DIRS=str(site))
        if done.returncode in {69, 75} and 'busy' in done.stderr:
            pytest.skip(f'other programs need this machine: {done.stderr}')
        assert (done.returncode, done.stderr) == (0, '')
        for path in tree.rglob('energy_uj'):
            path.chmod(0o000)
        where = {'XDG_CONFIG_DIRS': str(site), 'XDG_CONFIG_HOME': str(tmp_path / 'home')}
        doctor = nicarbon('doctor', '--json', cwd=tmp_path, **where)
    (path,) = site.rglob('*.json')
    assert f'Saved: {path}' in done.stdout
    kept = json.loads(path.read_text())
    assert kept['idle_watts'] == pytest.approx(40.0, rel=0.08)
    assert kept['peak_watts'] == pytest.approx(160.0, rel=0.05)
    assert (kept['cores'], kept['cpu']) == (os.cpu_count(), host.probe().cpu)
    found = json.loads(doctor.stdout)
    assert found['calibration'] == {'path': str(path), 'in_use': True}
    assert found['power']['idle_watts'] == pytest.approx(kept['idle_watts'])
    assert found['power']['peak_watts'] == pytest.approx(kept['peak_watts'])


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / 'out/c.json'
    with powercap(tmp_path / 'tree') as tree:
        command = on_machine(tree, *SHORT, '--force', '--output', output)
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, 'PYTHONUNBUFFERED': '1'},
            start_new_session=True,
        ) as program:
            line = next(line for line in program.stdout if 'cores busy' in line)
            deadline = time.monotonic() + 10.0
            while not (burners := children(program.pid)) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert burners, line
            os.killpg(program.pid, number)  # As a terminal does: everybody in the group.
            error = program.stderr.read()
            program.wait()
    assert program.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -9)
    assert len(error.splitlines()) <= 1
    deadline = time.monotonic() + 5.0
    while any(map(alive, burners)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, burners))
    assert not (tmp_path / 'out').exists()
