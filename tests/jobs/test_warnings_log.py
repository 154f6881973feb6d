"""What is warned of is kept, and nothing else."""

from __future__ import annotations

import doctest
import logging

from fairy.jobs import warnings_log as module
from fairy.jobs.warnings_log import Notes


def test_example_in_the_docstring():
    assert doctest.testmod(module).failed == 0


def test_notes_are_the_warnings_of_the_block():
    logger = logging.getLogger("fairy.media.write")
    logger.warning("before")
    with Notes() as notes:
        logger.info("detail")
        logger.warning("audio %s left out", "pcm")
    logger.warning("after")
    assert notes.lines == ["audio pcm left out"]


def test_what_every_shot_says_is_noted_once():
    with Notes() as notes:
        for _ in range(3):
            logging.getLogger("fairy.editors").warning("not read: at night")
    assert notes.lines == ["not read: at night"]
