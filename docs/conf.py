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
    'sphinxarg.ext',
    'stagepages',
]
myst_enable_extensions = ['dollarmath', 'deflist']
autosummary_generate = True
numpydoc_show_class_members = False
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = 'nicarbon'
html_static_path = ['_static']
html_css_files = ['stages.css']
# Nipype's interfaces inherit thousands of traits; their own pages describe them.
autodoc_default_options = {'members': True, 'undoc-members': False}
