"""Files of many subjects: which of them are old, and all of these written again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from .. import __version__, bids
from .assumed import Assumed
from .choice import Chosen
from .contexts import of_facts
from .facts import read
from .gather import Survey, pool
from .saving import save, save_all
from .screen import Progress
from .subjects import as_json, subject_files

__all__ = ['Remake', 'mark', 'mark_alone', 'remade', 'unmark']

MARK = 'accounted.json'
"""In ``logs``: with what the subjects' pages were made."""

ALONE = 'alone'
"""In ``logs/<run_id>``, empty: a subject's page was made with this run alone in mind."""

SOME = 8
"""Groups of subjects whose files are written: more are worth starting processes for."""

Remake = Literal['all', 'stale']


def remade(found: Survey, chosen: Chosen, remake: Remake) -> Iterator[Path]:
    """Write files of subjects; yields their paths."""
    todo = _everybody(found)
    if remake == 'stale' and _marked(found.out_dir) == _assumptions(chosen):
        todo = _stale(found, todo)
    elif not chosen.options.dry_run:
        unmark(found.out_dir, chosen)
    tasks = [(found.out_dir, chosen, *each) for each in _together(found, todo)]
    tell = Progress(sys.stderr, 'subjects', 'files written')
    done = 0
    with pool() if len(tasks) > SOME else nullcontext() as many:
        for paths, (_, _, subjects, _) in zip(
            many.map(_write_some, tasks) if many else map(_write_some, tasks), tasks, strict=True
        ):
            done += len(subjects)
            tell(done, len(todo))
            yield from paths


def _everybody(found: Survey) -> dict[str, list[str]]:
    """The runs of each subject."""
    runs: dict[str, list[str]] = defaultdict(list)
    for name, known in found.about.items():
        for subject in known.subjects:
            runs[subject].append(name)
    return runs


def _stale(found: Survey, runs: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Subjects whose page is not there, older than what is known of one of their runs, or made
    with one of several in mind.
    """

    def changed(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    known = {name: changed(found.path(name)) or float('inf') for name in found.about}
    # Worked out now, and not saved: nobody knows since when it holds.
    known |= dict.fromkeys(found.unsaved, float('inf'))
    return {
        subject: own
        for subject, own in runs.items()
        if changed(found.out_dir / bids.page_path(subject)) < max(known[name] for name in own)
        or (len(own) > 1 and any(_mark_alone(found.out_dir, name).exists() for name in own))
    }


def _together(
    found: Survey, todo: Mapping[str, list[str]]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Subjects, and the runs that they are known from, such that no run is read twice."""
    beside = {name: cluster for cluster in found.clusters for name in cluster}
    of_run: dict[str, set[str]] = defaultdict(set)
    for subject, own in todo.items():
        for name in own:
            of_run[name].add(subject)
    left = dict(todo)
    while left:
        subjects: set[str] = set()
        names: set[str] = set()
        waiting = [next(iter(left))]
        while waiting:
            subject = waiting.pop()
            if left.pop(subject, None) is None:
                continue
            subjects.add(subject)
            for run in todo[subject]:
                if run not in names:
                    names.update(beside[run])
                    waiting += {each for name in beside[run] for each in of_run[name]} - subjects
        yield frozenset(subjects), frozenset(names)


def _write_some(task: tuple[Path, Chosen, frozenset[str], frozenset[str]]) -> list[Path]:
    out_dir, chosen, subjects, names = task
    facts, assumed = read(out_dir, names), Assumed.of(chosen.options)
    made = subject_files(facts, subjects, of_facts(facts, chosen, assumed), assumed)
    if not chosen.options.dry_run:
        save_all(out_dir, made)
        for name in names:
            with contextlib.suppress(OSError):
                _mark_alone(out_dir, name).unlink()
    return [out_dir / name for name in made]


def _mark_alone(out_dir: Path, name: str) -> Path:
    return out_dir / 'logs' / name / ALONE


def mark_alone(out_dir: Path, name: str) -> None:
    """Note that pages are about to be made with one run in mind, whatever others there are."""
    save(_mark_alone(out_dir, name), '')


def _assumptions(chosen: Chosen) -> dict[str, Any]:
    options, trace = chosen.options, None
    if options.grid is not None and Path(options.grid).is_file():
        trace = hashlib.sha256(Path(options.grid).read_bytes()).hexdigest()
    told = {'nicarbon': __version__, 'grid': options.grid, 'pue': options.pue}
    return told if trace is None else told | {'trace': trace}


def _marked(out_dir: Path) -> dict[str, Any] | None:
    """With what the subjects' pages were made; None where nobody says."""
    try:
        marked = json.loads((out_dir / 'logs' / MARK).read_text('utf-8'))
    except (OSError, ValueError):
        return None
    return marked if isinstance(marked, dict) else None


def mark(out_dir: Path, chosen: Chosen) -> None:
    """Note with what all subjects' pages were made."""
    save(out_dir / 'logs' / MARK, as_json(_assumptions(chosen)))


def unmark(out_dir: Path, chosen: Chosen) -> None:
    """Some pages are about to be made: where others were made otherwise, nobody says of all."""
    if _marked(out_dir) != _assumptions(chosen):
        with contextlib.suppress(OSError):
            (out_dir / 'logs' / MARK).unlink()
        if not any(out_dir.glob('sub-*.html')):
            mark(out_dir, chosen)
