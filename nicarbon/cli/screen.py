"""What the command says while it works, and when it is done."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from .. import bids
from ..quantity import carbon, energy
from ..report.gpus import held_sentence
from ..share import Balance
from ..stage import Stage
from ..summary import Kind, Summary
from ..watch import Label

__all__ = ['Progress', 'Screen']


MOST_PAGES = 50
"""Pages that are named one by one."""

STAGE_COLUMNS = 24
"""For the names of stages in a table; more where one is longer."""


class Progress:
    """A line now and then about work that takes long; nothing about what does not.

    Parameters
    ----------
    stream : text file
    things, done : str
        What is worked on, and what was done with it.
    """

    EVERY = 10.0
    """Seconds between lines, and before the first."""

    def __init__(self, stream: TextIO, things: str = 'runs', done: str = 'shared out') -> None:
        self._stream, self._things, self._done = stream, things, done
        self._told = time.monotonic()

    def __call__(self, count: int, every: int) -> None:
        """So many of all are done."""
        now = time.monotonic()
        if now - self._told >= self.EVERY:
            self._told = now
            words = f'{count:,} of {every:,} {self._things} {self._done}'
            print(words, file=self._stream, flush=True)


class Screen:
    """One line per stage, with a clock; plain text, so that it reads well in a log.

    Parameters
    ----------
    stream : text file
    table : sequence of Stage
        Stages by which names are known; others are called what they are called.
    """

    def __init__(self, stream: TextIO, table: Sequence[Stage] = ()) -> None:
        self._stream = stream
        self._titles = {stage.key: stage.label for stage in table}
        self._started: dict[str, float] = {}
        self._begin = time.monotonic()
        self._done = self._all = 0

    def say(self, text: str = '') -> None:
        """Print a line, at once."""
        print(text, file=self._stream, flush=True)

    def left_out(self, subjects: Sequence[str]) -> None:
        """Say which subjects have nothing to process."""
        for subject in subjects:
            self.say(f'sub-{subject} has no T1w image that passes the filters: left out')

    def dry_run(
        self, work: Mapping[bids.Session, Sequence[Stage]], steps: int, out_dir: Path
    ) -> None:
        """List what would be run, and what would be written."""
        self.say(f'{len(work)} session(s), {steps} stages')
        for session, table in work.items():
            self.say(session.name)
            for path in (*session.t1w, *session.t2w[:1], *session.flair[:1]):
                self.say(f'  reads   {path}')
            for stage in table:
                self.say(f'  runs    {stage.key:<20} {", ".join(stage.makes)}')
            table_path = bids.table_path(session.subject, session.session)
            for path in (table_path, table_path.with_suffix('.json')):
                self.say(f'  writes  {out_dir / path}')
            self.say(f'  writes  {out_dir / bids.page_path(session.subject)}')

    def would_write(self, paths: Sequence[Path]) -> None:
        """List files of a dry run."""
        for path in paths:
            self.say(f'  writes  {path}')

    def start(self, sessions: Sequence[bids.Session], steps: int, log_dir: Path) -> None:
        """Say what is about to happen."""
        self._all = steps
        subjects = len({session.subject for session in sessions})
        self.say(f'{subjects} participant(s), {len(sessions)} session(s), {steps} stages')
        self.say(f'Logs and ledger: {log_dir}')

    def node(self, label: Label, status: str, *, was_run: bool) -> None:
        """One stage starts or ends."""
        if status == 'start':
            self._started[label.node] = time.monotonic()
            return
        self._done += 1
        seconds = time.monotonic() - self._started.get(label.node, time.monotonic())
        who = bids.prefix(label.subject, label.session)
        what = self._titles.get(label.stage, label.stage)
        how = 'FAILED' if status != 'end' else f'{seconds:.1f} s' if was_run else 'was there'
        minutes, rest = divmod(int(time.monotonic() - self._begin), 60)
        self.say(f'{minutes:3d}:{rest:02d}  [{self._done}/{self._all}]  {who}  {what:<26} {how}')

    def reused(self, session: bids.Session, stages: int) -> None:
        """Say that a finished session is taken as it is."""
        self._done += stages
        self.say(
            f'{session.name}: finished before, taken as it is ({stages} stages, no new energy)'
        )

    def interrupted(self, out_dir: Path, work_dir: Path) -> None:
        """Say that nothing measured is lost, and how to go on."""
        self.say(
            f'Interrupted. What was measured is in {out_dir}; the same command resumes '
            f'from {work_dir}.'
        )

    def failed(self, failures: Sequence[str], log_dir: Path) -> None:
        """Say what failed."""
        for failure in failures:
            self.say(f'failed: {failure}')
        if failures:
            self.say(f'Crash reports: {log_dir}')

    def stages(self, dataset: Summary, kinds: Iterable[Kind]) -> None:
        """A table: what each stage cost, over all that were run."""
        ran = [(self._titles.get(k.stage, k.stage), k.total) for k in kinds if k.total.ran]
        width = max([STAGE_COLUMNS, *(len(title) + 1 for title, _ in ran)])
        self.say(
            f'{"stage":<{width}}{"runs":>5}{"wall":>10}{"CPU":>10}  '
            f'{"energy (95 %)":<27}CO2e (95 %)'
        )
        for title, one in ran:
            self.say(f'{title:<{width}}{_row(one)}')
        total = dataset.footprint
        if dataset.tiers:
            joules = energy(total.joules, total.joules_low, total.joules_high)
            self.say(
                f'{"all":<{width + 25}}  {joules:<27}{carbon(total.grams, total.low, total.high)}'
            )
        lost = sum(dataset.outcomes.get(word, 0) for word in ('failed', 'killed'))
        if lost:
            spent = dataset.lost
            joules = energy(spent.joules, spent.joules_low, spent.joules_high)
            self.say(f'Lost: {joules} of it, in {lost} stage(s) that failed or were killed.')
        tiers = ', '.join(f'{100 * part:.0f} % {tier}' for tier, part in dataset.tiers.items())
        cached = dataset.outcomes.get('cached', 0)
        if cached:
            self.say(f'{cached} stage(s) came from the cache: no new energy.')
        if held := held_sentence(dataset.phases):
            self.say(held)
        grid = total.intensity
        seen = tiers or ('nothing new was spent' if cached else 'not seen')
        self.say(
            f'Energy: {seen}. Grid: {grid.zone}, {grid.g_per_kwh:.3g} g/kWh '
            f'({grid.low:.3g} to {grid.high:.3g}), {grid.source}.'
        )

    def balance(self, balance: Balance) -> None:
        """Where the energy of the host went while a run lasted."""
        parts = {
            'nodes': balance.nodes_joules,
            'overhead': balance.overhead_joules,
            'unattributed': balance.unattributed_joules,
        }
        if balance.others_joules:
            parts['other runs'] = balance.others_joules
        whole = balance.host_joules
        shown = ', '.join(
            f'{name} {100 * joules / whole if whole else 0:.3g} %'
            for name, joules in parts.items()
        )
        joules = energy(whole, whole / balance.u_rel, whole * balance.u_rel)
        self.say(f'Host: {joules} in that time; {shown}.')

    def pages(self, pages: Sequence[Path]) -> None:
        """Say where the pages are."""
        # That of the dataset leads to all others.
        several = len(pages) > MOST_PAGES
        for path in pages[:1] if several else pages:
            self.say(f'Page: {path}')
        if several:
            self.say(f'and those of {len(pages) - 1:,} participants beside it')


def _row(total: Summary) -> str:
    seconds, cpu = f'{total.seconds:.1f} s', f'{total.cpu_seconds:.1f} s'
    joules = grams = 'not seen'
    if total.tiers:
        spent = total.footprint
        joules = energy(spent.joules, spent.joules_low, spent.joules_high)
        grams = carbon(spent.grams, spent.low, spent.high)
    return f'{total.ran:>5}{seconds:>10}{cpu:>10}  {joules:<27}{grams}'
