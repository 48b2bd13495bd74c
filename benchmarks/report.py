"""Tables in Markdown, and floors that are met or not."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Row:
    cells: Sequence[str]


@dataclass(frozen=True)
class Floor:
    """A figure of nicarbon's, and the most (or least) that it may be."""

    name: str
    value: float
    most: float
    unit: str = ''
    least: float | None = None

    @property
    def met(self) -> bool:
        return self.value <= self.most and (self.least is None or self.value >= self.least)

    @property
    def bound(self) -> str:
        most = f'{self.most:g}'
        return f'≤ {most}' if self.least is None else f'{self.least:g} to {most}'


@dataclass
class Table:
    title: str
    header: Sequence[str]
    note: str = ''
    rows: list[Row] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)

    def floor(
        self, name: str, value: float, most: float, unit: str = '', least: float | None = None
    ) -> None:
        self.floors.append(Floor(name, value, most, unit, least))

    def markdown(self) -> str:
        lines = [f'## {self.title}', '', *_grid(self.header, [row.cells for row in self.rows])]
        if self.note:
            lines += ['', self.note]
        return '\n'.join(lines) + '\n'


def floors(tables: Sequence[Table]) -> str:
    """All floors in one table."""
    cells = [
        (
            floor.name,
            f'{floor.value:.4g} {floor.unit}'.strip(),
            f'{floor.bound} {floor.unit}'.strip(),
            'yes' if floor.met else '**no**',
        )
        for table in tables
        for floor in table.floors
    ]
    return '\n'.join(
        ['## Floors for nicarbon', '', *_grid(('', 'measured', 'floor', 'met'), cells), '']
    )


def machine() -> str:
    """What this ran on, without its name."""
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    virtual = any(line.startswith('flags') and ' hypervisor' in line for line in lines)
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9
    kind = 'virtual machine' if virtual else 'machine'
    model = models[0] if models else platform.machine()
    return (
        f'{kind}, {model}, {os.cpu_count()} cores, {memory:.0f} GB, '
        f'{platform.system()} {platform.release().split("-")[0]}, '
        f'Python {platform.python_version()}'
    )


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    columns = list(zip(header, *rows, strict=True))
    widths = [max(3, *(len(cell) for cell in column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f'| {" | ".join(padded)} |'

    return [line(header), f'|{"|".join("-" * (width + 2) for width in widths)}|', *map(line, rows)]
