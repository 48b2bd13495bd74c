"""Values drawn as SVG: one module per figure.

=============  ==============================================================
``stages``     where the energy went: a bar for each stage, in order
``totals``     the same for a whole dataset: a bar for each kind of stage
``timeline``   when it went: power of a host, and what ran on it
``by_subject`` who used it: a dot for each subject
``tornado``    what moves it: a bar for each factor of the total
``paired``     which pipeline used more: a line between two for each session
``told``       what each tracker told of the same run: a dot for each
``mosaic``     what came of it: slices of the head with mask and tissues
=============  ==============================================================
"""

from __future__ import annotations

from .bars import stages, totals
from .dots import by_subject
from .paired import paired
from .power import timeline
from .slices import mosaic
from .told import told
from .tornado import tornado

__all__ = ['by_subject', 'mosaic', 'paired', 'stages', 'timeline', 'told', 'tornado', 'totals']
