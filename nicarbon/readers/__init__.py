"""What other programs left behind, as entries of a ledger.

A reader knows one kind of thing that lies about: logs of recon-all, a FastSurfer folder, a
working folder of Nipype, the output of another tracker. It says which files of a folder are
one :class:`Source`, and reads that into a :class:`Told`. It executes nothing, imports nothing
that a file names, and takes nothing from a file for granted.

What was measured then stays ``measured``: what logs tell is CPU seconds, whose energy is
``modelled`` by the machine that they ran on (:func:`modelled`), or wall time, of which the
machine's use is ``assumed``.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from ..entry import Command, Entry, Outcome, Part, Reading, Tier, Window
from ..errors import ReaderError
from ..host import Host
from ..quantity import combine

__all__ = ['Folder', 'Hardware', 'Reader', 'Source', 'Told', 'Work', 'first_of', 'leaf']
__all__ += ['modelled', 'place_of', 'text_of']

MANY_BYTES = 256_000_000
"""No log is longer than that: what is, is somebody's bomb or no log."""


class Folder(NamedTuple):
    """One folder as it lies on disk.

    Parameters
    ----------
    path : pathlib.Path
    root : pathlib.Path
        The PATH that was given, in which it was found.
    folders, files : frozenset of str
        Names in it.
    """

    path: Path
    root: Path
    folders: frozenset[str]
    files: frozenset[str]


