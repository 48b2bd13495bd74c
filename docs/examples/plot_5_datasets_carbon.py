"""
Carbon of a dataset, by grid
============================

The same joules on several grids: UK Biobank, one T1w scan of each of 100,000 participants,
processed once.
"""

from datetime import datetime, timezone

import matplotlib.pyplot as plt

from nicarbon.account import PUE
from nicarbon.grids import parse
from nicarbon.quantity import carbon
from nicarbon.scenario import AVERAGE_PUE, ELSEWHERE, estimate, published_costs
from nicarbon.trends import cohorts

plt.style.use('nicarbon.mplstyle')

# %%
# The assumptions: the facility is an average data centre's, and no run is lost. The grids are
# yearly averages.

FACILITY = PUE(AVERAGE_PUE)
SCANS = max(one.participants for one in cohorts() if one.name == 'UKB')
now = datetime.now(timezone.utc)
grids = [parse(zone).over(now, now) for zone in ELSEWHERE]
print(f'PUE: {FACILITY.value:g}. Scans: {SCANS:,}. g CO2e per kWh:')
for grid in grids:
    values = f'{grid.g_per_kwh:.0f} ({grid.low:.0f} to {grid.high:.0f})'
    print(f'- {grid.zone}: {values}, {grid.start[:4]}, {grid.kind}\n  {grid.source}')

# %%
# A mark with its 95 % interval, which holds those of joules, facility and grid. The grid that is
# only "somewhere in the world" is the least certain.

figure, axes = plt.subplots(figsize=(7, 6))
for step, (row, marker) in enumerate(zip(published_costs(), 'osD', strict=True)):
    for place, grid in enumerate(reversed(grids)):
        y = place + 0.24 * (1 - step)
        found = estimate(row.cost, SCANS, grid, FACILITY).footprint
        ends = found.low / 1e6, found.high / 1e6
        axes.plot(ends, [y, y], f'C{step}', lw=6, alpha=0.35, solid_capstyle='butt')
        label = '' if place else row.name
        axes.plot(found.grams / 1e6, y, f'C{step}{marker}', ms=6, label=label)
axes.set_yticks(range(len(grids)), [grid.zone for grid in reversed(grids)])
axes.set(xscale='log', xlabel='Tonnes of CO2e', ylim=(-0.6, len(grids) - 0.4))
axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
axes.grid(visible=False, axis='y')
figure.suptitle('UK Biobank, 100,000 scans: tonnes of CO2e by grid; logarithmic')
_ = figure.legend(loc='outside lower center', ncols=3, handletextpad=0.1, columnspacing=1)

# %%
# In numbers: at 30 g/kWh, the constant with which the costs were published, and on these grids.

for row in published_costs():
    quebec = estimate(row.cost, SCANS, parse('30').over(now, now), FACILITY).footprint
    print(f'{row.name}\n- 30 g/kWh: {carbon(quebec.grams)}')
    for grid in grids:
        found = estimate(row.cost, SCANS, grid, FACILITY).footprint
        print(f'- {grid.zone}: {carbon(found.grams, found.low, found.high)}')
