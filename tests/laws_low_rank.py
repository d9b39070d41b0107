"""Low-rank Gaussians: examples, the laws of SciPy that they must agree with, and divergences in exact arithmetic."""

import numpy as np
from mpmath import mp
from scipy import stats

import kltools as kl

D, RANK = 3, 2
DIGITS = 100


def low_rank(rng, batch):
    return kl.LowRankMultivariateNormal(
        mean=rng.normal(size=(*batch, D)),
        cov_factor=rng.normal(size=(*batch, D, RANK)),
        cov_diag=rng.gamma(3.0, size=(*batch, D)),
    )


EXAMPLES = {kl.LowRankMultivariateNormal: low_rank}
ORACLES = {
    kl.LowRankMultivariateNormal: lambda p: stats.multivariate_normal(
        p.mean, p.cov_factor @ p.cov_factor.T + np.diag(p.cov_diag)
    )
}
WITHOUT_ENTROPY = set()


def covariance(parameters):
    """The matrix that the parameters of any Gaussian family mean."""
    if "cov" in parameters:
        return mp.matrix(parameters["cov"])
    variances = parameters["var"] if "var" in parameters else parameters["cov_diag"]
    d = len(variances)
    factor = mp.matrix(parameters["cov_factor"]) if "cov_factor" in parameters else mp.zeros(d, 1)
    return factor * factor.T + mp.diag([mp.mpf(v) for v in variances])


def kl_gaussians(p, q):
    with mp.workdps(DIGITS):
        cov_p, cov_q = covariance(p), covariance(q)
        inverse = cov_q**-1
        ratio = inverse * cov_p
        pairs = zip(p["mean"], q["mean"], strict=True)
        shift = mp.matrix([mp.fsub(mp.mpf(a), mp.mpf(b), exact=True) for a, b in pairs])
        trace = mp.fsum(ratio[i, i] for i in range(cov_p.rows))
        log_det = mp.log(mp.det(cov_p)) - mp.log(mp.det(cov_q))
        return (trace - cov_p.rows - log_det + (shift.T * inverse * shift)[0]) / 2


_NAME = "LowRankMultivariateNormal"
_OTHERS = (_NAME, "MultivariateNormalDiag", "MultivariateNormal")
EXACT = {pair: kl_gaussians for other in _OTHERS for pair in ((_NAME, other), (other, _NAME))}

GRID = {
    _NAME: [
        {"mean": [0.0, 0.0], "cov_factor": [[1.0], [0.5]], "cov_diag": [1.0, 2.0]},
        {"mean": [0.0, 0.0], "cov_factor": [[1.0 + 1e-8], [0.5]], "cov_diag": [1.0, 2.0 - 1e-9]},
        {"mean": [1e-9, 0.0], "cov_factor": [[1.0], [0.5]], "cov_diag": [1.0, 2.0]},
        {"mean": [0.0, 0.0], "cov_factor": [[-0.5], [3.0]], "cov_diag": [1e-8, 2.0]},
        {"mean": [1.0, -2.0], "cov_factor": [[0.3, 1.0, 0.2], [0.1, -1.0, 4.0]], "cov_diag": [0.1, 0.2]},
        {"mean": [0.0, 0.0], "cov_factor": [[0.0], [0.0]], "cov_diag": [1.0, 2.0]},
        {"mean": [0.0, 1e-100], "cov_factor": [[1e-100], [2e-100]], "cov_diag": [1e-200, 3e-200]},
        {"mean": [1e100, 0.0], "cov_factor": [[1e100], [2e100]], "cov_diag": [1e200, 3e200]},
    ],
    "MultivariateNormalDiag": [
        {"mean": [0.0, 0.0], "var": [1.0, 2.0]},
        {"mean": [1.0, -1.0], "var": [1e-8, 1e8]},
        {"mean": [0.0, 1e-100], "var": [1e-200, 2e-200]},
    ],
    "MultivariateNormal": [
        {"mean": [0.0, 0.0], "cov": [[2.0, -0.5], [-0.5, 3.0]]},
        {"mean": [1.0, -1.0], "cov": [[1e-8, 1e-9], [1e-9, 1e-8]]},
        {"mean": [0.0, 1e-100], "cov": [[1e-200, 0.0], [0.0, 2e-200]]},
    ],
}
