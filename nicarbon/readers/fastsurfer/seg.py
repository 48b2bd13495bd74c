"""What is in a ``deep-seg.log``: the modules of FastSurfer's segmentation, and how long they ran.

It has the date at which each call began, the command line of each module, and what the networks
say of how long they took; nothing has a clock. How long the others ran follows from when their
outputs were written, where those times can be true: a copied folder has others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...entry import Part
from ...errors import UsageError
from ...stage import Stage, parts, versions
from ...stage import stages as stages_of
from ..dates import Zones, dated
from . import output as fastsurfer
from .output import Line

__all__ = ['LONGEST_LINE', 'Module', 'modules', 'timed']

LONGEST_SECONDS = 2 * 86400.0
"""No module takes longer: outputs that say so were touched later."""

LONGEST_LINE = 3000
"""Characters: the longest command line, with all its labels, has a third of that."""

SLACK_SECONDS = 2.0
"""Dates have whole seconds, and so have the times of files on some disks."""

_BEGINS = re.compile(r'^Log file for (?:segmentation|fastsurfercnn)', re.IGNORECASE)
_COMMAND = re.compile(r'(?:^|[\s/])([\w.-]+/)?([\w.-]+\.(?:py|sh))(?=\s|$)')
_DEVICE = re.compile(r'Using device: (\S+)|\s--device (cuda\S*|cpu|mps)')
_THREADS = re.compile(r'\s--threads[ =](\d{1,4})(?!\S)')
_TOOK = re.compile(r'(?:finished in|processed in|saved in) (\d[\d.]{0,12}) sec')
_WHOLE = re.compile(
    r'Processing (?:whole pipeline|segmentation) finished in|Model prediction finished in|processed in'
)
_PLANE = re.compile(r'[Ii]nference on .* finished in')
_REWRITTEN = ('orig', 'orig_001', 'rawavg')
"""Files that recon-surf writes again."""

_SILENT = (
    ('asegdkt', re.compile(r'Run coronal prediction')),
    ('cereb', re.compile(r'CerebNet cerebellum|with id .* processed in')),
    ('hypothal', re.compile(r'Setting up input mode|Running HypVINN')),
)
"""What modules say where nobody wrote their command lines."""


class Module(NamedTuple):
    """One module that ran, or did not get far.

    Parameters
    ----------
    stage : Stage
    lines : tuple of str
        Of its log.
    began : float or None
        When the call that ran it began, in seconds since 1970; None where that is not told,
        or another module ran before.
    latest : bool
        Whether it has not been run again since.
    """

    stage: Stage
    lines: tuple[str, ...]
    began: float | None
    latest: bool

    @property
    def device(self) -> str:
        """That its networks ran on, such as ``cuda``; empty where it has none."""
        told = [found[1] or found[2] for line in self.lines if (found := _DEVICE.search(line))]
        return told[-1] if told and self.stage.gpu else ''

    @property
    def threads(self) -> int | None:
        """That it was given; None where it was left to take all."""
        told = [int(found[1]) for line in self.lines[:1] if (found := _THREADS.search(line))]
        return told[0] if told and told[0] > 0 else (None if self.stage.threads else 1)

    @property
    def told_seconds(self) -> float | None:
        """For which it says that it ran, at least; None where it does not say."""
        took = [(line, _seconds(found[1])) for line in self.lines if (found := _TOOK.search(line))]
        whole = [seconds for line, seconds in took if _WHOLE.search(line)]
        planes = [seconds for line, seconds in took if _PLANE.search(line)]
        return max([*whole, sum(planes)]) if took else None

    @property
    def error(self) -> str:
        """Why it failed, in one line; empty where it did not."""
        return fastsurfer.failure([Line(0.0, line) for line in self.lines])[:300]

    def parts(self, began: float, seconds: float) -> tuple[Part, ...]:
        """Its networks, one after the other; what is left is its labels."""
        clock, lines = began, []
        for line in self.lines:
            if _PLANE.search(line) and (found := _TOOK.search(line)):
                clock = min(clock + _seconds(found[1]), began + seconds)
            lines.append(Line(clock, line))
        rows = parts('fastsurfer', self.stage.name)
        return tuple(fastsurfer.parts(lines, rows, began + seconds))


def _seconds(text: str) -> float:
    try:
        return min(float(text), LONGEST_SECONDS)
    except ValueError:
        return 0.0


def modules(text: str, zones: Zones, version: str = '') -> list[Module]:
    """Modules that a log tells of, in order.

    Parameters
    ----------
    text : str
    zones : Zones
    version : str
        Of FastSurfer, where it is known.

    Returns
    -------
    list of Module
    """
    table = _table(version)
    found: list[tuple[Stage, list[str], float | None]] = []
    lines = [line[:LONGEST_LINE] for line in text.splitlines()]
    echoed = any(_of_command(line, table, ()) for line in lines)
    began: float | None = None
    for number, line in enumerate(lines):
        if _BEGINS.match(line):
            shown = dated(' '.join(lines[number + 1 : number + 2]))
            began = None if shown is None else zones.utc(shown[1])
        done = tuple(stage.name for stage, _, start in found if start is None or start == began)
        last = done[-1:] or ('',)
        stage = _of_command(line, table, done) if echoed else _of_words(line, table, last[0])
        if stage is not None:
            found.append((stage, [line], began))
        elif found:
            found[-1][1].append(line)
    names = [stage.name for stage, _, _ in found]
    starts = [start for _, _, start in found]
    return [
        Module(
            stage,
            tuple(told),
            start if start not in starts[:number] else None,
            stage.name not in names[number + 1 :],
        )
        for number, (stage, told, start) in enumerate(found)
    ]


def _table(version: str) -> Sequence[Stage]:
    minor = '.'.join(version.split('.')[:2])
    known = versions('fastsurfer')
    # What later versions add is told by its program; what is new is in none.
    try:
        return stages_of('fastsurfer', minor if minor in known else known[-1])
    except UsageError:  # pragma: no cover - it is in the table
        return ()


def _of_command(line: str, table: Sequence[Stage], done: Iterable[str]) -> Stage | None:
    """The module whose command line it is, of several with one program the next."""
    if line.startswith('[') or _BEGINS.match(line) or not (match := _COMMAND.search(line)):
        return None
    called = [found[0].strip().lstrip('/') for found in _COMMAND.finditer(line)][:2]
    rows = [row for row in table if row.group != 'surf' and row.program in called]
    if not rows and match[2] == 'run_prediction.py' and '/' not in called[0]:
        rows = [row for row in table if row.name == 'asegdkt']
    rows = [row for row in rows if row.name not in done] or rows[-1:]
    made = [row for row in rows if any(row.path(name) in line for name in row.makes)]
    return next(iter(made or rows), None)


def _of_words(line: str, table: Sequence[Stage], now: str) -> Stage | None:
    for name, words in _SILENT:
        if name != now and words.search(line):
            return next((row for row in table if row.name == name), None)
    return None


def timed(module: Module, subject: Path, before: float | None) -> tuple[float, float] | None:
    """When a module ran, by its outputs: from the end of what ran before it until they were there.

    Parameters
    ----------
    module : Module
    subject : pathlib.Path
        Folder of the subject.
    before : float or None
        When what ran before it ended, in seconds since 1970.

    Returns
    -------
    (float, float) or None
        Start and seconds; None where these times cannot be true.
    """
    if before is None or not module.latest:
        return None
    ends = []
    for name in module.stage.makes:
        if name not in _REWRITTEN:
            try:
                ends.append((subject / module.stage.path(name)).stat().st_mtime)
            except OSError:
                continue
    if not ends:
        return None
    seconds = max(ends) - before
    least = (module.told_seconds or 0.0) - SLACK_SECONDS
    if not max(-SLACK_SECONDS, least) <= seconds <= LONGEST_SECONDS:
        return None
    return before, max(seconds, module.told_seconds or 0.0, 0.0)
