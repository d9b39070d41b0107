"""One contender in a process of its own: reads cases from standard input, writes times."""

import json
import os
import sys
import time


def parameters(case):
    """Numbers of a case, the same for every contender."""
    import numpy as np

    rng = np.random.default_rng(0)
    kind, n, d = case["kind"], case["n"], case["d"]
    if kind == "full":
        deviations = rng.standard_normal((2, n, d, d + 4))
        covariances = deviations @ deviations.swapaxes(-1, -2) / d
        covariances = (covariances + covariances.swapaxes(-1, -2)) / 2
        means = rng.standard_normal((2, n, d))
        return means[0], covariances[0], means[1], covariances[1]
    if kind in ("gamma", "beta"):
        return tuple(rng.uniform(0.2, 20.0, (4, n)))
    if kind == "dirichlet":
        return tuple(rng.uniform(0.2, 20.0, (2, n, d)))
    if kind == "vae":
        arrays = rng.standard_normal((2, n, d))
    else:
        arrays = (rng.standard_normal((n, d)), rng.gamma(2.0, size=(n, d)), rng.standard_normal((n, d)))
        arrays = (*arrays, rng.gamma(2.0, size=(n, d)))
    return tuple(np.ascontiguousarray(a, dtype=case.get("dtype", "float64")) for a in arrays)


def kltools(threads):
    import kltools as kl

    def diagonal(mean_p, var_p, mean_q, var_q):
        return kl.MultivariateNormalDiag(mean=mean_p, var=var_p), kl.MultivariateNormalDiag(mean=mean_q, var=var_q)

    def full(mean_p, cov_p, mean_q, cov_q):
        return kl.MultivariateNormal(mean=mean_p, cov=cov_p), kl.MultivariateNormal(mean=mean_q, cov=cov_q)

    def gamma(shape_p, rate_p, shape_q, rate_q):
        return kl.Gamma(shape=shape_p, rate=rate_p), kl.Gamma(shape=shape_q, rate=rate_q)

    def beta(alpha_p, beta_p, alpha_q, beta_q):
        return kl.Beta(alpha=alpha_p, beta=beta_p), kl.Beta(alpha=alpha_q, beta=beta_q)

    def dirichlet(p, q):
        return kl.Dirichlet(concentration=p), kl.Dirichlet(concentration=q)

    def divergence(p, q):
        return kl.kl_divergence(p, q, n_jobs=threads)

    return {
        "diagonal": (diagonal, divergence),
        "vae": (_as_they_are, lambda mu, log_var: kl.vae_kl(mu, log_var, n_jobs=threads)),
        "full": (full, divergence),
        "pairwise": (diagonal, lambda p, q: kl.pairwise_kl(p, q, n_jobs=threads)),
        "gamma": (gamma, divergence),
        "beta": (beta, divergence),
        "dirichlet": (dirichlet, divergence),
    }


def _as_they_are(*arrays):
    return arrays


def numpy(threads):
    import numpy as np
    from scipy.special import betaln, digamma, gammaln

    def diagonal(m, v, n, w):
        return 0.5 * (np.log(w / v) + (v + (m - n) ** 2) / w - 1.0).sum(axis=-1)

    def vae(mu, log_var):
        return -0.5 * (1.0 + log_var - mu**2 - np.exp(log_var)).sum(axis=-1)

    def full(m, S, n, T):
        inverse, shift = np.linalg.inv(T), n - m
        squares = np.einsum("bi,bij,bj->b", shift, inverse, shift)
        logs = np.linalg.slogdet(T)[1] - np.linalg.slogdet(S)[1]
        return 0.5 * (np.einsum("bij,bji->b", inverse, S) - m.shape[1] + logs + squares)

    def gamma(a, r, b, s):
        return (a - b) * digamma(a) - gammaln(a) + gammaln(b) + b * np.log(r / s) + a * (s - r) / r

    def beta(a, b, c, d):
        psi = (a - c) * digamma(a) + (b - d) * digamma(b) + (c - a + d - b) * digamma(a + b)
        return betaln(c, d) - betaln(a, b) + psi

    def dirichlet(a, b):
        total = a.sum(axis=-1)
        change = gammaln(total) - gammaln(b.sum(axis=-1)) - (gammaln(a) - gammaln(b)).sum(axis=-1)
        return change + ((a - b) * (digamma(a) - digamma(total)[:, None])).sum(axis=-1)

    found = {"diagonal": diagonal, "vae": vae, "full": full, "gamma": gamma, "beta": beta, "dirichlet": dirichlet}
    return {kind: (_as_they_are, function) for kind, function in found.items()}


