"""Distributions of matrices: examples, the laws of SciPy that they must agree with, and exact divergences."""

import itertools
from types import SimpleNamespace

import numpy as np
from mpmath import mp
from scipy import stats
from scipy.special import digamma

import kltools as kl

D = 2
DIGITS = 100


def covariances(rng, batch, d=D):
    factor = rng.normal(size=(*batch, d, d + 2))
    return factor @ np.swapaxes(factor, -1, -2) / d


def moments(mean, covariance):
    """As the walk wants them: of the entries of a draw, row after row."""
    d = mean.shape[0]
    entries = list(itertools.product(range(d), range(d)))
    matrix = [[covariance(i, j, k, m) for k, m in entries] for i, j in entries]
    return mean.reshape(-1), SimpleNamespace(covariance=np.array(matrix))


class WishartLaw:
    """SciPy's law, with draws along the first axis."""

    def __init__(self, p):
        self.law = stats.wishart(float(p.df), p.scale)
        v, df = p.scale, float(p.df)
        self.mean, self.cov_object = moments(df * v, lambda i, j, k, m: df * (v[i, k] * v[j, m] + v[i, m] * v[j, k]))

    def logpdf(self, x):
        return self.law.logpdf(np.moveaxis(np.asarray(x), (-2, -1), (0, 1)))

    def rvs(self, size, random_state):
        return self.law.rvs(size=size, random_state=random_state)

    def entropy(self):
        return self.law.entropy()

    def total_mass(self, p):
        """An integral over (log l_11, log l_22, l_21) of a Cholesky factor l, on a grid that draws have chosen."""
        factors = np.linalg.cholesky(self.positive(self.rvs(4000, np.random.default_rng(0))))
        places = np.stack([np.log(factors[:, 0, 0]), np.log(factors[:, 1, 1]), factors[:, 1, 0]])
        axes = [
            np.linspace(x.mean() - 12.0 * x.std(), x.mean() + 9.0 * x.std(), 121) for x in places
        ]  # logarithms reach further down
        u, v, w = np.meshgrid(*axes, indexing="ij")
        factor = np.stack([np.stack([np.exp(u), 0.0 * u], -1), np.stack([w, np.exp(v)], -1)], -2)
        x = factor @ np.swapaxes(factor, -1, -2)
        cell = np.prod([axis[1] - axis[0] for axis in axes])
        return cell * (4.0 * np.exp(3.0 * u + 2.0 * v + self.log_volume(u + v) + p.log_prob(self.positive(x)))).sum()

    def positive(self, x):
        return x

    def log_volume(self, half_log_det):
        return 0.0


class InverseWishartLaw(WishartLaw):
    """The integral is over the inverse matrices, whose tails are short."""

    def __init__(self, p):
        self.law, self.p = stats.invwishart(float(p.df), p.scale), p
        v, rest = p.scale, float(p.df) - len(p.scale)
        self.mean, self.cov_object = moments(
            v / (rest - 1.0),
            lambda i, j, k, m: (
                (2.0 * v[i, j] * v[k, m] + (rest - 1.0) * (v[i, k] * v[j, m] + v[i, m] * v[k, j]))
                / (rest * (rest - 1.0) ** 2 * (rest - 3.0))
            ),
        )

    def entropy(self):
        """From that of the inverse: SciPy's own takes log 2 once in place of d times (seen in 1.17)."""
        d, df = len(self.p.scale), float(self.p.df)
        log_det = digamma(0.5 * (df - np.arange(d))).sum() + d * np.log(2.0) - np.linalg.slogdet(self.p.scale)[1]
        return stats.wishart(df, np.linalg.inv(self.p.scale)).entropy() - (d + 1.0) * log_det

    def positive(self, x):
        return np.linalg.inv(x)

    def log_volume(self, half_log_det):
        return -2.0 * (D + 1.0) * half_log_det


class MatrixNormalLaw:
    """SciPy's law, with the moments of its entries."""

    def __init__(self, p):
        self.law = stats.matrix_normal(p.mean, p.row_cov, p.col_cov)
        self.shape = p.mean.shape
        self.mean, self.cov_object = p.mean.reshape(-1), SimpleNamespace(covariance=np.kron(p.row_cov, p.col_cov))
        self.logpdf, self.entropy = self.law.logpdf, self.law.entropy

    def rvs(self, size, random_state):
        return self.law.rvs(size=size, random_state=random_state)

    def total_mass(self, p):
        """An integral over independent entries."""
        axis = np.linspace(-7.0, 7.0, 29)
        noise = np.stack(np.meshgrid(*[axis] * self.mean.size, indexing="ij"), axis=-1)
        factor = np.linalg.cholesky(self.cov_object.covariance)
        x = (self.mean + noise @ factor.T).reshape(*noise.shape[:-1], *self.shape)
        cell = (axis[1] - axis[0]) ** self.mean.size * np.linalg.det(factor)
        return cell * np.exp(p.log_prob(x)).sum()


