"""
Distillation
============

A small student learns the probabilities of a teacher, softened by a temperature.

The loss T^2 KL(teacher || student), of both at temperature T, has the gradient T (q - p) in the student's logits. The
factor T^2 keeps its size comparable as T grows: the loss tends to half the variance of the difference of the logits.
"""

import numpy as np

import kltools as kl


def softened(logits: np.ndarray, temperature: float) -> kl.Categorical:
    return kl.Categorical.from_logits(logits=logits / temperature)


def loss(teacher: np.ndarray, student: np.ndarray, temperature: float) -> float:
    """Mean over rows of T^2 KL(teacher || student)."""
    divergences = kl.kl_divergence(softened(teacher, temperature), softened(student, temperature))
    return float(temperature**2 * divergences.mean())


def gradient(teacher: np.ndarray, student: np.ndarray, temperature: float) -> np.ndarray:
    """Of the loss, with respect to the student's logits."""
    difference = softened(student, temperature).probs - softened(teacher, temperature).probs
    return temperature * difference / len(teacher)


def trained(features: np.ndarray, teacher: np.ndarray, temperature: float, n_steps: int = 300) -> np.ndarray:
    """Weights of a linear student, by gradient descent."""
    weights = np.zeros((features.shape[1], teacher.shape[1]))
    for _ in range(n_steps):
        weights -= 0.5 * features.T @ gradient(teacher, features @ weights, temperature)
    return weights


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3))
    teacher = 2.0 * np.hstack([x, x**2 - 1.0]) @ rng.normal(size=(6, 5))  # the student cannot see the squares
    features = np.hstack([x, np.ones((500, 1))])
    print("    T   loss of a uniform student   after training   half the variance of the logits")
    for temperature in (1.0, 2.0, 5.0, 20.0, 100.0):
        before = loss(teacher, np.zeros_like(teacher), temperature)
        after = loss(teacher, features @ trained(features, teacher, temperature), temperature)
        print(f"{temperature:5g} {before:27.4f} {after:16.4f} {0.5 * teacher.var(axis=1).mean():33.4f}")


if __name__ == "__main__":
    main()
