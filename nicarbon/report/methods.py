"""A methods section ready to paste: what was run, and what was really measured."""

from __future__ import annotations

from itertools import groupby

from ..account import PUE, Intensity
from ..charge import is_gpu
from ..quantity import carbon, energy
from ..sights import Sight, merged, sight
from ..summary import Summary
from .components import component_name
from .context import Context
from .numbers import percent
from .references import BIDS, CODECARBON, FASTSURFER, FREESURFER, NIPYPE, SCI, references

__all__ = ['citations', 'intensity_text', 'methods']

_WHOLE = 0.9995
"""Coverage that rounds to all of the time."""

_POLICY = (
    'The energy of a host was attributed to the stages that ran on it window by window: power '
    'above idle in proportion to CPU time, idle power in proportion to the cores (of memory, to the gigabytes) reserved '
    '(policy `reserved`, in line with ISO/IEC 21031:2024). Energy that belonged to no stage was '
    'kept apart and charged to none.'
)
_GAPS = (
    'In up to {gaps} of the time of a stage, counters were not seen ({names}); nothing was '
    'filled in, and intervals are wider by as much.'
)
_IDLE = (
    'Where energy was counted, idle power was not ({idle}): intervals of the stages include '
    'what it may move between them.'
)
_GPU_POLICY = (
    'That of a graphics processor was attributed in proportion to the time on its '
    'multiprocessors, its idle power in proportion to the processes that held it.'
)


PROGRAMS = {'FastSurfer': FASTSURFER, 'FreeSurfer': FREESURFER}
"""Works on programs that are not nicarbon's."""


def methods(total: Summary, context: Context) -> str:
    """Write the methods section of a paper.

    Parameters
    ----------
    total : Summary
        All stages that it is about.
    context : Context

    Returns
    -------
    str
        Markdown.
    """
    parts = [
        ('Processing', _processing(total, context)),
        ('Energy and carbon', _carbon(total, context)),
    ]
    known = references()
    cited = [known[key].short for key in citations(total, context) if key in known]
    text = '\n\n'.join(f'### {title}\n\n{body}' for title, body in parts if body)
    return f'{text}\n\nReferences (BibTeX below): {"; ".join(cited)}.\n'


def citations(total: Summary, context: Context) -> list[str]:
    """Keys of the works that the methods section rests on.

    Parameters
    ----------
    total : Summary
    context : Context

    Returns
    -------
    list of str
        DOIs, or the number of a standard.
    """
    keys = [BIDS, NIPYPE]
    keys += [work for name, work in PROGRAMS.items() if name in dict(context.versions)]
    keys += [doi for stage in context.pipeline if stage.key in total.stages for doi in stage.cites]
    keys.append(SCI)
    sources = [total.footprint.intensity.source, *(host.power_source for host in context.hosts)]
    if any('codecarbon' in source.lower() for source in sources):
        keys.append(CODECARBON)
    return list(dict.fromkeys(keys))


def _processing(total: Summary, context: Context) -> str:
    # What is done in both hemispheres is said once.
    told = dict.fromkeys(stage.says for stage in context.pipeline if stage.key in total.stages)
    says = [sentence for sentence in told if sentence]
    if not says:
        return ''
    opening = (
        f'Images in the Brain Imaging Data Structure ({references()[BIDS].short}) were processed '
        f'with nicarbon {context.version} on Nipype ({references()[NIPYPE].short}).'
    )
    tools = {stage.tool for stage in context.pipeline if stage.key in total.stages}
    return ' '.join([opening, *_programs(context, tools), *says])


def _programs(context: Context, tools: set[str]) -> list[str]:
    """The programs that the stages are of, where they are not nicarbon."""
    told = {
        name: f'{name} {version} ({references()[PROGRAMS[name]].short})'
        for name, version in context.versions
        if name in PROGRAMS
    }
    said = []
    if 'fastsurfer' in tools and 'FastSurfer' in told:
        beside = f', with {told["FreeSurfer"]} for surfaces' if 'FreeSurfer' in told else ''
        said.append(f'Modules of {told["FastSurfer"]} were run one by one{beside}.')
    if 'freesurfer' in tools and 'FreeSurfer' in told:
        said.append(f'Stages of recon-all of {told["FreeSurfer"]} were run one by one.')
    return said


