"""The middlewares of the route: do they exist, and does Traefik take and run them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hopcheck.behaviour.traefik.discovery import Instance
from hopcheck.behaviour.traefik.ingressroute import reference
from hopcheck.behaviour.traefik.logs import about_object, overtaken
from hopcheck.behaviour.traefik.route import Route
from hopcheck.behaviour.traefik.routes import listed
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Evidence as Proof
from hopcheck.model import Finding, Obj, ObjectRef, Why
from hopcheck.scene.chosen_route import Routing
from hopcheck.scene.outcome import Producer, producer, refused_by_middleware
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps import between
from hopcheck.steps.names import last_exchanges, route_ref, route_words

_OWN = "@kubernetescrd"


def by_reference(scene: Scene) -> dict[str, Obj]:
    """Every Middleware that was seen, by the name under which routers refer to it."""
    return {
        reference(meta(obj).get("namespace", ""), meta(obj)["name"]): obj
        for obj in listed(scene.kube, "middlewares")
    }


def judge(scene: Scene, routing: Routing, route: Route) -> list[Finding]:
    """Judge each Middleware that the route names, and those that these chain."""
    known = by_reference(scene)
    readable = scene.kube.list("middlewares")
    entry = routing.view.static.entry_points.get(routing.entry_point)
    shared = entry.middlewares if entry is not None and routing.view.static.known else ()
    found: list[Finding] = []
    for written in (*route.middlewares, *shared):
        # A name without a provider is one of the router's own (provider.GetQualifiedName).
        name = written if "@" in written else f"{written}@{route.provider}"
        owner = None if written in route.middlewares else scene.instance
        obj = known.get(name)
        if obj is not None:
            found += _Judged(scene, routing, route, obj).findings(known)
        elif name.endswith(_OWN):
            if readable.seen or readable.why is Why.NOT_FOUND:
                found.append(_missing(route, name, known, owner))
        elif _never_there(scene, routing, name):
            found.append(_missing(route, written, known, owner))
    return found or between.judge(scene, route, (*route.middlewares, *shared), known)


def _never_there(scene: Scene, routing: Routing, name: str) -> bool:
    """Whether no provider brings the middleware: by Traefik's API, else by its arguments."""
    provider = name.rpartition("@")[2]
    shown = [r.middlewares.get() for r in scene.snapshot.traefik.replicas if r.middlewares.seen]
    if shown:
        return not any(str(m.get("name")) == name for own in shown for m in own)
    if provider == "kubernetes":
        return True  # Ingresses bring routers and services alone
    static = routing.view.static
    return static.known and provider == "file" and not static.file_provider


def _missing(route: Route, name: str, known: Mapping[str, Obj], owner: Instance | None) -> Finding:
    """A Middleware that does not exist; `owner`: Traefik's arguments name it, not the route."""
    full = name if name.endswith(_OWN) else f"{name.partition('@')[0]}{_OWN}"
    close = difflib.get_close_matches(full, known, n=1)
    ref = route_ref(route)
    return make(
        "ING013",
        ObjectRef(owner.kind, owner.name, owner.namespace) if owner else ref,
        variant="entry_point" if owner else None,
        middleware=name,
        near=text("near", "there_is", name=close[0]) if close else "",
        related=(*((ref,) if owner else ()), *_middleware_ref(route, name, known, close)),
        **route_words(route),
    )


def _middleware_ref(
    route: Route, name: str, known: Mapping[str, Obj], close: Sequence[str]
) -> tuple[ObjectRef, ...]:
    """The one that is missing, as far as "namespace-name" can be taken apart, and a near one."""
    bare = name.partition("@")[0]
    prefix = f"{route.namespace}-"
    inside = bare.startswith(prefix)
    missing = (
        ObjectRef("Middleware", bare.removeprefix(prefix), route.namespace)
        if inside
        else ObjectRef("Middleware", bare)
    )
    if not close:
        return (missing,)
    obj = known[close[0]]
    return (ObjectRef("Middleware", meta(obj)["name"], meta(obj).get("namespace")), missing)


