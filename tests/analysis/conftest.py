"""The rendered clip whose motion is known, as the metrics' tests have it."""

from __future__ import annotations

from tests.metrics.conftest import rendered

__all__ = ["rendered"]
