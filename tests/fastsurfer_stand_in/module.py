# ruff: noqa: PTH110, PTH112, PTH113, PTH119
# Paths are text: to load pathlib takes as long as all the rest.
"""Any module of the stand-in but recon-surf: reads arguments, burns, writes."""

import argparse
import os
import sys
import time

import costs_of
from program import content, write

PLANES = ('coronal', 'sagittal', 'axial')

DEVICES = ('--device', '--viewagg_device', '--batch_size', '--threads')
SUBJECT = ('--sid', '--sd', '--seg_log', '--t1')
CHECKPOINTS = ('--ckpt_ax', '--ckpt_cor', '--ckpt_sag')
LISTS = ('--in_dir', '--tag', '--csv_file', '--remove_suffix')
VALUES = {
    'asegdkt': (
        *SUBJECT, *DEVICES, *CHECKPOINTS, *LISTS, '--lut', '--asegdkt_segfile',
        '--conformed_name', '--brainmask_name', '--aseg_name', '--qc_log', '--cfg_ax',
        '--cfg_cor', '--cfg_sag', '--vox_size', '--conform_to_1mm_threshold',
    ),
    'biasfield': (
        '--in', '--out', '--rescale', '--mask', '--aseg', '--shrink', '--levels', '--numiter',
        '--thres', '--tal', '--threads', '-v', '--verbosity',
    ),
    'cereb': (
        *SUBJECT, *DEVICES, *CHECKPOINTS, *LISTS, '--conformed_name', '--norm_name',
        '--asegdkt_segfile', '--cereb_segfile', '--cereb_statsfile',
    ),
    'hypothal': (
        *SUBJECT, *DEVICES, *CHECKPOINTS, '--t2', '--reg_mode', '--hypo_segfile', '--cfg_ax',
        '--cfg_cor', '--cfg_sag',
    ),
    'asegdkt-stats': (
        '--segfile', '--segstatsfile', '--normfile', '--pvfile', '--threads', '--sd', '--sid',
        '--lut', '--robust', '--legacy_freesurfer', '--measure_only', '--volume_precision',
        '--device', '--patch_size',
    ),
}  # fmt: skip
"""Flags of 2.3.0 that take a value."""

NUMBERS = ('--threads', '--batch_size')

SWITCHES = {
    'asegdkt': ('--async_io', '--allow_root'),
    'biasfield': ('--uchar',),
    'cereb': ('--async_io', '--allow_root'),
    'hypothal': ('--async_io', '--allow_root', '--qc_snap'),
    'asegdkt-stats': ('--empty', '--allow_root'),
}

WEIGHTS = {'asegdkt': 'aparc_vinn_{}_v2.0.0.pkl', 'cereb': 'CerebNet_{}_v1.0.0.pkl'}
WEIGHTS['hypothal'] = 'HypVINN_{}_v1.1.0.pkl'


def main(name, home):
    """Run, and end without the interpreter's own tidying, which would cost CPU time."""
    began = time.monotonic()
    given = Words(sys.argv[1:]) if name == 'tal_reg' else parse(name)
    costs = costs_of.Costs(name, threads_of(name, given))
    with costs.on(getattr(given, 'device', 'cpu')):
        code = RUNS[name](given, costs, home)
    sys.stdout.flush()
    costs.close(code, time.monotonic() - began)
    os._exit(code)


class Words:
    """Arguments of a shell script."""

    def __init__(self, words):
        self.words = words
        self.threads = '1'


def parse(name):
    parser = argparse.ArgumentParser(prog=os.path.basename(sys.argv[0]))
    for flag in VALUES[name]:
        parser.add_argument(flag, type=int if flag in NUMBERS else str)
    for flag in SWITCHES[name]:
        parser.add_argument(flag, action='store_true')
    if name == 'asegdkt-stats':
        parser.add_argument('--excludeid', nargs='*')
        parser.add_argument('--ids', nargs='*')
        own, sep, measures = ' '.join(sys.argv[1:]).partition(' measures ')
        words = own.split(' ') if sep else sys.argv[1:]
        given = parser.parse_args(words)
        given.measures = measures
        return given
    return parser.parse_args()


def threads_of(name, given):
    """What the real ones take: the flag, else all there are, whatever OMP_NUM_THREADS says."""
    if name in ('biasfield', 'tal_reg'):
        return int(given.threads or 1)
    return given.threads or len(os.sched_getaffinity(0))


ROOT = """\
----------------------------
            ERROR
            You are trying to run '{0}' as root. We advice to avoid running FastSurfer \

            as root, because it will lead to files and folders created as root.
            If you are running FastSurfer in a docker container, you can specify the \

            user with '-u $(id -u):$(id -g)' \

            (see https://docs.docker.com/engine/reference/run/#user).
            If you want to force running as root, you may pass --allow_root to {0}.
            """


