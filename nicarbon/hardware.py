"""Machines that are not this one: what logs and the user say of them.

A log seldom says what CPU it was written on. Where it does not, and the user does not either,
nothing is made up: power is then a guess per hardware thread, marked ``assumed``, within a
factor of three.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from .errors import UsageError
from .host import Host
from .processor import cores_per_socket, family_of, power, tdp_watts

__all__ = ['Stated']


@dataclass(frozen=True, slots=True)
class Stated:
    """What the user says of the machines that logs were written on.

    Parameters
    ----------
    cpu : str
        Model of the CPU, as its vendor writes it; empty where it is not known.
    sockets : int
        Processor packages of a machine.
    cores : int, optional
        Hardware threads of a machine.
    tdp_watts : float, optional
        Thermal design power of one package, in watts.
    idle_watts : float, optional
        What all CPUs of a machine draw at rest, as somebody measured it.

    Raises
    ------
    UsageError
        When the CPU is in no table and the rest does not say what it draws.

    Examples
    --------
    >>> host = Stated('Intel Xeon Gold 6148', sockets=2).host('node-1')
    >>> host.cores, host.tier, host.power_method
    (40, 'modelled', 'model:ccf')
    >>> Stated().host('node-1', cores=4).tier
    'assumed'
    >>> Stated('Xenon 1')
    Traceback (most recent call last):
    ...
    nicarbon.errors.UsageError: --cpu 'Xenon 1' is in no table: say what it is by --cores (hardware threads of the machine) and --tdp (watts of one package)
    """

    cpu: str = ''
    sockets: int = 1
    cores: int | None = None
    tdp_watts: float | None = None
    idle_watts: float | None = None

    def __post_init__(self) -> None:
        if self.cpu and (missing := self._missing()):
            raise UsageError(
                f'--cpu {self.cpu!r} is in no table: say what it is by {" and ".join(missing)}'
            )

    def _missing(self) -> list[str]:
        known = bool(self.tdp_watts or family_of(self.cpu) or tdp_watts(self.cpu))
        counted = bool(self.cores or cores_per_socket(self.cpu))
        lacks = [
            ('--cores (hardware threads of the machine)', counted),
            ('--tdp (watts of one package)', known),
        ]
        return [words for words, there in lacks if not there]

    def host(self, name: str, cpu: str = '', cores: int | None = None) -> Host:
        """A machine, by what its log says, and by what the user says where it does not.

        Parameters
        ----------
        name : str
            Its host name; may be empty.
        cpu : str
            Model of its CPU, if the log says it.
        cores : int, optional
            Hardware threads, if the log says it.

        Returns
        -------
        Host
            ``assumed``, per thread, where neither says what it is.
        """
        return _host(self, name, cpu or self.cpu, cores or self.cores)


@cache
def _host(stated: Stated, name: str, model: str, cores: int | None) -> Host:
    physical = cores_per_socket(model)
    threads = cores or (physical or 1) * stated.sockets
    per_socket = stated.tdp_watts or (tdp_watts(model) if model else None)
    tdp = per_socket * stated.sockets if per_socket else None
    # Where nobody tells how many threads there are, cores are counted, which have the
    # power of both of theirs.
    paired = threads > physical * stated.sockets if physical else True
    family = '' if stated.tdp_watts else family_of(model)
    host = Host(
        name=name,
        cpu=model,
        cores=threads,
        sockets=stated.sockets,
        memory_gb=None,
        virtual=False,
        tdp_watts=tdp,
        family=family,
        **power(family, tdp, threads, virtual=False, paired=paired),
    )
    return host if stated.idle_watts is None else _at_rest(host, stated.idle_watts)


def _at_rest(host: Host, watts: float) -> Host:
    """With an idle power that was measured; what full load adds is still of the table."""
    return host._replace(
        idle_watts=watts,
        peak_watts=watts + host.peak_watts - host.idle_watts,
        power_method='model:calibrated',
        power_source=f'idle power as stated; above it, {host.power_source}',
    )
