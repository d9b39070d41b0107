"""The version of this package, for who reads it without importing the rest."""

__version__ = "0.1.0"
