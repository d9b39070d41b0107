"""The house: what the sources may import and contain, and what a docstring must say."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import kltools
import kltools.cuda
from kltools.errors import __all__ as ERRORS
from kltools.estimators import METHODS, method_function

PACKAGE = Path(kltools.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# from the ground up; a module imports from lower lines only
LAYERS = (
    ("errors", "_once", "_version"),
    ("_cache", "_progress", "_state"),
    ("_jit",),
    ("_arrays", "_scalar", "_simd", "_philox"),
    (
        "_bessel",
        "_device",
        "_gamma_ratio",
        "_lanes",
        "_log_sums",
        "_moments",
        "_parameters",
        "_special",
        "_sums",
        "_tilt",
        "_validation",
        "inference",
        "pareto",
    ),
    ("_count_validation", "_latent_validation", "_log_prob_validation", "maps"),
    ("_affinity", "_formula", "_stirling", "estimate"),
    ("_bridge",),
    ("distribution", "neighbors", "integrands"),
    ("_blocks", "_charts", "_strata", "_summation", "preprocessing"),
    ("quadrature", "scaling"),
    ("_counting", "_odds", "closed_forms"),
    ("relatives",),
    ("divergences", "power_divergences"),
    ("models", "repeats"),
    ("families", "estimators"),
    ("comparison", "mixture_bounds"),
    ("_warmup", "dependence", "fits", "vae", "drift", "selection"),
    ("latents",),
    ("cuda",),
    ("io", "plotting", "dask"),
    ("report",),
    ("cli",),
    ("__init__", "__main__"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# inside a package files do not know each other, with these exceptions
SHARED = {
    "neighbors._nearest",
    "neighbors._build",
    "neighbors.reductions",
    "estimators.problem",
    "estimators.base",
    "comparison.halves",
    "comparison.shape",
    "estimators.calibration",
    "estimators.model",
    "estimators.preparation",
    "estimators.spaces",
    "estimators.terms",
    "estimators.call",
    "estimators.cells",
    "estimators.cell_errors",
    "estimators.density",
}
COMPOSED = {
    "neighbors.contrast",
    "neighbors.leave_out",
    "neighbors.neighborhood",
    "estimators.auto",
    "estimators.blocks",
    "estimators.model",
    "estimators.preparation",
    "estimators.monte_carlo",
    "estimators.knn_radius",
    "estimators.knn_weighted",
    "estimators.jeffreys",
    "estimators.objects",
    "estimators.model_objects",
    "estimators.ratio_objects",
    "families.__init__",
    "families.directional_forms",
    "families.gaussian_full",
    "families.gaussian_relatives",
    "families.low_rank",
    "families.matrix",
    "families.mixture",
    "families.gaussian_mixture",
    "families.positive_scale",
    "families.structural_forms",
    "families.student",
    "families.weibull",
    "families.wishart",
}
# results write pages, which draw results: imported when a page is asked for
LAZY_UPWARDS = {("estimate", "report")}
SEALED = ("neighbors", "families", "estimators", "comparison")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def module_name(path):
    """The name below kltools: "neighbors.tree", "neighbors.__init__", "_jit"."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imported_modules(path):
    """Pairs of a module of kltools that a file imports, and whether only inside a function."""
    package = module_name(path).split(".")[:-1]
    lazy = {
        id(inner)
        for outer in ast.walk(TREES[path])
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            bases = [a.name.split(".")[1:] for a in node.names if a.name.split(".")[0] == "kltools"]
            names = [None]
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            if node.level:
                bases = [package[: len(package) + 1 - node.level] + parts]
            else:
                bases = [parts[1:]] if parts[:1] == ["kltools"] else []
            names = [a.name for a in node.names]
        else:
            continue
        for base in bases:
            for name in names:
                yield resolve(base, name), id(node) in lazy


def resolve(base, name):
    """The module that `from base import name` reads."""
    for parts in ([*base, name] if name else base, base):
        if PACKAGE.joinpath(*parts).with_suffix(".py").is_file() and parts:
            return ".".join(parts)
        if PACKAGE.joinpath(*parts, "__init__.py").is_file():
            return ".".join([*parts, "__init__"])
    raise AssertionError(f"{base} has no module {name}")


def dotted(node):
    """ "numba.cuda.jit" for the syntax tree of that expression."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def foreign_names(path):
    """Full names of everything imported from elsewhere, and of every dotted expression."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{a.name}" for a in node.names)
        elif isinstance(node, ast.Attribute):
            yield dotted(node)


# ---------------------------------------------------------------- imports


@each_file
def test_every_file_has_its_place(path):
    assert module_name(path).split(".")[0] in RANK


@each_file
def test_imports_go_down(path):
    name = module_name(path)
    own = name.split(".")[0]
    for imported, lazy in imported_modules(path):
        target = imported.split(".")[0]
        if target == own or (own == "cli" and lazy) or (imported == "__init__" and own in ("cli", "__main__")):
            continue
        if lazy and (name, imported) in LAZY_UPWARDS:
            continue
        assert RANK[target] < RANK[own], f"{name} imports {imported}"


