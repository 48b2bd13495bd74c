"""FastSurfer on a GPU that a stand-in for its driver shows: what the networks held and used."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

import fastsurfer_stand_in as stand_in
import pytest
from gpu_machine.driver import IDLE_WATTS, PERCENT_WATTS
from laboratory import Laboratory, read_tsv
from machines import gpu_driver, namespaces, with_gpus

from nicarbon.entry import Entry

NETWORKS = {
    'asegdkt.coronal': 2.0,
    'asegdkt.sagittal': 1.0,
    'asegdkt.axial': 2.0,
    'cereb': 1.5,
    'hypothal': 1.5,
}
"""Seconds on 60 % of the multiprocessors."""

PERCENT = 60


class OnGpu(Laboratory):
    tool = 'fastsurfer'

    def run(self, *words: object, **_: object):
        parts = {
            name: {'gpu_seconds': seconds, 'gpu_percent': PERCENT}
            for name, seconds in NETWORKS.items()
        }
        work = stand_in.work(self.root, parts, cpu_seconds=0.1)
        command = self.command('--pipeline', 'fastsurfer', '--allow-root', *words)
        with gpu_driver(self.root / 'state') as state:
            done = subprocess.run(
                with_gpus(state, *command[1:]), env={**os.environ, **self.env, **work},
                cwd=self.root, capture_output=True, text=True, timeout=180,
            )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def command(self, *words: object) -> list[str]:
        return ['nicarbon', *super().command(*words)]

    def rows(self, subject: str = '01') -> list[dict[str, str]]:
        return read_tsv(self.out / f'sub-{subject}' / f'sub-{subject}_carbon.tsv')

    def total(self, column: str, subject: str = '01') -> float:
        """What was not seen of a moment in which two held it is in no sum."""
        cells = [row[column] for row in self.rows(subject)]
        return sum(float(cell) for cell in cells if cell != 'n/a')

    def sidecar(self, subject: str = '01') -> dict:
        return json.loads((self.out / f'sub-{subject}/sub-{subject}_carbon.json').read_text())


@pytest.fixture
def laboratory(tmp_path: Path):
    def make(*subjects: str) -> OnGpu:
        gpus = ('NVIDIA Stand-in',)
        return OnGpu(tmp_path, stand_in.install(tmp_path / 'home', gpus=gpus), subjects)

    return make


def of_gpu(run: Entry) -> float:
    return next(r.joules for r in run.readings if r.component.startswith('gpu'))


def holding(entries: list[Entry]) -> list[tuple[float, float]]:
    """When each node held the GPU: first and last window in which it did."""
    spans = []
    for entry in entries:
        at = [i for i, r in enumerate(entry.readings) if r.component.startswith('gpu')]
        held = [w for w in entry.windows for i in at if w.uses and w.uses[i].held_seconds > 0]
        if held:
            spans.append((held[0].start, held[-1].stop))
    return sorted(spans)


@namespaces
@pytest.mark.slow
def test_networks_are_told_from_what_follows_them(laboratory) -> None:
    lab = laboratory('01')
    done = lab.run('--seg-only', '--device', 'auto')
    assert 'GPUs were held for' in done.stdout
    rows = {row['stage']: row for row in lab.rows()}
    for name, seconds in NETWORKS.items():
        wanted = seconds * (IDLE_WATTS + PERCENT * PERCENT_WATTS)
        assert float(rows[name]['energy_gpu']) == pytest.approx(wanted, rel=0.15, abs=60), name
        assert float(rows[name]['gpu_time']) == pytest.approx(seconds, rel=0.2, abs=0.9), name
    for name in ('biasfield', 'asegdkt-stats'):
        assert float(rows[name]['gpu_time']) == float(rows[name]['energy_gpu']) == 0
        assert float(rows[name]['energy_without_gpu']) == pytest.approx(
            float(rows[name]['energy']), rel=1e-4
        )
    total = lab.sidecar()['GPU']
    assert total['GPUSeconds'] == pytest.approx(lab.total('gpu_time'), rel=1e-4)
    # The run, which sees all holders, looks at other moments than the stages do.
    assert total['Seconds'] == pytest.approx(total['GPUSeconds'], rel=0.05)
    assert total['GPUDays'] == pytest.approx(total['GPUSeconds'] / 86400)
    with_, without = total['With']['KilowattHours'], total['Without']['KilowattHours']
    whole = lab.sidecar()['Footprint']['KilowattHours']
    assert with_ + without == pytest.approx(whole)
    page = (lab.out / 'sub-01.html').read_text()
    assert 'With a GPU and without' in page


@namespaces
@pytest.mark.slow
def test_one_at_a_time_or_side_by_side_one_gpu_is_shared(laboratory) -> None:
    """Two subjects that share the GPU are charged what one after the other are, but for idle."""
    lab = laboratory('01', '02')
    lab.run('--seg-only', '--device', 'cuda', '--gpu-procs', '2')
    (run,) = (entry for entry in lab.entries() if entry.kind == 'run')
    spans = holding(lab.nodes())
    assert any(a_stop > b_start for (_, a_stop), (b_start, _) in itertools.pairwise(spans))
    each = [lab.total('energy_gpu', who) for who in ('01', '02')]
    dynamic = sum(NETWORKS.values()) * PERCENT * PERCENT_WATTS
    assert each[0] == pytest.approx(each[1], rel=0.15)
    assert 2 * dynamic < sum(each) < of_gpu(run)
    walls = [lab.total('gpu_duration', who) for who in ('01', '02')]
    on_it = [lab.total('gpu_time', who) for who in ('01', '02')]
    assert sum(on_it) < 0.9 * sum(walls)
    assert sum(on_it) <= run.seconds
    balances = lab.sidecar()['Balance']
    for one in balances:
        parts = ('NodesJoules', 'OverheadJoules', 'OthersJoules', 'UnattributedJoules')
        assert sum(one[part] for part in parts) == pytest.approx(one['HostJoules'], rel=1e-6)


@namespaces
@pytest.mark.slow
def test_by_default_one_stage_is_on_the_gpu_at_a_time(laboratory) -> None:
    lab = laboratory('01', '02')
    lab.run('--device', 'cuda:0', '--stages', 'asegdkt')
    spans = holding(lab.nodes())
    assert len(spans) == 2
    assert spans[0][1] <= spans[1][0]


@namespaces
@pytest.mark.slow
def test_with_the_cpu_asked_for_an_idle_gpu_is_nobodys(laboratory) -> None:
    lab = laboratory('01')
    lab.run('--seg-only', '--device', 'cpu')
    for row in lab.rows():
        assert float(row['energy_gpu']) == float(row['gpu_time']) == 0
    told = lab.sidecar()
    assert told['GPU']['GPUSeconds'] == told['GPU']['With']['KilowattHours'] == 0
    (run,) = (entry for entry in lab.entries() if entry.kind == 'run')
    assert of_gpu(run) == pytest.approx(IDLE_WATTS * run.seconds, rel=0.05)
    assert told['Balance'][0]['UnattributedJoules'] >= of_gpu(run) - 1e-6
    assert {module['gpus'] for module in stand_in.truth(lab.root)} == {'-1'}
    assert 'With a GPU and without' not in (lab.out / 'sub-01.html').read_text()
