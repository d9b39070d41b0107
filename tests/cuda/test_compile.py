"""Every kernel compiles to machine code without a GPU: no stack, no spilled registers, shared memory in bounds."""

import datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from assembler import CAPABILITIES, float64, int64, of, pretend_device, to_ptx, vector
from formulas import FORMULAS
from numba import cuda as numba_cuda

import kltools
from kltools._philox import two_normals, two_uniforms
from kltools._stirling import rounding_error
from kltools.cuda import brute, formulas, gaussian, log_prob, moments, monte_carlo, posterior, random, sort, tree
from kltools.cuda._compat import THREADS, types

MOST_SHARED = 48 * 1024
RESERVED = 1024  # bytes that the system keeps of every block from capability 9.0 on
MOST_REGISTERS = {  # what was seen, and some: above 255 the assembler spills
    "elementwise": 104,
    "summing": 112,
    "gaussian": 192,
    "other": 128,
    "tile": 104,
    **{f"nearest {size}": most for size, most in zip(brute.BUCKETS, (128, 128, 136, 168, 168, 208, 248), strict=True)},
    "merge": 192,
    **{f"tree {size}": most for size, most in zip(brute.BUCKETS, (64, 72, 88, 104, 152, 216, 248), strict=True)},
}

uint64 = types.uint64
matrix, cube = types.Array(float64, 2, "C"), types.Array(float64, 3, "C")
indices = types.Array(int64, 1, "C")
narrow = types.Array(types.float32, 1, "C")

KERNELS = []  # what was compiled, and of which kind

each_capability = pytest.mark.parametrize("capability", CAPABILITIES, ids="cc{0[0]}.{0[1]}".format)


@pytest.fixture(autouse=True)
def _device(request, monkeypatch):
    capability = request.getfixturevalue("capability") if "capability" in request.fixturenames else CAPABILITIES[-1]
    pretend_device(monkeypatch, capability)


@pytest.fixture(scope="module", autouse=True)
def _listing(request):
    """The table that --kernels asks for."""
    yield
    path = request.config.getoption("--kernels")
    if path:
        Path(path).write_text(listing(), encoding="utf-8")


def listing():
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba-cuda", "numba", "numpy"))
    spilling, stacked = (sum(getattr(used, what) > 0 for used, _ in KERNELS) for what in ("spilled", "stack"))
    most = max(used.registers for used, _ in KERNELS)
    lines = [
        "# CUDA kernels, compiled without a GPU\n",
        f"{datetime.date.today()}, kltools {kltools.__version__}, {versions}; {len(KERNELS)} compilations, at most "
        f"{most} registers (255 is the limit); {spilling} spill registers, {stacked} use a stack. Static shared "
        "memory in bytes.\n",
        "| kernel | variant | compute capability | registers | shared |",
        "|---|---|---|---|---|",
    ]
    rows = {(u.kernel, test, u.capability, u.registers, u.shared) for u, test in KERNELS}
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in sorted(rows)]) + "\n"


def assert_lean(used, kind):
    KERNELS.append((used, kind))
    assert used.stack == 0, used.report
    assert used.spilled == 0, used.report
    assert used.shared <= MOST_SHARED + RESERVED
    assert used.registers <= MOST_REGISTERS[kind], used.report


def layouts(n_arrays, n_axes):
    return types.UniTuple(types.UniTuple(int64, 1 + n_axes), n_arrays)


def axes(n):
    return types.UniTuple(int64, n)


@each_capability
@pytest.mark.parametrize("formula", FORMULAS, ids=repr)
def test_formula_for_each_element(formula, capability):
    n = len(formula.parameters)
    signature = types.UniTuple(vector, n), layouts(n, 1), axes(1), int64, vector
    assert_lean(of(formulas.elementwise(formula, n, 1).function, signature, capability), "elementwise")


@pytest.mark.parametrize("formula", FORMULAS, ids=repr)
def test_formula_summed(formula):
    n = len(formula.parameters)
    kernel = formulas.summing(formula, n, 2, 1, THREADS)
    signature = types.UniTuple(vector, n), layouts(n, 3), axes(2), axes(1), int64, int64, int64, vector
    assert_lean(of(kernel.function, signature, CAPABILITIES[-1]), "summing")


@pytest.mark.parametrize("n_axes", [2, 3, 5])
def test_axes_that_do_not_join(n_axes):
    formula = next(f for f in FORMULAS if f.__name__ == "kl_normal_normal")
    arrays = types.Tuple((vector, narrow, vector, narrow))
    kernel = formulas.elementwise(formula, 4, n_axes)
    signature = arrays, layouts(4, n_axes), axes(n_axes), int64, vector
    assert_lean(of(kernel.function, signature, CAPABILITIES[-1]), "elementwise")


@each_capability
@pytest.mark.parametrize("d", [16, 48, 75, 76])
def test_full_covariances(d, capability):
    size, threads = gaussian._size(d), gaussian._threads(d)
    law = matrix, indices, cube, indices
    arrays = types.Tuple((*law, *law, vector, vector))
    used = of(gaussian._by_factors(size, threads).function, (int64, int64, matrix, arrays), capability)
    assert_lean(used, "gaussian")
    assert used.shared >= 8 * (size * (size + 2) + threads)
    arrays = types.Tuple((indices, *(cube, indices) * 4, vector))
    for by_factor in ((False, False), (True, False), (False, True)):
        kernel = gaussian._by_difference(size, threads, *by_factor)
        assert_lean(of(kernel.function, (int64, int64, matrix, arrays), capability), "gaussian")


