"""Fuzz the reader of FreeSurfer's folders, led by which of its lines an input reaches.

pip install atheris (Python 3.11 or later, Linux); then, with a folder of logs to begin with::

    python tests/fuzz_read_freesurfer.py -max_total_time=600 -max_len=20000 CORPUS
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=['nicarbon.readers']):
    from recon_all_logs import read, write

    from nicarbon.entry import check
    from nicarbon.errors import ReaderError

SCRIPTS = write(Path(tempfile.mkdtemp()) / 'bert', {'recon-all.log': ''})


def one(data: bytes) -> None:
    """A log of any bytes is entries that a ledger takes and few warnings, or one refusal."""
    (SCRIPTS / 'recon-all.log').write_bytes(data)
    try:
        found = read(SCRIPTS)
    except ReaderError as error:
        assert '\n' not in str(error)
        return
    assert len(found.warnings) < 10
    for entry in found.entries:
        check(entry)


if __name__ == '__main__':
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
