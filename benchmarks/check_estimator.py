"""What scikit-learn's `check_estimator` says of every public estimator."""

import warnings
from collections import Counter

import sklearn
from environment import heading, publish
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import check_estimator

import kltools as kl


def row(name: str) -> tuple[str, Counter]:
    checks = check_estimator(getattr(kl, name)(), on_fail=None, on_skip=None)
    counts = Counter(check["status"] for check in checks)
    skipped = sorted({str(check["exception"]) for check in checks if check["status"] == "skipped"})
    text = f"| {name} | {len(checks)} | {counts['passed']} | {counts['failed'] + counts['xfail']} | {counts['skipped']}"
    return f"{text}{': ' if skipped else ''}{'; '.join(skipped)} |", counts


def main() -> None:
    warnings.simplefilter("ignore")
    things = {name: getattr(kl, name) for name in kl.__all__}
    names = [name for name, thing in things.items() if isinstance(thing, type) and issubclass(thing, BaseEstimator)]
    rows = [row(name) for name in sorted(names)]
    total = sum((counts for _, counts in rows), Counter())
    lines = [
        heading("Checks of scikit-learn"),
        f"scikit-learn {sklearn.__version__}: {total['passed']} of {sum(total.values())} checks passed, "
        f"{total['failed'] + total['xfail']} failed, {total['skipped']} skipped.\n",
        "| estimator | checks | passed | failed | skipped |",
        "|---|---|---|---|---|",
        *(text for text, _ in rows),
    ]
    publish("\n".join(lines))


if __name__ == "__main__":
    main()
