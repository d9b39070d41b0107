"""Slow, obvious reference implementations. They share no code with the library."""

import itertools
import math
from fractions import Fraction

import cases
import mpmath
import numpy as np
from scipy.special import digamma, gammaln

TIE_TOLERANCE = 1e-9
DISCRETE_SHARE = 0.1


# ---------------------------------------------------------------- distances


def distances(X, Y):
    """All distances by the direct formula in float64, features summed one after the other."""
    total = np.zeros((len(X), len(Y)))
    for j in range(X.shape[1]):
        total += (X[:, j][:, None] - Y[:, j][None, :]) ** 2
    return np.sqrt(total)


def exact_distances(X, Y):
    """All distances with rational sums, rounded once: right at any scale."""
    rows = [[[Fraction(float(a)) for a in row] for row in sample] for sample in (X, Y)]
    out = np.empty((len(X), len(Y)))
    with mpmath.workprec(200):
        for (i, x), (j, y) in itertools.product(enumerate(rows[0]), enumerate(rows[1])):
            square = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
            out[i, j] = float(mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator))
    return out


def summed_once(X, Y):
    """All distances by the direct formula in float64, but for the sum, which is rounded once: for many features."""
    squares = (X[:, None, :] - Y[None, :, :]) ** 2
    return np.sqrt([[math.fsum(terms) for terms in row] for row in squares.tolist()])


def maximum_distances(X, Y):
    """All distances in the maximum norm."""
    return np.abs(X[:, None, :] - Y[None, :, :]).max(axis=2)


def kth_distances(X, Y=None, *, k, distances=distances):
    """Sorted distances to the 1st to k-th neighbour; without Y among the other rows of X."""
    table = distances(X, X if Y is None else Y)
    rows = [np.delete(row, i) if Y is None else row for i, row in enumerate(table)]
    return np.array([np.sort(row)[:k] for row in rows])


def counts_within(X, Y, radius, *, exclude_self=False):
    """Number of rows of Y within radius[i] of row i of X."""
    table = distances(X, Y)
    if exclude_self:
        np.fill_diagonal(table, np.inf)
    return np.array([sum(d <= r for d in row) for row, r in zip(table, radius, strict=True)])


SIZES = (1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 255, 256, 257, 700)
SEARCHED = {
    **{name: cases.KINDS[name] for name in cases.KINDS if name not in (*cases.EXTREME, "single_precision")},
    "clusters": lambda rng, n, d: (
        1e3 * np.random.default_rng(7).standard_normal((20, d))[rng.integers(0, 20, n)]
        + 1e-3 * rng.standard_normal((n, d))
    ),
    "as_large_as_can_be": lambda rng, n, d: np.ldexp(rng.standard_normal((n, d)), 477),
    "as_small_as_can_be": lambda rng, n, d: np.ldexp(rng.standard_normal((n, d)), -200),
}


def searches(d, sizes=SIZES, shift=0):
    """Points of every kind and number, with queries of which some are points, k, and excluded rows or None."""
    for trial, m in enumerate(sizes, shift):
        rng = np.random.default_rng([d, m, shift])
        kind = list(SEARCHED)[(trial + d) % len(SEARCHED)]
        sample = SEARCHED[kind]
        n = (1, 7, 8, 9, 17)[(trial + d) % 5]
        points, queries = sample(rng, m, d), sample(rng, n, d)
        queries[::2] = points[rng.integers(0, m, len(queries[::2]))]
        exclude = rng.integers(-1, m, n) if m > 1 and rng.random() < 0.6 else None
        k = min((1, 2, 5, 31, 64, 65, m)[rng.integers(7)], m if exclude is None else m - 1)
        yield kind, points, queries, k, exclude


def without(table, exclude):
    """A table of distances in which column exclude[i] of row i is inf; -1 excludes none."""
    table = table.copy()
    for i, j in enumerate([] if exclude is None else exclude):
        if j >= 0:
            table[i, j] = np.inf
    return table


