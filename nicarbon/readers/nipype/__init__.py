"""Working folders of Nipype: reports and results of nodes, its callback, its monitor.

They tell how long each node ran, and not what CPU time it took: Nipype's own ``cpu_percent``
reads children that it has just met as 0 or as several hundred per cent. So CPU seconds are
wall time times the root of the threads that a node was given, and their energy is ``assumed``.
"""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ...entry import Entry
from ...errors import ReaderError
from ...host import Host
from .. import Folder, Hardware, Source, Told, Work, leaf
from ..names import labels
from ..wall import assumed, busy_cores, machine
from .nodes import CALLBACKS, MONITOR, REPORT, Gathered, Node, gather
from .report import LATEST

__all__ = ['Nipype', 'labels_of']

PACKAGES = {
    'afni': 'AFNI',
    'ants': 'ANTs',
    'freesurfer': 'FreeSurfer',
    'fsl': 'FSL',
    'spm': 'SPM',
    'workbench': 'Connectome Workbench',
}
"""Packages of Nipype whose interfaces tell the version of what they run."""

LONGEST_NAME = 100
"""Characters of a subject: what is longer is none."""

SHOWN = 3
"""Of many names in a warning."""

_SUBJECT = re.compile(
    r'^(?:single_subject_(?P<single>.+?)|sub[-_](?P<sub>[0-9A-Za-z]*\d[0-9A-Za-z]*))'
    r'(?:_ses(?:sion)?[-_](?P<session>[0-9A-Za-z]+))?_wf$'
)
_SESSION = re.compile(r'^ses(?:sion)?[-_]([0-9A-Za-z]*\d[0-9A-Za-z]*)_wf$')
_BIDS = re.compile(r'^(?:sub|ses)-[0-9A-Za-z]+(?:_ses-[0-9A-Za-z]+)?$')
_WHOSE = re.compile(
    r'_(?:subject_id|subject_label|subject|sub_id|subj_id|participant_id|participant_label'
    r'|participant)_((?:sub[-_])?[0-9A-Za-z]+(?:_ses-[0-9A-Za-z]+)?)(?=_|$)'
)
_WHEN = re.compile(r'_(?:session_id|session_label|session|ses_id)_(?:ses-?)?([0-9A-Za-z]+)(?=_|$)')
_RECON = re.compile(r'^(?:\S*/)?(recon-all|recon-surf\.sh|run_fastsurfer\.sh)\s')
_WHO = re.compile(r'\s--?(?:s|sid|subjid|subject)[ =](\S+)')
_WHERE = re.compile(r'\s--?sd[ =](\S+)')
_LOGS = ('recon-all.log', 'recon-all.log.gz', 'recon-surf.log', 'deep-seg.log')


class Nipype:
    """Reads a working folder as a whole: what its files tell of one node counts once."""

    name = 'nipype'
    what = 'working folders of Nipype: reports and results of nodes, callback, resource monitor'

    def find(self, folder: Folder) -> Iterable[Source]:
        """See :class:`nicarbon.readers.Reader`."""
        mine = [
            folder.path / name
            for name in sorted(folder.files)
            if name in (*CALLBACKS, MONITOR)
            or (name.startswith('result_') and name.endswith('.pklz'))
            or (folder.path.name, name) == REPORT
        ]
        return [Source(self.name, folder.root, tuple(mine))] if mine else []

    def read(self, source: Source, hardware: Hardware) -> Told:
        """See :class:`nicarbon.readers.Reader`."""
        found = gather(source.path, source.files)
        found.nodes.sort(key=lambda node: (node.name, node.run.began or 0.0))
        elsewhere = _recons(found.nodes)
        known = {whose for whose in elsewhere if _is_below(source.path, whose)}
        kept = [node for node in found.nodes if _recon(node) not in known]
        notes = [*_notes(found, kept), *_twice(elsewhere, known)]
        warnings = [*(f'{source.path}: {note}' for note in notes), *found.warnings]
        if not found.nodes:
            why = ('', *warnings)[-1]
            raise ReaderError(
                f'{source.path}: no node of Nipype says how long it ran{why and f" ({why})"}'
            )
        most: dict[str, int] = {}
        for node in kept:
            run = node.run
            most[run.host] = max(most.get(run.host, 1), run.threads, run.cores)
        hosts = {name: machine(hardware, name, threads) for name, threads in most.items()}
        return Told(
            tuple(
                _entry(source, number, node, hosts[node.run.host])
                for number, node in enumerate(kept)
            ),
            tuple(warnings),
            tuple(hosts.values()),
            _versions(kept),
        )


def _entry(source: Source, number: int, node: Node, host: Host) -> Entry:
    run = node.run
    subject, session = _whose(node, source.path)
    # More than the host has cannot work at once.
    threads = float(min(run.threads, host.cores))
    work = Work(
        _began(node),
        run.seconds,
        run.seconds * busy_cores(threads),
        float(run.cores or threads),
        subject,
        session,
        _stage(node),
        node.name,
        run.interface,
        'failed' if run.error else 'ran',
        run.error,
    )
    reading = assumed(host, run.seconds, threads, work.cores)
    return leaf(source, number, work, host, (reading,))


def _began(node: Node) -> float:
    if node.run.began is not None:
        return node.run.began
    # Somebody may have set the time of a file to anything.
    return min(max(0.0, (node.written or 0.0) - node.run.seconds), LATEST)


def _stage(node: Node) -> str:
    """The name of the node in its workflow; leaves of a MapNode have that of it."""
    if node.folder is None:
        return node.name.rpartition('.')[2]
    inside = node.folder.parent.name == 'mapflow'
    return (node.folder.parents[1] if inside else node.folder).name


