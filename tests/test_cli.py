"""The installed command, as a user runs it: what it writes, and what bad input gets."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest
import report_data
from command import NICARBON, VALIDATOR, digest, nicarbon

from nicarbon import ledger
from nicarbon.entry import Window
from nicarbon.stage import stages

STAGES = [stage.name for stage in stages('structural')]


def one_line(done: subprocess.CompletedProcess, code: int, *words: str) -> None:
    """A refusal: its exit code, one line that says why, and no traceback."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith('nicarbon')
    for word in words:
        assert word in lines[0]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline='') as file:
        return list(csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE))


@pytest.mark.slow
def test_every_stage_has_its_row_and_its_cost(ran: Path) -> None:
    for subject in ('01', '02'):
        rows = table(ran / f'out/sub-{subject}/sub-{subject}_carbon.tsv')
        assert sorted(row['stage'] for row in rows) == sorted(STAGES)
        for row in rows:
            assert row['outcome'] == 'ran'
            low, mid, high = (float(row[f'energy{end}']) for end in ('_low', '', '_high'))
            assert 0 < low < mid < high
            assert 0 < float(row['carbon_low']) < float(row['carbon']) < float(row['carbon_high'])
            # One core was reserved and libraries were held to it.
            assert float(row['cpu_time']) <= 1.1 * float(row['duration']) + 0.2
            assert float(row['reserved_cores']) == 1


@pytest.mark.slow
def test_the_sidecar_is_valid_and_balances(ran: Path) -> None:
    schema = json.loads((files('nicarbon') / 'data' / 'carbon.schema.json').read_text('utf-8'))
    for path in [*ran.glob('out/sub-*/*_carbon.json'), ran / 'out/group_carbon.json']:
        sidecar = json.loads(path.read_text('utf-8'))
        jsonschema.validate(sidecar, schema)
        (balance,) = sidecar['Balance']
        parts = [balance[f'{part}Joules'] for part in ('Nodes', 'Overhead', 'Unattributed')]
        assert sum(parts) == pytest.approx(balance['HostJoules'], rel=1e-3)
        assert min(parts) > 0
        assert sum(balance['BySubject'].values()) == pytest.approx(balance['NodesJoules'])
        assert sidecar['Footprint']['PUE'] == {'Value': 1.2, 'Origin': 'given'}
        assert sidecar['Footprint']['Intensity']['Zone'] == 'CA-QC'


@pytest.mark.slow
def test_the_group_adds_up_its_subjects(ran: Path) -> None:
    group = json.loads((ran / 'out/group_carbon.json').read_text('utf-8'))
    each = [json.loads(p.read_text('utf-8')) for p in ran.glob('out/sub-*/*_carbon.json')]
    assert len(table(ran / 'out/group_carbon.tsv')) == 2 * len(STAGES)
    total = sum(sidecar['Energy']['Joules'] for sidecar in each)
    assert group['Energy']['Joules'] == pytest.approx(total)
    assert group['Energy']['Joules'] == pytest.approx(group['Balance'][0]['NodesJoules'])


@pytest.mark.slow
def test_derivatives_are_there_and_brainlike(ran: Path) -> None:
    anat = ran / 'out/sub-02/anat'
    mask = nib.load(anat / 'sub-02_desc-brain_mask.nii.gz')
    litres = np.asarray(mask.dataobj).sum() * np.prod(mask.header.get_zooms()) / 1e6
    assert 1.0 < litres < 2.2
    dseg = np.asarray(nib.load(anat / 'sub-02_dseg.nii.gz').dataobj)
    assert set(np.unique(dseg)) == {0, 1, 2, 3}
    assert ((dseg > 0) == (np.asarray(mask.dataobj) > 0)).all()
    surface = nib.load(anat / 'sub-02_hemi-L_white.surf.gii')
    vertices, triangles = (array.data for array in surface.darrays)
    assert len(vertices) > 5000
    assert triangles.max() == len(vertices) - 1
    names = {row['name'] for row in table(anat / 'sub-02_desc-morphometry_stats.tsv')}
    assert {'brain_volume', 'gm_volume', 'left_white_area'} <= names