def check_search(structure, queries, k, exclude, table, maxulp=4):
    """Whether the k neighbours, their rows, and counts, that a structure finds, are those of a table of distances.

    Its distances are compared to `maxulp`, but with each other to the bit.
    """
    table = without(table, exclude)
    distances, rows = structure.nearest(queries, k, exclude, True)
    np.testing.assert_array_max_ulp(distances, np.sort(table, axis=1)[:, :k], maxulp)
    np.testing.assert_array_max_ulp(np.take_along_axis(table, rows, axis=1), distances, maxulp)
    assert all(len(set(row)) == k for row in rows.tolist())
    np.testing.assert_array_equal(structure.nearest(queries, k, exclude, False)[0], distances)
    for j in {0, k // 2, k - 1}:
        radius = distances[:, j].copy()
        counts = structure.count_within(queries, radius, exclude)
        slack = 2 * maxulp * np.spacing(radius)
        assert (counts >= (distances <= radius[:, None]).sum(axis=1)).all()
        assert (counts <= (table <= (radius + slack)[:, None]).sum(axis=1)).all()


# ---------------------------------------------------------------- nearest-neighbour estimates


def is_tied(row, k):
    """Whether in a sorted row the k-th distance is 0 or is also the next one."""
    kth = row[k - 1]
    return kth == 0.0 or (k < len(row) and row[k] <= kth * (1.0 + TIE_TOLERANCE))


def knn_divergence(X, Y, ks):
    """Wang, Kulkarni and Verdu (2009): eq. 5, and eq. 17 at equal radii where distances in X tie or are 0."""
    return math.fsum(_knn_divergence(X, Y, k) for k in ks) / len(ks)


def _knn_divergence(X, Y, k):
    (n, d), m = X.shape, len(Y)
    own = [np.sort(np.delete(row, i)) for i, row in enumerate(distances(X, X))]
    other = [np.sort(row) for row in distances(X, Y)]
    tied = [is_tied(a, k) or b[k - 1] == 0.0 for a, b in zip(own, other, strict=True)]
    all_by_counts = sum(tied) > DISCRETE_SHARE * n
    terms = []
    for a, b, tie in zip(own, other, tied, strict=True):
        if tie or all_by_counts:
            radius = max(a[k - 1], b[k - 1]) * (1.0 + TIE_TOLERANCE)
            terms.append(digamma((a <= radius).sum()) - digamma((b <= radius).sum()))
        else:
            terms.append(d * math.log(b[k - 1] / a[k - 1]))
    return math.fsum(terms) / n + math.log(m / (n - 1))


def radius_divergence(X, Y, k):
    """Counts within equal radii: eq. 29 averaged over where the farthest point lies; plain counts at tied rows."""
    (n, _), m = X.shape, len(Y)
    own = [np.sort(np.delete(row, i)) for i, row in enumerate(distances(X, X))]
    other = [np.sort(row) for row in distances(X, Y)]
    level = [
        max(a[k - 1], b[k - 1]) <= min(a[k - 1], b[k - 1]) * (1 + TIE_TOLERANCE)
        for a, b in zip(own, other, strict=True)
    ]
    tied = [is_tied(a, k) or b[k - 1] == 0.0 or same for a, b, same in zip(own, other, level, strict=True)]
    all_plain = sum(tied) > DISCRETE_SHARE * n
    terms = []
    for a, b, tie in zip(own, other, tied, strict=True):
        radius = max(a[k - 1], b[k - 1]) * (1.0 + TIE_TOLERANCE)
        if tie or all_plain:
            terms.append(digamma((a <= radius).sum()) - digamma((b <= radius).sum()))
        elif a[k - 1] < b[k - 1]:
            terms.append(digamma((a <= radius).sum() + 1) - digamma(k))
        else:
            terms.append(digamma(k) - digamma((b <= radius).sum() + 1))
    return math.fsum(terms) / n + math.log(m / (n - 1))


def log_ball_volume(d):
    return d / 2 * math.log(math.pi) - gammaln(d / 2 + 1)


def knn_log_density(rows, d, k):
    """log density from sorted distances to all other points, one row for each query."""
    out = []
    for row in rows:
        radius, count = row[k - 1], k
        if is_tied(row, k):
            positive = row[row > 0.0]
            radius = radius if radius > 0.0 else positive[0]
            count = (row <= radius * (1.0 + TIE_TOLERANCE)).sum()
        out.append(digamma(count) - math.log(len(row)) - log_ball_volume(d) - d * math.log(radius))
    return np.array(out)


def knn_against_density(X, log_q, ks):
    """One-sample form: mean of log p_k(X_i) - log q(X_i), p_k without row i (Perez-Cruz 2008, eq. 18)."""
    rows = [np.sort(np.delete(row, i)) for i, row in enumerate(distances(X, X))]
    return float(np.mean([(knn_log_density(rows, X.shape[1], k) - log_q).mean() for k in ks]))


# ---------------------------------------------------------------- relatives of the divergence


def knn_entropy(X, ks):
    """Kozachenko and Leonenko with psi(n) - psi(k), ties as in `knn_log_density`."""
    n, d = X.shape
    rows = [np.sort(np.delete(row, i)) for i, row in enumerate(distances(X, X))]
    return float(np.mean([digamma(n) - math.log(n - 1) - knn_log_density(rows, d, k).mean() for k in ks]))


def knn_cross_entropy(X, Y, ks):
    """Leonenko, Pronzato and Savani."""
    rows = [np.sort(row) for row in distances(X, Y)]
    return float(np.mean([-knn_log_density(rows, X.shape[1], k).mean() for k in ks]))


def alpha_integral(X, Y, k, alpha):
    """Poczos and Schneider (2011); where distances tie, Gamma moments of the counts within equal radii."""
    (n, d), m = X.shape, len(Y)
    own = [np.sort(np.delete(row, i)) for i, row in enumerate(distances(X, X))]
    other = [np.sort(row) for row in distances(X, Y)]
    tied = [is_tied(a, k) or b[k - 1] == 0.0 for a, b in zip(own, other, strict=True)]
    all_by_counts = sum(tied) > DISCRETE_SHARE * n
    terms = []
    for a, b, tie in zip(own, other, tied, strict=True):
        near, far, ratio = k, k, 1.0
        if tie or all_by_counts:
            radius = max(a[k - 1], b[k - 1]) * (1.0 + TIE_TOLERANCE)
            near, far = (a <= radius).sum(), (b <= radius).sum()
        else:
            ratio = (a[k - 1] / b[k - 1]) ** d
        gammas = gammaln(near) - gammaln(near + 1 - alpha) + gammaln(far) - gammaln(far + alpha - 1)
        terms.append(math.exp(gammas) * ((n - 1) / m * ratio) ** (1 - alpha))
    return math.fsum(terms) / n


def jensen_shannon(X, Y, k, weights):
    """Label by label, with binomial coefficients; powers of the larger sample's share go on as its own share.

    In the larger sample k grows in proportion to its rows.
    """
    of_smaller = k
    total = 0.0
    both = len(X) + len(Y)
    for one, two, w, v in ((X, Y, *weights), (Y, X, *weights[::-1])):
        own_weight, other_weight = w * both / len(one), v * both / len(two)
        largest = max(own_weight, other_weight)
        beta = 1 - min(own_weight, other_weight) / largest
        k = round(of_smaller * len(one) / min(len(X), len(Y)))
        own = [np.sort(np.delete(row, i)) for i, row in enumerate(distances(one, one))]
        logs = []
        for a, b in zip(own, distances(one, two), strict=True):
            radius = a[k - 1] * (1.0 + TIE_TOLERANCE)
            n_own = (a <= radius).sum() + 1 if is_tied(a, k) else k
            n_other = (b <= radius).sum()
            trials = int(n_own + n_other - 1)
            hits = int(n_other if own_weight >= other_weight else n_own - 1)
            share = 0.0 if own_weight >= other_weight else n_own / (trials + 1)
            power, series = 1.0, 0.0
            for j in range(1, 2000):
                exact = j <= hits
                power = math.comb(hits, j) / math.comb(trials, j) if exact else power * share
                series += beta**j / j * power
            logs.append(digamma(n_own) - digamma(n_own + n_other) + series - math.log(largest))
        total += w * (math.fsum(logs) / len(one) + math.log(both / len(one)))
    return total


def ksg(blocks, k, algorithm):
    """Kraskov, Stoegbauer and Grassberger (2004), eq. 8 and 9, for any number of blocks; counts where distances tie."""
    n, others = len(blocks[0]), len(blocks) - 1
    tables = [maximum_distances(block, block) for block in blocks]
    joint = np.max(tables, axis=0)
    terms = []
    for i in range(n):
        rest = np.arange(n) != i
        order = np.argsort(joint[i][rest], kind="stable")
        row = joint[i][rest][order]
        sides = [table[i][rest] for table in tables]
        if algorithm == 2:
            counts = [(side <= side[order][:k].max()).sum() for side in sides]
            terms.append(digamma(k) - others / k - sum(digamma(counts)))
        elif algorithm == "mixed" and is_tied(row, k):
            within = row[k - 1] * (1.0 + TIE_TOLERANCE)
            terms.append(digamma((row <= within).sum() + 1) - sum(digamma((s <= within).sum() + 1) for s in sides))
        else:
            below = row[k - 1] * (1.0 - TIE_TOLERANCE)
            terms.append(digamma(k) - sum(digamma((side < below).sum() + 1) for side in sides))
    return math.fsum(terms) / n + others * digamma(n)


# ---------------------------------------------------------------- normal distributions


def gaussian_kl(mean_p, cov_p, mean_q, cov_q):
    """Textbook closed form."""
    inverse, shift = np.linalg.inv(cov_q), np.asarray(mean_p) - np.asarray(mean_q)
    log_dets = np.linalg.slogdet(cov_q)[1] - np.linalg.slogdet(cov_p)[1]
    return 0.5 * float(np.trace(inverse @ cov_p) + shift @ inverse @ shift - len(shift) + log_dets)


def moments(X):
    return X.mean(axis=0), np.atleast_2d(np.cov(X, rowvar=False))


def gaussian_plug_in(X, Y):
    """What everybody uses: the closed form at the estimated moments. It is biased upwards."""
    return gaussian_kl(*moments(X), *moments(Y))


def unbiased_log_det(S, n):
    d = len(S)
    wishart = sum(digamma((n - 1 - i) / 2) for i in range(d)) + d * math.log(2 / (n - 1))
    return np.linalg.slogdet(S)[1] - wishart


def gaussian_divergence(X, Y):
    """The exactly unbiased form, term by term."""
    (n, d), m = X.shape, len(Y)
    (mean_p, S_p), (mean_q, S_q) = moments(X), moments(Y)
    inverse, shift, c = np.linalg.inv(S_q), mean_p - mean_q, (m - d - 2) / (m - 1)
    trace = c * np.trace(inverse @ S_p)
    distance = c * shift @ inverse @ shift - trace / n - d / m
    return 0.5 * (trace + distance - d + unbiased_log_det(S_q, m) - unbiased_log_det(S_p, n))


def gaussian_against_density(X, log_q):
    n, d = X.shape
    entropy = 0.5 * (d * (1 + math.log(2 * math.pi)) + unbiased_log_det(moments(X)[1], n))
    return -entropy - float(np.mean(log_q))


def gaussian_sandwich(X, Y):
    """Standard error from the influence functions, one row at a time."""
    (mean_p, S_p), (mean_q, S_q) = moments(X), moments(Y)
    P, Q, shift = np.linalg.inv(S_p), np.linalg.inv(S_q), mean_p - mean_q
    of_x = [0.5 * ((x - mean_q) @ Q @ (x - mean_q) - (x - mean_p) @ P @ (x - mean_p)) for x in X]
    middle = Q @ (S_p + np.outer(shift, shift)) @ Q
    of_y = [0.5 * v @ Q @ v - 0.5 * v @ middle @ v - v @ Q @ shift for v in Y - mean_q]
    return math.sqrt(np.var(of_x, ddof=1) / len(X) + np.var(of_y, ddof=1) / len(Y))


# ---------------------------------------------------------------- uncertainty


def block_jackknife(statistic, samples, labels, blocks):
    """Standard error from leaving out block after block, of all samples at once."""
    values = []
    for block in range(blocks):
        kept = [
            np.array([row for row, label in zip(sample, of, strict=True) if label != block])
            for sample, of in zip(samples, labels, strict=True)
        ]
        values.append(statistic(*kept))
    mean = sum(values) / blocks
    return math.sqrt((blocks - 1) / blocks * sum((value - mean) ** 2 for value in values))


# ---------------------------------------------------------------- Monte Carlo


def monte_carlo(estimates, truth):
    """Bias in standard errors of the mean, and the numbers behind it, for a readable failure."""
    estimates = np.asarray(estimates, dtype=float)
    error = estimates.std(ddof=1) / math.sqrt(len(estimates))
    return (estimates.mean() - truth) / error, f"mean {estimates.mean():.5g} +- {error:.2g}, truth {truth:.5g}"
