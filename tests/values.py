"""Values as tests change them."""

from __future__ import annotations

import dataclasses
from typing import Any


def replace(value: Any, **changes: Any) -> Any:
    """Another value with some fields changed, as ``copy.replace`` of Python 3.13 does it."""
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(value, **changes)
    return value._replace(**changes)
