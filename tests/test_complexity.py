"""Networks that ran: asked for, counted, kept, written and shown; and what they are compared with."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
from report_data import QUEBEC, Job, Machine, context
from values import replace

from nicarbon import complexity, errors
from nicarbon.account import PUE
from nicarbon.bids import Session
from nicarbon.cli.architecture import of_sessions
from nicarbon.cli.counted import Counted, count, of_stages
from nicarbon.complexity import (
    Network,
    ask,
    conformed_voxels,
    macs_per_scan,
    networks,
    of_image,
    parameters,
    parse,
    read,
    record,
)
from nicarbon.report.networks import last_runs, networks_table
from nicarbon.report.pages import subject_page
from nicarbon.share import share
from nicarbon.sidecar import sidecar
from nicarbon.summary import summarise

DOCS = Path(__file__).parents[1] / 'docs'
SCHEMA = json.loads((files('nicarbon') / 'data' / 'carbon.schema.json').read_text('utf-8'))
VIEWS = ('axial', 'coronal', 'sagittal')
AXIAL = Network(
    'asegdkt', 'FastSurferVINN', 'axial', 1_854_632, 45_549_519_872, (7, 256, 256), 256, 256,
    'torch.utils.flop_counter', '2.13.0',
)  # fmt: skip
CORONAL = replace(AXIAL, view='coronal')
SAGITTAL = replace(AXIAL, view='sagittal', parameters=1_852_616, macs_per_slice=45_419_234_304)
FINER = replace(AXIAL, image_voxels=320, slices=320, macs_per_slice=54_293_550_080)
CEREBELLUM = replace(
    AXIAL, stage='cereb', network='CerebNet', parameters=1_795_891,
    macs_per_slice=7_639_662_592, slice_shape=(7, 128, 128), slices=128,
)  # fmt: skip
ALL = (AXIAL, CORONAL, SAGITTAL, FINER, CEREBELLUM)


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    """Warnings are given once in a process."""
    monkeypatch.setattr(errors, '_warned', set())


def python_that(tmp_path: Path, text: str) -> list[str]:
    """A Python that runs a program of ours, whatever it is asked to run."""
    program = tmp_path / 'double.py'
    program.write_text(text, 'utf-8')
    return [sys.executable, '-S', str(program)]


def told(*counted: Network, **failed: str) -> str:
    rows = record(counted)
    common = {name: rows[0][name] if rows else '' for name in ('counted_by', 'torch_version')}
    return json.dumps({'networks': rows, 'failed': failed, **common})


def test_macs_of_a_scan_are_those_of_all_slices_in_all_views() -> None:
    views = (AXIAL, CORONAL, SAGITTAL)
    assert macs_per_scan(views) == 256 * (2 * 45_549_519_872 + 45_419_234_304)
    assert parameters(views) == 2 * 1_854_632 + 1_852_616
    assert macs_per_scan(()) == parameters(()) == 0


def test_images_of_other_sizes_are_other_networks() -> None:
    assert of_image(ALL, 320) == (FINER,)
    assert of_image(ALL, 256) == (AXIAL, CORONAL, SAGITTAL, CEREBELLUM)


@pytest.mark.parametrize(
    ('shape', 'zooms', 'voxels'),
    [
        ((256, 256, 256), (1.0, 1.0, 1.0), 256),
        ((512, 512, 400), (0.96, 0.96, 0.96), 256),  # 1 mm is near enough
        ((300, 320, 208), (0.8, 0.8, 0.8), 320),
        ((200, 200, 200), (0.8, 0.8, 0.8), 256),
        ((192, 256, 256), (2.0, 1.2, 1.2), 256),
    ],
)
def test_the_size_of_a_conformed_image(shape, zooms, voxels) -> None:
    assert conformed_voxels(shape, zooms) == voxels


def test_what_is_kept_is_read_again() -> None:
    assert read(json.loads(json.dumps(record(ALL)))) == ALL
    with pytest.raises(ValueError, match='no record'):
        read([{'stage': 'cereb'}])


def test_the_last_line_is_what_counts() -> None:
    assert parse(f'torch says hello\n{told(AXIAL, cereb="no yaml")}\n') == (
        (AXIAL,),
        {'cereb': 'no yaml'},
    )


@pytest.mark.parametrize('text', ['', 'hello', '[]', '{}', '{"networks": [1], "failed": {}}'])
def test_other_words_are_no_count(text) -> None:
    with pytest.raises(ValueError, match=r'it printed|Expecting'):
        parse(text)


def test_another_python_is_asked(tmp_path) -> None:
    text = (
        'import json, os, pathlib, sys\n'
        f'pathlib.Path({str(tmp_path / "asked")!r}).write_text(json.dumps(\n'
        "    [sys.argv[3:], os.getcwd(), os.environ['CUDA_VISIBLE_DEVICES']]))\n"
        f'print({told(AXIAL)!r})\n'
    )
    python = python_that(tmp_path, text)
    assert ask(python, tmp_path, {}, ['asegdkt', 'cereb'], [320, 256, 320]) == (AXIAL,)
    asked = json.loads((tmp_path / 'asked').read_text('utf-8'))
    assert asked == [['256,320', 'asegdkt', 'cereb'], str(tmp_path), '-1']


@pytest.mark.parametrize(
    'text',
    ['raise SystemExit("no such package")', 'print("hello")', 'print(\'{"networks": []}\')'],
)
def test_a_python_that_cannot_tell_is_a_warning(tmp_path, caplog, text) -> None:
    with caplog.at_level(logging.WARNING, 'nicarbon'):
        for _ in range(2):
            assert ask(python_that(tmp_path, text), tmp_path, {}, ['cereb']) is None
    assert len(caplog.records) == 1
    assert 'not counted' in caplog.text


def test_no_python_and_no_end_are_warnings_too(tmp_path, caplog, monkeypatch) -> None:
    assert ask([str(tmp_path / 'none')], tmp_path, {}, ['cereb']) is None
    monkeypatch.setattr(complexity, 'LONGEST_SECONDS', 0.2)
    endless = python_that(tmp_path, 'import time\ntime.sleep(60)')
    assert ask(endless, tmp_path, {}, ['cereb']) is None
    assert 'not counted' in caplog.text


def test_without_pytorch_the_program_says_so(tmp_path, caplog) -> None:
    # -I: this Python has no PyTorch of its own, and finds none.
    python = [sys.executable, '-I', '-S']
    assert ask(python, tmp_path, {}, ['asegdkt', 'cereb']) is None
    assert "No module named 'torch'" in caplog.text
    assert 'networks of cereb' in caplog.text


TORCH = """
import contextlib
__version__ = '9.9'
def full(*_): return None
def zeros(*shape): return shape
def tensor(_): return None
no_grad = contextlib.nullcontext
@contextlib.contextmanager
def device(name): yield
"""
COUNTER = """
class FlopCounterMode:
    def __init__(self, display): pass
    def __enter__(self): seen.clear()
    def __exit__(self, *_): pass
    def get_total_flops(self): return 2 * seen[0]
