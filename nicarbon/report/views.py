"""Values → the rows of tables: everything is printed here, templates only lay it out."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..account import Footprint, account, combine
from ..ledger import Entry, Reading
from ..share import POLICIES, Balance, Share
from ..summary import Line, Summary
from .context import Context
from .methods import intensity_text
from .numbers import (
    CARBON,
    ENERGY,
    Number,
    Scale,
    busy_seconds,
    duration,
    factor,
    label,
    percent,
    scale,
    spread_of,
    unusual,
    was_seen,
)
from .words import POLICIES as POLICY_WORDS
from .words import pue_name, seen_as
