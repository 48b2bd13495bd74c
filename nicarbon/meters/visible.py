"""Which GPUs a program may use, as CUDA reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ['visible']


def visible(
    chosen: str | None,
    uuids: Sequence[str],
    parent: Callable[[str], str | None] = lambda _: None,
) -> list[str]:
    """Read ``CUDA_VISIBLE_DEVICES``.

    Parameters
    ----------
    chosen : str or None
        Its value; None where it is not set.
    uuids : sequence of str
        Those of all GPUs, by index; empty for one that does not answer.
    parent : callable
        Gives the UUID of the GPU that a MIG device is cut from.

    Returns
    -------
    list of str
        UUIDs, up to the first entry that names no GPU; none where one is named twice.

    Examples
    --------
    >>> gpus = ['GPU-aa10', 'GPU-ab20', 'GPU-cc30']
    >>> visible(None, gpus)
    ['GPU-aa10', 'GPU-ab20', 'GPU-cc30']
    >>> visible('2,0', gpus), visible('0,2,-1,1', gpus), visible('1,7,0', gpus)
    (['GPU-cc30', 'GPU-aa10'], ['GPU-aa10', 'GPU-cc30'], ['GPU-ab20'])
    >>> visible('GPU-c', gpus), visible('GPU-a', gpus), visible('', gpus), visible('0,0', gpus)
    (['GPU-cc30'], [], [], [])
    >>> visible('MIG-GPU-ab20/1/0', gpus), visible('MIG-f00', gpus, lambda mig: 'GPU-cc30')
    (['GPU-ab20'], ['GPU-cc30'])
    """
    if chosen is None:
        return [uuid for uuid in uuids if uuid]
    named: list[str] = []
    for entry in (part.strip() for part in chosen.split(',')):
        uuid = _named(entry, uuids, parent)
        if uuid is None:
            break
        if uuid in named and not entry.startswith('MIG-'):
            return []
        named.append(uuid)
    return list(dict.fromkeys(named))


def _named(entry: str, uuids: Sequence[str], parent: Callable[[str], str | None]) -> str | None:
    """The GPU that one entry of the list names."""
    if entry.startswith(('GPU-', 'MIG-GPU-')):
        start = entry.removeprefix('MIG-').partition('/')[0]
        matches = [uuid for uuid in uuids if uuid.startswith(start)]
        return matches[0] if len(matches) == 1 else None
    if entry.startswith('MIG-'):
        uuid = parent(entry)
        return uuid if uuid in uuids else None
    if not entry.isdecimal() or int(entry) >= len(uuids):
        return None
    return uuids[int(entry)] or None
