"""
Size of networks, and their arithmetic
======================================

Parameters are what a network has to know; multiply-accumulates (MACs, two floating-point
operations each) are what it has to do. The one does not tell the other.
"""

import math

import matplotlib.pyplot as plt

from nicarbon.complexity import networks
from nicarbon.trends import planar

plt.style.use('nicarbon.mplstyle')
KNOWN = {one.name.split(',')[0].split(' of MONAI')[0]: one for one in networks() if one.macs}


def kind(network):
    """Colour, marker and legend, by what one forward pass sees."""
    if 'Not a brain' in network.caveat or 'outside of neuro' in network.caveat:
        return '#707070', '^', 'not of the brain'
    if len(network.input_shape) == 3:
        return 'C0', 'o', 'sees a slice'
    return 'C1', 'D', 'sees a patch'


# %%
# Small marks are one forward pass. From those of FastSurfer a line goes to a large mark: a whole
# scan, which takes 256 slices (CerebNet: 128) in three planes, each with a network of its own.
# What a scan takes in the others depends on how patches overlap, and is not drawn.

LEFT = {'CerebNet', 'FastSurferCNN (v1)', 'FastSurferVINN (v2)', 'HypVINN', 'HighRes3DNet'}
SLIP = {'FastSurferCNN (v1)': -5, 'FastSurferVINN (v2)': 4, '3D U-Net': -4}

figure, axes = plt.subplots(figsize=(7, 7))
for name, one in KNOWN.items():
    colour, marker, label = kind(one)
    axes.plot(one.parameters, one.macs, marker, color=colour, ms=7, ls='', label=label)
    shift, side = (-9, 'right') if name in LEFT else (9, 'left')
    axes.annotate(
        name, (one.parameters, one.macs), (shift, SLIP.get(name, 0)), va='center', ha=side,
        textcoords='offset points', color='k' if marker != '^' else colour,
    )  # fmt: skip
for one in planar():
    start, scan = (one.network.parameters, one.network.macs), (one.parameters, one.macs_per_scan)
    axes.plot(*zip(start, scan, strict=True), 'C0', lw=1, alpha=0.5)
    axes.plot(*scan, 'C0o', ms=12, mfc='white', mew=2)
    text = f'{one.title}: {scan[1] / 1e12:.3g} trillion'
    axes.annotate(text, scan, (12, 0), textcoords='offset points', va='center')
axes.set(xscale='log', yscale='log', xlim=(4e4, 2e9), ylim=(1e9, 1e15), xlabel='Parameters')
axes.set_ylabel('Multiply-accumulates (MACs)')
axes.plot([], [], 'C0o', ms=12, mfc='white', mew=2, label='a whole scan')
axes.set_title('Networks: parameters against MACs; both logarithmic')
handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
_ = axes.legend(handles.values(), handles, loc='upper left')

# %%
# Slices, patches and heads are not of one size. Divided by the voxels of the input (as high and
# wide as it is; channels are not counted), those of the brain come to 0.2 to 0.9 million MACs,
# be they of one million parameters or of thirty. Slices are seen three times, once a plane.

voxels = sorted((one.macs / math.prod(one.input_shape[1:]), name) for name, one in KNOWN.items())
figure, axes = plt.subplots(figsize=(7, 5))
for row, (macs, name) in enumerate(voxels):
    colour, marker, _ = kind(KNOWN[name])
    axes.plot([0, macs / 1e6], [row, row], colour, lw=1, alpha=0.4)
    axes.plot(macs / 1e6, row, marker, color=colour, ms=8)
axes.set_yticks(range(len(voxels)), [name for _, name in voxels])
axes.set(xlim=(0, 1), xlabel='Millions of MACs per voxel of the input')
axes.grid(visible=False, axis='y')
_ = figure.suptitle('Multiply-accumulates of networks per voxel of their input')

# %%
# MeshNet-26 (147,474 parameters) is in neither figure: its MACs were not told, which is not
# none. Sources and caveats of each network: :doc:`/complexity`.
