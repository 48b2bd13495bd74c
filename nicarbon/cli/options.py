"""Options: one frozen value, made of flags, a file, the environment and defaults.

Each option is declared once, in :class:`Options`; the parser, the environment
variables (``NICARBON_<NAME>``), the configuration file and ``config.toml`` of a
run follow from that. Precedence: flag, ``--config-file``, environment, what an
earlier run in the same output folder used, default.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..entity import label
from ..errors import InputError, NicarbonError, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ['Chosen', 'Options', 'Parser', 'choose', 'explain', 'flags', 'read_toml', 'version']


def _option(
    *names: str,
    group: str,
    help: str,  # noqa: A002 - argparse's word
    default: Any = None,
    of: Callable[[str], Any] = str,
    metavar: str | None = None,
    many: bool = False,
    choices: Sequence[str] | None = None,
) -> Any:
    return field(
        default=default,
        metadata={
            'names': names,
            'group': group,
            'help': help,
            'of': of,
            'metavar': metavar,
            'many': many,
            'choices': choices,
        },
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise UsageError(f'{text} is not a number of 1 or more')
    return number


def _gigabytes(text: str) -> float:
    number = float(text.upper().removesuffix('GB').removesuffix('G'))
    if not number > 0:
        raise UsageError(f'{text} is not an amount of memory in GB')
    return number


def _switch(text: str) -> bool:
    words = {'1': True, 'true': True, 'yes': True, '0': False, 'false': False, 'no': False}
    if text.lower() not in words:
        raise UsageError(f'{text!r} is neither true nor false')
    return words[text.lower()]


WHAT = 'what to process'
HOW = 'how to run'
CARBON = 'energy and carbon'
WORK = 'work folder and reports'


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is told; see ``nicarbon --help`` for the meaning of each."""

    participant_label: tuple[str, ...] = _option(
        '--participant-label',
        '--participant_label',
        group=WHAT,
        help='subjects to process, with or without "sub-"; all by default',
        default=(),
        many=True,
        of=lambda text: label(text, 'sub'),
        metavar='LABEL',
    )
    session_label: tuple[str, ...] = _option(
        '--session-label',
        '--session_label',
        group=WHAT,
        help='sessions to process, with or without "ses-"; all by default',
        default=(),
        many=True,
        of=lambda text: label(text, 'ses'),
        metavar='LABEL',
    )
    bids_filter_file: Path | None = _option(
        '--bids-filter-file',
        group=WHAT,
        help='JSON file that selects images, {"t1w": {"acquisition": "mprage"}}',
        of=Path,
        metavar='FILE',
    )
    skip_bids_validation: bool = _option(
        '--skip-bids-validation',
        group=WHAT,
        help='do not look at dataset_description.json',
        default=False,
        of=_switch,
    )
    pipeline: str = _option(
        '--pipeline',
        group=WHAT,
        help='pipeline to run; auto takes the structural one',
        default='auto',
        choices=('auto', 'structural'),
    )
    dry_run: bool = _option(
        '--dry-run',
        group=WHAT,
        help='list subjects, stages and outputs, and stop',
        default=False,
        of=_switch,
    )
    nprocs: int | None = _option(
        '--nprocs',
        '--n-cpus',
        group=HOW,
        help='cores to use at most; all by default',
        of=_count,
        metavar='N',
    )
    omp_nthreads: int = _option(
        '--omp-nthreads',
        group=HOW,
        help='cores for one stage at most',
        default=1,
        of=_count,
        metavar='N',
    )
    mem: float | None = _option(
        '--mem',
        '--mem-gb',
        group=HOW,
        help='memory to use at most, in GB; nine tenths of all by default',
        of=_gigabytes,
        metavar='GB',
    )
    stop_on_first_crash: bool = _option(
        '--stop-on-first-crash',
        group=HOW,
        help='stop everything when one stage fails; by default the other subjects go on',
        default=False,
        of=_switch,
    )
    grid: str | None = _option(
        '--grid',
        group=CARBON,
        help='zone of the electricity (FR, CA-QC, US-CA, SE3) or grams of CO2e per kWh; '
        'by default the world average, marked as assumed',
        metavar='ZONE|G_PER_KWH',
    )
    pue: float | None = _option(
        '--pue',
        group=CARBON,
        help='power usage effectiveness of the computing centre, 1 or more; '
        'by default the energy of the computers alone is counted',
        of=float,
        metavar='PUE',
    )
    work_dir: Path = _option(
        '-w',
        '--work-dir',
        group=WORK,
        help='folder for intermediate results, from which a run resumes',
        default=Path('work'),
        of=Path,
        metavar='DIR',
    )
    clean_workdir: bool = _option(
        '--clean-workdir',
        group=WORK,
        help='empty the work folder of this pipeline first: everything runs anew',
        default=False,
        of=_switch,
    )
    reports_only: bool = _option(
        '--reports-only',
        group=WORK,
        help='run nothing; write tables and pages from the ledger',
        default=False,
        of=_switch,
    )
    write_graph: bool = _option(
        '--write-graph',
        group=WORK,
        help='draw the workflow into the log folder (needs graphviz for the picture)',
        default=False,
        of=_switch,
    )
    config_file: Path | None = _option(
        '--config-file',
        group=WORK,
        help='TOML file with any of these options, spelled with underscores',
        of=Path,
        metavar='FILE',
    )
    verbose: int = _option(
        '-v',
        '--verbose',
        group=WORK,
        help="show Nipype's own messages too; -vv for all of them",
        default=0,
        of=int,
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """Options, and where each came from.

    Parameters
    ----------
    options : Options
    origins : mapping of {str : str}
        ``flag``, ``config file``, ``environment``, ``run <id>`` or ``default``.
    """

    options: Options
    origins: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        """What ``config.toml`` keeps: values and origins, as plain TOML."""
        values = {
            name: _toml(getattr(self.options, name))
            for name in self.origins
            if getattr(self.options, name) is not None
        }
        return {'options': values, 'origins': dict(self.origins)}


def _toml(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line; options are spelled out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{'allow_abbrev': False, **options})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, and exit with 2."""
        self.exit(2, f'{self.prog}: error: {message} (see {self.prog} --help)\n')


def flags(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of some options to a parser; what is not given stays unset.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    *names : str
        Fields of :class:`Options`; all when empty.
    """
    groups: dict[str, Any] = {}
    for each in fields(Options):
        if names and each.name not in names:
            continue
        about = each.metadata
        group = groups.get(about['group']) or parser.add_argument_group(about['group'])
        groups[about['group']] = group
        extra: dict[str, Any] = {'dest': each.name, 'default': argparse.SUPPRESS}
        if about['of'] is _switch:
            extra['action'] = 'store_true'
        elif each.name == 'verbose':
            extra['action'] = 'count'
        else:
            extra |= {'metavar': about['metavar'], 'choices': about['choices']}
            extra['nargs'] = '+' if about['many'] else None
        shown = [name for name in about['names'] if '_' not in name]
        group.add_argument(*shown, help=_help(each), **extra)
        hidden = [name for name in about['names'] if '_' in name]
        if hidden:
            group.add_argument(*hidden, help=argparse.SUPPRESS, **extra)


def _help(each: Any) -> str:
    if each.default in (None, False, (), 0):
        return str(each.metadata['help'])
    return f'{each.metadata["help"]} (default: {each.default})'


def choose(
    given: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    earlier: tuple[str, Mapping[str, Any]] = ('', {}),
) -> Chosen:
    """Settle every option.

    Parameters
    ----------
    given : mapping
        Flags as text, as argparse found them; absent when not given.
    environ : mapping
        Environment variables.
    earlier : (str, mapping)
        Name and options of an earlier run whose choices are kept.

    Returns
    -------
    Chosen

    Raises
    ------
    UsageError
        When a value makes no sense; names the option and where it came from.

    Examples
    --------
    >>> chosen = choose({'grid': 'FR'}, {'NICARBON_NPROCS': '4', 'NICARBON_GRID': 'GB'})
    >>> chosen.options.grid, chosen.options.nprocs, chosen.origins['nprocs']
    ('FR', 4, 'environment')
    >>> choose({'nprocs': '0'}, {})
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: --nprocs (flag): 0 is not a number of 1 or more
    """
    config = _config(given.get('config_file') or environ.get('NICARBON_CONFIG_FILE'))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for each in fields(Options):
        sources = (
            ('flag', given),
            ('config file', config),
            ('environment', {each.name: environ.get(f'NICARBON_{each.name.upper()}')}),
            earlier,
        )
        hit = next(((o, s[each.name]) for o, s in sources if s.get(each.name) is not None), None)
        origins[each.name] = hit[0] if hit else 'default'
        if hit:
            values[each.name] = _value(each, hit[1], hit[0])
    return Chosen(Options(**values), origins)


def _value(each: Any, raw: Any, origin: str) -> Any:
    """One option's value from text (or from TOML), checked."""
    about = each.metadata
    try:
        if about['many']:
            items = raw if isinstance(raw, list | tuple) else str(raw).replace(',', ' ').split()
            return tuple(about['of'](str(item)) for item in items)
        value = raw if isinstance(raw, bool) else about['of'](str(raw))
    except UsageError as error:
        raise UsageError(f'{about["names"][0]} ({origin}): {error}') from None
    except ValueError:
        raise UsageError(f'{about["names"][0]} ({origin}): {raw!r} is not a number') from None
    if about['choices'] and value not in about['choices']:
        known = ', '.join(about['choices'])
        raise UsageError(f'{about["names"][0]} ({origin}): {value!r} is not one of {known}')
    return value


def _config(path: str | Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        content = read_toml(Path(path))
    except FileNotFoundError:
        raise InputError(f'--config-file {path}: no such file') from None
    except (OSError, ValueError) as error:
        raise UsageError(f'--config-file {path}: cannot be read as TOML ({error})') from None
    options = content.get('options', content)
    if not isinstance(options, dict):
        raise UsageError(f'--config-file {path}: options must be a table')
    unknown = sorted(set(options) - {each.name for each in fields(Options)})
    if unknown:
        raise UsageError(f'--config-file {path}: no such option: {", ".join(unknown)}')
    return options


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file."""
    return tomllib.loads(path.read_text('utf-8'))


def version() -> str:
    """What ``--version`` prints."""
    return f'nicarbon {__version__}'


def explain(error: NicarbonError) -> str:
    """An error as the command prints it: one line."""
    return f'nicarbon: error: {" ".join(str(error).split())}'
