"""Measure nicarbon beside the other trackers, and write benchmarks/RESULTS.md.

Absolute values drift with the machine; ratios hold. A floor that is not met is said
so, and is no error: only what cannot run is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import cost
import cpu_time
import report
import rivals
import side_by_side
import staging
import workflow
from report import Table
from rivals import TOOLS

RESULTS = Path(__file__).with_name('RESULTS.md')


def measure(arguments: argparse.Namespace, folder: Path) -> list[Table]:
    """All tables, one after the other: they would disturb each other."""
    from nicarbon import host

    quick = arguments.quick
    host.cached(folder / 'run' / 'hosts')
    ledger = folder / 'run' / 'ledger'
    ledger.mkdir()
    tables = []

    def done(table: Table) -> Table:
        tables.append(table)
        print(f'\n{table.markdown()}', flush=True)
        return table

    done(cost.starting(ledger, 1 if quick else 3))
    done(cost.sampling(ledger, 60 if quick else 120))
    done(cost.command_line(folder))
    done(cpu_time.seen(ledger, quick=quick))
    done(side_by_side.compared(folder, 3.0 if quick else 8.0, side_by_side.SHOWN))
    nodes = arguments.nodes or (50 if quick else 1000)
    pairs = arguments.pairs or (1 if quick else 3)
    done(workflow.ratios(nodes, pairs))
    done(staging.compared(folder / 'staging'))
    return tables


def document(tables: list[Table], command: str, seconds: float) -> str:
    """The text of RESULTS.md."""
    versions = dict.fromkeys(f'{tool.package} {rivals.version(tool)}' for tool in TOOLS)
    head = [
        '# Results',
        '',
        (
            f'Made by `{command}` on {datetime.now(timezone.utc):%Y-%m-%d} in '
            f'{seconds / 60:.0f} minutes, on this: {report.machine()}.'
        ),
        '',
        f'Versions: {", ".join(versions)}.',
        '',
    ]
    body = [report.floors(tables), *(table.markdown() for table in tables)]
    return '\n'.join(head) + '\n'.join(body)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='in some six minutes, and roughly')
    parser.add_argument('--nodes', type=int, help='of the Nipype workflow (1000)')
    parser.add_argument('--pairs', type=int, help='how often it runs, metered and not (3)')
    parser.add_argument('--output', type=Path, help='where to write (RESULTS.md; quick: nowhere)')
    arguments = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tables = measure(arguments, Path(folder))
    words = ' '.join(sys.argv[1:])
    command = f"make bench BENCH='{words}'" if words else 'make bench'
    text = document(tables, command, time.monotonic() - begin)
    print(report.floors(tables))
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        output.write_text(text)
        print(f'written to {output}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
