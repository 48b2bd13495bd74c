"""What nicarbon knows, in formats of others: one port, and one module a format.

==================  =====================================================
``boamps``          JSON report of Boavizta's BoAmps
``codecarbon``      CodeCarbon's ``emissions.csv``
``wfformat``        workflow instance of WfCommons, WfFormat 1.5
==================  =====================================================

Pure: rows in, text out. Rows are those of the tables (:func:`nicarbon.sidecar.row`), and pass
by once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Protocol

from ..errors import InputError
from .about import About, Row

__all__ = ['FILES', 'MOST_TASKS', 'About', 'Export', 'Row', 'all_of', 'start']

FILES = {
    'boamps': 'group_desc-boamps_carbon.json',
    'codecarbon': 'group_desc-codecarbon_carbon.csv',
    'wfformat': 'group_desc-wfformat_carbon.json',
}
"""Formats, and the names of their files."""

MOST_TASKS = 10_000
"""Of a workflow that stands beside others (some 5 MB); one that is asked for has all."""


class Export(Protocol):
    """Takes rows, and makes a text of them."""

    def add(self, row: Row) -> None:
        """Take one row."""
        ...

    def text(self) -> str:
        """What was made of all rows.

        Raises
        ------
        InputError
            When the format must have what the rows do not know.
        """
        ...


def start(name: str, about: About, *, most_tasks: int | None = None) -> Export:
    """Begin an export.

    Parameters
    ----------
    name : {'boamps', 'codecarbon', 'wfformat'}
    about : About
    most_tasks : int, optional
        Tasks of a workflow at most; all by default.

    Returns
    -------
    Export
    """
    from .boamps import BoAmps
    from .codecarbon import CodeCarbon
    from .wfformat import WfFormat

    if name == 'wfformat':
        return WfFormat(about, most_tasks=most_tasks)
    return BoAmps(about) if name == 'boamps' else CodeCarbon(about)


def all_of(
    rows: Iterable[Row], about: About, *, most_tasks: int | None = MOST_TASKS
) -> dict[str, str]:
    """Rows in all formats, in one pass.

    Parameters
    ----------
    rows : iterable of mapping
        As :func:`nicarbon.sidecar.row` makes them, in order of start.
    about : About
    most_tasks : int, optional
        Tasks of the workflow at most; None takes all.

    Returns
    -------
    dict of {str : str}
        Names of files and their content; a format that must have what the rows do not know
        is not among them.
    """
    exports = {name: start(name, about, most_tasks=most_tasks) for name in FILES}
    for row in rows:
        for export in exports.values():
            export.add(row)
    texts: dict[str, str] = {}
    for name, export in exports.items():
        with contextlib.suppress(InputError):
            texts[FILES[name]] = export.text()
    return texts
