"""The one place that decides how Numba compiles, and that runs kernels over rows.

A kernel is a serial loop over the rows ``[start, stop)`` that holds no lock and never raises.
`run_rows` splits the rows into blocks and hands them to threads, so that results cannot depend on the
number of threads, exceptions and Ctrl-C arrive, and a fork afterwards is safe: no threading layer is
ever started.
"""

import contextlib
import functools
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import config

from . import _progress
from ._cache import KernelCache

F = TypeVar("F", bound=Callable[..., Any])
Progress = Callable[[float], None]

_BLOCK_SECONDS = 0.002  # long against the cost of a call, short against what a thread should wait for another
_SECONDS_WORTH_HELP = 0.0004  # what a thread is started for
_SMALLEST_SECONDS = 0.0002
_FIRST_OPERATIONS = 10**6
_GROWTH = 8
_BLOCK_OPERATIONS = 3 * 10**8  # of a block whose rows all turn out as costly as they can be


def jit(function: F) -> F:
    """Compile a scalar function or a kernel, lazily, and keep the machine code on disk.

    There is no fastmath: it breaks nan and inf, and reassociation breaks compensated formulas.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if compiled is function:  # NUMBA_DISABLE_JIT; compiled code is silent where NumPy warns
        compiled = np.errstate(all="ignore")(function)
        compiled.py_func = function
        return compiled
    if is_ours(function):
        compiled._cache = KernelCache(function, "cpu")
    return compiled


def elementwise(function: Callable[..., float]) -> Callable[..., Any]:
    """Compile a scalar function into a broadcasting ufunc of float64 that is called with ``out=``."""
    n_arguments = function.__code__.co_argcount
    if not is_compiled():
        return functools.partial(np.frompyfunc(function, n_arguments, 1), casting="unsafe")
    ufunc = numba.vectorize(function)
    if is_ours(function):
        ufunc._dispatcher.cache = KernelCache(function, "ufunc")
    ufunc.add(numba.float64(*[numba.float64] * n_arguments))  # here, where no other thread can see it yet
    ufunc.disable_compile()
    return ufunc


def is_compiled() -> bool:
    """Whether compilation has not been turned off."""
    return not getattr(config, "DISABLE_JIT", 0)


def is_ours(thing: Any) -> bool:
    """Whether a function or class stands in this package: the cache is keyed by its sources, and knows no others."""
    return thing.__module__.partition(".")[0] == __package__


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
    """Hands out blocks of rows that take about `_BLOCK_SECONDS`, and less towards the end."""

    def __init__(self, n_rows: int, row_cost: int, n_jobs: int):
        self._n_rows = n_rows
        self._n_jobs = n_jobs
        self._largest = max(1, _BLOCK_OPERATIONS // max(row_cost, 1))
        self._next = 0
        self._size = max(1, _FIRST_OPERATIONS // max(row_cost, 1))
        self._rate = 0.0
        self._lock = threading.Lock()
        self.stopped = False

    def take(self) -> tuple[int, int]:
        with self._lock:
            start = self._next
            share = (self._n_rows - start) // (2 * self._n_jobs) if self._n_jobs > 1 else self._size
            smallest = max(1, min(int(self._rate * _SMALLEST_SECONDS), self._largest))
            self._next = min(start + max(smallest, min(self._size, share)), self._n_rows)
            return start, self._next

    def report(self, rows: int, seconds: float) -> None:
        with self._lock:
            self._rate = rows / max(seconds, 1e-9)
            self._size = max(1, min(int(self._rate * _BLOCK_SECONDS), _GROWTH * rows, self._largest))

    def is_empty(self) -> bool:
        return self._next == self._n_rows

    def seconds_left(self) -> float:
        """For one thread, as far as is known yet."""
        return (self._n_rows - self._next) / self._rate if self._rate else 0.0

    def work(
        self,
        kernel: Callable[..., Any],
        arguments: tuple,
        most_seconds_left: float = math.inf,
        progress: Progress | None = None,
    ) -> None:
        """Run blocks until none is left, or until more than `most_seconds_left` are known to be."""
        while not self.stopped:
            start, stop = self.take()
            if start == stop:
                return
            began = time.perf_counter()
            try:
                kernel(start, stop, *arguments)
            except BaseException:
                self.stopped = True
                raise
            self.report(stop - start, time.perf_counter() - began)
            if progress is not None:
                progress(self._next / self._n_rows)
            if self.seconds_left() > most_seconds_left:
                return


def run_rows(
    kernel: Callable[..., Any],
    n_rows: int,
    *arguments: Any,
    n_jobs: int = 1,
    row_cost: int = 1,
    share_at_once: bool = False,
    progress: Progress | None = None,
) -> None:
    """Call ``kernel(start, stop, *arguments)`` until all `n_rows` rows are done.

    The calling thread compiles and measures; only what takes longer than to start a thread is shared.
    ``row_cost`` is the number of operations that a row may take at the most; ``share_at_once`` says that
    every row is worth a thread. ``progress`` is told the share that has been given out, by the calling thread.
    """
    if progress is None:
        progress = _progress.of_pass(n_rows)
    n_jobs = min(n_jobs, available_cores()) if n_jobs > 1 else 1
    queue = _RowQueue(n_rows, row_cost, n_jobs)
    n_helpers = min(n_jobs, n_rows) - 1
    if not share_at_once or n_helpers < 1:
        queue.work(kernel, arguments, _SECONDS_WORTH_HELP if n_jobs > 1 else math.inf, progress)
        n_helpers = min(n_helpers, int(queue.seconds_left() / _SECONDS_WORTH_HELP))
    if not queue.is_empty():
        with ThreadPoolExecutor(n_helpers) as pool:
            futures = []
            try:
                with contextlib.suppress(RuntimeError):  # at the end of the process no thread can be started
                    for _ in range(n_helpers):
                        futures.append(pool.submit(queue.work, kernel, arguments))
                queue.work(kernel, arguments, progress=progress)
            finally:
                queue.stopped = True  # whatever happened, the others finish the block they are at
        for future in futures:
            future.result()
    if progress is not None:
        progress(1.0)


def call_all(calls: Sequence[Callable[[], Any]], n_jobs: int) -> list[Any]:
    """What some calls return, each made by one thread."""
    results = [None] * len(calls)
    run_rows(_call, len(calls), calls, results, n_jobs=n_jobs, row_cost=_BLOCK_OPERATIONS, share_at_once=True)
    return results


def _call(start: int, stop: int, calls: Sequence[Callable[[], Any]], results: list[Any]) -> None:
    for i in range(start, stop):
        results[i] = calls[i]()
