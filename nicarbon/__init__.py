"""What a neuroimaging pipeline costs the planet, stage by stage, truthfully.

Importing this package does nothing: names are loaded when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .account import PUE, Footprint, Intensity
    from .aware import CarbonNode, carbon_aware
    from .entry import Entry, Reading, Window
    from .errors import NicarbonError
    from .run import recording

__all__ = [
    'PUE',
    'CarbonNode',
    'Entry',
    'Footprint',
    'Intensity',
    'NicarbonError',
    'Reading',
    'Window',
    'carbon_aware',
    'recording',
]

__version__ = '0.1.0'

_HOMES = {
    'PUE': 'account',
    'CarbonNode': 'aware',
    'Entry': 'entry',
    'Footprint': 'account',
    'Intensity': 'account',
    'NicarbonError': 'errors',
    'Reading': 'entry',
    'Window': 'entry',
    'carbon_aware': 'aware',
    'recording': 'run',
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f'.{_HOMES[name]}', __name__), name)
        globals()[name] = value
        return value
    msg = f'module {__name__!r} has no attribute {name!r}'
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
