"""What a test for drift has found, in words."""

import dataclasses
import math
from collections.abc import Iterator

from .columns import listed, quoted
from .report import DriftReport

_MANY_WAYS = 50  # with this many rows of the smaller sample labellings are never too few
_TOLD_SHARE = 0.01
_PARTS = 3  # of the joint test: so many labellings may share the smallest p-value


def with_findings(report: DriftReport) -> DriftReport:
    """The report, complete."""
    return dataclasses.replace(report, findings=tuple(_findings(report)), warnings=(*report.warnings, *_limits(report)))


def _findings(report: DriftReport) -> Iterator[str]:
    drifted = [feature.name for feature in report.features if feature.drift]
    of = f"{len(drifted)} of {len(report.features)} features"
    if drifted and report.drift:
        yield f"{of} drifted: {listed(drifted)}."
    elif drifted:
        yield f"{of} look changed, though jointly no more than by chance: {listed(drifted)}."
    elif report.drift and len(report.features) == 1:
        part = "neighbours" if report.p_value_of_neighbors <= report.p_value_of_means else "mean ranks"
        yield f"{quoted(report.features[0].name)} has changed, as its {part} show, though its cells alone would not."
    elif report.drift and report.p_value_of_neighbors <= report.p_value_of_means:
        yield "no single feature stands out, but neighbours differ: look at how features depend on each other."
    elif report.drift:
        yield "no single feature stands out, but together they have shifted: look at the first ones."
    elif _is_beyond_permutations(report):
        yield (
            f"{report.n_permutations} permutations cannot show drift at alpha = {report.alpha:.2g}, and p = "
            f"{report.p_value:.2g} is as small as they can make it: n_permutations={math.ceil(1.0 / report.alpha) - 1} "
            "or more are needed to tell."
        )
    else:
        yield "the window differs from the reference no more than by chance."
    for feature in report.features:
        if feature.drift and abs(feature.missing_window - feature.missing_reference) > _TOLD_SHARE:
            yield (
                f"{quoted(feature.name)} is missing in {feature.missing_window:.1%} of the window, and in "
                f"{feature.missing_reference:.1%} of the reference."
            )
        if feature.unseen:
            yield (
                f"{quoted(feature.name)} has categories that the reference never had, in {feature.unseen_share:.1%} of "
                f"the window: {listed(feature.unseen, 5)}."
            )
    if report.left_out:
        yield f"left out, since all rows have one value, none, or values of their own: {listed(report.left_out)}."


def _is_beyond_permutations(report: DriftReport) -> bool:
    """Whether no labelling is further in some part of the test, and yet no p-value could be at most alpha."""
    smallest = 1.0 / (report.n_permutations + 1)
    parts = report.p_value_of_neighbors, report.p_value_of_means, report.p_value_of_features
    return smallest > report.alpha and min(parts) <= smallest


def _limits(report: DriftReport) -> Iterator[str]:
    if not report.features:
        yield "no feature varies: there was nothing to compare."
    smallest = min(_PARTS / (report.n_permutations + 1), 1.0)
    if smallest > report.alpha:
        yield (
            f"n_permutations={report.n_permutations} may give no p-value below {smallest:.2g}, which is above "
            f"alpha = {report.alpha:.2g}; ask for more."
        )
    fewest = min(report.n_window, report.n_reference)
    ways = math.comb(report.n_window + report.n_reference, fewest) if fewest < _MANY_WAYS else math.inf
    if _PARTS / ways > report.alpha:
        yield (
            f"{report.n_window} rows and {report.n_reference} of the reference can be labelled in {ways} ways only: no "
            f"p-value is much below {1.0 / ways:.2g}; more rows are needed."
        )
