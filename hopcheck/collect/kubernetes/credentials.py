"""Who the API server is and what it is shown, by the official client; and an httpx client of it.

The official client works in a process of its own (`load`), which is given up at the call's limit
and ended with everything that it started. What it found becomes an `httpx.AsyncClient`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import math
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from hopcheck import __version__
from hopcheck.collect.ask import Run, Unavailable, in_thread
from hopcheck.config.options import Misnamed, siblings
from hopcheck.model import Why
from hopcheck.model.redact import redact_text

if TYPE_CHECKING:
    import httpx

    from hopcheck.config.options import Options

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"

_LOADER = Path(__file__).with_name("load.py")
_ANSWER_BYTES = 1_048_576
_WORDS = 600
_CONNECTIONS = 12


class Access(Struct, frozen=True):
    """How to reach one API server, as `load` found it. Certificates and the key are files."""

    server: str  # URL, a path prefix included
    context: str | None = None
    namespace: str | None = None
    in_cluster: bool = False
    ca: str | None = None
    insecure: bool = False
    server_name: str | None = None  # tls-server-name
    client_cert: str | None = None
    client_key: str | None = None
    authorization: str | None = None  # the header's whole value
    headers: tuple[tuple[str, str], ...] = ()  # impersonation
    proxy: str | None = None  # URL


class _Pipe(asyncio.Protocol):
    """What a process says on one of its outputs, kept up to a limit."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.begun = asyncio.Event()  # a line was said, or nothing will be
        self.ended = asyncio.Event()  # it is closed

    def data_received(self, data: bytes) -> None:
        self.kept += data[: _ANSWER_BYTES - len(self.kept)]
        if b"\n" in data:
            self.begun.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's interface
        self.begun.set()
        self.ended.set()


