"""BIDS labels from names of subjects that other programs were given."""

from __future__ import annotations

import re

__all__ = ['labels']

_PARTS = re.compile(
    r'^(?:sub[-_])?(.+?)(?:[-_]ses(?:sion)?[-_]?(.+?))?(?:\.(?:cross|base)|\.long\..+)?$'
)


def labels(name: str) -> tuple[str, str]:
    """Subject and session of a name.

    Parameters
    ----------
    name : str
        Of a subject's folder, such as ``sub-01_ses-2`` or ``OAS1_0001``.

    Returns
    -------
    subject, session : str
        Of letters and digits only; the session is empty where the name has none.

    Examples
    --------
    >>> labels('sub-01_ses-2'), labels('OAS1_0001'), labels('bert')
    (('01', '2'), ('OAS10001', ''), ('bert', ''))
    >>> labels('sub-01_ses-2.long.sub-01'), labels('../..')
    (('01', '2'), ('', ''))
    """
    found = _PARTS.match(name)
    subject, session = (found[1], found[2] or '') if found else (name, '')
    return _bare(subject), _bare(session)


def _bare(text: str) -> str:
    return re.sub('[^0-9A-Za-z]', '', text)
