"""``nicarbon calibrate``: measure idle and peak power, and keep them for later runs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ..calibration import Calibration, Plan, World, calibrate, check_writable, counter, save
from ..errors import UnavailableError, UsageError
from ..host import Host
from .choice import Parser

__all__ = ['command', 'parser']


def parser() -> argparse.ArgumentParser:
    """The parser of ``nicarbon calibrate``."""
    asked = Parser(
        prog='nicarbon calibrate',
        description='Measure with a counter what this machine draws at rest and while more and '
        'more of its cores are kept busy, and keep it for later runs. Takes two to three minutes '
        'in which nothing else should run.',
    )
    asked.add_argument(
        '--idle-seconds',
        type=float,
        default=60.0,
        metavar='S',
        help='how long to look at the machine at rest, 5 or more (default: 60)',
    )
    asked.add_argument(
        '--step-seconds',
        type=float,
        default=15.0,
        metavar='S',
        help='how long to look at each load, 5 or more (default: 15)',
    )
    asked.add_argument(
        '--output',
        type=Path,
        metavar='FILE',
        help='where to keep it; by default where runs look for it: for everybody when you are '
        'root, for you otherwise',
    )
    asked.add_argument(
        '--force', action='store_true', help='go on although other programs are at work'
    )
    return asked


def command(argv: Sequence[str]) -> int:
    """Measure, show, keep.

    Parameters
    ----------
    argv : sequence of str

    Returns
    -------
    int
        0; whatever prevents a calibration is an error.
    """
    given = parser().parse_args(argv)
    for flag, seconds in (('idle', given.idle_seconds), ('step', given.step_seconds)):
        if not 5 <= seconds <= 3600:
            raise UsageError(f'--{flag}-seconds {seconds:g}: choose from 5 to 3600')
    from .. import host, meters

    path = given.output or _place(host.calibration_folders())
    machine = host.probe()
    plan = Plan(
        idle_seconds=given.idle_seconds, step_seconds=given.step_seconds, force=given.force
    )
    check_writable(path)
    found = meters.find(machine)
    if counter(found, 'cpu') is None:
        raise UnavailableError(_why_none(machine))
    if given.output is None and os.geteuid() == 0:
        os.umask(0o022)  # Everybody is to find it, whatever root keeps to itself.
    signal.signal(signal.SIGTERM, _terminated)
    result = calibrate(found, machine, plan, World(), _say)
    save(result, path)
    _show(result)
    _print(f'Saved: {path}')
    if given.output is None:
        _print('Runs on this machine use it from now on.')
    return 0


def _why_none(machine: Host) -> str:
    """Why there is no counter of the CPU: of the one that comes nearest to counting."""
    from ..meters.survey import survey

    order = ('denied', 'frozen', 'absent')
    lacking = [each for each in survey(machine, gpus=()) if each.state in order]
    cpu = [each for each in lacking if each.component == 'cpu']
    why = ''
    if cpu:
        nearest = min(cpu, key=lambda each: order.index(each.state))
        why = f' ({nearest.method} is {nearest.state}: {nearest.why})'
    return (
        f'no energy counter of the CPU can be read here{why}: '
        '`nicarbon doctor` says what would mend it'
    )


def _place(folders: Sequence[Path]) -> Path:
    """Root calibrates for everybody, others for themselves."""
    folder = folders[-1] if os.geteuid() == 0 else folders[0]
    return folder / f'{os.uname().nodename}.json'


def _terminated(number: int, _frame: object) -> NoReturn:
    """End as Ctrl-C does: burners stop first."""
    raise SystemExit(128 + number)


def _say(phase: str, seconds: float) -> None:
    _print(f'{phase}: {seconds:g} s')


def _show(result: Calibration) -> None:
    _print(f'{"cores busy":>10}{"CPU":>12}{"90 % of windows":>20}{"memory":>12}')
    for point in result.ramp:
        dram = '–' if point.dram_watts is None else f'{point.dram_watts:.1f} W'
        cpu, spread = f'{point.watts:.1f} W', f'± {point.spread:.1f} W'
        _print(f'{point.busy_cores:>10.2f}{cpu:>12}{spread:>20}{dram:>12}')
    _print(
        f'Idle {result.idle_watts:.1f} W, all {result.cores} cores busy '
        f'{result.peak_watts:.1f} W ({result.measured_with}).'
    )
    _print(f'Loads in between are within {100 * result.line_deviation:.0f} % of a straight line.')
    if result.forced:
        _print('Other programs may have disturbed (--force).')


def _print(text: str) -> None:
    print(text, file=sys.stdout, flush=True)  # noqa: T201 - each phase at once
