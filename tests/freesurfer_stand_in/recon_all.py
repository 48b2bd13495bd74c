# ruff: noqa: PTH109, PTH110, PTH119, PTH211
# Paths are text: to load pathlib takes as long as all the rest.
"""recon-all of the stand-in: asks ``plan`` what to do, does it, and keeps ``books``."""

import json
import os
import signal
import sys
import time
from contextlib import suppress

import program
from arguments import Call, CallError, parse
from books import Books, Lock, date, say, stamp, uname
from costs import Costs
from plan import NOT_IN_STATUS, UNRULED, steps
from texts import BUG_REPORT, EXISTS, EXPERT_EXISTS, NO_RUNS, NO_SUBJECTS, NOTHING, RUNNING

FOLDERS = ('mri/transforms/bak', 'mri/orig', 'scripts', 'surf', 'tmp', 'label', 'touch', 'stats')

CLEANED = (
    *('mri/transforms/talairach.xfm', 'mri/orig_nu.mgz', 'mri/transforms/talairach.lta'),
    *('mri/brainmask.mgz', 'mri/aseg.mgz', 'mri/aseg.presurf.mgz', 'mri/aseg.manedit.mgz'),
    *('mri/wm.mgz', 'mri/wm.seg.mgz', 'mri/filled.mgz', 'tmp/control.dat'),
    'scripts/expert-options',
)
"""What -clean throws into the subject's trash."""


class StepError(Exception):
    """A step went wrong: the command that did."""


def main():
    """Do what was asked, and leave with the exit code of the real one."""
    # As a shell does, and not as Python: die at once, and quietly.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    words = sys.argv[1:]
    home = os.environ.get('FREESURFER_HOME')
    if not home:
        leave('FREESURFER_HOME: Undefined variable.', 1)
    if not words or any('-help' in word for word in words):
        leave('\nUSAGE: recon-all\n\n Required Arguments:\n   -subjid <subjid>', 1)
    if any('-version' in word for word in words):
        leave(stamp(home), 0)
    with open(f'{home}/stand_in.json', encoding='utf-8') as file:
        about = json.load(file)
    call = Call(words)
    try:
        parse(call, about['stages'])
        subject = check(call, about)
    except CallError as error:
        late = f'\n{uname()}\n\n{ended_badly(call)}\n\n{BUG_REPORT}\n' if error.late else ''
        leave(f'{error}{late}', 1)
    sys.exit(Session(call, about, subject).run())


def leave(text, code):
    say(text)
    sys.exit(code)


def ended_badly(call):
    return f'recon-all -s {call.subject} exited with ERRORS at {date()}'


def check(call, about):
    """What recon-all refuses before it writes anything.

    Returns
    -------
    str
        The subject's folder.
    """
    if {'T2pial', 'FLAIRpial'} <= call.chosen:
        raise CallError('Cannot specify both T2 and FLAIR for pial correction.', late=True)
    if not call.subject:
        raise CallError('ERROR: must specify a subject id')
    if not call.folder:
        raise CallError(NO_SUBJECTS)
    if not os.path.exists(call.folder):
        raise CallError(f'ERROR: SUBJECTS_DIR {call.folder} does not exist.')
    call.folder = os.environ['SUBJECTS_DIR'] = os.path.realpath(call.folder)
    subject = f'{call.folder}/{call.subject}'
    if call.inputs and os.path.exists(subject):
        raise CallError(EXISTS)
    if not call.inputs and not os.path.exists(subject):
        raise CallError(f'ERROR: cannot find {subject}')
    os.makedirs(f'{subject}/scripts', exist_ok=True)
    if about['major'] >= 7:
        say(f'fs-check-version --s {call.subject} --o /tmp/checkfile')
    settle_expert(call, f'{subject}/scripts/expert-options')
    if not call.chosen and not call.cleans:
        raise CallError(NOTHING)
    return subject


def settle_expert(call, kept):
    """Expert options stay with the subject."""
    there = os.path.exists(kept)
    if there and call.expert and not call.overwrite:
        raise CallError(EXPERT_EXISTS.format(call.expert))
    if there and not call.expert and call.forget:
        os.unlink(kept)
    if call.expert:
        with (
            open(call.expert, encoding='utf-8') as given,
            open(kept, 'w', encoding='utf-8') as own,
        ):
            own.write(given.read())
    call.options = {}
    if os.path.exists(kept):
        with open(kept, encoding='utf-8') as file:
            lines = [line.split() for line in file if line.strip() and line[0] != '#']
        call.options = {name: words for name, *words in lines}


