import threading
import time

import pytest

from fairy.errors import MediaError
from fairy.media.threads import ReadAhead, WriteBehind


def num_threads():
    return sum("ahead" in t.name or "behind" in t.name for t in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert num_threads() == 0


def until(condition, timeout_s=20):
    """Wait for what another thread will do."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_items_come_in_order_and_once(size):
    with ReadAhead(iter(range(50)), size=size) as items:
        assert list(items) == list(range(50))


def test_reading_goes_on_while_nothing_is_taken_and_then_waits():
    made = []
    with ReadAhead((made.append(i) or i for i in range(100)), size=4) as items:
        until(lambda: len(made) == 4)
        time.sleep(0.02)
        assert len(made) == 4
        assert next(items) == 0
        until(lambda: len(made) == 5)


def test_a_consumer_that_leaves_closes_the_source():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with ReadAhead(endless(), size=2) as items:
        assert next(items) == 1
    assert closed.is_set()


def test_a_consumer_that_raises_stops_the_thread():
    with pytest.raises(KeyError), ReadAhead(iter(range(1000)), size=2) as items:
        next(items)
        raise KeyError


def failing():
    yield 1
    yield 2
    raise MediaError("clip.mp4: broken")


def test_the_readers_error_comes_after_what_was_read():
    read = []
    with pytest.raises(MediaError, match=r"clip\.mp4: broken"), ReadAhead(failing()) as items:
        for item in items:
            read.append(item)
    assert read == [1, 2]


@pytest.mark.parametrize("size", [1, 8])
def test_all_work_is_done_in_order_when_the_block_ends(size):
    done = []
    with WriteBehind(lambda i: (time.sleep(0.001), done.append(i)), size=size) as writer:
        for i in range(20):
            writer.put(i)
    assert done == list(range(20))


def test_putting_waits_for_room():
    go, done = threading.Event(), []

    def work(item):
        go.wait(20)
        done.append(item)

    with WriteBehind(work, size=2) as writer:
        for i in range(3):
            writer.put(i)
        waiting = threading.Thread(target=writer.put, args=(3,), name="put")
        waiting.start()
        time.sleep(0.02)
        assert waiting.is_alive() and done == []
        go.set()
        waiting.join(20)
    assert done == [0, 1, 2, 3]


def test_the_writers_error_is_raised_at_a_later_put():
    def fails(item):
        raise MediaError("out.mp4: disk full")

    with pytest.raises(MediaError, match="disk full"), WriteBehind(fails) as writer:
        while True:
            writer.put(1)


def test_nothing_is_written_after_an_error():
    tried = []

    def fails(item):
        tried.append(item)
        time.sleep(0.02)
        raise MediaError("out.mp4: disk full")

    with pytest.raises(MediaError), WriteBehind(fails) as writer:
        for i in range(5):
            writer.put(i)
    assert tried == [0]


@pytest.mark.parametrize("sooner", [True, False])
def test_the_writers_error_is_raised_at_the_end(sooner):
    go, failed = threading.Event(), threading.Event()

    def fails(item):
        go.wait(20)
        failed.set()
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), WriteBehind(fails) as writer:
        writer.put(1)
        go.set() if sooner else threading.Timer(0.02, go.set).start()
        if sooner:
            failed.wait(20)
            time.sleep(0.01)


def test_work_is_dropped_when_the_block_fails():
    go, done = threading.Event(), []

    def work(item):
        go.wait(20)
        done.append(item)

    with pytest.raises(KeyError), WriteBehind(work, size=5) as writer:
        for i in range(5):
            writer.put(i)
        threading.Timer(0.05, go.set).start()
        raise KeyError
    assert len(done) <= 1


def test_the_threads_time_is_counted():
    def slow():
        for i in range(3):
            time.sleep(0.02)
            yield i

    with ReadAhead(slow()) as items, WriteBehind(lambda i: time.sleep(0.02)) as writer:
        for item in items:
            writer.put(item)
    assert items.busy_s >= 0.06 and writer.busy_s >= 0.06


def test_a_queue_without_room_is_refused():
    with pytest.raises(ValueError, match="at least one item"):
        ReadAhead(iter(()), size=0)
