"""Divergences of distributions made of others: relatives that add up, and pairs with families that say the same."""

from typing import Any

import numpy as np

from ..closed_forms import kl_divergence, register_kl
from ..distribution import Distribution
from ..divergences import total_variation
from ..maps import Exp
from ..relatives import has_affinity, log_affinity, register_relative, registered
from .gaussian import MultivariateNormal, MultivariateNormalDiag, Normal
from .positive_scale import LogNormal
from .structural import (
    Independent,
    Product,
    Transformed,
    common_bases,
    kl_independent,
    kl_transformed,
    sum_last,
)


def _log_affinity(p: Distribution, q: Distribution, alpha: float) -> np.ndarray:
    """By its closed form, in the shape of the batch."""
    value = log_affinity(p, q, alpha, "closed_form", "renyi")
    return np.broadcast_to(value, np.broadcast_shapes(p.batch_shape, q.batch_shape))


# ---------------------------------------------------------------- Independent, and diagonal Gaussians


def _as_independent(law: Any) -> Independent:
    return law if isinstance(law, Independent) else Independent(Normal(mean=law.mean, var=law.var), 1)


def _bases(p: Distribution, q: Distribution) -> tuple[Distribution, Distribution, int]:
    return common_bases(_as_independent(p), _as_independent(q))


@register_kl(Independent, MultivariateNormalDiag)
@register_kl(MultivariateNormalDiag, Independent)
def kl_independent_diagonal(p: Distribution, q: Distribution, device: str) -> np.ndarray:
    """A diagonal Gaussian is made of independent normal numbers."""
    return kl_independent(_as_independent(p), _as_independent(q), device)


def _bases_have_affinity(p: Distribution, q: Distribution) -> bool:
    return has_affinity(*_bases(p, q)[:2])


@register_relative("log_affinity", Independent, Independent, only_where=_bases_have_affinity)
@register_relative("log_affinity", Independent, MultivariateNormalDiag, only_where=_bases_have_affinity)
@register_relative("log_affinity", MultivariateNormalDiag, Independent, only_where=_bases_have_affinity)
def log_affinity_independent(p: Distribution, q: Distribution, *, alpha: float) -> np.ndarray:
    """Affinities of independent parts are multiplied."""
    base_p, base_q, n = _bases(p, q)
    return sum_last(_log_affinity(base_p, base_q, alpha), n)


def _is_one_part(p: Independent, q: Independent) -> bool:
    *bases, n = common_bases(p, q)
    is_one = all(base.batch_shape[len(base.batch_shape) - n :] == (1,) * n for base in bases)
    return is_one and registered("total_variation", *bases) is not None


@register_relative("total_variation", Independent, Independent, only_where=_is_one_part)
def total_variation_independent(p: Independent, q: Independent) -> np.ndarray:
    """That of the only part."""
    *bases, n = common_bases(p, q)
    return sum_last(total_variation(*bases, method="closed_form"), n)


# ---------------------------------------------------------------- Product


def _components_have_affinity(p: Product, q: Product) -> bool:
    events_p, events_q = ([component.event_shape for component in each.components] for each in (p, q))
    return events_p == events_q and all(map(has_affinity, p.components, q.components))


@register_relative("log_affinity", Product, Product, only_where=_components_have_affinity)
def log_affinity_product(p: Product, q: Product, *, alpha: float) -> Any:
    """Affinities of independent components are multiplied."""
    return sum(_log_affinity(a, b, alpha) for a, b in zip(p.components, q.components, strict=True))


# ---------------------------------------------------------------- Gaussians made of Gaussians


def _as_gaussian(law: Any) -> Any:
    """The same distribution as a family of Gaussians; None where it is none."""
    if isinstance(law, MultivariateNormal | MultivariateNormalDiag):
        return law
    if isinstance(law, Normal):
        return MultivariateNormalDiag(mean=law.mean[..., None], var=law.var[..., None])
    if isinstance(law, Independent) and law.n_event_dims == 1 and isinstance(law.base, Normal):
        mean, var = (np.broadcast_to(array, law.base.batch_shape) for array in (law.base.mean, law.base.var))
        return MultivariateNormalDiag(mean=mean, var=var)
    if isinstance(law, Product):
        parts = [_as_gaussian(component) for component in law.components]
        return None if None in parts else _joined(parts, law.batch_shape)
    return None


