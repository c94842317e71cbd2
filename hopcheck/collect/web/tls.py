"""TLS for probes: one handshake over a socket, what was presented, and how it was verified.

The handshake runs over `ssl.MemoryBIO`, because asyncio's own TLS transport hides what a diagnosis
needs: the peer's alert after the handshake, its first bytes when it does not speak TLS, and the
chain it presented. The system's CAs (or certifi's where the system has none) and --ca-file are
loaded once per run.

Python's ssl has no call for the verification result of an unverified session. So the first
handshake verifies the chain; where that fails, a second connection without verification shows the
certificates and the answer. The name is compared separately (RFC 9525: subjectAltName only), so
that an expired certificate of another name is told as both.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import re
import socket
import ssl
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from hopcheck.collect.ask import Run, Unavailable
from hopcheck.config.target import is_address
from hopcheck.model import Certificate, ErrorKind, TlsInfo, Why
from hopcheck.model.redact import redact_text

if TYPE_CHECKING:
    from cryptography import x509

_CHUNK = 16_384
HOSTNAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
ADDRESS_MISMATCH = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH
HTTP1, HTTP2 = ("http/1.1",), ("h2", "http/1.1")  # what ALPN offers, the preferred first


class Contexts(Struct, frozen=True):
    """The two SSL contexts of a run. Neither checks the name: `described` does."""

    verifying: ssl.SSLContext
    unverified: ssl.SSLContext


# By the whole run and its CA file: thousands of hosts share one pair.
_contexts: WeakKeyDictionary[Run, dict[str | None, Contexts]] = WeakKeyDictionary()


def trusting(ca_file: str | None = None) -> ssl.SSLContext:
    """A context that trusts what the system trusts, and --ca-file. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    paths = ssl.get_default_verify_paths()
    empty = paths.capath is None or not any(Path(paths.capath).iterdir())
    if paths.cafile is None and empty:  # a slim image, a Python built for another system
        import certifi  # comes with httpx

        context.load_verify_locations(certifi.where())
    if ca_file is not None:
        context.load_verify_locations(Path(ca_file).expanduser())
    return context


