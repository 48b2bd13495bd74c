"""What if: other scans, another grid, another facility, from one's own ledger or as published.

Pure functions of the cost of one scan. What a projection rests on is named in it: joules and
seconds of a scan, how far they can be trusted, and who says so.

==============  =========================================================
``cost``        what one scan takes, and what its networks are made of
``references``  the same as others published it; sizes of datasets
``factors``     every factor of the total, as a named input
``projection``  what they make together, and in a day
``swing``       how the total moves with each of them
==============  =========================================================
"""

from __future__ import annotations

from .cost import Architecture, ScanCost, by_processor, device, of_ledger
from .factors import Factors
from .projection import AVERAGE_PUE, ELSEWHERE, Estimate, estimate, project, under
from .references import (
    U_PUBLISHED,
    Dataset,
    Published,
    dataset,
    datasets,
    published,
    published_costs,
)
from .swing import NAMES, NUMBERS, End, Per, Swing, still, swings

__all__ = [
    'AVERAGE_PUE',
    'ELSEWHERE',
    'NAMES',
    'NUMBERS',
    'U_PUBLISHED',
    'Architecture',
    'Dataset',
    'End',
    'Estimate',
    'Factors',
    'Per',
    'Published',
    'ScanCost',
    'Swing',
    'by_processor',
    'dataset',
    'datasets',
    'device',
    'estimate',
    'of_ledger',
    'project',
    'published',
    'published_costs',
    'still',
    'swings',
    'under',
]
