# ruff: noqa: PTH119
# Paths are text: to load pathlib takes as long as all the rest.
"""Which steps recon-all takes for what it was asked, in its own order."""

import itertools
import os
from collections import namedtuple

MAPS = (
    ('white curv', ('white',), ('curv',), 'mris_place_surface'),
    ('white area', ('white',), ('area',), 'mris_place_surface'),
    ('pial curv', ('pial',), ('curv.pial',), 'mris_place_surface'),
    ('pial area', ('pial',), ('area.pial',), 'mris_place_surface'),
    ('thickness', ('white', 'pial'), ('thickness',), 'mris_place_surface'),
    ('area and vertex vol', ('white', 'pial'), ('area.mid', 'volume'), 'vertexvol'),
)
"""What every call of version 7 and later makes of the surfaces that are there."""

MAP_NAMES = {name for _, _, made, _ in MAPS for name in made}
MAP_MARKERS = {marker for marker, *_ in MAPS}
MAPS_AFTER = 'FLAIRpial'

BRAINVOL = 'stats/brainvol.stats'
BRAINVOL_AFTER = 'apas2aseg'
BRAINVOL_FOR = ('wmparc', 'parcstats', 'parcstats2', 'parcstats3', 'segstats')
"""Version 7 and later make it for these, and not for -apas2aseg, if for both hemispheres."""

NOT_IN_STATUS = {
    *('AutoDetGWStats', 'StopMaskSCM', 'WhitePreAparc', 'CortexLabel', 'CortexLabel+HipAmyg'),
    *('HighMyelinLabel', 'WhiteSurfs', 'T1PialSurf', 'MMPialSurf'),
}
"""Markers that the status log lacks."""

PASSED_THROUGH = {
    'MotionCor': 'motioncor',
    'MCADura Segmentation': 'mcadura',
    'VSinus Segmentation': 'synthseg',
    'EntoWM Segmentation': 'entowm',
}
"""Markers that version 8 also prints on its way to other stages, and whose they are."""

UPDATED = {
    *('motioncor', 'synthstrip', 'synthmorph', 'mcadura', 'synthseg', 'entowm'),
    *('autodetgwstats', 'white-preaparc', 'cortex-label', 'white', 'pial'),
    *('T2pial', 'FLAIRpial', 'apas2aseg', 'aparc2aseg', 'wmparc'),
}
"""Stages of version 7 and later that are skipped where all is newer than what it needs."""

NOT_LOOKED_AT = {'white': '.annot', 'pial': '.annot'}
"""A new parcellation is no reason for them to place a surface anew."""

UNRULED = {'Fix Topology', *MAP_MARKERS}
"""Markers without a line of dashes before them."""

Step = namedtuple(  # noqa: PYI024 - typing takes long to load, too
    'Step',
    [
        'owner',  # key of the stage that it is part of
        'marker',  # what the logs say as it begins; empty says nothing
        'programs',  # pairs of a program and the files that it writes
        'needs',  # files that its first program reads
        'copies',  # pairs of files that recon-all copies before
        'links',  # pairs of a target and a link that recon-all makes after
        'unless',  # the step is passed over in silence where one of these is missing
        'update',  # files that decide, by their age, whether its programs run; or None
        'touch',  # written when it is through
        'threaded',
    ],
    defaults=('', (), (), (), (), (), None, '', False),
)


def steps(call, about, subject):
    """All steps of a call.

    Parameters
    ----------
    call : arguments.Call
    about : dict
        The installation: its version and stages.
    subject : str
        The subject's folder.

    Returns
    -------
    list of Step
    """
    taken = []
    asked = set(call.chosen)
    _drag_in(call, about['stages'])
    for name, rows in itertools.groupby(about['stages'], lambda row: row['name']):
        ours = [row for row in rows if not row['hemi'] or row['hemi'] in call.hemis]
        if name in call.chosen:
            rules = SPECIAL.get(name, _plain)
            taken += _on_the_way(ours, call, taken)
            taken += rules([_alone(row, call, about) for row in ours], call, about, subject)
        if name == MAPS_AFTER and about['major'] >= 7:
            taken += [step for hemi in call.hemis for step in _maps(hemi)]
        if name == BRAINVOL_AFTER and about['major'] >= 7 and len(call.hemis) == 2:
            taken += _brainvol(call, about['stages'])
    return _owned(taken, about['stages'], asked)


def _drag_in(call, table):
    more = {name for row in table if row['name'] in call.chosen for name in row['also']}
    if not more <= call.chosen:
        call.chosen |= more
        _drag_in(call, table)


