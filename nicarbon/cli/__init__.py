"""The command: arguments → frozen options → run → exit code.

The only place that reads ``sys.argv`` and the environment, sets up logging and
turns errors into exit codes.
"""

from __future__ import annotations

import errno
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
    from .commands import run
    from .options import explain

    try:
        return run(list(sys.argv[1:] if argv is None else argv))
    except NicarbonError as error:
        print(explain(error), file=sys.stderr)  # noqa: T201 - the command's own voice
        return error.exit_code
    except KeyboardInterrupt:
        print('nicarbon: interrupted', file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        code = 74 if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO} else 73
        print(f'nicarbon: error: {error}', file=sys.stderr)  # noqa: T201
        return code
    except Exception as error:  # noqa: BLE001 - the boundary: a traceback is a bug of ours
        return _fault(error)


def _fault(error: Exception) -> int:
    """Keep the traceback of a fault of nicarbon in a file, and say so in one line."""
    with tempfile.NamedTemporaryFile(
        'w', prefix='nicarbon-fault-', suffix='.txt', delete=False
    ) as file:
        traceback.print_exception(error, file=file)
    what = f'{type(error).__name__}: {" ".join(str(error).split())}'
    print(
        f'nicarbon: a fault of its own, please report it with {file.name}: {what}', file=sys.stderr
    )  # noqa: T201
    return 70
