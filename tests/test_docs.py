"""The pages keep their word: what they run comes out as shown, links lead somewhere, quoted numbers were measured."""

import ast
import doctest
import importlib
import operator
import re
import shlex
import shutil
import sys
from pathlib import Path

import processes
import pytest

import kltools
from kltools.cli import main
from kltools.closed_forms import registered_pairs
from kltools.errors import __all__ as ERRORS
from kltools.estimators import METHODS, RELATIVES

HOME = Path(__file__).parents[1]
DOCS = HOME / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.rst"))}
PAGES = {name: text for name, text in PAGES.items() if not name.startswith(("gallery/", "_build/"))}
PROSE = [name for name in PAGES if "/" not in name]
EXTENDING = PAGES["extending.rst"]
REFERENCE = "\n".join(text for name, text in PAGES.items() if name.startswith("reference/"))

sys.path.insert(0, str(DOCS))
measured, registries = (importlib.import_module(name) for name in ("measured", "registries"))
sys.path.remove(str(DOCS))

each_page = pytest.mark.parametrize("page", PAGES)


# ---------------------------------------------------------------- what pages run


@pytest.mark.parametrize("page", [name for name in PROSE if ">>> " in PAGES[name]])
@pytest.mark.filterwarnings("ignore::kltools.KLToolsWarning")
def test_examples_print_what_they_show(page):
    failed, attempted = doctest.testfile(str(DOCS / page), module_relative=False, encoding="utf-8")
    assert attempted
    assert not failed


def blocks(text, directive):
    """Caption and content of every code block or included file, in order."""
    pattern = rf"^\.\. {directive}:: (\S+)\n((?:   :\w+:.*\n)*)\n?((?:   .*\n|\n)*)"
    for argument, options, content in re.findall(pattern, text, re.MULTILINE):
        caption = re.search(r":caption: (.+)", options)
        yield argument, caption and caption[1], re.sub(r"^   ", "", content, flags=re.MULTILINE).strip("\n")


def commands():
    for page in PROSE:
        for language, _, content in blocks(PAGES[page], "code-block"):
            command, _, output = content.removeprefix("$ ").partition("\n")
            if language == "console" and command.startswith("kltools"):
                yield command, f"{output}\n"


@pytest.mark.parametrize(("command", "output"), list(commands()))
def test_commands_print_what_they_show(command, output, monkeypatch, capsys):
    monkeypatch.chdir(HOME)
    assert main(shlex.split(command)[1:]) < 2  # 1 says that there is drift
    assert capsys.readouterr().out == output


def test_there_are_commands():
    assert list(commands())


# ---------------------------------------------------------------- recipes

