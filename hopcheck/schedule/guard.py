"""A time limit for computation: a judge that loops for ever must not take the other hosts along."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooLongError(Exception):
    """The computation was ended at its limit."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooLongError in the block after `seconds`, and again where it goes on regardless.

    By a timer signal, so only in the main thread of a system that has one; elsewhere without limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        raise TooLongError(f"no result after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
