"""A carbon-aware node that writes down what metering it took.

Ratios of whole runs drown a per cent in the machine's noise; this is what the
difference is made of, counted where it is used.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

from nipype import Node

from nicarbon.aware import CarbonNode

SUFFIX = '.cost'


class _Bare(Node):
    """Notes what the node itself used, with all that Nipype does around its work."""

    def _run_command(self, *how: Any, **also: Any) -> Any:
        begin = time.thread_time()
        try:
            return super()._run_command(*how, **also)
        finally:
            self.work_seconds = time.thread_time() - begin


class ProbedNode(CarbonNode, _Bare):
    """All other CPU time of the process meanwhile is metering's, the sampler's included."""

    def _run_command(self, *how: Any, **also: Any) -> Any:
        begin = time.process_time()
        try:
            return super()._run_command(*how, **also)
        finally:
            seconds = time.process_time() - begin - self.work_seconds
            with Path(self.base_dir, f'{os.getpid()}{SUFFIX}').open('a') as file:
                file.write(f'{seconds}\n')


def seconds_per_node(folder: Path) -> float:
    """Mean of all nodes that were run below a folder."""
    lines = [line for path in folder.rglob(f'*{SUFFIX}') for line in path.read_text().split()]
    return statistics.mean(map(float, lines)) if lines else 0.0
