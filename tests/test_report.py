"""Pages of results: one file, escaped, whole, and readable in a browser, wide and narrow, light and dark."""

import html
import json
import math
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import kltools as kl
from kltools.cli import main

pytest.importorskip("matplotlib")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
VOID = {"meta", "link", "br", "img", "hr", "input", "col"}
EVIL = "<script>document.title='stolen'</script>&\"' $x_{"


class Page(HTMLParser):
    """All tags are closed in order; texts and attributes are kept."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def latents():
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(400, 4)) * [1.8, 0.9, 0.5, 0.0]
    frame = pd.DataFrame(mu, columns=[EVIL, "second", "third", "fourth"])
    labels = np.array(["cat", EVIL])[rng.integers(0, 2, 400)]
    return kl.latent_report(frame, np.tile(np.log([0.2, 0.2, 0.7, 1.0]), (400, 1)), labels=labels,
                            n_samples=500, random_state=0)  # fmt: skip


def drift():
    reference = pd.DataFrame({EVIL: ["a", EVIL] * 40, "second": np.arange(80.0)})
    window = pd.DataFrame({EVIL: ["a", EVIL, "new<b>"] * 20, "second": np.arange(60.0)})
    return kl.DriftDetector(n_permutations=99, random_state=0).fit(reference).detect(window)


@pytest.fixture(scope="module")
def reports(latents):
    X, Y = np.random.default_rng(0).normal(0, 1, (2, 300, 2))
    return {
        "latents": latents,
        "diagnosis": kl.diagnose(X, np.round(Y + 0.5, 1), random_state=0),
        "estimate": kl.estimate_kl(X, Y, method="gaussian"),
        "test": kl.two_sample_test(X, Y, n_permutations=19, random_state=0),
        "comparison": kl.compare_latents((X, 0 * X), (Y, 0 * Y), n_samples=500, random_state=0),
        "drift": drift(),
    }


PICTURES = {"latents": 4, "diagnosis": 4, "drift": 4, "estimate": 0, "test": 0, "comparison": 0}
each_report = pytest.mark.parametrize("name", PICTURES)


@pytest.fixture
def written(reports, tmp_path):
    def write(name):
        path = tmp_path / f"{name}.html"
        assert reports[name].to_html(path) is None
        return path.read_text(encoding="utf-8")

    return write


def leaves(value):
    """Names, numbers and texts in what `to_dict` gives."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, float) and math.isnan(value):
        yield "not known"
    elif value is not None:
        yield repr(value) if isinstance(value, float) else str(value)


@each_report
def test_pages_are_whole_and_of_one_piece(name, written, reports):
    text = written(name)
    assert text.startswith("<!doctype html>")
    page = Page(text)
    assert page.tags.count("svg") == page.tags.count("figure") == PICTURES[name]
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.tags)
    for attribute, value in page.attributes:
        if attribute in ("src", "href", "xlink:href", "action", "srcset"):
            assert value.startswith(("#", "data:image/png;base64,")), value
        assert not attribute.startswith("on")
    rest = re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", text)
    assert "http:" not in rest
    assert "https:" not in rest
    assert "@import" not in rest
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", rest))


@each_report
def test_references_within_a_page_find_what_they_mean(name, written):
    page = Page(written(name))
    ids = [value for attribute, value in page.attributes if attribute == "id"]
    assert len(ids) == len(set(ids))
    wanted = {value[1:] for attribute, value in page.attributes if attribute.endswith("href") and value[0] == "#"}
    for _, value in page.attributes:
        wanted |= set(re.findall(r"url\(#(.*?)\)", value or ""))
    assert wanted <= set(ids)


@each_report
def test_every_number_and_text_of_a_result_is_there(name, written, reports):
    text = " ".join(Page(written(name)).texts)
    missing = [leaf for leaf in leaves(reports[name].to_dict()) if leaf not in text]
    assert missing == []
    for label, told in reports[name]._summary_rows():
        assert told in text or label.startswith(("unit ", "feature "))  # which stand in a table


