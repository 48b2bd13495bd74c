# ruff: noqa: PTH109, PTH110
# Paths are text: to load pathlib takes as long as all the rest.
"""The stand-in's recon-surf.sh: banners, programs that are timed, and calls of recon-all."""

import json
import os
import resource
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
            '-inflate1',
            ('recon_surf/spherically_project_wrapper.py', ('surf/{h}.qsphere.nofix',)),
        ],
    ),
    (
        'topology',
        '=================== Creating surfaces {h} - fix ========================',
        [
            '-fix',
            ('recon_surf/rewrite_oriented_surface.py', ()),
            '-autodetgwstats -white-preaparc -cortex-label',
        ],
    ),
    (
        'inflation',
        '================== Creating surfaces {h} - inflate2 ====================',
        ['-smooth2 -inflate2 -curvHK'],
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
            '-sphere',
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
            '-curvstats',
        ],
    ),
)
"""Of each hemisphere: part, banner, and what is run: recon-all by its flags. Only in calls
for one hemisphere does it not look at recon-all's own lock."""

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
        [
            ('mri_surf2volseg', ('mri/wmparc.DKTatlas.mapped.mgz',)),
            ('recon_surf/fs_balabels.py', ()),
        ],
    ),
    (
        'done',
        '================= DONE =========================================================',
        [],
    ),
)


VALUED = ('--sid', '--sd', '--t1', '--asegdkt_segfile', '--threads', '--py')
SWITCHES = ('--parallel', '--3t', '--allow_root', '--ignore_fs_version')

ROOT = """\
You are trying to run '{0}' as root. We advice to avoid running FastSurfer as root, \

because it will lead to files and folders created as root.
If you are running FastSurfer in a docker container, you can specify the user with \

'-u $(id -u):$(id -g)' (see https://docs.docker.com/engine/reference/run/#user).
If you want to force running as root, you may pass --allow_root to recon-surf.sh."""


def main(name, home):
    given = parse()
    began = time.monotonic()
    print(f'\nsid {given["sid"]}\nT1  {given["t1"]}')  # noqa: T201
    print(f'asegdkt_segfile {given["asegdkt_segfile"]}\n', flush=True)  # noqa: T201
    costs = costs_of.Costs(name, int(given['threads']))
    why = refusal(given)
    if why:
        print(why, flush=True)  # noqa: T201
        code = 1
    else:
        os.environ.update(SUBJECTS_DIR=given['sd'], OMP_NUM_THREADS=given['threads'])
        os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = given['threads']
        code = Run(given, costs, home).whole()
    costs.close(code, time.monotonic() - began)
    os._exit(code)


def parse():
    """Read the arguments as the script does, which takes them in any case."""
    given = {flag.lstrip('-'): '' for flag in VALUED} | dict.fromkeys(SWITCHES, False)
    given['threads'] = '1'
    rest = sys.argv[1:]
    while rest:
        flag = rest.pop(0).lower()
        if flag in VALUED:
            given[flag.lstrip('-')] = rest.pop(0) if rest else ''
        elif flag in SWITCHES:
            given[flag] = True
        else:
            print(f'ERROR: Flag {flag} unrecognized.', flush=True)  # noqa: T201
            os._exit(1)
    return given


def refusal(given):
    """Why the real one does not begin, in its order."""
    home, subject = os.environ.get('FREESURFER_HOME'), f'{given["sd"]}/{given["sid"]}'
    if os.getuid() == 0 and not given['--allow_root']:
        return ROOT.format(sys.argv[0])
    if not home:
        return (
            f'Did not find $FREESURFER_HOME. A working version of FreeSurfer {SUPPORTED} is '
            'needed to run recon-surf locally.'
        )
    if SUPPORTED not in books.stamp(home) and not given['--ignore_fs_version']:
        return (
            'ERROR: You are trying to run recon-surf with FreeSurfer version '
            f'{books.stamp(home)}.\nWe are currently supporting only FreeSurfer {SUPPORTED}'
        )
    if not os.path.exists(given['t1']):
        return f'ERROR: T1 image ({given["t1"]}) could not be found.'
    if not given['sid']:
        return 'ERROR: must supply subject name via --sid'
    if not os.path.exists(given['asegdkt_segfile']):
        return f'ERROR: Segmentation ({given["asegdkt_segfile"]}) could not be found! '
    if len(subject) > LONGEST:
        return 'ERROR: subject directory path is very long.'
    begun = ('wm.mgz', 'aparc.DKTatlas+aseg.orig.mgz')
    if any(os.path.exists(f'{subject}/mri/{name}') for name in begun):
        return (
            'ERROR: running on top of an existing subject directory!\nThe output directory must '
            'not contain data from a previous invocation of recon-surf.'
        )
    return ''


