"""BIDS: inputs by entity, names of outputs, and the files that make a derivative.

Only what was asked for is indexed: a participant of a dataset of thousands is
found in the time that listing one folder takes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import listing
from .errors import BIDSError, InputError, SelectionError, UsageError

__all__ = [
    'BIDS_VERSION',
    'IGNORE',
    'README',
    'Session',
    'check',
    'commands_path',
    'dataset_description',
    'derivative_path',
    'figure_path',
    'folder',
    'load_filter',
    'page_path',
    'prefix',
    'sessions',
    'table_path',
    'uri',
    'with_second',
]

BIDS_VERSION = '1.10.0'
"""Version of the specification that the outputs follow."""

FILTERS = (
    'acquisition',
    'ceagent',
    'echo',
    'part',
    'reconstruction',
    'run',
    'session',
)
"""Entities that may choose among T1w images."""

IGNORE = '*.html\nfigures\nfreesurfer\nfastsurfer\n*_carbon.*\n*_xfm.*\n*_stats.*\n*_white.*\n'
"""Outputs that the specification does not know (yet); ``figures`` takes no slash."""

README = """\
# Energy and carbon, stage by stage

Written by nicarbon. Open `sub-*.html` for a participant, `group_carbon.html`
for the dataset (after `nicarbon BIDS_DIR OUT_DIR group`).

- `sub-*/**/*_carbon.tsv`: one row a stage, in joules and seconds; the JSON file
  beside it describes the columns, adds totals, and names every assumption.
- `sub-*/**/*_desc-commands_carbon.tsv`, if stages told: one row a program that they ran.
  What it holds is in the rows of the stages already.
- `logs/<run>/ledger`: the facts as they were measured. `nicarbon account .`
  makes everything else of them again, under another grid or PUE.
- `sub-*/**/anat`: BIDS derivatives of the structural pipeline.
"""


@dataclass(frozen=True, slots=True)
class Session:
    """The T1w images of one subject, in one session.

    Parameters
    ----------
    subject, session : str
        Labels without their prefix; the session is empty where there is none.
    t1w : tuple of pathlib.Path
        All runs (and acquisitions), sorted.
    t2w, flair : tuple of pathlib.Path
        Further images, sorted; empty unless they were asked for.
    tesla : float or None
        Field strength of the scanner, where the sidecars of the T1w images say it.

    Examples
    --------
    >>> Session('01', '', ()).name, Session('01', '2', ()).name
    ('sub-01', 'sub-01_ses-2')
    """

    subject: str
    session: str
    t1w: tuple[Path, ...]
    t2w: tuple[Path, ...] = ()
    flair: tuple[Path, ...] = ()
    tesla: float | None = None

    @property
    def name(self) -> str:
        """The entities as a file name begins."""
        return prefix(self.subject, self.session)


def prefix(subject: str, session: str = '') -> str:
    """Beginning of a file name: ``sub-01`` or ``sub-01_ses-1``."""
    return f'sub-{subject}_ses-{session}' if session else f'sub-{subject}'


def folder(subject: str, session: str = '') -> Path:
    """Folder of a subject or session, relative to a dataset."""
    return Path(f'sub-{subject}', f'ses-{session}') if session else Path(f'sub-{subject}')


def table_path(subject: str, session: str = '') -> Path:
    """Name of the table of stages, relative to the output folder.

    Examples
    --------
    >>> str(table_path('01', '2'))
    'sub-01/ses-2/sub-01_ses-2_carbon.tsv'
    """
    return folder(subject, session) / f'{prefix(subject, session)}_carbon.tsv'


def commands_path(subject: str, session: str = '') -> Path:
    """Name of the table of programs, relative to the output folder.

    Examples
    --------
    >>> str(commands_path('01'))
    'sub-01/sub-01_desc-commands_carbon.tsv'
    """
    return folder(subject, session) / f'{prefix(subject, session)}_desc-commands_carbon.tsv'


def figure_path(subject: str, session: str, description: str, suffix: str) -> Path:
    """Name of a figure, relative to the output folder.

    Examples
    --------
    >>> str(figure_path('01', '', 'tissue', 'T1w'))
    'sub-01/figures/sub-01_desc-tissue_T1w.svg'
    """
    name = f'{prefix(subject, session)}_desc-{description}_{suffix}.svg'
    return Path(f'sub-{subject}', 'figures', name)


def page_path(subject: str) -> Path:
    """Name of a subject's page, relative to the output folder."""
    return Path(f'sub-{subject}.html')


