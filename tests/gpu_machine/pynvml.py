"""The bindings of NVML for programs under test that look for GPUs: those of ``driver.py``.

First in the path of modules, it is what ``import pynvml`` finds. Names, values and
exceptions are those of the real bindings, as :mod:`nvml_stand_in` has them.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def load_real() -> None:
    """Take the bindings that this module stands before in its place."""
    path = [each for each in sys.path if Path(each or '.').resolve() != HERE]
    spec = importlib.machinery.PathFinder.find_spec('pynvml', path)
    # By its name, under which the bindings add their exceptions to themselves.
    module = sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


load_real()
sys.path.append(str(HERE.parent))

from driver import IDLE_WATTS, PERCENT_WATTS  # noqa: E402
from nvml_stand_in import Board, StandIn  # noqa: E402


class Live(StandIn):
    """Boards as their logs have them by now."""

    def __init__(self, state: Path) -> None:
        folders = sorted(state.glob('[0-9]*'))
        super().__init__(
            *(
                Board(f'GPU-{folder.name * 8}', int(folder.name), 'NVIDIA Stand-in', IDLE_WATTS)
                for folder in folders
            )
        )
        self._logs = [(folder / 'log').open() for folder in folders]

    def _check(self, handle: Board, *, supported: bool = True) -> None:
        self.now = time.time()
        for board, log in zip(self.boards, self._logs, strict=True):
            for line in log.readlines():
                stamp, watts, board.millijoules, used = json.loads(line)
                board.running = {int(pid): percent for pid, percent in used.items()}
                assert abs(board.watts - watts) < 1e-6
                board.power.append((int(stamp * 1e6), round(watts * 1000)))
                board.samples.append((int(stamp * 1e6), board.running))
        super()._check(handle, supported=supported)


assert Board.percent_watts == PERCENT_WATTS
sys.modules[__name__] = Live(Path(os.environ['GPU_MACHINE']))
