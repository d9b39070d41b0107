"""Divergences and affinities of distributions of angles and of directions."""

import math
from typing import Any

import numpy as np

from .._affinity import fisher_log_affinity
from .._bessel import bessel_divergence, bessel_ratio, log_bessel_gap, log_hankel_remainder
from .._formula import Formula
from .._gamma_ratio import gamma_ratio_divergence, gamma_ratio_remainder
from .._jit import jit
from .._scalar import x_minus_log1p
from ..closed_forms import register_kl
from ..relatives import register_relative
from .directional import HypersphericalUniform, PowerSpherical, VonMises, VonMisesFisher


@register_kl(VonMises, VonMises)
def kl_von_mises_von_mises(loc_p, concentration_p, loc_q, concentration_q):
    """The divergence at one mean direction, and A(concentration_p) concentration_q (1 - cos(loc_p - loc_q))."""
    sine = sine_of_half(loc_p, loc_q)
    turn = 2.0 * bessel_ratio(0.0, concentration_p) * concentration_q * sine * sine
    return bessel_divergence(0.0, concentration_p, concentration_q) + turn


@jit
def sine_of_half(a: float, b: float) -> float:
    """sin((a - b) / 2), also where a - b is not a float64: its rounding error is an angle, too."""
    a, b = 0.5 * a, 0.5 * b
    angle = a - b
    back = a - angle
    error = (a - (angle + back)) + (back - b)
    return math.sin(angle) * math.cos(error) + math.cos(angle) * math.sin(error)


@register_kl(VonMisesFisher, VonMisesFisher)
def kl_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher, device: str) -> np.ndarray:
    """That at one mean direction, and A(concentration_p) concentration_q (1 - cos) of the angle between the two."""
    height = _height_between(p, q, device)
    return _kl_von_mises_fisher(float(p.event_shape[0]), p.concentration, q.concentration, height, device=device)


@register_kl(PowerSpherical, VonMisesFisher)
def kl_power_spherical_von_mises_fisher(p: PowerSpherical, q: VonMisesFisher, device: str) -> np.ndarray:
    """Both divergences from the uniform law, less the mean of p times the concentration of q and the cosine."""
    height = _height_between(p, q, device)
    return _kl_power_fisher(float(p.event_shape[0]), p.concentration, q.concentration, height, device=device)


def _height_between(p: Any, q: Any, device: str = "cpu") -> np.ndarray:
    """1 - cos of the angle between two mean directions."""
    return _half_square.summed(p.mean_direction, q.mean_direction, n_axes=1, device=device)


@Formula
def _half_square(coordinate_p, coordinate_q):
    return 0.5 * (coordinate_p - coordinate_q) * (coordinate_p - coordinate_q)


@Formula
def _kl_von_mises_fisher(d, concentration_p, concentration_q, height):
    order = 0.5 * d - 1.0
    turn = bessel_ratio(order, concentration_p) * concentration_q
    return bessel_divergence(order, concentration_p, concentration_q) + turn * height


@Formula
def _kl_power_fisher(d, concentration_p, concentration_q, height):
    """Where both are concentrated the laws nearly agree at k_p = 2 k_q: the terms that cancel there are left out."""
    half, order = 0.5 * (d - 1.0), 0.5 * d - 1.0
    reach = concentration_p + 2.0 * half
    mean = concentration_p / reach
    if concentration_q >= max(50.0, order * order) and concentration_p >= 0.25 * concentration_q:
        excess = ((2.0 * concentration_q - concentration_p) - 2.0 * half) / reach
        gap = x_minus_log1p(excess) if abs(excess) < 0.25 else excess - math.log(2.0 * concentration_q / reach)
        rest = gamma_ratio_remainder(half, concentration_p) + log_hankel_remainder(order, concentration_q)
        step = 0.5 * half * (half - 1.0) * excess / concentration_q
        return half * gap + step + rest + mean * concentration_q * height
    if concentration_q <= order + 1.0:
        rest = bessel_divergence(order, 0.0, concentration_q) - mean * concentration_q
    else:
        rest = 2.0 * half / reach * concentration_q - log_bessel_gap(order, concentration_q)
    return gamma_ratio_divergence(half, concentration_p, 0.0) + rest + mean * concentration_q * height


@register_kl(VonMisesFisher, HypersphericalUniform)
def kl_von_mises_fisher_uniform(concentration_p, dim_q):
    """L'(k) k - L(k), where L(k) is the logarithm of the mean of exp(k m . x) over the sphere."""
    return bessel_divergence(0.5 * dim_q - 1.0, concentration_p, 0.0)


@register_kl(PowerSpherical, HypersphericalUniform)
def kl_power_spherical_uniform(concentration_p, dim_q):
    """k G'(k) - G(k) + G(0) with G(k) = lgamma(h + k) - lgamma(2 h + k) and h = (dim - 1) / 2."""
    return gamma_ratio_divergence(0.5 * (dim_q - 1.0), concentration_p, 0.0)


@register_kl(HypersphericalUniform, VonMisesFisher)
def kl_uniform_von_mises_fisher(dim_p, concentration_q):
    """L(k), the logarithm of the mean of exp(k m . x) over the sphere."""
    return bessel_divergence(0.5 * dim_p - 1.0, 0.0, concentration_q)


@register_kl(HypersphericalUniform, PowerSpherical)
def kl_uniform_power_spherical(dim_p, concentration_q):
    """G(k) - G(0) - k G'(0) with G(k) = lgamma(h + k) - lgamma(2 h + k) and h = (dim - 1) / 2."""
    return gamma_ratio_divergence(0.5 * (dim_p - 1.0), 0.0, concentration_q)


@register_kl(HypersphericalUniform, HypersphericalUniform)
def kl_uniform_uniform(dim_p, dim_q):
    """0: events of one shape have one sphere."""
    return 0.0


# ---------------------------------------------------------------- affinities


@register_relative("log_affinity", VonMises, VonMises)
def log_affinity_von_mises(loc_p, concentration_p, loc_q, concentration_q, alpha):
    sine = sine_of_half(loc_p, loc_q)
    return fisher_log_affinity(0.0, concentration_p, concentration_q, 2.0 * sine * sine, alpha)


_fisher_log_affinity = Formula(fisher_log_affinity)


@register_relative("log_affinity", VonMisesFisher, VonMisesFisher)
def log_affinity_von_mises_fisher(p: VonMisesFisher, q: VonMisesFisher, *, alpha: float) -> np.ndarray:
    order = 0.5 * p.event_shape[0] - 1.0
    return _fisher_log_affinity(order, p.concentration, q.concentration, _height_between(p, q), alpha)