def test_features_stand_in_a_table(written, reports):
    text, features = written("drift"), reports["drift"].features
    table = text[text.index("<h2>Features</h2>") : text.index("<details>")]
    rows = [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table)]  # fmt: skip
    assert [row[:2] for row in rows[1:]] == [[f.name, f.kind] for f in features]
    assert [float(row[2]) for row in rows[1:]] == pytest.approx([f.kl for f in features], rel=1e-3)
    assert [row[-1] for row in rows[1:]] == ["changed" if f.drift else "" for f in features]


def test_findings_that_matter_are_marked(reports, tmp_path):
    rows = {"x": np.arange(80.0)}
    calm = kl.DriftDetector(n_permutations=99, random_state=0).fit(rows).detect(rows)
    for report, kind in ((calm, ' class="calm"'), (reports["drift"], "")):
        report.to_html(tmp_path / "page.html")
        text = (tmp_path / "page.html").read_text(encoding="utf-8")
        items = re.findall(r"<li([^>]*)>(.*?)</li>", text)
        assert [html.unescape(words) for _, words in items] == [*report.findings, *report.warnings]
        assert [found for found, _ in items] == [kind] * len(report.findings) + [""] * len(report.warnings)


def test_units_stand_in_a_table(written, latents):
    text = written("latents")
    table = text[text.index("<h2>Units</h2>") : text.index("<details>")]
    rows = [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table)]  # fmt: skip
    assert [row[0] for row in rows[1:]] == [latents.names[j] for j in np.argsort(-latents.kl_per_unit)]
    assert float(rows[1][1]) == pytest.approx(latents.kl_per_unit.max(), rel=1e-3)
    assert rows[-1][-1] == "collapsed"


def test_names_and_labels_are_escaped(written):
    text = written("latents")
    assert "<script" not in text
    page = Page(text)
    assert any(EVIL in told for told in page.texts)
    assert any(told.startswith("<script>document") for told in page.texts)


