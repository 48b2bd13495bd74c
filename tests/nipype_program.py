"""A Nipype program that knows nothing of nicarbon: a stand-in for somebody's pipeline.

python nipype_program.py WORK PLUGIN METHOD SECONDS
"""

import sys

from nipype import Function, MapNode, Node, Workflow


def burn(seconds):
    import time

    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def main():
    work, plugin, method, seconds = sys.argv[1:]
    subject = Workflow('sub_01_wf')
    first = Node(Function(function=burn), name='n4')
    first.inputs.seconds = float(seconds)
    each = MapNode(Function(function=burn), iterfield='seconds', name='each')
    each.inputs.seconds = 2 * [float(seconds) / 2]
    fails = Node(Function(function=burn), name='fails')
    fails.inputs.seconds = 'not a number'
    subject.add_nodes([first, each, fails])
    whole = Workflow('pipeline_wf', base_dir=work)
    whole.add_nodes([subject])
    whole.config['execution'] = {'crashdump_dir': work, 'poll_sleep_duration': '0.05'}
    arguments = {'n_procs': 2, 'mp_context': method} if plugin == 'MultiProc' else {}
    try:
        whole.run(plugin, plugin_args=arguments)
    except Exception:
        sys.stdout.write('as it failed\n')
        return 5
    return 0


if __name__ == '__main__':
    sys.exit(main())
