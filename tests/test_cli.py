import json
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import kltools as kl
from kltools.cli import main
from kltools.estimators import METHODS


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(0, 1, (300, 2)), rng.normal(0.5, 1, (400, 2))
    np.save(tmp_path / "p.npy", X)
    np.save(tmp_path / "q.npy", Y)
    return str(tmp_path / "p.npy"), str(tmp_path / "q.npy"), X, Y


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("method", METHODS)
def test_estimate_prints_what_estimate_kl_returns(capsys, samples, method):
    p, q, X, Y = samples
    code, out, err = run(capsys, "estimate", p, q, "--method", method, "--json", "--seed", 3, "--unit", "bits")
    expected = kl.estimate_kl(X, Y, method=method, random_state=3, unit="bits")
    printed = json.loads(out)
    assert (code, err) == (0, "")
    assert printed["value"] == expected.value
    assert printed["standard_error"] == expected.standard_error
    assert printed["confidence_interval"] == list(expected.confidence_interval())
    assert printed["unit"] == "bits"
    assert {"method", "reliable", "warnings"} <= set(printed)


def test_estimate_in_words(capsys, samples):
    p, q, X, Y = samples
    code, out, _ = run(capsys, "estimate", p, q, "--confidence-level", "0.8", "--neighbors", "3,7", "--n-jobs", 2)
    expected = kl.estimate_kl(X, Y, n_neighbors=[3, 7], random_state=0)
    assert code == 0
    assert out == expected.summary(0.8) + "\n"
    assert "80% interval" in out
    assert "n_neighbors 3, 7" in out


def test_files_of_different_kinds_and_keys(capsys, tmp_path, samples):
    p, _, X, Y = samples
    np.savez(tmp_path / "both.npz", x=X, y=Y)
    code, out, _ = run(capsys, "estimate", tmp_path / "both.npz", tmp_path / "both.npz", "--key", "x", "--json")
    assert code == 0
    assert any("rows of X occur in Y" in w for w in json.loads(out)["warnings"])
    pd.DataFrame(Y, columns=["a", "b"]).to_parquet(tmp_path / "q.parquet")
    assert run(capsys, "estimate", p, tmp_path / "q.parquet")[0] == 0


def test_missing_values_need_a_policy(capsys, tmp_path, samples):
    _, q, X, _ = samples
    X = X.copy()
    X[5, 1] = np.nan
    np.save(tmp_path / "gaps.npy", X)
    code, out, err = run(capsys, "estimate", tmp_path / "gaps.npy", q)
    assert (code, out) == (2, "")
    assert "X contains NaN: 1 in all, the first in row 5, column 1" in err
    code, out, _ = run(capsys, "estimate", tmp_path / "gaps.npy", q, "--nan-policy", "omit", "--json")
    assert code == 0
    assert json.loads(out)["n_dropped"] == 1


