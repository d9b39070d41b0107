"""Distributions made of others: batches read as events, independent parts side by side, images under maps."""

import dataclasses
import math
from typing import Any

import numpy as np

from .. import _validation
from ..closed_forms import kl_divergence, register_kl, way_out
from ..distribution import Distribution, broadcast_shapes, check_distribution, flat_positions
from ..errors import InvalidParameterError, InvalidTypeError, NoClosedFormError, ShapeMismatchError
from ..maps import Affine


class Composed(Distribution):
    """A distribution without parameters of its own: `parameters` are what it is composed of."""

    _parts: tuple[str, ...]

    def _keep(self, **attributes: Any) -> None:
        for name, value in attributes.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"{self._name} cannot be changed; build another one.")

    @property
    def parameters(self) -> dict[str, Any]:
        """What the distribution is composed of, by name."""
        return {name: getattr(self, name) for name in self._parts}

    def __repr__(self) -> str:
        return f"{self._name}({', '.join(f'{name}={value!r}' for name, value in self.parameters.items())})"


# ---------------------------------------------------------------- Independent


class Independent(Composed):
    """A batch whose last axes are read as the event: one distribution of independent parts.

    Parameters
    ----------
    base : Distribution
    n_event_dims : int
        How many of the last axes of the batch of ``base`` become the first axes of the event.

    Raises
    ------
    ShapeMismatchError
        Where the batch has fewer axes.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.Independent(kl.Normal(mean=[[0, 0], [1, 1]], var=1), 1)
    >>> p.batch_shape, p.event_shape
    ((2,), (2,))
    >>> kl.kl_divergence(p, kl.Independent(kl.Normal(mean=[0, 0], var=1), 1))
    array([0., 1.])
    """

    _parts = ("base", "n_event_dims")
    base: Distribution
    n_event_dims: int

    def __init__(self, base: Distribution, n_event_dims: int):
        base = check_distribution(base, "base of Independent")
        n_event_dims = _validation.integer(n_event_dims, "n_event_dims", minimum=0)
        split = len(base.batch_shape) - n_event_dims
        if split < 0:
            raise ShapeMismatchError(
                f"n_event_dims is {n_event_dims}, but the batch of base has shape {base.batch_shape}."
            )
        batch_shape, event_shape = base.batch_shape[:split], base.batch_shape[split:] + base.event_shape
        self._keep(base=base, n_event_dims=n_event_dims, is_continuous=base.is_continuous)
        self._keep(batch_shape=batch_shape, event_shape=event_shape)

    def _take(self, positions: np.ndarray) -> "Independent":
        events = flat_positions(self.base).reshape((-1, *self.base.batch_shape[len(self.batch_shape) :]))
        return Independent(self.base._take(events[positions]), self.n_event_dims)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return sum_last(self.base._log_prob(x), self.n_event_dims)

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        return self.base._sample(rng, shape + self.base.batch_shape[len(self.batch_shape) :])

    def _entropy(self) -> np.ndarray:
        return sum_last(np.broadcast_to(self.base._entropy(), self.base.batch_shape), self.n_event_dims)


def sum_last(values: Any, n_axes: int) -> np.ndarray:
    """The sum over the last axes."""
    return np.sum(values, axis=tuple(range(np.ndim(values) - n_axes, np.ndim(values))))


@register_kl(Independent, Independent)
def kl_independent(p: Independent, q: Independent, device: str) -> np.ndarray:
    """The sum of the divergences of the parts."""
    *bases, n = common_bases(p, q)
    return sum_last(kl_divergence(*bases, device=device), n)


def common_bases(p: Independent, q: Independent) -> tuple[Distribution, Distribution, int]:
    """Batches whose last axes both read as the event, and how many these are."""
    n = min(p.n_event_dims, q.n_event_dims)
    first, second = (
        each.base if each.n_event_dims == n else Independent(each.base, each.n_event_dims - n) for each in (p, q)
    )
    return first, second, n


# ---------------------------------------------------------------- Product


