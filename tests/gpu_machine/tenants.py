"""A Nipype program whose nodes hold a GPU, use it, or do neither, side by side.

python tenants.py WORK use:60:4 hold:0:4 burn:0:2

Each task is its kind, the percent of the multiprocessors, and seconds.
"""

import sys

from nipype import Function, Node, Workflow


def use(percent, seconds):
    import time

    from driver import take

    with take() as mine:
        mine.write_text(str(percent))
        time.sleep(seconds)
        mine.write_text('0')
    return percent


def burn(percent, seconds):
    import time

    while time.process_time() < seconds:
        pass
    return percent


def main():
    work, *tasks = sys.argv[1:]
    workflow = Workflow('gpu_tenants_wf', base_dir=work)
    for number, task in enumerate(tasks):
        kind, percent, seconds = task.split(':')
        node = Node(Function(function=burn if kind == 'burn' else use), name=f'{kind}{number}')
        node.inputs.trait_set(percent=int(percent), seconds=float(seconds))
        workflow.add_nodes([node])
    workflow.config['execution'] = {'poll_sleep_duration': '0.05'}
    workflow.run('MultiProc', plugin_args={'n_procs': len(tasks), 'raise_insufficient': False})


if __name__ == '__main__':
    main()