def test_columns_that_differ_are_an_error(capsys, tmp_path):
    for name, columns in (("p.csv", "a,b"), ("q.csv", "b,a")):
        (tmp_path / name).write_text(columns + "\n" + "1,2\n3,4\n5,7\n" * 10)
    code, out, err = run(capsys, "estimate", tmp_path / "p.csv", tmp_path / "q.csv")
    assert (code, out) == (2, "")
    assert "the columns differ" in err
    assert "a, b" in err
    assert "b, a" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npy", "{q}"], "nowhere.npy"),
        (["{p}", "{q}", "--neighbors", "0"], "n_neighbors must be >= 1"),
        (["{p}", "{q}", "--neighbors", "1000"], "n_neighbors=1000 needs at least 1001 rows of X"),
        (["{p}", "{q}", "--neighbors", "3", "--method", "gaussian"], "--neighbors has no meaning"),
        (["{p}", "{q}", "--confidence-level", "95"], "did you mean 0.95"),
        (["{p}", "{q}", "--seed", "-1"], "random_state must be >= 0"),
        (["{p}", "{q}", "--n-jobs", "0"], "n_jobs=0"),
        (["{p}", "{q}", "--key", "x"], "a key selects an array"),
    ],
)
def test_errors_go_to_stderr_with_code_2(capsys, samples, arguments, message):
    p, q, _, _ = samples
    code, out, err = run(capsys, "estimate", *(a.format(p=p, q=q) for a in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("kltools: error: ")
    assert message in err


@pytest.mark.parametrize("arguments", [[], ["estimate"], ["estimate", "p", "q", "--method", "x"], ["fly"]])
def test_wrong_usage_exits_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: kltools" in capsys.readouterr().err


def test_infinite_divergence_is_an_answer(capsys, tmp_path, samples):
    _, q, X, _ = samples
    np.save(tmp_path / "constant.npy", np.ones_like(X))
    code, out, err = run(capsys, "estimate", tmp_path / "constant.npy", q, "--json")
    printed = json.loads(out)
    assert (code, err) == (0, "")
    assert printed["value"] == "Infinity"
    assert printed["confidence_interval"] == [None, "Infinity"]
    assert printed["support_mismatch"] is True


GAUSSIANS = {
    "var": ({"mean": 0.0, "var": 1.0}, {"mean": 1.0, "var": 1.0}, 0.5),
    "std": ({"mean": 0.0, "std": 1.0}, {"mean": 0.0, "std": 2.0}, 0.3181471805599453),
    "log_var": ({"mean": [0.0, 0.0], "log_var": [0.0, 0.0]}, {"mean": [1.0, 1.0], "log_var": [0.0, 0.0]}, 1.0),
    "cov": ({"mean": [0.0, 0.0], "cov": np.eye(2)}, {"mean": [1.0, 0.0], "cov": np.eye(2)}, 0.5),
    "cholesky": ({"mean": [0.0], "cholesky": [[1.0]]}, {"mean": [1.0], "cholesky": [[1.0]]}, 0.5),
    "precision": ({"mean": [0.0], "precision": [[1.0]]}, {"mean": [1.0], "precision": [[4.0]]}, 2.8068528194400546),
}


@pytest.mark.parametrize("name", GAUSSIANS)
def test_gaussian_from_each_parameterisation(capsys, tmp_path, name):
    p, q, expected = GAUSSIANS[name]
    np.savez(tmp_path / "p.npz", **p)
    np.savez(tmp_path / "q.npz", **q)
    code, out, _ = run(capsys, "gaussian", tmp_path / "p.npz", tmp_path / "q.npz", "--json")
    assert code == 0
    assert json.loads(out)["value"] == pytest.approx(expected, rel=1e-14)
    _, out, _ = run(capsys, "gaussian", tmp_path / "p.npz", tmp_path / "q.npz", "--unit", "bits")
    assert out == f"KL(P||Q)     {expected / np.log(2):.10g} bits\n"


def test_gaussian_batches_and_errors(capsys, tmp_path):
    np.savez(tmp_path / "p.npz", mean=[[0.0], [1.0]], var=[[1.0], [1.0]])
    np.savez(tmp_path / "q.npz", mean=[0.0], var=[1.0])
    np.savez(tmp_path / "bad.npz", mean=[0.0], var=[1.0], cov=[[1.0]])
    assert run(capsys, "gaussian", tmp_path / "p.npz", tmp_path / "q.npz")[1] == "0\n0.5\n"
    code, _, err = run(capsys, "gaussian", tmp_path / "bad.npz", tmp_path / "q.npz")
    assert code == 2
    assert "needs the arrays mean and one of var, std" in err


COUNTS = {
    "p.csv": "color,count\nred,60\nblue,30\ngreen,10\n",
    "q.csv": "color,count\nviolet,4\ngreen,30\nred,90\nblue,80\n",
    "ordered.csv": "color,count,share\nred,60,.6\nblue,30,.3\ngreen,10,.1\n",
    "plain.csv": "60\n30\n10\n",
    "other.csv": "90\n80\n30\n",
    "codes.csv": "code,count\n7,60\n3,30\n5,10\n",
    "codes_q.csv": "code,count\n3,80\n5,30\n7,90\n",
    "twice.csv": "color,count\nred,60\nred,30\n",
    "seen.csv": "color\n" + "red\n" * 16 + "blue\n" * 13,
    "seen_q.csv": "color,size\n" + "red,big\n" * 9 + "blue,small\n" * 8,
    "gap.csv": "color,size\nred,big\n,big\nblue,small\n",
    "uneven.csv": "color,count\nred\n",
    "probs.csv": "p\n0.5\n0.5\n",
    "text.csv": "color,count\nred,60\nblue,x\ngreen,10\n",
    "thousands.csv": 'color,count\nred,"1,000"\nblue,"2,500"\n',
    "minus.csv": "color,count\nred,60\nblue,-3\n",
    "numbers.csv": "lab\n" + "5\n" * 4 + "7\n" * 5 + "9\n" * 6,
    "numbers_q.csv": "lab\n" + "7\n" * 4 + "5\n" * 5,
}


@pytest.fixture
def counted(tmp_path, monkeypatch):
    for name, text in COUNTS.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "p.npy", [60, 30, 10])
    np.savez(tmp_path / "p.npz", first=[60, 30, 10], third=[4, 5, 6])
    np.savez(tmp_path / "q.npz", first=[90, 80, 30], second=[1, 2, 3])
    table = pd.DataFrame({"color": ["green", "red", "blue"], "count": [30, 90, 80]})
    table.to_parquet(tmp_path / "q.parquet")
    monkeypatch.chdir(tmp_path)


SAME = kl.estimate_kl_from_counts([60, 30, 10], [90, 80, 30])


@pytest.mark.parametrize(
    "arguments",
    [
        ["plain.csv", "other.csv"],
        ["p.npy", "other.csv"],
        ["p.npz", "q.npz", "--key", "first"],
        ["p.csv", "q.parquet"],
        ["codes.csv", "codes_q.csv", "--labels", "code"],
        ["ordered.csv", "q.parquet", "--column", "count"],
        ["p.csv", "q.parquet", "--labels", "color", "--column", "count"],
    ],
    ids=" ".join,
)
def test_counts_from_files(capsys, counted, arguments):
    code, out, err = run(capsys, "counts", *arguments)
    told = [line for line in out.splitlines() if not line.startswith("read ")]
    assert (code, "\n".join(told), err) == (0, SAME.summary(), "")
    how = "name" if "q.parquet" in arguments or "--labels" in arguments else "position"
    assert f"counts of 3 categories of P and 3 of Q, matched by {how}" in out
    _, out, _ = run(capsys, "counts", *arguments, "--json")
    assert json.loads(out)["value"] == pytest.approx(SAME.value, rel=1e-13)
    assert json.loads(out)["diagnostics"]["p_value"] == pytest.approx(SAME.diagnostics["p_value"], rel=1e-13)


def test_counts_take_options(capsys, counted):
    _, out, err = run(capsys, "counts", "q.csv", "p.csv", "--method", "laplace", "--unit", "bits", "--json")
    p, q = ([count + 1 for count in counts] for counts in ([4, 30, 90, 80], [0, 10, 60, 30]))
    exact = kl.kl_divergence(kl.Categorical.from_counts(counts=p), kl.Categorical.from_counts(counts=q), unit="bits")
    assert err == ""
    assert json.loads(out)["value"] == pytest.approx(exact, rel=1e-13)
    assert json.loads(out)["warnings"][0].startswith("Q has no observation in 1 of 4 categories")
    code, out, _ = run(capsys, "counts", "q.csv", "p.csv", "--zero", "inf")
    assert code == 0
    assert out.startswith("KL(P||Q)     inf nats")
    _, out, _ = run(capsys, "counts", "q.csv", "p.csv", "--method", "dirichlet", "--concentration", 2, "--json")
    p, q = ([count + 2 for count in counts] for counts in ([4, 30, 90, 80], [0, 10, 60, 30]))
    exact = kl.kl_divergence(kl.Categorical.from_counts(counts=p), kl.Categorical.from_counts(counts=q))
    assert json.loads(out)["value"] == pytest.approx(exact, rel=1e-13)
    assert "80% interval" in run(capsys, "counts", "plain.csv", "other.csv", "--confidence-level", "0.8")[1]


def test_text_without_counts_is_counted(capsys, counted):
    _, out, _ = run(capsys, "counts", "seen.csv", "seen_q.csv", "--column", "color", "--json")
    assert json.loads(out)["value"] == kl.estimate_kl_from_counts([16, 13], [9, 8]).value
    assert json.loads(out)["diagnostics"]["unseen_labels"] == []
    assert json.loads(out)["diagnostics"]["read"] == "labels, one row an observation"


@pytest.mark.parametrize("arguments", [["--labels", "lab"], ["--labels", "lab", "--column", "lab"]])
def test_labels_may_be_whole_numbers(capsys, counted, arguments):
    _, out, _ = run(capsys, "counts", "numbers.csv", "numbers_q.csv", *arguments, "--json")
    assert json.loads(out)["value"] == quiet_kl([4, 5, 6], [5, 4, 0]).value
    assert json.loads(out)["diagnostics"]["unseen_labels"] == [9]


def quiet_kl(p, q):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kl.KLToolsWarning)
        return kl.estimate_kl_from_counts(p, q)


