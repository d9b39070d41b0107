"""The gallery shows the pictures that examples write when they are given a path."""

import builtins
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx_gallery.scrapers import figure_rst

DRAWING = {"fit_direction.py", "pictures.py"}
_NAME = "picture.png"


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """What an example is called with."""
    builtins.__file__ = script_vars[
        "src_file"
    ]  # examples look for their data beside them, the gallery has no such name
    return [_NAME] if Path(script_vars["src_file"]).name in DRAWING else []


def written(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """The picture that the example has left, moved to where the gallery keeps its own."""
    left = Path(block_vars["src_file"]).parent / _NAME
    if not left.exists():
        return ""
    place = next(block_vars["image_path_iterator"])
    left.replace(place)
    return figure_rst([place], gallery_conf["src_dir"])


def setup(app: Sphinx) -> dict[str, Any]:
    return {"parallel_read_safe": True}
