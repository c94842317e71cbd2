"""What every collector shares: the clock, the deadline, and how a failure becomes a reason."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec.structs import replace

from hopcheck.config.options import Misnamed, Options
from hopcheck.model import Collected, Why

T = TypeVar("T")

# Turns a party's exception into (reason, its own words); None: not a failure it knows.
Classify = Callable[[BaseException], tuple[Why, str] | None]


class Unavailable(Exception):  # noqa: N818  # a reason, not an error of ours
    """Raised by a collector's own code for a reason it already knows."""

    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(detail or why.value)
        self.why = why
        self.detail = detail


def _known(error: BaseException) -> tuple[Why, str]:
    if isinstance(error, Unavailable):
        return error.why, error.detail
    if isinstance(error, TimeoutError):
        return Why.TIMED_OUT, str(error)
    if isinstance(error, ConnectionError):
        return Why.UNREACHABLE, str(error)
    if isinstance(error, _UNFORESEEN):
        return Why.INVALID, "the answer has an unexpected form"
    return Why.ERROR, str(error)


# What reading something of another form than is expected ends in: their words are Python's own.
_UNFORESEEN = (LookupError, TypeError, AttributeError, RecursionError)
_RAW = re.compile(r"""(?:bytearray\()?\bb(['"])(.*?)\1\)?""", re.DOTALL)


def without_raw(words: str) -> str:
    """Libraries' words, with the bytes that they show as text."""
    return _RAW.sub(r"\2", words)


class _Pulse:
    """Measures how long the loop did not run: that time is given back to whoever is waiting."""

    _BEAT = 0.05

    def __init__(self) -> None:
        self.lost = 0.0  # seconds, while somebody was waiting
        self._waiting: dict[asyncio.Timeout, float] = {}
        self._next: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def limit(self, seconds: float, most: float = math.inf) -> AsyncIterator[None]:
        """Raise TimeoutError after `seconds` in which the loop ran, and after `most` at any rate.

        A process that decodes or is not given the processor answers for nobody's silence.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds) as waiting:
            self._waiting[waiting] = loop.time() + most
            if self._next is None:
                self._beat(loop.time())
            try:
                yield
            finally:
                del self._waiting[waiting]
                if not self._waiting and self._next is not None:
                    self._next.cancel()
                    self._next = None

    def _beat(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - due
        self.lost += late
        for waiting, end in self._waiting.items():
            until = waiting.when()
            if until is not None and until < end and not waiting.expired():
                waiting.reschedule(min(until + late, end))
        following = loop.time() + self._BEAT
        self._next = loop.call_at(following, self._beat, following)


class Run:
    """One run's clock and limits. All times are seconds since `began`.

    `whole` is the run that this one is a part of (one host of many), else itself.
    """

    _pulse: _Pulse

    def __init__(self, options: Options, whole: Run | None = None) -> None:
        self.options = options
        self.whole: Run = whole or self
        self.began = time.monotonic()
        self._pulse = _Pulse() if whole is None else whole._pulse
        self.limit = self._pulse.limit

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    def remaining(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.options.deadline - self.now())

    def awake(self) -> float:
        """The loop's clock without the time in which it did not run, as far as that was measured.

        What others took is told by it: our own stalls are not theirs.
        """
        return asyncio.get_running_loop().time() - self._pulse.lost

    async def ask(
        self,
        source: str,
        call: Callable[[], Awaitable[T]],
        *,
        classify: Classify | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # narrowed by the deadline here
    ) -> Collected[T]:
        """Await `call()` within the call's timeout and the deadline.

        Cancellation (Ctrl-C) and what the user named wrongly (Misnamed) pass through; everything
        else becomes a typed reason.
        """
        started = self.now()
        limit = min(self.options.timeout if timeout is None else timeout, self.remaining())
        if limit <= 0:
            return Collected(why=Why.TIMED_OUT, source=source, started_s=started)
        try:
            async with self.limit(limit, self.remaining()):
                found = Collected(value=await call())
        except Misnamed:
            raise
        except Exception as error:  # noqa: BLE001  # becomes a typed reason, nothing is swallowed
            why, detail = (classify and classify(error)) or _known(error)
            found = Collected(why=why, detail=detail)
        took = self.now() - started
        return replace(found, source=source, started_s=started, duration_s=took)


def barred(address: str) -> bool:
    """Whether nothing is ever sent there, whoever names it: link-local, or a cloud's metadata.

    What answers there gives credentials away, and is nobody's application.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False  # a name, which is looked up first
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_link_local or str(found) == "fd00:ec2::254"


class Once:
    """Results by key, each made by one task whatever the number of those who wait for it."""

    def __init__(self) -> None:
        self._tasks: dict[object, asyncio.Task[Any]] = {}

    async def get(self, key: object, make: Callable[[], Awaitable[T]]) -> T:
        """The result of the first `make` for `key`. Whoever waits may be cancelled: it goes on."""

        async def made() -> T:
            return await make()

        if key not in self._tasks:
            task = asyncio.ensure_future(made())
            # A failure that nobody waited for is no news: whoever asks later is told.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._tasks[key] = task
        found: T = await asyncio.shield(self._tasks[key])
        return found

    async def close(self) -> None:
        """End what is still being made."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a blocking call in a daemon thread, so that a hung one never keeps the process alive.

    (asyncio.to_thread's workers are joined at interpreter exit.)
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # who gives up waiting ends nothing in the thread

    def work() -> None:
        try:
            result = function(*args)
        except BaseException as error:  # noqa: BLE001  # handed to the awaiting side
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(future)


def within(seconds: float, function: Callable[[], T]) -> T:
    """A blocking call's result. Raises TimeoutError after `seconds`; a hung one is left behind."""

    async def limited() -> T:
        async with asyncio.timeout(seconds):
            return await in_thread(function)

    return asyncio.run(limited())
