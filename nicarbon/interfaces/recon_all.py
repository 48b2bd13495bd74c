"""A call of recon-all as a Nipype interface: what those of stages and directives share."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    CommandLine,
    CommandLineInputSpec,
    Directory,
    File,
    Undefined,
    isdefined,
    traits,
)

from ..errors import StageError
from ..readers.freesurfer import output as recon_all
from ..run import ran

__all__ = ['EXPERT', 'ReconAll', 'ReconAllInputs', 'merged']

IMAGES = ('T1_files', 'T2_file', 'FLAIR_file')

EXPERT = 'expert.opts'
"""Expert options of a stage that needs some, in its working folder."""


class ReconAllInputs(CommandLineInputSpec):  # type: ignore[misc]
    """What every call of recon-all takes."""

    subject_id = traits.Str(argstr='-s %s', position=0, mandatory=True, desc="subject's folder")
    subjects_dir = Directory(
        exists=True, argstr='-sd %s', position=1, mandatory=True, desc='SUBJECTS_DIR'
    )
    flags = traits.List(traits.Str, desc='further flags, such as -3T or -cm')
    expert = File(exists=True, desc='file of expert options')
    num_threads = traits.Range(
        low=1, value=1, usedefault=True, nohash=True, desc='threads, where programs have them'
    )


class ReconAll(CommandLine):  # type: ignore[misc]
    """One call of recon-all."""

    _cmd = 'recon-all'
    _ldd = False
    _terminal_output = 'file'
    input_spec = ReconAllInputs

    @property
    def folder(self) -> Path:
        """The subject's."""
        return Path(self.inputs.subjects_dir, self.inputs.subject_id)

    def _words(self) -> list[str]:
        """Flags of the call, after those of the subject."""
        return self._images()

    def _images(self) -> list[str]:
        """T1w images to import, as arguments."""
        images = getattr(self.inputs, 'T1_files', Undefined)
        return [f'-i {shlex.quote(image)}' for image in images] if isdefined(images) else []

    def _given(self) -> list[str]:
        """Images to import."""
        fields = (getattr(self.inputs, name, Undefined) for name in IMAGES)
        given = (field if isinstance(field, list) else [field] for field in fields)
        return [image for images in given for image in images if isdefined(image)]

    def _flags(self) -> list[str]:
        """Flags that are given beside those of the stage."""
        return list(self.inputs.flags) if isdefined(self.inputs.flags) else []

    def _parse_inputs(self, skip: Any = None) -> list[str]:
        first = super()._parse_inputs(
            [*(skip or ()), 'flags', 'expert', 'num_threads', 'T1_files']
        )
        threads = f'-threads {self.inputs.num_threads} -itkthreads {self.inputs.num_threads}'
        own = self._flags()
        expert = self._expert()
        own += [f'-expert {expert} -xopts-overwrite'] if expert else []
        return [*first[:2], *self._words(), *first[2:], threads, *own, '-no-isrunning']

    def _expert(self) -> str:
        """The file of expert options, where there is one."""
        return str(self.inputs.expert) if isdefined(self.inputs.expert) else ''

    def _run_interface(self, runtime: Any, correct_return_codes: Any = (0,)) -> Any:
        # Its markers have dates, which other locales write in other ways.
        runtime.environ['LC_ALL'] = 'C'
        runtime.environ['SUBJECTS_DIR'] = self.inputs.subjects_dir
        try:
            runtime = super()._run_interface(runtime, correct_return_codes)
        finally:
            self._note(_text(runtime))
        if runtime.returncode not in correct_return_codes:
            raise StageError(self._complaint(runtime))
        return runtime

    def _note(self, text: str) -> None:
        """Say what ran, whether it went well or not."""
        ran(recon_all.commands(text, time.monotonic() - time.time()))

    def _complaint(self, runtime: Any) -> str:
        """Why recon-all failed, in one line; its log says the rest."""
        why = recon_all.failure(_text(runtime)) or f'exit code {runtime.returncode}'
        log = self.folder / 'scripts' / 'recon-all.log'
        return (
            f'recon-all {" ".join(self._words())} of {self.inputs.subject_id}: {why} (see {log})'
        )


def _text(runtime: Any) -> str:
    """What a command printed, wherever Nipype keeps it."""
    texts = (getattr(runtime, name, None) for name in ('merged', 'stdout'))
    return next((text for text in texts if text), '')


def merged(*texts: str) -> str:
    """Expert options with one line for each program, as recon-all wants them."""
    programs: dict[str, list[str]] = {}
    for line in '\n'.join(texts).splitlines():
        name, *options = line.split() or ['#']
        if not name.startswith('#'):
            programs.setdefault(name, []).extend(options)
    return ''.join(f'{" ".join([name, *options])}\n' for name, options in programs.items())
