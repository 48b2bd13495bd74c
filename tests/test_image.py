"""The image, built from nothing and run as people run it; ``make image-test``.

It takes root, Buildah, Podman, debootstrap, a package index, and some minutes. Where there is no
such engine these tests fail: to leave them out is what ``make test`` does.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import VALIDATOR, digest
from engine import Engine, missing
from laboratory import make_dataset
from machines import powercap

from nicarbon import __version__, ledger
from nicarbon.share import share

pytestmark = pytest.mark.image

ROOT = Path(__file__).parents[1]
(BASE,) = re.findall(r'^ARG BASE=(.*)$', (ROOT / 'Dockerfile').read_text('utf-8'), re.MULTILINE)
NOBODY = '4321:4321'
"""Somebody who is not in the image's list of users."""

BARE = ('--read-only', '--user', NOBODY, '--cpus', 1, '--memory', '3g')


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f'\n  {text}\n')


@pytest.fixture(scope='session')
def engine() -> Iterator[Engine]:
    if missing():
        pytest.fail(f'no container can be run here: {", ".join(missing())}')
    made = Engine(Path(tempfile.mkdtemp(prefix='nicarbon-image-', dir='/var/tmp')))
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope='session')
def image(engine: Engine) -> str:
    """The default target, on a base that was made here."""
    engine.base(BASE)
    engine.build(ROOT, 'nicarbon', 'nicarbon')
    return 'nicarbon'


