"""Every formula gives the same bits inside a CUDA kernel as on the CPU."""

import numpy as np
import pytest
from formulas import FORMULAS
from numba import cuda

import kltools as kl
from kltools._formula import Formula

UNPACKED = {
    1: lambda f: lambda a, i: f(a[0, i]),
    2: lambda f: lambda a, i: f(a[0, i], a[1, i]),
    3: lambda f: lambda a, i: f(a[0, i], a[1, i], a[2, i]),
    4: lambda f: lambda a, i: f(a[0, i], a[1, i], a[2, i], a[3, i]),
    5: lambda f: lambda a, i: f(a[0, i], a[1, i], a[2, i], a[3, i], a[4, i]),
    6: lambda f: lambda a, i: f(a[0, i], a[1, i], a[2, i], a[3, i], a[4, i], a[5, i]),
    8: lambda f: lambda a, i: f(a[0, i], a[1, i], a[2, i], a[3, i], a[4, i], a[5, i], a[6, i], a[7, i]),
}


def launch(formula, columns):
    """Evaluate a formula in a kernel, one thread an element."""
    at = UNPACKED[len(columns)](formula.scalar)

    @cuda.jit
    def kernel(columns, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = at(columns, i)

    out = np.empty(columns.shape[1])
    kernel[2, 16](columns, out)
    return out


@pytest.mark.parametrize("formula", FORMULAS, ids=repr)
def test_formula_in_a_kernel_equals_the_cpu(formula):
    n_parameters = len(formula.parameters)
    columns = np.random.default_rng(0).uniform(0.05, 0.95, (n_parameters, 20))
    half = n_parameters // 2
    columns[half : 2 * half, :5] = columns[:half, :5]  # p = q
    assert np.array_equal(launch(formula, columns), Formula(formula.function)(*columns), equal_nan=True)


def test_device_seam_names_what_is_missing():
    p = kl.Normal(mean=0.0, var=1.0)
    with pytest.raises(kl.DeviceUnavailableError, match="evaluate has no CUDA implementation in this version"):
        kl.kl_divergence(p, p, device="cuda")
    with pytest.raises(kl.DeviceUnavailableError, match="estimate_kl has no CUDA implementation"):
        kl.estimate_kl([1.0, 2.0], [1.0, 2.0], device="cuda")
