"""Virtual environments of the other trackers: one for each, made when it is first asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import UnavailableError
from ..files import save

__all__ = ['PIP_SECONDS', 'interpreter', 'requirements']

PIP_SECONDS = 900.0
"""After so long an installation is given up."""

STAMP = 'installed.txt'
"""What an environment holds, as it was asked for: another wish makes it anew."""


def requirements(pins: Path) -> str:
    """What a file of pins asks for, with that of the files that it names (``-r FILE``).

    Parameters
    ----------
    pins : pathlib.Path

    Returns
    -------
    str
        Without comments.
    """
    lines = []
    for line in pins.read_text('utf-8').splitlines():
        if line.startswith('-r '):
            lines.append(requirements(pins.parent / line[3:].strip()))
        elif line and not line.startswith('#'):
            lines.append(f'{line}\n')
    return ''.join(lines)


def interpreter(
    folder: Path, pins: Path, say: Callable[[str], object], *, seconds: float = PIP_SECONDS
) -> Path:
    """The Python of an environment, which is made when it is not there.

    Parameters
    ----------
    folder : pathlib.Path
        Of this environment alone.
    pins : pathlib.Path
        Requirements, as pip reads them.
    say : callable
        Gets a line when something takes long.
    seconds : float
        Patience with pip.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    UnavailableError
        When it cannot be made; says why, in a line.
    """
    wanted = requirements(pins)
    python, stamp = folder / 'bin' / 'python', folder / STAMP
    try:
        if python.exists() and stamp.read_text('utf-8') == wanted:
            return python
    except OSError:
        pass
    say(f'installing {", ".join(wanted.split())} into {folder}')
    pip = [str(python), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    _run([sys.executable, '-m', 'venv', '--clear', str(folder)], seconds)
    _run([*pip, '--no-input', *wanted.split()], seconds)
    save(stamp, wanted)
    return python


def _run(command: list[str], seconds: float) -> None:
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f'not installed: gave up after {seconds:g} s') from None
    except OSError as error:
        raise UnavailableError(f'not installed: {error.strerror}') from None
    if done.returncode:
        raise UnavailableError(f'not installed: {_why(done.stdout)}')


def _why(output: str) -> str:
    r"""The line that says most: pip's first error, else the last line.

    Examples
    --------
    >>> _why('WARNING: retrying\nERROR: No matching distribution found for x\n')
    'ERROR: No matching distribution found for x'
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith('ERROR')]
    return (errors or lines or ['no reason given'])[-1][:300]