@pytest.mark.slow
def test_both_trees_are_valid_bids(ran: Path, heads: Path) -> None:
    """The derivative is spotless; the heads lack only what a scanner would have said."""
    for folder, known in (
        (heads, {'SIDECAR_KEY_RECOMMENDED', 'JSON_KEY_RECOMMENDED'}),
        (ran / 'out', set()),
    ):
        done = subprocess.run(
            [VALIDATOR, '--format', 'json', str(folder)], capture_output=True, text=True
        )
        assert done.returncode == 0
        report = json.loads(done.stdout)
        assert sorted(report['summary']['subjects']) == ['01', '02']
        issues = report['issues']['issues']
        assert {issue['code'] for issue in issues} <= known
        assert {issue['severity'] for issue in issues} <= {'warning'}


@pytest.mark.slow
def test_pages_are_one_offline_file_each(ran: Path) -> None:
    for page in ran.glob('out/*.html'):
        text = page.read_text('utf-8')
        assert not re.search(r'(src|href)=["\']?(https?:)?//(?!doi\.org)', text)
        assert 'CA-QC' in text
        assert len(text) < 1_500_000
    links = (ran / 'out/group_carbon.html').read_text('utf-8')
    assert 'sub-01.html' in links
    assert 'sub-02.html' in links


