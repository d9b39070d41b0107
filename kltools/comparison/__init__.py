"""Questions about two samples beside the number: are they different, can the number be believed, how many rows more?"""

from .permutation import TestResult, two_sample_test

__all__ = ["TestResult", "two_sample_test"]
