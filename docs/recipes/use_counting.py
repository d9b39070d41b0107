import numpy as np

import kltools as kl
from kltools import counting

x, y = np.linspace(0.0, 1.0, 5), np.linspace(0.0, 1.0, 101)
print(counting.count_near(x, y, 0.1))
print(counting.count_near(x, y, 0.1, device="cuda"))

batch = kl.Gamma(shape=[1.0, 2.0, 3.0], rate=1.0)  # a formula: nothing to write
print(kl.kl_divergence(batch, kl.Gamma(shape=2.0, rate=1.0), device="cuda").round(4))