seen = []
"""
NETWORKS = """
import math
from torch.utils.flop_counter import seen
class Numbers:
    def __init__(self, number): self.number = number
    def numel(self): return self.number
class Module:
    def __init__(self, classes): self.classes = classes
    def eval(self): return self
    def parameters(self): return [Numbers(1000), Numbers(self.classes)]
    def __call__(self, image): seen.append(math.prod(image))
def build_model(settings): return Module(settings['num_classes'])
"""
CEREB_CONFIG = """
from types import SimpleNamespace as Node
class Model(dict): pass
def get_cfg_cerebnet():
    model = Model(NUM_CLASSES=28, NUM_CLASSES_SAG=17)
    return Node(MODEL=model, DATA=Node(PATCH_SIZE=(128, 128, 128), THICKNESS=3))
"""


def test_the_program_counts_what_the_code_builds(tmp_path, caplog) -> None:
    for name, text in {
        'torch/__init__.py': TORCH,
        'torch/utils/__init__.py': '',
        'torch/utils/flop_counter.py': COUNTER,
        'CerebNet/__init__.py': '',
        'CerebNet/models/__init__.py': '',
        'CerebNet/models/networks.py': NETWORKS,
        'CerebNet/config.py': CEREB_CONFIG,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, 'utf-8')
    found = ask([sys.executable], tmp_path, {'PYTHONPATH': str(tmp_path)}, ['cereb', 'hypothal'])
    assert found is not None
    assert [one.view for one in found] == list(VIEWS)
    assert [one.parameters for one in found] == [1028, 1028, 1017]
    assert {one.macs_per_scan for one in found} == {7 * 128 * 128 * 128}
    assert {(one.counted_by, one.torch_version) for one in found} == {
        ('torch.utils.flop_counter', '9.9')
    }
    # HypVINN is not there, and says so; CerebNet is counted all the same.
    assert 'networks of hypothal are not counted' in caplog.text
    assert not list(tmp_path.rglob('__pycache__'))


def session(tmp_path: Path, name: str, zoom: float, edge: int) -> Session:
    path = tmp_path / f'{name}.nii.gz'
    image = nib.Nifti1Image(np.zeros((edge, 2, 2), 'u1'), np.diag([zoom, zoom, zoom, 1.0]))
    nib.save(image, path)
    return Session(name, '', (path,))


def test_a_run_counts_each_size_of_image_once(tmp_path, caplog) -> None:
    sessions = [session(tmp_path, 'a', 1.0, 200), session(tmp_path, 'b', 0.8, 320)]
    broken = Session('c', '', (tmp_path / 'none.nii.gz',))
    python = python_that(tmp_path, f'print({told(*ALL)!r})')
    counted = count(python, tmp_path, {}, ['asegdkt'], [*sessions, broken])
    assert counted is not None
    assert counted.images == {'sub-a': 256, 'sub-b': 320}
    assert counted.of_session('sub-b') == (FINER,)
    assert counted.of_session('sub-c') == ()
    assert 'not counted for it' in caplog.text
    assert count(python, tmp_path, {}, [], sessions) is None
    assert count(python, tmp_path, {}, ['asegdkt'], [broken]) is None


JOBS = [
    Job('01', 'asegdkt', 0, 10),
    Job('01', 'asegdkt.coronal', 10, 20),
    Job('01', 'asegdkt.axial', 30, 20),
    Job('01', 'cereb', 60, 10, outcome='failed', error='no cerebellum'),
]


def summary_of(jobs=JOBS):
    entries = Machine(jobs).entries()
    # Parts of one module are pieces of one entry.
    pieces = [
        replace(entry, entry_id=f'node01-run-77-3.{number}')
        if entry.stage.startswith('asegdkt')
        else entry
        for number, entry in enumerate(entries)
    ]
    sharing = share(pieces)
    return summarise(sharing.shares, QUEBEC, PUE(1.0), subject='01'), sharing


def kept(tmp_path: Path, counted: Counted) -> Path:
    folder = tmp_path / 'logs' / Machine(JOBS).run_id
    folder.mkdir(parents=True)
    counted.write(folder)
    return tmp_path


def test_only_stages_that_ran_have_networks(tmp_path) -> None:
    summary, _ = summary_of()
    assert set(last_runs(summary)) == {'asegdkt'}
    out_dir = kept(tmp_path, Counted(ALL, {'sub-01': 256}))
    assert of_stages(out_dir, summary) == (AXIAL, CORONAL, SAGITTAL)


def test_a_module_that_failed_half_way_did_not_run(tmp_path) -> None:
    failed = [*JOBS[:2], Job('01', 'asegdkt.axial', 30, 5, outcome='failed', error='memory')]
    summary, _ = summary_of(failed)
    out_dir = kept(tmp_path, Counted(ALL, {'sub-01': 256}))
    assert of_stages(out_dir, summary) == ()


def test_a_subject_whose_image_is_not_known_has_none(tmp_path) -> None:
    summary, _ = summary_of()
    out_dir = kept(tmp_path, Counted(ALL, {'sub-02': 256}))
    assert of_stages(out_dir, summary) == ()
    shutil.rmtree(out_dir / 'logs')
    assert of_stages(out_dir, summary) == ()


def test_networks_of_a_ledger_and_what_a_gmac_took(tmp_path) -> None:
    summary, _ = summary_of()
    out_dir = kept(tmp_path, Counted(ALL, {'sub-01': 256}))
    made = of_sessions(out_dir, [summary])
    assert made.macs == macs_per_scan(ALL[:3])
    assert made.parameters == parameters(ALL[:3])
    assert made.per == 'scan'
    own = [line for line in summary.lines if line.share.entry.stage.startswith('asegdkt')]
    joules = sum(line.footprint.joules for line in own)
    assert made.joules_per_gmac == pytest.approx(joules / (made.macs / 1e9))
    assert made.u_rel >= 1
    assert of_sessions(out_dir, []) is None
    assert of_sessions(tmp_path / 'none', [summary]) is None


def test_a_file_that_is_spoilt_is_passed_over(tmp_path, caplog) -> None:
    summary, _ = summary_of()
    out_dir = kept(tmp_path, Counted(ALL, {'sub-01': 256}))
    for text in ('{', '[]', '{"networks": [{}], "images": {}}'):
        next(out_dir.glob('logs/*/complexity.json')).write_text(text, 'utf-8')
        assert of_stages(out_dir, summary) == ()
    assert 'passed over' in caplog.text


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, caplog) -> None:
    Counted(ALL, {}).write(tmp_path / 'none')
    assert 'cannot be written' in caplog.text


def test_the_sidecar_has_them_and_its_schema_describes_them() -> None:
    summary, sharing = summary_of()
    common = {'version': '0', 'command': 'nicarbon', 'balances': sharing.balances}
    common |= {'runs': [], 'hosts': [], 'sources': []}
    made = json.loads(json.dumps(sidecar(summary, **common, networks=(AXIAL, CEREBELLUM))))
    jsonschema.validate(made, SCHEMA)
    assert [row['MacsPerScan'] for row in made['Networks']] == [
        256 * AXIAL.macs_per_slice,
        128 * CEREBELLUM.macs_per_slice,
    ]
    described = SCHEMA['properties']['Networks']['items']['properties']
    assert set(made['Networks'][0]) == set(described)
    assert all(one['description'] for one in described.values())
    assert '`Networks`' in (DOCS / 'outputs.md').read_text('utf-8')
    # What was not counted has no key: it is not nothing.
    assert 'Networks' not in sidecar(summary, **common)


def test_the_page_shows_them_beside_what_their_stages_used() -> None:
    summary, sharing = summary_of()
    table = networks_table((AXIAL, CORONAL, SAGITTAL), summary, {'asegdkt': 'FastSurferVINN'})
    (stage,) = table.stages
    joules = sum(
        line.share.joules['reserved']
        for line in summary.lines
        if line.share.entry.stage.startswith('asegdkt')
    )
    assert stage.whole.rate is not None
    assert stage.whole.rate.raw == pytest.approx(
        joules / (macs_per_scan((AXIAL, CORONAL, SAGITTAL)) / 1e9)
    )
    axial, coronal, sagittal = stage.views
    assert axial.rate is not None
    assert coronal.rate is not None
    assert sagittal.rate is None  # it told no part of its own
    page = subject_page([summary], {}, context((), sharing), [(AXIAL, CORONAL, SAGITTAL)])
    assert 'Networks that ran' in page
    assert '1 854 632' in page
    assert 'Networks that ran' not in subject_page([summary], {}, context((), sharing))


def test_compared_networks_have_a_source_and_are_in_the_documentation() -> None:
    page = (DOCS / 'complexity.md').read_text('utf-8')
    names = [one.name for one in networks()]
    assert len(set(names)) == len(names)
    for one in networks():
        assert one.source.startswith(('doi:', 'arXiv:', 'https://')), one.name
        assert one.caveat
        assert one.task
        assert one.parameters > 0
        assert one.macs is None or one.macs > one.parameters
        macs = 'not told' if one.macs is None else apart(f'{one.macs / 1e9:,.2f}')
        shape = ' × '.join(map(str, one.input_shape))
        assert f'| {one.name} | {apart(f"{one.parameters:,}")} | {macs} | {shape} |' in page


def apart(number: str) -> str:
    return number.replace(',', ' ')
