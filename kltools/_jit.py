"""The one place that decides how Numba compiles, and that runs kernels over rows.

A kernel is a serial loop over the rows ``[start, stop)`` that holds no lock and never raises.
`run_rows` splits the rows into blocks and hands them to threads, so that results cannot depend on the
number of threads, exceptions and Ctrl-C arrive, and a fork afterwards is safe: no threading layer is
ever started.
"""

import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import config

from ._cache import KernelCache

F = TypeVar("F", bound=Callable[..., Any])

_BLOCK_SECONDS = 0.02  # long against the cost of a call, short against a user's patience with Ctrl-C
_GROWTH = 8
_BLOCK_OPERATIONS = 10**8  # of a block whose rows all turn out as costly as they can be


def jit(function: F) -> F:
    """Compile a scalar function or a kernel, lazily, and keep the machine code on disk.

    There is no fastmath: it breaks nan and inf, and reassociation breaks compensated formulas.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if compiled is not function and _is_ours(function):  # NUMBA_DISABLE_JIT hands back the plain function
        compiled._cache = KernelCache(function, "cpu")
    return compiled


def elementwise(function: Callable[..., float]) -> Callable[..., Any]:
    """Compile a scalar function into a broadcasting ufunc of float64 that is called with ``out=``."""
    n_arguments = function.__code__.co_argcount
    if getattr(config, "DISABLE_JIT", 0):
        return functools.partial(np.frompyfunc(function, n_arguments, 1), casting="unsafe")
    ufunc = numba.vectorize(function)
    if _is_ours(function):
        ufunc._dispatcher.cache = KernelCache(function, "ufunc")
    ufunc.add(numba.float64(*[numba.float64] * n_arguments))  # here, where no other thread can see it yet
    ufunc.disable_compile()
    return ufunc


def _is_ours(function: Callable[..., Any]) -> bool:
    """Whether the cache, which is keyed by the sources of this package, knows the function."""
    return function.__module__.partition(".")[0] == __package__


def available_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def effective_n_jobs(n_jobs: int | None) -> int:
    """Threads meant by a valid `n_jobs`: None is 1 unless a joblib context says otherwise."""
    if n_jobs is None:
        joblib = sys.modules.get("joblib")
        return 1 if joblib is None else joblib.effective_n_jobs(None)
    return max(1, available_cores() + 1 + n_jobs) if n_jobs < 0 else n_jobs


class _RowQueue:
    """Hands out blocks of rows that take about `_BLOCK_SECONDS` each."""

    def __init__(self, n_rows: int, row_cost: int):
        self._n_rows = n_rows
        self._largest = max(1, _BLOCK_OPERATIONS // max(row_cost, 1))
        self._next = 0
        self._size = 1
        self._rate = 0.0
        self._measured = 0
        self._lock = threading.Lock()
        self.stopped = threading.Event()

    def take(self) -> tuple[int, int]:
        with self._lock:
            start = self._next
            self._next = min(start + self._size, self._n_rows)
            return start, self._next

    def report(self, rows: int, seconds: float) -> None:
        with self._lock:
            self._measured += 1
            self._rate = rows / max(seconds, 1e-9)
            self._size = max(1, min(int(self._rate * _BLOCK_SECONDS), _GROWTH * rows, self._largest))

    def is_empty(self) -> bool:
        return self._next == self._n_rows

    def blocks_left(self) -> int:
        """How many blocks of the usual length are left, as far as is known yet."""
        if self._rate == 0.0:
            return 1
        return int((self._n_rows - self._next) / self._rate / _BLOCK_SECONDS) + 1

    def work(self, kernel: Callable[..., Any], arguments: tuple, max_blocks_left: int = 0) -> None:
        """Run blocks until none is left, or until more than `max_blocks_left` are known to be."""
        while not self.stopped.is_set():
            start, stop = self.take()
            if start == stop:
                return
            began = time.perf_counter()
            try:
                kernel(start, stop, *arguments)
            except BaseException:
                self.stopped.set()
                raise
            self.report(stop - start, time.perf_counter() - began)
            # the first block may have been compiled, and says nothing
            if max_blocks_left and self._measured > 1 and self.blocks_left() > max_blocks_left:
                return


def run_rows(kernel: Callable[..., Any], n_rows: int, *arguments: Any, n_jobs: int = 1, row_cost: int = 1) -> None:
    """Call ``kernel(start, stop, *arguments)`` until all `n_rows` rows are done.

    The calling thread compiles and measures; only what takes longer than a block goes to threads.
    ``row_cost`` is the number of operations that a row may take at the most.
    """
    queue = _RowQueue(n_rows, row_cost)
    n_jobs = min(n_jobs, available_cores())
    if n_jobs == 1:
        queue.work(kernel, arguments)
        return
    queue.work(kernel, arguments, max_blocks_left=1)
    if queue.is_empty():
        return
    n_workers = min(n_jobs, queue.blocks_left())
    with ThreadPoolExecutor(n_workers) as pool:
        futures = [pool.submit(queue.work, kernel, arguments) for _ in range(n_workers)]
        try:
            while wait(futures, timeout=0.1).not_done:  # a bounded wait lets Ctrl-C in everywhere
                pass
        finally:
            queue.stopped.set()
    for future in futures:
        future.result()