class Product(Composed):
    """Independent components side by side: their draws are joined along the last axis.

    Parameters
    ----------
    *components : Distribution
        One or several, whose draws are numbers (which count as vectors of length 1) or vectors; their batches
        broadcast.

    Raises
    ------
    ShapeMismatchError
        Where draws have more than one axis, or batches do not broadcast.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.Product(kl.Normal(mean=0, var=1), kl.Categorical(probs=[0.9, 0.1]))
    >>> q = kl.Product(kl.Normal(mean=1, var=1), kl.Categorical(probs=[0.5, 0.5]))
    >>> kl.kl_divergence(p, q).__round__(4)  # 0.5 and 0.3681
    0.8681
    """

    _parts = ("components",)
    components: tuple[Distribution, ...]

    def __init__(self, *components: Distribution):
        if not components:
            raise InvalidParameterError("Product needs at least one component.")
        batch_shape: tuple[int, ...] = ()
        for i, component in enumerate(components):
            check_distribution(component, f"component {i} of Product")
            if len(component.event_shape) > 1:
                raise ShapeMismatchError(
                    f"component {i} of Product draws shape {component.event_shape}; numbers and vectors can be joined."
                )
            batch_shape = broadcast_shapes(batch_shape, component.batch_shape, "the batches of the components.")
        lengths = [math.prod(component.event_shape) for component in components]
        is_continuous = all(component.is_continuous for component in components)
        self._keep(components=components, is_continuous=is_continuous)
        self._keep(batch_shape=batch_shape, event_shape=(sum(lengths),), _ends=np.cumsum(lengths)[:-1])

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.components))})"

    def _take(self, positions: np.ndarray) -> "Product":
        taken = []
        for component in self.components:
            own = np.broadcast_to(flat_positions(component), self.batch_shape).reshape(-1)
            taken.append(component._take(own[positions]))
        return Product(*taken)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        total: Any = 0.0
        for component, part in zip(self.components, np.split(x, self._ends, axis=-1), strict=True):  # type: ignore[attr-defined]
            total = total + component._log_prob(part if component.event_shape else part[..., 0])
        return total

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        draws = []
        for component in self.components:
            drawn = component._sample(rng, shape)
            draws.append(drawn if component.event_shape else drawn[..., None])
        return np.concatenate(draws, axis=-1)

    def _entropy(self) -> Any:
        return sum(np.broadcast_to(component._entropy(), component.batch_shape) for component in self.components)


@register_kl(Product, Product)
def kl_product(p: Product, q: Product, device: str) -> Any:
    """The sum of the divergences of the components."""
    events_p, events_q = ([component.event_shape for component in each.components] for each in (p, q))
    if events_p != events_q:
        raise NoClosedFormError(
            f"the components of p draw the shapes {events_p}, those of q {events_q}; only divergences between "
            f"components of equal shapes can be summed; {way_out(p, q)}."
        )
    return sum(kl_divergence(a, b, device=device) for a, b in zip(p.components, q.components, strict=True))


# ---------------------------------------------------------------- Transformed


