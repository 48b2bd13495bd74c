"""
If each paper processed so many scans
=====================================

What citations would imply, if a paper that cites FreeSurfer processed 10 scans, or 100, or
1,000. Nobody knows which: this is arithmetic on an assumption, and none of the three is a claim.
"""

from datetime import datetime, timezone

import matplotlib.pyplot as plt

from nicarbon.account import PUE
from nicarbon.grids import parse
from nicarbon.scenario import AVERAGE_PUE, ELSEWHERE, estimate, published
from nicarbon.trends import assumption, citing, series

plt.style.use('nicarbon.mplstyle')

# %%
# The assumptions, by name:

SCANS = assumption('scans_per_paper')
FACILITY = PUE(AVERAGE_PUE)
COST = published('freesurfer').cost
EACH = (SCANS.low, SCANS.middle, SCANS.high)
print(f'{SCANS.title}: {", ".join(f"{n:,}" for n in EACH)}\n  {SCANS.source.cite}')
print(f'  {SCANS.source.caveat}')
print(f'IT energy of a scan: {COST.joules / 3600:.3g} Wh, within a factor of {COST.u_rel:g}')
print(f'PUE: {FACILITY.value:g}')

# %%
# A band goes from the lower end of the interval, if as many papers as possible cite both papers
# on FreeSurfer of 1999, to the upper end, if none does. In each year a scan takes what was
# published in 2021: nobody told what it took on the computers, and with the FreeSurfer, of then.
# A band is the interval of its assumption, and no bound of the truth: papers that ran nothing
# are below all three.

now = datetime.now(timezone.utc)
years = [year for year, _ in series('dale').whole if year >= 2010]
world = parse('world').over(now, now)  # of no effect on kilowatt hours


def ends(year, scans, grid):
    """The least and the most that a year's papers may come to."""
    few, many = (estimate(COST, papers * scans, grid, FACILITY) for papers in citing(year))
    return few.footprint, many.footprint


figure, axes = plt.subplots(figsize=(7, 5.8))
for colour, scans in zip(('C2', 'C1', 'C0'), EACH, strict=True):
    pairs = [ends(year, scans, world) for year in years]
    low, high = ([pair[i].kwh_bounds[i] / 1e3 for pair in pairs] for i in (0, 1))
    axes.fill_between(years, low, high, color=colour, alpha=0.3, lw=0)
    middle = (low[-1] * high[-1]) ** 0.5
    axes.annotate(f'if {scans:,} scans\na paper', (2020.2, middle), color=colour, va='center')
axes.set(yscale='log', xlim=(2010, 2022.5), xlabel='Year', ylabel='MWh in that year')
axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
_ = axes.set_title('MWh implied by papers that cite FreeSurfer, if …; logarithmic')

# %%
# The papers of 2020 in tonnes, had all been computed on one grid. There is no middle to be
# marked: only ranges.

figure, axes = plt.subplots(figsize=(7, 5.4))
for step, (colour, scans) in enumerate(zip(('C2', 'C1', 'C0'), EACH, strict=True)):
    for place, zone in enumerate(reversed(ELSEWHERE)):
        few, many = ends(2020, scans, parse(zone).over(now, now))
        y, label = place + 0.24 * (1 - step), '' if place else f'if {scans:,} scans a paper'
        width = [few.low / 1e6, many.high / 1e6]
        axes.plot(width, [y, y], colour, lw=6, alpha=0.6, solid_capstyle='butt', label=label)
axes.set_yticks(range(len(ELSEWHERE)), reversed(ELSEWHERE))
axes.set(xscale='log', xlabel='Tonnes of CO2e', ylim=(-0.6, len(ELSEWHERE) - 0.4))
axes.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
axes.grid(visible=False, axis='y')
figure.suptitle('Tonnes of CO2e implied by papers of 2020 that cite FreeSurfer, if …')
_ = figure.legend(loc='outside lower center', ncols=3, columnspacing=1, handlelength=1.2)
