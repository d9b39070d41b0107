"""What speaks against a latent space, or against the numbers that are told of it, in words."""

import math
from collections.abc import Iterator

from .report import LatentReport, listed

MANY_UNCOVERED = 0.05  # of the draws of the prior
_FEW_ROWS, _NEAR_LIMIT = 1_000, 0.9
_DEVIATIONS = 5.0  # standard errors


def findings(report: LatentReport, n_components: int, subsampling_bias: float, squares: float) -> Iterator[str]:
    """``squares`` is the mean over rows and units of (z - mu)^2 / exp(log_var), nan where no z is known."""
    yield from _about_units(report)
    yield from _about_prior(report)
    yield from _about_rows(report, n_components, subsampling_bias)
    spread = math.sqrt(2.0 / (report.n * report.d))
    if abs(squares - 1.0) > _DEVIATIONS * spread:
        yield (
            f"z was not drawn from N(mu, exp(log_var)): its squared deviations are {squares:.3g} times exp(log_var) on "
            "average; does log_var hold variances, deviations or their logarithm, or are the rows of z others than "
            "those of mu?"
        )


def _about_units(report: LatentReport) -> Iterator[str]:
    if report.kl is not None and math.isinf(report.kl):
        yield (
            "the mean KL is inf: somewhere mu or log_var is so large that squares or variances are beyond float64, or "
            "the prior has no density."
        )
    infinite = tuple(j for j, value in enumerate(report.marginal_kl.tolist()) if value == math.inf)
    if report.kl is None and infinite:
        yield (
            f"KL(q(z_j)||p(z_j)) of {listed(report.names, infinite)} is inf: the codes there are constant, or where "
            "the prior has no mass."
        )
    if len(report.collapsed) == report.d:
        yield (
            "all units are collapsed (posterior collapse): the codes say nothing of the inputs; lower the weight of "
            "the KL term or warm it up, or weaken the decoder."
        )
    elif report.collapsed:
        yield (
            f"{len(report.collapsed)} of {report.d} units collapsed: {listed(report.names, report.collapsed)}; "
            "they could be left out, or the weight of the KL term is high."
        )
    if report.over_spread:
        yield (
            f"{_units_are(report.over_spread)} over-spread: {listed(report.names, report.over_spread)}; their codes "
            "lie where the prior hardly draws, since the KL term is weak against the reconstruction."
        )


def _units_are(units: tuple[int, ...]) -> str:
    return "1 unit is" if len(units) == 1 else f"{len(units)} units are"


def _about_prior(report: LatentReport) -> Iterator[str]:
    if report.hole_share is not None and report.hole_share > MANY_UNCOVERED:
        yield (
            f"{report.hole_share:.0%} of the draws of the prior lie in holes, where the aggregate posterior hardly is: "
            "what is generated from them comes from codes that the decoder was not trained on; fit a prior to the "
            "codes (as VampPrior or a mixture is), or raise the weight of the KL term."
        )
    if report.hole_share is None and report.holes is not None:
        yield (
            "codes of different rows hardly overlap, so that it cannot be told how much of the prior they leave "
            "uncovered; encode more rows, and look at the marginal KL of the units."
        )


def hardly_overlap(information: float, n: int) -> bool:
    """Whether codes of n rows nearly tell which row they are of."""
    return information > _NEAR_LIMIT * math.log(n) > 0.0


def _about_rows(report: LatentReport, n_components: int, subsampling_bias: float) -> Iterator[str]:
    if n_components < report.n:
        yield (
            f"q(z) is made of {n_components} random rows of {report.n}: a bias of {subsampling_bias:+.2g} nats of the "
            "mutual information was removed, and standard errors include what is left; there are no bounds."
        )
    if report.bounds_standard_error:
        yield f"bounds are means over a part of the rows, with a standard error of {report.bounds_standard_error:.2g}."
    if report.n < _FEW_ROWS:
        rows = "1 row is" if report.n == 1 else f"{report.n} rows are"
        yield (
            f"{rows} few: all is of the mixture of these rows, whose KL from the prior is above that of "
            f"all data; encode at least {_FEW_ROWS} rows."
        )
    information = report.mutual_information
    if information is not None and hardly_overlap(information.value, report.n):
        yield (
            f"the mutual information, {information.value:.3g} nats, is close to its limit log n = "
            f"{report.mutual_information_limit:.3g}: codes of different rows hardly overlap, and it and the aggregate "
            "KL would change with more rows."
        )
