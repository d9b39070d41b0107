import numpy as np
import pandas as pd
import pytest

import kltools as kl
from kltools.io import load, load_arrays, load_table

ROWS = np.array([[1.5, -2.0], [3.25, 1e-300], [0.0, 7.0]])


def write_npy(path, rows):
    np.save(path, rows)


def write_npz(path, rows):
    np.savez(path, sample=rows)


def write_csv(path, rows):
    pd.DataFrame(rows, columns=["a", "b"]).to_csv(path, index=False)


def write_tsv(path, rows):
    pd.DataFrame(rows).to_csv(path, index=False, header=False, sep="\t")


def write_parquet(path, rows):
    pd.DataFrame(rows, columns=["a", "b"]).to_parquet(path)


WRITERS = {
    ".npy": write_npy,
    ".npz": write_npz,
    ".csv": write_csv,
    ".txt": write_tsv,
    ".tsv": write_tsv,
    ".parquet": write_parquet,
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_kind_of_file_gives_the_rows_back(tmp_path, suffix):
    path = tmp_path / f"sample{suffix}"
    WRITERS[suffix](path, ROWS)
    assert np.array_equal(load(path), ROWS)
    assert load_table(path).columns == (["a", "b"] if suffix in (".csv", ".parquet") else None)


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("1,2\n3,4\n", None, [[1, 2], [3, 4]]),
        ("a,b\n1,2\n", ["a", "b"], [[1, 2]]),
        ('"a, b",c\n1,2\n', ["a, b", "c"], [[1, 2]]),
        ("\ufeffa;b\r\n1;2\r\n", ["a", "b"], [[1, 2]]),
        ("x\n1\n2\n\n", ["x"], [[1], [2]]),
        ("5\n", None, [[5]]),
        ("5\nNA\n", None, [[5], [np.nan]]),
        ("1.5 -2\n3 4\n", None, [[1.5, -2], [3, 4]]),
        ("\n1,2\n", None, [[1, 2]]),
        ("\n\na,b\n1,2\n", ["a", "b"], [[1, 2]]),
        ("a,b\n1,\nNA,4\n", ["a", "b"], [[1, np.nan], [np.nan, 4]]),
        ("nan,1\n2,3\n", None, [[np.nan, 1], [2, 3]]),
        ('"1.5","2"\n', None, [[1.5, 2]]),
        ("a,b\n", ["a", "b"], np.empty((0, 2))),
        ("1e400,-inf\n", None, [[np.inf, -np.inf]]),
    ],
)
def test_csv_dialects(tmp_path, text, columns, rows):
    path = tmp_path / "sample.csv"
    path.write_text(text, encoding="utf-8", newline="")
    table = load_table(path)
    assert table.columns == columns
    np.testing.assert_array_equal(table.values, np.array(rows, dtype=float))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n1,x\n", "line 2, column 'b': 'x' is not a number"),
        ("1,2\n3,x\n", "line 2, column 2: 'x' is not a number"),
        ("a,b\n1,2,3\n", "line 2 has 3 fields, not 2"),
        ("1,2\n3\n", "line 2 has 1 fields, not 2"),
        (",a\n0,1\n", r"first column has no name.*index=False"),
        ("1,5;2\n2,5;2\n", "line 2, column '1,5': '2,5' is not a number"),
    ],
)
def test_csv_that_cannot_be_read_says_where(tmp_path, text, message):
    path = tmp_path / "sample.csv"
    path.write_text(text)
    with pytest.raises(kl.KLToolsError, match=message) as caught:
        load(path)
    assert "sample.csv" in str(caught.value)


def test_npz_with_several_arrays_needs_a_key(tmp_path):
    path = tmp_path / "sample.npz"
    np.savez(path, x=ROWS, y=2 * ROWS)
    with pytest.raises(kl.InvalidParameterError, match="x, y; choose one with a key"):
        load(path)
    assert np.array_equal(load(path, key="y"), 2 * ROWS)
    with pytest.raises(kl.InvalidParameterError, match="no array 'z'; it holds x, y"):
        load(path, key="z")
    with pytest.raises(kl.InvalidParameterError, match=r"a key selects an array of an \.npz"):
        load(tmp_path / "sample.npy", key="x")


def test_pickles_are_never_loaded(tmp_path):
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=objects)
    for name in ("objects.npy", "objects.npz"):
        with pytest.raises(kl.InvalidParameterError, match=name):
            load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
def test_truncated_files_name_the_path(tmp_path, suffix):
    path = tmp_path / f"sample{suffix}"
    WRITERS[suffix](path, np.random.default_rng(0).normal(size=(200, 2)))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(kl.InvalidParameterError, match=f"sample{suffix}"):
        load(path)


def test_header_that_claims_terabytes_allocates_nothing(tmp_path):
    path = tmp_path / "huge.npy"
    np.save(path, ROWS)
    content = path.read_bytes()
    assert b"(3, 2), }        " in content
    path.write_bytes(content.replace(b"(3, 2), }        ", b"(9999999999, 2), }", 1)[: len(content)])
    with pytest.raises(kl.InvalidParameterError, match=r"huge\.npy"):
        load(path)


def test_files_of_another_kind_say_so(tmp_path):
    (tmp_path / "text.npy").write_text("a,b\n1,2\n")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "empty.npz")
    for name, match in (("text.npy", "is no .npy file"), ("empty.npy", "is no .npy file"), ("empty.npz", "no array")):
        with pytest.raises(kl.InvalidParameterError, match=match):
            load(tmp_path / name)


def test_unknown_and_missing_files(tmp_path):
    with pytest.raises(kl.InvalidParameterError, match=r"unknown kind of file '\.xls'"):
        load(tmp_path / "sample.xls")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "sample.csv")


def test_parquet_with_text_names_the_column_and_nulls_are_nan(tmp_path):
    path = tmp_path / "sample.parquet"
    pd.DataFrame({"a": [1, 2], "name": ["x", "y"]}).to_parquet(path)
    with pytest.raises(kl.InvalidTypeError, match="column 'name' holds"):
        load(path)
    pd.DataFrame({"a": [1.0, None], "b": [True, False]}).to_parquet(path)
    np.testing.assert_array_equal(load(path), [[1, 1], [np.nan, 0]])


def test_the_index_of_a_filtered_frame_is_no_column(tmp_path):
    path = tmp_path / "sample.parquet"
    frame = pd.DataFrame({"a": [1.0, -1.0, 2.0], "b": [3.0, 4.0, 5.0]})
    frame[frame.a > 0].to_parquet(path)
    assert load_table(path).columns == ["a", "b"]
    np.testing.assert_array_equal(load(path), [[1, 3], [2, 5]])


def test_missing_pyarrow_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "sample.parquet"
    write_parquet(path, ROWS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(kl.MissingDependencyError, match=r"pip install 'kltools\[io\]'"):
        load(path)


def test_load_arrays_refuses_a_plain_array(tmp_path):
    np.save(tmp_path / "p.npy", ROWS)
    with pytest.raises(kl.InvalidParameterError, match=r"an \.npz file with named arrays is needed"):
        load_arrays(tmp_path / "p.npy")
