"""Every example runs, from any directory, without a complaint."""

import shutil
from pathlib import Path

import processes
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def examples(tmp_path):
    """A copy of the examples, so that what they write is not left behind."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize("script", SCRIPTS)
def test_example(script, examples, tmp_path):
    out, err = processes.run("-W", "error", examples / script, cwd=tmp_path, env=processes.environment())
    assert out
    assert err == ""


def test_there_is_a_first_example():
    assert "quickstart.py" in SCRIPTS


def test_the_data_are_those_that_their_script_makes(examples):
    shutil.rmtree(examples / "data")
    (examples / "data").mkdir()
    processes.run(examples / "make_data.py")
    stored = {path.name: path.read_text() for path in (EXAMPLES / "data").iterdir()}
    assert {path.name: path.read_text() for path in (examples / "data").iterdir()} == stored
