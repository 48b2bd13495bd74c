"""The modules of FastSurfer as Nipype interfaces, one class each.

Each runs the program that ``run_fastsurfer.sh`` runs, with the same arguments, and records
what it used. What it prints while it runs tells its parts apart: the networks of the three
planes, the banners of recon-surf and the stages of recon-all within it. Any of them works
alone in any workflow, and ``FASTSURFER_HOME`` says which version's arguments they take.
Only 2.6 has :class:`CopyInput`, :class:`AsegStats`, and those of the corpus callosum:
:class:`CorpusCallosum`, :class:`PaintCC`, :class:`CCStats` and :class:`AsegCCStats`.

>>> HypVINN.__doc__.splitlines()[0]
'HypVINN: ``HypVINN/run_prediction.py``.'

A module that is through already is not run again. One whose outputs are not all there in
the end has failed, whatever its exit code says.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    CommandLine,
    CommandLineInputSpec,
    Directory,
    File,
    isdefined,
    traits,
)

from .. import fastsurfer, freesurfer, progress
from ..aware import carbon_aware
from ..errors import StageError
from ..fastsurfer import FastSurfer
from ..readers.fastsurfer.output import Line, Turns, commands, failure
from ..run import divided, edge, ran, reused
from ..stage import Stage, find_stage, variants, words
from ..stage import parts as parts_of
from .process import follow
from .staged import by_stage, outputs, stage_class

__all__ = ['ASegDKT', 'AsegCCStats', 'AsegStats', 'BiasField', 'CCStats', 'CerebNet', 'CopyInput']
__all__ += ['CorpusCallosum', 'HypVINN', 'PaintCC', 'ReconSurf', 'SegStats', 'Talairach']

_AT_3T = traits.Bool(False, usedefault=True, desc='3T Talairach atlas')
_ETIV = traits.Bool(False, usedefault=True, desc='intracranial volume too, of tal_reg')

DEVICES = ('device', 'viewagg_device')
"""Inputs that may name a GPU, of those modules that have networks."""

OVERWRITTEN = {'recon-surf': ('orig',)}
"""By stage, what it needs and writes anew: recon-surf copies its input onto itself."""


IMPORTED = 'nicarbon.input'
"""What the first module of a version touches, which makes the subject's folder."""


class _Inputs(CommandLineInputSpec):  # type: ignore[misc]
    """What every module takes."""

    subject_id = traits.Str(mandatory=True, desc="subject's folder")
    subjects_dir = Directory(exists=True, mandatory=True, desc='SUBJECTS_DIR')
    python = traits.Str(
        'python3', usedefault=True, nohash=True, desc='Python that has what FastSurfer needs'
    )
    num_threads = traits.Range(
        low=1, value=1, usedefault=True, nohash=True, desc='threads of each program'
    )
    allow_root = traits.Bool(False, usedefault=True, nohash=True, desc='run as root')


SETTINGS: dict[str, dict[str, Any]] = {
    '{T1_file}': {'T1_file': File(exists=True, mandatory=True, desc='T1w image')},
    '{device}': {'device': traits.Str('auto', usedefault=True, desc='auto, cpu, cuda or cuda:N')},
    '{viewagg_device}': {
        'viewagg_device': traits.Str(
            'auto', usedefault=True, desc='where the views are aggregated'
        )
    },
    '{batch_size}': {
        'batch_size': traits.Range(low=1, value=1, usedefault=True, desc='slices at once')
    },
    '{vox_size}': {'vox_size': traits.Str('min', usedefault=True, desc='min, or 0.7 to 1 (mm)')},
    '{three_tesla}': {'three_tesla': _AT_3T},
    '{3T}': {'three_tesla': _AT_3T},
    '{etiv}': {'etiv': _ETIV},
    '{etiv_imported}': {'etiv': _ETIV},
    '{flags}': {'flags': traits.List(traits.Str, desc='further flags, such as --3T')},
}
"""Inputs of the modules whose arguments have these words."""


ETIV = {
    '{etiv}': ['EstimatedTotalIntraCranialVol', 'BrainSegVol-to-eTIV', 'MaskVol-to-eTIV'],
    # The volume of the brain changes with the corpus callosum, the others do not.
    '{etiv_imported}': ['EstimatedTotalIntraCranialVol', 'MaskVol-to-eTIV'],
    '{etiv_computed}': ['BrainSegVol-to-eTIV'],
}
"""Measures of the intracranial volume, which is estimated by the Talairach registration."""


