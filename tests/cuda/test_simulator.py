"""Every formula gives the same bits inside a CUDA kernel as on the CPU."""

import numpy as np
import pytest
from formulas import FORMULAS
from numba import cuda

import kltools as kl


def launch(formula, columns):
    """Evaluate a formula in a kernel, one thread an element."""
    scalar = formula.scalar

    @cuda.jit
    def unary(a, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = scalar(a[i])

    @cuda.jit
    def ternary(a, b, c, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = scalar(a[i], b[i], c[i])

    @cuda.jit
    def quaternary(a, b, c, d, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = scalar(a[i], b[i], c[i], d[i])

    kernel = {1: unary, 3: ternary, 4: quaternary}[len(formula.parameters)]
    out = np.empty(len(columns[0]))
    kernel[2, 16](*columns, out)
    return out


@pytest.mark.parametrize("formula", FORMULAS, ids=repr)
def test_formula_in_a_kernel_equals_the_cpu(formula):
    rng = np.random.default_rng(0)
    columns = list(rng.uniform(0.05, 0.95, (4, 20)))
    columns[2][:5], columns[3][:5] = columns[0][:5], columns[1][:5]  # p = q
    columns = columns[: len(formula.parameters)]
    assert np.array_equal(launch(formula, columns), formula(*columns))


def test_device_seam_names_what_is_missing():
    p = kl.Normal(mean=0.0, var=1.0)
    with pytest.raises(kl.DeviceUnavailableError, match="evaluate has no CUDA implementation in this version"):
        kl.kl_divergence(p, p, device="cuda")
    with pytest.raises(kl.DeviceUnavailableError, match="estimate_kl has no CUDA implementation"):
        kl.estimate_kl([1.0, 2.0], [1.0, 2.0], device="cuda")