def refuse_root(given):
    if os.getuid() == 0 and not given.allow_root:
        sys.exit(ROOT.format(os.path.basename(sys.argv[0])))


class Log:
    """Lines that go to standard output and into the log of the segmentation."""

    def __init__(self, path):
        self.path = path
        if path:
            os.makedirs(os.path.dirname(path), exist_ok=True)

    def say(self, where, text, level='INFO'):
        file, number = where
        line = f'[{level}: {file}: {number:4d}]: {text}\n'
        sys.stdout.write(line)
        sys.stdout.flush()
        if self.path:
            write(self.path, line.encode(), os.O_CREAT | os.O_APPEND)


def make(path, name):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write(path, content(name, path), os.O_CREAT | os.O_TRUNC)


def find_weights(name, home, log):
    """The real ones would try to download what is missing; here nothing can be reached."""
    log.say(('run_prediction.py', 652), 'Checking or downloading default checkpoints ...')
    for plane in ('axial', 'coronal', 'sagittal'):
        file = WEIGHTS[name].format(plane)
        if not os.path.exists(f'{home}/checkpoints/{file}'):
            url = 'https://example.org/records/0/files'
            log.say(('checkpoint.py', 348), f'Downloading checkpoint {file} from {url}')
            words = f'Server {url} not reachable (ConnectionError): stand-in'
            log.say(('checkpoint.py', 359), words, 'WARNING')
            why = f'Failed downloading the checkpoint {file} from example.org/records/0/...'
            sys.stderr.write(traceback(f'requests.exceptions.RequestException: {why}.'))
            return False
    return True


def load_weights(name, home, log, where, planes=PLANES):
    for plane in planes:
        log.say(where, f'Loading checkpoint {home}/checkpoints/{WEIGHTS[name].format(plane)}')


def traceback(last):
    return f'Traceback (most recent call last):\n  File "stand_in.py", line 1, in main\n{last}\n'


def asegdkt(given, costs, home):
    refuse_root(given)
    log = Log(given.seg_log)
    if not find_weights('asegdkt', home, log):
        return 1
    log.say(('common.py', 885), f'Analyzing single subject {given.t1}')
    log.say(('common.py', 114), f'Using device: {given.device}')
    log.say(('run_prediction.py', 245), f'Running view aggregation on {given.viewagg_device}')
    load_weights('asegdkt', home, log, ('inference.py', 200))
    if not os.path.exists(given.t1):
        sys.stderr.write(traceback(f"FileNotFoundError: No such file or no access: '{given.t1}'"))
        return 1
    log.say(('run_prediction.py', 324), f'Successfully loaded image from {given.t1}.')
    mri = os.path.dirname(given.conformed_name)
    for path in (f'{mri}/orig/001.mgz', given.conformed_name):
        make(path, 'asegdkt')
        log.say(('run_prediction.py', 454), f'Successfully saved image   as {path}.')
    costs.of('asegdkt').burn()
    for plane in PLANES:
        log.say(('run_prediction.py', 400), f'Run {plane} prediction')
        code = predict(plane, given, costs, log)
        if code is not None:
            return code
    return finish(given, costs, log)


def predict(plane, given, costs, log):
    """One network; None unless it ends the module."""
    log.say(('dataset.py', 78), f'Loading {plane.capitalize()} with input voxelsize (1.0, 1.0)')
    began = time.monotonic()
    sys.stderr.write('\r  0%|          | 0/256 [00:00<?, ?batch/s]')
    costs.of(f'asegdkt.{plane}').burn()
    wanted = costs.wanted(f'asegdkt.{plane}')
    if 'fails' in wanted or wanted.get('memory'):
        return misfortune(plane, wanted, log)
    sys.stderr.write('\r100%|##########| 256/256 [00:01<00:00, 256.00batch/s]\n')
    sys.stderr.flush()
    log.say(('inference.py', 406), f'Inference on 256 batches for {plane} successful')
    seconds = time.monotonic() - began
    words = f'{plane.capitalize()} inference on {given.t1} finished in {seconds:0.4f} seconds'
    log.say(('inference.py', 468), words)
    return None


def misfortune(plane, wanted, log):
    """An error of PyTorch; where memory is short, the real one says so and ends well."""
    short = wanted.get('memory')
    error = 'CUDA out of memory. Tried to allocate 1.00 GiB' if short else 'cuDNN error: STAND_IN'
    log.say(('inference.py', 401), f'Exception in batch 128 of {plane} inference.', 'ERROR')
    sys.stdout.write(traceback(f'RuntimeError: {error}'))
    if short:
        log.say(('common.py', 165), 'ERROR - INSUFFICIENT GPU MEMORY', 'CRITICAL')
        log.say(('common.py', 176), f'Using {error}.')
        return 0
    sys.stderr.write(f'{error}\n')
    return wanted['fails']


