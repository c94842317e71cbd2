"""The lab for code that is not asynchronous: tests, benchmarks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from hopcheck.lab.lab import Lab

T = TypeVar("T")
_LIMIT_S = 60.0


class RunningLab:
    """A Lab on a thread of its own, for code that is not asynchronous: ``with RunningLab()``.

    `lab` may be read from any thread; change it inside `run` or `call`.
    """

    def __init__(self, *, binary: Path | None = None, single: bool | None = None) -> None:
        self._arguments = {"binary": binary, "single": single}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab", daemon=True)
        self.lab: Lab

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.lab = self.call(lambda: Lab(**self._arguments))  # type: ignore[arg-type]
            self.run(self.lab.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self.run(self.lab.stop())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LIMIT_S)
        if not self._thread.is_alive():
            self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the lab's loop and wait for it; its exceptions are raised here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT_S)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the lab's loop."""

        async def work() -> T:
            return function()

        return self.run(work())

    def environment(self) -> dict[str, str]:
        """`Lab.environment`."""
        return self.lab.environment()

    def arguments(self) -> list[str]:
        """`Lab.arguments`."""
        return self.lab.arguments()

    def inject(self, name: str) -> None:
        """`Lab.inject`."""
        self.run(self.lab.inject(name))

    def heal(self) -> None:
        """`Lab.heal`."""
        self.run(self.lab.heal())

    def settle(self) -> None:
        """`Lab.settle`."""
        self.run(self.lab.settle())
