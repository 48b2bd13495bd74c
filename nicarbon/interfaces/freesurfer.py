"""The stages of FreeSurfer's recon-all as Nipype interfaces, one class each.

Each calls ``recon-all`` with the flag of its stage, so that touch files, logs and
versions stay FreeSurfer's own, and records what it used: the programs that it ran become
the commands of its entry. Any of them works alone in any workflow:

>>> stage = Smooth1(subject_id='bert', subjects_dir='.', hemi='lh', num_threads=4)
>>> print(stage.cmdline.replace(stage.inputs.subjects_dir, 'DIR'))  # doctest: +ELLIPSIS
recon-all -s bert -sd DIR ...-smooth1 -hemi lh -threads 4 -itkthreads 4 -no-isrunning

The installed version (``FREESURFER_HOME``) says which files a stage needs and makes.
``help()`` of a class names them. A stage that is through already is not run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    Directory,
    File,
    InputMultiObject,
    TraitedSpec,
    isdefined,
    traits,
)

from .. import freesurfer, progress
from ..aware import carbon_aware
from ..errors import StageError
from ..readers.freesurfer import output as recon_all
from ..run import divided, reused
from ..stage import HEMIS, Stage, find_stage, flags_of_many, variants
from .recon_all import EXPERT, ReconAll, ReconAllInputs, merged
from .staged import by_stage, outputs, stage_class

__all__ = ['AParc2ASeg', 'APas2ASeg', 'ASegMerge', 'ASegStats', 'AutoDetGWStats', 'AvgCurv']
__all__ += ['BALabels', 'CALabel', 'CANormalize', 'CARegister', 'CCSeg', 'CortexLabel']
__all__ += ['CorticalParc', 'CorticalParc2', 'CorticalParc3', 'CorticalRibbon', 'CurvHK']
__all__ += ['CurvStats', 'Directive', 'EMRegister', 'EntoWM', 'FLAIRInput', 'FLAIRPial']
__all__ += ['Fill', 'FixTopology', 'HypoRelabel', 'Inflate1', 'Inflate2', 'Input']
__all__ += ['IntensityNormalization', 'IntensityNormalization2', 'JacobianWhite', 'MCADura']
__all__ += ['MaskBFS', 'MotionCor', 'NuIntensityCor', 'ParcStats', 'ParcStats2', 'ParcStats3']
__all__ += ['PctSurfCon', 'Pial', 'QSphere', 'SkullStrip', 'Smooth1', 'Smooth2', 'Sphere']
__all__ += ['SurfReg', 'SynthMorph', 'SynthSeg', 'SynthStrip', 'T2Input', 'T2Pial', 'TalCheck']
__all__ += ['Talairach', 'Tessellate', 'WMParc', 'WMSegmentation', 'White', 'WhitePreAparc']


class ReconAllStage(ReconAll):
    """One stage of recon-all; the classes of this module are made of it.

    Attributes
    ----------
    stage_name : str
        Name of the stage in the table.
    """

    stage_name = ''

    @property
    def stage(self) -> Stage:
        """The stage in the installed version."""
        hemi = getattr(self.inputs, 'hemi', '')
        return installed(self.stage_name, hemi if isdefined(hemi) else '')

    def _words(self) -> list[str]:
        stage = self.stage
        return [*stage.always, *([stage.flag] if stage.flag else self._images())]

    def _expert(self) -> str:
        return EXPERT if self.stage.expert else super()._expert()

    def _run_interface(self, runtime: Any, correct_return_codes: Any = (0,)) -> Any:
        stage, folder = self.stage, self.folder
        told = progress.note(self._given(), self._flags())
        progress.check(stage, folder, told)
        if progress.finished(stage, folder):
            reused(progress.made_at(stage, folder))
            return runtime
        if stage.expert:
            given = super()._expert()
            text = Path(given).read_text('utf-8') if given else ''
            Path(runtime.cwd, EXPERT).write_text(merged(text, stage.expert), 'utf-8')
        with progress.working(stage, folder, told, imports=stage.name == 'input'):
            return super()._run_interface(runtime, correct_return_codes)

    def _list_outputs(self) -> dict[str, Any]:
        return outputs(self.stage, self.output_spec().get(), self.folder)


def installed(name: str, hemi: str = '') -> Stage:
    """A stage as the installed version has it, or the newest that is known.

    Parameters
    ----------
    name : str
    hemi : {'', 'lh', 'rh'}

    Returns
    -------
    Stage

    Raises
    ------
    UsageError
        When that version has no such stage.
    """
    named = 'FREESURFER_HOME' in os.environ
    return find_stage('freesurfer', name, hemi, freesurfer.find().major if named else None)


class _Hemi(ReconAllInputs):
    hemi = traits.Enum(*HEMIS, argstr='-hemi %s', mandatory=True, desc='hemisphere')


class _HemiOrBoth(ReconAllInputs):
    hemi = traits.Enum(
        *HEMIS, argstr='-hemi %s', desc='hemisphere, in versions that take one at a time'
    )


class _Import(ReconAllInputs):
    T1_files = InputMultiObject(File(exists=True), mandatory=True, desc='T1w images, one or more')


class _ImportT2(ReconAllInputs):
    T2_file = File(exists=True, argstr='%s -noT2pial', mandatory=True, desc='T2w image')


class _ImportFLAIR(ReconAllInputs):
    FLAIR_file = File(exists=True, argstr='%s -noFLAIRpial', mandatory=True, desc='FLAIR image')


def _stage(class_name: str, name: str, base: type[ReconAllInputs] | None = None) -> Any:
    """Make the class of a stage from what the table says of it in all versions."""
    rows = variants('freesurfer', name)
    sided = {bool(row.hemi) for row in rows}
    inputs = base or (
        ReconAllInputs if sided == {False} else _Hemi if sided == {True} else _HemiOrBoth
    )
    members = {'__doc__': _help(rows), 'stage_name': name}
    return carbon_aware(stage_class(__name__, class_name, ReconAllStage, rows, inputs, members))


def _help(rows: tuple[Stage, ...]) -> str:
    newest = rows[0]
    titles = ' or '.join(dict.fromkeys(row.title for row in rows))
    programs = ', '.join(dict.fromkeys(name for row in rows for name in row.binaries))
    also = f' It also runs {", ".join(newest.also)}.' if newest.also else ''
    threads = 'Threads: yes.' if newest.threads else 'Threads: none of its programs uses them.'
    flag = newest.flag or '-i'
    return f'{titles}: ``recon-all {flag}`` ({newest.group}).\n\nRuns {programs}.{also} {threads}'


# Autorecon 1
Input = _stage('Input', 'input', _Import)
T2Input = _stage('T2Input', 't2-input', _ImportT2)
FLAIRInput = _stage('FLAIRInput', 'flair-input', _ImportFLAIR)
MotionCor = _stage('MotionCor', 'motioncor')
Talairach = _stage('Talairach', 'talairach')
TalCheck = _stage('TalCheck', 'tal-check')
NuIntensityCor = _stage('NuIntensityCor', 'nuintensitycor')
IntensityNormalization = _stage('IntensityNormalization', 'normalization')
SkullStrip = _stage('SkullStrip', 'skullstrip')
SynthStrip = _stage('SynthStrip', 'synthstrip')
SynthMorph = _stage('SynthMorph', 'synthmorph')
SynthSeg = _stage('SynthSeg', 'synthseg')
MCADura = _stage('MCADura', 'mcadura')

# Autorecon 2
EMRegister = _stage('EMRegister', 'gcareg')
EntoWM = _stage('EntoWM', 'entowm')
CANormalize = _stage('CANormalize', 'canorm')
CARegister = _stage('CARegister', 'careg')
CALabel = _stage('CALabel', 'calabel')
CCSeg = _stage('CCSeg', 'ccseg')
ASegMerge = _stage('ASegMerge', 'asegmerge')
IntensityNormalization2 = _stage('IntensityNormalization2', 'normalization2')
MaskBFS = _stage('MaskBFS', 'maskbfs')
WMSegmentation = _stage('WMSegmentation', 'segmentation')
Fill = _stage('Fill', 'fill')
Tessellate = _stage('Tessellate', 'tessellate')
Smooth1 = _stage('Smooth1', 'smooth1')
Inflate1 = _stage('Inflate1', 'inflate1')
QSphere = _stage('QSphere', 'qsphere')
FixTopology = _stage('FixTopology', 'fix')
AutoDetGWStats = _stage('AutoDetGWStats', 'autodetgwstats')
WhitePreAparc = _stage('WhitePreAparc', 'white-preaparc')
CortexLabel = _stage('CortexLabel', 'cortex-label')
Smooth2 = _stage('Smooth2', 'smooth2')
Inflate2 = _stage('Inflate2', 'inflate2')
CurvHK = _stage('CurvHK', 'curvHK')

# Autorecon 3
Sphere = _stage('Sphere', 'sphere')
SurfReg = _stage('SurfReg', 'surfreg')
JacobianWhite = _stage('JacobianWhite', 'jacobian_white')
AvgCurv = _stage('AvgCurv', 'avgcurv')
CorticalParc = _stage('CorticalParc', 'cortparc')
White = _stage('White', 'white')
Pial = _stage('Pial', 'pial')
T2Pial = _stage('T2Pial', 'T2pial')
FLAIRPial = _stage('FLAIRPial', 'FLAIRpial')
CurvStats = _stage('CurvStats', 'curvstats')
CorticalRibbon = _stage('CorticalRibbon', 'cortribbon')
CorticalParc2 = _stage('CorticalParc2', 'cortparc2')
CorticalParc3 = _stage('CorticalParc3', 'cortparc3')
PctSurfCon = _stage('PctSurfCon', 'pctsurfcon')
HypoRelabel = _stage('HypoRelabel', 'hyporelabel')
APas2ASeg = _stage('APas2ASeg', 'apas2aseg')
AParc2ASeg = _stage('AParc2ASeg', 'aparc2aseg')
WMParc = _stage('WMParc', 'wmparc')
ParcStats = _stage('ParcStats', 'parcstats')
ParcStats2 = _stage('ParcStats2', 'parcstats2')
ParcStats3 = _stage('ParcStats3', 'parcstats3')
ASegStats = _stage('ASegStats', 'segstats')
BALabels = _stage('BALabels', 'balabels')


def of_stage(name: str) -> type[ReconAllStage]:
    """The class of a stage, by its name in the table.

    Parameters
    ----------
    name : str

    Returns
    -------
    type

    Examples
    --------
    >>> of_stage('white-preaparc').__name__
    'WhitePreAparc'
    """
    return _CLASSES[name]


_CLASSES = by_stage(ReconAllStage, globals())


class _DirectiveInputs(ReconAllInputs):
    directive = traits.Enum(
        'autorecon1', 'autorecon2', 'autorecon3', argstr='-%s', mandatory=True, desc='its stages'
    )
    T1_files = InputMultiObject(File(exists=True), desc='T1w images to import first')
    T2_file = File(exists=True, argstr='-T2 %s -noT2pial', desc='T2w image to import')
    FLAIR_file = File(exists=True, argstr='-FLAIR %s -noFLAIRpial', desc='image to import')


class _DirectiveOutputs(TraitedSpec):  # type: ignore[misc]
    subject_id = traits.Str(desc="subject's folder")
    subjects_dir = Directory(desc='SUBJECTS_DIR')


@carbon_aware
class Directive(ReconAll):
    """All stages of autorecon1, 2 or 3 in one call, cut into stages by the log's markers."""

    input_spec = _DirectiveInputs
    output_spec = _DirectiveOutputs

    def _words(self) -> list[str]:
        # What is imported is kept: recon-all takes no image for a subject that it knows.
        images = [] if self.folder.exists() else self._images()
        return [*flags_of_many('freesurfer', freesurfer.find().major), *images]

    def _run_interface(self, runtime: Any, correct_return_codes: Any = (0,)) -> Any:
        folder, own = self.folder, self._stages([self.inputs.directive])
        told = progress.note(self._given(), self._flags())
        progress.check(own[0], folder, told)
        if all(progress.finished(stage, folder) for stage in own):
            reused((folder / 'scripts' / 'recon-all.log').stat().st_mtime)
            return runtime
        first = isdefined(self.inputs.T1_files) and not progress.is_ours(folder)
        if first:
            progress.begin_import(folder)
        else:
            for stage in own:
                progress.begin(stage, folder)
        try:
            runtime = super()._run_interface(runtime, correct_return_codes)
        except StageError:
            if first:
                progress.fail_import(folder, told)
            for stage in own:
                progress.fail(stage, folder)
            raise
        if first:
            progress.end_import(folder, told)
        for stage in own:
            if stage.name != 'input':
                progress.end(stage, folder)
        return runtime

    def _stages(self, names: Sequence[str] = ('all',)) -> tuple[Stage, ...]:
        return freesurfer.selected(freesurfer.find().major, names, self._second())

    def _note(self, text: str) -> None:
        super()._note(text)
        now = time.monotonic()
        divided(recon_all.parts(text, self._stages(), now - time.time(), end=now))

    def _second(self) -> freesurfer.Second:
        """The second image that this call has to do with."""
        flags = self._flags()
        if isdefined(self.inputs.T2_file) or '-T2pial' in flags:
            return 'T2'
        return 'FLAIR' if isdefined(self.inputs.FLAIR_file) or '-FLAIRpial' in flags else ''

    def _list_outputs(self) -> dict[str, Any]:
        return {
            'subject_id': self.inputs.subject_id,
            'subjects_dir': self.inputs.subjects_dir,
        }
