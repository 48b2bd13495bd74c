"""A Nipype program whose nodes burn or sleep side by side: a stand-in for a busy machine.

python tenants.py WORK burn:2 burn:2 sleep:2
"""

import sys

from nipype import Function, Node, Workflow


def burn(seconds):
    import time

    while time.process_time() < seconds:
        pass
    return seconds


def sleep(seconds):
    import time

    time.sleep(seconds)
    return seconds


def main():
    work, *tasks = sys.argv[1:]
    workflow = Workflow('tenants_wf', base_dir=work)
    for number, task in enumerate(tasks):
        kind, _, seconds = task.partition(':')
        node = Node(Function(function=globals()[kind]), name=f'{kind}{number}')
        node.inputs.seconds = float(seconds)
        workflow.add_nodes([node])
    workflow.config['execution'] = {'poll_sleep_duration': '0.05'}
    workflow.run('MultiProc', plugin_args={'n_procs': len(tasks), 'raise_insufficient': False})


if __name__ == '__main__':
    main()
