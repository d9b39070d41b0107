"""What a table of measurements must say about where it comes from."""

import argparse
import datetime
import platform
from pathlib import Path

import llvmlite
import numba
import numpy as np
import scipy

import kltools
from kltools._jit import available_cores


def heading(title: str) -> str:
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (kltools, numba, llvmlite, np, scipy))
    return (
        f"# {title}\n\n{datetime.date.today()}, Python {platform.python_version()}, {versions}; "
        f"{platform.machine()}, {available_cores()} cores, {platform.system()}.\n"
    )


def publish(text: str) -> None:
    """Print a table, and write it to the file given by --out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    print(text)
    if out is not None:
        out.write_text(text + "\n")
