"""The state of fitted estimators: what is saved of them says which version of kltools it is from."""

import warnings
from typing import Any

from ._version import __version__
from .errors import StateVersionWarning

_STAMP = "_kltools_version"


class VersionedState:
    """A base class whose saved state carries the version of kltools; loading that of another version warns."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), _STAMP: __version__}  # type: ignore[dict-item]

    def __setstate__(self, state: dict[str, Any]) -> None:
        version = state.get(_STAMP)
        if version != __version__:
            origin = "an unknown version" if version is None else f"version {version}"
            warnings.warn(
                f"the state of this {type(self).__name__} was saved by {origin} of kltools, this is {__version__}: it "
                "may not work, or answer otherwise; fit it again, or load it with the version that saved it.",
                StateVersionWarning,
                stacklevel=2,
            )
        self.__dict__.update({name: value for name, value in state.items() if name != _STAMP})
