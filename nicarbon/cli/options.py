"""Options of a run: one frozen value, in which each option is declared once.

The parser, the environment variables (``NICARBON_<NAME>``), the configuration file and
``config.toml`` of a run follow from that; :mod:`nicarbon.cli.choice` settles them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..entity import label
from ..errors import UsageError

__all__ = ['Options', 'switch']


def _option(
    *names: str,
    group: str,
    help: str,  # noqa: A002 - argparse's word
    default: Any = None,
    of: Callable[[str], Any] = str,
    metavar: str | None = None,
    many: bool = False,
    choices: Sequence[str] | None = None,
) -> Any:
    return field(
        default=default,
        metadata={
            'names': names,
            'group': group,
            'help': help,
            'of': of,
            'metavar': metavar,
            'many': many,
            'choices': choices,
        },
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise UsageError(f'{text} is not a number of 1 or more')
    return number


def _gigabytes(text: str) -> float:
    number = float(text.upper().removesuffix('GB').removesuffix('G'))
    if not number > 0:
        raise UsageError(f'{text} is not an amount of memory in GB')
    return number


def _device(text: str) -> str:
    if not re.fullmatch(r'auto|cpu|cuda(:\d+)?', text):
        raise UsageError(f'{text} is no device: it is auto, cpu, cuda or cuda:N')
    return text


def grid_text(text: str) -> str:
    """What ``--grid`` was given; of a file its whole path, since later runs start elsewhere.

    Examples
    --------
    >>> grid_text('FR')
    'FR'
    """
    path = Path(text).expanduser()
    return str(path.resolve()) if path.suffix and path.is_file() else text


def switch(text: str) -> bool:
    """True or false, as people write it."""
    words = {'1': True, 'true': True, 'yes': True, '0': False, 'false': False, 'no': False}
    if text.lower() not in words:
        raise UsageError(f'{text!r} is neither true nor false')
    return words[text.lower()]


PIPELINES = ('auto', 'structural', 'freesurfer', 'fastsurfer')

WHAT = 'what to process'
SURFERS = 'FreeSurfer and FastSurfer'
FREESURFER = 'FreeSurfer'
FASTSURFER = 'FastSurfer'
HOW = 'how to run'
CARBON = 'energy and carbon'
WORK = 'work folder and reports'


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run is told; see ``nicarbon --help`` for the meaning of each."""

    participant_label: tuple[str, ...] = _option(
        '--participant-label',
        '--participant_label',
        group=WHAT,
        help='subjects to process, with or without "sub-"; all by default',
        default=(),
        many=True,
        of=lambda text: label(text, 'sub'),
        metavar='LABEL',
    )
    session_label: tuple[str, ...] = _option(
        '--session-label',
        '--session_label',
        group=WHAT,
        help='sessions to process, with or without "ses-"; all by default',
        default=(),
        many=True,
        of=lambda text: label(text, 'ses'),
        metavar='LABEL',
    )
    bids_filter_file: Path | None = _option(
        '--bids-filter-file',
        group=WHAT,
        help='JSON file that selects images, {"t1w": {"acquisition": "mprage"}}',
        of=Path,
        metavar='FILE',
    )
    skip_bids_validation: bool = _option(
        '--skip-bids-validation',
        group=WHAT,
        help='do not look at dataset_description.json',
        default=False,
        of=switch,
    )
    pipeline: str = _option(
        '--pipeline',
        group=WHAT,
        help='pipeline to run; auto takes FastSurfer where FASTSURFER_HOME is set, else '
        'FreeSurfer where FREESURFER_HOME is, else the structural one, which needs nothing but '
        'Python',
        default='auto',
        choices=PIPELINES,
    )
    stages: tuple[str, ...] = _option(
        '--stages',
        group=SURFERS,
        help='stages to run, by their names (motioncor, smooth1_lh; asegdkt, cereb) or by '
        'directive (autorecon1; seg, surf); all by default',
        default=(),
        many=True,
        metavar='STAGE',
    )
    fs_license_file: Path | None = _option(
        '--fs-license-file',
        group=SURFERS,
        help="FreeSurfer's licence; by default what FS_LICENSE names, or license.txt of its home",
        of=Path,
        metavar='FILE',
    )
    fs_subjects_dir: Path | None = _option(
        '--fs-subjects-dir',
        group=SURFERS,
        help='folder of the subjects, of which finished ones are taken as they are; '
        'OUT_DIR/freesurfer or OUT_DIR/fastsurfer by default',
        of=Path,
        metavar='DIR',
    )
    three_tesla: bool = _option(
        '--3T',
        group=SURFERS,
        help='take the Talairach atlas of 3 T; by default where MagneticFieldStrength says so',
        default=False,
        of=switch,
    )
    granularity: str = _option(
        '--granularity',
        group=FREESURFER,
        help='one call of recon-all for each stage and hemisphere, or one for each of '
        'autorecon1, 2 and 3, cut into stages by the markers of the log',
        default='stage',
        choices=('stage', 'directive'),
    )
    no_submm_recon: bool = _option(
        '--no-submm-recon',
        group=FREESURFER,
        help='conform to 1 mm; by default images of smaller voxels keep their size (-cm)',
        default=False,
        of=switch,
    )
    fastsurfer_home: Path | None = _option(
        '--fastsurfer-home',
        group=FASTSURFER,
        help='folder of FastSurfer; by default what FASTSURFER_HOME names',
        of=Path,
        metavar='DIR',
    )
    fastsurfer_python: str = _option(
        '--fastsurfer-python',
        group=FASTSURFER,
        help='Python that has PyTorch and what else FastSurfer needs (default: python3)',
        default='python3',
        metavar='COMMAND',
    )
    seg_only: bool = _option(
        '--seg-only',
        group=FASTSURFER,
        help='segmentation alone, which needs neither FreeSurfer nor a licence',
        default=False,
        of=switch,
    )
    device: str = _option(
        '--device',
        group=FASTSURFER,
        help='where the networks run: cpu, cuda, cuda:N, or auto, which takes a GPU where '
        'PyTorch has one',
        default='auto',
        of=_device,
        metavar='DEVICE',
    )
    viewagg_device: str = _option(
        '--viewagg-device',
        group=FASTSURFER,
        help='where the views of the three planes are aggregated; auto takes the GPU of '
        '--device if its memory is large enough',
        default='auto',
        of=_device,
        metavar='DEVICE',
    )
    gpu_procs: int = _option(
        '--gpu-procs',
        group=FASTSURFER,
        help='stages that may be on the GPU at once; each needs memory of its own there '
        '(default: 1)',
        default=1,
        of=_count,
        metavar='N',
    )
    batch_size: int = _option(
        '--batch-size',
        group=FASTSURFER,
        help='slices that a network sees at once (default: 1)',
        default=1,
        of=_count,
        metavar='N',
    )
    allow_root: bool = _option(
        '--allow-root',
        group=FASTSURFER,
        help='run FastSurfer even as root, to whom all that it makes will belong',
        default=False,
        of=switch,
    )
    dry_run: bool = _option(
        '--dry-run',
        group=WHAT,
        help='list subjects, stages and outputs, and stop',
        default=False,
        of=switch,
    )
    nprocs: int | None = _option(
        '--nprocs',
        '--n-cpus',
        group=HOW,
        help='cores to use at most; by default all that it may use (a container or a job may use '
        'fewer than there are)',
        of=_count,
        metavar='N',
    )
    omp_nthreads: int = _option(
        '--omp-nthreads',
        group=HOW,
        help='cores for one stage at most',
        default=1,
        of=_count,
        metavar='N',
    )
    mem: float | None = _option(
        '--mem',
        '--mem-gb',
        group=HOW,
        help='memory to use at most, in GB; by default nine tenths of what it may use',
        of=_gigabytes,
        metavar='GB',
    )
    stop_on_first_crash: bool = _option(
        '--stop-on-first-crash',
        group=HOW,
        help='stop everything when one stage fails; by default the other subjects go on',
        default=False,
        of=switch,
    )
    use_plugin: Path | None = _option(
        '--use-plugin',
        group=HOW,
        help='file (YAML or TOML) with "plugin" and "plugin_args" of Nipype: SLURM, SGE or PBS, '
        'under which each stage is a job; by default processes of this host',
        of=Path,
        metavar='FILE',
    )
    grid: str | None = _option(
        '--grid',
        group=CARBON,
        help='zone of the electricity (FR, CA-QC, US-CA, SE3), grams of CO2e per kWh, or a CSV '
        'file of its carbon intensity over time, as Electricity Maps, NESO, RTE and WattTime '
        'export it; by default the world average, marked as assumed',
        metavar='ZONE|G_PER_KWH|TRACE.csv',
        of=grid_text,
    )
    pue: float | None = _option(
        '--pue',
        group=CARBON,
        help='power usage effectiveness of the computing centre, 1 or more; '
        'by default the energy of the computers alone is counted',
        of=float,
        metavar='PUE',
    )
    work_dir: Path = _option(
        '-w',
        '--work-dir',
        group=WORK,
        help='folder for intermediate results, from which a run resumes',
        default=Path('work'),
        of=Path,
        metavar='DIR',
    )
    clean_workdir: bool = _option(
        '--clean-workdir',
        group=WORK,
        help='empty the work folder of this pipeline first: everything runs anew',
        default=False,
        of=switch,
    )
    reports_only: bool = _option(
        '--reports-only',
        group=WORK,
        help='run nothing; write tables and pages from the ledger',
        default=False,
        of=switch,
    )
    write_graph: bool = _option(
        '--write-graph',
        group=WORK,
        help='draw the workflow into the log folder (needs graphviz for the picture)',
        default=False,
        of=switch,
    )
    config_file: Path | None = _option(
        '--config-file',
        group=WORK,
        help='TOML file with any of these options, spelled with underscores',
        of=Path,
        metavar='FILE',
    )
    verbose: int = _option(
        '-v',
        '--verbose',
        group=WORK,
        help="show Nipype's own messages too; -vv for all of them",
        default=0,
        of=int,
    )
