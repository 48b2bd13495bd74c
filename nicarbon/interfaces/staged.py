"""What interfaces of stages share: inputs and outputs as the stage table names them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nipype.interfaces.base import Directory, File, TraitedSpec, Undefined, traits

from ..stage import Stage

__all__ = ['by_stage', 'outputs', 'specs', 'stage_class']

AnyStage = TypeVar('AnyStage')


def stage_class(
    module: str,
    name: str,
    base: type,
    rows: tuple[Stage, ...],
    spec: type,
    members: dict[str, Any],
) -> type:
    """Make the class of a stage from what the table says of it in all versions.

    Parameters
    ----------
    module, name : str
        Where the class is to be found, so that it can be pickled.
    base : type
        Its interface class.
    rows : tuple of Stage
        The stage in its versions.
    spec : type
        Inputs that it has beside the files that it needs.
    members : dict
        Attributes of the class.

    Returns
    -------
    type
    """
    input_spec, output_spec = specs(module, name, rows, spec)
    own = {'input_spec': input_spec, 'output_spec': output_spec}
    return type(name, (base,), {'__module__': module, **own, **members})


def by_stage(base: type[AnyStage], names: Mapping[str, Any]) -> dict[str, type[AnyStage]]:
    """Classes of stages in a module, by the name of their stage.

    Parameters
    ----------
    base : type
        Of all of them, with ``stage_name``, which is empty for a class of no stage.
    names : mapping
        What the module holds.

    Returns
    -------
    dict of {str : type}
    """
    kinds = (each for each in names.values() if isinstance(each, type) and issubclass(each, base))
    return {kind.stage_name: kind for kind in kinds if kind.stage_name}  # type: ignore[attr-defined]


def specs(module: str, name: str, rows: tuple[Stage, ...], spec: type) -> tuple[type, type]:
    """Input and output specifications of a stage's class.

    Parameters
    ----------
    module, name : str
        Where the class is to be found.
    rows : tuple of Stage
        The stage in its versions.
    spec : type
        Inputs that it has beside the files that it needs.

    Returns
    -------
    tuple of type
    """
    needs = {trait: _file(rows, trait) for row in rows for trait in row.needs}
    makes = {trait: _file(rows, trait) for row in rows for trait in row.makes}
    whose = {
        'subject_id': traits.Str(desc="subject's folder"),
        'subjects_dir': Directory(desc='SUBJECTS_DIR'),
    }

    def made(kind: str, base: type, fields: dict[str, Any]) -> type:
        # Named as attributes of the class, so that pickle finds them there.
        words = {'__module__': module, '__qualname__': f'{name}.{kind}'}
        return type(kind, (base,), {**words, '__doc__': f'Inputs of {name}.', **fields})

    return made('input_spec', spec, needs), made('output_spec', TraitedSpec, {**makes, **whose})


def _file(rows: Iterable[Stage], trait: str) -> Any:
    """A file by its place below the subject's folder, which help() shows."""
    row = next(row for row in rows if trait in (*row.needs, *row.makes))
    place = row.path(trait)
    if row.hemi:
        place = re.sub(rf'\b{row.hemi}\.', '?h.', place, count=1)
    return File(exists=True, desc=place)


def outputs(stage: Stage, names: Iterable[str], folder: Path) -> dict[str, Any]:
    """Values of a stage's outputs.

    Parameters
    ----------
    stage : Stage
    names : iterable of str
        Of all outputs of its class.
    folder : pathlib.Path
        The subject's.

    Returns
    -------
    dict of {str : object}
        What this version does not make is undefined.
    """
    made = {
        name: str(folder / stage.path(name)) if name in stage.makes else Undefined
        for name in names
    }
    return {**made, 'subject_id': folder.name, 'subjects_dir': str(folder.parent)}