class Session:
    """One call of recon-all that was not refused.

    Parameters
    ----------
    call : arguments.Call
    about : dict
        The installation.
    subject : str
        The subject's folder.
    """

    def __init__(self, call, about, subject):
        self.call, self.about, self.subject = call, about, subject
        self.home = os.environ['FREESURFER_HOME']
        self.books = Books(f'{subject}/scripts', call.books, about['major'] >= 7)
        self.lock = Lock(f'{subject}/scripts', call)
        self.costs = Costs(json.loads(os.environ.get('FREESURFER_STAND_IN', '{}')), call)
        self.measures = call.times or about['major'] >= 7
        self.words = []
        os.environ['OMP_NUM_THREADS'] = os.environ['FS_OMP_NUM_THREADS'] = call.threads
        os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = call.itk_threads

    def run(self):
        """All of it.

        Returns
        -------
        int
            Exit code.
        """
        began, seconds = date(), time.time()
        self.prepare()
        if not self.begin():
            return 1
        code = 0
        try:
            self.clean()
            self.follow(steps(self.call, self.about, self.subject))
        except StepError:
            code = 1
        if code:
            self.end_badly()
        else:
            self.end(began, f'{(time.time() - seconds) / 3600:.3f}')
        self.costs.close(code)
        sys.stdout.flush()
        os._exit(code)  # what the interpreter tidies up would be missing from the truth

    def prepare(self):
        """Folders, and the opening of every log."""
        say(f'INFO: SUBJECTS_DIR is {self.call.folder}')
        say(f'Actual FREESURFER_HOME {os.path.realpath(self.home)}')
        for folder in (*FOLDERS, 'trash'):
            os.makedirs(f'{self.subject}/{folder}', exist_ok=True)
        os.chdir(f'{self.subject}/mri')
        for name in ('build-stamp.txt', 'lastcall.build-stamp.txt'):
            self.copy(f'{self.home}/build-stamp.txt', f'scripts/{name}')
        self.books.begin(self.call.words, self.about, os.environ)
        time.sleep(self.about['startup_seconds'])
        if self.about['startup_cpu_seconds']:
            program.burn(self.about['startup_cpu_seconds'], 1)

    def begin(self):
        """Whether nobody else works on the subject, which is ours from then on."""
        for name in ('error', 'done'):
            self.remove(f'scripts/recon-all.{name}')
        if self.call.locks:
            file = self.lock.found()
            if file:
                with open(file, encoding='utf-8') as other:
                    content = other.read()
                say(RUNNING.format(subject=self.call.subject, file=file, content=content))
                return False
            self.lock.take(self.about)
        self.books.begin_status()
        self.copy(sys.argv[0], 'scripts/recon-all.local-copy')
        return True

    def clean(self):
        for path in CLEANED if self.call.cleans else ():
            self.books.command(f'mv -f {self.subject}/{path} {self.subject}/trash')
            if self.call.runs and os.path.exists(self.path(path)):
                os.replace(self.path(path), f'{self.subject}/trash/{os.path.basename(path)}')

    def follow(self, plan):
        """Take all steps but those of files that are not there."""
        self.costs.share_out(plan)
        for step in plan:
            if all(os.path.exists(self.path(path)) for path in step.unless):
                with self.costs.of(step):
                    self.take(step)
            else:
                self.costs.pass_over(step)

    def take(self, step):
        """One step: its marker, its programs if they are needed, its touch file."""
        if step.marker:
            name = step.marker.removesuffix(' lh').removesuffix(' rh')
            ruled, in_status = name not in UNRULED, name not in NOT_IN_STATUS
            self.books.mark(step.marker, ruled=ruled, in_status=in_status)
        if step.owner == 'motioncor':
            self.look_for_runs()
        fresh = step.update is not None and not self.call.forces and self.fresh(step)
        for source, target in step.copies if not fresh else ():
            self.copy_aloud(source, target)
        for number, (name, makes) in enumerate(step.programs):
            task = self.costs.task(step, name)
            self.announce(step, name, makes)
            if fresh:
                self.books.tell('   Update not needed', self.books.commands)
            elif self.call.runs:
                task['needs'] = [self.path(path) for path in step.needs if number == 0]
                task['makes'] = [self.path(path) for path in makes]
                self.execute(task)
        if self.call.runs and not fresh:
            self.finish(step)

    def look_for_runs(self):
        if self.call.runs and not os.path.exists(self.path('mri/orig/001.mgz')):
            self.books.tell(NO_RUNS.format(self.subject))
            raise StepError

    def finish(self, step):
        for target, link in step.links:
            self.remove(link)
            os.symlink(target, self.path(link))
        if step.touch:
            with open(f'{self.subject}/touch/{step.touch}.touch', 'w', encoding='utf-8') as file:
                file.write(f'{" ".join(self.words)}\n')

    def fresh(self, step):
        """Whether all that the step makes is there, and nothing that it is made from is newer."""
        made = [path for _, makes in step.programs for path in makes]
        made += [target for _, target in step.copies]
        if not all(os.path.exists(self.path(path)) for path in made):
            return False
        sources = [path for path in step.update if os.path.exists(self.path(path))]
        oldest = min(os.stat(self.path(path)).st_mtime_ns for path in made)
        return all(os.stat(self.path(path)).st_mtime_ns <= oldest for path in sources)

    def announce(self, step, name, makes):
        """Print a command: those that depend on ages as plain lines, others between empty ones."""
        threads = ('--threads', self.call.threads) if step.threaded else ()
        files = [os.path.relpath(self.path(path)) for path in (*step.needs[:3], *makes)]
        self.words = [name, *threads, *self.call.options.get(name, ()), *files]
        command = ' '.join(self.words)
        if step.update is None:
            self.books.tell(os.getcwd())
            self.books.command(command)
        else:
            self.books.tell(f'cd {os.getcwd()}\n{command}', self.books.commands)

    def execute(self, task):
        """Run a program below us, what it prints going through ``tee`` into the log."""
        source, sink = os.pipe()
        to_tee = [(os.POSIX_SPAWN_DUP2, source, 0)]
        to_us = [(os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_DUP2, sink, 2)]
        environment = {**os.environ, 'FREESURFER_STAND_IN_TASK': json.dumps(task)}
        program = f'{self.home}/bin/{self.words[0]}'
        tee = ['tee', '-a', self.books.log]
        began, wall = time.time(), time.monotonic()
        tee = os.posix_spawnp('tee', tee, os.environ, file_actions=to_tee)
        worker = os.posix_spawn(program, self.words, environment, file_actions=to_us)
        os.close(source)
        os.close(sink)
        _, status, used = os.wait4(worker, 0)
        wall = time.monotonic() - wall
        os.waitpid(tee, 0)
        self.costs.ran(used)
        if self.measures:
            self.books.time(self.words, began, wall, used)
        if status:
            raise StepError

    def end(self, began, hours):
        """The last lines, and recon-all.done."""
        ended = date()
        self.books.tell('')
        self.books.tell(f'Started at {began} ')
        self.books.tell(f'Ended   at {ended}')
        self.books.tell(f'#@#%# recon-all-run-time-hours {hours}')
        if self.call.locks:
            self.lock.release()
        self.books.done(self.call, self.about, began, ended, hours)
        self.books.tell(
            f'recon-all -s {self.call.subject} finished without error at {date()}',
            self.books.status,
        )
        say('done')

    def end_badly(self):
        """What the real one's error exit does."""
        status = self.books.status
        self.books.tell(uname(), status)
        self.books.tell(f'\n{ended_badly(self.call)}\n', status)
        say(f'For more details, see the log file {self.books.log}')
        self.books.tell(BUG_REPORT)
        say('')
        if self.call.locks:
            self.lock.release()
        self.books.failed(self.call, self.about, ' '.join(self.words))

    def path(self, path):
        return os.path.join(self.subject, path)

    def remove(self, path):
        with suppress(FileNotFoundError):  # the other hemisphere's call may be faster
            os.unlink(self.path(path))

    def copy(self, source, target):
        with open(self.path(source), 'rb') as given, open(self.path(target), 'wb') as own:
            own.write(given.read())

    def copy_aloud(self, source, target):
        """As ``cp`` would."""
        source, target = self.path(source), self.path(target)
        self.words = ['cp', source, target]
        self.books.command(' '.join(self.words))
        if self.call.runs:
            if not os.path.exists(source):
                self.books.tell(f"cp: cannot stat '{source}': No such file or directory")
                raise StepError
            self.copy(source, target)
