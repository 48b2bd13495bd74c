"""The stages of the pipelines that nicarbon knows, as data.

One TOML file per tool in ``nicarbon/data`` has one table per stage; a stage
with ``hemi = true`` is unfolded into its left and right half here. Where versions of a
tool differ, the file lists the order of each version, and rows that stand for some
versions only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from .errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    'HEMIS',
    'TOOLS',
    'TOOL_NAMES',
    'Hemi',
    'Stage',
    'Version',
    'every',
    'find_stage',
    'parts',
    'stages',
    'variants',
    'versions',
    'with_parts',
    'words',
]

Hemi = Literal['', 'lh', 'rh']

Version = int | str
"""As far as stages depend on it: ``7`` of FreeSurfer 7.4.1, ``2.3`` of FastSurfer 2.3.0."""

HEMIS: tuple[Hemi, ...] = ('lh', 'rh')
"""FreeSurfer's names of the left and the right hemisphere."""

TOOL_NAMES = {'structural': 'structural', 'freesurfer': 'FreeSurfer', 'fastsurfer': 'FastSurfer'}
"""What people call the pipelines."""

TOOLS = tuple(TOOL_NAMES)
"""Pipelines with a stage table."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline.

    Parameters
    ----------
    tool : str
        ``structural``, ``freesurfer``, ``fastsurfer``.
    name : str
        The tool's own name for it.
    title : str
        The same for people.
    flag : str
        Command-line flag that runs it; empty for Python stages.
    always : tuple of str
        Flags that every call of the version is given, before its own.
    hemi : {'', 'lh', 'rh'}
    group : str
        Directive that it belongs to, such as ``autorecon1``.
    needs, makes : tuple of str
        Files: by BIDS entities and suffix, or by the names that :meth:`path` knows.
    leaves : tuple of str
        Files that it makes unless they are there, and takes for whole then.
    touch : str
        File of the subject's ``touch`` folder that tells that it is through.
    also : tuple of str
        Further stages that the tool runs with it, whether asked to or not.
    markers : tuple of str
        What the tool's log prints when a part of it begins; of parts, a regular
        expression.
    binaries : tuple of str
        Programs that it runs.
    expert : str
        A line of expert options that it cannot do without.
    program : str
        What is called, below the tool's own folder; empty where ``flag`` says it all.
    arguments : tuple of str
        What the program is given; names in braces stand for files and settings.
    gpu : bool
        Whether it can use a GPU.
    threads : bool
        Whether any of its programs uses more than one.
    memory_gb : float
        Memory to reserve, in GB.
    cites : tuple of str
        DOIs.
    says : str
        Sentence for the methods section of a paper.

    Examples
    --------
    >>> smooth = next(stage for stage in stages('freesurfer') if stage.name == 'smooth1')
    >>> smooth.key, smooth.flag, smooth.makes
    ('smooth1_lh', '-smooth1', ('smoothwm_nofix',))
    >>> smooth.path('smoothwm_nofix')
    'surf/lh.smoothwm.nofix'
    """

    tool: str
    name: str
    title: str
    flag: str = ''
    always: tuple[str, ...] = ()
    hemi: Hemi = ''
    group: str = ''
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    touch: str = ''
    also: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    expert: str = ''
    program: str = ''
    arguments: tuple[str, ...] = ()
    gpu: bool = False
    threads: bool = False
    memory_gb: float = 1.0
    cites: tuple[str, ...] = ()
    says: str = ''

    @property
    def key(self) -> str:
        """What tells it from all other stages of its tool."""
        return f'{self.name}_{self.hemi}' if self.hemi else self.name

    @property
    def label(self) -> str:
        """Its title, with the hemisphere."""
        return f'{self.title} {self.hemi}'.rstrip()

    def path(self, name: str) -> str:
        """Where a file is, below the subject's folder.

        Parameters
        ----------
        name : str
            One of ``needs`` or ``makes``.

        Returns
        -------
        str
        """
        known = _table(self.tool)['files']
        if name in known:
            return str(known[name].format(hemi=self.hemi))
        hemi, _, rest = name.partition('_')
        return str(known[rest].format(hemi=hemi))


