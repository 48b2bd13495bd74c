"""What networks are made of: parameters, and multiply-accumulates (MACs) of a scan.

Counted from the networks' own code, never measured: these facts stand beside joules and are
kept apart from them. A MAC is one multiplication and one addition. Who is asked is the Python
that runs the networks; where it cannot tell, nothing is known and nothing stops.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from .errors import warn_once

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ['Compared', 'Network', 'ask', 'conformed_voxels', 'macs_per_scan', 'networks']
__all__ += ['of_image', 'parameters', 'parse', 'read', 'record']

LONGEST_SECONDS = 120.0
"""After that the count is given up: on the ``meta`` device it takes 4 to 7 s, imports and
all; where PyTorch has to run the slices on one core instead, about a minute."""

FINEST_1MM, LEAST_VOXELS = 0.95, 256
"""Voxels (mm) above which FastSurfer makes an image of 1 mm, and the least edge of a conformed
image in voxels: its ``--conform_to_1mm_threshold`` and ``conform.py`` (2.3, 2.4)."""


@dataclass(frozen=True, slots=True)
class Network:
    """One network of a stage, as it sees one scan.

    Parameters
    ----------
    stage : str
        Name in the stage table.
    network, view : str
        Such as ``FastSurferVINN``, ``axial``.
    parameters : int
    macs_per_slice : int
        Of one forward pass, for a batch of one slice.
    slice_shape : tuple of int
        Channels, height and width of its input.
    slices : int
        Forward passes for one scan.
    image_voxels : int
        Edge of the conformed image for which that holds, a cube.
    counted_by : str
        What counted; it decides which layers are in ``macs_per_slice``.
    torch_version : str

    Examples
    --------
    >>> axial = Network(
    ...     'cereb', 'CerebNet', 'axial', 1_795_891, 7_639_662_592, (7, 128, 128), 128, 256,
    ...     'torch.utils.flop_counter', '2.13.0',
    ... )
    >>> axial.macs_per_scan
    977876811776
    """

    stage: str
    network: str
    view: str
    parameters: int
    macs_per_slice: int
    slice_shape: tuple[int, ...]
    slices: int
    image_voxels: int
    counted_by: str
    torch_version: str

    @property
    def macs_per_scan(self) -> int:
        """MACs of all its slices."""
        return self.macs_per_slice * self.slices


def macs_per_scan(counted: Iterable[Network]) -> int:
    """MACs that a scan takes in all of some networks.

    Parameters
    ----------
    counted : iterable of Network
        The views of a module, or the networks of several.

    Returns
    -------
    int
    """
    return sum(one.macs_per_scan for one in counted)


def parameters(counted: Iterable[Network]) -> int:
    """Parameters of some networks together.

    Parameters
    ----------
    counted : iterable of Network

    Returns
    -------
    int
    """
    return sum(one.parameters for one in counted)


def of_image(counted: Iterable[Network], voxels: int) -> tuple[Network, ...]:
    """Those that were counted for an image of that size.

    Parameters
    ----------
    counted : iterable of Network
    voxels : int
        Edge of the conformed image.

    Returns
    -------
    tuple of Network
    """
    return tuple(one for one in counted if one.image_voxels == voxels)


def conformed_voxels(shape: Sequence[int], zooms_mm: Sequence[float]) -> int:
    """Edge of the cube that FastSurfer makes of an image, by its header.

    Parameters
    ----------
    shape : sequence of int
        Voxels along the three axes.
    zooms_mm : sequence of float
        Their sizes in mm.

    Returns
    -------
    int
        In voxels; 256 at 1 mm.

    Examples
    --------
    >>> conformed_voxels((176, 240, 256), (1.0, 1.0, 1.2))
    256
    >>> conformed_voxels((208, 300, 320), (0.8, 0.8, 0.8))
    320
    """
    finest = min(round(float(min(zooms_mm[:3])), 4), 1.0)
    if finest > FINEST_1MM:
        return LEAST_VOXELS
    widest = max(size * zoom for size, zoom in zip(shape[:3], zooms_mm[:3], strict=True))
    # As it does, a ten-thousandth of a voxel more is no further voxel.
    return max(LEAST_VOXELS, math.ceil(int(widest / finest * 10_000) / 10_000))


def ask(
    python: Sequence[str],
    home: Path,
    environ: Mapping[str, str],
    stages: Sequence[str],
    voxels: Iterable[int] = (LEAST_VOXELS,),
) -> tuple[Network, ...] | None:
    """Have the networks of FastSurfer counted by the Python that is to run it.

    Parameters
    ----------
    python : sequence of str
        Command.
    home : pathlib.Path
        FastSurfer's folder.
    environ : mapping
        With all that its modules need.
    stages : sequence of str
        Stages whose networks are wanted.
    voxels : iterable of int
        Edges of conformed images.

    Returns
    -------
    tuple of Network or None
        None, with a warning, where nothing could be counted; with a warning, too, fewer
        stages than were asked for. Never raises: what is counted is no part of the science.
    """
    edges = ','.join(map(str, sorted(set(voxels))))
    try:
        done = subprocess.run(
            [*python, '-c', _program(), edges, *stages],
            cwd=home,
            # No GPU is opened, and nothing is left in somebody's installation.
            env={**environ, 'CUDA_VISIBLE_DEVICES': '-1', 'PYTHONDONTWRITEBYTECODE': '1'},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=LONGEST_SECONDS,
            check=False,
        )
        counted, failed = parse(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        warn_once('networks', f'networks are not counted: {type(error).__name__}: {error}')
        return None
    for stage, why in failed.items():
        warn_once(f'networks of {stage}', f'networks of {stage} are not counted: {why}')
    return counted or None


@cache
def _program() -> str:
    return (files('nicarbon') / 'probes' / 'networks.py').read_text('utf-8')


def parse(text: str) -> tuple[tuple[Network, ...], dict[str, str]]:
    """What the program that counts has printed.

    Parameters
    ----------
    text : str
        Its output; the last line is what it tells.

    Returns
    -------
    counted : tuple of Network
    failed : dict of {str : str}
        Why stages were not counted, by stage.

    Raises
    ------
    ValueError
        When it is not what that program prints.

    Examples
    --------
    >>> parse('{"networks": [], "failed": {"cereb": "ModuleNotFoundError: no torch"}}')
    ((), {'cereb': 'ModuleNotFoundError: no torch'})
    >>> parse('')
    Traceback (most recent call last):
    ...
    ValueError: it printed nothing
    """
    lines = text.strip().splitlines()
    if not lines:
        raise ValueError('it printed nothing')
    try:
        told = json.loads(lines[-1])
        common = {name: told.get(name, '') for name in ('counted_by', 'torch_version')}
        counted = tuple(_network({**row, **common}) for row in told['networks'])
        failed = {str(stage): str(why) for stage, why in told['failed'].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'it printed something else: {error}') from None
    return counted, failed


def record(counted: Iterable[Network]) -> list[dict[str, Any]]:
    """Networks as they are written to JSON; :func:`read` reads them.

    Parameters
    ----------
    counted : iterable of Network

    Returns
    -------
    list of dict
    """
    return [asdict(one) for one in counted]


def read(rows: Iterable[Mapping[str, Any]]) -> tuple[Network, ...]:
    """Networks from JSON.

    Parameters
    ----------
    rows : iterable of mapping
        As :func:`record` makes them.

    Returns
    -------
    tuple of Network

    Raises
    ------
    ValueError
        When they are something else.
    """
    try:
        return tuple(_network(row) for row in rows)
    except (KeyError, TypeError) as error:
        raise ValueError(f'no record of networks: {error}') from None


def _network(row: Mapping[str, Any]) -> Network:
    return Network(
        stage=str(row['stage']),
        network=str(row['network']),
        view=str(row['view']),
        parameters=int(row['parameters']),
        macs_per_slice=int(row['macs_per_slice']),
        slice_shape=tuple(int(size) for size in row['slice_shape']),
        slices=int(row['slices']),
        image_voxels=int(row['image_voxels']),
        counted_by=str(row['counted_by']),
        torch_version=str(row['torch_version']),
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """A published network, to compare with: reference data, with its source.

    Parameters
    ----------
    name : str
    parameters : int
    macs : int or None
        Of one forward pass of the input; None where no source tells.
    input_shape : tuple of int
        Channels, then the spatial sizes.
    task : str
    source : str
        DOI, or public code and how it was counted.
    caveat : str
        What the numbers do not say.
    """

    name: str
    parameters: int
    macs: int | None
    input_shape: tuple[int, ...]
    task: str
    source: str
    caveat: str


@cache
def networks() -> tuple[Compared, ...]:
    """The table of compared networks.

    Returns
    -------
    tuple of Compared

    Examples
    --------
    >>> first = networks()[0]
    >>> first.name, first.parameters, first.input_shape
    ('FastSurferCNN (v1), axial or coronal', 1799206, (7, 256, 256))
    """
    text = (files('nicarbon') / 'data' / 'networks.toml').read_text('utf-8')
    return tuple(
        Compared(
            name=row['name'],
            parameters=row['parameters'],
            macs=row.get('macs'),
            input_shape=tuple(row['input_shape']),
            task=row['task'],
            source=row['source'],
            caveat=row['caveat'],
        )
        for row in tomllib.loads(text)['network']
    )