class Module(CommandLine):  # type: ignore[misc]
    """One module of FastSurfer; the classes here are made of it.

    Attributes
    ----------
    stage_name : str
        Name of the stage in the table.
    """

    _cmd = 'FastSurfer'
    _ldd = False
    input_spec = _Inputs
    stage_name = ''

    @property
    def stage(self) -> Stage:
        """The stage in the installed version."""
        named = 'FASTSURFER_HOME' in os.environ
        version = fastsurfer.find().minor if named else None
        return find_stage('fastsurfer', self.stage_name, version=version)

    @property
    def uses_gpu(self) -> bool:
        """Whether it may take a GPU, of which a scheduler should know."""
        return any(device != 'cpu' for device in self._devices().values())

    def _devices(self) -> dict[str, str]:
        """Where it runs. FastSurfer's own choice may take a GPU even beside ``--device cpu``."""
        own = self.inputs.get()
        device, viewagg = (own.get(name, 'cpu') for name in DEVICES)
        if device == 'cpu' and viewagg == 'auto':
            viewagg = 'cpu'
        elif viewagg == 'auto' and _number(device):
            # Its own choice would be the first GPU, whichever the networks are on. It is shown
            # that of the networks alone, as the first.
            device = 'cuda:0'
        return dict(zip(DEVICES, (device, viewagg), strict=True))

    def _shown_gpu(self, environ: Mapping[str, str]) -> str | None:
        """The one GPU that it is shown; None for all that there are."""
        own = self.inputs.get()
        device, viewagg = (own.get(name, 'cpu') for name in DEVICES)
        number = _number(device)
        if not number or viewagg != 'auto':
            return None
        named = environ.get('CUDA_VISIBLE_DEVICES', '')
        known = [word.strip() for word in named.split(',') if word.strip()]
        return known[number] if number < len(known) else str(number)

    @property
    def folder(self) -> Path:
        """The subject's."""
        return Path(self.inputs.subjects_dir, self.inputs.subject_id)

    @property
    def cmdline(self) -> str:
        """The command, as it could be pasted into a shell."""
        self._check_mandatory_inputs()
        return shlex.join(self._words(fastsurfer.find()))

    def _words(self, installed: FastSurfer) -> list[str]:
        stage = self.stage
        program = [str(installed.home / stage.program)]
        python = shlex.split(self.inputs.python) if stage.program.endswith('.py') else []
        settings = self._settings(installed, stage)
        flags = self._flags(installed)
        given = [
            word
            for each in stage.arguments
            for word in (flags[each] if each in flags else _given(each, settings))
        ]
        return [*python, *program, *given]

    def _settings(self, installed: FastSurfer, stage: Stage) -> dict[str, str]:
        """What words in braces stand for."""
        folder, own = self.folder, self.inputs.get()
        files = {name: str(folder / stage.path(name)) for name in (*stage.needs, *stage.makes)}
        return {
            **{name: str(value) for name, value in own.items() if isdefined(value)},
            **self._devices(),
            **files,
            'home': str(installed.home),
            'subject': str(folder),
            'seg_log': str(folder / 'scripts' / 'deep-seg.log'),
            'threads': str(self.inputs.num_threads),
            'three_tesla': str(own.get('three_tesla', False)).lower(),
        }

    def _flags(self, installed: FastSurfer) -> dict[str, list[str]]:
        """Words that stand for any number of flags."""
        own = self.inputs.get()
        as_root = own['allow_root'] and fastsurfer.takes_allow_root(installed)
        flags = own.get('flags')
        return {
            '{allow_root}': ['--allow_root'] if as_root else [],
            '{3T}': ['--3T'] if own.get('three_tesla') else [],
            '{flags}': list(flags) if flags and isdefined(flags) else [],
            **{word: names if own.get('etiv') else [] for word, names in ETIV.items()},
        }

    def _run_interface(self, runtime: Any, correct_return_codes: Any = (0,)) -> Any:
        stage, folder = self.stage, self.folder
        image = getattr(self.inputs, 'T1_file', None)
        told = progress.note([image] if image else [], [])
        progress.put_back(folder)
        progress.check(stage, folder, told)
        if progress.finished(stage, folder):
            reused(progress.made_at(stage, folder))
            return runtime
        kept = [folder / stage.path(name) for name in OVERWRITTEN.get(stage.name, ())]
        with (
            progress.working(stage, folder, told, imports=stage.touch == IMPORTED),
            progress.keeping(kept, folder),
        ):
            self._run(stage, runtime, correct_return_codes)
        return runtime

    def _run(self, stage: Stage, runtime: Any, correct: Any) -> None:
        """Run the program, and see whether it did what it was to do."""
        installed = fastsurfer.find()
        called = self._words(installed)
        freesurfer.remove_stale_flags(self.folder)
        began = progress.since(stage, self.folder)
        lines, turns = list[Line](), Turns(parts_of('fastsurfer', stage.name))

        def tell(line: Line) -> None:
            lines.append(line)
            if turns.read(line):
                edge()

        runtime.cmdline, runtime.stdout, runtime.stderr = shlex.join(called), '', ''
        runtime.success_codes = correct
        try:
            runtime.returncode = follow(
                called, self._variables(installed, runtime), _cwd(called, stage), tell
            )
        finally:
            runtime.stdout = '\n'.join(text for _, text in lines)
            divided(turns.parts(time.monotonic()))
            ran(commands(lines))
        why = '' if runtime.returncode in correct else f'exit code {runtime.returncode}'
        why = why or _missing(stage, self.folder, began)
        if why:
            raise StageError(self._complaint(stage, why, lines))

    def _variables(self, installed: FastSurfer, runtime: Any) -> dict[str, str]:
        environ = {**runtime.environ, **fastsurfer.environment(installed, runtime.environ)}
        environ |= fastsurfer.threads(self.inputs.num_threads)
        # Dates in the log of recon-surf are in the words of the locale.
        environ |= {'LC_ALL': 'C', 'SUBJECTS_DIR': self.inputs.subjects_dir}
        if not self.uses_gpu:
            # Nothing shall open a GPU that nobody asked for, not even to look at it.
            environ['CUDA_VISIBLE_DEVICES'] = '-1'
        elif (one := self._shown_gpu(environ)) is not None:
            environ['CUDA_VISIBLE_DEVICES'] = one
        return environ

    def _complaint(self, stage: Stage, why: str, lines: list[Line]) -> str:
        """Why it failed, in one line; its log says the rest."""
        said = failure(lines)
        log = 'recon-surf.log' if stage.group == 'surf' else 'deep-seg.log'
        # Programs that keep no log of their own are heard by the crash report alone.
        kept = stage.group == 'surf' or '{seg_log}' in stage.arguments
        where = self.folder / 'scripts' / log if kept else 'the crash report'
        return (
            f'{stage.title} of {self.inputs.subject_id}: '
            f'{f"{said} ({why})" if said else why} (see {where})'
        )

    def _list_outputs(self) -> dict[str, Any]:
        return outputs(self.stage, self.output_spec().get(), self.folder)


