"""cert-manager's objects as its controllers write them, recorded: nothing here issues anything.

Shapes: pkg/apis/certmanager/v1 and pkg/apis/acme/v1 of cert-manager. What statuses say is taken
from the controllers' sources, which each function names; those of the authority are Boulder's.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any

from hopcheck.lab.apiserver.kinds import BY_KIND, CERT_MANAGER
from hopcheck.lab.topology import APP, HOST, INGRESS, SECRET

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]

ISSUER = "letsencrypt"
SOLVER = "cm-acme-http-solver-9zq4t"
TOKEN = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"  # noqa: S105
# pkg/issuer/acme/http/http.go: testReachability; acmechallenges/readiness.go writes it so.
WAITS = "Waiting for HTTP-01 challenge propagation: wrong status code '{}', expected '200'"
_GROUPS = ("cert-manager.io/v1", "acme.cert-manager.io/v1")


def ago(**past: float) -> str:
    """A time so long ago as Kubernetes writes it; in the future where it is negative."""
    return (dt.datetime.now(dt.UTC) - dt.timedelta(**past)).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(
    lab: Lab,
    kind: str,
    name: str,
    spec: Obj,
    status: Obj,
    owner: tuple[str, str] | None = None,
    age: str = "",
    **annotations: str,
) -> None:
    """Write an object of cert-manager's, which the API server serves from now on."""
    lab.server.hidden -= CERT_MANAGER
    api = next(group for group in _GROUPS if (group, kind) in BY_KIND)
    meta: Obj = {"name": name, "creationTimestamp": age or ago(hours=70)}
    if kind != "ClusterIssuer":
        meta["namespace"] = APP
    if annotations:
        meta["annotations"] = {f"cert-manager.io/{k.replace('_', '-')}": v
                               for k, v in annotations.items()}  # fmt: skip
    if owner is not None:
        of = "networking.k8s.io/v1" if owner[0] == "Ingress" else next(
            group for group in _GROUPS if (group, owner[0]) in BY_KIND
        )  # fmt: skip
        meta["ownerReferences"] = [
            {"apiVersion": of, "kind": owner[0], "name": owner[1], "controller": True,
             "blockOwnerDeletion": True, "uid": f"uid-{owner[1]}"}
        ]  # fmt: skip
    obj = {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}
    lab.store.put(obj | ({"status": status} if status else {}))


def conditions(*each: tuple[str, str, str, str]) -> Obj:
    """A status of conditions: type, status, reason, message."""
    keys = ("type", "status", "reason", "message")
    made = [dict(zip(keys, one, strict=True)) for one in each]
    return {"conditions": [one | {"lastTransitionTime": ago(hours=70)} for one in made]}


def issuer(lab: Lab, kind: str = "ClusterIssuer", name: str = ISSUER, failed: str = "") -> None:
    """An ACME issuer (pkg/issuer/acme/setup.go), and the Ingress's annotation that asks it.

    `failed`: what it says where it is not ready.
    """
    ready = ("True", "ACMEAccountRegistered",
             "The ACME account was registered with the ACME server")  # fmt: skip
    said = ("False", "ErrRegisterACMEAccount", failed) if failed else ready
    acme = {"server": "https://acme-v02.api.letsencrypt.org/directory",
            "privateKeySecretRef": {"name": f"{name}-account"},
            "solvers": [{"http01": {"ingress": {"ingressClassName": "traefik"}}}]}  # fmt: skip
    put(lab, kind, name, {"acme": acme}, conditions(("Ready", *said)))
    asks = {"cert-manager.io/cluster-issuer": ISSUER}

    def edit(ingress: Obj) -> None:
        ingress["metadata"].setdefault("annotations", {}).update(asks)

    lab.store.patch("ingresses", APP, INGRESS, edit)


def certificate(
    lab: Lab,
    name: str = SECRET,
    *,
    secret: str = SECRET,
    names: tuple[str, ...] = (HOST,),
    ref: tuple[str, str] = ("ClusterIssuer", ISSUER),
    status: Obj | None = None,
) -> None:
    """A Certificate; its status, if not given, is that of one without its Secret.

    internal/controller/certificates/policies/checks.go has the words of its conditions.
    """
    lacking = "Issuing certificate as Secret does not exist"
    waits = conditions(("Ready", "False", "DoesNotExist", lacking),
                       ("Issuing", "True", "DoesNotExist", lacking))  # fmt: skip
    spec = {"secretName": secret, "dnsNames": [*names], "usages": ["digital signature"],
            "issuerRef": {"group": "cert-manager.io", "kind": ref[0], "name": ref[1]}}  # fmt: skip
    put(lab, "Certificate", name, spec, waits if status is None else status, ("Ingress", INGRESS))


def ready(not_after: str, renewal: str, **more: object) -> Obj:
    """The status of a Certificate that is good (readiness_controller.go)."""
    said = ("Ready", "True", "Ready", "Certificate is up to date and has not expired")
    times = {"notAfter": not_after, "renewalTime": renewal, "revision": 1}
    return conditions(said) | times | more


def request(
    lab: Lab, reason: str, message: str, *, revision: int = 1, of: str = SECRET, denied: str = ""
) -> str:
    """A CertificateRequest (certificaterequests/util/reporter.go); its name."""
    name = f"{of}-{revision}"
    approved = ("Approved", "True", "cert-manager.io",
                "Certificate request has been approved by cert-manager.io")  # fmt: skip
    first = ("Denied", "True", "policy.cert-manager.io", denied) if denied else approved
    state = "True" if reason == "Issued" else "False"
    status = conditions(first, ("Ready", state, reason, message))
    spec = {"issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": ISSUER},
            "request": base64.b64encode(b"a certificate signing request").decode()}  # fmt: skip
    put(lab, "CertificateRequest", name, spec, status, ("Certificate", of),
        certificate_name=of, certificate_revision=str(revision))  # fmt: skip
    return name


