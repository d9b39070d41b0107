"""What `import kltools` brings with it, and what it leaves alone."""

import json
import re
import subprocess
import sys

import processes
import pytest

import kltools

HEAVY = (
    "sklearn",
    "scipy.stats",
    "scipy.special",
    "matplotlib",
    "dask",
    "torch",
    "pandas",
    "polars",
    "pyarrow",
    "numba.cuda",
    "numba_cuda",
    "cupy",
)
LIST_MODULES = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))\n"
USES = {
    "import": "import kltools",
    "estimate": """
import kltools as kl
x = [float(i % 7 + i / 50) for i in range(50)]
kl.estimate_kl(x, x[::-2], method="knn", n_neighbors=1).value
""",
    "gaussian estimate": """
import kltools as kl
kl.estimate_kl([0.0, 1.0, 3.0, 4.0], [0.0, 2.0, 3.0, 5.0, 8.0], method="gaussian").standard_error
""",
    "relatives": """
import kltools as kl
x = [float(i * i % 53 + i / 50) for i in range(50)]
kl.estimate_entropy(x, n_neighbors=1).value
kl.estimate_mutual_information(x, x[::-1], n_neighbors=1).value
kl.estimate_jensen_shannon(x, x[::-2], n_neighbors=1).value
kl.estimate_renyi(x, x[::-2], alpha=0.5, n_neighbors=1).value
""",
    "estimates by densities and their ratio": """
import kltools as kl
x = [float(i % 7 + i / 50) for i in range(50)]
for method in ("kde", "knn_weighted", "ulsif", "rulsif", "kliep"):
    kl.estimate_kl(x, x[::-2], method=method).standard_error
""",
    "many samples and features": """
import kltools as kl
x = [float(i * i % 53 + i / 50) for i in range(50)]
kl.divergence_matrix([x, x[::-2]], n_neighbors=1)
kl.divergence_matrix([x, x[::-2]], n_neighbors=1, kind="js")
kl.kl_feature_score(x, [0, 1] * 25)
""",
    "closed form": "import kltools as kl\nkl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1))",
    "relatives in closed form and by quadrature": """
import kltools as kl
p, q = kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=2)
for call in (kl.jensen_shannon, kl.total_variation, kl.hellinger, kl.chi_squared, kl.cross_entropy):
    call(p, q), call(p, q, method="quadrature")
kl.estimate_divergence_monte_carlo(p, q, "jensen_shannon", n_samples=100, random_state=0).standard_error
kl.mutual_information([[0.5, 0.0], [0.0, 0.5]])
""",
    "fits": """
import kltools as kl
for direction in ("forward", "reverse"):
    kl.fit_gaussian(kl.Logistic(loc=0, scale=1), direction=direction)
kl.fit_gaussian(kl.Gamma(shape=2, rate=1))
""",
    "vae": "import kltools as kl\nkl.vae_kl([[0.0]], [[0.0]])",
    "log-densities": """
import kltools as kl
log_p, log_q = [-1.0, -2.0] * 30, [-1.5, -1.5] * 30
kl.estimate_kl_from_log_prob(log_p, log_q, estimator="cv", log_weights=[0.0] * 60).standard_error
""",
    "counts": """
import kltools as kl
kl.estimate_kl_from_counts([5, 6, 7], [6, 5, 8]).standard_error
kl.estimate_population_stability_index_from_counts([5, 6, 7], [6, 5, 8]).standard_error
kl.estimate_jensen_shannon_from_counts([5, 6, 7], [6, 5, 8]).standard_error
kl.estimate_mutual_information_from_counts([[15, 6], [7, 18]]).standard_error
kl.estimate_kl_from_labels(list("aabb") * 5, list("abbb") * 5).standard_error
""",
    "monte carlo": """
import kltools as kl
p, q = kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)
kl.estimate_kl_monte_carlo(p, q, n_samples=100, random_state=0).standard_error
""",
    "neighbours": "import kltools as kl\nkl.kth_neighbor_distances([0.0, 1.0, 3.0], k=2)",
}


@pytest.mark.parametrize("use", sorted(USES))
def test_nothing_heavy_is_imported(use):
    out, _ = processes.run("-c", USES[use] + LIST_MODULES)
    loaded = json.loads(out)
    assert "kltools" in loaded
    assert [name for name in loaded if name.startswith(tuple(f"{h}." for h in HEAVY)) or name in HEAVY] == []


def test_import_does_not_compile_start_threads_or_touch_the_cache(tmp_path):
    script = """
import gc, threading, kltools
from numba.core.dispatcher import Dispatcher
ours = [f for f in gc.get_objects() if isinstance(f, Dispatcher) and "kltools" in f.py_func.__module__]
assert ours
assert not any(f.signatures for f in ours)
assert threading.active_count() == 1
"""
    out, err = processes.run("-W", "error", "-c", script, env=processes.environment(cache=tmp_path / "cache"))
    assert (out, err) == ("", "")
    assert not (tmp_path / "cache").exists()


def test_every_public_name_resolves():
    assert len(set(kltools.__all__)) == len(kltools.__all__)
    for name in kltools.__all__:
        assert getattr(kltools, name) is not None, name
    with pytest.raises(AttributeError, match="no_such_name"):
        kltools.no_such_name  # noqa: B018


def test_dir_lists_every_public_name():
    assert set(kltools.__all__) <= set(dir(kltools))
    assert not {"Any", "TYPE_CHECKING", "importlib"} & set(dir(kltools))


def test_star_import_brings_the_public_names_and_no_others():
    namespace = {}
    exec("from kltools import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(kltools.__all__)


def test_lazy_names_are_the_classes_themselves():
    from kltools.estimators.objects import GaussianDivergence, KNNDivergence

    assert kltools.KNNDivergence is KNNDivergence
    assert kltools.GaussianDivergence is GaussianDivergence


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", kltools.__version__)
    assert processes.run("-m", "kltools", "--version") == (f"kltools {kltools.__version__}\n", "")


def test_help():
    out, err = processes.run("-m", "kltools", "--help")
    assert out.startswith("usage: kltools")
    assert all(command in out for command in ("estimate", "counts", "gaussian", "doctor"))
    assert err == ""


def test_without_a_command_it_tells_how_to_use_it():
    process = subprocess.run(
        [sys.executable, "-m", "kltools"], env=processes.environment(), capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 2
    assert process.stderr.startswith("usage: kltools")
