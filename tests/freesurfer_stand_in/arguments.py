# ruff: noqa: PTH100, PTH110, PTH112, PTH119
# Paths are text: to load pathlib takes as long as all the rest.
"""What recon-all was asked to do."""

import os
from types import SimpleNamespace

ALIASES = {
    '-mc': 'motioncor',
    '-talcheck': 'tal-check',
    '-talairach-check': 'tal-check',
    '-nu_correct': 'nuintensitycor',
    '-tess': 'tessellate',
    '-white.preaparc': 'white-preaparc',
    '-whitesurfs': 'white',
    '-pialsurfs': 'pial',
    '-ba-labels': 'balabels',
    '-ba_labels': 'balabels',
    '-t2pial': 'T2pial',
    '-flairpial': 'FLAIRpial',
}
ASKED_FOR = {'input', 't2-input', 'flair-input', 'T2pial', 'FLAIRpial'}
"""Stages that no group of stages holds."""

IGNORED = {
    *('-3T', '-3t', '-cm', '-hires', '-highres', '-mprage', '-washu_mprage', '-cw256'),
    *('-bigventricles', '-nowmsa', '-th3', '-no-th3', '-cubic', '-nocubic', '-norandomness'),
    *('-debug', '-verbose', '-xopts-use', '-notime'),
}
IGNORED_WITH_VALUE = {'-nuiterations', '-rng-seed', '-mps_n_averages', '-custom-tal-atlas'}


class CallError(Exception):
    """Text to print; ``late`` where the real one takes its error exit."""

    def __init__(self, text, *, late=False):
        super().__init__(text)
        self.late = late


class Call(SimpleNamespace):
    """One call of recon-all, as it was asked for."""

    def __init__(self, words):
        super().__init__(
            words=words,
            subject='',
            folder=os.environ.get('SUBJECTS_DIR', ''),
            chosen=set(),
            hemis=('lh', 'rh'),
            inputs=[],
            T2='',
            FLAIR='',
            books='recon-all',
            threads=os.environ.get('FS_OMP_NUM_THREADS', '1'),
            itk_threads='1',
            expert='',
            overwrite=False,
            forget=False,
            runs=True,
            locks=True,
            cleans=False,
            forces=False,
            times=False,
        )


def parse(call, table):
    """Read the arguments, first to last, as the later one has the last word.

    Parameters
    ----------
    call : Call
        Filled in.
    table : list of dict
        The stages.
    """
    # -T2 and -FLAIR are flags of input stages too, but take a file.
    flags = {
        row['name']: row['flag'].split()
        for row in table
        if row['flag'].startswith('-') and row['flag'] not in VALUED
    }
    firsts = [words[0] for words in flags.values()]
    leads = {
        words[0]: name
        for name, words in flags.items()
        if len(words) == 1 or firsts.count(words[0]) == 1
    }
    stage_of = {flag: leads.get(flag) for words in flags.values() for flag in words}
    stage_of |= {flag: name for flag, name in ALIASES.items() if name in flags}
    without = {no + flag[1:]: flag for flag in stage_of for no in ('-no', '-no-', '-no_')}
    given = set()
    rest = list(call.words)
    while rest:
        flag = rest.pop(0)
        if flag in VALUED:
            if not rest:
                raise CallError(f'ERROR: flag {flag} requires one argument')
            VALUED[flag](call, rest.pop(0), table)
        elif flag in stage_of:
            given.add(flag)
            call.chosen |= {stage_of[flag]} - {None}
        elif flag in without:
            given.discard(without[flag])
            call.chosen.discard(stage_of[without[flag]])
        elif not _switch(call, flag, table):
            raise CallError(f'ERROR: Flag {flag} unrecognized.\n{" ".join(call.words)}', late=True)
    # In version 8, a stage may be several flags, which also are parts of others.
    call.chosen |= {name for name, words in flags.items() if given.issuperset(words)}


def _switch(call, flag, table):
    """Whether it is one of the others, without a value."""
    if flag in SIMPLE:
        name, value = SIMPLE[flag]
        setattr(call, name, value)
    elif flag in ('-all', '-autorecon-all'):
        call.chosen |= _group(table, {row['group'] for row in table})
    elif flag[1:] in {row['group'] for row in table}:
        call.chosen |= _group(table, {flag[1:]})
    elif flag == '-parallel':
        raise CallError('ERROR: the stand-in for FreeSurfer knows no -parallel')
    elif flag not in IGNORED:
        return False
    return True


SIMPLE = {
    '-no-isrunning': ('locks', False),
    '-noisrunning': ('locks', False),
    '-dontrun': ('runs', False),
    '-xopts-overwrite': ('overwrite', True),
    '-xopts-clean': ('forget', True),
    '-clean': ('cleans', True),
    '-force-update': ('forces', True),
    '-time': ('times', True),
}


def _group(table, groups):
    return {row['name'] for row in table if row['group'] in groups} - ASKED_FOR


def _subject(call, value, _table):
    call.subject = os.path.basename(value.rstrip('/'))


def _hemi(call, value, _table):
    if value not in ('lh', 'rh'):
        raise CallError(f'ERROR: hemi = {value}, must be either lh or rh', late=True)
    call.hemis = (value,)


def _autorecon_hemi(call, value, table):
    """All stages of one hemisphere, with books of its own."""
    _hemi(call, value, table)
    call.books = f'recon-all-{value}'
    halves = {row['name'] for row in table if row['hemi']}
    call.chosen |= halves | {'hyporelabel'}


def _image(path):
    if not os.path.exists(path):
        raise CallError(f'ERROR: cannot find {path}', late=True)
    if os.path.isdir(path):
        raise CallError(
            'ERROR: You cannot give recon-all a folder as input. It must be an image file.\n'
            'If you have multiple files, you need multiple -i flags.',
            late=True,
        )
    return os.path.abspath(path)


def _input(call, value, _table):
    call.inputs.append(_image(value))
    call.chosen.add('input')


def _t2(call, value, _table):
    call.T2 = _image(value)
    call.chosen |= {'t2-input', 'T2pial'}


def _flair(call, value, _table):
    call.FLAIR = _image(value)
    call.chosen |= {'flair-input', 'FLAIRpial'}


def _expert(call, value, _table):
    if not os.path.exists(value):
        raise CallError(f'ERROR: cannot find {value}', late=True)
    call.expert = os.path.abspath(value)


def _to(name):
    return lambda call, value, _table: setattr(call, name, value)


VALUED = {
    **dict.fromkeys(('-s', '-sid', '-subjid', '-subject'), _subject),
    **dict.fromkeys(('-threads', '-openmp', '-nthreads'), _to('threads')),
    **dict.fromkeys(('-T2', '-t2'), _t2),
    **dict.fromkeys(('-FLAIR', '-flair'), _flair),
    **dict.fromkeys(IGNORED_WITH_VALUE, lambda _call, _value, _table: None),
    '-sd': _to('folder'),
    '-i': _input,
    '-itkthreads': _to('itk_threads'),
    '-expert': _expert,
    '-hemi': _hemi,
    '-autorecon-hemi': _autorecon_hemi,
}
