"""Distributions, and the table of their families.

A family is a frozen dataclass whose fields are declared with `param`, which states the domain once:
validation, documentation and tests read it.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar, dataclass_transform

import numpy as np

from . import _arrays, _validation
from ._jit import is_ours
from ._parameters import check_axes, check_domain, declaration, is_finite
from .errors import InvalidTypeError, NoClosedFormError, ShapeMismatchError

FAMILIES: dict[str, type["Distribution"]] = {}  # those of the library: a user's may have the same names

T = TypeVar("T", bound=type)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def family(cls: T) -> T:
    """Make a class a family of distributions: a frozen keyword-only dataclass that the library knows by name.

    Parameters
    ----------
    cls : type
        Subclass of `Distribution` whose fields are declared with `param`. It may define ``_log_prob(x)``,
        ``_sample(rng, shape)``, ``_entropy()``, ``_support()`` and ``_bulk()``.

    Returns
    -------
    type

    Examples
    --------
    >>> from kltools import Distribution, family, param
    >>> @family
    ... class Exponential(Distribution):
    ...     rate: float = param("positive")
    >>> Exponential(rate=[1.0, 2.0]).batch_shape
    (2,)
    """
    has_own_init = "__init__" in vars(cls)
    made: Any = dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)
    if not has_own_init:
        made.__init__ = _with_names_checked(made)
    if is_ours(made):
        FAMILIES[made.__name__] = made
    return made


def _with_names_checked(cls: Any) -> Callable[..., None]:
    """The ``__init__`` of a family, with a message that knows the family."""
    init, names = cls.__init__, {field.name for field in dataclasses.fields(cls)}

    @functools.wraps(init)
    def __init__(self: Any, /, *values: Any, **parameters: Any) -> None:
        if values or parameters.keys() != names:
            raise InvalidTypeError(_wrong_names(type(self), len(values), parameters))
        init(self, **parameters)

    return __init__


def _wrong_names(cls: type, n_positional: int, given: Iterable[str]) -> str:
    names = [field.name for field in dataclasses.fields(cls)]
    unknown = [name for name in given if name not in names]
    missing = [name for name in names if name not in given]
    came = [f"{n_positional} positional argument{'s' * (n_positional > 1)}"] * bool(n_positional)
    came += [f"no parameter {', '.join(missing)}"] * bool(missing and not n_positional)
    came += [f"the unknown {', '.join(unknown)}"] * bool(unknown)
    others = [name for name in dir(cls) if name.startswith("from_")]
    ways = [f"{cls.__name__}.{name}({_signature(getattr(cls, name))})" for name in others]
    advice = f"; there is also {', '.join(ways)}" if ways else ""
    call = f"{cls.__name__}({_signature(cls)})"
    return f"{cls.__name__} takes its parameters by name, {call}; got {' and '.join(came)}{advice}."


def unwrap(array: Any) -> Any:
    """A float for a 0-d array, the array itself otherwise."""
    return float(array) if np.ndim(array) == 0 else array


class Distribution:
    """A distribution, or a batch of distributions of one family.

    Parameters are keyword-only, are converted to float64, and broadcast against each other:
    ``batch_shape`` is the shape of the batch, ``event_shape`` that of one draw. Indexing selects from the
    batch. ``==`` tells whether two are the same object, not whether they have the same parameters: for this ask
    whether ``kl_divergence(p, q)`` is 0.

    Attributes
    ----------
    batch_shape, event_shape : tuple of int

    Examples
    --------
    >>> import kltools as kl
    >>> batch = kl.MultivariateNormalDiag(mean=[[0.0, 0.0], [1.0, 1.0]], var=[1.0, 1.0])
    >>> batch
    MultivariateNormalDiag(batch_shape=(2,), event_shape=(2,))
    >>> batch[1].log_prob([1.0, 1.0]).__round__(4)
    -1.8379
    """

    scipy_name: ClassVar[str | None] = None
    is_continuous: ClassVar[bool] = True
    _derived: ClassVar[dict[str, int]] = {}  # properties that closed forms take like parameters, and their event axes
    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        batches, events = [], []
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            array = self._check_parameter(field, getattr(self, field.name))
            object.__setattr__(self, field.name, array)
            split = array.ndim - self._declared(field.name, array.ndim)[1]
            batches.append(array.shape[:split])
            events.append(array.shape[split:])
        shapes = ", ".join(f"{f.name} {getattr(self, f.name).shape}" for f in dataclasses.fields(self))  # type: ignore[arg-type]
        try:
            batch_shape = np.broadcast_shapes(*batches)
        except ValueError:
            raise ShapeMismatchError(f"{self._name}: batch shapes do not broadcast: {shapes}.") from None
        event_shape = self._event_shape(*events)
        if event_shape is None:
            raise ShapeMismatchError(f"{self._name}: event shapes differ: {shapes}.")
        object.__setattr__(self, "batch_shape", batch_shape)
        object.__setattr__(self, "event_shape", event_shape)
        self._prepare()

    def _check_parameter(self, field: dataclasses.Field, value: Any) -> np.ndarray:
        name = f"{field.name} of {self._name}"
        array = _arrays.numeric_array(value, name, copy=True)  # what the caller does to it later must not matter
        domain, n_axes = self._declared(field.name, array.ndim)
        check_axes(array, n_axes, name)
        check_domain(array, domain, name)
        return array

    def _declared(self, name: str, ndim: int) -> tuple[str, int]:
        """Domain and number of event axes of a parameter that was given with ndim axes."""
        return declaration(type(self), name)

    def _event_shape(self, *events: tuple[int, ...]) -> tuple[int, ...] | None:
        """Shape of one draw, from the event axes of all parameters; None where they do not fit together."""
        return events[0] if len({length for event in events for length in event}) <= 1 else None

    def _prepare(self) -> None:
        """Check what concerns several parameters, and keep what is derived from them."""

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def __repr__(self) -> str:
        if any(array.ndim for array in self.parameters.values()):
            return f"{self._name}(batch_shape={self.batch_shape}, event_shape={self.event_shape})"
        return f"{self._name}({', '.join(f'{k}={float(v)!r}' for k, v in self.parameters.items())})"

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        if not self.batch_shape:
            raise InvalidTypeError(f"{self!r} is a single distribution, not a batch: it has no length.")
        return self.batch_shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> "Distribution":
        """Select from the batch, as from an array of shape ``batch_shape``."""
        return self._take(np.asarray(flat_positions(self)[index]))

    def _take(self, positions: np.ndarray) -> "Distribution":
        return type(self)(**{name: self._gather(name, positions) for name in self.parameters})

    def _gather(self, name: str, positions: np.ndarray) -> np.ndarray:
        """Rows of a parameter at flat positions of the batch."""
        array = getattr(self, name)
        event = array.shape[array.ndim - self._declared(name, array.ndim)[1] :]
        return np.broadcast_to(array, self.batch_shape + event).reshape((-1, *event))[positions]

    def log_prob(self, x: Any) -> Any:
        """Logarithm of the density (or probability) at x, in nats.

        Parameters
        ----------
        x : array-like
            Shape ``(..., *event_shape)``; the leading axes broadcast against ``batch_shape``.

        Returns
        -------
        float or ndarray
            nan where x holds nan, -inf where it holds an infinite number.
        """
        array = _arrays.numeric_array(x, "x")
        n_event = len(self.event_shape)
        if array.shape[array.ndim - n_event :] != self.event_shape:
            raise ShapeMismatchError(f"x of shape {array.shape} does not end in the event shape {self.event_shape}.")
        broadcast_shapes(array.shape[: array.ndim - n_event], self.batch_shape, "the leading axes of x and the batch.")
        with np.errstate(over="ignore"):  # far out a density is 0
            if is_finite(array):
                return unwrap(self._log_prob(array))
            value = self._log_prob(np.where(np.isfinite(array), array, 0.0))
        event_axes = tuple(range(array.ndim - n_event, array.ndim))
        value = np.where(np.isinf(array).any(axis=event_axes), -math.inf, value)
        return unwrap(np.where(np.isnan(array).any(axis=event_axes), math.nan, value))

    def sample(self, size: int | tuple[int, ...] = (), random_state: Any = None) -> Any:
        """Draw from the distribution.

        Parameters
        ----------
        size : int or tuple of int
            Number of draws from each distribution of the batch.
        random_state : None, int, numpy.random.Generator or numpy.random.RandomState

        Returns
        -------
        float or ndarray of shape ``(*size, *batch_shape, *event_shape)``
            A draw beyond float64 is infinite.
        """
        lengths, rng = _validation.lengths(size), _validation.generator(random_state)
        with np.errstate(divide="ignore", over="ignore"):
            return unwrap(self._sample(rng, lengths + self.batch_shape))

    def entropy(self) -> Any:
        """Entropy in nats: a float, or an array of shape ``batch_shape``."""
        return unwrap(np.broadcast_to(self._entropy(), self.batch_shape) + 0.0)  # never -0.0

    def _support(self) -> tuple[Any, Any] | None:
        """Least and largest value of a scalar distribution (arrays over the batch); None where that says nothing."""
        return None

    def _bulk(self) -> tuple[Any, Any]:
        """A point among most of the mass of a scalar distribution, and roughly how far that reaches to each side."""
        raise NotImplementedError(f"{self._name} defines no _bulk().")

    def _pieces(self) -> tuple["Distribution", ...]:
        """Of a single scalar distribution, those whose supports and bulks tell where its mass is."""
        return (self,)

    def _moments(self) -> tuple[Any, Any] | None:
        """Mean and variance of every coordinate, inf where there is none; None where they have no formula here."""
        return None

    def _table(self) -> np.ndarray | None:
        """Log-probabilities of all values along the last axis, where these are the same few for every batch."""
        return None

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        raise NoClosedFormError(f"{self._name} defines no _log_prob(x), which its log_prob needs.")

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        raise NoClosedFormError(f"{self._name} defines no _sample(rng, shape), which its sample needs.")

    def _entropy(self) -> np.ndarray:
        raise NoClosedFormError(
            f"{self._name} defines no _entropy(); average -p.log_prob(x) over draws x of p, or in one dimension use "
            'entropy(p, method="quadrature").'
        )


def flat_positions(distribution: Distribution) -> np.ndarray:
    """The flat position of each distribution of a batch, in the shape of the batch."""
    return np.arange(math.prod(distribution.batch_shape)).reshape(distribution.batch_shape)


def broadcast_shapes(first: tuple[int, ...], second: tuple[int, ...], advice: str) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        raise ShapeMismatchError(f"shapes do not broadcast: {first} and {second}, {advice}") from None


def check_distribution(x: Any, name: str) -> Distribution:
    """The door for arguments that must be distributions."""
    if isinstance(x, Distribution):
        return x
    if _is_foreign(x):
        foreign = getattr(getattr(x, "dist", None), "name", None) or type(x).__name__.removesuffix("_frozen")
        ours = [f for f, cls in FAMILIES.items() if foreign in (f, cls.scipy_name, f"{cls.scipy_name}_gen")]
        advice = f"kltools.{ours[0]}({_signature(FAMILIES[ours[0]])})" if ours else "the family of kltools"
        raise InvalidTypeError(f"{name} is a distribution of {_arrays.library(x)}; build {advice} instead.")
    if isinstance(x, type) and issubclass(x, Distribution):
        raise InvalidTypeError(f"{name} is the class {x.__name__}; build one: {x.__name__}({_signature(x)}).")
    raise InvalidTypeError(
        f"{name} is a {type(x).__name__}, a Distribution is needed. For samples use estimate_kl(X, Y); "
        "for probabilities kl_divergence(Categorical(probs=p), Categorical(probs=q))."
    )


def _is_foreign(x: Any) -> bool:
    return type(x).__module__.startswith(("torch.distributions", "scipy.stats"))


def refuse_foreign(x: Any, name: str) -> None:
    """Raise for a distribution of another library, where other things than distributions are welcome too."""
    if _is_foreign(x):
        check_distribution(x, name)


def check_single(law: Distribution, name: str, advice: str = "") -> None:
    """Raise for a batch."""
    if law.batch_shape:
        raise ShapeMismatchError(f"{name} must be a single distribution, it has batch shape {law.batch_shape}{advice}.")


def check_same_events(p: Distribution, q: Distribution, name_p: str = "p", name_q: str = "q") -> None:
    """Raise where draws have different shapes."""
    if p.event_shape != q.event_shape:
        raise ShapeMismatchError(
            f"events differ: {name_p} draws shape {p.event_shape}, {name_q} draws shape {q.event_shape}."
        )


def check_same_kind(p: Distribution, q: Distribution) -> None:
    """Raise where one has a density and the other probabilities."""
    if p.is_continuous != q.is_continuous:
        raise InvalidTypeError(f"one of {p._name} and {q._name} has densities, the other probabilities.")


def _signature(function: Callable[..., Any]) -> str:
    return ", ".join(f"{name}=..." for name in inspect.signature(function).parameters)