def derivative_path(subject: str, session: str, ending: str) -> Path:
    """Name of an anatomical derivative, relative to the output folder.

    Examples
    --------
    >>> str(derivative_path('01', '', 'desc-brain_mask.nii.gz'))
    'sub-01/anat/sub-01_desc-brain_mask.nii.gz'
    """
    return folder(subject, session) / 'anat' / f'{prefix(subject, session)}_{ending}'


def uri(root: Path, path: Path) -> str:
    """BIDS URI of a file in the raw dataset.

    Examples
    --------
    >>> uri(Path('/data'), Path('/data/sub-01/anat/sub-01_T1w.nii.gz'))
    'bids:raw:sub-01/anat/sub-01_T1w.nii.gz'
    """
    return f'bids:raw:{path.relative_to(root).as_posix()}'


def check(root: Path) -> None:
    """Refuse what is not a raw BIDS dataset.

    Parameters
    ----------
    root : pathlib.Path

    Raises
    ------
    InputError
        If the folder is not there.
    BIDSError
        If ``dataset_description.json`` is missing or is not what BIDS asks for.
    """
    if not root.is_dir():
        msg = f'{root}: no such folder; give the root of a BIDS dataset'
        raise InputError(msg)
    path = root / 'dataset_description.json'
    try:
        description = json.loads(path.read_text('utf-8'))
    except FileNotFoundError:
        msg = f'{root} is not a BIDS dataset: it has no dataset_description.json'
        raise BIDSError(msg) from None
    except (OSError, ValueError) as error:
        msg = f'{path} cannot be read as JSON: {error}'
        raise BIDSError(msg) from None
    missing = {'Name', 'BIDSVersion'} - set(description if isinstance(description, dict) else ())
    if missing:
        msg = f'{path} lacks {" and ".join(sorted(missing))}: run bids-validator on the dataset'
        raise BIDSError(msg)


def load_filter(path: Path) -> dict[str, Any]:
    """Read the T1w part of a BIDS filter file, as fMRIPrep has them.

    Parameters
    ----------
    path : pathlib.Path
        JSON such as ``{"t1w": {"acquisition": "mprage", "run": null}}``.
        ``null`` selects images without the entity, ``"*"`` those with any.

    Returns
    -------
    dict
        Entities for :meth:`bids.layout.BIDSLayout.get`.

    Raises
    ------
    InputError
        If the file is not there.
    UsageError
        If it is not a JSON object of objects.
    """
    try:
        filters = json.loads(path.read_text('utf-8'))
        chosen = dict(filters.get('t1w', {}))
        for entity, value in chosen.items():
            _check_filter(entity, value)
    except FileNotFoundError:
        msg = f'--bids-filter-file {path}: no such file'
        raise InputError(msg) from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        msg = f'--bids-filter-file {path}: needs {{"t1w": {{"entity": "value"}}}} ({error})'
        raise UsageError(msg) from None
    return chosen


def _check_filter(entity: str, value: object) -> None:
    if entity not in FILTERS:
        msg = f'{entity!r} is not one of {", ".join(FILTERS)}'
        raise ValueError(msg)
    items = value if isinstance(value, list) else [value]
    if not all(item is None or isinstance(item, (str, int)) for item in items):
        msg = f'{entity} is neither text, a number, null nor a list of these'
        raise ValueError(msg)


def sessions(
    root: Path,
    subjects: Collection[str] = (),
    session_labels: Collection[str] = (),
    filters: Mapping[str, Any] | None = None,
) -> tuple[list[Session], list[str]]:
    """T1w images by subject and session.

    Parameters
    ----------
    root : pathlib.Path
    subjects, session_labels : collection of str
        Labels to keep; all when empty.
    filters : mapping, optional
        Further entities, from :func:`load_filter`.

    Returns
    -------
    found : list of Session
        Sorted by subject and session.
    without : list of str
        Labels of subjects that have no such image.

    Raises
    ------
    SelectionError
        If a label that was asked for is not there, or nothing is left.
    """
    there = listing.subjects(root, subjects)
    absent = sorted(set(subjects) - there)
    if absent:
        has = _some(listing.subjects(root))
        msg = f'no sub-{", sub-".join(absent)} in {root}; it has {has}'
        raise SelectionError(msg)
    grouped: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for image in _t1w(root, subjects or there, session_labels, filters or {}):
        entities = image.get_entities()
        key = str(entities['subject']), str(entities.get('session', ''))
        # pybids reads labels off the front of names: sub-01-old would be sub-01 too.
        if Path(image.path).relative_to(root).parts[0] == f'sub-{key[0]}':
            grouped[key].append(Path(image.path))
    unused = sorted(set(session_labels) - {session for _, session in grouped})
    if grouped and unused:
        msg = f'--session-label: no T1w image in ses-{", ses-".join(unused)}'
        raise SelectionError(msg)
    if not grouped:
        chosen = f'of {_some(subjects)}' if subjects else ''
        msg = f'no T1w image {chosen} in {root} passes the labels and filters: nothing to do'
        raise SelectionError(' '.join(msg.split()))
    found = [Session(*key, tuple(sorted(paths))) for key, paths in sorted(grouped.items())]
    with_images = {session.subject for session in found}
    return found, sorted(set(subjects or there) - with_images)


