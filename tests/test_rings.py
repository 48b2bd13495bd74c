"""Who may import whom: the table of docs/design.md, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / 'nicarbon'

VALUES = {'entry', 'series', 'errors', 'stage', 'ledger', 'quantity', 'timeline', 'charge'}
VALUES |= {'overhead', 'complete', 'split', 'share', 'account', 'summary', 'programs'}
VALUES |= {'complexity'}
VALUES |= {'gpu', 'line', 'nesting', 'phases', 'pieces', 'sights', 'spread'}
SEEING = {'checkpoint', 'sampler', 'entry', 'series', 'errors', 'ledger', 'host', 'meters'}
SEEING |= {'cputime', 'job'}
SEEING |= {'watch'}

MAY_IMPORT: dict[str, set[str]] = {
    '__init__': {'account', 'aware', 'entry', 'errors', 'run'},
    '__main__': {'cli'},
    'errors': set(),
    'kernel': set(),
    'files': set(),
    'quantity': set(),
    'entry': {'errors'},
    'series': {'entry'},
    'nesting': {'entry'},
    'pieces': {'entry', 'series'},
    'stage': {'errors'},
    'entity': {'errors'},
    'ledger': {'entry', 'errors', 'series'},
    'checkpoint': {'entry', 'ledger'},
    'processor': {'errors', 'kernel'},
    'hardware': {'errors', 'host', 'processor'},
    'host': {'entry', 'errors', 'files', 'kernel', 'processor'},
    'meters': {'container', 'entry', 'errors', 'host', 'kernel'},
    'burn': set(),
    'calibration': {'burn', 'entry', 'errors', 'files', 'host', 'limits', 'meters'},
    'container': {'kernel'},
    'limits': {'cgroup', 'kernel'},
    'surroundings': {'calibration', 'cgroup', 'host', 'kernel'},
    'doctor': SEEING | {'calibration', 'container', 'files', 'limits', 'surroundings'},
    'cputime': {'kernel'},
    'cgroup': {'cputime', 'errors'},
    'sampler': set(),
    'job': set(),
    'slurm': {'entity', 'errors', 'entry'},
    'watch': SEEING,
    'run': SEEING,
    'aware': {'entity', 'errors', 'run', 'watch'},
    'instrument': {'aware', 'errors', 'run'},
    'hook': {'instrument'},
    'command': {'errors'},
    'anatomy': {'errors'},
    'freesurfer': {'cputime', 'errors', 'stage'},
    'fastsurfer': {'errors', 'freesurfer', 'stage', 'torch_probe'},
    'torch_probe': {'errors'},
    'progress': {'errors', 'stage'},
    'probes': set(),
    'complexity': {'errors'},
    'readers': {'entry', 'errors', 'host', 'quantity', 'series', 'stage'},
    'claims': {'entry', 'series', 'share'},
    # Its own process (around) does what exec does.
    'rivals': {
        'account',
        'command',
        'entry',
        'errors',
        'files',
        'host',
        'meters',
        'run',
        'watch',
    },
    'interfaces': {
        'anatomy',
        'aware',
        'bids',
        'errors',
        'fastsurfer',
        'freesurfer',
        'progress',
        'readers',
        'report',
        'run',
        'stage',
    },
    'workflows': {'errors', 'stage', 'aware', 'fastsurfer', 'freesurfer', 'interfaces', 'bids'},
    'timeline': {'entry', 'errors', 'series'},
    'charge': {'entry', 'errors'},
    'gpu': {'charge'},
    'overhead': {'entry', 'nesting', 'charge'},
    'complete': {'charge', 'entry', 'series', 'timeline'},
    'split': {'account', 'charge', 'complete', 'entry', 'gpu', 'overhead', 'timeline'},
    'share': {'entry', 'errors', 'gpu', 'nesting', 'timeline', 'split'},
    'account': {'entry', 'errors', 'quantity'},
    'line': {'account', 'share'},
    'sights': {'entry'},
    'spread': set(),
    'summary': {'account', 'entry', 'line', 'phases', 'series', 'share', 'sights', 'spread'},
    'digest': {
        'account',
        'entry',
        'host',
        'ledger',
        'nesting',
        'phases',
        'pieces',
        'series',
        'share',
        'sights',
        'split',
    },
    'columns': {'account', 'digest', 'quantity', 'sidecar'},
    'sums': {'account', 'columns', 'digest', 'entry', 'phases', 'share', 'summary'},
    'cohort': VALUES | {'columns', 'digest', 'sums'},
    'waste': {'account', 'spread'},
    'devices': {'account', 'cohort', 'columns', 'digest', 'spread', 'stage', 'sums', 'waste'},
    'findings': {'account', 'cohort', 'columns', 'summary', 'sums', 'waste'},
    'advice': {'account', 'quantity', 'scenario', 'spread', 'stage', 'summary', 'waste'},
    'grids': {'errors', 'account'},
    'layout': set(),
    'listing': {'entity'},
    'bids': {'entity', 'entry', 'errors', 'layout', 'listing', 'stage', 'account'},
    'scenario': {'account', 'complexity', 'errors', 'quantity', 'summary'},
    'phases': {'account', 'gpu', 'line', 'share', 'split'},
    'trends': {'complexity', 'errors'},
    'programs': {'charge', 'entry', 'series', 'share'},
    'sidecar': {
        'account',
        'complexity',
        'entry',
        'host',
        'phases',
        'programs',
        'share',
        'summary',
    },
    'exports': {'account', 'errors', 'host', 'quantity', 'stage'},
    'repeats': set(),
    'report': VALUES | {'advice', 'bids', 'repeats', 'rivals', 'scenario', 'host', 'waste'},
    'demo': {'errors', 'anatomy'},
    'cli': {'*'},
}

ALONE: dict[str, set[str]] = {
    'nipype': {'aware', 'instrument', 'interfaces', 'workflows', 'cli'},
    'polars': {'cli', 'cohort', 'columns', 'devices', 'findings', 'sums'},
    'psutil': {'meters', 'cputime', 'cli'},
    'pynvml': {'meters'},
    'codecarbon': {'exports', 'grids', 'processor', 'rivals'},
    'bids': {'bids', 'layout'},
    'jinja2': {'report'},
    'SimpleITK': {'anatomy', 'demo'},
    'dipy': {'anatomy'},
    'nilearn': {'anatomy', 'demo'},
    'requests': {'grids'},
    'urllib.request': {'grids'},
    'http': {'grids'},
    'socket': set(),
    'torch': {'probes'},
    'ptflops': {'probes'},
}


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob('*.py'))


def _ring(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def _imports(path: Path) -> tuple[set[str], set[str]]:
    """Rings of the package, and foreign packages, that a module imports anywhere."""
    here = ('nicarbon', *path.relative_to(PACKAGE).parts[:-1])
    own, foreign = set(), set()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level + 1]) if node.level else []
            module = '.'.join([*base, *(node.module or '').split('.')]).rstrip('.')
            # ``from . import ledger`` names modules, ``from .entry import read`` does not.
            names = [f'{module}.{a.name}' if module == 'nicarbon' else module for a in node.names]
        else:
            continue
        for name in names:
            parts = name.split('.')
            if parts[0] != 'nicarbon':
                foreign |= {parts[0], '.'.join(parts[:2])}
            elif len(parts) > 1:
                own.add(parts[1])
    return own, foreign


@pytest.mark.parametrize('path', _modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_inward(path: Path) -> None:
    own, foreign = _imports(path)
    ring = _ring(path)
    rings = {p.stem if p.suffix else p.name for p in PACKAGE.iterdir()}
    allowed = MAY_IMPORT[ring]
    if '*' not in allowed:
        assert (own & rings) - {ring} <= allowed
    for name in foreign & set(ALONE):
        assert ring in ALONE[name], f'{name} belongs to {ALONE[name]}'


def test_every_module_has_its_line() -> None:
    assert {_ring(path) for path in _modules()} <= set(MAY_IMPORT)


def test_modules_and_functions_stay_small() -> None:
    for path in _modules():
        text = path.read_text('utf-8')
        assert text.count('\n') <= 450, f'{path.name} has grown: split it'
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
                length = node.end_lineno - (node.body[0].end_lineno or 0)
                assert length <= 60, f'{path.name}: {node.name} has grown'