def finish(given, costs, log):
    """What is made of all views; a segmentation that is too small is only warned of."""
    for path in (given.asegdkt_segfile, given.brainmask_name, given.aseg_name):
        make(path, 'asegdkt')
        log.say(('run_prediction.py', 454), f'Successfully saved image   as {path}.')
    log.say(('run_prediction.py', 767), 'Running volume-based QC check on segmentation...')
    wanted = costs.wanted('asegdkt')
    if wanted.get('small'):
        words = 'Total segmentation volume is too small. Segmentation may be corrupted.'
        log.say(('run_prediction.py', 770), words, 'WARNING')
    return wanted.get('fails', 0)


def biasfield(given, costs, _home):
    for path in (vars(given)['in'], given.aseg):
        if not os.path.exists(path):
            sys.stderr.write(f'ERROR: {path} not found\n')
            return 1
    print('reading', vars(given)['in'])  # noqa: T201
    costs.of('biasfield').burn()
    make(given.rescale, 'biasfield')
    return costs.wanted('biasfield').get('fails', 0)


def statistics(given, costs, _home):
    refuse_root(given)
    costs.of('asegdkt-stats').burn()
    make(given.segstatsfile, 'asegdkt-stats')
    return costs.wanted('asegdkt-stats').get('fails', 0)


def cereb(given, costs, home):
    refuse_root(given)
    log = Log(given.seg_log)
    if not find_weights('cereb', home, log):
        return 1
    costs.of('cereb').burn()
    for path in (given.cereb_segfile, given.cereb_statsfile):
        make(path, 'cereb')
    return costs.wanted('cereb').get('fails', 0)


def evaluate(plane, given, costs, log, home):
    """One network of HypVINN, which is loaded only now."""
    weights = f'{home}/checkpoints/{WEIGHTS["hypothal"].format(plane)}'
    log.say(('run_prediction.py', 600), f'Evaluating {plane} model, cpkt :{weights}')
    began = time.monotonic()
    load_weights('hypothal', home, log, ('inference.py', 183), (plane,))
    costs.of(f'hypothal.{plane}').burn()
    seconds = time.monotonic() - began
    words = f'{plane} Inference on {given.sid} finished in {seconds:0.4f} seconds'
    log.say(('inference.py', 410), words)


def hypothal(given, costs, home):
    refuse_root(given)
    log = Log(given.seg_log)
    if not find_weights('hypothal', home, log):
        return 1
    log.say(('mode_config.py', 51), 'Setting up input mode...')
    folder = f'{given.sd}/{given.sid}'
    wanted = costs.wanted('hypothal')
    why = wanted.get('loses', '')
    if not os.path.exists(given.t1):
        why = f'ERROR: The t1 flag was passed, but the t1 file does not exist ({given.t1}).'
    else:
        log.say(('run_prediction.py', 276), f'Running HypVINN on subject {given.sid}')
        costs.of('hypothal').burn()
        for plane in ('axial', 'coronal', 'sagittal'):
            evaluate(plane, given, costs, log, home)
    if why:
        log.say(('run_prediction.py', 403), f'Failed Evaluation on {given.sid}:')
        log.say(('run_prediction.py', 404), why, 'ERROR')
        sys.stdout.write(traceback(f'RuntimeError: {why}'))
        return 0
    for path in ('mri/hypothalamus', 'mri/hypothalamus_mask'):
        make(f'{folder}/{path}.HypVINN.nii.gz', 'hypothal')
    make(f'{folder}/stats/hypothalamus.HypVINN.stats', 'hypothal')
    log.say(('run_prediction.py', 410), 'Processing whole pipeline finished in 1.0000 seconds.')
    return wanted.get('fails', 0)


def talairach(given, costs, _home):
    usage = 'talairach-reg.sh <mri-directory> <3T atlas: true/false> <Logfile>'
    mri, three_tesla, log = given.words if len(given.words) == 3 else ('', '', '')
    why = (
        'First argument must be the mri-directory'
        if not os.path.isdir(mri)
        else 'Second argument must be true or false'
        if three_tesla not in ('true', 'false')
        else 'Third argument must be the logfile (must already exist)'
        if not os.path.isfile(log)
        else ''
    )
    if why:
        print(f'{why}: {usage}')  # noqa: T201
        return 1
    costs.of('tal_reg').burn()
    for name in ('talairach.lta', 'talairach_with_skull.lta', 'talairach.xfm'):
        make(f'{mri}/transforms/{name}', 'tal_reg')
    make(f'{mri}/nu.mgz', 'tal_reg')
    return costs.wanted('tal_reg').get('fails', 0)


RUNS = {
    'asegdkt': asegdkt,
    'asegdkt-stats': statistics,
    'biasfield': biasfield,
    'cereb': cereb,
    'hypothal': hypothal,
    'tal_reg': talairach,
}