def _t1w(
    root: Path,
    subjects: Collection[str],
    session_labels: Collection[str],
    filters: Mapping[str, Any],
) -> list[Any]:
    from bids.layout import Query

    from .layout import layout

    index = layout(root, subjects, session_labels, 'T1w')
    special = {None: Query.NONE, '*': Query.ANY}
    chosen = {
        key: special.get(value, value) if not isinstance(value, list) else value
        for key, value in filters.items()
    }
    if session_labels:
        if 'session' in chosen:
            raise UsageError(
                'sessions are chosen by --session-label or by the filter, not by both'
            )
        chosen['session'] = sorted(session_labels)
    query = {'suffix': 'T1w', 'extension': ['.nii', '.nii.gz'], 'scope': 'raw'} | chosen
    return list(index.get(**query))


def with_second(root: Path, found: Sequence[Session]) -> list[Session]:
    """Sessions with their T2w and FLAIR images, and the field strength.

    Parameters
    ----------
    root : pathlib.Path
    found : sequence of Session

    Returns
    -------
    list of Session
    """
    from .layout import layout

    subjects = {one.subject for one in found}
    try:
        index = layout(root, subjects, (), 'T1w|T2w|FLAIR', metadata=True)
        images = index.get(suffix=['T2w', 'FLAIR'], extension=['.nii', '.nii.gz'])
        strengths = [_strength(index, session) for session in found]
    except (OSError, ValueError) as error:
        raise InputError(f'{root}: a JSON file cannot be read: {error}') from None
    grouped: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
    for image in images:
        told = image.get_entities()
        who = str(told.get('subject', '')), str(told.get('session', ''))
        grouped[(*who, str(told['suffix']))].append(Path(image.path))
    return [
        replace(
            session,
            t2w=tuple(sorted(grouped[session.subject, session.session, 'T2w'])),
            flair=tuple(sorted(grouped[session.subject, session.session, 'FLAIR'])),
            tesla=tesla,
        )
        for session, tesla in zip(found, strengths, strict=True)
    ]


def _strength(layout: Any, session: Session) -> float | None:
    """Field strength that all T1w images of a session say."""
    told = [layout.get_metadata(path).get('MagneticFieldStrength') for path in session.t1w]
    numbers = {float(one) for one in told if isinstance(one, int | float)}
    return numbers.pop() if len(numbers) == 1 else None


def _some(labels: Collection[str]) -> str:
    names = [f'sub-{name}' for name in sorted(labels)]
    return ', '.join(names[:5]) + (f' … ({len(names)})' if len(names) > 5 else '') or 'none'


def dataset_description(
    version: str, source: Path | None, tools: Mapping[str, str]
) -> dict[str, Any]:
    """Content of the derivative's ``dataset_description.json``.

    Parameters
    ----------
    version : str
        Version of nicarbon.
    source : pathlib.Path or None
        The raw dataset, where there is one.
    tools : mapping of {str : str}
        Further programs that made the derivatives, and their versions.

    Returns
    -------
    dict
    """
    made_by = [{'Name': 'nicarbon', 'Version': version}]
    made_by += [{'Name': name, 'Version': number} for name, number in tools.items()]
    content: dict[str, Any] = {
        'Name': 'nicarbon: energy and carbon of neuroimaging pipelines',
        'BIDSVersion': BIDS_VERSION,
        'DatasetType': 'derivative',
        'GeneratedBy': made_by,
    }
    if source is None:
        return content
    return content | {
        'SourceDatasets': [{'URL': source.as_uri()}],
        'DatasetLinks': {'raw': source.as_uri()},
        **_kept(source),
    }


def _kept(source: Path) -> dict[str, Any]:
    """Authors and licence of the raw dataset: a derivative has the same."""
    try:
        raw = json.loads((source / 'dataset_description.json').read_text('utf-8'))
        return {key: raw[key] for key in ('Authors', 'License') if key in raw}
    except (OSError, ValueError, TypeError):
        return {}