def _alone(row, call, about):
    """A stage without what those that it drags in, and the maps, will do."""
    rest = [other for other in about['stages'] if other['name'] in row['also']]
    theirs = {path for other in rest for path in other['makes']}
    programs = {program for other in rest for program in other['binaries']}
    if about['major'] >= 7:
        theirs |= {BRAINVOL}
        programs |= {'mri_brainvol_stats'}
        theirs |= {f'surf/{hemi}.{name}' for hemi in ('lh', 'rh') for name in MAP_NAMES}
    makes = [path for path in row['makes'] if path not in theirs]
    markers = [
        marker
        for marker in row['markers']
        if marker not in MAP_MARKERS and PASSED_THROUGH.get(marker, row['name']) == row['name']
    ]
    binaries = [name for name in row['binaries'] if name not in programs]
    if 'area and vertex vol' in row['markers']:
        binaries = [name for name in binaries if name != 'vertexvol']
    return {**row, 'makes': makes, 'markers': markers, 'binaries': binaries}


def _plain(rows, call, about, subject):
    return [step for row in rows for step in _parts(row, call, about)]


def _parts(row, call, about):
    """One step for each marker: the first takes all programs but the last, which the others run.

    Markers of a hemisphere, if the row is one for both, come once for each, with its files.
    """
    markers = row['markers'] or ['']
    whole = [name for name in markers if row['hemi'] or name not in about['halves']]
    halves = [name for name in markers if name not in whole]
    others = [path for path in row['makes'] if not halves or not _side(path)]
    parts = _given_out(whole, others, row['hemi'], row['touch'] if not halves else '')
    for hemi in call.hemis if halves else ():
        files = [path for path in row['makes'] if _side(path) == hemi]
        touch = row['touch'] and f'{hemi}.{row["touch"][3:]}'
        parts += _given_out(halves, files, hemi, touch)
    several = len(markers) > 1 and len(row['binaries']) > 1
    updates = about['major'] >= 7 and row['name'] in UPDATED
    for marker, hemi, makes, touch in parts:
        programs = row['binaries']
        if several:
            programs = programs[:-1] if marker == markers[0] else programs[-1:]
        yield Step(
            owner=row['key'],
            marker=f'{marker} {hemi}'.rstrip(),
            programs=_shared_out(programs, makes),
            needs=row['needs'],
            update=_sources(row) if updates and makes else None,
            touch=touch,
            threaded=row['threads'],
        )


def _given_out(markers, files, hemi, touch):
    """Files to markers, so that what is made last is made under the last."""
    cut = max(0, len(files) - len(markers) + 1)
    shares = [files[:cut], *([path] for path in files[cut:]), *([[]] * len(markers))]
    last = len(markers) - 1
    return [
        (marker, hemi, shares[number], touch if number == last else '')
        for number, marker in enumerate(markers)
    ]


def _side(path):
    """The hemisphere that a file is of, or nothing."""
    return next((hemi for hemi in ('lh', 'rh') if f'{hemi}.' in os.path.basename(path)), '')


def _on_the_way(rows, call, taken):
    """Markers of other stages, which have nothing to do by then."""
    told = {step.marker for step in taken}
    for marker in rows[0]['markers'] if rows else ():
        other = PASSED_THROUGH.get(marker, rows[0]['name'])
        if other != rows[0]['name'] and other not in call.chosen and marker not in told:
            yield Step(rows[0]['key'], marker)


