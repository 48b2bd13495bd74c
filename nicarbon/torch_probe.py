"""What the Python has that is to run FastSurfer: its version, PyTorch, and GPUs."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from .errors import UnavailableError

__all__ = ['Torch', 'ask', 'device_of']

LONGEST_SECONDS = 300.0
"""PyTorch takes seconds to load, from a slow file server minutes."""

_PROBE = """
import json, platform
told = {'python': platform.python_version()}
try:
    import torch
except ImportError as error:
    told['error'] = str(error)
else:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    told['version'] = torch.__version__
    told['gpus'] = [torch.cuda.get_device_name(number) for number in range(count)]
print(json.dumps(told))
"""


class Torch(NamedTuple):
    """What the Python that runs FastSurfer has.

    Parameters
    ----------
    version : str
        Of PyTorch.
    gpus : tuple of str
        Names of the GPUs that PyTorch can use.
    python : str
        Version of Python; empty when it is not known.
    """

    version: str
    gpus: tuple[str, ...] = ()
    python: str = ''


def ask(python: str, environ: Mapping[str, str]) -> Torch:
    """Run a Python, and see what it has.

    Parameters
    ----------
    python : str
        Command, such as ``python3.10 -s``.
    environ : mapping
        All of its environment.

    Returns
    -------
    Torch

    Raises
    ------
    UnavailableError
        When there is no such Python, or it has no PyTorch.
    """
    try:
        done = subprocess.run(
            [*shlex.split(python), '-c', _PROBE],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f'--fastsurfer-python {python}: PyTorch did not load within {LONGEST_SECONDS:g} s: '
            'see whether its folder and its GPU driver answer'
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, 'strerror', None) or error
        raise UnavailableError(f'--fastsurfer-python {python} cannot be run: {why}') from None
    lines = done.stdout.strip().splitlines()
    try:
        told = json.loads(lines[-1])
    except (IndexError, ValueError):
        said = (done.stderr.strip().splitlines() or [f'exit code {done.returncode}'])[-1]
        raise UnavailableError(f'--fastsurfer-python {python} cannot be run: {said}') from None
    if 'error' in told:
        raise UnavailableError(
            f'{python} has no PyTorch ({told["error"]}): install the requirements of '
            'FastSurfer for it, or name another Python with --fastsurfer-python'
        )
    return Torch(told['version'], tuple(told['gpus']), told['python'])


def device_of(asked: str, torch: Torch) -> str:
    """The device that networks run on.

    Parameters
    ----------
    asked : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    torch : Torch

    Returns
    -------
    str
        ``cpu`` or ``cuda:N``.

    Raises
    ------
    UnavailableError
        When a GPU is asked for and not there.

    Examples
    --------
    >>> device_of('auto', Torch('2.4.0')), device_of('cuda', Torch('2.4.0', ('H100',)))
    ('cpu', 'cuda:0')
    >>> device_of('cuda:1', Torch('2.4.0', ('H100',)))
    Traceback (most recent call last):
    ...
    nicarbon.errors.UnavailableError: --device cuda:1: PyTorch 2.4.0 sees 1 GPU(s) here (H100): take one of them, or --device cpu
    """
    if asked == 'auto':
        return 'cuda:0' if torch.gpus else 'cpu'
    if asked == 'cpu':
        return asked
    number = int(asked.partition(':')[2] or 0)
    if number >= len(torch.gpus):
        names = f' ({", ".join(torch.gpus)})' if torch.gpus else ''
        raise UnavailableError(
            f'--device {asked}: PyTorch {torch.version} sees {len(torch.gpus)} GPU(s) here'
            f'{names}: take one of them, or --device cpu'
        )
    return f'cuda:{number}'
