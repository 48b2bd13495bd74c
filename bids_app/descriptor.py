#!/usr/bin/env python3
"""Write nicarbon.json, the Boutiques descriptor: the command's own table of options, as JSON.

``python bids_app/descriptor.py`` after an option has changed; a test tells when.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from nicarbon import __version__
from nicarbon.cli.options import Options, switch
from nicarbon.errors import UsageError

FILE = Path(__file__).with_name('nicarbon.json')

FOLDERS: tuple[dict[str, Any], ...] = (
    {
        'id': 'bids_dir',
        'name': 'BIDS_DIR',
        'description': 'the dataset; never written to',
        'type': 'File',
        'value-key': '[BIDS_DIR]',
    },
    {
        'id': 'output_dir',
        'name': 'OUT_DIR',
        'description': 'folder of the results, a BIDS derivative',
        'type': 'File',
        'value-key': '[OUT_DIR]',
    },
    {
        'id': 'analysis_level',
        'name': 'LEVEL',
        'description': 'participant processes subjects, group reports on all of them',
        'type': 'String',
        'value-choices': ['participant', 'group'],
        'value-key': '[LEVEL]',
    },
)

OUTPUTS: tuple[dict[str, Any], ...] = (
    {
        'id': 'description',
        'name': 'The derivative that all results are in',
        'path-template': '[OUT_DIR]/dataset_description.json',
    },
    {
        'id': 'group_page',
        'name': 'Page of the dataset, of the level group',
        'path-template': '[OUT_DIR]/group_carbon.html',
        'optional': True,
    },
    {
        'id': 'group_table',
        'name': 'Table of the dataset, of the level group',
        'path-template': '[OUT_DIR]/group_carbon.tsv',
        'optional': True,
    },
)


def descriptor() -> dict[str, Any]:
    """All that Boutiques wants to know.

    Returns
    -------
    dict
        A descriptor of schema 0.5.
    """
    options = list(_options())
    keys = [one['value-key'] for one in (*FOLDERS, *options)]
    return {
        'name': 'nicarbon',
        'tool-version': __version__,
        'schema-version': '0.5',
        'description': 'What a neuroimaging pipeline costs the planet, stage by stage, '
        'truthfully: energy and CO2e of every stage, with intervals, as BIDS derivatives.',
        'author': 'The nicarbon developers',
        # Positions first: an option of many values would take them.
        'command-line': f'nicarbon {" ".join(keys)}',
        'container-image': {'type': 'docker', 'image': f'nicarbon:{__version__}'},
        'inputs': [*FOLDERS, *options],
        'output-files': list(OUTPUTS),
        'suggested-resources': {'cpu-cores': 1, 'ram': 4},
        'error-codes': [
            {'code': 1, 'description': 'some participant failed'},
            {'code': 2, 'description': 'an option that does not exist'},
            {'code': 16, 'description': 'BIDS_DIR is no BIDS dataset'},
            {'code': 18, 'description': 'the filters select nothing'},
        ],
        'tags': {'domain': ['neuroinformatics', 'mri'], 'bids-app': ['participant', 'group']},
    }


def _options() -> Iterator[dict[str, Any]]:
    for each in fields(Options):
        about = each.metadata
        flag = next(name for name in about['names'] if name.startswith('--'))
        made: dict[str, Any] = {
            'id': each.name,
            'name': flag,
            'description': about['help'],
            'type': _type(about['of'], each.name),
            'optional': True,
            'command-line-flag': flag,
            'value-key': f'[{each.name.upper()}]',
        }
        if made['type'] == 'Number':
            made['integer'] = about['of'] is not float and each.name != 'mem'
        if about['many']:
            made |= {'list': True, 'min-list-entries': 1}
        if about['choices']:
            made['value-choices'] = list(about['choices'])
        yield made


def _type(of: Callable[[str], Any], name: str) -> str:
    if of is switch or name == 'verbose':
        return 'Flag'
    if of is Path:
        return 'File'
    try:
        return 'Number' if isinstance(of('1'), (int, float)) else 'String'
    except (ValueError, UsageError):
        return 'String'


if __name__ == '__main__':
    FILE.write_text(json.dumps(descriptor(), indent=2) + '\n', 'utf-8')
