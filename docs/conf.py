"""Sphinx builds the pages from here."""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # its extensions

import kltools  # noqa: E402

project = "kltools"
author = "The kltools developers"
version = release = kltools.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "tables",
    "pictures",
]
exclude_patterns = ["recipes"]

numpydoc_show_class_members = False
autodoc_typehints = "none"
add_module_names = False
default_role = "py:obj"  # names in docstrings are links where the reference has them
nitpicky = True
nitpick_ignore_regex = [("py:obj", r".*")]

_NEEDS_TORCH = "vae_digits.py"
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$" if importlib.util.find_spec("torch") else rf"(?<!{_NEEDS_TORCH[:-3]})\.py$",
    "ignore_pattern": r"make_data\.py",
    "image_scrapers": ("pictures.written",),
    "default_thumb_file": str(HERE / "_static" / "thumb.png"),
    "reset_argv": "pictures.arguments",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "abort_on_example_error": True,
}

html_theme = "furo"
html_title = "kltools"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False
html_copy_source = False
