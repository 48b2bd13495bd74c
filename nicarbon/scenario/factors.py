"""Every factor of what an experiment takes, as a named input.

runs   = scans · configurations / (1 − lost) + trial runs
joules = runs · joules of a scan + training
grams  = joules · PUE · intensity
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..account import PUE, Intensity
from ..errors import UsageError
from .cost import ScanCost

__all__ = ['Factors']


@dataclass(frozen=True, slots=True)
class Factors:
    """What the total of an experiment is made of.

    Parameters
    ----------
    cost : ScanCost
        What a scan takes: pipeline and processor are in it.
    scans : float
    intensity : Intensity
        Of the grid.
    pue : PUE
        Of the facility.
    configurations : float
        Ways in which each scan is processed (a multiverse analysis has several).
    lost : float
        Fraction of all runs that fails or is repeated, 0 to below 1.
    trial_runs : float
        Runs of one scan that were made while the experiment was developed.
    training_kwh : float or None
        IT energy that training took, in kWh; None where it is not known, and then it is not
        counted.
    jobs : int
        Scans that are processed side by side.

    Raises
    ------
    UsageError
        When one of them makes no sense.

    Examples
    --------
    >>> from nicarbon.scenario import published
    >>> quebec = Intensity(30.0, 30.0, 30.0, 'given', '', '', 'average', 'the publication')
    >>> cost = published('freesurfer').cost
    >>> Factors(cost, 100, quebec, PUE(1.2), configurations=3, lost=0.25, trial_runs=20).runs
    420.0
    >>> Factors(cost, 100, quebec, PUE(1.2), lost=1.0)
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: --lost 1: a fraction of the runs, from 0 to below 1
    """

    cost: ScanCost
    scans: float
    intensity: Intensity
    pue: PUE
    configurations: float = 1
    lost: float = 0.0
    trial_runs: float = 0.0
    training_kwh: float | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.scans < math.inf and 1 <= self.configurations < math.inf):
            raise UsageError(
                f'{self.scans:g} scans, {self.configurations:g} configurations: an estimate needs '
                'one scan and one configuration at least, and a finite number of them'
            )
        if not 0 <= self.lost < 1:
            raise UsageError(f'--lost {self.lost:g}: a fraction of the runs, from 0 to below 1')
        if not 0 <= self.trial_runs < math.inf:
            raise UsageError(f'--trial-runs {self.trial_runs:g}: a number of runs, 0 or more')
        if self.training_kwh is not None and not 0 <= self.training_kwh < math.inf:
            raise UsageError(f'--training-kwh {self.training_kwh:g}: kWh, 0 or more')
        if self.jobs < 1:
            raise UsageError(f'--jobs {self.jobs}: one job at least')

    @property
    def runs(self) -> float:
        """Runs of one scan, all together."""
        return self.scans * self.configurations / (1 - self.lost) + self.trial_runs
