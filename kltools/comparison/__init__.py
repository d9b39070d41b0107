"""Questions about two samples beside the number: do they differ, can the number be believed, how many rows more?"""

from .diagnosis import Diagnosis, diagnose
from .permutation import TestResult, two_sample_test
from .planning import sample_size_for

__all__ = ["Diagnosis", "TestResult", "diagnose", "sample_size_for", "two_sample_test"]
