"""Estimates from Dask arrays, on the threads of one machine or on the workers of many.

They are the same to the last bit as those of one machine, however the rows are cut into chunks and whoever computes.
Needs Dask: ``pip install 'kltools[dask]'``.
"""

from .counts import estimate_kl_from_counts, estimate_kl_from_labels
from .log_prob import estimate_kl_from_log_prob
from .samples import estimate_kl

__all__ = ["estimate_kl", "estimate_kl_from_counts", "estimate_kl_from_labels", "estimate_kl_from_log_prob"]
