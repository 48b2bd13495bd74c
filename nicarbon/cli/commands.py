"""What each word of the command line does."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from ..errors import LevelError, UsageError
from .choice import Chosen, Parser, choose, flags, version

__all__ = ['parser', 'run']

_EPILOG = """\
exit codes: 0 done; 1 some participant failed; 2 unknown option; 16 not BIDS;
17 unknown level; 18 nothing selected; 64 options make no sense; 65 data that
cannot be used; 66 input missing; 69 a package or a counter is missing; 70 a
fault of nicarbon; 73 output cannot be created; 74 disk full or broken; 75 the
machine is too busy to calibrate; 130 Ctrl-C; 143 SIGTERM.

Options may also stand in a TOML file (--config-file) or in the environment
(NICARBON_GRID=FR); flags win.

other commands:
  nicarbon account OUT_DIR [--grid ZONE] [--pue PUE]   account again, run nothing
  nicarbon advise OUT_DIR [--json]                     what would have cost less
  nicarbon benchmark BIDS_DIR OUT_DIR [--repeats N]    pipelines side by side
  nicarbon compare -- CMD [ARG ...]                    other trackers on the same run
  nicarbon demo [DIR]                                  two heads, start to end
  nicarbon exec [-o OUT_DIR] -- CMD [ARG ...]          record any program
  nicarbon estimate --scans N | --dataset NAME         what many scans would take
  nicarbon export OUT_DIR --format FORMAT              BoAmps, CodeCarbon, WfFormat
  nicarbon read PATH ... -o OUT_DIR                    what logs of others came to
  nicarbon slurm BIDS_DIR OUT_DIR participant          jobs of a cluster
  nicarbon doctor [--json]                             what can be measured here
  nicarbon calibrate                                   measure idle and peak power
