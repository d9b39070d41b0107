"""The disk cache: it saves time, and nothing that happens to it can change an answer.

Every test runs a copy of the package in processes of their own, with a cache of its own.
"""

import ast
import hashlib
import json
import math
import os
import shutil
import stat
import statistics
import sys
import time
from pathlib import Path

import naive
import numpy as np
import processes
import pytest
from scipy.special import digamma

import kltools

pytestmark = pytest.mark.jit


def mostly_slow(values, *always):
    """Parameters of which only some are tested whenever tests are run."""
    return [value if value in always else pytest.param(value, marks=pytest.mark.slow) for value in values]


REPORT = """
import json, sys
from numba.core.dispatcher import Dispatcher
modules = [module for name, module in sys.modules.items() if name.startswith("kltools.")]
ours = {id(f): f.stats for module in modules for f in vars(module).values() if isinstance(f, Dispatcher)}.values()
hits, misses = (sum(sum(getattr(s, kind).values()) for s in ours) for kind in ("cache_hits", "cache_misses"))
print(json.dumps({"answer": answer, "hits": hits, "misses": misses}))
"""
P, Q = [math.sin(i) for i in range(40)], [1.5 * math.sin(i + 0.5) for i in range(44)]
JOB = f"""
import kltools as kl
answer = {{
    "kl": kl.kl_divergence(kl.Normal(mean=0, var=1), kl.Normal(mean=1, var=1)),
    "ufunc": kl.kl_divergence(kl.Exponential(rate=1), kl.Exponential(rate=2)),
    "estimate": kl.estimate_kl({P}, {Q}, method="gaussian").value,
}}
from kltools._scalar import digamma
digamma(1.0)  # compiled for one number
"""
NEIGHBORS_JOB = """
import kltools as kl
answer = kl.kth_neighbor_distances([0.0, 1.0, 3.0], [0.0, 1.0, 3.0], k=2).tolist()
"""
SQUARE_JOB = """
import numpy as np
from kltools.neighbors.brute import exact_square
answer = exact_square(np.arange(9.0).reshape(1, 9), 0, np.zeros((1, 9)), 0)
"""
# on a line, in a tree, with all pairs: kernels that are compiled for constants
KNN_JOB = """
import warnings
import numpy as np
import kltools as kl
warnings.simplefilter("ignore", kl.KLToolsWarning)
answer = []
for d in (1, 3, 20):
    X, Y = np.random.default_rng(d).normal(size=(2, 90, d))
    answer.append(kl.estimate_kl(X, Y, method="knn", scale="none", n_jobs=2).value)
    kl.estimate_kl(X, Y, method="knn")
"""


def _job_answer():
    """The unbiased estimate for two normal samples in one dimension, term by term."""
    n, m, var_p, var_q = len(P), len(Q), statistics.variance(P), statistics.variance(Q)
    shrink = (m - 3) / (m - 1)
    logs = math.log(var_q / var_p) + digamma((n - 1) / 2) + math.log(2 / (n - 1))
    logs -= digamma((m - 1) / 2) + math.log(2 / (m - 1))
    trace = shrink * var_p / var_q
    distance = shrink * (statistics.mean(P) - statistics.mean(Q)) ** 2 / var_q - trace / n - 1 / m
    return {
        "kl": 0.5,
        "ufunc": pytest.approx(1.0 - math.log(2.0)),
        "estimate": pytest.approx(0.5 * (trace + distance - 1.0 + logs), abs=1e-15),
    }


def _knn_answer():
    pairs = [np.random.default_rng(d).normal(size=(2, 90, d)) for d in (1, 3, 20)]
    return [pytest.approx(naive.knn_divergence(X, Y, (5, 10, 20)), rel=1e-12, abs=1e-12) for X, Y in pairs]


ANSWERS = {
    JOB: _job_answer(),
    NEIGHBORS_JOB: [[0.0, 1.0], [0.0, 1.0], [0.0, 2.0]],
    SQUARE_JOB: 204.0,
    KNN_JOB: _knn_answer(),
}


def job(package, cache, script=JOB, before="", prefix=(), variables=None, **options):
    """Run a job, whatever its answer; nothing may be complained about."""
    env = processes.environment(package, cache, **(variables or {}))
    out, err = processes.run(*prefix, "-W", "error", "-c", before + script + REPORT, env=env, **options)
    assert err == ""
    return json.loads(out)