EXAMPLES = {
    kl.Wishart: lambda rng, batch: kl.Wishart(df=rng.uniform(3.0, 9.0, size=batch), scale=covariances(rng, batch)),
    kl.InverseWishart: lambda rng, batch: kl.InverseWishart(
        df=rng.uniform(12.0, 20.0, size=batch), scale=covariances(rng, batch)
    ),
    kl.MatrixNormal: lambda rng, batch: kl.MatrixNormal(
        mean=rng.normal(size=(*batch, D, D)), row_cov=covariances(rng, batch), col_cov=covariances(rng, batch)
    ),
}
ORACLES = {kl.Wishart: WishartLaw, kl.InverseWishart: InverseWishartLaw, kl.MatrixNormal: MatrixNormalLaw}
WITHOUT_ENTROPY = set()


# ---------------------------------------------------------------- exact arithmetic


def symmetric(rows):
    """A matrix from the lower triangle, which is what is read."""
    return mp.matrix([[rows[max(i, j)][min(i, j)] for j in range(len(rows))] for i in range(len(rows))])


def trace(matrix):
    return mp.fsum(matrix[i, i] for i in range(matrix.rows))


def log_multigamma(x, d):
    return mp.fsum(mp.loggamma(x - mp.mpf(j) / 2) for j in range(d))


def multidigamma(x, d):
    return mp.fsum(mp.digamma(x - mp.mpf(j) / 2) for j in range(d))


def kl_wishart(p, q):
    with mp.workdps(DIGITS):
        return _kl_wishart(mp.mpf(p["df"]), symmetric(p["scale"]), mp.mpf(q["df"]), symmetric(q["scale"]))


def kl_inverse_wishart(p, q):
    with mp.workdps(DIGITS):
        return _kl_wishart(mp.mpf(p["df"]), symmetric(p["scale"]) ** -1, mp.mpf(q["df"]), symmetric(q["scale"]) ** -1)


def _kl_wishart(df_p, scale_p, df_q, scale_q):
    """The textbook formula."""
    d = scale_p.rows
    if (df_p, scale_p) == (df_q, scale_q):
        return mp.zero
    log_det = mp.log(mp.det(scale_p)) - mp.log(mp.det(scale_q))
    gammas = log_multigamma(df_q / 2, d) - log_multigamma(df_p / 2, d)
    shapes = gammas + (df_p - df_q) / 2 * multidigamma(df_p / 2, d)
    return df_p / 2 * (trace(scale_q**-1 * scale_p) - d) - df_q / 2 * log_det + shapes


def kl_matrix_normal(p, q):
    with mp.workdps(DIGITS):
        rows, cols = ([symmetric(each[name]) for each in (p, q)] for name in ("row_cov", "col_cov"))
        shift = mp.matrix(p["mean"]) - mp.matrix(q["mean"])
        n, m = shift.rows, shift.cols
        inverses = rows[1] ** -1, cols[1] ** -1
        mean = trace(inverses[1] * shift.T * inverses[0] * shift)
        log_det = m * mp.log(mp.det(rows[0]) / mp.det(rows[1])) + n * mp.log(mp.det(cols[0]) / mp.det(cols[1]))
        return (trace(inverses[0] * rows[0]) * trace(inverses[1] * cols[0]) - n * m - log_det + mean) / 2


EXACT = {
    ("Wishart", "Wishart"): kl_wishart,
    ("InverseWishart", "InverseWishart"): kl_inverse_wishart,
    ("MatrixNormal", "MatrixNormal"): kl_matrix_normal,
}

_UNIT, _TILTED = [[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.5], [0.5, 1.0]]
_BY_DF = [
    {"df": 3.0, "scale": _UNIT},
    {"df": 3.0 + 1e-8, "scale": _UNIT},
    {"df": 3.0, "scale": [[1.0 + 1e-8, 1e-9], [1e-9, 1.0]]},
    {"df": 1.0 + 1e-9, "scale": _TILTED},
    {"df": 1.5, "scale": [[1e-150, 0.0], [0.0, 3e-150]]},
    {"df": 40.0, "scale": [[1e150, 1e149], [1e149, 2e150]]},
    {"df": 1e6, "scale": [[1e-6, 0.0], [0.0, 1e-6]]},
    {"df": 1e6 + 1.0, "scale": _TILTED},
    {"df": 1e12, "scale": _TILTED},
]
GRID = {
    "Wishart": _BY_DF,
    "InverseWishart": _BY_DF,
    "MatrixNormal": [
        {"mean": [[0.0, 0.0]], "row_cov": [[1.0]], "col_cov": _UNIT},
        {"mean": [[1e-9, 0.0]], "row_cov": [[1.0 + 1e-8]], "col_cov": [[1.0, 1e-8], [1e-8, 1.0 - 1e-8]]},
        {"mean": [[1.0, -1.0]], "row_cov": [[3.0]], "col_cov": _TILTED},
        {"mean": [[0.0, 0.0]], "row_cov": [[1e-150]], "col_cov": [[2e150, 0.0], [0.0, 1e150]]},
        {"mean": [[0.0, 1e-100]], "row_cov": [[1e-200]], "col_cov": _TILTED},
    ],
}
