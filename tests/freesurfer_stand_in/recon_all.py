# ruff: noqa: PTH109, PTH110, PTH119, PTH211
# Paths are text: to load pathlib takes as long as all the rest.
"""recon-all of the stand-in: asks ``plan`` what to do, does it, and keeps ``books``."""

import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress

import program
from arguments import Call, CallError, parse
from books import Books, Lock, append, date, say, stamp, uname
from plan import NOT_IN_STATUS, UNRULED, steps

FOLDERS = ('mri/transforms/bak', 'mri/orig', 'scripts', 'surf', 'tmp', 'label', 'touch', 'stats')
BUG_REPORT = 'To report a problem, see http://surfer.nmr.mgh.harvard.edu/fswiki/BugReporting'

CLEANED = (
    *('mri/transforms/talairach.xfm', 'mri/orig_nu.mgz', 'mri/transforms/talairach.lta'),
    *('mri/brainmask.mgz', 'mri/aseg.mgz', 'mri/aseg.presurf.mgz', 'mri/aseg.manedit.mgz'),
    *('mri/wm.mgz', 'mri/wm.seg.mgz', 'mri/filled.mgz', 'tmp/control.dat'),
    'scripts/expert-options',
)
"""What -clean throws into the subject's trash."""

ITK = ('mri_nu_correct.mni', 'AntsDenoiseImageFs')
"""Programs that take -itkthreads for -threads."""

NO_RUNS = (
    'ERROR: no run data found in {0}/mri. Make sure to\n'
    'have a volume called 001.mgz in  {0}/mri/orig.\n'
    'If you have a second run of data call it 002.mgz, etc.\n'
    'See also: http://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/Conversion'
)
EXISTS = (
    'ERROR: You are trying to re-run an existing subject with (possibly)\n'
    ' new input data (-i). If this is truly new input data, you should delete\n'
    ' the subject folder and re-run, or specify a different subject name.\n'
    ' If you are just continuing an analysis of an existing subject, then \n'
    ' omit all -i flags.'
)
NOTHING = (
    'ERROR: nothing to do. You must specify an operation to perform by adding\n'
    'flags. Eg, -all, -autorecon1, -autorecon2, -autorecon3, etc.'
)
EXPERT_EXISTS = (
    'ERROR: there is a pre-existing expert options file and\n'
    'you have specified an expert options file on the command-line.\n'
    'If you want to use the file specified on the command-line,\n'
    'you must run with -xopts-overwrite, or you may edit the \n'
    'existing file {} (and not use the -expert option).'
)
RUNNING = (
    '\nERROR: it appears that recon-all is already running\n'
    'for {subject} based on the presence of {file}. It could\n'
    'also be that recon-all was running at one point but\n'
    'died in an unexpected way. If it is the case that there\n'
    'is a process running, you can kill it and start over or\n'
    'just let it run. If the process has died, you should type:\n\n'
    ' rm {file}\n\n'
    'and re-run. Or you can add -no-isrunning to the recon-all\n'
    'command-line. The contents of this file are:\n'
    '----------------------------------------------------------\n'
    '{content}'
    '----------------------------------------------------------'
)


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
        raise CallError(
            'ERROR: environment variable SUBJECTS_DIR not set\n'
            '  this can be done by setting it in the shell before\n'
            '  executing recon-all or by using the -sd flag'
        )
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


class Account:
    """What a stage, or a call, has used since it began."""

    def __init__(self, **names):
        self.names = names
        self.wall = self.cpu = self.programs = 0.0
        self.threads = 1

    def add(self, began, programs, threads):
        wall, cpu = began
        self.wall += time.monotonic() - wall
        self.cpu += tree_seconds() - cpu
        self.programs += programs
        self.threads = max(self.threads, threads)

    def write(self, folder, code):
        values = {
            **self.names,
            'pid': os.getpid(),
            'cpu_seconds': self.cpu,
            'programs_cpu_seconds': self.programs,
            'wall': self.wall,
            'threads': self.threads,
            'code': code,
        }
        append(f'{folder}/truth.jsonl', json.dumps(values) + '\n')


