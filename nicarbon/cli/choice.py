"""Settle the options of a run: flags, a file, the environment and defaults.

Precedence: flag, ``--config-file``, environment, what an earlier run in the same output
folder used, default.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..errors import InputError, NicarbonError, UsageError
from .options import Options, switch

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ['Chosen', 'Parser', 'choose', 'explain', 'flags', 'read_toml', 'version']


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
        if about['of'] is switch:
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
