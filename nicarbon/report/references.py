"""What a methods section cites: DOI → short reference and BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ['BIDS', 'CODECARBON', 'NIPYPE', 'REFERENCES', 'SCI', 'Reference', 'bibtex']

SCI, NIPYPE, BIDS, CODECARBON = (
    'ISO/IEC 21031:2024',
    '10.3389/fninf.2011.00013',
    '10.1038/sdata.2016.44',
    '10.5281/zenodo.4658424',
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


REFERENCES = {
    '10.1109/TMI.2010.2046908': Reference(
        'Tustison et al., 2010',
        """\
@article{tustison2010,
  author  = {Tustison, Nicholas J. and Avants, Brian B. and Cook, Philip A. and
             Zheng, Yuanjie and Egan, Alexander and Yushkevich, Paul A. and Gee, James C.},
  title   = {{N4ITK}: Improved {N3} Bias Correction},
  journal = {IEEE Transactions on Medical Imaging},
  year    = {2010},
  volume  = {29},
  number  = {6},
  pages   = {1310--1320},
  doi     = {10.1109/TMI.2010.2046908}
}""",
    ),
    '10.1016/j.neuroimage.2010.07.033': Reference(
        'Fonov et al., 2011',
        """\
@article{fonov2011,
  author  = {Fonov, Vladimir and Evans, Alan C. and Botteron, Kelly and Almli, C. Robert and
             McKinstry, Robert C. and Collins, D. Louis and
             {the Brain Development Cooperative Group}},
  title   = {Unbiased average age-appropriate atlases for pediatric studies},
  journal = {NeuroImage},
  year    = {2011},
  volume  = {54},
  number  = {1},
  pages   = {313--327},
  doi     = {10.1016/j.neuroimage.2010.07.033}
}""",
    ),
    '10.1016/j.media.2007.06.004': Reference(
        'Avants et al., 2008',
        """\
@article{avants2008,
  author  = {Avants, Brian B. and Epstein, Charles L. and Grossman, Murray and Gee, James C.},
  title   = {Symmetric diffeomorphic image registration with cross-correlation: Evaluating
             automated labeling of elderly and neurodegenerative brain},
  journal = {Medical Image Analysis},
  year    = {2008},
  volume  = {12},
  number  = {1},
  pages   = {26--41},
  doi     = {10.1016/j.media.2007.06.004}
}""",
    ),
    '10.1016/j.neuroimage.2005.02.018': Reference(
        'Ashburner and Friston, 2005',
        """\
@article{ashburner2005,
  author  = {Ashburner, John and Friston, Karl J.},
  title   = {Unified segmentation},
  journal = {NeuroImage},
  year    = {2005},
  volume  = {26},
  number  = {3},
  pages   = {839--851},
  doi     = {10.1016/j.neuroimage.2005.02.018}
}""",
    ),
    '10.1109/42.811270': Reference(
        'Van Leemput et al., 1999',
        """\
@article{vanleemput1999,
  author  = {{Van Leemput}, Koen and Maes, Frederik and Vandermeulen, Dirk and Suetens, Paul},
  title   = {Automated model-based tissue classification of {MR} images of the brain},
  journal = {IEEE Transactions on Medical Imaging},
  year    = {1999},
  volume  = {18},
  number  = {10},
  pages   = {897--908},
  doi     = {10.1109/42.811270}
}""",
    ),
    SCI: Reference(
        'ISO/IEC 21031:2024',
        """\
@techreport{sci2024,
  author      = {{ISO/IEC JTC 1}},
  title       = {Information technology --- Software Carbon Intensity ({SCI}) specification},
  institution = {International Organization for Standardization},
  type        = {Standard},
  number      = {ISO/IEC 21031:2024},
  year        = {2024}
}""",
    ),
    NIPYPE: Reference(
        'Gorgolewski et al., 2011',
        """\
@article{gorgolewski2011,
  author  = {Gorgolewski, Krzysztof and Burns, Christopher D. and Madison, Cindee and
             Clark, Dav and Halchenko, Yaroslav O. and Waskom, Michael L. and
             Ghosh, Satrajit S.},
  title   = {Nipype: a flexible, lightweight and extensible neuroimaging data processing
             framework in {Python}},
  journal = {Frontiers in Neuroinformatics},
  year    = {2011},
  volume  = {5},
  pages   = {13},
  doi     = {10.3389/fninf.2011.00013}
}""",
    ),
    BIDS: Reference(
        'Gorgolewski et al., 2016',
        """\
@article{gorgolewski2016,
  author  = {Gorgolewski, Krzysztof J. and Auer, Tibor and Calhoun, Vince D. and
             Craddock, R. Cameron and Das, Samir and Duff, Eugene P. and Flandin, Guillaume and
             Ghosh, Satrajit S. and Glatard, Tristan and Halchenko, Yaroslav O. and
             Handwerker, Daniel A. and Hanke, Michael and Keator, David and Li, Xiangrui and
             Michael, Zachary and Maumet, Camille and Nichols, B. Nolan and
             Nichols, Thomas E. and Pellman, John and Poline, Jean-Baptiste and Rokem, Ariel and
             Schaefer, Gunnar and Sochat, Vanessa and Triplett, William and
             Turner, Jessica A. and Varoquaux, Ga{\\"e}l and Poldrack, Russell A.},
  title   = {The brain imaging data structure, a format for organizing and describing outputs
             of neuroimaging experiments},
  journal = {Scientific Data},
  year    = {2016},
  volume  = {3},
  pages   = {160044},
  doi     = {10.1038/sdata.2016.44}
}""",
    ),
    CODECARBON: Reference(
        'Courty et al., CodeCarbon',
        """\
@software{codecarbon,
  author    = {Courty, Benoit and Schmidt, Victor and Luccioni, Sasha and Feld, Boris and
               Lecourt, J{\\'e}r{\\'e}my and L{\\'e}val, Mathilde and Blanche, Luis and
               Cruveiller, Alexis and {the CodeCarbon contributors}},
  title     = {{CodeCarbon}: Estimate and track carbon emissions from computing},
  publisher = {Zenodo},
  doi       = {10.5281/zenodo.4658424},
  url       = {https://codecarbon.io}
}""",
    ),
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
    entries = [
        REFERENCES[key].bibtex if key in REFERENCES else f'@misc{{{key},\n  doi = {{{key}}}\n}}'
        for key in dict.fromkeys(keys)
    ]
    return '\n\n'.join(entries) + '\n' if entries else ''
