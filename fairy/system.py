"""What runs here: versions of the libraries, and the memory that this process has had.

Tests: tests/test_system.py.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys

import fairy

VERSIONED = ("torch", "diffusers", "transformers", "av", "numpy", "triton")


def versions() -> dict[str, str]:
    """Return the versions of Fairy, Python, the platform and the libraries that are installed."""
    found = {"fairy": fairy.__version__, "python": platform.python_version()}
    found["platform"] = platform.platform()
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def peak_memory_bytes() -> int:
    """Return the largest resident size in bytes that this process has had."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return peak if sys.platform == "darwin" else peak * 1024