@each_file
def test_leaves_do_not_import_each_other(path):
    name = module_name(path)
    package, _, file = name.partition(".")
    if package not in SEALED or name in COMPOSED:
        return
    for imported, _ in imported_modules(path):
        if imported.split(".")[0] != package:
            continue
        allowed = imported in SHARED or (file == "__init__" and imported not in COMPOSED)
        assert allowed, f"{name} imports {imported}"


@each_file
def test_numba_is_known_to_few(path):
    name = module_name(path)
    names = list(foreign_names(path))
    numba = [n for n in names if n.split(".")[0] in ("numba", "numba_cuda", "llvmlite")]
    if not name.startswith("cuda."):
        assert [n for n in numba if n.startswith(("numba.cuda", "numba_cuda"))] == []
        assert not numba or name.split(".")[0] in ("_jit", "_cache", "_simd"), f"{name} uses {numba}"
    if name != "_jit":
        assert [n for n in numba if n.split(".")[1:2] in (["njit"], ["jit"], ["vectorize"], ["guvectorize"])] == []


# ---------------------------------------------------------------- sources


@each_file
def test_files_are_short_and_aptly_named(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 420
    assert path.stem.strip("_") not in {"utils", "util", "core", "common", "helpers", "helper", "misc"}


@each_file
def test_no_prange_parallel_fastmath_or_cache(path):
    for node in ast.walk(TREES[path]):
        names = {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None)}
        assert "prange" not in names
        if isinstance(node, ast.keyword) and node.arg in ("parallel", "fastmath", "cache"):
            assert not (isinstance(node.value, ast.Constant) and node.value.value is True), node.arg


@each_file
def test_every_module_says_what_it_is(path):
    assert path.name == "__main__.py" or ast.get_docstring(TREES[path])


# ---------------------------------------------------------------- methods


def test_every_method_has_a_module_and_keyword_only_options():
    for name, description in METHODS.items():
        function = method_function(name)
        first, *options = inspect.signature(function).parameters.values()
        assert first.name == "problem"
        assert all(option.kind is option.KEYWORD_ONLY for option in options), name
        assert all(option.default is not option.empty for option in options), name
        assert description.endswith(".")


def test_every_function_of_a_problem_is_in_the_table():
    found = set()
    for path in PACKAGE.joinpath("estimators").glob("[!_]*.py"):
        for node in TREES[path].body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            if [argument.arg for argument in node.args.args] == ["problem"] and ast.unparse(node.returns) == "Result":
                found.add(path.stem if node.name == "estimate" else node.name)
    assert found == set(METHODS)


# ---------------------------------------------------------------- docstrings

PUBLIC = [name for name in kltools.__all__ if name not in ERRORS and callable(getattr(kltools, name))]
HEADING = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)
PARAMETER = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : .*)?$", re.MULTILINE)
each_public_name = pytest.mark.parametrize("name", PUBLIC)


def sections(thing):
    """Sections of a numpydoc docstring by their headings."""
    _, *parts = HEADING.split(inspect.cleandoc(thing.__doc__))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def documented(section):
    return [name.lstrip("*") for line in PARAMETER.findall(section) for name in line.split(", ")]


@each_public_name
def test_docstrings_have_their_sections(name):
    thing = getattr(kltools, name)
    found = sections(thing)
    assert "Examples" in found
    assert ">>> " in found["Examples"]
    if inspect.isclass(thing):
        assert "Parameters" in found or "Attributes" in found
    else:
        assert "Parameters" in found
        assert "Returns" in found or inspect.signature(thing).return_annotation in (None, "None")


@each_public_name
def test_documented_parameters_are_those_of_the_signature(name):
    thing = getattr(kltools, name)
    found = sections(thing)
    if "Parameters" in found:
        assert documented(found["Parameters"]) == list(inspect.signature(thing).parameters)
    elif inspect.isclass(thing):
        assert not [p for p in inspect.signature(thing).parameters if p not in documented(found.get("Attributes", ""))]


@each_public_name
def test_methods_document_their_parameters(name):
    thing = getattr(kltools, name)
    if not inspect.isclass(thing):
        return
    for attribute in dir(thing):
        method = inspect.getattr_static(thing, attribute)
        function = getattr(method, "__func__", method)
        if attribute.startswith("_") or not inspect.isfunction(function) or "kltools" not in function.__module__:
            continue
        assert function.__doc__, f"{name}.{attribute}"
        found = sections(function)
        if "Parameters" in found:
            names = [p for p in inspect.signature(function).parameters if p not in ("self", "cls")]
            assert documented(found["Parameters"]) == names, f"{name}.{attribute}"


@pytest.mark.parametrize("name", sorted(kltools.distribution.FAMILIES))
def test_families_document_their_fields(name):
    family = kltools.distribution.FAMILIES[name]
    assert name in kltools.__all__
    assert documented(sections(family)["Parameters"]) == [field.name for field in dataclasses.fields(family)]


def test_every_public_name_is_in_the_reference():
    pages = (Path(__file__).parents[1] / "docs" / "reference").glob("*.rst")
    reference = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    whole_modules = {*kltools.families.__all__, *kltools.errors.__all__}
    names = [*(name for name in kltools.__all__ if name not in whole_modules), *kltools.cuda.__all__]
    assert [name for name in names if not re.search(rf"\b{name}\b", reference)] == []


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_when_they_are_raised(name):
    assert getattr(kltools, name).__doc__
