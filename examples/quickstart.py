"""
Two files and a number
======================

From two files to a number with an interval, and the same question asked in other ways."""

from pathlib import Path

import numpy as np

import kltools as kl
from kltools.io import load

DATA = Path(__file__).parent / "data"


def main() -> None:
    malignant, benign = load(DATA / "p.csv"), load(DATA / "q.csv")

    estimate = kl.estimate_kl(malignant, benign, random_state=0)
    print("How far are malignant from benign cases?")
    print(estimate.summary())

    other_way = kl.estimate_kl(benign, malignant, random_state=0)
    print(f"\nThe other way round, KL is another number: {other_way.value:.2f} nats")

    as_gaussians = kl.estimate_kl(malignant, benign, method="gaussian")
    low, high = as_gaussians.confidence_interval()
    print(f"As if both were normal: {as_gaussians.value:.2f} nats, 95% interval [{low:.2f}, {high:.2f}]")

    p = kl.MultivariateNormal(mean=malignant.mean(axis=0), cov=np.cov(malignant.T))
    q = kl.MultivariateNormal(mean=benign.mean(axis=0), cov=np.cov(benign.T))
    print(f"Closed form for the fitted normals (biased upwards): {kl.kl_divergence(p, q):.2f} nats")


if __name__ == "__main__":
    main()
