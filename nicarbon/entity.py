"""Labels of BIDS entities: what may stand in names of files."""

from __future__ import annotations

import re

from .errors import UsageError

__all__ = ['is_label', 'label']


def is_label(text: str) -> bool:
    """Whether a text can be a label as it is."""
    return re.fullmatch('[0-9A-Za-z+]+', text) is not None


def label(text: str, entity: str) -> str:
    """A BIDS label, with or without its prefix, checked.

    Parameters
    ----------
    text : str
        ``sub-01`` or ``01``.
    entity : str
        ``sub`` or ``ses``.

    Returns
    -------
    str
        Without the prefix.

    Raises
    ------
    UsageError
        If it is not made of letters and digits; it could otherwise name a
        path outside the dataset.

    Examples
    --------
    >>> label('sub-01', 'sub'), label('01', 'sub')
    ('01', '01')
    >>> label('../01', 'sub')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: '../01' is no BIDS label: letters and digits only, as in sub-01
    """
    bare = text.removeprefix(f'{entity}-')
    if not is_label(bare):
        msg = f'{text!r} is no BIDS label: letters and digits only, as in {entity}-01'
        raise UsageError(msg)
    return bare
