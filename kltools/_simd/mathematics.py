"""What the words of the module `math` mean for vectors."""

from math import inf, pi

from .elementary import exp, log, log1p
from .lanes import sqrt

__all__ = ["exp", "inf", "log", "log1p", "pi", "sqrt"]
