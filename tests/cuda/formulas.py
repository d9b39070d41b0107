"""All formulas of the package, found in its modules."""

import importlib
import pkgutil

import kltools
from kltools._formula import Formula

MODULES = [m.name for m in pkgutil.walk_packages(kltools.__path__, "kltools.") if "__main__" not in m.name]
FORMULAS = sorted(
    {x for name in MODULES for x in vars(importlib.import_module(name)).values() if isinstance(x, Formula)}, key=repr
)
