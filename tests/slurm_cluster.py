"""A SLURM of its own, on loopback: munged, slurmctld and two slurmd, in a folder.

Needs Debian's ``slurm-wlm`` and ``munge`` (SLURM 22.05 there is built so that several slurmd
may run on one machine), and root, because slurmd starts jobs as their users; for accounting
``slurmdbd``, ``mariadb-server-core`` and ``mariadb-client-core`` too. Nothing of a SLURM that
the machine may have is read or touched.

Each slurmd has a host name of its own (a UTS namespace), so that its jobs believe to be on
different hosts.

Not true of it: both are one kernel. Jobs are held to their cores and memory only where they are
``confined``, by control groups of version 1. Energy is counted by SLURM itself, in
a real database, but from a stand-in for the counters of a Cray (``acct_gather_energy/pm_counters``),
which it is shown in a mount namespace.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DAEMONS = ('munged', 'slurmctld', 'slurmd')
ACCOUNTANTS = ('slurmdbd', 'mariadbd', 'mariadb-install-db', 'my_print_defaults')
NODES = ('here1', 'here2')

CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
{tracking}
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SelectType=select/cons_tres
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
KillWait=2
MessageTimeout=60
SlurmdTimeout=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{accounting}
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


LOOSE = """\
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectTypeParameters=CR_Core
"""

CONFINED = """\
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
SelectTypeParameters=CR_Core_Memory
"""

GROUPS = Path('/sys/fs/cgroup')

CGROUP = f"""\
CgroupPlugin=cgroup/v1
CgroupMountpoint={GROUPS}
ConstrainCores=yes
ConstrainRAMSpace=yes
"""

NO_ACCOUNTING = """\
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
"""

ACCOUNTING = """\
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1,energy=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AcctGatherEnergyType=acct_gather_energy/pm_counters
AcctGatherNodeFreq=1
"""

DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass=loopback
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""

# What /sys holds, and besides it what a Cray shows there.
WITH_COUNTERS = """
hostname "$0" && mkdir -p {folder}/sys-$0 && mount -t tmpfs none {folder}/sys-$0 && cd /sys &&
for each in *; do
  mkdir {folder}/sys-$0/$each && mount --rbind $each {folder}/sys-$0/$each || exit
