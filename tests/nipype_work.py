"""A Nipype program of all kinds of nodes, whose working folder tests read.

python nipype_work.py BASE PLUGIN [monitor]
"""

import logging
import sys
from pathlib import Path

from nipype import Function, IdentityInterface, JoinNode, MapNode, Node, Workflow, config
from nipype.interfaces.base import CommandLine
from nipype.utils.profiler import log_nodes_cb


def burn(x):
    import time

    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    return int(x) + 1


def fail(x):
    raise ValueError(f'no {x}')


def add(x):
    return sum(x)


def tell(node, status):
    """Nipype's own, which in 1.11 cannot take a MapNode."""
    if not isinstance(node, MapNode):
        log_nodes_cb(node, status)


def node(kind, name, function, **settings):
    return kind(Function(function=function), name=name, **settings)


def main():
    base, plugin, *rest = sys.argv[1:]
    if rest:
        config.enable_resource_monitor()
    Path(base).mkdir(exist_ok=True)
    log = logging.getLogger('callback')
    log.setLevel(logging.DEBUG)
    log.addHandler(logging.FileHandler(Path(base) / 'run_stats.log'))
    subjects = Node(IdentityInterface(['subject_id']), name='inputnode')
    subjects.iterables = ('subject_id', ['01', '02'])
    first = node(Node, 'first', burn, n_procs=2)
    join = node(JoinNode, 'join', add, joinsource='inputnode', joinfield='x')
    each = node(MapNode, 'each', burn, iterfield='x')
    each.inputs.x = [1, 2, 3]
    command = Node(CommandLine('sleep', args='0.2'), name='command')
    flow = Workflow('sub_wf')
    flow.connect([(subjects, first, [('subject_id', 'x')]), (first, join, [('out', 'x')])])
    if not rest:
        # A workflow with one that fails writes no resource_monitor.json.
        flow.connect(first, 'out', node(Node, 'bad', fail), 'x')
    whole = Workflow('top_wf', base_dir=base)
    whole.add_nodes([flow, each, command])
    whole.config['execution'] = {
        'crashdump_dir': base,
        'poll_sleep_duration': '0.05',
        'stop_on_first_crash': 'false',
    }
    try:
        whole.run(plugin, plugin_args={'n_procs': 2, 'status_callback': tell})
    except RuntimeError:
        sys.stdout.write('as it failed\n')


if __name__ == '__main__':
    main()
