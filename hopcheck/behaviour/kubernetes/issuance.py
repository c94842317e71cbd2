"""Where cert-manager's issuance of a certificate stops: Certificate, request, order, challenge.

Sources: cert-manager's pkg/controller (certificates/trigger, certificaterequests, acmeorders,
acmechallenges); each writes the reason into the status of its own object, and the next one up
repeats it at most. So the innermost object that says something is the origin.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct

from hopcheck.model import KubeEvidence
from hopcheck.model.kubernetes import (
    Certificate,
    CertificateRequest,
    Challenge,
    ClusterIssuer,
    Condition,
    Issuer,
    Issuing,
    Object,
    Order,
)

GROUP = "cert-manager.io"
_REVISION = f"{GROUP}/certificate-revision"
# What asks for a Certificate on an Ingress, and the kind of issuer that it names.
ASKS = {f"{GROUP}/issuer": "Issuer", f"{GROUP}/cluster-issuer": "ClusterIssuer"}
_DONE = ("valid", "ready")

T = TypeVar("T", bound=Issuing)


class Origin(Struct, frozen=True):
    """The object at which an issuance stops: by which key of the texts (`origin`), in what words.

    `field`: of the object; `named`: what it names and is not there; `among`: what is there.
    """

    key: str
    object: Object
    words: str = ""
    field: str | None = None
    named: str = ""
    among: tuple[str, ...] = ()


def certificates_of(kube: KubeEvidence, namespace: str, secret: str) -> list[Certificate]:
    """The Certificates that are written to a Secret; of several, cert-manager issues none."""
    own = kube.every(Certificate)
    return [one for one in own if one.namespace == namespace and one.spec.secret_name == secret]


def condition(obj: Issuing, kind: str) -> Condition:
    """The condition of that type; an empty one where there is none."""
    return next((one for one in obj.status.conditions if one.type == kind), Condition())


def _made_for(kube: KubeEvidence, kind: type[T], owner: Issuing | None) -> list[T]:
    """What an object has made, the latest try first; the earlier ones are history."""
    own = [
        one
        for one in kube.every(kind)
        for ref in one.metadata.owner_references
        if owner is not None and (ref.kind, ref.name) == (type(owner).__name__, owner.name)
        if one.namespace == owner.namespace
    ]
    return sorted(own, key=_age, reverse=True)


def _age(obj: Object) -> tuple[int, str]:
    revision = obj.metadata.annotations.get(_REVISION, "")
    return int(revision) if revision.isdecimal() else 0, obj.metadata.creation_timestamp


def origin(kube: KubeEvidence, certificate: Certificate) -> Origin:
    """Where the issuance of a certificate that is not there stops."""
    if (found := _issuer(kube, certificate)) is not None:
        return found
    request = next(iter(_made_for(kube, CertificateRequest, certificate)), None)
    if request is not None and condition(request, "Ready").status != "True":
        denied = condition(request, "Denied")
        if denied.status == "True":
            return Origin("denied", request, denied.message)
        orders = _made_for(kube, Order, request)[:1]
        challenges = [one for order in orders for one in _made_for(kube, Challenge, order)]
        waiting = [one for one in (*challenges, *orders) if one.status.state not in _DONE]
        # Challenges first: of these one that has failed, then one that says why it waits.
        waiting.sort(key=lambda one: (isinstance(one, Order), one.status.state in ("", "pending"),
                                      not one.status.reason))  # fmt: skip
        for one in waiting[:1]:
            return Origin("acme", one, one.status.reason)
        return Origin("request", request, condition(request, "Ready").message)
    issuing, ready = condition(certificate, "Issuing"), condition(certificate, "Ready")
    if not certificate.status.conditions:
        return Origin("untouched", certificate)
    if ready.status == "True" and issuing.reason in ("", "Issued"):
        return Origin("idle", certificate, ready.message)
    told = issuing if issuing.status == "False" or not ready.message else ready
    return Origin("certificate", certificate, told.message)


def _issuer(kube: KubeEvidence, certificate: Certificate) -> Origin | None:
    """The issuer, where it does not exist or is not ready; None for one of another group."""
    ref, space = certificate.spec.issuer_ref, certificate.namespace
    listed = kube.of(ClusterIssuer) if ref.kind == "ClusterIssuer" else kube.of(Issuer, space)
    found = next((one for one in listed.or_else(()) or () if one.name == ref.name), None)
    if ref.group not in ("", GROUP) or not listed.seen or listed.truncated:
        return None
    if found is not None:
        ready = condition(found, "Ready")
        return Origin("issuer", found, ready.message) if ready.status == "False" else None
    every = (*kube.every(Issuer), *kube.every(ClusterIssuer))
    there = tuple(
        f"{type(one).__name__} {one.name}" for one in every if one.namespace in ("", space)
    )
    named = f"{ref.kind or 'Issuer'} {ref.name}"
    return Origin("issuer_missing", certificate, "", "spec.issuerRef", named, there)
