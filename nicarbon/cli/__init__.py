"""The command: arguments → frozen options → run → exit code.

The only place that reads ``sys.argv`` and the environment, sets up logging and
turns errors into exit codes.
"""

from __future__ import annotations

import errno
import io
import sys
import tempfile
import traceback
from collections.abc import Sequence

from ..errors import NicarbonError

__all__ = ['main']


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process by default.

    Returns
    -------
    int
        Exit code, see :mod:`nicarbon.errors`.
    """
    from .choice import explain
    from .commands import run

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='replace')  # No ± in ASCII: a question mark will do.
    try:
        return run(list(sys.argv[1:] if argv is None else argv))
    except NicarbonError as error:
        return _end(explain(error), error.exit_code)
    except KeyboardInterrupt:
        return _end('nicarbon: interrupted', 130)
    except BrokenPipeError:
        return 0
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}
        return _end(f'nicarbon: error: {error}', 74 if full else 73)
    except Exception as error:  # noqa: BLE001 - the boundary: a traceback is a bug of ours
        return _end(_fault(error), 70)


def _end(line: str, code: int) -> int:
    print(line, file=sys.stderr)  # noqa: T201 - the command's own voice
    return code


def _fault(error: Exception) -> str:
    """Keep the traceback of a fault of nicarbon in a file; return the line that says so."""
    with tempfile.NamedTemporaryFile(
        'w', prefix='nicarbon-fault-', suffix='.txt', delete=False
    ) as file:
        traceback.print_exception(error, file=file)
    what = f'{type(error).__name__}: {" ".join(str(error).split())}'
    return f'nicarbon: a fault of its own, please report it with {file.name}: {what}'
