"""One contender in a process of its own: reads cases from standard input, writes times.

Libraries disturb one another's thread pools, so that no two of them are measured in one process.
"""

import json
import math
import os
import sys
import time
from pathlib import Path


def mixture(case):
    """Weights, means and covariances (or variances), and rows of which most are near a component."""
    import numpy as np

    rng = np.random.default_rng(0)
    n, n_components, d = case["n"], case["components"], case["d"]
    weights, means = rng.dirichlet(np.ones(n_components)), 3.0 * rng.normal(size=(n_components, d))
    if case["kind"] == "full":
        factor = rng.normal(size=(n_components, d, d + 3))
        covs = factor @ np.swapaxes(factor, -1, -2) / d
    else:
        covs = rng.gamma(3.0, size=(n_components, d))
    return weights, means, covs, 3.0 * rng.normal(size=(n, d))


def kltools(threads):
    import joblib

    import kltools as kl

    def prepare(weights, means, covs, x):
        p = kl.GaussianMixture(weights=weights, means=means, covs=covs)

        def run():
            with joblib.parallel_config(n_jobs=threads, backend="threading"):
                return p.log_prob(x)

        return run

    return prepare


def scipy(threads):
    import numpy as np
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    def prepare(weights, means, covs, x):
        laws = [multivariate_normal(*law) for law in zip(means, covs, strict=True)]  # a vector counts as a diagonal
        return lambda: logsumexp(np.stack([law.logpdf(x) for law in laws], axis=-1), b=weights, axis=-1)

    return prepare


def sklearn(threads):
    import numpy as np
    from sklearn.mixture import GaussianMixture

    def prepare(weights, means, covs, x):
        is_full = covs.ndim > means.ndim
        model = GaussianMixture(len(weights), covariance_type="full" if is_full else "diag")
        model.weights_, model.means_, model.covariances_ = weights, means, covs
        inverse = np.linalg.inv(np.linalg.cholesky(covs)) if is_full else covs**-0.5
        model.precisions_cholesky_ = np.swapaxes(inverse, -1, -2) if is_full else inverse
        rows = max(1, 2**26 // len(weights))
        return lambda: np.concatenate([model.score_samples(x[i : i + rows]) for i in range(0, len(x), rows)])

    return prepare


def torch(threads):
    import torch
    from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

    torch.set_num_threads(threads)

    def prepare(weights, means, covs, x):
        weights, means, covs, x = map(torch.from_numpy, (weights, means, covs, x))
        full = covs.ndim > means.ndim
        components = MultivariateNormal(means, covs) if full else Independent(Normal(means, covs.sqrt()), 1)
        law = MixtureSameFamily(Categorical(probs=weights), components)
        rows = max(1, 2**22 // means.numel())  # the fastest of some
        return lambda: torch.cat([law.log_prob(part) for part in x.split(rows)]).numpy()

    return prepare


def check_threads(threads: int) -> None:
    """Every pool that is loaded has as many threads as the others."""
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        assert pool["num_threads"] == threads, pool


def resident(kind: str) -> float:
    """MiB of the process: now (VmRSS), or the most since `forget_peak` (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    return math.nan


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    prepare = globals()[name](threads)
    known, run = None, None
    for line in sys.stdin:
        case = json.loads(line)
        if case != known:
            weights, means, covs, x = mixture(case)
            run, known = prepare(weights, means, covs, x), case
            prepare(weights, means, covs, x[:1000])()
        check_threads(threads)
        forget_peak()
        before, began = resident("VmRSS"), time.perf_counter()
        values = run()
        seconds = time.perf_counter() - began
        print(json.dumps([seconds, resident("VmHWM") - before, math.fsum(values)]), flush=True)


if __name__ == "__main__":
    assert all(os.environ.get(variable) for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    main()