def now():
    return time.monotonic(), tree_seconds()


def tree_seconds():
    """CPU seconds of this process and of all children that have ended."""
    return time.process_time() + seconds(resource.getrusage(resource.RUSAGE_CHILDREN))


def seconds(used):
    return used.ru_utime + used.ru_stime


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
        self.work = json.loads(os.environ.get('FREESURFER_STAND_IN', '{}'))
        self.measures = call.times or about['major'] >= 7
        self.command = ''
        self.programs_seconds = 0.0
        self.threads = 1
        os.environ['OMP_NUM_THREADS'] = os.environ['FS_OMP_NUM_THREADS'] = call.threads
        os.environ['ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS'] = call.itk_threads

    def run(self):
        """All of it.

        Returns
        -------
        int
            Exit code.
        """
        began, seconds_began = date(), time.time()
        self.prepare()
        if not self.begin():
            return 1
        whole = Account(kind='call', keys=[])
        code = 0
        try:
            self.clean()
            self.follow(steps(self.call, self.about, self.subject), whole.names['keys'])
        except StepError:
            code = 1
        if code:
            self.end_badly()
        else:
            self.end(began, f'{(time.time() - seconds_began) / 3600:.3f}')
        if 'truth' in self.work:
            whole.wall = time.time() - seconds_began
            whole.cpu, whole.programs = tree_seconds(), self.programs_seconds
            whole.threads = self.threads
            whole.write(self.work['truth'], code)
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

    def follow(self, plan, keys):
        """Take all steps; the last of a stage closes its account."""
        accounts = {step.owner: Account(kind='stage', key=step.owner) for step in plan}
        last = {step.owner: number for number, step in enumerate(plan)}
        self.shares = dict.fromkeys(accounts, 0)
        for step in plan:
            self.shares[step.owner] += len(step.programs)
        self.left = dict(self.shares)
        for number, step in enumerate(plan):
            if not all(os.path.exists(self.path(path)) for path in step.unless):
                self.left[step.owner] -= len(step.programs)
                continue
            if step.owner not in keys:
                keys.append(step.owner)
            account, began, before = accounts[step.owner], now(), self.programs_seconds
            code = 1
            try:
                self.take(step)
                code = 0
            finally:
                threads = self.threads_of(step)
                account.add(began, self.programs_seconds - before, threads)
                self.threads = max(self.threads, threads)
                if 'truth' in self.work and (code or last[step.owner] == number):
                    account.write(self.work['truth'], code)

    def take(self, step):
        """One step: its marker, its programs if they are needed, and what tells that it is through."""
        if step.marker:
            name = step.marker.removesuffix(' lh').removesuffix(' rh')
            self.books.mark(
                step.marker, ruled=name not in UNRULED, in_status=name not in NOT_IN_STATUS
            )
        if (
            step.owner == 'motioncor'
            and self.call.runs
            and not os.path.exists(self.path('mri/orig/001.mgz'))
        ):
            self.books.tell(NO_RUNS.format(self.subject))
            raise StepError
        for source, target in step.copies:
            self.copy_aloud(source, target)
        fresh = step.update is not None and not self.call.forces and self.fresh(step)
        for number, (name, makes) in enumerate(step.programs):
            self.left[step.owner] -= 1
            self.announce(step, name, makes)
            if fresh:
                self.books.tell('   Update not needed', self.books.commands)
            elif self.call.runs:
                self.execute(step, name, makes, step.needs if number == 0 else ())
        if self.call.runs and not fresh:
            self.finish(step)

    def finish(self, step):
        for target, link in step.links:
            self.remove(link)
            os.symlink(target, self.path(link))
        if step.touch:
            with open(f'{self.subject}/touch/{step.touch}.touch', 'w', encoding='utf-8') as file:
                file.write(f'{self.command}\n')

    def fresh(self, step):
        """Whether all that the step makes is there, and nothing that it is made from is newer."""
        made = [path for _, makes in step.programs for path in makes]
        if not all(os.path.exists(self.path(path)) for path in made):
            return False
        sources = [path for path in step.update if os.path.exists(self.path(path))]
        oldest = min(os.stat(self.path(path)).st_mtime_ns for path in made)
        return all(os.stat(self.path(path)).st_mtime_ns <= oldest for path in sources)

    def announce(self, step, name, makes):
        """Print a command: those that depend on ages as plain lines, others between empty ones."""
        inputs = [os.path.relpath(self.path(path)) for path in step.needs[:3]]
        words = [*self.call.options.get(name, ()), *inputs, *map(self.relative, makes)]
        if step.threaded:
            words = ['--threads', self.call.threads, *words]
        self.command = ' '.join([name, *words])
        if step.update is None:
            self.books.tell(os.getcwd())
            self.books.command(self.command)
        else:
            self.books.tell(f'cd {os.getcwd()}\n{self.command}', self.books.commands)

    def execute(self, step, name, makes, needs):
        """Run a program below us, what it prints going through ``tee`` into the log."""
        task = {
            **self.task(step, name),
            'needs': [self.path(path) for path in needs],
            'makes': [self.path(path) for path in makes],
        }
        environment = {**os.environ, 'FREESURFER_STAND_IN_TASK': json.dumps(task)}
        words = self.command.split()
        source, sink = os.pipe()
        began, wall = time.time(), time.monotonic()
        tee = os.posix_spawnp(
            'tee',
            ['tee', '-a', self.books.log],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, source, 0)],
        )
        worker = os.posix_spawn(
            f'{self.home}/bin/{name}',
            words,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_DUP2, sink, 2)],
        )
        os.close(source)
        os.close(sink)
        _, status, used = os.wait4(worker, 0)
        wall = time.monotonic() - wall
        os.waitpid(tee, 0)
        self.programs_seconds += seconds(used)
        if self.measures:
            self.books.time(words, began, wall, used)
        if status:
            raise StepError

    def task(self, step, name):
        """Its share of what its stage shall cost, and what befalls its last program."""
        stages = self.work.get('stages', {})
        stem = step.owner.removesuffix('_lh').removesuffix('_rh')
        default = {} if stem == 'maps' else self.work.get('default', {})
        said = {**default, **stages.get(stem, {}), **stages.get(step.owner, {})}
        task = {
            'cpu_seconds': said.get('cpu_seconds', 0.0) / self.shares[step.owner],
            'threads': self.allowed(said, step, name),
            'memory_mb': said.get('memory_mb', 0),
        }
        if not self.left[step.owner]:
            task |= {key: said[key] for key in ('fails', 'dies', 'hangs') if key in said}
        return task

    def allowed(self, said, step, name):
        """Threads: those that it shall have, as far as it may."""
        most = int(self.call.itk_threads if name in ITK else self.call.threads)
        return min(said.get('threads', most if step.threaded else 1), most)

    def threads_of(self, step):
        return max((self.task(step, name)['threads'] for name, _ in step.programs), default=1)

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
        self.books.failed(self.call, self.about, self.command)

    def path(self, path):
        return os.path.join(self.subject, path)

    def relative(self, path):
        return os.path.relpath(self.path(path))

    def remove(self, path):
        with suppress(FileNotFoundError):  # the other hemisphere's call may be faster
            os.unlink(self.path(path))

    def copy(self, source, target):
        with open(self.path(source), 'rb') as given, open(self.path(target), 'wb') as own:
            own.write(given.read())

    def copy_aloud(self, source, target):
        """As ``cp`` would."""
        source, target = self.path(source), self.path(target)
        self.command = f'cp {source} {target}'
        self.books.command(self.command)
        if self.call.runs:
            if not os.path.exists(source):
                self.books.tell(f"cp: cannot stat '{source}': No such file or directory")
                raise StepError
            self.copy(source, target)