@pytest.mark.slow
def test_accounting_again_changes_grams_and_nothing_else(ran: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    shutil.copytree(ran / 'out', out)
    before = {row['stage']: row for row in table(out / 'sub-01/sub-01_carbon.tsv')}
    facts = [digest(folder) for folder in ledger.folders(out)]
    done = nicarbon('account', out, '--grid', 'FR', '--pue', '1.5', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = {row['stage']: row for row in table(out / 'sub-01/sub-01_carbon.tsv')}
    for stage, row in after.items():
        assert row['energy'] == before[stage]['energy']
        ratio = 56.039 * 1.5 / (31.234 * 1.2)
        assert float(row['carbon']) == pytest.approx(
            ratio * float(before[stage]['carbon']), rel=1e-4
        )
    assert [digest(folder) for folder in ledger.folders(out)] == facts
    assert 'intensity of FR' in (out / 'logs/CITATION.md').read_text('utf-8')
    assert '@article{tustison2010' in (out / 'logs/CITATION.bib').read_text('utf-8')
    again = json.loads((out / 'group_carbon.json').read_text('utf-8'))['Footprint']
    assert (again['Intensity']['Zone'], again['PUE']['Value']) == ('FR', 1.5)


def test_programs_have_a_table_that_adds_nothing(tmp_path: Path) -> None:
    entries = [entry._replace(session='1') for entry in report_data.recon_all()]
    for entry in entries:
        ledger.append(tmp_path / 'out/logs/run/ledger', entry)
    done = nicarbon('account', 'out', '--grid', 'FR', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    base = tmp_path / 'out/sub-01/ses-1/sub-01_ses-1'
    stages_ = {row['stage']: row for row in table(Path(f'{base}_carbon.tsv'))}
    rows = table(Path(f'{base}_desc-commands_carbon.tsv'))
    assert len(rows) == sum(len(entry.commands) for entry in entries)
    spent = defaultdict(float)
    for row in rows:
        spent[row['stage']] += float(row['energy'])
    for stage, joules in spent.items():
        assert 0 < joules <= float(stages_[stage]['energy']) * (1 + 1e-4)
    total = json.loads(Path(f'{base}_carbon.json').read_text('utf-8'))['Energy']['Joules']
    assert total == pytest.approx(sum(float(row['energy']) for row in stages_.values()), rel=1e-4)
    schema = json.loads((files('nicarbon') / 'data' / 'commands.schema.json').read_text('utf-8'))
    described = json.loads(Path(f'{base}_desc-commands_carbon.json').read_text('utf-8'))
    jsonschema.validate(described, schema)
    check = [VALIDATOR, '--format', 'json', str(tmp_path / 'out')]
    found = json.loads(subprocess.run(check, capture_output=True, text=True).stdout)
    assert {issue['code'] for issue in found['issues']['issues']} <= {'TOO_FEW_AUTHORS'}


@pytest.mark.slow
def test_a_second_run_resumes_and_is_charged_nothing(ran: Path, heads: Path) -> None:
    done = nicarbon(heads, 'out', 'participant', '--nprocs', '2', cwd=ran)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = table(ran / 'out/sub-01/sub-01_carbon.tsv')
    cached = [row for row in rows if row['outcome'] == 'cached']
    assert sorted(row['stage'] for row in cached) == sorted(STAGES)
    assert {row['energy'] for row in cached} == {'0'}
    assert sum(row['outcome'] == 'ran' for row in rows) == len(STAGES)
    # Outputs that are gone are saved again, and only they.
    (ran / 'out/sub-01/anat/sub-01_dseg.nii.gz').unlink()
    done = nicarbon(heads, 'out', 'participant', '--participant-label', '01', cwd=ran)
    assert done.returncode == 0, done.stderr
    rows = table(ran / 'out/sub-01/sub-01_carbon.tsv')
    assert [r['stage'] for r in rows if r['outcome'] == 'ran'].count('derivatives') == 2
    assert (ran / 'out/sub-01/anat/sub-01_dseg.nii.gz').exists()


@pytest.mark.slow
def test_bad_images_fail_alone(heads: Path, tmp_path: Path) -> None:
    """Truncated, 4-D and not an image at all: one line each; the good head is done."""
    raw = tmp_path / 'bids'
    shutil.copytree(heads, raw)
    good = raw / 'sub-01/anat/sub-01_T1w.nii.gz'
    content = good.read_bytes()
    shutil.rmtree(raw / 'sub-02')
    image = nib.load(good)
    four = np.repeat(np.asarray(image.dataobj)[..., None], 3, axis=3)
    for label in ('truncated', 'four', 'text'):
        (raw / f'sub-{label}/anat').mkdir(parents=True)
    (raw / 'sub-truncated/anat/sub-truncated_T1w.nii.gz').write_bytes(content[: len(content) // 2])
    nib.save(nib.Nifti1Image(four, image.affine), raw / 'sub-four/anat/sub-four_T1w.nii.gz')
    with gzip.open(raw / 'sub-text/anat/sub-text_T1w.nii.gz', 'wt') as file:
        file.write('not an image')
    done = nicarbon(raw, 'out', 'participant', cwd=tmp_path)
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith('failed: ')]
    assert len(failed) == 3
    for label in ('truncated', 'four', 'text'):
        (line,) = (line for line in failed if f'sub-{label} conform: ImageError: ' in line)
        assert f'sub-{label}_T1w.nii.gz' in line
        (row,) = table(tmp_path / f'out/sub-{label}/sub-{label}_carbon.tsv')
        assert row['outcome'] == 'failed'
        assert float(row['energy']) > 0
        assert f'sub-{label}_T1w' in (tmp_path / f'out/sub-{label}.html').read_text('utf-8')
    assert 'Traceback' not in done.stdout + done.stderr
    assert len(table(tmp_path / 'out/sub-01/sub-01_carbon.tsv')) == len(STAGES)
    assert len(list(tmp_path.glob('out/logs/*/crash-*.txt'))) == 3


@pytest.mark.slow
@pytest.mark.parametrize(('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_its_ledger_and_resumes(
    heads: Path, tmp_path: Path, number: int, code: int
) -> None:
    command = [NICARBON, str(heads), 'out', 'participant']
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        for line in run.stdout:
            if 'Conform' in line:
                break
        time.sleep(2.5)
        run.send_signal(number)
        rest = run.stdout.read()
        assert run.wait(60) == code
    assert 'the same command resumes' in rest
    (folder,) = ledger.folders(tmp_path / 'out')
    entries, warnings = ledger.read(folder)
    assert warnings == []
    assert {e.outcome for e in entries if e.kind == 'run'} == {'killed'}
    outcomes = {e.stage: e.outcome for e in entries if e.kind == 'node'}
    assert outcomes['conform'] == 'ran'
    assert 'killed' in outcomes.values()
    assert (tmp_path / 'out/sub-01.html').exists()
    done = nicarbon(heads, 'out', 'participant', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = table(tmp_path / 'out/sub-01/sub-01_carbon.tsv')
    assert {row['stage'] for row in rows if row['outcome'] == 'ran'} == set(STAGES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', str(folder)]
    if shutil.which('mount') is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('needs the right to mount a small disk')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


def test_no_space_to_work_in(heads: Path, tmp_path: Path, small_disk: Path) -> None:
    done = nicarbon(heads, 'out', 'participant', '-w', small_disk / 'work', cwd=tmp_path)
    one_line(done, 74, '--work-dir', 'MB free')


@pytest.mark.slow
def test_an_output_disk_that_fills_up(heads: Path, tmp_path: Path, small_disk: Path) -> None:
    """Derivatives do not fit: said in one line each; the ledger has what was measured."""
    (small_disk / 'ballast').write_bytes(bytes(22_000_000))
    done = nicarbon(heads, small_disk / 'out', 'participant', cwd=tmp_path)
    assert done.returncode == 74, done.stdout + done.stderr
    assert 'what was measured is in the ledger' in done.stderr.splitlines()[-1]
    assert 'Traceback' not in done.stdout + done.stderr
    entries, _ = ledger.read(*ledger.folders(small_disk / 'out'))
    ran = {(e.subject, e.stage) for e in entries if e.outcome == 'ran'}
    assert {('01', 'conform'), ('02', 'conform'), ('01', 'n4'), ('02', 'n4')} <= ran
    # With room, the same command goes on from there.
    (small_disk / 'ballast').unlink()
    shutil.move(small_disk / 'out', tmp_path / 'out')
    done = nicarbon(heads, 'out', 'participant', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'was there' in done.stdout


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A dataset of files that need not be images: nothing may be run on it."""
    raw = tmp_path / 'bids'
    (raw / 'sub-01/anat').mkdir(parents=True)
    (raw / 'sub-01/anat/sub-01_T1w.nii.gz').touch()
    (raw / 'sub-02/func').mkdir(parents=True)
    (raw / 'dataset_description.json').write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return raw


@pytest.mark.parametrize(
    ('words', 'code', 'said'),
    [
        (['nowhere', 'out', 'participant'], 66, ['nowhere', 'no such folder']),
        (['blank', 'out', 'participant'], 16, ['dataset_description.json']),
        (['bids', 'out', 'subject'], 17, ["'subject'", 'participant or group']),
        (['bids', 'out', 'participant', '--participant-label', '03'], 18, ['sub-03']),
        (['bids', 'out', 'participant', '--participant-label', '02'], 18, ['no T1w', 'sub-02']),
        (['bids', 'out', 'participant', '--participant-label', '../x'], 64, ['../x']),
        (['bids', 'out', 'participant', '--session-label', '9'], 18, ['no T1w']),
        (['bids', 'bids', 'participant'], 64, ['inside BIDS_DIR']),
        (['bids', 'bids/derivatives/n', 'participant'], 64, ['never written to']),
        (['bids', 'out', 'participant', '-w', 'bids/work'], 64, ['--work-dir']),
        (['bids', 'out', 'participant', '--grid', 'France'], 64, ['did you mean FR']),
        (['bids', 'out', 'participant', '--pue', '-1'], 64, ['--pue', '1 or more']),
        (['bids', 'out', 'participant', '--pue', 'x'], 64, ['--pue']),
        (['bids', 'out', 'participant', '--pue', '0'], 64, ['--pue']),
        (['bids', 'out', 'participant', '--pue', '12'], 64, ['--pue', '5 at most']),
        (['bids', 'out', 'participant', '--mem', '0'], 64, ['--mem']),
        (['bids', 'out', 'participant', '--mem', '1'], 64, ['--mem 1', 'needs']),
        (['bids', 'out', 'participant', '--nprocs', '1', '--omp-nthreads', '2'], 64, ['--omp']),
        (['bids', 'file/out', 'participant'], 73, ['file/out']),
        (['bids', 'out', 'participant', '-w', 'file/work'], 73, ['file/work']),
        (['bids', 'none', 'group'], 66, ['no such folder']),
        (['bids', 'blank', 'group'], 66, ['no ledger']),
        (['account', 'blank'], 66, ['no ledger']),
        (['bids', 'out', 'participant', '--gird', 'FR'], 2, ['--gird']),
        (['bids'], 2, ['OUT_DIR']),
        (['bids', 'out', 'participant', '--bids-filter-file', 'no.json'], 66, ['no.json']),
    ],
    ids=lambda value: ' '.join(value) if isinstance(value, list) else str(value),
)
def test_bad_input_gets_one_line(
    empty: Path, tmp_path: Path, words: list[str], code: int, said: list[str]
) -> None:
    (tmp_path / 'file').touch()
    (tmp_path / 'blank').mkdir()
    before = digest(empty)
    one_line(nicarbon(*words, cwd=tmp_path), code, *said)
    assert digest(empty) == before
    assert not (tmp_path / 'out').exists() or not any((tmp_path / 'out').rglob('*.html'))


def test_a_hostile_or_torn_output_folder(tmp_path: Path, make_entry) -> None:
    """Labels that would be paths are refused; torn records are passed over."""
    run = tmp_path / 'out/logs/1'
    (run / 'hosts').mkdir(parents=True)
    (run / 'hosts/h.json').touch()
    (run / 'config.toml').write_text('[options')
    window = Window(0.0, 1.0, 0.5, 1.0, (2.0,))
    ledger.append(run / 'ledger', make_entry((window,), subject='01<script>alert(1)</script>'))
    one_line(nicarbon('account', 'out', cwd=tmp_path), 64, 'is no BIDS label')
    shutil.rmtree(run / 'ledger')
    ledger.append(run / 'ledger', make_entry((window,), session='x/../../../../escaped'))
    one_line(nicarbon('account', 'out', cwd=tmp_path), 64, 'is no BIDS label')
    shutil.rmtree(run / 'ledger')
    ledger.append(run / 'ledger', make_entry((window,), error='<script>alert(1)</script>'))
    one_line(nicarbon('account', 'out', '--pue', '0', cwd=tmp_path), 64, '--pue 0')
    done = nicarbon('account', 'out', '--dry-run', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'sub-01.html' in done.stdout
    assert not (tmp_path / 'out/sub-01.html').exists()
    assert nicarbon('account', 'out', cwd=tmp_path).returncode == 0
    assert '<script>alert' not in (tmp_path / 'out/sub-01.html').read_text('utf-8')
    assert {path.name for path in tmp_path.iterdir()} == {'out'}


def test_sessions_are_one_participant(tmp_path: Path, make_entry) -> None:
    folder = tmp_path / 'out/logs/1/ledger'
    for session in ('pre', 'post'):
        window = Window(0.0, 10.0, 5.0, 10.0, (100.0,))
        ledger.append(folder, make_entry((window,), session=session))
    done = nicarbon('account', 'out', '--grid', '30', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for session in ('pre', 'post'):
        assert (tmp_path / f'out/sub-01/ses-{session}/sub-01_ses-{session}_carbon.tsv').exists()
    page = (tmp_path / 'out/group_carbon.html').read_text('utf-8')
    total = json.loads((tmp_path / 'out/group_carbon.json').read_text('utf-8'))['Energy']['Joules']
    assert total == pytest.approx(2 * (80 / 2 + 20 / 2))
    assert page.count('href="sub-01.html"') >= 1
    assert 'ses-pre' not in page.partition('id="who"')[2].partition('id="lost"')[0]
    assert '1 participant used 100 J' in page


def test_nodes_of_nobody_and_no_nodes(tmp_path: Path, make_entry) -> None:
    """A workflow without subjects has a page of stages; one without aware nodes an error."""
    window = Window(0.0, 10.0, 5.0, 10.0, (100.0,))
    ledger.append(tmp_path / 'out/logs/1/ledger', make_entry((window,), subject=''))
    assert nicarbon('account', 'out', '--grid', 'world', cwd=tmp_path).returncode == 0
    page = (tmp_path / 'out/group_carbon.html').read_text('utf-8')
    assert 'Processing 1 stage used' in page
    assert 'id="who"' not in page
    run = make_entry((window,), kind='run')
    ledger.append(tmp_path / 'none/logs/1/ledger', run)
    one_line(nicarbon('account', 'none', cwd=tmp_path), 66, 'no carbon-aware node')


def test_the_demo_leaves_a_dataset_of_yours_alone(empty: Path, tmp_path: Path) -> None:
    before = digest(empty)
    one_line(nicarbon('demo', tmp_path, cwd=tmp_path), 64, 'left alone')
    assert digest(empty) == before


def test_a_dry_run_lists_and_writes_nothing(empty: Path, tmp_path: Path) -> None:
    done = nicarbon(empty, 'out', 'participant', '--dry-run', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '1 session(s), 9 stages' in done.stdout
    for name in (*STAGES, 'sub-01_carbon.tsv', 'sub-01.html'):
        assert name in done.stdout
    assert not (tmp_path / 'out').exists()


def test_help_names_what_there_is(tmp_path: Path) -> None:
    done = nicarbon('--help', cwd=tmp_path)
    assert done.returncode == 0
    assert 'exit codes' in done.stdout
    assert nicarbon('--version', cwd=tmp_path).stdout.startswith('nicarbon 0.')