def _joined(parts: list[Any], batch_shape: tuple[int, ...]) -> Distribution:
    def side_by_side(name: str) -> np.ndarray:
        arrays = (getattr(part, name) for part in parts)
        return np.concatenate([np.broadcast_to(a, batch_shape + a.shape[-1:]) for a in arrays], axis=-1)

    mean = side_by_side("mean")
    if all(isinstance(part, MultivariateNormalDiag) for part in parts):
        return MultivariateNormalDiag(mean=mean, var=side_by_side("var"))
    cov, start = np.zeros((*mean.shape, mean.shape[-1])), 0
    for part in parts:
        full = part if isinstance(part, MultivariateNormal) else part.to_full()
        stop = start + full.event_shape[0]
        cov[..., start:stop, start:stop] = full.cov
        start = stop
    return MultivariateNormal(mean=mean, cov=cov)


def _are_gaussian(p: Distribution, q: Distribution) -> bool:
    """p and q consist of Gaussians."""
    return _as_gaussian(p) is not None and _as_gaussian(q) is not None


def kl_of_gaussians(p: Distribution, q: Distribution, device: str) -> Any:
    """Independent Gaussians are one Gaussian."""
    return kl_divergence(_as_gaussian(p), _as_gaussian(q), device=device)


def log_affinity_of_gaussians(p: Distribution, q: Distribution, *, alpha: float) -> np.ndarray:
    """The same."""
    return _log_affinity(_as_gaussian(p), _as_gaussian(q), alpha)


for _one, _other in (
    (Independent, MultivariateNormal),
    (Independent, Product),
    (Product, MultivariateNormal),
    (Product, MultivariateNormalDiag),
):
    for _pair in ((_one, _other), (_other, _one)):
        register_kl(*_pair, only_where=_are_gaussian)(kl_of_gaussians)
        register_relative("log_affinity", *_pair, only_where=_are_gaussian)(log_affinity_of_gaussians)


# ---------------------------------------------------------------- Transformed, and log-normal distributions


def _as_transformed(law: Any) -> Transformed:
    return law if isinstance(law, Transformed) else Transformed(Normal(mean=law.mean, var=law.var), Exp())


@register_kl(Transformed, LogNormal)
@register_kl(LogNormal, Transformed)
def kl_transformed_log_normal(p: Distribution, q: Distribution, device: str) -> Any:
    """A log-normal number is the exponential of a normal one."""
    return kl_transformed(_as_transformed(p), _as_transformed(q), device)


def _origins(p: Distribution, q: Distribution) -> tuple[Distribution, Distribution] | None:
    """The bases, where the maps are equal."""
    p, q = _as_transformed(p), _as_transformed(q)
    return (p.base, q.base) if p.map == q.map else None


def _origins_have_affinity(p: Distribution, q: Distribution) -> bool:
    bases = _origins(p, q)
    return bases is not None and has_affinity(*bases)


@register_relative("log_affinity", Transformed, Transformed, only_where=_origins_have_affinity)
@register_relative("log_affinity", Transformed, LogNormal, only_where=_origins_have_affinity)
@register_relative("log_affinity", LogNormal, Transformed, only_where=_origins_have_affinity)
def log_affinity_transformed(p: Distribution, q: Distribution, *, alpha: float) -> np.ndarray:
    """That of the bases."""
    return _log_affinity(_as_transformed(p).base, _as_transformed(q).base, alpha)


def _origins_have_variation(p: Distribution, q: Distribution) -> bool:
    bases = _origins(p, q)
    return bases is not None and registered("total_variation", *bases) is not None


@register_relative("total_variation", Transformed, Transformed, only_where=_origins_have_variation)
@register_relative("total_variation", Transformed, LogNormal, only_where=_origins_have_variation)
@register_relative("total_variation", LogNormal, Transformed, only_where=_origins_have_variation)
def total_variation_transformed(p: Distribution, q: Distribution) -> Any:
    """That of the bases."""
    return total_variation(_as_transformed(p).base, _as_transformed(q).base, method="closed_form")
