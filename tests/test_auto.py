"""The rule of method="auto": gaussian where min(n, m) < 10 d and it exists, else knn."""

import cases
import numpy as np
import pytest

import kltools as kl
from kltools import errors

pytestmark = pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")


def normals(n, m, d):
    return cases.Pair("normal", n, m, d, 0).samples


@pytest.mark.parametrize(
    ("n", "m", "d", "chosen"),
    [
        (9, 1000, 1, "gaussian"),
        (10, 10, 1, "knn"),
        (1000, 9, 1, "gaussian"),
        (49, 49, 5, "gaussian"),
        (50, 50, 5, "knn"),
        (50, 49, 5, "gaussian"),
        (21, 23, 20, "gaussian"),
        (20, 23, 20, "knn"),  # no covariance of full rank: gaussian does not exist
        (21, 22, 20, "knn"),  # the mean of an inverse Wishart matrix does not exist
        (2, 2, 1, "knn"),
    ],
)
def test_rule(n, m, d, chosen):
    X, Y = normals(n, m, d)
    estimate = kl.estimate_kl(X, Y, random_state=0)
    expected = kl.estimate_kl(X, Y, method=chosen, random_state=0)
    assert estimate.method == "auto"
    assert estimate.diagnostics["chosen_method"] == chosen
    assert "10 d" in estimate.diagnostics["rule"]
    assert estimate.value == expected.value
    assert estimate.standard_error == pytest.approx(expected.standard_error, nan_ok=True, rel=0, abs=0)
    assert estimate.n_neighbors == expected.n_neighbors
    assert estimate.warnings == expected.warnings


@pytest.mark.parametrize(("n", "chosen"), [(4, "gaussian"), (29, "gaussian"), (30, "knn"), (3, "knn")])
def test_rule_for_a_known_q(n, chosen):
    X, _ = normals(n, 1, 3)
    estimate = kl.estimate_kl(X, kl.MultivariateNormalDiag(mean=np.zeros(3), var=np.ones(3)))
    assert estimate.diagnostics["chosen_method"] == chosen


def test_dependent_columns_do_not_count():
    """On a line there is one feature, for which 30 rows are enough."""
    X, Y = cases.Pair("collinear", 30, 30, 4, 0).samples
    with pytest.warns(errors.TiesWarning, match="are linear in others"):
        estimate = kl.estimate_kl(X, Y)
    assert estimate.d == 1
    assert estimate.diagnostics["chosen_method"] == "knn"


def test_constant_columns_do_not_count():
    """100 rows are few for 11 features and enough for the one that varies."""
    X, Y = normals(100, 100, 11)
    X[:, 1:] = Y[:, 1:] = 4.0
    assert kl.estimate_kl(X, Y).diagnostics["chosen_method"] == "knn"


def test_options_are_those_of_knn():
    X, Y = normals(100, 100, 2)
    estimate = kl.estimate_kl(X, Y, n_neighbors=3, scale="none", random_state=0)
    assert estimate.value == kl.estimate_kl(X, Y, method="knn", n_neighbors=3, scale="none").value
    with pytest.raises(errors.InvalidParameterError, match=r"no option 'k'; its options are: n_neighbors, scale"):
        kl.estimate_kl(X, Y, k=3)


def test_auto_is_the_default():
    X, Y = normals(50, 50, 1)
    assert kl.estimate_kl(X, Y).method == "auto"


def test_the_summary_names_the_choice():
    assert "auto (gaussian)" in kl.estimate_kl(*normals(30, 30, 5)).summary()
