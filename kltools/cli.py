"""The command line: ``kltools estimate``, ``counts``, ``gaussian``, ``vae``, ``drift`` and ``doctor``."""

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np

from . import _cache, _validation, cuda, io, plotting
from ._jit import available_cores
from ._progress import show_progress
from ._version import __version__
from .closed_forms import kl_divergence
from .distribution import Distribution
from .errors import DeviceUnavailableError, InvalidParameterError, KLToolsError, KLToolsWarning, ShapeMismatchError
from .estimate import DivergenceEstimate, json_ready
from .estimators import METHODS, estimate_kl, method_options
from .estimators.cells import AUGMENTED, CORRECTED, ZERO_POLICIES
from .estimators.cells import METHODS as COUNT_METHODS
from .estimators.counts import estimate_kl_from_counts, estimate_kl_from_labels
from .families import MultivariateNormal, MultivariateNormalDiag, Normal
from .latents import latent_report
from .plotting._style import check_page, check_picture

SUCCESS, DRIFT, FAILURE, INTERRUPTED = 0, 1, 2, 130


class Answer(NamedTuple):
    """What is printed, the warnings that it tells itself, and the exit code."""

    text: str
    told: tuple[str, ...] = ()
    code: int = SUCCESS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 for an error, or 1 where drift was asked for and found."""
    options = _parser().parse_args(arguments)
    code = SUCCESS
    try:
        if getattr(options, "report", None) is not None:
            check_page(options.report)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with show_progress(sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None):
                text, told, code = Answer(*options.run(options))
        for warning in caught:
            if str(warning.message) not in told:
                print(f"kltools: warning: {warning.message}", file=sys.stderr)
        print(text, flush=True)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (KLToolsError, OSError, MemoryError) as error:
        print(f"kltools: error: {error or type(error).__name__}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        print("kltools: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kltools", description="KL divergences you can trust.")
    parser.add_argument("--version", action="version", version=f"kltools {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_estimate(commands)
    _add_counts(commands)
    _add_gaussian(commands)
    _add_vae(commands)
    _add_drift(commands)
    doctor = commands.add_parser("doctor", help="tell versions, cores, devices and the cache of compiled code")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_estimate(commands: Any) -> None:
    command = commands.add_parser(
        "estimate",
        help="estimate KL(P || Q) from two files with samples",
        description="Estimate KL(P || Q) from samples of P and of Q, with a standard error and an interval.",
        epilog="methods: " + "; ".join(f"{name}: {text}" for name, text in METHODS.items()),
    )
    command.add_argument("p", metavar="P", help="sample of P, one row a draw: .npy .npz .csv .tsv .txt .parquet")
    command.add_argument("q", metavar="Q", help="sample of Q, the reference, with the same columns")
    command.add_argument("--method", default="auto", choices=list(METHODS), help="default: auto")
    command.add_argument("--neighbors", metavar="K[,K...]", type=_integers, help="numbers of neighbours, e.g. 5,10,20")
    _add_output(command)
    command.add_argument("--plot", metavar="FILE", help="draw the estimate against rows and neighbours: .png .svg .pdf")
    _add_confidence_level(command)
    command.add_argument("--nan-policy", default="raise", choices=_validation.NAN_POLICIES, help="rows with NaN")
    command.add_argument("--n-jobs", type=int, default=-1, metavar="N", help="threads; -1, the default, is all cores")
    command.add_argument("--seed", type=int, default=0, help="of the blocks for the standard error; default: 0")
    command.add_argument("--key", help="name of the array in .npz files that hold several")
    command.set_defaults(run=_estimate)


def _add_counts(commands: Any) -> None:
    command = commands.add_parser(
        "counts",
        help="estimate KL(P || Q) from two files with counts of categories, or with labels",
        description="Estimate KL(P || Q) from a column of counts, one row a category. A column of text beside it names "
        "the categories, which are then matched by name; without one both files must list them in the same order. "
        "Or from a column of labels, one row an observation: one of text alone, or the same for --column and --labels. "
        "Text files that hold text must have a header.",
    )
    command.add_argument("p", metavar="P", help="counts of P: .npy .npz .csv .tsv .txt .parquet")
    command.add_argument("q", metavar="Q", help="counts of Q, the reference")
    command.add_argument("--column", metavar="NAME", help="column of the counts, in files with several")
    command.add_argument("--labels", metavar="NAME", help="column that names the categories, by default that of text")
    command.add_argument(
        "--method", default=CORRECTED, choices=(*COUNT_METHODS, AUGMENTED), help=f"default: {CORRECTED}"
    )
    command.add_argument("--concentration", type=float, metavar="C", help="count added to each, for method dirichlet")
    command.add_argument(
        "--zero", default="estimate", choices=ZERO_POLICIES, help="where Q has no count; default: estimate"
    )
    _add_output(command)
    _add_confidence_level(command)
    command.add_argument("--key", help="name of the array in .npz files that hold several")
    command.set_defaults(run=_counts)


def _add_gaussian(commands: Any) -> None:
    command = commands.add_parser(
        "gaussian",
        help="KL(P || Q) of two Gaussians by the closed form",
        description=f"KL(P || Q) of two Gaussians from .npz files with mean and one of {', '.join(_GAUSSIANS)}.",
    )
    command.add_argument("p", metavar="P", help=".npz file with the parameters of P")
    command.add_argument("q", metavar="Q", help=".npz file with the parameters of Q")
    _add_output(command)
    command.set_defaults(run=_gaussian)


def _add_vae(commands: Any) -> None:
    command = commands.add_parser(
        "vae",
        help="tell whether the latent space of a VAE is sound",
        description="Report on a latent space from an .npz file with the arrays mu and log_var of all rows of a data "
        "set, as the encoder gives them; z (a code for each row) and labels are optional. With z alone less is told. "
        "The prior is N(0, I), or normal with prior_mean and prior_var, or an array prior has draws from it.",
    )
    command.add_argument("latents", metavar="LATENTS", help=".npz file")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--report", metavar="FILE", help="write a page with pictures and all numbers: .html")
    command.add_argument("--samples", type=int, default=10_000, metavar="N", help="draws of z; default: 10000")
    command.add_argument("--n-jobs", type=int, default=-1, metavar="N", help="threads; -1, the default, is all cores")
    command.add_argument("--seed", type=int, default=0, help="of the draws; default: 0")
    command.set_defaults(run=_vae)


def _add_drift(commands: Any) -> None:
    command = commands.add_parser(
        "drift",
        help="test whether new rows have the distribution of a reference",
        description="Test whether the rows of a file have the distribution of those of a reference, and tell which "
        "columns have changed. Columns of text are categories, empty cells are missing; columns are matched by name. "
        "The exit code is 0 for no drift, 1 for drift, 2 for an error.",
    )
    command.add_argument("reference", metavar="REFERENCE", help="one row each: .npy .npz .csv .tsv .txt .parquet")
    command.add_argument("today", metavar="TODAY", help="the rows to test, with the same columns")
    command.add_argument("--alpha", type=float, default=0.05, help="share of false alarms; default: 0.05")
    command.add_argument("--permutations", type=int, default=999, metavar="B", help="default: 999")
    command.add_argument(
        "--categorical", action="append", metavar="NAME", help="a column of numbers that are categories; repeatable"
    )
    command.add_argument("--max-rows", type=int, default=5000, metavar="N", help="random rows of each; default: 5000")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--report", metavar="FILE", help="write a page with pictures and all numbers: .html")
    command.add_argument("--n-jobs", type=int, default=-1, metavar="N", help="threads; -1, the default, is all cores")
    command.add_argument("--seed", type=int, default=0, help="of permutations and random rows; default: 0")
    command.add_argument("--key", help="name of the array in .npz files that hold several")
    command.set_defaults(run=_drift)


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--unit", default="nats", choices=list(_validation.UNITS), help="default: nats")
    command.add_argument("--json", action="store_true", help="print JSON")


def _add_confidence_level(command: argparse.ArgumentParser) -> None:
    command.add_argument("--confidence-level", type=float, default=0.95, metavar="LEVEL", help="default: 0.95")


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _estimate(options: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    _validation.confidence_level(options.confidence_level)
    if options.plot is not None:
        check_picture(options.plot)
    p, q = io.load_table(options.p, key=options.key), io.load_table(options.q, key=options.key)
    if p.columns is not None and q.columns is not None and p.columns != q.columns:
        raise ShapeMismatchError(
            f"the columns differ: {options.p} has {', '.join(p.columns)}; {options.q} has {', '.join(q.columns)}."
        )
    if options.neighbors is not None and "n_neighbors" not in method_options(options.method):
        raise InvalidParameterError(f"--neighbors has no meaning for method {options.method!r}.")
    arguments: dict[str, Any] = {
        "method": options.method,
        "unit": options.unit,
        "nan_policy": options.nan_policy,
        "n_jobs": options.n_jobs,
        "random_state": options.seed,
    }
    if options.neighbors is not None:
        arguments["n_neighbors"] = options.neighbors
    estimate = estimate_kl(p.values, q.values, **arguments)
    if options.plot is not None:
        axes = plotting.plot_estimate(p.values, q.values, confidence_level=options.confidence_level, **arguments)
        axes[0].figure.savefig(options.plot, dpi=150)
    return _shown(estimate, options)


def _shown(estimate: DivergenceEstimate, options: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    if options.json:
        return estimate.to_json(options.confidence_level, indent=2), estimate.warnings
    return estimate.summary(options.confidence_level), estimate.warnings


def _counts(options: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    _validation.confidence_level(options.confidence_level)
    where = {"column": options.column, "labels": options.labels, "key": options.key}
    p, q = (io.load_counts(path, **where) for path in (options.p, options.q))
    _check_alike(p, q, options)
    estimate = estimate_kl_from_labels if p.are_labels else estimate_kl_from_counts
    try:
        found = estimate(
            p.values,
            q.values,
            method=options.method,
            zero=options.zero,
            concentration=options.concentration,
            unit=options.unit,
        )
    except KLToolsError as error:
        raise type(error)(_with_files(str(error), options)) from error
    return _shown(dataclasses.replace(found, diagnostics=found.diagnostics | {"read": _in_words(p, q)}), options)


def _in_words(p: io.Categories, q: io.Categories) -> str:
    if p.are_labels:
        return "labels, one row an observation"
    how = "name" if isinstance(p.values, dict) else "position"
    return f"counts of {len(p.values)} categories of P and {len(q.values)} of Q, matched by {how}"


def _check_alike(p: io.Categories, q: io.Categories, options: argparse.Namespace) -> None:
    if p.are_labels != q.are_labels:
        kinds = ["labels" if one.are_labels else "counts" for one in (p, q)]
        raise InvalidParameterError(
            f"{options.p} was read as {kinds[0]}, {options.q} as {kinds[1]}: both must be counts, or both labels of "
            "single observations; choose with --column and --labels."
        )
    if isinstance(p.values, dict) != isinstance(q.values, dict):
        raise InvalidParameterError(
            f"only one of {options.p} and {options.q} names its categories; both must, or none."
        )
    for name in p.numbering:
        if name in q.numbering and p.numbering[name] != q.numbering[name]:
            warnings.warn(
                f"counts are matched by position, although column {name!r} differs between {options.p} and "
                f"{options.q}; --labels {name} matches them by it.",
                KLToolsWarning,
                stacklevel=2,
            )


def _with_files(message: str, options: argparse.Namespace) -> str:
    """A message about arguments of a function, told of the files that they came from."""
    files = {"p": options.p, "q": options.q}
    what = {"counts": "the counts in", "labels": "the column of labels in"}
    return re.sub(r"\b(counts|labels)_([pq])\b", lambda found: f"{what[found[1]]} {files[found[2]]}", message)


_GAUSSIANS: dict[str, tuple[Any, Any]] = {
    "var": (Normal, MultivariateNormalDiag),
    "std": (Normal.from_std, MultivariateNormalDiag.from_std),
    "log_var": (Normal.from_log_var, MultivariateNormalDiag.from_log_var),
    "cov": (None, MultivariateNormal),
    "cholesky": (None, MultivariateNormal.from_cholesky),
    "precision": (None, MultivariateNormal.from_precision),
}


def _gaussian(options: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    p, q = _read_gaussian(options.p), _read_gaussian(options.q)
    value = kl_divergence(p, q, unit=options.unit)
    if options.json:
        return json.dumps(json_ready({"value": value, "unit": options.unit, "direction": "P||Q"}), indent=2), ()
    if np.ndim(value) == 0:
        return f"KL(P||Q)     {value:.10g} {options.unit}", ()
    return "\n".join(f"{number:.10g}" for number in np.ravel(value)), ()


def _read_gaussian(path: str) -> Distribution:
    arrays = io.load_arrays(path)
    given = [name for name in _GAUSSIANS if name in arrays]
    if "mean" not in arrays or len(given) != 1:
        raise InvalidParameterError(
            f"{path}: needs the arrays mean and one of {', '.join(_GAUSSIANS)}; it holds {', '.join(arrays) or 'none'}."
        )
    univariate, multivariate = _GAUSSIANS[given[0]]
    build = univariate if univariate is not None and arrays["mean"].ndim == 0 else multivariate
    return build(mean=arrays["mean"], **{given[0]: arrays[given[0]]})


_LATENTS = ("mu", "log_var", "z", "labels", "prior", "prior_mean", "prior_var")


def _vae(options: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    arrays = io.load_arrays(options.latents)
    unknown = [name for name in arrays if name not in _LATENTS]
    if unknown or not {"mu", "z"} & arrays.keys():
        stranger = f"the array {unknown[0]!r} has no meaning here: " if unknown else ""
        raise InvalidParameterError(
            f"{options.latents}: {stranger}needs the arrays mu and log_var, or z, and takes {', '.join(_LATENTS[2:])}; "
            f"it holds {', '.join(arrays) or 'none'}."
        )
    report = latent_report(
        arrays.get("mu"),
        arrays.get("log_var"),
        arrays.get("z"),
        prior=_read_prior(arrays, options.latents),
        labels=arrays.get("labels"),
        n_samples=options.samples,
        n_jobs=options.n_jobs,
        random_state=options.seed,
    )
    if options.report is not None:
        report.to_html(options.report)
    return report.to_json(indent=2) if options.json else report.summary(), report.warnings


def _drift(options: argparse.Namespace) -> Answer:
    from .drift.detector import DriftDetector  # brings scikit-learn

    detector = DriftDetector(
        alpha=options.alpha,
        n_permutations=options.permutations,
        categorical=options.categorical,
        max_rows=options.max_rows,
        n_jobs=options.n_jobs,
        random_state=options.seed,
    )
    detector._check_parameters()
    reference, today = (io.load_columns(path, key=options.key) for path in (options.reference, options.today))
    try:
        detector.fit(reference)
    except KLToolsError as error:
        raise type(error)(f"{options.reference}: {error}") from error
    try:
        report = detector.detect(today)
    except KLToolsError as error:
        raise type(error)(f"{options.today}: {error}") from error
    if options.report is not None:
        report.to_html(options.report)
    text = report.to_json(indent=2) if options.json else report.summary()
    return Answer(text, report.warnings, DRIFT if report.drift else SUCCESS)


def _read_prior(arrays: dict[str, np.ndarray], path: str) -> Any:
    given = {"prior_mean", "prior_var"} & arrays.keys()
    if not given:
        return arrays.get("prior")
    if len(given) == 1 or "prior" in arrays:
        raise InvalidParameterError(f"{path}: give prior, or prior_mean and prior_var, or none of them.")
    try:
        return MultivariateNormalDiag(mean=arrays["prior_mean"], var=arrays["prior_var"])
    except KLToolsError as error:
        raise type(error)(f"{path}: prior_mean and prior_var are no normal distribution: {error}") from error


_REQUIRED = ("numpy", "scipy", "scikit-learn", "numba", "llvmlite")
_OPTIONAL = (
    "numba-cuda",
    "numba-cuda-mlir",
    "cupy",
    "dask",
    "matplotlib",
    "pandas",
    "pyarrow",
    "h5py",
    "tqdm",
    "torch",
)


def _doctor(options: argparse.Namespace) -> tuple[str, tuple[str, ...]]:
    rows = [("kltools", __version__), ("python", f"{platform.python_version()} ({platform.platform()})")]
    rows += [(name, _version(name)) for name in (*_REQUIRED, *_OPTIONAL)]
    rows += [("cores", str(available_cores())), ("cache", str(_cache.directory() or "off")), ("cuda", _cuda_status())]
    return "\n".join(f"{name:<14} {text}" for name, text in rows), ()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cuda_status() -> str:
    try:
        return cuda.usable_devices()
    except DeviceUnavailableError as error:
        return f"not usable: {error}"
    except Exception as error:  # of a driver that answers, and fails
        return f"not usable: {type(error).__name__}: {error}"
