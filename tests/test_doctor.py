"""``nicarbon doctor``: facts that are true, lines that fit, and no fault on a sick machine."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from command import NICARBON, nicarbon
from machines import namespaces, on_machine, powercap
from values import replace

from nicarbon import host, meters, surroundings
from nicarbon.cli.doctor import words
from nicarbon.container import container
from nicarbon.doctor import Diagnosis, examine
from nicarbon.meters import survey

DOCS = Path(__file__).parents[1] / 'docs/doctor.md'
STATES = {'used', 'available', 'denied', 'absent', 'frozen', 'covered'}


def look_at(sysfs: Path) -> Diagnosis:
    """Examine this machine with the counters of another."""
    return examine(
        host.probe,
        lambda each: survey.survey(each, sysfs=sysfs, gpus=()),
        lambda each: survey.plan(each, sysfs).meters(),
    )


def test_the_command_is_quick_and_says_it_all(tmp_path: Path) -> None:
    start = time.monotonic()
    done = nicarbon('doctor', cwd=tmp_path)
    assert time.monotonic() - start < 6.0  # 2 s where nothing else runs
    assert (done.returncode, done.stderr) == (0, '')
    titles = ('Machine', 'Counters of energy', 'A run here would use', 'CPU seconds', 'Folders')
    for word in (*titles, 'rusage', os.uname().nodename, 'calibration'):
        assert word in done.stdout
    assert 'Could not be found out' not in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert nicarbon('doctor', '--jsno', cwd=tmp_path).returncode == 2


def test_it_prints_to_anything(tmp_path: Path) -> None:
    done = nicarbon('doctor', cwd=tmp_path, PYTHONIOENCODING='ascii')
    assert (done.returncode, done.stderr) == (0, '')
    pipe = f'{shlex.quote(NICARBON)} doctor | true; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(['bash', '-c', pipe], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


def test_json_is_one_object_of_known_facts(tmp_path: Path) -> None:
    done = nicarbon('doctor', '--json', cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, '')
    found = json.loads(done.stdout)
    assert found['schema'] == 1
    assert list(found) == [each.name for each in fields(Diagnosis)]
    assert found['problems'] == []
    assert found['machine']['cores'] == os.cpu_count()
    assert found['counters']
    for counter in found['counters']:
        assert counter['state'] in STATES
        assert counter['tier'] in {'measured', 'modelled', 'assumed'}
        assert counter['u_rel'] >= 1.0
        assert counter['why']
    used = {each['component'] for each in found['counters'] if each['state'] == 'used'}
    assert 'cpu' in used
    assert {each['component'] for each in found['run']} >= used - {'node'}
    assert found['load']['busy_cores'] >= 0.0
    assert {each['writable'] for each in found['folders']} <= {True, False}


def test_every_key_is_documented() -> None:
    text = DOCS.read_text('utf-8')
    ahead, seen = [Diagnosis], set()
    while ahead:
        kind = ahead.pop()
        seen.add(kind)
        for name, hint in get_type_hints(kind).items():
            assert f'`{name}`' in text, f'{kind.__name__}.{name} is not in docs/doctor.md'
            parts = [hint, *get_args(hint), *(p for a in get_args(hint) for p in get_args(a))]
            ahead += [p for p in parts if is_dataclass(p) and p not in seen]
    assert len(seen) > 8


def test_counters_that_count(tmp_path: Path) -> None:
    with powercap(tmp_path / 'sys/class/powercap'):
        found = look_at(tmp_path / 'sys')
    assert found.problems == ()
    used = {each.component: each for each in found.counters if each.state == 'used'}
    assert used['cpu'].tier == used['dram'].tier == 'measured'
    assert (used['cpu'].mode, used['cpu'].readers) != (None, None)
    assert {each.component for each in found.run if each.tier == 'measured'} == {'cpu', 'dram'}


def test_counters_that_only_links_lead_to_are_hidden(tmp_path: Path) -> None:
    """As engines hide them: the class is shown, and what it links to is not."""
    folder = tmp_path / 'sys/class/powercap'
    folder.mkdir(parents=True)
    (folder / 'intel-rapl').symlink_to('../../devices/virtual/powercap/intel-rapl')
    (folder / 'intel-rapl:0').symlink_to('../../devices/virtual/powercap/intel-rapl/intel-rapl:0')
    found = look_at(tmp_path / 'sys')
    (cpu,) = (c for c in found.counters if (c.component, c.method) == ('cpu', 'rapl:powercap'))
    assert cpu.why == 'hidden from this container: intel-rapl:0 links to what it cannot see'
    assert '-v /sys/devices/virtual/powercap:/sys/class/powercap:ro' in cpu.mend


def test_lines_fit_into_80_columns(tmp_path: Path) -> None:
    with powercap(tmp_path / 'sys/class/powercap'):
        diagnoses = [look_at(tmp_path / 'sys'), look_at(tmp_path / 'none')]
    for found in diagnoses:
        for line in words(found):
            longest = max(map(len, line.split()), default=0)
            assert len(line) <= 80 or longest > 68, line


def test_a_sick_machine_has_a_doctor_too() -> None:
    """Nothing that fails keeps the rest from being said."""

    def broken(*_: object) -> host.Host:
        raise PermissionError('not\nhere')

    found = examine(broken, broken, broken, folders={'nothing': Path('/nowhere/at/all')})
    assert 'machine: PermissionError: not here' in found.problems
    assert found.machine is found.counters is found.run is None
    assert 'Could not be found out' in '\n'.join(words(found))
    found = examine(host.probe, broken, broken)
    assert {line.partition(':')[0] for line in found.problems} == {'counters', 'run'}
    assert found.machine.cpu in ' '.join('\n'.join(words(found)).split())


def test_many_cores_of_which_few_may_be_used() -> None:
    many = replace(host.probe(), cores=64)
    found = examine(lambda: many, lambda _: (), meters.find)
    text = '\n'.join(words(found))
    assert '64 cores' in text
    # Wherever the name of this machine's processor lets the line end.
    assert 'of them for this process' in ' '.join(text.split())


@pytest.mark.parametrize(
    ('files', 'kind'),
    [
        ({}, None),
        ({'.dockerenv': ''}, 'docker'),
        ({'run/.containerenv': ''}, 'podman'),
        ({'proc/1/cgroup': '0::/kubepods/besteffort/pod1'}, 'kubepods'),
        ({'proc/1/cgroup': '4:memory:/libpod_parent/libpod-1'}, 'podman'),
    ],
    ids=str,
)
def test_containers_are_known(tmp_path: Path, files: dict[str, str], kind: str | None) -> None:
    write(tmp_path, files)
    assert container({}, tmp_path) == kind


def test_graphics_processors_are_seen_once(tmp_path: Path) -> None:
    pci = tmp_path / 'pci/0000:01:00.0'
    write(pci, {'vendor': '0x10de\n'})
    write(tmp_path / 'sys/class/drm', {'card0-DP-1/status': '', 'card1/device/vendor': '0x1002'})
    (tmp_path / 'sys/class/drm/card0').mkdir()
    (tmp_path / 'sys/class/drm/card0/device').symlink_to(pci)
    info = 'Model: \t\t NVIDIA H100\nIRQ: 5\n'
    write(tmp_path / 'proc/driver/nvidia/gpus', {'0000:01:00.0/information': info})
    found = surroundings.gpus(tmp_path)
    assert sorted(gpu.name for gpu in found) == ['AMD GPU', 'NVIDIA H100']


UNIFIED = '29 22 0:25 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n'
CPUACCT = '30 22 0:26 /docker/x /sys/fs/cgroup/cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n'


@pytest.mark.parametrize(
    ('groups', 'mounts', 'file', 'version', 'counter'),
    [
        ('', '', '', None, None),
        ('0::/a\n', UNIFIED, 'a/cpu.stat', 2, 'a/cpu.stat'),
        ('3:cpu,cpuacct:/docker/x\n0::/\n', CPUACCT, 'cpuacct/cpuacct.usage', 1,
         'cpuacct/cpuacct.usage'),
        ('3:cpu,cpuacct:/docker/x/y\n', CPUACCT, 'cpuacct/y/cpuacct.usage', 1,
         'cpuacct/y/cpuacct.usage'),
        ('0::/gone\n', UNIFIED, 'cpu.stat', 2, None),
    ],
    ids=['none', 'v2', 'v1 in a container', 'v1 below a container', 'v2 unseen'],
)  # fmt: skip
def test_cgroups(
    tmp_path: Path, groups: str, mounts: str, file: str, version: int | None, counter: str | None
) -> None:
    write(tmp_path, {'proc/self/cgroup': groups, 'proc/self/mountinfo': mounts})
    write(tmp_path / 'sys/fs/cgroup', {file or 'none': ''})
    found = surroundings.cgroup(tmp_path)
    assert found[0] == version
    assert found[1] == (counter and str(tmp_path / 'sys/fs/cgroup' / counter))


def test_who_may_read(tmp_path: Path) -> None:
    path = tmp_path / 'energy_uj'
    path.touch()
    for mode, text, readers in (
        (0o400, '-r--------', 'root'),
        (0o440, '-r--r-----', 'root'),
        (0o444, '-r--r--r--', 'everybody'),
        (0o000, '----------', 'root'),
    ):
        path.chmod(mode)
        owner, shown, who = surroundings.access(path)
        assert shown == text
        assert who.startswith(readers if os.geteuid() == 0 or mode == 0o444 else '')
        assert ':' in owner
    assert surroundings.access(tmp_path / 'none') is None


@namespaces
def test_a_counter_for_root_alone(tmp_path: Path) -> None:
    """As kernels are since 5.10: root counts, others are told what to do."""
    tmp_path.chmod(0o755)
    with powercap(tmp_path / 'tree') as tree:
        for path in tree.rglob('energy_uj'):
            path.chmod(0o400)
        mine, theirs = (
            subprocess.run(
                on_machine(tree, 'doctor', '--json', uid=uid),
                capture_output=True,
                text=True,
                cwd='/',
                env={**os.environ, 'HOME': '/nonexistent'},
            )
            for uid in (None, 65534)
        )
    assert (mine.returncode, mine.stderr) == (0, '')
    assert (theirs.returncode, theirs.stderr) == (0, '')
    for done, state, tier in ((mine, 'used', 'measured'), (theirs, 'denied', None)):
        found = json.loads(done.stdout)
        counters = [c for c in found['counters'] if c['component'] == 'cpu']
        counter = next(c for c in counters if c['method'].startswith('rapl'))
        assert counter['state'] == state, counter
        cpu = next(each for each in found['run'] if each['component'] == 'cpu')
        assert (cpu['tier'] == 'measured') == (tier == 'measured')
        if state == 'denied':
            assert counter['readers'] == 'root'
            assert counter['mode'] == '-r--------'
            assert counter['mend']


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_container_with_less_than_its_machine_and_a_name_of_its_own(tmp_path: Path) -> None:
    found = look_at(tmp_path)
    small = replace(
        found.machine,
        name='afc6488f515e',
        container='podman',
        cores=64,
        usable_cores=2,
        memory_gb=256.0,
        usable_memory_gb=4.3,
    )
    text = ' '.join('\n'.join(words(replace(found, machine=small))).split())
    assert '64 cores, 2 of them for this process' in text
    assert '256 GB, 4.3 of them for this process' in text
    assert 'a container (podman); afc6488f515e is its name alone' in text
    assert '"--uts host" gives it the machine\'s' in text
    named = replace(small, name='node12', memory_gb=4.3)
    text = '\n'.join(words(replace(found, machine=named)))
    assert '--uts' not in text
    assert '4.3 GB\n' in text