class Transformed(Composed):
    """The distribution of y = map(x) for x from a continuous distribution.

    A divergence does not change under an invertible map: that of two of these with equal maps is that of the bases.

    Parameters
    ----------
    base : Distribution
        A continuous one.
    map : object
        One of `kltools.maps`, or anything with ``forward(x)``, ``inverse(y)`` (nan where y is no image) and
        ``log_abs_det_jacobian(x)``: an array of the shape of x, which is summed over the event, or one number for
        each event. Draws keep their shape. Two maps are equal where ``==`` says so. A map of some numbers only names
        the ends of their interval as its ``domain``.

    Raises
    ------
    InvalidParameterError
        Where the base has values outside the domain of the map; by ``sample`` where only a draw shows it.
    NoClosedFormError
        By ``entropy()``, unless the map is `Affine`, and by `kl_divergence` where the maps differ.

    References
    ----------
    S. Kullback and R. A. Leibler (1951), On information and sufficiency, theorem 4.1.

    Examples
    --------
    >>> import kltools as kl
    >>> p = kl.Transformed(kl.Normal(mean=0, var=1), kl.maps.Exp())
    >>> kl.kl_divergence(p, kl.Transformed(kl.Normal(mean=1, var=1), kl.maps.Exp()))
    0.5
    """

    _parts = ("base", "map")
    base: Distribution
    map: Any

    def __init__(self, base: Distribution, map: Any):
        base = check_distribution(base, "base of Transformed")
        if not base.is_continuous:
            raise InvalidParameterError(
                f"base of Transformed must have a density, {base!r} has probabilities; relabel its values instead."
            )
        missing = [
            name
            for name in ("forward", "inverse", "log_abs_det_jacobian")
            if not callable(getattr(map, name, None)) or isinstance(map, type)
        ]
        if missing:
            raise InvalidTypeError(
                f"map of Transformed is {map!r}, which has no {', '.join(missing)}; pass one of kltools.maps, as in "
                "Transformed(base, kltools.maps.Exp())."
            )
        low, high = getattr(map, "domain", (-math.inf, math.inf))
        least, greatest = base._support() or (low, high)
        if np.less(least, low).any() or np.greater(greatest, high).any():
            raise InvalidParameterError(
                f"{map!r} takes numbers from {low:g} to {high:g}, {base!r} has values from {np.min(least):g} to "
                f"{np.max(greatest):g}; pass a base within."
            )
        self._keep(base=base, map=map, batch_shape=base.batch_shape, event_shape=base.event_shape)

    def _take(self, positions: np.ndarray) -> "Transformed":
        return Transformed(self.base._take(positions), self.map)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        event_axes = tuple(range(x.ndim - len(self.event_shape), x.ndim))
        with np.errstate(all="ignore"):
            origin = self._same_shape(self.map.inverse(x), x)
            is_inside = np.isfinite(origin).all(axis=event_axes)
            value = self.base._log_prob(origin) - self._log_volume(origin)
        return np.where(is_inside | np.isnan(x).any(axis=event_axes), value, -np.inf)

    def _log_volume(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of what the map multiplies volumes with at x, one number for each event."""
        volume, n_axes = np.asarray(self.map.log_abs_det_jacobian(x)), len(self.event_shape)
        if volume.shape == x.shape:
            return sum_last(volume, n_axes)
        if volume.shape == x.shape[: x.ndim - n_axes]:
            return volume
        raise ShapeMismatchError(
            f"log_abs_det_jacobian of {self.map!r} has shape {volume.shape} for x of shape {x.shape}; "
            f"{x.shape}, or without the axes of the event, is needed."
        )

    def _same_shape(self, image: Any, x: np.ndarray) -> np.ndarray:
        image = np.asarray(image, dtype=np.float64)
        if image.shape != x.shape:
            raise ShapeMismatchError(
                f"{self.map!r} makes shape {image.shape} out of shape {x.shape}; it must keep shapes."
            )
        return image

    def _sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        x = np.asarray(self.base._sample(rng, shape))
        with np.errstate(invalid="ignore"):
            image = self._same_shape(self.map.forward(x), x)
        if np.isnan(image).any():
            raise InvalidParameterError(
                f"{self.map!r} makes nan of {int(np.isnan(image).sum())} draws of {self.base!r}, the first is "
                f"{x[np.isnan(image)][0]:g}; pass a base whose values it takes."
            )
        return image

    def _entropy(self) -> np.ndarray:
        if not isinstance(self.map, Affine):
            raise NoClosedFormError(
                f"the entropy of a Transformed has no closed form for the map {self.map!r}; average -p.log_prob(x) "
                "over draws x of p, or compare p with another distribution: "
                "estimate_kl_monte_carlo(p, q, n_samples=100_000, random_state=0)."
            )
        return self.base._entropy() + self._log_volume(np.zeros(self.event_shape))

    def _support(self) -> tuple[Any, Any] | None:
        inner = self.base._support()
        if inner is None:
            return None
        with np.errstate(all="ignore"):
            ends = [np.asarray(self.map.forward(np.asarray(end, dtype=np.float64))) for end in inner]
        return None if np.isnan(ends).any() else (np.minimum(*ends), np.maximum(*ends))

    def _bulk(self) -> tuple[Any, Any]:
        center, reach = self.base._bulk()
        with np.errstate(all="ignore"):
            low, middle, high = (self.map.forward(center + step) for step in (-reach, 0.0, reach))
        return middle, np.fmin(np.abs(high - middle), np.abs(low - middle))


@register_kl(Transformed, Transformed)
def kl_transformed(p: Transformed, q: Transformed, device: str) -> Any:
    """That of the bases, where the maps are equal."""
    if p.map != q.map:
        raise NoClosedFormError(f"p and q are images under different maps, {p.map!r} and {q.map!r}; {way_out(p, q)}.")
    return kl_divergence(p.base, q.base, device=device)
