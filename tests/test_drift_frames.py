"""Drift in frames of any library: kinds of columns, gaps, columns that change, streams and the command line."""

import datetime
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

import kltools as kl
from kltools import cli, errors

RNG = np.random.default_rng(0)


def columns(n, seed=0):
    rng = np.random.default_rng(seed)
    income = rng.exponential(size=n)
    income[rng.random(n) < 0.2] = np.nan
    city = [None if rng.random() < 0.1 else str(word) for word in rng.choice(["a", "b", "c"], n)]
    return {"age": rng.integers(0, 9, n), "income": income, "city": city, "member": rng.random(n) < 0.5}


def detected(reference, window, **options):
    return kl.DriftDetector(n_permutations=99, random_state=0, **options).fit(reference).detect(window)


def only(reference, window, **options):
    """The result of the only feature."""
    (found,) = detected({"x": reference}, {"x": window}, **options).features
    return found


FRAMES = {
    "dict": dict,
    "pandas": pd.DataFrame,
    "pandas nullable": lambda x: pd.DataFrame(x).convert_dtypes(),
    "pandas categories": lambda x: pd.DataFrame(x).astype({"city": "category"}),
    "pandas arrow": lambda x: pd.DataFrame(x).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda x: pl.DataFrame(x, nan_to_null=True),
    "polars categories": lambda x: pl.DataFrame(x, nan_to_null=True).with_columns(pl.col("city").cast(pl.Categorical)),
    "pyarrow": lambda x: pa.table(x),
    "lists": lambda x: {name: list(np.array(values, dtype=object)) for name, values in x.items()},
    "masked": lambda x: x | {"income": np.ma.masked_invalid(x["income"])},
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_every_kind_of_frame_gives_the_same_report(make):
    expected = detected(columns(80), columns(60, 1)).to_json()
    assert detected(make(columns(80)), make(columns(60, 1))).to_json() == expected


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_kinds_of_frames_may_be_mixed(make):
    expected = detected(columns(80), columns(60, 1)).to_json()
    assert detected(columns(80), make(columns(60, 1))).to_json() == expected


def test_arrays_of_objects_have_columns_of_all_kinds():
    x, y = (np.array(list(map(list, zip(*columns(n, n).values(), strict=True))), dtype=object) for n in (80, 60))
    report = detected(x, y)
    expected = detected(columns(80, 80), columns(60, 60))
    assert [f.p_value for f in report.features] == [f.p_value for f in expected.features]
    assert sorted(f.name for f in report.features) == ["0", "1", "2", "3"]
    assert detected(x.tolist(), y.tolist()).to_json() == report.to_json()


def test_numbers_of_any_array_library():
    torch = pytest.importorskip("torch")
    x, y = RNG.normal(size=(2, 50, 2))
    expected = detected(x, y).to_json()
    assert detected(torch.tensor(x), torch.tensor(y)).to_json() == expected
    assert detected(np.ma.array(x), np.asfortranarray(y)).to_json() == expected


# ---------------------------------------------------------------- policies


def test_unseen_categories_are_categories_and_told():
    found = only(["a"] * 60 + ["b"] * 40, ["a"] * 50 + ["z"] * 30 + ["c"] * 20)
    assert (found.kind, found.unseen, found.unseen_share) == ("category", ("z", "c"), 0.5)
    assert found.cells == ("a", "b", "c", "z")
    assert found.drift


def test_rare_categories_are_one_cell():
    found = only(["a"] * 60 + [f"r{i}" for i in range(6)], ["a"] * 50 + [f"s{i}" for i in range(4)])
    assert found.cells == ("a", "(rare)")
    assert (found.reference_counts, found.window_counts) == ((60, 6), (50, 4))
    assert len(found.unseen) == 4


@pytest.mark.parametrize(("first", "size"), [("window", 2000), ("x", 2000), ("window", 300)])
def test_a_long_tail_that_is_replaced_is_drift(first, size):
    """Most categories have fewer than five rows, and none of the window is known, or all are."""
    rng = np.random.default_rng(0)
    reference, window = ([f"{name}{i}" for i in rng.integers(0, size, 500)] for name in ("x", first))
    report = detected({"k": reference, "n": rng.normal(size=500)}, {"k": window, "n": rng.normal(size=500)})
    found = next(one for one in report.features if one.name == "k")
    assert report.left_out == ()
    assert report.drift == (first == "window")
    assert any(f"'k' has categories that the reference never had, in {found.unseen_share:.1%}" in text
               for text in report.findings)  # fmt: skip
    assert (found.unseen_share == 1.0) == (first == "window")
    assert found.drift == (first == "window")


def test_a_long_tail_that_moves_is_drift():
    rng = np.random.default_rng(1)
    reference, window = (rng.integers(low, high, 800).astype(str) for low, high in ((0, 1000), (300, 1100)))
    assert only(reference, window).p_value <= 0.02


def test_values_of_their_own_tell_nothing():
    report = detected({"id": [f"r{i}" for i in range(60)]}, {"id": [f"s{i}" for i in range(60)]})
    assert (report.p_value, report.left_out) == (1.0, ("id",))


def test_missing_values_are_a_cell():
    values = np.arange(100.0)
    gaps = np.where(np.arange(100) % 3 == 0, np.nan, values)
    found = only(values, gaps)
    assert found.cells[-1] == "(missing)"
    assert (found.reference_counts[-1], found.window_counts[-1]) == (0, 34)
    assert (found.missing_reference, found.missing_window) == (0.0, 0.34)
    assert found.drift


@pytest.mark.parametrize("missing", [[None] * 50, [math.nan] * 50, np.full(50, np.nan), pd.Series([pd.NA] * 50)])
@pytest.mark.parametrize("present", [np.arange(50.0), ["a", "b"] * 25, [True, False] * 25])
def test_a_column_missing_on_one_side_only_is_drift(missing, present):
    for reference, window in ((missing, present), (present, missing)):
        report = detected({"x": reference}, {"x": window})
        assert report.drift
        assert {report.features[0].missing_reference, report.features[0].missing_window} == {0.0, 1.0}
        assert "is missing in" in report.findings[1]


@pytest.mark.parametrize(
    ("reference", "window"), [([1.0] * 50, [1.0] * 40), ([None] * 50, [None] * 40), (["a"] * 50, ["a"] * 40)]
)
def test_columns_with_one_value_enter_nothing(reference, window):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=50), rng.normal(size=40)
    report = detected({"x": x, "c": reference}, {"x": y, "c": window})
    assert report.left_out == ("c",)
    assert report.p_value == detected({"x": x}, {"x": y}).p_value
    assert "left out" in " ".join(report.findings)


