"""Logs of recon-all, written as its scripts write them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

from nicarbon.host import Host
from nicarbon.readers import Folder, Told
from nicarbon.readers.freesurfer import FreeSurfer

DAY = 'Fri Jun  7 {} CEST 2024'
BEGAN = 1717745400.0
"""09:30:00 of that day."""

STAMP = 'freesurfer-linux-ubuntu22_x86_64-7.4.1-20230614-7eb8460'
OLD = 'freesurfer-Linux-centos6_x86_64-stable-pub-v6.0.1-f53a55a'


class Machines:
    """Machines of which nobody says anything but their names."""

    def __init__(self, cores: int = 4, cpu: str = 'X') -> None:
        self.cores, self.cpu = cores, cpu
        self.asked: list[tuple[str, str, int | None]] = []

    def host(self, name: str, cpu: str = '', cores: int | None = None) -> Host:
        self.asked.append((name, cpu, cores))
        count = cores or self.cores
        model = 'model:ccf'
        return Host(
            name, cpu or self.cpu, count, 1, 0.0, False, 2.0 * count, 10.0 * count, model, '',
            'modelled', 2.0,
        )  # fmt: skip


def begin(
    clock: str = '09:30:00',
    arguments: str = '-all -s bert',
    *,
    day: str = DAY,
    host: str = 'node-1',
    stamp: str = STAMP,
    subject: str = 'bert',
    again: bool = False,
) -> str:
    """What a call says first; of version 6, its arguments have a line of their own."""
    new = '\n\n#New# invocation of recon-all \n\n\n\n\n' if again else ''
    old = stamp == OLD
    new = new.replace('#New#', 'New') if old else new
    call = f'/fs/bin/recon-all\n{arguments}' if old else f'/fs/bin/recon-all {arguments}\n'
    return (
        f'{new}{day.format(clock)}\n/data/bert\nsetenv SUBJECTS_DIR /data\n{call}\n'
        f'subjid {subject}\nFREESURFER_HOME /fs\nbuild-stamp.txt: {stamp}\n'
        f'Linux {host} 6.2.0-26-generic #26 SMP Thu Jul 13 16:27:29 UTC 2 x86_64 GNU/Linux\n'
        'maxproc      47848 \n'
    )


def mark(title: str, clock: str, day: str = DAY) -> str:
    return f'#--------------------------------------------\n#@# {title} {day.format(clock)}\n'


def ran(
    name: str, clock: str, wall: float, user: float, system: float = 0.0, switches: int = 99
) -> str:
    began = f'2024:06:07:{clock}'
    return (
        f'{name} -seed 1234\nsome output\n'
        f'@#@FSTIME  {began} {name} N 2 e {wall:.2f} S {system:.2f} U {user:.2f} P 99% M 89728 '
        f'F 0 R 21032 W 0 c {switches} w 2 I 0 O 135960 L 1.75 1.23 0.77\n'
        f'@#@FSLOADPOST {began} {name} N 2 1.77 1.25 0.78\n'
    )


def end(clock: str, *, started: str = '09:30:00', failed: bool = False, day: str = DAY) -> str:
    if failed:
        return (
            'ERROR: no such file\nLinux node-1 6.2.0 #26 GNU/Linux\n\n'
            f'recon-all -s bert exited with ERRORS at {day.format(clock)}\n\n'
        )
    return (
        f'\nStarted at {day.format(started)} \nEnded   at {day.format(clock)}\n'
        f'#@#%# recon-all-run-time-hours 0.1\n'
        f'recon-all -s bert finished without error at {day.format(clock)}\n'
    )


def finished() -> str:
    """A call of 300 s, with two stages."""
    return (
        begin()
        + ran('mri_convert', '09:30:05', 5, 4.5, 0.5)
        + mark('MotionCor', '09:30:10')
        + ran('mri_info', '09:30:10', 49, 48)
        + mark('Sphere lh', '09:31:00')
        + ran('mris_sphere', '09:31:00', 240, 230, 8)
        + end('09:35:00')
    )


def write(folder: Path, files: Mapping[str, str]) -> Path:
    scripts = folder / 'scripts'
    scripts.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        data = text.encode('utf-8', 'surrogateescape')
        (scripts / name).write_bytes(gzip.compress(data) if name.endswith('.gz') else data)
    return scripts


def listed(path: Path) -> Folder:
    inside = list(path.iterdir())
    folders = frozenset(one.name for one in inside if one.is_dir())
    return Folder(path, path, folders, frozenset(one.name for one in inside) - folders)


def read(scripts: Path, machines: Machines | None = None) -> Told:
    reader = FreeSurfer()
    (source,) = reader.find(listed(scripts))
    return reader.read(source, machines or Machines())


def told(folder: Path, text: str, machines: Machines | None = None) -> Told:
    return read(write(folder, {'recon-all.log': text}), machines)
