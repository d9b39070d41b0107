"""The simulator polls its threads, which wait for one another at every barrier: let them take turns often."""

import sys
import threading

import pytest
from numba.core import config

sys.setswitchinterval(1e-4)


def pytest_addoption(parser):
    parser.addoption("--kernels", help="a file for the list of compiled kernels (test_compile.py)")


class OncePerPlace(dict):
    """Shared arrays by the place that asks for them: who misses one holds the lock until it is there."""

    def __init__(self):
        self._lock = threading.Lock()

    def get(self, place):
        self._lock.acquire()
        found = super().get(place)
        if found is not None:
            self._lock.release()
        return found

    def __setitem__(self, place, array):
        super().__setitem__(place, array)
        self._lock.release()


@pytest.fixture(autouse=True, scope="session")
def one_shared_array_for_all_threads():
    """Two threads of the simulator that ask at once get an array each, and then wait for what the other one writes."""
    if not config.ENABLE_CUDASIM:
        yield
        return
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    make = FakeCUDAShared.__init__

    def made(shared, *arguments):
        make(shared, *arguments)
        shared._allocations = OncePerPlace()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeCUDAShared, "__init__", made)
        yield
