"""Pages of stages, made of the stage table and of the workflow when the documentation is built.

``{stage-table} freesurfer 7`` is a table of all stages of FreeSurfer 7; ``{stage-table}
freesurfer 6`` with ``:unlike: 7`` only of those that another version does not have so.
``{stage-graph} 7`` is the graph of FreeSurfer's workflow, drawn.
"""

from __future__ import annotations

from html import escape
from typing import ClassVar

import networkx as nx
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from nicarbon.freesurfer import selected
from nicarbon.interfaces import fastsurfer, freesurfer
from nicarbon.stage import Stage, stages, versions
from nicarbon.workflows.freesurfer import init_freesurfer_wf

CLASSES = {'freesurfer': freesurfer.of_stage, 'fastsurfer': fastsurfer.of_stage}

# The table -------------------------------------------------------------------------------


def rows(tool: str, version: str) -> dict[str, Stage]:
    """Stages by name; of those of one hemisphere the left."""
    found: dict[str, Stage] = {}
    for stage in stages(tool, version):
        found.setdefault(stage.name, stage)
    return found


def alike(one: Stage, other: Stage | None) -> bool:
    """Whether two versions have the same row."""
    shown = ('name', 'flag', 'hemi', 'group', 'needs', 'makes', 'threads', 'gpu', 'arguments')
    return all(getattr(one, field) == getattr(other, field, None) for field in shown)


def table(tool: str, version: str, unlike: str | None = None) -> str:
    """A table in Markdown."""
    others = {number: rows(tool, number) for number in versions(tool)}
    lines = ['| Stage | Needs | Makes | Same in |', '|---|---|---|---|']
    for name, stage in others[version].items():
        if unlike is None or not alike(stage, others[unlike].get(name)):
            same = [number for number, known in others.items() if alike(stage, known.get(name))]
            lines.append(row(stage, same))
    return '\n'.join(lines)


def row(stage: Stage, same: list[str]) -> str:
    kind = CLASSES[stage.tool](stage.name)
    marks = ' ×2' * bool(stage.hemi) + ' <i>threads</i>' * stage.threads
    marks += ' <i>GPU</i>' * stage.gpu
    told = f'`{stage.flag or stage.program or "-i FILE"}`<br>{{py:class}}`~{kind.__module__}.{kind.__name__}`'
    cells = [
        f'**{stage.name}**{marks}<br>{told}',
        files(stage, stage.needs),
        files(stage, stage.makes),
        ', '.join(same),
    ]
    return f'| {" | ".join(cells)} |'


def files(stage: Stage, names: tuple[str, ...]) -> str:
    places = [stage.path(name) for name in names]
    short = [place.replace('/lh.', '/?h.').replace('.lh.', '.?h.') for place in places]
    kept = [place for place in short if '/rh.' not in place and '.rh.' not in place]
    return '<br>'.join(f'`{place}`' for place in dict.fromkeys(kept))


def absent(tool: str, version: str, other: str) -> list[str]:
    return [name for name in rows(tool, other) if name not in rows(tool, version)]


class StageTable(SphinxDirective):
    required_arguments = 2
    option_spec: ClassVar = {'unlike': str}

    def run(self) -> list[nodes.Node]:
        (tool, version), unlike = self.arguments, self.options.get('unlike')
        text = table(tool, version, unlike)
        if unlike is not None and (gone := absent(tool, version, unlike)):
            names = ', '.join(f'**{name}**' for name in gone)
            text += f'\n\nStages of {unlike} that {version} does not have: {names}.'
        made = self.parse_text_to_nodes(text)
        made[0]['classes'].append('stage-table')
        return made


# The graph -------------------------------------------------------------------------------

LANES = {'lh': 75, '': 233, 'rh': 391}
"""Where the middle of each lane is."""
HEADS = {'lh': 'left hemisphere', '': 'volume', 'rh': 'right hemisphere'}
WIDTH, NODE, HIGH, PITCH, GAP = 466, 134, 20, 27, 26


def order(version: int) -> nx.DiGraph:
    """What follows what in the workflow: keys, less what others imply."""
    whole = nx.DiGraph(init_freesurfer_wf(subject='01', version=version)._graph)
    keys = {node: node.label.stage for node in whole if hasattr(node, 'label')}
    graph = nx.relabel_nodes(whole.subgraph(keys), keys)
    return nx.transitive_reduction(graph)


