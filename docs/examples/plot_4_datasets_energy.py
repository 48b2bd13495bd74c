"""
Energy to process a dataset
===========================

Kilowatt hours of one run over all scans of a dataset: the published cost of a scan, projected by
:func:`nicarbon.scenario.estimate`.
"""

from datetime import datetime, timezone

import matplotlib.pyplot as plt

from nicarbon.account import PUE
from nicarbon.grids import parse
from nicarbon.quantity import JOULES_PER_KWH, energy
from nicarbon.scenario import AVERAGE_PUE, estimate, published_costs
from nicarbon.trends import assumption, cohorts

plt.style.use('nicarbon.mplstyle')

# %%
# The assumptions, each of which can be changed: the facility is an average data centre's, and no
# run is lost. Reviews tell participants; how many scans each of them has is assumed.

FACILITY = PUE(AVERAGE_PUE)
SCANS = assumption('scans_per_participant')
print(f'PUE: {FACILITY.value:g}')
print(f'{SCANS.title}: {SCANS.low:g} to {SCANS.high:g}\n  {SCANS.source.cite}')
for row in published_costs():
    wh, factor = row.cost.joules / 3600, row.cost.u_rel
    print(f'{row.name}: {wh:.1f} Wh of IT energy a scan, within a factor of {factor:g}')

# %%
# A mark is one scan of each participant, and its thick line the 95 % interval of that. The thin
# line goes on to the upper end of the interval for four scans of each.

latest = {one.name: one for one in cohorts() if one.kind == 'single'}
NAMES = ('OASIS-1', 'HCP-YA', 'CoRR', 'ADNI', 'HBN', 'ABCD', 'UKB')
shown = [latest[name] for name in NAMES]
now = datetime.now(timezone.utc)
grid = parse('world').over(now, now)  # of no effect on kilowatt hours

figure, axes = plt.subplots(figsize=(7, 6.4))
for step, (row, marker) in enumerate(zip(published_costs(), 'osD', strict=True)):
    for place, one in enumerate(shown):
        y = place + 0.24 * (1 - step)
        once = estimate(row.cost, one.participants * SCANS.low, grid, FACILITY).footprint
        often = estimate(row.cost, one.participants * SCANS.high, grid, FACILITY).footprint
        axes.plot([once.kwh, often.kwh_bounds[1]], [y, y], f'C{step}', lw=1, alpha=0.7)
        thick = {'lw': 6, 'alpha': 0.35, 'solid_capstyle': 'butt'}
        axes.plot(once.kwh_bounds, [y, y], f'C{step}', **thick)
        axes.plot(once.kwh, y, f'C{step}{marker}', ms=6, label='' if place else row.name)
axes.set_yticks(range(len(shown)), [f'{one.name}\n{one.participants:,}' for one in shown])
axes.set(xscale='log', xlabel='kWh, facility included', ylim=(-0.6, len(shown) - 0.4))
axes.xaxis.set_major_formatter(lambda value, _: f'{value:,.0f}')
axes.grid(visible=False, axis='y')
figure.suptitle('Energy to process all scans of a dataset once; logarithmic')
_ = figure.legend(loc='outside lower center', ncols=3, handletextpad=0.1, columnspacing=1)

# %%
# UK Biobank in numbers, one scan of each participant:

for row in published_costs():
    found = estimate(row.cost, latest['UKB'].participants, grid, FACILITY)
    kwh = found.footprint.kwh, *found.footprint.kwh_bounds
    joules = [one * JOULES_PER_KWH for one in kwh]
    print(f'{row.name}: {energy(*joules)}')

# %%
# What was published says nothing of pipelines as they are today: FreeSurfer 6, and the first
# FastSurfer with its networks held to one core where they ran on a CPU (:doc:`/estimate`).