class Source(NamedTuple):
    """What one reader reads at a time.

    Parameters
    ----------
    reader : str
        Name of the reader.
    path : pathlib.Path
        Names it: a subject's folder, or a file. Files of one reader and path that were found
        in several folders are one source.
    files : tuple of pathlib.Path
        All that is read; when none of them has changed, it need not be read again.
    closed : bool
        Whether the folders in it hold nothing for any other reader.
    """

    reader: str
    path: Path
    files: tuple[Path, ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a source came to.

    Parameters
    ----------
    entries : tuple of Entry
        Leaves that did work: none within another, none twice.
    warnings : tuple of str
        One line each for what could not be read, or may be otherwise.
    hosts : tuple of Host
        Machines that the entries were on.
    versions : mapping of {str : str}
        Programs that did the work, such as ``FreeSurfer``.
    claims : mapping of {str : float}
        By the name of a tracker the joules that it charged this work itself; never added to
        anything.
    settled : bool
        Whether it comes to the same until one of its files changes.
    """

    entries: tuple[Entry, ...] = ()
    warnings: tuple[str, ...] = ()
    hosts: tuple[Host, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, float] = field(default_factory=dict)
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of work that a source tells of: a stage of a pipeline, a node, a job.

    Parameters
    ----------
    began : float
        Seconds since 1970, UTC.
    seconds : float
        For which it ran; not those for which the machine slept.
    cpu_seconds : float
    cores : float
        That were kept for it.
    subject, session : str
        BIDS labels, see :func:`nicarbon.readers.names.labels`; empty where it has none.
    stage : str
        Key of the stage in its pipeline's table; the tool's own word where there is none.
    node, interface : str
        What tells it from others of its subject; by default its stage.
    outcome : {'ran', 'failed', 'killed', 'cached'}
    error : str
    suspended_seconds : float
        For which the machine slept meanwhile.
    parts : tuple of Part
    commands : tuple of Command
        On the clock of seconds since 1970.
    """

    began: float
    seconds: float
    cpu_seconds: float
    cores: float
    subject: str = ''
    session: str = ''
    stage: str = ''
    node: str = ''
    interface: str = ''
    outcome: Outcome = 'ran'
    error: str = ''
    suspended_seconds: float = 0.0
    parts: tuple[Part, ...] = ()
    commands: tuple[Command, ...] = ()


class Hardware(Protocol):
    """What machines are, by what logs and the user say of them."""

    def host(self, name: str, cpu: str = '', cores: int | None = None) -> Host:
        """A machine.

        Parameters
        ----------
        name : str
            Its host name; may be empty.
        cpu : str
            Model of its CPU, if the log says it: what the user says stands in where it does not.
        cores : int, optional
            Hardware threads, if the log says it.

        Returns
        -------
        Host
            ``assumed``, per thread, where neither says what it is.
        """
        ...


class Reader(Protocol):
    """Reads what one program leaves behind.

    Parameters
    ----------
    name : str
    what : str
        What it reads, in a few words.
    """

    name: str
    what: str

    def find(self, folder: Folder) -> Iterable[Source]:
        """Sources of which files are in a folder; nothing is opened.

        Parameters
        ----------
        folder : Folder

        Returns
        -------
        iterable of Source
        """
        ...

    def read(self, source: Source, hardware: Hardware) -> Told:
        """Read a source.

        Parameters
        ----------
        source : Source
        hardware : Hardware

        Returns
        -------
        Told

        Raises
        ------
        ReaderError
            When there is nothing in it that can be read. A part that cannot is a warning.
        OSError
        """
        ...


def modelled(
    host: Host,
    cpu_seconds: float,
    seconds: float,
    cores: float,
    *,
    u_use: float = 1.0,
    tier: Tier | None = None,
) -> Reading:
    """Energy of one piece of work by the load model, as nobody else on the host changes it.

    Its CPU seconds at what a busy core adds, and for its time the idle power of the cores that
    were kept for it: what the policy ``reserved`` charges under a model that is linear in the
    load.

    Parameters
    ----------
    host : Host
    cpu_seconds : float
        Of the work.
    seconds : float
        For which the cores were kept.
    cores : float
        That were kept for it.
    u_use : float
        Multiplicative uncertainty at 95 % of the CPU seconds themselves, where they are not
        told but follow from wall time.
    tier : {'modelled', 'assumed'}, optional
        When it is weaker than the host's own.

    Returns
    -------
    Reading
        Of the component ``cpu`` and the scope ``own``.

    Examples
    --------
    >>> host = Host('h', 'X', 4, 1, 8.0, False, 12.0, 82.0, 'model:ccf', '', 'modelled', 2.0)
    >>> one = modelled(host, 10.0, 20.0, 1.0)
    >>> one.joules, one.idle_watts
    (235.0, 3.0)
    """
    idle = host.idle_watts * min(1.0, cores / host.cores)
    joules = host.watts_per_busy_core * cpu_seconds + idle * seconds
    u_rel = combine(host.u_rel, u_use)
    return Reading('cpu', joules, idle, host.power_method, tier or host.tier, 'own', u_rel)


def leaf(
    source: Source,
    number: int,
    work: Work,
    host: Host,
    readings: tuple[Reading, ...],
    windows: tuple[Window, ...] = (),
) -> Entry:
    """The entry of one piece of work, the same whenever its source is read.

    Parameters
    ----------
    source : Source
    number : int
        Of the work in its source.
    work : Work
    host : Host
    readings : tuple of Reading
    windows : tuple of Window
        On a clock that shows seconds since 1970, UTC; by default one with all readings.

    Returns
    -------
    Entry
        Its clock is that of its source: what others say of the same host is not laid over it.
    """
    clock = place_of(source.reader, source.path.absolute())
    joules = tuple(reading.joules for reading in readings)
    whole = Window(work.began, work.seconds, work.cpu_seconds, None, joules)
    return Entry(
        entry_id=f'{clock}-0-0-{number}',
        kind='node',
        run_id='',
        subject=work.subject,
        session=work.session,
        stage=work.stage,
        node=work.node or work.stage,
        interface=work.interface,
        host=host.name,
        boot_id=f'{clock}-{host.name}',
        pid=0,
        started=datetime.fromtimestamp(work.began, timezone.utc).isoformat(),
        seconds=work.seconds,
        cpu_seconds=work.cpu_seconds,
        host_cpu_seconds=None,
        host_cores=host.cores,
        reserved_cores=work.cores,
        reserved_memory_gb=None,
        readings=readings,
        windows=windows or (whole,),
        outcome=work.outcome,
        error=work.error,
        suspended_seconds=work.suspended_seconds,
        parts=work.parts,
        commands=work.commands,
    )


@lru_cache(maxsize=64)
def place_of(reader: str, path: Path) -> str:
    """Names a source, the same whenever and through whatever links it is read."""
    place = hashlib.sha1(str(path.resolve()).encode(), usedforsecurity=False)
    return f'{reader}-{place.hexdigest()[:16]}'


def text_of(path: Path) -> str:
    """A log as text, unpacked if it ends in ``.gz``.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    str
        What comes before a torn end.

    Raises
    ------
    ReaderError
        When it is longer than any log, or no file.
    OSError
    """
    if not path.is_file():
        # To open a pipe is to wait for who writes to it.
        raise ReaderError(f'{path} is no file: left alone')
    with path.open('rb') as raw:
        data = raw.read(min(os.fstat(raw.fileno()).st_size, MANY_BYTES) + 1)
    if path.suffix == '.gz':
        data = _unpacked(data)
    if len(data) > MANY_BYTES:
        raise ReaderError(f'{path} is longer than any log ({MANY_BYTES:,} bytes): left alone')
    return data.decode('utf-8', 'replace')


def _unpacked(data: bytes) -> bytes:
    """As much as can be unpacked: the end of a log that still grows may be torn."""
    found = bytearray()
    while data and len(found) <= MANY_BYTES:
        member = zlib.decompressobj(wbits=31)  # With the header of gzip.
        try:
            found += member.decompress(data, MANY_BYTES + 1 - len(found))
        except zlib.error:
            break
        data = member.unused_data
    return bytes(found)


def first_of(files: Collection[str], *names: str) -> str:
    """The first of some names that a folder has, also packed; empty where it has none."""
    return next((name for each in names for name in (each, f'{each}.gz') if name in files), '')
