"""Gaussian mixtures that several tests share."""

import numpy as np

import kltools as kl

# of one coordinate, for quadrature
P1 = kl.GaussianMixture(weights=[0.3, 0.7], means=[[-2.0], [1.0]], covs=[[0.5], [1.5]])
Q1 = kl.GaussianMixture(weights=[0.5, 0.2, 0.3], means=[[-1.0], [0.0], [2.0]], covs=[[[2.0]], [[1.0]], [[3.0]]])


def parameters(seed, n_components, d, batch=()):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(*batch, n_components, d, d + 3))
    return {
        "weights": rng.dirichlet(np.ones(n_components), size=batch),
        "means": 2.0 * rng.normal(size=(*batch, n_components, d)),
        "covs": factor @ np.swapaxes(factor, -1, -2) / d,
    }


def variances(covs):
    return np.diagonal(covs, axis1=-2, axis2=-1).copy()
