"""
Is the latent space sound?
==========================

Two small VAEs of handwritten digits, one healthy, one with a KL term that is too strong.

The report tells them apart. In the training loop an accumulator gathers what the encoder gives, batch by batch, and
shows at the end of an epoch how many units are still in use. Needs torch.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn

import kltools as kl

N_UNITS, N_HIDDEN, N_EPOCHS, BATCH = 8, 128, 30, 128


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, N_HIDDEN), nn.ReLU())
        self.mu, self.log_var = nn.Linear(N_HIDDEN, N_UNITS), nn.Linear(N_HIDDEN, N_UNITS)
        self.decoder = nn.Sequential(nn.Linear(N_UNITS, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, 64))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.body(x)
        return self.mu(features), self.log_var(features)


def loss(model: VAE, x: torch.Tensor, mu: torch.Tensor, log_var: torch.Tensor, beta: float) -> torch.Tensor:
    z = mu + torch.randn_like(mu) * (0.5 * log_var).exp()
    misfit = nn.functional.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="sum")
    divergence = 0.5 * (mu**2 + log_var.exp() - 1.0 - log_var).sum()
    return (misfit + beta * divergence) / len(x)


def train(x: torch.Tensor, beta: float) -> VAE:
    torch.manual_seed(0)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(1, N_EPOCHS + 1):
        seen = kl.LatentAccumulator()
        for rows in torch.randperm(len(x)).split(BATCH):
            mu, log_var = model.encode(x[rows])
            seen.update(mu, log_var)  # tensors with gradients are fine: values are copied
            optimizer.zero_grad()
            loss(model, x[rows], mu, log_var, beta).backward()
            optimizer.step()
        if epoch % 10 == 0:
            report = seen.report(n_samples=1000, random_state=0)
            active, told_apart = len(report.active_by_kl), report.mutual_information.value
            print(f"  epoch {epoch}: {active} of {N_UNITS} units active, mutual information {told_apart:.2f} nats")
    return model


def main() -> None:
    torch.set_num_threads(1)  # layers this small are not worth more
    digits = load_digits()
    x = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    encoded = {}
    for name, beta in (("healthy", 1.0), ("collapsed", 12.0)):
        print(f"{name}: the KL term counts {beta:g} times")
        encoded[name] = train(x, beta).encode(x)
        report = kl.latent_report(*encoded[name], labels=digits.target, random_state=0)
        print(f"\n{report}\n")
    comparison = kl.compare_latents(encoded["healthy"], encoded["collapsed"], random_state=0)
    print(f"healthy (a) against collapsed (b)\n{comparison}")


if __name__ == "__main__":
    main()