done
mkdir -p {folder}/sys-$0/cray && mount --bind {folder}/cray {folder}/sys-$0/cray &&
mount --rbind {folder}/sys-$0 /sys && cd / && exec "$@"
"""


class Counters:
    """``/sys/cray/pm_counters`` of a machine that draws so many watts, whatever it does."""

    def __init__(self, folder: Path, watts: float) -> None:
        self.folder, self.watts = folder / 'cray' / 'pm_counters', watts
        self._began, self._end = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)
        self.folder.mkdir(parents=True)

    def __enter__(self) -> Counters:
        self._show()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _count(self) -> None:
        while not self._end.wait(0.1):
            self._show()

    def _show(self) -> None:
        joules = 1_000_000 + self.watts * (time.monotonic() - self._began)
        moment = int(time.time() * 1e6)
        for name, text in (('energy', f'{joules:.0f} J'), ('power', f'{self.watts:.0f} W')):
            # SLURM reads it at any moment, and must find it whole.
            draft = self.folder / f'.{name}'
            draft.write_text(f'{text} {moment} us\n')
            draft.replace(self.folder / name)


@dataclass(frozen=True)
class Cluster:
    """A SLURM that runs.

    Parameters
    ----------
    folder : pathlib.Path
        Configuration, state and logs.
    """

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """What clients and jobs need."""
        return {'SLURM_CONF': str(self.folder / 'slurm.conf'), 'LOGNAME': 'root'}

    def call(self, *words: object) -> str:
        """Output of one of SLURM's own commands."""
        done = subprocess.run(
            [str(word) for word in words], env={**os.environ, **self.environ},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def queue(self) -> list[str]:
        """``job state reason`` of all that waits or runs."""
        return self.call('squeue', '--noheader', '--array', '-o', '%i %T %r').splitlines()

    def wait(self, seconds: float = 120) -> None:
        """Until nothing waits or runs."""
        end = time.monotonic() + seconds
        while self.queue():
            assert time.monotonic() < end, f'{self.queue()}\n{self.logs()}'
            time.sleep(0.3)

    def kill(self, array: str, task: int) -> None:
        """All processes of a task at once, its script first, as when a host fails."""
        words = {f'SLURM_CONF={self.folder}/slurm.conf', f'SLURM_ARRAY_JOB_ID={array}'}
        words |= {f'SLURM_ARRAY_TASK_ID={task}'}
        own = []
        for path in Path('/proc').glob('[0-9]*/environ'):
            with suppress(OSError):
                if words <= set(path.read_text(errors='replace').split('\0')):
                    own.append(int(path.parent.name))
        assert own
        for process in sorted(own):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def logs(self) -> str:
        """The last lines of every daemon."""
        found = sorted(self.folder.glob('*.log'))
        return '\n'.join(
            f'{path.name}: {line}'
            for path in found
            for line in path.read_text(errors='replace').splitlines()[-15:]
        )


def missing(*, accounting: bool = False) -> str:
    """Why no SLURM can be started here; empty where it can."""
    wanted = DAEMONS + (ACCOUNTANTS if accounting else ())
    absent = [name for name in wanted if _program(name) is None]
    if absent:
        return f'{", ".join(absent)}: not found; make slurm-test installs them'
    return '' if os.geteuid() == 0 else 'slurmd must be started by root'


@contextmanager
def cluster(
    folder: Path,
    nodes: Sequence[str] = NODES,
    cpus: int = 1,
    *,
    watts: float | None = None,
    confined: bool = False,
) -> Iterator[Cluster]:
    """Start a SLURM, and stop it whatever happens; with accounting where ``watts`` are told."""
    one = Cluster(folder)
    database, storage, *ports = _free_ports(len(nodes) + 3)
    accounting = NO_ACCOUNTING if watts is None else ACCOUNTING
    lines = [
        f'NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={cpus} '
        'RealMemory=64000 State=UNKNOWN'
        for name, port in zip(nodes, ports[1:], strict=True)
    ]
    text = CONFIGURATION.format(
        folder=folder,
        controller=ports[0],
        nodes='\n'.join(lines),
        accounting=accounting.format(folder=folder, port=database),
        tracking=CONFINED if confined else LOOSE,
    )
    if confined:
        (folder / 'cgroup.conf').write_text(CGROUP)
    (folder / 'slurm.conf').write_text(text)
    (folder / 'state').mkdir()
    (folder / 'munge.key').write_bytes(os.urandom(1024))
    (folder / 'munge.key').chmod(0o400)
    munge = ['munged', '--foreground', '--force', f'--socket={folder}/munge.socket']
    munge += [f'--{name}-file={folder}/munge.{name}' for name in ('key', 'pid', 'seed')]
    munge += [f'--log-file={folder}/munged.log']
    with ExitStack() as daemons:
        daemons.callback(_ungroup, nodes)
        daemons.enter_context(_daemon(munge, folder, {}))
        _until((folder / 'munge.socket').exists, one)
        script = 'hostname "$0" && exec "$@"'
        if watts is not None:
            daemons.enter_context(Counters(folder, watts))
            script = WITH_COUNTERS.format(folder=folder)
            _account(one, database, storage, daemons)
        daemons.enter_context(_daemon(['slurmctld', '-D', '-i'], folder, one.environ))
        for name in nodes:
            (folder / f'spool-{name}').mkdir()
            apart = ['unshare', '--uts', '--mount', '--propagation', 'private']
            apart += ['sh', '-c', script, name]
            slurmd = [_program('slurmd') or 'slurmd', '-D', '-N', name]
            daemons.enter_context(_daemon([*apart, *slurmd], folder, one.environ))
        _until(lambda: _idle(one) == len(nodes), one)
        try:
            yield one
        finally:
            subprocess.run(
                ['scancel', '--user=root', '--signal=KILL'],
                env={**os.environ, **one.environ}, timeout=30, capture_output=True,
            )  # fmt: skip
            time.sleep(0.5)


def confines() -> bool:
    """Whether control groups are here that this SLURM can confine a job by."""
    needed = (GROUPS / name / 'tasks' for name in ('cpuset', 'memory', 'freezer'))
    return all(os.access(path, os.W_OK) for path in needed)


def _ungroup(nodes: Sequence[str]) -> None:
    """Remove the control groups that slurmd leaves behind."""
    for top in (path for name in nodes for path in GROUPS.glob(f'*/slurm_{name}')):
        end = time.monotonic() + 5
        while top.exists() and time.monotonic() < end:
            for folder, _, _ in os.walk(top, topdown=False):
                with suppress(OSError):  # Who was killed may still be leaving.
                    Path(folder).rmdir()
            time.sleep(0.1)


def _account(one: Cluster, port: int, storage: int, daemons: ExitStack) -> None:
    """Start a database, and who keeps SLURM's books in it."""
    folder = one.folder
    conf = folder / 'slurmdbd.conf'
    conf.write_text(DATABASE.format(folder=folder, port=port, storage=storage))
    conf.chmod(0o600)
    (folder / 'first.sql').write_text(
        "CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'loopback';\n"
        "GRANT ALL ON *.* TO slurm@'127.0.0.1';\n"
    )
    common = ['--no-defaults', '--user=root', f'--datadir={folder}/database']
    install = [_program('mariadb-install-db') or '', *common, '--skip-test-db']
    done = subprocess.run(install, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    server = ['mariadbd', *common, f'--socket={folder}/mariadb.socket', f'--port={storage}']
    server += [
        '--bind-address=127.0.0.1',
        f'--pid-file={folder}/mariadb.pid',
        '--skip-name-resolve',
    ]
    server += [f'--init-file={folder}/first.sql', f'--log-error={folder}/mariadb.log']
    daemons.enter_context(_daemon(server, folder, {}))
    _until((folder / 'mariadb.socket').exists, one)
    daemons.enter_context(_daemon(['slurmdbd', '-D'], folder, one.environ))

    def opened() -> bool:
        words = ['sacctmgr', '--immediate', 'add', 'cluster', 'loopback']
        done = subprocess.run(
            words, env={**os.environ, **one.environ}, capture_output=True, timeout=60
        )
        return done.returncode == 0

    _until(opened, one)


def _idle(one: Cluster) -> int:
    done = subprocess.run(
        ['sinfo', '--noheader', '-N', '-o', '%T'], env={**os.environ, **one.environ},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout.split().count('idle')


@contextmanager
def _daemon(words: list[str], folder: Path, environ: Mapping[str, str]) -> Iterator[None]:
    program = _program(words[0])
    assert program is not None
    log = (folder / f'{Path(words[0]).name}.out.log').open('ab')
    with log, subprocess.Popen(
        [program, *words[1:]], env={**os.environ, **environ}, stdout=log, stderr=log,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f'{os.environ.get("PATH", "")}:/usr/sbin:/sbin')


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('127.0.0.1', 0))
        return [one.getsockname()[1] for one in sockets]


def _until(true: Callable[[], bool], one: Cluster, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, one.logs()
        time.sleep(0.1)