def test_equal_reports_give_equal_pages(latents, tmp_path):
    for name in ("a", "b"):
        latents.to_html(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# ---------------------------------------------------------------- in a browser

MEASURE = """<!doctype html><meta charset="utf-8"><body><iframe style="border:0" width="%d" height="900"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.srcdoc = %s;
frame.onload = () => {
  const page = frame.contentDocument, view = frame.contentWindow, body = page.body;
  const result = {
    title: page.title,
    width: page.documentElement.scrollWidth,
    background: view.getComputedStyle(body).backgroundColor,
    ink: view.getComputedStyle(body).color,
    pictures: [...page.querySelectorAll("svg")].map(s => s.getBoundingClientRect().width),
    labels: [...new Set([...page.querySelectorAll("svg text")].map(t => view.getComputedStyle(t).fill))],
    requests: view.performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
    heads: [...page.querySelectorAll("main > .wide table")].map(table => {
      table.parentElement.scrollLeft = 1e6;
      const cells = [...table.querySelectorAll("tr > :first-child")].map(c => c.getBoundingClientRect());
      return [Math.min(...cells.map(c => c.left)), Math.max(...cells.map(c => c.width)),
              table.parentElement.scrollLeft];
    }),
    columns: new Set([...page.querySelectorAll("figure")].map(f => f.getBoundingClientRect().left)).size,
  };
  const out = document.createElement("pre");
  out.id = "result";
  out.textContent = JSON.stringify(result);
  document.body.replaceChildren(out);
};
</script>"""


def seen(text, folder, width, *options):
    """What a browser makes of a page in a window of that width."""
    outer = folder / "outer.html"
    outer.write_text(MEASURE % (width, json.dumps(text).replace("</", "<\\/")), encoding="utf-8")
    command = [BROWSER, "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking",
               "--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}", *options]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")
    run = subprocess.run([*command, "--dump-dom", outer.as_uri()], capture_output=True, text=True, timeout=120)
    found = re.search(r'<pre id="result">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found, run.stderr
    return json.loads(html.unescape(found[1]))


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed")
@pytest.mark.parametrize("name", ["latents", "diagnosis", "drift"])
def test_a_browser_shows_the_page_on_screens_and_phones_light_and_dark(name, written, tmp_path):
    text = written(name)
    wide = seen(text, tmp_path, 1200)
    assert wide["title"] == {"latents": "Latent report", "diagnosis": "Diagnosis", "drift": "Drift report"}[name]
    assert wide["width"] <= 1200
    assert wide["requests"] == []
    assert wide["columns"] == 2
    assert len(wide["pictures"]) == 4
    assert min(wide["pictures"]) > 400
    assert wide["background"] == "rgb(255, 255, 255)"
    assert wide["ink"] in wide["labels"]
    dark_phone = seen(text, tmp_path, 360, "--blink-settings=preferredColorScheme=0")
    assert dark_phone["width"] <= 360
    assert dark_phone["columns"] == 1
    assert min(dark_phone["pictures"]) > 300
    assert dark_phone["background"] == "rgb(21, 23, 26)"
    assert dark_phone["ink"] == "rgb(230, 231, 233)"
    assert dark_phone["ink"] in dark_phone["labels"]
    assert "rgb(0, 0, 0)" not in dark_phone["labels"]


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is installed")
def test_tables_on_a_phone_scroll_beside_their_first_column(tmp_path):
    """Long names of units and labels are wrapped, and stay in sight when a wide table is moved to its end."""
    mu = np.random.default_rng(0).normal(size=(200, 2))
    frame = pd.DataFrame(mu, columns=["n" * 60, "second"])
    report = kl.latent_report(frame, 0.0 * mu, labels=["x" * 80, "a label of many words " * 4] * 100, n_samples=200)
    report.to_html(tmp_path / "page.html")
    phone = seen((tmp_path / "page.html").read_text(encoding="utf-8"), tmp_path, 400)
    assert phone["width"] <= 400
    assert len(phone["heads"]) == 2
    for left, width, _ in phone["heads"]:
        assert 0.0 <= left <= 40.0
        assert width <= 0.4 * 400.0 + 20.0
    assert phone["heads"][0][2] == 0.0  # the summary is as wide as the screen
    assert phone["heads"][1][2] > 0.0


# ---------------------------------------------------------------- on the command line


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "p.npy", rng.normal(0, 1, (200, 2)))
    np.save(tmp_path / "q.npy", rng.normal(0.5, 1, (200, 2)))
    np.savez(tmp_path / "latents.npz", mu=rng.normal(size=(100, 2)), log_var=np.zeros((100, 2)))
    return tmp_path


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_estimate_draws(files, capsys, suffix, start):
    arguments = ["estimate", str(files / "p.npy"), str(files / "q.npy"), "--method", "gaussian", "--unit", "bits"]
    assert main(arguments) == 0
    plain = capsys.readouterr()
    picture = files / f"picture.{suffix}"
    assert main([*arguments, "--plot", str(picture)]) == 0
    assert capsys.readouterr() == plain
    assert picture.read_bytes().startswith(start)


def test_estimate_refuses_unknown_pictures_before_it_computes(capsys):
    assert main(["estimate", "no.npy", "no.npy", "--plot", "picture.doc"]) == 2
    assert "unknown kind of picture '.doc'; known are .png, .svg, .pdf" in capsys.readouterr().err


def test_vae_writes_its_report(files, capsys):
    page = files / "page.html"
    arguments = ["vae", str(files / "latents.npz"), "--samples", "200"]
    assert main([*arguments, "--report", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert repr(told["kl"]) in page.read_text(encoding="utf-8")
    assert main([*arguments, "--report", str(files / "nowhere" / "page.html")]) == 2
    assert "nowhere" in capsys.readouterr().err
