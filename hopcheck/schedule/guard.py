"""What ends a computation from outside: a time limit (a judge may loop for ever), and SIGTERM."""

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


def end_by_sigterm() -> None:
    """From here on SIGTERM does what Ctrl-C does.

    Raised in a loop's midst, KeyboardInterrupt leaves threads behind that wait for ever for its
    last task; asyncio's own handler, while a loop runs, ends the tasks first.
    """

    def end(_number: int, frame: FrameType | None) -> None:
        interrupt = signal.getsignal(signal.SIGINT)  # ignored, where a script runs this with "&"
        ends = interrupt if callable(interrupt) else signal.default_int_handler
        ends(signal.SIGINT, frame)

    signal.signal(signal.SIGTERM, end)
