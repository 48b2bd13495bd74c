"""Buildah and Podman, as root, with a storage of their own: nothing of this machine's is used.

There is no registry to pull from. ``base`` makes what ``FROM debian:<release>-slim`` names in
the way that image is made: Debian's smallest system, without manuals and translations.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAMS = ('buildah', 'podman', 'runc', 'debootstrap')

SETTINGS = ('index-url', 'proxy', 'trusted-host', 'cert')
"""What says how pip reaches its index from here."""

UNNEEDED = ('usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/info')
UNNEEDED += ('var/cache/apt', 'var/lib/apt/lists', 'var/log', 'usr/share/lintian')


class Engine:
    """One storage, and what can be done with it.

    Parameters
    ----------
    folder : pathlib.Path
        On a disk with some GB.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Limits of this process are not raised: it may not be allowed to.
        (folder / 'containers.conf').write_text('[containers]\ndefault_ulimits = []\n')
        (folder / 'storage.conf').write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\n'
            f'runroot = "{folder}/run"\n'
        )
        self.environ = {
            **os.environ,
            'CONTAINERS_CONF': str(folder / 'containers.conf'),
            'CONTAINERS_STORAGE_CONF': str(folder / 'storage.conf'),
            'TMPDIR': str(folder),
        }

    def call(self, *words: object, **options: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            list(map(str, words)), env=self.environ, capture_output=True, text=True, **options
        )

    def must(self, *words: object, **options: object) -> str:
        done = self.call(*words, **options)
        assert done.returncode == 0, f'{words}\n{done.stdout[-4000:]}{done.stderr[-4000:]}'
        return done.stdout

    def base(self, name: str) -> None:
        """Make the image that a Dockerfile starts from, if it is one of Debian's small ones."""
        found = re.fullmatch(r'.*/debian:(\w+)-slim', name)
        assert found, f'{name}: only debian:<release>-slim can be made here'
        root = self.folder / 'base'
        self.must('debootstrap', '--variant=minbase', found[1], root)
        for folder in UNNEEDED:
            shutil.rmtree(root / folder, ignore_errors=True)
        for folder in ('var/cache/apt/archives/partial', 'var/lib/apt/lists/partial', 'var/log'):
            (root / folder).mkdir(parents=True)
        for path in _sources(found[1]):
            shutil.copy(path, root / 'etc/apt/sources.list.d')
            (root / 'etc/apt/sources.list').write_text('')
        tar = self.folder / 'base.tar'
        self.must('tar', '-C', root, '-cf', tar, '.')
        self.must('podman', 'import', tar, name)
        shutil.rmtree(root)
        tar.unlink()

    def build(self, context: Path, target: str, tag: str, *words: object) -> str:
        """Build a target; layers are kept, so that the next one begins where this one ended."""
        return self.must(
            *('buildah', 'bud', '--isolation', 'chroot', '--timestamp', '0', '--layers'),
            *('--target', target, '-t', tag, *pip(self.folder), *words, context),
        )

    def run(self, *words: object, **options: object) -> subprocess.CompletedProcess:
        """``podman run --rm``, without a network."""
        return self.call(
            *('podman', '--runtime', 'runc', 'run', '--rm', '--network', 'none', *words), **options
        )

    def remove(self) -> None:
        """Everything, also what is mounted."""
        self.call('podman', 'rm', '-fa', '-t', 0)
        mounted = (line.split()[1] for line in Path('/proc/self/mounts').read_text().splitlines())
        for point in reversed([path for path in mounted if path.startswith(f'{self.folder}/')]):
            self.call('umount', '-l', point)
        shutil.rmtree(self.folder, ignore_errors=True)


def missing() -> list[str]:
    """What stands in the way of any container here."""
    lacking = [f'{name} is not installed' for name in PROGRAMS if not shutil.which(name)]
    return lacking + (['only root may'] if os.geteuid() else [])


def _sources(release: str) -> list[Path]:
    """Where this machine's packages come from, if it is of that release."""
    if f'VERSION_CODENAME={release}' not in Path('/etc/os-release').read_text().split():
        return []
    path = Path('/etc/apt/sources.list.d/debian.sources')
    return [path] if path.exists() else []


def pip(folder: Path) -> Sequence[str]:
    """What lets pip in the image reach its index as pip here does."""
    words = [sys.executable, '-m', 'pip', 'config', 'list']
    told = subprocess.run(words, capture_output=True, text=True).stdout
    settings = dict(_settings(told))
    secrets = {'pip.conf': str(folder / 'pip.conf')}
    if 'cert' in settings:
        secrets['pip.pem'] = settings['cert']
        settings['cert'] = '/run/secrets/pip.pem'
    lines = ['[global]', *(f'{name} = {value}' for name, value in settings.items())]
    (folder / 'pip.conf').write_text('\n'.join(lines) + '\n')
    return [
        word for name, path in secrets.items() for word in ('--secret', f'id={name},src={path}')
    ]


def _settings(told: str) -> Iterator[tuple[str, str]]:
    for line in told.splitlines():
        key, _, value = line.partition('=')
        name = key.rpartition('.')[2].replace('_', '-')
        if name in SETTINGS:
            yield name, value.strip('\'"')