@pytest.mark.parametrize(("reference", "window"), [([1.0] * 50, [2.0] * 40), (["a"] * 50, ["b"] * 40)])
def test_another_single_value_is_drift(reference, window):
    report = detected({"x": reference}, {"x": window})
    assert report.drift
    assert report.features[0].p_value == 0.01
    assert math.isfinite(report.features[0].kl)


def test_booleans_are_categories():
    found = only(np.array([True] * 50 + [False] * 30), np.array([True] * 10 + [False] * 30))
    assert (found.kind, found.cells) == ("category", ("False", "True"))
    assert only([True, None] * 20, [False, True, None] * 9).cells == ("False", "True", "(missing)")


@pytest.mark.parametrize(
    "make",
    [
        lambda x: pd.DataFrame({"k": pd.Categorical(x)}),
        lambda x: {"k": pd.Categorical([float(v) for v in x])},
        lambda x: pa.table({"k": pa.array(x).dictionary_encode()}),
        lambda x: {"k": pa.chunked_array([x]).dictionary_encode()},
    ],
)
def test_categories_are_categories_whatever_they_hold(make):
    x = [3, 10, 3, 7] * 9
    (found,) = detected(make(x), make(x[:20])).features
    assert (found.kind, found.cells) == ("category", ("10", "3", "7"))