class StepError(Exception):
    """A program failed."""


class Run:
    """One call, with its log."""

    def __init__(self, given, costs, home):
        self.given, self.costs, self.home = given, costs, home
        self.subject = f'{given["sd"]}/{given["sid"]}'
        self.log = f'{self.subject}/scripts/recon-surf.log'

    def whole(self):
        for folder in ('scripts', 'mri/transforms', 'mri/tmp', 'surf', 'label', 'stats'):
            os.makedirs(f'{self.subject}/{folder}', exist_ok=True)
        for name in ('log', 'done'):
            if os.path.exists(f'{self.subject}/scripts/recon-surf.{name}'):
                os.unlink(f'{self.subject}/scripts/recon-surf.{name}')
        began = books.date()
        books.append(self.log, 'Log file for recon-surf.sh\n')
        self.tell(f'{began}\n \nexport SUBJECTS_DIR={self.given["sd"]}\ncd {os.getcwd()}')
        self.tell(f'{shlex.join(sys.argv)}\n \n{books.stamp(os.environ["FREESURFER_HOME"])}')
        self.tell(f'$Id$\n{books.uname()}\n \n ')
        try:
            self.follow(VOLUME)
            self.hemispheres()
            self.follow(REST)
        except StepError:
            return 1
        self.end(began)
        return 0

    def end(self, began):
        """The record of the end, and what the log is read for when all is over."""
        ended = books.date()
        self.tell(f'Started at {began}\nEnded   at {ended}')
        self.tell('#@#%# recon-surf-run-time-hours  0.000')
        lines = [
            books.DASHES,
            f'SUBJECT {self.given["sid"]}',
            f'START_TIME {began}',
            f'END_TIME {ended}',
            'RUNTIME_HOURS  0.000',
            f'UNAME {books.uname()}',
            'VERSION $Id$',
            f'CMDPATH {sys.argv[0]}',
            f'CMDARGS {" ".join(sys.argv[1:])}',
        ]
        books.write(f'{self.subject}/scripts/recon-surf.done', lines)
        self.tell(f'recon-surf.sh {self.given["sid"]} finished without error at {books.date()}')
        times = (
            'recon_surf/utils/extract_recon_surf_time_info.py',
            ('scripts/recon-surf_times.yaml',),
        )
        self.program(times, '', {}, 1, last=True, log=os.devnull, part='recon-surf.done')

    def hemispheres(self):
        """Both in turn, or side by side; what is to be run is printed before it is."""
        side_by_side = self.given['--parallel']
        for h in ('lh', 'rh'):
            for _, banner, called in HEMI:
                self.say(f'echo " "\necho "{banner.format(h=h)}"\necho " "')
                for each in called:
                    words = self.words(each, h) if isinstance(each, str) else [each[0]]
                    self.say(f'echo {shlex.quote(" ".join(words))}')
                    self.say(f'{self.home}/recon_surf/fs_time {" ".join(words)}')
            if not side_by_side:
                self.tell(f' \n RUNNING {h} sequentially ... \n ')
                self.script(h)
        if side_by_side:
            self.tell('\n RUNNING HEMIs in PARALLEL !!! \n')
            self.both()

    def script(self, h):
        """All of one hemisphere, which the real one writes into a script and runs."""
        name = f'{self.subject}/scripts/{h}.processing.cmdf'
        self.tell(name)
        self.loaded('@#@FSLOADPRE', name, [name], '')
        began, wall, before = time.time(), time.monotonic(), os.times()
        code = 0
        try:
            self.follow(HEMI, h)
        except StepError:
            code = 1
        used = [a - b for a, b in zip(os.times(), before, strict=True)]
        self.timed([name], began, time.monotonic() - wall, used[2], used[3], code, '')
        if code:
            raise StepError

    def both(self):
        """Their logs are put behind the log when both have ended, and are never printed."""
        failed = []
        logs = {h: f'{self.subject}/scripts/{h}.processing.cmdf.log' for h in ('lh', 'rh')}

        def one(h, log):
            try:
                self.follow(HEMI, h, log)
            except StepError:
                failed.append(h)

        halves = [threading.Thread(target=one, args=each) for each in logs.items()]
        for half in halves:
            half.start()
        for half in halves:
            half.join()
        for log in logs.values():
            with open(log, encoding='utf-8') as file:
                books.append(self.log, file.read())
            os.unlink(log)
        if failed:
            raise StepError

    def follow(self, steps, h='', log=''):
        for part, banner, called in steps:
            own = f'recon-surf.{part}' + (f'_{h}' if h else '')
            if part == 'talairach' and self.has_talairach():
                continue
            self.tell(f' \n{banner.format(h=h)}\n ', log)
            said = {**self.costs.wanted(f'recon-surf.{part}'), **self.costs.wanted(own)}
            programs = [each for each in called if not isinstance(each, str)]
            for each in called:
                if isinstance(each, str):
                    self.recon_all(self.words(each, h), log)
                else:
                    last = each is programs[-1]
                    self.program(each, h, said, len(programs), last=last, log=log, part=own)

    def has_talairach(self):
        folder = f'{self.subject}/mri/transforms'
        names = ('talairach.lta', 'talairach_with_skull.lta')
        return all(os.path.exists(f'{folder}/{name}') for name in names)

    def words(self, flags, h):
        """A call of recon-all."""
        hemi = ['-hemi', h] if h else []
        lock = ['-no-isrunning'] if h else []
        threads = self.given['threads']
        many = ['-threads', threads, '-itkthreads', threads] if int(threads) > 1 else []
        return ['recon-all', '-subject', self.given['sid'], *hemi, *flags.split(), *lock, *many]

    def program(self, called, h, said, number, *, last, log, part):
        name, makes = called
        threads = min(said.get('threads', 1), int(self.given['threads']))
        task = {
            'cpu_seconds': said.get('cpu_seconds', 0.0) / number,
            'threads': threads,
            'makes': [f'{self.subject}/{path.format(h=h)}' for path in makes],
            **({key: said[key] for key in ('fails', 'hangs') if key in said} if last else {}),
        }
        environ = {**os.environ, 'FREESURFER_STAND_IN_TASK': json.dumps(task)}
        home = os.environ['FREESURFER_HOME']
        words = [f'{home}/bin/mri_convert', f'--of={name}']
        self.tell(name, log)
        used = self.time(name, words, environ, log)
        self.costs.parts[part] = self.costs.parts.get(part, 0.0) + used

    def recon_all(self, words, log):
        self.tell(' '.join(words), log)
        self.time('recon-all', words, os.environ, log)

    def time(self, name, words, environ, log):
        """Run a program, and say what it used as FastSurfer's own fs_time does."""
        began, wall = time.time(), time.monotonic()
        self.loaded('@#@FSLOADPRE', name, words, log)
        process = subprocess.Popen(
            words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in process.stdout:
            self.tell(line.rstrip('\n'), log)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - wall
        own = [name, *words[1:]]
        self.timed(
            own, began, seconds, used.ru_utime, used.ru_stime, process.returncode, log, used
        )
        if status:
            raise StepError
        return used.ru_stime + used.ru_utime

    def timed(self, words, began, wall, user, system, code, log, used=None):
        """The line of GNU time, and those around it."""
        if code > 0:
            self.tell(f'Command exited with non-zero status {code}', log)
        elif code < 0:
            self.tell(f'Command terminated by signal {-code}', log)
        line = books.FS_TIME.format(
            when=time.strftime('%Y:%m:%d:%H:%M:%S', time.localtime(began)),
            name=words[0],
            words=len(words) - 1,
            wall=f'{wall:.2f}',
            system=f'{system:.2f}',
            user=f'{user:.2f}',
            percent=f'{100 * (user + system) / max(wall, 0.01):.0f}%',
            r=used or resource.getrusage(resource.RUSAGE_CHILDREN),
            load='1.00 1.00 1.00',
        )
        self.tell(line, log)
        self.loaded('@#@FSLOADPOST', words[0], words, log)

    def loaded(self, mark, name, words, log):
        when = time.strftime('%Y:%m:%d:%H:%M:%S')
        self.tell(f'{mark} {when} {name} N {len(words) - 1} 1.00 1.00 1.00', log)

    def tell(self, text, log=''):
        """To standard output and the log; of hemispheres side by side, to a log of their own."""
        if not log or log == os.devnull:
            self.say(text)
        books.append(log or self.log, f'{text}\n')

    def say(self, text):
        sys.stdout.write(f'{text}\n')
        sys.stdout.flush()
