"""Faults of cert-manager's: a certificate that is not issued, or not renewed.

The states are recorded (`hopcheck.lab.issuing`); Traefik, the certificate that it presents and who
takes the path of a challenge are real.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hopcheck.lab import issuing
from hopcheck.lab.faults import parts
from hopcheck.lab.faults.gallery import HEALTHY, INGRESS, Expect, fault
from hopcheck.lab.issuing import ISSUER, WAITS
from hopcheck.lab.topology import APP, HOST, SECRET
from hopcheck.lab.topology import INGRESS as NAME

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_ORDER = f"{SECRET}-1-2316417458"


def _at(kind: str, name: str, namespace: str | None = APP, code: str = "ING050") -> Expect:
    return Expect(code, kind, name, namespace)


_CHALLENGE = _at("Challenge", f"{_ORDER}-1479310894")
_CERTIFICATE = _at("Certificate", SECRET)
_REQUEST = _at("CertificateRequest", f"{SECRET}-1")


def _without_secret(lab: Lab) -> None:
    issuing.issuer(lab)
    lab.store.delete("secrets", APP, SECRET)


@fault("cm-challenge-redirected", INGRESS, _CHALLENGE)
async def challenge_redirected(lab: Lab) -> None:
    """All plain HTTP is redirected to the port at which Traefik listens, not that of clients."""
    _without_secret(lab)
    issuing.certificate(lab)
    says = (f"failed to perform self check GET request 'http://{HOST}{issuing.TOKEN}': Get "
            f'"https://{HOST}:8443{issuing.TOKEN}": dial tcp 203.0.113.10:8443: connect: '
            "connection refused")  # fmt: skip
    waits = f"Waiting for HTTP-01 challenge propagation: {says}"
    issuing.solver(lab, issuing.challenge(lab, "pending", waits))
    own = "--entryPoints.web.http.redirections.entryPoint"
    await lab.set_traefik_args(lambda args: [*args, f"{own}.to=:8443", f"{own}.scheme=https"])


@fault("cm-challenge-class", INGRESS, _CHALLENGE)
async def challenge_class(lab: Lab) -> None:
    """The issuer's solver has another controller's class: the application answers the authority."""
    _without_secret(lab)
    issuing.certificate(lab)
    says = 'did not get expected response "evaGxfADs6pSRb2LAv9IZf17" when querying endpoint'
    waits = f"Waiting for HTTP-01 challenge propagation: {says}"
    issuing.solver(lab, issuing.challenge(lab, "pending", waits), "nginx")


@fault("cm-challenge-catch-all", INGRESS, _CHALLENGE)
async def challenge_taken(lab: Lab) -> None:
    """A route for every host's /.well-known outranks the solver's, and refuses strangers."""
    _without_secret(lab)
    issuing.certificate(lab)
    issuing.solver(lab, issuing.challenge(lab, "pending", WAITS.format(403)))
    allow = {"ipAllowList": {"sourceRange": ["192.0.2.0/24"]}}
    lab.store.put(parts.custom("Middleware", "office", allow))
    backend = {"service": {"name": "my-app-service", "port": {"number": 80}}}
    path = {"path": "/.well-known", "pathType": "Prefix", "backend": backend}
    router = {
        "entrypoints": "web",
        "priority": "10000",
        "middlewares": f"{APP}-office@kubernetescrd",
    }
    notes = {f"{parts.PREFIX}/router.{key}": value for key, value in router.items()}
    meta = {"name": "lobby", "namespace": APP, "annotations": notes}
    spec = {"ingressClassName": "traefik", "rules": [{"http": {"paths": [path]}}]}
    lobby = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta,
        "spec": spec,
    }
    lab.store.put(lobby)


@fault("cm-challenge-dns", INGRESS, _CHALLENGE)
async def challenge_dns(lab: Lab) -> None:
    """The TXT record of a DNS-01 challenge is not to be seen."""
    _without_secret(lab)
    issuing.certificate(lab)
    says = f'Waiting for DNS-01 challenge propagation: DNS record for "{HOST}" not yet propagated'
    issuing.challenge(lab, "pending", says, kind="DNS-01")


@fault("cm-challenge-refused", INGRESS, _CHALLENGE)
async def challenge_refused(lab: Lab) -> None:
    """The authority was answered something else, and the challenge is over."""
    _without_secret(lab)
    issuing.certificate(lab)
    says = (f"Error accepting authorization: acme: authorization error for {HOST}: 403 "
            "urn:ietf:params:acme:error:unauthorized: 203.0.113.10: Invalid response from "
            f"http://{HOST}{issuing.TOKEN}: 404")  # fmt: skip
    issuing.challenge(lab, "invalid", says)


@fault("cm-order-limit", INGRESS, _at("Order", _ORDER))
async def order_limit(lab: Lab) -> None:
    """The authority takes no more orders for these names this week."""
    _without_secret(lab)
    issuing.certificate(lab)
    says = ("Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many "
            "certificates (5) already issued for this exact set of identifiers in the last "
            f"168h0m0s: {HOST}")  # fmt: skip
    issuing.order(lab, "errored", says)


@fault("cm-request-denied", INGRESS, _REQUEST)
async def request_denied(lab: Lab) -> None:
    """A policy has denied the request."""
    _without_secret(lab)
    issuing.certificate(lab)
    says = "The CertificateRequest was denied by an approval controller"
    policy = "No policy approved this request: [internal-only: spec.allowed.dnsNames.values]"
    issuing.request(lab, "Denied", says, denied=policy)


@fault("cm-request-pending", INGRESS, _REQUEST)
async def request_pending(lab: Lab) -> None:
    """The authority's own key pair is missing (certificaterequests/ca/ca.go)."""
    _without_secret(lab)
    issuing.certificate(lab)
    says = f'Referenced secret {APP}/corp-ca not found: secret "corp-ca" not found'
    issuing.request(lab, "Pending", says)


