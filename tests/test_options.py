"""Where an option comes from, and what happens to one that makes no sense."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import tomli_w

from nicarbon.cli.choice import choose, read_toml
from nicarbon.cli.commands import parser
from nicarbon.cli.options import Options
from nicarbon.errors import InputError, UsageError


def test_precedence(tmp_path: Path) -> None:
    config = tmp_path / 'c.toml'
    config.write_text('grid = "GB"\npue = 1.3\nnprocs = 3\n')
    environ = {'NICARBON_GRID': 'DE', 'NICARBON_MEM': '4GB', 'NICARBON_NPROCS': '9'}
    chosen = choose({'grid': 'FR', 'config_file': str(config)}, environ, ('run 1', {'pue': 1.9}))
    options, origins = chosen.options, chosen.origins
    assert (options.grid, origins['grid']) == ('FR', 'flag')
    assert (options.pue, origins['pue']) == (1.3, 'config file')
    assert (options.nprocs, origins['nprocs']) == (3, 'config file')
    assert (options.mem, origins['mem']) == (4.0, 'environment')
    assert (options.omp_nthreads, origins['omp_nthreads']) == (1, 'default')
    assert choose({}, {}, ('run 1', {'pue': 1.9})).origins['pue'] == 'run 1'


def test_the_record_of_a_run_is_a_config_file(tmp_path: Path) -> None:
    chosen = choose({'participant_label': ['sub-02', '01'], 'grid': 'CA-QC', 'pue': '1.2'}, {})
    path = tmp_path / 'config.toml'
    path.write_text(tomli_w.dumps(chosen.record()))
    assert read_toml(path)['origins']['grid'] == 'flag'
    again = choose({'config_file': str(path)}, {})
    assert again.options.participant_label == ('02', '01')
    assert (again.options.grid, again.options.pue) == ('CA-QC', 1.2)


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'nprocs': '0'}, '--nprocs (flag): 0 is not a number of 1 or more'),
        ({'nprocs': 'many'}, "--nprocs (flag): 'many' is not a number"),
        ({'mem': '-2'}, '--mem (flag): -2 is not an amount of memory'),
        ({'pipeline': 'spm'}, "--pipeline (flag): 'spm' is not one of auto, structural"),
        ({'participant_label': ['../../etc']}, "'../../etc' is no BIDS label"),
        ({'session_label': ['a b']}, 'is no BIDS label'),
    ],
)
def test_nonsense_names_the_option(given: dict, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(given, {})
    assert words in str(caught.value)


def test_a_bad_config_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no such file'):
        choose({'config_file': str(tmp_path / 'none')}, {})
    (tmp_path / 'bad').write_text('grid = ')
    with pytest.raises(UsageError, match='cannot be read as TOML'):
        choose({'config_file': str(tmp_path / 'bad')}, {})
    (tmp_path / 'odd').write_text('gird = "FR"')
    with pytest.raises(UsageError, match='no such option: gird'):
        choose({'config_file': str(tmp_path / 'odd')}, {})


def test_every_option_is_in_the_help() -> None:
    text = parser().format_help()
    for each in fields(Options):
        assert each.metadata['names'][0] in text
    assert '--participant_label' not in text  # accepted, for old wrappers, but not advertised
    assert parser().parse_args(['a', 'b', 'group', '--participant_label', '01'])
