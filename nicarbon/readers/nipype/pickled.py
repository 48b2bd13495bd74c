"""Values in a pickle, without running what it asks for.

A pickle is a program: what loads it imports and calls whatever it names. Here its opcodes are
only looked at. A class that it names is a :class:`Made` with its name and what it was to be
made of; nothing is imported, called, hashed or compared, whoever wrote the file.
"""

from __future__ import annotations

import pickletools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...errors import ReaderError

__all__ = ['Made', 'load', 'state', 'values']

MANY_BYTES = 32_000_000
"""Unpacked: results of Nipype hold what programs printed, and have kilobytes."""

MANY_STEPS = 1_000_000
"""Opcodes of one pickle: ten hours of the resource monitor have a sixth of that."""

_EMPTY: dict[str, Callable[[], Any]] = {
    'NONE': lambda: None,
    'NEWTRUE': lambda: True,
    'NEWFALSE': lambda: False,
    'EMPTY_LIST': list,
    'EMPTY_DICT': dict,
    'EMPTY_TUPLE': tuple,
    'EMPTY_SET': list,
    'NEXT_BUFFER': lambda: None,
}
_GIVEN = {'INT', 'BININT', 'BININT1', 'BININT2', 'LONG', 'LONG1', 'LONG4', 'FLOAT', 'BINFLOAT'}
_GIVEN |= {'STRING', 'BINSTRING', 'SHORT_BINSTRING', 'UNICODE', 'SHORT_BINUNICODE'}
_GIVEN |= {'BINUNICODE', 'BINUNICODE8', 'BINBYTES', 'SHORT_BINBYTES', 'BINBYTES8', 'BYTEARRAY8'}
_GATHERED = {'LIST': list, 'TUPLE': tuple, 'FROZENSET': list}
_COUNTED = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
_PUT = {'PUT', 'BINPUT', 'LONG_BINPUT'}
_GET = {'GET', 'BINGET', 'LONG_BINGET'}
_IGNORED = {'PROTO', 'FRAME', 'READONLY_BUFFER'}
_UNKNOWN = {'PERSID', 'EXT1', 'EXT2', 'EXT4'}
_KEYS = (str, int, float, bytes, type(None))


class Made:
    """What a pickle would have made of something that it names.

    Parameters
    ----------
    name : str
        ``module.class``; that of what is made, for an object.
    """

    __slots__ = ('given', 'name', 'state')

    def __init__(self, name: str) -> None:
        self.name = name
        self.given: Any = ()
        self.state: Any = None


def load(path: Path) -> Any:
    """What is in a pickle, also one that was packed with gzip.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    None, bool, int, float, str, bytes, list, tuple, dict or Made
        Sets are lists; of a dict, only keys that are plain values.

    Raises
    ------
    ReaderError
        When it is no pickle, is torn, or unpacks to more than a result of a node has.
    OSError
    """
    with path.open('rb') as file:
        data = file.read(MANY_BYTES + 1)
    if data[:2] == b'\x1f\x8b':
        data = _unpacked(path, data)
    if len(data) > MANY_BYTES:
        raise ReaderError(f'{path} has more than {MANY_BYTES:,} bytes: no result of a node')
    try:
        return values(data)
    # Whatever is wrong in it, and whatever else a file's author thought of.
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        why = ' '.join(str(error).split())[:100] or type(error).__name__
        raise ReaderError(f'{path} is no pickle that can be read: {why}') from None


def _unpacked(path: Path, data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)  # With the header of gzip.
    try:
        return unpacker.decompress(data, MANY_BYTES + 1)
    except zlib.error as error:
        raise ReaderError(f'{path} cannot be unpacked: {error}') from None


def values(data: bytes) -> Any:
    """What a pickle says.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    object
        See :func:`load`.

    Raises
    ------
    ValueError, TypeError, LookupError, AttributeError, OverflowError
        When it is no pickle.

    Examples
    --------
    >>> import os, pickle
    >>> values(pickle.dumps({'duration': 1.5, 'tags': [1, (2, 'x')]}))
    {'duration': 1.5, 'tags': [1, (2, 'x')]}
    >>> class Hostile:
    ...     def __reduce__(self):
    ...         return os.system, ('echo harm',)
    >>> found = values(pickle.dumps(Hostile()))
    >>> found.name, found.given
    ('posix.system', ('echo harm',))
    >>> values(b'no pickle')
    Traceback (most recent call last):
    ...
    ValueError: at position 0, opcode b'n' unknown
    """
    machine = _Machine()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if number > MANY_STEPS:
            raise ValueError(f'it has more than {MANY_STEPS:,} steps')
        if opcode.name == 'STOP':
            break
        machine.step(opcode.name, argument)
    return machine.stack.pop()


