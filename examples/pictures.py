"""
Where two samples differ
========================

Methods beside each other, and the rows that the divergence comes from: textures and smoothness of malignant and of
benign tumours. ``python pictures.py picture.png`` draws both, with matplotlib: ``pip install "kltools[plot]"``.
"""

import sys
from pathlib import Path

import kltools as kl
from kltools.io import load

DATA = Path(__file__).parent / "data"
METHODS = ("auto", "gaussian", "knn", "knn_radius", "knn_calibrated", "mixture")


def main(picture: str | None = None) -> None:
    malignant, benign = load(DATA / "p.csv"), load(DATA / "q.csv")
    options = {"knn_radius": {"n_neighbors": 10}}
    estimates = {
        name: kl.estimate_kl(malignant, benign, method=name, random_state=0, **options.get(name, {}))
        for name in METHODS
    }
    for name, estimate in estimates.items():
        print(f"{name:15} {estimate.value:.2f} ± {estimate.standard_error:.2f} nats")
    if picture:
        draw(malignant, benign, estimates, picture)
        print(f"drawn in {picture}")


def draw(malignant, benign, estimates, picture: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    kl.plotting.plot_forest(estimates, ax=left)
    kl.plotting.plot_contributions(malignant, benign, ax=right)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