class _Loading:
    """The process that loads, from when it is started to when its whole group is ended.

    What it says is `out` and `errors`.
    """

    def __init__(self, options: Options, seconds: float) -> None:
        """Start it, to end by itself after `seconds`. Raises OSError."""
        self._options = options
        self.directory = tempfile.TemporaryDirectory(prefix="hopcheck-")
        asked = {
            "path": sys.path,
            "kubeconfig": options.kubeconfig,
            "context": options.context,
            "account": ACCOUNT,
            "directory": self.directory.name,
            "seconds": math.ceil(seconds) + 2,
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_LOADER), json.dumps(asked)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # no terminal, and a group to be ended with all children
            )
        except OSError:
            self.directory.cleanup()
            raise
        self.out, self.errors = _Pipe(), _Pipe()
        self._transports: list[asyncio.BaseTransport] = []

    async def listen(self) -> None:
        """Hear what it says in this event loop, from its start on."""
        loop = asyncio.get_running_loop()
        transport, self.out = await loop.connect_read_pipe(_Pipe, self._process.stdout)
        self._transports.append(transport)
        transport, self.errors = await loop.connect_read_pipe(_Pipe, self._process.stderr)
        self._transports.append(transport)

    def turn_away(self) -> None:
        """Hear no more of it: what it started may hold its pipes open for ever."""
        for transport in self._transports:
            transport.close()

    def end(self) -> None:
        """End it and all that it started: a plugin's children may outlive it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)  # killed: its exit is a matter of milliseconds

    def late(self, limit: float) -> Unavailable:
        """Who was waited for: the last line that the process said."""
        said = self.out.kept.decode("utf-8", "replace").split("\n")
        who = said[-2] if len(said) > 1 else "the kubernetes package"
        return Unavailable(
            Why.TIMED_OUT, redact_text(f"{who[:_WORDS]}: no credentials within {limit:.1f} s")
        )

    def access(self) -> Access:
        """What was found. Raises Unavailable, and Misnamed."""
        try:
            found = msgspec.json.decode(bytes(self.out.kept).rpartition(b"\n")[2])
            if "why" not in found:
                return msgspec.convert(found, Access)
            why, detail = Why(found["why"]), found["detail"]
            named = self._options
            if named.context and found.get("known") is not None:
                raise Misnamed("context", named.context, found["known"])
            if named.kubeconfig and not Path(named.kubeconfig).expanduser().exists():
                raise Misnamed("kubeconfig", named.kubeconfig, siblings(named.kubeconfig))
        except msgspec.DecodeError:
            words = self.errors.kept.decode("utf-8", "replace")
            why, detail = Why.ERROR, f"the kubernetes package ended early: {words[-_WORDS:]}"
        raise Unavailable(why, redact_text(" ".join(detail.split()))[:_WORDS])


async def open_api(run: Run) -> tuple[Access, httpx.AsyncClient]:
    """The API server that the run's options and the environment name, and a client of it.

    Connects to nothing but what a plugin or auth-provider connects to. Raises Unavailable:
    NOT_CONFIGURED where there is no configuration at all; MISCONFIGURED with one line of detail
    where it cannot be used or a plugin fails; TIMED_OUT.
    """
    options = run.options
    loading = _begun.pop((options.kubeconfig, options.context), None)
    try:
        loading = loading or _Loading(options, run.remaining())
    except OSError as error:
        raise Unavailable(Why.ERROR, f"no process for the kubernetes package: {error}") from error
    try:
        access = await _loaded(run, loading)
        try:
            async with asyncio.timeout(min(options.timeout, run.remaining())):
                context = await in_thread(_tls, access)
        except TimeoutError:
            words = "the kubeconfig's certificates could not be read in time"
            raise Unavailable(Why.TIMED_OUT, words) from None
    finally:
        loading.directory.cleanup()
    return access, client_of(access, context)


# By kubeconfig and context: started before the run, for the first who asks.
_begun: dict[tuple[str | None, str | None], _Loading] = {}
_AHEAD = 30.0  # seconds from the command line to the run, at most


def begin(options: Options) -> None:
    """Start to load what `open_api` will ask for: a quarter of a second, while others import."""
    with contextlib.suppress(OSError):  # it is tried again, and told, when it is asked for
        loading = _Loading(options, options.deadline + _AHEAD)
        _begun[options.kubeconfig, options.context] = loading
        atexit.register(_end_what_nobody_asked_for)


def _end_what_nobody_asked_for() -> None:
    while _begun:
        _, loading = _begun.popitem()
        loading.end()
        loading.directory.cleanup()


async def _loaded(run: Run, loading: _Loading) -> Access:
    limit = run.remaining()
    try:
        await loading.listen()

        import httpx  # noqa: F401  # needed next: a tenth of a second, while the other one loads

        async with asyncio.timeout(limit):  # to import the client is no plugin's time
            await loading.out.begun.wait()
        limit = min(run.options.timeout, run.remaining())
        async with asyncio.timeout(limit):
            await loading.out.ended.wait()
            await loading.errors.ended.wait()
    except TimeoutError:
        raise loading.late(limit) from None
    finally:
        loading.turn_away()
        await in_thread(loading.end)
    return loading.access()


class _Context(ssl.SSLContext):
    """Names `server_name` (tls-server-name) in the handshake, whatever host is connected to."""

    server_name: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        name = self.server_name or server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, name, session)


def _tls(access: Access) -> ssl.SSLContext:
    """How the API server is verified and what certificate it is shown: as client-go does it.

    Any certificate that the kubeconfig names is trusted, an intermediate one too, and one without
    the authority key identifier that Python 3.13 asks for by default.
    """
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = access.server_name
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if access.ca:
            context.load_verify_locations(access.ca)
        elif access.server.startswith("https"):
            context.load_default_certs()
        if access.client_cert:
            context.load_cert_chain(access.client_cert, access.client_key)
    except (ssl.SSLError, ValueError, OSError) as error:
        words = f"certificates of the kubeconfig cannot be used: {error}"
        raise Unavailable(Why.MISCONFIGURED, words) from error
    return context


def client_of(access: Access, context: ssl.SSLContext) -> httpx.AsyncClient:
    """A client of the API server. Time limits are the caller's.

    Raises Unavailable(MISCONFIGURED) for a server, proxy or header that httpx cannot use.
    """
    import httpx

    agent = f"hopcheck/{__version__}"
    headers = [("User-Agent", agent), ("Accept-Encoding", "gzip"), *access.headers]
    if access.authorization:
        headers.append(("Authorization", access.authorization))
    try:
        url = httpx.URL(access.server)
        if url.scheme not in ("http", "https") or not url.host:
            words = f"server {access.server!r} is no http or https URL"
            raise Unavailable(Why.MISCONFIGURED, words)
        return httpx.AsyncClient(
            base_url=url,
            headers=headers,
            verify=context,
            proxy=access.proxy,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
            ),
            timeout=None,  # noqa: S113  # the caller's
            trust_env=False,
        )
    except (httpx.InvalidURL, ValueError, ImportError) as error:  # ImportError: socks
        raise Unavailable(Why.MISCONFIGURED, redact_text(str(error))) from error
