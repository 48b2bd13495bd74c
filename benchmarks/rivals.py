"""The tools that are compared, each in its virtual environment, asked by workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nicarbon.errors import UnavailableError
from nicarbon.rivals.environments import interpreter

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / '.venv-rivals'


@dataclass(frozen=True)
class Tool:
    """One row of the tables: a tool in one way of using it."""

    name: str
    package: str
    pins: str | None
    imports: str
    interval: float | None
    """Seconds between two samples by default; None for one that does not sample."""


CODECARBON = ('codecarbon', 'rivals.txt', 'from codecarbon import OfflineEmissionsTracker', 15.0)
NICARBON = Tool('nicarbon', 'nicarbon', None, 'import nicarbon', 5.0)
TOOLS = (
    NICARBON,
    Tool('codecarbon machine', *CODECARBON),
    Tool('codecarbon process', *CODECARBON),
    Tool('codecarbon task', *CODECARBON),
    Tool(
        'carbontracker',
        'carbontracker',
        'rivals.txt',
        'from carbontracker.tracker import CarbonTracker',
        1.0,
    ),
    Tool('eco2ai', 'eco2ai', 'rivals-old.txt', 'from eco2ai import Tracker', 10.0),
    Tool('zeus', 'zeus', 'rivals.txt', 'from zeus.monitor import ZeusMonitor', None),
)


class RunError(Exception):
    """Why a tool has no figure; the message is what its row says."""


def python(pins: str | None) -> str:
    """The interpreter of an environment, which is made when it is not there."""
    if pins is None:
        return sys.executable
    if not _installed(pins):
        raise RunError('cannot be installed')
    return str(_environment(pins) / 'bin' / 'python')


def _environment(pins: str) -> Path:
    return ENVIRONMENTS / Path(pins).stem


@cache
def _installed(pins: str) -> bool:
    """Whether an environment is there in the end; tried once."""
    try:
        interpreter(_environment(pins), HERE / pins, lambda line: print(line, flush=True))
    except (OSError, UnavailableError) as error:
        print(error, file=sys.stderr)
        return False
    return True


@cache
def version(tool: Tool) -> str:
    code = f'from importlib.metadata import version; print(version({tool.package!r}))'
    try:
        return _output([python(tool.pins), '-c', code]).strip()
    except RunError as error:
        return str(error)


def command(tool: Tool, request: dict[str, Any]) -> list[str]:
    """What starts a worker."""
    text = json.dumps({'tool': tool.name, **request})
    return [python(tool.pins), str(HERE / 'worker.py'), text]


def ask(tool: Tool, ledger: Path, **request: Any) -> dict[str, Any]:
    """Run a worker to its end."""
    return parse(_output(command(tool, request), environment(ledger)))


def environment(ledger: Path) -> dict[str, str]:
    """As a worker of a recorded run has it."""
    return {**os.environ, 'NICARBON_LEDGER': str(ledger), 'PYTHONWARNINGS': 'ignore'}


def parse(output: str) -> dict[str, Any]:
    """The answer of a worker."""
    for line in reversed(output.splitlines()):
        if line.startswith('RESULT '):
            return json.loads(line.removeprefix('RESULT '))
    raise RunError('no answer')


def _output(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, timeout=300
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f'exit {done.returncode}']
        raise RunError(f'fails: {lines[-1][:120]}')
    return done.stdout