@fault("cm-issuer-not-ready", INGRESS, _at("ClusterIssuer", ISSUER, None))
async def issuer_not_ready(lab: Lab) -> None:
    """The issuer has no account with the authority, which does not know its name."""
    says = ("Failed to register ACME account: Get "
            '"https://acme-v02.api.letsencrypt.org/directory": dial tcp: lookup '
            "acme-v02.api.letsencrypt.org on 10.96.0.10:53: no such host")  # fmt: skip
    lab.store.delete("secrets", APP, SECRET)
    issuing.issuer(lab, failed=says)
    issuing.certificate(lab)
    waits = "Referenced issuer does not have a Ready status condition"
    issuing.request(lab, "Pending", waits)


@fault("cm-issuer-kind", INGRESS, _CERTIFICATE)
async def issuer_kind(lab: Lab) -> None:
    """The Certificate names an Issuer, and what is there of that name is a ClusterIssuer."""
    _without_secret(lab)
    issuing.certificate(lab, ref=("Issuer", ISSUER))
    lost = f'Referenced "Issuer" not found: issuer.cert-manager.io "{ISSUER}" not found'
    issuing.request(lab, "Pending", lost)


@fault("cm-issuer-misspelt", INGRESS, _CERTIFICATE)
async def issuer_misspelt(lab: Lab) -> None:
    """The Certificate names an issuer that is called otherwise."""
    _without_secret(lab)
    issuing.certificate(lab, ref=("ClusterIssuer", "lets-encrypt"))


@fault("cm-names", INGRESS, _CERTIFICATE)
async def other_names(lab: Lab) -> None:
    """The Certificate is issued, and for another name than the host."""
    issuing.issuer(lab)
    ends = issuing.serve(lab, dt.timedelta(days=80), "www.example.com")
    good = issuing.ready(ends, issuing.ago(days=-50))
    issuing.certificate(lab, names=("www.example.com",), status=good)


@fault("cm-no-certificate", INGRESS, _at("Ingress", NAME))
async def no_certificate(lab: Lab) -> None:
    """The Ingress asks for a certificate, and cert-manager refuses its annotations."""
    _without_secret(lab)
    parts.annotate(lab, "cert-manager.io/cluster-issuer", ISSUER)
    parts.annotate(lab, "cert-manager.io/renew-before", "a month")
    about = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": NAME,
             "namespace": APP}  # fmt: skip
    says = 'failed to parse "cert-manager.io/renew-before": time: invalid duration "a month"'
    lab.store.put({
        "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "BadConfig",
        "metadata": {"name": f"{NAME}.17f2a", "namespace": APP}, "involvedObject": about,
        "message": says, "count": 3, "lastTimestamp": issuing.ago(minutes=4),
    })  # fmt: skip


@fault("cm-two-certificates", INGRESS, _CERTIFICATE)
async def two_certificates(lab: Lab) -> None:
    """Two Certificates are for one Secret: cert-manager issues neither (trigger_controller.go)."""
    _without_secret(lab)
    lacking = "Issuing certificate as Secret does not exist"
    waits = issuing.conditions(("Ready", "False", "DoesNotExist", lacking))
    issuing.certificate(lab, status=waits)
    issuing.certificate(lab, "shop", status=waits)


@fault("cm-controller-gone", INGRESS, _CERTIFICATE)
async def controller_gone(lab: Lab) -> None:
    """cert-manager does not run: nobody has looked at the Certificate."""
    _without_secret(lab)
    issuing.certificate(lab, status={})


@fault("cm-expired", INGRESS, _CHALLENGE)
async def expired(lab: Lab) -> None:
    """The certificate has expired, and the challenge for the next one waits for its record."""
    issuing.issuer(lab)
    ends = issuing.serve(lab, dt.timedelta(days=-2))
    late = issuing.conditions(("Ready", "False", "Expired", f"Certificate expired on {ends}"))
    times = {"notAfter": ends, "renewalTime": issuing.ago(days=32), "revision": 1}
    issuing.certificate(lab, status=late | times)
    says = f'Waiting for DNS-01 challenge propagation: DNS record for "{HOST}" not yet propagated'
    issuing.challenge(lab, "pending", says, kind="DNS-01")


@fault(
    "cm-renewal-fails",
    INGRESS,
    exit_code=HEALTHY,
    warns=(_at("Challenge", f"{_ORDER}-1479310894", code="ING051"),),
)
async def renewal_fails(lab: Lab) -> None:
    """The certificate is good for twenty days, and its renewal has failed for ten."""
    issuing.issuer(lab)
    ends = issuing.serve(lab, dt.timedelta(days=20))
    good = issuing.ready(ends, issuing.ago(days=10), failedIssuanceAttempts=4)
    issuing.certificate(lab, status=good)
    says = f"Error accepting authorization: acme: authorization error for {HOST}: 400 urn:ietf:"
    issuing.challenge(lab, "invalid", f"{says}params:acme:error:dns: no valid A records found")