def _whose(node: Node, root: Path) -> tuple[str, str]:
    folder = node.folder or root
    inside = folder.parts[:-2] if folder.parent.name == 'mapflow' else folder.parts
    parts = inside if node.folder is not None else (*inside, *node.name.split('.'))
    subject, session = labels_of(parts)
    if not subject and (given := node.inputs.get('subject_id', '')) not in ('', '<undefined>'):
        subject, told = labels(given[:LONGEST_NAME])
        session = session or told
    return subject, session


def labels_of(parts: Sequence[str]) -> tuple[str, str]:
    """Subject and session by the folders of a node, innermost first.

    Parameters
    ----------
    parts : sequence of str
        Names of folders.

    Returns
    -------
    subject, session : str
        Empty where no folder tells.

    Examples
    --------
    >>> labels_of(['work', 'fmriprep_wf', 'single_subject_01_wf', 'norm'])
    ('01', '')
    >>> labels_of(['wf', 'sub_02_ses_pre_wf', 'n4']), labels_of(['wf', '_session_id_1_subject_id_sub-03'])
    (('02', 'pre'), ('03', '1'))
    >>> labels_of(['wf', 'single_subject_wf', 'sub_select_wf', 'n4'])
    ('', '')
    """
    subject = session = ''
    for part in reversed(parts):
        whose, when = _labels(part)
        subject, session = subject or whose, session or when
        if subject and session:
            break
    return subject, session


def _labels(part: str) -> tuple[str, str]:
    if found := _SUBJECT.match(part):
        whose, told = labels(found['single'] or found['sub'])
        return whose, labels(found['session'] or '')[0] or told
    if found := _SESSION.match(part):
        return '', labels(found[1])[0]
    if _BIDS.match(part):
        return labels(part) if part.startswith('sub') else ('', labels(part[len('ses-') :])[0])
    if not part.startswith('_'):
        return '', ''
    whose, told = labels(match[1]) if (match := _WHOSE.search(part)) else ('', '')
    return whose, match[1] if (match := _WHEN.search(part)) else told


def _versions(nodes: Iterable[Node]) -> Mapping[str, str]:
    told: dict[str, str] = {}
    for node in nodes:
        package = [*node.run.interface.split('.'), '', ''][2]
        if node.run.version and package in PACKAGES:
            told.setdefault(PACKAGES[package], node.run.version)
    return told


# Warnings ---------------------------------------------------------------------------------


def _notes(found: Gathered, kept: Sequence[Node]) -> Iterator[str]:
    """What holds of many nodes, once."""
    if kept:
        told = ', '.join(f'{by} of {n}' for by, n in sorted(Counter(n.by for n in kept).items()))
        yield (
            f'times of nodes are by {told}; their CPU seconds are assumed: wall time times the '
            'root of the threads that the command line, the inputs or OMP_NUM_THREADS state, else 1, as the '
            'cpu_percent of Nipype does not count children'
        )
    unsaid = sum(node.run.began is None for node in kept)
    if unsaid:
        yield (
            f'when {unsaid} nodes began follows from the time of their report.rst, which is that '
            'of a copy where the folder was copied'
        )
    if found.unended:
        yield (
            f'{len(found.unended)} nodes began, and nothing tells for how long they ran (they '
            f'failed, were stopped, or made nothing): not counted ({_some(found.unended)})'
        )


def _some(names: Sequence[str]) -> str:
    more = ', …' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more


def _recon(node: Node) -> tuple[str, str] | None:
    """Folder of subjects and subject of a node that ran recon-all or FastSurfer; else None."""
    command = node.run.command
    if not _RECON.match(command):
        return None
    who, where = _WHO.search(command), _WHERE.search(command)
    return (
        where[1] if where else node.inputs.get('subjects_dir', ''),
        who[1] if who else node.inputs.get('subject_id', ''),
    )


def _recons(nodes: Iterable[Node]) -> dict[tuple[str, str], list[Node]]:
    found: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        whose = _recon(node)
        if whose is not None:
            found.setdefault(whose, []).append(node)
    return found


def _is_below(root: Path, whose: tuple[str, str]) -> bool:
    """Whether a subject's own logs lie below what is read, perhaps under another path."""
    folder, subject = PurePosixPath(whose[0]), whose[1]
    if not subject or '/' in subject or subject in ('.', '..'):
        return False
    try:
        below = root / folder.relative_to(root)  # As it was when it ran.
    except ValueError:
        below = root
    places = [below / subject, root / subject]
    if folder.name and '..' not in folder.parts:
        tail = glob.escape(f'{folder.name}/{subject}')
        places += [place for each in ('', '*/', '*/*/') for place in root.glob(each + tail)]
    return any((place / 'scripts' / name).exists() for place in places for name in _LOGS)


def _twice(
    told: Mapping[tuple[str, str], list[Node]], known: set[tuple[str, str]]
) -> Iterator[str]:
    """Work of which a subject's own logs tell too."""
    for counted in (True, False):
        mine = [whose for whose in told if (whose not in known) == counted]
        runs = [node.run for whose in mine for node in told[whose]]
        hours = sum(run.seconds for run in runs) / 3600
        places = _some([f'{folder}/{subject}' for folder, subject in mine])
        if mine and counted:
            yield (
                f'recon-all or FastSurfer ran in {len(runs)} nodes for {hours:.2g} h: the logs of '
                f'the subject know their CPU seconds better; do not read both ({places}), or this '
                'work counts twice'
            )
        elif mine:
            yield (
                f'{len(runs)} nodes that ran recon-all or FastSurfer for {hours:.2g} h are left '
                f'out: the logs of the subject lie below and tell of the same work ({places})'
            )
