"""A worker that dies takes nobody with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import Burn, Die, Sleep
from nipype import Workflow

from nicarbon import CarbonNode, ledger, recording
from nicarbon.cli.pool import Pool


@pytest.mark.slow
def test_only_the_culprit_fails(tmp_path: Path) -> None:
    nodes = {
        'die': CarbonNode(Die(seconds=0.3), name='die'),
        'innocent': CarbonNode(Sleep(seconds=3.0), name='innocent'),
        'later': CarbonNode(Burn(seconds=0.2), name='later'),
    }
    workflow = Workflow('wf', base_dir=str(tmp_path / 'work'))
    workflow.config['execution'] = {
        'poll_sleep_duration': '0.05',
        'crashdump_dir': str(tmp_path),
        'crashfile_format': 'txt',
    }
    workflow.add_nodes([nodes['die'], nodes['innocent']])
    workflow.connect(nodes['innocent'], 'done', nodes['later'], 'after')
    said: dict[str, str] = {}
    arguments = {'n_procs': 2, 'memory_gb': 8, 'mp_context': 'forkserver'}
    pool = Pool(arguments, lambda node, status, _: said.update({node.name: status}))
    with recording(tmp_path / 'out') as run, pytest.raises(RuntimeError):
        workflow.run(pool)
    assert said == {'die': 'exception', 'innocent': 'end', 'later': 'end'}
    entries, _ = ledger.read(run.ledger)
    outcomes = [(entry.stage, entry.outcome) for entry in entries]
    assert outcomes.count(('die', 'killed')) == 2
    assert ('innocent', 'ran') in outcomes
    assert ('later', 'ran') in outcomes
