"""What stages cite is in the bibliography: a paper that is not would be left out in silence."""

from __future__ import annotations

import pytest

from nicarbon.report.references import bibtex, references
from nicarbon.stage import TOOLS, stages, versions

TABLES = [(tool, version) for tool in TOOLS for version in versions(tool) or (None,)]


@pytest.mark.parametrize(('tool', 'version'), TABLES)
def test_all_that_is_cited_is_known(tool: str, version: str | None) -> None:
    cited = {doi for stage in stages(tool, version) for doi in stage.cites}
    assert cited
    assert cited <= set(references())
    assert bibtex(sorted(cited)).count('@') == len(cited)
