"""Faults of the certificate, where the route names it or where clients see it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hopcheck.lab.faults import parts
from hopcheck.lab.faults.gallery import DEGRADED, INGRESS, REQUEST, Expect, fault
from hopcheck.lab.topology import APP, HOST, SECRET
from hopcheck.lab.topology import INGRESS as NAME

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_SECRET_FAULT = Expect("ING016", "Ingress", NAME, APP)


def _presented(code: str, kind: str) -> Expect:
    return Expect(code, kind, HOST, step=REQUEST)


def _issue(lab: Lab, host: str, not_after: dt.datetime | None = None) -> dict[str, bytes]:
    issued = lab.certificates.public.issue_cert(host, not_after=not_after)
    return {
        "tls.crt": b"".join(blob.bytes() for blob in issued.cert_chain_pems),
        "tls.key": issued.private_key_pem.bytes(),
    }


@fault("tls-secret-missing", INGRESS, _SECRET_FAULT)
async def secret_missing(lab: Lab) -> None:
    """The TLS Secret that the Ingress names is deleted: the default certificate is shown."""
    lab.store.delete("secrets", APP, SECRET)


@fault("tls-secret-keys", INGRESS, _SECRET_FAULT)
async def secret_keys(lab: Lab) -> None:
    """The TLS Secret has entries of other names than tls.crt and tls.key."""
    issued = _issue(lab, HOST)
    parts.set_secret(lab, {"cert.pem": issued["tls.crt"], "key.pem": issued["tls.key"]})


@fault("tls-secret-empty", INGRESS, _SECRET_FAULT)
async def secret_empty(lab: Lab) -> None:
    """The TLS Secret's entries are empty."""
    parts.set_secret(lab, {"tls.crt": b"", "tls.key": b""})


@fault("tls-secret-garbled", INGRESS, Expect("REQ007", "Secret", SECRET, APP, step=REQUEST))
async def secret_garbled(lab: Lab) -> None:
    """The TLS Secret holds the key of another certificate."""
    parts.set_secret(lab, _issue(lab, HOST) | {"tls.key": _issue(lab, HOST)["tls.key"]})


@fault("tls-expired", INGRESS, _presented("REQ005", "Certificate"))
async def expired(lab: Lab) -> None:
    """The certificate expired two days ago."""
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    parts.set_secret(lab, _issue(lab, HOST, ended))


@fault("tls-san", INGRESS, _presented("REQ007", "Host"))
async def wrong_name(lab: Lab) -> None:
    """The Secret's certificate is for another name: the default certificate is shown."""
    parts.set_secret(lab, _issue(lab, "myapp.example.org"))


@fault("tls-san-default", INGRESS, _presented("REQ005", "Certificate"))
async def wrong_name_default(lab: Lab) -> None:
    """The default TLSStore's certificate is for another name, and the Ingress has none."""
    parts.set_secret(lab, _issue(lab, "www.example.com"))
    parts.edit_ingress(lab, lambda spec: spec.pop("tls"))
    store = {"defaultCertificate": {"secretName": SECRET}}
    lab.store.put(parts.custom("TLSStore", "default", store))


@fault("tls-snistrict", INGRESS, Expect("ING018", "TLSOption", "default", APP))
async def strict_sni(lab: Lab) -> None:
    """Strict SNI, and a certificate for another name: the handshake is refused."""
    parts.set_secret(lab, _issue(lab, "myapp.example.org"))
    lab.store.put(parts.custom("TLSOption", "default", {"sniStrict": True}))


@fault("tls-client-certificate", INGRESS, Expect("ING018", "TLSOption", "default", APP))
async def client_certificate(lab: Lab) -> None:
    """The TLS options demand a certificate of every client."""
    spec = {"clientAuth": {"clientAuthType": "RequireAnyClientCert"}}
    lab.store.put(parts.custom("TLSOption", "default", spec))


@fault("tls-versions", INGRESS, Expect("ING018", "TLSOption", "default", APP))
async def versions(lab: Lab) -> None:
    """The TLS options leave no TLS version: the lowest is above the highest."""
    spec = {"minVersion": "VersionTLS13", "maxVersion": "VersionTLS12"}
    lab.store.put(parts.custom("TLSOption", "default", spec))


@fault(
    "tls-options-invalid",
    INGRESS,
    Expect("ING018", "TLSOption", "default", APP),
    exit_code=DEGRADED,
)
async def options_invalid(lab: Lab) -> None:
    """The TLS options want to verify client certificates and name no authority."""
    spec = {"clientAuth": {"clientAuthType": "VerifyClientCertIfGiven"}}
    lab.store.put(parts.custom("TLSOption", "default", spec))


@fault("tls-store-secret", INGRESS, Expect("ING016", "TLSStore", "default", APP))
async def store_secret(lab: Lab) -> None:
    """The default TLSStore names a Secret that does not exist, and the Ingress has none."""
    parts.edit_ingress(lab, lambda spec: spec.pop("tls"))
    store = {"defaultCertificate": {"secretName": "wildcard-example-com"}}
    lab.store.put(parts.custom("TLSStore", "default", store))


@fault("tls-options-provider", INGRESS, Expect("ING020", "Ingress", NAME, APP))
async def options_provider(lab: Lab) -> None:
    """The Ingress's annotation names TLS options without their provider, @kubernetescrd."""
    lab.store.put(parts.custom("TLSOption", "modern", {"minVersion": "VersionTLS13"}))
    parts.annotate(lab, f"{parts.PREFIX}/router.tls", "true")
    parts.annotate(lab, f"{parts.PREFIX}/router.tls.options", f"{APP}-modern")


@fault("tls-resolver-missing", INGRESS, Expect("ING019", "Ingress", NAME, APP))
async def resolver_missing(lab: Lab) -> None:
    """The Ingress names a certificate resolver that Traefik does not have."""
    parts.edit_ingress(lab, lambda spec: spec.pop("tls"))
    parts.annotate(lab, f"{parts.PREFIX}/router.tls", "true")
    parts.annotate(lab, f"{parts.PREFIX}/router.tls.certresolver", "letsencrypt")
