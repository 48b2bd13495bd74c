# ruff: noqa: PTH110, PTH113, PTH119
# Paths are text: to load pathlib takes as long as all the rest.
"""Any program of the stand-in but recon-all: reads, burns what it was told to, writes."""

import json
import os
import signal
import sys
import time
import zlib

BLOCK = bytes(1 << 18)
"""Large enough that zlib lets other threads run; a quarter of a millisecond of work."""

RULE = '-' * 74

NO_HOME = (
    f'{RULE}\n'
    'ERROR: FreeSurfer environment FREESURFER_HOME is not defined.\n'
    '  If you are outside the NMR-Martinos Center, please set this\n'
    '  variable to the location where you installed FreeSurfer.\n'
    '  If you are inside the NMR-Martinos Center, please source\n'
    '  the standard environment. If you need to install FreeSurfer,\n'
    '  go to: http://surfer.nmr.mgh.harvard.edu\n'
    f'{RULE}\n'
)
NO_LICENCE = (
    f'{RULE}\n'
    'ERROR: FreeSurfer license file {} not found.\n'
    '  If you are outside the NMR-Martinos Center,\n'
    '  go to http://surfer.nmr.mgh.harvard.edu/registration.html to \n'
    "  get a valid license file (it's free).\n"
    '  If you are inside the NMR-Martinos Center,\n'
    '  make sure to source the standard environment.\n'
    '  A path to an alternative license file can also be\n'
    '  specified with the FS_LICENSE environmental variable.\n'
    f'{RULE}\n'
)


def main():
    """Run, and end without the interpreter's own tidying, which would cost CPU time."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = os.path.basename(sys.argv[0])
    task = json.loads(os.environ.get('FREESURFER_STAND_IN_TASK', '{}'))
    say(' '.join([name, *sys.argv[1:]]))
    check_licence()
    for path in task.get('needs', ()):
        check_input(path)
    memory = touch_memory(task.get('memory_mb', 0))
    outputs = [(path, content(name, path)) for path in task.get('makes', ())]
    for path, data in outputs:
        say(f'writing to {path}...')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(path, data[: len(data) // 2], os.O_CREAT | os.O_TRUNC)
    burn(task.get('cpu_seconds', 0.0) / 2, task.get('threads', 1))
    befall(task)
    burn(task.get('cpu_seconds', 0.0), task.get('threads', 1))
    for path, data in outputs:
        write(path, data[len(data) // 2 :], os.O_APPEND)
    del memory
    os._exit(0)


def write(path, data, how):
    file = os.open(path, os.O_WRONLY | how, 0o664)
    os.write(file, data)
    os.close(file)


def say(text):
    os.write(1, f'{text}\n'.encode())


def check_licence():
    """What the real ones do before they read a volume or a surface."""
    home = os.environ.get('FREESURFER_HOME')
    if not home:
        leave(NO_HOME, 255)
    named = os.environ.get('FS_LICENSE')
    places = [named] if named else [f'{home}/license.txt', f'{home}/.license']
    if not any(os.path.isfile(place) for place in places):
        leave(NO_LICENCE.format(places[0]), 255)


def check_input(path):
    if not os.path.exists(path):
        leave(
            f'{reader(path)}({path}): could not open file\n'
            f'No such file or directory\nERROR: could not read {path}\n',
            1,
        )


def reader(path):
    """The function that would have read it, as errors name it."""
    return 'MRISread' if '/surf/' in path else 'MRIread'


def leave(text, code):
    os.write(2, text.encode())
    os._exit(code)


def touch_memory(megabytes):
    """Memory that is there: pages which were only asked for would not count."""
    block = bytearray(int(megabytes) << 20)
    block[::4096] = bytes([1]) * len(block[::4096])
    return block


def content(name, path):
    """A few bytes; half of them are no valid gzip."""
    text = f'# {os.path.basename(path)}, written by the stand-in of {name}\n'.encode()
    if not path.endswith(('.mgz', '.m3z')):
        return text
    packer = zlib.compressobj(wbits=31)
    return packer.compress(text) + packer.flush()


def burn(until, threads):
    """Use the processors until the process has had so many CPU seconds since it began."""
    if time.process_time() >= until:
        return
    if threads > 1:
        import threading

        others = [threading.Thread(target=spin, args=(until,)) for _ in range(threads - 1)]
        for other in others:
            other.start()
        spin(until)
        for other in others:
            other.join()
    else:
        spin(until)


def spin(until):
    while time.process_time() < until:
        zlib.crc32(BLOCK)


def befall(task):
    """What was to go wrong."""
    if 'fails' in task:
        leave('ERROR: the stand-in was told to fail\n', task['fails'])
    if 'dies' in task:
        os.kill(os.getpid(), task['dies'])
    if isinstance(task.get('hangs'), str):
        write(task['hangs'], b'', os.O_CREAT)
    while task.get('hangs'):
        signal.pause()