class _Judged:
    """One existing Middleware of a route."""

    def __init__(self, scene: Scene, routing: Routing, route: Route, obj: Obj) -> None:
        self.scene, self.routing, self.route, self.obj = scene, routing, route, obj
        self.namespace, self.name = str(meta(obj).get("namespace")), str(meta(obj)["name"])

    def findings(self, known: Mapping[str, Obj]) -> list[Finding]:
        """What is wrong with it; of several reasons the one that is seen at its source."""
        found = [*self._secrets(), *self._chain(known), *self._plugins(), *self._forward_auth()]
        return found or self._refused()

    def _broken(
        self,
        key: str,
        *related: ObjectRef,
        advice: str = "",
        evidence: Sequence[Proof] = (),
        **words: Any,
    ) -> Finding:
        return make(
            "ING014",
            ObjectRef("Middleware", self.name, self.namespace),
            middleware=f"{self.namespace}/{self.name}",
            route=f"{self.route.kind} {self.route.namespace}/{self.route.name}",
            reason=text("middleware", key, **words),
            advice=text("middleware_advice", advice or key, **words),
            ns=self.namespace,
            name=self.name,
            evidence=tuple(evidence),
            related=(*related, route_ref(self.route)),
        )

    def _secret_names(self) -> list[str]:
        own = spec(self.obj)
        found = [(own.get(kind) or {}).get("secret") for kind in ("basicAuth", "digestAuth")]
        tls = (own.get("forwardAuth") or {}).get("tls") or {}
        found += [tls.get(key) for key in ("caSecret", "certSecret")]
        return [str(name) for name in found if name]

    def _secrets(self) -> list[Finding]:
        return [
            self._broken("secret", ObjectRef("Secret", name, self.namespace), secret=name)
            for name in self._secret_names()
            if self.scene.kube.one("secrets", self.namespace, name).why is Why.NOT_FOUND
        ]

    def _chain(self, known: Mapping[str, Obj]) -> list[Finding]:
        found: list[Finding] = []
        for each in (spec(self.obj).get("chain") or {}).get("middlewares") or ():
            link = reference(str(each.get("namespace") or self.namespace), str(each.get("name")))
            if link in known:
                one = _Judged(self.scene, self.routing, self.route, known[link])
                found += one.findings(known)
            elif self.scene.kube.list("middlewares").seen and link.endswith(_OWN):
                found.append(self._broken("chain", name=link))
        return found

    def _plugins(self) -> list[Finding]:
        static = self.routing.view.static
        known = {name.lower() for name in static.plugins}
        names = [name for name in spec(self.obj).get("plugin") or () if name.lower() not in known]
        if not static.known or not names:
            return []
        return [self._broken("plugin", plugin=names[0], existing=listing(static.plugins))]

    def _forward_auth(self) -> list[Finding]:
        address = (spec(self.obj).get("forwardAuth") or {}).get("address")
        if not address:
            return []
        labels = (urlsplit(str(address)).hostname or "").split(".")
        related: tuple[ObjectRef, ...] = ()
        missing = False
        if len(labels) >= 2 and (len(labels) == 2 or labels[2] == "svc"):
            related = (ObjectRef("Service", labels[0], labels[1]),)
            one = self.scene.kube.one("services", labels[1], labels[0])
            missing = one.why is Why.NOT_FOUND
        down = any(
            refused_by_middleware(self.scene.snapshot, e, str(address))
            for e in last_exchanges(self.scene)
        )
        if not missing and not down:
            return []
        key = "auth_missing" if missing else "auth_down"
        return [self._broken(key, *related, advice="auth", address=address)]

    def _refused(self) -> list[Finding]:
        """Traefik's API lacks it, or its log says why, while Traefik itself answers 404."""
        if not any(
            e.status == 404 and producer(e) is Producer.TRAEFIK for e in last_exchanges(self.scene)
        ):
            return []
        full = reference(self.namespace, self.name)
        replicas = self.scene.snapshot.traefik.replicas
        shown = [one for one in replicas if one.middlewares.seen]
        lacking = [
            one for one in shown if full not in {str(m.get("name")) for m in one.middlewares.get()}
        ]
        for one in shown:
            for mine in one.middlewares.get():
                if str(mine.get("name")) == full and mine.get("status") == "disabled":
                    proof = Proof(f"API of {one.pod}", msgspec.json.encode(mine).decode())
                    words = listing(mine.get("error") or (text("said", "no_reason"),))
                    return [self._broken("refused", evidence=[proof], words=words)]
        if shown and not lacking:
            return []
        for one in lacking or replicas:
            lines = about_object(one.log.or_else(()) or (), self.namespace, self.name)
            metrics = one.metrics.or_else({}) or {}
            said = [
                line
                for line in lines
                if line.fields.get("middlewareName")
                and not overtaken(line, metrics, self.scene.static.throttle_s)
            ]
            if said:
                words = said[-1].fields.get("error") or said[-1].message or said[-1].raw
                proof = Proof(text("source", "log", pod=one.pod), said[-1].raw)
                secrets = [ObjectRef("Secret", n, self.namespace) for n in self._secret_names()]
                return [self._broken("refused", *secrets, evidence=[proof], words=words)]
        if not lacking:
            return []
        return [self._broken("absent", pod=lacking[0].pod)]
