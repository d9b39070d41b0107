"""The simulator polls its threads, which wait for one another at every barrier: let them take turns often."""

import sys

sys.setswitchinterval(1e-4)


def pytest_addoption(parser):
    parser.addoption("--kernels", help="a file for the list of compiled kernels (test_compile.py)")
