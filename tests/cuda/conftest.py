"""The simulator polls its threads, which wait for one another at every barrier: let them take turns often."""

import sys

sys.setswitchinterval(1e-4)
