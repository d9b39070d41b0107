"""Every exception and warning of kltools.

A message says what came, why it cannot work and what to do, in the words of our own arguments.
"""

__all__ = [
    "DeviceMemoryError",
    "DeviceUnavailableError",
    "InfiniteDivergenceWarning",
    "InvalidParameterError",
    "InvalidTypeError",
    "KLToolsError",
    "KLToolsWarning",
    "MissingDependencyError",
    "NoClosedFormError",
    "NotEnoughSamplesError",
    "PoorOverlapWarning",
    "ShapeMismatchError",
    "SmallSampleWarning",
    "StateVersionWarning",
    "TiesWarning",
    "UnreliableEstimateWarning",
]


class KLToolsError(Exception):
    """Base class of all errors raised on purpose by kltools."""


class InvalidParameterError(KLToolsError, ValueError):
    """An argument has a value outside its domain."""


class InvalidTypeError(KLToolsError, TypeError):
    """An argument is of a kind that can never work."""


class ShapeMismatchError(KLToolsError, ValueError):
    """Shapes of arrays, batches or events do not fit together."""


class NotEnoughSamplesError(KLToolsError, ValueError):
    """A sample has fewer rows than the estimator needs."""


class NoClosedFormError(KLToolsError, NotImplementedError):
    """There is no formula for this pair of distributions, or for this quantity."""


class DeviceUnavailableError(KLToolsError, RuntimeError):
    """A device was asked for that cannot be used here."""


class DeviceMemoryError(KLToolsError, MemoryError):
    """The memory of a device does not suffice."""


class MissingDependencyError(KLToolsError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


class KLToolsWarning(UserWarning):
    """Base class of all warnings of kltools."""


class InfiniteDivergenceWarning(KLToolsWarning):
    """The samples say that P has mass where Q has none: the divergence is infinite."""


class TiesWarning(KLToolsWarning):
    """Rows or distances repeat, which a continuous distribution never does."""


class UnreliableEstimateWarning(KLToolsWarning):
    """The number should not be believed without further evidence."""


class SmallSampleWarning(KLToolsWarning):
    """There are few rows for the chosen number of neighbours, or few counts for the categories."""


class StateVersionWarning(KLToolsWarning):
    """The state of an estimator was saved by another version of kltools."""


class PoorOverlapWarning(KLToolsWarning):
    """The samples hardly overlap, or not everywhere, so that an estimate is at best a lower bound."""
