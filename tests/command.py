"""The installed command, as a user runs it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

NICARBON = str(Path(sys.executable).with_name('nicarbon'))
VALIDATOR = str(Path(sys.executable).with_name('bids-validator-deno'))


def nicarbon(*words: object, cwd: Path, **environ: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [NICARBON, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=900,
    )


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }
