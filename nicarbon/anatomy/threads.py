"""Hold every library of the pipeline to a number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ['limit']


@contextmanager
def limit(threads: int) -> Iterator[None]:
    """Let ITK, OpenMP and BLAS use at most so many threads inside the block.

    Parameters
    ----------
    threads : int
        At least 1.

    Raises
    ------
    ValueError
        If `threads` is below 1.

    Notes
    -----
    ITK filters take the global default when they are made, so make them inside.
    OpenMP and BLAS are held by threadpoolctl. What the pipeline uses of DIPY,
    scipy.ndimage, scikit-image and nibabel runs on one thread always.

    Examples
    --------
    >>> import SimpleITK
    >>> with limit(1):
    ...     SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    1
    >>> with limit(0):
    ...     pass
    Traceback (most recent call last):
    ...
    ValueError: 0 threads cannot work; give 1 or more
    """
    import scipy.linalg  # noqa: F401 - its BLAS can be held only once it is loaded
    import SimpleITK as sitk
    from threadpoolctl import threadpool_limits

    if threads < 1:
        raise ValueError(f'{threads} threads cannot work; give 1 or more')
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
