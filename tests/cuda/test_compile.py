"""Every formula compiles for a GPU, without a GPU."""

from types import SimpleNamespace

import pytest
from formulas import FORMULAS
from numba import cuda, float64

HOPPER = (9, 0)


@pytest.fixture(autouse=True)
def _device(monkeypatch):
    """Functions called by a formula are compiled for the current device: pretend that there is one."""
    device = SimpleNamespace(compute_capability=HOPPER)
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)


@pytest.mark.parametrize("formula", FORMULAS, ids=repr)
def test_formula_compiles_to_ptx(formula):
    signature = float64(*[float64] * len(formula.parameters))
    ptx, _ = cuda.compile_ptx(formula.scalar.py_func, signature, device=True, cc=HOPPER)
    assert ".target sm_90" in ptx
    assert formula.__name__ in ptx