def test_long_texts_are_shortened_where_people_read_them():
    values = {"n" * 75: ["b", "z" * 10_000] * 50}
    window = {"n" * 75: ["b", "y" * 10_000] * 50}
    report = detected(values, window)
    assert report.features[0].unseen == ("y" * 10_000,)
    assert report.features[0].name == "n" * 75
    assert all(len(line) <= 100 for line in report.summary().splitlines())
    assert len(report.summary()) < 2000
    assert max(map(len, report.findings)) < 250
    assert report.summary().splitlines()[0].index("yes") == 33


def test_numbers_declared_as_categories():
    codes = {"code": [3, 10, 3, 10, 7] * 12, "x": RNG.normal(size=60)}
    as_floats = {"code": [3.0, 10.0, math.nan, 10.0, 8.0] * 12, "x": RNG.normal(size=60)}
    for categorical in (["code"], [0], (np.int64(0),)):
        report = detected(codes, as_floats, categorical=categorical)
        found = next(one for one in report.features if one.name == "code")
        assert (found.kind, found.unseen, found.cells) == ("category", ("8",), ("10", "3", "7", "8", "(missing)"))
        assert report.estimate_features == ("x",)
    assert detected(codes, {**codes, "code": [str(c) for c in codes["code"]]}, categorical=["code"]).left_out == ()
    assert next(f for f in detected(codes, codes).features if f.name == "code").kind == "numeric"


# ---------------------------------------------------------------- columns that change


@pytest.mark.parametrize("make", [FRAMES["pandas"], FRAMES["polars"], dict])
def test_columns_are_matched_by_name(make):
    x, y = columns(80), columns(60, 1)
    moved = {name: y[name] for name in ("member", "city", "age", "income")}
    assert detected(make(x), make(moved)).to_json() == detected(x, y).to_json()
    report = detected(make(x), make(moved | {"new": ["2020"] * 60}))
    assert report.p_value == detected(x, y).p_value
    assert "columns that the reference does not have are ignored: 'new'" in report.warnings[0]


def test_missing_columns_are_named():
    y = {"age": [1, 2], "city": ["a", "b"]}
    with pytest.raises(
        errors.ShapeMismatchError, match="lacks columns of the reference: 'income', 'member'; it has 'age'"
    ):
        detected(columns(50), y)


@pytest.mark.parametrize(
    ("name", "values"), [("city", [1.0] * 60), ("age", ["x"] * 60), ("age", [True] * 60), ("member", [0, 1] * 30)]
)
def test_columns_of_another_kind_are_named(name, values):
    with pytest.raises(errors.InvalidTypeError, match=f"of another kind than in the reference: '{name}'"):
        detected(columns(50), columns(60) | {name: values})


def test_without_names_the_position_counts():
    x, y = RNG.normal(size=(2, 50, 2))
    frame = pd.DataFrame(x, columns=["a", "b"])
    report = detected(frame, y)
    assert [one.name for one in detected(frame, pd.DataFrame(y, columns=["a", "b"])).features] == [
        one.name for one in report.features
    ]
    assert "matched by position" in report.warnings[0]
    assert detected(x, y).warnings == ()
    with pytest.raises(errors.ShapeMismatchError, match="X has 3 features, but the reference has 2: 'a', 'b'"):
        detected(frame, RNG.normal(size=(9, 3)))


