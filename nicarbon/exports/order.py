"""Which run of a stage came after which, as far as that is known.

Two things are known: a stage needs files, by its table, and somebody before it has made
them; and the pieces that one node was cut into ran one after the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from ..stage import Stage

__all__ = ['Task', 'makers', 'parents']


class Task(NamedTuple):
    """One stage that was run once.

    Parameters
    ----------
    run_id, subject, session, node, stage : str
        Empty where it has none.
    outcome : str
    started : datetime.datetime
    """

    run_id: str
    subject: str
    session: str
    node: str
    stage: str
    outcome: str
    started: datetime


class _Block(NamedTuple):
    """Pieces of one stage that one node ran in one go, by their places in time."""

    stage: str
    who: tuple[str, str]
    places: list[int]
    ends: list[bool]


def parents(tasks: Sequence[Task], stages: Iterable[Stage]) -> list[list[int]]:
    """Tasks that each task waited for.

    Parameters
    ----------
    tasks : sequence of Task
    stages : iterable of Stage
        Tables of pipelines, in order.

    Returns
    -------
    list of list of int
        By task: indices of others. No task has a parent that started after it, so that
        there is no way round in a circle.
    """
    table = tuple(stages)
    order = sorted(range(len(tasks)), key=lambda at: (tasks[at].started, at))
    in_time = [tasks[at] for at in order]
    found: list[set[int]] = [set() for _ in tasks]
    blocks = _blocks(in_time, {stage.key for stage in table}, found)
    for child, parent in _edges(blocks, table):
        found[child].add(parent)
    above: list[list[int]] = [[] for _ in tasks]
    for place, own in enumerate(found):
        above[order[place]] = sorted(order[each] for each in own)
    return above


def _blocks(tasks: Sequence[Task], known: Collection[str], found: list[set[int]]) -> list[_Block]:
    """Tasks by node and stage; in ``found`` each piece of a node after the one before it."""
    blocks: dict[tuple[int, str], _Block] = {}
    goes: dict[tuple[str, ...], tuple[int, set[str], int]] = {}
    for place, task in enumerate(tasks):
        key = task[:4]
        go, seen, last = goes.get(key, (place, set(), -1))
        # A node without a name may be anybody's; one that begins again goes once more.
        if not task.node or task.stage in seen:
            go, seen, last = place, set(), -1
        if last >= 0:
            found[place].add(last)
        goes[key] = go, seen | {task.stage}, place
        part_of = task.stage.partition('.')[0]
        stage = part_of if part_of in known else task.stage
        who = task.subject, task.session
        block = blocks.setdefault((go, stage), _Block(stage, who, [], []))
        block.places.append(place)
        block.ends.append(task.outcome == 'ran')
    return list(blocks.values())


def _edges(blocks: Sequence[_Block], table: tuple[Stage, ...]) -> Iterable[tuple[int, int]]:
    """Child and parent: the last run of the stage that made what the child needs."""
    done: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for block in blocks:
        if all(block.ends):
            done[block.who][block.stage].append(block.places[-1])
    known: dict[frozenset[str], Mapping[str, frozenset[str]]] = {}
    for block in blocks:
        present = frozenset(done[block.who])
        if present not in known:
            known[present] = makers(table, present)
        for stage in known[present].get(block.stage, ()):
            runs = sorted(done[block.who][stage])
            before = bisect_left(runs, block.places[0]) - 1
            if before >= 0:
                yield block.places[0], runs[before]


def makers(table: Iterable[Stage], present: Collection[str]) -> dict[str, frozenset[str]]:
    """Stages that made what each stage needs.

    Parameters
    ----------
    table : iterable of Stage
    present : collection of str
        Keys of the stages that were run.

    Returns
    -------
    dict of {str : frozenset of str}
        By key, for all stages of the table: of what each needs, the last stage before it
        that was run and makes that.

    Examples
    --------
    >>> from nicarbon.stage import stages
    >>> seven = [stage for stage in stages('freesurfer', 7) if stage.name != 'FLAIRpial']
    >>> needed = makers(seven, [stage.key for stage in seven])
    >>> sorted(needed['tessellate_lh']), sorted(needed['cortribbon'])
    (['canorm', 'fill'], ['T2pial', 'calabel', 'white_lh', 'white_rh'])
    """
    made: dict[tuple[str, str], str] = {}
    found: dict[str, frozenset[str]] = {}
    for stage in table:
        needs = (_maker(made, stage, name) for name in stage.needs)
        found[stage.key] = frozenset(maker for maker in needs if maker)
        if stage.key in present:
            made |= {(stage.tool, _sided(stage, name)): stage.key for name in stage.makes}
    return found


def _sided(stage: Stage, name: str) -> str:
    """A file as stages of both hemispheres call it."""
    return f'{stage.hemi}_{name}' if stage.hemi else name


def _maker(made: Mapping[tuple[str, str], str], stage: Stage, name: str) -> str | None:
    return made.get((stage.tool, _sided(stage, name))) or made.get((stage.tool, name))
