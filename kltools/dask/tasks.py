"""Calls as tasks of Dask, and its arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import _arrays
from .._blocks import Handle
from ..errors import InvalidTypeError, MissingDependencyError
from ..estimate import DivergenceEstimate

if TYPE_CHECKING:
    from dask.delayed import Delayed


def dask_module() -> Any:
    try:
        import dask.array  # and not when this module is imported
    except ImportError as error:
        raise MissingDependencyError("kltools.dask needs Dask; install it with pip install 'kltools[dask]'.") from error
    return dask


class Tasks:
    """Runs calls as tasks of Dask, wherever its scheduler puts them.

    Arrays that are `held` stay with the workers that keep them, for what is computed later.
    """

    n_jobs = 1

    def __init__(self, *held: Any):
        self._held = held

    def call(self, function: Callable[..., Any], *arguments: Any) -> Handle:
        return dask_module().delayed(function, pure=False)(*arguments)

    share = call

    def get(self, handles: Sequence[Handle], progress: Callable[[float], None] | None = None) -> list[Any]:
        return list(dask_module().compute(*handles))

    def fold(self, function: Callable[[Any, Any], Any], handles: Sequence[Handle]) -> Any:
        state = None
        for handle in handles:
            state = self.call(function, state, handle)
        return self.get([state])[0]


class _Sealed:
    """Arguments that Dask must not compute before a function is called with them."""

    def __init__(self, function: Callable[..., DivergenceEstimate], arguments: tuple, options: dict[str, Any]):
        self._call = function, arguments, options

    def __call__(self) -> DivergenceEstimate:
        function, arguments, options = self._call
        estimate = function(*arguments, **options)
        estimate.uncertainty()  # here, not where the result is sent from
        return estimate


def later(function: Callable[..., Any], *arguments: Any, **options: Any) -> Delayed:
    return dask_module().delayed(_called, pure=False)(_Sealed(function, arguments, options))


def _called(sealed: _Sealed) -> DivergenceEstimate:
    return sealed()


def as_array(x: Any, name: str) -> Any:
    """x as a Dask array of one or two axes."""
    array = dask_module().array
    if hasattr(x, "to_dask_array"):
        x = x.to_dask_array()
    elif not isinstance(x, array.Array):
        x = array.from_array(_arrays.numeric_array(x, name))
    if x.dtype.kind not in "fiub":
        raise InvalidTypeError(f"{name} holds dtype {x.dtype}, numbers are needed; convert it to numbers.")
    return x


def pieces_of(x: Any) -> list[Handle]:
    return list(x.to_delayed().ravel())
