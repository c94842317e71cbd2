"""Why the route's certificate is not issued: the object of cert-manager at which it stops.

Said only where the certificate that is presented is refused, or its renewal is overdue.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from hopcheck.behaviour.kubernetes.issuance import (
    ASKS,
    Origin,
    certificates_of,
    condition,
    origin,
)
from hopcheck.behaviour.traefik.route import Route
from hopcheck.catalogue.catalogue import listing, text
from hopcheck.model import Evidence, Finding, ObjectRef, TlsInfo, Why, Words
from hopcheck.model.kubernetes import Certificate, Challenge, Event, Issuing, Secret
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.issuance import covers, ingress_of, presented, tls_secrets
from hopcheck.scene.outcome import certificate_fails, certificate_problem
from hopcheck.scene.scene import Scene
from hopcheck.steps import fixing
from hopcheck.steps.ingress.standing import route_rule
from hopcheck.steps.names import failure, of_route, ref_of, route_ref

_OVERDUE = dt.timedelta(days=1)
_TOKEN = re.compile(r"(/acme-challenge/)[\w-]+")


@route_rule("http")
def certificate_is_issued(scene: Scene, route: Route) -> Iterator[Finding]:
    """cert-manager has issued the certificate that the route names, and renews it in time."""
    tls = presented(scene)
    if tls is None:
        return
    refused = certificate_fails(certificate_problem(tls, scene.snapshot))
    secrets = tls_secrets(scene)
    for namespace, name in secrets:
        own = certificates_of(scene.kube, namespace, name)
        if refused:
            found = _refused(scene, route, tls, own, ObjectRef("Secret", name, namespace))
        else:
            found = next(
                (origin(scene.kube, one) for one in own if _overdue(scene, tls, one)), None
            )
        # With several Secrets, which of them was to be the host's is not known.
        if found is not None and (found.key != "names" or len(secrets) == 1):
            related = (*map(ref_of, own), ObjectRef("Secret", name, namespace), route_ref(route))
            words = {"not_after": tls.chain[0].not_after, "secret": f"{namespace}/{name}"}
            code = "ING050" if refused else "ING051"
            yield _stated(code, scene, route, found, words, related)


def _refused(
    scene: Scene, route: Route, tls: TlsInfo, own: list[Certificate], secret: ObjectRef
) -> Origin | None:
    """Where the issuance into a Secret stops, while clients refuse what is presented."""
    if not own:
        return _asked_for(scene, route, secret)
    one, until = own[0], own[0].status.not_after
    if len(own) > 1:
        return Origin("duplicate", one, named=listing(str(ref_of(each)) for each in own))
    names = tuple(dict.fromkeys(filter(None, (*one.spec.dns_names, one.spec.common_name))))
    if not covers(names, scene.target.host):
        return Origin("names", one, field="spec.dnsNames", named=listing(names))
    # What it holds may be a good certificate, other than the one that clients refuse.
    good = until > scene.snapshot.taken_at and until != tls.chain[0].not_after
    lost = scene.kube.find(Secret, secret.namespace, secret.name).why is Why.NOT_FOUND
    good = good or condition(one, "Ready").status == "True"
    return origin(scene.kube, one) if lost or not good else None


def _overdue(scene: Scene, tls: TlsInfo, one: Certificate) -> bool:
    """Whether the certificate that is presented should have been renewed by now."""
    status, now = one.status, scene.snapshot.taken_at
    if "" in (status.renewal_time, now) or status.not_after != tls.chain[0].not_after:
        return False
    late = dt.datetime.fromisoformat(now) - dt.datetime.fromisoformat(status.renewal_time)
    return late > _OVERDUE or (late > dt.timedelta() and status.failed_issuance_attempts > 0)


def _asked_for(scene: Scene, route: Route, secret: ObjectRef) -> Origin | None:
    """The Ingress whose annotation asks for a certificate that nobody has made a Certificate of."""
    obj, listed = ingress_of(scene, route), scene.kube.of(Certificate, secret.namespace)
    if obj is None or not listed.seen or listed.truncated or secret.namespace != obj.namespace:
        return None
    for key, kind in ASKS.items():
        if issuer := obj.metadata.annotations.get(key):
            told = [
                event.message
                for event in scene.kube.of(Event, obj.namespace).or_else(()) or ()
                if event.reason == "BadConfig" and event.involved_object.name == obj.name
            ]
            among = tuple(one.spec.secret_name for one in listed.get())
            at = f"metadata.annotations[{key}]"
            return Origin("absent", obj, "".join(told[-1:]), at, f"{kind} {issuer}", among)
    return None


def _stated(
    code: str,
    scene: Scene,
    route: Route,
    found: Origin,
    words: Words,
    related: tuple[ObjectRef, ...],
) -> Finding:
    obj, ref = found.object, ref_of(found.object)
    wanted = words["secret"].rpartition("/")[2] if found.key == "absent" else found.named
    tried, taken = _tried(scene) if isinstance(obj, Challenge) else ("", ())
    said = {
        "object": str(ref),
        "host": scene.target.host,
        "named": found.named,
        "near": fixing.near_words(fixing.near(wanted, found.among)),
        "since": obj.metadata.creation_timestamp,
        "state": (obj.status.state if isinstance(obj, Issuing) else "") or "pending",
        "words": _short(found.words) or text("origin", "silent"),
    }
    advice = type(obj).__name__.lower() if found.key == "acme" else found.key
    return of_route(
        code,
        scene,
        route,
        at=ref_of(obj, found.field),
        reason=text("origin", found.key, **said) + tried,
        advice=text("origin_advice", "taken" if taken else advice, **said),
        evidence=[Evidence(str(ref), found.words)] if found.words else (),
        related=(*taken, *related),
        ns=words["secret"].partition("/")[0],
        resource=type(obj).__name__.lower(),
        name=obj.name,
        **words,
    )


def _short(words: str) -> str:
    """The words without a challenge's token, which says nothing; the evidence has them whole."""
    return _TOKEN.sub(r"\1…", words)


def _tried(scene: Scene) -> tuple[str, tuple[ObjectRef, ...]]:
    """Who answers where the authority asks, in words, and the route if it is not the solver's."""
    told = scene.snapshot.http.challenge
    if not told.seen or not told.get().exchanges:
        return "", ()
    last = told.get().exchanges[-1]
    route = routing_of(scene.at(last.url)).selection.winner
    words = {"last": _short(last.url), "status": last.status or failure(last)}
    if route is None or last.status is None:
        return text("origin_tried", "nobody", **words), ()
    obj = ingress_of(scene, route)
    if obj is not None and any(o.kind == "Challenge" for o in obj.metadata.owner_references):
        key = "solved" if last.status == 200 else "solver"
        return text("origin_tried", key, route=str(route_ref(route)), **words), ()
    taken = route_ref(route)
    return text("origin_tried", "taken", route=str(taken), **words), (taken,)