BAD = [
    ({"x": [1.0, math.inf, 2.0]}, errors.InvalidParameterError, "column 'x' of X holds infinite .* first in row 1"),
    (np.array([[0.0], [1.0], [-np.inf]]), errors.InvalidParameterError, "column '0' of X .* first in row 2"),
    ({"x": pd.date_range("2020", periods=3)}, errors.InvalidTypeError, "column 'x' of X holds dates"),
    (pl.DataFrame({"x": [datetime.date(2020, 1, 1)] * 3}), errors.InvalidTypeError, "day of the week"),
    ({"x": [datetime.datetime(2020, 1, 1)] * 3}, errors.InvalidTypeError, "holds dates"),
    (pa.table({"x": [datetime.timedelta(1)] * 3}), errors.InvalidTypeError, "holds dates or times"),
    (pl.DataFrame({"x": [[1], [2], [3]]}), errors.InvalidTypeError, "'x' of X holds list values"),
    ({"x": [{"a": 1}] * 3}, errors.InvalidTypeError, "'x' of X holds a dict"),
    ({"x": [b"a", b"b", b"c"]}, errors.InvalidTypeError, "'x' of X holds a bytes .*decode it"),
    (np.array([[b"a"], [b"b"]]), errors.InvalidTypeError, "holds a bytes .*decode it"),
    (pd.Series(["a", "b"]), errors.ShapeMismatchError, r"got a Series; use X\.to_frame\(\)"),
    (pl.Series(["a", "b"]), errors.ShapeMismatchError, r"got a Series; use X\.to_frame\(\)"),
    ({"x": [1j, 2j]}, errors.InvalidParameterError, "Complex data not supported"),
    ({"x": [1.0, 2.0], "y": [1.0]}, errors.ShapeMismatchError, "different lengths: {'x': 2, 'y': 1}"),
    ({"x": np.ones((3, 2))}, errors.InvalidTypeError, r"'x' of X has shape \(3, 2\)"),
    (pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]), errors.InvalidParameterError, "several columns .* 'a'"),
    (pl.DataFrame({"x": [1.0, 2.0]}).lazy(), errors.InvalidTypeError, "collect"),
    ({}, errors.InvalidParameterError, "0 feature"),
    ({"x": []}, errors.NotEnoughSamplesError, "n_samples=0: at least 2 rows"),
    ({"x": [1.0]}, errors.NotEnoughSamplesError, "n_samples=1"),
    (pd.DataFrame({"x": []}), errors.NotEnoughSamplesError, "n_samples=0"),
    (np.arange(5.0), errors.ShapeMismatchError, "Reshape your data"),
    ([[1.0, 2.0], [1.0]], errors.InvalidParameterError, "rows of X have different lengths"),
    ("reference.csv", errors.InvalidTypeError, "is it a path"),
    (None, errors.InvalidTypeError, "NoneType"),
]


@pytest.mark.parametrize(("X", "kind", "match"), BAD)
def test_bad_samples(X, kind, match):
    with pytest.raises(kind, match=match):
        kl.DriftDetector().fit(X)


@pytest.mark.parametrize(("X", "kind", "match"), [bad for bad in BAD if "different lengths: {" not in bad[2]])
def test_bad_windows(X, kind, match):
    detector = kl.DriftDetector().fit({"x": [1.0, 2.0, 3.0]})
    with pytest.raises(kind, match=match.replace("'0'", "'x'")):
        detector.detect(X)


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize(("window", "step"), [(30, None), (30, 10), (25, 24)])
@pytest.mark.parametrize("chunk", [1, 7, 30, 200])
def test_windows_of_a_stream_are_those_of_its_rows(window, step, chunk):
    stream = columns(100, 3)
    detector = kl.DriftDetector(n_permutations=9, random_state=0).fit(columns(50))
    monitor = kl.DriftMonitor(detector, window=window, step=step)
    reports = []
    for first in range(0, 100, chunk):
        reports += monitor.update({name: values[first : first + chunk] for name, values in stream.items()})
        assert len(monitor._rows) < window
    starts = list(range(0, 101 - window, step or window))
    assert [report.first_row for report in reports] == starts
    assert (monitor.n_tests, monitor.n_rows) == (len(starts), 100)
    for start, report in zip(starts, reports, strict=True):
        expected = detector.detect({name: values[start : start + window] for name, values in stream.items()})
        assert (report.p_value, report.rows, report.features) == (expected.p_value, expected.rows, expected.features)


