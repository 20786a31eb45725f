"""Sphinx configuration. `make docs` builds the pages into build/docs."""

from importlib.util import find_spec

import harness

project = "Autodiff cross-check"
author = "The autodiff cross-check harness authors"
copyright = f"2026, {author}"  # noqa: A001, the name that Sphinx asks for
version = release = harness.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
highlight_language = "none"  # of blocks that name no language: formulas, and what a terminal shows
html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["dark.css"]
exclude_patterns = ["examples"]
nitpicky = False
myst_heading_anchors = 3  # links such as verdict.md#a-function-of-your-own

autodoc_mock_imports = [] if find_spec("autograd") else ["autograd"]  # of a drop-in
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
