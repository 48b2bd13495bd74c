"""FastSurfer from start to end, through the installed command, on the stand-in."""

from __future__ import annotations

import os
from pathlib import Path

import fastsurfer_stand_in as stand_in
import freesurfer_stand_in
from laboratory import Laboratory

ROOT = ('--allow-root',) if os.geteuid() == 0 else ()


class Lab(Laboratory):
    """A folder with a dataset, FastSurfer with or without FreeSurfer, and what came out."""

    tool = 'fastsurfer'
    words = ('--device', 'cpu', *ROOT)

    def __init__(self, root, subjects=('01',), *, surfaces: bool = False, **home) -> None:
        env = {'FREESURFER_HOME': '', 'FS_LICENSE': '', 'PYTHONPATH': ''}
        env |= freesurfer_stand_in.install(root / 'freesurfer') if surfaces else {}
        super().__init__(root, env | stand_in.install(root / 'fastsurfer', **home), subjects)
        if not surfaces:
            self.words = (*self.words, '--seg-only')

    def work(self, parts=None, stages=None, **default) -> dict[str, str]:
        """What modules, their parts and the stages of recon-all within shall cost."""
        own = stand_in.work(self.root, parts, **default)
        return own | freesurfer_stand_in.work(self.root, stages)

    def run(self, *words: object, work=None):
        return super().run(*words, work=work or self.work())

    def modules(self) -> list[dict]:
        return stand_in.truth(self.root)