def test_a_stream_that_changes_its_kind_where_the_reference_is_empty():
    detector = kl.DriftDetector(n_permutations=9, random_state=0).fit({"x": [None] * 20})
    monitor = kl.DriftMonitor(detector, window=20)
    monitor.update({"x": [None] * 5})
    monitor.update({"x": [1.0] * 5})
    with pytest.raises(errors.InvalidTypeError, match="column 'x' was numeric, and is category now"):
        monitor.update({"x": ["a"] * 5})


def test_labels_of_past_rows_are_forgotten():
    detector = kl.DriftDetector(n_permutations=9, random_state=0).fit({"x": ["a", "b"] * 10})
    monitor = kl.DriftMonitor(detector, window=10)
    for first in range(0, 95, 5):
        monitor.update({"x": [f"new{i}" for i in range(first, first + 5)]})
    assert len(monitor._rows.columns[0].labels) <= 10
    assert monitor.update({"x": []}) == []


def test_alpha_is_spent():
    detector = kl.DriftDetector(alpha=0.05, n_permutations=199, random_state=0).fit(RNG.normal(size=(30, 1)))
    monitor = kl.DriftMonitor(detector, window=20, spend_alpha=True)
    reports = monitor.update(RNG.normal(size=(100, 1)))
    for t, report in enumerate(reports, start=1):
        assert report.alpha == pytest.approx(6 * 0.05 / (math.pi * t) ** 2)
        assert report.n_permutations == max(199, math.ceil(4 / report.alpha))
        assert report.drift == (report.p_value <= report.alpha)
        assert report.warnings == ()


def test_levels_that_no_permutations_reach_are_told(monkeypatch):
    monkeypatch.setattr("kltools.drift.monitor._MOST_PERMUTATIONS", 300)
    detector = kl.DriftDetector(alpha=0.01, n_permutations=99, random_state=0).fit(RNG.normal(size=(30, 1)))
    monitor = kl.DriftMonitor(detector, window=20, spend_alpha=True)
    (report,) = monitor.update(RNG.normal(size=(20, 1)))
    assert report.n_permutations == 300
    assert "ask for more" in report.warnings[0]


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"window": 1}, errors.InvalidParameterError, "window must be >= 2"),
        ({"window": 10, "step": 0}, errors.InvalidParameterError, "step must be >= 1"),
        ({"window": 10, "step": 11}, errors.InvalidParameterError, "step=11 leaves out rows"),
        ({"window": 10, "spend_alpha": "x"}, errors.InvalidTypeError, "spend_alpha must be True or False, got 'x'"),
    ],
)
def test_bad_windows_of_a_stream(options, kind, match):
    detector = kl.DriftDetector().fit(RNG.normal(size=(20, 2)))
    with pytest.raises(kind, match=match):
        kl.DriftMonitor(detector, **options)


def test_a_monitor_keeps_its_detector_as_it_was():
    reference, stream = RNG.normal(size=(30, 2)), RNG.normal(size=(40, 2))
    detector = kl.DriftDetector(n_permutations=9, random_state=0).fit(reference)
    expected = [detector.detect(rows) for rows in (stream[:20], stream[20:])]
    monitor = kl.DriftMonitor(detector, window=20)
    found = monitor.update(stream[:20])
    detector.set_params(alpha=0.9, n_permutations=1).fit(RNG.normal(size=(30, 5)))
    found += monitor.update(stream[20:])
    assert [(one.p_value, one.alpha) for one in found] == [(one.p_value, one.alpha) for one in expected]
    assert repr(monitor) == "DriftMonitor(window=20, step=20, spend_alpha=False, n_tests=2, n_rows=40)"