def _shared_out(programs, makes):
    """Who writes what: as evenly as can be, the last of it by the last."""
    count, files = len(programs), len(makes)
    made = [[] for _ in programs]
    for number, path in enumerate(reversed(makes)):
        made[count - 1 - number * count // files].insert(0, path)
    return list(zip(programs, made, strict=True))


def _sources(row):
    left_out = NOT_LOOKED_AT.get(row['name'])
    return [path for path in row['needs'] if not (left_out and path.endswith(left_out))]


def _input(rows, call, about, subject):
    for number, image in enumerate(call.inputs, 1):
        file = f'mri/orig/{number:03d}.mgz'
        yield Step('input', programs=[('mri_convert', [file])], needs=[image])


def _other_input(rows, call, about, subject):
    (row,) = rows
    image = call.T2 if row['name'] == 't2-input' else call.FLAIR
    (step,) = _parts({**row, 'needs': [image]}, call, about)
    return [step]


def _motioncor(rows, call, about, subject):
    """Of a single run there is nothing to average: it is copied."""
    (row,) = rows
    runs = [f'mri/orig/{number:03d}.mgz' for number in range(1, 1 + len(call.inputs))]
    runs = runs or _runs(subject)
    if len(runs) > 1:
        return _parts({**row, 'needs': runs}, call, about)
    average, *makes = row['makes']
    binaries = [name for name in row['binaries'] if name != 'mri_robust_template']
    (step,) = _parts({**row, 'makes': makes, 'binaries': binaries}, call, about)
    return [step._replace(needs=row['needs'], copies=[(row['needs'][0], average)])]


def _runs(subject):
    try:
        names = sorted(os.listdir(f'{subject}/mri/orig'))
    except OSError:
        return []
    return [f'mri/orig/{name}' for name in names if len(name) == 7 and name[:3].isdigit()]


def _asegmerge(rows, call, about, subject):
    """Without edits by hand, a copy."""
    (row,) = rows
    (step,) = _parts({**row, 'binaries': [], 'makes': []}, call, about)
    return [step._replace(needs=[], copies=[(row['needs'][0], row['makes'][0])])]


def _fix(rows, call, about, subject):
    """Both hemispheres are fixed before either is looked at, under the marker of the last."""
    made = []
    if about['major'] < 7:
        made += [
            Step(
                row['key'],
                f'Fix Topology Copy {row["hemi"]}',
                copies=[(f'surf/{row["hemi"]}.orig.nofix', f'surf/{row["hemi"]}.orig')],
            )
            for row in rows
        ]
    for row in rows:
        first = {**row, 'binaries': row['binaries'][:1], 'makes': row['makes'][:1], 'touch': ''}
        made += _parts(first, call, about)
    made += [
        Step(
            row['key'],
            programs=_shared_out(row['binaries'][1:], row['makes'][1:]),
            touch=row['touch'],
            threaded=row['threads'],
        )
        for row in rows
    ]
    return made


def _white(rows, call, about, subject):
    """Version 6 makes the pial surface too, unless -pial or an expert option keeps it from it."""
    whole = call.options.get('mris_make_surfaces', ())
    if about['major'] < 7 and 'pial' not in call.chosen and '-whiteonly' not in whole:
        more = ('pial', 'curv.pial', 'area.pial', 'thickness')
        rows = [
            {**row, 'makes': [*row['makes'], *(f'surf/{row["hemi"]}.{name}' for name in more)]}
            for row in rows
        ]
    return _plain(rows, call, about, subject)


def _pial(rows, call, about, subject):
    """From version 7 on, ``?h.pial`` is a link to the surface of the modality that placed it."""
    # Volumes of both hemispheres, where they are parts of this stage, come after both surfaces.
    parts = zip(*[_parts(row, call, about) for row in rows], strict=True)
    found = list(itertools.chain.from_iterable(parts))
    if about['major'] < 7:
        return found
    other = rows[0]['name'].removesuffix('pial')
    refined = bool(call.chosen & {'T2pial', 'FLAIRpial'})
    return [_linked(step, other or 'T1', refined) for step in found]


def _linked(step, modality, refined):
    """A step that writes ``?h.pial.T2`` and links, where it was to write ``?h.pial``."""
    renamed, links = {}, []
    for path in [path for _, makes in step.programs for path in makes if path.endswith('h.pial')]:
        renamed[path] = f'{path}.{modality}'
        if modality != 'T1' or not refined:
            links.append((os.path.basename(renamed[path]), path))
    programs = [
        (program, list(dict.fromkeys(renamed.get(path, path) for path in makes)))
        for program, makes in step.programs
    ]
    return step._replace(programs=programs, links=links)


def _maps(hemi):
    for marker, sources, made, program in MAPS:
        paths = [f'surf/{hemi}.{name}' for name in sources]
        yield Step(
            f'maps_{hemi}',
            f'{marker} {hemi}',
            programs=[(program, [f'surf/{hemi}.{name}' for name in made])],
            needs=paths,
            unless=paths,
            update=paths,
        )


def _brainvol(call, table):
    """Part of the first stage that asks for it."""
    owners = [row['key'] for row in table if row['name'] in call.chosen.intersection(BRAINVOL_FOR)]
    for owner in owners[:1]:
        programs = [('mri_brainvol_stats', [BRAINVOL])]
        yield Step(owner, programs=programs, needs=['mri/aseg.mgz'])


SPECIAL = {
    'input': _input,
    't2-input': _other_input,
    'flair-input': _other_input,
    'motioncor': _motioncor,
    'asegmerge': _asegmerge,
    'fix': _fix,
    'white': _white,
    'pial': _pial,
    'T2pial': _pial,
    'FLAIRpial': _pial,
}


def _owned(taken, table, asked):
    """What was dragged in is part of the stage that did it."""
    owners = {}
    for row in table:
        owner = row['key'] if row['name'] in asked else owners.get(row['name'])
        for name in row['also']:
            if owner and name not in asked:
                owners.setdefault(name, owner)
    return [step._replace(owner=owners.get(step.owner, step.owner)) for step in taken]
