"""
Have the patients changed?
==========================

Cells of breast tumours: a half of those with small nuclei is the reference.

The other half is no drift. Tumours whose nuclei have a mean radius above 15 are: the detector tells which other
features moved, which rows are the most unusual, and how far the distribution is in nats. Then a stream, in which the
large ones begin to come in; the level is spent over the tests, so that a false alarm is rare however long it runs.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer

import kltools as kl

FEATURES = (
    "mean radius",
    "mean texture",
    "mean smoothness",
    "mean symmetry",
    "texture error",
    "worst fractal dimension",
)
LARGE = 15.0


def load() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns by name, one of them text, and the mean radius."""
    data = load_breast_cancer()
    columns = dict(zip(data.feature_names, data.data.T, strict=True))
    chosen = {name: columns[name] for name in FEATURES}
    chosen["shape"] = np.where(columns["mean concavity"] > 0.1, "concave", "smooth")
    return chosen, columns["mean radius"]


def rows(table: dict[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[which] for name, values in table.items()}


def main() -> None:
    table, radius = load()
    rng = np.random.default_rng(0)
    small = rng.permutation(np.flatnonzero(radius <= LARGE))
    large = rng.permutation(np.flatnonzero(radius > LARGE))
    half = len(small) // 2
    detector = kl.DriftDetector(alpha=0.01, random_state=0).fit(rows(table, small[:half]))

    print("others with small nuclei:")
    print(detector.detect(rows(table, small[half:])).summary())
    print("\nlarge nuclei:")
    print(detector.detect(rows(table, large)).summary())

    print("\na stream, in which large nuclei begin after 120:")
    monitor = kl.DriftMonitor(detector, window=60, spend_alpha=True)
    stream = np.concatenate([small[half : half + 120], large])
    for arrived in np.array_split(stream, 10):
        for report in monitor.update(rows(table, arrived)):
            told = f"drift, most of {report.features[0].name}" if report.drift else "no drift"
            print(f"rows from {report.first_row}: p = {report.p_value:.4f}, level {report.alpha:.4f}, {told}")


if __name__ == "__main__":
    main()
