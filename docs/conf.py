"""Sphinx configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import nicarbon

sys.path.insert(0, str(Path(__file__).parent))

project = 'nicarbon'
author = 'The nicarbon developers'
copyright = author
release = version = nicarbon.__version__

extensions = [
    'myst_parser',
    'numpydoc',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.mathjax',
    'sphinx_gallery.gen_gallery',
    'sphinxarg.ext',
    'stagepages',
]
myst_enable_extensions = ['dollarmath', 'deflist']
autosummary_generate = True
numpydoc_show_class_members = False
exclude_patterns = ['_build', 'examples']
html_theme = 'furo'
html_title = 'nicarbon'
html_static_path = ['_static']
html_css_files = ['stages.css', 'gallery.css']
# Nipype's interfaces inherit thousands of traits; their own pages describe them.
autodoc_default_options = {'members': True, 'undoc-members': False}
sphinx_gallery_conf = {
    'examples_dirs': 'examples',
    'gallery_dirs': 'gallery',
    'within_subsection_order': 'FileNameSortKey',
    'capture_repr': (),
    'image_srcset': ['2x'],
    'download_all_examples': False,
    # They rest on tables and on nicarbon, whose changes an example's own text does not show.
    'run_stale_examples': True,
    'show_signature': False,
    # What a build took is no fact of the examples.
    'min_reported_time': 3600,
    'write_computation_times': False,
}