def right_job(package, cache, script=JOB, **options):
    """Run a job, whose answer must be right."""
    result = job(package, cache, script, **options)
    assert result["answer"] == ANSWERS[script]
    return result


def kernels(cache):
    """The files of a cache, each with what tells one version from another; there are no others."""
    files = sorted(path for path in Path(cache).rglob("*") if not path.is_dir())
    assert all(path.suffix == ".kernel" for path in files), files
    return {path.relative_to(cache): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def copied(package, target):
    shutil.copytree(package / "kltools", target / "kltools", ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A directory with a copy of the package, which nobody edits while the tests run."""
    return copied(Path(kltools.__file__).parents[1], tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def filled(package, tmp_path_factory):
    """A cache that one process has filled."""
    cache = tmp_path_factory.mktemp("filled") / "cache"
    result = right_job(package, cache)
    assert result["hits"] == 0 < result["misses"]
    return cache


@pytest.fixture
def warm(filled, tmp_path):
    """A copy of the filled cache, to be maltreated."""
    return Path(shutil.copytree(filled, tmp_path / "warm"))


# ---------------------------------------------------------------- it works


def test_a_second_process_compiles_nothing(package, warm):
    before = kernels(warm)
    result = right_job(package, warm)
    assert result["misses"] == 0 < result["hits"]
    assert kernels(warm) == before


def test_kernels_and_ufuncs_are_both_kept(filled):
    names = {path.name.partition("-")[0] for path in kernels(filled)}
    assert {"digamma", "kl_normal_normal.along_batch", "kl_exponential_exponential"} <= names


def test_the_cache_is_private(filled):
    for path in [filled, *filled.rglob("*")]:
        assert path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0, path


def test_a_moved_package_and_a_moved_cache_are_found(package, warm, tmp_path):
    moved = shutil.move(warm, tmp_path / "elsewhere" / "cache")
    before = kernels(moved)
    assert right_job(copied(package, tmp_path / "site-packages"), moved)["misses"] == 0
    assert kernels(moved) == before


def test_four_first_processes_at_once(package, filled, tmp_path):
    env = processes.environment(package, tmp_path / "cache")
    together = [processes.start("-W", "error", "-c", JOB + REPORT, env=env) for _ in range(4)]
    ends = [processes.finish(process) for process in together]
    assert [json.loads(out)["answer"] for out, _ in ends] == [ANSWERS[JOB]] * 4
    assert [err for _, err in ends] == [""] * 4
    assert kernels(tmp_path / "cache").keys() == kernels(filled).keys()
    assert right_job(package, tmp_path / "cache")["misses"] == 0


# ---------------------------------------------------------------- nearest neighbours


@pytest.fixture(scope="module")
def knn_filled(package, tmp_path_factory):
    """A cache that one process has filled with the kernels of nearest-neighbour estimates."""
    cache = tmp_path_factory.mktemp("knn") / "cache"
    result = right_job(package, cache, KNN_JOB)
    assert result["hits"] < result["misses"]
    return cache


@pytest.fixture
def knn_warm(knn_filled, tmp_path):
    """A copy of it, to be maltreated."""
    return Path(shutil.copytree(knn_filled, tmp_path / "knn"))


def kernels_of(cache, name):
    """The files of a kernel, one for each of its signatures."""
    return [cache / path for path in kernels(cache) if path.name.startswith(f"{name}-")]


def test_a_second_estimate_compiles_nothing(package, knn_warm):
    before = kernels(knn_warm)
    result = right_job(package, knn_warm, KNN_JOB)
    assert result["misses"] == 0 < result["hits"]
    assert kernels(knn_warm) == before


def test_each_constant_has_a_file_of_its_own(package, tmp_path):
    """A `Const` is in the type of an argument, and in nothing else."""
    script = "from kltools._simd import Const\nfrom kltools.neighbors._build import _scratch\n"
    script += "answer = [len(_scratch(Const(width))[2]) // 64 for width in {}]\n"
    for widths, misses in (((4, 8), 2), ((4, 8), 0), ((8, 12, 4), 1)):
        result = job(package, tmp_path, script.format(widths))
        assert (result["answer"], result["misses"]) == (list(widths), misses)
    assert len(kernels(tmp_path)) == 3


def test_a_damaged_kernel_is_compiled_again_and_replaced(package, knn_warm):
    damaged = [kernels_of(knn_warm, "choose_kernel")[0], kernels_of(knn_warm, "_finish_kernel")[0]]
    before = kernels(knn_warm)
    for path, damage in zip(damaged, ("a byte flipped", "cut off"), strict=True):
        DAMAGE[damage](path)
    result = right_job(package, knn_warm, KNN_JOB)
    assert (result["misses"], result["hits"] > 0) == (2, True)
    after = kernels(knn_warm)
    assert after.keys() == before.keys()
    assert {knn_warm / path for path in after if after[path] != before[path]} == set(damaged)


def test_four_first_estimates_at_once(package, knn_warm):
    """Some of the kernels are there, others must be compiled, by all of them."""
    before = kernels(knn_warm)
    for name in ("choose_kernel", "_norm_kernel", "_pack_kernel", "_box"):
        for path in kernels_of(knn_warm, name):
            path.unlink()
    assert len(kernels(knn_warm)) < len(before)
    env = processes.environment(package, knn_warm)
    together = [processes.start("-W", "error", "-c", KNN_JOB + REPORT, env=env) for _ in range(4)]
    ends = [processes.finish(process) for process in together]
    assert [json.loads(out)["answer"] for out, _ in ends] == [ANSWERS[KNN_JOB]] * 4
    assert [err for _, err in ends] == [""] * 4
    assert right_job(package, knn_warm, KNN_JOB)["misses"] == 0
    assert kernels(knn_warm).keys() <= before.keys()


def test_a_full_disk_at_an_estimate(package, knn_warm):
    (lost,) = kernels_of(knn_warm, "choose_kernel")
    lost.unlink()
    before = kernels(knn_warm)
    for _ in range(2):
        assert right_job(package, knn_warm, KNN_JOB, before=FULL + FAILURES["no room in it"])["misses"] == 1
    assert kernels(knn_warm) == before


# ---------------------------------------------------------------- where it is


def test_off_writes_nothing(package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    variables = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "xdg")}
    assert right_job(package, "off", variables=variables, cwd=tmp_path)["hits"] == 0
    script = "import os, kltools; from kltools import _cache\nfor word in ('OFF', '0', 'none', 'no', 'false', 'off'):\n"
    script += (
        "    os.environ['KLTOOLS_CACHE'] = word\n    _cache.directory.cache_clear()\n    print(_cache.directory())\n"
    )
    out, _ = processes.run("-c", script, env=processes.environment(package, "off", **variables), cwd=tmp_path)
    assert out.split() == ["None"] * 6
    assert list(tmp_path.iterdir()) == [home]
    assert not list(home.iterdir())


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="XDG is a convention of other systems")
def test_the_default_place(package, tmp_path):
    script = "import kltools; from kltools import _cache; print(_cache.directory())"
    env = processes.environment(package, "", HOME=str(tmp_path / "home"), XDG_CACHE_HOME=str(tmp_path / "xdg"))
    out, _ = processes.run("-c", script, env=env)
    assert Path(out.strip()).parent == tmp_path / "xdg" / "kltools"
    out, _ = processes.run("-c", script, env={**env, "XDG_CACHE_HOME": ""})
    assert Path(out.strip()).parent == tmp_path / "home" / ".cache" / "kltools"
    out, _ = processes.run("-c", script, env={**env, "KLTOOLS_CACHE": "~/mine"})
    assert Path(out.strip()).parent == tmp_path / "home" / "mine"


def test_xdg_cache_home_is_used(package, filled, tmp_path):
    variables = {"XDG_CACHE_HOME": str(tmp_path)}
    right_job(package, "", variables=variables)
    assert kernels(tmp_path / "kltools").keys() == kernels(filled).keys()


# ---------------------------------------------------------------- damage


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_the_digest(path):
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "a byte flipped": flip_a_byte,
    "its digest flipped": flip_the_digest,
}


@pytest.mark.parametrize("damage", mostly_slow(sorted(DAMAGE), "cut off"))
def test_a_damaged_file_is_not_loaded(damage, package, warm):
    for path in kernels(warm):
        DAMAGE[damage](warm / path)
    assert right_job(package, warm)["hits"] == 0


def test_damaged_files_are_replaced(package, warm, filled):
    for i, path in enumerate(kernels(warm)):
        list(DAMAGE.values())[i % len(DAMAGE)](warm / path)
    damaged = kernels(warm)
    assert right_job(package, warm)["hits"] == 0
    replaced = kernels(warm)
    assert replaced.keys() == damaged.keys() == kernels(filled).keys()
    assert right_job(package, warm)["misses"] == 0
    assert kernels(warm) == replaced


def test_a_valid_digest_over_nonsense_is_survived(package, warm):
    for path in kernels(warm):
        nonsense = b"\x80\x04N."  # a pickle of None
        (warm / path).write_bytes(hashlib.sha256(nonsense).digest() + nonsense)
    assert right_job(package, warm)["hits"] == 0


def test_a_directory_in_place_of_a_file(package, warm):
    for path in kernels(warm):
        (warm / path).unlink()
        (warm / path).mkdir()
    assert right_job(package, warm)["hits"] == 0
    assert kernels(warm) == {}


# ---------------------------------------------------------------- never stale


def edit(package, file, function, statement):
    """Put a statement behind the docstring of a function, so that the file's time of modification does not tell."""
    path = package / "kltools" / file
    text, status = path.read_text(), path.stat()
    (definition,) = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == function)
    lines = text.splitlines(keepends=True)
    lines.insert(definition.body[1].lineno - 1, f"    {statement}\n")
    path.write_text("".join(lines))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


EDITS = {
    "a function that a ufunc calls": (JOB, "_scalar.py", "digamma", "x += 1.0"),
    "a function that a kernel calls": (NEIGHBORS_JOB, "neighbors/line.py", "_place", "return 0"),
    "the lowering of an operation": (SQUARE_JOB, "_simd/lowering.py", "fused", "z = x"),
    "a formula": (JOB, "families/gaussian.py", "kl_normal_normal", "mean_p = 7.0"),
}


@pytest.mark.parametrize("case", sorted(EDITS))
def test_an_edited_source_is_compiled_again(case, package, warm, tmp_path):
    script, *change = EDITS[case]
    edited = copied(package, tmp_path / "edited")
    right_job(edited, warm, script)
    edit(edited, *change)
    result = job(edited, warm, script)
    assert result["hits"] == 0
    assert result["answer"] != ANSWERS[script]


def test_an_edit_of_anything_makes_a_new_version(package, warm, tmp_path):
    edited = copied(package, tmp_path / "edited")
    (edited / "kltools" / "errors.py").write_text((edited / "kltools" / "errors.py").read_text() + "# one more line\n")
    assert right_job(edited, warm)["hits"] == 0


def test_every_source_counts(package, tmp_path):
    """Whatever file of the package is edited, its kernels have another name."""
    edited = copied(package, tmp_path / "edited")
    script = """
from pathlib import Path
from kltools import _cache
files = sorted(Path(_cache.__file__).parent.rglob("*.py"))
seen = {_cache._hash_of_sources()}
for path in files:
    text = path.read_text()
    path.write_text(text + "# one more line\\n")
    seen.add(_cache._hash_of_sources())
    path.write_text(text)
assert _cache._hash_of_sources() in seen
print(len(seen) == len(files) + 1, *(path.name for path in files if path.parent.name == "_simd"))
"""
    out, _ = processes.run("-c", script, env=processes.environment(edited, "off"))
    assert out.split()[0] == "True"
    assert {"lanes.py", "lowering.py", "tuples.py"} <= set(out.split())


def test_an_edit_under_a_running_process_does_not_mislabel_its_kernels(package, tmp_path):
    """A process that imported the old sources must not store their machine code as that of the new ones."""
    edited, cache = copied(package, tmp_path / "edited"), tmp_path / "cache"
    edit(edited, "_scalar.py", "digamma", "x += 1.0")
    restore = "import shutil, kltools.estimators.gaussian, kltools.families.gaussian\n"
    restore += f"shutil.copy({str(package / 'kltools/_scalar.py')!r}, {str(edited / 'kltools/_scalar.py')!r})\n"
    assert job(edited, cache, before=restore)["answer"] != ANSWERS[JOB]  # wrong, as its sources were
    right_job(edited, cache)  # right, as the sources are


USERS_FORMULA = """
import math, kltools as kl

@kl.family
class Halves(kl.Distribution):
    rate: float = kl.param("positive")

def spread(rate_p, rate_q):
    return {spread}

@kl.register_kl(Halves, Halves)
def kl_halves_halves(rate_p, rate_q):
    return {formula}

print(kl.kl_divergence(Halves(rate=1.0), Halves(rate=2.0)))
"""


def test_an_edited_formula_of_a_user_is_compiled_again(package, tmp_path):
    """A script that registers a closed form is edited and run again, or another one has a function of that name."""
    answers = []
    for formula in ("rate_q - rate_p", "5.0 * (rate_q - rate_p)"):
        script = USERS_FORMULA.format(formula=formula, spread="0.0")
        out, _ = processes.run("-c", script, env=processes.environment(package, tmp_path))
        answers.append(float(out))
    assert answers == [1.0, 5.0]


def test_an_edited_function_that_a_formula_of_a_user_calls_is_compiled_again(package, tmp_path):
    answers = []
    for spread in ("rate_q - rate_p", "5.0 * (rate_q - rate_p)"):
        script = USERS_FORMULA.format(formula="spread(rate_p, rate_q)", spread=spread)
        script = script.replace("def spread", "import numba\n@numba.njit\ndef spread")
        out, _ = processes.run("-c", script, env=processes.environment(package, tmp_path))
        answers.append(float(out))
    assert answers == [1.0, 5.0]


def test_old_versions_are_removed_and_nothing_else(package, tmp_path):
    long_ago = time.time() - 100 * 86400
    old = tmp_path / "0123456789abcdef0123"
    project = tmp_path / "my-important-project"  # of the length of a fingerprint
    recent = tmp_path / "fedcba98765432100123"
    for directory in (old, project, recent):
        directory.mkdir()
    (old / "_kth_kernel-0123.kernel").write_bytes(b"x")
    (project / "thesis.tex").write_text("years of work")
    tmp_path.chmod(0o700)
    for directory in (old, project):
        os.utime(directory, (long_ago, long_ago))
    script = "import kltools; from kltools import _cache; print(_cache.directory())"
    processes.run("-c", script, env=processes.environment(package, tmp_path))
    assert not old.exists()
    assert recent.exists()
    assert (project / "thesis.tex").exists()


# ---------------------------------------------------------------- places that cannot hold it


def test_a_place_below_a_file(package, tmp_path):
    (tmp_path / "file").write_text("")
    assert right_job(package, tmp_path / "file" / "cache")["hits"] == 0


def test_a_home_below_a_file(package, tmp_path):
    (tmp_path / "file").write_text("")
    variables = {"HOME": str(tmp_path / "file" / "home"), "XDG_CACHE_HOME": ""}
    assert right_job(package, "", variables=variables)["hits"] == 0


LIKE_A_USER = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, without which root obeys permissions
    assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
needs_permissions = pytest.mark.skipif(
    os.name != "posix" or (os.geteuid() == 0 and sys.platform != "linux"), reason="nobody is bound by permissions here"
)


def right_job_like_a_user(package, cache, unwritable, **options):
    assert unwritable.stat().st_mode & stat.S_IWUSR == 0
    check = f"import os\nassert not os.access({str(unwritable)!r}, os.W_OK)\n"
    return right_job(package, cache, prefix=("-c", LIKE_A_USER) if os.geteuid() == 0 else (), before=check, **options)


@needs_permissions
class TestPermissions:
    @pytest.fixture
    def locked(self, tmp_path):
        """An empty directory that cannot be written."""
        (tmp_path / "locked").mkdir(mode=0o500)
        yield tmp_path / "locked"
        assert list((tmp_path / "locked").iterdir()) == []

    def test_a_directory_that_cannot_be_written(self, package, locked):
        assert right_job_like_a_user(package, locked, locked)["hits"] == 0

    def test_a_home_that_cannot_be_written(self, package, locked):
        variables = {"HOME": str(locked), "XDG_CACHE_HOME": ""}
        assert right_job_like_a_user(package, "", locked, variables=variables)["hits"] == 0

    def test_a_package_that_cannot_be_written(self, package, tmp_path):
        site = copied(package, tmp_path / "site-packages")
        folders = [path for path in [site, *site.rglob("*")] if path.is_dir()]
        for folder in folders:
            folder.chmod(0o500)
        right_job_like_a_user(site, tmp_path / "cache", site)
        assert right_job_like_a_user(site, tmp_path / "cache", site)["misses"] == 0
        for folder in folders:
            folder.chmod(0o700)

    def test_a_filled_directory_that_cannot_be_written_is_read(self, package, warm):
        before = kernels(warm)
        version = next(warm.iterdir())
        version.chmod(0o500)
        warm.chmod(0o500)
        assert right_job_like_a_user(package, warm, version)["misses"] == 0
        assert kernels(warm) == before
        version.chmod(0o700)
        warm.chmod(0o700)

    def test_estimates_read_a_filled_directory_that_cannot_be_written(self, package, knn_warm):
        before = kernels(knn_warm)
        version = next(knn_warm.iterdir())
        lost = kernels_of(knn_warm, "choose_kernel")[0]
        content = lost.read_bytes()
        lost.write_bytes(content[:-1])
        version.chmod(0o500)
        result = right_job_like_a_user(package, knn_warm, version, script=KNN_JOB)
        assert result["misses"] == 1 < result["hits"]
        assert lost.read_bytes() == content[:-1]
        assert kernels(knn_warm).keys() == before.keys()
        version.chmod(0o700)

    def test_no_home_at_all(self, package):
        nobody = "import os\nos.environ.pop('HOME')\nimport pwd\npwd.getpwuid = {}.__getitem__\n"
        assert right_job(package, "", before=nobody, variables={"XDG_CACHE_HOME": ""})["hits"] == 0

    @pytest.mark.parametrize("mode", mostly_slow([0o770, 0o702, 0o777], 0o702))
    def test_a_directory_that_others_can_write_is_refused(self, mode, package, warm):
        before = kernels(warm)
        warm.chmod(mode)
        assert right_job(package, warm)["hits"] == 0
        assert kernels(warm) == before

    @pytest.mark.parametrize("mode", mostly_slow([0o770, 0o702], 0o770))
    def test_a_version_that_others_can_write_is_refused(self, mode, package, warm):
        before = kernels(warm)
        next(warm.iterdir()).chmod(mode)
        assert right_job(package, warm)["hits"] == 0
        assert kernels(warm) == before

    def test_a_directory_of_somebody_else_is_refused(self, package, warm):
        before = kernels(warm)
        somebody = "import os\nos.geteuid = lambda: 12345\n"
        assert right_job(package, warm, before=somebody)["hits"] == 0
        assert kernels(warm) == before


FULL = "import errno, os, kltools\ndef full(*args, **kwargs):\n    raise OSError(errno.ENOSPC, 'No space')\n"
FAILURES = {
    "no room for a temporary file": "import tempfile\ntempfile.mkstemp = full\n",
    "no room at its renaming": "os.replace = full\n",
    "no room in it": "os.fdopen = full\n",
    "no room for a directory": "os.mkdir = full\n",
    "a file cannot grow": "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n",
}


@pytest.mark.parametrize("failure", mostly_slow(sorted(FAILURES), "no room in it", "a file cannot grow"))
def test_a_full_disk(failure, package, tmp_path):
    assert right_job(package, tmp_path / "cache", before=FULL + FAILURES[failure])["hits"] == 0
    assert kernels(tmp_path / "cache") == {}


def test_a_read_only_file_system(package, warm):
    failing = "import errno, os, kltools\ndef full(*args, **kwargs):\n    raise OSError(errno.EROFS, 'Read-only')\n"
    before = kernels(warm)
    right_job(package, warm, before=failing + "os.utime = os.mkdir = full\n")
    assert kernels(warm) == before


# ---------------------------------------------------------------- modes of Numba


@pytest.mark.parametrize("variable", mostly_slow(["NUMBA_BOUNDSCHECK", "NUMBA_DEBUGINFO"], "NUMBA_BOUNDSCHECK"))
def test_other_options_of_numba_have_files_of_their_own(variable, package, warm):
    normal = kernels(warm)
    variables = {variable: "1"}
    assert right_job(package, warm, variables=variables)["hits"] == 0
    both = kernels(warm)
    assert normal.items() < both.items()
    assert right_job(package, warm, variables=variables)["misses"] == 0
    assert right_job(package, warm)["misses"] == 0
    assert kernels(warm) == both


def test_bounds_are_checked_where_asked_though_the_cache_is_warm(package, warm):
    outside = SQUARE_JOB.replace("0, np.zeros((1, 9)), 0", "0, np.zeros((1, 9)), 5")
    assert outside != SQUARE_JOB
    right_job(package, warm, SQUARE_JOB)
    job(package, warm, outside)  # reads what is not its own
    env = processes.environment(package, warm, NUMBA_BOUNDSCHECK="1")
    with pytest.raises(AssertionError, match="IndexError"):
        processes.run("-c", outside, env=env)


def test_without_compilation_nothing_is_stored(package, tmp_path):
    result = right_job(package, tmp_path / "cache", variables={"NUMBA_DISABLE_JIT": "1"})
    assert result["misses"] == 0
    assert not (tmp_path / "cache").exists()