def contexts(run: Run) -> Contexts:
    """The run's SSL contexts, built at the first call.

    Raises Unavailable(MISCONFIGURED) where --ca-file cannot be read or holds no certificate.
    """
    made = _contexts.setdefault(run.whole, {})
    if run.options.ca_file in made:
        return made[run.options.ca_file]
    from cryptography import x509  # noqa: F401  # now, lest its import counts as the peer's time

    try:
        verifying = trusting(run.options.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise Unavailable(Why.MISCONFIGURED, f"{run.options.ca_file}: {error}") from error
    verifying.check_hostname = False
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    made[run.options.ca_file] = pair = Contexts(verifying, unverified)
    return pair


class PlainStream:
    """Bytes over a connected, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises OSError."""
        await self._loop.sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        """Up to 16 KiB; empty at the end. Raises OSError."""
        data = await self._loop.sock_recv(self.sock, _CHUNK)
        # sock_recv does not suspend while data is there: an endless answer would never let a
        # timeout fire.
        await asyncio.sleep(0)
        return data

    def close(self) -> None:
        """Close the socket, at once and without ceremony."""
        self.sock.close()


class TlsStream:
    """A TLS session over a `PlainStream`."""

    def __init__(
        self, plain: PlainStream, context: ssl.SSLContext, host: str, protocols: Sequence[str]
    ) -> None:
        """Prepare the session with SNI = `host` (none for an address, as RFC 6066 asks).

        `protocols` is what ALPN offers. Raises ValueError where `host` can be no server name.
        """
        context.set_alpn_protocols(list(protocols))  # copied into the session that is made next
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self._in, self._out, server_hostname=host)
        self.first_bytes = b""  # what the peer sent first, TLS or not

    async def _flush(self) -> None:
        if self._out.pending:
            await self._plain.send(self._out.read())

    async def _fill(self) -> None:
        data = await self._plain.receive()
        if len(self.first_bytes) < 64:
            self.first_bytes = (self.first_bytes + data)[:64]
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    async def handshake(self) -> None:
        """Shake hands. Raises ssl.SSLError (SSLCertVerificationError among them), OSError."""
        while True:
            try:
                self.session.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # OpenSSL's own alert tells the peer why; whether it arrives changes nothing.
                if self._out.pending:
                    with contextlib.suppress(OSError):
                        self._plain.sock.send(self._out.read())
                raise
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises ssl.SSLError, OSError."""
        self.session.write(data)
        await self._flush()

    async def receive(self) -> bytes:
        """Up to 16 KiB; empty at the end, announced or not. Raises ssl.SSLError, OSError."""
        while True:
            try:
                return self.session.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLEOFError:
                return b""

    def close(self) -> None:
        """Close the socket, at once and without ceremony."""
        self._plain.close()


def failure(error: ssl.SSLError, first_bytes: bytes) -> tuple[ErrorKind, str]:
    """How a TLS session failed, in OpenSSL's words (and the peer's, where it spoke no TLS)."""
    words = re.sub(r"^\[[^\]]*\] ?|\s*\(_ssl\.c:\d+\)$", "", str(error.args[-1]))
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ErrorKind.RESET, "EOF during the TLS session"
    # OpenSSL names alerts received SSLV3_ALERT_…, TLSV1_ALERT_…, TLSV13_ALERT_… or, for those of
    # extensions, TLSV1_UNRECOGNIZED_NAME (ssl/ssl_err.c).
    if re.match(r"(?:SSLV3|TLSV1|TLSV13)_", error.reason or ""):
        return ErrorKind.TLS_ALERT, words
    if first_bytes and not 0x14 <= first_bytes[0] <= 0x18:  # no TLS record type
        heard = first_bytes.decode("utf-8", "replace").splitlines()[0]
        return ErrorKind.TLS_PROTOCOL, f"{words}: {redact_text(heard)!r}"
    return ErrorKind.TLS_PROTOCOL, words


def presented(session: ssl.SSLObject) -> list[bytes]:
    """The chain as the peer presented it, DER, leaf first; at least the leaf if there is one."""
    public: Any = getattr(session, "get_unverified_chain", None)  # Python 3.13
    if public is not None:
        return list(public())
    private: Any = getattr(getattr(session, "_sslobj", None), "get_unverified_chain", None)
    if private is not None:  # 3.10 to 3.12: the same call, not yet public
        return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in private() or ()]
    leaf = session.getpeercert(binary_form=True)
    return [leaf] if leaf else []


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    names: list[str] = list(extension.value.get_values_for_type(x509.DNSName))
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return (*names, *(str(address) for address in addresses))


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=64)  # every address of a host presents the same
def certificate_from_der(der: bytes) -> Certificate:
    """The certificate as presented; only its fingerprint where it cannot be parsed."""
    from cryptography import x509

    digest = hashlib.sha256(der).hexdigest()
    try:
        parsed = x509.load_der_x509_certificate(der)
        return Certificate(
            subject=parsed.subject.rfc4514_string(),
            issuer=parsed.issuer.rfc4514_string(),
            names=_names(parsed),
            not_before=_rfc3339(parsed.not_valid_before_utc),
            not_after=_rfc3339(parsed.not_valid_after_utc),
            sha256=digest,
            self_signed=parsed.subject == parsed.issuer,
        )
    except (ValueError, TypeError, OverflowError):  # what cryptography raises for broken DER
        return Certificate(
            subject="", issuer="", names=(), not_before="", not_after="", sha256=digest
        )


def covers(names: Sequence[str], host: str) -> bool:
    """Whether a certificate with these subjectAltNames is valid for `host` (name or address).

    A wildcard stands for exactly one whole leftmost label (RFC 9525, section 6.3).
    """
    try:
        wanted = str(ipaddress.ip_address(host))
    except ValueError:
        host = host.lower().rstrip(".")
        parent = host.partition(".")[2]
        offered = {name.lower().rstrip(".") for name in names}
        return host in offered or (bool(parent) and f"*.{parent}" in offered)
    return wanted in names


def described(
    session: ssl.SSLObject,
    host: str,
    *,
    verify: bool,
    chain_error: ssl.SSLCertVerificationError | None,
) -> TlsInfo:
    """The session as set up, with the verdict on its chain (`chain_error`) and its name.

    `verify` False: nothing was verified, and nothing is said about it. Where chain and name both
    fail, `verify_code` is the chain's and `verify_error` has the words of both.
    """
    cipher = session.cipher()
    info = TlsInfo(
        version=session.version(),
        cipher=cipher[0] if cipher else None,
        alpn=session.selected_alpn_protocol(),
        chain=tuple(certificate_from_der(der) for der in presented(session)),
    )
    if not verify:
        return info
    code: int | None = None
    words: list[str] = []
    if chain_error is not None:
        code = chain_error.verify_code
        words.append(chain_error.verify_message)
    if not (info.chain and covers(info.chain[0].names, host)):
        address = is_address(host)
        code = code or (ADDRESS_MISMATCH if address else HOSTNAME_MISMATCH)
        what = "IP address" if address else "hostname"  # OpenSSL's own words
        words.append(f"{what} mismatch, certificate is not valid for '{host}'")
    return replace(
        info, verified=not words, verify_code=code, verify_error="; ".join(words) or None
    )
