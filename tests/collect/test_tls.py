from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.web.tls import (
    certificate_from_der,
    contexts,
    covers,
    described,
    failure,
    presented,
)
from hopcheck.config.options import Options
from hopcheck.model import ErrorKind, TlsInfo, Why

HOST = "myapp.example.com"


def shaken(
    client: ssl.SSLContext, leaf: trustme.LeafCert, host: str
) -> tuple[ssl.SSLObject, ssl.SSLCertVerificationError | None]:
    """A real handshake in memory; the client's side of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(down, up, server_hostname=host)
    theirs = context.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return ours, error
    return ours, None


def seen(ca: trustme.CA, leaf: trustme.LeafCert, host: str, tmp_path: Path) -> TlsInfo:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    pair = contexts(Run(Options(ca_file=str(tmp_path / "ca.pem"))))
    session, error = shaken(pair.verifying, leaf, host)
    if error is not None:
        session, _ = shaken(pair.unverified, leaf, host)
    return described(session, host, verify=True, chain_error=error)


def judged(info: TlsInfo) -> tuple[bool, int | None, str | None]:
    return info.verified, info.verify_code, info.verify_error


PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def test_verified_by_ca_file(tmp_path: Path) -> None:
    ca = trustme.CA()
    info = seen(ca, ca.issue_cert(HOST, "*.apps.example.com"), HOST, tmp_path)
    assert judged(info) == (True, None, None)
    assert info.alpn is None  # the server chose none
    assert info.chain[0].names == (HOST, "*.apps.example.com")


def test_expired_is_told_apart_from_the_name(tmp_path: Path) -> None:
    ca = trustme.CA()
    leaf = ca.issue_cert(HOST, not_after=PAST)
    assert judged(seen(ca, leaf, HOST, tmp_path)) == (False, 10, "certificate has expired")
    assert judged(seen(ca, leaf, "other.example.com", tmp_path)) == (
        False,
        10,
        "certificate has expired; "
        "hostname mismatch, certificate is not valid for 'other.example.com'",
    )


def test_name_alone(tmp_path: Path) -> None:
    ca = trustme.CA()
    info = seen(ca, ca.issue_cert("other.example.com"), HOST, tmp_path)
    assert judged(info) == (
        False,
        62,
        f"hostname mismatch, certificate is not valid for '{HOST}'",
    )
    info = seen(ca, ca.issue_cert(HOST), "127.0.0.1", tmp_path)
    assert judged(info)[:2] == (False, 64)


def test_unknown_ca_and_self_signed(tmp_path: Path) -> None:
    ca, other = trustme.CA(), trustme.CA()
    assert judged(seen(other, ca.issue_cert(HOST), HOST, tmp_path)) == (
        False,
        20,
        "unable to get local issuer certificate",
    )
    pem = tmp_path / "self.pem"
    pem.write_bytes(ca.private_key_pem.bytes() + ca.cert_pem.bytes())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)

    class SelfSigned:
        def configure_cert(self, context: ssl.SSLContext) -> None:
            context.load_cert_chain(pem)

    info = seen(other, SelfSigned(), HOST, tmp_path)  # type: ignore[arg-type]
    assert info.verify_code == 18
    assert info.verify_error is not None
    assert info.verify_error.startswith("self-signed certificate; hostname mismatch")
    assert info.chain[0].self_signed


def test_chain_as_presented_with_intermediate(tmp_path: Path) -> None:
    root = trustme.CA()
    middle = root.create_child_ca()
    leaf = middle.issue_cert(HOST)
    info = seen(root, leaf, HOST, tmp_path)
    assert info.verified
    assert len(info.chain) == len(leaf.cert_chain_pems)
    assert info.chain[0].issuer == info.chain[1].subject
    assert not info.chain[0].self_signed


def test_certificate_fields() -> None:
    leaf = trustme.CA().issue_cert("a.example.com", "10.0.0.1", "2001:db8::1", not_after=PAST)
    parsed = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    certificate = certificate_from_der(der)
    assert certificate.names == ("a.example.com", "10.0.0.1", "2001:db8::1")
    assert certificate.not_after == "2020-01-01T00:00:00Z"
    assert certificate.subject == parsed.subject.rfc4514_string()
    assert len(certificate.sha256) == 64


def test_broken_certificate_still_has_a_fingerprint() -> None:
    certificate = certificate_from_der(b"\x30\x03nonsense")
    assert (certificate.subject, certificate.names) == ("", ())
    assert len(certificate.sha256) == 64


def test_session_without_handshake_has_no_chain() -> None:
    session = contexts(Run(Options())).unverified.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
    assert presented(session) == []


@pytest.mark.parametrize(
    ("names", "host", "expected"),
    [
        ((HOST,), HOST.upper(), True),
        (("*.example.com",), HOST, True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "a.b.example.com", False),
        (("*",), "localhost", False),
        (("m*.example.com",), HOST, False),
        (("2001:db8::1",), "2001:0db8:0::1", True),
        (("*.0.0.1",), "127.0.0.1", False),
        ((), HOST, False),
    ],
)
def test_covers(names: tuple[str, ...], host: str, expected: bool) -> None:
    assert covers(names, host) is expected


def test_contexts_are_built_once_per_run() -> None:
    run = Run(Options())
    assert contexts(run) is contexts(run)
    assert contexts(run).verifying.cert_store_stats()["x509_ca"] > 0
    assert contexts(run).unverified.verify_mode is ssl.CERT_NONE


def test_ca_file_must_hold_certificates(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(Unavailable, match=r"empty\.pem") as caught:
        contexts(Run(Options(ca_file=str(tmp_path / "empty.pem"))))
    assert caught.value.why is Why.MISCONFIGURED


def test_failure_words() -> None:
    error = ssl.SSLError(1, "[SSL: TLSV1_UNRECOGNIZED_NAME] tlsv1 unrecognized name (_ssl.c:992)")
    error.reason = "TLSV1_UNRECOGNIZED_NAME"
    assert failure(error, b"\x15\x03\x01") == (ErrorKind.TLS_ALERT, "tlsv1 unrecognized name")
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:992)")
    error.reason = "WRONG_VERSION_NUMBER"
    assert failure(error, b"HTTP/1.1 400 Bad\r\n") == (
        ErrorKind.TLS_PROTOCOL,
        "wrong version number: 'HTTP/1.1 400 Bad'",
    )
