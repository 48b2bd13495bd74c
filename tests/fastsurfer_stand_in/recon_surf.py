# ruff: noqa: PTH110
# Paths are text: to load pathlib takes as long as all the rest.
"""The stand-in's recon-surf.sh: banners, programs that are timed, and calls of recon-all."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import threading
import time

import books
import costs_of

SUPPORTED = '7.4.1'
LONGEST = 185

HEMI = (
    (
        'tessellation',
        '================== Creating surfaces {h} - orig.nofix ==================',
        [
            ('mri_pretess', ('mri/filled-pretess.mgz',)),
            ('mri_mc', ('surf/{h}.orig.nofix',)),
            ('mris_smooth', ('surf/{h}.smoothwm.nofix',)),
        ],
    ),
    (
        'quick-sphere',
        '=================== Creating surfaces {h} - qsphere ====================',
        [
            '-hemi {h} -inflate1',
            ('recon_surf/spherically_project_wrapper.py', ('surf/{h}.qsphere.nofix',)),
        ],
    ),
    (
        'topology',
        '=================== Creating surfaces {h} - fix ========================',
        [
            '-hemi {h} -fix',
            ('recon_surf/rewrite_oriented_surface.py', ()),
            '-hemi {h} -autodetgwstats -white-preaparc -cortex-label',
        ],
    ),
    (
        'inflation',
        '================== Creating surfaces {h} - inflate2 ====================',
        ['-hemi {h} -smooth2 -inflate2 -curvHK'],
    ),
    (
        'mapping',
        '=========== Creating surfaces {h} - map input asegdkt_segfile to surf ===============',
        [('recon_surf/sample_parc.py', ('label/{h}.aparc.DKTatlas.mapped.annot',))],
    ),
    (
        'registration',
        '============ Creating surfaces {h} - FS sphere, surfreg ===============',
        [
            '-hemi {h} -sphere',
            ('recon_surf/rotate_sphere.py', ('surf/{h}.angles.txt',)),
            ('mris_register', ('surf/{h}.sphere.reg',)),
        ],
    ),
    (
        'surfaces',
        '================ Creating surfaces {h} - white and pial direct ===================',
        [
            ('mris_place_surface', ('surf/{h}.white',)),
            ('mris_place_surface', ('surf/{h}.pial.T1', 'surf/{h}.pial')),
            ('mris_jacobian', ('surf/{h}.jacobian_white',)),
            (
                'mris_place_surface',
                tuple(
                    f'surf/{{h}}.{name}'
                    for name in ('curv', 'area', 'curv.pial', 'area.pial', 'thickness')
                ),
            ),
            '-hemi {h} -curvstats',
        ],
    ),
)
"""Of each hemisphere: part, banner, and what is run: recon-all by its flags."""

VOLUME = (
    (
        'inputs',
        '==================== Checking validity of inputs =================================',
        [('FastSurferCNN/quick_qc.py', ())],
    ),
    (
        'orig',
        '================== Creating orig and rawavg from input =========================',
        [
            ('FastSurferCNN/data_loader/conform.py', ()),
            ('mri_convert', ('mri/orig.mgz',)),
            ('mri_convert', ('mri/aparc.DKTatlas+aseg.orig.mgz', 'mri/rawavg.mgz')),
        ],
    ),
    (
        'talairach',
        '============= Computing Talairach Transform ============',
        [
            (
                'talairach_avi',
                (
                    'mri/transforms/talairach.lta',
                    'mri/transforms/talairach.xfm',
                    'mri/transforms/talairach_with_skull.lta',
                    'mri/nu.mgz',
                ),
            )
        ],
    ),
    (
        'brainmask',
        '============ Creating brainmask from aseg and nu or T1 ============',
        [
            ('mri_mask', ('mri/norm.mgz',)),
            ('mri_normalize', ('mri/T1.mgz',)),
            ('mri_mask', ('mri/brainmask.mgz',)),
        ],
    ),
    (
        'cc',
        '============ Creating and adding CC Segmentation ============',
        [
            ('mri_cc', ('mri/aseg.auto.mgz', 'mri/transforms/cc_up.lta')),
            (
                'recon_surf/paint_cc_into_pred.py',
                ('mri/aparc.DKTatlas+aseg.deep.withCC.mgz', 'mri/ctrl_pts.mgz'),
            ),
        ],
    ),
    (
        'filled',
        '========= Creating filled from brain (brainfinalsurfs, wm.asegedit, wm)  =======',
        ['-asegmerge -normalization2 -maskbfs -segmentation -fill'],
    ),
)

REST = (
    (
        'ribbon',
        '============================ Creating surfaces - ribbon ===========================',
        ['-cortribbon'],
    ),
    (
        'mapped-stats',
        '===================== Creating surfaces - mapped stats =========================',
        [
            (
                'mris_anatomical_stats',
                ('stats/lh.aparc.DKTatlas.mapped.stats', 'stats/rh.aparc.DKTatlas.mapped.stats'),
            )
        ],
    ),
    (
        'contrast',
        '============= Creating surfaces - pctsurfcon, hypo, segstats ====================',
        [
            ('pctsurfcon', ('surf/lh.w-g.pct.mgh', 'surf/rh.w-g.pct.mgh')),
            '-hyporelabel -apas2aseg',
            ('mri_surf2volseg', ('mri/aparc.DKTatlas+aseg.mapped.mgz',)),
            ('FastSurferCNN/segstats.py', ('stats/aseg.stats', 'stats/brainvol.stats')),
        ],
    ),
    (
        'wmparc',
        '===================== Creating wmparc from mapped =======================',
        [('mri_surf2volseg', ('mri/wmparc.DKTatlas.mapped.mgz',))],
    ),
    (
        'done',
        '================= DONE =========================================================',
        [],
    ),
)


def main(name, home):
    given = parse()
    began = time.monotonic()
    costs = costs_of.Costs(name, int(given.threads))
    code = refuse(given)
    if not code:
        os.environ.update(SUBJECTS_DIR=given.sd, OMP_NUM_THREADS=given.threads)
        run = Run(given, costs, home)
        code = run.whole()
    costs.close(code, time.monotonic() - began)
    os._exit(code)


def parse():
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for flag in ('--sid', '--sd', '--t1', '--asegdkt_segfile', '--threads', '--py'):
        parser.add_argument(flag)
    for flag in ('--parallel', '--3T', '--allow_root', '--ignore_fs_version', '--no_fs_T1'):
        parser.add_argument(flag, action='store_true')
    given, unknown = parser.parse_known_args()
    if unknown:
        print(f'ERROR: Flag {unknown[0]} unrecognized.')  # noqa: T201
        sys.stdout.flush()
        os._exit(1)
    return given


def refuse(given):
    """Why the real one does not begin."""
    home, subject = os.environ.get('FREESURFER_HOME'), f'{given.sd}/{given.sid}'
    stamp = ''
    if home:
        with open(f'{home}/build-stamp.txt', encoding='utf-8') as file:
            stamp = file.read()
    began = any(
        os.path.exists(f'{subject}/mri/{name}')
        for name in ('wm.mgz', 'aparc.DKTatlas+aseg.orig.mgz')
    )
    why = (
        f"You are trying to run '{sys.argv[0]}' as root. We advice to avoid running FastSurfer."
        if os.getuid() == 0 and not given.allow_root
        else f'Did not find $FREESURFER_HOME. A working version of FreeSurfer {SUPPORTED} is needed'
        if not home
        else f'ERROR: You are trying to run recon-surf with FreeSurfer version {stamp}.'
        if SUPPORTED not in stamp and not given.ignore_fs_version
        else f'ERROR: Segmentation ({given.asegdkt_segfile}) could not be found! '
        if not os.path.exists(given.asegdkt_segfile)
        else 'ERROR: subject directory path is very long.'
        if len(subject) > LONGEST
        else 'ERROR: running on top of an existing subject directory!'
        if began
        else ''
    )
    if why:
        print(why, flush=True)  # noqa: T201
    return int(bool(why))


class StepError(Exception):
    """A program failed."""


class Run:
    """One call, with its log."""

    def __init__(self, given, costs, home):
        self.given, self.costs, self.home = given, costs, home
        self.subject = f'{given.sd}/{given.sid}'
        self.log = f'{self.subject}/scripts/recon-surf.log'

    def whole(self):
        for folder in ('scripts', 'mri/transforms', 'mri/tmp', 'surf', 'label', 'stats', 'touch'):
            os.makedirs(f'{self.subject}/{folder}', exist_ok=True)
        for name in ('log', 'done'):
            if os.path.exists(f'{self.subject}/scripts/recon-surf.{name}'):
                os.unlink(f'{self.subject}/scripts/recon-surf.{name}')
        began = books.date()
        self.tell(f'Log file for recon-surf.sh\n{began}\n ')
        self.tell(f'export SUBJECTS_DIR={self.given.sd}\n{shlex.join(sys.argv)}\n ')
        try:
            self.follow(VOLUME)
            self.hemispheres()
            self.follow(REST)
        except StepError:
            return 1
        self.tell(f'Started at {began} \nEnded   at {books.date()}')
        self.tell('#@#%# recon-surf-run-time-hours 0.001')
        self.tell(f'recon-surf.sh {self.given.sid} finished without error at {books.date()}')
        books.append(f'{self.subject}/scripts/recon-surf.done', f'SUBJECT {self.given.sid}\n')
        return 0

    def hemispheres(self):
        if not self.given.parallel:
            for h in ('lh', 'rh'):
                # It prints the script that it writes, then runs it.
                for _, banner, _ in HEMI:
                    self.tell(f'echo "{banner.format(h=h)}"')
                self.tell(f' \n RUNNING {h} sequentially ... \n ')
                self.follow(HEMI, h)
            return
        self.tell('\n RUNNING HEMIs in PARALLEL !!! \n')
        failed = []

        def one(h):
            try:
                self.follow(HEMI, h, f'{self.log}.{h}')
            except StepError:
                failed.append(h)

        both = [threading.Thread(target=one, args=(h,)) for h in ('lh', 'rh')]
        for each in both:
            each.start()
        for each in both:
            each.join()
        for h in ('lh', 'rh'):
            with open(f'{self.log}.{h}', encoding='utf-8') as file:
                books.append(self.log, file.read())
        if failed:
            raise StepError

    def follow(self, steps, h='', log=''):
        for part, banner, called in steps:
            self.tell(f' \n{banner.format(h=h)}\n ', log)
            own = f'recon-surf.{part}' + (f'_{h}' if h else '')
            said = {**self.costs.wanted(f'recon-surf.{part}'), **self.costs.wanted(own)}
            programs = [each for each in called if not isinstance(each, str)]
            for each in called:
                if isinstance(each, str):
                    self.recon_all(each.format(h=h), log)
                else:
                    last = each is programs[-1]
                    self.program(each, h, said, len(programs), last=last, log=log, part=own)

    def program(self, called, h, said, number, *, last, log, part):
        name, makes = called
        threads = min(said.get('threads', 1), int(self.given.threads))
        task = {
            'cpu_seconds': said.get('cpu_seconds', 0.0) / number,
            'threads': threads,
            'makes': [f'{self.subject}/{path.format(h=h)}' for path in makes],
            **({key: said[key] for key in ('fails', 'hangs') if key in said} if last else {}),
        }
        environ = {**os.environ, 'FREESURFER_STAND_IN_TASK': json.dumps(task)}
        home = os.environ['FREESURFER_HOME']
        words = [f'{home}/bin/mri_convert', f'--of {name}']
        self.tell(name, log)
        used = self.time(name, words, environ, log)
        self.costs.parts[part] = self.costs.parts.get(part, 0.0) + used

    def recon_all(self, flags, log):
        words = ['recon-all', '-subject', self.given.sid, *flags.split(), '-no-isrunning']
        if int(self.given.threads) > 1:
            words += ['-threads', self.given.threads, '-itkthreads', self.given.threads]
        self.tell(' '.join(words), log)
        self.time('recon-all', words, os.environ, log)

    def time(self, name, words, environ, log):
        """Run a program, and say what it used as FastSurfer's own fs_time does."""
        began, wall = time.time(), time.monotonic()
        process = subprocess.Popen(
            words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in process.stdout:
            self.tell(line.rstrip('\n'), log)
        _, status, used = os.wait4(process.pid, 0)
        line = books.FS_TIME.format(
            when=time.strftime('%Y:%m:%d:%H:%M:%S', time.localtime(began)),
            name=name,
            words=len(words) - 1,
            wall=f'{time.monotonic() - wall:.2f}',
            system=f'{used.ru_stime:.2f}',
            user=f'{used.ru_utime:.2f}',
            percent='99%',
            r=used,
            load='1.00 1.00 1.00',
        )
        self.tell(line, log)
        if status:
            raise StepError
        return used.ru_stime + used.ru_utime

    def tell(self, text, log=''):
        """To standard output and the log; of hemispheres side by side, to a log of their own."""
        if not log:
            sys.stdout.write(f'{text}\n')
            sys.stdout.flush()
        books.append(log or self.log, f'{text}\n')
