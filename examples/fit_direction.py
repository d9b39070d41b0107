"""
Mode seeking and mean seeking
=============================

The normal distribution closest to two hills, by either direction of KL. ``python fit_direction.py picture.png`` draws
them, with matplotlib: ``pip install "kltools[plot]"``.
"""

import sys

import numpy as np

import kltools as kl

TARGET = kl.GaussianMixture(weights=[0.5, 0.5], means=[[-3.0], [3.0]], covs=[[1.0], [1.0]])
FITS = {
    "forward, least KL(p||N)": kl.fit_gaussian(TARGET),
    "reverse, least KL(N||p)": kl.fit_gaussian(TARGET, direction="reverse"),
}


def main(picture: str | None = None) -> None:
    print("p is half N(-3, 1) and half N(3, 1)")
    for name, fit in FITS.items():
        print(f"{name}: mean {fit.mean[0]:.4f}, variance {fit.var[0]:.4f}, std {fit.var[0] ** 0.5:.4f}")
    print("Its mirror image on the other hill is as good; of equal minima the one with the smallest mean is returned.")
    if picture:
        draw(picture)
        print(f"drawn in {picture}")


def draw(picture: str) -> None:
    from matplotlib.figure import Figure

    x = np.linspace(-10.0, 10.0, 501)
    figure = Figure(figsize=(7.0, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(x, np.exp(TARGET.log_prob(x[:, None])), color="0.85", label="p")
    for (name, fit), style in zip(FITS.items(), ("C0-", "C3--"), strict=True):
        axes.plot(x, np.exp(fit.log_prob(x[:, None])), style, label=name)
    axes.set(xlabel="x", ylabel="density", xlim=(-10.0, 10.0), ylim=(0.0, None))
    axes.legend(loc="upper right", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(picture, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