FILES = {caption: DOCS / argument for argument, caption, _ in blocks(EXTENDING, "literalinclude")}
LINES = {caption: content for _, caption, content in blocks(EXTENDING, "code-block") if caption}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the package with the files and lines that the page of recipes tells to add."""
    root = tmp_path_factory.mktemp("extended")
    shutil.copytree(Path(kltools.__file__).parent, root / "kltools", ignore=shutil.ignore_patterns("__pycache__"))
    for caption, source in FILES.items():
        assert not (root / caption).exists()
        shutil.copyfile(source, root / caption)
    for caption, line in LINES.items():
        path, _, table = caption.partition(": ")
        if table:
            text = (root / path).read_text(encoding="utf-8")
            changed, n = re.subn(rf"^({table} = {{.*\n)", rf"\1    {line}\n", text, flags=re.MULTILINE)
            assert n == 1
            (root / path).write_text(changed, encoding="utf-8")
    return root


@pytest.mark.parametrize("script", [caption for caption in FILES if "/" not in caption])
def test_recipe(script, extended):
    variables = {"NUMBA_ENABLE_CUDASIM": "1"} if "counting" in script else {}
    out, err = processes.run("-W", "error", extended / script, env=processes.environment(extended, **variables))
    assert out == LINES[f"what {script} prints"] + "\n"
    assert err == ""


def test_the_command_line_finds_a_new_method(extended):
    out, _ = processes.run("-m", "kltools", "estimate", "--help", cwd=extended, env=processes.environment(extended))
    assert "partition" in out


def test_there_are_three_recipes():
    assert len([caption for caption in FILES if "/" not in caption]) == 3
    assert {path.name for path in (DOCS / "recipes").glob("*.py")} == {path.name for path in FILES.values()}


# ---------------------------------------------------------------- links

ROLE = re.compile(r":(func|class|meth|exc|doc|ref):`([^`]+)`")
DOCUMENTED = set(re.findall(r"^\.\. auto\w+:: kltools\.(\S+)", REFERENCE, re.MULTILINE))
DOCUMENTED |= {*kltools.families.__all__, *ERRORS}


@each_page
def test_links_lead_somewhere(page):
    for role, text in ROLE.findall(PAGES[page]):
        target = re.sub(r"^.*<(.+)>$", r"\1", text).removeprefix("~kltools.").removeprefix("kltools.")
        if role == "doc":
            assert exists((DOCS / page).parent / target), text
        else:
            assert target in DOCUMENTED, text
            assert operator.attrgetter(target)(kltools)


def exists(page):
    """Whether a page is there, or the example of which the gallery makes it."""
    example = HOME / "examples" / f"{page.name}.py"
    made = page.parent == DOCS / "gallery" and (page.name == "index" or example.exists())
    return made or page.with_suffix(".rst").exists()


def test_every_page_is_in_a_table_of_contents():
    entries = set()
    for page, text in PAGES.items():
        for tree in re.findall(r"^\.\. toctree::\n(?:   :.*\n)*\n((?:   .*\n)*)", text, re.MULTILINE):
            entries |= {((DOCS / page).parent / line).relative_to(DOCS).as_posix() for line in tree.split()}
    assert {f"{entry}.rst" for entry in entries} == {*PAGES, "gallery/index.rst"} - {"index.rst"}


# ---------------------------------------------------------------- numbers

NUMBERS = [(page, text) for page in PAGES for text in re.findall(r":measured:`([^`]+)`", PAGES[page])]
TABLES = [
    (page, file, dict(re.findall(r"   :(\w+): (.+)", options)))
    for page in PAGES
    for file, options in re.findall(r"^\.\. measured:: (\S+)\n((?:   :.*\n)*)", PAGES[page], re.MULTILINE)
]


@pytest.mark.parametrize(("page", "text"), NUMBERS)
def test_numbers_stand_in_the_results_that_the_page_names(page, text):
    file = text.partition(";")[0]
    assert f"benchmarks/results/{file}" in PAGES[page] or f".. measured:: {file}" in PAGES[page]
    assert measured.number(text) in (measured.RESULTS / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "file", "options"), TABLES)
def test_measured_tables_are_found(page, file, options):
    header, rows = measured.table(file, options["table"], options.get("columns", ""), options.get("rows", ""))
    text = (measured.RESULTS / file).read_text(encoding="utf-8")
    assert all(cell in text for row in (header, *rows) for cell in row)
    assert {len(row) for row in rows} == {len(header)}


def test_a_table_of_results_is_read_by_its_names():
    method = "All methods, n = 200: method", "method; bad"
    assert measured.table("accuracy.md", *method, rows="auto") == (["method", "bad"], [["auto", "0.299"]])
    assert measured.number("accuracy.md; All methods, n = 1000: method; auto; bad") == "0.073"
    with pytest.raises(ValueError, match="begin like"):
        measured.table("peers.md", "case", rows="nothing")
    with pytest.raises(ValueError, match="3 rows"):
        measured.number("accuracy_goals.md; goal; G13; measured")
    with pytest.raises(ValueError, match="not in list"):
        measured.number("peers.md; case; P = Q, 50; nobody")


BARE_NUMBERS = {  # of definitions and of examples that stand beside them, not of measurements
    "0.2", "0.25", "0.135", "0.0966", "0.3181", "1.4427", "1.5", "3.11", "8.0", "9.0", "0.375",
}  # fmt: skip


@pytest.mark.parametrize("page", PROSE)
def test_prose_has_no_other_numbers(page):
    text = re.sub(r"^(>>>|\.\.\.) .*\n(?:.+\n)*", "", PAGES[page], flags=re.MULTILINE)
    text = re.sub(r"^\.\. [\w-]+::.*\n(?:   .*\n|\n)*", "", text, flags=re.MULTILINE)
    text = re.sub(r":\w+:`[^`]*`|``[^`]*``|\b(eq\.|section) [\d.]+", "", text)
    assert set(re.findall(r"\d+\.\d+", text)) <= BARE_NUMBERS


# ---------------------------------------------------------------- tables of the registries


def linked(cells):
    return re.findall(r"~kltools\.(\w+)`", " ".join(cells))


def test_tables_hold_what_is_registered():
    tables = {name: make() for name, make in registries.TABLES.items()}
    for header, rows in tables.values():
        assert {len(row) for row in rows} == {len(header)}
    assert [linked(row)[0] for row in tables["families"][1]] == kltools.families.__all__
    assert [row[0].strip("`") for row in tables["methods"][1]] == list(METHODS)
    assert [linked(row)[0] for row in tables["exceptions"][1]] == ERRORS
    assert {name for row in tables["relatives"][1] for name in linked(row)} >= {*RELATIVES, "estimate_kl", "renyi"}
    pairs = {(linked(row)[0], q) for row in tables["closed forms"][1] for q in linked(row)[1:]}
    assert pairs == {(p.__name__, q.__name__) for p, q in registered_pairs() if p.__module__.startswith("kltools.")}


def test_tables_tell_parameters_and_conditions():
    families = {linked(row)[0]: row for row in registries.families()[1]}
    assert families["Gamma"][1] == "``shape`` (positive), ``rate`` (positive)"
    assert "symmetric matrix" in families["MultivariateNormal"][1]
    assert families["MultivariateNormalDiag"][1].startswith("``mean`` (real vector)")
    assert "from_std" in families["Normal"][2]
    forms = {linked(row)[0]: row[1] for row in registries.closed_form_pairs()[1]}
    assert "Binomial` (where p and q have the same n)" in forms["Binomial"]
    methods = {row[0]: row for row in registries.methods()[1]}
    assert methods["``knn``"][3:] == ["yes", "yes"]
    assert methods["``classifier``"][3:] == ["", ""]


@pytest.mark.parametrize("page", PAGES)
def test_registries_that_are_asked_for_exist(page):
    assert set(re.findall(r"^\.\. registry:: (.+)$", PAGES[page], re.MULTILINE)) <= set(registries.TABLES)


@pytest.mark.parametrize("script", sorted((HOME / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_of_the_gallery_begin_with_a_title(script):
    title, line, *_ = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).splitlines()
    assert script.name == "make_data.py" or line == "=" * len(title)
