"""``exec``: run any program, and record what it uses."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import command, ledger
from ..cputime import TreeClock
from ..entity import label
from ..errors import OutputError, UsageError
from ..host import online_cores
from ..instrument import environment
from ..pieces import cut
from ..run import recording, watched
from ..share import share
from ..summary import kinds, summarise
from ..watch import Label
from .assumed import Assumed
from .choice import Chosen, Parser, choose, flags
from .screen import Screen

__all__ = ['execute', 'parser', 'writable']


def parser() -> argparse.ArgumentParser:
    """The parser of ``nicarbon exec``."""
    made = Parser(
        prog='nicarbon exec',
        usage='nicarbon exec [options] -- CMD [ARG ...]',
        description='Run a program and record what it uses: each node of a Nipype program, '
        'although its code knows nothing of it, or else the program as a whole. Its streams, '
        'signals and exit code are its own; the table goes to standard error.',
        epilog='exit code: that of CMD; 126 if it cannot be started, 127 if it is not there; '
        'before that, those of nicarbon.',
    )
    made.add_argument(
        'words', nargs=argparse.REMAINDER, metavar='CMD', help='the program and its arguments'
    )
    made.add_argument(
        '-o',
        '--out-dir',
        type=Path,
        default=Path('nicarbon-out'),
        metavar='OUT_DIR',
        help='the ledger goes to OUT_DIR/logs; "nicarbon account OUT_DIR" writes tables and '
        'pages (default: nicarbon-out)',
    )
    made.add_argument('--subject', default='', help='BIDS label of whose data it is')
    made.add_argument('--session', default='', help='BIDS label of the session')
    made.add_argument('--stage', default='', help='name of the stage (default: that of CMD)')
    made.add_argument(
        '--cores',
        type=float,
        default=1.0,
        metavar='N',
        help='cores that are kept for it (default: 1)',
    )
    made.add_argument(
        '--stage-markers',
        metavar='REGEX',
        help='lines of standard output that begin a sub-stage; the first group is its name; '
        '"freesurfer" stands for "#@# Name date"',
    )
    made.add_argument(
        '--marker-log',
        type=Path,
        metavar='FILE',
        help='look for the markers in this log as it grows, not in standard output',
    )
    made.add_argument(
        '--cgroup',
        action='store_true',
        help='count CPU time by a control group made for CMD (needs root or a delegated group); '
        'by default by its tree of processes',
    )
    flags(made, 'grid', 'pue', 'config_file')
    return made


def execute(argv: Sequence[str], mask: frozenset[int]) -> int:
    """Run ``nicarbon exec``.

    Parameters
    ----------
    argv : sequence of str
    mask : frozenset of int
        From :func:`nicarbon.command.blocked_signals`, inside of which this is called.

    Returns
    -------
    int
        Exit code of the program.

    Raises
    ------
    NicarbonError
        Before the program starts.
    """
    asked = parser()
    given = vars(asked.parse_args(argv))
    # All that follows the program is its own, a further ``--`` too.
    words = given['words'][1:] if given['words'][:1] == ['--'] else given['words']
    if not words:
        asked.error('no program: nicarbon exec [options] -- CMD [ARG ...]')
    markers = _markers(given.pop('stage_markers'), given.pop('marker_log'))
    chosen = choose(
        {name: given[name] for name in ('grid', 'pue', 'config_file') if name in given}
    )
    Assumed.from_now_on(chosen.options)
    label_ = _label(words, given)
    out_dir = writable(given['out_dir'])
    clock = _group_clock() if given['cgroup'] else TreeClock
    with recording(out_dir) as run, watched(label_, clock=clock) as watch:
        code = _start(words, mask, markers, watch.part if watch else lambda _name: None)
        if code is None and watch:
            watch.cancel()
        elif code and watch:
            watch.fail(_ended(code), 'killed' if code < 0 else 'failed')
    if code is None:
        return _why_not(words[0])
    if markers and watch and not watch.has_parts:
        _say(f'nicarbon: --stage-markers matched no line of {_source(markers)}')
    try:
        _tell(run.ledger, out_dir, chosen)
    except Exception as error:  # noqa: BLE001 - the program's exit code comes first
        _say(f'nicarbon: the table cannot be made: {type(error).__name__}: {error}')
    return command.end_as(code)


def _markers(pattern: str | None, log: Path | None) -> command.Markers | None:
    if pattern is None and log is not None:
        raise UsageError('--marker-log needs --stage-markers: say what to look for in it')
    return command.Markers.parse(pattern, log) if pattern is not None else None


def _label(words: Sequence[str], given: dict[str, object]) -> Label:
    subject, session = str(given['subject']), str(given['session'])
    cores = float(str(given['cores']))
    if not 0 <= cores <= online_cores():
        raise UsageError(f'--cores {cores:g}: this machine has {online_cores()}')
    return Label(
        kind='command',
        subject=label(subject, 'sub') if subject else '',
        session=label(session, 'ses') if session else '',
        stage=str(given['stage']) or Path(words[0]).name,
        node=shlex.join(words),
        interface=Path(words[0]).name,
        reserved_cores=cores,
    )


def writable(out_dir: Path) -> Path:
    """Make an output folder.

    Raises
    ------
    OutputError
        When it cannot be made or written to.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f'--out-dir {out_dir} cannot be written: {error.strerror}') from None
    if not os.access(out_dir, os.W_OK):
        raise OutputError(f'--out-dir {out_dir} cannot be written: permission denied')
    return out_dir.resolve()


