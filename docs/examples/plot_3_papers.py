"""
Papers that cite a pipeline
===========================

How many papers of a year cite FreeSurfer, and how many are about machine learning on MRI of
the brain. A paper is not a run: it may have run nothing, or everything ten times.
"""

import matplotlib.pyplot as plt

from nicarbon.trends import citing, series

plt.style.use('nicarbon.mplstyle')
BLUE, ORANGE = '#0072B2', '#D55E00'

# %%
# Of FreeSurfer, two papers of 1999 were looked up. A paper that cites both is in both numbers:
# between the larger of them and their sum lies how many papers there were. The published figure
# shows the sum. Those that cite only a later paper on FreeSurfer are missing.
#
# Of deep-learning pipelines such as FastSurfer (published in 2020) no yearly number was found
# that has a source. What was counted are all papers with machine learning of any kind: they
# show where the field goes, and not how often any pipeline runs.

years = [year for year, _ in series('dale').whole]
fewest, most = zip(*map(citing, years), strict=True)
learning = series('learning').whole

figure, axes = plt.subplots(figsize=(7, 5.5))
axes.fill_between(years, fewest, most, color=BLUE, alpha=0.3, lw=0)
axes.plot(years, fewest, color=BLUE, lw=1)
axes.plot(years, most, color=BLUE, lw=1)
axes.plot(*zip(*learning, strict=True), 'D-', color=ORANGE, ms=5)
axes.annotate(
    f'cite FreeSurfer:\n{fewest[-1]} to {most[-1]} in {years[-1]}', (2020, 740), (8, 0),
    textcoords='offset points', color=BLUE, va='center',
)  # fmt: skip
axes.annotate(
    f'machine learning\non MRI of the brain:\n{learning[-1][1]:,} in {learning[-1][0]}',
    learning[-1], (8, -12), textcoords='offset points', color=ORANGE, va='center',
)  # fmt: skip
axes.set(xlim=(1998.5, 2026.5), ylim=(0, 2100), xlabel='Year', ylabel='Papers in that year')
axes.set_xticks(range(2000, 2021, 5))
axes.yaxis.set_major_formatter(lambda value, _: f'{value:,.0f}')
_ = axes.set_title('Papers in each year (not added up, and not runs)')

# %%
# 2021 is not drawn: it was half over when it was counted. Where the numbers are from:

for name in ('dale', 'learning'):
    print(f'- {series(name).source.cite}\n  {series(name).source.caveat}')
