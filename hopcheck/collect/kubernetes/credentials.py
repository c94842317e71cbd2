"""Who the API server is and what it is shown, by the official client; and an httpx client of it.

The official client works in a process of its own (`load`), which is given up at the call's limit
and ended with everything that it started. What it found becomes an `httpx.AsyncClient`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import ssl
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from hopcheck import __version__
from hopcheck.collect.ask import Run, Unavailable, in_thread
from hopcheck.model import Why
from hopcheck.model.redact import redact_text

if TYPE_CHECKING:
    import httpx

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


class _Refused(Struct, frozen=True, forbid_unknown_fields=True):
    """What `load` answers where there is nothing to show."""

    why: Why
    detail: str


async def open_api(run: Run, account: str = ACCOUNT) -> tuple[Access, httpx.AsyncClient]:
    """The API server that the run's options and the environment name, and a client of it.

    Connects to nothing but what a plugin or auth-provider connects to. Raises Unavailable:
    NOT_CONFIGURED where there is no configuration at all; MISCONFIGURED with one line of detail
    where it cannot be used or a plugin fails; TIMED_OUT.
    """
    with tempfile.TemporaryDirectory(prefix="hopcheck-") as directory:
        access = await _loaded(run, directory, account)
        try:
            async with asyncio.timeout(min(run.options.timeout, run.remaining())):
                context = await in_thread(_tls, access)
        except TimeoutError:
            raise Unavailable(
                Why.TIMED_OUT, "the kubeconfig's certificates could not be read in time"
            ) from None
    return access, client_of(access, context)


class _Loading(asyncio.SubprocessProtocol):
    """Keeps what the process says up to a limit; `ended` when it exited and closed its pipes."""

    def __init__(self) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self.ready = asyncio.Event()
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.output[fd]
        kept += data[: _ANSWER_BYTES - len(kept)]
        if b"\n" in self.output[1]:
            self.ready.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's interface
        self.ready.set()
        self.ended.set()

    def late(self, limit: float) -> Unavailable:
        """Who was waited for: the last line that the process said."""
        said = bytes(self.output[1]).decode("utf-8", "replace").split("\n")
        who = said[-2] if len(said) > 1 else "the kubernetes package"
        return Unavailable(
            Why.TIMED_OUT, redact_text(f"{who[:_WORDS]}: no credentials within {limit:.1f} s")
        )

    def access(self) -> Access:
        """What was found. Raises Unavailable."""
        answer = bytes(self.output[1]).rpartition(b"\n")[2]
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(answer, type=Access)
        try:
            refused = msgspec.json.decode(answer, type=_Refused)
        except msgspec.DecodeError:
            words = self.output[2].decode("utf-8", "replace")
            refused = _Refused(Why.ERROR, f"the kubernetes package ended early: {words[-_WORDS:]}")
        detail = " ".join(refused.detail.split())
        raise Unavailable(refused.why, redact_text(detail)[:_WORDS])


async def _loaded(run: Run, directory: str, account: str) -> Access:
    options = run.options
    asked = {
        "path": sys.path,
        "kubeconfig": options.kubeconfig,
        "context": options.context,
        "account": account,
        "directory": directory,
        "seconds": math.ceil(run.remaining()) + 2,
    }
    try:
        transport, process = await asyncio.get_running_loop().subprocess_exec(
            _Loading,
            *(sys.executable, "-P", str(_LOADER), json.dumps(asked)),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # no terminal, and a group to be ended with all its children
        )
    except OSError as error:
        raise Unavailable(Why.ERROR, f"no process for the kubernetes package: {error}") from error
    limit = run.remaining()
    try:
        import httpx  # noqa: F401  # needed next: a tenth of a second, while the other one loads

        async with asyncio.timeout(limit):  # to import the client is no plugin's time
            await process.ready.wait()
        limit = min(options.timeout, run.remaining())
        async with asyncio.timeout(limit):
            await process.ended.wait()
    except TimeoutError:
        raise process.late(limit) from None
    finally:
        # A plugin's children may outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):  # killed: its exit is a matter of milliseconds
                await process.exited.wait()
        transport.close()
    return process.access()


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
        raise Unavailable(
            Why.MISCONFIGURED, f"certificates of the kubeconfig cannot be used: {error}"
        ) from error
    return context


def client_of(access: Access, context: ssl.SSLContext) -> httpx.AsyncClient:
    """A client of the API server. Time limits are the caller's.

    Raises Unavailable(MISCONFIGURED) for a server, proxy or header that httpx cannot use.
    """
    import httpx

    headers = [
        ("User-Agent", f"hopcheck/{__version__}"),
        ("Accept-Encoding", "gzip"),
        *access.headers,
    ]
    if access.authorization:
        headers.append(("Authorization", access.authorization))
    try:
        url = httpx.URL(access.server)
        if url.scheme not in ("http", "https") or not url.host:
            raise Unavailable(
                Why.MISCONFIGURED, f"server {access.server!r} is no http or https URL"
            )
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
