"""The embedded structural pipeline, of pip-installable parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...bids import Session
from ...errors import MissingExtraError
from ...stage import Stage, stages
from ..options import Options

__all__ = ['StructuralPipeline']

PACKAGES = {
    'SimpleITK': 'SimpleITK',
    'dipy': 'dipy',
    'nibabel': 'nibabel',
    'nilearn': 'nilearn',
    'numpy': 'numpy',
    'scipy': 'scipy',
    'skimage': 'scikit-image',
    'threadpoolctl': 'threadpoolctl',
}
"""Modules that it imports, and the packages that bring them."""


@dataclass(frozen=True, slots=True)
class StructuralPipeline:
    """The pipeline with the options of a run.

    Parameters
    ----------
    options : Options
    """

    options: Options
    tool: str = 'structural'
    preload: str = 'nicarbon.workflows.structural'
    free_bytes: int = 500_000_000
    """What two sessions at 1 mm leave in the work folder."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All of them."""
        return stages(self.tool)

    def sessions(self, bids_dir: Path, sessions: Sequence[Session]) -> Sequence[Session]:  # noqa: ARG002
        """The same: their T1w images are all that it wants."""
        return sessions

    def stages_of(self, session: Session) -> tuple[Stage, ...]:  # noqa: ARG002
        """All of them."""
        return self.stages

    def steps(self, session: Session) -> int:  # noqa: ARG002
        """One for each stage."""
        return len(self.stages)

    def require(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> None:  # noqa: ARG002
        """Refuse to run without its packages."""
        missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
        if missing:
            raise MissingExtraError(
                f'the structural pipeline needs {", ".join(missing)}: '
                "pip install 'nicarbon[structural]'"
            )

    def environment(self) -> Mapping[str, str]:
        """None."""
        return {}

    def workflow(self, bids_dir: Path, out_dir: Path, sessions: Sequence[Session]) -> Any:
        """The Nipype workflow of these sessions."""
        from ...workflows.structural import init_structural_dataset_wf

        return init_structural_dataset_wf(
            sessions,
            bids_dir=bids_dir,
            out_dir=out_dir,
            omp_nthreads=self.options.omp_nthreads,
        )

    def stale(self, out_dir: Path, base: Path, sessions: Sequence[Session]) -> list[Path]:
        """Those whose derivatives somebody has removed."""
        from ...workflows.structural import unsaved

        return unsaved(sessions, out_dir, base)

    def reused(self, out_dir: Path, sessions: Sequence[Session]) -> Mapping[Session, float]:  # noqa: ARG002
        """None: what is finished is found node by node."""
        return {}

    def versions(self) -> Mapping[str, str]:
        """Packages that it uses."""
        return {name: version(name) for name in PACKAGES.values()}

    def programs(self) -> Mapping[str, str]:
        """None: it is nicarbon's own."""
        return {}

    def networks(self, sessions: Sequence[Session]) -> None:
        """None that is known."""
