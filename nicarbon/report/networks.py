"""Networks that were counted, beside what their stages used: the table of a subject's page.

Counts and joules are different kinds of facts; only here does one divide the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..complexity import Network, macs_per_scan, parameters
from ..entry import Entry
from ..summary import Line, Summary
from .numbers import Number, Scale

__all__ = ['NetworksTable', 'last_runs', 'networks_table']

GIGA = 1e9
"""MACs in a GMAC."""

RATE = Scale(1.0, 'J/GMAC')
"""Unit of what a GMAC costs."""


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """One network, or all of a stage."""

    title: str
    parameters: str
    macs_per_slice: str
    slice_shape: str
    slices: str
    macs_per_scan: str
    rate: Number | None


@dataclass(frozen=True, slots=True)
class StageNetworks:
    """The networks of one stage, and all of it."""

    whole: NetworkRow
    views: tuple[NetworkRow, ...]


@dataclass(frozen=True, slots=True)
class NetworksTable:
    """Stages in the order of the pipeline."""

    stages: tuple[StageNetworks, ...]
    counters: tuple[str, ...]
    voxels: tuple[int, ...]

    @property
    def torch_only(self) -> bool:
        """Whether PyTorch's own counter counted all; other ones see other layers."""
        return all(counter.startswith('torch.') for counter in self.counters)


def networks_table(
    counted: Sequence[Network], summary: Summary, titles: Mapping[str, str]
) -> NetworksTable:
    """One group of rows per stage whose networks are counted.

    Parameters
    ----------
    counted : sequence of Network
        As the image of the summary's session is seen.
    summary : Summary
    titles : mapping of {str : str}
        What people call the stages, in order.

    Returns
    -------
    NetworksTable
    """
    lines = last_runs(summary)
    places = {stage: place for place, stage in enumerate(titles)}
    stages = dict.fromkeys(one.stage for one in counted)
    return NetworksTable(
        tuple(
            _stage(
                titles.get(stage, stage),
                [one for one in counted if one.stage == stage],
                lines.get(stage, ()),
            )
            for stage in sorted(stages, key=lambda name: places.get(name, len(places)))
        ),
        tuple(dict.fromkeys(f'{one.counted_by}, PyTorch {one.torch_version}' for one in counted)),
        tuple(dict.fromkeys(one.image_voxels for one in counted)),
    )


def last_runs(summary: Summary) -> dict[str, tuple[Line, ...]]:
    """What each stage was charged the last time that it ran to its end.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    dict of {str : tuple of Line}
        By stage; a stage that told its parts has a line for each, and one or more of its own.
    """
    attempts: dict[tuple[str, str], list[Line]] = {}
    for line in summary.lines:
        entry = line.share.entry
        # A part is named after its stage: asegdkt.axial.
        key = entry.stage.partition('.')[0], _whole(entry)
        attempts.setdefault(key, []).append(line)
    return {
        stage: tuple(lines)
        for (stage, _), lines in attempts.items()
        if all(line.share.entry.outcome == 'ran' for line in lines)
    }


def _whole(entry: Entry) -> str:
    """Identity of what an entry is a part of: parts have a number after the last dot."""
    head, dash, tail = entry.entry_id.rpartition('-')
    return head + dash + tail.partition('.')[0]


def _stage(title: str, networks: Sequence[Network], lines: Sequence[Line]) -> StageNetworks:
    whole = NetworkRow(
        title,
        grouped(parameters(networks)),
        '',
        '',
        '',
        giga(macs_per_scan(networks)),
        _rate(lines, macs_per_scan(networks)),
    )
    return StageNetworks(whole, tuple(_view(one, lines) for one in networks))


def _view(one: Network, lines: Sequence[Line]) -> NetworkRow:
    own = [line for line in lines if line.share.entry.stage == f'{one.stage}.{one.view}']
    return NetworkRow(
        f'{one.network}, {one.view}',
        grouped(one.parameters),
        giga(one.macs_per_slice),
        ' × '.join(map(str, one.slice_shape)),
        str(one.slices),
        giga(one.macs_per_scan),
        _rate(own, one.macs_per_scan),
    )


def _rate(lines: Iterable[Line], macs: int) -> Number | None:
    """Joules for each GMAC; None where not all of them were seen."""
    shares = [line.share for line in lines]
    if not shares or not macs or any(share.tier is None for share in shares):
        return None
    joules = [share.joules['reserved'] for share in shares]
    low, high = (
        sum(value * share.u_rel**sign for value, share in zip(joules, shares, strict=True))
        for sign in (-1, 1)
    )
    gigas = macs / GIGA
    return RATE.number(sum(joules) / gigas, low / gigas, high / gigas)


def grouped(number: int) -> str:
    """A count with its thousands apart.

    Parameters
    ----------
    number : int

    Returns
    -------
    str

    Examples
    --------
    >>> grouped(1854632)
    '1 854 632'
    """
    return f'{number:,}'.replace(',', ' ')


def giga(macs: int) -> str:
    """MACs in GMAC: exact counts, of which four digits are shown.

    Parameters
    ----------
    macs : int

    Returns
    -------
    str

    Examples
    --------
    >>> giga(7_639_662_592), giga(34_948_678_156_288)
    ('7.640', '34 949')
    """
    value = macs / GIGA
    return grouped(round(value)) if value >= 1000 else f'{value:#.4g}'
