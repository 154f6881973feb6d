"""A tiny model's pipeline and the real clips, as the tests of single jobs ask."""

from tests.jobs.conftest import clip, failing, pipe

__all__ = ["clip", "failing", "pipe"]
