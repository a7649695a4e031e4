"""Tests of dermaface.quiet."""

import os
import threading

from dermaface.quiet import quiet
import pytest


def interleave(raising=()):
    """Enter in one thread and then in another, leave in the same order, and write all the time.

    Args:
        raising: the numbers, 0 or 1, of the threads whose blocks raise.
    """
    entered, left = (threading.Event(), threading.Event()), threading.Event()

    def first():
        with quiet():
            os.write(2, b"first ")
            entered[0].set()
            entered[1].wait(10)
            if 0 in raising:
                raise ValueError

    def second():
        entered[0].wait(10)
        with quiet():
            os.write(2, b"second ")
            entered[1].set()
            left.wait(10)
            os.write(2, b"late ")
            if 1 in raising:
                raise ValueError

    hook, threading.excepthook = threading.excepthook, lambda _: None
    threads = [threading.Thread(target=block) for block in (first, second)]
    for thread in threads:
        thread.start()
    threads[0].join()
    left.set()
    threads[1].join()
    threading.excepthook = hook


def test_two_threads_leave_the_terminal_as_it_was(capfd):
    for _ in range(3):
        interleave()
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


@pytest.mark.parametrize("raising", [{0}, {1}, {0, 1}], ids=["first", "second", "both"])
def test_when_one_of_two_threads_raises_what_was_held_is_written(capfd, raising):
    interleave(raising)
    os.write(2, b"after")
    assert capfd.readouterr().err == "first second late after"
    interleave()  # nothing is left of it
    assert capfd.readouterr().err == ""


def test_what_was_held_is_written_when_the_block_raises(capfd):
    with quiet():
        os.write(2, b"a note ")
        with quiet():
            os.write(2, b"another ")
    with pytest.raises(KeyError), quiet():
        os.write(2, b"a reason ")
        raise KeyError
    os.write(2, b"after")
    assert capfd.readouterr().err == "a reason after"
