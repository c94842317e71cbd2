"""What Traefik's own settings keep from the pods: weights, its health checks, its patience."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hopcheck.behaviour.traefik.logs import excerpt
from hopcheck.behaviour.traefik.route import Backend
from hopcheck.behaviour.traefik.routes import branches
from hopcheck.behaviour.traefik.static import seconds
from hopcheck.behaviour.traefik.subjects import loaded, owners, subject
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Evidence, Finding, ObjectRef, Words
from hopcheck.model.kubernetes import IngressRoute, ServersTransport, Service, TraefikService
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.chosen_route import share_of as share
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.probes import through_traefik
from hopcheck.scene.scene import Scene
from hopcheck.scene.upstream import Upstream
from hopcheck.steps import fixing
from hopcheck.steps.endpoints.judged import State, judged, of_service, traefik_statuses
from hopcheck.steps.endpoints.policies import kept_out
from hopcheck.steps.endpoints.protocols import named_transport, transport
from hopcheck.steps.names import (
    backend_ref,
    last_exchanges,
    ref_of,
    route_ref,
    route_refs,
    traefik_refs,
)
from hopcheck.steps.rule import BESIDE_KUBE, rule
from hopcheck.verdict.contradicted import Claim, Claimed

# A route or TraefikService, what it spreads requests over, and how many of all it gets.
_Spread = tuple[ObjectRef, list[Backend], float]


def _spreads(scene: Scene) -> Iterator[_Spread]:
    """The route, and each TraefikService behind it that gets requests."""
    route = routing_of(scene).selection.winner
    if route is None:
        return
    # An IngressRoute's only service gets everything, whatever its weight (kubernetes_http.go).
    alone = len(route.backends) == 1
    own = [replace(each, weight=None) if alone else each for each in route.backends]
    todo: list[_Spread] = [(route_ref(route), own, 1.0)]
    for holder, own, part in todo:
        yield holder, own, part
        for branch in own:
            ref, known = backend_ref(branch), [each[0] for each in todo]
            if branch.kind == "TraefikService" and branch.weight != 0 and ref not in known:
                below = branches(scene.kube, branch)
                todo.append((ref, below, part * (share(branch, own) or 1.0)))


def _of_holder(code: str, holder: ObjectRef, part: float, /, at: ObjectRef, **more: Any) -> Claimed:
    """What stops a part of the requests, or all; which of them a part is, is a draw."""
    words: Words = {"holder": str(holder), "ns": holder.namespace, "name": holder.name}
    words["resource"] = f"{holder.kind.lower()}s.traefik.io"
    found = make(code, at, share=part if part < 1 else None, **words, **more)
    return Claimed(Claim.STOPS_NOTHING_NOW if part < 1 else Claim.STOPS_EVERYTHING, found)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def requests_have_somewhere_to_go(scene: Scene) -> Iterator[Claimed]:
    """Of what the route and its TraefikServices spread requests over, something has a weight."""
    for holder, own, part in _spreads(scene):
        if not own or any(branch.weight is None or branch.weight > 0 for branch in own):
            continue
        field = f"{own[0].field}.weight"
        every = {ref_of(each): each for each in scene.kube.every(TraefikService)}
        yield _of_holder(
            "END022",
            holder,
            part,
            replace(holder, field=field),
            names=listing(f"{branch.namespace}/{branch.name}" for branch in own),
            related=[backend_ref(branch) for branch in own],
            **(fixing.patch(every.get(holder), {field: 1}) if len(own) == 1 else {}),
        )


# --- the health checks that Traefik makes itself (pkg/healthcheck/healthcheck.go, v2.11 to v3.7)

_FAILED = re.compile(r"Health check (?:failed|still failing)")
_STATUS = re.compile(r"status code: (\d{3})")
_ASKED = re.compile(r'(?:Get|Head|Post) \\*"(\w+://[^/"\\?]+)')
_LATE = "deadline exceeded"


def _failure(scene: Scene, ends: set[ObjectRef]) -> tuple[str, str, Evidence] | None:
    """Of what is made of `ends`, and none is up: why a check failed, of which server, the proof."""
    kinds = (IngressRoute, TraefikService, Service)
    every = [ref_of(obj) for kind in kinds for obj in scene.kube.every(kind)]
    for replica in scene.snapshot.traefik.replicas:
        own = [
            made
            for made in replica.services.or_else(()) or ()
            if made.server_status and made.name.endswith("@kubernetescrd")
            if ends & {*owners(loaded("Service", made.name), every)[:1]}
        ]
        down = [made for made in own if "UP" not in made.server_status.values()]
        if own and not down:
            continue  # what the log says is past
        log = replica.log.or_else(()) or ()
        for line in reversed(log):
            about = subject(line) if _FAILED.match(line.message) else None
            if about is not None and ends & {*owners(about, every)[:1]}:
                words = line.fields.get("error") or line.message.partition("Reason: ")[2]
                proof = Evidence(text("source", "log", pod=replica.pod), *excerpt(log, [line]))
                return words, line.fields.get("targetURL", ""), proof
        if down:
            shown = msgspec.json.encode(down[0]).decode()
            return "DOWN", "", Evidence(text("source", "api", pod=replica.pod), shown)
    return None


@rule(reads=("kube", "traefik"), uses=("dns", "aws", "http"))
def traefiks_own_health_checks_pass(scene: Scene) -> Iterator[Claimed]:
    """The servers pass the health check that the route or TraefikService has Traefik make."""
    if 503 not in traefik_statuses(scene):
        return
    for holder, own, part in _spreads(scene):
        for branch in own:
            service = backend_ref(branch)
            asks = branch.health_check and branch.weight != 0
            failed = _failure(scene, {holder, service}) if asks else None
            if failed is None:
                continue
            words, server, proof = failed
            status, asked = _STATUS.search(words), _ASKED.search(words)
            ref, variant = replace(holder, field=f"{branch.field}.healthCheck"), None
            if status is not None and int(status[1]) >= 500:
                ref, variant = replace(service, kind="Application"), "ill"
            elif asked is not None and asked[1] == server and _LATE not in words:
                ref, variant = service, "down"
            yield _of_holder(
                "END023",
                holder,
                part * (share(branch, own) or 1.0),
                ref,
                variant=variant,
                service=f"{branch.namespace}/{branch.name}",
                error=words,
                evidence=(proof,),
                related=[each for each in (holder, service) if each != ref],
            )


# --- for how long it waits for an answer


class Limit(Struct, frozen=True):
    """A limit of Traefik's own that ended requests: whose, its name, and seconds."""

    holder: ObjectRef
    setting: str
    seconds: float
    took: float