def versions(tool: str) -> tuple[str, ...]:
    """Versions of a tool whose stages are known, oldest first.

    Parameters
    ----------
    tool : {'structural', 'freesurfer', 'fastsurfer'}

    Returns
    -------
    tuple of str
        Empty where versions do not differ.

    Examples
    --------
    >>> versions('structural'), versions('freesurfer')
    ((), ('6', '7', '8'))
    """
    known = _table(tool).get('order', ())
    return tuple(sorted(known, key=lambda version: [int(part) for part in version.split('.')]))


@cache
def stages(tool: str, version: Version | None = None) -> tuple[Stage, ...]:
    """Stages of a pipeline, in order.

    Parameters
    ----------
    tool : {'structural', 'freesurfer', 'fastsurfer'}
    version : int or str, optional
        The newest that is known by default.

    Returns
    -------
    tuple of Stage

    Raises
    ------
    UsageError
        When there is no such table, or the version is not in it.

    Examples
    --------
    >>> [stage.name for stage in stages('structural')][:3]
    ['conform', 'n4', 'affine']
    >>> stages('spm')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: no stage table for 'spm': there is structural, freesurfer, fastsurfer
    """
    known = versions(tool)
    if not known:
        return tuple(stage for row in _table(tool)['stage'] for stage in _unfold(tool, row))
    version = known[-1] if version is None else str(version)
    if version not in known:
        raise UsageError(f'no stages of {tool} {version}: those of {", ".join(known)} are known')
    table = _table(tool)
    always = table.get('always', {}).get(version, [])
    rows = (_row(tool, name, version) for name in table['order'][version])
    return tuple(stage for row in rows for stage in _unfold(tool, {**row, 'always': always}))


def every(version: Mapping[str, Version] = MappingProxyType({})) -> tuple[Stage, ...]:
    """Stages of all pipelines, each with its parts; no two have the same key.

    Parameters
    ----------
    version : mapping of {str : int or str}
        Versions by tool; the newest that is known where none is given.

    Returns
    -------
    tuple of Stage
    """
    return with_parts(stage for tool in TOOLS for stage in stages(tool, version.get(tool)))


def with_parts(table: Iterable[Stage]) -> tuple[Stage, ...]:
    """Stages, each followed by its parts.

    Parameters
    ----------
    table : iterable of Stage

    Returns
    -------
    tuple of Stage

    Examples
    --------
    >>> asegdkt = stages('fastsurfer', '2.3')[:1]
    >>> [stage.title for stage in with_parts(asegdkt)][:2]
    ['FastSurferVINN', 'coronal network']
    """
    return tuple(each for stage in table for each in (stage, *parts(stage.tool, stage.name)))


@cache
def parts(tool: str, name: str) -> tuple[Stage, ...]:
    """What the output of a stage tells apart while it runs, in order.

    Parameters
    ----------
    tool, name : str
        Of the stage.

    Returns
    -------
    tuple of Stage
        Named ``<stage>.<part>``; their markers are regular expressions.

    Examples
    --------
    >>> [part.key for part in parts('fastsurfer', 'asegdkt')]
    ['asegdkt.coronal', 'asegdkt.sagittal', 'asegdkt.axial', 'asegdkt.labels']
    """
    rows = [row for row in _table(tool).get('part', ()) if row['of'] == name]
    return tuple(part for row in rows for part in _parts(tool, name, row))


def _parts(tool: str, name: str, row: Mapping[str, Any]) -> Iterator[Stage]:
    """Of one row: a part, or stages of recon-all that run within the stage."""
    hemis = HEMIS if row.get('hemi') else ('',)
    if 'recon_all' not in row:
        for hemi in hemis:
            marker = row['marker'].replace('{hemi}', hemi)
            yield Stage(tool, f'{name}.{row["name"]}', row['title'], hemi=hemi, markers=(marker,))
    for inner in row.get('recon_all', ()):
        titles = dict.fromkeys(stage.title for stage in variants('freesurfer', inner))
        told = '|'.join(map(re.escape, titles))
        for hemi in hemis:
            marker = f'#@# +(?:{told}) +{hemi}.*\\d\\d:\\d\\d:\\d\\d'
            yield Stage(tool, f'{name}.{inner}', next(iter(titles)), hemi=hemi, markers=(marker,))


