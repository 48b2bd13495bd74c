# ruff: noqa: PTH109, PTH110, PTH119
# Paths are text: to load pathlib takes as long as all the rest.
"""The books that recon-all keeps in a subject's ``scripts``."""

import os
import sys
import time
from contextlib import suppress

RULE = '#' + '-' * 44
DASHES = '-' * 30
FS_TIME = (
    '@#@FSTIME  {when} {name} N {words} e {wall} S {system} U {user} P {percent} M {r.ru_maxrss}'
    ' F {r.ru_majflt} R {r.ru_minflt} W {r.ru_nswap} c {r.ru_nivcsw} w {r.ru_nvcsw}'
    ' I {r.ru_inblock} O {r.ru_oublock} L {load}'
)


def date():
    """As ``date`` prints it, in the language of the C locale."""
    return time.strftime('%a %b %e %H:%M:%S %Z %Y')


def append(path, text):
    """One write, so that calls for both hemispheres may share a book."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o664)
    os.write(file, text.encode())
    os.close(file)


def say(text):
    sys.stdout.write(f'{text}\n')
    sys.stdout.flush()


class Books:
    """The log, the commands, and the status log.

    Parameters
    ----------
    folder : str
        The subject's ``scripts``.
    name : str
        Of the log; the others are named after it.
    modern : bool
        Whether it is version 7 or later.
    """

    def __init__(self, folder, name, modern):
        half = name.removeprefix('recon-all')
        self.folder, self.modern = folder, modern
        self.log = f'{folder}/{name}.log'
        self.commands = f'{folder}/{name}.cmd'
        self.status = f'{folder}/recon-all-status{half}.log'

    def tell(self, text, *books):
        """To the terminal, the log and these books."""
        say(text)
        for book in (self.log, *books):
            append(book, f'{text}\n')

    def begin(self, words, about, environment):
        """What is written before anything is done."""
        home, folder = environment['FREESURFER_HOME'], environment['SUBJECTS_DIR']
        subject = os.path.dirname(self.folder)
        append(self.commands, f'\n\n\n{RULE[:34]}\n# New invocation of recon-all {date()} \n')
        self._write_environment(words, environment)
        mark = '#New# ' if self.modern else 'New '
        if os.path.exists(self.log):
            append(self.log, f'\n\n\n{mark}invocation of recon-all \n\n\n\n')
        head = [
            date(),
            f'cd {subject}' if self.modern else subject,
            *([f'setenv SUBJECTS_DIR {folder}'] if self.modern else []),
            ' '.join([sys.argv[0], *words])
            if self.modern
            else f'{sys.argv[0]}\n{" ".join(words)}',
            f'subjid {os.path.basename(subject)}',
            f'setenv SUBJECTS_DIR {folder}',
            f'FREESURFER_HOME {home}',
            f'Actual FREESURFER_HOME {os.path.realpath(home)}',
            f'build-stamp.txt: {stamp(home)}',
            uname(),
            f'\n{"#" * 40}\nprogram versions used\n{about["recon"]}\n',
            *(['#' * 39, f'GCADIR {home}/average', '#' * 39] if self.modern else []),
        ]
        if self.modern:
            head.insert(0, '')
        append(self.log, '\n'.join(head) + '\n')
        say(uname())

    def _write_environment(self, words, environment):
        file = f'{self.folder}/recon-all.env'
        with suppress(FileNotFoundError):  # the first call, or two at once
            os.replace(file, f'{file}.bak')
        home, folder = environment['FREESURFER_HOME'], environment['SUBJECTS_DIR']
        lines = [
            date(),
            f'FREESURFER_HOME {home}',
            f'Actual FREESURFER_HOME {os.path.realpath(home)}',
            os.path.dirname(self.folder),
            f'setenv SUBJECTS_DIR {folder}',
            ' '.join(words),
            uname(),
            '',
            *(f'{name}={value}' for name, value in environment.items()),
        ]
        append(file, '\n'.join(lines) + '\n')

    def begin_status(self):
        """Only once nobody else is found to run."""
        if os.path.exists(self.status):
            mark = '#New# ' if self.modern else 'New '
            append(self.status, f'\n\n\n{mark}invocation of recon-all \n\n\n\n')
        append(self.status, f'status file for recon-all\n{date()}\n')

    def mark(self, title, *, ruled, in_status):
        """Say that a part begins."""
        if ruled:
            self.tell(RULE, self.commands)
        books = (self.status,) if in_status else ()
        self.tell(f'#@# {title} {date()}', self.commands, *books)

    def command(self, text):
        self.tell(f'\n {text} \n', self.commands)

    def time(self, words, began, wall, used):
        """What ``fs_time`` says of a program, in its form: cut, not rounded.

        Parameters
        ----------
        words : list of str
        began : float
            Seconds since the epoch.
        wall : float
        used : resource.struct_rusage
        """
        busy = used.ru_stime + used.ru_utime
        line = FS_TIME.format(
            when=_stamp(began),
            name=words[0],
            words=len(words) - 1,
            wall=_cut(wall),
            system=_cut(used.ru_stime),
            user=_cut(used.ru_utime),
            percent=f'{int(100 * busy / wall)}%',
            r=used,
            load=_load(),
        )
        after = f'@#@FSLOADPOST {_stamp(time.time())} {words[0]} N {len(words) - 1} {_load()}'
        self.tell(f'{line}\n{after}')

    def done(self, call, about, began, ended, hours):
        """The file that says that all went well."""
        lines = [
            DASHES,
            f'SUBJECT {call.subject}',
            f'START_TIME {began}',
            f'END_TIME {ended}',
            f'RUNTIME_HOURS {hours}',
            *_machine(),
            f'UNAME {uname()}',
            f'VERSION {about["recon"]}',
            f'CMDPATH {sys.argv[0]}',
            f'CMDARGS {" ".join(call.words)}',
        ]
        write(f'{self.folder}/recon-all.done', lines)

    def failed(self, call, about, command):
        lines = [
            DASHES,
            f'SUBJECT {call.subject}',
            f'DATE {date()}',
            *_machine(),
            uname(),
            about['recon'],
            sys.argv[0],
            f'PWD {os.getcwd()}',
            f'CMD {command}',
        ]
        write(f'{self.folder}/recon-all.error', lines)
        write(f'{self.folder}/recon-all.done', ['1'])


class Lock:
    """``IsRunning.lh``, ``.rh`` or ``.lh+rh``.

    Parameters
    ----------
    folder : str
    call : arguments.Call
    """

    def __init__(self, folder, call):
        self.call = call
        self.folder = folder
        self.file = f'{folder}/IsRunning.{"+".join(call.hemis)}'

    def found(self):
        """That of another call that is in our way, or nothing."""
        others = ('lh+rh',) if len(self.call.hemis) == 1 else ('lh', 'rh')
        files = [self.file, *(f'{self.folder}/IsRunning.{name}' for name in reversed(others))]
        return next((file for file in files if os.path.exists(file)), None)

    def take(self, about):
        lines = [
            DASHES,
            f'SUBJECT {self.call.subject}',
            f'HEMI    {" ".join(self.call.hemis)}',
            f'DATE {date()}',
            *_machine()[:2],
            f'PROCESSID {os.getpid()} ',
            *_machine()[2:],
            uname(),
            about['recon'],
        ]
        write(self.file, lines)

    def release(self):
        with suppress(FileNotFoundError):  # somebody thought that we had died
            os.unlink(self.file)


def write(path, lines):
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')


def stamp(home):
    with open(f'{home}/build-stamp.txt', encoding='utf-8') as file:
        return file.read().strip()


def uname():
    system = os.uname()
    name, node, release, version, machine = system
    return f'{name} {node} {release} {version} {machine} {machine} {machine} GNU/Linux'


def _machine():
    user = os.environ.get('USER') or os.environ.get('LOGNAME') or str(os.getuid())
    system = os.uname()
    return [
        f'USER {user}',
        f'HOST {system.nodename}',
        f'PROCESSOR {system.machine}',
        f'OS {system.sysname}',
    ]


def _stamp(seconds):
    return time.strftime('%Y:%m:%d:%H:%M:%S', time.localtime(seconds))


def _cut(seconds):
    return f'{int(seconds * 100) / 100:.2f}'


def _load():
    return ' '.join(f'{load:.2f}' for load in os.getloadavg())