@pytest.fixture(scope='session')
def bids(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's first head at 2 mm."""
    folder = tmp_path_factory.mktemp('one') / 'bids'
    shutil.copytree(heads, folder, ignore=shutil.ignore_patterns('sub-02'))
    return folder


def writable(folder: Path) -> Path:
    """A folder of a mount that anybody may write to, as nobody's own home is not."""
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope='session')
def out(engine: Engine, image: str, bids: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What participant and group left, run by nobody in a container that is all but closed."""
    folder = writable(tmp_path_factory.mktemp('ran') / 'out')
    before = digest(bids)
    mounts = ('-v', f'{bids}:/data:ro', '-v', f'{folder}:/out')
    for level in ('participant', 'group'):
        done = engine.run(*BARE, *mounts, image, '/data', '/out', level)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ''
    assert digest(bids) == before
    return folder


def test_size_and_start(engine: Engine, image: str, capsys: pytest.CaptureFixture[str]) -> None:
    (about,) = json.loads(engine.must('podman', 'inspect', image))
    (base,) = json.loads(engine.must('podman', 'inspect', BASE))
    size, below = about['Size'] / 1e6, base['Size'] / 1e6
    say(capsys, f'image: {size:.0f} MB, {below:.0f} MB of them Debian')
    assert size < 1500
    assert about['Config']['User'] == '1000:1000'
    assert about['Labels']['org.opencontainers.image.version'] == __version__
    took = []
    for _ in range(3):
        start = time.monotonic()
        done = engine.run(image, '--version')
        took.append(time.monotonic() - start)
        assert done.stdout == f'nicarbon {__version__}\n'
    say(capsys, f'start: nicarbon --version in {min(took):.2f} s')
    assert min(took) < 5


def test_nothing_is_left_of_its_making(engine: Engine, image: str) -> None:
    script = (
        'ls /opt/nicarbon/bin; ls /root /run/secrets /source /etc/pip.conf; find / -xdev -name pip'
    )
    done = engine.run('--entrypoint', 'sh', '--user', '0', image, '-c', script)
    shown = done.stdout
    assert 'nicarbon' in shown
    assert done.stderr.count('No such file or directory') == 3
    assert not re.search(r'\bpip\n|pip\.pem', shown)


def test_what_it_may_use_is_what_it_takes(engine: Engine, image: str, out: Path) -> None:
    done = engine.run(*BARE, image, 'doctor', '--json')
    assert done.returncode == 0, done.stderr
    machine = json.loads(done.stdout)['machine']
    assert machine['container'] == 'podman'
    assert machine['usable_cores'] == 1
    assert machine['usable_memory_gb'] == pytest.approx(3 * 1.024**3, abs=0.1)
    entries, _ = ledger.read(*ledger.folders(out))
    (run,) = (entry for entry in entries if entry.kind == 'run')
    nodes = [entry for entry in entries if entry.kind == 'node']
    assert {entry.outcome for entry in nodes} == {'ran'}
    assert len({entry.stage for entry in nodes}) == 9
    assert run.host_cores == machine['cores']
    assert sum(entry.cpu_seconds for entry in nodes) <= 1.2 * run.seconds


def test_what_it_writes_is_a_derivative_of_its_own_user(out: Path) -> None:
    done = subprocess.run([VALIDATOR, out, '--json'], capture_output=True, text=True)
    issues = json.loads(done.stdout)['issues']['issues']
    assert [issue for issue in issues if issue['severity'] == 'error'] == []
    for name in ('sub-01.html', 'group_carbon.html', 'group_carbon.tsv'):
        assert (out / name).stat().st_size > 100
    assert {path.stat().st_uid for path in out.rglob('*')} == {4321}


@pytest.mark.parametrize(
    'words', [('--user', '0'), ('--user', NOBODY, '--memory', '512m')], ids=str
)
def test_group_again_by_root_and_with_little_memory(
    engine: Engine, image: str, bids: Path, out: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    again = shutil.copytree(out, tmp_path / 'out')
    subprocess.run(['chown', '-R', words[1], again], check=True)
    mounts = ('-v', f'{bids}:/data:ro', '-v', f'{again}:/out')
    done = engine.run('--read-only', *words, *mounts, image, '/data', '/out', 'group')
    assert (done.returncode, done.stderr) == (0, '')


def test_too_little_memory_is_said_before_anything_runs(
    engine: Engine, image: str, bids: Path, tmp_path: Path
) -> None:
    folder = writable(tmp_path / 'out')
    words = ('--memory', '1g', '-v', f'{bids}:/data:ro', '-v', f'{folder}:/out', image)
    done = engine.run(*words, '/data', '/out', 'participant')
    assert done.returncode == 64
    assert 'docker run --memory' in done.stderr
    assert list(folder.iterdir()) == []


def test_a_folder_of_somebody_else_is_named_with_its_mend(
    engine: Engine, image: str, bids: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'out'
    folder.mkdir(mode=0o755)
    words = ('--user', NOBODY, '-v', f'{bids}:/data:ro', '-v', f'{folder}:/out', image)
    done = engine.run(*words, '/data', '/out', 'participant')
    assert done.returncode == 73
    assert 'OUT_DIR /out cannot be written: Permission denied' in done.stderr
    assert '--user "$(id -u):$(id -g)"' in done.stderr


def test_it_stops_when_told(engine: Engine, image: str, bids: Path, tmp_path: Path) -> None:
    """As the first process of its container, which the kernel spares signals it has no hand for."""
    folder = writable(tmp_path / 'out')
    mounts = ('-v', f'{bids}:/data:ro', '-v', f'{folder}:/out')
    words = ('podman', '--runtime', 'runc', 'run', '-d', '--name', 'stopped', '--network', 'none')
    engine.must(*words, *mounts, image, '/data', '/out', 'participant')
    for _ in range(300):
        if '[1/9]' in engine.must('podman', 'logs', 'stopped'):
            break
        time.sleep(0.2)
    start = time.monotonic()
    engine.must('podman', 'stop', '-t', 60, 'stopped')
    assert time.monotonic() - start < 30
    assert engine.must('podman', 'wait', 'stopped').strip() == '143'
    assert (folder / 'sub-01.html').exists()


HIDDEN = 'sys/devices/virtual/powercap'


@contextmanager
def with_counters(folder: Path) -> Iterator[Path]:
    """A ``/sys`` whose counters are where the kernel has them, and linked to from their class."""
    links = folder / 'sys/class/powercap'
    links.mkdir(parents=True)
    (folder / 'sys/fs/cgroup').mkdir(parents=True)  # Where an engine mounts the groups.
    with powercap(folder / HIDDEN) as tree:
        for flat in [path for path in tree.iterdir() if path.is_symlink()]:
            to = f'../../devices/virtual/powercap/{flat.readlink()}'
            (links / flat.name).symlink_to(to)
            flat.unlink()
        yield folder / 'sys'


def test_counters_that_an_engine_hides_are_named_with_the_flag_that_shows_them(
    engine: Engine, image: str, tmp_path: Path
) -> None:
    """What newer engines hide by default (CVE-2020-8694) is hidden here by an option."""
    hidden = ('-v', f'{tmp_path}/sys:/sys:ro', '--security-opt', f'mask=/{HIDDEN}')

    def cpu(*words: str) -> dict[str, str]:
        done = engine.run(*hidden, *words, image, 'doctor', '--json')
        assert done.returncode == 0, done.stderr
        counters = json.loads(done.stdout)['counters']
        (found,) = (
            one
            for one in counters
            if one['method'] == 'rapl:powercap' and one['component'] == 'cpu'
        )
        return found

    with with_counters(tmp_path):
        shown = cpu()
        assert shown['state'] == 'absent'
        assert 'hidden from this container' in shown['why']
        flag = re.search(r'-v (\S+):(/sys/class/powercap:ro)', shown['mend'])
        assert flag, shown
        assert flag[1] == f'/{HIDDEN}'
        opened = cpu('-v', f'{tmp_path}{flag[1]}:{flag[2]}')
    assert (opened['state'], opened['tier']) == ('used', 'measured'), opened


WORK = """
import sys, time
from pathlib import Path
from nicarbon.run import recording, watched
from nicarbon.watch import Label
with recording('/out'), watched(Label(subject=sys.argv[1], stage='s', node='s')):
    Path(f'/out/{sys.argv[1]}').touch()
    while len(list(Path('/out').glob('o*'))) < 2:
        time.sleep(0.01)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        pass
"""


def test_two_containers_side_by_side_are_one_machine(
    engine: Engine, image: str, tmp_path: Path
) -> None:
    """Each has a name of its own; the energy of the machine is split between them, once."""
    folder = writable(tmp_path / 'out')
    words = ('podman', '--runtime', 'runc', 'run', '-d', '--network', 'none')
    names = ('one', 'other')
    python = ('-v', f'{folder}:/out', '--entrypoint', '/opt/nicarbon/bin/python')
    for name in names:
        engine.must(*words, *python, '--name', name, image, '-c', WORK, name)
    assert {engine.must('podman', 'wait', name).strip() for name in names} == {'0'}
    engine.must('podman', 'rm', *names)
    done = engine.run('-v', f'{folder}:/out', image, '/data', '/out', 'group')
    assert done.returncode == 0, done.stderr
    entries, _ = ledger.read(*ledger.folders(folder))
    assert len({entry.host for entry in entries}) == 2
    assert len({entry.boot_id for entry in entries}) == 1
    balances = share(entries).balances
    assert len(balances) == 2
    assert all(one.others_joules > 0.2 * one.nodes_joules for one in balances)


SURFERS = {'freesurfer': ('--stages', 'input', 'motioncor'), 'fastsurfer': ()}
"""Targets, and what of their pipeline is run here."""


@pytest.mark.parametrize('surfer', SURFERS)
def test_a_surfer_runs_with_the_licence_of_its_user(
    engine: Engine, image: str, tmp_path: Path, surfer: str
) -> None:
    """With a stand-in for its image: how the target takes programs out of it is what is tested."""
    file = ROOT / 'tests' / 'stand_ins.Dockerfile'
    engine.build(ROOT / 'tests', surfer, surfer, '-f', file)
    source = f'{surfer.upper()}=localhost/{surfer}'
    tag = f'with-{surfer}'
    engine.build(ROOT, f'nicarbon-{surfer}', tag, '--build-arg', source)
    find = ('-c', 'find / -xdev -name "*license*" -path "*/freesurfer/*"')
    assert engine.run('--entrypoint', 'sh', surfer, *find).stdout.strip()
    assert engine.run('--entrypoint', 'sh', tag, *find).stdout == ''

    (tmp_path / 'bids').mkdir()
    bids, out = make_dataset(tmp_path / 'bids', ('01',)), writable(tmp_path / 'out')
    words = ('--read-only', '--tmpfs', '/tmp', '--user', NOBODY, '-v', f'{bids}:/data:ro')
    words += ('-v', f'{out}:/out')
    done = engine.run(*words, tag, '/data', '/out', 'participant', *SURFERS[surfer])
    assert done.returncode == 69
    assert 'has no licence' in done.stderr
    (tmp_path / 'license.txt').write_text('somebody\n')
    licence = ('-v', f'{tmp_path}/license.txt:/license.txt:ro', '-e', 'FS_LICENSE=/license.txt')
    done = engine.run(*words, *licence, tag, '/data', '/out', 'participant', *SURFERS[surfer])
    assert done.returncode == 0, done.stdout + done.stderr
    entries, _ = ledger.read(*ledger.folders(out))
    assert {entry.outcome for entry in entries} == {'ran'}
    assert (out / 'sub-01.html').exists()
