"""How far long work is: told to a function of the caller, or shown as a bar."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from .errors import InvalidTypeError, MissingDependencyError

Listener = Callable[[int, int], object]

_DELAY, _INTERVAL = 1.0, 0.1  # seconds: what takes less shows no bar; between two pictures of it
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}]"
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def show_progress(progress: Any = True) -> Iterator[None]:
    """Show how far any function of kltools is that is called within.

    Work is done in passes over the data, parts of them, or pairs. Some functions make one pass, others hundreds, each
    told of by itself from its beginning: "pass 4: 33%", and the time since the first. What starts threads of its own (a
    joblib backend, a scheduler) is not told of. Results do not change.

    Parameters
    ----------
    progress : bool, callable or None
        True for a bar (`tqdm`) once a second has passed; a function is called as ``progress(done, total)``, where total
        is how much there is to do in the pass under way, by the calling thread, and stops the work by raising. Nothing
        is shown for False and None.

    Returns
    -------
    context manager

    Raises
    ------
    MissingDependencyError
        Where a bar is asked for and tqdm is not installed.
    InvalidTypeError
        For anything else.

    Examples
    --------
    >>> import numpy as np, kltools as kl
    >>> X, Y = np.random.default_rng(0).normal(size=(2, 5000, 3))
    >>> passes = []
    >>> with kl.show_progress(lambda done, total: passes.append(done == total)):
    ...     estimate = kl.estimate_kl(X, Y, method="knn")
    >>> any(passes)
    True
    """
    with shown(checked(progress), everywhere=True):
        yield


def checked(progress: Any) -> Any:
    """What `progress=` may be: True for a bar, a function of (done, total), or None and False for neither."""
    if progress is True:
        return _Bar()
    if progress is None or progress is False:
        return None
    if not callable(progress):
        raise InvalidTypeError(f"progress must be a bool, a function of (done, total) or None, got {progress!r}.")
    return progress


@contextlib.contextmanager
def shown(progress: Listener | None, everywhere: bool = False) -> Iterator[None]:
    """Tell a bar, or with `everywhere` any listener, of all passes within, and close it at the end."""
    if progress is None or not (everywhere or isinstance(progress, _Bar)):
        yield
        return
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)
        if isinstance(progress, _Bar):
            progress.close()


def of_pass(n_rows: int) -> Callable[[float], None] | None:
    """What is to be told the share of a pass over rows that is done, where anybody listens."""
    listener = _listener.get()
    if listener is None:
        return None
    last = -1

    def tell(share: float) -> None:
        nonlocal last
        done = int(share * n_rows)
        if done > last:
            listener(done, n_rows)
        last = done

    return tell


class _Bar:
    """A bar of tqdm for the pass that is under way, gone at the end."""

    def __init__(self) -> None:
        try:
            tqdm = importlib.import_module("tqdm.auto").tqdm
        except ImportError as error:
            raise MissingDependencyError(
                "progress=True needs tqdm: pip install 'kltools[progress]', or pass a function of (done, total)."
            ) from error
        self._tqdm = type("Bar", (tqdm,), {"monitor_interval": 0})  # without a thread that watches over bars
        self._bar: Any = None
        self._n_done = 0
        self._next = time.perf_counter() + _DELAY

    def __call__(self, done: int, total: int) -> None:
        self._n_done += done == total
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        if self._bar is None:
            self._bar = self._tqdm(total=total, leave=False, bar_format=_FORMAT)
        self._bar.total, self._bar.n = total, done
        self._bar.set_description_str(f"pass {self._n_done + (done < total)}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
