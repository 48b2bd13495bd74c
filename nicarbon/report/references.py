"""What a methods section cites: DOI → short reference and BibTeX."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    'BIDS',
    'CODECARBON',
    'FASTSURFER',
    'FREESURFER',
    'NIPYPE',
    'SCI',
    'Reference',
    'bibtex',
]
__all__ += ['references']

SCI, NIPYPE, BIDS, CODECARBON, FREESURFER, FASTSURFER = (
    'ISO/IEC 21031:2024',
    '10.3389/fninf.2011.00013',
    '10.1038/sdata.2016.44',
    '10.5281/zenodo.4658424',
    '10.1016/j.neuroimage.2012.01.021',
    '10.1016/j.neuroimage.2020.117012',
)


@dataclass(frozen=True, slots=True)
class Reference:
    """One work.

    Parameters
    ----------
    short : str
        As it is cited in running text.
    bibtex : str
    """

    short: str
    bibtex: str


@cache
def references() -> dict[str, Reference]:
    """All works that are known.

    Returns
    -------
    dict of {str : Reference}
        By DOI, or by the number of a standard.
    """
    text = (files('nicarbon') / 'data' / 'bibliography.toml').read_text('utf-8')
    return {
        work['id']: Reference(work['short'], work['bibtex'])
        for work in tomllib.loads(text)['work']
    }


def bibtex(keys: Iterable[str]) -> str:
    r"""BibTeX of some works, each once.

    Parameters
    ----------
    keys : iterable of str
        DOIs, or the number of a standard. A DOI without an entry here comes
        back as an entry that holds the DOI alone.

    Returns
    -------
    str

    Examples
    --------
    >>> bibtex(['10.1109/42.811270']).splitlines()[0]
    '@article{vanleemput1999,'
    >>> bibtex(['10.1000/unknown'])
    '@misc{10.1000/unknown,\n  doi = {10.1000/unknown}\n}\n'
    """
    known = references()
    entries = [
        known[key].bibtex if key in known else f'@misc{{{key},\n  doi = {{{key}}}\n}}'
        for key in dict.fromkeys(keys)
    ]
    return '\n\n'.join(entries) + '\n' if entries else ''
