import numpy as np

import kltools as kl

rng = np.random.default_rng(0)
estimate = kl.estimate_kl(rng.normal(0.0, 1.0, 5000), rng.normal(1.0, 1.0, 5000), method="partition")
print(f"{estimate.value:.2f} ± {estimate.standard_error:.2f}, {estimate.diagnostics}")
try:
    kl.estimate_kl(rng.normal(size=50), rng.normal(size=50), method="partition", cells=9)
except kl.InvalidParameterError as error:
    print(error)