@each_capability
def test_moments_of_log_densities(capability):
    signature = vector, vector, int64, int64, int64, int64, matrix
    assert_lean(of(log_prob._moments().function, signature, capability), "other")


@each_capability
@pytest.mark.parametrize("rows", [vector, narrow], ids=["float64", "float32"])
@pytest.mark.parametrize("own", [1, 4])
def test_moments_of_samples(own, rows, capability):
    summed = int64, int64, int64, rows, vector, vector, matrix
    used = of(moments.products(own).function, summed, capability)
    assert_lean(used, "tile")
    assert used.shared >= 2 * 8 * 16 * 16 * own
    squares = moments.squares(own).function
    assert_lean(of(squares, (int64, int64, int64, rows, *(vector,) * 6), capability), "tile")
    assert_lean(of(moments._column_sums().function, summed, capability), "other")
    assert_lean(of(moments._folded().function, (int64, matrix, vector), capability), "other")


@each_capability
@pytest.mark.parametrize("two", [two_uniforms, two_normals], ids=lambda two: two.__name__)
def test_random_numbers(two, capability):
    assert_lean(of(random._pairs(two).function, (uint64, uint64, uint64, int64, vector), capability), "other")


@each_capability
@pytest.mark.parametrize("is_diagonal_q", [False, True])
@pytest.mark.parametrize("is_diagonal_p", [False, True])
def test_monte_carlo(is_diagonal_p, is_diagonal_q, capability):
    law = types.Tuple((vector, vector, matrix, cube, cube))
    signature = int64, uint64, uint64, int64, matrix, law, law, vector, vector
    assert_lean(of(monte_carlo._weighed_draws(is_diagonal_p, is_diagonal_q).function, signature, capability), "other")


@each_capability
def test_aggregate_posterior(capability):
    sums = int64, int64, int64, int64, matrix, matrix, matrix, vector, matrix, matrix
    assert_lean(of(posterior._partial_sums().function, sums, capability), "other")
    merged = int64, int64, int64, matrix, matrix, vector
    assert_lean(of(posterior._merged().function, merged, capability), "other")


@each_capability
@pytest.mark.parametrize("size", brute.BUCKETS)
def test_nearest_neighbors(size, capability):
    small = types.int32
    few, table, tables = (types.Array(small, n, "C") for n in (1, 2, 3))
    sized = int64, int64, int64, int64, int64
    signature = *sized, vector, vector, indices, vector, few, cube, tables
    kernel = brute.search(size, brute.queries_together(size))
    assert_lean(of(kernel.function, signature, capability), f"nearest {size}")
    signature = int64, int64, int64, cube, tables, vector, few, matrix, table
    assert_lean(of(brute.merged(size).function, signature, capability), "merge")


@each_capability
def test_counts_of_neighbors(capability):
    signature = int64, int64, int64, vector, vector, indices, vector, indices
    assert_lean(of(brute.count().function, signature, capability), "other")
    assert_lean(of(brute._packed().function, (int64, int64, vector, vector), capability), "other")


@each_capability
@pytest.mark.parametrize("size", brute.BUCKETS)
def test_nearest_neighbors_in_a_tree(size, capability):
    signature = int64, int64, int64, vector, vector, vector, indices, matrix, types.Array(types.int32, 2, "C")
    for d in (1, 3, 9):
        assert_lean(of(tree.nearest(d, size).function, signature, capability), f"tree {size}")


@each_capability
def test_trees_and_counts_in_them(capability):
    for d in (1, 9):
        signature = int64, int64, vector, vector, vector, indices, vector, indices
        assert_lean(of(tree.count(d).function, signature, capability), "other")
    assert_lean(of(tree._boxes().function, (int64, int64, int64, int64, vector, vector), capability), "other")
    signature = int64, int64, int64, vector, vector, vector, indices
    assert_lean(of(tree._codes().function, signature, capability), "other")


@each_capability
def test_sort(capability):
    few = types.Array(types.int32, 1, "C")
    count, scan, move = sort._kernels()
    assert_lean(of(count.function, (int64, int64, indices, indices), capability), "other")
    assert_lean(of(scan.function, (indices,), capability), "other")
    signature = int64, int64, indices, few, indices, indices, few
    assert_lean(of(move.function, signature, capability), "other")


def test_products_are_rounded_for_themselves():
    def kernel(a, out):
        out[0] = rounding_error(a[0], a[1], a[0] * a[1])

    ptx = to_ptx(kernel, (vector, vector), CAPABILITIES[-1])
    assert "mul.rn.f64" in ptx  # which the assembler may not contract
    assert "mul.f64" not in ptx
    assert "fma" not in ptx
    contracted, _ = numba_cuda.compile_ptx(kernel, types.void(vector, vector), cc=CAPABILITIES[-1])
    assert "mul.f64" in contracted  # kernels of others are compiled as ever
