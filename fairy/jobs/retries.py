"""Ask a server or a network file system again if a request fails.

Tests: tests/jobs/test_retries.py.
"""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from fairy.errors import MediaError, first_line

logger = logging.getLogger(__name__)

# How often a server is asked, and the longest wait before the second time; it doubles each time
TRIES = 5
FIRST_WAIT_S = 0.5
# Another try would not help
FINAL = (FileNotFoundError, FileExistsError, PermissionError, ImportError, ValueError)

T = TypeVar("T")


def retried(call: Callable[[], T], name: str = "") -> T:
    """Call something that needs a server; if it fails, try again, later and later.

    Args:
        call: what to call.
        name: what it is about, for the log.

    Raises:
        Exception: one of `FINAL` at once; any other from the last of `TRIES` calls.
    """
    for number in range(TRIES - 1):
        try:
            return call()
        except FINAL:
            raise
        except Exception as error:
            # Each client has errors of its own
            about = f"{name}: " if name else ""
            logger.warning("%s%s: trying again", about, first_line(error))
        time.sleep(FIRST_WAIT_S * 2**number * random.uniform(0.5, 1))
    return call()


def with_retries(call: Callable[[], T], address: str, failure: str) -> T:
    """Call something as `retried` does, with errors for a user.

    Args:
        call: what to call.
        address: what it is about, for the message.
        failure: what cannot be done, for the message.

    Raises:
        MediaError: another try would not help: no such file, no right to it, or no client here.
        ConnectionError: the server keeps failing.
    """
    try:
        return retried(call, address)
    except FINAL as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else first_line(error)
        raise MediaError(f"{address}: {failure}: {reason}") from error
    except Exception as error:
        raise ConnectionError(errno.EIO, f"{failure}: {first_line(error)}", address) from error