def test_a_monitor_needs_a_fitted_detector():
    with pytest.raises(errors.InvalidTypeError, match="fitted DriftDetector, got KNNDivergence"):
        kl.DriftMonitor(kl.KNNDivergence(), window=10)
    with pytest.raises(ValueError, match="not fitted"):
        kl.DriftMonitor(kl.DriftDetector(), window=10)


# ---------------------------------------------------------------- command line


@pytest.fixture
def files(tmp_path):
    tables = {"reference": columns(80), "same": columns(60, 1)}
    tables["drifted"] = tables["same"] | {"city": ["d"] * 60}
    for name, table in tables.items():
        frame = pd.DataFrame(table, index=pd.RangeIndex(5, 5 + len(table["age"])))
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        frame.to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("today", "code"), [("same", 0), ("drifted", 1)])
def test_exit_codes(files, capsys, kind, today, code):
    arguments = ["drift", str(files / f"reference.{kind}"), str(files / f"{today}.{kind}"), "--permutations", "99"]
    assert cli.main([*arguments, "--alpha", "0.02"]) == code
    out, err = capsys.readouterr()
    assert err == ""
    assert ("yes" if code else "no") in out.splitlines()[0]
    assert cli.main([*arguments, "--json"]) == code
    told = json.loads(capsys.readouterr().out)
    window = columns(60, 1) | ({"city": ["d"] * 60} if today == "drifted" else {})
    assert told["p_value"] == detected(columns(80), window).p_value
    assert {one["name"]: one["kind"] for one in told["features"]}["member"] == "category"


def test_arrays_and_columns_that_are_declared(tmp_path, capsys):
    x, y = np.repeat(np.arange(4), 20), np.repeat(np.arange(4), [30, 20, 20, 10])
    np.save(tmp_path / "x.npy", x[:, None])
    np.savez(tmp_path / "y.npz", a=y[:, None], b=x)
    arguments = [str(tmp_path / "x.npy"), str(tmp_path / "y.npz"), "--key", "a"]
    assert cli.main(["drift", *arguments]) == 2
    assert "a key selects an array of an .npz file" in capsys.readouterr().err
    pd.DataFrame({"code": x}).to_csv(tmp_path / "x.csv", index=False)
    pd.DataFrame({"code": y}).to_csv(tmp_path / "y.csv", index=False)
    names = [str(tmp_path / "x.csv"), str(tmp_path / "y.csv")]
    assert cli.main(["drift", *names, "--categorical", "code", "--json", "--max-rows", "50"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["features"][0]["kind"], told["n_window"]) == ("category", 50)


def test_errors_have_the_exit_code_2_and_name_the_file(files, capsys):
    reference = str(files / "reference.csv")
    assert cli.main(["drift", reference, str(files / "nothing.csv")]) == 2
    (files / "other.csv").write_text("age,city\n1,a\n2,b\n")
    assert cli.main(["drift", reference, str(files / "other.csv")]) == 2
    assert "other.csv: X lacks columns of the reference: 'income', 'member'" in capsys.readouterr().err
    (files / "twice.csv").write_text("age,age\n1,a\n2,b\n")
    assert cli.main(["drift", str(files / "twice.csv"), reference]) == 2
    assert "several columns have the name 'age'" in capsys.readouterr().err
    capsys.readouterr()
    assert cli.main(["drift", reference, reference, "--alpha", "5"]) == 2
    assert capsys.readouterr().err.startswith("kltools: error: alpha must lie in (0, 1)")
    assert cli.main(["drift", "no.csv", "no.csv", "--report", str(files / "nowhere" / "page.html")]) == 2
    assert "nowhere'; make it first" in capsys.readouterr().err
    dates = pa.table({"x": [datetime.date(2020, 1, 1)] * 3})
    parquet.write_table(dates, files / "dates.parquet")
    assert cli.main(["drift", str(files / "dates.parquet"), reference]) == 2
    assert "dates.parquet: column 'x' of X holds dates" in capsys.readouterr().err
