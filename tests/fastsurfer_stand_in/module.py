# ruff: noqa: PTH110, PTH119
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
        '--thres', '--tal', '--threads',
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

SWITCHES = {
    'asegdkt': ('--async_io', '--allow_root'),
    'biasfield': ('--uchar', '-v'),
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
    parser = argparse.ArgumentParser(prog=os.path.basename(sys.argv[0]), allow_abbrev=False)
    for flag in VALUES[name]:
        parser.add_argument(flag)
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
    """What the real ones take: the flag, else the environment, else all there are."""
    said = given.threads
    if name in ('asegdkt', 'cereb', 'hypothal') and said is None:
        return int(os.environ.get('OMP_NUM_THREADS', os.cpu_count()))
    return int(said or 1)


def refuse_root(given, program):
    if os.getuid() == 0 and not given.allow_root:
        sys.exit(
            '----------------------------\n            ERROR\n'
            f"            You are trying to run '{program}' as root. We advice to avoid running "
            'FastSurfer \n            as root, because it will lead to files and folders created '
            'as root.\n'
            f'            If you want to force running as root, you may pass --allow_root to {program}.'
        )


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


def weights(name, home, log, where):
    """The real ones would try to download what is missing; here nothing can be reached."""
    paths = [f'{home}/checkpoints/{WEIGHTS[name].format(plane)}' for plane in PLANES]
    for path in paths:
        if not os.path.exists(path):
            log.say(('checkpoint.py', 255), 'Server example.org is not reachable.', 'WARNING')
            sys.stderr.write(
                'Traceback (most recent call last):\n'
                '  File "checkpoint.py", line 261, in check_and_download_ckpts\n'
                'requests.exceptions.RequestException: Failed downloading the checkpoint '
                f'{os.path.basename(path)}.\n'
            )
            return False
        log.say(where, f'Loading checkpoint {path}')
    return True


def asegdkt(given, costs, home):
    refuse_root(given, 'run_prediction.py')
    log = Log(given.seg_log)
    log.say(('run_prediction.py', 652), 'Checking or downloading default checkpoints ...')
    log.say(('common.py', 885), f'Analyzing single subject {given.t1}')
    log.say(('common.py', 114), f'Using device: {given.device}')
    if not weights('asegdkt', home, log, ('inference.py', 200)):
        return 1
    if not os.path.exists(given.t1):
        log.say(('run_prediction.py', 800), f'T1 image {given.t1} not found', 'ERROR')
        return 1
    mri = os.path.dirname(given.conformed_name)
    for path in (f'{mri}/orig/001.mgz', given.conformed_name):
        make(path, 'asegdkt')
        log.say(('run_prediction.py', 454), f'Successfully saved image   as {path}.')
    costs.of('asegdkt').burn()
    for plane in PLANES:
        predict(plane, given, costs, log)
    return finish(given, costs, log)


def predict(plane, given, costs, log):
    log.say(('run_prediction.py', 400), f'Run {plane} prediction')
    log.say(('dataset.py', 78), f'Loading {plane.capitalize()} with input voxelsize (1.0, 1.0)')
    began = time.monotonic()
    sys.stderr.write('\r  0%|          | 0/256 [00:00<?, ?batch/s]')
    costs.of(f'asegdkt.{plane}').burn()
    sys.stderr.write('\r100%|##########| 256/256 [00:01<00:00, 256.00batch/s]\n')
    sys.stderr.flush()
    log.say(('inference.py', 406), f'Inference on 256 batches for {plane} successful')
    seconds = time.monotonic() - began
    words = f'{plane.capitalize()} inference on {given.t1} finished in {seconds:0.4f} seconds'
    log.say(('inference.py', 468), words)


def finish(given, costs, log):
    code = costs.wanted('asegdkt').get('fails', 0)
    if code == 1:
        log.say(('run_prediction.py', 790), 'CUDA out of memory.', 'ERROR')
        return 1
    for path in (given.asegdkt_segfile, given.brainmask_name, given.aseg_name):
        make(path, 'asegdkt')
        log.say(('run_prediction.py', 454), f'Successfully saved image   as {path}.')
    log.say(('run_prediction.py', 767), 'Running volume-based QC check on segmentation...')
    if code == 2:
        log.say(('run_prediction.py', 770), 'Total segmentation volume is too small.', 'WARNING')
    return code


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
    refuse_root(given, 'segstats.py')
    costs.of('asegdkt-stats').burn()
    make(given.segstatsfile, 'asegdkt-stats')
    return costs.wanted('asegdkt-stats').get('fails', 0)


def cereb(given, costs, home):
    refuse_root(given, 'run_prediction.py')
    log = Log(given.seg_log)
    if not weights('cereb', home, log, ('inference.py', 190)):
        return 1
    costs.of('cereb').burn()
    for path in (given.cereb_segfile, given.cereb_statsfile):
        make(path, 'cereb')
    return costs.wanted('cereb').get('fails', 0)


def hypothal(given, costs, home):
    refuse_root(given, 'run_prediction.py')
    log = Log(given.seg_log)
    if not weights('hypothal', home, log, ('inference.py', 110)):
        return 1
    costs.of('hypothal').burn()
    if costs.wanted('hypothal').get('loses'):
        log.say(('run_prediction.py', 430), 'The image is not there', 'ERROR')
        return 0
    folder = f'{given.sd}/{given.sid}'
    for path in ('mri/hypothalamus', 'mri/hypothalamus_mask'):
        make(f'{folder}/{path}.HypVINN.nii.gz', 'hypothal')
    make(f'{folder}/stats/hypothalamus.HypVINN.stats', 'hypothal')
    return costs.wanted('hypothal').get('fails', 0)


def talairach(given, costs, _home):
    mri, three_tesla = given.words[:2]
    if three_tesla not in ('true', 'false'):
        return 1
    costs.of('tal_reg').burn()
    for name in ('transforms/talairach.lta', 'transforms/talairach.xfm', 'nu.mgz'):
        make(f'{mri}/{name}', 'tal_reg')
    return 0


RUNS = {
    'asegdkt': asegdkt,
    'asegdkt-stats': statistics,
    'biasfield': biasfield,
    'cereb': cereb,
    'hypothal': hypothal,
    'tal_reg': talairach,
}
