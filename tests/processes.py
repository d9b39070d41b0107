"""Programs that run in a process of their own, in an environment that only the test decides."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import kltools

ROOT = Path(kltools.__file__).parents[1]


def environment(root: Path = ROOT, cache: Path | str = "off", **variables: str) -> dict[str, str]:
    """The test's environment without settings of Numba and kltools; the package is that below `root`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "KLTOOLS_"))}
    ours = {
        "PYTHONPATH": os.pathsep.join([str(root), *filter(None, [inherited.get("PYTHONPATH")])]),
        "PYTHONSAFEPATH": "1",  # a package in the working directory is another one
        "PYTHONDONTWRITEBYTECODE": "1",
        "KLTOOLS_CACHE": str(cache),
    }
    return {**inherited, **ours, **variables}


def start(*arguments: object, env: dict[str, str] | None = None, **options) -> subprocess.Popen:
    """Start Python with these arguments, at the head of a process group of its own."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=environment() if env is None else env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def finish(process: subprocess.Popen, timeout: float = 120.0) -> tuple[str, str]:
    """What a process wrote to stdout and stderr; where it failed or hung, the test fails with both.

    A process that hangs is killed, with those it has started and nothing else.
    """
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
        out, err = process.communicate()
        raise AssertionError(f"nothing after {timeout} s\n{out}\n{err}") from None
    assert process.returncode == 0, f"exit code {process.returncode}\n{out}\n{err}"
    return out, err


def run(*arguments: object, timeout: float = 120.0, **options) -> tuple[str, str]:
    """Run Python with these arguments to its end: what it wrote to stdout and to stderr."""
    return finish(start(*arguments, **options), timeout)
