"""Every example runs, from any directory, without a complaint."""

import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import processes
import pytest

import kltools as kl

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
NEEDED = {"vae_digits.py": "torch"}


@pytest.fixture
def examples(tmp_path):
    """A copy of the examples, so that what they write is not left behind."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.parametrize("script", SCRIPTS)
def test_example(script, examples, tmp_path):
    if script in NEEDED:
        pytest.importorskip(NEEDED[script])
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


def imported(script):
    specification = importlib.util.spec_from_file_location(Path(script).stem, EXAMPLES / script)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_two_directions_of_a_fit():
    out, _ = processes.run(EXAMPLES / "fit_direction.py")
    assert "mean 0.0000, variance 10.0000" in out
    assert re.search(r"mean -2\.9843, variance 1\.0473, std 1\.0234", out)


def test_a_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    out, err = processes.run(
        EXAMPLES / "fit_direction.py", picture, env=processes.environment(MPLCONFIGDIR=str(tmp_path))
    )
    assert str(picture) in out
    assert err == ""
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_picture_of_several_methods_is_drawn(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.png"
    imported("pictures.py").main(str(picture))
    assert len(re.findall(r"^\w+ +\d\.\d\d ± \d\.\d\d nats$", capsys.readouterr().out, re.MULTILINE)) == 6
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_bound_and_its_gap_make_the_likelihood():
    em = imported("em_elbo.py")
    x = np.random.default_rng(0).normal(20.0, 4.0, size=(300, 1))
    rows = np.array(list(em.steps(x, 30)))
    log_likelihood, bound, gap = rows.T
    np.testing.assert_allclose(bound + gap, log_likelihood, rtol=0, atol=1e-10)
    assert (gap > 0.0).all()
    assert (np.diff(log_likelihood) > 0.0).all()


def test_drift_is_found_where_it_is():
    out, _ = processes.run(EXAMPLES / "drift_breast_cancer.py")
    half, large, stream = re.split(r"large nuclei:|a stream", out)
    assert re.search(r"drift +no: p = 0\.\d+ > alpha = 0\.01", half)
    assert re.search(r"drift +yes: p = 0\.001 <= alpha = 0\.01", large)
    assert [line.split(", ")[2] for line in stream.splitlines() if line.startswith("rows")] == [
        "no drift",
        "no drift",
        "drift",
        "drift",
    ]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_loss_of_distillation(temperature):
    distillation = imported("distillation.py")
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 6, 4))
    p, q = (np.exp(z / temperature) / np.exp(z / temperature).sum(1, keepdims=True) for z in (teacher, student))
    expected = temperature**2 * (p * np.log(p / q)).sum(1).mean()
    assert distillation.loss(teacher, student, temperature) == pytest.approx(expected, rel=1e-12)
    step = 1e-5 * rng.normal(size=student.shape)
    change = distillation.loss(teacher, student + step, temperature) - distillation.loss(
        teacher, student - step, temperature
    )
    slope = 2.0 * (distillation.gradient(teacher, student, temperature) * step).sum()
    assert change == pytest.approx(slope, rel=1e-5)


def test_distillation_at_a_high_temperature_compares_logits():
    distillation = imported("distillation.py")
    teacher, student = np.random.default_rng(0).normal(size=(2, 6, 4))
    assert distillation.loss(teacher, student, 1e4) == pytest.approx(
        0.5 * (teacher - student).var(axis=1).mean(), rel=1e-3
    )


@pytest.mark.filterwarnings("ignore::kltools.errors.KLToolsWarning")
def test_a_kernel_of_divergences():
    digits = imported("digit_classes.py")
    samples, labels = digits.bunches()
    kernel = digits.kernel(kl.divergence_matrix(samples, kind="js", n_neighbors=2))
    assert np.linalg.eigvalsh(kernel).min() > -1e-12
    np.fill_diagonal(kernel, -np.inf)
    assert (labels[kernel.argmax(axis=1)] == labels).mean() > 0.8


def test_a_healthy_latent_space_and_a_collapsed_one(monkeypatch):
    torch = pytest.importorskip("torch")
    vae = imported("vae_digits.py")
    monkeypatch.setattr(vae, "N_EPOCHS", 12)
    x = torch.tensor(vae.load_digits().data / 16.0, dtype=torch.float32)
    healthy, collapsed = (kl.latent_report(*vae.train(x, beta).encode(x), random_state=0) for beta in (1.0, 12.0))
    assert len(healthy.active_by_kl) >= 4
    assert healthy.mutual_information.value > 1.0
    assert not any("all units are collapsed" in text for text in healthy.warnings)
    assert collapsed.active_by_kl == collapsed.active_by_mu == ()
    assert collapsed.mutual_information.value < 0.02
    assert any("all units are collapsed" in text for text in collapsed.warnings)
