"""Where the certificate comes from."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import TYPE_CHECKING

from hopcheck.lab import issuing
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.setups.gallery import Obj, annotate, edit_ingress, flags, ingress_only, put, setup
from hopcheck.lab.setups.load_balancers import certificate
from hopcheck.lab.topology import APP, GATEWAY, HOST, INGRESS, LOAD_BALANCER, SECRET, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_MATCH = f"Host(`{HOST}`)"
_OURS = "[{name: my-app-service, port: 80}]"


FAMILY = "certificates"


@setup(FAMILY, "tls-passthrough")
async def passthrough(lab: Lab) -> None:
    """An IngressRouteTCP passes TLS through; the application has the certificate."""
    lab.store.delete("ingresses", APP, INGRESS)
    lab.store.delete("secrets", APP, SECRET)
    await lab.set_app(None, Behaviour(tls=certificate(lab).context))
    put(
        lab, "IngressRouteTCP", "my-app",
        f"{{entryPoints: [websecure], tls: {{passthrough: true}}, routes: [{{match:"
        f" 'HostSNI(`{HOST}`)', services: {_OURS}}}]}}",
    )  # fmt: skip


@setup(FAMILY, "tcp-terminated")
async def tcp_terminated(lab: Lab) -> None:
    """An IngressRouteTCP for any name: Traefik ends TLS and passes the rest as it is.

    The pods speak HTTP/1.1 alone, so that is what the handshake may agree to.
    """
    lab.store.delete("ingresses", APP, INGRESS)
    put(lab, "TLSOption", "plain", "alpnProtocols: [http/1.1]")
    put(
        lab, "IngressRouteTCP", "my-app",
        "{entryPoints: [websecure], tls: {secretName: myapp-tls, options: {name: plain}},"
        f" routes: [{{match: 'HostSNI(`*`)', services: {_OURS}}}]}}",
    )  # fmt: skip


def site_certificate(lab: Lab) -> Obj:
    """The file provider's section that holds the site's certificate."""
    certificate, key = lab.directory / "site.pem", lab.directory / "site.key"
    certificate.write_bytes(lab.certificates.site_certificate)
    key.write_bytes(lab.certificates.site_key)
    return {"certificates": [{"certFile": str(certificate), "keyFile": str(key)}]}


@setup(FAMILY, "certificate-from-file")
async def certificate_from_file(lab: Lab) -> None:
    """The certificate comes from the file provider; the Ingress names no Secret."""
    edit_ingress(lab, lambda obj: obj["spec"].pop("tls"))
    path = lab.directory / "dynamic.yml"
    path.write_text(json.dumps({"tls": site_certificate(lab)}))
    await flags(lab, f"--providers.file.filename={path}")


@setup(FAMILY, "default-certificate")
async def default_certificate(lab: Lab) -> None:
    """The default TLSStore has a wildcard certificate; the Ingress names no Secret."""
    issued = lab.certificates.public.issue_cert("*.example.com", "example.com")
    blobs = {
        "tls.crt": b"".join(blob.bytes() for blob in issued.cert_chain_pems),
        "tls.key": issued.private_key_pem.bytes(),
    }
    data = {name: base64.b64encode(blob).decode() for name, blob in blobs.items()}
    put(lab, "Secret", "wildcard", namespace=GATEWAY, type="kubernetes.io/tls", data=data)
    put(lab, "TLSStore", "default", "defaultCertificate: {secretName: wildcard}", GATEWAY)
    edit_ingress(lab, lambda obj: obj["spec"].pop("tls"))
    lab.store.delete("secrets", APP, SECRET)


@setup(FAMILY, "acme")
async def acme(lab: Lab) -> None:
    """A certificate resolver that already has the certificate; the Ingress names no Secret."""
    edit_ingress(lab, lambda obj: obj["spec"].pop("tls"))
    lab.store.delete("secrets", APP, SECRET)
    annotate(lab, "ingresses", INGRESS, router__tls__certresolver="letsencrypt")
    stored = {
        "domain": {"main": HOST},
        "certificate": base64.b64encode(lab.certificates.site_certificate).decode(),
        "key": base64.b64encode(lab.certificates.site_key).decode(),
        "Store": "default",
    }
    path = lab.directory / "acme.json"
    path.write_text(json.dumps({"letsencrypt": {"Account": None, "Certificates": [stored]}}))
    path.chmod(0o600)
    own = "--certificatesResolvers.letsencrypt.acme"
    await flags(lab, f"{own}.email=ops@example.com", f"{own}.storage={path}",
                f"{own}.caServer=https://127.0.0.1:1/dir", f"{own}.tlsChallenge=true")  # fmt: skip


@setup(FAMILY, "certificate-elsewhere")
async def other_secret(lab: Lab) -> None:
    """The Ingress names no Secret: another Ingress brings the certificate."""
    put(
        lab, "Ingress", "certificates",
        f"{{ingressClassName: traefik, tls: [{{hosts: [{HOST}], secretName: {SECRET}}}], rules:"
        " [{host: certificates.example.com, http: {paths: [{path: /, pathType: Prefix, backend:"
        " {service: {name: my-app-service, port: {number: 80}}}}]}}]}",
    )  # fmt: skip
    edit_ingress(lab, lambda obj: obj["spec"].pop("tls"))


@setup(FAMILY, "international-name", target="https://bücher.example.com/")
async def international(lab: Lab) -> None:
    """The host is asked for in its own script; records, route and certificate have A-labels."""
    name = "xn--bcher-kva.example.com"
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    lab.dns.zone("example.com").set(name, "CNAME", [balancer.dns_name])
    issued = lab.certificates.public.issue_cert(name)
    blobs = {
        "tls.crt": b"".join(blob.bytes() for blob in issued.cert_chain_pems),
        "tls.key": issued.private_key_pem.bytes(),
    }
    data = {key: base64.b64encode(blob).decode() for key, blob in blobs.items()}
    put(lab, "Secret", SECRET, type="kubernetes.io/tls", data=data)
    ingress_only(lab, (name, "/", SERVICE))


def _good(lab: Lab, *, renewal: str, days: int = 20, **more: object) -> None:
    """A Certificate whose certificate is served, and is good for some weeks."""
    issuing.issuer(lab)
    ends = issuing.serve(lab, dt.timedelta(days=days))
    issuing.certificate(lab, status=issuing.ready(ends, renewal, **more))


@setup(FAMILY, "cm-renewed")
async def renewed(lab: Lab) -> None:
    """cert-manager has just renewed the certificate."""
    _good(lab, renewal=issuing.ago(days=-60), days=90, revision=2)
    issuing.request(lab, "Issued", "Certificate fetched from issuer successfully", revision=2)


@setup(FAMILY, "cm-old-failure")
async def old_failure(lab: Lab) -> None:
    """A request failed long ago; the one after it was issued, and is renewed late by design."""
    _good(lab, renewal=issuing.ago(days=-5), revision=2)
    issuing.order(
        lab, "errored", "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited"
    )
    issuing.request(lab, "Issued", "Certificate fetched from issuer successfully", revision=2)


@setup(FAMILY, "cm-renewing")
async def renewing(lab: Lab) -> None:
    """The renewal began some minutes ago: its challenge waits, the old certificate is served."""
    _good(lab, renewal=issuing.ago(minutes=5))
    issuing.solver(lab, issuing.challenge(lab, "pending", issuing.WAITS.format(404)))


@setup(FAMILY, "cm-other-host")
async def other_host(lab: Lab) -> None:
    """cert-manager fails for another host of the same namespace."""
    _good(lab, renewal=issuing.ago(days=-5))
    lacking = "Issuing certificate as Secret does not exist"
    waits = issuing.conditions(("Ready", "False", "DoesNotExist", lacking))
    issuing.certificate(lab, "shop-tls", secret="shop-tls", names=("shop.example.com",),  # noqa: S106
                        status=waits)  # fmt: skip
    issuing.challenge(lab, "invalid", "no valid A records found", of="shop-tls",
                      host="shop.example.com")  # fmt: skip


@setup(FAMILY, "cm-by-hand")
async def by_hand(lab: Lab) -> None:
    """The Secret was put there by hand and ends before long; a Certificate waits for another."""
    issuing.issuer(lab)
    issuing.certificate(lab, "next", secret="myapp-tls-next")  # noqa: S106