def test_names_of_what_was_not_seen_are_told(capsys, counted):
    _, out, _ = run(capsys, "counts", "q.csv", "p.csv", "--json")
    assert json.loads(out)["diagnostics"]["unseen_labels"] == ["violet"]
    assert "1 of 4 categories ('violet'), which hold" in json.loads(out)["warnings"][0]
    _, _, err = run(capsys, "counts", "q.csv", "p.csv", "--zero", "raise")
    assert "the counts in p.csv has no observation in 1 of 4 categories, which the other has ('violet')" in err


def test_a_column_that_numbers_the_categories_is_not_passed_over(capsys, counted):
    code, out, err = run(capsys, "counts", "codes.csv", "codes_q.csv", "--column", "count")
    assert code == 0
    assert "matched by position" in out
    assert "although column 'code' differs between codes.csv and codes_q.csv; --labels code" in err
    assert run(capsys, "counts", "codes.csv", "codes.csv", "--column", "count")[2] == ""


def test_the_summary_tells_the_g_test(capsys, counted):
    assert "G test       p = 0.0472 (G = 6.109, 2 degrees of freedom)" in run(capsys, "counts", "p.csv", "q.parquet")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["q.csv", "p.csv", "--zero", "raise"], "zero='raise'"),
        (["p.csv", "q.csv", "--column", "size"], "p.csv: has no column 'size'; it holds color, count"),
        (["ordered.csv", "q.csv"], "choose a column with --column, of: count, share"),
        (["seen_q.csv", "seen_q.csv"], "choose a column with --column, of: color, size"),
        (["p.csv", "plain.csv"], "only one of p.csv and plain.csv names its categories"),
        (["twice.csv", "q.csv"], "the label 'red' occurs more than once"),
        (["uneven.csv", "q.csv"], "uneven.csv: row 2 has 1 fields, not 2"),
        (["gap.csv", "seen_q.csv", "--column", "color"], "the column of labels in gap.csv holds 1 entries"),
        (["plain.csv", "probs.csv"], "the counts in probs.csv must be whole numbers"),
        (
            ["minus.csv", "q.csv"],
            "minus.csv must be whole numbers from 0 to 2**53, got 1 others, the first that of 'blue': -3",
        ),
        (
            ["text.csv", "q.csv", "--column", "count"],
            "text.csv: column 'count' holds 'x' in row 2 of 3, which is no count",
        ),
        (["text.csv", "text.csv"], "text.csv: column 'count' holds 'x' in row 2 of 3"),
        (["text.csv", "q.csv", "--labels", "color"], "text.csv: column 'count' holds 'x' in row 2 of 3"),
        (["thousands.csv", "q.csv"], "thousands.csv: column 'count' holds '1,000' in row 1 of 2, which is no count"),
        (["p.csv", "q.csv", "--column", "color", "--labels", "count"], "column 'color' holds 'red' in row 1"),
        (["p.csv", "q.csv", "--labels", "count"], "p.csv: has no column for --column"),
        (["seen.csv", "plain.csv"], "seen.csv was read as labels, plain.csv as counts"),
        (["plain.csv", "q.npz"], "choose one with a key"),
        (["plain.csv", "nowhere.csv"], "nowhere.csv"),
        (["plain.csv", "q.xls"], "unknown kind of file"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_counts_that_cannot_be_read(capsys, counted, arguments, message):
    code, out, err = run(capsys, "counts", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_doctor(capsys):
    code, out, _ = run(capsys, "doctor")
    assert code == 0
    for word in (kl.__version__, np.__version__, "cores", "cache", "cuda"):
        assert word in out


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there may be a GPU")
def test_doctor_says_what_a_gpu_needs(capsys):
    _, out, _ = run(capsys, "doctor")
    status = next(line for line in out.splitlines() if line.startswith("cuda  "))
    assert "not usable" in status
    assert "pip install 'kltools[cuda13]'" in status


def test_module_and_closed_pipe(samples):
    p, q, _, _ = samples
    command = [sys.executable, "-m", "kltools", "estimate", p, q]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert finished.stdout.startswith("KL(P||Q)")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 0
