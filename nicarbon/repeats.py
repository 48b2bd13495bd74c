"""How far repetitions of one subject lie apart, and how far subjects do.

Pure functions of numbers. What a table of means hides when it gives one standard deviation:
whether a second run of the same scan would have come out the same.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

__all__ = ['Repeated', 'repeated']


@dataclass(frozen=True, slots=True)
class Repeated:
    """Some values of each subject, taken apart.

    Parameters
    ----------
    mean : float
        Of the subjects' means, in the unit of the values.
    sd : float or None
        Standard deviation of one run of one subject: what a study with one run of each sees.
        None of a single value.
    repeat_sd : float or None
        Of runs of the same subject; None where no subject has two.
    subject_sd : float or None
        Of the subjects themselves, runs left out; None where there is one subject, or where
        runs cannot be told apart from subjects.
    subjects, values : int
    """

    mean: float
    sd: float | None
    repeat_sd: float | None
    subject_sd: float | None
    subjects: int
    values: int


def repeated(values: Mapping[str, Sequence[float]]) -> Repeated | None:
    """Take values of subjects apart, by a one-way analysis of variance with random effects.

    Parameters
    ----------
    values : mapping of {str : sequence of float}
        By subject those of its runs; those without any are left out.

    Returns
    -------
    Repeated or None
        None where there is no value.

    Notes
    -----
    Estimates are those of the method of moments for unequal numbers of runs [1]_; a variance
    that comes out negative is 0.

    References
    ----------
    .. [1] Searle, S. R., Casella, G., McCulloch, C. E. (1992), *Variance Components*,
       section 3.6.

    Examples
    --------
    >>> one = repeated({'01': [1.0, 3.0], '02': [5.0, 7.0]})
    >>> one.mean, round(one.repeat_sd, 3), round(one.subject_sd, 3), round(one.sd, 3)
    (4.0, 1.414, 2.646, 3.0)
    >>> once = repeated({'01': [1.0], '02': [3.0]})
    >>> once.repeat_sd, once.subject_sd, round(once.sd, 3)
    (None, None, 1.414)
    """
    groups = [list(group) for group in values.values() if group]
    if not groups:
        return None
    means = [statistics.fmean(group) for group in groups]
    number, every = len(groups), sum(map(len, groups))
    within = _within(groups, means)
    if number == 1:
        sd = None if within is None else sqrt(within)
        return Repeated(means[0], sd, sd, None, 1, every)
    if within is None:
        return Repeated(
            statistics.fmean(means), statistics.stdev(means), None, None, number, every
        )
    between = _between(groups, means, within)
    return Repeated(
        statistics.fmean(means),
        sqrt(between + within),
        sqrt(within),
        sqrt(between),
        number,
        every,
    )


def _within(groups: Sequence[Sequence[float]], means: Sequence[float]) -> float | None:
    """Variance of runs of the same subject."""
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return None
    pairs = zip(groups, means, strict=True)
    return sum((value - mean) ** 2 for group, mean in pairs for value in group) / freedom


def _between(groups: Sequence[Sequence[float]], means: Sequence[float], within: float) -> float:
    """Variance of the subjects themselves."""
    sizes = [len(group) for group in groups]
    every, number = sum(sizes), len(groups)
    grand = sum(size * mean for size, mean in zip(sizes, means, strict=True)) / every
    squares = sum(size * (mean - grand) ** 2 for size, mean in zip(sizes, means, strict=True)) / (
        number - 1
    )
    typical = (every - sum(size**2 for size in sizes) / every) / (number - 1)
    return max(0.0, (squares - within) / typical)
