"""BIDS labels from names of subjects that other programs were given."""

from __future__ import annotations

import re

__all__ = ['labels']

_LONGITUDINAL = re.compile(r'\.(?:cross|base|long\..{1,255})$')

_BIDS = re.compile(r'^sub-([^_]+)(?:_ses-([^_]+))?(?:_[^_]+)*$')

_PARTS = re.compile(r'^(?:sub[-_])?(.+?)(?:[-_]ses(?:sion)?[-_]?(.+))?$')


def labels(name: str) -> tuple[str, str]:
    """Subject and session of a name.

    Parameters
    ----------
    name : str
        Of a subject's folder, such as ``sub-01_ses-2`` or ``OAS1_0001``. Of a BIDS name, other
        entities and the suffix say nothing of either.

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
    >>> labels('sub-01.02_ses-V7_run-1_T1w'), labels('sub-01_T1w'), labels('s3_session2')
    (('0102', 'V7'), ('01', ''), ('s3', '2'))
    """
    name = _LONGITUDINAL.sub('', name)
    found = _BIDS.match(name) or _PARTS.match(name)
    subject, session = (found[1], found[2] or '') if found else (name, '')
    return _bare(subject), _bare(session)


def _bare(text: str) -> str:
    return re.sub('[^0-9A-Za-z]', '', text)
