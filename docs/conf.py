"""Sphinx configuration: MyST pages, executed notebooks, API pages from docstrings."""

from __future__ import annotations

import sys
from pathlib import Path

import pullback

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pullback"
author = "the pullback authors"
copyright = "2026, the pullback authors"
release = pullback.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
extensions += ["op_table", "plain_docstrings"]  # in _ext/
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = "pullback"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_ivar = True