def _carbon(total: Summary, context: Context) -> str:
    footprint = total.footprint
    parts = [_hosts(context), *_meters(total, context), _POLICY]
    if any(map(is_gpu, total.components)):
        parts.append(_GPU_POLICY)
    parts += [_idle(total), _gaps(total)]
    parts.append(_grid(footprint.intensity))
    parts.append(_facility(footprint.pue))
    spent = energy(footprint.joules, footprint.joules_low, footprint.joules_high)
    grams = carbon(footprint.grams, footprint.low, footprint.high)
    if footprint.joules:
        shares = ', '.join(f'{percent(part)} {tier}' for tier, part in total.tiers.items())
        parts.append(f'The stages used {spent} ({shares}), which corresponds to {grams}.')
    if total.lost.joules:
        lost = energy(total.lost.joules, total.lost.joules_low, total.lost.joules_high)
        parts.append(f'Of this, {lost} went to stages that failed or were killed.')
    parts.append(
        'Values are followed by their 95 % interval, which combines the uncertainties of energy, '
        'facility and grid in log space. The making of the hardware is not included.'
    )
    return ' '.join(part for part in parts if part)


def _hosts(context: Context) -> str:
    said = [
        f'{host.cpu or "a processor that is not told"} ({host.cores} logical cores'
        f'{"" if host.memory_gb is None else f", {host.memory_gb:g} GB"}'
        f'{", virtual" if host.virtual else ""})'
        for host in context.hosts
    ]
    if not said:
        return ''
    counted = [f'{len(list(group))} × {name}' for name, group in groupby(sorted(said))]
    return f'Computation ran on {"; ".join(counted)}.'


def _meters(total: Summary, context: Context) -> list[str]:
    """One sentence for each way in which a component was seen, and one for those not seen."""
    runs = (sight(reading) for run in context.runs for reading in run.readings)
    # What the runs saw is charged to stages that saw nothing themselves.
    sights = [
        one
        for one in merged([*total.sights, *runs])
        if one.seen and one.component in total.components
    ]
    known = {(one.component, one.method, one.tier, one.u_rel): one for one in sights}
    sentences = [_meter(one) for _, one in sorted(known.items())]
    seen = {one.component.partition(':')[0] for one in sights}
    # The rest of a machine holds whatever is not seen on its own.
    wanted = () if 'rest' in seen else ('cpu', 'dram', 'gpu')
    missing = [name for name in wanted if name not in seen]
    names = {'cpu': 'processors', 'dram': 'memory', 'gpu': 'graphics processors'}
    if missing:
        words = ' and '.join(names[name] for name in missing)
        sentences.append(f'The energy of {words} was not seen and is not included.')
    return sentences


def _meter(seen: Sight) -> str:
    how = {'measured': 'was measured', 'modelled': 'was modelled', 'assumed': 'was assumed'}
    name = component_name(seen.component)
    name = name[:1].upper() + name[1:]
    known = f', known within a factor of {seen.u_rel:g} at 95 %' if seen.u_rel > 1 else ''
    return f'{name} energy {how[seen.tier]} (`{seen.method}`{known}).'


def _idle(total: Summary) -> str:
    known: dict[str, float] = {}
    for one in total.sights:
        if one.seen and one.idle_u_rel > 1:
            name = component_name(one.component)
            known[name] = max(known.get(name, 1.0), one.idle_u_rel)
    factors = ', '.join(f'{name} within a factor of {u:g}' for name, u in known.items())
    return _IDLE.format(idle=factors) if known else ''


def _gaps(total: Summary) -> str:
    least: dict[str, float] = {}
    for one in total.sights:
        if one.seen and one.coverage < _WHOLE:
            name = component_name(one.component)
            least[name] = min(least.get(name, 1.0), one.coverage)
    if not least:
        return ''
    return _GAPS.format(gaps=percent(1 - min(least.values())), names=', '.join(least))


def intensity_text(intensity: Intensity) -> str:
    """Print a carbon intensity with its interval.

    Parameters
    ----------
    intensity : Intensity

    Returns
    -------
    str

    Examples
    --------
    >>> intensity_text(Intensity(30, 15, 60, 'CA-QC', '', '', 'average', 'example'))
    '30 gCO2e/kWh (15–60)'
    """
    # As tabulated, so that it can be found there; its interval says how far it holds.
    value, low, high = (
        f'{float(f"{g:.3g}"):g}' for g in (intensity.g_per_kwh, intensity.low, intensity.high)
    )
    text = f'{value} gCO2e/kWh'
    if intensity.low == intensity.high:
        return text
    return f'{text} ({low}–{high})'


def _grid(intensity: Intensity) -> str:
    text = intensity_text(intensity)
    if intensity.tier == 'assumed':
        return f'No grid was given: the world average of {text} was assumed.'
    period = f', {intensity.start} to {intensity.stop}' if intensity.start else ''
    zone = '' if intensity.zone == 'given' else f' of {intensity.zone}'
    return (
        f'Energy was converted with the carbon intensity{zone} of {text} '
        f'({intensity.kind}{period}; source: {intensity.source}).'
    )


def _facility(pue: PUE) -> str:
    if pue.origin == 'unset':
        return 'No power usage effectiveness was given: IT energy alone was counted.'
    return f'A power usage effectiveness of {pue.value:g} was applied, as given.'