def _given(argument: str, settings: dict[str, str]) -> Iterator[str]:
    """Words that one argument of the table stands for."""
    if argument.startswith('{*'):
        yield from words('fastsurfer', argument.strip('{*}'))
    else:
        yield argument.format_map(settings)


def _number(device: str) -> int:
    """Of a GPU; 0 also where none is named."""
    return int(device.partition(':')[2] or 0) if device.startswith('cuda') else 0


def _cwd(called: list[str], stage: Stage) -> Path | None:
    """Shell scripts are called in their own folder, as run_fastsurfer.sh does."""
    return Path(called[0]).parent if stage.program.endswith('.sh') else None


def _missing(stage: Stage, folder: Path, since: float) -> str:
    """What was not made, or is there from before: some modules end well after an error."""
    for path in (folder / stage.path(name) for name in stage.makes):
        if not path.exists():
            return f'{path.relative_to(folder)} was not made'
        if path.stat().st_mtime < since - progress.CLOCK_SECONDS:
            return f'{path.relative_to(folder)} was not made anew'
    return ''


def _module(class_name: str, name: str) -> Any:
    rows = variants('fastsurfer', name)
    own = {
        trait: kind
        for word, fields in SETTINGS.items()
        if any(word in row.arguments for row in rows)
        for trait, kind in fields.items()
    }
    names = {'__module__': __name__, '__qualname__': f'{class_name}.inputs'}
    spec = type('inputs', (_Inputs,), {**names, **own})
    members = {'__doc__': _help(rows), 'stage_name': name}
    return carbon_aware(stage_class(__name__, class_name, Module, rows, spec, members))


def _help(rows: tuple[Stage, ...]) -> str:
    newest = rows[0]
    device = 'Runs on a GPU or a CPU.' if newest.gpu else 'Runs on a CPU.'
    what = 'FreeSurfer and its licence' if newest.group != 'seg' else 'no FreeSurfer'
    return f'{newest.title}: ``{newest.program}``.\n\n{device} Needs {what}.'


CopyInput = _module('CopyInput', 'copy-input')
ASegDKT = _module('ASegDKT', 'asegdkt')
BiasField = _module('BiasField', 'biasfield')
Talairach = _module('Talairach', 'tal_reg')
SegStats = _module('SegStats', 'asegdkt-stats')
AsegStats = _module('AsegStats', 'aseg-stats')
CorpusCallosum = _module('CorpusCallosum', 'cc')
PaintCC = _module('PaintCC', 'cc-paint')
CCStats = _module('CCStats', 'asegdkt-cc-stats')
AsegCCStats = _module('AsegCCStats', 'aseg-cc-stats')
CerebNet = _module('CerebNet', 'cereb')
HypVINN = _module('HypVINN', 'hypothal')
ReconSurf = _module('ReconSurf', 'recon-surf')


def of_stage(name: str) -> type[Module]:
    """The class of a stage, by its name in the table.

    Parameters
    ----------
    name : str

    Returns
    -------
    type

    Examples
    --------
    >>> of_stage('hypothal').__name__
    'HypVINN'
    """
    return _CLASSES[name]


_CLASSES = by_stage(Module, globals())
