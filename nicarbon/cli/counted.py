"""Networks of a run: counted once before it starts, kept in its folder, and read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bids import Session
from ..complexity import Network, ask, conformed_voxels, of_image, read, record
from ..errors import warn_once
from ..report.networks import last_runs
from ..summary import Summary

__all__ = ['Counted', 'count', 'counted_in', 'of_stages']

NAME = 'complexity.json'
"""In ``logs/<run_id>``: later accounting has no PyTorch to ask, and maybe no images."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the networks of a run are made of.

    Parameters
    ----------
    networks : tuple of Network
        One for each view, and each size of image.
    images : mapping of {str : int}
        Edge of the conformed image in voxels, by name of the session.
    """

    networks: tuple[Network, ...]
    images: Mapping[str, int]

    def of_session(self, name: str) -> tuple[Network, ...]:
        """Networks as they see one session's image; none where its size is not known."""
        voxels = self.images.get(name)
        return () if voxels is None else of_image(self.networks, voxels)

    def write(self, log_dir: Path) -> None:
        """Keep it; a run goes on without."""
        content = {'networks': record(self.networks), 'images': dict(self.images)}
        draft = log_dir / f'.{NAME}.draft'
        try:
            draft.write_text(json.dumps(content, indent=2) + '\n', 'utf-8')
            draft.replace(log_dir / NAME)
        except OSError as error:
            warn_once(NAME, f'{log_dir / NAME} cannot be written: {error.strerror}')


def count(
    python: Sequence[str],
    home: Path,
    environ: Mapping[str, str],
    stages: Sequence[str],
    sessions: Iterable[Session],
) -> Counted | None:
    """Count the networks of FastSurfer for the images of a run.

    Parameters
    ----------
    python : sequence of str
        Command that runs FastSurfer.
    home : pathlib.Path
        FastSurfer's folder.
    environ : mapping
        With all that its modules need.
    stages : sequence of str
        Stages with networks.
    sessions : iterable of Session

    Returns
    -------
    Counted or None
        None, with a warning, where they cannot be counted.
    """
    known = ((session.name, _voxels(session)) for session in sessions)
    images = {name: voxels for name, voxels in known if voxels is not None}
    if not images or not stages:
        return None
    found = ask(python, home, environ, stages, images.values())
    return None if found is None else Counted(found, images)


def _voxels(session: Session) -> int | None:
    """Edge of the conformed image; None where its header cannot be read."""
    import nibabel as nib

    if not session.t1w:
        return None
    try:
        header = nib.load(session.t1w[0]).header
        return conformed_voxels(header.get_data_shape(), header.get_zooms())
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its stage will say
        warn_once('header', f'{session.t1w[0]}: networks are not counted for it: {error}')
        return None


def of_stages(out_dir: Path, summary: Summary) -> tuple[Network, ...]:
    """Networks of the stages that ran to their end for a subject, each once.

    Parameters
    ----------
    out_dir : pathlib.Path
    summary : Summary
        Of one session.

    Returns
    -------
    tuple of Network
        As counted for the newest run in which a stage ran, and the image of that session.
    """
    name = Session(summary.subject, summary.session, ()).name
    found: list[Network] = []
    for stage, lines in last_runs(summary).items():
        counted = _read(out_dir / 'logs' / lines[0].share.entry.run_id / NAME)
        own = () if counted is None else counted.of_session(name)
        found += [one for one in own if one.stage == stage]
    return tuple(found)


def counted_in(log_dir: Path) -> bool:
    """Whether a run has kept what its networks are made of."""
    return (log_dir / NAME).exists()


def _read(path: Path) -> Counted | None:
    """What a run has kept; None where it has not, or not so."""
    try:
        content = json.loads(path.read_text('utf-8'))
        images = {str(name): int(voxels) for name, voxels in content['images'].items()}
        return Counted(read(content['networks']), images)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warn_once(str(path), f'{path} was passed over: {error}')
        return None
