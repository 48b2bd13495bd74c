"""Entries of one host for tests of sharing: by hand, and any that clocks can show."""

from __future__ import annotations

from hypothesis import strategies as st
from values import replace

from nicarbon.entry import Entry, Reading, Use, Window

GPU = Reading('gpu:GPU-1', None, 50.0, 'nvml:energy', 'measured', 'host', 1.05)
DRAM = Reading('dram', None, 1.0, 'rapl', 'measured', 'host', 1.1)
REST = Reading('rest', None, 3.0, 'model', 'assumed', 'host', 2.0)
CPU = Reading('cpu', None, 2.0, 'model:tdp-linear', 'modelled', 'host', 2.0)


def entry(kind: str, windows: list[Window], cores: float = 1.0, number: int = 1) -> Entry:
    return Entry(
        entry_id=f'h-1-1-{kind}{number}',
        kind=kind,
        run_id='r',
        subject=f'{number}',
        session='',
        stage='s',
        node=f'n{number}',
        interface='I',
        host='h',
        boot_id='b',
        pid=1,
        started='',
        seconds=sum(w.seconds for w in windows),
        cpu_seconds=sum(w.cpu_seconds for w in windows),
        host_cpu_seconds=sum(w.host_cpu_seconds or 0.0 for w in windows),
        host_cores=4,
        reserved_cores=cores,
        reserved_memory_gb=None,
        readings=(CPU,),
        windows=tuple(windows),
        outcome='ran',
    )


def split(windows: list[Window], at: float) -> list[Window]:
    """The same series with every window cut in two, rates kept."""
    halves = []
    for w in windows:
        a = replace(
            w,
            seconds=w.seconds * at,
            cpu_seconds=w.cpu_seconds * at,
            host_cpu_seconds=w.host_cpu_seconds * at,
            joules=tuple(j * at for j in w.joules),
        )
        b = Window(
            a.stop,
            w.stop - a.stop,
            w.cpu_seconds - a.cpu_seconds,
            w.host_cpu_seconds - a.host_cpu_seconds,
            tuple(x - y for x, y in zip(w.joules, a.joules, strict=True)),
        )
        halves += [a, b]
    return halves


# What a clock can show: the smallest double times a half is nothing.
cores = st.one_of(st.just(0.0), st.floats(1e-9, 4))
fractions = st.one_of(st.just(0.0), st.floats(1e-9, 1))
watts = st.floats(0.0, 300.0, allow_subnormal=False)


@st.composite
def hosts(draw: st.DrawFn) -> tuple[Entry, list[Entry]]:
    """A run's timeline and nodes that fall anywhere on it, with any CPU use."""
    windows, start = [], draw(st.floats(0, 1e6))
    for _ in range(draw(st.integers(1, 8))):
        seconds = draw(st.floats(0.1, 30))
        busy = draw(cores) * seconds
        own = draw(fractions) * busy
        windows.append(Window(start, seconds, own, busy, (draw(watts) * seconds,)))
        start = windows[-1].stop
    begin, length = windows[0].start, windows[-1].stop - windows[0].start
    nodes = []
    for number in range(draw(st.integers(0, 5))):
        first = begin + draw(st.floats(-0.2, 1.0)) * length
        seconds = draw(st.floats(0.001, 1.0)) * length
        cpu = draw(cores) * seconds
        own = Window(first, seconds, cpu, cpu, (None,))
        nodes.append(entry('node', [own], draw(st.floats(0, 4)), number))
    return entry('run', windows, 0.0, 99), nodes


# Components that do not follow CPU seconds alone.

ALL = (CPU, GPU, DRAM, REST)


def rich(one: Entry, memory: float | None = None) -> Entry:
    return replace(one, readings=ALL, reserved_memory_gb=memory, host_memory_gb=16.0)


def of_gpu(use: Use | None) -> tuple[Use | None, ...]:
    return (None, use, None, None)


@st.composite
def machines(draw: st.DrawFn) -> tuple[Entry, list[Entry]]:
    """A run and nodes with a GPU and memory, whatever their clocks say."""
    run, nodes = draw(hosts())
    seconds = st.one_of(st.just(0.0), st.floats(1e-6, 2))
    known = st.one_of(st.none(), seconds)

    def use(window: Window) -> Use | None:
        values = [draw(known), *(draw(seconds) for _ in range(3))]
        scaled = [None if v is None else v * window.seconds for v in values]
        return draw(st.sampled_from([Use(*scaled), Use(*scaled), None]))

    def seen(window: Window) -> Window:
        joules = [draw(st.one_of(st.none(), watts)) for _ in ALL]
        joules = tuple(None if j is None else j * window.seconds for j in joules)
        return replace(window, joules=joules, uses=of_gpu(use(window)))

    memory = st.one_of(st.none(), st.floats(0, 20))
    run = rich(replace(run, windows=tuple(map(seen, run.windows))))
    return run, [
        rich(replace(node, windows=tuple(map(seen, node.windows))), draw(memory)) for node in nodes
    ]