def order(lab: Lab, state: str, reason: str = "", *, of: str = SECRET, host: str = HOST) -> str:
    """An Order, and the CertificateRequest that waits for it (certificaterequests/acme/acme.go)."""
    name = f"{of}-1-2316417458"
    waits = f'Waiting on certificate issuance from order {APP}/{name}: "{state}"'
    lost = f'Failed to wait for order resource "{name}" to become ready: order is in "{state}"'
    failed = state in ("invalid", "errored")
    above = request(
        lab,
        "Failed" if failed else "Pending",
        f"{lost} state: {reason}" if failed else waits,
        of=of,
    )
    url = "https://acme-v02.api.letsencrypt.org/acme/order/1/2"
    status = {"state": state, "url": url} | ({"reason": reason} if reason else {})
    spec = {"dnsNames": [host], "issuerRef": {"kind": "ClusterIssuer", "name": ISSUER},
            "request": base64.b64encode(b"a certificate signing request").decode()}  # fmt: skip
    put(lab, "Order", name, spec, status, ("CertificateRequest", above))
    return name


def challenge(
    lab: Lab, state: str, reason: str, *, kind: str = "HTTP-01", of: str = SECRET, host: str = HOST
) -> str:
    """A Challenge of an Order (acmechallenges/sync.go), with all above it; its name."""
    above = order(lab, state if state == "invalid" else "pending", of=of, host=host)
    name, token = f"{above}-1479310894", TOKEN.rpartition("/")[2]
    solver: Obj = {"http01": {"ingress": {"ingressClassName": "traefik"}}}
    if kind == "DNS-01":
        solver = {"dns01": {"route53": {"region": "ap-northeast-2"}}}
    spec = {"type": kind, "dnsName": host, "token": token, "key": f"{token}.thumbprint",
            "wildcard": False, "solver": solver, "url": "https://acme-v02.api.letsencrypt.org/chall",
            "issuerRef": {"kind": "ClusterIssuer", "name": ISSUER}}  # fmt: skip
    open_ = state == "pending"
    status = {"state": state, "reason": reason, "processing": open_, "presented": open_}
    put(lab, "Challenge", name, spec, status, ("Order", above))
    return name


def solver(lab: Lab, owner: str, ingress_class: str = "traefik") -> None:
    """The solver's Ingress, Service and slice (pkg/issuer/acme/http); a pod of ours stands for it.

    It answers 200 to everything, as the application does: who is asked is what counts here.
    """
    label = {"acme.cert-manager.io/http01-solver": "true"}
    own = [{"apiVersion": "acme.cert-manager.io/v1", "kind": "Challenge", "name": owner,
            "controller": True, "blockOwnerDeletion": True, "uid": f"uid-{owner}"}]  # fmt: skip
    meta = {"namespace": APP, "labels": label, "ownerReferences": own}
    pod = lab.plan.app[-1]
    ports = [{"name": "http", "port": 8089, "targetPort": pod.ports["http"], "protocol": "TCP"}]
    lab.store.put({"apiVersion": "v1", "kind": "Service", "metadata": meta | {"name": SOLVER},
                   "spec": {"type": "ClusterIP", "ports": ports}})  # fmt: skip
    lab.store.put({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"{SOLVER}-x7k2p", "namespace": APP,
                     "labels": {"kubernetes.io/service-name": SOLVER}},
        "ports": [{"name": "http", "port": pod.ports["http"], "protocol": "TCP"}],
        "endpoints": [{"addresses": [pod.address], "conditions": {"ready": True}}],
    })  # fmt: skip
    backend = {"service": {"name": SOLVER, "port": {"number": 8089}}}
    path = {"path": TOKEN, "pathType": "ImplementationSpecific", "backend": backend}
    lab.store.put({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": meta | {"name": SOLVER},
        "spec": {"ingressClassName": ingress_class,
                 "rules": [{"host": HOST, "http": {"paths": [path]}}]},
    })  # fmt: skip


def annotate_secret(lab: Lab, name: str = SECRET) -> None:
    """What cert-manager notes on the Secret that it writes."""

    def edit(secret: Obj) -> None:
        secret["metadata"].setdefault("annotations", {}).update({
            "cert-manager.io/certificate-name": name, "cert-manager.io/alt-names": HOST,
            "cert-manager.io/common-name": HOST, "cert-manager.io/issuer-kind": "ClusterIssuer",
            "cert-manager.io/issuer-name": ISSUER,
            "cert-manager.io/issuer-group": "cert-manager.io",
        })  # fmt: skip

    lab.store.patch("secrets", APP, SECRET, edit)


def serve(lab: Lab, left: dt.timedelta, host: str = HOST) -> str:
    """Put a certificate into the Secret, of which so much time is left; when it ends."""
    ends = dt.datetime.now(dt.UTC).replace(microsecond=0) + left
    issued = lab.certificates.public.issue_cert(
        host, not_before=ends - dt.timedelta(days=90), not_after=ends
    )
    data = {"tls.crt": b"".join(blob.bytes() for blob in issued.cert_chain_pems),
            "tls.key": issued.private_key_pem.bytes()}  # fmt: skip

    def edit(secret: Obj) -> None:
        secret["data"] = {key: base64.b64encode(blob).decode() for key, blob in data.items()}

    lab.store.patch("secrets", APP, SECRET, edit)
    annotate_secret(lab)
    return ends.strftime("%Y-%m-%dT%H:%M:%SZ")
