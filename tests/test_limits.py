"""What a process may use: limits of control groups, of both versions, as containers show them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nicarbon.cgroup import bounding_groups
from nicarbon.container import is_nameless
from nicarbon.limits import usable_bytes, usable_cores

HERE = len(os.sched_getaffinity(0))
THERE = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')

UNIFIED = '29 22 0:25 / /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n'
FIRST = (
    '30 22 0:26 /libpod/x /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n'
    '31 22 0:27 /libpod/x /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n'
)
IN_FIRST = '4:memory:/libpod/x\n1:cpu,cpuacct:/libpod/x\n0::/libpod/x\n'
HYBRID = '32 22 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n'


def machine(root: Path, membership: str, mounts: str, files: dict[str, str]) -> Path:
    shown = {'proc/self/cgroup': membership, 'proc/self/mountinfo': mounts}
    for name, content in {**shown, **{f'sys/fs/cgroup/{k}': v for k, v in files.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ('membership', 'mounts', 'files', 'cores'),
    [
        ('', '', {}, HERE),
        ('0::/\n', UNIFIED, {'cpu.max': '100000 100000\n'}, 1),
        ('0::/\n', UNIFIED, {'cpu.max': 'max 100000\n'}, HERE),
        ('0::/\n', UNIFIED, {'cpu.max': '50000 100000\n'}, 1),
        ('0::/\n', UNIFIED, {'cpu.max': '190000 100000\n'}, 1),
        ('0::/\n', UNIFIED, {'cpu.max': '9900000 100000\n'}, HERE),
        ('0::/job/step\n', UNIFIED, {'job/cpu.max': '100000 100000\n'}, 1),
        (IN_FIRST, FIRST, {'cpu/cpu.cfs_quota_us': '100000\n', 'cpu/cpu.cfs_period_us': '100000'},
         1),
        (IN_FIRST, FIRST, {'cpu/cpu.cfs_quota_us': '-1\n', 'cpu/cpu.cfs_period_us': '100000'},
         HERE),
        (IN_FIRST, HYBRID + FIRST,
         {'cpu/cpu.cfs_quota_us': '100000\n', 'cpu/cpu.cfs_period_us': '100000'}, 1),
        ('0::/\n', UNIFIED, {'cpu.max': ''}, HERE),
    ],
    ids=['none', 'v2', 'v2 unbound', 'half a core', 'nearly two', 'more than there are',
         'of the group above', 'v1', 'v1 unbound', 'v1 beside v2', 'unreadable'],
)  # fmt: skip
def test_cores(
    tmp_path: Path, membership: str, mounts: str, files: dict[str, str], cores: int
) -> None:
    assert usable_cores(machine(tmp_path, membership, mounts, files)) == cores


@pytest.mark.parametrize(
    ('membership', 'mounts', 'files', 'memory'),
    [
        ('', '', {}, THERE),
        ('0::/\n', UNIFIED, {'memory.max': '1073741824\n'}, 1 << 30),
        ('0::/\n', UNIFIED, {'memory.max': 'max\n'}, THERE),
        ('0::/a/b\n', UNIFIED, {'a/memory.max': '9000', 'a/b/memory.max': '8000'}, 8000),
        ('0::/a/b\n', UNIFIED, {'a/memory.max': '7000', 'a/b/memory.max': 'max'}, 7000),
        (IN_FIRST, FIRST, {'memory/memory.limit_in_bytes': '3221225472\n'}, 3 << 30),
        (IN_FIRST, FIRST, {'memory/memory.limit_in_bytes': '9223372036854771712\n'}, THERE),
    ],
    ids=['none', 'v2', 'v2 unbound', 'the smaller', 'of the group above', 'v1', 'v1 unbound'],
)
def test_memory(
    tmp_path: Path, membership: str, mounts: str, files: dict[str, str], memory: float
) -> None:
    assert usable_bytes(machine(tmp_path, membership, mounts, files)) == memory


names = st.from_regex(r'[a-z0-9_.]{1,8}', fullmatch=True).filter(lambda name: name.strip('.'))


@given(st.lists(names, max_size=5))
def test_all_groups_above_bind(parts: list[str]) -> None:
    found = bounding_groups('cpu', f'0::/{"/".join(parts)}', UNIFIED)
    assert len(found) == len(parts) + 1
    assert found[-1] == Path('/sys/fs/cgroup')
    assert found[0] == Path('/sys/fs/cgroup', *parts)


@pytest.mark.parametrize('name', ['vm', 'node12', 'abcdef', 'deadbeefcafex', 'afc6488f515g'])
def test_machines_that_have_a_name(name: str) -> None:
    assert not is_nameless(name)