def flags_of_many(tool: str, version: Version) -> tuple[str, ...]:
    """Flags of a call that runs many stages at once, before its own.

    Parameters
    ----------
    tool : str
    version : int or str.

    Returns
    -------
    tuple of str
    """
    return tuple(_table(tool).get('many', {}).get(str(version), ()))


def words(tool: str, name: str) -> tuple[str, ...]:
    """A list of words that arguments of stages name.

    Parameters
    ----------
    tool, name : str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> words('fastsurfer', 'ids')[:3]
    ('2', '4', '5')
    """
    return tuple(_table(tool)['words'][name].split())


def find_stage(tool: str, name: str, hemi: str = '', version: Version | None = None) -> Stage:
    """One stage of a version.

    Parameters
    ----------
    tool, name : str
    hemi : {'', 'lh', 'rh'}
        The left one is found where none is given.
    version : int or str, optional
        The newest that is known by default.

    Returns
    -------
    Stage
        Also one that runs as a part of another unless somebody asks for it alone.

    Raises
    ------
    UsageError
        When that version has no such stage.

    Examples
    --------
    >>> find_stage('freesurfer', 'white', version=6).title
    'Make White Surf'
    >>> find_stage('freesurfer', 'white-preaparc', version=6)
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: freesurfer 6 has no stage white-preaparc
    """
    whole = stages(tool, version)
    parts = {part for stage in whole for part in stage.also}
    extra = [stage for part in parts for stage in variants(tool, part)]
    for stage in (*whole, *extra):
        if stage.name == name and (not hemi or stage.hemi == hemi):
            return stage
    raise UsageError(f'{tool} {version or ""} has no stage {name}'.replace('  ', ' '))


@cache
def variants(tool: str, name: str) -> tuple[Stage, ...]:
    """What a stage is in the versions of a tool, of a stage of both hemispheres the left.

    Parameters
    ----------
    tool, name : str

    Returns
    -------
    tuple of Stage
        The newest first; empty when there is no such stage.
    """
    rows = [row for row in _table(tool)['stage'] if row['name'] == name]
    return tuple(next(_unfold(tool, row)) for row in rows)


@cache
def _table(tool: str) -> dict[str, Any]:
    if tool not in TOOLS:
        msg = f'no stage table for {tool!r}: there is {", ".join(TOOLS)}'
        raise UsageError(msg)
    return tomllib.loads((files('nicarbon') / 'data' / f'{tool}.toml').read_text('utf-8'))


def _row(tool: str, name: str, version: str) -> dict[str, Any]:
    """That of this version, or else that of all."""
    rows = [row for row in _table(tool)['stage'] if row['name'] == name]
    ours = [row for row in rows if version in map(str, row.get('versions', ()))]
    return next(iter(ours or [row for row in rows if 'versions' not in row]))


def _unfold(tool: str, row: dict[str, Any]) -> Iterator[Stage]:
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in row.items() if key != 'versions'
    }
    both = values.pop('hemi', False)
    if not both:
        known = _table(tool).get('files', {})
        for field in ('needs', 'makes', 'leaves'):
            names = values.get(field, ())
            values[field] = tuple(one for name in names for one in _sides(name, known))
    touch = values.pop('touch', '')
    for hemi in HEMIS if both else ('',):
        yield Stage(tool=tool, hemi=hemi, touch=touch.format(hemi=hemi), **values)


def _sides(name: str, known: dict[str, str]) -> tuple[str, ...]:
    """Of a file that is there once for each hemisphere, both."""
    paired = '{hemi}' in known.get(name, '')
    return tuple(f'{hemi}_{name}' for hemi in HEMIS) if paired else (name,)
