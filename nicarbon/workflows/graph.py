"""Workflows that are made of a stage table: edges are files.

What a stage needs comes from the last stage before it that makes it. Besides, the stages of
the volume keep the tool's own order, and so do those of each hemisphere; the two
hemispheres and the volume go side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nipype import Workflow
from nipype.interfaces.utility import IdentityInterface, Merge
from nipype.pipeline.engine import Node

from ..stage import Hemi, Stage
from .anatomical import INPUTS, OUTPUTS

__all__ = ['StageGraph']


class StageGraph:
    """A workflow that grows stage by stage, and who made which file.

    Parameters
    ----------
    name : str
        Of the workflow.
    subject_id : str
        The subject's folder.
    made : mapping of {str : str}
        Fields of the ``outputnode``, and the files that go there.
    surfaces : sequence of str
        Files that go to its field ``surfaces``.
    images : mapping of {str : mapping}
        By name of the stage: fields of the ``inputnode``, and its own.
    """

    def __init__(
        self,
        name: str,
        subject_id: str,
        made: Mapping[str, str],
        surfaces: Sequence[str],
        images: Mapping[str, Mapping[Any, str]],
    ) -> None:
        self.workflow = Workflow(name=name)
        self._input = Node(IdentityInterface(fields=list(INPUTS)), name='inputnode')
        self._input.inputs.subject_id = subject_id
        self._wanted, self._surfaces, self._images = made, surfaces, images
        self._made: dict[str, tuple[Node, str]] = {}
        self._last: dict[str, Node] = {}

    def add(self, stage: Stage, node: Node, after: Hemi | None = None) -> None:
        """Add a stage after those whose files it needs, and after the one before it.

        Parameters
        ----------
        stage : Stage
        node : Node
        after : {'', 'lh', 'rh'}, optional
            Whose last stage it follows besides; its own by default.
        """
        for name in stage.needs:
            if stage.path(name) in self._made:
                self.workflow.connect(*self._made[stage.path(name)], node, name)
        # A hemisphere's first stage follows the volume's last.
        before = self._last.get(stage.hemi) or self._last.get('') or self._input
        other = None if after is None else self._last.get(after)
        self.workflow.connect(other or before, 'subject_id', node, 'subject_id')
        self.workflow.connect(before, 'subjects_dir', node, 'subjects_dir')
        self._give_images(stage, node)
        self._made |= {stage.path(name): (node, name) for name in stage.makes}
        self._last[stage.hemi] = node

    def add_many(self, node: Node, own: Sequence[Stage]) -> None:
        """Add one node that runs many stages, after the one before it."""
        before = self._last.get('') or self._input
        for field in ('subject_id', 'subjects_dir'):
            self.workflow.connect(before, field, node, field)
        for stage in own:
            self._give_images(stage, node)
        self._last[''] = node

    def _give_images(self, stage: Stage, node: Node) -> None:
        for field, image in self._images.get(stage.name, {}).items():
            self.workflow.connect(self._input, field, node, image)

    def finish(self) -> None:
        """Connect what was made to the ``outputnode``."""
        fields = [*OUTPUTS, 'subject_id', 'subjects_dir']
        output = Node(IdentityInterface(fields=fields), name='outputnode')
        last = self._last.get('') or self._last.get('rh') or self._last.get('lh') or self._input
        for field in ('subject_id', 'subjects_dir'):
            self.workflow.connect(last, field, output, field)
        for field, path in self._wanted.items():
            if path in self._made:
                self.workflow.connect(*self._made[path], output, field)
        if all(path in self._made for path in self._surfaces):
            both = Node(Merge(len(self._surfaces)), name='surfaces')
            for number, path in enumerate(self._surfaces, 1):
                self.workflow.connect(*self._made[path], both, f'in{number}')
            self.workflow.connect(both, 'out', output, 'surfaces')
