"""
Participants of datasets
========================

How many people are in a dataset, in the year in which there were that many. A participant is
not a scan: in CoRR, 1,629 participants have 5,093 functional scans.
"""

import matplotlib.pyplot as plt

from nicarbon.trends import cohorts

plt.style.use('nicarbon.mplstyle')
BLUE, ORANGE, BLACK = '#0072B2', '#D55E00', '#222222'

# %%
# A filled circle is a dataset that was complete, at the year of the paper that describes it. A
# hollow one was still growing: it stands where it was counted, and its line begins where it was
# described. UK Biobank had 5,000 participants imaged when it was described in 2016: 43,000 at
# that year, as they have been drawn, would be the number of 2021.

LABELS = {
    ('ABCD', 2021): (9, 0), ('HBN', 2021): (9, 5), ('ADNI', 2021): (9, -5),
    ('CoRR', 2014): (0, 9), ('HCP-YA', 2013): (-9, 5), ('ADHD-200', 2012): (-9, 4),
    ('OASIS-1', 2007): (-6, -11), ('OASIS-2', 2010): (9, 0), ('CANDI', 2008): (9, 0),
    ('PedsMRI', 2006): (-2, 9), ('NARPS', 2019): (9, 0),
    ('ENIGMA, all', 2014): (0, 10), ('ENIGMA GWAS', 2020): (9, 2),
}  # fmt: skip

figure, axes = plt.subplots(figsize=(7, 6.4))
for one in cohorts():
    colour = ORANGE if one.kind == 'consortium' else BLUE
    marker = 'D' if one.kind == 'consortium' else 'o'
    if one.growing and one.name != 'UKB':
        span = [one.since, one.year]
        axes.plot(span, [one.participants] * 2, color=colour, lw=1, alpha=0.35)
    fill = 'white' if one.growing else colour
    axes.plot(one.year, one.participants, marker, color=colour, mfc=fill, ms=7, alpha=0.85)
    if shift := LABELS.get((one.name, one.year)):
        side = 'center' if abs(shift[0]) < 5 else 'left' if shift[0] > 0 else 'right'
        axes.annotate(
            one.name, (one.year, one.participants), shift, textcoords='offset points',
            ha=side, va='center' if side != 'center' else 'baseline', color=BLACK,
        )  # fmt: skip

biobank = [one for one in cohorts() if one.name == 'UKB']
steps = zip(*[(one.year, one.participants) for one in biobank], strict=True)
axes.plot(*steps, ':', color=BLUE)
for one in biobank:
    axes.annotate(
        f'UKB {one.year}: {one.participants:,}', (one.year, one.participants), (-9, 3),
        textcoords='offset points', ha='right', color=BLUE, weight='bold',
    )  # fmt: skip

axes.set(yscale='log', ylim=(60, 200_000), xlim=(2003, 2027.5), xlabel='Year')
axes.set_xticks(range(2005, 2026, 5))
axes.set_title('Participants (not scans) of datasets, by year; logarithmic')
axes.yaxis.set_major_formatter(lambda value, _: f'{value:,.0f}')
axes.plot([], [], 'o', color=BLUE, label='dataset')
axes.plot([], [], 'o', color=BLUE, mfc='white', label='dataset, still growing')
axes.plot([], [], 'D', color=ORANGE, label='consortium')
_ = figure.legend(loc='outside lower center', ncols=3, handletextpad=0.1, columnspacing=1)

# %%
# ENIGMA's working groups share participants: they stand side by side and do not add up. Nor do
# all single datasets: COBRE, MCIC and NUSDAST are in SchizConnect. Where the numbers are from:

for source in dict.fromkeys(one.source for one in cohorts()):
    print(f'- {source.cite}\n  {source.caveat}')