def heights(version: int, graph: nx.DiGraph) -> dict[str, float]:
    """How far down each stage stands: below all that it follows; directives have room between."""
    rank: dict[str, int] = {}
    for key in nx.topological_sort(graph):
        rank[key] = 1 + max((rank[before] for before in graph.predecessors(key)), default=-1)
    groups = {stage.group: rank[stage.key] for stage in reversed(selected(version))}
    return {
        key: 34 + PITCH * row + GAP * sum(row >= first for first in groups.values())
        for key, row in rank.items()
    }


def drawing(version: int) -> str:
    """The graph as SVG, in the colours of the page."""
    graph = order(version)
    y = heights(version, graph)
    table = {stage.key: stage for stage in selected(version)}
    high = max(y.values()) + HIGH
    title = f'Stages of FreeSurfer {version}, and what waits for what'
    head = f'viewBox="0 0 {WIDTH} {high:g}" role="img" aria-label="{title}"'
    parts = [f'<svg class="stage-graph" {head} xmlns="http://www.w3.org/2000/svg">']
    seen: set[str] = set()
    for key, stage in table.items():
        if stage.group not in seen:
            seen.add(stage.group)
            top = y[key] - HIGH / 2 - 10
            parts.append(f'<path class="rule" d="M0 {top:g}H{WIDTH}"/>')
            parts.append(f'<text class="group" x="2" y="{top - 5:g}">{stage.group}</text>')
    parts += [edge(table[a], table[b], y[a], y[b]) for a, b in sorted(graph.edges)]
    heads = {stage.hemi: stage.key for stage in reversed(table.values())}
    for hemi, key in heads.items():
        top = y[key] - HIGH / 2 - (16 if hemi == '' else 7)
        parts.append(f'<text class="head" x="{LANES[hemi]}" y="{top:g}">{HEADS[hemi]}</text>')
    parts += [box(stage, y[key]) for key, stage in table.items()]
    return ''.join([*parts, '</svg>'])


def edge(first: Stage, then: Stage, y1: float, y2: float) -> str:
    """Down the lane, or by the space between two lanes."""
    x1, x2 = LANES[first.hemi], LANES[then.hemi]
    if x1 == x2:
        end = y2 - HIGH / 2
        tip = f'<path class="tip" d="M{x1} {end:g}l-3.5 -6h7z"/>'
        return f'<path d="M{x1} {y1 + HIGH / 2:g}V{end - 5:g}"/>{tip}'
    way = 1 if x2 > x1 else -1
    start, end = x1 + way * NODE / 2, x2 - way * NODE / 2
    middle, y1, y2 = end - way * 14, y1 + 4, y2 - 4
    line = f'M{start:g} {y1:g}'
    if '' not in {first.hemi, then.hemi}:
        # Past the volume, between two of its stages.
        line += f'h{way * 7}v{PITCH / 2 - 4:g}'
    line += f'H{middle - way * 5:g}q{way * 5} 0 {way * 5} 5V{y2 - 5:g}'
    line += f'q0 5 {way * 5} 5H{end - way * 5:g}'
    tip = f'<path class="across-tip" d="M{end:g} {y2:g}l{-way * 6} -3.5v7z"/>'
    return f'<path class="across" d="{line}"/>{tip}'


def box(stage: Stage, y: float) -> str:
    x = LANES[stage.hemi]
    made = ', '.join(stage.path(name) for name in stage.makes)
    bold = ' class="threads"' if stage.threads else ''
    return (
        f'<g><title>{escape(stage.label)}: {escape(made or "no file")}</title>'
        f'<rect x="{x - NODE / 2:g}" y="{y - HIGH / 2:g}" width="{NODE}" height="{HIGH}" rx="4"/>'
        f'<text{bold} x="{x}" y="{y + 4.3:g}">{escape(stage.name)}</text></g>'
    )


class StageGraph(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [nodes.raw('', drawing(int(self.arguments[0])), format='html')]


def setup(app) -> dict[str, bool]:
    app.add_directive('stage-table', StageTable)
    app.add_directive('stage-graph', StageGraph)
    return {'parallel_read_safe': True}