def gave_up(scene: Scene, one: Upstream) -> Limit | None:
    """The limit after which Traefik gave up on it: the longest that had passed by then.

    None where the pods, asked directly, fail by themselves; a dial that takes a whole second is
    the network's doing.
    """
    hops = (probe.exchanges[-1] for probe in through_traefik(scene))
    said = [e for e in (*last_exchanges(scene), *hops) if producer(e) is Producer.TRAEFIK]
    took = max((e.timing.total for e in said if e.status == 504), default=0.0)
    obj, own = named_transport(one), [probe.exchanges[-1] for probe in one.probes]
    at = ref_of(obj) if obj is not None else next(iter(traefik_refs(scene)), None)
    if at is None or (obj is None and transport(one)) or any(e.error for e in own):
        return None
    given = obj.spec.forwarding_timeouts if obj is not None else scene.static.timeouts
    prefix = "spec." if obj is not None else "--serversTransport."
    dial, answer = seconds(given.dial_timeout, 30.0), seconds(given.response_header_timeout, 0.0)
    name, limit = max(
        (pair for pair in (("dialTimeout", dial), ("responseHeaderTimeout", answer)) if pair[1]),
        key=lambda pair: pair[1] if pair[1] <= took else -1.0,
        default=("", 0.0),
    )
    sure = name == "responseHeaderTimeout" or (own and limit < 1)
    reached = sure and limit <= took
    return Limit(at, f"{prefix}forwardingTimeouts.{name}", limit, took) if reached else None


@rule(reads=("kube", "http"), uses=BESIDE_KUBE)
def traefik_waits_for_answers(scene: Scene) -> Iterator[Finding]:
    """Traefik waits for the pods for as long as they take."""
    for one in judged(scene, State.SERVING, State.EXTERNAL):
        limit = None if kept_out(scene, one) else gave_up(scene, one)
        if limit is None:
            continue
        slowest = max((p.exchanges[-1].timing.first_byte or 0.0 for p in one.probes), default=0.0)
        late, at = slowest > limit.seconds, limit.holder
        dial = limit.setting.endswith("dialTimeout")
        crd = at.kind == ServersTransport.__name__
        yield of_service(
            "END024",
            one,
            replace(at, field=limit.setting) if crd else at,
            variant="dial" if dial else None if late else "unseen",
            holder=str(at),
            setting=limit.setting,
            limit=limit.seconds,
            took=round(limit.took, 1),
            seconds=round(slowest, 1),
            ns=at.namespace,
            resource="serverstransports.traefik.io" if crd else at.kind.lower(),
            name=at.name,
            related=(one.ref, *route_refs(routing_of(scene))),
        )
