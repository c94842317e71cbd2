"""A headless Chromium over its own debugging pipe: no port, no package, no request of its own."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

BINARY = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


class Chromium:
    """One browser with one page; a context manager. Raises TimeoutError when it is silent."""

    def __init__(self, timeout: float = 20.0) -> None:
        self.timeout = timeout
        self.events: list[dict[str, Any]] = []
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        commands, self._to = os.pipe()
        self._from, answers = os.pipe()
        # Chromium reads commands from descriptor 3 and writes answers to 4; above 9 neither end
        # of a pipe is overwritten while the other takes its place.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers)]
        null = os.open(os.devnull, os.O_RDWR)
        wanted = [(null, 0), (null, 1), (null, 2), (ends[0], 3), (ends[1], 4)]
        profile = f"--user-data-dir={self._profile.name}"
        self._pid = os.posix_spawn(
            str(BINARY),
            [str(BINARY), *_FLAGS, profile, "about:blank"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, here, there) for here, there in wanted],
        )
        for end in (commands, answers, null, *ends):
            os.close(end)
        self._pending = b""
        self._number = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._to)  # the end of its commands ends the browser
        if not select.select([self._from], [], [], 0)[0]:
            os.kill(self._pid, signal.SIGTERM)
        until = time.monotonic() + 10
        while os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > until:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                break
            time.sleep(0.02)
        os.close(self._from)
        self._profile.cleanup()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command of the DevTools protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + self.timeout
        while True:
            answer = self._next(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._from], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError("chromium says nothing")
            piece = os.read(self._from, 1 << 20)
            if not piece:
                raise RuntimeError("chromium ended")
            self._pending += piece
        line, _, self._pending = self._pending.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def open(
        self,
        path: Path,
        width: int,
        height: int,
        *,
        dark: bool = False,
        script: bool = True,
        fragment: str = "",
    ) -> None:
        """Show a file at that size of the window and wait until it has loaded."""
        self.events.clear()
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Page.navigate", url=path.as_uri() + (f"#{fragment}" if fragment else ""))
        until = time.monotonic() + self.timeout
        while not self.seen("Page.loadEventFired"):
            self.events.append(self._next(until))

    def resize(self, width: int, height: int) -> None:
        """Give the window that size; the page's layout follows before the next command."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page, as JSON."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def seen(self, method: str) -> list[dict[str, Any]]:
        """The parameters of the events of that name since the page was opened."""
        return [one["params"] for one in self.events if one.get("method") == method]

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))
