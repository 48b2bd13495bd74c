"""The stages of the pipelines that nicarbon knows, as data.

One TOML file per tool in ``nicarbon/data`` has one table per stage; a stage
with ``hemi = true`` is unfolded into its left and right half here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from .errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ['TOOLS', 'Stage', 'stages']

Hemi = Literal['', 'lh', 'rh']

TOOLS = ('structural',)
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
    hemi : {'', 'lh', 'rh'}
    needs, makes : tuple of str
        Files by their BIDS entities and suffix.
    cites : tuple of str
        DOIs.
    says : str
        Sentence for the methods section of a paper.
    """

    tool: str
    name: str
    title: str
    flag: str = ''
    hemi: Hemi = ''
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    says: str = ''


@cache
def stages(tool: str) -> tuple[Stage, ...]:
    """Stages of a pipeline, in order.

    Parameters
    ----------
    tool : {'structural'}

    Returns
    -------
    tuple of Stage

    Raises
    ------
    UsageError
        When there is no such table.

    Examples
    --------
    >>> [stage.name for stage in stages('structural')][:3]
    ['conform', 'n4', 'affine']
    >>> stages('spm')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: no stage table for 'spm': there is structural
    """
    if tool not in TOOLS:
        msg = f'no stage table for {tool!r}: there is {", ".join(TOOLS)}'
        raise UsageError(msg)
    table = tomllib.loads((files('nicarbon') / 'data' / f'{tool}.toml').read_text('utf-8'))
    return tuple(stage for row in table['stage'] for stage in _unfold(tool, row))


def _unfold(tool: str, row: dict[str, Any]) -> Iterator[Stage]:
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in row.items()
    }
    sides: tuple[Hemi, ...] = ('lh', 'rh') if values.pop('hemi', False) else ('',)
    for hemi in sides:
        yield Stage(tool=tool, hemi=hemi, **values)
