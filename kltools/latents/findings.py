"""What speaks against a latent space, or against the numbers that are told of it, in words."""

import math
from collections.abc import Iterator

from .report import LatentReport, listed

_FEW_ROWS, _NEAR_LIMIT, _MANY_UNCOVERED = 1_000, 0.9, 0.05
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
    if len(report.collapsed) == report.d:
        yield (
            "all units are collapsed (posterior collapse): the codes say nothing of the inputs; lower the weight of "
            "the KL term or warm it up, or weaken the decoder."
        )
    elif report.collapsed:
        yield (
            f"{len(report.collapsed)} of {report.d} units are collapsed: {listed(report.names, report.collapsed)}; "
            "they could be left out, or the weight of the KL term is high."
        )
    if report.over_spread:
        yield (
            f"{len(report.over_spread)} units are over-spread: {listed(report.names, report.over_spread)}; their codes "
            "lie where the prior hardly draws, since the KL term is weak against the reconstruction."
        )


def _about_prior(report: LatentReport) -> Iterator[str]:
    if report.hole_share is not None and report.hole_share > _MANY_UNCOVERED:
        yield (
            f"{report.hole_share:.0%} of the draws of the prior lie in holes, where the aggregate posterior hardly is: "
            "what is generated from them comes from codes that the decoder was not trained on; fit a prior to the "
            "codes (as VampPrior or a mixture is), or raise the weight of the KL term."
        )


def _about_rows(report: LatentReport, n_components: int, subsampling_bias: float) -> Iterator[str]:
    if n_components < report.n:
        yield (
            f"q(z) is made of {n_components} random rows of {report.n}: a bias of {subsampling_bias:+.2g} nats of the "
            "mutual information was removed, and standard errors include what is left; there are no bounds."
        )
    if report.bounds_standard_error:
        yield f"bounds are means over a part of the rows, with a standard error of {report.bounds_standard_error:.2g}."
    if report.n < _FEW_ROWS:
        yield (
            f"{report.n} rows are few: all is of the mixture of these rows, whose KL from the prior is above that of "
            f"all data; encode at least {_FEW_ROWS} rows."
        )
    information = report.mutual_information
    if information is not None and information.value > _NEAR_LIMIT * report.mutual_information_limit > 0.0:
        yield (
            f"the mutual information, {information.value:.3g} nats, is close to its limit log n = "
            f"{report.mutual_information_limit:.3g}: codes of different rows hardly overlap, and it and the aggregate "
            "KL would change with more rows."
        )