def torch(threads):
    import torch
    from torch import distributions as D

    torch.set_num_threads(threads)

    def tensors(*arrays):
        return tuple(map(torch.from_numpy, arrays))

    def normal(mean, var):
        return D.Independent(D.Normal(mean, var.sqrt(), validate_args=False), 1)

    def diagonal(m, v, n, w):
        m, v, n, w = tensors(m, v, n, w)
        return normal(m, v), normal(n, w)

    def pairwise(m, v, n, w):
        m, v, n, w = tensors(m, v, n, w)
        return normal(m[:, None], v[:, None]), normal(n[None], w[None])

    def vae(mu, log_var):
        mu, log_var = tensors(mu, log_var)
        return normal(mu, log_var.exp()), normal(torch.zeros_like(mu), torch.ones_like(mu))

    def full(m, S, n, T):
        m, S, n, T = tensors(m, S, n, T)
        return (D.MultivariateNormal(m, S, validate_args=False), D.MultivariateNormal(n, T, validate_args=False))

    def pair(family):
        def build(a, b, c, d):
            a, b, c, d = tensors(a, b, c, d)
            return family(a, b, validate_args=False), family(c, d, validate_args=False)

        return build

    def dirichlet(a, b):
        return tuple(D.Dirichlet(x, validate_args=False) for x in tensors(a, b))

    builders = {"diagonal": diagonal, "pairwise": pairwise, "vae": vae, "full": full, "dirichlet": dirichlet}
    builders |= {"gamma": pair(D.Gamma), "beta": pair(D.Beta)}
    return {kind: (build, D.kl_divergence) for kind, build in builders.items()}


def bandwidth(threads):
    """Reads everything once: the limit of what must look at all parameters."""
    import numpy as np

    from kltools._jit import jit, run_rows
    from kltools._simd import Const, load, splat, total

    @jit
    def read(start, stop, array, out, lanes):
        for row in range(start, stop):
            a = b = c = d = splat(array.dtype.type(0.0), lanes)
            for i in range(row * 4096, (row + 1) * 4096, 64):
                a, b = a + load(array, i, lanes), b + load(array, i + 16, lanes)
                c, d = c + load(array, i + 32, lanes), d + load(array, i + 48, lanes)
            out[row] = total((a + b) + (c + d))

    def read_all(*arrays):
        for array in arrays:
            flat = array.reshape(-1)
            out = np.empty(flat.size // 4096)
            run_rows(read, out.size, flat, out, Const(16), n_jobs=threads, row_cost=4096)

    return {kind: (_as_they_are, read_all) for kind in ("diagonal", "vae")}


def check_threads(threads: int) -> None:
    """Every pool that is loaded has as many threads as the others."""
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        assert pool["num_threads"] == threads, pool


def seconds(function, *arguments):
    began = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - began, result


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    functions = globals()[name](threads)
    known = None
    for line in sys.stdin:
        case = json.loads(line)
        build, function = functions[case["kind"]]
        if case != known:
            known, given = case, parameters(case)
            function(*build(*given))
        check_threads(threads)
        building, pair = seconds(build, *given)
        print(json.dumps([seconds(function, *pair)[0], building]), flush=True)


if __name__ == "__main__":
    assert all(os.environ.get(variable) for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"))
    main()
