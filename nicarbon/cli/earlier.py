"""What earlier runs in an output folder were told, and with what they were made."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from .choice import read_toml

__all__ = ['last_options', 'last_pipeline', 'told', 'versions']


def last_options(out_dir: Path, *names: str) -> tuple[str, Mapping[str, Any]]:
    """Name and options of the last run in an output folder.

    Parameters
    ----------
    out_dir : pathlib.Path
    *names : str
        Options wanted; all when empty.

    Returns
    -------
    origin : str
        ``run <id>``, for the options table.
    options : mapping
        Those that the user had chosen; empty when there was no run.
    """
    run_id, config = _last_config(out_dir)
    options, origins = config.get('options', {}), config.get('origins', {})
    kept = {
        name: value
        for name, value in options.items()
        if origins.get(name) != 'default' and name in (names or options)
    }
    return f'run {run_id}', kept


def last_pipeline(out_dir: Path) -> str:
    """Name of the pipeline of the newest run; empty where there is none.

    Parameters
    ----------
    out_dir : pathlib.Path

    Returns
    -------
    str
    """
    return str(_last_config(out_dir)[1].get('pipeline', ''))


def _last_config(out_dir: Path) -> tuple[str, Mapping[str, Any]]:
    """Name and ``config.toml`` of the newest run whose file can be read."""
    return next(_configs(out_dir), ('', {}))


def _configs(out_dir: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those of all runs, the newest first."""
    # Names alone: each task of an array asks, and there may be 50,000 runs.
    try:
        names = sorted(os.listdir(out_dir / 'logs'), reverse=True)
    except OSError:
        return
    for name in names:
        try:
            yield name, read_toml(out_dir / 'logs' / name / 'config.toml')
        except (OSError, ValueError):
            continue


def told(log_dir: Path) -> dict[str, str]:
    """Packages and programs of a run, and their versions; none where it does not say.

    Parameters
    ----------
    log_dir : pathlib.Path
        Its folder.

    Returns
    -------
    dict of {str : str}
    """
    try:
        config = read_toml(log_dir / 'config.toml')
    except (OSError, ValueError):
        return {}
    return {name: str(number) for name, number in config.get('versions', {}).items()}


def versions(out_dir: Path, run_ids: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Packages and programs of some runs, each in its newest version.

    Parameters
    ----------
    out_dir : pathlib.Path
    run_ids : collection of str

    Returns
    -------
    tuple of (str, str)
        Names and versions.
    """
    known: dict[str, str] = {}
    for run_id in sorted(run_ids):
        known = {**known, **told(out_dir / 'logs' / run_id)}
    return tuple(known.items())
