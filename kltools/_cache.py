"""Disk cache of compiled kernels: private to the user, never stale, never in the way.

One file holds one compiled signature. Its name is a hash of everything the machine code depends on:
the sources of the whole package, the versions and options of Numba, the processor and the signature.
So an edit or an upgrade is a miss, two processes never write different things under one name, and no
index can be damaged. Whatever goes wrong with a file, the kernel is compiled instead.
"""

import contextlib
import hashlib
import os
import pickle
import re
import stat
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import numba
from numba.core import caching
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

ENVIRONMENT_VARIABLE = "KLTOOLS_CACHE"
_OFF = {"0", "off", "none", "false", "no"}
_ON = {"1", "on", "true", "yes"}
_UNUSED_DAYS = 60
_NUMBA_OPTIONS = ("BOUNDSCHECK", "OPT", "DEBUGINFO_DEFAULT", "LOOP_VECTORIZE", "ENABLE_AVX")


def _base_directory() -> Path | None:
    chosen = os.environ.get(ENVIRONMENT_VARIABLE, "").strip()
    if chosen.lower() in _OFF:
        return None
    if chosen and chosen.lower() not in _ON:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = str(Path.home() / "Library" / "Caches")
    else:
        root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "kltools"


def _hash_of_sources() -> bytes | None:
    package = Path(__file__).parent
    digest = hashlib.sha256()
    try:
        for path in sorted(package.rglob("*.py")):
            digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    except OSError:
        return None
    return digest.digest() if Path(__file__).is_file() else None


_SOURCES = _hash_of_sources()  # read with the import: an edit under a running process must not be taken for its code


@lru_cache(maxsize=1)
def _fingerprint() -> str:
    """Hash of the package's sources and of what Numba was told."""
    options = [(name, getattr(numba.config, name, None)) for name in _NUMBA_OPTIONS]
    versions = repr((sys.version_info[:3], numba.__version__, options)).encode()
    return hashlib.sha256((_SOURCES or b"") + versions).hexdigest()[:20]


def _is_private(directory: Path) -> bool:
    """Whether only this user can have put machine code there."""
    if os.name != "posix":
        return True
    status = directory.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _remove_unused(base: Path) -> None:
    """Remove our own files of versions that nobody has used for long; nothing else, wherever the user put us."""
    oldest = time.time() - _UNUSED_DAYS * 86400
    for version in base.iterdir():
        if re.fullmatch("[0-9a-f]{20}", version.name) and version.is_dir() and version.stat().st_mtime < oldest:
            for path in version.glob("*.kernel"):
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # something else is in there
                version.rmdir()


@lru_cache(maxsize=1)
def directory() -> Path | None:
    """Where this version of the package keeps compiled kernels; None where it cannot keep any."""
    try:
        base = _base_directory()
        if base is None or _SOURCES is None:
            return None
        current = base / _fingerprint()
        if not current.is_dir():
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            current.mkdir(mode=0o700, exist_ok=True)
            _remove_unused(base)
        with contextlib.suppress(OSError):  # a read-only cache is as good
            os.utime(current)
        return current if _is_private(base) and _is_private(current) else None
    except (OSError, RuntimeError):  # no home directory is a RuntimeError
        return None


class KernelCache(caching._Cache):
    """What a Numba dispatcher asks before it compiles and tells after it has compiled."""

    def __init__(self, function, target: str):
        self._identity = (function.__module__, function.__qualname__, target)
        self._enabled = True

    @property
    def cache_path(self) -> str:
        return str(directory())

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self):
        folder = directory()
        return [] if folder is None else list(folder.glob(f"{self._stem()}-*.kernel"))

    def _stem(self) -> str:
        return f"{self._identity[1]}-{hashlib.sha256(repr(self._identity).encode()).hexdigest()[:8]}"

    def _path(self, signature, codegen) -> Path | None:
        folder = directory() if self._enabled else None
        if folder is None:
            return None
        key = hashlib.sha256(repr((signature, codegen.magic_tuple())).encode()).hexdigest()[:20]
        return folder / f"{self._stem()}-{key}.kernel"

    def load_overload(self, sig, target_context):
        target_context.refresh()
        path = self._path(sig, target_context.codegen())
        if path is None:
            return None
        try:
            stored = path.read_bytes()
            digest, payload = stored[:32], stored[32:]
            if hashlib.sha256(payload).digest() != digest:
                return None
            return CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # a cache may fail in any way; compiling is always right
            return None

    def save_overload(self, sig, data) -> None:
        path = self._path(sig, data.library.codegen)
        if path is None or data.lifted or data.library.has_dynamic_globals:
            return
        try:
            payload = dumps(data._reduce())
            _write_atomically(path, hashlib.sha256(payload).digest() + payload)
        except Exception:  # full disk, read-only place, unpicklable type: stay uncached
            return


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
