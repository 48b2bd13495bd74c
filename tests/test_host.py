"""What is known of a machine: by calibration, family or TDP, and where it is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from values import replace

from nicarbon import processor
from nicarbon.host import Host, boot_id, busy_seconds, cached, calibrated, probe, read

HOST = Host(
    'h', 'X', 4, 2, 64.0, False, 12.0, 82.0, 'model:tdp-linear', 'a table', 'modelled', 2.0, 100.0
)
TOLD = {
    'host': 'h',
    'cpu': 'X',
    'cores': 4,
    'idle_watts': 30.0,
    'peak_watts': 150.0,
    'idle_spread': 1.5,
    'peak_spread': 3.0,
    'dram_idle_watts': None,
    'measured_with': 'rapl:powercap',
    'started': '2026-11-01T10:00:00+00:00',
}


def cpuinfo(vendor: str, family: int, model: int, stepping: int = 1, name: str = '') -> str:
    lines = {
        'processor': 0, 'vendor_id': vendor, 'cpu family': family, 'model': model,
        'model name': name, 'stepping': stepping,
    }  # fmt: skip
    return ''.join(f'{key}\t: {value}\n' for key, value in lines.items())


class TestFamily:
    @pytest.mark.parametrize(
        ('info', 'family'),
        [
            (cpuinfo('GenuineIntel', 6, 63), 'Haswell'),
            (cpuinfo('GenuineIntel', 6, 79), 'Broadwell'),
            (cpuinfo('GenuineIntel', 6, 85, 4), 'Skylake'),
            (cpuinfo('GenuineIntel', 6, 85, 7), 'Cascade Lake'),
            (cpuinfo('GenuineIntel', 6, 85, 11), ''),
            (cpuinfo('GenuineIntel', 6, 143), 'Sapphire Rapids'),
            (cpuinfo('AuthenticAMD', 23, 49, name='AMD EPYC 7742 64-Core'), 'EPYC 2'),
            (cpuinfo('AuthenticAMD', 25, 1, name='AMD EPYC 7763 64-Core'), 'EPYC 3'),
            (cpuinfo('AuthenticAMD', 25, 17, name='AMD EPYC 9654 96-Core'), 'EPYC 4'),
            (cpuinfo('AuthenticAMD', 26, 2, name='AMD EPYC 9755 128-Core'), ''),
            (cpuinfo('AuthenticAMD', 23, 1, name='AMD Ryzen Threadripper 1950X'), ''),
            (cpuinfo('GenuineIntel', 6, 158, name='Intel Core i7-8700'), ''),
            ('', ''),
        ],
    )
    def test_numbers_name_it(self, info: str, family: str) -> None:
        assert processor.family(info) == family

    def test_every_family_has_its_watts(self) -> None:
        table = processor._table()
        assert {row['name'] for row in table['families']} == set(table['watts_per_thread'])
        for idle, peak in table['watts_per_thread'].values():
            assert 0 < idle < peak

    @pytest.mark.parametrize(
        ('family', 'tdp', 'virtual', 'method', 'tier', 'u_rel'),
        [
            ('Skylake', 300.0, False, 'model:ccf', 'modelled', 2.0),
            ('Skylake', None, True, 'model:ccf', 'modelled', 2.5),
            ('', 300.0, False, 'model:tdp-linear', 'modelled', 2.0),
            ('', None, False, 'model:tdp-linear', 'assumed', 3.0),
            ('', None, True, 'model:tdp-linear', 'assumed', 3.0),
        ],
    )
    def test_the_best_that_is_known_is_used(
        self, family: str, tdp: float, virtual: bool, method: str, tier: str, u_rel: float
    ) -> None:
        power = processor.power(family, tdp, 80, virtual=virtual)
        assert (power['power_method'], power['tier'], power['u_rel']) == (method, tier, u_rel)
        assert 0 < power['idle_watts'] < power['peak_watts']

    @pytest.mark.parametrize(
        ('busy', 'watts'), [(0.87, 83.0), (13.0, 146.5), (37.7, 291.0)], ids=str
    )
    def test_two_gold_6148_without_hyper_threading(self, busy: float, watts: float) -> None:
        """As RAPL saw them: the model is within its interval."""
        info = cpuinfo('GenuineIntel', 6, 85, 4) + 'siblings: 20\ncpu cores: 20\n'
        assert not processor.is_paired(info)
        power = processor.power(processor.family(info), 300.0, 40, virtual=False, paired=False)
        idle, peak = power['idle_watts'], power['peak_watts']
        assert 1 / power['u_rel'] < (idle + (peak - idle) * busy / 40) / watts < power['u_rel']
        assert power['power_source'].startswith('Skylake: 1.226 to 8.208 W per core, ')

    def test_cores_that_are_not_told_of_have_two_threads(self) -> None:
        assert processor.is_paired(cpuinfo('GenuineIntel', 6, 85))
        assert processor.is_paired('siblings: 40\ncpu cores: 20\n')

    @pytest.mark.parametrize(
        ('info', 'files', 'virtual'),
        [
            ('flags: fpu hypervisor sse', {}, True),
            ('flags: fpu sse', {'class/dmi/id/sys_vendor': 'Amazon EC2'}, False),
            ('', {}, False),
            ('', {'class/dmi/id/sys_vendor': 'Amazon EC2'}, True),
            ('', {'class/dmi/id/sys_vendor': 'Amazon EC2',
                  'class/dmi/id/product_name': 'm6g.metal'}, False),
            ('', {'class/dmi/id/product_name': 'Google Compute Engine'}, True),
            ('', {'class/dmi/id/sys_vendor': 'QEMU'}, True),
            ('', {'class/dmi/id/product_name': 'KVM Virtual Machine'}, True),
            ('', {'class/dmi/id/sys_vendor': 'Ampere(R)'}, False),
            ('', {'hypervisor/type': 'xen'}, True),
            ('', {'firmware/devicetree/base/compatible': 'linux,dummy-virt\0'}, True),
            ('', {'firmware/devicetree/base/hypervisor/compatible': 'linux,kvm\0'}, True),
        ],
    )  # fmt: skip
    def test_hypervisors(
        self, tmp_path: Path, info: str, files: dict[str, str], virtual: bool
    ) -> None:
        for name, text in files.items():
            path = tmp_path / 'sys' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert processor.is_virtual(info, tmp_path) is virtual


class TestCalibration:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / 'h.json').write_text(json.dumps(TOLD))
        return tmp_path

    def told(self, folder: Path, **changes: object) -> Host:
        (folder / 'h.json').write_text(json.dumps(TOLD | changes))
        return calibrated(HOST, [folder])

    def test_it_wins(self, folder: Path) -> None:
        host = calibrated(HOST, [folder / 'nothing', folder])
        assert (host.idle_watts, host.peak_watts, host.u_rel) == (30.0, 150.0, 1.5)
        assert (host.power_method, host.tier) == ('model:calibrated', 'modelled')
        assert host.power_source == 'calibrated with rapl:powercap on 2026-11-01'
        assert host.watts_per_busy_core == 30.0

    def test_a_wide_spread_widens_the_interval(self, folder: Path) -> None:
        assert self.told(folder, idle_spread=24.0).u_rel == 1.8

    def test_so_does_a_bent_line(self, folder: Path) -> None:
        assert self.told(folder, line_deviation=0.7).u_rel == 1.7
        assert self.told(folder, line_deviation=0.2).u_rel == 1.5
        assert self.told(folder, line_deviation=float('nan')) == HOST

    def test_memory_at_rest(self, folder: Path) -> None:
        assert self.told(folder, dram_idle_watts=7.5).dram_idle_watts == 7.5

    @pytest.mark.parametrize(
        'changes',
        [
            {'cpu': 'Y'}, {'cores': 8}, {'idle_watts': 200.0}, {'idle_watts': 0.0},
            {'idle_watts': 'much'}, {'peak_spread': None}, {'idle_watts': float('nan')},
            {'peak_watts': float('inf')}, {'idle_spread': -1.0, 'peak_spread': -1.0},
        ],
    )  # fmt: skip
    def test_one_of_another_cpu_or_of_no_sense_is_passed_over(
        self, folder: Path, changes: dict
    ) -> None:
        assert self.told(folder, **changes) == HOST

    def test_files_of_no_sense(self, folder: Path) -> None:
        for text in ('', '[]', '{', '{"cpu": "X"}', 'null'):
            (folder / 'h.json').write_text(text)
            assert calibrated(HOST, [folder]) == HOST


class TestKept:
    def test_this_machine(self, tmp_path: Path) -> None:
        host = cached(tmp_path / 'hosts')
        assert (host.name, host.boot_id) == (os.uname().nodename, boot_id())
        assert 0 < host.idle_watts <= host.peak_watts
        assert host.u_rel >= 1.5
        (file,) = (tmp_path / 'hosts').iterdir()
        assert read(json.loads(file.read_text())) == host
        assert busy_seconds() > 0

    def test_it_is_probed_once_for_a_user(self, tmp_path: Path) -> None:
        """And once more where what was kept is of another version, or of another boot."""
        code = (
            'from nicarbon import host\n'
            'probe, probed = host.probe, []\n'
            'host.probe = lambda: probed.append(1) or probe()\n'
            'host.cached(); host.cached()\n'
            'print(len(probed))\n'
        )
        environ = {**os.environ, 'XDG_CACHE_HOME': str(tmp_path)}

        def probed() -> int:
            return int(subprocess.check_output([sys.executable, '-c', code], env=environ))

        assert [probed(), probed()] == [1, 0]
        (file,) = (tmp_path / 'nicarbon/hosts').iterdir()
        kept = json.loads(file.read_text())
        for other in ({**kept, 'new': 1}, kept | {'boot_id': 'another'}):
            file.write_text(json.dumps(other))
            assert probed() == 1
            assert probed() == 0

    def test_what_is_kept_is_of_this_boot_and_this_machine_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As many cores and as much memory, and no file of another boot beside it."""
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
        name = os.uname().nodename
        kept = tmp_path / 'nicarbon/hosts'
        kept.mkdir(parents=True)
        others = {f'{name}-b-0123abcd-1.json', f'{name}.json', 'other-0123abcd-1.json'}
        for each in (*others, f'{name}-0123abcd-1.json'):
            (kept / each).touch()
        cached()
        (first,) = {each.name for each in kept.iterdir()} - others
        sysconf = os.sysconf
        for changed in ('SC_PHYS_PAGES', 'SC_NPROCESSORS_ONLN'):
            monkeypatch.setattr(
                os, 'sysconf', lambda n, c=changed: sysconf(n) * (2 if n == c else 1)
            )
            cached()
            (second,) = {each.name for each in kept.iterdir()} - others
            assert second != first

    def test_cores_are_those_of_the_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not what PYTHON_CPU_COUNT says, for one."""
        cores = os.sysconf('SC_NPROCESSORS_ONLN')
        monkeypatch.setattr(os, 'cpu_count', lambda: 99)
        assert probe().cores == cores

    def test_a_cache_that_cannot_be_written_breaks_nothing(self, tmp_path: Path) -> None:
        (tmp_path / 'in the way').write_text('')
        host = cached(tmp_path / 'in the way' / 'hosts')
        assert host.cores == os.cpu_count()

    def test_ledgers_of_older_versions_are_read(self) -> None:
        old = HOST._asdict() | {'tdp_source': 'a table', 'unheard_of': 1}
        for name in ('idle_watts', 'peak_watts', 'power_method', 'power_source', 'family'):
            del old[name]
        assert read(old) == HOST
        assert read(HOST._asdict() | {'from_the_future': 2}) == HOST
        with pytest.raises(TypeError):
            read({'name': 'h'})

    def test_no_core_saves_energy(self) -> None:
        assert replace(HOST, peak_watts=1.0).watts_per_busy_core == 0.0
