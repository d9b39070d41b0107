"""The README keeps its word: its Python blocks run, and whatever it shows as output is what comes out."""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import processes
import pytest

import kltools

HOME = Path(__file__).parents[1]
README = HOME / "README.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; `output` is the block of text that follows it at once, if one does."""

    language: str
    content: str
    line: int
    output: str | None = None


def blocks(text):
    fences = list(FENCE.finditer(text))
    found = []
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        shown = following and following[1] == "text" and not text[fence.end() : following.start()].strip()
        line = text.count("\n", 0, fence.start(2))
        found.append(Block(fence[1], fence[2], line, following[2] if shown else None))
    return found


def commands(text):
    """Commands `$ kltools ...` of the console blocks, each with the output shown below it."""
    for block in blocks(text):
        if block.language == "console":
            for part in re.split(r"^\$ ", block.content, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                if command.startswith("kltools"):
                    yield command, output


def run_python(text, name="README.md"):
    """Run the Python blocks one after the other in one namespace, and compare what they print."""
    namespace = {"__name__": "__main__"}
    for block in blocks(text):
        if block.language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):  # the empty lines make a traceback name the right one
            exec(compile("\n" * block.line + block.content, name, "exec"), namespace)
        if block.output is not None:
            assert printed.getvalue() == block.output, f"{name}, line {block.line}"


def run_command(command, **options):
    """What a command writes to a terminal."""
    words = shlex.split(command, comments=True)
    assert words[0] == "kltools"
    assert not {"|", "&&", ">", ";", "\\"} & set(words), f"a plain command is needed: {command}"
    return subprocess.run(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        **options,
    ).stdout


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a copy of the example data."""
    shutil.copytree(HOME / "examples" / "data", tmp_path / "examples" / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_blocks(folder):
    text = README.read_text(encoding="utf-8")
    assert any(block.language == "python" for block in blocks(text))
    run_python(text)


@pytest.mark.parametrize(("command", "output"), list(commands(README.read_text(encoding="utf-8"))))
def test_commands(command, output, folder):
    assert run_command(command, cwd=folder, env=processes.environment()) == output


TORCH_ROWS = [
    re.findall(r"`([^`]+)`", row)
    for row in README.read_text(encoding="utf-8").partition("### From torch")[2].partition("\n## ")[0].splitlines()
    if row.startswith("| `")
]


def test_there_is_a_table_of_torch():
    assert len(TORCH_ROWS) == 7
    assert all(len(row) == 2 for row in TORCH_ROWS)


@pytest.mark.parametrize("row", TORCH_ROWS, ids=lambda row: row[0])
@pytest.mark.filterwarnings("ignore:reduction. 'mean':UserWarning")
def test_both_sides_of_the_table_of_torch(row):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = {"p": rng.dirichlet(np.ones(5), 7), "q": rng.dirichlet(np.ones(5), 7)}
    arrays |= {f"log_{name}": np.log(array) for name, array in arrays.items()}
    arrays |= {"teacher": rng.normal(size=(7, 5)), "student": rng.normal(size=(7, 5)), "T": 3.0}
    tensors = {name: torch.tensor(array) if np.ndim(array) else array for name, array in arrays.items()}
    theirs = eval(row[0], {"F": torch.nn.functional, **tensors})
    ours = eval(row[1], vars(kltools) | arrays)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)
    np.testing.assert_allclose(eval(row[1], vars(kltools) | tensors), ours, rtol=1e-14)


@pytest.mark.filterwarnings("ignore:reduction. 'mean':UserWarning")
def test_what_torch_computes_of_swapped_or_plain_probabilities_is_another_number():
    torch = pytest.importorskip("torch")
    p, q = (torch.tensor(row) for row in ([[0.9, 0.1]], [[0.5, 0.5]]))
    truth = kltools.kl_divergence(kltools.Categorical(probs=p), kltools.Categorical(probs=q))[0]
    kl_div = torch.nn.functional.kl_div
    assert float(kl_div(q.log(), p, reduction="batchmean")) == pytest.approx(truth, rel=1e-6)
    for wrong in (kl_div(q, p, reduction="batchmean"), kl_div(p.log(), q, reduction="batchmean"), kl_div(q.log(), p)):
        assert abs(float(wrong) - truth) > 0.1


GOOD = """
```python
x = 1
print(x)
```

```text
1
```

Words between.

```text
not the output of anything
```

```python
print(x + 1)
```
```console
$ pip install kltools
$ kltools --version  # tells the version
kltools 0
$ kltools doctor
```
"""


def test_the_runner_reads_a_page():
    assert [block.language for block in blocks(GOOD)] == ["python", "text", "text", "python", "console"]
    assert list(commands(GOOD)) == [("kltools --version  # tells the version", "kltools 0\n"), ("kltools doctor", "")]
    run_python(GOOD)


def test_the_runner_sees_mistakes():
    with pytest.raises(AssertionError, match=r"README\.md, line 2"):
        run_python(GOOD.replace("text\n1\n", "text\n1.0\n"))
    with pytest.raises(NameError):
        run_python(GOOD.replace("x = 1", "y = 1"))