def _group_clock() -> type[TreeClock]:
    """The clock of a control group, if one may be made: tried before anything is run."""
    from ..cgroup import GroupClock

    GroupClock().finish()
    return GroupClock


def _start(
    words: Sequence[str],
    mask: frozenset[int],
    markers: command.Markers | None,
    mark: command.Mark,
) -> int | None:
    """The exit code; None, and a line that says why, if it cannot be started."""
    try:
        return command.run(words, environment(os.environ), mask, markers, mark)
    except OSError as error:
        known = 'no such program' if isinstance(error, FileNotFoundError) else error.strerror
        _say(f'nicarbon: error: {words[0]} cannot be started: {known}')
        return None


def _why_not(program: str) -> int:
    """What shells say of a program that is not there, and of one that is no program."""
    there = Path(program).exists() if '/' in program else shutil.which(program)
    return 126 if there else 127


def _source(markers: command.Markers) -> str:
    return 'standard output' if markers.log is None else str(markers.log)


def _ended(code: int) -> str:
    return f'exit code {code}' if code > 0 else f'ended by signal {-code}'


def _tell(folder: Path, out_dir: Path, chosen: Chosen) -> None:
    """Print what was used."""
    if sys.stderr is None:
        return  # It was closed; print would take standard output, which is the program's.
    entries, warnings = ledger.read(folder)
    pieces = [piece for entry in entries for piece in cut(entry)]
    sharing = share(pieces)
    assumed = Assumed.of(chosen.options)
    summary = summarise(sharing.shares, assumed.over(pieces), assumed.pue, at=assumed.at)
    screen = Screen(sys.stderr)
    for warning in warnings:
        screen.say(warning)
    screen.stages(summary, kinds(summary, ()))
    for balance in sharing.balances:
        screen.balance(balance)
    values = {name: getattr(chosen.options, name) for name in ('grid', 'pue')}
    same = [f'--{name} {value}' for name, value in values.items() if value is not None]
    again = ' '.join(['nicarbon account', shlex.quote(str(out_dir)), *same])
    screen.say(f'Ledger: {folder}; tables and pages: {again}')


def _say(line: str) -> None:
    with contextlib.suppress(OSError, AttributeError):
        sys.stderr.write(f'{line}\n')
        sys.stderr.flush()
