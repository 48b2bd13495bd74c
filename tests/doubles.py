"""Stand-ins for tools whose cost is known: they burn CPU, sleep, or fail. Tests only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, traits

from nicarbon import carbon_aware

BURN = 'import sys, time\nwhile time.process_time() < float(sys.argv[1]): pass'


class _BurnInputs(BaseInterfaceInputSpec):
    seconds = traits.Float(1.0, usedefault=True)
    num_threads = traits.Int(1, usedefault=True, nohash=True)
    after = traits.Any()


class _BurnOutputs(TraitedSpec):
    done = traits.Bool()


@carbon_aware
class Burn(SimpleInterface):
    """Keep one core busy, in this process."""

    input_spec = _BurnInputs
    output_spec = _BurnOutputs

    def _run_interface(self, runtime: Any) -> Any:
        end = time.process_time() + self.inputs.seconds
        while time.process_time() < end:
            pass
        self._results['done'] = True
        return runtime


@carbon_aware
class BurnInChildren(Burn):
    """The same in five children; decorated twice, counted once."""

    def _run_interface(self, runtime: Any) -> Any:
        for _ in range(5):
            subprocess.run(
                [sys.executable, '-S', '-c', BURN, str(self.inputs.seconds / 5)], check=True
            )
        self._results['done'] = True
        return runtime


@carbon_aware
class Sleep(Burn):
    """Hold a core and leave it idle."""

    def _run_interface(self, runtime: Any) -> Any:
        time.sleep(self.inputs.seconds)
        self._results['done'] = True
        return runtime


@carbon_aware
class Die(Burn):
    """Burn, then be killed as the kernel kills what needs too much memory."""

    def _run_interface(self, runtime: Any) -> Any:
        super()._run_interface(runtime)
        os.kill(os.getpid(), signal.SIGKILL)
        return runtime


@carbon_aware
class Fail(Burn):
    """Burn, then fail."""

    def _run_interface(self, runtime: Any) -> Any:
        super()._run_interface(runtime)
        raise ValueError('this head has\nno brain')