each with --help. In your own Nipype workflows: nicarbon.carbon_aware and
nicarbon.recording.
"""


def run(argv: Sequence[str]) -> int:
    """Find the command that the first word names, and run it.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        Exit code.
    """
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        'account': _account,
        'advise': _advise,
        'benchmark': _benchmark,
        'calibrate': _calibrate,
        'compare': _compare,
        'demo': _demo,
        'doctor': _doctor,
        'estimate': _estimate,
        'exec': _exec,
        'export': _export,
        'read': _read,
        'slurm': _slurm,
    }
    if argv and argv[0] in commands:
        return commands[argv[0]](argv[1:])
    _refuse_unknown(argv, commands)
    return _app(argv)


def _compare(argv: Sequence[str]) -> int:
    from .compare import command

    return command(argv)


def _exec(argv: Sequence[str]) -> int:
    from ..command import blocked_signals

    # Before any library has threads: one of them would take a signal that is not blocked
    # there, and the program would not hear of it.
    with blocked_signals() as mask:
        from .execute import execute

        return execute(argv, mask)


def _refuse_unknown(argv: Sequence[str], commands: Iterable[str]) -> None:
    """A word that is nearly a command, and no folder, is a slip of the finger."""
    first = argv[0] if argv else ''
    near = get_close_matches(first, commands, 1)
    if near and not Path(first).exists():
        raise UsageError(f'{first} is neither a command nor a folder: did you mean {near[0]}?')


def parser() -> argparse.ArgumentParser:
    """The parser of the BIDS App; the documentation is made of it too."""
    app = Parser(
        prog='nicarbon',
        description='Process T1-weighted images of a BIDS dataset, and tell what every stage '
        'cost in joules and grams of CO2e.',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    app.add_argument('bids_dir', type=Path, metavar='BIDS_DIR', help='the dataset; never written')
    app.add_argument('out_dir', type=Path, metavar='OUT_DIR', help='where the derivatives go')
    app.add_argument(
        'level',
        metavar='{participant,group}',
        help='process participants, or report on all that OUT_DIR holds',
    )
    app.add_argument('--version', action='version', version=version())
    flags(app)
    return app


def _app(argv: Sequence[str]) -> int:
    given = vars(parser().parse_args(argv))
    bids_dir, out_dir, level = (given.pop(key) for key in ('bids_dir', 'out_dir', 'level'))
    if level not in {'participant', 'group'}:
        raise LevelError(f'unknown analysis level {level!r}: choose participant or group')
    apart(bids_dir, out_dir)
    from .earlier import last_options

    chosen = choose(given, earlier=last_options(out_dir, 'grid', 'pue'))
    if level == 'participant' and not chosen.options.reports_only:
        from .participant import participant

        return participant(bids_dir, out_dir, chosen)
    return _report(out_dir, given, group=level == 'group', remake='stale')


def apart(bids_dir: Path, out_dir: Path) -> None:
    """Refuse an output folder in the input, which is never written to.

    Raises
    ------
    UsageError
    """
    raw, out = bids_dir.resolve(), out_dir.resolve()
    if out == raw or raw in out.parents:
        raise UsageError(
            f'OUT_DIR {out_dir} is inside BIDS_DIR {bids_dir}, which is never written to: '
            f'choose a folder outside, such as {raw.parent / "nicarbon"}'
        )


def _account(argv: Sequence[str]) -> int:
    again = Parser(
        prog='nicarbon account',
        description='Write all tables and pages of OUT_DIR again from its ledger, under other '
        'assumptions if you wish. Nothing is run. Options that are not given are those of the '
        'last run.',
    )
    again.add_argument('out_dir', type=Path, metavar='OUT_DIR', help='output of an earlier run')
    flags(again, 'grid', 'pue', 'config_file', 'dry_run')
    given = vars(again.parse_args(argv))
    return _report(given.pop('out_dir'), given, group=True, remake='all')


def _advise(argv: Sequence[str]) -> int:
    from .advise import command

    return command(argv)


def _doctor(argv: Sequence[str]) -> int:
    from .doctor import doctor

    return doctor(argv)


def _calibrate(argv: Sequence[str]) -> int:
    from .calibrate import command

    return command(argv)


def _estimate(argv: Sequence[str]) -> int:
    from .estimate import command

    return command(argv)


def _export(argv: Sequence[str]) -> int:
    from .export import command

    return command(argv)


def _benchmark(argv: Sequence[str]) -> int:
    from .benchmark import command

    return command(argv)


def _read(argv: Sequence[str]) -> int:
    from .read import command

    return command(argv)


def _slurm(argv: Sequence[str]) -> int:
    from .slurm import command

    return command(argv)


def _report(
    out_dir: Path, given: dict[str, object], *, group: bool, remake: Literal['all', 'stale']
) -> int:
    from .earlier import last_options
    from .outputs import write_group
    from .screen import Screen
    from .survey import there

    there(out_dir)
    chosen: Chosen = choose(given, earlier=last_options(out_dir))
    written = write_group(out_dir, chosen, group=group, remake=remake)
    screen = Screen(sys.stdout, written.pipeline)
    if chosen.options.dry_run:
        screen.would_write(written.paths)
        return 0
    screen.stages(written.total, written.kinds)
    screen.pages(written.pages)
    return 0


def _demo(argv: Sequence[str]) -> int:
    demo = Parser(
        prog='nicarbon demo',
        description='Write a BIDS dataset of two heads, process it, and report: everything in DIR.',
    )
    demo.add_argument('folder', type=Path, nargs='?', default=Path('demo'), metavar='DIR')
    demo.add_argument(
        '--voxel-size',
        type=int,
        default=1,
        choices=(1, 2),
        help='voxels of the heads in mm; 2 is quick (default: 1)',
    )
    flags(demo, 'nprocs', 'omp_nthreads', 'grid', 'pue')
    given = vars(demo.parse_args(argv))
    folder, voxel_size = given.pop('folder'), given.pop('voxel_size')
    from ..demo import is_demo, write_dataset
    from .participant import participant

    raw, out = folder / 'bids', folder / 'derivatives' / 'nicarbon'
    if raw.exists() and not is_demo(raw):
        raise UsageError(f'{raw} is not a demo dataset and is left alone: choose another folder')
    print(f'Writing two heads to {raw}')  # noqa: T201
    write_dataset(raw, voxel_size)
    code = participant(
        raw, out, choose({'work_dir': folder / 'work', 'pipeline': 'structural', **given})
    )
    code = _report(out, given, group=True, remake='stale') or code
    print('The same, step by step, and then under another grid:')  # noqa: T201
    print(f'  nicarbon {raw} {out} participant -w {folder / "work"}')  # noqa: T201
    print(f'  nicarbon {raw} {out} group')  # noqa: T201
    print(f'  nicarbon account {out} --grid FR --pue 1.2')  # noqa: T201
    return code
