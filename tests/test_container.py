"""What containers are made and called by agrees with the command; no engine is needed."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nicarbon import __version__
from nicarbon.cli.commands import parser
from nicarbon.cli.options import Options

ROOT = Path(__file__).parents[1]
APP = ROOT / 'bids_app'
DOCKERFILE = (ROOT / 'Dockerfile').read_text('utf-8')
BOSH = Path(sys.executable).with_name('bosh')

TARGETS = ('nicarbon', 'nicarbon-freesurfer', 'nicarbon-fastsurfer')


def stages() -> dict[str, tuple[str, list[str]]]:
    """Name of each stage, what it starts from, and its instructions, without comments."""
    text = re.sub(r'^#.*\n', '', DOCKERFILE, flags=re.MULTILINE).replace('\\\n', ' ')
    found: dict[str, tuple[str, list[str]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith('FROM '):
            _, base, _, name = line.split()
            found[name] = base, []
        elif found:
            found[name][1].append(line)
    return found


def instructions(target: str) -> list[str]:
    """Those of a stage, after those of the stages that it starts from."""
    base, own = stages()[target]
    return [*(instructions(base) if base in stages() else ()), *own]


def test_the_default_target_is_the_last() -> None:
    assert set(TARGETS) <= set(stages())
    assert list(stages())[-1] == 'nicarbon'


@pytest.mark.parametrize('target', TARGETS)
def test_every_target_is_run_by_nobody_in_particular(target: str) -> None:
    lines = instructions(target)
    assert [line for line in lines if line.startswith('USER ')][-1] == 'USER 1000:1000'
    assert [line for line in lines if line.startswith('ENTRYPOINT')] == ['ENTRYPOINT ["nicarbon"]']
    labels = ' '.join(line for line in lines if line.startswith('LABEL '))
    for name in ('title', 'description', 'version', 'revision', 'licenses'):
        assert f'org.opencontainers.image.{name}=' in labels


def test_the_label_of_the_version_is_the_version() -> None:
    assert re.findall(r'^ARG VERSION=(.*)$', DOCKERFILE, re.MULTILINE) == [__version__]


@pytest.mark.parametrize('tool', ['freesurfer', 'fastsurfer'])
def test_licences_are_left_where_they_are(tool: str) -> None:
    _, lines = stages()[tool]
    removed = ' '.join(line for line in lines if line.startswith('RUN rm'))
    assert re.findall(r'\S+/(license\.txt|\.license)\b', removed) == ['license.txt', '.license']
    assert 'FS_LICENSE' not in DOCKERFILE


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / '.dockerignore').read_text().split() if line[0] == '!'}
    for _, lines in stages().values():
        for line in lines:
            if line.startswith('COPY ') and '--from' not in line:
                for name in line.split()[1:-1]:
                    assert (ROOT / name).exists()
                    assert name.split('/')[0] in kept


def metadata() -> ConfigParser:
    found = ConfigParser()
    found.read(ROOT / 'setup.cfg', 'utf-8')
    return found


def test_the_image_installs_what_setup_cfg_asks_for() -> None:
    """In versions that it allows; ``pip check`` holds the rest when the image is built."""
    lines = (APP / 'requirements.txt').read_text('utf-8').splitlines()
    pins = [Requirement(line) for line in lines if line[:1] != '#']
    found = {pin.name: pin for pin in pins}
    assert list(found) == sorted(found)
    assert all(re.fullmatch(r'==[\w.]+', str(pin.specifier)) for pin in pins)
    told = metadata()
    asked = told['options']['install_requires'] + told['options.extras_require']['structural']
    for one in map(Requirement, filter(None, asked.splitlines())):
        if one.marker is None or one.marker.evaluate({'python_version': '3.11'}):
            pin = found[canonicalize_name(one.name)]
            assert one.specifier.contains(str(pin.specifier).removeprefix('==')), one


# ---- Boutiques ---------------------------------------------------------------------------


def bosh(*words: object, cwd: Path) -> str:
    done = subprocess.run(
        [BOSH, *map(str, words)],
        cwd=cwd,
        env={'PATH': str(BOSH.parent), 'HOME': str(cwd)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


DESCRIPTOR = APP / 'nicarbon.json'


def test_the_descriptor_is_the_table_of_options() -> None:
    made = runpy.run_path(str(APP / 'descriptor.py'))['descriptor']()
    assert made == json.loads(DESCRIPTOR.read_text('utf-8')), 'run bids_app/descriptor.py'
    assert made['tool-version'] == __version__
    flags = {one['id']: one.get('command-line-flag') for one in made['inputs']}
    assert list(flags)[3:] == list(Options.__dataclass_fields__)


def test_boutiques_takes_the_descriptor(tmp_path: Path) -> None:
    assert bosh('validate', DESCRIPTOR, cwd=tmp_path).strip() == 'OK'


def test_what_boutiques_makes_of_all_options_is_what_the_parser_takes(tmp_path: Path) -> None:
    given: dict[str, object] = {}
    for one in json.loads(DESCRIPTOR.read_text('utf-8'))['inputs']:
        value: object = {'Flag': True, 'Number': 2}.get(one['type'], 'text')
        value = one.get('value-choices', [value])[-1]
        given[one['id']] = [value, value] if one.get('list') else value
    (tmp_path / 'call.json').write_text(json.dumps(given))
    told = bosh('exec', 'simulate', '-i', 'call.json', DESCRIPTOR, cwd=tmp_path)
    words = shlex.split(told.strip().splitlines()[-1])
    assert words[0] == 'nicarbon'
    parsed = vars(parser().parse_args(words[1:]))
    assert set(parsed) == {'bids_dir', 'out_dir', 'level', *Options.__dataclass_fields__}
    assert parsed['level'] == 'group'
    assert parsed['participant_label'] == ['text', 'text']


def test_boutiques_runs_it(heads: Path, tmp_path: Path) -> None:
    call = {'bids_dir': str(heads), 'output_dir': 'out', 'analysis_level': 'participant'}
    call |= {'participant_label': ['02'], 'dry_run': True, 'nprocs': 1}
    (tmp_path / 'call.json').write_text(json.dumps(call))
    words = ('exec', 'launch', '--no-container', '--skip-data-collection')
    told = bosh(*words, DESCRIPTOR, 'call.json', cwd=tmp_path)
    assert '1 session(s), 9 stages' in told
    assert 'sub-02' in told
    assert 'sub-01' not in told


# ---- Apptainer, and the plain script ---------------------------------------------------------


def test_the_definition_starts_from_the_image() -> None:
    text = (APP / 'apptainer.def').read_text('utf-8')
    assert re.search(r'^Bootstrap: docker-archive\nFrom: nicarbon\.tar$', text, re.MULTILINE)
    assert 'exec nicarbon "$@"' in text
    assert 'apptainer run --cleanenv -B ' in text


def test_the_script_is_the_command() -> None:
    words = [sys.executable, str(APP / 'run.py'), '--version']
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout == f'nicarbon {__version__}\n'
