"""`latent_report`: from what an encoder puts out to what it says of the latent space."""

from __future__ import annotations

from typing import Any

from .. import _latent_validation, _progress, _validation
from .._jit import effective_n_jobs
from ..errors import InvalidParameterError, InvalidTypeError, ShapeMismatchError
from .aggregate import random_rows
from .drawn import report_of_draws
from .known import Seen, report_of
from .report import LatentReport

DEFAULT_SAMPLES, DEFAULT_COMPONENTS = 10_000, 100_000
FEWEST_COMPONENTS = 100
_FEWEST_SAMPLES, _MOST_SAMPLES = 100, 10**8


def latent_report(
    mu: Any,
    log_var: Any,
    z: Any = None,
    *,
    prior: Any = None,
    labels: Any = None,
    n_samples: int = DEFAULT_SAMPLES,
    max_components: int = DEFAULT_COMPONENTS,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: Any = None,
) -> LatentReport:
    r"""Tell whether the latent space of a trained VAE is sound, from what its encoder gives for a data set.

    With :math:`q(z|x_i) = \mathcal{N}(\mu_i, e^{v_i})` for all n inputs and the aggregate posterior
    :math:`q(z) = \frac1n \sum_i q(z|x_i)`, the mean KL of a prior with independent units is

    .. math::
        \frac1n \sum_i \mathrm{KL}(q(z|x_i) \,\|\, p(z)) = \underbrace{I(x; z)}_{\le \log n}
        + \underbrace{\mathrm{KL}\Big(q(z) \,\Big\|\, \prod_j q(z_j)\Big)}_{\text{total correlation}}
        + \sum_j \mathrm{KL}(q(z_j) \,\|\, p(z_j))

    The left side is exact. Densities of q are those of the whole mixture, at draws from it; what is averaged are log
    q(z|x) - log q(z) and the same of each unit, rid of the noise that control variates explain, so that the parts sum
    to the mean KL exactly. Nothing is estimated from minibatches.

    Parameters
    ----------
    mu, log_var : array-like of shape (n, d), or list of batches of shape (rows, d), or None
        Outputs of the encoder, equal shapes; NumPy, torch (any device, dtype, with gradients), frames, lists. Both None
        where nothing but z is known.
    z : array-like of shape (n, d), optional
        A code for each row that was drawn from its posterior. With mu and log_var it is only checked against them;
        alone it gives what samples can tell: the KL of each unit, and the aggregate KL by "auto" on the units that
        differ from the prior or depend on others, to which the rest add what they do as if all were normal.
    prior : Normal, MultivariateNormalDiag, MultivariateNormal, GaussianMixture, or array-like of shape (m, d), optional
        N(0, I) by default. A mixture is what VampPrior is; rows are draws of a prior without a known density.
    labels : array-like of shape (n,), or list of batches, optional
        Classes of the rows, for the mean KL of each, and for pictures.
    n_samples : int, >= 100
        Draws from the aggregate posterior, rounded up to as many from each component; from 10,000 of them, once each,
        where there are more components. The work is that of n_samples n d exponentials.
    max_components : int, >= 100
        Of more rows a random part are the components of q(z); the bias of that is removed and its error told.
    n_jobs : int, optional
        Threads, -1 for all cores. The result does not depend on it.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
    progress : True or callable, optional
        As `show_progress` takes it.

    Returns
    -------
    LatentReport
        ``summary()`` shows all, ``warnings`` say what is wrong in words; no Python warnings are given.

    Raises
    ------
    InvalidParameterError, InvalidTypeError, ShapeMismatchError, NotEnoughSamplesError
        For nan and inf, log_var beyond +-1400, unequal shapes and no rows; the message names argument, row and latent.
        For frames whose columns have different names, or whose indices differ.

    References
    ----------
    M. D. Hoffman and M. J. Johnson (2016), ELBO surgery, section 2. R. T. Q. Chen, X. Li, R. Grosse and D. Duvenaud
    (2018), Isolating sources of disentanglement, eq. 2. Y. Burda, R. Grosse and R. Salakhutdinov (2016), Importance
    weighted autoencoders, section 5.1 (active units). A. Kolchinsky and B. D. Tracey (2017), Estimating mixture entropy
    with pairwise distances, eq. 10.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> rng = np.random.default_rng(0)
    >>> mu = 0.9 * rng.normal(size=(2000, 2)) * [1.0, 0.0]
    >>> log_var = np.log([0.19, 1.0]) * np.ones((2000, 2))
    >>> report = kl.latent_report(mu, log_var, random_state=0)
    >>> round(report.mutual_information.value, 1), report.collapsed
    (0.8, (1,))
    """
    n_samples, most = checked_sizes(n_samples, max_components)
    threads = effective_n_jobs(_validation.check_n_jobs(n_jobs))
    rng = _validation.generator(random_state)
    shown = _progress.shown(_progress.checked(progress), everywhere=True)
    if (mu is None) != (log_var is None):
        missing, given = ("mu", "log_var") if mu is None else ("log_var", "mu")
        raise InvalidTypeError(f"{missing} is None while {given} is given; pass both, or neither of them and z.")
    if mu is None:
        if z is None:
            raise InvalidTypeError("mu, log_var and z are all None; pass mu and log_var, or at least z.")
        codes = _latent_validation.latent_table(z, "z")
        names = _latent_validation.latent_names(z, codes.shape[1])
        classes = _latent_validation.latent_labels(labels, len(codes))
        _latent_validation.check_same_rows(z, labels, "z", "labels")
        with shown:
            return report_of_draws(codes, names, prior, classes, threads, rng)
    means, log_variances = _latent_validation.encoder_outputs(mu, log_var)
    n, d = means.shape
    drawn = None if z is None else _latent_validation.latent_table(z, "z")
    if drawn is not None and drawn.shape != means.shape:
        raise ShapeMismatchError(f"z has shape {drawn.shape}, mu has shape {means.shape}: one code for each row.")
    classes = _latent_validation.latent_labels(labels, n)
    _latent_validation.check_alike(mu, z, "mu", "z")
    _latent_validation.check_same_rows(mu, labels, "mu", "labels")
    rows = random_rows(n, most, rng)
    with shown:
        seen = Seen.of(means, log_variances, prior, rows, classes, drawn)
        return report_of(seen, _latent_validation.latent_names(mu, d), n_samples, threads, rng)


def checked_sizes(n_samples: Any, max_components: Any) -> tuple[int, int]:
    """Draws and components, of which memory must hold some numbers each."""
    n_samples = _validation.integer(n_samples, "n_samples", minimum=_FEWEST_SAMPLES)
    if n_samples > _MOST_SAMPLES:
        raise InvalidParameterError(
            f"n_samples must be <= {_MOST_SAMPLES}, got {n_samples}; errors fall with its root, and 10,000 draws are "
            "usually enough."
        )
    return n_samples, _validation.integer(max_components, "max_components", minimum=FEWEST_COMPONENTS)
