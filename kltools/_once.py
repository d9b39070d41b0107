"""An attribute that is computed when it is first asked for."""

from collections.abc import Callable
from typing import Any


class once:
    """`functools.cached_property` without its lock.

    Before Python 3.12 that lock is one for all objects: threads would wait for one another's work, and a
    fork while one of them holds it would leave the child waiting for ever. Here two threads at worst
    compute the same thing twice.
    """

    def __init__(self, compute: Callable[[Any], Any]):
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        return instance.__dict__.setdefault(self._name, self._compute(instance))