def state(found: Any) -> Mapping[Any, Any]:
    """What an object was to hold, by name.

    Parameters
    ----------
    found : object
        Something of a pickle.

    Returns
    -------
    mapping
        Empty where it is no object and no dict.
    """
    if isinstance(found, Made):
        held = found.state
        # Of a class with slots: first what is not in them.
        both = held if isinstance(held, tuple) else (held,)
        return {key: value for one in both if isinstance(one, dict) for key, value in one.items()}
    return found if isinstance(found, dict) else {}


class _Machine:
    """The machine that a pickle is a program for, which only remembers what it was told."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """One opcode."""
        if opcode in _GIVEN:
            self.stack.append(argument)
        elif opcode == 'MEMOIZE':
            self._memo[len(self._memo)] = self.stack[-1]
        elif opcode in _PUT:
            self._memo[int(argument)] = self.stack[-1]
        elif opcode in _GET:
            self.stack.append(self._memo[int(argument)])
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _COUNTED:
            taken = [self.stack.pop() for _ in range(_COUNTED[opcode])]
            self.stack.append(tuple(reversed(taken)))
        elif opcode in _GATHERED:
            found = _GATHERED[opcode](self._marked())
            self.stack.append(found)
        elif opcode in _UNKNOWN:
            self.stack.append(Made(opcode))
        elif opcode not in _IGNORED:
            getattr(self, f'_{opcode.lower()}')(argument)

    def _marked(self) -> list[Any]:
        """What came since the last mark."""
        found, self.stack = self.stack, self._below.pop()
        return found

    def _mark(self, _: Any) -> None:
        self._below.append(self.stack)
        self.stack = []

    def _pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    def _pop_mark(self, _: Any) -> None:
        self._marked()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _binpersid(self, _: Any) -> None:
        self.stack[-1] = Made('PERSID')

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._marked())

    _additems = _appends

    def _extend(self, found: list[Any]) -> None:
        into = self.stack[-1]
        if isinstance(into, list):
            into.extend(found)

    def _dict(self, _: Any) -> None:
        items = self._marked()
        self.stack.append({})
        self._set(items)

    def _setitem(self, _: Any) -> None:
        value = self.stack.pop()
        self._set([self.stack.pop(), value])

    def _setitems(self, _: Any) -> None:
        self._set(self._marked())

    def _set(self, items: list[Any]) -> None:
        into = self.stack[-1]
        if isinstance(into, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                # Hashes of others take as long as their author likes.
                if isinstance(key, _KEYS):
                    into[key] = value

    def _global(self, argument: str) -> None:
        self.stack.append(Made(argument.replace(' ', '.', 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        known = isinstance(name, str) and isinstance(module, str)
        self.stack.append(Made(f'{module}.{name}' if known else ''))

    def _reduce(self, _: Any) -> None:
        given = self.stack.pop()
        self._make(self.stack.pop(), given)

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()
        self._reduce(None)

    def _obj(self, _: Any) -> None:
        kind, *given = self._marked()
        self._make(kind, tuple(given))

    def _inst(self, argument: str) -> None:
        self._make(Made(argument.replace(' ', '.', 1)), tuple(self._marked()))

    def _make(self, kind: Any, given: Any) -> None:
        name = kind.name if isinstance(kind, Made) else ''
        if name in ('copy_reg._reconstructor', 'copyreg._reconstructor') and given:
            # Protocols 0 and 1 make all objects so.
            name = given[0].name if isinstance(given[0], Made) else name
        made = Made(name)
        made.given = given
        self.stack.append(made)

    def _build(self, _: Any) -> None:
        held = self.stack.pop()
        into = self.stack[-1]
        if isinstance(into, Made):
            into.state = held
